"""L1 gaps of rows, the distance d of two conditional models, and its two bounds, for blocks of pairs.

``gap_h(s,a) = || P_M,h(.|s,a,mu_M) - P_N,h(.|s,a,mu_N) ||_1``. Directed distance, by backward induction:
``V_h(s) = max over legal a of gap_h(s,a) + sum_s' P_M,h(s'|s,a) V_{h+1}(s')``, ``d = mu1 . V_1``; the last step's gap
counts.

A block compares the models `rows` with the models `cols`. Filling a tile once serves all pairs of the block; for one
action the rows of all models fit the first-level cache, and 2 x 4 pairs share their loads; values are backed up as
small matrix products, one model's rows against the values of all its pairs.

Every gap and every expected value is summed in one fixed order (`fastmfg.kernels.lanes`; in order along sparse rows),
so that a pair's numbers are the same to the last bit in any block, and the same with the two models exchanged.

Where rewards are unknown the gap gains ``| r_M,h(s,a,mu_M) - r_N,h(s,a,mu_N) |``: ``reward [n, H, S, A]`` holds those
of the models that `members` lists, each at its own density; it is empty where rewards are known.
"""

import numpy as np

from fastmfg.kernels.jit import B2, COMMON, F2, F3, F4, FILL, I1, I3, FunctionPointer, b1, f8, i8, inline, kernel, unit
from fastmfg.kernels.lanes import cross_dots, cross_gaps, gathered_dots, largest, largest_sum, zip_gaps
from fastmfg.kernels.rows import is_dense, is_factored, row_length, tile_states
from fastmfg.kernels.views import part

PAIR_BLOCK = 24
"""Models on a side of a block, at most: fills cost 2/PAIR_BLOCK a pair, tiles take 2 * PAIR_BLOCK * A * S * 8 bytes."""

CROWDED = 6
"""Wanted pairs of a square of 2 x 4 from which on it is computed whole; fewer are taken one by one, four actions at
a time."""

PAIRS, ALONE, SQUARES = 0, 1, 2
"""A *plan* lists the wanted pairs (i, j) of a block, those of them outside of squares, and the first pairs of squares,
``plan [3, R C + 1, 2]``; the last entry of a list begins with its length."""


@unit(FunctionPointer(i8(B2, I3)))
def make_plan(wanted, plan):
    """Write the plan of the wanted pairs; their number."""
    R, C = wanted.shape
    n_pairs, n_alone, n_squares = 0, 0, 0
    for i in range(0, R, 2):
        for j in range(0, C, 4):
            first = n_pairs
            for p in range(i, min(i + 2, R)):
                for q in range(j, min(j + 4, C)):
                    if wanted[p, q]:
                        plan[PAIRS, n_pairs, 0], plan[PAIRS, n_pairs, 1] = p, q
                        n_pairs += 1
            if n_pairs - first >= CROWDED:
                plan[SQUARES, n_squares, 0], plan[SQUARES, n_squares, 1] = i, j
                n_squares += 1
            else:
                for n in range(first, n_pairs):
                    plan[ALONE, n_alone, 0], plan[ALONE, n_alone, 1] = plan[PAIRS, n, 0], plan[PAIRS, n, 1]
                    n_alone += 1
    plan[PAIRS, R * C, 0], plan[ALONE, R * C, 0], plan[SQUARES, R * C, 0] = n_pairs, n_alone, n_squares
    return n_pairs


@inline
def fill_model(fill, common, thetas, members, aux, m, h, lo, hi, tiles, place):
    """Rows of the states lo..hi-1 of one model of a block; the first nonzero status.

    They are written to ``tiles [*, 1, A, K]`` from the tile number `place` on.
    """
    H, aux_size, size, A, K = aux.shape[1], aux.shape[2], thetas.shape[1], tiles.shape[2], tiles.shape[3]
    theta, decided = part(thetas, members[m] * size, (size,)), part(aux, (m * H + h) * aux_size, (aux_size,))
    if not is_factored(common):
        return fill(h, decided, common.shared, theta, lo, hi, part(tiles, place * A * K, (hi - lo, A, K)))
    for s in range(lo, hi):
        for a in range(A):  # rows of the noise, where the action moves
            x, row = common.moves[s, a], ((place + s - lo) * A + a) * K
            status = fill(h, decided, common.shared, theta, x, x + 1, part(tiles, row, (1, 1, K)))
            if status != 0:
                return status
    return 0


@inline
def l1_gap(x, y):
    """The gap of two rows, to the last bit what `state_gaps` makes of it."""
    return zip_gaps(x, (0,), y, (0,), x.size)[0]


