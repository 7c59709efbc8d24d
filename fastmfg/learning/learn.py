"""The learning loop: choose a reference policy, eliminate, until some policy is surely an equilibrium.

Strategies choose the reference policy: `certified` (the default; polynomial, every round checked), `heuristic` (Huang,
He, Krause 2024, Alg. 7), `exact` (their Algs. 1 and 3, over an explicit cover of the policy space).

The stopping rule: the true model survives with probability 1 - delta, hence the largest NE gap of a policy over the
survivors bounds its gap in the true model, for every policy at once. `learn` stops as soon as some policy's bound is at
most epsilon, and returns the policy of the smallest bound. Equilibria are solved on demand.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from fastmfg.comparing.bridge import PolicyCover
from fastmfg.executors import Executor
from fastmfg.games.checks import Integers, frozen, policy_array, whole
from fastmfg.games.model_class import ModelClass, require_class
from fastmfg.learning import certified, exact, heuristic
from fastmfg.learning.adversary import ADVERSARIES
from fastmfg.learning.checkpoint import Checkpoint, recorded
from fastmfg.learning.eliminate import Elimination, run_elimination
from fastmfg.learning.likelihood import Transitions
from fastmfg.learning.mixtures import try_mixture
from fastmfg.learning.options import STRATEGIES, LearnOptions
from fastmfg.learning.oracle import Oracle, require_oracle
from fastmfg.learning.references import has_served
from fastmfg.learning.state import Choice, ExactPlan, Learned, Round, State
from fastmfg.planning.solve import Solution

__all__ = ["STRATEGIES", "LearnOptions", "Learned", "Round", "learn"]

CHOOSERS: dict[str, Callable[[State], Choice | None]] = {
    "certified": certified.choose,
    "heuristic": heuristic.choose,
    "exact": exact.choose,
}
"""How each strategy chooses; None where a bound was met on the way, or nothing is left to try."""


def learn(
    models: ModelClass,
    oracle: Oracle,
    *,
    epsilon: float,
    delta: float,
    strategy: str = "certified",
    adversary: str | None = None,
    evidence: str = "anytime",
    tolerance: float | None = None,
    radius: float | None = None,
    grid: int | PolicyCover | None = None,
    lipschitz: Sequence[float] | None = None,
    max_rounds: int = 50,
    max_trajectories: int | None = None,
    seed: int = 0,
    identify: bool = False,
    misspecification: float = 0.0,
    equilibria: Mapping[int, Solution] | None = None,
    on_round: Callable[[Round], Any] | None = None,
    on_draw: Callable[[int, int], Any] | None = None,
    executor: Executor | None = None,
    checkpoint: str | os.PathLike[str] | Checkpoint | None = None,
) -> Learned:
    """Learn an epsilon-NE of an unknown game from trajectories.

    Parameters
    ----------
    models : ModelClass
        Candidate models; the true one is among them. One model: its equilibrium is returned, nothing is sampled.
    oracle : Oracle
        Samples the true game; where the rewards of the class are unknown, with the rewards observed.
    epsilon : float > 0
        Wanted bound on the NE gap, in units of reward.
    delta : float in (0, 1)
        Allowed probability that the true model is lost, and with it the bound (see `eliminate`).
    strategy : str
        One of `STRATEGIES`: how reference policies are chosen.
    adversary, evidence : str
        See `eliminate`; by default the adversary is "information", or "max" with the exact strategy. The authors' rule
        is ``adversary="first", evidence="paper"``.
    tolerance, radius : float, optional
        Tolerance of ModelElim (epsilon), and radius of neighbourhoods (twice the tolerance; heuristic: epsilon / 10).
        Exact: epsilon / 8 and epsilon / 4, or what `lipschitz` gives.
    grid : int or PolicyCover, optional
        Of the exact strategy: N, policies of its cover are multiples of 1/N; or a cover of the cells that matter. Its
        points are counted first, and too many are refused. By default theory's N, from `lipschitz`.
    lipschitz : (L_T, L_r), optional
        Of the exact strategy: Lipschitz constants of transitions and rewards (L1), for rewards in [0, 1/H].
    max_rounds : int
        T, rounds of a call of ModelElim; also the most calls of it.
    max_trajectories : int, optional
        Stop before drawing more than this.
    seed : int
        Of the random choice of reference policies that the paper's rule of evidence makes; nothing else is random.
    identify : bool
        Go on until one model is left, whatever the bound.
    misspecification : float in [0, 1)
        Where no model is exactly true: some model's rows are within this of the true ones, L1 (see `eliminate`). Only
        where rewards are known.
    equilibria : mapping from model index to Solution, optional
        Equilibria already known (`solve_models`); others are solved on demand, to epsilon / 2.
    on_round : callable, optional
        Called with each finished `Round`.
    on_draw : callable, optional
        ``on_draw(trajectories, survivors)`` after every round of an elimination, counts of the whole run so far.
    executor : executor of concurrent.futures, or Dask client, optional
        Where NE gaps of policies in all survivors are computed, equilibria solved, some of them before they are asked
        for, and neighbours counted in large classes (`fastmfg.remote`): there that is most of the work. This process's
        threads by default. Policies, survivors and bounds are the same bytes either way; `Round.decided`
        may count other stages where neighbours are many.
    checkpoint : path or Checkpoint, optional
        A folder in which samples and equilibria are kept. Where it holds this run, up to an interruption or its end,
        the run goes on from there (`fastmfg.learning.checkpoint`); finished rounds are told of again.

    Returns
    -------
    Learned
        Out of trajectories or rounds: the best policy so far with its bound, ``certified`` False. The bound holds
        with probability 1 - delta; it is the largest gap over the survivors, not an estimate.

    Raises
    ------
    RealizabilityError
        An observed transition, or a reward observed without noise, is impossible in every surviving model.

    Warns
    -----
    ImplausibleWarning
        The samples are implausible under every surviving model: the true one is not among them, whatever the bound
        says. With the true model among them this happens with probability at most 1e-3 (`fastmfg.learning.fit`).
    CheckpointError
        `checkpoint` holds another run, or nothing that can be read.
    """
    require_class("models", models)
    require_oracle(oracle)
    for name, function in (("on_round", on_round), ("on_draw", on_draw)):
        if function is not None and not callable(function):
            raise TypeError(f"{name} must be a function, got {type(function).__name__}")
    options = LearnOptions(
        epsilon=epsilon, delta=delta, tolerance=tolerance, radius=radius, strategy=strategy, adversary=adversary,
        evidence=evidence, max_rounds=max_rounds, max_trajectories=max_trajectories, seed=seed, identify=identify,
        misspecification=misspecification,
    )  # fmt: skip
    options, plan = _planned(models, options, grid, lipschitz)
    known = _checked_equilibria(equilibria, models)
    settings = options.deciding() | {"exact": None if plan is None else asdict(plan)}
    with recorded(checkpoint, models, settings, oracle, known) as tape:
        state = State(models, options, plan, known, tape.equilibria, executor)
        return _run(state, tape.oracle, tape.finish_round, on_round, on_draw)


def _run(
    state: State, oracle: Oracle, finish_round: Callable[[int], Any], on_round: Callable[[Round], Any] | None,
    on_draw: Callable[[int, int], Any] | None,
) -> Learned:  # fmt: skip
    """The loop of rounds."""
    choose = CHOOSERS[state.options.strategy]
    while (reason := _finished(state)) is None:
        started = time.perf_counter()
        chosen = choose(state)
        if chosen is None:
            reason = _given_up(state, "nothing left to try")
            break
        reference, outcome = state.candidates[chosen.candidate], eliminate_under(state, oracle, chosen, on_draw)
        state.rounds.append(
            Round(
                branch=chosen.branch,
                reference_model=reference.member,
                neighbours=chosen.neighbours,
                decided=chosen.decided,
                survivors=outcome.survivors.size,
                trajectories=outcome.trajectories,
                elimination_rounds=outcome.rounds,
                converged=outcome.converged,
                ne_gap_bound=state.candidates.best()[0],
                seconds=time.perf_counter() - started,
                source=reference.source,
                certificate=chosen.certificate,
                margin=chosen.margin,
                policies=chosen.policies,
            )
        )
        finish_round(len(state.rounds))
        if on_round is not None:
            on_round(state.rounds[-1])
    return _result(state, reason)


def _planned(
    models: ModelClass, options: LearnOptions, grid: int | PolicyCover | None, lipschitz: Sequence[float] | None
) -> tuple[LearnOptions, ExactPlan | None]:
    """Of the exact strategy the cover, which is counted here, and the options that go with it."""
    if options.strategy == "exact":
        return exact.plan(models, options, grid, lipschitz)
    for name, value in (("grid", grid), ("lipschitz", lipschitz)):
        if value is not None:
            raise ValueError(f"{name} is of strategy 'exact' alone, the strategy is {options.strategy!r}")
    return options, None


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


def _finished(state: State) -> str | None:
    """Why the loop is over, or None; leaves at least one evaluated candidate behind when it is."""
    candidates, options, survivors = state.candidates, state.options, state.evidence.survivors
    if survivors.size == 1:
        candidates.gaps(candidates.equilibrium(int(survivors[0])))
        return "bound" if candidates.best()[0] <= options.epsilon else "one model left"
    if candidates.enough():
        return "bound"
    if state.models.source.alike(state.models, survivors):
        return _given_up(state, "models alike")
    if len(state.rounds) >= options.max_rounds:
        return _given_up(state, "out of rounds")
    if options.budget - state.evidence.trajectories < options.elimination.least_draw(state.models.horizon):
        return _given_up(state, "out of trajectories")
    return None


def _given_up(state: State, reason: str) -> str:
    """The reason, unless the likeliest model's equilibrium, which is looked at now, meets the bound."""
    likeliest = int(state.evidence.likeliest_first()[0])
    state.candidates.gaps(state.candidates.equilibrium(likeliest))
    return "bound" if state.candidates.enough() else reason


