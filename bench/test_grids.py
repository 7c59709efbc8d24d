"""A mirror-descent iteration on the torus of crowd_modelling_2d against straightforward NumPy and SciPy CSR matrices.

An iteration pushes the density, backs values up and takes the softmax. Both sides are timed in turns in one run. Their
step is fixed, ours fixed or, as `solve` has it, adapted: each iteration measures the NE gap as well.
"""

import statistics
import time

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.sparse import csr_matrix

import fastmfg as mfg
from bench.conftest import duration

HORIZON, STEP = 10, 0.1
MOVES = [(0, -1), (-1, 0), (0, 0), (1, 0), (0, 1)]  # (dx, dy)
TARGETS = {"fixed": 7, "adaptive": 5}
"""Times as fast as NumPy and SciPy CSR, by kind of step."""


class CsrTorus:
    """The same game with one CSR matrix an action."""

    def __init__(self, size):
        self.S = size * size
        x, y = np.arange(self.S) % size, np.arange(self.S) // size
        self.place = 2 - 2 * (abs(x - size // 2) + abs(y - size // 2)) / size
        self.cost = np.abs(MOVES).sum(axis=1) / size
        self.P = []
        for dx, dy in MOVES:
            reached = [(x + dx + ex) % size + size * ((y + dy + ey) % size) for ex, ey in MOVES]
            rows = np.tile(np.arange(self.S), 5)
            self.P.append(csr_matrix((np.full(5 * self.S, 0.2), (rows, np.concatenate(reached))), (self.S, self.S)))
        self.PT = [matrix.T.tocsr() for matrix in self.P]

    def iterate(self, n):
        y, pi = np.zeros((HORIZON, self.S, 5)), np.full((HORIZON, self.S, 5), 0.2)
        for _ in range(n):
            y = y + STEP * self.values(pi)
            e = np.exp(y - y.max(axis=-1, keepdims=True))
            pi = e / e.sum(axis=-1, keepdims=True)
        return pi

    def values(self, pi):
        mu = [np.full(self.S, 1 / self.S)]
        for h in range(HORIZON - 1):
            moved = mu[h][:, None] * pi[h]
            mu.append(sum(self.PT[a] @ moved[:, a] for a in range(5)))
        q = np.empty_like(pi)
        q[-1] = (self.place - np.log(mu[-1] + 1e-25))[:, None]
        for h in range(HORIZON - 2, -1, -1):
            V = (pi[h + 1] * q[h + 1]).sum(axis=-1)
            r = self.place - np.log(mu[h] + 1e-25)
            q[h] = np.stack([r - self.cost[a] + self.P[a] @ V for a in range(5)], axis=-1)
        return q


def with_fixed_step(game, n):
    return mfg.solve(game, "mirror-descent", step=STEP, tol=0.0, max_iterations=n, gap_every=0)


def with_adaptive_step(game, n):
    return mfg.solve(game, "mirror-descent", tol=0.0, max_iterations=n)


@pytest.mark.parametrize("step", TARGETS)
@pytest.mark.parametrize("size", [10, 40, 100, 300])
def test_mirror_descent_on_a_torus(size, step, benchmark, note, timing, figure):
    ours, key = with_fixed_step if step == "fixed" else with_adaptive_step, f"torus {step} {size}"
    figure(key)
    size = size if timing else min(size, 40)
    title = f"{size} x {size}, H={HORIZON}, {step} step"
    game, csr = mfg.zoo.crowd_modelling_2d(size, HORIZON), CsrTorus(size)
    assert_allclose(mfg.ne_gap(game, csr.iterate(5)), with_fixed_step(game, 5).history[-1], rtol=1e-9)
    assert ours(game, 5).iterations == 5
    if not timing:
        benchmark.pedantic(lambda: ours(game, 2), rounds=1)
        note(title, "right (timing off)")
        return
    n = max(12, 1000 // size)
    pairs = []
    for _ in range(9):
        seconds = []
        for run in (csr.iterate, lambda n: ours(game, n)):
            started = time.perf_counter()
            run(n)
            seconds.append((time.perf_counter() - started) / n)
        pairs.append(seconds)
    benchmark.pedantic(lambda: ours(game, n), rounds=1)
    ratio = statistics.median(theirs / own for theirs, own in pairs)
    own = statistics.median(own for _, own in pairs)
    benchmark.extra_info.update(ratio=ratio, seconds=own)
    figure(key, duration(own), f"{ratio:.2g} x")
    note(
        title,
        f"{own * 1e3:.3g} ms an iteration, {HORIZON * size**2 / own / 1e6:.3g} M state-steps/s, "
        f"{ratio:.2f} x NumPy and SciPy CSR (target {TARGETS[step]})",
    )
