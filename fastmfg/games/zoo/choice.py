"""Games of one choice: everyone starts in state 0, action a leads to state 1 + a (Cui, Koeppl 2021, Approximately
solving mean field games via entropy-regularized deep reinforcement learning).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.games.checks import Floats, real
from fastmfg.games.game import Game
from fastmfg.games.zoo.certain import certain_game
from fastmfg.kernels.zoo import choice


def left_right(
    horizon: int = 2, *, left_cost: float = 1.0, right_cost: float = 2.0, initial: ArrayLike | None = None
) -> Game:
    """Left or right, and one pays for every other who went the same way; right is the dearer (Cui, Koeppl's LR).

    States: start, left, right. Action a leads to state 1 + a from everywhere. Reward ``-left_cost mu(1)`` in state 1,
    ``-right_cost mu(2)`` in state 2, none in state 0. In equilibrium both ways cost the same.

    Parameters
    ----------
    horizon : int >= 1
        2 in MFGLib: one choice, and its reward.
    left_cost, right_cost : float
    initial : [3], optional
        Everyone at the start by default.
    """
    costs = [0.0, real("left_cost", left_cost, -np.inf), real("right_cost", right_cost, -np.inf)]
    return _choices(-np.diag(costs), horizon, initial)


RPS_PAYOFFS = ((0.0, -1.0, 2.0), (4.0, 0.0, -2.0), (-3.0, 6.0, 0.0))
"""Row: what one plays; column: what others play. Twice the number beaten less the number that beat one, times 1, 2, 3
for rock, paper, scissors."""


def rock_paper_scissors(horizon: int = 2, *, initial: ArrayLike | None = None) -> Game:
    """Rock, paper, scissors against a crowd, where classical fictitious play need not converge (Cui, Koeppl's RPS).

    States: start, rock, paper, scissors. Action a leads to state 1 + a from everywhere. Rewards ``2 mu(3) - mu(2)``
    for rock, ``4 mu(1) - 2 mu(3)`` for paper, ``6 mu(2) - 3 mu(1)`` for scissors, none at the start; after Shapley
    (1964, Some topics in two-person games).

    Parameters
    ----------
    horizon : int >= 1
        2 by default: one choice, and its reward. MFGLib's T + 1.
    initial : [4], optional
        Everyone at the start by default.
    """
    payoffs = np.zeros((4, 4))
    payoffs[1:, 1:] = RPS_PAYOFFS
    return _choices(payoffs, horizon, initial)


def _choices(payoffs: Floats, horizon: int, initial: Any) -> Game:
    """Payoffs [S, S]: row where one is, column where others are."""
    S = len(payoffs)
    moves = np.tile(np.arange(1, S), (S, 1))
    start = np.eye(S)[0] if initial is None else initial
    return certain_game(start, moves, choice.reward, [payoffs], horizon=horizon)
