"""The learning loop: choose a reference policy, eliminate, until some policy is surely an equilibrium.

The heuristic strategy (Huang, He, Krause 2024, Alg. 7). Round: if some survivor's equilibrium scatters the survivors
(no neighbourhood holds more than half of them), eliminate with it; else eliminate with the equilibrium of the model
that is most crowded around itself.

The stopping rule: the true model survives with probability 1 - delta, hence the largest NE gap of a policy over the
survivors bounds its gap in the true model, for every policy at once. `learn` stops as soon as some equilibrium's bound
is at most epsilon, and returns the policy of the smallest bound. Equilibria are solved on demand.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmfg.comparing.conditional import ConditionalClass, condition_members, conditional_gaps
from fastmfg.comparing.neighbourhood import Neighbourhoods, find_neighbourhoods
from fastmfg.games.checks import Floats, Integers, choice, frozen, policy_array, real, whole
from fastmfg.games.game import Game
from fastmfg.games.model_class import ModelClass, require_class
from fastmfg.learning.adversary import ADVERSARIES
from fastmfg.learning.eliminate import EVIDENCE, Elimination, Settings, run_elimination
from fastmfg.learning.oracle import Oracle, require_oracle
from fastmfg.planning.solve import Solution, solve

STRATEGIES = ("heuristic",)
"""What `learn` can follow."""

STREAM = (3,)
"""First key of the random stream drawn here: one seed may serve a class, an oracle and a run."""


@dataclass(frozen=True)
class Round:
    """One round of the loop."""

    branch: str  # "scatter" or "crowd"
    reference_model: int  # whose equilibrium the population played
    neighbours: int  # the largest neighbourhood under it (scatter), or its model's own (crowd)
    decided: dict[str, int]  # pairs decided by each stage of counting neighbours
    survivors: int  # after the round
    trajectories: int  # of this round
    elimination_rounds: int
    converged: bool  # no two survivors farther apart than the tolerance under the reference policy
    ne_gap_bound: float  # smallest bound of a policy so far, over the survivors
    seconds: float


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


@dataclass
class _Candidate:
    """An equilibrium, and its NE gaps in the models alive when it was evaluated (NaN in others)."""

    policy: Floats
    gaps: Floats  # [M]


@dataclass(frozen=True)
class Plan:
    """The arguments of `learn`, checked."""

    epsilon: float
    radius: float
    budget: float
    seed: int
    identify: bool
    elimination: Settings

    @staticmethod
    def of(
        n_models: int, *, epsilon: float, delta: float, strategy: str, adversary: str, evidence: str,
        tolerance: float | None, radius: float | None, max_rounds: int, max_trajectories: int | None, seed: int,
        identify: bool = False,
    ) -> Plan:  # fmt: skip
        """Raises ValueError or TypeError, naming the argument and its value."""
        eps = real("epsilon", epsilon, 0.0)
        choice("strategy", strategy, STRATEGIES)
        elimination = Settings(
            tolerance=eps if tolerance is None else real("tolerance", tolerance, 0.0),
            delta=real("delta", delta, 0.0, 1.0),
            max_rounds=whole("max_rounds", max_rounds, 1),
            adversary=choice("adversary", adversary, tuple(ADVERSARIES)),
            evidence=choice("evidence", evidence, EVIDENCE),
            n_models=n_models,
        )
        return Plan(
            epsilon=eps,
            radius=eps / 10 if radius is None else real("radius", radius, 0.0, include_low=True),
            budget=math.inf if max_trajectories is None else whole("max_trajectories", max_trajectories, 0),
            seed=whole("seed", seed, 0),
            identify=identify,
            elimination=elimination,
        )


class _State:
    """A run in progress."""

    def __init__(self, models: ModelClass, oracle: Oracle, plan: Plan, solutions: dict[int, Solution]) -> None:
        n = len(models)
        self.models, self.oracle, self.plan = models, oracle, plan
        self.stream = np.random.default_rng(np.random.SeedSequence(plan.seed, spawn_key=STREAM))
        self.alive = np.arange(n, dtype=np.int64)
        self.log_likelihood = np.zeros(n)
        self.eliminated_at = np.full(n, -1, dtype=np.int64)
        self.trajectories = 0
        self.rounds: list[Round] = []
        self.solutions = solutions
        self.candidates: dict[int, _Candidate] = {}
        self.exhausted: set[int] = set()  # references that have converged: they tell no two survivors apart any more
        self.reference: int | None = None
        self.conditioned: tuple[tuple[int, int], ConditionalClass] | None = None

    def equilibrium(self, member: int) -> Solution:
        """The equilibrium of a member, solved at first demand; all others start from the first one's."""
        if member not in self.solutions:
            start = next(iter(self.solutions.values())).policy if self.solutions else None
            game = Game._of(self.models._family, member)
            self.solutions[member] = solve(game, tol=self.plan.epsilon / 2, initial_policy=start)
        return self.solutions[member]

    def equilibria(self, members: Integers) -> Floats:
        return np.stack([self.equilibrium(int(m)).policy for m in members])

    def conditional(self, member: int) -> ConditionalClass:
        """The survivors conditioned on a member's equilibrium; the last one is kept.

        Survivors only ever leave, so that their number says which they are.
        """
        key = (member, self.alive.size)
        if self.conditioned is None or self.conditioned[0] != key:
            policy = np.array(self.equilibrium(member).policy)
            self.conditioned = key, condition_members(self.models._family, policy, self.alive)
        return self.conditioned[1]

    def candidate(self, member: int) -> _Candidate:
        """A member's equilibrium with its gaps in all survivors."""
        if member not in self.candidates:
            gaps = np.full(len(self.models), np.nan)
            gaps[self.alive] = conditional_gaps(self.conditional(member))
            self.candidates[member] = _Candidate(self.equilibrium(member).policy, gaps)
        return self.candidates[member]

    def best(self) -> tuple[float, int]:
        """The smallest bound over the survivors, and whose equilibrium has it; the first evaluated wins a tie."""
        bounds = [(float(c.gaps[self.alive].max()), m) for m, c in self.candidates.items()]
        return min(bounds, key=lambda pair: pair[0], default=(math.inf, -1))

    def enough(self) -> bool:
        """Whether some policy's bound is met, and that is all that is wanted."""
        return not self.plan.identify and self.best()[0] <= self.plan.epsilon

    def order(self) -> list[int]:
        """Survivors in the order their equilibria are tried: likeliest first, or at random under the paper's rule."""
        if self.plan.elimination.evidence == "paper":
            return [int(m) for m in self.stream.permutation(self.alive)]
        return [int(m) for m in self.alive[np.argsort(-self.log_likelihood[self.alive], kind="stable")]]


