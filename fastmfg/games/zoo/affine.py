"""A random game, affine in the crowd (MFGLib's random linear game; Guo et al. 2023, MFGLib: a library for mean-field
games).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.games.checks import Floats, initial_density, real, whole
from fastmfg.games.compiled import CompiledSource
from fastmfg.games.game import Game
from fastmfg.kernels.zoo import affine
from fastmfg.streams import Stream

MOST = 1e300
"""Larger weights could add up to infinity."""


def random_linear(
    n_states: int = 5,
    horizon: int = 4,
    *,
    n_actions: int | None = None,
    scale: float = 10.0,
    seed: int = 0,
    reward_seed: int = 0,
    initial: ArrayLike | None = None,
) -> Game:
    """Rewards and the logits of transitions are random affine functions of the joint density L of states and actions.

        P(x|s,a,L) = softmax over x of (sum_y W(s,y,x) L(y,a) + B(s,a,x)),    r(s,a,L) = sum_y V(s,y) L(y,a) + C(s,a)

    W, B, V, C independent and uniform in [-scale, scale], the same at every step. Neither monotone nor potential: it
    may have many equilibria. MFGLib draws from its own generator: the same distribution of games, other games.

    Parameters
    ----------
    n_states : int >= 1
    horizon : int >= 1
        MFGLib's T + 1.
    n_actions : int >= 1, optional
        As many as states by default, as in MFGLib.
    scale : float in [0, 1e300)
    seed : int >= 0
        Of W and B, which are all there is in `thetas`: games of different seeds are candidate models for one another.
    reward_seed : int >= 0
        Of V and C.
    initial : [n_states], optional
        Uniform by default.
    """
    S = whole("n_states", n_states, 1)
    A = S if n_actions is None else whole("n_actions", n_actions, 1)
    bound = real("scale", scale, 0.0, MOST, include_low=True)
    moves = Stream.AFFINE.generator(whole("seed", seed, 0))
    gains = Stream.AFFINE_REWARDS.generator(whole("reward_seed", reward_seed, 0))
    return affine_game(
        moves.uniform(-bound, bound, (S, S, S)),
        moves.uniform(-bound, bound, (S, A, S)),
        gains.uniform(-bound, bound, (S, S)),
        gains.uniform(-bound, bound, (S, A)),
        horizon=whole("horizon", horizon, 1),
        initial=np.full(S, 1.0 / S) if initial is None else initial_density(initial, S),
    )


def affine_game(W: Floats, B: Floats, V: Floats, C: Floats, *, horizon: int, initial: Floats) -> Game:
    """The game of given weights W [S,S,S], B [S,A,S], V [S,S], C [S,A] (not checked)."""
    S, A = C.shape
    return Game.from_source(
        CompiledSource(affine.prepare, affine.fill, affine.reward),
        initial=initial,
        n_actions=A,
        horizon=horizon,
        shared=np.concatenate([[float(S), float(A)], V.ravel(), C.ravel()]),
        thetas=np.concatenate([W.ravel(), B.ravel()])[None],
        aux_size=S * A,
        joint=True,
    )
