"""A family: n models that share everything but their parameters, in the form kernels read.

A *compiled family* is three functions over flat float64 arrays, each returning a status (0: all is well):

    prepare(h, population, shared, theta, aux)     once a step: what the population decides for all rows
    fill(h, aux, shared, theta, lo, hi, out)       rows of states lo..hi-1 into out[hi-lo, A, S]
    reward(h, population, shared, theta, out)      rewards into out[S, A]

`h` counts from 0; `population` is the state density [S], or the joint ``mu(s) pi(a|s)`` flattened [S*A]; `shared` is
common to all models, `theta` is one model's parameters, `aux` is scratch of `aux_size` numbers that `prepare` writes
and `fill` reads. No transition table need ever exist.

A *callable family* is one of NumPy functions ``transition(h, population) -> [S, A, S]``: the table of a step stands in
`aux`. From there on the two are the same.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from fastmfg.games.checks import (
    Floats,
    Integers,
    first_index,
    float_array,
    frozen,
    index_array,
    initial_density,
    legal_mask,
    policy_array,
    refuse_non_distributions,
    refuse_non_finite,
    shape_text,
    whole,
)
from fastmfg.games.grid import Grid
from fastmfg.games.layout import Layout
from fastmfg.games.reward_noise import RewardNoise
from fastmfg.games.transitions import transitions_of
from fastmfg.kernels import density as density_kernels
from fastmfg.kernels import reward as reward_kernels
from fastmfg.kernels import table
from fastmfg.kernels.forms import NO_ROWS, Pairs, Transitions
from fastmfg.kernels.forward import FAULT_STATUS
from fastmfg.kernels.jit import FILL, PREPARE, REWARD, Common, Filler
from fastmfg.memory import require_numbers

StepFunction = Callable[[int, Floats], Floats]
"""``f(h, population)``: rewards [S, A] or transitions [S, A, S] of step h = 0..H-1."""

Played = Callable[[Floats, Integers], Floats]
"""``played(shared, actions [H, S]) -> shared``: constants of models that have one action a state, the given one."""

REWARDS: dict[str, Filler] = {"crowd-aversion": reward_kernels.crowd_aversion}
"""Rewards known by name."""


@dataclass(frozen=True)
class Conditionals:
    """Conditional models of n (model, policy) pairs, as kernels read them."""

    density: Floats  # [n, H, S]
    aux: Floats  # [n, H, *]
    reward: Floats  # [n, H, S, A]


def population_kind(population: str) -> bool:
    """Whether functions see the joint [S, A] rather than the state density [S]."""
    if population not in ("state", "joint"):
        raise ValueError(f"population must be 'state' or 'joint', got {population!r}")
    return population == "joint"


MOST_ENTRIES = 10_000_000
"""Of a dense table that is built only to say what is wrong with a row."""

NO_TABLE = "what conditions and solves needs no tables"
"""What to do about a table that is too large."""

DENSITY_TOLERANCE = 1e-6
"""Densities sum to one within this: many steps add the tolerance of rows up."""


def successor_table(successors: Any, n_states: int, n_actions: int, factored: bool) -> Integers:
    """States [S, A, K] that row entries lead to, [S, 1, K] (given as [S, K]) when factored; empty when dense."""
    if successors is None:
        if factored:
            raise ValueError("moves need successors [S, K], the states that noise leads to from each state")
        return np.empty((0, 0, 0), dtype=np.int64)
    shape: tuple[int | None, ...] = (n_states, None) if factored else (n_states, n_actions, None)
    try:
        given = np.asarray(successors)
    except ValueError as error:
        raise ValueError(f"successors must have shape {shape_text(shape)}: {error}") from None
    if factored and given.ndim == 3 and given.shape[1] == 1:
        given = given[:, 0]
    table = index_array("successors", given, shape, n_states)
    ordered = np.sort(table, axis=-1)
    twice = (ordered[..., 1:] == ordered[..., :-1]).any(axis=-1)
    if twice.any():
        index = first_index(twice)
        raise ValueError(f"successors{list(index)} holds a state twice: {table[index].tolist()}")
    return table.reshape(n_states, 1, -1) if factored else table


def move_table(moves: Any, n_states: int, n_actions: int) -> Integers:
    """States [S, A] that actions lead to before noise; empty when there are none."""
    if moves is None:
        return np.empty((0, 0), dtype=np.int64)
    return index_array("moves", moves, (n_states, n_actions), n_states)


class Family(ABC):
    """n models alike in all but `thetas`; immutable."""

    prepare: Filler
    fill: Filler
    parallel: bool
    """Whether conditioning may run in several threads at once (compiled code only)."""
    statuses: Mapping[int, str] = MappingProxyType({})
    """What nonzero statuses mean, where that is known."""
    layout: Layout | None = None
    """Where the types of agents lie, when there are several: gaps are then those of the game with types."""
    same_rows: NDArray[np.bool_] | None = None
    """[H, S], declared: where the rows of all legal actions are alike in every model, whatever the population."""
    grid: Grid | None = None
    """Where states lie, when they are cells of a grid."""
    noise: RewardNoise | None = None
    """How rewards are observed, where they are unknown: distances and likelihoods then count them."""

    def __init__(
        self, initial: Any, legal: Any, n_actions: int, horizon: int, joint: bool, shared: Floats, thetas: Floats,
        successors: Any = None, moves: Any = None,
    ) -> None:  # fmt: skip
        density = initial_density(initial)
        S = density.size
        self.n_states, self.n_actions, self.horizon = S, n_actions, horizon
        self.joint = joint
        places = successor_table(successors, S, n_actions, factored=moves is not None)
        self.common = Common(shared, density, legal_mask(legal, S, n_actions), places, move_table(moves, S, n_actions))
        self.thetas = thetas  # [M, *]

    def __len__(self) -> int:
        return len(self.thetas)

    @property
    def initial(self) -> Floats:
        return frozen(self.common.initial)

    @property
    def legal(self) -> NDArray[np.bool_]:
        return frozen(self.common.legal)

    @property
    @abstractmethod
    def aux_size(self) -> int:
        """Numbers of a step's `aux`."""

    @abstractmethod
    def densities(
        self, members: Integers, policies: Floats, policy_of: Integers, rows: Floats = NO_ROWS
    ) -> tuple[Floats, Floats]:
        """Density [n, H, S] and aux [n, H, *] of the pairs (members[i], policies[policy_of[i]]).

        Of a single pair, rows may be kept in ``rows`` (`Pairs`); families of NumPy functions have them in `aux` anyway.
        """

    def densities_under(self, members: Integers, policy: Floats) -> tuple[Floats, Floats]:
        """Density [n, H, S] and aux [n, H, *] of members under one policy.

        Rows that the policy does not play may stay unlooked at, even where they are no distributions: for those who
        read all rows afterwards.
        """
        return self.densities(members, policy[None], np.zeros(members.size, dtype=np.int64))

    @abstractmethod
    def rewards(self, members: Integers, density: Floats, policies: Floats, policy_of: Integers) -> Floats:
        """Rewards [n, H, S, A] under given densities."""

    @abstractmethod
    def transition_at(self, member: int, h: int, population: Floats) -> Floats:
        """One step's table [S, A, S] under a given population (flat)."""

    @abstractmethod
    def reward_at(self, member: int, h: int, population: Floats) -> Floats:
        """One step's rewards [S, A] under a given population (flat)."""

    @cached_property
    def compiled_rows(self) -> Transitions:
        """What passes through many models read."""
        return transitions_of(self.prepare, self.fill, self.common)

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: `compiled_rows` is made anew from the rest."""
        return {name: value for name, value in self.__dict__.items() if name != "compiled_rows"}

    def pairs(self, members: Integers, policies: Floats, policy_of: Integers, rows: Floats = NO_ROWS) -> Pairs:
        """(model, policy) pairs as kernels read them."""
        return Pairs(self.thetas, members, policies, policy_of, rows)

    @property
    def row_entries(self) -> int:
        """H * S * A * K: numbers in all rows of one model, K = S when dense."""
        return self.horizon * self.n_states * self.n_actions * self.row_length

    @property
    def row_length(self) -> int:
        """K, entries of a row: S when dense."""
        return self.common.successors.shape[2] or self.n_states

    @abstractmethod
    def subset(self, members: Integers) -> Family:
        """The family of these members."""

    def laid_out(self, layout: Layout | None) -> Self:
        """The same family with its states sorted by types of agents, or without."""
        family = copy.copy(self)
        family.layout = layout
        return family

    def observed(self, noise: RewardNoise | None) -> Self:
        """The same family with unknown rewards, observed under this noise; None: with known ones."""
        family = copy.copy(self)
        family.noise = noise
        return family

    def on_grid(self, grid: Grid | None) -> Self:
        """The same family, its states the cells of a grid."""
        family = copy.copy(self)
        family.grid = grid
        return family

    def declared(self, same_rows: NDArray[np.bool_] | None) -> Self:
        """The same family, with states declared where actions do not matter (`same_rows`)."""
        family = copy.copy(self)
        family.same_rows = same_rows
        return family

    def policy(self, name: str, policy: Any) -> Floats:
        """A fresh copy of a policy [H, S, A], checked; with several types of agents also from a list of theirs."""
        if self.layout is not None:
            policy = self.layout.lifted_policy(name, policy, self.horizon)
        return policy_array(name, policy, self.common.legal, self.horizon)

    def condition(
        self, members: Integers, policies: Floats, policy_of: Integers, rows: Floats = NO_ROWS
    ) -> Conditionals:
        """Freeze the population of each pair at its policy's density in its model."""
        each = self.horizon * (self.n_states * (1 + self.n_actions) + self.aux_size)
        require_numbers(f"conditioning {members.size} models on a policy", members.size * each, "take a smaller game")
        density, aux = self.densities(members, policies, policy_of, rows)
        return Conditionals(density, aux, self.rewards(members, density, policies, policy_of))

    def population(self, density: Floats, policy: Floats) -> Floats:
        """What functions see, flat and writable: the density [S], or the joint [S*A]."""
        return (density[:, None] * policy).ravel() if self.joint else density.copy()

    def shaped(self, population: Floats) -> Floats:
        """A flat population as users' functions see it: [S], or [S, A]."""
        return population.reshape(self.n_states, self.n_actions) if self.joint else population

    def refuse_status(self, status: int, doing: str) -> None:
        """Raise when a kernel met a nonzero status."""
        if status != 0:
            raise ValueError(f"fill returned {self.status_text(status)} while {doing}")

    def status_text(self, status: int) -> str:
        return f"status {status}" + (f" ({self.statuses[status]})" if status in self.statuses else "")

    def name_of(self, member: int) -> str:
        return f"model {member}" if len(self) > 1 else "the game"


