"""The machine that figures are measured on, and u, in which seconds of different machines are compared.

u is the time that SciPy's `cdist` takes for 1e9 absolute differences, on one thread, over rows of the paper's size.
"""

import os
import platform
import sys
from pathlib import Path

import llvmlite.binding
import numba
import numpy as np

ROWS, LENGTH = 1000, 100
"""Rows on either side, and entries of a row: 1e8 differences a call."""


def measure_unit(repeats=5):
    """Measure u: seconds, from the fastest of several calls."""
    from scipy.spatial.distance import cdist

    from bench.work import best_seconds

    X, Y = np.random.default_rng(0).random((2, ROWS, LENGTH))
    out = np.empty((ROWS, ROWS))
    return best_seconds(lambda: cdist(X, Y, "cityblock", out=out), repeats) * 1e9 / (ROWS * ROWS * LENGTH)


def processor():
    """Name and number of processors, and what the compiler takes them for."""
    name = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = [line for line in information.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    kind = os.environ.get("NUMBA_CPU_NAME") or llvmlite.binding.get_host_cpu_name()
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name} ({kind}), {count} processor{'' if count == 1 else 's'}"


def software():
    """Versions that speed depends on."""
    python = ".".join(map(str, sys.version_info[:2]))
    return f"Python {python}, numba {numba.__version__}, NumPy {np.__version__}"
