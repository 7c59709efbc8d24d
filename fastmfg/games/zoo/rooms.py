"""Crowds that spread out behind walls (Geist et al. 2022, Concave utility reinforcement learning: the mean-field game
viewpoint).

Cells, moves and noise are those of `crowd_modelling_2d`; the only reward is ``-coefficient log(mu(s) + 1e-25)``: no
move is charged. Games that differ in noise alone share all but one table of probabilities, in `thetas`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmfg.games.checks import index_array, probability, real, whole
from fastmfg.games.game import Game
from fastmfg.games.grid import Grid
from fastmfg.games.grid_game import priced_game

MOVES = [(-1, 0), (0, -1), (0, 0), (0, 1), (1, 0)]

MAZE = (
    0x3FFFFF, 0x204105, 0x204105, 0x3F0965, 0x200945, 0x200975, 0x27F911, 0x215311, 0x215057, 0x215055, 0x3F5FD5,
    0x240115, 0x25B915, 0x3509F5, 0x354815, 0x217805, 0x2F2FF1, 0x20245D, 0x24A545, 0x2FA141, 0x200101, 0x3FFFFF,
)  # fmt: skip
"""Walls of OpenSpiel's setting "maze": a number a row, a bit a cell, the leftmost the highest."""


def four_rooms(
    size: int = 13,
    horizon: int = 40,
    *,
    start: Sequence[int] = (1, 1),
    noise_intensity: float = 1.0,
    crowd_aversion_coef: float = 1.0,
) -> Game:
    """Four rooms with a door in each inner wall; everyone starts in one cell and is to spread over all rooms.

    Walls: the border, and the middle row and column (size // 2) but for doors at size // 4 and size - 1 - size // 4.
    Size 13 is OpenSpiel's setting "four_rooms".

    Parameters
    ----------
    size : int >= 5
        Cells a side, outer walls included.
    horizon : int >= 1
    start : (row, column)
        A free cell.
    noise_intensity : float in [0, 1]
        With this probability one of the legal moves, each alike, follows the move chosen. In `thetas`.
    crowd_aversion_coef : float
    """
    n = whole("size", size, 5)
    middle, doors = n // 2, [n // 4, n - 1 - n // 4]
    walls = np.zeros((n, n), dtype=np.bool_)
    walls[[0, middle, -1]] = True
    walls[:, [0, middle, -1]] = True
    walls[middle, doors] = False
    walls[doors, middle] = False
    return _spreading(walls, horizon, start, noise_intensity, crowd_aversion_coef)


def maze(
    walls: Any = None,
    horizon: int = 100,
    *,
    start: Sequence[int] = (1, 1),
    noise_intensity: float = 1.0,
    crowd_aversion_coef: float = 1.0,
) -> Game:
    """A maze that everyone enters at one cell and is to spread over; OpenSpiel's of 22 x 22 cells by default.

    Free cells that walls close off are states nobody reaches. What is open at the border goes on at the opposite one.

    Parameters
    ----------
    walls : boolean [rows, columns], or rows of text with "#" at walls, optional
    horizon, start, noise_intensity, crowd_aversion_coef
        As in `four_rooms`.
    """
    return _spreading(_drawn(walls), horizon, start, noise_intensity, crowd_aversion_coef)


def _drawn(walls: Any) -> NDArray[np.bool_]:
    """Walls as a boolean array."""
    if walls is None:
        bits: NDArray[np.bool_] = np.array([[row >> x & 1 for x in range(21, -1, -1)] for row in MAZE], dtype=np.bool_)
        return bits
    if isinstance(walls, (list, tuple)) and walls and all(isinstance(row, str) for row in walls):
        for i, row in enumerate(walls):
            if len(row) != len(walls[0]):
                raise ValueError(f"walls[{i}] has {len(row)} cells, walls[0] has {len(walls[0])}: rows must be alike")
        walls = [[cell == "#" for cell in row] for row in walls]
    try:
        drawn = np.asarray(walls)
    except ValueError as error:
        raise ValueError(f"walls must have shape [rows, columns]: {error}") from None
    if drawn.dtype != np.bool_:
        raise TypeError(f"walls must be boolean or rows of text, got dtype {drawn.dtype}")
    if drawn.ndim != 2 or drawn.size == 0:
        raise ValueError(f"walls must have shape [rows, columns], got {list(drawn.shape)}")
    return drawn


def _spreading(
    walls: NDArray[np.bool_], horizon: int, start: Sequence[int], noise_intensity: float, crowd_aversion_coef: float
) -> Game:
    """The game on the free cells of these walls."""
    grid = Grid.of(walls.shape, walls=walls, moves=MOVES)
    cell = index_array("start", start, (2,), walls.shape)
    if walls[tuple(cell)]:
        raise ValueError(f"start {cell.tolist()} is a wall: everyone starts in a free cell (row, column)")
    initial = np.zeros(grid.n_states)
    initial[grid.state_at(cell.tolist())] = 1.0
    noise = probability("noise_intensity", noise_intensity)
    successors, chances = grid.noise(0.0)  # staying is a move: all noises have these successors
    return priced_game(
        initial,
        np.zeros(grid.legal.shape),
        successors,
        noise * chances + (1.0 - noise) * (successors == np.arange(grid.n_states)[:, None]),
        moves=grid.moves,
        legal=grid.legal,
        horizon=horizon,
        crowd_aversion=real("crowd_aversion_coef", crowd_aversion_coef, -np.inf),
        grid=grid,
    )
