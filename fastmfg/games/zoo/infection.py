"""Susceptible and infected people (Cui, Koeppl 2021, Approximately solving mean field games via entropy-regularized
deep reinforcement learning).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.games.checks import initial_density, probability, real, whole
from fastmfg.games.compiled import CompiledSource
from fastmfg.games.game import Game
from fastmfg.kernels.zoo import infection as kernels


def susceptible_infected(
    horizon: int = 51,
    *,
    infection: float = 0.81,
    recovery: float = 0.3,
    illness_cost: float = 1.0,
    distance_cost: float = 0.5,
    initial: ArrayLike = (0.4, 0.6),
) -> Game:
    """Go out and perhaps catch it, or keep one's distance (Cui, Koeppl's SIS).

    States susceptible, infected; actions go out, keep one's distance. Who goes out is infected with probability
    ``infection mu(1)``, who keeps distance is not; the infected recover with probability `recovery`, whatever they do.
    Reward ``-illness_cost 1{infected} - distance_cost 1{keeps distance}``.

    Parameters
    ----------
    horizon : int >= 1
        MFGLib's T + 1.
    infection, recovery : float in [0, 1]
        In `thetas`.
    illness_cost, distance_cost : float
    initial : [2]
    """
    theta = [probability("infection", infection), probability("recovery", recovery)]
    costs = [real("illness_cost", illness_cost, -np.inf), real("distance_cost", distance_cost, -np.inf)]
    return Game.from_source(
        CompiledSource(kernels.prepare, kernels.fill, kernels.reward),
        initial=initial_density(initial, 2),
        n_actions=2,
        horizon=whole("horizon", horizon, 1),
        shared=np.array(costs),
        thetas=np.array([theta]),
        aux_size=1,
    )
