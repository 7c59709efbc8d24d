"""Neighbourhoods ``B(M) = {N : d(M,N|pi) <= radius}`` and the central model (Huang, He, Krause 2024, Section 4.1).

Bounds decide most pairs: `low` says "apart" (often after one row), the upper bound says "near"; an exact distance is
computed only where both leave a pair open.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmfg.comparing.conditional import ConditionalClass, condition_class
from fastmfg.comparing.pivots import Counted, Mark, all_counts, pivot_counts
from fastmfg.comparing.tiles import Tiles
from fastmfg.equality import Result
from fastmfg.executors import Executor, Tick
from fastmfg.games.checks import Integers, real
from fastmfg.games.model_class import ModelClass

LARGE = 256
"""Models from which on neighbourhoods are counted along pivots."""


@dataclass(frozen=True, eq=False)
class Neighbourhoods(Result):
    """Who is whose neighbour, and how it was decided."""

    near: NDArray[np.bool_]  # [M, M]   d <= radius, the diagonal included
    decided: dict[str, int]  # pairs decided by each stage (`fastmfg.comparing.pivots`)

    @property
    def counts(self) -> Integers:
        """|B(M)| of each model, itself included."""
        counts: Integers = self.near.sum(axis=1).astype(np.int64)
        return counts

    @property
    def central(self) -> int:
        """The model with the largest neighbourhood; the lowest index on a tie."""
        return int(np.argmax(self.counts))


def count_neighbours(tiles: Tiles, radius: float, mark: Mark = lambda i, j: None) -> Counted:
    """Sizes of the neighbourhoods of models, by position, and how pairs were decided; `mark` is told of near pairs."""
    return (pivot_counts if len(tiles) > LARGE else all_counts)(tiles, radius, mark)


def find_neighbourhoods(conditional: ConditionalClass, radius: float) -> Neighbourhoods:
    """Neighbourhoods of the models of a conditional class, by position."""
    n = conditional.members.size
    near = np.eye(n, dtype=np.bool_)

    def mark(i: Integers, j: Integers) -> None:
        near[i, j] = near[j, i] = True

    decided = count_neighbours(Tiles.of(conditional), radius, mark).decided
    return Neighbourhoods(near, {stage: pairs for stage, pairs in decided.items() if n > LARGE or stage != "pivots"})


def neighbourhoods(models: ModelClass, policy: ArrayLike, radius: float) -> Neighbourhoods:
    """Neighbourhoods of all models under a reference policy [H, S, A], radius >= 0, with how pairs were decided."""
    return find_neighbourhoods(condition_class(models, policy), real("radius", radius, 0.0, include_low=True))


def neighbour_counts(
    models: ModelClass, policy: ArrayLike, radius: float, *, executor: Executor | None = None, tick: Tick | None = None
) -> Integers:
    """``|{N : d(M,N|policy) <= radius}|`` [M] of each model M, itself included.

    `executor`: where the work is done (`fastmfg.remote`), this process's threads by default; nothing of the size [M, M]
    is ever made, here or there. `tick(done, total)` reports progress: of large classes first that of setting pairs
    apart, then that of deciding those left, a chunk of them at a time. Distances that equal the radius within rounding
    may fall to either side.
    """
    largest = real("radius", radius, 0.0, include_low=True)
    return count_neighbours(Tiles.of_class(models, policy, executor, tick), largest).counts


def central_model(models: ModelClass, policy: ArrayLike, radius: float, *, executor: Executor | None = None) -> int:
    """Index of the model with the most neighbours, ``Ctr(policy)``; the lowest on a tie."""
    return int(np.argmax(neighbour_counts(models, policy, radius, executor=executor)))