@unit(FunctionPointer(i8(F4, F4, i8, I3, I1, i8, i8, F3)))
def state_gaps(X, Y, first, plan, actions, lo, hi, gap):
    """``gap[i, j, t]`` of the wanted pairs and the actions ``a_t``, lo <= t < hi.

    ``X [*, 1, A, K]`` begins with the tiles of the block's rows, ``Y [*, 1, A, K]`` holds those of its columns from
    `first` on. In squares, gaps of pairs that are not wanted are written as well.
    """
    R, C, A = gap.shape
    K = X.shape[3]
    for t in range(lo, hi):
        a = actions[t]
        y = first * A + a
        for n in range(plan[SQUARES, R * C, 0]):
            i, j = plan[SQUARES, n, 0], plan[SQUARES, n, 1]
            i1, j1, j2, j3 = min(i + 1, R - 1), min(j + 1, C - 1), min(j + 2, C - 1), min(j + 3, C - 1)
            (
                gap[i, j, t], gap[i, j1, t], gap[i, j2, t], gap[i, j3, t],
                gap[i1, j, t], gap[i1, j1, t], gap[i1, j2, t], gap[i1, j3, t],
            ) = cross_gaps(
                X, ((i * A + a) * K, (i1 * A + a) * K),
                Y, ((y + j * A) * K, (y + j1 * A) * K, (y + j2 * A) * K, (y + j3 * A) * K), K,
            )  # fmt: skip
    for n in range(plan[ALONE, R * C, 0]):
        i, j = plan[ALONE, n, 0], plan[ALONE, n, 1]
        x, y = i * A, (first + j) * A
        for t in range(lo, hi, 4):
            t1, t2, t3 = min(t + 1, hi - 1), min(t + 2, hi - 1), min(t + 3, hi - 1)
            a, a1, a2, a3 = actions[t], actions[t1], actions[t2], actions[t3]
            gap[i, j, t], gap[i, j, t1], gap[i, j, t2], gap[i, j, t3] = zip_gaps(
                X, ((x + a) * K, (x + a1) * K, (x + a2) * K, (x + a3) * K),
                Y, ((y + a) * K, (y + a1) * K, (y + a2) * K, (y + a3) * K), K,
            )  # fmt: skip
    return 0


@unit(FunctionPointer(i8(F4, F4, B2, F3)), allocates=True)
def block_gaps(X, Y, wanted, gap):
    """``gap[i, j, a]`` of all wanted pairs in one state; tiles ``X [R, 1, A, K]``, ``Y [C, 1, A, K]``."""
    R, C, A = gap.shape
    plan = np.empty((3, R * C + 1, 2), np.int64)
    make_plan(wanted, plan)
    return state_gaps(X, Y, 0, plan, np.arange(A), 0, A, gap)


@unit(FunctionPointer(i8(FILL, COMMON, F2, I1, F3, F4, I1, I1, B2, I3, i8, i8, I1, i8, i8, F4, F3)))
def compare_state(
    fill, common, thetas, members, aux, reward, rows, cols, wanted, plan, h, s, actions, lo, hi, tiles, gap
):  # fmt: skip
    """Gaps of one state, of rows and of rewards, as `state_gaps` has them; the first nonzero status.

    With lo = 0, ``tiles [R + C, 1, A, K]`` are filled first: for those models that a wanted pair needs.
    """
    R, C = wanted.shape
    if lo == 0:
        for i in range(R + C):
            needed = False
            for j in range(C if i < R else R):
                needed |= wanted[i, j] if i < R else wanted[j, i - R]
            if needed:
                m = rows[i] if i < R else cols[i - R]
                status = fill_model(fill, common, thetas, members, aux, m, h, s, s + 1, tiles, i)
                if status != 0:
                    return status
    state_gaps(tiles, tiles, R, plan, actions, lo, hi, gap)
    if reward.size > 0:
        for n in range(plan[PAIRS, R * C, 0]):
            i, j = plan[PAIRS, n, 0], plan[PAIRS, n, 1]
            for t in range(lo, hi):
                a = actions[t]
                gap[i, j, t] += abs(reward[rows[i], h, s, a] - reward[cols[j], h, s, a])
    return 0


@unit(FunctionPointer(i8(COMMON, i8, I1)))
def legal_actions(common, s, actions):
    """Write the legal actions of a state; their number."""
    count = 0
    for a in range(actions.size):
        if common.legal[s, a]:
            actions[count] = a
            count += 1
    return count


