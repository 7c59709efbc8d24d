"""Mirror-descent step: ``y += step * Q``, ``pi = softmax(y)`` over legal actions, rows shifted by their maximum.

exp is a polynomial over whole rows (compilers turn it into vector code; a library's scalar exp is ten times slower):
``exp(x) = 2^k exp(r)``, ``|r| <= log(2)/2``, degree 13, relative error about 2e-16.
"""

import numpy as np
from numba import types

from fastmfg.kernels.jit import B2, F3, f8, inline_exact, kernel

BLOCK = 512
"""Numbers exponentiated in one loop, about."""

LOG2E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
ROUND = 6755399441055744.0  # 1.5 * 2^52: adding it leaves round(x) in the low bits of the sum


@inline_exact
def exp_row(x, bits, out):
    """out = exp(x) for x <= 0; exactly 0 below -700. `bits` is int64 scratch of the same length."""
    power = bits.view(np.float64)
    for i in range(x.size):
        t = max(x[i], -700.0)
        k = np.rint(t * LOG2E)
        r = (t - k * LN2_HIGH) - k * LN2_LOW
        p = 1.0 / 6227020800.0
        p = p * r + 1.0 / 479001600.0
        p = p * r + 1.0 / 39916800.0
        p = p * r + 1.0 / 3628800.0
        p = p * r + 1.0 / 362880.0
        p = p * r + 1.0 / 40320.0
        p = p * r + 1.0 / 5040.0
        p = p * r + 1.0 / 720.0
        p = p * r + 1.0 / 120.0
        p = p * r + 1.0 / 24.0
        p = p * r + 1.0 / 6.0
        p = p * r + 0.5
        p = p * r + 1.0
        p = p * r + 1.0
        out[i] = p
        bits[i] = (np.int64(k) + 1023) << 52
    for i in range(x.size):
        out[i] = out[i] * power[i] if x[i] >= -700.0 else 0.0


@kernel(types.void(F3, F3, f8, B2, F3, F3))
def mirror_step(y, q, step, legal, y_out, pi):
    """``y_out = y + step * q``, each row shifted so that its largest legal entry is 0; ``pi``: its softmax."""
    H, S, A = y.shape
    size = max(1, BLOCK // A)  # states whose exponentials are taken in one loop: rows alone may be short
    bits = np.empty(size * A, np.int64)
    for h in range(H):
        y_h, q_h, out, p = y[h], q[h], y_out[h], pi[h]
        for lo in range(0, S, size):
            hi = min(S, lo + size)
            for s in range(lo, hi):
                top = -np.inf
                for a in range(A):
                    value = y_h[s, a] + step * q_h[s, a]
                    out[s, a] = value
                    if legal[s, a] and value > top:
                        top = value
                for a in range(A):
                    out[s, a] = out[s, a] - top if legal[s, a] else -1e300
            n = (hi - lo) * A
            exp_row(out[lo:hi].reshape(n), bits[:n], p[lo:hi].reshape(n))
            for s in range(lo, hi):
                total = 0.0
                for a in range(A):
                    total += p[s, a]
                scale = 1.0 / total
                for a in range(A):
                    p[s, a] *= scale
