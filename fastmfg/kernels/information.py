"""How well one step tells models apart: squared Hellinger distances over weighted pairs, backed up.

With weights w the sum over pairs has a closed form linear in the number of models,
``1 - sum_s' (sum_M w_M sqrt(P_M(s'|s,a)))^2``; the trajectory's own dynamics are the w-mixture of the rows.
"""

import numpy as np

from fastmfg.kernels.jit import COMMON, F1, F2, F3, FILL, I1, i8, kernel


@kernel(i8(FILL, COMMON, F2, I1, F3, F1, i8, i8, i8, F1, F2, F1, I1))
def back_up_information(fill, common, thetas, members, aux, weights, h, lo, hi, V_next, q, V, greedy):
    """Step h of the backward induction for states lo..hi-1: ``q [S, A]``, ``V [S]``, ``greedy [S]``."""
    A, S = common.legal.shape[1], common.initial.size
    tile = np.empty((1, A, S))
    root, mixture = np.empty((A, S)), np.empty((A, S))
    for s in range(lo, hi):
        root[:] = 0.0
        mixture[:] = 0.0
        for m in range(members.size):
            w = weights[m]
            if w == 0.0:
                continue
            status = fill(h, aux[m, h], common.shared, thetas[members[m]], s, s + 1, tile)
            if status != 0:
                return status
            for a in range(A):
                row, root_a, mixture_a = tile[0, a], root[a], mixture[a]
                for x in range(S):
                    root_a[x] += w * np.sqrt(row[x])
                    mixture_a[x] += w * row[x]
        best, top = -1, -np.inf
        for a in range(A):
            overlap, future = 0.0, 0.0
            root_a, mixture_a = root[a], mixture[a]
            for x in range(S):
                overlap += root_a[x] * root_a[x]
                future += mixture_a[x] * V_next[x]
            q[s, a] = 1.0 - overlap + future
            if common.legal[s, a] and (best < 0 or q[s, a] > top):
                best, top = a, q[s, a]
        V[s] = top
        greedy[s] = best
    return 0
