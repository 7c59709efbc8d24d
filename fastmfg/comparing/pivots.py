"""Neighbourhoods of large classes, counted without looking at all pairs.

Sums over some states s of ``mu1(s) max_a gap_1(s,a)`` are pseudo-metrics, and bound d from below (`distance`). Hence
with a few models as *pivots* p, ``d(M,N) >= |sum(M,p) - sum(N,p)|``: sorted by the first pivot's sums, a model's
neighbours stand within a window, and most pairs in it fall to the other pivots. Where many pairs are left, the upper
bounds, pseudo-metrics too, say that two models near one pivot are near each other. The rest is decided as ever, by
bounds and exact distances, in blocks along the sorted order. No array of the size [n, n] is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from fastmfg.comparing.conditional import ConditionalClass
from fastmfg.comparing.distance import Wanted, block_side
from fastmfg.executors import blocks, map_tasks
from fastmfg.games.checks import Floats, Integers
from fastmfg.kernels import distance as kernels

PIVOTS, PIVOT_STATES = 8, 8
"""Pivots, evenly among the models, and the states summed over: those where most agents start."""

ROUNDING = 1e-12
"""Bounds this close to the radius, times the horizon, decide nothing: they round otherwise than distances do."""

CROWDED = 50
"""Pairs a model that no pivot sets apart, from which on it is worth to compute upper bounds to the pivots."""

CHUNK = 1 << 22
"""Pairs that pass the pivots, of which so many are held at a time, about."""


Mark = Callable[[Integers, Integers], None]
"""``mark(i, j)``: positions of near pairs."""


@dataclass(frozen=True)
class Counted:
    """Sizes of neighbourhoods, and how pairs were decided."""

    counts: Integers  # [n]   |B(M)|, the model itself included
    decided: dict[str, int]  # pairs decided by "pivots", "lower bound", "upper bound", "exact distance"

    @property
    def central(self) -> int:
        """The position with the largest neighbourhood; the lowest on a tie."""
        return int(np.argmax(self.counts))


def pivots_of(n: int) -> Integers:
    return np.unique(np.linspace(0, n - 1, PIVOTS).astype(np.int64))


def start_order(conditional: ConditionalClass) -> Integers:
    """States, those where most agents start first."""
    return np.argsort(-conditional.models.common.initial, kind="stable")


def pivot_sums(conditional: ConditionalClass, order: Integers) -> Floats:
    """``sum over the states of the order of mu1(s) max_a gap_1(s,a)`` between pivots and all models, [pivots, n]."""
    f, n = conditional.models, conditional.members.size
    pivots = pivots_of(n)

    def sums(columns: range) -> Floats:
        cols = np.arange(columns.start, columns.stop)
        wanted, out = np.ones((pivots.size, cols.size), dtype=np.bool_), np.zeros((pivots.size, cols.size))
        status = kernels.block_lower_bounds(*conditional.arrays, order, pivots, cols, wanted, np.inf, out)
        f.refuse_status(status, "comparing models")
        return out

    return np.concatenate(list(map_tasks(sums, blocks(n, block_side(f)))), axis=1)


def pivot_tops(conditional: ConditionalClass) -> Floats:
    """Upper bounds of d between pivots and all models, [pivots, n]."""
    f, n = conditional.models, conditional.members.size
    pivots, low = pivots_of(n), pivot_sums(conditional, start_order(conditional))

    def tops(columns: range) -> Floats:
        cols, out = np.arange(columns.start, columns.stop), np.ascontiguousarray(low[:, columns.start : columns.stop])
        wanted = np.ones(out.shape, dtype=np.bool_)
        status = kernels.block_upper_bounds(*conditional.arrays, pivots, cols, wanted, np.inf, out)
        f.refuse_status(status, "comparing models")
        return out

    return np.concatenate(list(map_tasks(tops, blocks(n, block_side(f)))), axis=1)


def passing_pairs(sums: Floats, radius: float) -> Iterator[tuple[Integers, Integers]]:
    """Pairs of columns (i < j) of sorted sums [pivots, n] that no pivot sets apart, a chunk at a time."""
    n = sums.shape[1]
    found: list[tuple[Integers, Integers]] = []
    held = 0
    for shift in range(1, n):
        near = sums[0, shift:] - sums[0, :-shift] <= radius
        if not near.any():
            break
        i = np.flatnonzero(near)
        for row in sums[1:]:
            i = i[np.abs(row[i + shift] - row[i]) <= radius]
        if i.size:
            found.append((i, i + shift))
            held += i.size
        if held >= CHUNK:
            yield _joined(found)
            found, held = [], 0
    if found:
        yield _joined(found)


def _joined(found: list[tuple[Integers, Integers]]) -> tuple[Integers, Integers]:
    return np.concatenate([i for i, _ in found]), np.concatenate([j for _, j in found])


def pair_masks(i: Integers, j: Integers, side: int, n: int) -> Iterator[tuple[Integers, Integers, Wanted]]:
    """The pairs i < j by blocks: positions of the block's rows (those of j) and columns, and which pairs are meant."""
    if i.size == 0:
        return
    per_row = -(-n // side)
    block = (j // side) * per_row + i // side
    order = np.argsort(block, kind="stable")
    edges = np.flatnonzero(np.diff(block[order], prepend=-1))
    for part in np.split(order, edges[1:]):
        r, c = (int(x[part[0]] // side) * side for x in (j, i))
        rows, cols = np.arange(r, min(n, r + side)), np.arange(c, min(n, c + side))
        wanted = np.zeros((rows.size, cols.size), dtype=np.bool_)
        wanted[j[part] - r, i[part] - c] = True
        yield rows, cols, wanted


def pivot_matrix(conditional: ConditionalClass, radius: float) -> tuple[Wanted, dict[str, int]]:
    """Who is near whom [n, n], and how pairs were decided."""
    near = np.eye(conditional.members.size, dtype=np.bool_)

    def mark(i: Integers, j: Integers) -> None:
        near[i, j] = near[j, i] = True

    return near, pivot_counts(conditional, radius, mark).decided


def pivot_counts(conditional: ConditionalClass, radius: float, mark: Mark = lambda i, j: None) -> Counted:
    """Sizes of all neighbourhoods ``{N : d(M,N|pi) <= radius}``: the answers of exact distances.

    `mark` is told of the positions of near pairs.
    """
    f, n = conditional.models, conditional.members.size
    slack = ROUNDING * f.horizon
    start = start_order(conditional)
    sums = pivot_sums(conditional, start[:PIVOT_STATES])
    order = np.argsort(sums[0], kind="stable")
    ordered = conditional.restrict(order)
    counts = np.ones(n, dtype=np.int64)
    decided = dict.fromkeys(("pivots", "lower bound", "upper bound", "exact distance"), 0)

    def decide(task: tuple[Integers, Integers, Wanted]) -> tuple[Integers, Integers, Wanted, list[int]]:
        rows, cols, wanted = task
        arrays = ordered.arrays
        asked = int(wanted.sum())
        low = np.zeros(wanted.shape)
        status = kernels.block_lower_bounds(*arrays, start, rows, cols, wanted, radius + slack, low)
        f.refuse_status(status, "comparing models")
        near, open_pairs = wanted & (low <= radius - slack), wanted
        left = int(wanted.sum())
        if left:
            status = kernels.block_upper_bounds(*arrays, rows, cols, near, radius - slack, low)
            f.refuse_status(status, "comparing models")
            open_pairs = wanted & ~near
        exact = int(open_pairs.sum())
        if exact:
            out = np.full((*wanted.shape, 2), np.inf)
            status = kernels.block_distances(*arrays, rows, cols, open_pairs, out)
            f.refuse_status(status, "comparing models")
            near |= open_pairs & (out.max(axis=2) <= radius)
        return rows, cols, near, [asked - left, left - exact, exact]

    passed = seen = 0
    tops: Floats | None = None
    for left, right in passing_pairs(sums[:, order], radius + slack):
        i, j = left, right
        seen += i.size
        if seen > CROWDED * n:
            tops = pivot_tops(conditional)[:, order] if tops is None else tops
            far = np.full(i.size, np.inf)
            for top in tops:
                np.minimum(far, top[i] + top[j], out=far)
            near = far <= radius - slack
            counts += np.bincount(i[near], minlength=n) + np.bincount(j[near], minlength=n)
            mark(order[i[near]], order[j[near]])
            i, j = i[~near], j[~near]
        passed += i.size
        for rows, cols, near_now, by in map_tasks(decide, pair_masks(i, j, block_side(f), n)):
            counts[rows] += near_now.sum(axis=1)
            counts[cols] += near_now.sum(axis=0)
            r, c = np.nonzero(near_now)
            mark(order[rows[r]], order[cols[c]])
            for name, number in zip(list(decided)[1:], by, strict=True):
                decided[name] += number
    decided["pivots"] = n * (n - 1) // 2 - passed
    result = np.empty(n, dtype=np.int64)
    result[order] = counts
    return Counted(result, decided)
