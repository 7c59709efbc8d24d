"""Crowd modelling on rings and tori (Perolat et al. 2022, Scaling mean field games by online mirror descent).

OpenSpiel's games of the same names charge the last move although it is not part of their state, so that what they
print depends on the order of traversal. Here a move is charged to the action that makes it, and nothing at the last
step, whose move leads nowhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.games.checks import Floats, float_array, index_array, probability, real, whole
from fastmfg.games.game import Game
from fastmfg.games.grid import Grid
from fastmfg.games.grid_game import grid_game


def crowd_modelling_1d(size: int = 10, horizon: int = 10, crowd_aversion_coef: float = 1.0) -> Game:
    """A crowd on a ring that likes one place and dislikes crowds (OpenSpiel's mfg_crowd_modelling).

    States 0..size-1; actions -1, 0, +1; the same moves again as noise, each with probability 1/3. Reward
    ``1 - |x - size//2| / (size//2) - |move| / size - crowd_aversion_coef log(mu(x) + 1e-25)``, the move uncharged at
    the last step. Start: uniform.

    Parameters
    ----------
    size : int >= 2
    horizon : int >= 1
    crowd_aversion_coef : float
    """
    n = whole("size", size, 2)
    grid = Grid.of((n,), moves=[[-1], [0], [1]])
    place = 1.0 - np.abs(np.arange(n) - n // 2) / (n // 2)
    base = place[:, None] - grid.move_length / n
    return grid_game(
        grid,
        np.full(n, 1.0 / n),
        base,
        horizon=horizon,
        stay=0.0,
        last_base=np.tile(place[:, None], 3),
        crowd_aversion=real("crowd_aversion_coef", crowd_aversion_coef, -np.inf),
    )


def crowd_modelling_2d(
    size: int = 10,
    horizon: int = 10,
    *,
    only_distribution_reward: bool = False,
    forbidden_states: Any = None,
    initial_distribution: Any = None,
    positional_reward: ArrayLike | None = None,
    with_congestion: bool = False,
    noise_intensity: float = 1.0,
    crowd_aversion_coef: float = 1.0,
) -> Game:
    """A crowd on a torus (OpenSpiel's mfg_crowd_modelling_2d, with the move charged as said above).

    State (x, y), stored as row y, column x. Actions (dx, dy): (0,-1), (-1,0), (0,0), (1,0), (0,1). With probability
    `noise_intensity` one of the legal moves follows, each alike. Reward ``place(x, y) - |move| / size -
    crowd_aversion_coef log(mu + 1e-25)``, ``place = 2 - 2 |x - c| / size - 2 |y - c| / size``, c = size // 2.

    Parameters
    ----------
    size : int >= 2
    horizon : int >= 1
    only_distribution_reward : bool
        Drop place and move from the reward.
    forbidden_states : list of (x, y)
        Walls: moves and noise into them are illegal.
    initial_distribution : [size, size] of (row y, column x), or mapping from (x, y) to probability
        Uniform over free cells by default.
    positional_reward : [size, size] of (row y, column x)
        Instead of `place`.
    with_congestion : bool
        The move costs ``|move| / size`` times the density where it begins (OpenSpiel: where it ends, a step later).
    noise_intensity : float in [0, 1]
    crowd_aversion_coef : float
    """
    n = whole("size", size, 2)
    grid = Grid.of((n, n), walls=forbidden_cells(forbidden_states, n), moves=[(-1, 0), (0, -1), (0, 0), (0, 1), (1, 0)])
    away = np.abs(grid.position - n // 2)
    place = 2.0 - 2.0 * away.sum(axis=1) / n
    if positional_reward is not None:
        place = float_array("positional_reward", positional_reward, (n, n)).ravel()[grid.cells]
    if only_distribution_reward:
        place = np.zeros(grid.n_states)
    last = np.tile(place[:, None], 5)
    cost = (
        np.zeros((grid.n_states, 5)) if only_distribution_reward else np.tile(grid.move_length / n, (grid.n_states, 1))
    )
    return grid_game(
        grid,
        start_on(grid, initial_distribution),
        last if with_congestion else last - cost,
        horizon=horizon,
        stay=1.0 - probability("noise_intensity", noise_intensity),
        last_base=last,
        crowd_aversion=real("crowd_aversion_coef", crowd_aversion_coef, -np.inf),
        congestion=cost if with_congestion else None,
    )


def forbidden_cells(forbidden: Any, size: int) -> Any:
    """Walls as an array over (row y, column x), from cells (x, y)."""
    if forbidden is None:
        return None
    walls = np.zeros((size, size), dtype=np.bool_)
    for i, cell in enumerate(forbidden):
        walls[tuple(index_array(f"forbidden_states[{i}]", cell, (2,), size)[::-1])] = True
    return walls


def start_on(grid: Grid, distribution: Any) -> Floats:
    """A start distribution [S] from an array over the grid or from a mapping of cells (x, y); uniform for None."""
    if distribution is None:
        return np.full(grid.n_states, 1.0 / grid.n_states)
    if isinstance(distribution, dict):
        start = np.zeros(grid.n_states)
        for (x, y), p in distribution.items():
            try:
                start[grid.state_at((y, x))] += p
            except ValueError:
                raise ValueError(f"initial_distribution: (x, y) = ({x}, {y}) is no free cell") from None
        return start
    return float_array("initial_distribution", distribution, grid.shape).ravel()[grid.cells]
