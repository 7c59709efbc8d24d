"""Walk trajectories of a deviation in a conditional model, from given uniforms.

A family fills the rows of all actions of a state, or of factored rows the noise of one. Agents walk side by side, so
that what some of them need is filled once a step.
"""

import numpy as np

from fastmfg.kernels.grouping import group
from fastmfg.kernels.jit import COMMON, F1, F2, F3, FILL, I2, i8, inline, kernel
from fastmfg.kernels.rows import is_dense, is_factored, row_length
from fastmfg.kernels.views import part


@inline
def draw(p, u):
    """The index where the running sum of `p` first exceeds `u`; never one of probability 0."""
    total, last = 0.0, 0
    for x in range(p.size):
        if p[x] > 0.0:
            total += p[x]
            last = x
            if u < total:
                return x
    return last


@kernel(i8(FILL, COMMON, F1, F2, F3, F2, I2, I2))
def walk(fill, common, theta, aux, deviation, uniforms, states, actions):
    """``uniforms [n, 2H+1]`` (start, then action and successor of each step) -> states [n, H+1], actions [n, H]."""
    H, A = deviation.shape[0], deviation.shape[2]
    S, K, n = common.initial.size, row_length(common), states.shape[0]
    dense, factored = is_dense(common), is_factored(common)
    tile = np.empty((1, 1 if factored else A, K))
    source, order = np.empty(n, np.int64), np.empty(n, np.int64)
    for i in range(n):
        states[i, 0] = draw(common.initial, uniforms[i, 0])
    for h in range(H):
        for i in range(n):
            s = states[i, h]
            a = draw(part(deviation, (h * S + s) * A, (A,)), uniforms[i, 2 * h + 1])
            actions[i, h] = a
            source[i] = common.moves[s, a] if factored else s
        group(source, order)
        filled = -1
        for j in range(n):
            i = order[j]
            x, row = source[i], 0 if factored else actions[i, h]
            if x != filled:
                filled = x
                status = fill(h, aux[h], common.shared, theta, x, x + 1, tile)
                if status != 0:
                    return status
            k = draw(part(tile, row * K, (K,)), uniforms[i, 2 * h + 2])
            states[i, h + 1] = k if dense else common.successors[x, row, k]
    return 0
