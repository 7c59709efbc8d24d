"""L1 gaps of rows, the distance d of two conditional models, and its two bounds, for blocks of pairs.

``gap_h(s,a) = || P_M,h(.|s,a,mu_M) - P_N,h(.|s,a,mu_N) ||_1``. Directed distance, by backward induction:
``V_h(s) = max over legal a of gap_h(s,a) + sum_s' P_M,h(s'|s,a) V_{h+1}(s')``, ``d = mu1 . V_1``; the last step's gap
counts.

A block compares the models `rows` with the models `cols`. Filling a tile once serves all pairs of the block; for one
action the rows of all models fit the first-level cache, and 2 x 2 pairs share their loads; values are backed up as
small matrix products, one model's rows against the values of all its pairs.

Where rewards are unknown the gap gains ``| r_M,h(s,a,mu_M) - r_N,h(s,a,mu_N) |``: ``reward [n, H, S, A]`` holds those
of the models that `members` lists, each at its own density; it is empty where rewards are known.
"""

import numpy as np

from fastmfg.kernels.jit import B2, COMMON, F2, F3, F4, FILL, I1, f8, i8, inline, inline_finite, kernel
from fastmfg.kernels.rows import dot, fill_rows, gather_dot, is_dense, row_length, successors_of

PAIR_BLOCK = 24
"""Models on a side of a block, at most: fills cost 2/PAIR_BLOCK a pair, tiles take 2 * PAIR_BLOCK * A * S * 8 bytes."""


@inline
def l1_gap(x, y):
    gap = 0.0
    for k in range(x.size):
        gap += abs(x[k] - y[k])
    return gap


@inline
def l1_gaps_2x2(x0, x1, y0, y1):
    """Four gaps for four loads an element instead of eight."""
    g00, g01, g10, g11 = 0.0, 0.0, 0.0, 0.0
    for k in range(x0.size):
        u0, u1, v0, v1 = x0[k], x1[k], y0[k], y1[k]
        g00 += abs(u0 - v0)
        g01 += abs(u0 - v1)
        g10 += abs(u1 - v0)
        g11 += abs(u1 - v1)
    return g00, g01, g10, g11


@inline
def block_gaps(X, Y, wanted, gap):
    """``gap[i, j, a]`` of all wanted pairs in one state; tiles ``X [R, 1, A, K]``, ``Y [C, 1, A, K]``."""
    R, C = wanted.shape
    for a in range(gap.shape[2]):
        for i in range(0, R - 1, 2):
            x0, x1 = X[i, 0, a], X[i + 1, 0, a]
            for j in range(0, C - 1, 2):
                if wanted[i, j] or wanted[i, j + 1] or wanted[i + 1, j] or wanted[i + 1, j + 1]:
                    g00, g01, g10, g11 = l1_gaps_2x2(x0, x1, Y[j, 0, a], Y[j + 1, 0, a])
                    gap[i, j, a], gap[i, j + 1, a], gap[i + 1, j, a], gap[i + 1, j + 1, a] = g00, g01, g10, g11
            if C % 2 == 1 and (wanted[i, C - 1] or wanted[i + 1, C - 1]):
                y = Y[C - 1, 0, a]
                gap[i, C - 1, a], gap[i + 1, C - 1, a] = l1_gap(x0, y), l1_gap(x1, y)
        if R % 2 == 1:
            x0 = X[R - 1, 0, a]
            for j in range(C):
                if wanted[R - 1, j]:
                    gap[R - 1, j, a] = l1_gap(x0, Y[j, 0, a])


@inline
def add_reward_gaps(reward, rows, cols, wanted, h, s, gap):
    """Adds the gaps of the rewards in one state to ``gap [R, C, A]`` of all wanted pairs, where rewards are unknown."""
    if reward.size > 0:
        for i in range(rows.size):
            for j in range(cols.size):
                if wanted[i, j]:
                    x, y, out = reward[rows[i], h, s], reward[cols[j], h, s], gap[i, j]
                    for a in range(out.size):
                        out[a] += abs(x[a] - y[a])


@inline
def fill_tiles(fill, common, thetas, members, aux, block, needed, h, s, tiles):
    """Rows of one state for the models of a block that some wanted pair needs; the first nonzero status."""
    for i in range(block.size):
        if needed[i]:
            m = block[i]
            status = fill_rows(fill, common, thetas[members[m]], h, aux[m, h], s, s + 1, tiles[i])
            if status != 0:
                return status
    return 0


