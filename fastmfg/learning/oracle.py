"""What the learner may sample: trajectories of one deviating agent in ``M*|pi`` (Huang, He, Krause 2024, Def. 2.1).

For classes whose rewards are unknown trajectories come with observed rewards (`fastmfg.games.reward_noise`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmfg.games.checks import Floats, Integers, first_index, float_array, index_array, whole
from fastmfg.games.game import Game, require_game
from fastmfg.games.layout import Layout
from fastmfg.games.reward_noise import RewardNoise, reward_noise
from fastmfg.kernels import walk as walk_kernels
from fastmfg.planning.condition import condition_one
from fastmfg.streams import Stream

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
    types_in_turn : bool
        In games with several types of agents trajectory number i is of type i mod W, which spreads trajectories evenly.
        By default its type is random, as the start distribution has it. Evidence is valid either way: likelihoods are
        those of transitions, wherever they begin.
    """

    def __init__(
        self, game: Game, seed: int = 0, *, reward_noise: float | RewardNoise | None = None, types_in_turn: bool = False
    ) -> None:
        self.game = require_game("game", game)
        self.seed = whole("seed", seed, 0)
        self.noise = noise_of(game, reward_noise)
        self.trajectories = 0
        self._turns: Turns | None = None
        if types_in_turn:
            layout = game.models.layout
            if layout is None:
                raise TypeError(f"types_in_turn is for a MultiTypeGame, got {type(game).__name__}: agents are alike")
            self._turns, self._ends = Turns(layout), start_ranges(layout, game.models.common.initial)
        self._reference: Floats | None = None
        self._conditional = (np.empty(0), np.empty(0))

    def sample(self, deviation: ArrayLike, reference: ArrayLike, n: int) -> Sample:
        """n trajectories of `deviation` [H, S, A] in the game conditioned on `reference` [H, S, A].

        States [n, H+1], actions [n, H], and the rewards observed [n, H], if there is a noise under which they are.
        """
        models, count, H = self.game.models, whole("n", n, 1), self.game.horizon
        dev = models.policy("deviation", deviation)
        aux, reward = self._condition(models.policy("reference", reference))
        purpose = Stream.ORACLE if self._turns is None else Stream.ORACLE_OF_TYPES
        uniforms, normals = np.empty((count, 2 * H + 1)), np.empty((count, H))
        for i in range(count):
            stream = purpose.generator(self.seed, self.trajectories + i)
            uniforms[i] = stream.random(2 * H + 1)
            if self.noise is not None:
                normals[i] = stream.standard_normal(H)
        if self._turns is not None:
            types = self._turns.types(self.trajectories, count)
            uniforms[:, 0] = within(self._ends, types, uniforms[:, 0])
        self.trajectories += count
        states, actions = np.empty((count, H + 1), dtype=np.int64), np.empty((count, H), dtype=np.int64)
        theta = models.thetas[self.game.index]
        status = walk_kernels.walk(models.fill, models.common, theta, aux, dev, uniforms, states, actions)
        models.refuse_status(status, "sampling")
        if self.noise is None:
            return states, actions
        return states, actions, self.noise.observe(rewards_along(reward, states, actions), normals)

    @property
    def trajectories_by_type(self) -> Integers:
        """How many were drawn of each type [W]; ValueError where types do not take turns."""
        if self._turns is None:
            raise ValueError("types do not take turns, so none are counted: make the oracle with types_in_turn=True")
        return self._turns.drawn(self.trajectories)

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


@dataclass(frozen=True)
class Turns:
    """Types of agents in turn: trajectory number i, counted from the first ever drawn, is of type i mod W."""

    layout: Layout

    def types(self, first: int, n: int) -> Integers:
        """Types [n] of n trajectories, the first of which has this number."""
        return (first + np.arange(n)) % self.layout.n_types

    def drawn(self, trajectories: int) -> Integers:
        """How many of so many trajectories are of each type, [W]."""
        W = self.layout.n_types
        return trajectories // W + (np.arange(W) < trajectories % W)


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
