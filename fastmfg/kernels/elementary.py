"""exp and log of whole rows, as polynomials: compilers turn them into vector code, five to ten times a scalar call.

``exp(x) = 2^k exp(r)``, ``|r| <= log(2)/2``, degree 13, relative error about 2e-16. ``log(x) = k log(2) + log(m)``, m
in ``[1/sqrt(2), sqrt(2))``, ``log(m) = 2 (z + z^3/3 + z^5/5 + ...)``, ``z = (m-1)/(m+1)``, error below 4e-16 of the
larger of ``|log(x)|`` and 1e-2.
"""

import numpy as np
from numba import types

from fastmfg.kernels.jit import F1, FunctionPointer, f8, inline_exact, unit

LOG2E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
MANTISSA = (1 << 52) - 1
ONE_BITS = 1023 << 52  # of the number 1.0
SQRT_HALF_BITS = 0x3FE6A09E667F3BCD  # of 1/sqrt(2)
LEAST_NORMAL = 2.2250738585072014e-308


@inline_exact
def exp_parts(x):
    """``exp(x)`` for x in [-700, 0] as a number and what is to be added to its bits."""
    k = np.rint(x * LOG2E)
    r = (x - k * LN2_HIGH) - k * LN2_LOW
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
    return p, np.int64(k) << 52


@unit(FunctionPointer(types.void(F1, F1)), exact=True)
def exp_row(x, out):
    """out = exp(x) for x <= 0; exactly 0 below -700."""
    bits = out.view(np.int64)
    for i in range(x.size):
        number, power = exp_parts(max(x[i], -700.0))
        out[i] = number if x[i] >= -700.0 else 0.0
        bits[i] += power if x[i] >= -700.0 else 0


@inline_exact
def exp_below(x, top, out, total):
    """``x -= top``, ``out = exp(x)`` as `exp_row` has it, ``total += out``."""
    bits = out.view(np.int64)
    for i in range(x.size):
        shifted = x[i] - top[i]
        x[i] = shifted
        number, power = exp_parts(max(shifted, -700.0))
        out[i] = number if shifted >= -700.0 else 0.0
        bits[i] += power if shifted >= -700.0 else 0
        total[i] += out[i]


@unit(FunctionPointer(types.void(F1, f8, F1)), exact=True)
def log_row(x, offset, out):
    """``out = log(x + offset)``; NaN, infinities, zero and subnormal numbers as the library has them."""
    bits = out.view(np.int64)
    plain = 0
    for i in range(x.size):
        value = x[i] + offset
        out[i] = value
        plain += LEAST_NORMAL <= value < np.inf
    if plain < x.size:
        for i in range(x.size):
            out[i] = np.log(x[i] + offset)
        return
    for i in range(x.size):
        shifted = bits[i] - SQRT_HALF_BITS
        k = shifted >> 52
        bits[i] -= k << 52
        m = out[i]
        z = (m - 1.0) / (m + 1.0)
        w = z * z
        p = 2.0 / 21.0
        p = p * w + 2.0 / 19.0
        p = p * w + 2.0 / 17.0
        p = p * w + 2.0 / 15.0
        p = p * w + 2.0 / 13.0
        p = p * w + 2.0 / 11.0
        p = p * w + 2.0 / 9.0
        p = p * w + 2.0 / 7.0
        p = p * w + 2.0 / 5.0
        p = p * w + 2.0 / 3.0
        out[i] = k * LN2_HIGH + (2.0 * z + (z * w * p + k * LN2_LOW))
