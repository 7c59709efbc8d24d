"""What users of other libraries look for under other names: the mean field, exploitability, Q and V."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.equality import Result
from fastmfg.games.checks import Floats, frozen
from fastmfg.games.game import Game, require_game
from fastmfg.planning.condition import condition, condition_one
from fastmfg.planning.evaluate import back_up_one, ne_gap


@dataclass(frozen=True, eq=False)
class PolicyValues(Result):
    """Values of one agent's policy while the crowd keeps to its own, step by step."""

    q: Floats  # [H, S, A]   return from step h on after action a in state s; NaN where the action is illegal
    v: Floats  # [H, S]   return from step h on in state s


def policy_values(game: Game, policy: ArrayLike, deviation: ArrayLike | None = None) -> PolicyValues:
    """Compute Q and V of one agent who plays `deviation` while the crowd plays `policy`.

    ``Q_h(s,a) = r_h(s,a,mu_h) + sum_s' P_h(s'|s,a,mu_h) V_{h+1}(s')``, ``V_h(s) = sum_a deviation_h(a|s) Q_h(s,a)``,
    ``V_{H+1} = 0``, where mu is the density of `policy` (Huang, He, Krause 2024, Section 2).

    Parameters
    ----------
    game : Game
    policy : array_like [H, S, A]
        The crowd's policy: probabilities, summing to one over actions.
    deviation : array_like [H, S, A], optional
        The agent's own; the crowd's by default. That of `best_response` gives the optimal Q and V at this density.

    Returns
    -------
    PolicyValues
        ``q [H, S, A]``, ``v [H, S]``, in units of the reward; read-only.

    Raises
    ------
    TypeError, ValueError
        `game` is no game; a policy has another shape, or is no policy of the game: the step and state are named.

    Examples
    --------
    >>> import fastmfg as mfg
    >>> game = mfg.zoo.left_right()
    >>> pi = game.uniform_policy()
    >>> mfg.policy_values(game, pi).v.shape
    (2, 3)
    """
    models = require_game("game", game).models
    pi = models.policy("policy", policy)
    dev = pi if deviation is None else models.policy("deviation", deviation)
    conditionals = condition_one(game, pi)
    q = np.where(models.common.legal, back_up_one(game, conditionals.aux, conditionals.reward, dev).q[0], np.nan)
    v = np.where(models.common.legal, dev * q, 0.0).sum(axis=2)
    return PolicyValues(frozen(q), frozen(v))


def mean_field(game: Game, policy: ArrayLike) -> Floats:
    """Compute the densities ``mu_1 .. mu_H`` of a crowd that plays `policy`, [H, S]: each sums to one, read-only.

    ``mu_{h+1}(s') = sum_{s,a} mu_h(s) pi_h(a|s) P_h(s'|s,a,mu_h)``. `condition` gives rewards and transitions there.

    Examples
    --------
    >>> import fastmfg as mfg
    >>> game = mfg.zoo.beach_bar(10, 5)
    >>> mfg.mean_field(game, game.uniform_policy()).shape
    (5, 10)
    """
    return condition(game, policy).density


exploitability = ne_gap
"""Another name of `ne_gap`: what one agent gains at most by leaving the policy that all others keep to."""
