"""Learning games with several types of agents (Huang, He, Krause 2024, Algs. 4 to 6).

The lift is learned as any class is. Its trajectories begin with an agent of a random type; here types take turns
instead, which spreads the trajectories evenly. Evidence stays valid: likelihoods are those of transitions, wherever
they begin.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.games.checks import Floats, Integers, float_array, frozen, index_array, whole
from fastmfg.games.layout import Layout
from fastmfg.games.multi_type import MultiTypeGame, one_a_type
from fastmfg.games.multi_type_class import MultiTypeClass
from fastmfg.games.reward_noise import RewardNoise
from fastmfg.kernels import walk as walk_kernels
from fastmfg.learning.oracle import Sample, noise_of, rewards_along, sample_parts
from fastmfg.learning.state import Learned
from fastmfg.planning.by_type import member_gaps_by_type
from fastmfg.planning.condition import condition_one

STREAM = (9,)
"""First key of the random streams drawn here: one seed may serve a class, oracles and a run."""

TypeSampler = Callable[[Floats, list[Floats], int], tuple[Any, ...]]
"""``sampler(deviation_w, references, n)``: states [n, H+1] and actions [n, H] of one type, in its own numbers; rewards
observed [n, H] third, where they are unknown."""


class _InTurn(ABC):
    """Draws trajectories of all types in turn: number i, counted from the first ever drawn, is of type i mod W."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.trajectories = 0

    @property
    def trajectories_by_type(self) -> Integers:
        """How many were drawn of each type [W]."""
        W = self.layout.n_types
        return self.trajectories // W + (np.arange(W) < self.trajectories % W)

    def _turns(self, n: int) -> Integers:
        return (self.trajectories + np.arange(n)) % self.layout.n_types

    @abstractmethod
    def sample(self, deviation: ArrayLike, reference: ArrayLike, n: int) -> Sample:
        """n trajectories of `deviation` while the crowd plays `reference` (policies of the lift, or one a type)."""


class TypedOracle(_InTurn):
    """Samples a known game with types as if it were unknown; the population is infinite.

    Trajectory number i depends on the seed, on i and on the two policies alone. `reward_noise` as in `MeanFieldOracle`.
    """

    def __init__(self, game: MultiTypeGame, seed: int = 0, *, reward_noise: float | RewardNoise | None = None) -> None:
        if not isinstance(game, MultiTypeGame):
            raise TypeError(f"game must be a MultiTypeGame, got {type(game).__name__}")
        super().__init__(game.layout)
        self.game, self.seed = game, whole("seed", seed, 0)
        self._ends = start_ranges(game.layout, game.models.common.initial)
        self.noise = noise_of(game, reward_noise)
        self._reference: Floats | None = None
        self._conditional = (np.empty(0), np.empty(0))

    def sample(self, deviation: ArrayLike, reference: ArrayLike, n: int) -> Sample:
        """States of the lift [n, H+1] and actions [n, H], and rewards [n, H] if they are observed."""
        models, count, H = self.game.models, whole("n", n, 1), self.game.horizon
        dev = models.policy("deviation", deviation)
        aux, reward = self._condition(models.policy("reference", reference))
        uniforms, normals = np.empty((count, 2 * H + 1)), np.empty((count, H))
        for i in range(count):
            key = np.random.SeedSequence(self.seed, spawn_key=(*STREAM, self.trajectories + i))
            stream = np.random.default_rng(key)
            uniforms[i] = stream.random(2 * H + 1)
            if self.noise is not None:
                normals[i] = stream.standard_normal(H)
        uniforms[:, 0] = within(self._ends, self._turns(count), uniforms[:, 0])
        states, actions = np.empty((count, H + 1), dtype=np.int64), np.empty((count, H), dtype=np.int64)
        theta = models.thetas[self.game.index]
        status = walk_kernels.walk(models.fill, models.common, theta, aux, dev, uniforms, states, actions)
        models.refuse_status(status, "sampling")
        self.trajectories += count
        if self.noise is None:
            return states, actions
        return states, actions, self.noise.observe(rewards_along(reward, states, actions), normals)

    def _condition(self, reference: Floats) -> tuple[Floats, Floats]:
        """`aux` and rewards of the conditional model, kept until another reference policy is asked for."""
        if self._reference is None or not np.array_equal(reference, self._reference):
            found = condition_one(self.game, reference)
            self._reference, self._conditional = reference, (found.aux[0], found.reward[0])
        return self._conditional


def start_ranges(layout: Layout, initial: Floats) -> Floats:
    """Running sums [W + 1] of the start distribution at the types' ends."""
    sums = np.concatenate([[0.0], np.cumsum(initial)])
    ends: Floats = sums[layout.first]
    return ends


def within(ends: Floats, types: Integers, uniforms: Floats) -> Floats:
    """Uniforms of [0, 1) carried over to the types' ranges: inverting running sums there draws that type's start."""
    low, high = ends[types], ends[types + 1]
    carried: Floats = np.minimum(low + uniforms * (high - low), np.nextafter(high, low))
    return carried


class SimulatorOracle(_InTurn):
    """Samples a game with types through one simulator a type.

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
        super().__init__(models.layout)
        self.models = models
        self.simulators = one_a_type("simulators", simulators, models.n_types)

    def sample(self, deviation: ArrayLike, reference: ArrayLike, n: int) -> Sample:
        """States of the lift [n, H+1] and actions [n, H], and rewards [n, H] where they are unknown."""
        count, turns = whole("n", n, 1), self._turns(whole("n", n, 1))
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
        states = index_array(f"simulators[{w}]: states", answer[0], (n, H + 1), S) + self.layout.first[w]
        actions = index_array(f"simulators[{w}]: actions", answer[1], (n, H), A)
        if rewarded:
            return states, actions, float_array(f"simulators[{w}]: rewards", answer[2], (n, H))
        return states, actions


@dataclass(frozen=True)
class LearnedType:
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
