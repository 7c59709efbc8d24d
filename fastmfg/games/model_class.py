"""A finite class of candidate models: games alike in all but transition (Huang, He, Krause 2024, Section 2).

Rewards are known unless the class says otherwise (Appendix C): then they may differ from model to model, trajectories
come with observed rewards, and distances and likelihoods count them (`fastmfg.games.reward_noise`).
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmfg.games.checks import Floats, Integers, float_array, initial_density, refuse_non_distributions, whole
from fastmfg.games.family import (
    CallableFamily,
    CompiledFamily,
    Family,
    StepFunction,
    as_reward,
    filler_family,
    population_kind,
)
from fastmfg.games.game import Game
from fastmfg.games.reward_noise import RewardNoise, reward_noise
from fastmfg.kernels import table


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

    def __init__(self, games: Sequence[Game], *, reward_noise: float | RewardNoise | None = None) -> None:
        if isinstance(games, Game) or not hasattr(games, "__iter__"):
            raise TypeError(f"games must be a sequence of Game, got {type(games).__name__}")
        games = list(games)
        if not games:
            raise ValueError("games is empty: a class needs at least one model")
        for i, game in enumerate(games):
            if not isinstance(game, Game):
                raise TypeError(f"games[{i}] must be a Game, got {type(game).__name__}")
        noise = _noise_of(games, reward_noise)
        _refuse_unlike_games(games, same_rewards=noise is None)
        family = games[0]._family
        if all(game._family is family for game in games):
            members = np.array([game._member for game in games], dtype=np.int64)
            self._family = family.subset(members).observed(noise)
            return
        rewards = tuple(_reward_of(game) for game in games)
        self._family = CallableFamily(
            [_transition_of(game) for game in games],
            rewards[0] if noise is None else rewards,
            initial=games[0].initial,
            legal=games[0].legal,
            n_actions=games[0].n_actions,
            horizon=games[0].horizon,
            joint=family.joint,
        ).laid_out(family.layout).observed(noise).on_grid(family.grid)  # fmt: skip

    @classmethod
    def _of(cls, family: Family) -> ModelClass:
        models = ModelClass.__new__(ModelClass)
        models._family = family
        return models

    @classmethod
    def from_tables(
        cls,
        transition: ArrayLike,
        initial: ArrayLike,
        reward: str | StepFunction | Callable[..., int],
        *,
        horizon: int | None = None,
        successors: ArrayLike | None = None,
        moves: ArrayLike | None = None,
        legal: ArrayLike | None = None,
        population: str = "state",
    ) -> ModelClass:
        """A class of models whose transitions do not depend on the population.

        Parameters
        ----------
        transition : [M, H, S, A, S], or [M, H, S, A, K], or [M, H, S, K]; H may be 1 for rows alike at every step
            Explicit tables, copied; every row a distribution within 1e-9. The second form is sparse: entry k of row
            (s, a) is the probability of the state ``successors[s, a, k]``. The third is factored: action a moves an
            agent from s to ``m = moves[s, a]``, whence noise takes it to ``successors[m, k]`` with the probability
            ``transition[., ., m, k]``.
        horizon : int, optional
            H, where the tables hold one step for all; their second axis otherwise.
        successors : [S, A, K], or [S, K] with moves; distinct in a row
        moves : [S, A]
        initial : [S]
        reward : "crowd-aversion", or ``f(h, population) -> [S, A]``, or a compiled reward (`from_filler`)
        legal : [S, A] boolean, optional
        population : "state" or "joint"
            What the reward sees.
        """
        if moves is not None and successors is None:
            raise ValueError("moves need successors [S, K], the states that noise leads to from each state")
        for name, table_given, least in (("successors", successors, 2), ("moves", moves, 2)):
            if table_given is not None and depth(name, table_given) < least:
                raise ValueError(f"{name} must have at least {least} axes, got {list(np.shape(table_given))}")
        axes = (None,) * (5 if moves is None else 4)
        tables = float_array("transition", transition, axes)
        M, T, S = tables.shape[:3]
        A = tables.shape[3] if moves is None else np.shape(moves)[-1]
        places = S if successors is None else np.shape(successors)[-1]
        if tables.shape[-1] != places:
            wanted = "[M, H, S, A, S]" if successors is None else f"[..., {places}] as successors have"
            raise ValueError(f"transition must have shape {wanted}, got {list(tables.shape)}")
        steps = T if horizon is None else whole("horizon", horizon, 1)
        if T not in (1, steps):
            raise ValueError(f"transition has {T} steps, but horizon is {steps}")
        refuse_non_distributions("transition", tables)
        initial_density(initial, S)
        return cls._of(
            CompiledFamily(
                table.prepare,
                table.fill,
                as_reward(reward),
                initial=initial,
                legal=legal,
                n_actions=A,
                horizon=steps,
                shared=np.array([float(S)]),
                thetas=tables.reshape(M, -1),
                aux_size=0,
                joint=population_kind(population),
                successors=successors,
                moves=moves,
            )
        )

    @classmethod
    def from_filler(
        cls,
        fill: Callable[..., int],
        thetas: ArrayLike,
        initial: ArrayLike,
        reward: str | StepFunction | Callable[..., int],
        *,
        n_actions: int,
        horizon: int,
        prepare: Callable[..., int] | None = None,
        shared: ArrayLike | None = None,
        aux_size: int = 0,
        successors: ArrayLike | None = None,
        moves: ArrayLike | None = None,
        legal: ArrayLike | None = None,
        population: str = "state",
    ) -> ModelClass:
        """A class from compiled functions that write transition rows; no kernel is recompiled for it.

        Parameters
        ----------
        fill : njit or cfunc function
            ``fill(h, aux, shared, theta, lo, hi, out) -> status``: rows of the states lo..hi-1 for all actions into
            ``out[hi - lo, A, S]``; status 0 when all is well, any other number ends the computation with an error.
            Return a status rather than raise: an exception can not leave compiled code, and shows as unwritten rows.
        thetas : [M, *]
            One row of parameters a model.
        initial : [S]
        reward : "crowd-aversion", ``f(h, population) -> [S, A]``, or compiled
            ``reward(h, population, shared, theta, out[S, A]) -> status``.
        n_actions, horizon : int
        prepare : njit or cfunc function, optional
            ``prepare(h, population, shared, theta, aux) -> status``, once a step: what the population decides for
            all rows, left in ``aux [aux_size]`` for `fill`. Without it `fill` sees no population.
        shared : array, optional
            Constants of all models, flattened.
        aux_size : int
        successors : [S, A, K], or [S, K] with moves, optional; distinct in a row
            Sparse rows: `fill` writes ``out[hi - lo, A, K]``, entry k for the state ``successors[s, a, k]``.
        moves : [S, A], optional
            Factored rows: action a moves an agent to ``m = moves[s, a]``, whence noise takes it to
            ``successors[m, k]``; `fill` writes the noise of each state, ``out[hi - lo, 1, K]``.
        legal : [S, A] boolean, optional
        population : "state" or "joint"
            `population` is the density [S] or the joint ``mu(s) pi(a|s)`` flattened [S*A].

        Raises
        ------
        TypeError
            A function that does not compile with the signature above.
        ValueError
            Wrong shapes; later, a row that holds a negative number or NaN or does not sum to 1 within 1e-9, naming
            model, step, state and action: every row is checked whenever densities are computed.
        """
        family = filler_family(
            prepare=prepare, fill=fill, reward=reward, thetas=thetas, shared=shared, aux_size=aux_size,
            initial=initial, n_actions=n_actions, horizon=horizon, legal=legal, population=population,
            successors=successors, moves=moves,
        )  # fmt: skip
        models = cls._of(family)
        every = np.arange(len(family), dtype=np.int64)
        uniform = models[0].uniform_policy()[None]
        family.condition(every, uniform, np.zeros(len(family), dtype=np.int64))  # faults are met here, not later
        return models

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
    def reward_noise(self) -> RewardNoise | None:
        """How rewards are observed, where they are unknown; None: they are known."""
        return self._family.noise

    def with_unknown_rewards(self, noise: float | RewardNoise) -> Self:
        """The same models, their rewards unknown: samples then hold observed rewards, and these count as evidence.

        Rewards differ where the class is one of games with rewards of their own (`ModelClass`), where a compiled reward
        reads ``theta``, and, whatever the reward, where it depends on the population: each model has its own density.

        Parameters
        ----------
        noise : float >= 0 or RewardNoise
            Standard deviation of the noise under which rewards are observed; 0: none.
        """
        models = copy.copy(self)
        models._family = self._family.observed(reward_noise("noise", noise))
        return models

    def __len__(self) -> int:
        return len(self._family)

    def __getitem__(self, index: Any) -> Any:
        """A `Game` for a whole number (negative ones count from the end), a class for a slice or a list of them."""
        if isinstance(index, slice):
            chosen = np.arange(len(self), dtype=np.int64)[index]
            return self._of(self._family.subset(member_indices("index", chosen, len(self))))
        if isinstance(index, (list, np.ndarray)):
            return self._of(self._family.subset(member_indices("index", index, len(self))))
        try:
            i = operator.index(index)
        except TypeError:
            raise TypeError(f"models are indexed by whole numbers, slices and lists of them, got {index!r}") from None
        if not -len(self) <= i < len(self):
            raise IndexError(f"model {i} is out of range for a class of {len(self)} models")
        return Game._of(self._family, i % len(self))

    def __iter__(self) -> Iterator[Game]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__}: {len(self)} models, {self.n_states} states, {self.n_actions} actions, "
            f"horizon {self.horizon}>"
        )


def depth(name: str, values: ArrayLike) -> int:
    """Axes of an array; a ragged one is refused by name."""
    try:
        return np.asarray(values).ndim
    except ValueError as error:
        raise ValueError(f"{name} must be an array: {error}") from None


def require_class(name: str, value: Any) -> ModelClass:
    """The value, if it is a class of models."""
    if not isinstance(value, ModelClass):
        raise TypeError(f"{name} must be a ModelClass, got {type(value).__name__}")
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


def _transition_of(game: Game) -> StepFunction:
    """A function (h, population): the user's own where there is one, so that faults name the game of the class."""
    family = game._family
    return family.transitions[game._member] if isinstance(family, CallableFamily) else game._rows


