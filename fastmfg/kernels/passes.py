"""One game's whole passes by a team: the density of all steps, and what one step's block of states needs going back.

For a single game whose compiled functions are trusted; `density.push` and `backup.back_up` serve many models, and
users' functions. Policies are read as ``[H, A, S]``, whatever their strides; tables are turned likewise, so that loops
run over states. States are cut into parts, which a team shares (`team`).
"""

from typing import NamedTuple

import numpy as np
from numba import types

from fastmfg.kernels.jit import B2, F2, F3, F4, I1, I2, inline
from fastmfg.kernels.rows import dot, gather_dot, is_factored, scatter
from fastmfg.kernels.segments import BLOCK, SEGMENTS, Segments, add_moved, add_weighted, in_segments
from fastmfg.kernels.team import claim, claim_next, end_phase, note

NOT_FINITE = -1
"""Status: values overflow or are NaN."""


class Turned(NamedTuple):
    """A family's tables by action, as loops over states want them."""

    legal: np.ndarray  # [A, S]   empty where all actions are legal everywhere
    moves: np.ndarray  # [A, S] int32   of a factored game; empty for others, and where there are segments
    places: np.ndarray  # [K, S] int32   where noise leads; likewise
    rows_to: Segments  # sparse rows, or a factored game's moves, by where they lead; empty where runs are short
    rows_from: Segments  # the same by where they start
    noise_to: Segments  # noise of a factored game by where it leads; only where moves are in segments too
    noise_from: Segments


class Workspace(NamedTuple):
    """What members share, and leave behind."""

    density: np.ndarray  # [H, S]
    aux: np.ndarray  # [H, *]
    parts: np.ndarray  # [P + 1]   first state of each part, then S
    flows: np.ndarray  # [2, P, S]   what each part sends where
    values: np.ndarray  # [4, S]   of two steps: of the policy, and greedily
    moved: np.ndarray  # [2, S]
    rewards: np.ndarray  # [2, S, A]   of two steps; [2, 0, A] where rewards come by parts
    populations: np.ndarray  # [2, S*A]   of joint populations; empty for others
    rows: np.ndarray  # [H - 1, S, A, K]   rows kept from the pass forwards for the pass back; empty where they are not
    fault: np.ndarray  # [1]
    board: np.ndarray  # [phases, 2]   what was claimed and done (`team`)


SHORT2 = types.int32[:, ::1]
TURNED = types.NamedTuple((B2, SHORT2, SHORT2, SEGMENTS, SEGMENTS, SEGMENTS, SEGMENTS), Turned)
WORKSPACE = types.NamedTuple((F2, F2, I1, F3, F2, F2, F3, F2, F4, I1, I2), Workspace)

PHASES = 7
"""Of one pass forwards and one back, at most, times the number of steps."""


@inline
def seen(mu, pi, joint, scratch):
    """What transitions and rewards see, of a policy [A, S]: the density itself, or the joint in `scratch`."""
    if not joint:
        return mu
    A, S = pi.shape
    for a in range(A):
        for s in range(S):
            scratch[s * A + a] = mu[s] * pi[a, s]
    return scratch


@inline
def send_moves(moves, mu, pi, lo, hi, out):
    """Where the crowd of the states lo..hi-1 is after its moves and before the noise."""
    out[:] = 0.0
    for first in range(lo, hi, BLOCK):
        end = min(hi, first + BLOCK)
        for a in range(pi.shape[0]):
            target, share = moves[a], pi[a]
            for s in range(first, end):
                out[target[s]] += mu[s] * share[s]


@inline
def send_noise(fill, common, theta, h, aux, places, moved, lo, hi, tile, out):
    """Where noise carries the crowd of the states lo..hi-1; the status of the family."""
    out[:] = 0.0
    for first in range(lo, hi, tile.shape[0]):
        end = min(hi, first + tile.shape[0])
        status = fill(h, aux, common.shared, theta, first, end, tile[: end - first])
        if status != 0:
            return status
        for k in range(places.shape[0]):
            target, source = places[k, first:end], moved[first:end]
            for m in range(target.size):
                out[target[m]] += source[m] * tile[m, 0, k]
    return 0


