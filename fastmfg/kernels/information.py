"""How well one step tells models apart: squared Hellinger distances over weighted pairs, backed up.

With weights w the sum over pairs has a closed form linear in the number of models,
``1 - sum_s' (sum_M w_M sqrt(P_M(s'|s,a)))^2``; the trajectory's own dynamics are the w-mixture of the rows.

Where rewards are unknown, observed ones tell models apart too: under Gaussian noise rewards r, r' have the affinity
``exp(-k (r - r')^2)``, ``k = 1 / (8 sigma^2)``, and there is no closed form: pairs are summed.
"""

import numpy as np
from numba import types

from fastmfg.kernels.backward import TIE
from fastmfg.kernels.elementary import exp_row
from fastmfg.kernels.jit import COMMON, F1, F2, F3, F4, FILL, I1, f8, i8, kernel
from fastmfg.kernels.rows import dot, expectation, fill_rows, row_length

ROUNDING = 1e-14
"""Information may be off by this much: it is what is left of one when a sum near one is taken from it."""


@kernel(i8(FILL, COMMON, F2, I1, F3, F1, i8, I1, F1, F2, F1, I1))
def back_up_information(fill, common, thetas, members, aux, weights, h, states, V_next, q, V, greedy):
    """Step h of the backward induction for some states: ``q [S, A]``, ``V [S]``, ``greedy [S]``.

    The lowest of tied actions is taken: those within `TIE` of the best, relative to it, and within `ROUNDING`.
    """
    A, K = common.legal.shape[1], row_length(common)
    tile = np.empty((1, A, K))
    root, mixture = np.empty((A, K)), np.empty((A, K))
    for s in states:
        root[:] = 0.0
        mixture[:] = 0.0
        for m in range(members.size):
            w = weights[m]
            if w == 0.0:
                continue
            status = fill_rows(fill, common, thetas[members[m]], h, aux[m, h], s, s + 1, tile)
            if status != 0:
                return status
            for a in range(A):
                row, root_a, mixture_a = tile[0, a], root[a], mixture[a]
                for x in range(K):
                    root_a[x] += w * np.sqrt(row[x])
                    mixture_a[x] += w * row[x]
        top = -np.inf
        for a in range(A):
            q[s, a] = 1.0 - dot(root[a], root[a]) + expectation(common, s, a, mixture[a], V_next)
            if common.legal[s, a] and q[s, a] > top:
                top = q[s, a]
        V[s] = top
        for a in range(A - 1, -1, -1):
            if common.legal[s, a] and q[s, a] >= top - TIE * abs(top) - ROUNDING:
                greedy[s] = a
    return 0


@kernel(types.void(F4, F1, f8, i8, I1, F2))
def reward_information(reward, weights, scale, h, states, out):
    """``out[s, a] = sum_{M,N} w_M w_N (1 - exp(-scale (r_M - r_N)^2))`` at step h for some states.

    ``reward [n, H, S, A]``, ``out [S, A]``.
    """
    n, A = reward.shape[0], reward.shape[3]
    power, affinity, total = np.empty(A), np.empty(A), np.empty(A)
    for s in states:
        total[:] = 0.0
        for m in range(n):
            x = reward[m, h, s]
            for k in range(m):
                both = 2.0 * weights[m] * weights[k]
                if both == 0.0:
                    continue
                y = reward[k, h, s]
                for a in range(A):
                    power[a] = -scale * ((x[a] - y[a]) * (x[a] - y[a]))
                exp_row(power, affinity)
                for a in range(A):
                    total[a] += both * (1.0 - affinity[a])
        out[s] = total
