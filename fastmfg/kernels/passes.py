"""One game's whole passes by a team: the density of all steps, and what one step's block of states needs going back.

For a single game whose compiled functions are trusted; `density.push` and `backup.back_up` serve many models, and
users' functions. Policies are read as ``[H, A, S]``, whatever their strides; tables are turned likewise, so that loops
run over states. States are cut into parts, which a team shares (`team`).
"""

from typing import NamedTuple

import numpy as np
from numba import types

from fastmfg.kernels.jit import B2, F2, F3, I1, inline
from fastmfg.kernels.rows import dot, gather_dot, is_dense, is_factored, scatter
from fastmfg.kernels.team import barrier, note

BLOCK = 256
"""States whose values and exponentials are taken at a time."""

NOT_FINITE = -1
"""Status: values overflow or are NaN."""


class Turned(NamedTuple):
    """A family's tables by action, as loops over states want them."""

    legal: np.ndarray  # [A, S]
    moves: np.ndarray  # [A, S] int32   of a factored game; empty for others
    places: np.ndarray  # [K, S] int32   where noise leads; empty for others


class Workspace(NamedTuple):
    """What members share, and leave behind."""

    density: np.ndarray  # [H, S]
    aux: np.ndarray  # [H, *]
    parts: np.ndarray  # [P + 1]   first state of each part, then S
    flows: np.ndarray  # [2, P, S]   what each part sends where
    values: np.ndarray  # [4, S]   of two steps: of the policy, and greedily
    moved: np.ndarray  # [2, S]
    rewards: np.ndarray  # [2, S, A]   of two steps
    populations: np.ndarray  # [2, *]   [S] or [S*A]
    sync: np.ndarray  # [2]


SHORT2 = types.int32[:, ::1]
TURNED = types.NamedTuple((B2, SHORT2, SHORT2), Turned)
WORKSPACE = types.NamedTuple((F2, F2, I1, F3, F2, F2, F3, F2, I1), Workspace)


@inline
def see(mu, pi, joint, population):
    """What transitions and rewards see, of a policy [A, S]."""
    A, S = pi.shape
    if joint:
        for a in range(A):
            for s in range(S):
                population[s * A + a] = mu[s] * pi[a, s]
    else:
        population[:] = mu


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
def send_rows(fill, common, theta, h, aux, mu, pi, lo, hi, tile, out):
    """Where the crowd of the states lo..hi-1 is a step later; for games that are not factored."""
    out[:] = 0.0
    for first in range(lo, hi, tile.shape[0]):
        end = min(hi, first + tile.shape[0])
        status = fill(h, aux, common.shared, theta, first, end, tile[: end - first])
        if status != 0:
            return status
        for s in range(first, end):
            for a in range(pi.shape[0]):
                weight, row = mu[s] * pi[a, s], tile[s - first, a]
                if weight != 0.0:
                    if is_dense(common):
                        for x in range(row.size):
                            out[x] += weight * row[x]
                    else:
                        scatter(common.successors[s, a], row, weight, out)
    return 0


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
def immediate(r, lo, hi, q):
    """``q [A, B]`` of the last step."""
    block = r[lo:hi]
    for a in range(q.shape[0]):
        q_a = q[a]
        for i in range(hi - lo):
            q_a[i] = block[i, a]


@inline
def after_moves(r, moves, V, lo, hi, q):
    """``q [A, B]`` of a factored game, V being the expectation over noise."""
    block = r[lo:hi]
    for a in range(q.shape[0]):
        q_a, target = q[a], moves[a, lo:hi]
        for i in range(target.size):
            q_a[i] = block[i, a] + V[target[i]]


@inline
def along_rows(fill, common, theta, h, aux, r, V, lo, hi, tile, q):
    """``q [A, B]`` of a game that is not factored; the status of the family."""
    for first in range(lo, hi, tile.shape[0]):
        end = min(hi, first + tile.shape[0])
        status = fill(h, aux, common.shared, theta, first, end, tile[: end - first])
        if status != 0:
            return status
        for s in range(first, end):
            for a in range(q.shape[0]):
                row = tile[s - first, a]
                ahead = dot(row, V) if is_dense(common) else gather_dot(row, common.successors[s, a], V)
                q[a, s - lo] = r[s, a] + ahead
    return 0


@inline
def push_all(prepare, fill, common, theta, turned, joint, pi, work, rank, members, tile):
    """The density of all steps, in ``work.density``."""
    H = pi.shape[0]
    parts, sync = work.parts, work.sync
    P = parts.size - 1
    for h in range(H - 1):
        mu, aux = work.density[h], work.aux[h]
        if aux.size > 0:
            if rank == 0:
                see(mu, pi[h], joint, work.populations[0])
                note(sync, prepare(h, work.populations[0], common.shared, theta, aux))
            barrier(sync, members)
        if is_factored(common):
            for p in range(rank, P, members):
                send_moves(turned.moves, mu, pi[h], parts[p], parts[p + 1], work.flows[0, p])
            barrier(sync, members)
            for p in range(rank, P, members):
                lo, hi = parts[p], parts[p + 1]
                gather(work.flows[0], lo, hi, work.moved[0])
                note(
                    sync,
                    send_noise(
                        fill, common, theta, h, aux, turned.places, work.moved[0], lo, hi, tile, work.flows[1, p]
                    ),
                )
        else:
            for p in range(rank, P, members):
                lo, hi = parts[p], parts[p + 1]
                note(sync, send_rows(fill, common, theta, h, aux, mu, pi[h], lo, hi, tile, work.flows[1, p]))
        barrier(sync, members)
        for p in range(rank, P, members):
            gather(work.flows[1], parts[p], parts[p + 1], work.density[h + 1])
        barrier(sync, members)


@inline
def reward_pair(reward, common, theta, joint, pi, work, h, rank, members):
    """Rewards of the steps h and h-1: they come whole, so that each member takes those of every other step."""
    for j in range(rank, min(2, h + 1), members):
        see(work.density[h - j], pi[h - j], joint, work.populations[j])
        note(work.sync, reward(h - j, work.populations[j], common.shared, theta, work.rewards[j]))


@inline
def average_part(fill, common, theta, turned, work, h, V, p, tile, out):
    """Expectation of V over the noise of a part's states, of a factored game."""
    lo, hi = work.parts[p], work.parts[p + 1]
    note(work.sync, average_noise(fill, common, theta, h, work.aux[h], turned.places, V, lo, hi, tile, out))


@inline
def block_values(fill, common, theta, turned, work, h, last, r, V, moved, lo, hi, tile, q):
    """``q [A, B]`` of the states lo..hi-1; `moved` is the expectation of V over noise where the game is factored."""
    if last:
        immediate(r, lo, hi, q)
    elif is_factored(common):
        after_moves(r, turned.moves, moved, lo, hi, q)
    else:
        note(work.sync, along_rows(fill, common, theta, h, work.aux[h], r, V, lo, hi, tile, q))
