"""Equality of results: dataclasses whose fields are arrays.

``==`` of arrays is an array, so that the equality which dataclasses are given raises on them.
"""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import numpy as np


class Result:
    """Base of results: equal are those of the same type whose fields are equal, NaN to NaN. Not hashable.

    Fields with ``compare=False`` do not count.
    """

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        compared = [field.name for field in fields(self) if field.compare]  # type: ignore[arg-type]
        return all(alike(getattr(self, name), getattr(other, name)) for name in compared)

    __hash__ = None  # type: ignore[assignment]


def alike(one: Any, other: Any) -> bool:
    """Whether two values are equal: arrays in dtype, shape and every entry, containers item by item, NaN to NaN."""
    if type(one) is not type(other):
        return bool(one == other) if not {np.ndarray} & {type(one), type(other)} else False
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    return bool(one == other) or (isinstance(one, float) and math.isnan(one) and math.isnan(other))