def eliminate_under(
    state: State, oracle: Oracle, chosen: Choice, on_draw: Callable[[int, int], Any] | None = None
) -> Elimination:
    """One call of ModelElim with the reference policy; ends early once some candidate's bound is met."""
    evidence, candidates, options = state.evidence, state.candidates, state.options
    conditional = candidates.conditional(chosen.candidate)
    candidates.gaps(chosen.candidate)
    rule = options.elimination
    adversary = ADVERSARIES[rule.adversary](conditional, rule.tolerance, state.equilibria.policies)
    started, before = evidence.survivors.size, evidence.trajectories

    def stop(survivors: Integers) -> bool:
        if evidence.narrow(survivors) and not options.identify and rule.evidence == "anytime":
            try_mixture(state)  # the paper's rule of evidence is kept as its authors have it
        return survivors.size == 1 or candidates.enough() or has_served(state, started, survivors.size)

    weighed: list[Transitions] = []

    def drawn(trajectories: int, survivors: int) -> None:
        if on_draw is not None:
            on_draw(before + trajectories, survivors)

    outcome = run_elimination(
        conditional, adversary, oracle, rule, evidence.log_likelihood, earlier_calls=len(state.rounds),
        budget=options.budget - before, stop=stop, on_draw=drawn, allowance=evidence.allowance,
        watch=weighed.append,
    )  # fmt: skip
    evidence.absorb(outcome)
    if weighed:  # counted for those that are left, who were there throughout
        positions = np.searchsorted(conditional.members, outcome.survivors)
        evidence.plausibility.add(conditional, positions, Transitions.joined(weighed))
    if outcome.converged or outcome.rounds == 0:
        candidates.exhausted.add(chosen.candidate)
    state.reference = chosen.candidate
    return outcome


def _result(state: State, reason: str) -> Learned:
    evidence, candidates = state.evidence, state.candidates
    evidence.plausibility.warn(evidence.survivors)
    bound, best = candidates.best()
    return Learned(
        policy=frozen(candidates[best].policy),
        ne_gap_bound=bound,
        certified=bound <= state.options.epsilon,
        survivors=frozen(evidence.survivors),
        trajectories=evidence.trajectories,
        rounds=tuple(state.rounds),
        log_likelihood=frozen(evidence.log_likelihood),
        eliminated_at=frozen(evidence.eliminated_at),
        reference_policy=None if state.reference is None else frozen(candidates[state.reference].policy),
        stopped=reason,
        policies=len(candidates.evaluated()),
    )
