"""Values of many (model, policy) pairs in conditional models: of the policy, and greedily, in the same pass.

``Q_h(s,a) = r_h(s,a) + sum_s' P_h(s'|s,a) V_{h+1}(s')``, ``V_{H+1} = 0``; greedy: ``V_h = max over legal a``.
"""

import numpy as np
from numba import types

from fastmfg.kernels.backward import BEST, POLICY, bellman_update
from fastmfg.kernels.density import own_tile
from fastmfg.kernels.forms import PAIRS, TRANSITIONS, Model
from fastmfg.kernels.jit import F3, F4, i8, kernel
from fastmfg.kernels.segments import BLOCK
from fastmfg.kernels.views import part


@kernel(i8(TRANSITIONS, PAIRS, F3, F4, F4, types.int32[:, :, ::1], F3))
def back_up(transitions, pairs, aux, reward, q_out, greedy, value):
    """Back up values of n (model, policy) pairs in their conditional models; the first nonzero status.

    ``aux [n, H, *]``, ``reward [n, H, S, A]``. Written: ``q_out [n, H, S, A]`` of the policy, ``greedy [n, H, S]``, the
    best response's actions, and ``value [n, 2, S]``: V_1 of the policy and of the best response.
    """
    common, form, links = transitions.common, transitions.form, transitions.links
    n, H, S, A = reward.shape
    tile, size = own_tile(common), min(S, BLOCK)
    q, means, values = np.empty((2, A, size)), np.empty((2, 1, S)), np.empty((2, 2, S))
    for i in range(n):
        model = Model(transitions.fill, common, pairs.thetas[pairs.members[i]])
        reach, status = 0.0, 0
        for h in range(H - 1, -1, -1):
            V, V_next, largest = values[h % 2], values[(h + 1) % 2], 0.0
            pi, r, to = pairs.policies[pairs.policy_of[i], h].T, reward[i, h], q_out[i, h]
            last = h + 1 == H
            if form.factored and not last:
                status = form.average(model, h, aux[i, h], links, V_next, 0, S, tile, tile[:0], means)
                if status != 0:
                    return status
            ahead = part(means, 0, (2, S)) if form.factored else V_next
            for lo in range(0, S, size):
                hi = min(S, lo + size)
                for s in range(lo, hi):
                    for a in range(A):
                        q[BEST, a, s - lo] = q[POLICY, a, s - lo] = r[s, a]
                if not last:
                    rows = pairs.rows[h, lo:hi] if pairs.rows.size > 0 else tile[:0]
                    status = form.expect(model, h, aux[i, h], links, ahead, lo, hi, tile, rows, q)
                    if status != 0:
                        return status
                largest = max(largest, bellman_update(q, transitions.legal, pi, lo, hi, reach, V, greedy[i, h]))
                for s in range(lo, hi):
                    for a in range(A):
                        to[s, a] = q[POLICY, a, s - lo]
            reach = largest
        for s in range(S):
            value[i, 0, s], value[i, 1, s] = values[0, POLICY, s], values[0, BEST, s]
    return 0
