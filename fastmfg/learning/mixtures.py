"""Policies that do for several models at once: mixtures of the equilibria of the few that are left.

Few samples tell near models apart, and none are needed where one policy is an epsilon-NE of all. With ``G[i, j] =
E_j(pi_i)``, the gap of survivor i's equilibrium in survivor j, weights w that make ``max_j (w G)_j`` small are those of
a matrix game, and the mixture ``sum_i w_i pi_i`` is a candidate. Near an equilibrium gaps are nearly convex, so that it
is about as good as that number says; whatever it is, its bound is computed.
"""

from __future__ import annotations

import numpy as np

from fastmfg.games.checks import Floats
from fastmfg.learning.state import State

FEW = 8
"""Survivors for which mixtures are tried, at most: each costs an equilibrium and as many gaps."""

PROMISING = 1.5
"""A mixture is looked at where the matrix game promises at most this many epsilon."""

PLAYS = 500
"""Rounds in which the matrix game is played."""


def try_mixture(state: State) -> None:
    """Add the best mixture of the survivors' equilibria to the candidates, if it promises to meet the bound."""
    pool, survivors = state.candidates, state.evidence.survivors
    if not 2 <= survivors.size <= FEW:
        return
    equilibria = [pool.equilibrium(int(m)) for m in survivors]
    gaps = np.stack([pool.gaps(candidate)[survivors] for candidate in equilibria])
    if pool.enough():
        return
    weights, value = play(gaps)
    if value <= PROMISING * state.options.epsilon:
        policies = np.stack([pool[candidate].policy for candidate in equilibria])
        pool.gaps(pool.register(np.tensordot(weights, policies, axes=1), "mixture"))


def play(gaps: Floats) -> tuple[Floats, float]:
    """Weights [k] of rows of ``gaps [k, n]`` that make the largest column of the mixture small, and that number.

    The columns' player follows multiplicative weights, the rows' player answers; averages converge to the value.
    """
    scale = float(gaps.max())
    if scale == 0.0:
        return np.full(len(gaps), 1.0 / len(gaps)), 0.0
    losses, answers = np.zeros(gaps.shape[1]), np.zeros(len(gaps))
    rate = np.sqrt(8.0 * np.log(max(gaps.shape[1], 2)) / PLAYS)
    for _ in range(PLAYS):
        belief = np.exp(rate * (losses - losses.max()))
        row = int(np.argmin(gaps @ belief))
        answers[row] += 1.0
        losses += gaps[row] / scale
    weights = answers / PLAYS
    return weights, float((weights @ gaps).max())
