"""Random linear game: rewards and the logits of transitions are affine in the joint density L.

    P(x|s,a,L) = softmax over x of (sum_y W(s,y,x) L(y,a) + B(s,a,x));    r(s,a,L) = sum_y V(s,y) L(y,a) + C(s,a)

`theta`: W [S,S,S], then B [S,A,S]; `shared`: S, A, V [S,S], C [S,A]; `aux`: L transposed, [A,S].
"""

import numpy as np

from fastmfg.kernels.elementary import exp_row
from fastmfg.kernels.jit import FILL, PREPARE, REWARD, filler, inline

BLOCK = 512
"""Numbers exponentiated in one loop, about."""


@filler(PREPARE)
def prepare(h, population, shared, theta, aux):
    S, A = int(shared[0]), int(shared[1])
    for s in range(S):
        for a in range(A):
            aux[a * S + s] = population[s * A + a]
    return 0


@inline
def _add_mixture(weights, rows, out):
    """``out += weights @ rows``, four rows a pass: their partial sums stay in registers."""
    n = weights.size - weights.size % 4
    for y in range(0, n, 4):
        w0, w1, w2, w3 = weights[y], weights[y + 1], weights[y + 2], weights[y + 3]
        r0, r1, r2, r3 = rows[y], rows[y + 1], rows[y + 2], rows[y + 3]
        for x in range(out.size):
            out[x] += w0 * r0[x] + w1 * r1[x] + w2 * r2[x] + w3 * r3[x]
    for y in range(n, weights.size):
        w, r = weights[y], rows[y]
        for x in range(out.size):
            out[x] += w * r[x]


@inline
def _shift(row):
    """Subtract the maximum, so that no exponential overflows."""
    top = row[0]
    for x in range(1, row.size):
        top = row[x] if row[x] > top else top
    for x in range(row.size):
        row[x] -= top


@inline
def _normalise(row):
    total = 0.0
    for x in range(row.size):
        total += row[x]
    scale = 1.0 / total
    for x in range(row.size):
        row[x] *= scale


@filler(FILL)
def fill(h, aux, shared, theta, lo, hi, out):
    S, A = int(shared[0]), int(shared[1])
    L = aux.reshape(A, S)
    size = max(1, BLOCK // S)  # rows whose exponentials are taken in one loop: one alone may be short
    logits = np.empty((min(size, A), S))
    for s in range(lo, hi):
        W = theta[s * S * S : (s + 1) * S * S].reshape(S, S)
        start = S * S * S + s * A * S
        B = theta[start : start + A * S].reshape(A, S)
        for first in range(0, A, size):
            n = min(size, A - first)
            for i in range(n):
                for x in range(S):
                    logits[i, x] = B[first + i, x]
                _add_mixture(L[first + i], W, logits[i])
                _shift(logits[i])
            rows = out[s - lo, first : first + n]
            exp_row(logits[:n].reshape(n * S), rows.reshape(n * S))
            for i in range(n):
                _normalise(rows[i])
    return 0


@filler(REWARD)
def reward(h, population, shared, theta, out):
    S, A = out.shape
    L = population.reshape(S, A)
    V, C = shared[2 : 2 + S * S].reshape(S, S), shared[2 + S * S :].reshape(S, A)
    for s in range(S):
        row = out[s]
        for a in range(A):
            row[a] = C[s, a]
        _add_mixture(V[s], L, row)
    return 0
