"""Log-likelihood of observed transitions in conditional models: ``log P_{M,h}(s'|s,a,mu_M)``."""

import numpy as np

from fastmfg.kernels.jit import COMMON, F2, F3, FILL, I1, i8, kernel
from fastmfg.kernels.rows import fill_rows, probability, row_length


@kernel(i8(FILL, COMMON, F2, I1, F3, I1, I1, I1, I1, F2))
def log_likelihoods(fill, common, thetas, members, aux, step, state, action, successor, out):
    """``out [n, T]``: model by transition, ``-inf`` where the model gives probability 0."""
    tile = np.empty((1, common.legal.shape[1], row_length(common)))
    for m in range(members.size):
        for t in range(step.size):
            s = state[t]
            status = fill_rows(fill, common, thetas[members[m]], step[t], aux[m, step[t]], s, s + 1, tile)
            if status != 0:
                return status
            p = probability(common, s, action[t], tile[0, action[t]], successor[t])
            out[m, t] = np.log(p) if p > 0.0 else -np.inf
    return 0
