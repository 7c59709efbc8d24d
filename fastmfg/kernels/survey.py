"""A policy surveyed in one game by a team: its density, its values and its best response, in two passes.

The rewards of two steps at a time are all that is ever written out of them; Q of the policy and the actions of the best
response are kept only where they are wanted.
"""

import numpy as np
from numba import types

from fastmfg.kernels.backup import two_dots, two_gather_dots
from fastmfg.kernels.density import own_tile
from fastmfg.kernels.jit import COMMON, F1, F3, FILL, PREPARE, REWARD, REWARD_PART, b1, f8, inline, kernel
from fastmfg.kernels.passes import (
    NOT_FINITE,
    TURNED,
    WORKSPACE,
    add_expected,
    average_all,
    block_rewards,
    push_all,
    reward_pair,
    rows_again,
)
from fastmfg.kernels.rows import is_factored
from fastmfg.kernels.segments import BLOCK, add_ahead, in_segments
from fastmfg.kernels.team import claim, claim_next, end_phase, note

ACTIONS = types.int16[:, ::1]
"""Actions of the best response: a quarter of what int64 would move."""

MOST_ACTIONS = (1 << 15) - 1


@inline
def two_averages(fill, common, theta, h, aux, places, V, W, lo, hi, tile, out):
    """Expectations of V and of W over the noise of the states lo..hi-1; the status of the family."""
    for first in range(lo, hi, tile.shape[0]):
        end = min(hi, first + tile.shape[0])
        status = fill(h, aux, common.shared, theta, first, end, tile[: end - first])
        if status != 0:
            return status
        for m in range(first, end):
            x, y, row = 0.0, 0.0, tile[m - first, 0]
            for k in range(row.size):
                x += row[k] * V[places[k, m]]
                y += row[k] * W[places[k, m]]
            out[0, m], out[1, m] = x, y
    return 0


@inline
def average_both(fill, common, theta, turned, work, h, V, W, phase, tile):
    """Expectations of V and of W over the noise of all states, in ``work.moved``; the next phase."""
    board, parts = work.board, work.parts
    p = claim(board, phase)
    while p < parts.size - 1:
        lo, hi = parts[p], parts[p + 1]
        note(
            work.fault, two_averages(fill, common, theta, h, work.aux[h], turned.places, V, W, lo, hi, tile, work.moved)
        )
        p = claim_next(board, phase)
    return end_phase(board, phase, parts.size - 1)


@inline
def two_along_rows(fill, common, theta, h, aux, V, W, lo, hi, tile, kept, q, q_star):
    """``q [A, B] += P V`` and ``P W`` of a game that is not factored; the status of the family."""
    for first in range(lo, hi, tile.shape[0]):
        end = min(hi, first + tile.shape[0])
        rows, status = rows_again(fill, common, theta, h, aux, first, end, tile, kept)
        if status != 0:
            return status
        expect_both(common.successors, V, W, first, end, rows, first - lo, q, q_star)
    return 0


@inline
def expect_both(successors, V, W, first, end, rows, place, q, q_star):
    """The same of states whose rows are filled, from column `place` of q on."""
    for i in range(end - first):
        for a in range(q.shape[0]):
            row = rows[i, a]
            if successors.size == 0:
                x, y = two_dots(row, V, W)
            else:
                x, y = two_gather_dots(row, successors[first + i, a], V, W)
            q[a, place + i] += x
            q_star[a, place + i] += y


@inline
def weigh_block(q, pi, lo, hi, V):
    """V of the policy in the states lo..hi-1."""
    value = V[lo:hi]
    value[:] = 0.0
    for a in range(q.shape[0]):
        q_a, p = q[a], pi[a, lo:hi]
        for i in range(value.size):
            value[i] += p[i] * q_a[i]


@inline
def best_of_block(q, legal, lo, hi, W):
    """W of the best legal action in the states lo..hi-1."""
    value = W[lo:hi]
    value[:] = -np.inf
    for a in range(q.shape[0]):
        q_a = q[a]
        if legal.size == 0:
            for i in range(value.size):
                value[i] = q_a[i] if q_a[i] > value[i] else value[i]  # `max` minds NaN, and is no vector code
        else:
            allowed = legal[a, lo:hi]
            for i in range(value.size):
                value[i] = q_a[i] if allowed[i] and q_a[i] > value[i] else value[i]


@inline
def actions_of_block(q, legal, lo, hi, W, greedy):
    """Which action has it, the lowest on a tie."""
    value, action = W[lo:hi], greedy[lo:hi]
    for a in range(q.shape[0] - 1, -1, -1):
        q_a = q[a]
        for i in range(value.size):
            best = q_a[i] == value[i] and (legal.size == 0 or legal[a, lo + i])
            action[i] = a if best else action[i]


