"""Where the rows and rewards of a class come from: the narrow protocol between a class and what computes with it.

There are three sources: compiled functions (`fastmfg.games.compiled`), NumPy functions (`fastmfg.games.functions`),
both asked at a population; and policy-aware models (`fastmfg.planning.policy_aware`), whose tables depend on a whole
policy. A source holds functions alone; the numbers are those of the class that is passed along (``models``).

Whatever the source, kernels get the rows of a (model, policy) pair from ``fill`` and the pair's ``aux`` [H, *].
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

import numpy as np

from fastmfg.games.checks import Floats, Integers
from fastmfg.kernels.forms import NO_ROWS
from fastmfg.kernels.jit import Filler
from fastmfg.memory import require_numbers

if TYPE_CHECKING:
    from fastmfg.games.model_class import ModelClass

NO_TABLE = "what conditions and solves needs no tables"
"""What to do about a table that is too large."""


@dataclass(frozen=True)
class Conditionals:
    """Conditional models of n (model, policy) pairs, as kernels read them."""

    density: Floats  # [n, H, S]
    aux: Floats  # [n, H, *]
    reward: Floats  # [n, H, S, A]


class Source(ABC):
    """Rows and rewards of n models under policies."""

    prepare: Filler
    fill: Filler
    parallel: bool
    """Whether conditioning may run in several threads at once (compiled code only)."""
    statuses: Mapping[int, str] = MappingProxyType({})
    """What nonzero statuses of `prepare` and `fill` mean, where that is known."""

    @abstractmethod
    def densities(
        self, models: ModelClass, members: Integers, policies: Floats, policy_of: Integers, rows: Floats = NO_ROWS
    ) -> tuple[Floats, Floats]:
        """Density [n, H, S] and aux [n, H, *] of the pairs (members[i], policies[policy_of[i]]).

        Compiled rows of a single pair may be kept in ``rows`` (`fastmfg.kernels.forms.Pairs`).
        """

    def densities_under(self, models: ModelClass, members: Integers, policy: Floats) -> tuple[Floats, Floats]:
        """Density [n, H, S] and aux [n, H, *] of members under one policy.

        Rows that the policy does not play may stay unlooked at, even where they are no distributions: for those who
        read all rows afterwards.
        """
        return self.densities(models, members, policy[None], np.zeros(members.size, dtype=np.int64))

    @abstractmethod
    def rewards(
        self, models: ModelClass, members: Integers, density: Floats, policies: Floats, policy_of: Integers
    ) -> Floats:
        """Rewards [n, H, S, A] of the pairs, whose densities [n, H, S] are given."""

    def condition(
        self, models: ModelClass, members: Integers, policies: Floats, policy_of: Integers, rows: Floats = NO_ROWS
    ) -> Conditionals:
        """Density, aux and rewards of the pairs at once."""
        density, aux = self.densities(models, members, policies, policy_of, rows)
        return Conditionals(density, aux, self.rewards(models, members, density, policies, policy_of))

    def subset(self, members: Integers) -> Self:
        """The source of some of the models."""
        return self

    def alike(self, models: ModelClass, members: Integers) -> bool:
        """Whether the models are surely the same under every policy: equal parameters; False where nobody knows."""
        first = models.thetas[members[0]]
        return all(np.array_equal(models.thetas[m], first) for m in members)

    def check(self, models: ModelClass) -> None:  # noqa: B027  most have nothing to ask
        """Ask users' functions once, when a class is made of them, so that a fault is met early."""


class PopulationSource(Source):
    """A source that answers step by step, at any population (flat: the density [S], or the joint [S*A])."""

    @abstractmethod
    def aux_at(self, models: ModelClass, member: int, h: int, population: Floats) -> tuple[int, Floats]:
        """Status of `prepare`, and what it leaves for `fill`, [*]."""

    @abstractmethod
    def transition_at(self, models: ModelClass, member: int, h: int, population: Floats) -> Floats:
        """One step's table [S, A, S]."""

    @abstractmethod
    def reward_at(self, models: ModelClass, member: int, h: int, population: Floats) -> Floats:
        """One step's rewards [S, A]."""


def require_room(models: ModelClass, n: int) -> None:
    """Raise MemoryError when n conditional models with their rewards do not fit into memory."""
    each = models.horizon * (models.n_states * (1 + models.n_actions) + models.aux_size)
    require_numbers(f"conditioning {n} models on a policy", n * each, "take a smaller game")