def learn(
    models: ModelClass,
    oracle: Oracle,
    *,
    epsilon: float,
    delta: float,
    strategy: str = "heuristic",
    adversary: str = "information",
    evidence: str = "anytime",
    tolerance: float | None = None,
    radius: float | None = None,
    max_rounds: int = 50,
    max_trajectories: int | None = None,
    seed: int = 0,
    identify: bool = False,
    equilibria: Mapping[int, Solution] | None = None,
    on_round: Callable[[Round], Any] | None = None,
    on_draw: Callable[[int, int], Any] | None = None,
) -> Learned:
    """Learn an epsilon-NE of an unknown game from trajectories (Alg. 7 with the stopping rule above).

    Parameters
    ----------
    models : ModelClass
        Candidate models; the true one is among them. One model: its equilibrium is returned, nothing is sampled.
    oracle : Oracle
        Samples the true game.
    epsilon : float > 0
        Wanted bound on the NE gap, in units of reward.
    delta : float in (0, 1)
        Allowed probability that the true model is lost, and with it the bound (see `eliminate`).
    strategy : str
        One of `STRATEGIES`.
    adversary, evidence : str
        See `eliminate`. The authors' rule is ``adversary="first", evidence="paper"``.
    tolerance, radius : float, optional
        Tolerance of ModelElim (epsilon) and radius of neighbourhoods (epsilon / 10).
    max_rounds : int
        T, rounds of a call of ModelElim; also the most calls of it.
    max_trajectories : int, optional
        Stop before drawing more than this.
    seed : int
        Of the random choice of reference policies that the paper's rule of evidence makes; nothing else is random.
    identify : bool
        Go on until one model is left, whatever the bound.
    equilibria : mapping from model index to Solution, optional
        Equilibria already known (`solve_models`); others are solved on demand, to epsilon / 2.
    on_round : callable, optional
        Called with each finished `Round`.
    on_draw : callable, optional
        ``on_draw(trajectories, survivors)`` after every round of an elimination, counts of the whole run so far.

    Returns
    -------
    Learned
        Out of trajectories or rounds: the best policy so far with its bound, ``certified`` False. The bound holds
        with probability 1 - delta; it is the largest gap over the survivors, not an estimate.

    Raises
    ------
    RealizabilityError
        Every surviving model gives an observed transition probability 0.
    """
    require_class("models", models)
    require_oracle(oracle)
    for name, function in (("on_round", on_round), ("on_draw", on_draw)):
        if function is not None and not callable(function):
            raise TypeError(f"{name} must be a function, got {type(function).__name__}")
    plan = Plan.of(
        len(models), epsilon=epsilon, delta=delta, strategy=strategy, adversary=adversary, evidence=evidence,
        tolerance=tolerance, radius=radius, max_rounds=max_rounds, max_trajectories=max_trajectories, seed=seed,
        identify=identify,
    )  # fmt: skip
    state = _State(models, oracle, plan, _checked_equilibria(equilibria, models))
    while (reason := _finished(state)) is None:
        started = time.perf_counter()
        order = state.order()
        state.candidate(order[0])
        if state.enough():
            continue
        chosen = _choose(state, order)
        outcome = _eliminate(state, chosen, on_draw)
        state.rounds.append(
            Round(
                chosen.branch, chosen.member, chosen.neighbours, chosen.hoods.decided, outcome.survivors.size,
                outcome.trajectories, outcome.rounds, outcome.converged, state.best()[0], time.perf_counter() - started,
            )
        )  # fmt: skip
        if on_round is not None:
            on_round(state.rounds[-1])
    return _result(state, reason)


