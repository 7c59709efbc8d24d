"""Push a density through a policy: ``mu_{h+1}(s') = sum_{s,a} mu_h(s) pi_h(a|s) P_h(s'|s,a,mu_h)``.

The pass also leaves behind what every later kernel needs of the conditional model: `aux`, one row a step.
"""

import numpy as np
from numba import types

from fastmfg.kernels.jit import COMMON, F1, F2, F3, F4, FILL, I1, I2, PREPARE, b1, i8, inline, kernel
from fastmfg.kernels.rows import (
    fill_rows,
    is_dense,
    is_factored,
    row_length,
    scatter,
    successors_of,
    tile_states,
)

FAULT_STATUS, FAULT_VALUE, FAULT_SUM = 1, 2, 3
ROW_TOLERANCE = 1e-9


@inline
def population_of(mu, pi, joint, out):
    """What transitions and rewards see: the state density [S], or the joint ``mu(s) pi(a|s)`` [S*A]."""
    S, A = pi.shape
    if joint:
        for s in range(S):
            for a in range(A):
                out[s * A + a] = mu[s] * pi[s, a]
    else:
        for s in range(S):
            out[s] = mu[s]


@inline
def _faulty_row(tile, n):
    """The first (s, a, code) of a tile whose row is not a distribution, or (-1, -1, 0)."""
    for s in range(n):
        for a in range(tile.shape[1]):
            row = tile[s, a]
            total, negative = 0.0, 0
            for x in range(row.size):
                total += row[x]
                negative += row[x] < 0.0
            if negative > 0 or np.isnan(total):
                return s, a, FAULT_VALUE
            if not (abs(total - 1.0) <= ROW_TOLERANCE):
                return s, a, FAULT_SUM
    return -1, -1, 0


@inline
def move_all(moves, mu, pi):
    """Where the crowd of a factored game is after its moves and before the noise."""
    moved = np.zeros(mu.size)
    for s in range(mu.size):
        for a in range(moves.shape[1]):
            moved[moves[s, a]] += mu[s] * pi[s, a]
    return moved


@inline
def spread_noise(successors, tile, moved, lo, hi, out):
    for m in range(lo, hi):
        weight = moved[m]
        for k in range(tile.shape[2]):
            out[successors[m, 0, k]] += weight * tile[m - lo, 0, k]


@inline
def push_step(fill, common, theta, h, aux, mu, pi, check, out, tile, fault):
    """One step of the pass; False when a row is at fault (written to `fault`: code, detail, s, a)."""
    S, A = pi.shape
    out[:] = 0.0
    moved = move_all(common.moves, mu, pi) if is_factored(common) else mu
    size = tile.shape[0]
    for lo in range(0, S, size):
        hi = min(S, lo + size)
        if check:
            tile[:] = np.nan  # what a filler leaves unwritten must not pass for a row
        status = fill(h, aux, common.shared, theta, lo, hi, tile[: hi - lo])
        if status != 0:
            fault[0], fault[1], fault[2], fault[3] = FAULT_STATUS, status, lo, hi
            return False
        if check:
            s, a, code = _faulty_row(tile, hi - lo)
            if code != 0:
                fault[0], fault[1], fault[2], fault[3] = code, 0, lo + s, a
                return False
        if is_factored(common):
            spread_noise(common.successors, tile, moved, lo, hi, out)
            continue
        for s in range(lo, hi):
            for a in range(A):
                weight = mu[s] * pi[s, a]
                if weight != 0.0:
                    row = tile[s - lo, a]
                    if is_dense(common):
                        for x in range(S):
                            out[x] += weight * row[x]
                    else:
                        scatter(common.successors[s, a], row, weight, out)
    return True


@inline
def own_tile(common):
    """Scratch for the rows a family fills: one a state when factored, else one an action."""
    S, A = common.legal.shape
    rows, K = (1 if is_factored(common) else A), row_length(common)
    return np.empty((min(S, tile_states(rows, K)), rows, K))


@kernel(types.void(PREPARE, FILL, COMMON, F2, I1, F4, I1, b1, b1, F3, F3, I2))
def push(prepare, fill, common, thetas, members, policies, policy_of, joint, check, density, aux, fault):
    """Densities of n (model, policy) pairs.

    ``members [n]`` index ``thetas [M, *]``, ``policy_of [n]`` index ``policies [P, H, S, A]``. Written:
    ``density [n, H, S]``, ``aux [n, H, *]``, and ``fault [n, 5]`` (code, detail, s, a, h), code 0 where none.
    With `check`, every row of every step is checked, the last step's too.
    """
    n, H, S = density.shape
    A = policies.shape[3]
    tile = own_tile(common)
    population = np.empty(S * A if joint else S)
    unused = np.empty(S)
    for i in range(n):
        theta = thetas[members[i]]
        policy = policies[policy_of[i]]
        fault[i, 0] = 0
        density[i, 0] = common.initial
        for h in range(H):
            mu = density[i, h]
            population_of(mu, policy[h], joint, population)
            if check:
                aux[i, h] = np.nan
            status = prepare(h, population, common.shared, theta, aux[i, h])
            if status != 0:
                fault[i, 0], fault[i, 1], fault[i, 2], fault[i, 3] = FAULT_STATUS, status, -1, -1
                fault[i, 4] = h
                break
            if h + 1 < H:
                sound = push_step(
                    fill, common, theta, h, aux[i, h], mu, policy[h], check, density[i, h + 1], tile, fault[i]
                )
            elif check:
                sound = push_step(fill, common, theta, h, aux[i, h], mu, policy[h], check, unused, tile, fault[i])
            else:
                sound = True
            if not sound:
                fault[i, 4] = h
                break


@kernel(i8(FILL, COMMON, F2, I1, F3, F4, I1, F3))
def occupy(fill, common, thetas, members, aux, policies, policy_of, density):
    """State distributions ``density [n, H, S]`` of one agent who deviates in conditional models that stand in `aux`."""
    n, H = density.shape[:2]
    tile = own_tile(common)
    fault = np.zeros(4, np.int64)
    for i in range(n):
        density[i, 0] = common.initial
        for h in range(H - 1):
            mu, pi, out = density[i, h], policies[policy_of[i], h], density[i, h + 1]
            if not push_step(fill, common, thetas[members[i]], h, aux[i, h], mu, pi, False, out, tile, fault):
                return fault[1]
    return 0


@kernel(i8(PREPARE, FILL, COMMON, F1, i8, F1, F1, F3))
def tabulate(prepare, fill, common, theta, h, population, aux, out):
    """One step's rows as a dense table ``out [S, A, S]``, under a given population; the status of the family."""
    out[:] = np.nan
    status = prepare(h, population, common.shared, theta, aux)
    if status != 0 or is_dense(common):
        return status if status != 0 else fill(h, aux, common.shared, theta, 0, out.shape[0], out)
    S, A = common.legal.shape
    tile = np.full((1, A, row_length(common)), np.nan)
    out[:] = 0.0
    for s in range(S):
        status = fill_rows(fill, common, theta, h, aux, s, s + 1, tile)
        if status != 0:
            return status
        for a in range(A):
            scatter(successors_of(common, s, a), tile[0, a], 1.0, out[s, a])
    return 0