@inline
def needed_models(wanted, rows_needed, cols_needed):
    """Marks the rows and columns that hold a wanted pair; the number of wanted pairs."""
    rows_needed[:] = False
    cols_needed[:] = False
    count = 0
    for i in range(wanted.shape[0]):
        for j in range(wanted.shape[1]):
            if wanted[i, j]:
                rows_needed[i] = True
                cols_needed[j] = True
                count += 1
    return count


@inline
def _dots_2x2(x0, x1, v0, v1):
    """Four dot products for four loads an element."""
    d00, d01, d10, d11 = 0.0, 0.0, 0.0, 0.0
    for k in range(x0.size):
        a0, a1, b0, b1 = x0[k], x1[k], v0[k], v1[k]
        d00 += a0 * b0
        d01 += a0 * b1
        d10 += a1 * b0
        d11 += a1 * b1
    return d00, d01, d10, d11


@inline
def futures(common, s, rows, V, out):
    """``out[n, a]``: a model's rows of one state [A, K] against the values of its pairs [N, S]."""
    N, A = out.shape
    if not is_dense(common):
        for n in range(N):
            for a in range(A):
                out[n, a] = gather_dot(rows[a], successors_of(common, s, a), V[n])
        return
    for n in range(0, N - 1, 2):
        v0, v1 = V[n], V[n + 1]
        for a in range(0, A - 1, 2):
            out[n, a], out[n + 1, a], out[n, a + 1], out[n + 1, a + 1] = _dots_2x2(rows[a], rows[a + 1], v0, v1)
        if A % 2 == 1:
            out[n, A - 1], out[n + 1, A - 1] = dot(rows[A - 1], v0), dot(rows[A - 1], v1)
    if N % 2 == 1:
        for a in range(A):
            out[N - 1, a] = dot(rows[a], V[N - 1])


@inline_finite
def _largest_sum(gap, future):
    top = -1.0
    for a in range(gap.size):
        value = gap[a] + future[a]
        if value > top:
            top = value
    return top


@inline
def _veto(gap, legal):
    """Illegal actions can not be the maximum."""
    for a in range(gap.size):
        if not legal[a]:
            gap[a] = -np.inf


@kernel(i8(FILL, COMMON, F2, I1, F3, F4, I1, I1, B2, F3))
def block_distances(fill, common, thetas, members, aux, reward, rows, cols, wanted, out):
    """Exact directed distances of the wanted pairs of a block.

    ``members [n]`` index ``thetas``; ``rows [R]`` and ``cols [C]`` index ``members``, ``aux [n, H, *]`` and `reward`.
    Written: ``out [R, C, 2]``, the distance with trajectories from the row's model, and from the column's.
    """
    H = aux.shape[1]
    S, A = common.legal.shape
    R, C = wanted.shape
    K = row_length(common)
    rows_needed, cols_needed = np.empty(R, np.bool_), np.empty(C, np.bool_)
    if needed_models(wanted, rows_needed, cols_needed) == 0:
        return 0
    X, Y = np.empty((R, 1, A, K)), np.empty((C, 1, A, K))
    gap = np.empty((R, C, A))
    future_x, future_y = np.zeros((R, C, A)), np.zeros((C, R, A))
    # values of the step h + 1 and of the step h, with trajectories of the row's model and of the column's
    V_x, V_y = np.zeros((R, C, S)), np.zeros((C, R, S))
    W_x, W_y = np.zeros((R, C, S)), np.zeros((C, R, S))
    for h in range(H - 1, -1, -1):
        for s in range(S):
            status = fill_tiles(fill, common, thetas, members, aux, rows, rows_needed, h, s, X)
            if status == 0:
                status = fill_tiles(fill, common, thetas, members, aux, cols, cols_needed, h, s, Y)
            if status != 0:
                return status
            block_gaps(X, Y, wanted, gap)
            add_reward_gaps(reward, rows, cols, wanted, h, s, gap)
            if h + 1 < H:
                for i in range(R):
                    if rows_needed[i]:
                        futures(common, s, X[i, 0], V_x[i], future_x[i])
                for j in range(C):
                    if cols_needed[j]:
                        futures(common, s, Y[j, 0], V_y[j], future_y[j])
            for i in range(R):
                for j in range(C):
                    if wanted[i, j]:
                        _veto(gap[i, j], common.legal[s])
                        W_x[i, j, s] = _largest_sum(gap[i, j], future_x[i, j])
                        W_y[j, i, s] = _largest_sum(gap[i, j], future_y[j, i])
        V_x, W_x = W_x, V_x
        V_y, W_y = W_y, V_y
    for i in range(R):
        for j in range(C):
            if wanted[i, j]:
                out[i, j, 0] = dot(common.initial, V_x[i, j])
                out[i, j, 1] = dot(common.initial, V_y[j, i])
    return 0