def row_text(row: Floats) -> str:
    """What is wrong with a row that should be a distribution."""
    if np.isfinite(row).all() and row.min() >= 0:
        return f"sums to {float(row.sum())!r}, not to 1 within 1e-9"
    x = int(np.argmax(~(row >= 0) | np.isinf(row)))
    return f"gives state {x} the probability {row[x]} (NaN also where the filler wrote nothing)"


class CompiledFamily(Family):
    """A family of compiled functions. With `checked`, every row it ever fills in a density pass is checked.

    `played`, where there is such a function, spares passes of a deterministic policy all rows but one a state.
    """

    def __init__(
        self,
        prepare: Filler,
        fill: Filler,
        reward: Filler | StepFunction,
        *,
        initial: Any,
        legal: Any,
        n_actions: int,
        horizon: int,
        shared: Floats,
        thetas: Floats,
        aux_size: int,
        joint: bool = False,
        checked: bool = False,
        statuses: Mapping[int, str] | None = None,
        successors: Any = None,
        moves: Any = None,
        played: Played | None = None,
    ) -> None:
        super().__init__(initial, legal, n_actions, horizon, joint, shared, thetas, successors, moves)
        self.prepare, self.fill, self.reward = prepare, fill, reward
        self.checked, self.played = checked, played
        if statuses is not None:
            self.statuses = statuses
        self._aux_size = aux_size
        self.parallel = isinstance(reward, Filler)
        if not isinstance(reward, Filler):  # a user's function: asked once now, so that a fault is met early
            legal_now = self.common.legal
            seen = self.population(self.common.initial, legal_now / legal_now.sum(axis=1, keepdims=True))
            for h in sorted({0, horizon - 1}):
                self.reward_at(0, h, seen)

    @property
    def aux_size(self) -> int:
        return self._aux_size

    def densities(
        self, members: Integers, policies: Floats, policy_of: Integers, rows: Floats = NO_ROWS
    ) -> tuple[Floats, Floats]:
        n, H = members.size, self.horizon
        density = np.empty((n, H, self.n_states))
        aux = np.empty((n, H, self.aux_size))
        fault = np.zeros((n, 5), dtype=np.int64)
        pairs = self.pairs(members, policies, policy_of, rows)
        density_kernels.push(self.compiled_rows, pairs, self.joint, self.checked, density, aux, fault)
        if fault[:, 0].any():
            i = int(np.argmax(fault[:, 0] != 0))
            h = int(fault[i, 4])
            seen = self.population(density[i, h], policies[policy_of[i], h])
            raise ValueError(self._fault_text(int(members[i]), fault[i], seen))
        lost = ~(np.abs(density.sum(axis=2) - 1.0) < DENSITY_TOLERANCE)
        if lost.any():
            i, h = first_index(lost)
            raise ValueError(
                f"the density of {self.name_of(int(members[i]))} at step {h} sums to {density[i, h].sum()}: "
                "its parameters make rows overflow"
            )
        return density, aux

    def densities_under(self, members: Integers, policy: Floats) -> tuple[Floats, Floats]:
        if self.played is not None and ((policy == 0.0) | (policy == 1.0)).all():
            n, H, S = members.size, self.horizon, self.n_states
            shared = self.played(self.common.shared, policy.argmax(axis=2))
            common = self.common._replace(shared=shared, legal=np.ones((S, 1), dtype=np.bool_))
            pairs = self.pairs(members, np.ones((1, H, S, 1)), np.zeros(n, dtype=np.int64))
            density, aux = np.empty((n, H, S)), np.empty((n, H, self.aux_size))
            fault = np.zeros((n, 5), dtype=np.int64)
            transitions = transitions_of(self.prepare, self.fill, common)
            density_kernels.push(transitions, pairs, self.joint, False, density, aux, fault)
            if not fault[:, 0].any() and (np.abs(density.sum(axis=2) - 1.0) < DENSITY_TOLERANCE).all():
                return density, aux
        return super().densities_under(members, policy)  # which also says what is wrong

    def _fault_text(self, member: int, fault: Integers, population: Floats) -> str:
        code, detail, s, a, h = (int(x) for x in fault)
        where = f"{self.name_of(member)}, step {h}"
        if code == FAULT_STATUS:
            if s < 0:
                return f"prepare returned {self.status_text(detail)} for {where}"
            return f"fill returned {self.status_text(detail)} for {where}, states {s} to {a - 1}"
        if self.n_states**2 * self.n_actions > MOST_ENTRIES:
            return f"a transition row of {where}, state {s}, is not a distribution (action {a}, or the state's noise)"
        table = self._table(member, h, population)[1]
        if self.common.moves.size:  # the noise of a state has no action; it is the row of any move that leads there
            where, origin = f"{where}: the noise", np.argwhere(self.common.moves == s)
            if not origin.size:
                return f"{where} of state {s}, where no move leads, is not a distribution"
            row = table[tuple(origin[0])]
            return f"{where} of state {s} {row_text(row)}"
        return f"the transition row of {where}, state {s}, action {a} {row_text(table[s, a])}"

    def rewards(self, members: Integers, density: Floats, policies: Floats, policy_of: Integers) -> Floats:
        n, H = members.size, self.horizon
        if not isinstance(self.reward, Filler):
            return _called_rewards(self, self.reward, members, density, policies, policy_of)
        out = np.empty((n, H, self.n_states, self.n_actions))
        status = np.zeros(n, dtype=np.int64)
        reward_kernels.rewards(
            self.reward, self.common, self.thetas, members, density, policies, policy_of, self.joint, out, status
        )
        if status.any():
            i = int(np.argmax(status != 0))
            raise ValueError(f"reward returned status {int(status[i])} for {self.name_of(int(members[i]))}")
        if not np.isfinite(out).all():
            i, h, s, a = first_index(~np.isfinite(out))
            raise ValueError(
                f"the reward of {self.name_of(int(members[i]))} at step {h}, state {s}, action {a} is "
                f"{out[i, h, s, a]}: it must be finite (NaN also where the filler wrote nothing)"
            )
        return out

    def _table(self, member: int, h: int, population: Floats) -> tuple[int, Floats]:
        """The status of the family's functions, and one step's rows as a dense table [S, A, S]."""
        require_numbers("one step's transition as a table [S, A, S]", self.n_states**2 * self.n_actions, NO_TABLE)
        out = np.empty((self.n_states, self.n_actions, self.n_states))
        scratch = np.full(self.aux_size, np.nan)
        status = density_kernels.tabulate(
            self.prepare, self.fill, self.common, self.thetas[member], h, population, scratch, out
        )
        return int(status), out

    def transition_at(self, member: int, h: int, population: Floats) -> Floats:
        status, out = self._table(member, h, population)
        if status != 0:
            raise ValueError(
                f"prepare or fill returned {self.status_text(status)} for {self.name_of(member)}, step {h}"
            )
        if self.checked:
            refuse_non_finite(f"the transition of {self.name_of(member)}, step {h}", out)
            refuse_non_distributions(f"the transition of {self.name_of(member)}, step {h} ", out)
        return out

    def reward_at(self, member: int, h: int, population: Floats) -> Floats:
        if not isinstance(self.reward, Filler):
            shape = (self.n_states, self.n_actions)
            return called(f"reward({h}, population)", self.reward, h, self.shaped(population), shape)
        out = np.empty((self.n_states, self.n_actions))
        status = reward_kernels.reward_step(self.reward, self.common, self.thetas[member], h, population, out)
        if status != 0:
            raise ValueError(f"reward returned status {status} for {self.name_of(member)}, step {h}")
        return out

    def subset(self, members: Integers) -> CompiledFamily:
        return CompiledFamily(
            self.prepare, self.fill, self.reward, initial=self.common.initial, legal=self.common.legal,
            n_actions=self.n_actions, horizon=self.horizon, shared=self.common.shared, thetas=self.thetas[members],
            aux_size=self.aux_size, joint=self.joint, checked=self.checked, statuses=self.statuses,
            successors=self.common.successors if self.common.successors.size else None,
            moves=self.common.moves if self.common.moves.size else None, played=self.played,
        ).laid_out(self.layout).observed(self.noise).declared(self.same_rows).on_grid(self.grid)  # fmt: skip


