"""The learner: trajectories against the authors' rule, and the time and memory of one run.

The true model and the oracle's stream are drawn from the same seed as the class. Nothing here is random beyond that.
"""

import json
import os
import subprocess
import sys
import time
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
def test_samples(size, benchmark, note, timing):
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
    note(f"{title(size)}, {len(seeds)} seeds",
         f"medians {ours:.0f} against {theirs:.0f} trajectories  ratio {ours / theirs:.3f}, 95% interval {low:.3f} to "
         f"{high:.3f} (target 0.1)  bound reached by {certified[0]} against {certified[1]}  "
         f"true model lost in {lost[0]} against {lost[1]}")  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("size", [SMALL, PAPER], ids=["small", "paper"])
def test_learn(size, rule, meter, timing, monkeypatch):
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
                 more=f"  {learned.trajectories} trajectories, {len(learned.rounds)} rounds")  # fmt: skip


COMMAND = """
import json, sys, time
started = time.perf_counter()
import fastmfg as mfg
models = mfg.linear_class(*map(int, sys.argv[1:5]))
learned = mfg.learn(models, mfg.MeanFieldOracle(models[7]), epsilon=1e-3, delta=1e-3)
seconds = time.perf_counter() - started
try:  # the peak of this process alone: what getrusage reports counts the parent's memory before exec
    peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
except OSError:
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)
print(json.dumps([seconds, peak / 1024, learned.survivors.tolist(), learned.ne_gap_bound]))
"""


@pytest.mark.parametrize("cache", ["warm", "cold"])
def test_fresh_process(cache, benchmark, note, timing, tmp_path):
    """Import, generate, learn in a process of its own, as a command does."""
    if cache == "cold" and not timing:
        pytest.skip("compiles every kernel: only with the clock on")
    size = PAPER if timing else SMALL
    environment = os.environ | ({"NUMBA_CACHE_DIR": str(tmp_path)} if cache == "cold" else {})
    results = []

    def run():
        command = [sys.executable, "-c", COMMAND, *map(str, size)]
        started = time.perf_counter()
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        results.append([time.perf_counter() - started, *json.loads(done.stdout)])

    warm = timing and cache == "warm"
    benchmark.pedantic(run, rounds=5 if warm else 1, warmup_rounds=1 if warm else 0)
    _, _, _, survivors, bound = results[-1]
    assert 7 in survivors and bound <= EPSILON
    whole, inside, peak = np.median([result[:3] for result in results[warm:]], axis=0)
    benchmark.extra_info.update(whole_seconds=whole, inside_seconds=inside, peak_mib=peak)
    target = "8 s, 1024 MiB" if cache == "warm" else "60 s"
    note(f"{title(size)}, {cache} cache", f"{whole:.2f} s, of which {inside:.2f} s import, generate and learn  "
         f"peak memory {peak:.0f} MiB (target {target})" if timing else "right (timing off)")  # fmt: skip
