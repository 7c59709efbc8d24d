"""States of a game whose nodes are strings that tell the time: one for the nodes that differ in the time alone."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastmfg.games.checks import Integers

NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Layout:
    """Where the nodes of each step lie among the states."""

    labels: list[str]  # [S]
    state: list[Integers]  # [H] of [n], state of each node
    legal: NDArray[np.bool_]  # [S, A]


def layout(names: list[list[str]], legal: list[list[tuple[int, ...]]], n_actions: int) -> Layout:
    """States from nodes' strings and legal actions [H][n]: one for each pair of timeless string and legal actions."""
    places: dict[tuple[str, tuple[int, ...]], int] = {}
    state: list[Integers] = []
    for strings, actions in zip(timeless(names), legal, strict=True):
        keys = zip(strings, actions, strict=True)
        state.append(np.array([places.setdefault(key, len(places)) for key in keys], dtype=np.int64))
    mask = np.zeros((len(places), n_actions), dtype=np.bool_)
    for (_, allowed), s in places.items():
        mask[s, list(allowed)] = True
    return Layout([label for label, _ in places], state, mask)


def timeless(names: list[list[str]]) -> list[list[str]]:
    """The strings of each step with "t" for the numbers that tell it.

    A number tells the step h when, in all strings alike but for their numbers, it is h; failing that, h and a constant.
    No two strings of one step become alike: what is replaced is the same in all of its kind.
    """
    numbers: dict[str, list[list[float]]] = {}  # of a string without its numbers: what they exceed h by
    for h, strings in enumerate(names):
        for string in strings:
            excess = [float(number) - h for number in NUMBER.findall(string)]
            numbers.setdefault(NUMBER.sub("#", string), []).append(excess)
    times = {pattern: _times(np.array(rows)) for pattern, rows in numbers.items()}
    return [[_replaced(string, times[NUMBER.sub("#", string)]) for string in strings] for strings in names]


def _times(excess: NDArray[np.float64]) -> set[int]:
    """Columns that tell the time."""
    constant = np.flatnonzero((excess == excess[0]).all(axis=0))
    exact = [int(k) for k in constant if excess[0, k] == 0.0]
    return set(exact or constant.tolist())


def _replaced(string: str, positions: set[int]) -> str:
    pieces = NUMBER.split(string)
    found = NUMBER.findall(string)
    return pieces[0] + "".join(
        ("t" if k in positions else number) + rest
        for k, (number, rest) in enumerate(zip(found, pieces[1:], strict=True))
    )
