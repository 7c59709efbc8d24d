"""Back up values through one conditional model: of a given policy, and greedily, in the same pass.

``Q_h(s,a) = r_h(s,a) + sum_s' P_h(s'|s,a) V_{h+1}(s')``, ``V_{H+1} = 0``; greedy: ``V_h = max over legal a``.
"""

import numpy as np

from fastmfg.kernels.density import own_tile
from fastmfg.kernels.jit import COMMON, F2, F3, F4, FILL, I1, I3, i8, inline, kernel
from fastmfg.kernels.rows import is_factored


@inline
def two_dots(row, V, W):
    """Expectations of V and of W, in one pass over a dense row."""
    x, y = 0.0, 0.0
    for k in range(row.size):
        x += row[k] * V[k]
        y += row[k] * W[k]
    return x, y


@inline
def two_gather_dots(row, states, V, W):
    """Expectations of V and of W, in one pass over a sparse row."""
    x, y = 0.0, 0.0
    for k in range(row.size):
        x += row[k] * V[states[k]]
        y += row[k] * W[states[k]]
    return x, y


@inline
def average_noise(fill, common, theta, h, aux, V, W, tile, V_moved, W_moved):
    """Expectations of V and W over the noise of every state, once for all actions that lead there."""
    S, size = V.size, tile.shape[0]
    for lo in range(0, S, size):
        hi = min(S, lo + size)
        status = fill(h, aux, common.shared, theta, lo, hi, tile[: hi - lo])
        if status != 0:
            return status
        for m in range(lo, hi):
            x, y = 0.0, 0.0
            for k in range(tile.shape[2]):
                p, state = tile[m - lo, 0, k], common.successors[m, 0, k]
                x += p * V[state]
                y += p * W[state]
            V_moved[m], W_moved[m] = x, y
    return 0


@inline
def close_moves(common, r, pi, V_moved, W_moved, q, greedy, V, W):
    """One step of both recursions of a factored game, given the expectations over noise."""
    S, A = r.shape
    moves, legal = common.moves, common.legal
    for s in range(S):
        value, best, top = 0.0, -1, -np.inf
        for a in range(A):
            m = moves[s, a]
            x = r[s, a] + V_moved[m]
            q[s, a] = x
            value += pi[s, a] * x
            x = r[s, a] + W_moved[m]
            if legal[s, a] and (best < 0 or x > top):
                best, top = a, x
        V[s], W[s], greedy[s] = value, top, best


@inline
def close_block(successors, legal, r, pi, last, V_next, W_next, lo, hi, tile, q, greedy, V, W):
    """One step of both recursions in the states lo..hi-1 of a game that is not factored, whose rows are filled."""
    for s in range(lo, hi):
        value, best, top = 0.0, -1, -np.inf
        for a in range(r.shape[1]):
            x = y = r[s, a]
            if not last:
                row = tile[s - lo, a]
                if successors.size == 0:
                    ahead = two_dots(row, V_next, W_next)
                else:
                    ahead = two_gather_dots(row, successors[s, a], V_next, W_next)
                x += ahead[0]
                y += ahead[1]
            q[s, a] = x
            value += pi[s, a] * x
            if legal[s, a] and (best < 0 or y > top):
                best, top = a, y
        V[s], W[s], greedy[s] = value, top, best


@kernel(i8(FILL, COMMON, F2, I1, F3, F4, F4, I1, F4, I3, F3))
def back_up(fill, common, thetas, members, aux, reward, policies, policy_of, q, greedy, value):
    """Values of n (model, policy) pairs in their conditional models.

    ``aux [n, H, *]``, ``reward [n, H, S, A]``. Written: ``q [n, H, S, A]`` of the policy, ``greedy [n, H, S]``, the
    best response's actions, and ``value [n, 2, S]``: V_1 of the policy and of the best response.
    """
    n, H, S, _ = reward.shape
    tile = own_tile(common)
    size = tile.shape[0]
    V, W = np.empty(S), np.empty(S)
    V_next, W_next = np.zeros(S), np.zeros(S)
    V_moved, W_moved = np.empty(S), np.empty(S)
    for i in range(n):
        theta = thetas[members[i]]
        policy = policies[policy_of[i]]
        V_next[:] = 0.0
        W_next[:] = 0.0
        for h in range(H - 1, -1, -1):
            last = h + 1 == H
            if is_factored(common) and not last:
                status = average_noise(fill, common, theta, h, aux[i, h], V_next, W_next, tile, V_moved, W_moved)
                if status != 0:
                    return status
                close_moves(common, reward[i, h], policy[h], V_moved, W_moved, q[i, h], greedy[i, h], V, W)
                V, V_next = V_next, V
                W, W_next = W_next, W
                continue
            for lo in range(0, S, size):
                hi = min(S, lo + size)
                if not last:
                    status = fill(h, aux[i, h], common.shared, theta, lo, hi, tile[: hi - lo])
                    if status != 0:
                        return status
                close_block(
                    common.successors, common.legal, reward[i, h], policy[h], last, V_next, W_next, lo, hi, tile,
                    q[i, h], greedy[i, h], V, W,
                )  # fmt: skip
            V, V_next = V_next, V
            W, W_next = W_next, W
        value[i, 0] = V_next
        value[i, 1] = W_next
    return 0
