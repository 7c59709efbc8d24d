"""Checks of what users pass in: one error that names the argument, the index and the value, before any kernel runs."""

from __future__ import annotations

import difflib
import math
import operator
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmfg.executors import map_tasks
from fastmfg.kernels.check import count_faults
from fastmfg.memory import require_numbers

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

TOLERANCE = 1e-9
"""Probabilities must sum to one within this; they are never renormalised."""

DENSITY_TOLERANCE = 1e-6
"""Densities sum to one within this: many steps add the tolerance of rows up."""

LARGE = 1_000_000
"""Entries of a policy that are looked at by a kernel first; what is wrong is found out only where something is."""


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only view."""
    view = array.view()
    view.flags.writeable = False
    return view


def shape_text(shape: tuple[int | None, ...]) -> str:
    return "[" + ", ".join("*" if n is None else str(n) for n in shape) + "]"


def number_array(name: str, values: ArrayLike, shape: tuple[int | None, ...], kinds: str, what: str) -> NDArray[Any]:
    """The values as an array of the given shape (None: any length but 0) and kinds of dtype; not copied."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must be an array of shape {shape_text(shape)}: {error}") from None
    if array.dtype.kind not in kinds:
        raise TypeError(f"{name} must hold {what} numbers, got dtype {array.dtype}")
    if array.ndim != len(shape) or any(n is not None and n != m for n, m in zip(shape, array.shape, strict=True)):
        raise ValueError(f"{name} must have shape {shape_text(shape)}, got {shape_text(array.shape)}")
    if array.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {shape_text(array.shape)}")
    return array


def float_array(name: str, values: ArrayLike, shape: tuple[int | None, ...]) -> Floats:
    """A fresh C-ordered float64 copy of finite numbers of the given shape (None: any length but 0)."""
    array = number_array(name, values, shape, "fiub", "real")
    require_numbers(f"a copy of {name} {shape_text(array.shape)}", array.size)
    result = np.array(array, dtype=np.float64, order="C")
    refuse_non_finite(name, result)
    return result


def index_array(name: str, values: ArrayLike, shape: tuple[int | None, ...], bound: int | tuple[int, ...]) -> Integers:
    """A fresh C-ordered int64 copy of indices 0..bound-1 of the given shape (None: any length but 0).

    `bound` may be one number for each entry of the last axis.
    """
    array = number_array(name, values, shape, "iu", "whole")
    wrong = (array < 0) | (array >= np.array(bound))
    if wrong.any():
        index = first_index(wrong)
        limit = bound if isinstance(bound, int) else bound[index[-1]]
        raise ValueError(f"{name}{list(index)} is {array[index]}: must lie in 0..{limit - 1}")
    return np.array(array, dtype=np.int64, order="C")


def refuse_non_finite(name: str, array: Floats) -> None:
    with np.errstate(all="ignore"):
        total = array.sum()
    if not np.isfinite(total):  # a sum is cheap; look for the place only where it fails
        bad = ~np.isfinite(array)
        if bad.any():
            index = first_index(bad)
            raise ValueError(f"{name}{list(index)} is {array[index]}: every entry must be finite")


def first_index(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argwhere(mask)[0])


def refuse_non_distributions(name: str, array: Floats, tolerance: float = TOLERANCE) -> None:
    """Every vector along the last axis must be non-negative and sum to one within the tolerance."""
    if array.min() < 0:
        index = first_index(array < 0)
        raise ValueError(f"{name}{list(index)} is {array[index]}: probabilities must not be negative")
    totals = np.asarray(array.sum(axis=-1))
    wrong = np.abs(totals - 1.0) > tolerance
    if wrong.any():
        index = first_index(wrong)
        where = f"{name}{list(index)}" if index else name
        raise ValueError(
            f"{where} sums to {float(totals[index])!r}: probabilities must sum to 1 within {tolerance:g} "
            "(nothing is renormalised)"
        )


def row_text(row: Floats) -> str:
    """What is wrong with a row that should be a distribution."""
    if np.isfinite(row).all() and row.min() >= 0:
        return f"sums to {float(row.sum())!r}, not to 1 within 1e-9"
    x = int(np.argmax(~(row >= 0) | np.isinf(row)))
    return f"gives state {x} the probability {row[x]} (NaN also where the filler wrote nothing)"


def population_kind(population: str) -> bool:
    """Whether functions see the joint [S, A] rather than the state density [S]."""
    if population not in ("state", "joint"):
        raise ValueError(f"population must be 'state' or 'joint', got {population!r}")
    return population == "joint"


