"""Random games that couple to the density (after the MF-Garnets of Magnino et al. 2026, Bench-MFG, arXiv 2602.12517).

A garnet (Archibald, McKinnon, Thomas 1995) is a random sparse MDP: each row leads to `branching` states. Here the crowd
pulls on rows, towards each state as much of it as there is in `branching` others, and people interact in pairs, by
their places on a circle.
"""

from __future__ import annotations

import numpy as np

from fastmfg.games.checks import Floats, Integers, choice, real, whole
from fastmfg.games.compiled import CompiledSource
from fastmfg.games.game import Game
from fastmfg.games.zoo.garnet import distinct
from fastmfg.kernels.zoo import mf_garnet as kernels
from fastmfg.streams import Stream

MOST = 1e290
"""Larger strengths could make weights add up to infinity."""

COUPLINGS, REWARDS = ("additive", "multiplicative"), ("cyclic", "potential")


def mf_garnet(
    n_states: int = 20,
    n_actions: int = 4,
    horizon: int = 10,
    *,
    branching: int = 4,
    coupling: str = "additive",
    reward: str = "potential",
    strength: float = 1.0,
    reward_strength: float = 10.0,
    seed: int = 0,
    coupling_seed: int = 0,
) -> Game:
    """A random sparse game whose rows and rewards depend on the density.

    Row (s, a) leads to K = `branching` distinct random states x_k with base probabilities p_k (uniform on the simplex)
    and weights ``p_k + z(x_k) / K`` (additive) or ``p_k (1 + z(x_k))`` (multiplicative), normalised. These are
    distributions for every density and every strength. ``z(x) = strength S sum_y C(x,y) mu(y)``: C is one more garnet
    row a state, so that z is `strength` where the crowd that x watches has its even share. State s sits on a circle at
    angle t(s) = 2 pi k / S, k its place in a random order. Rewards, c and b uniform in [0, 1]:

    additive        ``c(s,a) + b(s) + reward_strength sum_y D(s,y) mu(y)``
    multiplicative  ``c(s,a) + b(s) (1 + reward_strength sum_y D(s,y) b(y) mu(y))``

    cyclic: ``D(s,y) = sin(t(s) - t(y))``, antisymmetric: each gains from those behind it (three states play rock,
    paper and scissors), and mirror descent cycles. potential: ``D(s,y) = -cos(t(s) - t(y))``: the last term is
    reward_strength times the gradient of a concave function of the density, ``-|sum_y e(y) mu(y)|^2 / 2``, e = (cos t,
    sin t), times b if multiplicative; rewards are monotone, nobody likes a crowd on his side. A learner knows neither
    `strength` nor C (`coupling_seed`).

    Parameters
    ----------
    n_states : int >= 2
    n_actions, horizon : int >= 1
    branching : int in 2..n_states
    coupling : "additive" or "multiplicative"
    reward : "cyclic" or "potential"
    strength : float in [0, 1e290)
        0: rows do not depend on the density.
    reward_strength : float >= 0
    seed : int >= 0
        Of everything but C.
    coupling_seed : int >= 0
    """
    S, A, K = whole("n_states", n_states, 2), whole("n_actions", n_actions, 1), whole("branching", branching, 2)
    if K > S:
        raise ValueError(f"branching must be at most n_states {S}, got {branching}")
    multiplicative = choice("coupling", coupling, COUPLINGS) == "multiplicative"
    stream = Stream.MEAN_FIELD_GARNET.generator(whole("seed", seed, 0))
    places, chances = garnet_rows(stream, (S, A), K, S)
    base, bonus = stream.random((S, A)), stream.random(S)
    angles = 2.0 * np.pi * stream.permutation(S) / S
    weights = bonus if multiplicative else np.ones(S)
    left, right = interaction(angles, choice("reward", reward, REWARDS), weights)
    left *= real("reward_strength", reward_strength, 0.0, include_low=True)
    header = [float(multiplicative), float(S)]
    tables = [places, chances, base + bonus[:, None], left, right]
    return Game.from_source(
        CompiledSource(kernels.prepare, kernels.fill, kernels.reward),
        initial=np.full(S, 1.0 / S),
        n_actions=A,
        horizon=whole("horizon", horizon, 1),
        shared=np.concatenate([header, *(np.ravel(table) for table in tables)]),
        thetas=pulls(S, K, real("strength", strength, 0.0, MOST, include_low=True), coupling_seed),
        aux_size=S,
        successors=places,
    )


def interaction(angles: Floats, kind: str, weights: Floats) -> tuple[Floats, Floats]:
    """Arrays [2, S] with ``sum_j left_j(s) right_j(y) = weights(s) D(s,y) weights(y)``."""
    cos, sin = np.cos(angles), np.sin(angles)
    left = np.array([sin, -cos] if kind == "cyclic" else [-cos, -sin])
    return left * weights, np.array([cos, sin]) * weights


def garnet_rows(stream: np.random.Generator, rows: tuple[int, ...], K: int, S: int) -> tuple[Integers, Floats]:
    """K distinct states of S a row [*rows, K], and their probabilities."""
    return distinct(stream, S, (*rows, K)), stream.dirichlet(np.ones(K), size=rows)


def pulls(S: int, K: int, strength: float, seed: int) -> Floats:
    """One model's parameters: the states each state watches and how much it is pulled by them."""
    stream = Stream.MEAN_FIELD_GARNET_COUPLING.generator(whole("coupling_seed", seed, 0))
    sources, shares = garnet_rows(stream, (S,), K, S)
    weights = strength * S * shares
    watched = np.where(weights > 0, sources, 0)  # whom one watches without being pulled is not part of a model
    return np.concatenate([watched.ravel(), weights.ravel()])[None]
