"""Finite classes of candidate models: games alike in all but transition (Huang, He, Krause 2024, Section 2).

A class is one frozen record: where rows and rewards come from (`fastmfg.games.sources`), what all models share, and the
parameters of each. A game is a row of it, a class and an index (`fastmfg.games.game`).

Rewards are known unless the class says otherwise (Appendix C): then they may differ from model to model, trajectories
come with observed rewards, and distances and likelihoods count them (`fastmfg.games.reward_noise`).
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fastmfg.games import constructors
from fastmfg.games.agreement import common_noise, refuse_unlike_games
from fastmfg.games.checks import Floats, Integers, frozen, initial_density, legal_mask, policy_array, policy_of
from fastmfg.games.functions import FunctionSource
from fastmfg.games.grid import Grid
from fastmfg.games.layout import Layout
from fastmfg.games.reward_noise import RewardNoise, reward_noise
from fastmfg.games.sources import NO_TABLE, Conditionals, PopulationSource, Source, require_room
from fastmfg.games.tables import move_table, successor_table
from fastmfg.games.transitions import transitions_of
from fastmfg.kernels import table
from fastmfg.kernels.forms import NO_ROWS, Pairs, Transitions
from fastmfg.kernels.jit import Common, Filler
from fastmfg.memory import require_numbers

if TYPE_CHECKING:
    from fastmfg.games.game import Game


@dataclass(frozen=True, init=False, eq=False, repr=False)
class ModelClass:
    """n games alike in all but transition. ``models[i]`` is a `Game`; ``models[[2, 5]]`` and slices are classes.

    Parameters
    ----------
    games : sequence of Game
        At least one. Start distribution, legal actions, horizon and population must agree, and so must rewards
        (compared at the start distribution and at the uniform one) where they are known.
    reward_noise : float >= 0 or RewardNoise, optional
        Rewards are unknown, and observed under Gaussian noise of this standard deviation (0: as they are). By default
        they are known, unless all games come from classes in which they are not.

    See Also
    --------
    ModelClass.from_tables, ModelClass.from_filler, LinearClass : classes in compiled form.
    ModelClass.with_unknown_rewards : any class, its rewards unknown.
    """

    game_type: ClassVar[type[Any]]
    """Of the games of a class: `fastmfg.games.game`, which builds on this module, sets it."""

    source: Source
    """Where rows and rewards come from."""
    common: Common
    """What all models share, as kernels read it."""
    thetas: Floats
    """[M, *] parameters of each model."""
    horizon: int
    """H."""
    aux_size: int
    """Numbers that `prepare` leaves for `fill` at a step."""
    joint: bool
    """Whether functions see the joint [S, A] rather than the state density [S]."""
    layout: Layout | None = None
    """Where the types of agents lie, when there are several: gaps are then those of the game with types."""
    reward_noise: RewardNoise | None = None
    """How rewards are observed, where they are unknown; None: they are known."""
    grid: Grid | None = None
    """Where states lie, when they are cells of a grid."""
    equal_rows: NDArray[np.bool_] | None = None
    """[H, S], declared: where the rows of all legal actions are alike in every model, whatever the population."""

    def __init__(self, games: Sequence[Game], *, reward_noise: float | RewardNoise | None = None) -> None:
        if isinstance(games, self.game_type) or not hasattr(games, "__iter__"):
            raise TypeError(f"games must be a sequence of Game, got {type(games).__name__}")
        games = list(games)
        self._refuse_others(games)
        noise = common_noise(games, reward_noise)
        refuse_unlike_games(games, same_rewards=noise is None)
        first = games[0].models
        if all(game.models is first for game in games):
            self._take(first.subset(np.array([game.index for game in games], dtype=np.int64)), reward_noise=noise)
            return
        rewards = tuple(game.reward_function for game in games)
        self._take(
            first,
            source=FunctionSource(
                tuple(game.transition_function for game in games), rewards[0] if noise is None else rewards
            ),
            common=Common(np.empty(0), first.common.initial, first.common.legal),
            thetas=np.empty((len(games), 0)),
            aux_size=first.n_states**2 * first.n_actions,
            reward_noise=noise,
            equal_rows=None,
        )

    def _refuse_others(self, games: list[Any]) -> None:
        if not games:
            raise ValueError("games is empty: a class needs at least one model")
        for i, game in enumerate(games):
            if not isinstance(game, self.game_type):
                raise TypeError(f"games[{i}] must be a {self.game_type.__name__}, got {type(game).__name__}")

    def _take(self, models: ModelClass, **changes: Any) -> None:
        """Become another class, but for some fields: for constructors."""
        names = {field.name for field in fields(self)}
        if not changes.keys() <= names:
            raise TypeError(f"a class has no field {', '.join(sorted(changes.keys() - names))}")
        vars(self).update({name: getattr(models, name) for name in names if hasattr(models, name)} | changes)

    @classmethod
    def of(cls, models: ModelClass, **changes: Any) -> Self:
        """The models of another class as a class of this kind, but for some fields."""
        made = cls.__new__(cls)
        made._take(models, **changes)
        return made

    def replace(self, **changes: Any) -> Self:
        """The class with other values of some fields, which are taken as they are."""
        return self.of(self, **changes)

    @staticmethod
    def from_source(
        source: Source,
        *,
        initial: Any,
        n_actions: int,
        horizon: int,
        legal: Any = None,
        shared: Floats | None = None,
        thetas: Floats | None = None,
        aux_size: int = 0,
        joint: bool = False,
        successors: Any = None,
        moves: Any = None,
        layout: Layout | None = None,
        grid: Grid | None = None,
        equal_rows: NDArray[np.bool_] | None = None,
    ) -> ModelClass:
        """A class whose functions are at hand; what they share is checked.

        Parameters
        ----------
        initial, legal, successors, moves
            As `from_tables` has them.
        shared, thetas : arrays [*], [M, *]
            By default none, and one model without parameters.
        aux_size : int
            Numbers that `prepare` leaves for `fill`; S A S, the table of a step, where that is what `fill` reads.
        """
        density = initial_density(initial)
        S = density.size
        models = ModelClass.__new__(ModelClass)
        vars(models).update(
            source=source,
            common=Common(
                np.empty(0) if shared is None else shared,
                density,
                legal_mask(legal, S, n_actions),
                successor_table(successors, S, n_actions, factored=moves is not None),
                move_table(moves, S, n_actions),
            ),
            thetas=np.empty((1, 0)) if thetas is None else thetas,
            horizon=horizon,
            aux_size=S * n_actions * S if source.fill is table.fill_from_aux else aux_size,
            joint=joint,
            layout=layout,
            grid=grid,
            equal_rows=equal_rows,
        )
        source.check(models)
        return models

    from_tables = classmethod(constructors.from_tables)
    from_filler = classmethod(constructors.from_filler)

    # What all models share

    @property
    def n_states(self) -> int:
        """S."""
        return self.common.initial.size

    @property
    def n_actions(self) -> int:
        """A."""
        return int(self.common.legal.shape[1])

    @property
    def initial(self) -> Floats:
        """Start distribution mu1 [S], read-only."""
        return frozen(self.common.initial)

    @property
    def legal(self) -> NDArray[np.bool_]:
        """Legal actions [S, A], read-only."""
        return frozen(self.common.legal)

    @property
    def uniform(self) -> Floats:
        """One step [S, A] of the policy that plays every legal action alike."""
        legal = self.common.legal
        step: Floats = legal / legal.sum(axis=1, keepdims=True)
        return step

    @property
    def row_length(self) -> int:
        """K, entries of a row: S when dense."""
        return self.common.successors.shape[2] or self.n_states

    @property
    def row_entries(self) -> int:
        """H * S * A * K: numbers in all rows of one model, K = S when dense."""
        return self.horizon * self.n_states * self.n_actions * self.row_length

    def with_unknown_rewards(self, noise: float | RewardNoise) -> Self:
        """Make rewards unknown: samples then hold observed rewards, and these count as evidence.

        Rewards differ where the class is one of games with rewards of their own (`ModelClass`), where a compiled reward
        reads ``theta``, and, whatever the reward, where it depends on the population: each model has its own density.

        Parameters
        ----------
        noise : float >= 0 or RewardNoise
            Standard deviation of the noise under which rewards are observed; 0: none.
        """
        return self.replace(reward_noise=reward_noise("noise", noise))

    # The models

    def __len__(self) -> int:
        return len(self.thetas)

    def __getitem__(self, index: Any) -> Any:
        """A `Game` for a whole number (negative ones count from the end), a class for a slice or a list of them."""
        if isinstance(index, slice):
            return self.subset(member_indices("index", self.members[index], len(self)))
        if isinstance(index, (list, np.ndarray)):
            return self.subset(member_indices("index", index, len(self)))
        try:
            i = operator.index(index)
        except TypeError:
            raise TypeError(f"models are indexed by whole numbers, slices and lists of them, got {index!r}") from None
        if not -len(self) <= i < len(self):
            raise IndexError(f"model {i} is out of range for a class of {len(self)} models")
        return self.game_type.of(self, i % len(self))

    def __iter__(self) -> Iterator[Game]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__}: {len(self)} models, {self.n_states} states, {self.n_actions} actions, "
            f"horizon {self.horizon}>"
        )

    @property
    def members(self) -> Integers:
        """Indices of all models, 0..M-1."""
        return np.arange(len(self), dtype=np.int64)

    def subset(self, members: Integers) -> Self:
        """The class of these models."""
        return self.replace(source=self.source.subset(members), thetas=self.thetas[members])

    def name_of(self, member: int) -> str:
        """How errors name a model."""
        return f"model {member}" if len(self) > 1 else "the game"

    # Policies and populations

    def policy(self, name: str, policy: Any) -> Floats:
        """A fresh copy of a policy [H, S, A], checked; with several types of agents also from a list of theirs.

        A result that has a policy stands for it: a `Solution`, say.
        """
        if self.layout is not None:
            policy = self.layout.lifted_policy(name, policy_of(policy), self.horizon)
        return policy_array(name, policy, self.common.legal, self.horizon)

    def population_view(self, density: Floats, policy: Floats) -> Floats:
        """What functions see, flat and writable: the density [S], or the joint [S*A]."""
        return (density[:, None] * policy).ravel() if self.joint else density.copy()

    def population_views(self, density: Floats, policy: Floats) -> Floats:
        """What functions see at each step [H, *], flat, of a density [H, S] and a policy [H, S, A]."""
        return np.stack([self.population_view(mu, pi) for mu, pi in zip(density, policy, strict=True)])

    def population_at_start(self) -> Floats:
        """What functions see at the first step of the uniform policy, flat."""
        return self.population_view(self.common.initial, self.uniform)

    def shaped(self, population: Floats) -> Floats:
        """A flat population as users' functions see it: [S], or [S, A]."""
        return population.reshape(self.n_states, self.n_actions) if self.joint else population

    # Rows and rewards

    @property
    def prepare(self) -> Filler:
        """What the population decides for the rows of a step."""
        return self.source.prepare

    @property
    def fill(self) -> Filler:
        """What writes rows."""
        return self.source.fill

    @property
    def parallel(self) -> bool:
        """Whether models may be worked on in several threads at once (compiled code only)."""
        return self.source.parallel

    @cached_property
    def compiled_rows(self) -> Transitions:
        """What passes through many models read."""
        return transitions_of(self.prepare, self.fill, self.common)

    @cached_property
    def memo(self) -> dict[str, Any]:
        """What other modules make of the class and keep as long as it, by name; not part of the record."""
        return {}

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: the record; all else is made anew."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def pairs(self, members: Integers, policies: Floats, policy_of: Integers, rows: Floats = NO_ROWS) -> Pairs:
        """(model, policy) pairs as kernels read them."""
        return Pairs(self.thetas, members, policies, policy_of, rows)

    def condition(
        self, members: Integers, policies: Floats, policy_of: Integers, rows: Floats = NO_ROWS
    ) -> Conditionals:
        """Freeze the population of each pair at its policy's density in its model."""
        require_room(self, members.size)
        return self.source.condition(self, members, policies, policy_of, rows)

    def densities(
        self, members: Integers, policies: Floats, policy_of: Integers, rows: Floats = NO_ROWS
    ) -> tuple[Floats, Floats]:
        """Density [n, H, S] and aux [n, H, *] of pairs."""
        return self.source.densities(self, members, policies, policy_of, rows)

    def densities_under(self, members: Integers, policy: Floats) -> tuple[Floats, Floats]:
        """Density [n, H, S] and aux [n, H, *] of members under one policy, for those who read all rows afterwards."""
        return self.source.densities_under(self, members, policy)

    def rewards(self, members: Integers, density: Floats, policies: Floats, policy_of: Integers) -> Floats:
        """Rewards [n, H, S, A] of pairs under their densities [n, H, S]."""
        return self.source.rewards(self, members, density, policies, policy_of)

    def aux_at(self, member: int, h: int, population: Floats, where: str) -> Floats:
        """What `prepare` leaves for `fill` [*] at a population (flat); errors say where."""
        status, aux = self._stepwise("transition").aux_at(self, member, h, population)
        if status != 0:
            raise ValueError(f"prepare returned {self.status_text(status)} for {where}")
        return aux

    def aux_under(self, member: int, populations: Floats, where: str) -> Floats:
        """`aux` [H, *] of a model under populations [H, *], those of its own density or others."""
        whose = f"{self.name_of(member)} under a population {where}"
        return np.stack([self.aux_at(member, h, seen, whose) for h, seen in enumerate(populations)])

    def transition_at(self, member: int, h: int, population: Floats) -> Floats:
        """One step's table [S, A, S] at a population (flat), which is not checked."""
        return self._stepwise("transition").transition_at(self, member, h, population)

    def reward_at(self, member: int, h: int, population: Floats) -> Floats:
        """One step's rewards [S, A] at a population (flat), which is not checked."""
        return self._stepwise("reward").reward_at(self, member, h, population)

    def transitions_along(self, member: int, density: Floats, policy: Floats) -> Floats:
        """Tables [H, S, A, S] of a model along a density [H, S] under a policy [H, S, A]."""
        H, S, A = policy.shape
        require_numbers("the transition as a table [H, S, A, S]", (H + 1) * S * A * S, NO_TABLE)
        rows = np.empty((H, S, A, S))
        for h in range(H):
            rows[h] = self.transition_at(member, h, self.population_view(density[h], policy[h]))
        return rows

    def _stepwise(self, asked: str) -> PopulationSource:
        if not isinstance(self.source, PopulationSource):
            raise TypeError(f"the tables of a policy-aware model depend on the whole policy: ask {asked}(h, policy)")
        return self.source

    def refuse_status(self, status: int, doing: str) -> None:
        """Raise ValueError when a kernel met a nonzero status."""
        if status != 0:
            raise ValueError(f"fill returned {self.status_text(status)} while {doing}")

    def status_text(self, status: int) -> str:
        """A status, and what it means where that is known."""
        meaning = self.source.statuses.get(status)
        return f"status {status}" + ("" if meaning is None else f" ({meaning})")


def require_class(name: str, value: Any) -> ModelClass:
    """The value, if it is a class of models."""
    if not isinstance(value, ModelClass):
        named = f" {value!r}: build one by name with fastmfg.zoo.classes.build" if isinstance(value, str) else ""
        raise TypeError(f"{name} must be a ModelClass, got {type(value).__name__}{named}")
    return value


def member_indices(name: str, indices: Any, n: int) -> Integers:
    """Distinct indices of models, checked; in the order given."""
    array = np.atleast_1d(np.asarray(indices))
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be a non-empty list of model indices, got {indices!r}")
    wrong = (array < 0) | (array >= n)
    if wrong.any():
        i = int(np.argmax(wrong))
        raise IndexError(f"{name}[{i}] is {array[i]}: model indices run from 0 to {n - 1}")
    if np.unique(array).size != array.size:
        raise ValueError(f"{name} holds a model twice: {indices!r}")
    return array.astype(np.int64)
