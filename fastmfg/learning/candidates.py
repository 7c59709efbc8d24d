"""Candidate policies of a run: what is known of each, in the models that are left."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmfg.comparing.conditional import ConditionalClass, condition_members, conditional_gaps
from fastmfg.comparing.neighbourhood import (
    Neighbourhoods,
    count_neighbours,
    find_neighbourhoods,
)
from fastmfg.comparing.pivots import Counted
from fastmfg.comparing.tiles import Tiles
from fastmfg.executors import Executor
from fastmfg.games.checks import Floats, Integers
from fastmfg.games.model_class import ModelClass
from fastmfg.learning.equilibria import EquilibriumCache
from fastmfg.learning.evidence import Evidence
from fastmfg.learning.options import LearnOptions
from fastmfg.learning.recall import recalled_arrays
from fastmfg.planning.evaluate import ne_gaps

LARGE = 1000
"""Survivors from which on neighbours are counted only."""


@dataclass(frozen=True)
class Comparison:
    """Who is within the tolerance of whom under one policy."""

    members: Integers  # [n]
    near: NDArray[np.bool_] | None  # [n, n]   None: the class is large, its neighbourhoods were counted only
    counts: Integers  # [n]   models within the tolerance of each, itself included
    decided: dict[str, int]

    def among(self, some: Integers) -> Comparison | None:
        """Restricted to some of the members (sorted, as all index arrays here); None where that is not known."""
        if some.size == self.members.size:
            return self
        if self.near is None:
            return None
        near = self.near[np.ix_(*[np.searchsorted(self.members, some)] * 2)]
        return Comparison(some, near, near.sum(axis=1), self.decided)

    @property
    def converged(self) -> bool:
        """Whether an elimination with this policy has nothing to tell apart."""
        return bool((self.counts == self.members.size).all())


@dataclass
class Candidate:
    """A policy that was looked at. Neither gaps nor distances depend on data: they are computed once."""

    policy: Floats  # [H, S, A]
    source: str
    member: int  # whose equilibrium it is; -1: nobody's
    gaps: Floats | None = None  # [M]   NE gaps in the survivors when it was evaluated, NaN in others
    comparison: Comparison | None = None


def neighbourhoods_of(conditional: ConditionalClass, tolerance: float) -> Neighbourhoods:
    """Who is near whom; a run that goes on has it from its checkpoint."""
    n = conditional.members.size

    def compute() -> dict[str, NDArray[Any]]:
        hoods = find_neighbourhoods(conditional, tolerance)
        return {"near": np.packbits(hoods.near)} | {name: np.array(count) for name, count in hoods.decided.items()}

    inputs = (conditional.policy, conditional.members, np.array(tolerance))
    arrays = recalled_arrays("neighbourhoods", inputs, compute)
    near = np.unpackbits(arrays["near"], count=n * n).reshape(n, n).astype(np.bool_)
    return Neighbourhoods(near, {name: int(count.item()) for name, count in arrays.items() if name != "near"})


class CandidatePool:
    """Policies looked at, by number, in the order in which they came.

    What is asked of a candidate is computed at first demand, among the models that `evidence` says are left, and kept.
    """

    def __init__(
        self, models: ModelClass, evidence: Evidence, equilibria: EquilibriumCache, options: LearnOptions,
        executor: Executor | None = None,
    ) -> None:  # fmt: skip
        self.models, self.evidence, self.equilibria = models, evidence, equilibria
        self.options, self.executor = options, executor
        self.exhausted: set[int] = set()  # candidates that have converged: they tell no two survivors apart any more
        self._all: list[Candidate] = []
        self._number_of: dict[int, int] = {}  # of a member's equilibrium
        self._conditional: tuple[tuple[int, int], ConditionalClass] | None = None  # of a candidate, version of evidence

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, number: int) -> Candidate:
        return self._all[number]

    @property
    def large(self) -> bool:
        """Whether survivors are so many that neighbours are counted only: no array [n, n] is made."""
        return self.evidence.survivors.size > LARGE

    def register(self, policy: Floats, source: str, member: int = -1) -> int:
        """Remember a policy; its number."""
        self._all.append(Candidate(policy, source, member))
        return len(self._all) - 1

    def equilibrium(self, member: int) -> int:
        """The number of a member's equilibrium, which is solved at first demand."""
        if member not in self._number_of:
            policy = self.equilibria.get_or_solve(member).policy
            self._number_of[member] = self.register(policy, "equilibrium", member)
        return self._number_of[member]

    def is_exhausted(self, member: int) -> bool:
        """Whether the equilibrium of a member was a reference, and tells no two survivors apart any more."""
        return self._number_of.get(member) in self.exhausted

    def conditional(self, candidate: int) -> ConditionalClass:
        """The survivors conditioned on a candidate; the last one is kept."""
        key = (candidate, self.evidence.version)
        if self._conditional is None or self._conditional[0] != key:
            policy = np.array(self._all[candidate].policy)
            self._conditional = key, condition_members(self.models, policy, self.evidence.survivors)
        return self._conditional[1]

    def gaps(self, candidate: int) -> Floats:
        """NE gaps [M] of a candidate in the survivors; NaN in models that left before."""
        looked_at, survivors = self._all[candidate], self.evidence.survivors
        if looked_at.gaps is None:
            looked_at.gaps = np.full(len(self.models), np.nan)
            if self.executor is None:
                looked_at.gaps[survivors] = conditional_gaps(self.conditional(candidate))
            else:
                policy = np.array(looked_at.policy)
                looked_at.gaps[survivors] = ne_gaps(self.models, policy, survivors, executor=self.executor)
        return looked_at.gaps

    def compare(self, candidate: int) -> Comparison:
        """Who is near whom among the survivors under a candidate; computed once, then only restricted.

        In large classes neighbours are counted, anew when survivors have left.
        """
        looked_at, survivors = self._all[candidate], self.evidence.survivors
        known = None if looked_at.comparison is None else looked_at.comparison.among(survivors)
        if known is None:
            tolerance = self.options.elimination.tolerance
            if self.large:
                counted = self.count(candidate, tolerance)
                known = Comparison(survivors, None, counted.counts, counted.decided)
            else:
                hoods = neighbourhoods_of(self.conditional(candidate), tolerance)
                known = Comparison(survivors, hoods.near, hoods.counts, hoods.decided)
        looked_at.comparison = known
        return known

    def count(self, candidate: int, radius: float) -> Counted:
        """Sizes of the survivors' neighbourhoods under a candidate; of large classes the executor counts them."""
        if self.executor is None or not self.large:
            return count_neighbours(Tiles.of(self.conditional(candidate)), radius)
        policy = np.array(self._all[candidate].policy)
        return count_neighbours(Tiles(self.models, policy, self.evidence.survivors, None, self.executor), radius)

    def evaluated(self) -> list[tuple[int, Floats]]:
        """Numbers of the candidates whose gaps are known, with these [M]."""
        return [(number, each.gaps) for number, each in enumerate(self._all) if each.gaps is not None]

    def best(self) -> tuple[float, int]:
        """The smallest bound over the survivors, and which candidate has it; the first on a tie."""
        survivors = self.evidence.survivors
        bounds = [(float(gaps[survivors].max()), number) for number, gaps in self.evaluated()]
        return min(bounds, default=(math.inf, -1))

    def enough(self) -> bool:
        """Whether some policy's bound is met, and that is all that is wanted."""
        return not self.options.identify and self.best()[0] <= self.options.epsilon
