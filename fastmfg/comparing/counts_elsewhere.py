"""What an executor needs to count the neighbourhoods of a large class: which pairs the pivots leave, in groups.

As in `fastmfg.comparing.pivots`, sums over the first states between a few pivots and all models set most pairs apart.
The pairs left are cut into groups that follow one another along the sorted sums, and so have most models in common:
whoever decides a group conditions its models anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmfg.comparing.conditional import condition_members
from fastmfg.comparing.distance import block_side
from fastmfg.comparing.pivots import PIVOT_STATES, passing_pairs, pivots_of, start_order
from fastmfg.executors import Tick, blocks
from fastmfg.games.checks import Floats, Integers
from fastmfg.games.model_class import ModelClass
from fastmfg.games.spread import spread
from fastmfg.kernels import distance as kernels

STRETCH = 8
"""Blocks of models that are compared with the pivots at a time, whose conditioning is then a small part."""

GROUP_MODELS, GROUP_PAIRS = 192, 4096
"""First models of the pairs of a group, and pairs in it, at most: their models' matrices take 0.3 GB at the worst."""

SHARE, MOST_PAIRS = 32, 200_000_000
"""Pivots are of use when they leave a pair in so many, at most: looking at all costs that many times less a pair. And
so many pairs at most, which the client holds in up to 5 GB."""

Pairs = tuple[Integers, Integers]
"""Models [k], models [k]: pair by pair."""


def sums_elsewhere(models: ModelClass, policy: Floats, executor: Any, tick: Tick | None) -> Floats:
    """``sum over the first states of mu1(s) max_a gap_1(s,a)`` between pivots and all models, [pivots, M]."""
    stretches = blocks(len(models), STRETCH * block_side(models))
    return np.concatenate(list(spread(partial(_sums, policy=policy), models, stretches, executor, tick)), axis=1)


def _sums(models: ModelClass, stretch: range, policy: Floats) -> Floats:
    pivots = pivots_of(len(models))
    members = np.concatenate([pivots, np.arange(stretch.start, stretch.stop)])
    conditional = condition_members(models, policy, members)
    order, rows, cols = start_order(conditional)[:PIVOT_STATES], np.arange(pivots.size), np.arange(len(stretch))
    wanted, out = np.ones((rows.size, cols.size), dtype=np.bool_), np.zeros((rows.size, cols.size))
    status = kernels.block_lower_bounds(*conditional.arrays, order, rows, cols + rows.size, wanted, np.inf, out)
    models.refuse_status(status, "comparing models")
    return out


def pairs_left(sums: Floats, radius: float) -> list[Pairs] | None:
    """The pairs that no pivot sets apart, in groups; None when they are so many that pivots are of no use."""
    n = sums.shape[1]
    order = np.argsort(sums[0], kind="stable")
    most, left = min(n * (n - 1) // 2 // SHARE, MOST_PAIRS), 0
    chunks: list[tuple[NDArray[np.int32], NDArray[np.int32]]] = []
    for i, j in passing_pairs(sums[:, order], radius):
        left += i.size
        if left > most:
            return None
        chunks.append((i.astype(np.int32), j.astype(np.int32)))
    if not chunks:
        return []
    first, second = (np.concatenate(side) for side in zip(*chunks, strict=True))
    return [(order[first[part]], order[second[part]]) for part in _grouped(first)]


def _grouped(first: NDArray[np.int32]) -> Iterator[Integers]:
    """Positions of pairs, in groups by their first models."""
    sorted_pairs = np.argsort(first, kind="stable")
    window = first[sorted_pairs] // GROUP_MODELS
    for part in np.split(sorted_pairs, np.flatnonzero(np.diff(window)) + 1):
        for block in blocks(part.size, GROUP_PAIRS):
            yield part[block.start : block.stop]
