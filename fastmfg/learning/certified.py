"""The certified choice of a reference policy: a search over cheap candidates, each of which is checked.

A policy is used when the *direct certificate* holds (`fastmfg.comparing.certificates`): no survivor has both a majority
of the survivors within the tolerance, and an NE gap over epsilon. Then an elimination that converges either halves the
class or leaves survivors in all of which the policy's gap is at most epsilon. A halving or a bridge certificate that
proves anything comes with a direct one (see there): rounds have this one or none, and no Lipschitz constant is needed.
Whoever proposes the policy, the check is the same; the search needs polynomial time, where the exact algorithm (Huang,
He, Krause 2024, Algs. 1 and 3) covers the policy space. Candidates, in this order:

1. the survivors' equilibria, the likeliest first, and policies of earlier rounds; then tighter equilibria,
2. steps from the best of these towards a best response in the central model,
3. policies on the way to an equilibrium of the soft bridge model (`fastmfg.comparing.bridge`),
4. bisections between equilibria with different central models,
5. random policies: spread ones, which halve small classes, and deterministic ones,
6. for tiny classes, an explicit cover: its most scattering point, and the equilibrium of its bridge model.

Of certified policies the one that brings most information a trajectory is used (`fastmfg.learning.references`): the
first that the search finds is compared with those found before, and with policies that gather the crowd.

Stages 2 to 6 look at fewer policies where one look is dear (`MOST_ENTRIES`). Where nothing is certified the policy with
the fewest models near one that rejects it is used, and nothing is claimed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fastmfg.comparing.bridge import BridgeModel, PolicyCover, SoftBridge
from fastmfg.comparing.certificates import CLEAR, certify_direct, near_distances
from fastmfg.games.checks import Floats
from fastmfg.learning.recall import recalled
from fastmfg.learning.references import better_references, by_information
from fastmfg.learning.state import Choice, State
from fastmfg.planning.anderson import Anderson
from fastmfg.planning.attempts import LADDER
from fastmfg.planning.evaluation import Evaluation, evaluation_of
from fastmfg.planning.policy_aware import as_game
from fastmfg.planning.solve import solve
from fastmfg.streams import Stream

MIXING_STEPS = 30
"""Steps towards best responses, of stages 2 and 3."""

ANDERSON_STEPS = 40
"""Iterations of Anderson acceleration on the soft bridge, for each step size."""

SOFTNESS = 0.5
"""rho of the soft bridge: results were alike from 0.1 to 1."""

TIGHT = 0.01
"""An equilibrium is located once its gap is this small a part of epsilon."""

TIGHT_EQUILIBRIA, TIGHT_ITERATIONS = 32, 300
"""How many equilibria are solved tightly where the loose ones were of no use, and iterations of each."""

BISECTIONS, HALVINGS = 10, 8
"""Pairs of equilibria that are bisected, and how often each."""

LEAST_LOOKS, MOST_ENTRIES = 50, 5_000_000_000_000
"""Policies that the later stages look at, at least, and entries of rows that comparing models under them takes."""

SPREAD, CORNERS, CONCENTRATION = 60, 40, 0.3
"""Random policies: so many from a Dirichlet distribution of this concentration, and so many deterministic ones."""

COVER_STEPS, COVER_POINTS = (4, 2), 20_000
"""Grids of the explicit cover, and the points it may have."""


@dataclass(frozen=True)
class Verdict:
    """What the direct certificate says of a candidate among the survivors."""

    candidate: int
    count: int  # the largest |K(M)| among survivors with a gap over epsilon
    largest: int  # the largest |K(M)| of all
    holds: bool
    useless: bool  # no two survivors are farther apart than the tolerance: nothing can be eliminated


def choose(state: State) -> Choice | None:
    """The first certified policy of the search, or one more informative; else the one nearest to a certificate.

    None when a bound is met on the way, or no candidate tells any two survivors apart.
    """
    search = Search(state)
    for candidate in search.candidates():
        state.candidates.gaps(candidate)
        if state.candidates.enough():
            return None
        verdict = search.look(candidate)
        if verdict.holds and not verdict.useless:
            return search.most_informative(verdict)
    state.searched = state.evidence.version
    return search.fallback()


class Search:
    """One search among the survivors of a run."""

    def __init__(self, state: State) -> None:
        self.state, self.pool, self.options = state, state.candidates, state.options
        self.survivors = state.evidence.survivors  # nothing is sampled during a search
        self.order = state.order_survivors()
        self.verdicts: dict[int, Verdict] = {}

    def look(self, candidate: int) -> Verdict:
        """Check a candidate against the survivors."""
        comparison = self.pool.compare(candidate)
        counts = comparison.counts
        rejecting = self.pool.gaps(candidate)[self.survivors] > self.options.epsilon
        count = int(counts[rejecting].max(initial=0))
        holds = count <= self.survivors.size // 2
        self.verdicts[candidate] = Verdict(candidate, count, int(counts.max()), holds, comparison.converged)
        return self.verdicts[candidate]

    def choice(self, verdict: Verdict, certificate: str) -> Choice:
        margin = self._margin(verdict.candidate)
        branch = "scatter" if verdict.largest <= self.survivors.size // 2 else "crowd"
        decided = self.pool.compare(verdict.candidate).decided
        return Choice(branch, verdict.candidate, verdict.largest, decided, certificate, margin, len(self.verdicts))

    def _margin(self, candidate: int) -> float:
        """The certificate's margin; in large classes 0, or CLEAR where no tolerance up to so much larger denies it."""
        tolerance = self.options.elimination.tolerance
        if self.pool.large:
            wider = self.pool.count(candidate, (1.0 + CLEAR) * tolerance)
            return CLEAR if int(wider.counts.max()) <= self.survivors.size // 2 else 0.0
        conditional = self.pool.conditional(candidate)
        gaps, epsilon = self.pool.gaps(candidate)[self.survivors], self.options.epsilon

        def compute() -> Floats:
            near = near_distances(conditional, tolerance)
            return np.array(certify_direct(near, gaps, epsilon, self.survivors).margin)

        inputs = (conditional.policy, gaps, self.survivors, np.array([tolerance, epsilon]))
        return float(recalled("margin", inputs, compute).item())

    def most_informative(self, first: Verdict) -> Choice | None:
        """Of this certified policy, and others that are certified too, the one that brings most information.

        None when a bound is met on the way.
        """
        state = self.state
        for candidate in better_references(state, first.candidate) if by_information(state) else []:
            self.pool.gaps(candidate)
            if self.pool.enough():
                return None
            verdict = self.look(candidate)
            if verdict.holds and not verdict.useless:
                return self.choice(verdict, "direct")
        return self.choice(first, "direct")

    def fallback(self) -> Choice | None:
        """The candidate with the smallest count that still tells survivors apart; the first on a tie."""
        usable = [v for v in self.verdicts.values() if not v.useless and v.candidate not in self.pool.exhausted]
        best = min(usable, key=lambda verdict: verdict.count, default=None)
        return None if best is None else self.choice(best, "none")

    # Candidates

    def candidates(self) -> Iterator[int]:
        """Numbers of candidates, one at a time: each is looked at before the next is asked for."""
        state = self.state
        likeliest = self.pool.equilibrium(self.order[0])
        yield likeliest
        known = [i for i in range(len(self.pool)) if i != likeliest]
        yield from known
        for member in self.order[1:]:
            candidate = self.pool.equilibrium(member)
            if candidate not in self.verdicts:
                yield candidate
        if state.searched == state.evidence.version:  # nothing has changed since all this was tried
            return
        yield from itertools.islice(self._later_stages(), self._affordable())

    def _affordable(self) -> int:
        """How many policies are looked at beyond the equilibria: all of them but in large classes of large games."""
        n = self.survivors.size
        return max(LEAST_LOOKS, MOST_ENTRIES // (n * n * self.state.models.row_entries))

    def _later_stages(self) -> Iterator[int]:
        yield from self._tight_equilibria()
        centred = self._least_gap_in_own_centre()
        yield from self._towards_centre(centred)
        yield from self._soft_bridge(self._least_gap_in_own_centre())
        yield from self._bisections()
        yield from self._random()
        yield from self._cover()

    def _new(self, policy: Floats, source: str) -> int:
        return self.pool.register(policy, source)

    def _tight_equilibria(self) -> Iterator[int]:
        """Equilibria of the likeliest survivors anew: a loose gap does not locate one in a flat game."""
        tol = TIGHT * self.options.epsilon
        state = self.state
        for member in self.order[:TIGHT_EQUILIBRIA]:
            loose = state.equilibria.get_or_solve(member)
            if loose.ne_gap > tol:
                game = state.models[member]
                tight = solve(game, tol=tol, max_iterations=TIGHT_ITERATIONS, initial_policy=loose.policy)
                yield self._new(tight.policy, "equilibrium")

    def _central(self, candidate: int) -> int:
        """The central model under a candidate, an index of the class."""
        return int(self.survivors[self.pool.count(candidate, self.options.neighbourhood_radius).central])

    def _least_gap_in_own_centre(self) -> int:
        """The candidate looked at whose gap in its own central model is smallest."""
        return min(self.verdicts, key=lambda candidate: self.pool.gaps(candidate)[self._central(candidate)])

    def _towards_centre(self, candidate: int) -> Iterator[int]:
        """``pi += (BR_Ctr(pi) - pi) / (t + 2)``."""
        state = self.state
        for t in range(MIXING_STEPS):
            policy = np.array(self.pool[candidate].policy)
            game = state.models[self._central(candidate)]
            response = evaluation_of(game, policy).best_response
            candidate = self._new(policy + (response - policy) / (t + 2), "centre")
            yield candidate

    def _soft_bridge(self, start: int) -> Iterator[int]:
        """Best-response mixing on the soft bridge, then Anderson acceleration with each step of the ladder."""
        state = self.state
        game = as_game(SoftBridge(state.models, self.options.neighbourhood_radius, SOFTNESS, candidates=self.survivors))
        last = best = evaluation_of(game, np.array(self.pool[start].policy))
        for t in range(MIXING_STEPS):
            if self._located(last):
                return
            last = evaluation_of(game, last.policy + (last.best_response - last.policy) / (t + 2))
            best = last if last.gap < best.gap else best
            yield self._new(last.policy, "soft bridge")
        for step in LADDER:
            method, last = Anderson(step=step, memory=6), best
            for _ in range(ANDERSON_STEPS):
                last = evaluation_of(game, method(last))
                best = last if last.gap < best.gap else best
                yield self._new(last.policy, "soft bridge")
                if self._located(last):
                    return

    def _located(self, last: Evaluation) -> bool:
        return last.gap <= TIGHT * self.options.epsilon

    def _bisections(self) -> Iterator[int]:
        """Where the central model switches between two equilibria."""
        ends = [(self.pool.equilibrium(m), self._central(self.pool.equilibrium(m))) for m in self.order]
        pairs = [(a, b) for a, b in itertools.pairwise(ends) if a[1] != b[1]]
        for (left, centre), (right, _) in pairs[:BISECTIONS]:
            low, high = (np.array(self.pool[end].policy) for end in (left, right))
            for _ in range(HALVINGS):
                middle = self._new((low + high) / 2, "bisection")
                yield middle
                if self._central(middle) == centre:
                    low = self.pool[middle].policy
                else:
                    high = self.pool[middle].policy

    def _random(self) -> Iterator[int]:
        state = self.state
        stream = Stream.REFERENCES.generator(self.options.seed, len(state.rounds))
        legal = np.broadcast_to(state.models.legal, self.pool[0].policy.shape)
        for _ in range(SPREAD):
            drawn = np.where(legal, stream.gamma(CONCENTRATION, size=legal.shape) + np.finfo(float).tiny, 0.0)
            yield self._new(drawn / drawn.sum(axis=-1, keepdims=True), "random")
        for _ in range(CORNERS):
            actions = np.where(legal, stream.random(legal.shape), -1.0).argmax(axis=-1)
            yield self._new(np.eye(legal.shape[-1])[actions], "random")

    def _cover(self) -> Iterator[int]:
        """The explicit cover, where it is small: its most scattering point, and its bridge policy."""
        state = self.state
        for steps in COVER_STEPS:
            try:
                cover = PolicyCover(state.models, steps, limit=COVER_POINTS // self.survivors.size)
            except ValueError:  # too many points: a coarser grid, or none
                continue
            model = BridgeModel(state.models, self.options.neighbourhood_radius, candidates=self.survivors, cover=cover)
            yield self._new(cover.policy(model.centres.scattering), "cover")
            yield self._new(solve(model, tol=TIGHT * self.options.epsilon).policy, "cover")
            return
