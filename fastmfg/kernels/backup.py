"""Back up values through one conditional model: of a given policy, and greedily, in the same pass.

``Q_h(s,a) = r_h(s,a) + sum_s' P_h(s'|s,a) V_{h+1}(s')``, ``V_{H+1} = 0``; greedy: ``V_h = max over legal a``.
"""

import numpy as np

from fastmfg.kernels.density import tile_states
from fastmfg.kernels.jit import COMMON, F2, F3, F4, FILL, I1, I3, i8, inline, kernel


@inline
def close_state(q_star, q, pi, legal, best):
    """V of the policy and of the greedy action in one state; the lowest index wins a tie."""
    value, greedy, top = 0.0, -1, -np.inf
    for a in range(q.size):
        value += pi[a] * q[a]
        if legal[a] and (greedy < 0 or q_star[a] > top):
            greedy, top = a, q_star[a]
    best[0] = greedy
    return value, top


@kernel(i8(FILL, COMMON, F2, I1, F3, F4, F4, I1, F4, I3, F3))
def back_up(fill, common, thetas, members, aux, reward, policies, policy_of, q, greedy, value):
    """Values of n (model, policy) pairs in their conditional models.

    ``aux [n, H, *]``, ``reward [n, H, S, A]``. Written: ``q [n, H, S, A]`` of the policy, ``greedy [n, H, S]``, the
    best response's actions, and ``value [n, 2, S]``: V_1 of the policy and of the best response.
    """
    n, H, S, A = reward.shape
    tile = np.empty((min(S, tile_states(A, S)), A, S))
    size = tile.shape[0]
    q_star = np.empty(A)
    V, W = np.empty(S), np.empty(S)
    V_next, W_next = np.empty(S), np.empty(S)
    for i in range(n):
        theta = thetas[members[i]]
        policy = policies[policy_of[i]]
        for h in range(H - 1, -1, -1):
            for lo in range(0, S, size):
                hi = min(S, lo + size)
                if h + 1 < H:
                    status = fill(h, aux[i, h], common.shared, theta, lo, hi, tile[: hi - lo])
                    if status != 0:
                        return status
                for s in range(lo, hi):
                    r, q_s = reward[i, h, s], q[i, h, s]
                    if h + 1 < H:
                        for a in range(A):
                            row = tile[s - lo, a]
                            x_pi, x_star = 0.0, 0.0
                            for x in range(S):
                                x_pi += row[x] * V_next[x]
                                x_star += row[x] * W_next[x]
                            q_s[a] = r[a] + x_pi
                            q_star[a] = r[a] + x_star
                    else:
                        for a in range(A):
                            q_s[a] = r[a]
                            q_star[a] = r[a]
                    V[s], W[s] = close_state(q_star, q_s, policy[h, s], common.legal[s], greedy[i, h, s : s + 1])
            V, V_next = V_next, V
            W, W_next = W_next, W
        value[i, 0] = V_next
        value[i, 1] = W_next
    return 0
