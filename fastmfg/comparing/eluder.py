"""Lists of independent elements: the combinatorial part of eluder dimensions.

``over[x, p]`` says that the gap ``g_p(x)`` of element x between the models of pair p exceeds eps. A list x_1, x_2, ...
has a *witness* p for each element: ``g_p(x_j) > eps`` and ``sum_{i<j} g_p(x_i)^2 <= eps^2``. A pair is dead once an
element it exceeds eps at is in the list: it witnesses one element at most, and no element occurs twice. Upper bounds:

*elements*  of two elements that the same pairs exceed eps at, one list holds one only;
*pairs*     a list is no longer than there are pairs that exceed eps anywhere;
*room*      let k_p be how many elements pair p can bear: squares add up to eps^2 at most, the smallest first. The
            witness of the j-th element bears j - 1; in a list of length K the r-th largest k_p is at least K - r.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastmfg.games.checks import Floats, Integers
from fastmfg.kernels import pmbed as kernels

Words = NDArray[np.uint64]
Flags = NDArray[np.bool_]

EXPONENTS = (0.25, 0.5, 1.0)
"""Of the score that the greedy search goes by; the longest list of these runs is kept."""

SHORTLIST = 64
"""Elements that a greedy step looks at in full: those at which the fewest pairs exceed eps."""

MOST_REDUCED = 512
"""Elements from which equal and dominated ones are sorted out before an exact search."""

MOST_EXACT, BUDGET = 22, 400_000_000
"""Elements of an exact search, and updates of a pair it may take (a second or so)."""

CHUNK = 1 << 24
"""Flags unpacked at a time."""


@dataclass(frozen=True)
class Table:
    """Which pairs exceed eps at which elements; only elements and pairs of use."""

    over: Words  # [X, W]   bit p of a row
    n_pairs: int  # P
    eps: float
    room: Integers  # [P]   k_p, or more
    gaps: Callable[[Integers, Integers], Floats]  # of elements and pairs (their places here), [E, P]


@dataclass(frozen=True)
class Found:
    """Bounds of the length of the longest list, and the longest list found."""

    lower: int
    upper: int
    bound: str  # what the upper bound is: "search", "elements", "pairs", "room"
    elements: Integers  # [lower]   rows of the table
    witnesses: Integers  # [lower]   pairs of the table


def pack(flags: Flags) -> Words:
    """Rows of flags as words of 64."""
    padded = np.zeros((len(flags), -flags.shape[1] // 64 * -64), dtype=np.bool_)
    padded[:, : flags.shape[1]] = flags
    return np.packbits(padded, axis=1, bitorder="little").view(np.uint64)


def unpack(words: Words, n: int) -> Flags:
    """The first n flags of each row."""
    return np.unpackbits(words.view(np.uint8), axis=1, count=n, bitorder="little").view(np.bool_)


def take(words: Words, n: int, kept: Integers) -> Words:
    """Some columns of rows of n flags."""
    size = max(1, CHUNK // max(n, 1))
    parts = [pack(unpack(words[lo : lo + size], n)[:, kept]) for lo in range(0, len(words), size)]
    return np.concatenate(parts)


def longest(table: Table, known: int = 0) -> Found:
    """The longest list of a table, or bounds; none is looked for where the upper bound does not exceed `known`."""
    none = np.empty(0, dtype=np.int64)
    upper, bound = upper_bound(table)
    if upper <= known:
        return Found(0, upper, bound, none, none)
    best = none
    for exponent in EXPONENTS:
        found = greedy(table, exponent)
        best = found if found.size > best.size else best
        if best.size == upper:
            break
    if best.size < upper:
        searched = search(table, best)
        if searched is not None:
            best, upper, bound = searched, searched.size, "search"
    return Found(best.size, upper, bound, best, witnesses(table, best))


def upper_bound(table: Table) -> tuple[int, str]:
    """The smallest of the three bounds, and its name."""
    if not len(table.over):
        return 0, "elements"
    rows = table.over.view(np.dtype((np.void, table.over.shape[1] * 8)))
    bounds = {
        "elements": int(np.unique(rows).size),
        "pairs": table.n_pairs,
        "room": room_bound(table.room),
    }
    name = min(bounds, key=lambda name: bounds[name])
    return bounds[name], name


def room_bound(room: Integers) -> int:
    """The largest K with ``k_(r) >= K - r`` for the r-th largest k_p, r = 1..K."""
    reach = np.sort(room)[::-1] + np.arange(1, room.size + 1)
    return int((np.minimum.accumulate(reach) >= np.arange(1, room.size + 1)).sum())


def greedy(table: Table, exponent: float) -> Integers:
    """A list whose every element leaves most room to the pairs alive: ``sum_p (1 - sum/eps^2)^exponent``."""
    limit = table.eps**2
    over, places, size = table.over, np.arange(len(table.over)), table.n_pairs
    pairs = columns = np.arange(size)  # alive ones, and where they stand in `over`
    sums = np.zeros(size)
    chosen: list[int] = []
    while pairs.size:
        if 2 * pairs.size < size:
            over, size = take(over, size, columns), pairs.size
            columns = np.arange(size)
        alive = np.zeros((1, size), dtype=np.bool_)
        alive[0, columns] = True
        counts = np.bitwise_count(over & pack(alive)).sum(axis=1)
        over, places, counts = over[counts > 0], places[counts > 0], counts[counts > 0]
        if not places.size:
            break
        short = np.sort(np.argsort(counts, kind="stable")[:SHORTLIST])
        totals = sums + table.gaps(places[short], pairs) ** 2
        spared = (totals <= limit) & ~unpack(over[short], size)[:, columns]
        left = np.where(spared, np.maximum(1.0 - totals / limit, 0.0) ** exponent, 0.0).sum(axis=1)
        best = int(np.argmax(left))
        chosen.append(int(places[short[best]]))
        kept = np.flatnonzero(spared[best])
        pairs, columns, sums = pairs[kept], columns[kept], totals[best, kept]
    return np.array(chosen, dtype=np.int64)


def witnesses(table: Table, elements: Integers) -> Integers:
    """A pair that tells each element of a list apart from those before it."""
    result = np.empty(elements.size, dtype=np.int64)
    if not elements.size:
        return result
    over = unpack(table.over[elements], table.n_pairs)
    sums, alive = np.zeros(table.n_pairs), np.ones(table.n_pairs, dtype=np.bool_)
    for i, gap in enumerate(table.gaps(elements, np.arange(table.n_pairs))):
        result[i] = np.argmax(alive & over[i])
        sums += gap**2
        alive &= (sums <= table.eps**2) & ~over[i]
    return result


def search(table: Table, known: Integers) -> Integers | None:
    """The longest list, where few elements matter; None where they are too many or the search takes too long."""
    if len(table.over) > MOST_REDUCED:
        return None
    every = np.arange(len(table.over))
    gaps, over = table.gaps(every, np.arange(table.n_pairs)), unpack(table.over, table.n_pairs)
    kept = undominated(gaps, over)
    if kept.size > MOST_EXACT:
        return None
    masks = (over[kept].astype(np.int64) << np.arange(kept.size)[:, None]).sum(axis=0)
    squares = np.where(over[kept], np.inf, gaps[kept] ** 2)
    _, alike = np.unique(squares, axis=1, return_index=True)
    order = np.zeros(kept.size, dtype=np.int64)
    visited = np.zeros(1 << kept.size, dtype=np.bool_)
    length = kernels.longest_list(
        np.ascontiguousarray(squares[:, alike]), masks[alike], table.eps**2, known.size, BUDGET, visited, order
    )
    if length < 0:
        return None
    return kept[order[:length]] if length > known.size else known


def undominated(gaps: Floats, over: Flags) -> Integers:
    """Elements that lists need: of those which the same pairs exceed eps at, none with larger gaps elsewhere.

    Any list that holds the one with larger gaps remains a list with the other in its place.
    """
    groups: dict[bytes, list[int]] = {}
    for x in range(len(gaps)):
        rivals = groups.setdefault(over[x].tobytes(), [])
        small = ~over[x]
        if any((gaps[y, small] <= gaps[x, small]).all() for y in rivals):
            continue
        rivals[:] = [y for y in rivals if not (gaps[x, small] <= gaps[y, small]).all()]
        rivals.append(x)
    return np.array(sorted(x for rivals in groups.values() for x in rivals), dtype=np.int64)
