"""Neighbourhoods ``B(M) = {N : d(M,N|pi) <= radius}`` and the central model (Huang, He, Krause 2024, Section 4.1).

Bounds decide most pairs: `low` says "apart" (often after one row), the upper bound says "near"; an exact distance is
computed only where both leave a pair open.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmfg.comparing.conditional import ConditionalClass, condition_class, condition_members
from fastmfg.comparing.counts_elsewhere import Pairs, pairs_left, sums_elsewhere
from fastmfg.comparing.distance import (
    below_diagonal,
    bound_high,
    bound_low,
    condition_square,
    directed_distances,
    pair_squares,
)
from fastmfg.comparing.pivots import ROUNDING, Counted, pivot_counts, pivot_matrix
from fastmfg.executors import Tick
from fastmfg.games.checks import Floats, Integers, real
from fastmfg.games.model_class import ModelClass, require_class
from fastmfg.games.spread import spread

LARGE = 256
"""Models from which on neighbourhoods are counted along pivots."""


@dataclass(frozen=True)
class Neighbourhoods:
    """Who is whose neighbour, and how it was decided."""

    near: NDArray[np.bool_]  # [M, M]   d <= radius, the diagonal included
    decided: dict[str, int]  # pairs decided by "lower bound", "upper bound", "exact distance"

    @property
    def counts(self) -> Integers:
        """|B(M)| of each model, itself included."""
        counts: Integers = self.near.sum(axis=1).astype(np.int64)
        return counts

    @property
    def central(self) -> int:
        """The model with the largest neighbourhood; the lowest index on a tie."""
        return int(np.argmax(self.counts))


def find_neighbourhoods(
    conditional: ConditionalClass, radius: float, pairs: NDArray[np.bool_] | None = None
) -> Neighbourhoods:
    """Neighbourhoods of the models of a conditional class, by position; only `pairs` [n, n], i > j, where given."""
    n = conditional.members.size
    if pairs is None and n > LARGE:
        return Neighbourhoods(*pivot_matrix(conditional, radius))
    pairs = below_diagonal(n) if pairs is None else pairs
    slack = ROUNDING * conditional.models.horizon
    low, open_low = bound_low(conditional, radius + slack, pairs)
    _, near = bound_high(conditional, radius - slack, open_low & (low <= radius - slack), low)
    open_pairs = open_low & ~near
    decided = {
        "lower bound": int(pairs.sum() - open_low.sum()),
        "upper bound": int(near.sum()),
        "exact distance": int(open_pairs.sum()),
    }
    if open_pairs.any():
        d = directed_distances(conditional, open_pairs)
        near |= open_pairs & (np.maximum(d, d.T) <= radius)
    return Neighbourhoods(near | near.T | np.eye(n, dtype=np.bool_), decided)


def count_neighbours(conditional: ConditionalClass, radius: float) -> Counted:
    """Sizes of the neighbourhoods of a conditional class, by position, and how pairs were decided."""
    if conditional.members.size > LARGE:
        return pivot_counts(conditional, radius)
    hoods = find_neighbourhoods(conditional, radius)
    return Counted(hoods.counts, {"pivots": 0} | hoods.decided)


def neighbourhoods(models: ModelClass, policy: ArrayLike, radius: float) -> Neighbourhoods:
    """Neighbourhoods of all models under a reference policy [H, S, A], radius >= 0, with how pairs were decided."""
    return find_neighbourhoods(condition_class(models, policy), real("radius", radius, 0.0, include_low=True))


def neighbour_counts(
    models: ModelClass, policy: ArrayLike, radius: float, *, executor: Any = None, tick: Tick | None = None
) -> Integers:
    """``|{N : d(M,N|policy) <= radius}|`` [M] of each model M, itself included.

    `executor`: where the work is done (`fastmfg.remote`), this process's threads by default; nothing of the size [M, M]
    is ever made, here or there. `tick(done, total)` reports progress with an executor: of large classes first that of
    setting pairs apart, then that of deciding those left. Distances that equal the radius within rounding may fall to
    either side.
    """
    largest = real("radius", radius, 0.0, include_low=True)
    if executor is None:
        return count_neighbours(condition_class(models, policy), largest).counts
    require_class("models", models)
    pi = models.policy("policy", policy)
    groups: list[Pairs] | None = None
    if len(models) > LARGE:
        groups = pairs_left(sums_elsewhere(models, pi, executor, tick), largest + ROUNDING * models.horizon)
    if groups is None:
        return _counted_by_squares(models, pi, largest, executor, tick)
    counts = np.ones(len(models), dtype=np.int64)
    found = spread(partial(_near_pairs, policy=pi, radius=largest), models, groups, executor, tick)
    for (left, right), near in zip(groups, found, strict=True):
        np.add.at(counts, left[near], 1)
        np.add.at(counts, right[near], 1)
    return counts


def _counted_by_squares(
    models: ModelClass, policy: Floats, radius: float, executor: Any, tick: Tick | None
) -> Integers:
    """Neighbours of all models, all pairs looked at."""
    squares, counts = pair_squares(models, len(models)), np.ones(len(models), dtype=np.int64)
    found = spread(partial(_square_counts, policy=policy, radius=radius), models, squares, executor, tick)
    for (rows, cols), (of_rows, of_cols) in zip(squares, found, strict=True):
        counts[rows.start : rows.stop] += of_rows
        counts[cols.start : cols.stop] += of_cols
    return counts


def _near_pairs(models: ModelClass, pairs: Pairs, policy: Floats, radius: float) -> NDArray[np.bool_]:
    """Which pairs of models are within the radius, [k]."""
    members = np.unique(np.concatenate(pairs))
    left, right = (np.searchsorted(members, models) for models in pairs)
    wanted = np.zeros((members.size, members.size), dtype=np.bool_)
    wanted[np.maximum(left, right), np.minimum(left, right)] = True
    near = find_neighbourhoods(condition_members(models, policy, members), radius, wanted).near
    found: NDArray[np.bool_] = near[left, right]
    return found


def _square_counts(
    models: ModelClass, square: tuple[range, range], policy: Floats, radius: float
) -> tuple[Integers, Integers]:
    """Neighbours that a square's pairs i > j give to the models of its rows, and to those of its columns."""
    conditional, wanted, first_row = condition_square(models, policy, *square)
    near = np.tril(find_neighbourhoods(conditional, radius, wanted).near, -1)
    of_rows, of_cols = near[first_row:].sum(axis=1), near[:, : len(square[1])].sum(axis=0)
    return of_rows.astype(np.int64), of_cols.astype(np.int64)


def central_model(models: ModelClass, policy: ArrayLike, radius: float, *, executor: Any = None) -> int:
    """Index of the model with the most neighbours, ``Ctr(policy)``; the lowest on a tie."""
    return int(np.argmax(neighbour_counts(models, policy, radius, executor=executor)))
