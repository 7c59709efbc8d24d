"""Crowd motion towards a place that wanders (Perolat et al. 2022, Scaling mean field games by online mirror descent;
MFGLib's version in two dimensions).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.games.checks import Floats, Integers, float_array, index_array, probability, real, whole
from fastmfg.games.compiled import CompiledSource
from fastmfg.games.game import Game
from fastmfg.games.grid import Grid, merged
from fastmfg.kernels import table
from fastmfg.kernels.zoo import motion

OFFSETS = np.array([(1, 0), (-1, 0), (0, 1), (0, -1), (0, 0)])


def crowd_motion(
    length: int = 20,
    width: int = 20,
    horizon: int = 4,
    *,
    move_every: int = 2,
    attraction: float = 10.0,
    p_still: float = 0.5,
    log_eps: float = 1e-10,
    torus: bool = False,
    bar: ArrayLike | None = None,
    seed: int = 0,
    initial: ArrayLike | None = None,
) -> Game:
    """People follow a bar that changes place, and avoid one another.

    State (x, y), stored row by row (x the row). Actions (1, 0), (-1, 0), (0, 1), (0, -1), (0, 0), to which noise is
    added: nothing with probability `p_still`, else one step in one of four directions, each alike. With the bar at
    (u, v), the reward is ``attraction (1 - (|x - u| + |y - v|) / (length + width)) - log(mu + log_eps)``.

    What leads beyond the border ends there, as in MFGLib, whose names for the sides speak of a torus all the same;
    with `torus` moves and distances go round it, as in the paper. MFGLib draws the bar's path from its own global
    generator: give the path to have the same game.

    Parameters
    ----------
    length, width : int >= 1
    horizon : int >= 1
        MFGLib's T + 1.
    move_every : int >= 1
        The bar, first at (length // 2, width // 2), moves at steps that this divides: one place up or down and one
        left or right, each direction alike; it stays where it is if that leads beyond the border.
    attraction : float
    p_still : float in [0, 1]
        In `thetas`.
    log_eps : float > 0
    torus : bool
    bar : [H, 2], optional
        The bar's place at each step, instead of a random path.
    seed : int >= 0
        Of the random path.
    initial : [length, width], optional
        Start distribution; uniform by default.
    """
    shape, steps = (whole("length", length, 1), whole("width", width, 1)), whole("horizon", horizon, 1)
    every, wrap, root = whole("move_every", move_every, 1), bool(torus), whole("seed", seed, 0)
    path = wandering(shape, steps, every, wrap, root) if bar is None else index_array("bar", bar, (steps, 2), shape)
    grid = Grid.of(shape, border="torus" if wrap else "stay", moves=OFFSETS)
    away = np.abs(grid.position - path[:, None])  # [H, S, 2]
    away = np.minimum(away, np.array(shape) - away) if wrap else away
    near = real("attraction", attraction, -np.inf) * (1.0 - away.sum(axis=-1) / sum(shape))
    S, A = grid.legal.shape
    successors, chances = _noisy_moves(grid, wrap, probability("p_still", p_still))
    return Game.from_source(
        CompiledSource(table.prepare, table.fill, motion.reward),
        initial=np.full(S, 1.0 / S) if initial is None else float_array("initial", initial, shape).ravel(),
        n_actions=A,
        horizon=steps,
        shared=np.concatenate([[float(S), real("log_eps", log_eps, 0.0)], near.ravel()]),
        thetas=chances.reshape(1, -1),
        successors=successors.reshape(S, A, -1),
        grid=grid,
    )


def wandering(shape: tuple[int, int], steps: int, every: int, wrap: bool, seed: int) -> Integers:
    """Places [H, 2] of a bar that starts in the middle and moves along both axes at once, at every so many steps."""
    stream = np.random.default_rng(seed)
    sides = np.array(shape)
    path = np.tile(sides // 2, (steps, 1)).astype(np.int64)
    for h in range(1, steps):
        path[h] = path[h - 1]
        if h % every == 0:
            there = path[h] + 2 * stream.integers(0, 2, 2) - 1
            if wrap:
                path[h] = there % sides
            elif ((there >= 0) & (there < sides)).all():
                path[h] = there
    return path


def _noisy_moves(grid: Grid, wrap: bool, still: float) -> tuple[Integers, Floats]:
    """Rows [S*A, K] of a move and its noise, added before the border is looked at; the same places for any chances."""
    sides = np.array(grid.shape)
    reached: Any = grid.position[:, None, None] + OFFSETS[:, None] + OFFSETS
    reached = reached % sides if wrap else np.clip(reached, 0, sides - 1)
    states = reached[..., 0] * grid.shape[1] + reached[..., 1]
    A = len(OFFSETS)
    states = states.reshape(-1, A)
    places = merged(states, np.full(states.shape, 1.0 / A), grid.n_states)[0]
    weights = np.array([(1.0 - still) / 4.0] * 4 + [still])
    return places, (states[:, None] == places[..., None]) @ weights
