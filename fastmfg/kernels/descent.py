"""Fixed-step mirror descent in one go: many iterations between two looks at the NE gap.

An iteration pushes the density through the policy, backs the policy's values up and takes the softmax at once, step by
step: neither rewards nor Q of all steps ever exist. Logits and policies stand as ``[H, A, S]`` here, so that loops over
states are vector code.
"""

import numpy as np
from numba import types

from fastmfg.kernels.density import own_tile
from fastmfg.kernels.elementary import exp_below
from fastmfg.kernels.jit import COMMON, F1, F3, FILL, PREPARE, REWARD, REWARD_PART, b1, f8, i8, inline, kernel
from fastmfg.kernels.passes import (
    NOT_FINITE,
    TURNED,
    WORKSPACE,
    add_expected,
    average_all,
    block_rewards,
    push_all,
    reward_pair,
)
from fastmfg.kernels.rows import is_factored
from fastmfg.kernels.segments import BLOCK, add_ahead, in_segments
from fastmfg.kernels.team import claim, claim_next, end_phase, note


@inline
def close_block(q, legal, step, lo, hi, y, pi, top, total, V):
    """V of the states lo..hi-1 from ``q [A, B]``, then their logits and policy ``[A, S]`` in place."""
    A, n = y.shape[0], hi - lo
    value, top, total = V[lo:hi], top[:n], total[:n]
    for i in range(n):
        value[i], top[i], total[i] = 0.0, -np.inf, 0.0
    for a in range(A):
        q_a, y_a, p = q[a, :n], y[a, lo:hi], pi[a, lo:hi]
        for i in range(n):
            value[i] += p[i] * q_a[i]
            y_a[i] += step * q_a[i]
        if legal.size > 0:
            allowed = legal[a, lo:hi]
            for i in range(n):
                y_a[i] = y_a[i] if allowed[i] else -1e300
        for i in range(n):
            top[i] = y_a[i] if y_a[i] > top[i] else top[i]  # `max` minds NaN, and is no vector code
    for a in range(A):
        exp_below(y[a, lo:hi], top, pi[a, lo:hi], total)
    for i in range(n):
        total[i] = 1.0 / total[i]
    for a in range(A):
        p = pi[a, lo:hi]
        for i in range(n):
            p[i] *= total[i]


@kernel(types.void(PREPARE, FILL, REWARD, REWARD_PART, COMMON, F1, TURNED, b1, f8, i8, F3, F3, WORKSPACE))
def descend(prepare, fill, reward, part, common, theta, turned, joint, step, iterations, y, pi, work):
    """``y <- y + step Q^pi``, ``pi = softmax(y)`` over legal actions, so many times; ``y, pi [H, A, S]`` in place.

    Each member of a team calls this with the same arrays. ``work.fault`` is 0 afterwards, or the status of a family's
    function, or NOT_FINITE.
    """
    H, A = y.shape[:2]
    parts, board, moved = work.parts, work.board, work.moved[0]
    P = parts.size - 1
    tile = own_tile(common)
    q, top, total = np.empty((A, BLOCK)), np.empty(BLOCK), np.empty(BLOCK)
    V, V_next = work.values[0], work.values[1]
    factored, along = is_factored(common), in_segments(turned.rows_from)
    shared, legal, rows_from = common.shared, turned.legal, turned.rows_from
    fault, phase = work.fault, 0
    for _ in range(iterations):
        phase = push_all(prepare, fill, common, theta, turned, joint, pi, work, phase, tile)
        for h in range(H - 1, -1, -1):
            last, place = h + 1 == H, (H - 1 - h) % 2
            if place == 0:
                phase = reward_pair(reward, common, theta, joint, pi, work, h, phase)
            if factored and not last:
                phase = average_all(fill, common, theta, turned, work, h, V_next, moved, phase, tile)
            # per block only what it needs: tuples of many arrays are counted as in use, array by array, at every call
            mu, aux, table, y_h, pi_h = work.density[h], work.aux[h], work.rewards[place], y[h], pi[h]
            ahead = moved if factored else V_next
            p = claim(board, phase)
            while p < P:
                for lo in range(parts[p], parts[p + 1], BLOCK):
                    hi = min(parts[p + 1], lo + BLOCK)
                    note(fault, block_rewards(part, shared, theta, h, mu, table, lo, hi, q))
                    if not last:
                        if along:
                            add_ahead(rows_from, lo // BLOCK, lo, ahead, q)
                        else:
                            status = add_expected(
                                fill, common, theta, turned, h, aux, work.rows, V_next, moved, lo, hi, tile, q
                            )
                            note(fault, status)
                    close_block(q, legal, step, lo, hi, y_h, pi_h, top, total, V)
                if h == 0 and not np.isfinite(V[parts[p] : parts[p + 1]].sum()):
                    note(fault, NOT_FINITE)
                p = claim_next(board, phase)
            phase = end_phase(board, phase, P)
            V, V_next = V_next, V
