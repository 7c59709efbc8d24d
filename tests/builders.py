"""Small random games and arrays, all from a seed."""

from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np

import fastmfg as mfg
from fastmfg.kernels.jit import Common

ROOT = Path(__file__).resolve().parent.parent

ROW_KINDS = ("dense", "eighths")
"""Rows of random numbers, or of multiples of 1/8: these hold zeros, ones and ties, and their sums are exact."""


def rows(rng, shape, kind="dense"):
    """Distributions along the last axis."""
    if kind == "eighths":
        return rng.multinomial(8, np.full(shape[-1], 1 / shape[-1]), size=shape[:-1]) / 8.0
    return rng.dirichlet(np.ones(shape[-1]), size=shape[:-1])


def numbers(rng, shape, kind="dense"):
    """Real numbers; small whole ones for ``kind="eighths"``, so that ties occur."""
    return rng.integers(-2, 3, shape).astype(float) if kind == "eighths" else rng.standard_normal(shape)


def legal_mask(rng, S, A):
    """About two thirds of the actions are legal, at least one in each state."""
    legal = rng.random((S, A)) < 2 / 3
    legal[np.arange(S), rng.integers(0, A, S)] = True
    return legal


def policy(rng, H, legal, kind="dense"):
    """A policy [H, S, A] over legal actions."""
    S, A = legal.shape
    pi = np.zeros((H, S, A))
    for h in range(H):
        for s in range(S):
            pi[h, s, legal[s]] = rows(rng, (legal[s].sum(),), kind)
    return pi


@dataclass(frozen=True)
class Tables:
    """Models given by tables, in the form kernels read."""

    P: np.ndarray  # [M, H, S, A, S]
    common: Common
    thetas: np.ndarray  # [M, H*S*A*S]
    members: np.ndarray  # [M]
    aux: np.ndarray  # [M, H, 0]

    @property
    def initial(self):
        return self.common.initial

    @property
    def legal(self):
        return self.common.legal


def tables(rng, M, H, S, A, kind="dense", masked=False):
    P = rows(rng, (M, H, S, A, S), kind)
    legal = legal_mask(rng, S, A) if masked else np.ones((S, A), dtype=bool)
    common = Common(np.array([float(S)]), rows(rng, (S,), kind), legal)
    return Tables(P, common, P.reshape(M, -1).copy(), np.arange(M), np.empty((M, H, 0)))


def table_class(seed, M=5, H=3, S=4, A=3, kind="dense", masked=False, reward="crowd-aversion"):
    """A class of tables, and its parts."""
    t = tables(np.random.default_rng(seed), M, H, S, A, kind, masked)
    return mfg.ModelClass.from_tables(t.P, t.initial, reward, legal=t.legal), t


def crowd_game(seed, H=3, S=4, A=3, masked=False, joint=False):
    """NumPy functions of a game whose rows and rewards depend on the population: a dictionary for `mfg.Game`."""
    rng = np.random.default_rng(seed)
    legal = legal_mask(rng, S, A) if masked else np.ones((S, A), dtype=bool)
    calm, crowded = rows(rng, (H, S, A, S)), rows(rng, (H, S, A, S))
    bonus = rng.standard_normal((H, S, A))

    def transition(h, seen):
        share = seen[:, -1] if joint else seen
        return (1 - share[:, None, None]) * calm[h] + share[:, None, None] * crowded[h]

    def reward(h, seen):
        return bonus[h] - (seen if joint else seen[:, None])

    return {
        "initial": rows(rng, (S,)),
        "transition": transition,
        "reward": reward,
        "horizon": H,
        "legal": legal,
        "population": "joint" if joint else "state",
    }


# An example of a user's compiled class: theta = [w]; with probability w an agent is swept to where a random member of
# the crowd is, otherwise action a moves it from s to s + a + 1.


@numba.njit
def swept_prepare(h, population, shared, theta, aux):
    for x in range(aux.size):
        aux[x] = population[x]
    return 0


@numba.njit
def swept_fill(h, aux, shared, theta, lo, hi, out):
    S = out.shape[2]
    for s in range(lo, hi):
        for a in range(out.shape[1]):
            for x in range(S):
                out[s - lo, a, x] = theta[0] * aux[x]
            out[s - lo, a, (s + a + 1) % S] += 1.0 - theta[0]
    return 0


@numba.njit
def swept_reward(h, population, shared, theta, out):
    for s in range(out.shape[0]):
        for a in range(out.shape[1]):
            out[s, a] = shared[0] * a - (h + 1) * population[s]
    return 0


def swept_functions(w, S, A, bonus):
    """The same game in NumPy."""

    def transition(h, mu):
        P = np.broadcast_to(w * mu, (S, A, S)).copy()
        for s in range(S):
            for a in range(A):
                P[s, a, (s + a + 1) % S] += 1.0 - w
        return P

    return transition, lambda h, mu: bonus * np.arange(A) - (h + 1) * mu[:, None]
