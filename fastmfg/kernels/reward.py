"""Rewards under given densities, and the built-in reward of the paper's experiment."""

import numpy as np
from numba import types

from fastmfg.kernels.density import population_of
from fastmfg.kernels.elementary import log_row
from fastmfg.kernels.jit import COMMON, F1, F2, F3, F4, I1, REWARD, b1, filler, i8, kernel

BLOCK = 256
"""States whose logarithms are taken in one loop."""


@filler(REWARD)
def crowd_aversion(h, population, shared, theta, out):
    """``-log(1e-11) - log(mu(s) + 1e-11)``, the same for all actions."""
    top = -np.log(1e-11)
    logs = np.empty(BLOCK)
    for lo in range(0, out.shape[0], BLOCK):
        part = out[lo : lo + BLOCK]
        log_row(population[lo : lo + part.shape[0]], 1e-11, logs[: part.shape[0]])
        for s in range(part.shape[0]):
            for a in range(part.shape[1]):
                part[s, a] = top - logs[s]
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

    `shared`: S, H, coefficient, epsilon, then tables [S, A]: base of all steps but the last, base of the last, and
    congestion, which may be left out. Nothing is charged for congestion at the last step, whose move leads nowhere.
    """
    S, A = out.shape
    H, coefficient, epsilon = int(shared[1]), shared[2], shared[3]
    size = S * A
    start = 4 + (size if h + 1 == H else 0)
    base = shared[start : start + size].reshape(S, A)
    logs = np.zeros(BLOCK)
    for lo in range(0, S, BLOCK):
        hi = min(S, lo + BLOCK)
        if coefficient != 0.0:
            log_row(population[lo:hi], epsilon, logs[: hi - lo])
        for s in range(lo, hi):
            crowd = coefficient * logs[s - lo]
            for a in range(A):
                out[s, a] = base[s, a] - crowd
    if h + 1 < H and shared.size > 4 + 2 * size:
        congestion = shared[4 + 2 * size :].reshape(S, A)
        for s in range(S):
            for a in range(A):
                out[s, a] -= population[s] * congestion[s, a]
    return 0