def _checked_equilibria(equilibria: Mapping[int, Solution] | None, models: ModelClass) -> dict[int, Solution]:
    if equilibria is not None and not isinstance(equilibria, Mapping):
        raise TypeError(f"equilibria must map model indices to Solutions, got {type(equilibria).__name__}")
    known = dict(equilibria or {})
    for member, solution in known.items():
        if whole("a key of equilibria", member, 0) >= len(models):
            raise IndexError(f"equilibria holds model {member}: model indices run from 0 to {len(models) - 1}")
        if not isinstance(solution, Solution):
            raise TypeError(f"equilibria[{member}] must be a Solution, got {type(solution).__name__}")
        policy_array(f"equilibria[{member}].policy", solution.policy, models.legal, models.horizon)
    return known


def _finished(state: _State) -> str | None:
    """Why the loop is over, or None; leaves at least one candidate behind when it is."""
    if state.alive.size == 1:
        state.candidate(int(state.alive[0]))
        return "bound" if state.best()[0] <= state.plan.epsilon else "one model left"
    if state.enough():
        return "bound"
    reason = None
    if len(state.rounds) >= state.plan.elimination.max_rounds:
        reason = "out of rounds"
    elif state.plan.budget - state.trajectories < _least_draw(state):
        reason = "out of trajectories"
    elif all(int(m) in state.exhausted for m in state.alive):
        reason = "nothing left to try"
    if reason is not None:
        likeliest = int(state.alive[np.argmax(state.log_likelihood[state.alive])])
        state.candidate(likeliest)
        reason = "bound" if state.enough() else reason
    return reason


def _least_draw(state: _State) -> int:
    return 2 * state.models.horizon if state.plan.elimination.evidence == "paper" else 1


@dataclass(frozen=True)
class _Choice:
    """A reference policy: the equilibrium of `member`."""

    branch: str
    member: int
    neighbours: int
    hoods: Neighbourhoods
    conditional: ConditionalClass


def _choose(state: _State, order: list[int]) -> _Choice:
    """Alg. 7: the first equilibrium that scatters the survivors, else that of the model most crowded around itself."""
    crowded: _Choice | None = None
    for member in order:
        if member in state.exhausted:
            continue
        conditional = state.conditional(member)
        hoods = find_neighbourhoods(conditional, state.plan.radius)
        largest = int(hoods.counts.max())
        if largest <= state.alive.size / 2:
            return _Choice("scatter", member, largest, hoods, conditional)
        own = int(hoods.counts[np.searchsorted(state.alive, member)])
        if crowded is None or (own, -member) > (crowded.neighbours, -crowded.member):
            crowded = _Choice("crowd", member, own, hoods, conditional)
    assert crowded is not None  # the loop ends before every survivor is exhausted
    return crowded


def _eliminate(state: _State, chosen: _Choice, on_draw: Callable[[int, int], Any] | None) -> Elimination:
    """One call of ModelElim with the reference model's equilibrium; ends early once the bound is met."""
    reference, conditional = chosen.member, chosen.conditional
    candidate = state.candidate(reference)
    adversary = ADVERSARIES[state.plan.elimination.adversary](
        conditional, state.plan.elimination.tolerance, state.equilibria
    )

    def stop(survivors: Integers) -> bool:
        met = bool(candidate.gaps[survivors].max() <= state.plan.epsilon)
        return survivors.size == 1 or (met and not state.plan.identify)

    before = state.trajectories

    def drawn(trajectories: int, survivors: int) -> None:
        if on_draw is not None:
            on_draw(before + trajectories, survivors)

    outcome = run_elimination(
        conditional, adversary, state.oracle, state.plan.elimination, state.log_likelihood,
        earlier_calls=len(state.rounds), budget=state.plan.budget - state.trajectories, stop=stop,
        on_draw=drawn,
    )  # fmt: skip
    dropped = outcome.eliminated_at >= 0
    state.eliminated_at[dropped] = state.trajectories + outcome.eliminated_at[dropped]
    if outcome.converged or outcome.rounds == 0:
        state.exhausted.add(reference)
    state.alive, state.log_likelihood = outcome.survivors.copy(), outcome.log_likelihood.copy()
    state.trajectories += outcome.trajectories
    state.reference = reference
    return outcome


def _result(state: _State, reason: str) -> Learned:
    bound, member = state.best()
    reference = None if state.reference is None else state.solutions[state.reference].policy
    return Learned(
        policy=state.candidates[member].policy,
        ne_gap_bound=bound,
        certified=bound <= state.plan.epsilon,
        survivors=frozen(state.alive),
        trajectories=state.trajectories,
        rounds=tuple(state.rounds),
        log_likelihood=frozen(state.log_likelihood),
        eliminated_at=frozen(state.eliminated_at),
        reference_policy=reference,
        stopped=reason,
    )
