"""Eluder dimensions: which pairs of models tell which rows apart, and the longest list of independent rows.

An *element* is a row (t, s, a): state s and action a under the t-th population of a step; ``g_p(x)`` is the L1 gap of
element x between the two models of pair p. `aux [n, T, *]` holds what the T populations decide in n models.
"""

import numpy as np
from numba import types

from fastmfg.kernels.distance import block_gaps, l1_gap
from fastmfg.kernels.jit import B2, COMMON, F2, F3, FILL, I1, I2, b1, f8, i8, inline, kernel
from fastmfg.kernels.rows import fill_rows, row_length

OCTAVES, PARTS = 16, 8
"""``(g / eps)^2`` is binned by factors of two down to 2^-OCTAVES, each cut into so many parts; below is bin 0."""
BINS = OCTAVES * PARTS + 2
PART_BITS = 3
FIRST_BIN = (1023 - OCTAVES) << PART_BITS
"""Exponent and leading bits of the number 2^-OCTAVES."""

LARGEST_GAP = 2.0 + 1e-6
"""No two distributions are farther apart."""


@inline
def _fill_models(fill, common, thetas, members, aux, block, h, t, s, tiles):
    for i in range(block.size):
        m = block[i]
        status = fill_rows(fill, common, thetas[members[m]], h, aux[m, t], s, s + 1, tiles[i])
        if status != 0:
            return status
    return 0


@inline
def _mark(gap, legal, eps, over, bins, scaled):
    """The elements of one state for one pair: which exceed eps, and the others' bins. The first faulty one, or -1."""
    inverse = 1.0 / (eps * eps)
    for a in range(gap.size):
        scaled[a] = gap[a] * gap[a] * inverse
    bits = scaled.view(np.int64)
    for a in range(gap.size):
        over[a] = False
        if legal[a]:
            if not gap[a] <= LARGEST_GAP:
                return a
            if gap[a] > eps:
                over[a] = True
            else:
                place = (bits[a] >> (52 - PART_BITS)) - FIRST_BIN + 1
                bins[min(max(place, 0), BINS - 1)] += 1
    return -1


@kernel(i8(FILL, COMMON, F2, I1, F3, i8, i8, i8, I1, I1, B2, f8, b1[:, :, :, ::1], types.int32[:, :, ::1], I1))
def block_exceeding(fill, common, thetas, members, aux, h, lo, hi, rows, cols, wanted, eps, over, bins, fault):
    """Which elements of the wanted pairs of a block have a gap over eps.

    ``lo..hi-1`` are places ``t S + s``. Written: ``over [hi-lo, R, C, A]``, False for illegal actions; the others'
    ``(g / eps)^2`` are counted in ``bins [R, C, BINS]``, bin 1 + PARTS j + i from ``2^(j - OCTAVES) (1 + i / PARTS)``.
    Where a gap is none of distributions the kernel stops and writes ``fault [4]``: place, action, the two models.
    """
    S, A = common.legal.shape
    R, C = wanted.shape
    K = row_length(common)
    X, Y = np.empty((R, 1, A, K)), np.empty((C, 1, A, K))
    gap, scaled = np.empty((R, C, A)), np.empty(A)
    for place in range(lo, hi):
        t, s = place // S, place % S
        status = _fill_models(fill, common, thetas, members, aux, rows, h, t, s, X)
        if status == 0:
            status = _fill_models(fill, common, thetas, members, aux, cols, h, t, s, Y)
        if status != 0:
            return status
        block_gaps(X, Y, wanted, gap)
        for i in range(R):
            for j in range(C):
                if wanted[i, j]:
                    a = _mark(gap[i, j], common.legal[s], eps, over[place - lo, i, j], bins[i, j], scaled)
                    if a >= 0:
                        fault[0], fault[1], fault[2], fault[3] = place, a, rows[i], cols[j]
                        return 0
    return 0


@kernel(i8(FILL, COMMON, F2, I1, F3, i8, I2, I1, I1, F2))
def element_gaps(fill, common, thetas, members, aux, h, elements, first, second, out):
    """``out [E, P]``: gaps of the ``elements [E, 3]`` (t, s, a) for the pairs of models (first[p], second[p])."""
    n, A, K = members.size, common.legal.shape[1], row_length(common)
    tile, rows = np.empty((1, A, K)), np.empty((n, K))
    needed = np.zeros(n, np.bool_)
    for p in range(first.size):
        needed[first[p]] = True
        needed[second[p]] = True
    for e in range(elements.shape[0]):
        t, s, a = elements[e]
        for m in range(n):
            if needed[m]:
                status = fill_rows(fill, common, thetas[members[m]], h, aux[m, t], s, s + 1, tile)
                if status != 0:
                    return status
                rows[m] = tile[0, a]
        for p in range(first.size):
            out[e, p] = l1_gap(rows[first[p]], rows[second[p]])
    return 0


@inline
def _ones(word):
    count = 0
    while word != 0:
        word &= word - 1
        count += 1
    return count


@inline
def _lowest(word):
    place = 0
    while (word >> place) & 1 == 0:
        place += 1
    return place


@inline
def _alive_after(x, squares, masks, limit, sums, pairs, n, sums_next, pairs_next):
    """Pairs that can still witness an element once x is in the list: how many, and the elements they exceed at."""
    k, reach = 0, 0
    for i in range(n):
        p = pairs[i]
        total = sums[i] + squares[x, p]
        if (masks[p] >> x) & 1 == 0 and total <= limit:
            pairs_next[k] = p
            sums_next[k] = total
            reach |= masks[p]
            k += 1
    return k, reach


@kernel(i8(F2, I1, f8, i8, i8, b1[::1], I1))
def longest_list(squares, masks, limit, best, budget, visited, order):
    """The longest list of independent elements, by a search over the sets of elements that lists can reach.

    ``squares [m, P]`` are ``g_p(x)^2``, bit x of ``masks [P]`` says whether ``g_p(x) > eps``, `limit` is ``eps^2``.
    What may follow depends on the set of elements alone: ``visited [2^m]``, all False, keeps sets from being searched
    twice. A set is given up when neither its elements nor its pairs can make a list longer than `best`. Written:
    ``order [m]``, if a list longer than `best` is found. Returns the longest length, or -1 after `budget` updates of a
    pair.
    """
    m, P = squares.shape
    sums, pairs = np.zeros((m + 1, P)), np.empty((m + 1, P), np.int64)
    alive, todo, path = np.zeros(m + 1, np.int64), np.zeros(m + 1, np.int64), np.zeros(m + 1, np.int64)
    alive[0] = P
    for p in range(P):
        pairs[0, p] = p
        todo[0] |= masks[p]
    depth, chosen, work = 0, 0, 0
    while depth >= 0:
        if todo[depth] == 0:
            depth -= 1
            if depth >= 0:
                chosen &= ~(1 << path[depth])
            continue
        x = _lowest(todo[depth])
        todo[depth] &= todo[depth] - 1
        grown = chosen | (1 << x)
        if visited[grown]:
            continue
        visited[grown] = True
        work += alive[depth]
        if work > budget:
            return -1
        path[depth] = x
        if depth + 1 > best:
            best = depth + 1
            order[:best] = path[:best]
        k, reach = _alive_after(
            x, squares, masks, limit, sums[depth], pairs[depth], alive[depth], sums[depth + 1], pairs[depth + 1]
        )
        if depth + 1 + min(_ones(reach), k) > best:
            depth += 1
            chosen, alive[depth], todo[depth] = grown, k, reach
    return best