@unit(FunctionPointer(i8(COMMON, i8, I1, i8, F4, F3, B2, b1, i8, F4)), allocates=True)
def back_up_state(common, s, actions, L, tiles, gap, wanted, last, now, V):
    """Values of one state, of the wanted pairs, with trajectories of the row's model (side 0) and of the column's (1).

    ``V[now, side, pair, s] = max_t gap(pair, t) + sum_s' P(s'|s,a_t) V[1 - now, side, pair, s']``, t one of the `L`
    legal actions; at the last step there is nothing after. ``V [2, 2, R C, S]``; `tiles` as `compare_state` left them.
    """
    R, C, A = gap.shape
    S, K = V.shape[3], tiles.shape[3]
    dense, factored = is_dense(common), is_factored(common)
    pairs, future = np.empty(max(R, C), np.int64), np.empty(max(R, C) * A)
    for side in range(2):
        after = (2 * (1 - now) + side) * R * C
        for n in range(C if side else R):
            P = 0
            for m in range(R if side else C):
                i, j = (m, n) if side else (n, m)
                if wanted[i, j]:
                    pairs[P] = i * C + j
                    P += 1
            row = (R + n if side else n) * A
            for p in range(0, 0 if last else P, 4):
                p1, p2, p3 = min(p + 1, P - 1), min(p + 2, P - 1), min(p + 3, P - 1)
                V_p = (
                    (after + pairs[p]) * S, (after + pairs[p1]) * S, (after + pairs[p2]) * S, (after + pairs[p3]) * S
                )  # fmt: skip
                if dense:
                    for t in range(0, L, 2):
                        u = min(t + 1, L - 1)
                        (
                            future[p * A + t], future[p1 * A + t], future[p2 * A + t], future[p3 * A + t],
                            future[p * A + u], future[p1 * A + u], future[p2 * A + u], future[p3 * A + u],
                        ) = cross_dots(tiles, ((row + actions[t]) * K, (row + actions[u]) * K), V, V_p, K)  # fmt: skip
                else:
                    for t in range(L):
                        a = actions[t]
                        states = (common.moves[s, a] if factored else s * A + a) * K
                        future[p * A + t], future[p1 * A + t], future[p2 * A + t], future[p3 * A + t] = gathered_dots(
                            tiles, (row + a) * K, common.successors, states, V, V_p, K
                        )
            for p in range(P):
                if last:
                    V[now, side, pairs[p], s] = largest(gap, pairs[p] * A, L)
                else:
                    V[now, side, pairs[p], s] = largest_sum(gap, pairs[p] * A, future, p * A, L)
    return 0


@kernel(i8(FILL, COMMON, F2, I1, F3, F4, I1, I1, B2, F3))
def block_distances(fill, common, thetas, members, aux, reward, rows, cols, wanted, out):
    """Exact directed distances of the wanted pairs of a block.

    ``members [n]`` index ``thetas``; ``rows [R]`` and ``cols [C]`` index ``members``, ``aux [n, H, *]`` and `reward`.
    Written: ``out [R, C, 2]``, the distance with trajectories from the row's model, and from the column's.
    """
    H = aux.shape[1]
    S, A = common.legal.shape
    R, C = wanted.shape
    plan = np.empty((3, R * C + 1, 2), np.int64)
    if make_plan(wanted, plan) == 0:
        return 0
    tiles, gap, actions = np.empty((R + C, 1, A, row_length(common))), np.empty((R, C, A)), np.empty(A, np.int64)
    V = np.empty((2, 2, R * C, S))
    for h in range(H - 1, -1, -1):
        for s in range(S):
            L = legal_actions(common, s, actions)
            status = compare_state(
                fill, common, thetas, members, aux, reward, rows, cols, wanted, plan, h, s, actions, 0, L, tiles, gap
            )
            if status != 0:
                return status
            back_up_state(common, s, actions, L, tiles, gap, wanted, h == H - 1, h % 2, V)
    for n in range(plan[PAIRS, R * C, 0]):
        i, j = plan[PAIRS, n, 0], plan[PAIRS, n, 1]
        for side in range(2):
            out[i, j, side] = cross_dots(common.initial, (0,), V, ((side * R * C + i * C + j) * S,), S)[0]
    return 0


