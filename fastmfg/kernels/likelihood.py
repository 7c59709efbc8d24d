"""Log-likelihood of observed transitions in conditional models: ``log P_{M,h}(s'|s,a,mu_M)``.

A family fills the rows of all actions of a state, or of factored rows the noise of one; each model's are filled once
for all transitions that need them.
"""

import numpy as np

from fastmfg.kernels.grouping import group
from fastmfg.kernels.jit import COMMON, F2, F3, FILL, I1, i8, kernel
from fastmfg.kernels.rows import is_dense, is_factored, row_length


@kernel(i8(FILL, COMMON, F2, I1, F3, I1, I1, I1, I1, F2))
def log_likelihoods(fill, common, thetas, members, aux, step, state, action, successor, out):
    """``out [n, T]``: model by transition, ``-inf`` where the model gives probability 0."""
    S, A = common.legal.shape
    T, dense, factored = step.size, is_dense(common), is_factored(common)
    tile = np.empty((1, 1 if factored else A, row_length(common)))
    source, keys, order = np.empty(T, np.int64), np.empty(T, np.int64), np.empty(T, np.int64)
    for t in range(T):
        source[t] = common.moves[state[t], action[t]] if factored else state[t]
        keys[t] = step[t] * S + source[t]
    group(keys, order)
    for m in range(members.size):
        filled = -1
        for n in range(T):
            t = order[n]
            a = action[t]
            if keys[t] != filled:
                filled, h, x = keys[t], step[t], source[t]
                status = fill(h, aux[m, h], common.shared, thetas[members[m]], x, x + 1, tile)
                if status != 0:
                    return status
            row, p = 0 if factored else a, 0.0
            if dense:
                p = tile[0, row, successor[t]]
            else:
                for k in range(tile.shape[2]):
                    if common.successors[source[t], row, k] == successor[t]:
                        p = tile[0, row, k]
            out[m, t] = np.log(p) if p > 0.0 else -np.inf
    return 0
