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
            out[i, h] = np.nan  # what a filler leaves unwritten must not pass for a reward
            answer = reward(h, population, common.shared, thetas[members[i]], out[i, h])
            if answer != 0:
                status[i] = answer
                break


@kernel(i8(REWARD, COMMON, F1, i8, F1, F2))
def reward_step(reward, common, theta, h, population, out):
    """One step's rewards ``out [S, A]`` under a given population; the status of the family's function."""
    out[:] = np.nan
    return reward(h, population, common.shared, theta, out)


@filler(REWARD)
def crowd_base(h, population, shared, theta, out):
    """A table, less a price of crowds: ``base(s,a) - coefficient log(mu(s) + epsilon) - mu(s) congestion(s,a)``.

    `shared`: S, H, coefficient, epsilon, then three tables [S, A]: base of all steps but the last, base of the last,
    congestion. Nothing is charged for congestion at the last step, whose move leads nowhere.
    """
    S, A = out.shape
    H, coefficient, epsilon = int(shared[1]), shared[2], shared[3]
    size = S * A
    start = 4 + (size if h + 1 == H else 0)
    base = shared[start : start + size].reshape(S, A)
    congestion = shared[4 + 2 * size : 4 + 3 * size].reshape(S, A)
    for s in range(S):
        crowd = coefficient * np.log(population[s] + epsilon) if coefficient != 0.0 else 0.0
        for a in range(A):
            out[s, a] = base[s, a] - crowd
            if h + 1 < H:
                out[s, a] -= population[s] * congestion[s, a]
    return 0