class CallableFamily(Family):
    """A family of NumPy functions; every answer of theirs is checked. The table of a step stands in `aux`.

    `reward`: one function of all models, or a tuple of one a model.
    """

    prepare = table.prepare
    fill = table.fill_from_aux
    parallel = False

    def __init__(
        self,
        transitions: Sequence[StepFunction],
        reward: StepFunction | tuple[StepFunction, ...],
        *,
        initial: Any,
        legal: Any,
        n_actions: int,
        horizon: int,
        joint: bool,
    ) -> None:
        super().__init__(initial, legal, n_actions, horizon, joint, np.empty(0), np.empty((len(transitions), 0)))
        self.transitions, self.reward = tuple(transitions), reward

    @property
    def aux_size(self) -> int:
        return self.n_states * self.n_actions * self.n_states

    def densities(
        self, members: Integers, policies: Floats, policy_of: Integers, rows: Floats = NO_ROWS
    ) -> tuple[Floats, Floats]:
        n, H, S = members.size, self.horizon, self.n_states
        density = np.empty((n, H, S))
        aux = np.empty((n, H, self.aux_size))
        for i, member in enumerate(members):
            policy, mu = policies[policy_of[i]], self.common.initial
            for h in range(H):
                density[i, h] = mu
                rows = self.transition_at(int(member), h, self.population(mu, policy[h]))
                aux[i, h] = rows.ravel()
                mu = (mu[:, None] * policy[h]).ravel() @ rows.reshape(-1, S)
        return density, aux

    def rewards(self, members: Integers, density: Floats, policies: Floats, policy_of: Integers) -> Floats:
        if not isinstance(self.reward, tuple):
            return _called_rewards(self, self.reward, members, density, policies, policy_of)
        out = np.empty((members.size, self.horizon, self.n_states, self.n_actions))
        for i, member in enumerate(members):
            for h, policy in enumerate(policies[policy_of[i]]):
                out[i, h] = self.reward_at(int(member), h, self.population(density[i, h], policy))
        return out

    def reward_of(self, member: int) -> StepFunction:
        """The reward function of a member."""
        return self.reward[member] if isinstance(self.reward, tuple) else self.reward

    def transition_at(self, member: int, h: int, population: Floats) -> Floats:
        name = f"transition({h}, population)" + (f" of game {member}" if len(self) > 1 else "")
        shape = (self.n_states, self.n_actions, self.n_states)
        rows = called(name, self.transitions[member], h, self.shaped(population), shape)
        refuse_non_distributions(name, rows)
        return rows

    def reward_at(self, member: int, h: int, population: Floats) -> Floats:
        name = f"reward({h}, population)" + (f" of game {member}" if isinstance(self.reward, tuple) else "")
        shape = (self.n_states, self.n_actions)
        return called(name, self.reward_of(member), h, self.shaped(population), shape)

    def subset(self, members: Integers) -> CallableFamily:
        reward = tuple(self.reward[m] for m in members) if isinstance(self.reward, tuple) else self.reward
        return CallableFamily(
            [self.transitions[int(m)] for m in members], reward, initial=self.common.initial,
            legal=self.common.legal, n_actions=self.n_actions, horizon=self.horizon, joint=self.joint,
        ).laid_out(self.layout).observed(self.noise).on_grid(self.grid)  # fmt: skip


