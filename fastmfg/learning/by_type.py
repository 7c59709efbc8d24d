"""Learning games with several types of agents (Huang, He, Krause 2024, Algs. 4 to 6).

The lift is learned as any class is. Samples come from a `MeanFieldOracle`, or from one simulator a type.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.equality import Result
from fastmfg.games.checks import Floats, Integers, float_array, frozen, index_array, whole
from fastmfg.games.multi_type import MultiTypeGame, one_a_type
from fastmfg.games.multi_type_class import MultiTypeClass
from fastmfg.learning.oracle import Sample, Turns, sample_parts
from fastmfg.learning.state import Learned
from fastmfg.planning.by_type import member_gaps_by_type

TypeSampler = Callable[[Floats, list[Floats], int], tuple[Any, ...]]
"""``sampler(deviation_w, references, n)``: states [n, H+1] and actions [n, H] of one type, in its own numbers; rewards
observed [n, H] third, where they are unknown."""


class SimulatorOracle:
    """Samples a game with types through one simulator a type; types take turns.

    Parameters
    ----------
    models : MultiTypeClass or MultiTypeGame
        Says which types there are.
    simulators : W callables
        ``simulators[w](deviation, references, n) -> (states [n, H+1], actions [n, H])``: trajectories of one agent of
        type w who plays `deviation` [H, S_w, A_w], while all others play `references`, a list of one policy a type.
        States and actions are the type's own, from 0. Where the rewards of `models` are unknown those observed come
        third, [n, H].

    Raises
    ------
    ValueError, TypeError
        A simulator that returns anything but trajectories of its own type.
    """

    def __init__(self, models: MultiTypeClass | MultiTypeGame, simulators: Sequence[TypeSampler]) -> None:
        if not isinstance(models, (MultiTypeClass, MultiTypeGame)):
            raise TypeError(f"models must be a MultiTypeClass or a MultiTypeGame, got {type(models).__name__}")
        self.models, self.trajectories = models, 0
        self._turns = Turns(models.layout)
        self.simulators = one_a_type("simulators", simulators, models.n_types)

    @property
    def trajectories_by_type(self) -> Integers:
        """How many were drawn of each type [W]."""
        return self._turns.drawn(self.trajectories)

    def sample(self, deviation: ArrayLike, reference: ArrayLike, n: int) -> Sample:
        """n trajectories of `deviation` while the crowd plays `reference` (policies of the lift, or one a type).

        States of the lift [n, H+1] and actions [n, H], and rewards [n, H] where they are unknown.
        """
        count = whole("n", n, 1)
        turns = self._turns.types(self.trajectories, count)
        deviations, references = self.models.split(deviation), self.models.split(reference)
        H = self.models.horizon
        states, actions = np.empty((count, H + 1), dtype=np.int64), np.empty((count, H), dtype=np.int64)
        rewards, rewarded = np.empty((count, H)), self.models.reward_noise is not None
        for w in np.unique(turns).tolist():
            mine = turns == w
            copies = [policy.copy() for policy in references]
            found = self._ask(w, deviations[w], copies, int(mine.sum()))
            states[mine], actions[mine] = found[:2]
            if len(found) == 3:
                rewards[mine] = found[2]
        self.trajectories += count
        return (states, actions, rewards) if rewarded else (states, actions)

    def _ask(self, w: int, deviation: Floats, references: list[Floats], n: int) -> Sample:
        rewarded = self.models.reward_noise is not None
        answer = sample_parts(f"simulators[{w}]", self.simulators[w](deviation, references, n), rewarded)
        H, S, A = deviation.shape
        states = index_array(f"simulators[{w}]: states", answer[0], (n, H + 1), S) + self.models.layout.first[w]
        actions = index_array(f"simulators[{w}]: actions", answer[1], (n, H), A)
        if rewarded:
            return states, actions, float_array(f"simulators[{w}]: rewards", answer[2], (n, H))
        return states, actions


@dataclass(frozen=True, eq=False)
class LearnedType(Result):
    """What `learn` found for one type of agents."""

    policy: Floats  # [H, S_w, A_w]
    ne_gap_bound: float  # largest gap of the type over the survivors
    survivors: Integers | None  # of the type's own class, in products; None for other classes


def learned_by_type(models: MultiTypeClass, learned: Learned) -> tuple[LearnedType, ...]:
    """The outcome of `learn` on a class with types, type by type; the largest bound is that of the whole."""
    if not isinstance(models, MultiTypeClass):
        raise TypeError(f"models must be a MultiTypeClass, got {type(models).__name__}")
    policy = models.policy("learned.policy", learned.policy)
    bounds = member_gaps_by_type(models, np.asarray(learned.survivors), policy).max(axis=0)
    own = [None] * models.n_types if models.parts is None else models.parts_of(learned.survivors)
    return tuple(
        LearnedType(frozen(part), float(bound), survivors)
        for part, bound, survivors in zip(models.layout.split(policy), bounds, own, strict=True)
    )
