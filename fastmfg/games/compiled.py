"""Compiled rows: three functions over flat float64 arrays, each of which returns a status (0: all is well).

    prepare(h, population, shared, theta, aux)     once a step: what the population decides for all rows
    fill(h, aux, shared, theta, lo, hi, out)       rows of states lo..hi-1 into out[hi-lo, A, S]
    reward(h, population, shared, theta, out)      rewards into out[S, A]

`h` counts from 0; `population` is the state density [S], or the joint ``mu(s) pi(a|s)`` flattened [S*A]; `shared` is
common to all models, `theta` is one model's parameters, `aux` is scratch of `aux_size` numbers that `prepare` writes
and `fill` reads. No transition table need ever exist.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from fastmfg.games.checks import (
    DENSITY_TOLERANCE,
    Floats,
    Integers,
    first_index,
    refuse_non_distributions,
    refuse_non_finite,
    row_text,
)
from fastmfg.games.functions import StepFunction, called, called_rewards
from fastmfg.games.sources import NO_TABLE, PopulationSource
from fastmfg.games.transitions import transitions_of
from fastmfg.kernels import crowd as crowd_kernels
from fastmfg.kernels import density as density_kernels
from fastmfg.kernels import reward as reward_kernels
from fastmfg.kernels.forms import NO_ROWS
from fastmfg.kernels.forward import FAULT_STATUS
from fastmfg.kernels.jit import Filler
from fastmfg.memory import require_numbers

if TYPE_CHECKING:
    from fastmfg.games.model_class import ModelClass

Played = Callable[[Floats, Integers], Floats]
"""``played(shared, actions [H, S]) -> shared``: constants of models that have one action a state, the given one."""

MOST_ENTRIES = 10_000_000
"""Of a dense table that is built only to say what is wrong with a row."""


@dataclass(frozen=True, eq=False)
class CompiledSource(PopulationSource):
    """Compiled functions. With `checked`, every row that is ever filled in a density pass is checked.

    `played`, where there is such a function, spares passes of a deterministic policy all rows but one a state.
    """

    prepare: Filler
    fill: Filler
    reward: Filler | StepFunction
    checked: bool = False
    statuses: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    played: Played | None = None

    @property
    def parallel(self) -> bool:  # type: ignore[override]
        """Whether all is compiled."""
        return isinstance(self.reward, Filler)

    def check(self, models: ModelClass) -> None:
        if not isinstance(self.reward, Filler):
            for h in sorted({0, models.horizon - 1}):
                self.reward_at(models, 0, h, models.population_at_start())

    def densities(
        self, models: ModelClass, members: Integers, policies: Floats, policy_of: Integers, rows: Floats = NO_ROWS
    ) -> tuple[Floats, Floats]:
        n, H = members.size, models.horizon
        density = np.empty((n, H, models.n_states))
        aux = np.empty((n, H, models.aux_size))
        fault = np.zeros((n, 5), dtype=np.int64)
        pairs = models.pairs(members, policies, policy_of, rows)
        density_kernels.push(models.compiled_rows, pairs, models.joint, self.checked, density, aux, fault)
        if fault[:, 0].any():
            i = int(np.argmax(fault[:, 0] != 0))
            h = int(fault[i, 4])
            seen = models.population_view(density[i, h], policies[policy_of[i], h])
            raise ValueError(self._fault_text(models, int(members[i]), fault[i], seen))
        lost = ~(np.abs(density.sum(axis=2) - 1.0) < DENSITY_TOLERANCE)
        if lost.any():
            i, h = first_index(lost)
            raise ValueError(
                f"the density of {models.name_of(int(members[i]))} at step {h} sums to {density[i, h].sum()}: "
                "its parameters make rows overflow"
            )
        return density, aux

    def densities_under(self, models: ModelClass, members: Integers, policy: Floats) -> tuple[Floats, Floats]:
        if self.played is not None and ((policy == 0.0) | (policy == 1.0)).all():
            n, H, S = members.size, models.horizon, models.n_states
            shared = self.played(models.common.shared, policy.argmax(axis=2))
            common = models.common._replace(shared=shared, legal=np.ones((S, 1), dtype=np.bool_))
            pairs = models.pairs(members, np.ones((1, H, S, 1)), np.zeros(n, dtype=np.int64))
            density, aux = np.empty((n, H, S)), np.empty((n, H, models.aux_size))
            fault = np.zeros((n, 5), dtype=np.int64)
            transitions = transitions_of(self.prepare, self.fill, common)
            density_kernels.push(transitions, pairs, models.joint, False, density, aux, fault)
            if not fault[:, 0].any() and (np.abs(density.sum(axis=2) - 1.0) < DENSITY_TOLERANCE).all():
                return density, aux
        return super().densities_under(models, members, policy)  # which also says what is wrong

    def _fault_text(self, models: ModelClass, member: int, fault: Integers, population: Floats) -> str:
        code, detail, s, a, h = (int(x) for x in fault)
        where = f"{models.name_of(member)}, step {h}"
        if code == FAULT_STATUS:
            if s < 0:
                return f"prepare returned {models.status_text(detail)} for {where}"
            return f"fill returned {models.status_text(detail)} for {where}, states {s} to {a - 1}"
        if models.n_states**2 * models.n_actions > MOST_ENTRIES:
            return f"a transition row of {where}, state {s}, is not a distribution (action {a}, or the state's noise)"
        table, moves = self._table(models, member, h, population)[1], models.common.moves
        if moves.size:  # the noise of a state has no action; it is the row of any move that leads there
            where, origin = f"{where}: the noise", np.argwhere(moves == s)
            if not origin.size:
                return f"{where} of state {s}, where no move leads, is not a distribution"
            row = table[tuple(origin[0])]
            return f"{where} of state {s} {row_text(row)}"
        return f"the transition row of {where}, state {s}, action {a} {row_text(table[s, a])}"

    def rewards(
        self, models: ModelClass, members: Integers, density: Floats, policies: Floats, policy_of: Integers
    ) -> Floats:
        n, H = members.size, models.horizon
        if not isinstance(self.reward, Filler):
            return called_rewards(models, self.reward, density, policies, policy_of)
        out = np.empty((n, H, models.n_states, models.n_actions))
        status = np.zeros(n, dtype=np.int64)
        reward_kernels.rewards(
            self.reward, models.common, models.thetas, members, density, policies, policy_of, models.joint, out, status
        )
        if status.any():
            i = int(np.argmax(status != 0))
            raise ValueError(f"reward returned status {int(status[i])} for {models.name_of(int(members[i]))}")
        if not np.isfinite(out).all():
            i, h, s, a = first_index(~np.isfinite(out))
            raise ValueError(
                f"the reward of {models.name_of(int(members[i]))} at step {h}, state {s}, action {a} is "
                f"{out[i, h, s, a]}: it must be finite (NaN also where the filler wrote nothing)"
            )
        return out

    def _table(self, models: ModelClass, member: int, h: int, population: Floats) -> tuple[int, Floats]:
        """Status of the functions, and one step's rows as a dense table [S, A, S]."""
        S, A = models.n_states, models.n_actions
        require_numbers("one step's transition as a table [S, A, S]", S**2 * A, NO_TABLE)
        out = np.empty((S, A, S))
        scratch = np.full(models.aux_size, np.nan)
        status = density_kernels.tabulate(
            self.prepare, self.fill, models.common, models.thetas[member], h, population, scratch, out
        )
        return int(status), out

    def aux_at(self, models: ModelClass, member: int, h: int, population: Floats) -> tuple[int, Floats]:
        aux = np.empty(models.aux_size)
        theta = models.thetas[member]
        status = crowd_kernels.prepare_at(self.prepare, h, population, models.common.shared, theta, aux)
        return int(status), aux

    def transition_at(self, models: ModelClass, member: int, h: int, population: Floats) -> Floats:
        status, out = self._table(models, member, h, population)
        where = f"{models.name_of(member)}, step {h}"
        if status != 0:
            raise ValueError(f"prepare or fill returned {models.status_text(status)} for {where}")
        if self.checked:
            refuse_non_finite(f"the transition of {where}", out)
            refuse_non_distributions(f"the transition of {where} ", out)
        return out

    def reward_at(self, models: ModelClass, member: int, h: int, population: Floats) -> Floats:
        shape = (models.n_states, models.n_actions)
        if not isinstance(self.reward, Filler):
            return called(f"reward({h}, population)", self.reward, h, models.shaped(population), shape)
        out = np.empty(shape)
        status = reward_kernels.reward_step(self.reward, models.common, models.thetas[member], h, population, out)
        if status != 0:
            raise ValueError(f"reward returned status {status} for {models.name_of(member)}, step {h}")
        return out
