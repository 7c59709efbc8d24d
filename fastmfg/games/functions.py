"""Games written in NumPy: functions ``f(h, population)``, every answer of which is checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmfg.equality import alike
from fastmfg.games.checks import Floats, Integers, float_array, refuse_non_distributions
from fastmfg.games.sources import PopulationSource
from fastmfg.kernels import table
from fastmfg.kernels.forms import NO_ROWS

if TYPE_CHECKING:
    from fastmfg.games.model_class import ModelClass

StepFunction = Callable[[int, Floats], Floats]
"""``f(h, population)``: rewards [S, A] or transitions [S, A, S] of step h = 0..H-1."""


def called(name: str, function: StepFunction, h: int, population: Floats, shape: tuple[int | None, ...]) -> Floats:
    """Call a user's function with a copy of the population; its answer is checked for shape, dtype and finiteness."""
    return float_array(name, function(h, population.copy()), shape)


def called_rewards(
    models: ModelClass, reward: StepFunction, density: Floats, policies: Floats, policy_of: Integers
) -> Floats:
    """Rewards [n, H, S, A] of a function that all models share, at each pair's density [n, H, S]."""
    S, A = models.n_states, models.n_actions
    out = np.empty((len(density), models.horizon, S, A))
    for i in range(len(density)):
        for h in range(models.horizon):
            population = models.population_view(density[i, h], policies[policy_of[i], h])
            out[i, h] = called(f"reward({h}, population)", reward, h, models.shaped(population), (S, A))
    return out


def same_function(one: Any, other: Any) -> bool:
    """Whether two functions surely do the same: they are one, or one code over equal defaults and enclosed values."""
    if one is other:
        return True
    if not (isinstance(one, FunctionType) and isinstance(other, FunctionType)):
        return False
    if one.__code__ != other.__code__ or one.__globals__ is not other.__globals__:
        return False
    try:
        return alike(enclosed(one), enclosed(other))
    except (TypeError, ValueError):  # an empty cell, or values whose comparison is no truth value
        return False


def enclosed(function: FunctionType) -> tuple[Any, ...]:
    """Values that a function has from where it was made."""
    cells = tuple(cell.cell_contents for cell in function.__closure__ or ())
    return cells, function.__defaults__, function.__kwdefaults__, function.__dict__


@dataclass(frozen=True, eq=False)
class FunctionSource(PopulationSource):
    """NumPy functions of transitions, one a model, and of rewards; the table of a step stands in `aux`."""

    transitions: tuple[StepFunction, ...]  # [M]
    reward: StepFunction | tuple[StepFunction, ...]  # one of all models, or one a model

    prepare = table.prepare
    fill = table.fill_from_aux
    parallel = False

    def densities(
        self, models: ModelClass, members: Integers, policies: Floats, policy_of: Integers, rows: Floats = NO_ROWS
    ) -> tuple[Floats, Floats]:
        n, H, S = members.size, models.horizon, models.n_states
        density = np.empty((n, H, S))
        aux = np.empty((n, H, models.aux_size))
        for i, member in enumerate(members):
            policy, mu = policies[policy_of[i]], models.common.initial
            for h in range(H):
                density[i, h] = mu
                rows = self.transition_at(models, int(member), h, models.population_view(mu, policy[h]))
                aux[i, h] = rows.ravel()
                mu = (mu[:, None] * policy[h]).ravel() @ rows.reshape(-1, S)
        return density, aux

    def rewards(
        self, models: ModelClass, members: Integers, density: Floats, policies: Floats, policy_of: Integers
    ) -> Floats:
        if not isinstance(self.reward, tuple):
            return called_rewards(models, self.reward, density, policies, policy_of)
        out = np.empty((members.size, models.horizon, models.n_states, models.n_actions))
        for i, member in enumerate(members):
            for h, policy in enumerate(policies[policy_of[i]]):
                out[i, h] = self.reward_at(models, int(member), h, models.population_view(density[i, h], policy))
        return out

    def reward_of(self, member: int) -> StepFunction:
        """The reward function of a model."""
        return self.reward[member] if isinstance(self.reward, tuple) else self.reward

    def aux_at(self, models: ModelClass, member: int, h: int, population: Floats) -> tuple[int, Floats]:
        return 0, self.transition_at(models, member, h, population).ravel()

    def transition_at(self, models: ModelClass, member: int, h: int, population: Floats) -> Floats:
        name = f"transition({h}, population)" + (f" of game {member}" if len(models) > 1 else "")
        shape = (models.n_states, models.n_actions, models.n_states)
        rows = called(name, self.transitions[member], h, models.shaped(population), shape)
        refuse_non_distributions(name, rows)
        return rows

    def reward_at(self, models: ModelClass, member: int, h: int, population: Floats) -> Floats:
        name = f"reward({h}, population)" + (f" of game {member}" if isinstance(self.reward, tuple) else "")
        shape = (models.n_states, models.n_actions)
        return called(name, self.reward_of(member), h, models.shaped(population), shape)

    def alike(self, models: ModelClass, members: Integers) -> bool:
        """Whether the models have the same functions: one object, or one code over equal values."""
        first = int(members[0])
        return super().alike(models, members) and all(
            same_function(self.transitions[first], self.transitions[m])
            and same_function(self.reward_of(first), self.reward_of(m))
            for m in members.tolist()
        )

    def subset(self, members: Integers) -> FunctionSource:
        reward = tuple(self.reward[m] for m in members) if isinstance(self.reward, tuple) else self.reward
        return FunctionSource(tuple(self.transitions[m] for m in members), reward)
