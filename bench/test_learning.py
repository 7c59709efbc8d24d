"""The learner: trajectories against the authors' rule, and the time of one run.

The true model and the oracle's stream are drawn from the same seed as the class. Nothing here is random beyond that.
"""

from functools import partial

import naive
import numpy as np
import pytest

import fastmfg as mfg
from bench.work import Work, recorded
from fastmfg.executors import thread_count

SMALL, PAPER = (40, 20, 10, 3), (200, 100, 50, 3)  # models, S, A, H
WITHOUT_CLOCK = {SMALL: (8, 6, 3, 3), PAPER: SMALL}
SEEDS, FEW_SEEDS = range(201, 226), range(201, 204)
EPSILON, DELTA = 1e-3, 1e-3
RULES = {"default": {}, "authors": {"adversary": "first", "evidence": "paper", "max_rounds": 50}}


def title(size):
    return "{} models, S={} A={} H={}".format(*size)


def problem(size, seed):
    """A class, the index of the true model, and what `learn` is called with."""
    models = mfg.linear_class(*size, seed=seed)
    truth = int(np.random.default_rng(seed).integers(len(models)))
    return models, truth, {"epsilon": EPSILON, "delta": DELTA, "seed": seed}


def learn(size, seed, rule):
    """Trajectories, whether the bound was reached, and whether the true model was lost."""
    models, truth, settings = problem(size, seed)
    learned = mfg.learn(models, mfg.MeanFieldOracle(models[truth], seed=seed), **settings, **RULES[rule])
    lost = truth not in learned.survivors
    assert lost or mfg.ne_gap(models[truth], learned.policy) <= learned.ne_gap_bound + 1e-12
    return learned.trajectories, learned.certified, lost


def interval(ours, theirs, resamples=10_000):
    """The 95% bootstrap interval of the ratio of medians, seeds resampled in pairs."""
    chosen = np.random.default_rng(0).integers(0, ours.size, (resamples, ours.size))
    ratios = np.median(ours[chosen], axis=1) / np.median(theirs[chosen], axis=1)
    return np.quantile(ratios, [0.025, 0.975])


@pytest.mark.parametrize("size", [SMALL, PAPER], ids=["small", "paper"])
def test_samples(size, benchmark, note, timing, figure):
    key = "samples, paper's size" if size == PAPER else "samples, small"
    seeds = SEEDS if timing else FEW_SEEDS
    size = size if timing else WITHOUT_CLOCK[size]
    runs = benchmark.pedantic(
        lambda: {rule: np.array([learn(size, seed, rule) for seed in seeds]) for rule in RULES}, rounds=1
    )
    count = {rule: run[:, 0].astype(float) for rule, run in runs.items()}
    ours, theirs = (np.median(count[rule]) for rule in RULES)
    low, high = interval(*count.values())
    certified, lost = ([int(run[:, k].sum()) for run in runs.values()] for k in (1, 2))
    benchmark.extra_info.update({rule: run.tolist() for rule, run in runs.items()})
    benchmark.extra_info["ratio"] = [ours / theirs, low, high]
    counted = f"{ours:.0f} trajectories; the truth lost in {lost[0]} of {len(seeds)} runs"
    figure(key, counted, f"{ours / theirs:.3f} of the authors' {theirs:.0f}, 95% interval {low:.3f} to {high:.3f}")
    note(f"{title(size)}, {len(seeds)} seeds",
         f"medians {ours:.0f} against {theirs:.0f} trajectories  ratio {ours / theirs:.3f}, 95% interval {low:.3f} to "
         f"{high:.3f} (target 0.1)  bound reached by {certified[0]} against {certified[1]}  "
         f"true model lost in {lost[0]} against {lost[1]}")  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("size", [SMALL, PAPER], ids=["small", "paper"])
def test_learn(size, rule, meter, timing, monkeypatch):
    in_table = (size, rule) == (PAPER, "default")
    size = size if timing else WITHOUT_CLOCK[size]
    models, truth, settings = problem(size, 201)

    def run():
        oracle = mfg.MeanFieldOracle(models[truth], seed=201)
        return mfg.learn(models, oracle, **settings, **RULES[rule])

    with recorded(monkeypatch) as calls:
        learned = run()
    games = [models[int(m)] for m in learned.survivors]

    def twin():  # the bound alone: the gap of the returned policy in every survivor
        gap = partial(naive.ne_gap, pi=learned.policy)
        return max(gap(g.initial, g.transition, g.reward, legal=g.legal) for g in games)

    meter.check(lambda: learned.ne_gap_bound, twin)
    again = meter.benchmark.pedantic(run, rounds=5)
    assert (again.trajectories, again.ne_gap_bound) == (learned.trajectories, learned.ne_gap_bound)
    meter.report(f"{title(size)}, {rule}", sum(calls, Work()), None, threads=thread_count(),
                 more=f"  {learned.trajectories} trajectories, {len(learned.rounds)} rounds",
                 key="learn, paper's size" if in_table else None)  # fmt: skip
