"""Central models at every point of a cover of the policy space, and averages of the tables of many models.

A point of the cover fixes one row of a grid in each *cell* (h, s); its index counts through the cells, the last one
fastest. Under the policy of a point, ``d(M, N)`` is the larger directed distance (`fastmfg.kernels.distance`), a
model's neighbours are those within the radius, and the central model has the most, the lowest index on a tie.
"""

import numpy as np

from fastmfg.kernels.density import write_joint
from fastmfg.kernels.jit import B2, COMMON, F1, F2, F3, F4, FILL, I1, I2, PREPARE, b1, f8, i8, inline, kernel
from fastmfg.kernels.rows import fill_rows, is_dense, row_length, scatter, successors_of


@inline
def _set_policy(point, cells, first, size, grid, policy):
    """Write the grid rows of a point into its cells."""
    for c in range(cells.shape[0] - 1, -1, -1):
        row = grid[first[c] + point % size[c]]
        point //= size[c]
        policy[cells[c, 0], cells[c, 1]] = row


@inline
def _condition(prepare, fill, common, theta, policy, joint, known, population, aux, mu, rows):
    """The rows ``[H, S, A, K]`` of one model at the policy's density; the first nonzero status.

    With `known` the rows of the first step stand there already.
    """
    H, S, A = policy.shape
    mu[0] = common.initial
    for h in range(H):
        if h > 0 or not known:
            if joint:
                write_joint(mu[h], policy[h].T, population)
            status = prepare(h, population if joint else mu[h], common.shared, theta, aux)
            if status == 0:
                status = fill_rows(fill, common, theta, h, aux, 0, S, rows[h])
            if status != 0:
                return status
        if h + 1 < H:
            out = mu[h + 1]
            out[:] = 0.0
            for s in range(S):
                for a in range(A):
                    weight = mu[h, s] * policy[h, s, a]
                    if weight == 0.0:
                        continue
                    if is_dense(common):
                        for x in range(S):
                            out[x] += weight * rows[h, s, a, x]
                    else:
                        scatter(successors_of(common, s, a), rows[h, s, a], weight, out)
    return 0


@inline
def _distance(common, P, Q, V, W):
    """The larger directed distance of two models, rows ``[H, S, A, K]``; ``V, W [2, S]`` are scratch.

    Rows are short: loops over indices, as making slices costs more than using them.
    """
    H, S, A, K = P.shape
    dense = is_dense(common)
    for s in range(S):
        V[H % 2, s], W[H % 2, s] = 0.0, 0.0
    for h in range(H - 1, -1, -1):
        now, after = h % 2, (h + 1) % 2
        for s in range(S):
            top_p, top_q = -1.0, -1.0
            for a in range(A):
                if common.legal[s, a]:
                    gap, future_p, future_q = 0.0, 0.0, 0.0
                    if dense:
                        for k in range(K):
                            p, q = P[h, s, a, k], Q[h, s, a, k]
                            gap += abs(p - q)
                            future_p += p * V[after, k]
                            future_q += q * W[after, k]
                    else:
                        states = successors_of(common, s, a)
                        for k in range(K):
                            p, q = P[h, s, a, k], Q[h, s, a, k]
                            gap += abs(p - q)
                            future_p += p * V[after, states[k]]
                            future_q += q * W[after, states[k]]
                    top_p, top_q = max(top_p, gap + future_p), max(top_q, gap + future_q)
            V[now, s], W[now, s] = top_p, top_q
    d_p, d_q = 0.0, 0.0
    for s in range(S):
        d_p += common.initial[s] * V[0, s]
        d_q += common.initial[s] * W[0, s]
    return max(d_p, d_q)


@kernel(
    i8(PREPARE, FILL, COMMON, F2, I1, F3, I2, I1, I1, F2, b1, i8, B2, f8, i8, I1, I1),
)
def cover_centres(
    prepare, fill, common, thetas, members, base, cells, first, size, grid, joint, aux_size, open_pairs, radius, lo,
    central, count,
):  # fmt: skip
    """Central models of the points lo, lo+1, ... of a cover, and the sizes of their neighbourhoods.

    ``members [n]`` index ``thetas``; ``base [H, S, A]`` is the policy outside the cells; cell c is the state
    ``cells[c] = (h, s)`` and takes the rows ``first[c] .. first[c] + size[c] - 1`` of ``grid [*, A]``; ``open_pairs
    [n, n]`` marks pairs i < j that may be near under some policy. Written: ``central [k]``, ``count [k]``.
    """
    n = members.size
    H, S, A = base.shape
    rows = np.empty((n, H, S, A, row_length(common)))
    mu = np.empty((H, S))
    population = np.empty(S * A if joint else S)
    aux = np.empty(aux_size)
    policy = base.copy()
    V, W = np.empty((2, S)), np.empty((2, S))
    near = np.empty(n, np.int64)
    for k in range(central.size):
        _set_policy(lo + k, cells, first, size, grid, policy)
        known = k > 0 and not joint  # every density starts alike
        for m in range(n):
            theta = thetas[members[m]]
            status = _condition(prepare, fill, common, theta, policy, joint, known, population, aux, mu, rows[m])
            if status != 0:
                return status
        near[:] = 1
        for i in range(n):
            for j in range(i + 1, n):
                if open_pairs[i, j] and _distance(common, rows[i], rows[j], V, W) <= radius:
                    near[i] += 1
                    near[j] += 1
        best = 0
        for m in range(1, n):
            if near[m] > near[best]:
                best = m
        central[k], count[k] = best, near[best]
    return 0


@kernel(i8(FILL, COMMON, F2, I1, F3, F1, F4))
def weighted_rows(fill, common, thetas, members, aux, weights, out):
    """Adds ``sum_m weights[m] P_m`` to dense tables ``out [H, S, A, S]``; ``aux [n, H, *]`` as conditioning left it."""
    H, S, A = out.shape[:3]
    tile = np.empty((1, A, row_length(common)))
    for m in range(members.size):
        if weights[m] == 0.0:
            continue
        for h in range(H):
            for s in range(S):
                status = fill_rows(fill, common, thetas[members[m]], h, aux[m, h], s, s + 1, tile)
                if status != 0:
                    return status
                for a in range(A):
                    row, target = tile[0, a], out[h, s, a]
                    if is_dense(common):
                        for x in range(S):
                            target[x] += weights[m] * row[x]
                    else:
                        scatter(successors_of(common, s, a), row, weights[m], target)
    return 0