def called(name: str, function: StepFunction, h: int, population: Floats, shape: tuple[int | None, ...]) -> Floats:
    """A user's function called with a copy of the population, its answer checked for shape, dtype and finiteness."""
    return float_array(name, function(h, population.copy()), shape)


def _called_rewards(
    family: Family, reward: StepFunction, members: Integers, density: Floats, policies: Floats, policy_of: Integers
) -> Floats:
    S, A = family.n_states, family.n_actions
    out = np.empty((members.size, family.horizon, S, A))
    for i in range(members.size):
        for h in range(family.horizon):
            population = family.population(density[i, h], policies[policy_of[i], h])
            out[i, h] = called(f"reward({h}, population)", reward, h, family.shaped(population), (S, A))
    return out


def is_compiled_function(function: object) -> bool:
    """Whether this is a numba njit or cfunc function."""
    return hasattr(function, "py_func") or hasattr(function, "_pyfunc")


def as_filler(name: str, function: Any, kind: Any) -> Filler:
    """A user's njit function, cfunc or plain function over arrays, behind a C pointer of the family's type."""
    if isinstance(function, Filler):
        return function
    body = getattr(function, "py_func", None) or getattr(function, "_pyfunc", None) or function
    if not callable(body):
        raise TypeError(f"{name} must be a function that numba can compile, got {function!r}")
    try:
        result = Filler(body, kind, keep=False)
        result._get()
    except Exception as error:
        raise TypeError(f"{name} does not compile with the signature {kind.signature}: {error}") from error
    return result


