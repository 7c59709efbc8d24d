"""Small classes whose rewards are unknown."""

from functools import cache

import naive_rewards as naive
import numba
import numpy as np
from builders import crowd_game, rows, swept_fill, swept_prepare
from learning_cases import linear, near_class

import fastmfg as mfg

SIGMA = 0.5


@numba.njit
def own_reward(h, population, shared, theta, out):
    """``theta[1] a - theta[2] mu(s)``."""
    for s in range(out.shape[0]):
        for a in range(out.shape[1]):
            out[s, a] = theta[1] * a - (h + 1) * theta[2] * population[s]
    return 0


@cache
def swept(noise=SIGMA):
    """A user's compiled class: the models' own parameters are in the rows and in the reward."""
    thetas = np.random.default_rng(0).uniform(0.1, 0.9, (5, 3))
    return mfg.ModelClass.from_filler(
        swept_fill, thetas, [0.5, 0.3, 0.2, 0.0], own_reward, prepare=swept_prepare, shared=[0.3], aux_size=4,
        n_actions=3, horizon=3,
    ).with_unknown_rewards(noise)  # fmt: skip


def called(noise=SIGMA, M=4, **changes):
    """Games of NumPy functions with rewards of their own."""
    parts = crowd_game(0, H=2, **changes)
    others = [crowd_game(i, H=2, **changes) for i in range(M)]
    games = [mfg.Game(**(parts | {key: other[key] for key in ("transition", "reward")})) for other in others]
    return mfg.ModelClass(games, reward_noise=noise)


def paid(spread=0.5, noise=SIGMA, seed=0, M=6, H=2, S=3, A=3):
    """Models alike in their rows, which the population does not move, with random rewards."""
    rng = np.random.default_rng(seed)
    start, table = rows(rng, (S,)), rows(rng, (H, S, A, S))
    games = []
    for _ in range(M):
        reward = spread * rng.standard_normal((H, S, A))
        games.append(mfg.Game(start, lambda h, mu: table[h], lambda h, mu, r=reward: r[h], horizon=H))
    return mfg.ModelClass(games, reward_noise=noise)


KINDS = {
    "fillers": swept,
    "functions": called,
    "functions, masked": lambda: called(masked=True),
    "functions of the joint": lambda: called(joint=True),
    "rewards alone": paid,
    "one reward, own densities": lambda: linear().with_unknown_rewards(SIGMA),
    "tables": lambda: near_class(1, masked=True).with_unknown_rewards(SIGMA),
    "one model": lambda: linear(M=1).with_unknown_rewards(SIGMA),
    "one step": lambda: paid(H=1),
    "sparse": lambda: mfg.zoo.classes.beach_bar(
        p_still=[0.2, 0.7], crowd_aversion_coef=[0.5, 1.0, 2.0], n_states=4, reward_noise=SIGMA
    ),
    "factored": lambda: mfg.zoo.classes.crowd_modelling_2d(
        noise_intensity=[0.1, 0.4], crowd_aversion_coef=[0.5, 1.0], size=2, horizon=2, reward_noise=SIGMA
    ),
}


def conditionals(models, policy):
    """``(P, r)`` of every model, from the games' functions."""
    joint = models[0].population == "joint"
    return [naive.conditional(models.initial, game.transition, game.reward, policy, joint) for game in models]
