"""One game's whole passes by a team of threads: density, evaluation of a policy, mirror descent.

For a single game whose compiled functions are trusted; `density.push` and `backup.back_up` serve many models, and
users' functions, by the same steps. Policies are read as ``[H, A, S]``, whatever their strides. States are cut into
chunks, which a team shares (`team`).
"""

from typing import NamedTuple

import numpy as np
from numba import types

from fastmfg.kernels.backward import POLICY, bellman_update, softmax_update
from fastmfg.kernels.density import own_tile, write_joint
from fastmfg.kernels.forms import LINKS, MODEL, TRANSITIONS, Links, Model
from fastmfg.kernels.jit import (
    F1,
    F2,
    F3,
    F4,
    I1,
    I2,
    REWARD,
    REWARD_PART,
    FunctionPointer,
    b1,
    f8,
    i8,
    inline,
    kernel,
    unit,
)
from fastmfg.kernels.segments import BLOCK
from fastmfg.kernels.team import claim, claim_next, end_phase, note
from fastmfg.kernels.views import part

NOT_FINITE = -1
"""Status: values overflow or are NaN."""

PHASES = 7
"""Of one pass forwards and one back, at most, times the number of steps."""


class Workspace(NamedTuple):
    """What threads share, and leave behind."""

    density: np.ndarray  # [H, S]
    aux: np.ndarray  # [H, *]
    chunk_starts: np.ndarray  # [P + 1]   first state of each chunk, then S
    flows: np.ndarray  # [2, P, S]   what each chunk sends where, before noise and after
    values: np.ndarray  # [2, J, S]   of two steps: V[BEST] and, where J = 2, V[POLICY]
    moved: np.ndarray  # [S]   the crowd of a factored game after its moves
    means: np.ndarray  # [J, 1, S]   values averaged over noise
    extents: np.ndarray  # [2, P]   largest absolute values of the best response in each chunk, of two steps
    rewards: np.ndarray  # [2, S, A]   of two steps; [2, 0, A] where rewards come block by block
    populations: np.ndarray  # [2, S*A]   of joint populations; empty for others
    rows: np.ndarray  # [H - 1, S, A, K]   rows kept from the pass forwards for the pass back; empty where they are not
    fault: np.ndarray  # [1]
    board: np.ndarray  # [phases, 2]   what was claimed and done (`team`)


class WayBack(NamedTuple):
    """What a pass back reads besides: rewards of all states, or of a block of them, and where rows come from."""

    reward: object
    reward_part: object  # where the family has such a function
    links: Links


WORKSPACE = types.NamedTuple((F2, F2, I1, F3, F3, F1, F3, F2, F3, F2, F4, I1, I2), Workspace)
WAY_BACK = types.NamedTuple((REWARD, REWARD_PART, LINKS), WayBack)
POLICY_VIEW = f8[:, :, :]


@inline
def add_flows(flows, work, phase, out):
    """Sum what all chunks sent, chunk by chunk of targets; the next phase."""
    n_chunks = work.chunk_starts.size - 1
    p = claim(work.board, phase)
    while p < n_chunks:
        for s in range(work.chunk_starts[p], work.chunk_starts[p + 1]):
            total = flows[0, s]
            for j in range(1, n_chunks):
                total += flows[j, s]
            out[s] = total
        p = claim_next(work.board, phase)
    return end_phase(work.board, phase, n_chunks)


@inline
def send_chunks(send, pulls, model, h, aux, links, mu, pi, work, flows, phase, tile, fault, out):
    """Send a crowd on, chunk by chunk; the next phase."""
    starts = work.chunk_starts
    n_chunks = starts.size - 1
    p = claim(work.board, phase)
    while p < n_chunks:
        lo, hi = starts[p], starts[p + 1]
        rows = work.rows[h, lo:hi] if work.rows.size > 0 else tile[:0]
        target = out if pulls else flows[p]
        note(work.fault, send(model, h, aux, links, mu, pi, lo, hi, tile, rows, False, fault, target))
        p = claim_next(work.board, phase)
    phase = end_phase(work.board, phase, n_chunks)
    return phase if pulls else add_flows(flows, work, phase, out)


PROPAGATE = FunctionPointer(i8(TRANSITIONS, F1, b1, POLICY_VIEW, WORKSPACE, i8))


