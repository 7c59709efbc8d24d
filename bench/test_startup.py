"""Fresh processes: an import, a first result, commands with code at hand and without; each a process of its own.

What compiling takes is what a process with an empty cache takes longer than one that finds its code there.
"""

import json
import statistics
import subprocess
import sys

import pytest

import fastmfg as mfg
from bench.conftest import duration
from bench.processes import COMMAND, run

CLOCK = "import time; started = time.perf_counter(); import {}; print(time.perf_counter() - started)"

COMPILES = """
import numba
from numba.core import event
with event.install_recorder("numba:compile") as recorder:
    import fastmfg
print(len(recorder.buffer))
"""

MOST_MIB = 300
"""Target for the peak of `fastmfg learn`."""


def printed(code):
    """What a fresh Python prints, as a number."""
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


def test_import(benchmark, note, timing, figure):
    assert printed(COMPILES) == 0
    figure("import")
    seconds = {"fastmfg": [], "numba, numpy": []}

    def once():
        for modules, measured in seconds.items():
            measured.append(printed(CLOCK.format(modules)))

    benchmark.pedantic(once, rounds=11, warmup_rounds=1 if timing else 0)
    ours, dependencies = (statistics.median(measured) for measured in seconds.values())
    benchmark.extra_info.update(import_seconds=ours, dependencies_seconds=dependencies)
    if timing:
        fraction = f"{dependencies / ours:.2g} of it importing numba and NumPy"
        figure("import", duration(ours), fraction)
        note("fresh process", f"{ours:.3f} s (median of 11; target 0.6)  {fraction} ({dependencies:.3f} s)")
    else:
        note("fresh process", "compiles nothing (timing off)")


FIRST_RESULT = """
import fastmfg as mfg
print(mfg.solve(mfg.zoo.crowd_modelling_2d()).ne_gap)
"""


def test_first_result(benchmark, note, timing, figure, in_units):
    """A process that imports, makes a game, solves it and ends; it finds its code in the cache."""
    figure("first result")

    def once():
        done = run(FIRST_RESULT)
        assert 0.0 <= float(done.out) < 0.01
        return done.seconds

    once()
    seconds = benchmark.pedantic(lambda: [once() for _ in range(9 if timing else 1)], rounds=1)
    if timing:
        own = statistics.median(seconds)
        figure("first result", duration(own), in_units(own, 1.3))
        peers = "MFGLib 5.6-7.3 s, OpenSpiel 1.3-2 s, published"
        note("crowd_modelling_2d, warm cache", f"{duration(own)}, {in_units(own, 1.3)} ({peers})")


