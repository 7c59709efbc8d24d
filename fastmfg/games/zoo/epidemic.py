"""An epidemic among people who may stay at home, in discrete time (Elie, Hubert, Turinici 2020, Contact rate epidemic
control of COVID-19: an equilibrium view, Math. Model. Nat. Phenom. 15, 35).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmfg.games.checks import Floats, first_index, float_array, probability, real, whole
from fastmfg.games.compiled import CompiledSource
from fastmfg.games.game import Game
from fastmfg.kernels.zoo import epidemic as kernels


def epidemic(
    horizon: int = 50,
    *,
    infection: float = 0.8,
    recovery: float = 0.2,
    waning: float = 0.0,
    contacts: Any = (1.0, 0.5, 0.1),
    costs: Any = (0.0, 0.02, 0.1),
    illness: float = 1.0,
    initial_infected: float = 0.01,
) -> Game:
    """People see fewer others while the disease spreads: each outbreak is damped by those who fear it.

    States 0 susceptible, 1 infected, 2 recovered; action a is a level of confinement. A susceptible becomes infected
    with probability ``1 - exp(-infection contacts[a] mu(infected))`` (a probability whatever the parameters: that of
    at least one event among Poisson many), an infected recovers with probability `recovery`, a recovered becomes
    susceptible with probability `waning`. Reward ``-costs[a]``, and ``-illness`` more for the infected. A learner does
    not know `infection` and `recovery`.

    Parameters
    ----------
    horizon : int >= 1
    infection : float >= 0
        Contacts that would infect, a step, if everybody else were infected.
    recovery, waning : float in [0, 1]
    contacts : sequence of float >= 0
        What each level leaves of them: one number an action.
    costs : sequence of float, as many
        Of each level, a step.
    illness : float
    initial_infected : float in [0, 1]
        Share of the infected at the start; the others are susceptible.
    """
    levels, prices = confinement(contacts, costs)
    sick = probability("initial_infected", initial_infected)
    header = [probability("waning", waning), real("illness", illness, -np.inf)]
    theta = [real("infection", infection, 0.0, include_low=True), probability("recovery", recovery)]
    return Game.from_source(
        CompiledSource(kernels.prepare, kernels.fill, kernels.reward),
        initial=[1.0 - sick, sick, 0.0],
        n_actions=levels.size,
        horizon=whole("horizon", horizon, 1),
        shared=np.concatenate([header, levels, prices]),
        thetas=np.array([theta]),
        aux_size=1,
    )


def confinement(contacts: Any, costs: Any) -> tuple[Floats, Floats]:
    """Contacts and costs of each action, checked."""
    levels = float_array("contacts", contacts, (None,))
    if (levels < 0).any():
        index = first_index(levels < 0)
        raise ValueError(f"contacts{list(index)} is {levels[index]}: must not be negative")
    return levels, float_array("costs", costs, levels.shape)
