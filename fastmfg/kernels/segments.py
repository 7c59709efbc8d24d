"""Sums along segments: ``y(t+i) += w x(s+i)`` for runs of states that follow one another, where and whence alike.

On a grid nearly all moves and noise are such runs, a grid line long or longer. Loops along them are vector code, and no
table of indices is read. A target's sum is taken in the order in which the segments stand, whoever computes it.

Segments are sorted by blocks of BLOCK targets, and cut where one ends.
"""

from typing import NamedTuple

import numpy as np
from numba import types

from fastmfg.kernels.jit import F1, I1, I2, inline

BLOCK = 1024
"""States whose values and exponentials are taken at a time."""


class Segments(NamedTuple):
    """A sparse sum in segments; empty where a game has none worth having."""

    start: np.ndarray  # [B + 1]   first segment of each block of targets, then their number
    runs: np.ndarray  # [R, 4]   ACTION (whose rows they are; 0 for noise), first TARGET, first SOURCE, LENGTH
    weight: np.ndarray  # [R]   probability; 1 for the moves of a factored game


ACTION, TARGET, SOURCE, LENGTH = range(4)

SEGMENTS = types.NamedTuple((I1, I2, F1), Segments)

NO_SEGMENTS = Segments(np.empty(0, np.int64), np.empty((0, 4), np.int64), np.empty(0))


@inline
def add_weighted(segments, block, x, y):
    """``y += w x`` along the segments of a block."""
    runs = segments.runs
    for r in range(segments.start[block], segments.start[block + 1]):
        t, s, n, w = runs[r, TARGET], runs[r, SOURCE], runs[r, LENGTH], segments.weight[r]
        to, of = y[t : t + n], x[s : s + n]
        for i in range(n):
            to[i] += w * of[i]


@inline
def add_moved(segments, block, mu, pi, y):
    """``y += w mu pi(a)`` along the segments of a block; ``pi [A, S]``."""
    runs = segments.runs
    for r in range(segments.start[block], segments.start[block + 1]):
        t, s, n, w = runs[r, TARGET], runs[r, SOURCE], runs[r, LENGTH], segments.weight[r]
        to, of, share = y[t : t + n], mu[s : s + n], pi[runs[r, ACTION], s : s + n]
        for i in range(n):
            to[i] += w * of[i] * share[i]


@inline
def add_ahead(segments, block, first, x, q):
    """``q(a) += w x`` along the segments of a block that starts with the state `first`; ``q [A, BLOCK]``."""
    runs = segments.runs
    for r in range(segments.start[block], segments.start[block + 1]):
        t, s, n, w = runs[r, TARGET] - first, runs[r, SOURCE], runs[r, LENGTH], segments.weight[r]
        to, of = q[runs[r, ACTION], t : t + n], x[s : s + n]
        for i in range(n):
            to[i] += w * of[i]