@unit(PROPAGATE, allocates=True)
def propagate(transitions, theta, joint, pi, work, phase):
    """Compute the density of all steps, in ``work.density``, and `aux`; the next phase."""
    form, links, common = transitions.form, transitions.links, transitions.common
    model, tile, fault = Model(transitions.fill, common, theta), own_tile(common), np.zeros(5, np.int64)
    for h in range(pi.shape[0] - 1):
        mu, aux, out, pi_h = work.density[h], work.aux[h], work.density[h + 1], pi[h]
        if aux.size > 0:
            if claim(work.board, phase) == 0:
                if joint:
                    write_joint(mu, pi_h, work.populations[0])
                seen = work.populations[0] if joint else mu
                note(work.fault, transitions.prepare(h, seen, common.shared, theta, aux))
                claim_next(work.board, phase)
            phase = end_phase(work.board, phase, 1)
        to = work.moved if form.factored else out
        phase = send_chunks(
            form.send, form.send_pulls, model, h, aux, links, mu, pi_h, work, work.flows[0], phase, tile, fault, to
        )
        if form.factored:
            phase = send_chunks(
                form.carry, form.carry_pulls, model, h, aux, links, to, pi_h, work, work.flows[1], phase, tile, fault,
                out,
            )  # fmt: skip
    return phase


@unit(FunctionPointer(i8(WAY_BACK, TRANSITIONS, F1, b1, POLICY_VIEW, WORKSPACE, i8, i8)))
def reward_two_steps(back, transitions, theta, joint, pi, work, h, phase):
    """Compute rewards of the steps h and h-1, a thread each, where they come whole; the next phase."""
    steps = min(2, h + 1)
    j = claim(work.board, phase)
    while j < steps:
        if joint:
            write_joint(work.density[h - j], pi[h - j], work.populations[j])
        seen = work.populations[j] if joint else work.density[h - j]
        note(work.fault, back.reward(h - j, seen, transitions.common.shared, theta, work.rewards[j]))
        j = claim_next(work.board, phase)
    return end_phase(work.board, phase, steps)


@unit(FunctionPointer(i8(WAY_BACK, MODEL, i8, F1, F2, i8, i8, F3)))
def reward_block(back, model, h, mu, table, lo, hi, q):
    """Write rewards of the states lo..hi-1 into ``q[j] [A, B]``: from a table ``[S, A]``, or if empty asked for."""
    if table.size == 0:
        status = back.reward_part(h, mu, model.common.shared, model.theta, lo, hi, q[0])
        if status != 0:
            return status
    else:
        for a in range(q.shape[1]):
            for i in range(hi - lo):
                q[0, a, i] = table[lo + i, a]
    for j in range(1, q.shape[0]):
        for a in range(q.shape[1]):
            for i in range(hi - lo):
                q[j, a, i] = q[0, a, i]
    return 0


AHEAD = FunctionPointer(i8(LINKS, TRANSITIONS, F1, i8, WORKSPACE, i8, F3))


@unit(AHEAD)
def average_ahead(links, transitions, theta, h, work, phase, tile):
    """Average the next step's values over noise, of a factored game, into ``work.means``; the next phase."""
    model, starts = Model(transitions.fill, transitions.common, theta), work.chunk_starts
    V_next, no_rows = work.values[(h + 1) % 2], tile[:0]
    p = claim(work.board, phase)
    while p < starts.size - 1:
        status = transitions.form.average(
            model, h, work.aux[h], links, V_next, starts[p], starts[p + 1], tile, no_rows, work.means
        )
        note(work.fault, status)
        p = claim_next(work.board, phase)
    return end_phase(work.board, phase, starts.size - 1)


@unit(FunctionPointer(types.void(WAY_BACK, TRANSITIONS, F1, i8, WORKSPACE, i8, i8, F3, F3)))
def back_up_block(back, transitions, theta, h, work, lo, hi, tile, q):
    """Write ``q [J, A, B]`` of the states lo..hi-1: rewards, and the values expected a step later."""
    H, form = work.density.shape[0], transitions.form
    model = Model(transitions.fill, transitions.common, theta)
    note(work.fault, reward_block(back, model, h, work.density[h], work.rewards[(H - 1 - h) % 2], lo, hi, q))
    if h + 1 < H:
        means = part(work.means, 0, (work.means.shape[0], work.means.shape[2]))
        ahead = means if form.factored else work.values[(h + 1) % 2]
        rows = work.rows[h, lo:hi] if work.rows.size > 0 else tile[:0]
        note(work.fault, form.expect(model, h, work.aux[h], back.links, ahead, lo, hi, tile, rows, q))


@unit(FunctionPointer(i8(WAY_BACK, TRANSITIONS, F1, b1, POLICY_VIEW, WORKSPACE, i8, i8, F3)))
def prepare_step(back, transitions, theta, joint, pi, work, h, phase, tile):
    """Compute what all blocks of a step backwards read; the next phase."""
    H = pi.shape[0]
    if work.rewards.size > 0 and (H - 1 - h) % 2 == 0:
        phase = reward_two_steps(back, transitions, theta, joint, pi, work, h, phase)
    if transitions.form.factored and h + 1 < H:
        phase = average_ahead(back.links, transitions, theta, h, work, phase, tile)
    return phase