@kernel(types.void(PREPARE, FILL, REWARD, REWARD_PART, COMMON, F1, TURNED, b1, f8[:, :, :], b1, WORKSPACE, F3, ACTIONS))
def survey(prepare, fill, reward, part, common, theta, turned, joint, pi, weigh, work, q_out, greedy):
    """Density and best response of a policy ``pi [H, A, S]``, of any strides; its own values only with `weigh`.

    Left in ``work``: ``density [H, S]``, ``aux``, ``values[0]`` and ``values[2]``: V_1 of the policy and of the best
    response. Written where they are not empty: ``q_out [H, S, A]`` of the policy, ``greedy [H, S]``. Each member of a
    team calls this with the same arrays; ``work.fault`` as `descend` has it.
    """
    H, A, _ = pi.shape
    parts, board, values, moved = work.parts, work.board, work.values, work.moved
    P = parts.size - 1
    tile = own_tile(common)
    q, q_star = np.empty((A, BLOCK)), np.empty((A, BLOCK))
    factored, along = is_factored(common), in_segments(turned.rows_from)
    shared, legal, rows_from, fault = common.shared, turned.legal, turned.rows_from, work.fault
    phase = push_all(prepare, fill, common, theta, turned, joint, pi, work, 0, tile)
    for h in range(H - 1, -1, -1):
        last, place = h + 1 == H, (H - 1 - h) % 2
        now, ahead = h % 2, (h + 1) % 2
        V, V_next, W, W_next = values[now], values[ahead], values[2 + now], values[2 + ahead]
        if place == 0:
            phase = reward_pair(reward, common, theta, joint, pi, work, h, phase)
        if factored and not last:
            if weigh and not in_segments(turned.noise_from):
                phase = average_both(fill, common, theta, turned, work, h, V_next, W_next, phase, tile)
            else:
                if weigh:
                    phase = average_all(fill, common, theta, turned, work, h, V_next, moved[0], phase, tile)
                phase = average_all(fill, common, theta, turned, work, h, W_next, moved[1], phase, tile)
        mu, aux, table, pi_h = work.density[h], work.aux[h], work.rewards[place], pi[h]  # as in `descend`
        ahead_v, ahead_w = (moved[0], moved[1]) if factored else (V_next, W_next)
        p = claim(board, phase)
        while p < P:
            for lo in range(parts[p], parts[p + 1], BLOCK):
                hi = min(parts[p + 1], lo + BLOCK)
                note(fault, block_rewards(part, shared, theta, h, mu, table, lo, hi, q_star))
                if weigh:
                    for a in range(A):
                        q[a, : hi - lo] = q_star[a, : hi - lo]
                if not last and along:
                    if weigh:
                        add_ahead(rows_from, lo // BLOCK, lo, ahead_v, q)
                    add_ahead(rows_from, lo // BLOCK, lo, ahead_w, q_star)
                elif not last and weigh and not factored:
                    status = two_along_rows(
                        fill, common, theta, h, aux, V_next, W_next, lo, hi, tile, work.rows, q, q_star
                    )
                    note(fault, status)
                elif not last:
                    if weigh:
                        status = add_expected(
                            fill, common, theta, turned, h, aux, work.rows, V_next, ahead_v, lo, hi, tile, q
                        )
                        note(fault, status)
                    status = add_expected(
                        fill, common, theta, turned, h, aux, work.rows, W_next, ahead_w, lo, hi, tile, q_star
                    )
                    note(fault, status)
                if weigh:
                    weigh_block(q, pi_h, lo, hi, V)
                best_of_block(q_star, legal, lo, hi, W)
                if greedy.size > 0:
                    actions_of_block(q_star, legal, lo, hi, W, greedy[h])
                if q_out.size > 0:
                    for s in range(lo, hi):
                        for a in range(A):
                            q_out[h, s, a] = q[a, s - lo]
            lo, hi = parts[p], parts[p + 1]
            if h == 0 and not np.isfinite(W[lo:hi].sum() + (V[lo:hi].sum() if weigh else 0.0)):
                note(fault, NOT_FINITE)
            p = claim_next(board, phase)
        phase = end_phase(board, phase, P)


@kernel(types.void(PREPARE, FILL, COMMON, F1, TURNED, b1, f8[:, :, :], WORKSPACE))
def follow(prepare, fill, common, theta, turned, joint, pi, work):
    """The density of a policy ``pi [H, A, S]`` alone, and `aux`, in ``work``."""
    push_all(prepare, fill, common, theta, turned, joint, pi, work, 0, own_tile(common))
