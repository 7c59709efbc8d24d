"""A run of the learner in progress: what is known, which policies were looked at, and what a finished run reports."""

from __future__ import annotations

import itertools
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
    neighbour_counts,
)
from fastmfg.comparing.pivots import Counted
from fastmfg.games.checks import Floats, Integers, choice, real, whole
from fastmfg.games.model_class import ModelClass
from fastmfg.learning.adversary import ADVERSARIES
from fastmfg.learning.eliminate import EVIDENCE, Settings
from fastmfg.learning.fit import Plausibility
from fastmfg.learning.oracle import Oracle
from fastmfg.learning.recall import recalled_arrays
from fastmfg.planning.evaluate import ne_gaps
from fastmfg.planning.solve import Solution, solve, solve_from

STRATEGIES = ("certified", "heuristic", "exact")
"""What `learn` can follow."""

LARGE = 1000
"""Survivors from which on neighbours are counted only."""

MOST_AHEAD = 256
"""Equilibria that an executor solves before they are asked for, at most."""

STREAM = (3,)
"""First key of the random streams drawn here: one seed may serve a class, an oracle and a run."""


@dataclass(frozen=True)
class Round:
    """One round of the loop."""

    branch: str  # "scatter": no neighbourhood holds more than half of the survivors; else "crowd"
    reference_model: int  # whose equilibrium the population played; -1: the policy is no model's equilibrium
    neighbours: int  # the largest neighbourhood under it (scatter), or its model's own (crowd, heuristic)
    decided: dict[str, int]  # pairs decided by each stage of counting neighbours
    survivors: int  # after the round
    trajectories: int  # of this round
    elimination_rounds: int
    converged: bool  # no two survivors farther apart than the tolerance under the reference policy
    ne_gap_bound: float  # smallest bound of a policy so far, over the survivors
    seconds: float
    source: str = "equilibrium"  # where the reference policy came from
    certificate: str = "none"  # "direct", "halving" or "bridge": what a converged elimination proves; or "none"
    margin: float = 0.0  # of the certificate, relative (`fastmfg.comparing.certificates`)
    policies: int = 1  # looked at to choose this one


@dataclass(frozen=True)
class Learned:
    """What `learn` found."""

    policy: Floats  # [H, S, A]
    ne_gap_bound: float  # largest NE gap of the policy over the survivors
    certified: bool  # ne_gap_bound <= epsilon
    survivors: Integers  # [k]   indices of the class
    trajectories: int
    rounds: tuple[Round, ...]
    log_likelihood: Floats  # [M]   -inf for all but the survivors
    eliminated_at: Integers  # [M]   trajectories after which a model was dropped; -1: it survived
    reference_policy: Floats | None  # [H, S, A]   of the last round; None when nothing was sampled
    stopped: str  # why: "bound", "one model left", "out of rounds", "out of trajectories", "nothing left to try"
    policies: int = 0  # policies looked at, over the whole run


@dataclass(frozen=True)
class Constants:
    """What the exact algorithm runs with."""

    steps: int  # N of the grid
    cells: tuple[tuple[int, int], ...] | None  # (h, s) that are covered; None: all that move a density
    radius: float  # eps0
    tolerance: float
    beta: float | None  # largest gap of the bridge policy in its centre; None where no Lipschitz constant is known


@dataclass(frozen=True)
class Plan:
    """The arguments of `learn`, checked."""

    epsilon: float
    radius: float
    budget: float
    seed: int
    identify: bool
    strategy: str
    elimination: Settings
    exact: Constants | None = None

    @staticmethod
    def of(
        n_models: int, *, epsilon: float, delta: float, strategy: str, adversary: str | None, evidence: str,
        tolerance: float | None, radius: float | None, max_rounds: int, max_trajectories: int | None, seed: int,
        identify: bool = False, exact: Constants | None = None, misspecification: float = 0.0,
    ) -> Plan:  # fmt: skip
        """Raises ValueError or TypeError, naming the argument and its value."""
        eps = real("epsilon", epsilon, 0.0)
        choice("strategy", strategy, STRATEGIES)
        if exact is not None:
            tolerance, radius = exact.tolerance, exact.radius
        if adversary is None:
            adversary = "max" if strategy == "exact" else "information"
        elimination = Settings(
            tolerance=eps if tolerance is None else real("tolerance", tolerance, 0.0),
            delta=real("delta", delta, 0.0, 1.0),
            max_rounds=whole("max_rounds", max_rounds, 1),
            adversary=choice("adversary", adversary, tuple(ADVERSARIES)),
            evidence=choice("evidence", evidence, EVIDENCE),
            n_models=n_models,
            misspecification=real("misspecification", misspecification, 0.0, 1.0, include_low=True),
        )
        wide = eps / 10 if strategy == "heuristic" else 2 * elimination.tolerance
        return Plan(
            epsilon=eps,
            radius=wide if radius is None else real("radius", radius, 0.0, include_low=True),
            budget=math.inf if max_trajectories is None else whole("max_trajectories", max_trajectories, 0),
            seed=whole("seed", seed, 0),
            identify=identify,
            strategy=strategy,
            elimination=elimination,
            exact=exact,
        )