@inline
def _largest(gap, legal):
    top = 0.0
    for a in range(gap.size):
        if legal[a] and gap[a] > top:
            top = gap[a]
    return top


@kernel(i8(FILL, COMMON, F2, I1, F3, F4, I1, I1, I1, B2, f8, F2))
def block_lower_bounds(fill, common, thetas, members, aux, reward, order, rows, cols, wanted, radius, out):
    """``low = sum_s mu1(s) max_a gap_1(s,a)`` of the wanted pairs, abandoned once it exceeds `radius`.

    States are visited in `order`. Written: ``out [R, C]``, the bound, or the partial sum (a bound as well) with which
    it first exceeded the radius; ``wanted`` is cleared where that happened.
    """
    A = common.legal.shape[1]
    R, C = wanted.shape
    K = row_length(common)
    rows_needed, cols_needed = np.empty(R, np.bool_), np.empty(C, np.bool_)
    X, Y = np.empty((R, 1, A, K)), np.empty((C, 1, A, K))
    unknown = reward.size > 0
    for t in range(order.size):
        s = order[t]
        weight, legal = common.initial[s], common.legal[s]
        if weight == 0.0 or needed_models(wanted, rows_needed, cols_needed) == 0:
            break
        status = fill_tiles(fill, common, thetas, members, aux, rows, rows_needed, 0, s, X)
        if status == 0:
            status = fill_tiles(fill, common, thetas, members, aux, cols, cols_needed, 0, s, Y)
        if status != 0:
            return status
        for i in range(R):
            for j in range(C):
                if wanted[i, j]:
                    so_far, top = out[i, j], 0.0
                    for a in range(A):
                        if legal[a]:
                            gap = l1_gap(X[i, 0, a], Y[j, 0, a])
                            if unknown:
                                gap += abs(reward[rows[i], 0, s, a] - reward[cols[j], 0, s, a])
                            top = max(top, gap)
                            if so_far + weight * top > radius:
                                wanted[i, j] = False
                                break
                    out[i, j] = so_far + weight * top
    return 0


@kernel(i8(FILL, COMMON, F2, I1, F3, F4, I1, I1, B2, f8, F2))
def block_upper_bounds(fill, common, thetas, members, aux, reward, rows, cols, wanted, radius, out):
    """Adds ``sum_{h>=2} max_{s,a} gap_h`` to ``out [R, C]``, which holds `low`; pairs over `radius` are given up.

    ``wanted`` is cleared where the sum exceeded the radius: there `out` is no bound.
    """
    H = aux.shape[1]
    S, A = common.legal.shape
    R, C = wanted.shape
    K = row_length(common)
    rows_needed, cols_needed = np.empty(R, np.bool_), np.empty(C, np.bool_)
    X, Y = np.empty((R, 1, A, K)), np.empty((C, 1, A, K))
    gap, top = np.empty((R, C, A)), np.empty((R, C))
    for h in range(1, H):
        top[:] = 0.0
        for s in range(S):
            if needed_models(wanted, rows_needed, cols_needed) == 0:
                return 0
            status = fill_tiles(fill, common, thetas, members, aux, rows, rows_needed, h, s, X)
            if status == 0:
                status = fill_tiles(fill, common, thetas, members, aux, cols, cols_needed, h, s, Y)
            if status != 0:
                return status
            block_gaps(X, Y, wanted, gap)
            add_reward_gaps(reward, rows, cols, wanted, h, s, gap)
            for i in range(R):
                for j in range(C):
                    if wanted[i, j]:
                        top[i, j] = max(top[i, j], _largest(gap[i, j], common.legal[s]))
                        if out[i, j] + top[i, j] > radius:
                            wanted[i, j] = False
        for i in range(R):
            for j in range(C):
                out[i, j] += top[i, j]
    return 0


@kernel(i8(FILL, COMMON, F2, I1, F3, F4, i8, i8, F3))
def row_gaps(fill, common, thetas, members, aux, reward, m, n, out):
    """``out [H, S, A]``: the gap at every state and action of models m and n (indices of `members`)."""
    H, S, A = out.shape
    x, y = np.empty((1, A, row_length(common))), np.empty((1, A, row_length(common)))
    for h in range(H):
        for s in range(S):
            status = fill_rows(fill, common, thetas[members[m]], h, aux[m, h], s, s + 1, x)
            if status == 0:
                status = fill_rows(fill, common, thetas[members[n]], h, aux[n, h], s, s + 1, y)
            if status != 0:
                return status
            for a in range(A):
                out[h, s, a] = l1_gap(x[0, a], y[0, a])
                if reward.size > 0:
                    out[h, s, a] += abs(reward[m, h, s, a] - reward[n, h, s, a])
    return 0
