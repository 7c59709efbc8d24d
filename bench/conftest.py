"""Fixtures of the benchmarks.

    pytest bench/ --benchmark-enable     measure: every benchmark checks its result, is timed, and prints a line
    pytest bench/                        check only: every benchmark runs once, most of them at a smaller size

A line says: name, size, median time, how many times faster than the slow twin in tests/naive.py (timed on a part where
the whole takes too long; most twins read ready tables of rows, while kernels fill rows as they go), and which fraction
was reached of what this machine does in plain loops, measured in the same run (work.py says what is counted). Above
the lines stand the processor and u (machine.py). `--benchmark-json FILE` keeps the numbers, `--figures FILE` what the
README's table is made of (table.py).
"""

import json
import statistics
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))  # naive.py, the slow twins

import numpy as np
from numpy.testing import assert_allclose

from bench.machine import measure_unit, processor, software
from bench.work import COUNTS, measure_limits

LINES = pytest.StashKey[list]()
LIMITS = pytest.StashKey[object]()
UNIT = pytest.StashKey[object]()
FIGURES = pytest.StashKey[dict]()


def pytest_addoption(parser):
    parser.addoption("--figures", metavar="FILE", help="write the figures of the README's table into this file")


def pytest_configure(config):
    config.stash[LINES], config.stash[FIGURES] = [], {}
    config.stash[LIMITS] = config.stash[UNIT] = None


def pytest_sessionfinish(session):
    file, stash = session.config.getoption("--figures"), session.config.stash
    if file is not None:
        machine = {"processor": processor(), "software": software(), "unit": stash[UNIT]}
        Path(file).write_text(json.dumps({"machine": machine, "figures": stash[FIGURES]}, indent=1), encoding="utf-8")


def pytest_terminal_summary(terminalreporter, config):
    terminalreporter.section("fastmfg benchmarks")
    terminalreporter.write_line(f"{processor()}; {software()}")
    if config.stash[UNIT] is not None:
        terminalreporter.write_line(f"u = {config.stash[UNIT]:.3g} s: 1e9 absolute differences by SciPy's cdist")
    if config.stash[LIMITS] is not None:
        terminalreporter.write_line(f"limits measured in this run: {config.stash[LIMITS]}")
    for line in config.stash[LINES]:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def timing(pytestconfig):
    """Whether benchmarks are timed; if not they run once, to see that they are right."""
    return pytestconfig.getoption("benchmark_enable") or not pytestconfig.getoption("benchmark_disable")


@pytest.fixture(scope="session")
def limits(pytestconfig, timing):
    """What plain loops reach on this machine, None with timing off."""
    if timing:
        pytestconfig.stash[LIMITS] = measure_limits()
    return pytestconfig.stash[LIMITS]


@pytest.fixture(scope="session", autouse=True)
def unit(pytestconfig, timing):
    """u in seconds, None with timing off."""
    if timing:
        pytestconfig.stash[UNIT] = measure_unit()
    return pytestconfig.stash[UNIT]


@pytest.fixture
def in_units(unit):
    """``in_units(seconds, target)``: seconds in u, as text."""
    return lambda seconds, target=None: f"{seconds / unit:.2g} u" + ("" if target is None else f" (target {target:g})")


@pytest.fixture
def figure(pytestconfig):
    """``figure(key, absolute, against)``: a row, or a part of one, of the README's table; the key alone: it was run."""

    def add(key, absolute="", against=""):
        pytestconfig.stash[FIGURES][key] = [absolute, against]

    return add


@pytest.fixture
def note(pytestconfig, request):
    """``note(size, text)``: a line for the summary at the end."""
    name = request.node.originalname.removeprefix("test_")

    def add(size, text):
        pytestconfig.stash[LINES].append(f"{name:<19} {size:<46} {text}")

    return add


@pytest.fixture
def meter(benchmark, limits, note, figure):
    return Meter(benchmark, limits, note, figure)


class Meter:
    """Checks, times and reports one benchmark."""

    def __init__(self, benchmark, limits, note, figure):
        self.benchmark, self.limits, self.note, self.figure = benchmark, limits, note, figure

    def kernel(self, kernel, args, size, result, twin, share=1.0, before=lambda: None, key=None):
        """Time ``kernel(*args)``. `result()` is the part of its output that `twin()` computes anew.

        `share` is the twin's share of the work, `before()` runs before every call, `key` names the figure.
        """

        def run():
            before()
            return kernel(*args)

        run()
        twin_seconds = self.check(result, twin) / share
        work = COUNTS[kernel.__name__](*args)
        self.benchmark(run)
        self.report(size, work, twin_seconds, key=key)

    def check(self, result, twin):
        """Assert that the result is the twin's; the seconds the twin takes."""
        seconds = []
        while sum(seconds) < 0.3 and len(seconds) < 3:
            started = time.perf_counter()
            expected = twin()
            seconds.append(time.perf_counter() - started)
            assert_close(result(), expected)
            if self.limits is None:
                break
        return statistics.median(seconds)

    def report(self, size, work, twin_seconds, *, threads=1, per=1, unit="", more="", key=None):
        """One line; `per` results of a run are reported each, as so many seconds a `unit`. `key`: also a figure."""
        if key is not None:
            self.figure(key)
        if self.limits is None:
            self.note(size, "right (timing off)")
            return
        seconds = self.benchmark.stats.stats.median
        fraction = self.limits.seconds(work) / threads / seconds
        info = {"per_unit_seconds": seconds / per, "fraction": fraction}
        speed = ""
        if twin_seconds is not None:
            info["speedup"] = speedup = twin_seconds / seconds
            speed = f"{speedup:,.{0 if speedup >= 10 else 1}f} x the naive twin  "
        self.benchmark.extra_info.update(info, work=vars(work), limits=vars(self.limits))
        if key is not None:
            self.figure(key, duration(seconds / per), f"{fraction:.2g} of plain loops")
        threads_text = "1 thread" if threads == 1 else f"{threads} threads"
        self.note(
            size,
            f"{duration(seconds / per)}{unit}  {speed}"
            f"fraction {fraction:.2g} of {threads_text} ({work * (1 / per)}{unit}){more}",
        )


def assert_close(result, expected):
    if isinstance(expected, tuple):
        for part, other in zip(result, expected, strict=True):
            assert_close(part, other)
    else:
        assert_allclose(result, np.asarray(expected), rtol=1e-10, atol=1e-12)


def duration(seconds):
    for name, scale in (("s", 1.0), ("ms", 1e3)):
        if seconds * scale >= 1.0:
            return f"{seconds * scale:.3g} {name}"
    return f"{seconds * 1e6:.3g} us"