@inline
def send_rows(fill, common, theta, h, aux, mu, pi, lo, hi, tile, kept, out):
    """Where the crowd of the states lo..hi-1 is a step later; for games that are not factored. Rows may be kept."""
    out[:] = 0.0
    for first in range(lo, hi, tile.shape[0]):
        end = min(hi, first + tile.shape[0])
        rows = kept[h, first:end] if kept.size > 0 else tile[: end - first]
        status = fill(h, aux, common.shared, theta, first, end, rows)
        if status != 0:
            return status
        send_block(common.successors, mu, pi, first, end, rows, out)
    return 0


@inline
def send_block(successors, mu, pi, first, end, rows, out):
    """The same of states whose rows are filled."""
    for s in range(first, end):
        for a in range(pi.shape[0]):
            weight = mu[s] * pi[a, s]
            if weight != 0.0:
                row = rows[s - first, a]
                if successors.size == 0:
                    for x in range(row.size):
                        out[x] += weight * row[x]
                else:
                    scatter(successors[s, a], row, weight, out)


@inline
def gather(flows, lo, hi, out):
    """What all parts send to the states lo..hi-1."""
    target = out[lo:hi]
    target[:] = flows[0, lo:hi]
    for p in range(1, flows.shape[0]):
        flow = flows[p, lo:hi]
        for s in range(target.size):
            target[s] += flow[s]


@inline
def average_noise(fill, common, theta, h, aux, places, V, lo, hi, tile, out):
    """Expectation of V over the noise of the states lo..hi-1; the status of the family."""
    for first in range(lo, hi, tile.shape[0]):
        end = min(hi, first + tile.shape[0])
        status = fill(h, aux, common.shared, theta, first, end, tile[: end - first])
        if status != 0:
            return status
        part = out[first:end]
        part[:] = 0.0
        for k in range(places.shape[0]):
            target = places[k, first:end]
            for m in range(target.size):
                part[m] += tile[m, 0, k] * V[target[m]]
    return 0


@inline
def rows_again(fill, common, theta, h, aux, first, end, tile, kept):
    """Rows of a block of states, kept or filled anew into the tile; the status of the family."""
    if kept.size > 0:
        return kept[h, first:end], 0
    rows = tile[: end - first]
    return rows, fill(h, aux, common.shared, theta, first, end, rows)


@inline
def along_rows(fill, common, theta, h, aux, V, lo, hi, tile, kept, q):
    """``q [A, B] += P V`` of a game that is not factored; the status of the family."""
    for first in range(lo, hi, tile.shape[0]):
        end = min(hi, first + tile.shape[0])
        rows, status = rows_again(fill, common, theta, h, aux, first, end, tile, kept)
        if status != 0:
            return status
        expect_block(common.successors, V, first, end, rows, first - lo, q)
    return 0


@inline
def expect_block(successors, V, first, end, rows, place, q):
    """``q(a) += P V`` of states whose rows are filled, from column `place` of q on."""
    for i in range(end - first):
        for a in range(q.shape[0]):
            row = rows[i, a]
            if successors.size == 0:
                q[a, place + i] += dot(row, V)
            else:
                q[a, place + i] += gather_dot(row, successors[first + i, a], V)


@inline
def push_all(prepare, fill, common, theta, turned, joint, pi, work, phase, tile):
    """The density of all steps, in ``work.density``; the next phase."""
    board, P = work.board, work.parts.size - 1
    for h in range(pi.shape[0] - 1):
        mu, aux, out = work.density[h], work.aux[h], work.density[h + 1]
        if aux.size > 0:
            if claim(board, phase) == 0:
                population = seen(mu, pi[h], joint, work.populations[0])
                note(work.fault, prepare(h, population, common.shared, theta, aux))
                claim_next(board, phase)
            phase = end_phase(board, phase, 1)
        if in_segments(turned.rows_to):
            moved = work.moved[0] if is_factored(common) else out
            phase = move_along(turned.rows_to, mu, pi[h], work, phase, moved)
            if not is_factored(common):
                continue
            if in_segments(turned.noise_to):
                phase = carry_along(turned.noise_to, moved, work, phase, out)
                continue
        else:
            p = claim(board, phase)
            while p < P:
                lo, hi, flow = work.parts[p], work.parts[p + 1], work.flows[0, p]
                if is_factored(common):
                    send_moves(turned.moves, mu, pi[h], lo, hi, flow)
                else:
                    note(work.fault, send_rows(fill, common, theta, h, aux, mu, pi[h], lo, hi, tile, work.rows, flow))
                p = claim_next(board, phase)
            phase = end_phase(board, phase, P)
        if is_factored(common):
            p = claim(board, phase)
            while p < P:
                lo, hi, flow = work.parts[p], work.parts[p + 1], work.flows[1, p]
                if not in_segments(turned.rows_to):
                    gather(work.flows[0], lo, hi, work.moved[0])
                note(
                    work.fault,
                    send_noise(fill, common, theta, h, aux, turned.places, work.moved[0], lo, hi, tile, flow),
                )
                p = claim_next(board, phase)
            phase = end_phase(board, phase, P)
        p = claim(board, phase)
        while p < P:
            gather(work.flows[1 if is_factored(common) else 0], work.parts[p], work.parts[p + 1], out)
            p = claim_next(board, phase)
        phase = end_phase(board, phase, P)
    return phase


