"""Neighbourhoods of large classes, counted without looking at all pairs.

Sums over some states s of ``mu1(s) max_a gap_1(s,a)`` are pseudo-metrics, and bound d from below (`distance`). Hence
with a few models as *pivots* p, ``d(M,N) >= |sum(M,p) - sum(N,p)|``: sorted by the first pivot's sums, a model's
neighbours stand within a window, and most pairs in it fall to the other pivots. Where many pairs are left, the upper
bounds, pseudo-metrics too, say that two models near one pivot are near each other. The rest is decided as ever, by
bounds and exact distances, in blocks along the sorted order. No array of the size [n, n] is made.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from fastmfg.comparing.tiles import Tiles, Wanted, near_pairs, tile_sums, tile_tops
from fastmfg.games.checks import Floats, Integers

PIVOTS, PIVOT_STATES = 8, 8
"""Pivots, evenly among the models, and the states summed over: those where most agents start."""

ROUNDING = 1e-12
"""Bounds this close to the radius, times the horizon, decide nothing: they round otherwise than distances do."""

CROWDED = 50
"""Pairs a model that no pivot sets apart, from which on it is worth to compute upper bounds to the pivots."""

CHUNK = 1 << 22
"""Pairs that pass the pivots, of which so many are held at a time, about."""

FAR_CHUNK = 1 << 25
"""Pairs held at a time for an executor, which runs idle between one chunk and the next: they take about 2 GB."""

SHARE, MOST_PAIRS = 32, 200_000_000
"""For an executor pivots are of use when they leave one pair in so many, and so many in all, at most: more than that
keeps this process busy, which sorts them, for longer than the others take to look at all pairs."""

STAGES = ("pivots", "lower bound", "upper bound", "exact distance")
"""What decides pairs."""


Mark = Callable[[Integers, Integers], None]
"""``mark(i, j)``: positions of near pairs."""


@dataclass(frozen=True)
class Counted:
    """Sizes of neighbourhoods, and how pairs were decided."""

    counts: Integers  # [n]   |B(M)|, the model itself included
    decided: dict[str, int]  # pairs decided by each of the `STAGES`

    @property
    def central(self) -> int:
        """The position with the largest neighbourhood; the lowest on a tie."""
        return int(np.argmax(self.counts))


def pivots_of(n: int) -> Integers:
    return np.unique(np.linspace(0, n - 1, PIVOTS).astype(np.int64))


def passing_pairs(sums: Floats, radius: float, chunk: int) -> Iterator[tuple[Integers, Integers]]:
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
        if held >= chunk:
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


def pivot_counts(tiles: Tiles, radius: float, mark: Mark = lambda i, j: None) -> Counted:
    """Sizes of all neighbourhoods ``{N : d(M,N|pi) <= radius}``: the answers of exact distances.

    `mark` is told of the positions of near pairs, of some of them twice where an executor ends up with all pairs.
    """
    n, slack = len(tiles), ROUNDING * tiles.models.horizon
    pivots, stretches = pivots_of(n), tiles.stretches()
    states = [(pivots, cols, PIVOT_STATES) for cols in stretches]
    sums = np.concatenate(list(tiles.map(tile_sums, states)), axis=1)
    order = np.argsort(sums[0], kind="stable")
    ordered = tiles.reordered(order)
    counts = Counts(n, lambda i, j: mark(order[i], order[j]))
    seen = 0
    tops: Floats | None = None
    for left, right in passing_pairs(sums[:, order], radius + slack, CHUNK if tiles.executor is None else FAR_CHUNK):
        i, j = left, right
        seen += i.size
        if tiles.executor is not None and seen > min(n * (n - 1) // 2 // SHARE, MOST_PAIRS):
            return all_counts(tiles, radius, mark)
        if seen > CROWDED * n:
            if tops is None:
                tops = np.concatenate(list(tiles.map(tile_tops, [(pivots, cols) for cols in stretches])), axis=1)
                tops = tops[:, order]
            far = np.full(i.size, np.inf)
            for top in tops:
                np.minimum(far, top[i] + top[j], out=far)
            near = far <= radius - slack
            counts.add(i[near], j[near])
            i, j = i[~near], j[~near]
        counts.decide(ordered, pair_masks(i, j, ordered.window, n), radius)
    counts.decided["pivots"] = n * (n - 1) // 2 - sum(counts.decided.values())
    result = np.empty(n, dtype=np.int64)
    result[order] = counts.counts
    return Counted(result, counts.decided)


def all_counts(tiles: Tiles, radius: float, mark: Mark = lambda i, j: None) -> Counted:
    """Sizes of all neighbourhoods, all pairs looked at."""
    counts = Counts(len(tiles), mark)
    counts.decide(tiles, tiles.pairs(), radius)
    return Counted(counts.counts, counts.decided)


class Counts:
    """Neighbourhoods as they are counted, pair by pair."""

    def __init__(self, n: int, mark: Mark) -> None:
        self.counts = np.ones(n, dtype=np.int64)  # [n]   each model is its own neighbour
        self.decided = dict.fromkeys(STAGES, 0)
        self.mark = mark

    def add(self, i: Integers, j: Integers) -> None:
        """These pairs are near."""
        self.counts += np.bincount(i, minlength=self.counts.size) + np.bincount(j, minlength=self.counts.size)
        self.mark(i, j)

    def decide(self, tiles: Tiles, tasks: Iterable[tuple[Any, ...]], radius: float) -> None:
        """Count the near pairs of tiles (rows, columns), or (rows, columns, wanted)."""
        near = partial(near_pairs, radius=radius, slack=ROUNDING * tiles.models.horizon)
        sent: deque[tuple[Integers, Integers]] = deque()

        def remembered() -> Iterator[tuple[Any, ...]]:
            for task in tasks:
                sent.append((task[0], task[1]))
                yield task

        for found, decided in tiles.map(near, remembered()):
            rows, cols = sent.popleft()
            self.counts[rows] += found.sum(axis=1)
            self.counts[cols] += found.sum(axis=0)
            r, c = np.nonzero(found)
            self.mark(rows[r], cols[c])
            for name, number in zip(STAGES[1:], decided.tolist(), strict=True):
                self.decided[name] += number
