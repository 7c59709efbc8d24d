"""Rewards under given densities, and the built-in reward of the paper's experiment."""

import numpy as np
from numba import types

from fastmfg.kernels.density import population_of
from fastmfg.kernels.jit import COMMON, F1, F2, F3, F4, I1, REWARD, b1, filler, i8, kernel


@filler(REWARD)
def crowd_aversion(h, population, shared, theta, out):
    """``-log(1e-11) - log(mu(s) + 1e-11)``, the same for all actions."""
    for s in range(out.shape[0]):
        value = -np.log(1e-11) - np.log(population[s] + 1e-11)
        for a in range(out.shape[1]):
            out[s, a] = value
    return 0


@kernel(types.void(REWARD, COMMON, F2, I1, F3, F4, I1, b1, F4, I1))
def rewards(reward, common, thetas, members, density, policies, policy_of, joint, out, status):
    """``out [n, H, S, A]`` from ``density [n, H, S]``; ``status [n]`` is 0, or the first nonzero answer."""
    n, H, S = density.shape
    A = policies.shape[3]
    population = np.empty(S * A if joint else S)
    for i in range(n):
        status[i] = 0
        for h in range(H):
            population_of(density[i, h], policies[policy_of[i], h], joint, population)
            answer = reward(h, population, common.shared, thetas[members[i]], out[i, h])
            if answer != 0:
                status[i] = answer
                break


@kernel(i8(REWARD, COMMON, F1, i8, F1, F2))
def reward_step(reward, common, theta, h, population, out):
    """One step's rewards ``out [S, A]`` under a given population; the status of the family's function."""
    return reward(h, population, common.shared, theta, out)
