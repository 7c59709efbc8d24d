"""Ties between actions: decided by a rule that rounding does not reach (`fastmfg.kernels.backward.TIE`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastmfg.games.checks import Floats, Integers
from fastmfg.kernels.backward import TIE


def lowest_best(q: Floats, legal: NDArray[np.bool_], rounding: float = 0.0) -> Integers:
    """Return the lowest of the legal actions tied with the best one, for values ``q [..., S, A]``, as ``[..., S]``.

    Tied are values that differ by no more than `TIE` times the largest absolute value of a legal action in all states,
    which is therefore all that the lowest can be worse than the best, and `rounding`: what values may be off by.
    """
    size = np.where(legal, np.abs(q), 0.0).max(axis=(-2, -1), keepdims=True)
    allowed = np.where(legal, q, -np.inf)
    tied: Integers = (allowed >= allowed.max(axis=-1, keepdims=True) - TIE * size - rounding).argmax(axis=-1)
    return tied
