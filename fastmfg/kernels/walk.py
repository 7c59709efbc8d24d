"""Walk trajectories of a deviation in a conditional model, from given uniforms."""

import numpy as np

from fastmfg.kernels.jit import COMMON, F1, F2, F3, FILL, I2, i8, inline, kernel
from fastmfg.kernels.rows import fill_rows, is_dense, row_length, successors_of


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
    tile = np.empty((1, A, row_length(common)))
    for i in range(states.shape[0]):
        states[i, 0] = draw(common.initial, uniforms[i, 0])
        for h in range(H):
            s = states[i, h]
            a = draw(deviation[h, s], uniforms[i, 2 * h + 1])
            status = fill_rows(fill, common, theta, h, aux[h], s, s + 1, tile)
            if status != 0:
                return status
            actions[i, h] = a
            k = draw(tile[0, a], uniforms[i, 2 * h + 2])
            states[i, h + 1] = k if is_dense(common) else successors_of(common, s, a)[k]
    return 0
