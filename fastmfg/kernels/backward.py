"""Back values up one step: ``Q_h(s,a) = r_h(s,a) + sum_s' P_h(s'|s,a) V_{h+1}(s')``, and what becomes of Q.

The expectation of J values at once is a unit for each form of rows. Two endings take Q of a block of states: the
Bellman update, whose J = 2 values are those of the best response and of a policy, and the softmax of mirror descent.
Blocks are ``q [J, A, B]``, so that loops run over states.
"""

import numpy as np
from numba import types

from fastmfg.kernels.elementary import exp_below
from fastmfg.kernels.forms import EXPECT
from fastmfg.kernels.jit import B2, F1, F2, F3, FunctionPointer, f8, i8, unit
from fastmfg.kernels.segments import BLOCK, add_ahead, add_weighted

TIE = 1e-10
"""Actions whose values differ by no more than this, relative to the size of the values, are tied.

The lowest of them is the best response. Rounding, which differs between processors, moves values by some 1e-15 of
their size, so it decides nothing. At each step the response loses at most TIE times the largest absolute value of a
best response at that step and the next: in all at most H * TIE * R, where R <= H max |r| is the largest at any step.
NE gaps lose nothing: they are made of the largest values, not of the values of the actions chosen.
"""

BEST, POLICY = 0, 1
"""Which of two values are the best response's, and which the policy's."""


@unit(EXPECT)
def expect_dense(model, h, aux, links, V, lo, hi, tile, rows, q):
    """Add expectations over dense rows; two values share each row's loads."""
    both = V.shape[0] == 2
    X, Y = V[0], V[V.shape[0] - 1]
    for first in range(lo, hi, tile.shape[0]):
        end = min(hi, first + tile.shape[0])
        block, status = tile[: end - first], 0
        if rows.size > 0:
            block = rows[first - lo : end - lo]
        else:
            status = model.fill(h, aux, model.common.shared, model.theta, first, end, block)
        if status != 0:
            return status
        for i in range(end - first):
            for a in range(q.shape[1]):
                row, x, y = block[i, a], 0.0, 0.0
                if both:
                    for k in range(row.size):
                        x += row[k] * X[k]
                        y += row[k] * Y[k]
                    q[1, a, first - lo + i] += y
                else:
                    for k in range(row.size):
                        x += row[k] * X[k]
                q[0, a, first - lo + i] += x
    return 0


@unit(EXPECT)
def expect_sparse(model, h, aux, links, V, lo, hi, tile, rows, q):
    """Add expectations over sparse rows; two values share each row's loads."""
    both = V.shape[0] == 2
    X, Y = V[0], V[V.shape[0] - 1]
    for first in range(lo, hi, tile.shape[0]):
        end = min(hi, first + tile.shape[0])
        block, status = tile[: end - first], 0
        if rows.size > 0:
            block = rows[first - lo : end - lo]
        else:
            status = model.fill(h, aux, model.common.shared, model.theta, first, end, block)
        if status != 0:
            return status
        for i in range(end - first):
            for a in range(q.shape[1]):
                row, states, x, y = block[i, a], model.common.successors[first + i, a], 0.0, 0.0
                if both:
                    for k in range(row.size):
                        x += row[k] * X[states[k]]
                        y += row[k] * Y[states[k]]
                    q[1, a, first - lo + i] += y
                else:
                    for k in range(row.size):
                        x += row[k] * X[states[k]]
                q[0, a, first - lo + i] += x
    return 0


@unit(EXPECT)
def average_noise(model, h, aux, links, V, lo, hi, tile, rows, q):
    """Write means over the noise of the states lo..hi-1 into ``q [J, 1, S]``."""
    places, both = links.places, V.shape[0] == 2
    X, Y, x, y = V[0], V[V.shape[0] - 1], q[0, 0], q[q.shape[0] - 1, 0]
    for first in range(lo, hi, tile.shape[0]):
        end = min(hi, first + tile.shape[0])
        block = tile[: end - first]
        status = model.fill(h, aux, model.common.shared, model.theta, first, end, block)
        if status != 0:
            return status
        for m in range(first, end):
            row, of_x, of_y = block[m - first, 0], 0.0, 0.0
            for k in range(row.size):
                of_x += row[k] * X[places[k, m]]
                if both:
                    of_y += row[k] * Y[places[k, m]]
            x[m] = of_x
            if both:
                y[m] = of_y
    return 0


