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
def _add_mixtures(weights, rows, out):
    """The same of four mixtures at once, ``weights [4, S]``, ``out [4, S]``: a row that is fetched serves all four."""
    u0, u1, u2, u3 = weights[0], weights[1], weights[2], weights[3]
    o0, o1, o2, o3 = out[0], out[1], out[2], out[3]
    n = u0.size - u0.size % 4
    for y in range(0, n, 4):
        a0, a1, a2, a3 = u0[y], u0[y + 1], u0[y + 2], u0[y + 3]
        b0, b1, b2, b3 = u1[y], u1[y + 1], u1[y + 2], u1[y + 3]
        c0, c1, c2, c3 = u2[y], u2[y + 1], u2[y + 2], u2[y + 3]
        d0, d1, d2, d3 = u3[y], u3[y + 1], u3[y + 2], u3[y + 3]
        r0, r1, r2, r3 = rows[y], rows[y + 1], rows[y + 2], rows[y + 3]
        for x in range(o0.size):
            w0, w1, w2, w3 = r0[x], r1[x], r2[x], r3[x]
            o0[x] += a0 * w0 + a1 * w1 + a2 * w2 + a3 * w3
            o1[x] += b0 * w0 + b1 * w1 + b2 * w2 + b3 * w3
            o2[x] += c0 * w0 + c1 * w1 + c2 * w2 + c3 * w3
            o3[x] += d0 * w0 + d1 * w1 + d2 * w2 + d3 * w3
    for y in range(n, u0.size):
        a0, b0, c0, d0, r = u0[y], u1[y], u2[y], u3[y], rows[y]
        for x in range(o0.size):
            o0[x] += a0 * r[x]
            o1[x] += b0 * r[x]
            o2[x] += c0 * r[x]
            o3[x] += d0 * r[x]


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
            logits[:n] = B[first : first + n]
            fours = n - n % 4
            for i in range(0, fours, 4):
                _add_mixtures(L[first + i : first + i + 4], W, logits[i : i + 4])
            for i in range(fours, n):
                _add_mixture(L[first + i], W, logits[i])
            for i in range(n):
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