@kernel(i8(FILL, COMMON, F2, I1, F3, F4, I1, I1, I1, B2, f8, F2))
def block_lower_bounds(fill, common, thetas, members, aux, reward, order, rows, cols, wanted, radius, out):
    """``low = sum_s mu1(s) max_a gap_1(s,a)`` of the wanted pairs, abandoned once it exceeds `radius`.

    States are visited in `order`. Written: ``out [R, C]``, the bound, or the partial sum (a bound as well) with which
    it first exceeded the radius; ``wanted`` is cleared where that happened.
    """
    A = common.legal.shape[1]
    R, C = wanted.shape
    tiles, gap, actions = np.empty((R + C, 1, A, row_length(common))), np.empty((R, C, A)), np.empty(A, np.int64)
    tops, plan = np.empty(R * C), np.empty((3, R * C + 1, 2), np.int64)
    left = make_plan(wanted, plan)
    for t in range(order.size):
        s = order[t]
        weight = common.initial[s]
        if weight == 0.0:
            break
        L = legal_actions(common, s, actions)
        # one action may tell all pairs apart: few are asked first, then more and more
        lo, hi = 0, 1 if radius < np.inf else L
        while lo < L:
            if left == 0:
                return 0
            status = compare_state(
                fill, common, thetas, members, aux, reward, rows, cols, wanted, plan, 0, s, actions, lo, hi, tiles, gap
            )
            if status != 0:
                return status
            over = 0
            for n in range(left):
                i, j = plan[PAIRS, n, 0], plan[PAIRS, n, 1]
                top = largest(gap, (i * C + j) * A + lo, hi - lo)
                if lo > 0:
                    top = max(top, tops[i * C + j])
                tops[i * C + j] = top
                bound = out[i, j] + weight * top
                if bound > radius:
                    wanted[i, j] = False
                    over += 1
                if bound > radius or hi == L:
                    out[i, j] = bound
            if over > 0:
                left = make_plan(wanted, plan)
            lo, hi = hi, min(5 * hi, L)
    return 0


@kernel(i8(FILL, COMMON, F2, I1, F3, F4, I1, I1, B2, f8, F2))
def block_upper_bounds(fill, common, thetas, members, aux, reward, rows, cols, wanted, radius, out):
    """Adds ``sum_{h>=2} max_{s,a} gap_h`` to ``out [R, C]``, which holds `low`; pairs over `radius` are given up.

    ``wanted`` is cleared where the sum exceeded the radius: there `out` is no bound.
    """
    H = aux.shape[1]
    S, A = common.legal.shape
    R, C = wanted.shape
    tiles, gap, actions = np.empty((R + C, 1, A, row_length(common))), np.empty((R, C, A)), np.empty(A, np.int64)
    tops, plan = np.empty((R, C)), np.empty((3, R * C + 1, 2), np.int64)
    left = make_plan(wanted, plan)
    for h in range(1, H):
        for s in range(S):
            if left == 0:
                return 0
            L = legal_actions(common, s, actions)
            status = compare_state(
                fill, common, thetas, members, aux, reward, rows, cols, wanted, plan, h, s, actions, 0, L, tiles, gap
            )
            if status != 0:
                return status
            over = 0
            for n in range(left):
                i, j = plan[PAIRS, n, 0], plan[PAIRS, n, 1]
                top = largest(gap, (i * C + j) * A, L)
                tops[i, j] = top if s == 0 else max(tops[i, j], top)
                if out[i, j] + tops[i, j] > radius:
                    wanted[i, j] = False
                    over += 1
            if over > 0:
                left = make_plan(wanted, plan)
        for n in range(left):
            i, j = plan[PAIRS, n, 0], plan[PAIRS, n, 1]
            out[i, j] += tops[i, j]
    return 0


@kernel(i8(FILL, COMMON, F2, I1, F3, F4, i8, i8, F3))
def row_gaps(fill, common, thetas, members, aux, reward, m, n, out):
    """``out [H, S, A]``: the gap at every state and action of models m and n (indices of `members`)."""
    H, S, A = out.shape
    K = row_length(common)
    T = min(S, tile_states(A, K))
    tiles = np.empty((2 * T, 1, A, K))
    for h in range(H):
        for lo in range(0, S, T):
            hi = min(lo + T, S)
            status = fill_model(fill, common, thetas, members, aux, m, h, lo, hi, tiles, 0)
            if status == 0:
                status = fill_model(fill, common, thetas, members, aux, n, h, lo, hi, tiles, T)
            if status != 0:
                return status
            gap, last, y = part(out, (h * S + lo) * A, ((hi - lo) * A,)), (hi - lo) * A - 1, T * A
            for r in range(0, last + 1, 4):
                r1, r2, r3 = min(r + 1, last), min(r + 2, last), min(r + 3, last)
                gap[r], gap[r1], gap[r2], gap[r3] = zip_gaps(
                    tiles, (r * K, r1 * K, r2 * K, r3 * K),
                    tiles, ((y + r) * K, (y + r1) * K, (y + r2) * K, (y + r3) * K), K,
                )  # fmt: skip
    if reward.size > 0:
        for h in range(H):
            for s in range(S):
                for a in range(A):
                    out[h, s, a] += abs(reward[m, h, s, a] - reward[n, h, s, a])
    return 0