def cold_and_warm(code, *arguments, timing, tmp_path, rounds):
    """Runs with caches of their own, empty at first, and then filled; with timing off one, with the usual cache."""
    if not timing:
        return [run(code, *arguments)], [run(code, *arguments)]
    folders = [tmp_path / f"cache{i}" for i in range(rounds)]
    cold = [run(code, *arguments, cache=folder) for folder in folders]
    return cold, [run(code, *arguments, cache=folder) for folder in folders * max(1, 5 // rounds)]


def median(runs, what):
    return statistics.median(getattr(one, what) for one in runs)


SOLVE = "import fastmfg as mfg; print(mfg.solve(mfg.zoo.beach_bar()).ne_gap)"


def test_compiling_to_solve(benchmark, note, timing, figure, in_units, tmp_path):
    figure("compiling to solve")
    cold, warm = benchmark.pedantic(lambda: cold_and_warm(SOLVE, timing=timing, tmp_path=tmp_path, rounds=3), rounds=1)
    assert {float(one.out) for one in cold + warm} == {mfg.solve(mfg.zoo.beach_bar()).ne_gap}
    if timing:
        own = median(cold, "seconds") - median(warm, "seconds")
        figure("compiling to solve", duration(own), in_units(own, 4))
        busy = median(cold, "cpu_seconds") - median(warm, "cpu_seconds")
        note("beach_bar, empty cache", f"compiling takes {duration(own)}, {in_units(own, 4)}, {duration(busy)} of "
             f"processor time; then the process takes {duration(median(warm, 'seconds'))}")  # fmt: skip


SMALL = ["--models", 8, "--states", 6, "--actions", 3]


def test_learn_command(benchmark, note, timing, figure, in_units, tmp_path):
    """``fastmfg learn``, with pictures: the paper's experiment."""
    parts = ("learn, warm", "learn, cold", "compiling to learn")
    for part in parts:
        figure(part)
    arguments = ["learn", "--json", "--force", "--out", tmp_path / "run", *([] if timing else SMALL)]
    cold, warm = benchmark.pedantic(
        lambda: cold_and_warm(COMMAND, *arguments, timing=timing, tmp_path=tmp_path, rounds=1), rounds=1
    )
    for one in cold + warm:
        found = json.loads(one.out)
        assert found["certified"] and found["true_ne_gap"] <= found["ne_gap_bound"]
    assert (tmp_path / "run" / "models.png").stat().st_size > 0
    if not timing:
        return
    for part, runs, target in (("learn, warm", warm, 10), ("learn, cold", cold, 22)):
        own, peak = median(runs, "seconds"), median(runs, "peak")
        figure(part, f"{duration(own)}, peak {peak:.0f} MiB", in_units(own, target))
        note(part, f"{duration(own)}, {in_units(own, target)}; peak {peak:.0f} MiB (target {MOST_MIB})")
    own = median(cold, "seconds") - median(warm, "seconds")
    busy = median(cold, "cpu_seconds") - median(warm, "cpu_seconds")
    figure("compiling to learn", duration(own), in_units(own, 12))
    note("compiling to learn", f"{duration(own)}, {in_units(own, 12)}, {duration(busy)} of processor time")


def test_figure2_command(benchmark, note, timing, figure, in_units, tmp_path):
    """``fastmfg figure2``: a thousand equilibria and 25 runs."""
    figure("figure2")
    arguments = ["figure2", "--json", "--out", tmp_path / "run", *([] if timing else [*SMALL, "--classes", 1])]
    done = benchmark.pedantic(lambda: run(COMMAND, *arguments), rounds=1)
    assert json.loads(done.out) and (tmp_path / "run" / "figure2.png").stat().st_size > 0
    if timing:
        figure("figure2", f"{duration(done.seconds)}, peak {done.peak:.0f} MiB", in_units(done.seconds))
        note("figure2", f"{duration(done.seconds)}, {in_units(done.seconds)}; peak {done.peak:.0f} MiB")


LEARN_MANY = """
import sys
import fastmfg as mfg
models = mfg.linear_class(*map(int, sys.argv[1:]))
learned = mfg.learn(models, mfg.MeanFieldOracle(models[7]), epsilon=1e-3, delta=1e-3)
print(7 in learned.survivors and learned.certified)
"""
LEARN_ON_A_GRID = """
import sys
import numpy as np
import fastmfg as mfg
n, size, horizon = map(int, sys.argv[1:])
models = mfg.zoo.classes.build("kinetic_congestion", shape=(size, size), horizon=horizon, strength=np.linspace(0, 3, n))
uniform = models[0].uniform_policy()
epsilon = 0.01 * mfg.ne_gaps(models, uniform).max()
learned = mfg.learn(models, mfg.MeanFieldOracle(models[n // 2]), epsilon=epsilon, delta=1e-2)
print(n // 2 in learned.survivors and learned.certified)
"""
LARGE = {  # code, arguments, and small ones
    "learn among 10,000": (LEARN_MANY, (10_000, 100, 50, 3), (20, 6, 3, 3)),
    "learn on 316x316 cells": (LEARN_ON_A_GRID, (64, 316, 20), (4, 6, 4)),
}


@pytest.mark.parametrize("name", LARGE)
def test_large_class(name, benchmark, note, timing, figure, in_units):
    figure(name)
    code, arguments, small = LARGE[name]
    done = benchmark.pedantic(lambda: run(code, *(arguments if timing else small)), rounds=1)
    assert done.out == "True\n"
    if timing:
        memory = f"peak {done.peak / 1024:.2g} GiB"
        figure(name, f"{duration(done.seconds)}, {memory}", in_units(done.seconds))
        note(name, f"{duration(done.seconds)}, {in_units(done.seconds)}; {memory}")
