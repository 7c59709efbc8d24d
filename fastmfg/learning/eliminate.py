"""ModelElim: samples in, survivors out (Huang, He, Krause 2024, Alg. 2 and Thm 4.2), with two rules of evidence.

``paper``: a round draws, for each step h, one trajectory of (pi, pi) and one of (dev, pi), and keeps the transition at
step h of each; a model survives within ``log(H T n (k+1) / delta)`` of the best log-likelihood, k earlier calls.

``anytime``: all H transitions of every trajectory count, over all rounds, calls and reference policies of a run; M is
dropped as soon as ``log sum_N exp(l(N)) - l(M) > log(n / delta)``, the sum being over the models left. For each N,
``exp(l(N) - l(M*))`` is a nonnegative supermartingale under M* that starts at 1, however policies are chosen from past
data; so is the mean over the n models, and still when terms leave it. By Ville's inequality it ever exceeds 1 / delta
with probability at most delta, and only then is the true model dropped. (The largest term alone, with
a union bound over N, gives the same threshold for ``max_N l(N) - l(M)``: never sooner. The sum counts where several
near models share the likelihood.)

Where rewards are unknown, observed rewards count with the transitions that they came with, in both rules.

With a `misspecification` the same holds where no model is exactly true (`fastmfg.learning.robust`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.comparing.conditional import ConditionalClass, condition_members
from fastmfg.equality import Result
from fastmfg.games.checks import Floats, Integers, float_array, frozen, policy_array, whole
from fastmfg.games.model_class import ModelClass, member_indices, require_class
from fastmfg.learning.adversary import ADVERSARIES, Adversary
from fastmfg.learning.likelihood import Transitions, all_transitions, log_likelihoods, transitions_at
from fastmfg.learning.options import EliminationOptions
from fastmfg.learning.oracle import Oracle, Sample, checked_sample, require_oracle
from fastmfg.learning.robust import refuse_unknown_rewards, robust_evidence
from fastmfg.planning.solve import solve_models


@dataclass(frozen=True, eq=False)
class Elimination(Result):
    """Outcome of one call of ModelElim; indices are those of the class passed in."""

    survivors: Integers  # [k]
    log_likelihood: Floats  # [M]   -inf for all but the survivors: who is out stays out
    trajectories: int
    rounds: int
    converged: bool  # no two survivors are farther apart than the tolerance, under any deviation
    eliminated_at: Integers  # [M]   trajectories of this call after which a model was dropped; -1: it was not
    allowance: Floats  # [M]   what misspecification allows a model to fall behind, above the threshold; else 0


Stop = Callable[[Integers], bool]
"""``stop(survivors)``: whether a caller needs no more samples; survivors are indices of the class."""

Watch = Callable[[Transitions], Any]
"""``watch(data)``: told of all that is weighed."""


def _unwatched(data: Transitions) -> None:
    """Nobody looks."""


class _Run:
    """The state of one call: who is alive, the log-likelihoods, what was drawn."""

    def __init__(
        self, conditional: ConditionalClass, oracle: Oracle, log_likelihood: Floats, threshold: float, mixed: bool,
        misspecification: float = 0.0, allowance: Floats | None = None, watch: Watch = _unwatched,
    ) -> None:  # fmt: skip
        refuse_unknown_rewards(conditional.models, misspecification)
        self.mixed = mixed  # models are compared with the sum of the likelihoods, not with the largest
        self.conditional, self.oracle, self.threshold = conditional, oracle, threshold
        self.misspecification, self.watch = misspecification, watch
        self.allowance = np.zeros(log_likelihood.size) if allowance is None else allowance.copy()  # [M]
        self.members = conditional.members
        self.alive = np.arange(self.members.size)  # positions in the conditional class
        self.log_likelihood = np.full(log_likelihood.size, -np.inf)  # [M]
        self.log_likelihood[self.members] = log_likelihood[self.members]
        self.eliminated_at = np.full(log_likelihood.size, -1, dtype=np.int64)
        self.trajectories = 0
        self._drop()  # evidence of earlier calls counts at once

    @property
    def survivors(self) -> Integers:
        return self.members[self.alive]

    def draw(self, deviation: Floats, n: int) -> Sample:
        f = self.conditional.models
        reference, rewarded = self.conditional.policy, f.reward_noise is not None
        sample = checked_sample(self.oracle, deviation, reference, n, f.common.initial, f.common.legal, rewarded)
        self.trajectories += n
        return sample

    def weigh(self, data: Transitions) -> None:
        """Add the data to the survivors' log-likelihoods and drop those that fell behind."""
        self.watch(data)
        if self.misspecification > 0:
            values, allowed = robust_evidence(self.conditional, self.alive, data, self.misspecification)
            self.log_likelihood[self.survivors] += values
            self.allowance[self.survivors] += allowed
        else:
            self.log_likelihood[self.survivors] += log_likelihoods(self.conditional, self.alive, data)
        self._drop()

    def _drop(self) -> None:
        values = self.log_likelihood[self.survivors]
        largest = values.max()
        evidence = largest + math.log(float(np.exp(values - largest).sum())) if self.mixed else largest
        kept = values >= evidence - self.threshold - self.allowance[self.survivors]
        self.eliminated_at[self.survivors[~kept]] = self.trajectories
        self.log_likelihood[self.survivors[~kept]] = -np.inf
        self.alive = self.alive[kept]


