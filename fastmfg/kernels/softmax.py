"""Mirror-descent step: ``y += step * Q``, ``pi = softmax(y)`` over legal actions, rows shifted by their maximum."""

import numpy as np
from numba import types

from fastmfg.kernels.elementary import exp_row
from fastmfg.kernels.jit import B2, F3, f8, kernel
from fastmfg.kernels.views import part

BLOCK = 512
"""Numbers exponentiated in one loop, about."""


@kernel(types.void(F3, F3, f8, B2, F3, F3))
def mirror_step(y, q, step, legal, y_out, pi):
    """``y_out = y + step * q``, each row shifted so that its largest legal entry is 0; ``pi``: its softmax."""
    H, S, A = y.shape
    size = max(1, BLOCK // A)  # states whose exponentials are taken in one loop: rows alone may be short
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
            exp_row(part(out, lo * A, (n,)), part(p, lo * A, (n,)))
            for s in range(lo, hi):
                total = 0.0
                for a in range(A):
                    total += p[s, a]
                scale = 1.0 / total
                for a in range(A):
                    p[s, a] *= scale
