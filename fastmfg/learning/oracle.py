"""What the learner may sample: trajectories of one deviating agent in ``M*|pi`` (Huang, He, Krause 2024, Def. 2.1)."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmfg.games.checks import Floats, Integers, first_index, index_array, policy_array, whole
from fastmfg.games.game import Game, require_game
from fastmfg.kernels import walk as walk_kernels
from fastmfg.planning.condition import condition_game

STREAM = (2,)
"""First key of the random streams drawn here: the same seed may serve a class and an oracle."""


class Oracle(Protocol):
    """Anything that samples trajectories of a deviation while the population plays a reference policy."""

    def sample(self, deviation: Floats, reference: Floats, n: int) -> tuple[Any, Any]:
        """n trajectories under policies [H, S, A]: states int64 [n, H+1] and actions int64 [n, H]."""
        ...


@runtime_checkable
class Restorable(Protocol):
    """An oracle that can go on where it stood: with it a run that was interrupted ends as if it had not been."""

    def state(self) -> Any:
        """What decides the samples to come, as JSON can hold it."""
        ...

    def restore(self, state: Any) -> None:
        """Go on from where `state` was taken."""
        ...


def require_oracle(value: Any) -> Oracle:
    """The value, if it can be sampled."""
    if not callable(getattr(value, "sample", None)):
        raise TypeError(f"oracle must have a method sample(deviation, reference, n), got {type(value).__name__}")
    oracle: Oracle = value
    return oracle


class MeanFieldOracle:
    """Samples a known game as if it were unknown: the population is infinite and sits at the reference's density.

    Trajectory number i depends on the seed, on i and on the two policies alone, not on how many are drawn at a time.
    """

    def __init__(self, game: Game, seed: int = 0) -> None:
        self.game = require_game("game", game)
        self.seed = whole("seed", seed, 0)
        self.trajectories = 0
        self._reference: Floats | None = None
        self._aux: Floats | None = None

    def sample(self, deviation: ArrayLike, reference: ArrayLike, n: int) -> tuple[Integers, Integers]:
        """n trajectories of `deviation` [H, S, A] in the game conditioned on `reference` [H, S, A]."""
        game, count = self.game, whole("n", n, 1)
        dev = policy_array("deviation", deviation, game.legal, game.horizon)
        aux = self._condition(policy_array("reference", reference, game.legal, game.horizon))
        H = game.horizon
        uniforms = np.empty((count, 2 * H + 1))
        for i in range(count):
            key = np.random.SeedSequence(self.seed, spawn_key=(*STREAM, self.trajectories + i))
            uniforms[i] = np.random.default_rng(key).random(2 * H + 1)
        self.trajectories += count
        states, actions = np.empty((count, H + 1), dtype=np.int64), np.empty((count, H), dtype=np.int64)
        family = game._family
        theta = family.thetas[game._member]
        status = walk_kernels.walk(family.fill, family.common, theta, aux, dev, uniforms, states, actions)
        family.refuse_status(status, "sampling")
        return states, actions

    def state(self) -> dict[str, int]:
        """What decides the trajectories to come: the seed, and how many have been drawn."""
        return {"seed": self.seed, "trajectories": self.trajectories}

    def restore(self, state: dict[str, int]) -> None:
        """Go on from where `state` was taken."""
        seed, trajectories = whole("seed", state["seed"], 0), whole("trajectories", state["trajectories"], 0)
        self.seed, self.trajectories = seed, trajectories

    def _condition(self, reference: Floats) -> Floats:
        """`aux` of the conditional model, kept until another reference policy is asked for."""
        if self._aux is None or self._reference is None or not np.array_equal(reference, self._reference):
            self._reference, self._aux = reference, condition_game(self.game, reference).aux[0]
        return self._aux


def checked_sample(
    oracle: Oracle, deviation: Floats, reference: Floats, n: int, initial: Floats, legal: NDArray[np.bool_]
) -> tuple[Integers, Integers]:
    """Trajectories from an oracle, refused when they are not trajectories of the game."""
    H, (S, A) = len(deviation), legal.shape
    answer = oracle.sample(deviation.copy(), reference.copy(), n)
    if not isinstance(answer, tuple) or len(answer) != 2:
        what = f"a tuple of {len(answer)}" if isinstance(answer, tuple) else type(answer).__name__
        raise TypeError(f"oracle.sample must return (states, actions), got {what}")
    states = index_array("oracle.sample: states", answer[0], (n, H + 1), S)
    actions = index_array("oracle.sample: actions", answer[1], (n, H), A)
    impossible = initial[states[:, 0]] == 0
    if impossible.any():
        i = int(np.argmax(impossible))
        raise ValueError(f"oracle.sample: states[{i}, 0] is {states[i, 0]}, where no agent starts (initial is 0 there)")
    illegal = ~legal[states[:, :-1], actions]
    if illegal.any():
        i, h = first_index(illegal)
        raise ValueError(f"oracle.sample: actions[{i}, {h}] is {actions[i, h]}, illegal in state {states[i, h]}")
    return states, actions
