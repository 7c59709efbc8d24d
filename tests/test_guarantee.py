"""The promise of a run, tested so that it can fail: the true model is lost with probability at most delta.

The check allows as many losses as a coin of probability delta shows with error probability 1e-6. Given runs whose
threshold was set far too low, the same check must fail.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import binom

import fastmfg as mfg
from fastmfg.learning.options import EliminationOptions

ERROR = 1e-6
RUNS = [(60, 0.05), pytest.param(400, 0.2, marks=pytest.mark.statistics)]
"""How many, and delta: few runs tell a promise of 0.05 from one that is broken."""
RULES = [("anytime", "information"), ("anytime", "max"), ("paper", "first")]
CLASSES = {  # noisy rows and near models: a few transitions say little
    "two steps, eight models": {"n_models": 8, "n_states": 5, "horizon": 2, "scale": 0.3},
    "three steps, six models": {"n_models": 6, "n_states": 4, "horizon": 3, "scale": 0.5},
}


@dataclass(frozen=True)
class Run:
    """How one run ended."""

    kept: bool  # the true model survived
    dropped: int  # models eliminated
    bound: float  # on the NE gap, as the run states it
    gap: float  # the NE gap in the true model


def one_run(models, seed, evidence, adversary, delta):
    true = int(np.random.default_rng([1, seed]).integers(len(models)))
    oracle = mfg.MeanFieldOracle(models[true], seed=seed)
    out = mfg.learn(
        models, oracle, epsilon=0.01, delta=delta, evidence=evidence, adversary=adversary, max_trajectories=1000
    )
    kept = true in out.survivors
    return Run(kept, len(models) - out.survivors.size, out.ne_gap_bound, mfg.ne_gap(models[true], out.policy))


def many_runs(kind, evidence, adversary, n_runs, delta):
    models = mfg.linear_class(**CLASSES[kind], n_actions=3, d_phi=3, d_psi=3, seed=1)
    return [one_run(models, seed, evidence, adversary, delta) for seed in range(n_runs)]


def check_guarantee(runs, delta):
    """Fail unless losses, and bounds under the true gap, are as rare as delta allows, and none without a loss."""
    allowed = binom.ppf(1 - ERROR, len(runs), delta)
    lost = sum(not run.kept for run in runs)
    uncovered = [run for run in runs if run.bound < run.gap - 1e-9]
    assert not any(run.kept for run in uncovered), "a bound below the true gap although the true model survived"
    assert lost <= allowed, f"the true model was lost in {lost} of {len(runs)} runs, {allowed:.0f} are allowed"
    assert len(uncovered) <= allowed, f"{len(uncovered)} bounds do not hold, {allowed:.0f} may fail"


@pytest.mark.filterwarnings("ignore::fastmfg.learning.fit.ImplausibleWarning")  # where a run loses the truth
@pytest.mark.parametrize(("evidence", "adversary"), RULES)
@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize(("n_runs", "delta"), RUNS)
def test_the_true_model_is_kept(kind, evidence, adversary, n_runs, delta):
    runs = many_runs(kind, evidence, adversary, n_runs, delta)
    check_guarantee(runs, delta)
    # the promise was put at risk: most runs eliminated, and few were left with every model
    assert np.mean([run.dropped for run in runs]) >= 2


@pytest.mark.parametrize(("evidence", "adversary"), RULES)
@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize(("n_runs", "delta"), RUNS)
def test_a_threshold_set_too_low_is_caught(kind, evidence, adversary, n_runs, delta, monkeypatch):
    right = EliminationOptions.threshold

    def low(self, n_models, *args):
        """Far from where it should be; with the sum of n likelihoods, log n is where all models stand at first."""
        return 0.02 * right(self, n_models, *args) + (np.log(n_models) if self.evidence == "anytime" else 0.0)

    monkeypatch.setattr(EliminationOptions, "threshold", low)
    runs = many_runs(kind, evidence, adversary, n_runs, delta)
    with pytest.raises(AssertionError, match="the true model was lost"):
        check_guarantee(runs, delta)


def test_a_bound_below_the_gap_is_caught():
    runs = [Run(kept=True, dropped=3, bound=0.01, gap=0.009)] * 399
    check_guarantee(runs, 0.2)
    with pytest.raises(AssertionError, match="although the true model survived"):
        check_guarantee([*runs, Run(kept=True, dropped=3, bound=0.01, gap=0.011)], 0.2)