@unit(EXPECT)
def expect_moves(model, h, aux, links, V, lo, hi, tile, rows, q):
    """Add the means over noise, which `V` holds, where moves lead."""
    for j in range(q.shape[0]):
        for a in range(q.shape[1]):
            q_a, target, mean = q[j, a], links.moves[a, lo:hi], V[j]
            for i in range(target.size):
                q_a[i] += mean[target[i]]
    return 0


@unit(EXPECT)
def average_along(model, h, aux, links, V, lo, hi, tile, rows, q):
    """Write means over noise along segments into ``q [J, 1, S]``."""
    for j in range(V.shape[0]):
        for first in range(lo, hi, BLOCK):
            mean = q[j, 0]
            for x in range(first, min(hi, first + BLOCK)):
                mean[x] = 0.0
            add_weighted(links.noise, first // BLOCK, V[j], mean)
    return 0


@unit(EXPECT)
def expect_along(model, h, aux, links, V, lo, hi, tile, rows, q):
    """Add expectations along segments of one block of states."""
    for j in range(q.shape[0]):
        add_ahead(links.rows, lo // BLOCK, lo, V[j], q[j])
    return 0


BELLMAN = FunctionPointer(f8(F3, B2, f8[:, :], i8, i8, f8, F2, types.int32[::1]))


@unit(BELLMAN)
def bellman_update(q, legal, pi, lo, hi, reach, V, greedy):
    """Take the values of the states lo..hi-1 from ``q [J, A, B]``; the largest absolute value of the best response.

    ``V[BEST] = max over legal a of q[BEST]`` and, where J = 2, ``V[POLICY] = sum_a pi(a|s) q[POLICY]``, ``pi [A, S]``.
    ``greedy [S]``, where it is not empty: the lowest of the actions tied with the best (`TIE`); `reach` is the largest
    absolute value a step later.
    """
    A, n = q.shape[1], hi - lo
    best = V[BEST, lo:hi]
    for i in range(n):
        best[i] = -np.inf
    for a in range(A):
        q_a = q[BEST, a]
        if legal.size == 0:
            for i in range(n):
                best[i] = q_a[i] if q_a[i] > best[i] else best[i]  # `max` minds NaN, and is no vector code
        else:
            allowed = legal[a, lo:hi]
            for i in range(n):
                best[i] = q_a[i] if allowed[i] and q_a[i] > best[i] else best[i]
    if q.shape[0] == 2:
        value = V[POLICY, lo:hi]
        for i in range(n):
            value[i] = 0.0
        for a in range(A):
            q_a, p = q[POLICY, a], pi[a, lo:hi]
            for i in range(n):
                value[i] += p[i] * q_a[i]
    if greedy.size > 0:
        action = greedy[lo:hi]
        for a in range(A - 1, -1, -1):
            q_a = q[BEST, a]
            if legal.size == 0:
                for i in range(n):
                    size = abs(best[i]) if abs(best[i]) > reach else reach
                    action[i] = a if q_a[i] >= best[i] - TIE * size else action[i]
            else:
                allowed = legal[a, lo:hi]
                for i in range(n):
                    size = abs(best[i]) if abs(best[i]) > reach else reach
                    action[i] = a if allowed[i] and q_a[i] >= best[i] - TIE * size else action[i]
    largest = 0.0
    for i in range(n):
        largest = abs(best[i]) if abs(best[i]) > largest else largest
    return largest


SOFTMAX = FunctionPointer(f8(F2, B2, f8, i8, i8, F2, F2, F1, F1, F1))


@unit(SOFTMAX)
def softmax_update(q, legal, step, lo, hi, y, pi, top, total, V):
    """Take V of the states lo..hi-1 from ``q [A, B]``, then their logits and policy ``[A, S]`` in place; V's sum."""
    A, n = y.shape[0], hi - lo
    value = V[lo:hi]
    for i in range(n):
        value[i], top[i], total[i] = 0.0, -np.inf, 0.0
    for a in range(A):
        q_a, y_a, p = q[a], y[a, lo:hi], pi[a, lo:hi]
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
        exp_below(y[a, lo:hi], top[:n], pi[a, lo:hi], total[:n])
    for i in range(n):
        total[i] = 1.0 / total[i]
    sum_of_values = 0.0
    for i in range(n):
        sum_of_values += value[i]
    for a in range(A):
        p = pi[a, lo:hi]
        for i in range(n):
            p[i] *= total[i]
    return sum_of_values
