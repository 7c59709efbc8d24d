"""Tiles: pairs of models of a class, compared here or wherever an executor runs.

A *tile* is a set of rows and a set of columns, positions of models; what is compared are its pairs. Here all models are
conditioned on the policy once, and a tile is a block of pairs as kernels take it. An executor's processes condition a
tile's models anew, which counts for less the larger the tile: there it is made of many blocks. A pair's numbers are the
same to the last bit in any tile, so that callers do one thing, whoever does the work.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmfg.comparing.conditional import ConditionalClass, condition_members
from fastmfg.executors import Executor, Tick, blocks, items_a_task, map_tasks
from fastmfg.games.checks import Floats, Integers
from fastmfg.games.model_class import ModelClass, require_class
from fastmfg.games.spread import spread
from fastmfg.kernels import distance as kernels

Wanted = NDArray[np.bool_]
"""Which pairs of a tile, or of all models, are meant."""

Result = TypeVar("Result")

SQUARES_A_SIDE, MOST_BLOCKS = 16, 64
"""For an executor all pairs are cut into about so many squares a side, of so many blocks a side at most."""

STRETCH = 8
"""Blocks of models that an executor's task compares with a few models, whose conditioning is then a small part."""

WINDOW = 192
"""Models on a side of an executor's tile of which few pairs are wanted, about: their matrices take 0.3 GB at worst."""


def block_side(models: ModelClass) -> int:
    """Models on a side of a block of pairs."""
    return math.isqrt(items_a_task(models.row_entries, kernels.PAIR_BLOCK**2))


def pair_blocks(models: ModelClass, n: int, many: int = 1) -> Iterator[tuple[Integers, Integers]]:
    """Rows and columns that cover the pairs i > j of n models, so many blocks a side; the cut depends on sizes."""
    edges = [np.arange(block.start, block.stop) for block in blocks(n, many * block_side(models))]
    for a in range(len(edges)):
        for b in range(a + 1):
            if edges[a][-1] > edges[b][0]:  # the last block may hold one model, and so no pair with itself
                yield edges[a], edges[b]


def below_diagonal(n: int) -> Wanted:
    """The pairs i > j of n models."""
    return np.tri(n, k=-1, dtype=np.bool_)


