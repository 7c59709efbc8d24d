"""Send a crowd one step on: ``mu_{h+1}(s') = sum_{s,a} mu_h(s) pi_h(a|s) P_h(s'|s,a,mu_h)``, a unit for each form.

Loops over rows write what the states lo..hi-1 send (sums over parts of the states are the caller's); loops along
segments pull what arrives in them.
"""

import numpy as np

from fastmfg.kernels.forms import SEND
from fastmfg.kernels.jit import F3, I1, FunctionPointer, i8, unit
from fastmfg.kernels.segments import BLOCK, add_moved, add_weighted

FAULT_STATUS, FAULT_VALUE, FAULT_SUM = 1, 2, 3
ROW_TOLERANCE = 1e-9


@unit(FunctionPointer(i8(F3, i8, I1)))
def refuse_faulty_rows(rows, first, fault):
    """Find a row that is no distribution; 0, or a code that is written to ``fault [5]`` with its state and action."""
    for s in range(rows.shape[0]):
        for a in range(rows.shape[1]):
            total, negative = 0.0, 0
            for k in range(rows.shape[2]):
                total += rows[s, a, k]
                negative += rows[s, a, k] < 0.0
            code = 0
            if negative > 0 or np.isnan(total):
                code = FAULT_VALUE
            elif not (abs(total - 1.0) <= ROW_TOLERANCE):
                code = FAULT_SUM
            if code != 0:
                fault[0], fault[1], fault[2], fault[3] = code, 0, first + s, a
                return code
    return 0


@unit(FunctionPointer(SEND.signature))
def fill_checked(model, h, aux, links, mu, pi, lo, hi, tile, rows, check, fault, out):
    """Fill the rows of the states lo..hi-1 into `tile`, checked where that is wanted; a status or a fault's code.

    Has the arguments of a step that sends, which it serves; `out` is not written.
    """
    if check:
        tile[:] = np.nan  # what a filler leaves unwritten must not pass for a row
    status = model.fill(h, aux, model.common.shared, model.theta, lo, hi, tile)
    if status != 0:
        fault[0], fault[1], fault[2], fault[3] = FAULT_STATUS, status, lo, hi
        return status
    return refuse_faulty_rows(tile, lo, fault) if check else 0


@unit(SEND)
def send_dense(model, h, aux, links, mu, pi, lo, hi, tile, rows, check, fault, out):
    """Send the crowd along dense rows."""
    for x in range(out.size):
        out[x] = 0.0
    for first in range(lo, hi, tile.shape[0]):
        end = min(hi, first + tile.shape[0])
        block = rows[first - lo : end - lo] if rows.size > 0 else tile[: end - first]
        status = fill_checked(model, h, aux, links, mu, pi, first, end, block, rows, check, fault, out)
        if status != 0:
            return status
        for s in range(first, end):
            for a in range(pi.shape[0]):
                weight = mu[s] * pi[a, s]
                if weight != 0.0:
                    row = block[s - first, a]
                    for x in range(row.size):
                        out[x] += weight * row[x]
    return 0


@unit(SEND)
def send_sparse(model, h, aux, links, mu, pi, lo, hi, tile, rows, check, fault, out):
    """Send the crowd along sparse rows."""
    for x in range(out.size):
        out[x] = 0.0
    successors = model.common.successors
    for first in range(lo, hi, tile.shape[0]):
        end = min(hi, first + tile.shape[0])
        block = rows[first - lo : end - lo] if rows.size > 0 else tile[: end - first]
        status = fill_checked(model, h, aux, links, mu, pi, first, end, block, rows, check, fault, out)
        if status != 0:
            return status
        for s in range(first, end):
            for a in range(pi.shape[0]):
                weight = mu[s] * pi[a, s]
                if weight != 0.0:
                    row, states = block[s - first, a], successors[s, a]
                    for k in range(row.size):
                        out[states[k]] += weight * row[k]
    return 0


@unit(SEND)
def send_moves(model, h, aux, links, mu, pi, lo, hi, tile, rows, check, fault, out):
    """Send the crowd of a factored game to where its moves lead."""
    for x in range(out.size):
        out[x] = 0.0
    for first in range(lo, hi, BLOCK):
        end = min(hi, first + BLOCK)
        for a in range(pi.shape[0]):
            target, share = links.moves[a], pi[a]
            for s in range(first, end):
                out[target[s]] += mu[s] * share[s]
    return 0


@unit(SEND)
def carry_noise(model, h, aux, links, mu, pi, lo, hi, tile, rows, check, fault, out):
    """Send the moved crowd to where noise carries it."""
    for x in range(out.size):
        out[x] = 0.0
    places = links.places
    for first in range(lo, hi, tile.shape[0]):
        end = min(hi, first + tile.shape[0])
        block = tile[: end - first]
        status = fill_checked(model, h, aux, links, mu, pi, first, end, block, rows, check, fault, out)
        if status != 0:
            return status
        for k in range(places.shape[0]):
            target, source = places[k, first:end], mu[first:end]
            for m in range(target.size):
                out[target[m]] += source[m] * block[m, 0, k]
    return 0


@unit(SEND)
def pull_rows(model, h, aux, links, mu, pi, lo, hi, tile, rows, check, fault, out):
    """Sum what arrives in the states lo..hi-1 along segments of rows, or of moves."""
    for first in range(lo, hi, BLOCK):
        for x in range(first, min(hi, first + BLOCK)):
            out[x] = 0.0
        add_moved(links.rows, first // BLOCK, mu, pi, out)
    return 0


@unit(SEND)
def pull_noise(model, h, aux, links, mu, pi, lo, hi, tile, rows, check, fault, out):
    """Sum what arrives in the states lo..hi-1 along segments of noise."""
    for first in range(lo, hi, BLOCK):
        for x in range(first, min(hi, first + BLOCK)):
            out[x] = 0.0
        add_weighted(links.noise, first // BLOCK, mu, out)
    return 0
