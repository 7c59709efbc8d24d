"""What the learner may sample: trajectories of one deviating agent in ``M*|pi`` (Huang, He, Krause 2024, Def. 2.1).

For classes whose rewards are unknown trajectories come with observed rewards (`fastmfg.games.reward_noise`).
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmfg.games.checks import Floats, Integers, first_index, float_array, index_array, policy_array, whole
from fastmfg.games.game import Game, require_game
from fastmfg.games.reward_noise import RewardNoise, reward_noise
from fastmfg.kernels import walk as walk_kernels
from fastmfg.planning.condition import condition_one

STREAM = (2,)
"""First key of the random streams drawn here: the same seed may serve a class and an oracle."""


Sample = tuple[Integers, Integers] | tuple[Integers, Integers, Floats]
"""States [n, H+1] and actions [n, H]; observed rewards [n, H] where these are unknown."""


class Oracle(Protocol):
    """Anything that samples trajectories of a deviation while the population plays a reference policy."""

    def sample(self, deviation: Floats, reference: Floats, n: int) -> tuple[Any, ...]:
        """n trajectories under policies [H, S, A]: states int64 [n, H+1] and actions int64 [n, H].

        Where the rewards of the class are unknown: the rewards observed at each step, float64 [n, H], third.
        """
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

    Parameters
    ----------
    game : Game
    seed : int
    reward_noise : float >= 0 or RewardNoise, optional
        Rewards are observed, under Gaussian noise of this standard deviation. By default as the game's class has it:
        not at all where rewards are known.
    """

    def __init__(self, game: Game, seed: int = 0, *, reward_noise: float | RewardNoise | None = None) -> None:
        self.game = require_game("game", game)
        self.seed = whole("seed", seed, 0)
        self.noise = noise_of(game, reward_noise)
        self.trajectories = 0
        self._reference: Floats | None = None
        self._conditional = (np.empty(0), np.empty(0))

    def sample(self, deviation: ArrayLike, reference: ArrayLike, n: int) -> Sample:
        """n trajectories of `deviation` [H, S, A] in the game conditioned on `reference` [H, S, A].

        States [n, H+1], actions [n, H], and the rewards observed [n, H], if there is a noise under which they are.
        """
        game, count = self.game, whole("n", n, 1)
        dev = policy_array("deviation", deviation, game.legal, game.horizon)
        aux, reward = self._condition(policy_array("reference", reference, game.legal, game.horizon))
        H = game.horizon
        uniforms, normals = np.empty((count, 2 * H + 1)), np.empty((count, H))
        for i in range(count):
            key = np.random.SeedSequence(self.seed, spawn_key=(*STREAM, self.trajectories + i))
            stream = np.random.default_rng(key)
            uniforms[i] = stream.random(2 * H + 1)
            if self.noise is not None:
                normals[i] = stream.standard_normal(H)
        self.trajectories += count
        states, actions = np.empty((count, H + 1), dtype=np.int64), np.empty((count, H), dtype=np.int64)
        models = game.models
        theta = models.thetas[game.index]
        status = walk_kernels.walk(models.fill, models.common, theta, aux, dev, uniforms, states, actions)
        models.refuse_status(status, "sampling")
        if self.noise is None:
            return states, actions
        return states, actions, self.noise.observe(rewards_along(reward, states, actions), normals)

    def state(self) -> dict[str, int]:
        """What decides the trajectories to come: the seed, and how many have been drawn."""
        return {"seed": self.seed, "trajectories": self.trajectories}

    def restore(self, state: dict[str, int]) -> None:
        """Go on from where `state` was taken."""
        seed, trajectories = whole("seed", state["seed"], 0), whole("trajectories", state["trajectories"], 0)
        self.seed, self.trajectories = seed, trajectories

    def _condition(self, reference: Floats) -> tuple[Floats, Floats]:
        """`aux` of the conditional model, and its rewards if they are observed.

        Kept until another reference policy is asked for.
        """
        if self._reference is None or not np.array_equal(reference, self._reference):
            found = condition_one(self.game, reference)
            self._conditional = found.aux[0], np.empty(0) if self.noise is None else found.reward[0]
            self._reference = reference
        return self._conditional


def noise_of(game: Game, given: float | RewardNoise | None) -> RewardNoise | None:
    """The noise under which an oracle's rewards are observed: the one that is given, or that of the game's class."""
    return game.reward_noise if given is None else reward_noise("reward_noise", given)


def rewards_along(reward: Floats, states: Integers, actions: Integers) -> Floats:
    """Rewards [n, H] along trajectories, from the table [H, S, A] of a conditional model."""
    along: Floats = reward[np.arange(actions.shape[1]), states[:, :-1], actions]
    return along


def sample_parts(what: str, answer: Any, rewarded: bool) -> tuple[Any, ...]:
    """What a simulator or an oracle returns: (states, actions), and rewards where these are wanted; else TypeError."""
    if not isinstance(answer, tuple) or len(answer) != 2 + rewarded:
        got = f"a tuple of {len(answer)}" if isinstance(answer, tuple) else type(answer).__name__
        hint = ""
        if isinstance(answer, tuple) and len(answer) == 3 - rewarded:
            hint = ": the rewards of this class are " + ("unknown, and must be observed" if rewarded else "known")
        parts = "(states, actions, rewards)" if rewarded else "(states, actions)"
        raise TypeError(f"{what} must return {parts}, got {got}{hint}")
    return answer


def checked_sample(
    oracle: Oracle, deviation: Floats, reference: Floats, n: int, initial: Floats, legal: NDArray[np.bool_],
    rewarded: bool = False,
) -> Sample:  # fmt: skip
    """Trajectories from an oracle, refused when they are not trajectories of the game; `rewarded`: with rewards."""
    H, (S, A) = len(deviation), legal.shape
    answer = sample_parts("oracle.sample", oracle.sample(deviation.copy(), reference.copy(), n), rewarded)
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
    if rewarded:
        return states, actions, float_array("oracle.sample: rewards", answer[2], (n, H))
    return states, actions
