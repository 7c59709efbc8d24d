"""Random games (Archibald, McKinnon, Thomas 1995, On the generation of Markov decision processes; with a crowd:
Perolat et al. 2022, Scaling mean field games by online mirror descent).
"""

from __future__ import annotations

import numpy as np

from fastmfg.games.checks import Integers, probability, real, whole
from fastmfg.games.game import Game
from fastmfg.games.grid_game import priced_game
from fastmfg.streams import Stream


def garnet(
    n_states: int = 10,
    n_actions: int = 3,
    horizon: int = 10,
    *,
    branching: int = 3,
    reward_density: float = 1.0,
    eta: float = 1.0,
    seed: int = 0,
    table_seed: int | None = None,
) -> Game:
    """A random game with sparse rows, and rewards averse to crowds: ``r(s,a) - eta log(mu(s) + 1e-25)``.

    Every (s, a) leads to `branching` states, drawn without replacement, with probabilities uniform on the simplex
    (what [0, 1] is cut into at uniform points). ``r(s,a)`` is uniform on [0, 1] with probability `reward_density`, else
    0. Start: uniform.

    OpenSpiel's mfg_garnet draws successors with replacement and pays ``r(s', a)``, the last action in the state
    reached, although that action is not part of its state. Here ``r(s,a)`` is paid for the action in the state where
    it is taken, at every step, as in the papers.

    Parameters
    ----------
    n_states, n_actions, horizon : int >= 1
    branching : int in 1..n_states
    reward_density : float in [0, 1]
    eta : float
    seed : int >= 0
        Of successors and rewards.
    table_seed : int >= 0, optional
        Of the probabilities, which stand in `thetas`; `seed` by default. Games that differ in it alone have the same
        successors and rewards.
    """
    S, A = whole("n_states", n_states, 1), whole("n_actions", n_actions, 1)
    K = whole("branching", branching, 1)
    if K > S:
        raise ValueError(f"branching must lie in 1..n_states = 1..{S}, got {branching!r}")
    paid = probability("reward_density", reward_density)
    root = whole("seed", seed, 0)
    tables = root if table_seed is None else whole("table_seed", table_seed, 0)

    rng = Stream.GARNET.generator(root)
    successors = distinct(rng, S, (S, A, K))
    bonus = np.where(rng.random((S, A)) < paid, rng.random((S, A)), 0.0)
    chances = Stream.GARNET_CHANCES.generator(tables).dirichlet(np.ones(K), (S, A))
    return priced_game(
        np.full(S, 1.0 / S), bonus, successors, chances, horizon=horizon,
        crowd_aversion=real("eta", eta, -np.inf),
    )  # fmt: skip


def distinct(rng: np.random.Generator, n: int, shape: tuple[int, ...]) -> Integers:
    """Along the last axis, uniformly drawn sets of numbers below n (Floyd's algorithm)."""
    *rows, size = shape
    drawn = np.full(shape, -1, dtype=np.int64)
    for k in range(size):
        top = n - size + k
        number = rng.integers(0, top + 1, rows)
        taken = (drawn[..., :k] == number[..., None]).any(axis=-1)
        drawn[..., k] = np.where(taken, top, number)
    return drawn