def _reward_of(game: Game) -> StepFunction:
    family = game._family
    return family.reward_of(game._member) if isinstance(family, CallableFamily) else game._rewards


def _noise_of(games: list[Game], given: float | RewardNoise | None) -> RewardNoise | None:
    """The noise that is given, or that of all games."""
    if given is not None:
        return reward_noise("reward_noise", given)
    first = games[0].reward_noise
    for i, game in enumerate(games[1:], start=1):
        if game.reward_noise != first:
            raise ValueError(
                f"games[{i}] has rewards observed under {game.reward_noise}, games[0] under {first} (None: they are "
                "known): give reward_noise"
            )
    return first


def _refuse_unlike_games(games: list[Game], same_rewards: bool) -> None:
    first = games[0]
    for i, game in enumerate(games[1:], start=1):
        for what in ("n_states", "n_actions", "horizon", "population"):
            a, b = getattr(first, what), getattr(game, what)
            if a != b:
                raise ValueError(
                    f"games[{i}].{what} is {b}, but games[0].{what} is {a}: models differ in transition only"
                )
        for what in ("initial", "legal"):
            if not np.array_equal(getattr(first, what), getattr(game, what)):
                raise ValueError(f"games[{i}].{what} differs from games[0].{what}: models differ in transition only")
        layout, other = first._family.layout, game._family.layout
        if layout is not other and not (layout is not None and layout.agrees(other)):
            raise ValueError(f"games[{i}] has other types of agents than games[0]: models differ in transition only")
        if same_rewards and game._family is not first._family:
            _refuse_unlike_rewards(i, first, game)


def _refuse_unlike_rewards(i: int, first: Game, game: Game) -> None:
    uniform = first.uniform_policy()[0]
    for density in (first.initial, np.full(first.n_states, 1.0 / first.n_states)):
        seen = density[:, None] * uniform if first.population == "joint" else density
        for h in range(first.horizon):
            if not np.array_equal(first.reward(h, seen), game.reward(h, seen)):
                raise ValueError(
                    f"games[{i}] has other rewards than games[0] at step {h}: models differ in transition only, unless "
                    "rewards are unknown (reward_noise=sigma)"
                )
