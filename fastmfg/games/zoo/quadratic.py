"""A linear-quadratic game on the integers (Perrin et al. 2020, Fictitious play for mean field games; after Carmona,
Fouque, Sun 2015, Mean field games and systemic risk).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.games.checks import initial_density, real, whole
from fastmfg.games.compiled import CompiledSource
from fastmfg.games.game import Game
from fastmfg.kernels.zoo import quadratic


def linear_quadratic(
    max_state: int = 5,
    max_action: int = 2,
    horizon: int = 4,
    *,
    mean_reversion: float = 1.0,
    sigma: float = 3.0,
    noise_spacing: float | None = None,
    time_step: float = 0.1,
    coupling: float = 0.01,
    aversion: float = 0.5,
    last_aversion: float = 1.0,
    initial: ArrayLike | None = None,
) -> Game:
    """Agents drift towards the mean m of the crowd's states, may push, and pay for their distance from it.

    States x = -L..L, actions a = -M..M (L, M: `max_state`, `max_action`). With D the time step,

        x' = x + (mean_reversion (m - x) + a) D + sigma e sqrt(D), rounded to the nearest state in -L..L
        r = D (-a^2 / 2 + coupling a (m - x) - aversion / 2 (m - x)^2)

    and at the last step ``r = -last_aversion / 2 (m - x)^2``. The noise e is j times `noise_spacing`, j = -3..3, with
    probabilities proportional to ``exp(-e^2 / 2)``. Where two states are equally near, the even one is taken (as in
    MFGLib; within 1e-9, so that rounding does not decide): rows are not continuous in the density.

    MFGLib spaces the noise by sigma, which is the default here: then e hardly ever differs from 0 where sigma is large
    (at its sigma = 3, in 2% of all steps), and sigma e sqrt(D) grows like sigma squared. With ``noise_spacing=1`` e is
    a standard normal variable on seven points, whatever sigma.

    Parameters
    ----------
    max_state : int >= 1
    max_action : int >= 0
    horizon : int >= 1
        MFGLib's T + 1.
    mean_reversion : float
        In `thetas`, as sigma and noise_spacing are.
    sigma : float >= 0
    noise_spacing : float >= 0, optional
        Sigma by default.
    time_step : float > 0
    coupling, aversion, last_aversion : float
        q, kappa and c_term of the paper.
    initial : [2 L + 1], optional
        Uniform by default.
    """
    L, M, H = whole("max_state", max_state, 1), whole("max_action", max_action, 0), whole("horizon", horizon, 1)
    strength = real("sigma", sigma, 0.0, include_low=True)
    spacing = strength if noise_spacing is None else real("noise_spacing", noise_spacing, 0.0, include_low=True)
    constants = [
        real("time_step", time_step, 0.0),
        real("coupling", coupling, -np.inf),
        real("aversion", aversion, -np.inf),
        real("last_aversion", last_aversion, -np.inf),
    ]
    S = 2 * L + 1
    return Game.from_source(
        CompiledSource(quadratic.prepare, quadratic.fill, quadratic.reward),
        initial=np.full(S, 1.0 / S) if initial is None else initial_density(initial, S),
        n_actions=2 * M + 1,
        horizon=H,
        shared=np.array([H, L, M, *constants]),
        thetas=np.array([[real("mean_reversion", mean_reversion, -np.inf), strength, spacing]]),
        aux_size=1,
    )