def as_reward(reward: Any) -> Filler | StepFunction:
    """A reward by name, a compiled filler, or a NumPy function."""
    if isinstance(reward, str):
        if reward not in REWARDS:
            raise ValueError(f"reward must be one of {', '.join(map(repr, REWARDS))} or a function, got {reward!r}")
        return REWARDS[reward]
    if isinstance(reward, Filler) or is_compiled_function(reward):
        return as_filler("reward", reward, REWARD)
    if not callable(reward):
        raise TypeError(f"reward must be a name or a function, got {reward!r}")
    return cast(StepFunction, reward)


def filler_family(
    *, prepare: Any, fill: Any, reward: Any, thetas: Any, shared: Any, aux_size: Any, initial: Any, n_actions: Any,
    horizon: Any, legal: Any, population: str, successors: Any, moves: Any,
) -> CompiledFamily:  # fmt: skip
    """The compiled family of a user's functions; every row is checked in every density pass."""
    thetas = float_array("thetas", thetas, (None, None))
    shared = np.empty(0) if shared is None else float_array("shared", np.ravel(shared), (None,))
    return CompiledFamily(
        table.prepare if prepare is None else as_filler("prepare", prepare, PREPARE),
        as_filler("fill", fill, FILL),
        as_reward(reward),
        initial=initial,
        legal=legal,
        n_actions=whole("n_actions", n_actions, 1),
        horizon=whole("horizon", horizon, 1),
        shared=shared,
        thetas=thetas,
        aux_size=whole("aux_size", aux_size, 0),
        joint=population_kind(population),
        checked=True,
        successors=successors,
        moves=moves,
    )