@inline
def move_along(segments, mu, pi, work, phase, out):
    """Where the crowd is after its moves; the next phase."""
    board, parts = work.board, work.parts
    p = claim(board, phase)
    while p < parts.size - 1:
        for lo in range(parts[p], parts[p + 1], BLOCK):
            out[lo : min(parts[p + 1], lo + BLOCK)] = 0.0
            add_moved(segments, lo // BLOCK, mu, pi, out)
        p = claim_next(board, phase)
    return end_phase(board, phase, parts.size - 1)


@inline
def carry_along(segments, x, work, phase, out):
    """``out = sum w x`` over the segments of noise: of a density, or of values; the next phase."""
    board, parts = work.board, work.parts
    p = claim(board, phase)
    while p < parts.size - 1:
        for lo in range(parts[p], parts[p + 1], BLOCK):
            out[lo : min(parts[p + 1], lo + BLOCK)] = 0.0
            add_weighted(segments, lo // BLOCK, x, out)
        p = claim_next(board, phase)
    return end_phase(board, phase, parts.size - 1)


@inline
def reward_pair(reward, common, theta, joint, pi, work, h, phase):
    """Rewards of the steps h and h-1, a part each: they come whole; the next phase."""
    if work.rewards.size == 0:
        return phase
    steps = min(2, h + 1)
    j = claim(work.board, phase)
    while j < steps:
        population = seen(work.density[h - j], pi[h - j], joint, work.populations[j])
        note(work.fault, reward(h - j, population, common.shared, theta, work.rewards[j]))
        j = claim_next(work.board, phase)
    return end_phase(work.board, phase, steps)


@inline
def average_all(fill, common, theta, turned, work, h, V, out, phase, tile):
    """Expectation of V over the noise of all states of a factored game; the next phase."""
    if in_segments(turned.noise_from):
        return carry_along(turned.noise_from, V, work, phase, out)
    parts = work.parts
    P = parts.size - 1
    p = claim(work.board, phase)
    while p < P:
        lo, hi = parts[p], parts[p + 1]
        note(work.fault, average_noise(fill, common, theta, h, work.aux[h], turned.places, V, lo, hi, tile, out))
        p = claim_next(work.board, phase)
    return end_phase(work.board, phase, P)


@inline
def block_rewards(part, shared, theta, h, mu, table, lo, hi, q):
    """``q [A, B] = r`` of the states lo..hi-1, of a table ``[S, A]`` or, where it is empty, asked for; the status."""
    if table.size == 0:
        return part(h, mu, shared, theta, lo, hi, q)
    block = table[lo:hi]
    for a in range(q.shape[0]):
        q_a = q[a]
        for i in range(hi - lo):
            q_a[i] = block[i, a]
    return 0


@inline
def add_expected(fill, common, theta, turned, h, aux, rows, V, moved, lo, hi, tile, q):
    """``q [A, B] +=`` what is expected of V a step later, where rows are not in segments; the status of the family.

    `moved` is the mean of V over noise where the game is factored.
    """
    if is_factored(common):
        for a in range(q.shape[0]):
            q_a, target = q[a], turned.moves[a, lo:hi]
            for i in range(target.size):
                q_a[i] += moved[target[i]]
        return 0
    return along_rows(fill, common, theta, h, aux, V, lo, hi, tile, rows, q)
