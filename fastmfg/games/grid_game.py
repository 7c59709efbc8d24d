"""Games on grids: a table of rewards less prices of crowds, moves and then noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.games.checks import Floats, Integers, float_array, initial_density, real, refuse_non_distributions, whole
from fastmfg.games.compiled import CompiledSource
from fastmfg.games.game import Game
from fastmfg.games.grid import Grid
from fastmfg.kernels import reward as reward_kernels
from fastmfg.kernels import table


def grid_game(
    grid: Grid,
    initial: ArrayLike,
    base: ArrayLike,
    *,
    horizon: int,
    stay: float,
    noise_weights: ArrayLike | None = None,
    last_base: ArrayLike | None = None,
    crowd_aversion: float = 1.0,
    epsilon: float = 1e-25,
    congestion: ArrayLike | None = None,
) -> Game:
    """A game on a grid: ``r_h(s,a) = base(s,a) - crowd_aversion log(mu(s) + epsilon) - mu(s) congestion(s,a)``.

    Parameters
    ----------
    initial : [S]
    base, last_base, congestion : [S, A]
        `last_base` is the base of the last step; `base` by default. No congestion by default.
    stay, noise_weights
        See `Grid.noise`.
    """
    initial_density(initial, grid.n_states)
    float_array("base", base, grid.legal.shape)
    successors, chances = grid.noise(stay, noise_weights)
    return priced_game(
        initial, base, successors, chances, moves=grid.moves, legal=grid.legal, horizon=horizon, last_base=last_base,
        crowd_aversion=crowd_aversion, epsilon=epsilon, congestion=congestion, grid=grid,
    )  # fmt: skip


def priced_game(
    initial: ArrayLike,
    base: ArrayLike,
    successors: Integers,
    chances: Floats,
    *,
    moves: Integers | None = None,
    legal: ArrayLike | None = None,
    horizon: int,
    last_base: ArrayLike | None = None,
    crowd_aversion: float = 1.0,
    epsilon: float = 1e-25,
    congestion: ArrayLike | None = None,
    grid: Grid | None = None,
) -> Game:
    """A game of sparse rows [S, A, K], or factored ones [S, K] with moves [S, A], that pays what `grid_game` pays."""
    S = initial_density(initial).size
    ordinary = float_array("base", base, (S, None if legal is None else np.shape(legal)[-1]))
    A = ordinary.shape[1]
    rows = float_array("chances", chances, (S, None) if moves is not None else (S, A, None))
    refuse_non_distributions("chances", rows)
    steps = whole("horizon", horizon, 1)
    last = ordinary if last_base is None else float_array("last_base", last_base, (S, A))
    tables = [ordinary, last, None if congestion is None else float_array("congestion", congestion, (S, A))]
    coefficient = real("crowd_aversion", crowd_aversion, -np.inf)
    offset = real("epsilon", epsilon, 0.0)
    return Game.from_source(
        CompiledSource(table.prepare, table.fill, reward_kernels.crowd_base),
        initial=initial,
        legal=legal,
        n_actions=A,
        horizon=steps,
        shared=price_table([S, steps, coefficient, offset], tables),
        thetas=rows.reshape(1, -1),
        successors=successors,
        moves=moves,
        grid=grid,
    )


def price_table(numbers: list[float], tables: list[Floats | None]) -> Floats:
    """What `crowd_base` reads: numbers, forms and tables.

    A table that is a sum of a part of the state and one of the action, within rounding, is stored as that sum, so that
    large games need not read S A numbers a step.
    """
    forms, parts = [], []
    for entries in tables:
        form, part = _stored(entries)
        forms.append(form)
        parts.append(part)
    return np.concatenate([numbers, forms, *parts])


def _stored(entries: Floats | None) -> tuple[float, Floats]:
    if entries is None:
        return reward_kernels.NOTHING, np.empty(0)
    place, move = entries[:, 0], entries[0] - entries[0, 0]
    rounding = 4 * np.finfo(float).eps * np.abs(entries).max()
    if np.abs(place[:, None] + move - entries).max() <= rounding:
        return reward_kernels.SUM, np.concatenate([place, move])
    return reward_kernels.TABLE, entries.T.ravel()
