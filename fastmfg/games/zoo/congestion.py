"""Congestion that holds people up: a crowded cell is hard to enter (Magnino et al. 2026, Bench-MFG, arXiv 2602.12517).

As in an exclusion process seen in the mean (Spitzer 1970): a jump happens to the extent that its target is free.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.games.checks import Floats, Integers, float_array, real
from fastmfg.games.game import Game
from fastmfg.games.grid import Grid
from fastmfg.games.zoo.attempts import attempt_game, steps_to

UNIFORM_SHARES = 5.0
"""Default capacity of a cell, in shares of a crowd that is spread evenly."""

MOST = 1e300
"""strength / capacity is cut to this: an infinite one times a density of 0 would be no number."""


def kinetic_congestion(
    shape: Sequence[int] = (10, 10),
    horizon: int = 20,
    *,
    walls: Any = None,
    border: str = "stay",
    blocked: str = "illegal",
    moves: ArrayLike | None = None,
    goals: Any = None,
    place: ArrayLike | None = None,
    initial: ArrayLike | None = None,
    move_cost: float = 0.05,
    crowd_aversion: float = 0.05,
    capacity: float | None = None,
    strength: float = 1.0,
) -> Game:
    """A crowd heads for goals, and its members are in each other's way.

    States are the free cells of a grid, actions its moves. A move from s to another cell t succeeds with probability
    ``1 - min(1, strength mu(t) / capacity)``, otherwise the agent stays; there is no noise. Reward
    ``place(s) - move_cost |move|_1 - crowd_aversion mu(s) / capacity``, the move charged whether it succeeds or not.
    A learner does not know `strength`.

    Parameters
    ----------
    shape, walls, border, blocked, moves
        The grid, see `Grid`; at least 2 free cells.
    horizon : int >= 1
    goals : list of cells
        The middle of the grid by default.
    place : array of the grid's shape
        Instead of the default, which grows from 0 to 1 towards the goals: ``1 - n(s) / max n``, n the moves from s to
        the nearest goal; 0 where none can be reached.
    initial : array of the grid's shape
        Start distribution; uniform over free cells by default.
    move_cost, crowd_aversion : float
    capacity : float > 0
        The share of the crowd at which a cell is full when strength is 1; 5 / S by default.
    strength : float >= 0
        0: nobody is held up.
    """
    grid = Grid.of(listed("shape", shape), walls=walls, border=border, blocked=blocked, moves=moves)
    room = UNIFORM_SHARES / grid.n_states if capacity is None else real("capacity", capacity, 0.0)
    liked = goal_places(grid, goals) if place is None else on_cells("place", grid, place)
    cost, aversion = real("move_cost", move_cost, -np.inf), real("crowd_aversion", crowd_aversion, -np.inf)
    hindrance = real("strength", strength, 0.0, include_low=True) / room
    start = np.full(grid.n_states, 1.0 / grid.n_states) if initial is None else on_cells("initial", grid, initial)
    return attempt_game(
        grid,
        start,
        liked[:, None] - cost * grid.move_length,
        np.full(grid.n_states, -aversion / room),
        chance=1.0,
        gain=-min(hindrance, MOST),
        horizon=horizon,
    )


def listed(name: str, value: Any) -> list[Any]:
    """The value as a list, if it is a sequence."""
    try:
        return list(value)
    except TypeError:
        raise TypeError(f"{name} must be a sequence, got {value!r}") from None


def on_cells(name: str, grid: Grid, values: ArrayLike) -> Floats:
    """An array of the grid's shape at its free cells [S]."""
    return float_array(name, values, grid.shape).ravel()[grid.cells]


def goal_places(grid: Grid, goals: Any) -> Floats:
    """The default `place` [S]."""
    steps = steps_to(grid, goal_states(grid, goals))
    reached = np.isfinite(steps)
    most = steps[reached].max()
    return np.where(reached, 1.0 - np.where(reached, steps, 0.0) / max(most, 1.0), 0.0)


def goal_states(grid: Grid, goals: Any) -> Integers:
    cells = [[n // 2 for n in grid.shape]] if goals is None else listed("goals", goals)
    if not cells:
        raise ValueError("goals is empty: name at least one cell, or give place")
    states = []
    for i, cell in enumerate(cells):
        try:
            states.append(grid.state_at(np.atleast_1d(cell).tolist()))
        except (ValueError, TypeError) as error:
            where = f"goals[{i}]" if goals is not None else "goals (the middle by default)"
            raise type(error)(f"{where}: {error}") from None
    return np.array(states, dtype=np.int64)
