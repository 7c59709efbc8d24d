"""The beach bar process (Perrin et al. 2020; MFGLib's parameters)."""

from __future__ import annotations

import numpy as np

from fastmfg.games.checks import real, whole
from fastmfg.games.game import Game
from fastmfg.games.grid import Grid, merged
from fastmfg.games.grid_game import priced_game


def beach_bar(
    n_states: int = 100, horizon: int = 3, *, bar: int | None = None, p_still: float = 0.5, log_eps: float = 1e-20,
    crowd_aversion_coef: float = 1.0,
) -> Game:  # fmt: skip
    """People walk along a beach: near the bar, but not in a crowd.

    States 0..n-1 in a row; actions left, stay, right, to which noise is added: nothing with probability `p_still`,
    else one step either way; where that leads beyond the row, the agent is at its end. Reward
    ``-distance(x, bar) - |move| / n - crowd_aversion_coef log(mu(x) + log_eps)``, the distance that of a ring of n
    places (MFGLib's convention), the move charged at every step. Start: uniform.

    Parameters
    ----------
    n_states : int >= 2
    horizon : int >= 1
        MFGLib's T + 1.
    bar : int, optional
        The bar's place, n // 2 by default.
    p_still : float in [0, 1)
    log_eps : float > 0
    crowd_aversion_coef : float
    """
    n = whole("n_states", n_states, 2)
    place = n // 2 if bar is None else whole("bar", bar, 0)
    if place >= n:
        raise ValueError(f"bar must be less than n_states {n}, got {bar}")
    ahead = (np.arange(n) - place) % n
    distance = np.minimum(ahead, n - ahead) % n
    steps = np.array([-1, 0, 1])
    chance = real("p_still", p_still, 0.0, 1.0, include_low=True)
    offset = real("log_eps", log_eps, 0.0)
    reached = np.clip(np.arange(n)[:, None, None] + steps[:, None] + steps, 0, n - 1)  # [S, A, noise]
    weights = np.broadcast_to([(1 - chance) / 2, chance, (1 - chance) / 2], reached.shape)
    successors, chances = merged(reached.reshape(-1, 3), weights.reshape(-1, 3), n)
    return priced_game(
        np.full(n, 1.0 / n),
        -distance[:, None] - np.abs(steps) / n,
        successors.reshape(n, 3, -1),
        chances.reshape(n, 3, -1),
        horizon=horizon,
        crowd_aversion=real("crowd_aversion_coef", crowd_aversion_coef, -np.inf),
        epsilon=offset,
        grid=Grid.of((n,), border="stay", moves=steps[:, None]),
    )