def initial_density(initial: ArrayLike, n_states: int | None = None) -> Floats:
    array = float_array("initial", initial, (n_states,))
    refuse_non_distributions("initial", array)
    return array


def legal_mask(legal: ArrayLike | None, n_states: int, n_actions: int) -> NDArray[np.bool_]:
    """A boolean mask [S, A] with an action in every state; all actions are legal where None is given."""
    if legal is None:
        return np.ones((n_states, n_actions), dtype=np.bool_)
    mask = np.asarray(legal)
    if mask.dtype != np.bool_:
        raise TypeError(f"legal must be boolean, got dtype {mask.dtype}")
    if mask.shape != (n_states, n_actions):
        raise ValueError(f"legal must have shape {shape_text((n_states, n_actions))}, got {shape_text(mask.shape)}")
    empty = ~mask.any(axis=1)
    if empty.any():
        raise ValueError(f"legal[{int(np.argmax(empty))}] has no legal action: every state needs at least one")
    return np.array(mask, order="C")


def policy_array(name: str, policy: ArrayLike, legal: NDArray[np.bool_], horizon: int) -> Floats:
    """A fresh copy [H, S, A] whose rows are distributions over legal actions; of a result, of its policy."""
    given = number_array(name, policy_of(policy), (horizon, *legal.shape), "fiub", "real")
    array = np.array(given, dtype=np.float64, order="C")
    if array.size > LARGE:
        allowed = np.array(legal)  # writable, as kernels want arrays
        if not any(map_tasks(lambda pi: count_faults(pi, allowed, TOLERANCE), array)):
            return array
    refuse_non_finite(name, array)
    refuse_non_distributions(name, array)
    stray = (array > 0) & ~legal
    if stray.any():
        index = first_index(stray)
        raise ValueError(f"{name}{list(index)} is {array[index]}: action {index[2]} is illegal in state {index[1]}")
    return array


def whole(name: str, value: Any, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, got {value!r}") from None
    if isinstance(value, bool) or number < least:
        raise ValueError(f"{name} must be at least {least}, got {value!r}")
    return number


def real(name: str, value: Any, low: float, high: float = math.inf, *, include_low: bool = False) -> float:
    """A finite float in (low, high), or [low, high) with `include_low`."""
    if isinstance(value, (str, bytes)):
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {value!r}") from None
    above = number >= low if include_low else number > low
    if isinstance(value, bool) or not (above and number < high and math.isfinite(number)):
        bracket = "[" if include_low else "("
        raise ValueError(f"{name} must lie in {bracket}{low:g}, {high:g}), got {value!r}")
    return number


def probability(name: str, value: Any) -> float:
    """A float in [0, 1]."""
    try:
        number = real(name, value, 0.0, include_low=True)
    except ValueError:
        number = -1.0
    if not 0.0 <= number <= 1.0:
        raise ValueError(f"{name} must lie in [0, 1], got {value!r}")
    return number


def nearest_name(value: Any, options: Iterable[str]) -> str:
    """The option nearest to the value, or that abbreviates it; else empty."""
    text, known = str(value), list(options)
    near = difflib.get_close_matches(text, known, n=1)
    near += [one for one in known if min(len(one), len(text)) > 2 and (one.startswith(text) or text.startswith(one))]
    return near[0] if near else ""


def nearest(value: Any, options: Iterable[str]) -> str:
    """``did you mean 'x'? `` of the option nearest to the value; else empty."""
    near = nearest_name(value, options)
    return f"did you mean {near!r}? " if near else ""


def no_attribute(module: str, name: str, options: Iterable[str]) -> AttributeError:
    """The error of a module that has no attribute of this name."""
    near = nearest(name, options).strip()
    return AttributeError(f"module {module!r} has no attribute {name!r}{': ' + near if near else ''}", name=name)


def choice(name: str, value: Any, options: tuple[str, ...]) -> str:
    """One of the options; the nearest is suggested, before all are listed."""
    if value not in options:
        hint = nearest(value, options)
        start = f"{name}: {hint}It" if hint else name
        raise ValueError(f"{start} must be one of {', '.join(map(repr, options))}, got {value!r}")
    return str(value)


def policy_of(value: Any) -> Any:
    """The policy of a result that has one (its attribute `policy`, an array); other values as they are."""
    policy = getattr(value, "policy", None)
    return policy if isinstance(policy, np.ndarray) else value