@inline
def note_infinite(fault, values):
    """Note a fault where values are not finite."""
    total = 0.0
    for i in range(values.size):
        total += values[i]
    if not np.isfinite(total):
        note(fault, NOT_FINITE)


@kernel(types.void(WAY_BACK, TRANSITIONS, F1, b1, POLICY_VIEW, WORKSPACE, F3, types.int32[:, ::1]))
def evaluate_policy(back, transitions, theta, joint, pi, work, q_out, greedy):
    """Compute the density of a policy ``pi [H, A, S]``, its best response and, where ``work`` has J = 2, its values.

    Left in ``work``: ``density [H, S]``, ``aux``, ``values[0]``: V_1. Written where they are not empty:
    ``q_out [H, S, A]`` of the policy, ``greedy [H, S]``. Each thread of a team calls this with the same arrays;
    ``work.fault`` is 0 afterwards, or the status of a family's function, or NOT_FINITE.
    """
    H, A, _ = pi.shape
    starts, n_values = work.chunk_starts, work.values.shape[1]
    n_chunks = starts.size - 1
    tile, q = own_tile(transitions.common), np.empty((n_values, A, min(BLOCK, pi.shape[2])))
    phase = propagate(transitions, theta, joint, pi, work, 0)
    for h in range(H - 1, -1, -1):
        phase = prepare_step(back, transitions, theta, joint, pi, work, h, phase, tile)
        V, pi_h, actions, reach = work.values[h % 2], pi[h], greedy[h % max(1, greedy.shape[0])], 0.0
        if h + 1 < H:
            for j in range(n_chunks):
                reach = max(reach, work.extents[(h + 1) % 2, j])
        p = claim(work.board, phase)
        while p < n_chunks:
            largest = 0.0
            for lo in range(starts[p], starts[p + 1], BLOCK):
                hi = min(starts[p + 1], lo + BLOCK)
                back_up_block(back, transitions, theta, h, work, lo, hi, tile, q)
                largest = max(largest, bellman_update(q, transitions.legal, pi_h, lo, hi, reach, V, actions))
                if q_out.size > 0:
                    for s in range(lo, hi):
                        for a in range(A):
                            q_out[h, s, a] = q[POLICY, a, s - lo]
            work.extents[h % 2, p] = largest
            if h == 0:
                for j in range(n_values):
                    note_infinite(work.fault, V[j, starts[p] : starts[p + 1]])
            p = claim_next(work.board, phase)
        phase = end_phase(work.board, phase, n_chunks)


@kernel(types.void(TRANSITIONS, F1, b1, POLICY_VIEW, WORKSPACE))
def propagate_density(transitions, theta, joint, pi, work):
    """Compute the density of a policy ``pi [H, A, S]`` alone, and `aux`, in ``work``."""
    propagate(transitions, theta, joint, pi, work, 0)


@kernel(types.void(WAY_BACK, TRANSITIONS, F1, b1, f8, i8, F3, F3, WORKSPACE))
def descend(back, transitions, theta, joint, step, iterations, y, pi, work):
    """Make so many iterations of mirror descent: ``y <- y + step Q^pi``, ``pi = softmax(y)`` over legal actions.

    ``y, pi [H, A, S]`` in place; an iteration pushes the density through the policy, backs the policy's values up and
    takes the softmax at once, step by step: neither rewards nor Q of all steps ever exist. Each thread of a team calls
    this with the same arrays; ``work`` has J = 1, ``work.fault`` as `evaluate_policy` leaves it.
    """
    H, A, S = y.shape
    starts = work.chunk_starts
    n_chunks, size = starts.size - 1, min(BLOCK, S)
    tile, q, top, total = own_tile(transitions.common), np.empty((1, A, size)), np.empty(size), np.empty(size)
    phase = 0
    for _ in range(iterations):
        phase = propagate(transitions, theta, joint, pi, work, phase)
        for h in range(H - 1, -1, -1):
            phase = prepare_step(back, transitions, theta, joint, pi, work, h, phase, tile)
            V, y_h, pi_h = work.values[h % 2, 0], y[h], pi[h]
            p = claim(work.board, phase)
            while p < n_chunks:
                values = 0.0
                for lo in range(starts[p], starts[p + 1], BLOCK):
                    hi = min(starts[p + 1], lo + BLOCK)
                    back_up_block(back, transitions, theta, h, work, lo, hi, tile, q)
                    values += softmax_update(q[0], transitions.legal, step, lo, hi, y_h, pi_h, top, total, V)
                if h == 0 and not np.isfinite(values):
                    note(work.fault, NOT_FINITE)
                p = claim_next(work.board, phase)
            phase = end_phase(work.board, phase, n_chunks)
