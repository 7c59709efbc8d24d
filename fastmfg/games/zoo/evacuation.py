"""Evacuation of a building (Perolat et al. 2022, Scaling mean field games by online mirror descent)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.games.checks import Integers, float_array, real, whole
from fastmfg.games.game import Game
from fastmfg.games.grid import Grid
from fastmfg.games.zoo.certain import certain_game
from fastmfg.kernels.zoo import evacuation

OFFSETS = ((0, 1, 0), (0, -1, 0), (0, 0, -1), (0, 0, 1), (-1, 0, 0), (1, 0, 0))
"""(floor, row, column) of the actions; the last two need stairs."""


def building_evacuation(
    n_floors: int = 5,
    length: int = 10,
    width: int = 10,
    horizon: int = 4,
    *,
    evacuation_reward: float = 10.0,
    crowd_aversion_coef: float = 1.0,
    log_eps: float = 1e-20,
    alternating_stairs: bool = False,
    initial: ArrayLike | None = None,
) -> Game:
    """People in a building make for the lowest floor and avoid crowds.

    State (f, x, y), stored in this order, floor by floor. Actions: x + 1, x - 1, y - 1, y + 1, down, up; what leads out
    of the building, and down or up where there are no such stairs, leaves the agent where it is. Reward
    ``evacuation_reward 1{f = 0} - crowd_aversion_coef log(max(mu, log_eps))``.

    Stairs down are at (0, 0) and stairs up at the opposite corner of every floor (MFGLib's building, whose formulas
    and numbers these are): whoever comes down stands at the next stairs down at once. With `alternating_stairs`
    those between floors f - 1 and f are at (0, 0) for odd f and at the opposite corner for even f, so that, as the
    paper has it, the crowd has to cross a floor between one staircase and the next.

    Parameters
    ----------
    n_floors, length, width : int >= 1
    horizon : int >= 1
        MFGLib's T + 1.
    evacuation_reward, crowd_aversion_coef : float
    log_eps : float > 0
        The least density whose logarithm is taken.
    alternating_stairs : bool
    initial : [n_floors, length, width], optional
        Start distribution; uniform by default.
    """
    shape = (whole("n_floors", n_floors, 1), whole("length", length, 1), whole("width", width, 1))
    S = shape[0] * shape[1] * shape[2]
    grid = Grid.of(shape, border="stay", moves=OFFSETS)
    grid = replace(grid, moves=_with_stairs(grid, bool(alternating_stairs)))
    start = np.full(S, 1.0 / S) if initial is None else float_array("initial", initial, shape).ravel()
    constants = [
        shape[1] * shape[2],
        real("evacuation_reward", evacuation_reward, -np.inf),
        real("crowd_aversion_coef", crowd_aversion_coef, -np.inf),
        real("log_eps", log_eps, 0.0),
    ]
    return certain_game(start, grid.moves, evacuation.reward, constants, horizon=horizon, grid=grid)


def _with_stairs(grid: Grid, alternating: bool) -> Integers:
    """The grid's moves [S, 6], those between floors at stairs only."""
    floor, x, y = grid.position.T
    near = (x == 0) & (y == 0)
    far = (x == grid.shape[1] - 1) & (y == grid.shape[2] - 1)
    down = np.where(floor % 2 == 1, near, far) if alternating else near
    up = np.where(floor % 2 == 0, near, far) if alternating else far
    moves = grid.moves.copy()
    for action, stairs in ((4, down), (5, up)):
        moves[~stairs, action] = np.flatnonzero(~stairs)
    return moves