@dataclass(frozen=True)
class Tiles:
    """Models under one policy, to be compared tile by tile; positions 0..n-1 refer to `members`."""

    models: ModelClass
    policy: Floats  # [H, S, A]
    members: Integers  # [n]
    conditional: ConditionalClass | None  # None: an executor's processes condition models where they compare them
    executor: Executor | None = None
    tick: Tick | None = None

    @staticmethod
    def of(conditional: ConditionalClass, tick: Tick | None = None) -> Tiles:
        """Models that are conditioned already, compared by this process's threads."""
        return Tiles(conditional.models, conditional.policy, conditional.members, conditional, tick=tick)

    @staticmethod
    def of_class(models: ModelClass, policy: ArrayLike, executor: Executor | None, tick: Tick | None) -> Tiles:
        """All models of a class under a policy [H, S, A], which is checked."""
        models = require_class("models", models)
        pi, every = models.policy("policy", policy), np.arange(len(models), dtype=np.int64)
        conditional = condition_members(models, pi, every) if executor is None else None
        return Tiles(models, pi, every, conditional, executor, tick)

    def __len__(self) -> int:
        return self.members.size

    def reordered(self, order: Integers) -> Tiles:
        """The models in this order."""
        conditional = None if self.conditional is None else self.conditional.restrict(order)
        return replace(self, members=self.members[order], conditional=conditional)

    def pairs(self) -> Iterator[tuple[Integers, Integers]]:
        """Tiles (rows, columns) that cover the pairs i > j; the cut depends on sizes alone."""
        many = max(1, min(MOST_BLOCKS, len(self) // (block_side(self.models) * SQUARES_A_SIDE)))
        return pair_blocks(self.models, len(self), 1 if self.conditional is not None else many)

    def stretches(self) -> list[Integers]:
        """All positions, cut into columns of tiles that have few rows."""
        size = block_side(self.models) * (1 if self.conditional is not None else STRETCH)
        return [np.arange(block.start, block.stop) for block in blocks(len(self), size)]

    @property
    def window(self) -> int:
        """Models on a side of a tile of which few pairs are wanted."""
        side = block_side(self.models)
        return side if self.conditional is not None else side * max(1, WINDOW // side)

    def map(self, function: Callable[..., Result], tiles: Iterable[tuple[Any, ...]]) -> Iterator[Result]:
        """``function(conditional, rows, columns, ...)`` of each tile (rows, columns, ...), in order.

        The function is one of a module, or `functools.partial` of one: an executor finds it by name.
        """
        if self.conditional is None:
            tasks = [(self.members[rows], self.members[cols], *what) for rows, cols, *what in tiles]
            compare = partial(_compare, function=function, policy=self.policy)
            yield from spread(compare, self.models, tasks, self.executor, self.tick)
            return
        conditional = self.conditional
        if self.tick is not None:
            tiles = list(tiles)
        for done, result in enumerate(map_tasks(lambda tile: function(conditional, *tile), tiles), start=1):
            if self.tick is not None:
                self.tick(done, len(tiles))  # type: ignore[arg-type]
            yield result


def _compare(models: ModelClass, tile: tuple[Any, ...], function: Callable[..., Result], policy: Floats) -> Result:
    """Condition the models of a tile of members, and compare them."""
    rows, cols, *what = tile
    members, at = np.unique(np.concatenate([rows, cols]), return_inverse=True)
    return function(condition_members(models, policy, members), at[: rows.size], at[rows.size :], *what)


def wanted_pairs(rows: Integers, cols: Integers) -> Wanted:
    """The pairs i > j of a tile."""
    return np.greater.outer(rows, cols)


def _blocks_of(models: ModelClass, wanted: Wanted) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of a tile's blocks that hold a wanted pair."""
    side = block_side(models)
    for rows in blocks(wanted.shape[0], side):
        for cols in blocks(wanted.shape[1], side):
            block = slice(rows.start, rows.stop), slice(cols.start, cols.stop)
            if wanted[block].any():
                yield block


def start_order(models: ModelClass) -> Integers:
    """States, those where most agents start first."""
    return np.argsort(-models.common.initial, kind="stable")


def tile_distances(
    conditional: ConditionalClass, rows: Integers, cols: Integers, wanted: Wanted | None = None
) -> Floats:
    """Directed distances [R, C, 2] of the wanted pairs (i > j by default), from rows and columns; NaN for others."""
    wanted = wanted_pairs(rows, cols) if wanted is None else wanted
    out = np.full((*wanted.shape, 2), np.nan)
    for r, c in _blocks_of(conditional.models, wanted):
        block, found = np.ascontiguousarray(wanted[r, c]), np.full((*wanted[r, c].shape, 2), np.nan)
        status = kernels.block_distances(*conditional.arrays, rows[r], cols[c], block, found)
        conditional.models.refuse_status(status, "comparing models")
        out[r, c] = found
    return out


def near_pairs(
    conditional: ConditionalClass, rows: Integers, cols: Integers, wanted: Wanted | None = None, *, radius: float,
    slack: float,
) -> tuple[Wanted, Integers]:  # fmt: skip
    """Which of the wanted pairs (i > j by default) are within the radius, [R, C], and how many each stage decided.

    The stages: lower bounds, upper bounds, exact distances. Bounds within `slack` of the radius decide nothing.
    """
    f, arrays = conditional.models, conditional.arrays
    wanted = wanted_pairs(rows, cols) if wanted is None else wanted
    near, decided, order = np.zeros(wanted.shape, dtype=np.bool_), np.zeros(3, dtype=np.int64), start_order(f)
    for r, c in _blocks_of(f, wanted):
        block = np.ascontiguousarray(wanted[r, c])
        asked, low = int(block.sum()), np.zeros(block.shape)
        status = kernels.block_lower_bounds(*arrays, order, rows[r], cols[c], block, radius + slack, low)
        f.refuse_status(status, "comparing models")
        found, left = block & (low <= radius - slack), int(block.sum())
        if found.any():
            status = kernels.block_upper_bounds(*arrays, rows[r], cols[c], found, radius - slack, low)
            f.refuse_status(status, "comparing models")
        open_pairs = block & ~found
        exact = int(open_pairs.sum())
        if exact:
            distances = np.full((*block.shape, 2), np.inf)
            status = kernels.block_distances(*arrays, rows[r], cols[c], open_pairs, distances)
            f.refuse_status(status, "comparing models")
            found |= open_pairs & (distances.max(axis=2) <= radius)
        near[r, c] = found
        decided += asked - left, left - exact, exact
    return near, decided


def tile_sums(conditional: ConditionalClass, rows: Integers, cols: Integers, n_states: int) -> Floats:
    """``sum of mu1(s) max_a gap_1(s,a)`` over the states where most agents start, so many of them, [R, C]."""
    wanted, out = np.ones((rows.size, cols.size), dtype=np.bool_), np.zeros((rows.size, cols.size))
    order = start_order(conditional.models)[:n_states]
    status = kernels.block_lower_bounds(*conditional.arrays, order, rows, cols, wanted, np.inf, out)
    conditional.models.refuse_status(status, "comparing models")
    return out


def tile_tops(conditional: ConditionalClass, rows: Integers, cols: Integers) -> Floats:
    """Upper bounds of d, [R, C]."""
    out = tile_sums(conditional, rows, cols, conditional.models.n_states)
    wanted = np.ones(out.shape, dtype=np.bool_)
    status = kernels.block_upper_bounds(*conditional.arrays, rows, cols, wanted, np.inf, out)
    conditional.models.refuse_status(status, "comparing models")
    return out