def _paper_round(run: _Run, deviation: Floats) -> None:
    """Alg. 2, step 2: for each step one trajectory of (pi, pi) and one of (dev, pi), one transition of each."""
    H = len(deviation)
    steps = np.arange(H)
    policies = (run.conditional.policy, deviation)
    run.weigh(Transitions.joined([transitions_at(*run.draw(policy, H), step=steps) for policy in policies]))


def _anytime_round(run: _Run, policies: list[Floats], enough: Stop) -> None:
    """One trajectory of each policy, weighed one at a time: a round may end after any."""
    for policy in policies:
        before = run.alive.size
        run.weigh(all_transitions(*run.draw(policy, 1)))
        if run.alive.size < before and enough(run.survivors):
            return


def run_elimination(
    conditional: ConditionalClass,
    adversary: Adversary,
    oracle: Oracle,
    options: EliminationOptions,
    log_likelihood: Floats,
    *,
    allowance: Floats | None = None,
    earlier_calls: int = 0,
    budget: float = math.inf,
    stop: Stop = lambda survivors: False,
    on_draw: Callable[[int, int], Any] = lambda trajectories, survivors: None,
    watch: Watch = _unwatched,
) -> Elimination:
    """Alg. 2 on checked input; ends early when `stop` says so or the budget of trajectories is spent.

    ``on_draw(trajectories of this call, survivors left)`` is called after every round.
    """
    H = conditional.models.horizon
    threshold = options.threshold(log_likelihood.size, H, earlier_calls)
    mixed = options.evidence == "anytime"
    run = _Run(conditional, oracle, log_likelihood, threshold, mixed, options.misspecification, allowance, watch)
    rounds = 0

    def enough(survivors: Integers) -> bool:
        return stop(survivors) or adversary.done(run.alive)

    while rounds < options.max_rounds and not enough(run.survivors):
        left = budget - run.trajectories
        if left < options.least_draw(H):
            break
        deviation = adversary.deviation(run.alive, run.log_likelihood[run.survivors])
        if options.evidence == "paper":
            _paper_round(run, deviation)
        else:
            # what information chooses discriminates at least as well as the reference policy itself
            pair = [conditional.policy, deviation]
            policies = [deviation] * (2 * H) if options.adversary == "information" else pair
            _anytime_round(run, policies[: int(min(left, len(policies)))], enough)
        rounds += 1
        on_draw(run.trajectories, run.alive.size)
    return Elimination(
        frozen(run.survivors),
        frozen(run.log_likelihood),
        run.trajectories,
        rounds,
        adversary.converged(run.alive),
        frozen(run.eliminated_at),
        frozen(run.allowance),
    )


