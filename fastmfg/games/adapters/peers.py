"""Packages that are needed by their own adapter only, and numbers that come from them in single precision."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from fastmfg.games.checks import TOLERANCE, Floats

SINGLE_PRECISION = 1e-5
"""What a sum of thousands of numbers in single precision misses 1 by, at most."""


def peer(module: str, extra: str) -> Any:
    """A module of another library; one error that says how to get it where it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f'{module} can not be imported ({error}): pip install "fastmfg[{extra}]"') from error


def rescaled(probabilities: Floats) -> Floats:
    """Vectors along the last axis divided by their sums, where these miss 1 by no more than single precision does.

    Others stay as they are: what is no distribution is refused where it is used. Sums within 1e-9 of 1 need nothing.
    """
    totals = probabilities.sum(axis=-1, keepdims=True)
    off = np.abs(totals - 1.0)
    near = (off > TOLERANCE) & (off <= SINGLE_PRECISION)
    result: Floats = probabilities / np.where(near, totals, 1.0)
    return result
