"""Periodic aversion: a crowd on a circle, with an equilibrium known in closed form in the continuum (Almulla, Ferreira,
Gomes 2017, Two numerical approaches to stationary mean-field games; Elie et al. 2020).
"""

from __future__ import annotations

import numpy as np

from fastmfg.games.checks import Floats, real, whole
from fastmfg.games.game import Game
from fastmfg.games.grid import Grid
from fastmfg.games.grid_game import priced_game

LEAST_CHANCE = 1e-300
"""Chances of noise are kept above this, which changes no sum: all noises then have the same successors."""

SMALLEST, LARGEST = 1e-30, 1e30
"""Range of all parameters, so that squares and quotients are numbers."""


def periodic_aversion(
    size: int = 21,
    horizon: int = 20,
    *,
    dt: float = 0.01,
    x_min: float = 0.0,
    x_max: float = 1.0,
    n_actions_per_side: int = 10,
    volatility: float = 1.0,
    coef_aversion: float = 1.0,
    noise_volatility: float | None = None,
) -> Game:
    """A crowd on a circle, drawn by a potential, slowed by the cost of speed, averse to itself.

    Cells 0..size-1 in a ring lie at ``x = x_min + i dx``, ``dx = (x_max - x_min) / (size - 1)`` (both ends of the
    interval are cells, as in OpenSpiel's game). Action a = -n..n moves by a cells, then noise by k = -n..n cells with
    probability proportional to ``exp(-(k dx)^2 / (2 sigma^2 dt))``. Reward, s the volatility:
    ``dt (-(a dx / dt)^2 / 2 - coef_aversion log(mu(x) / dx + 1e-15) + potential(x))``, ``potential(x) =
    2 pi^2 s sin(2 pi x) - 2 pi^2 cos(2 pi x)^2 + 2 / s^2 sin(2 pi x)``. Start: uniform.

    OpenSpiel's python_mfg_periodic_aversion charges the last move although it is not part of its state, so that its
    values depend on the order of traversal. Here a move is charged to the action that makes it, and nothing at the
    last step, whose move leads nowhere.

    Parameters
    ----------
    size : int >= 2
    horizon : int >= 1
    dt : float > 0
        Like all parameters here at most 1e30 in size; above 1e-30 where it must be positive.
    x_min, x_max : float
        x_min < x_max.
    n_actions_per_side : int >= 1
        n; both moves and noise.
    volatility : float > 0
        Of the potential, and of the noise unless that is given.
    coef_aversion : float
    noise_volatility : float > 0, optional
        sigma, `volatility` by default. In `thetas`: games that differ in it alone have the same rewards.
    """
    n, reach = whole("size", size, 2), whole("n_actions_per_side", n_actions_per_side, 1)
    low, high = real("x_min", x_min, -LARGEST, LARGEST), real("x_max", x_max, -LARGEST, LARGEST)
    if not low + SMALLEST < high:
        raise ValueError(f"x_max must be greater than x_min {low:g}, got {x_max!r}")
    tick, dx = real("dt", dt, SMALLEST, LARGEST), (high - low) / (n - 1)
    sigma = real("volatility", volatility, SMALLEST, LARGEST)
    spread = sigma if noise_volatility is None else real("noise_volatility", noise_volatility, SMALLEST, LARGEST)
    aversion = real("coef_aversion", coef_aversion, -LARGEST, LARGEST)

    offsets = np.arange(-reach, reach + 1)
    grid = Grid.of((n,), moves=offsets[:, None])
    square = (offsets * dx) ** 2
    likely = np.exp(-0.5 * square / (spread**2 * tick))
    successors, chances = grid.noise(0.0, np.maximum(likely, LEAST_CHANCE))
    x = np.array([low + i * dx for i in range(n)])
    place = tick * (_potential(x, sigma) + aversion * np.log(dx))
    last = np.tile(place[:, None], offsets.size)
    return priced_game(
        np.full(n, 1.0 / n), last - 0.5 * square / tick, successors, chances, moves=grid.moves, legal=grid.legal,
        horizon=horizon, last_base=last, crowd_aversion=tick * aversion, epsilon=1e-15 * dx,
        grid=grid,
    )  # fmt: skip


def _potential(x: Floats, volatility: float) -> Floats:
    sine, cosine = np.sin(2 * np.pi * x), np.cos(2 * np.pi * x)
    slope: Floats = 2 * np.pi**2 * (volatility * sine - cosine**2) + 2 / volatility**2 * sine
    return slope
