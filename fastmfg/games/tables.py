"""Where rows lead, checked: successors of sparse rows, and moves of factored ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmfg.games.checks import Integers, first_index, index_array, shape_text


def successor_table(successors: Any, n_states: int, n_actions: int, factored: bool) -> Integers:
    """States [S, A, K] that row entries lead to, [S, 1, K] (given as [S, K]) when factored; empty when dense."""
    if successors is None:
        if factored:
            raise ValueError("moves need successors [S, K], the states that noise leads to from each state")
        return np.empty((0, 0, 0), dtype=np.int64)
    shape: tuple[int | None, ...] = (n_states, None) if factored else (n_states, n_actions, None)
    try:
        given = np.asarray(successors)
    except ValueError as error:
        raise ValueError(f"successors must have shape {shape_text(shape)}: {error}") from None
    if factored and given.ndim == 3 and given.shape[1] == 1:
        given = given[:, 0]
    table = index_array("successors", given, shape, n_states)
    ordered = np.sort(table, axis=-1)
    twice = (ordered[..., 1:] == ordered[..., :-1]).any(axis=-1)
    if twice.any():
        index = first_index(twice)
        raise ValueError(f"successors{list(index)} holds a state twice: {table[index].tolist()}")
    return table.reshape(n_states, 1, -1) if factored else table


def move_table(moves: Any, n_states: int, n_actions: int) -> Integers:
    """States [S, A] that actions lead to before noise; empty when there are none."""
    if moves is None:
        return np.empty((0, 0), dtype=np.int64)
    return index_array("moves", moves, (n_states, n_actions), n_states)
