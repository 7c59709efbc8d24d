"""Classes that are hard for learners, the numbers they are looked at with, and rounds that rest on certificates."""

from dataclasses import dataclass

import numpy as np

import fastmfg as mfg
from fastmfg.games.zoo import hard
from fastmfg.learning import certified
from fastmfg.learning.learn import eliminate_round
from fastmfg.learning.state import Plan, State
from fastmfg.planning.solution import Solution


def known(models):
    """Solutions in closed form."""
    return {
        m: Solution(policy, mfg.ne_gap(models[m], policy), 0, True, np.zeros(1), "closed form")
        for m, policy in enumerate(hard.equilibria(models))
    }


def solved(models):
    """Equilibria that are located: a loose gap does not locate one."""
    return dict(enumerate(mfg.solve_models(models, tol=1e-9)))


@dataclass(frozen=True)
class Hard:
    """A class, its equilibria, and settings of a learner."""

    make: object
    equilibria: object
    epsilon: float
    tolerance: float  # the radius is twice that

    @property
    def settings(self):
        return {"epsilon": self.epsilon, "tolerance": self.tolerance, "radius": 2 * self.tolerance, "delta": 0.05}


HARD = {
    **{f"sectors, {n} models": Hard(lambda n=n: hard.sectors(n), known, 0.032, 0.012) for n in (5, 8, 16, 32)},
    **{
        f"spirals, pull {pull}": Hard(lambda pull=pull: hard.spirals(5, pull=pull), known, 0.012, 0.0225)
        for pull in (0.1, 0.0, -0.1, -0.3)
    },
    "switch1d": Hard(hard.switch1d, known, 0.008, 0.015),
    "crowded everywhere": Hard(lambda: hard.crowded(16, scale=0.01), solved, 3e-4, 0.02),
    "two clusters": Hard(lambda: hard.two_clusters(16), solved, 1e-3, 0.03),
    "aggregated features": Hard(lambda: hard.aggregated(8, 24), solved, 1e-3, 0.05),
}


@dataclass(frozen=True)
class Certified:
    """A round that rests on its certificate."""

    certificate: str
    policies: int  # looked at to choose its reference
    before: int  # models
    survivors: int
    converged: bool


def rounds_by_certificates(models, oracle, equilibria, epsilon, tolerance, radius, delta, max_rounds=20_000):
    """Rounds of the certified search without the stopping bound, and the policy they end in.

    A round that converges and leaves more than half returns its policy, as the certificate says; so does one model.
    """
    plan = Plan.of(
        len(models), epsilon=epsilon, delta=delta, strategy="certified", adversary="max", evidence="anytime",
        tolerance=tolerance, radius=radius, max_rounds=max_rounds, max_trajectories=None, seed=0, identify=True,
    )  # fmt: skip
    run, rounds = State(models, oracle, plan, dict(equilibria)), []
    while run.alive.size > 1:
        before, chosen = run.alive.size, certified.choose(run)
        if chosen is None:
            return rounds, None
        outcome = eliminate_round(run, chosen, None)
        now = Certified(chosen.certificate, chosen.policies, before, outcome.survivors.size, outcome.converged)
        rounds.append(now)
        if now.certificate == "none" or not now.converged:
            return rounds, None
        if 2 * now.survivors > before:
            return rounds, run.candidates[chosen.candidate].policy
    return rounds, run.equilibrium(int(run.alive[0])).policy
