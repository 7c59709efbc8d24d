"""Mean-field games in normal form: one choice among three actions, paid by how many make each.

State 0 is before the choice, state 1 + b after the choice of b; the payoff is that of step 2, and depends on the
density nu over the three choices, so that the gap is that of the one-shot game. Payoffs are those of OpenSpiel's
mean_field_nfg; Muller et al. 2022 (Learning correlated equilibria in mean-field games) study such games.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.games.checks import Floats, float_array, real
from fastmfg.games.compiled import CompiledSource
from fastmfg.games.game import Game
from fastmfg.kernels import table
from fastmfg.kernels.zoo import normal_form as normal_form_kernels

CHOICES = 3


def normal_form_coordination() -> Game:
    """Cooperation that no pure crowd keeps up: where all play one action, another pays more.

    Payoffs ``10 nu_0 - 20 nu_1 - 200/9 (nu_0 - nu_2) nu_2``, ``20 (nu_0 - nu_1) - 2380 nu_2`` and
    ``2000/9 (nu_0 - nu_2) nu_2``.
    """
    linear, quadratic = np.zeros((3, 3)), np.zeros((3, 3, 3))
    linear[0], linear[1] = (10.0, -20.0, 0.0), (20.0, -20.0, -2380.0)
    quadratic[0, 0, 2], quadratic[0, 2, 2] = -200.0 / 9.0, 200.0 / 9.0
    quadratic[2] = -10.0 * quadratic[0]
    return _one_shot(np.zeros(3), linear, quadratic)


def normal_form_dominance(handicap: float = 0.25) -> Game:
    """The third action is worse than the first by a handicap, whatever the others do.

    Payoffs ``nu_0 + nu_2``, ``nu_1`` and ``nu_0 + nu_2 - handicap``.

    Parameters
    ----------
    handicap : float >= 0
    """
    constant = np.array([0.0, 0.0, -real("handicap", handicap, 0.0, include_low=True)])
    return _one_shot(constant, np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 1.0]]))


def normal_form_biased_rps(weights: ArrayLike = (0.7, 0.5, 0.3)) -> Game:
    """Rock, paper, scissors in a crowd whose actions weigh unalike.

    With ``n_b = weights_b nu_b``, payoffs ``n_1 - n_2``, ``n_2 - n_0`` and ``n_0 - n_1``. In equilibrium nu is
    proportional to ``1 / weights``.

    Parameters
    ----------
    weights : [3], positive
    """
    bias = float_array("weights", weights, (CHOICES,))
    for b, weight in enumerate(bias):
        real(f"weights[{b}]", weight, 0.0)
    return _one_shot(np.zeros(3), np.array([[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]]) * bias)


def _one_shot(constant: Floats, linear: Floats, quadratic: Floats | None = None) -> Game:
    """The game of payoffs ``constant + linear nu + nu quadratic nu``."""
    S = 1 + CHOICES
    second = np.zeros((CHOICES, CHOICES, CHOICES)) if quadratic is None else quadratic
    legal = np.ones((S, CHOICES), dtype=np.bool_)
    legal[1:, 1:] = False  # the choice is made
    successors = np.tile(np.arange(S)[:, None, None], (1, CHOICES, 1))
    successors[0, :, 0] = np.arange(1, S)
    return Game.from_source(
        CompiledSource(table.prepare, table.fill, normal_form_kernels.polynomial_payoff),
        initial=np.eye(S)[0],
        legal=legal,
        n_actions=CHOICES,
        horizon=2,
        shared=np.concatenate([[float(S)], constant, linear.ravel(), second.ravel()]),
        thetas=np.ones((1, S * CHOICES)),
        successors=successors,
    )
