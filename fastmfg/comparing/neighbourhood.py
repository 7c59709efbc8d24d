"""Neighbourhoods ``B(M) = {N : d(M,N|pi) <= radius}`` and the central model (Huang, He, Krause 2024, Section 4.1).

Bounds decide most pairs: `low` says "apart" (often after one row), the upper bound says "near"; an exact distance is
computed only where both leave a pair open.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmfg.comparing.conditional import ConditionalClass, condition_class
from fastmfg.comparing.distance import (
    below_diagonal,
    bound_high,
    bound_low,
    directed_distances,
)
from fastmfg.games.checks import Integers, real
from fastmfg.games.model_class import ModelClass

ROUNDING = 1e-12
"""Bounds this close to the radius, times the horizon, decide nothing: they round otherwise than distances do."""


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


def find_neighbourhoods(conditional: ConditionalClass, radius: float) -> Neighbourhoods:
    """Neighbourhoods of the models of a conditional class, by position."""
    n = conditional.members.size
    pairs = below_diagonal(n)
    slack = ROUNDING * conditional.family.horizon
    low, open_low = bound_low(conditional, radius + slack, pairs)
    _, near = bound_high(conditional, radius - slack, open_low, low)
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


def neighbourhoods(models: ModelClass, policy: ArrayLike, radius: float) -> Neighbourhoods:
    """Neighbourhoods of all models under a reference policy [H, S, A], radius >= 0, with how pairs were decided."""
    return find_neighbourhoods(condition_class(models, policy), real("radius", radius, 0.0, include_low=True))


def neighbour_counts(models: ModelClass, policy: ArrayLike, radius: float) -> Integers:
    """``|{N : d(M,N|policy) <= radius}|`` [M] of each model M, itself included."""
    return neighbourhoods(models, policy, radius).counts


def central_model(models: ModelClass, policy: ArrayLike, radius: float) -> int:
    """Index of the model with the most neighbours, ``Ctr(policy)``; the lowest on a tie."""
    return neighbourhoods(models, policy, radius).central