@dataclass(frozen=True)
class Comparison:
    """Who is within the tolerance of whom under one policy."""

    members: Integers  # [n]
    near: NDArray[np.bool_] | None  # [n, n]   None: the class is large, its neighbourhoods were counted only
    counts: Integers  # [n]   models within the tolerance of each, itself included
    decided: dict[str, int]

    def among(self, alive: Integers) -> Comparison | None:
        """Restricted to some of the members (sorted, as all index arrays here); None where that is not known."""
        if alive.size == self.members.size:
            return self
        if self.near is None:
            return None
        near = self.near[np.ix_(*[np.searchsorted(self.members, alive)] * 2)]
        return Comparison(alive, near, near.sum(axis=1), self.decided)

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
    gaps: Floats | None = None  # [M]   NE gaps in the models alive when it was evaluated, NaN in others
    comparison: Comparison | None = None


@dataclass(frozen=True)
class Choice:
    """A reference policy for the next elimination, and why it was chosen."""

    branch: str
    candidate: int
    neighbours: int
    decided: dict[str, int]
    certificate: str = "none"
    margin: float = 0.0
    policies: int = 1


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


class State:
    """A run in progress."""

    def __init__(
        self, models: ModelClass, oracle: Oracle, plan: Plan, solutions: dict[int, Solution], executor: Any = None
    ) -> None:
        n = len(models)
        self.executor = executor
        self.queue: list[int] = []  # members in the order in which their equilibria may be asked for
        self.ahead: dict[int, Solution] = {}  # solved by the executor before they were asked for
        self.survivors: ModelClass = models  # as the executor needs them
        self.models, self.oracle, self.plan = models, oracle, plan
        self.stream = np.random.default_rng(np.random.SeedSequence(plan.seed, spawn_key=STREAM))
        self.alive = np.arange(n, dtype=np.int64)
        self.log_likelihood, self.allowance = np.zeros(n), np.zeros(n)
        self.plausibility = Plausibility(n)
        self.eliminated_at = np.full(n, -1, dtype=np.int64)
        self.trajectories = 0
        self.rounds: list[Round] = []
        self.solutions = solutions
        self.candidates: list[Candidate] = []
        self.candidate_of: dict[int, int] = {}  # a member, to the candidate that is its equilibrium
        self.exhausted: set[int] = set()  # candidates that have converged: they tell no two survivors apart any more
        self.reference: int | None = None
        self.searched = 0  # survivors at the last search that found nothing
        self.conditioned: tuple[tuple[int, int], ConditionalClass] | None = None

    def equilibrium(self, member: int) -> Solution:
        """The equilibrium of a member, solved at first demand; all others start from the first one's."""
        if member not in self.solutions:
            start = next(iter(self.solutions.values())).policy if self.solutions else None
            tol = self.plan.epsilon / 2
            if self.executor is None or start is None:
                self.solutions[member] = solve(self.models[member], tol=tol, initial_policy=start)
            else:
                if member not in self.ahead:
                    batch = self._next(member)
                    found = solve_from(self.models, batch, np.array(start), tol=tol, executor=self.executor)
                    self.ahead |= dict(zip(batch, found, strict=True))
                self.solutions[member] = self.ahead.pop(member)
        return self.solutions[member]

    def _next(self, member: int) -> list[int]:
        """A member, and those that may be asked for after it: as many as are known, so that few are for nothing."""
        after = self.queue[self.queue.index(member) + 1 :] if member in self.queue else []
        unknown = (m for m in after if m not in self.solutions and m not in self.ahead)
        return [member, *itertools.islice(unknown, min(len(self.solutions), MOST_AHEAD))]

    def equilibria(self, members: Integers) -> Floats:
        self.queue = members.tolist()
        return np.stack([self.equilibrium(int(m)).policy for m in members])

    def register(self, policy: Floats, source: str, member: int = -1) -> int:
        """Remember a policy; its number."""
        self.candidates.append(Candidate(policy, source, member))
        return len(self.candidates) - 1

    def equilibrium_candidate(self, member: int) -> int:
        """The number of a member's equilibrium."""
        if member not in self.candidate_of:
            self.candidate_of[member] = self.register(self.equilibrium(member).policy, "equilibrium", member)
        return self.candidate_of[member]

    def conditional(self, candidate: int) -> ConditionalClass:
        """The survivors conditioned on a candidate; the last one is kept.

        Survivors only ever leave, so that their number says which they are.
        """
        key = (candidate, self.alive.size)
        if self.conditioned is None or self.conditioned[0] != key:
            policy = np.array(self.candidates[candidate].policy)
            self.conditioned = key, condition_members(self.models, policy, self.alive)
        return self.conditioned[1]

    def gaps(self, candidate: int) -> Floats:
        """NE gaps [M] of a candidate in all survivors; computed at first demand."""
        looked_at = self.candidates[candidate]
        if looked_at.gaps is None:
            looked_at.gaps = np.full(len(self.models), np.nan)
            if self.executor is None:
                looked_at.gaps[self.alive] = conditional_gaps(self.conditional(candidate))
            else:
                policy = np.array(looked_at.policy)
                looked_at.gaps[self.alive] = ne_gaps(self.models, policy, self.alive, executor=self.executor)
        return looked_at.gaps

    def compare(self, candidate: int) -> Comparison:
        """Who is near whom among the survivors under a candidate; computed at first demand, then only restricted.

        In large classes neighbours are counted, anew when survivors have left: no array [n, n] is made.
        """
        looked_at = self.candidates[candidate]
        known = None if looked_at.comparison is None else looked_at.comparison.among(self.alive)
        if known is None:
            tolerance = self.plan.elimination.tolerance
            if self.alive.size > LARGE:
                counted = self.count(candidate, tolerance)
                known = Comparison(self.alive, None, counted.counts, counted.decided)
            else:
                hoods = neighbourhoods_of(self.conditional(candidate), tolerance)
                known = Comparison(self.alive, hoods.near, hoods.counts, hoods.decided)
        looked_at.comparison = known
        return known

    def count(self, candidate: int, radius: float) -> Counted:
        """Sizes of the survivors' neighbourhoods under a candidate; of large classes the executor counts them."""
        n = self.alive.size
        if self.executor is None or n <= LARGE:
            return count_neighbours(self.conditional(candidate), radius)
        if len(self.survivors) != n:
            self.survivors = self.models[self.alive]
        policy = np.array(self.candidates[candidate].policy)
        counts = neighbour_counts(self.survivors, policy, radius, executor=self.executor)
        return Counted(counts, {"elsewhere": n * (n - 1) // 2})

    def best(self, survivors: Integers | None = None) -> tuple[float, int]:
        """The smallest bound over the survivors, and which candidate has it; the first evaluated wins a tie."""
        alive = self.alive if survivors is None else survivors
        bounds = [(float(c.gaps[alive].max()), i) for i, c in enumerate(self.candidates) if c.gaps is not None]
        return min(bounds, default=(math.inf, -1))

    def enough(self, survivors: Integers | None = None) -> bool:
        """Whether some policy's bound is met, and that is all that is wanted."""
        return not self.plan.identify and self.best(survivors)[0] <= self.plan.epsilon

    def order(self) -> list[int]:
        """Survivors in the order their equilibria are tried: likeliest first, or at random under the paper's rule."""
        if self.plan.elimination.evidence == "paper":
            self.queue = self.stream.permutation(self.alive).tolist()
        else:
            self.queue = self.alive[np.argsort(-self.log_likelihood[self.alive], kind="stable")].tolist()
        return list(self.queue)
