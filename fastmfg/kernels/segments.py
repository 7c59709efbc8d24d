"""Sums along segments: ``y(t+i) += w x(s+i)`` for runs of states that follow one another, where and whence alike.

On a grid nearly all moves and noise are such runs, a grid line long or longer. Loops along them are vector code, and no
table of indices is read. A target's sum is taken in the order in which the segments stand, whoever computes it.

Segments are sorted by blocks of BLOCK targets, and cut where one ends.
"""

from typing import NamedTuple

import numpy as np
from numba import types

from fastmfg.kernels.jit import F1, I1, inline

BLOCK = 1024
"""States whose values and exponentials are taken at a time."""


class Segments(NamedTuple):
    """A sparse sum in segments; empty where a game has none worth having."""

    start: np.ndarray  # [B + 1]   first segment of each block of targets, then their number
    action: np.ndarray  # [R]   whose rows they are; 0 for noise
    target: np.ndarray  # [R]   first target
    source: np.ndarray  # [R]   first source
    length: np.ndarray  # [R]
    weight: np.ndarray  # [R]   probability; 1 for the moves of a factored game


SEGMENTS = types.NamedTuple((I1, I1, I1, I1, I1, F1), Segments)

_NONE = np.empty(0, np.int64)
NO_SEGMENTS = Segments(_NONE, _NONE, _NONE, _NONE, _NONE, np.empty(0))


@inline
def add_weighted(segments, block, x, y):
    """``y += w x`` along the segments of a block."""
    for r in range(segments.start[block], segments.start[block + 1]):
        t, s, n, w = segments.target[r], segments.source[r], segments.length[r], segments.weight[r]
        to, of = y[t : t + n], x[s : s + n]
        for i in range(n):
            to[i] += w * of[i]


@inline
def add_moved(segments, block, mu, pi, y):
    """``y += w mu pi(a)`` along the segments of a block; ``pi [A, S]``."""
    for r in range(segments.start[block], segments.start[block + 1]):
        t, s, n, w = segments.target[r], segments.source[r], segments.length[r], segments.weight[r]
        to, of, share = y[t : t + n], mu[s : s + n], pi[segments.action[r], s : s + n]
        for i in range(n):
            to[i] += w * of[i] * share[i]


@inline
def add_ahead(segments, block, first, x, q):
    """``q(a) += w x`` along the segments of a block that starts with the state `first`; ``q [A, BLOCK]``."""
    for r in range(segments.start[block], segments.start[block + 1]):
        t, s, n, w = segments.target[r] - first, segments.source[r], segments.length[r], segments.weight[r]
        to, of = q[segments.action[r], t : t + n], x[s : s + n]
        for i in range(n):
            to[i] += w * of[i]
