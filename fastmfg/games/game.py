"""One known mean-field game ``(mu1, S, A, H, P, r)`` (Huang, He, Krause 2024, Section 2)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmfg.games.checks import Floats, float_array, initial_density, refuse_non_distributions, whole
from fastmfg.games.family import DENSITY_TOLERANCE, CallableFamily, Family, StepFunction, called, population_kind
from fastmfg.games.grid import Grid
from fastmfg.games.reward_noise import RewardNoise
from fastmfg.memory import require_numbers


class Game:
    """A finite-horizon mean-field game.

    Parameters
    ----------
    initial : [S]
        Start distribution mu1.
    transition : callable
        ``transition(h, population) -> [S, A, S]``: ``P_h(s' | s, a, population)``, asked at h = 0..H-1.
    reward : callable
        ``reward(h, population) -> [S, A]``, finite numbers of any scale. A terminal reward g of the state is the
        reward of a last step whose actions do nothing else: ``reward(H-1, mu)[s, a] = g(s, mu)``.
    horizon : int
        Steps H, at least 1.
    legal : [S, A] boolean, optional
        Legal actions; all by default. Every state needs one.
    population : "state" or "joint"
        Whether functions see the state density [S] or the joint state-action density [S, A].

    Raises
    ------
    ValueError, TypeError
        Wrong shapes or dtypes; NaN or infinite numbers; rows that are not distributions (within 1e-9).

    Notes
    -----
    Arrays are copied. Every answer of the functions is checked at every call; they are called with a copy of the
    population, never from two threads at once. For speed give a class its compiled form:
    `ModelClass.from_filler`, `ModelClass.from_tables`, `LinearClass`.
    """

    def __init__(
        self,
        initial: ArrayLike,
        transition: StepFunction,
        reward: StepFunction,
        *,
        horizon: int,
        legal: ArrayLike | None = None,
        population: str = "state",
    ) -> None:
        for name, function in (("transition", transition), ("reward", reward)):
            if not callable(function):
                raise TypeError(f"{name} must be a function (h, population) -> array, got {type(function).__name__}")
        density = initial_density(initial)
        steps = whole("horizon", horizon, 1)
        joint = population_kind(population)
        n_actions = _count_actions(transition, reward, density, legal, joint)
        family = CallableFamily(
            [transition], reward, initial=density, legal=legal, n_actions=n_actions, horizon=steps, joint=joint
        )
        self._family: Family = family
        self._member = 0
        uniform = family.common.legal / family.common.legal.sum(axis=1, keepdims=True)
        start = family.population(density, uniform)
        for h in sorted({0, steps - 1}):  # a fault is met at construction; other steps are checked when they are asked
            family.transition_at(0, h, start)
            family.reward_at(0, h, start)

    @classmethod
    def _of(cls, family: Family, member: int) -> Game:
        game = cls.__new__(cls)
        game._family, game._member = family, member
        return game

    @property
    def n_states(self) -> int:
        """S."""
        return self._family.n_states

    @property
    def n_actions(self) -> int:
        """A."""
        return self._family.n_actions

    @property
    def horizon(self) -> int:
        """H."""
        return self._family.horizon

    @property
    def initial(self) -> Floats:
        """Start distribution mu1 [S], read-only."""
        return self._family.initial

    @property
    def legal(self) -> NDArray[np.bool_]:
        """Legal actions [S, A], read-only."""
        return self._family.legal

    @property
    def grid(self) -> Grid | None:
        """Where states lie, when they are cells of a grid; games of a class have that of the class."""
        return self._family.grid

    @grid.setter
    def grid(self, grid: Grid | None) -> None:
        self._family = self._family.on_grid(grid)

    @property
    def population(self) -> str:
        """ "state" or "joint"."""
        return "joint" if self._family.joint else "state"

    @property
    def reward_noise(self) -> RewardNoise | None:
        """How its rewards are observed, if it is of a class whose rewards are unknown."""
        return self._family.noise

    def transition(self, h: int, population: ArrayLike) -> Floats:
        """``P_h(. | s, a, population)`` [S, A, S] at step h = 0..H-1."""
        return self._family.transition_at(self._member, self._step(h), self._seen(population))

    def reward(self, h: int, population: ArrayLike) -> Floats:
        """``r_h(s, a, population)`` [S, A] at step h = 0..H-1."""
        return self._family.reward_at(self._member, self._step(h), self._seen(population))

    def uniform_policy(self) -> Floats:
        """The policy [H, S, A] that plays every legal action alike."""
        legal = self._family.common.legal
        require_numbers("a policy [H, S, A]", self.horizon * legal.size, "take a smaller game or horizon")
        return np.tile(legal / legal.sum(axis=1, keepdims=True), (self.horizon, 1, 1))

    def _rows(self, h: int, population: Floats) -> Floats:
        """`transition` without its checks of the population: a density pass carries rounding along."""
        return self._family.transition_at(self._member, h, population.ravel())

    def _rewards(self, h: int, population: Floats) -> Floats:
        return self._family.reward_at(self._member, h, population.ravel())

    def _step(self, h: int) -> int:
        step = whole("h", h, 0)
        if step >= self.horizon:
            raise IndexError(f"h must be less than the horizon {self.horizon}, got {h}")
        return step

    def _seen(self, population: ArrayLike) -> Floats:
        shape = (self.n_states, self.n_actions) if self._family.joint else (self.n_states,)
        array = float_array("population", population, shape).ravel()
        refuse_non_distributions("population", array, DENSITY_TOLERANCE)
        return array

    def __repr__(self) -> str:
        return f"<Game: {self.n_states} states, {self.n_actions} actions, horizon {self.horizon}>"


MOST_COLUMNS = 128
"""Actions that are tried for at most."""


def _columns(function: StepFunction, population: Floats) -> int | None:
    """Actions in a function's answer to a joint population, or None when it fails."""
    try:
        return int(np.shape(function(0, population))[1])
    except Exception:  # whatever a user's function raises when the number of columns is wrong
        return None


def require_game(name: str, value: Any) -> Game:
    """The value, if it is a game."""
    if not isinstance(value, Game):
        raise TypeError(f"{name} must be a Game, got {type(value).__name__}")
    return value


def _count_actions(transition: StepFunction, reward: StepFunction, density: Floats, legal: Any, joint: bool) -> int:
    """A: from the mask if there is one, else from the shape of the first table.

    A joint population has A columns, which is what we ask for: functions are tried with one column, which broadcasts
    against arrays [S, A], then with more, up to a limit; an answer that merely follows the number of columns it was
    given tells nothing.
    """
    if legal is not None:
        mask = np.asarray(legal)
        if mask.ndim != 2 or mask.shape[1] == 0:
            raise ValueError(f"legal must have shape [S, A] with at least one action, got {list(mask.shape)}")
        return int(mask.shape[1])
    if not joint:
        shape = (density.size, None, density.size)
        return int(called("transition(0, population)", transition, 0, density, shape).shape[1])
    for function in (transition, reward):
        answers = [_columns(function, np.tile(density[:, None] / n, (1, n))) for n in range(1, MOST_COLUMNS + 2)]
        for n, answer in enumerate(answers[:-1], start=1):
            follows = answers[n] == n + 1
            if answer is not None and not follows and n in {1, answer}:
                return answer
    raise ValueError('legal [S, A] is needed here: with population="joint" it says how many actions there are')
