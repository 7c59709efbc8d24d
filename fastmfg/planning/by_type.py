"""Games with several types of agents: gaps and returns type by type (Huang, He, Krause 2024, Section 5 and App. G).

``E^w(pi)`` is what one agent of type w gains at most by leaving pi^w while all others, of all types, keep to pi. The NE
gap is the largest of them; NashConv, which other libraries print, is their sum; the lift's gap is their mean.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.games.checks import Floats, Integers
from fastmfg.games.game import Game, require_game
from fastmfg.games.model_class import ModelClass
from fastmfg.planning.condition import condition_one
from fastmfg.planning.evaluate import back_up_one, evaluate_one, evaluate_pairs, map_blocks


def ne_gaps_by_type(game: Game, policy: ArrayLike) -> Floats:
    """``E^w(policy)`` of every type w, [W]; `ne_gap` is the largest.

    `policy` [H, S, A], or a list of the types' own, [H, S_w, A_w]. A game without types has one.
    """
    pi = require_game("game", game).models.policy("policy", policy)
    gaps: Floats = evaluate_one(game, pi)[1].gap_by_type[0]
    return gaps


def nash_conv(game: Game, policy: ArrayLike) -> float:
    """``sum_w E^w(policy)``, as OpenSpiel has it; the NE gap where there is one type."""
    return float(ne_gaps_by_type(game, policy).sum())


def returns_by_type(game: Game, policy: ArrayLike, deviation: ArrayLike | None = None) -> Floats:
    """What an agent of each type gets that plays `deviation` while the crowd plays `policy`, [W].

    Without a deviation, what the crowd itself gets. `evaluate` is the mean.
    """
    models = require_game("game", game).models
    pi = models.policy("policy", policy)
    dev = pi if deviation is None else models.policy("deviation", deviation)
    found = condition_one(game, pi)
    values = back_up_one(game, found.aux, found.reward, dev)
    returns: Floats = values.by_type(values.value[:, 0])[0]
    return returns


def member_gaps_by_type(models: ModelClass, members: Integers, policy: Floats) -> Floats:
    """``E^w_M(policy)`` [n, W] of a checked policy in models of a class, in parallel."""

    def gaps(block: Integers) -> Floats:
        chosen = members[block]
        return evaluate_pairs(models, chosen, policy[None], np.zeros(chosen.size, dtype=np.int64))[1].gap_by_type

    return np.concatenate(list(map_blocks(gaps, models, members.size)))