def eliminate(
    models: ModelClass,
    oracle: Oracle,
    policy: ArrayLike,
    *,
    tolerance: float,
    delta: float,
    max_rounds: int = 50,
    adversary: str = "max",
    evidence: str = "anytime",
    candidates: Any = None,
    log_likelihood: ArrayLike | None = None,
    earlier_calls: int = 0,
    misspecification: float = 0.0,
    allowance: ArrayLike | None = None,
) -> Elimination:
    """ModelElim (Alg. 2): sample under a reference policy and drop the models that the data speak against.

    Parameters
    ----------
    models : ModelClass
        n models, the true one among them (realizability).
    oracle : Oracle
    policy : [H, S, A]
        The reference policy pi.
    tolerance : float > 0
        Stop when no two survivors are farther apart than this.
    delta : float in (0, 1)
        The true model is dropped with probability at most delta. With evidence "anytime" this covers a whole run
        that passes `log_likelihood` on; with "paper" each call.
    max_rounds : int
        T.
    adversary : "max", "first", "nash" or "information"
        Who chooses the deviations (`fastmfg.learning.adversary`). "nash" solves the candidates' games first.
    evidence : "anytime" or "paper"
    candidates : indices, optional
        Start from these models instead of all.
    log_likelihood : [M], optional
        What an earlier call left in `Elimination.log_likelihood`; zeros by default. -inf: out.
    earlier_calls : int
        k in the threshold of evidence "paper".
    misspecification : float in [0, 1)
        eta: no model need be true, but the rows of one are within eta (L1) of the true ones. That model then takes the
        place of the true one in all that is promised (`fastmfg.learning.robust`). Only where rewards are known.
    allowance : [M], optional
        What an earlier call left in `Elimination.allowance`; zeros by default.

    Raises
    ------
    RealizabilityError
        An observed transition, or a reward observed without noise, is impossible in every surviving model.
    ValueError, TypeError, IndexError
        Arguments out of range; an oracle that returns anything but trajectories of the game.

    Notes
    -----
    Only when ``converged`` is true do survivors lie within the tolerance of the true model: draw no conclusion from
    how many are left otherwise.
    """
    require_class("models", models)
    require_oracle(oracle)
    pi = policy_array("policy", policy, models.legal, models.horizon)
    n = len(models)
    options = EliminationOptions(
        tolerance=tolerance, delta=delta, max_rounds=max_rounds, adversary=adversary, evidence=evidence,
        misspecification=misspecification,
    )  # fmt: skip
    members = (
        np.arange(n, dtype=np.int64) if candidates is None else np.sort(member_indices("candidates", candidates, n))
    )
    evidence_so_far = np.zeros(n) if log_likelihood is None else _log_likelihood(log_likelihood, n, members)
    allowed = None if allowance is None else float_array("allowance", allowance, (n,))
    conditional = condition_members(models, pi, members)

    def equilibria(chosen: Integers) -> Floats:
        return np.stack([solution.policy for solution in solve_models(models, chosen, tol=options.tolerance / 2)])

    return run_elimination(
        conditional,
        ADVERSARIES[options.adversary](conditional, options.tolerance, equilibria),
        oracle,
        options,
        evidence_so_far,
        allowance=allowed,
        earlier_calls=whole("earlier_calls", earlier_calls, 0),
    )


def _log_likelihood(values: ArrayLike, n: int, candidates: Integers) -> Floats:
    given = np.asarray(values)
    if given.dtype.kind not in "fiu":
        raise TypeError(f"log_likelihood must hold real numbers, got dtype {given.dtype}")
    array = given.astype(np.float64)
    if array.shape != (n,):
        raise ValueError(f"log_likelihood must have shape [{n}], got {list(array.shape)}")
    bad = np.isnan(array) | (array == np.inf)
    if bad.any():
        i = int(np.argmax(bad))
        raise ValueError(f"log_likelihood[{i}] is {array[i]}: must be a number or -inf")
    if np.isneginf(array[candidates]).all():
        raise ValueError("log_likelihood is -inf for every candidate: none is left")
    return array
