"""Games on grids whose moves may fail: what congestion and the chains have in common."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.games.checks import Floats, Integers, float_array, initial_density, whole
from fastmfg.games.compiled import CompiledSource
from fastmfg.games.game import Game
from fastmfg.games.grid import Grid
from fastmfg.kernels.zoo import attempts


def attempt_game(
    grid: Grid, initial: ArrayLike, base: ArrayLike, slope: ArrayLike, *, chance: float, gain: float, horizon: int
) -> Game:
    """A move to cell x succeeds with probability ``chance + gain mu(x)``, cut to [0, 1]; else the agent stays.

    Rewards are ``base(s,a) + slope(s) mu(s)``, `base` [S, A], `slope` [S]. A learner is told all but chance and gain.
    The grid needs two free cells.
    """
    start = initial_density(initial, grid.n_states)
    fixed = float_array("base", base, grid.moves.shape)
    crowd = float_array("slope", slope, (grid.n_states,))
    return Game.from_source(
        CompiledSource(attempts.prepare, attempts.fill, attempts.reward),
        initial=start,
        legal=grid.legal,
        n_actions=grid.moves.shape[1],
        horizon=whole("horizon", horizon, 1),
        shared=np.concatenate([grid.moves.ravel(), fixed.ravel(), crowd]),
        thetas=np.array([[chance, gain]]),
        aux_size=grid.n_states,
        successors=own_and_target(grid),
        grid=grid,
    )


def own_and_target(grid: Grid) -> Integers:
    """Successors [S, A, 2]: the own cell, and where the move leads.

    Entries of a row must differ: where a move leads nowhere, the second entry is another cell, of probability 0.
    """
    if grid.n_states < 2:
        raise ValueError("the grid has one free cell: moves need at least 2")
    own = np.repeat(np.arange(grid.n_states)[:, None], grid.moves.shape[1], axis=1)
    target = np.where(grid.moves == own, (own + 1) % grid.n_states, grid.moves)
    return np.stack([own, target], axis=-1)


def steps_to(grid: Grid, goals: Integers) -> Floats:
    """Legal moves [S] from each cell to the nearest of the goals (states); infinite where none can be reached."""
    origin, action = np.nonzero(grid.legal)
    target = grid.moves[origin, action]
    order = np.argsort(target, kind="stable")
    origin = origin[order]  # grouped by where the move leads
    first = np.searchsorted(target[order], np.arange(grid.n_states + 1))
    steps = np.full(grid.n_states, np.inf)
    front = np.unique(goals)
    steps[front] = 0.0
    while front.size:
        counts = first[front + 1] - first[front]
        places = np.arange(counts.sum()) + np.repeat(first[front] - np.cumsum(counts) + counts, counts)
        near = origin[places]
        distance = steps[front[0]] + 1.0
        front = np.unique(near[np.isinf(steps[near])])
        steps[front] = distance
    return steps
