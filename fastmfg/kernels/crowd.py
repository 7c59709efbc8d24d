"""Populations of finitely many agents: transition rows at their empirical density, and agents moved by given uniforms.

A *place* is where a row stands, as one number: ``s * A + a``, or, in a factored game, the state m that an action moves
to, whence one row of noise carries on whoever is there.
"""

import numpy as np
from numba import types

from fastmfg.kernels.jit import COMMON, F1, F2, F3, FILL, I1, I2, PREPARE, i8, inline, kernel
from fastmfg.kernels.rows import is_factored, row_length

COUNTED = 8
"""Entries that are cheaper to count than to halve: halves are guessed wrong every other time."""


@kernel(i8(PREPARE, i8, F1, F1, F1, F1))
def prepare_at(prepare, h, population, shared, theta, aux):
    """What a population, not the model's own flow, decides for all rows of step h: `aux`; the status of `prepare`."""
    aux[:] = np.nan  # what is left unwritten must not pass for a number
    return prepare(h, population, shared, theta, aux)


@inline
def rows_a_state(common):
    """Rows that a family fills for one state."""
    return 1 if is_factored(common) else common.legal.shape[1]


@kernel(i8(FILL, COMMON, F2, I1, F3, I1, I1, I1, F3))
def gather_rows(fill, common, thetas, members, aux, step, slot, place, out):
    """Rows of T (step, place) pairs in n models: ``out [n, T, K]``; the first nonzero status.

    ``slot [T]`` says which `aux` of ``aux [n, *, *]`` belongs to the step. A state met again at once is filled once.
    """
    width = rows_a_state(common)
    tile = np.empty((1, width, row_length(common)))
    for m in range(members.size):
        h, s = -1, -1
        for t in range(step.size):
            if step[t] != h or place[t] // width != s:
                h, s = step[t], place[t] // width
                tile[:] = np.nan
                status = fill(h, aux[m, slot[t]], common.shared, thetas[members[m]], s, s + 1, tile)
                if status != 0:
                    return status
            row, target = tile[0, place[t] - s * width], out[m, t]
            for k in range(row.size):
                target[k] = row[k]
    return 0


@inline
def first_above(cumulative, v):
    """The first index whose running sum exceeds v, which lies below the last one: never an entry of probability 0.

    The last few are counted, without branches that depend on a random number.
    """
    lo, hi = 0, cumulative.size - 1
    while hi - lo >= COUNTED:
        middle = (lo + hi) >> 1
        if cumulative[middle] > v:
            hi = middle
        else:
            lo = middle + 1
    below = lo
    for k in range(lo, hi):
        below += cumulative[k] <= v
    return below


@kernel(types.void(F2, I1, F1, I1, I2))
def act(cumulative, states, uniforms, actions, chosen):
    """Actions of agents by inverting running sums ``cumulative [S, A]``; each is counted in ``chosen [S, A]``."""
    last = cumulative.shape[1] - 1
    for i in range(states.size):
        row = cumulative[states[i]]
        a = first_above(row, uniforms[i] * row[last])
        actions[i] = a
        chosen[states[i], a] += 1


@kernel(types.void(COMMON, F2, I1, I1, I1, F1, I1))
def move(common, cumulative, position, states, actions, uniforms, successors):
    """Successors of agents: running sums ``cumulative [R, K]``, that of a place in row ``position[place]``."""
    width, last = rows_a_state(common), cumulative.shape[1] - 1
    factored, dense = is_factored(common), common.successors.size == 0
    for i in range(states.size):
        s, a = states[i], actions[i]
        if factored:
            s, a = common.moves[s, a], 0
        row = cumulative[position[s * width + a]]
        k = first_above(row, uniforms[i] * row[last])
        successors[i] = k if dense else common.successors[s, a, k]
