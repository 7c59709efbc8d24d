"""One known mean-field game ``(mu1, S, A, H, P, r)`` (Huang, He, Krause 2024, Section 2): a class and an index."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmfg.games.checks import (
    DENSITY_TOLERANCE,
    Floats,
    Integers,
    float_array,
    initial_density,
    nearest_name,
    population_kind,
    refuse_non_distributions,
    whole,
)
from fastmfg.games.functions import FunctionSource, StepFunction, called
from fastmfg.games.grid import Grid
from fastmfg.games.layout import Layout
from fastmfg.games.model_class import ModelClass
from fastmfg.games.reward_noise import RewardNoise
from fastmfg.games.sources import Source
from fastmfg.memory import require_numbers


class OfClass:
    """What is made of a class and is like it: a game, a bridge model."""

    models: ModelClass
    """The class."""

    @property
    def n_states(self) -> int:
        """S."""
        return self.models.n_states

    @property
    def n_actions(self) -> int:
        """A."""
        return self.models.n_actions

    @property
    def horizon(self) -> int:
        """H."""
        return self.models.horizon

    @property
    def initial(self) -> Floats:
        """Start distribution mu1 [S], read-only."""
        return self.models.initial

    @property
    def legal(self) -> NDArray[np.bool_]:
        """Legal actions [S, A], read-only."""
        return self.models.legal

    @property
    def layout(self) -> Layout | None:
        """Where the types of agents lie, when there are several."""
        return self.models.layout


class Game(OfClass):
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
    grid : Grid, optional
        Where states lie, when they are cells of a grid.

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

    index: int
    """Which model of its class the game is."""

    def __init__(
        self,
        initial: ArrayLike,
        transition: StepFunction,
        reward: StepFunction,
        *,
        horizon: int,
        legal: ArrayLike | None = None,
        population: str = "state",
        grid: Grid | None = None,
    ) -> None:
        for name, function in (("transition", transition), ("reward", reward)):
            if not callable(function):
                raise TypeError(f"{name} must be a function (h, population) -> array, got {type(function).__name__}")
        density = initial_density(initial)
        steps = whole("horizon", horizon, 1)
        joint = population_kind(population)
        n_actions = _count_actions(transition, reward, density, legal, joint)
        self.index, self.models = 0, ModelClass.from_source(
            FunctionSource((transition,), reward), initial=density, legal=legal, n_actions=n_actions, horizon=steps,
            joint=joint, grid=grid,
        )  # fmt: skip
        self._ask_once()

    @classmethod
    def of(cls, models: ModelClass, index: int) -> Self:
        """The game of a model of a class."""
        game = cls.__new__(cls)
        game.models, game.index = models, index
        return game

    @classmethod
    def from_source(cls, source: Source, **record: Any) -> Self:
        """The game of a class of one (`ModelClass.from_source`)."""
        return cls.of(ModelClass.from_source(source, **record), 0)

    def _ask_once(self) -> None:
        """Meet faults of functions at construction; steps in between are checked when they are asked."""
        start = self.models.population_at_start()
        for h in sorted({0, self.horizon - 1}):
            self.models.transition_at(0, h, start)
            self.models.reward_at(0, h, start)

    @property
    def grid(self) -> Grid | None:
        """Where states lie, when they are cells of a grid; games of a class have that of the class."""
        return self.models.grid

    @property
    def population(self) -> str:
        """ "state" or "joint"."""
        return "joint" if self.models.joint else "state"

    @property
    def reward_noise(self) -> RewardNoise | None:
        """How its rewards are observed, if it is of a class whose rewards are unknown."""
        return self.models.reward_noise

    def transition(self, h: int, population: ArrayLike) -> Floats:
        """``P_h(. | s, a, population)`` [S, A, S] at step h = 0..H-1."""
        return self.models.transition_at(self.index, self._step(h), self._seen(population))

    def reward(self, h: int, population: ArrayLike) -> Floats:
        """``r_h(s, a, population)`` [S, A] at step h = 0..H-1."""
        return self.models.reward_at(self.index, self._step(h), self._seen(population))

    def uniform_policy(self) -> Floats:
        """The policy [H, S, A] that plays every legal action alike."""
        numbers = self.horizon * self.n_states * self.n_actions
        require_numbers("a policy [H, S, A]", numbers, "take a smaller game or horizon")
        return np.tile(self.models.uniform, (self.horizon, 1, 1))

    def batch(self, policy: Floats) -> tuple[Integers, Floats, Integers]:
        """The batch of one pair, this game and a policy [H, S, A]: members, policies and indices of policies.

        As the functions of a class take them.
        """
        return np.array([self.index], dtype=np.int64), policy[None], np.zeros(1, dtype=np.int64)

    @property
    def transition_function(self) -> StepFunction:
        """`transition` without checks of h and the population; a user's own function where there is one."""
        source = self.models.source
        return source.transitions[self.index] if isinstance(source, FunctionSource) else self._transition_at

    @property
    def reward_function(self) -> StepFunction:
        """`reward` without checks of h and the population; a user's own function where there is one."""
        source = self.models.source
        return source.reward_of(self.index) if isinstance(source, FunctionSource) else self._reward_at

    def _transition_at(self, h: int, population: Floats) -> Floats:
        return self.models.transition_at(self.index, h, population.ravel())

    def _reward_at(self, h: int, population: Floats) -> Floats:
        return self.models.reward_at(self.index, h, population.ravel())

    def _step(self, h: int) -> int:
        step = whole("h", h, 0)
        if step >= self.horizon:
            raise IndexError(f"h must be less than the horizon {self.horizon}, got {h}")
        return step

    def _seen(self, population: ArrayLike) -> Floats:
        shape = (self.n_states, self.n_actions) if self.models.joint else (self.n_states,)
        array = float_array("population", population, shape).ravel()
        refuse_non_distributions("population", array, DENSITY_TOLERANCE)
        return array

    def __repr__(self) -> str:
        return f"<Game: {self.n_states} states, {self.n_actions} actions, horizon {self.horizon}>"


ModelClass.game_type = Game

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
        if isinstance(value, str):
            raise named_game(name, value)
        raise TypeError(f"{name} must be a Game, got {type(value).__name__}")
    return value


def named_game(name: str, value: str) -> TypeError:
    """The error of a game that is given by its name."""
    from fastmfg.games.zoo import GAMES  # noqa: PLC0415 - which imports this module

    near = nearest_name(value.strip().lower().replace("-", "_").replace(" ", "_"), GAMES)
    made = f"make it with fastmfg.zoo.{near}()" if near else "fastmfg.zoo.GAMES holds the games by name"
    return TypeError(f"{name} must be a Game, got the string {value!r}: {made}")


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
