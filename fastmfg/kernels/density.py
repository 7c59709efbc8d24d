"""Densities of many (model, policy) pairs, one after the other: ``mu_{h+1}(s') = sum mu_h(s) pi_h(a|s) P_h(s'|s,a)``.

The pass also leaves behind what every later kernel needs of the conditional model: `aux`, one row a step.
"""

import numpy as np
from numba import types

from fastmfg.kernels.forms import PAIRS, TRANSITIONS, Model
from fastmfg.kernels.forward import FAULT_STATUS, FAULT_SUM, FAULT_VALUE  # noqa: F401 (the codes `fault` holds)
from fastmfg.kernels.jit import COMMON, F1, F3, FILL, I2, PREPARE, b1, i8, inline, kernel
from fastmfg.kernels.rows import fill_rows, row_length, successors_of, tile_states


@inline
def write_joint(mu, pi, out):
    """Write the joint distribution of states and actions ``out [S A]`` of a density under a policy ``pi [A, S]``."""
    A, S = pi.shape
    for a in range(A):
        for s in range(S):
            out[s * A + a] = mu[s] * pi[a, s]


@inline
def own_tile(common):
    """Scratch for the rows a family fills: one a state when factored, else one an action."""
    S, A = common.legal.shape
    rows, K = (1 if common.moves.size > 0 else A), row_length(common)
    return np.empty((min(S, tile_states(rows, K)), rows, K))


@inline
def send_all(form, model, h, aux, links, mu, pi, moved, tile, rows, check, fault, out):
    """Send the whole crowd one step on; 0, or a status or a fault's code, with `fault` written."""
    S = mu.size
    if form.factored:
        form.send(model, h, aux, links, mu, pi, 0, S, tile, rows, False, fault, moved)
        return form.carry(model, h, aux, links, moved, pi, 0, S, tile, rows, check, fault, out)
    return form.send(model, h, aux, links, mu, pi, 0, S, tile, rows, check, fault, out)


@kernel(types.void(TRANSITIONS, PAIRS, b1, b1, F3, F3, I2))
def push(transitions, pairs, joint, check, density, aux, fault):
    """Compute densities of n (model, policy) pairs.

    Written: ``density [n, H, S]``, ``aux [n, H, *]``, and ``fault [n, 5]`` (code, detail, s, a, h), code 0 where none.
    With `check`, every row of every step is checked, the last step's too.
    """
    common, form, links = transitions.common, transitions.form, transitions.links
    n, H, S = density.shape
    tile = own_tile(common)
    population = np.empty(pairs.policies.shape[3] * S if joint else 0)
    unused, moved = np.empty(S), np.empty(S)
    for i in range(n):
        model = Model(transitions.fill, common, pairs.thetas[pairs.members[i]])
        fault[i, 0] = 0
        for s in range(S):
            density[i, 0, s] = common.initial[s]
        for h in range(H):
            mu, pi = density[i, h], pairs.policies[pairs.policy_of[i], h].T
            if check:
                aux[i, h] = np.nan
            if joint:
                write_joint(mu, pi, population)
            seen = population if joint else mu
            status = transitions.prepare(h, seen, common.shared, model.theta, aux[i, h])
            if status != 0:
                fault[i, 0], fault[i, 1], fault[i, 2], fault[i, 3] = FAULT_STATUS, status, -1, -1
            elif h + 1 < H or check:
                out = density[i, h + 1] if h + 1 < H else unused
                rows = pairs.rows[h] if pairs.rows.size > 0 and h + 1 < H else tile[:0]
                status = send_all(form, model, h, aux[i, h], links, mu, pi, moved, tile, rows, check, fault[i], out)
            if status != 0:
                fault[i, 4] = h
                break


@kernel(i8(TRANSITIONS, PAIRS, F3, F3))
def occupy(transitions, pairs, aux, density):
    """Compute state distributions ``density [n, H, S]`` of one agent who deviates, in conditional models (`aux`)."""
    common, form, links = transitions.common, transitions.form, transitions.links
    n, H, S = density.shape
    tile, moved = own_tile(common), np.empty(S)
    fault = np.zeros(5, np.int64)
    for i in range(n):
        model = Model(transitions.fill, common, pairs.thetas[pairs.members[i]])
        for s in range(S):
            density[i, 0, s] = common.initial[s]
        for h in range(H - 1):
            mu, pi, out = density[i, h], pairs.policies[pairs.policy_of[i], h].T, density[i, h + 1]
            if send_all(form, model, h, aux[i, h], links, mu, pi, moved, tile, tile[:0], False, fault, out) != 0:
                return fault[1]
    return 0


@kernel(i8(PREPARE, FILL, COMMON, F1, i8, F1, F1, F3))
def tabulate(prepare, fill, common, theta, h, population, aux, out):
    """Write one step's rows as a dense table ``out [S, A, S]``, under a given population; the status of the family."""
    dense = common.successors.size == 0
    out[:] = np.nan if dense else 0.0
    status = prepare(h, population, common.shared, theta, aux)
    if status != 0:
        return status
    if dense:
        return fill(h, aux, common.shared, theta, 0, out.shape[0], out)
    S, A = common.legal.shape
    tile = np.empty((1, A, row_length(common)))
    for s in range(S):
        tile[:] = np.nan
        status = fill_rows(fill, common, theta, h, aux, s, s + 1, tile)
        if status != 0:
            return status
        for a in range(A):
            states = successors_of(common, s, a)
            for k in range(states.size):
                out[s, a, states[k]] += tile[0, a, k]
    return 0
