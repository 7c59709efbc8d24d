"""Distances: the L1 part against SciPy on one thread, and the exact distance of all pairs of a class.

The same tiles go to both, each in the layout it likes best; they run alternately, and the median of the ratios counts.
"""

import statistics
import time

import naive
import numpy as np
import pytest
from numba import njit
from scipy.spatial.distance import cdist

import fastmfg as mfg
from bench.work import Work, aligned, recorded
from fastmfg.executors import thread_count
from fastmfg.kernels import distance
from fastmfg.kernels.jit import B2, F3, F4, i8, kernel

TILES = [(10, 30), (50, 100), (10, 1000)]  # actions, successors
PAIRS_OF_RUNS = 101

CLASSES = [(40, 20, 10, 3), (200, 100, 50, 3)]  # models, S, A, H; the last one is the paper's
FEW = 5  # models when the clock is off


unit_of_gaps = distance.block_gaps  # kernels know units by their names


@kernel(i8(F4, F4, B2, F3))
def block_gaps(X, Y, wanted, gap):
    return unit_of_gaps(X, Y, wanted, gap)


@njit
def new_tile(R, A, K):
    """Memory as kernels get it."""
    return np.empty((R, 1, A, K))


def seconds_of(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


@pytest.mark.parametrize(("A", "K"), TILES)
def test_l1_part(A, K, meter, note, timing, figure):
    R = distance.PAIR_BLOCK
    X, Y = new_tile(R, A, K), new_tile(R, A, K)
    X[:], Y[:] = np.random.default_rng(0).dirichlet(np.ones(K), (2, R, 1, A))
    rows, cols = aligned(A, R, K), aligned(A, R, K)
    rows[:], cols[:] = X[:, 0].swapaxes(0, 1), Y[:, 0].swapaxes(0, 1)
    wanted, gap = np.ones((R, R), dtype=bool), np.empty((R, R, A))
    peer = np.empty((A, R, R))

    def run():
        block_gaps(X, Y, wanted, gap)

    def scipy_run():
        for a in range(A):
            cdist(rows[a], cols[a], "cityblock", out=peer[a])

    def twin():
        return [sum(abs(x - y) for x, y in zip(X[0, 0, a], Y[-1, 0, a], strict=True)) for a in range(A)]

    run(), scipy_run()
    twin_seconds = meter.check(lambda: gap[0, -1], twin) * R * R
    np.testing.assert_allclose(gap, peer.transpose(1, 2, 0), rtol=1e-10)
    meter.benchmark(run)
    size = f"{R} x {R} pairs, {A} actions, rows of {K}"
    meter.report(size, Work(gaps=R * R * A * K), twin_seconds)
    figure(f"l1 {K}")
    if timing:
        runs = [(seconds_of(scipy_run), seconds_of(run)) for _ in range(PAIRS_OF_RUNS)]
        ratio = statistics.median(theirs / ours for theirs, ours in runs)
        theirs, ours = (R * R * A * K / statistics.median(side) for side in zip(*runs, strict=True))
        meter.benchmark.extra_info["times_cdist"] = ratio
        figure(f"l1 {K}", f"{ours:.2g}/s", f"{ratio:.2g} x cdist (target 5)")
        note(size, f"{ratio:.2f} x cdist (median of {PAIRS_OF_RUNS} alternate pairs of runs; target 5): "
             f"{ours:.2g} |x-y|/s against {theirs:.2g}")  # fmt: skip


@pytest.mark.parametrize("size", CLASSES, ids=lambda size: "M{}-S{}-A{}-H{}".format(*size))
def test_distance_matrix(size, meter, timing, monkeypatch):
    M, S, A, H = size
    models = mfg.linear_class(M if timing else FEW, S, A, H, seed=101)
    policy = np.random.default_rng(0).dirichlet(np.ones(A), (H, S))
    last = len(models) - 1
    tables = [mfg.condition(models[m], policy).transition for m in (last, 0)]

    def twin():
        return naive.block_distances(*tables, models.initial, models.legal)

    with recorded(monkeypatch) as calls:
        d = mfg.distance_matrix(models, policy, directed=True)
    twin_seconds = meter.check(lambda: (d[last, 0], d[0, last]), twin)
    symmetric = meter.benchmark.pedantic(mfg.distance_matrix, (models, policy), rounds=3)
    np.testing.assert_array_equal(symmetric, np.maximum(d, d.T))
    pairs = M * (M - 1) // 2
    meter.report(f"{pairs} pairs, S={S} A={A} H={H}", sum(calls, Work()), twin_seconds * pairs, threads=thread_count(),
                 per=pairs, unit=" a pair", more="" if S < 100 else "  target 0.4 ms",
                 key=None if S < 100 else "distance of a pair")  # fmt: skip
