"""Rewards under given densities, and the built-in reward of the paper's experiment."""

import numpy as np
from numba import types

from fastmfg.kernels.density import write_joint
from fastmfg.kernels.elementary import log_row
from fastmfg.kernels.jit import (
    COMMON,
    F1,
    F2,
    F3,
    F4,
    I1,
    REWARD,
    REWARD_PART,
    b1,
    filler,
    i8,
    inline,
    kernel,
    part_of,
)

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


@filler(REWARD_PART)
def no_part(h, population, shared, theta, lo, hi, out):
    """Fail: it stands where rewards come whole, and is never called."""
    return 1


@kernel(types.void(REWARD, COMMON, F2, I1, F3, F4, I1, b1, F4, I1))
def rewards(reward, common, thetas, members, density, policies, policy_of, joint, out, status):
    """``out [n, H, S, A]`` from ``density [n, H, S]``; ``status [n]`` is 0, or the first nonzero answer."""
    n, H, S = density.shape
    scratch = np.empty(S * policies.shape[3] if joint else 0)
    for i in range(n):
        status[i] = 0
        for h in range(H):
            if joint:
                write_joint(density[i, h], policies[policy_of[i], h].T, scratch)
            out[i, h] = np.nan  # what a filler leaves unwritten must not pass for a reward
            answer = reward(h, scratch if joint else density[i, h], common.shared, thetas[members[i]], out[i, h])
            if answer != 0:
                status[i] = answer
                break


@kernel(i8(REWARD, COMMON, F1, i8, F1, F2))
def reward_step(reward, common, theta, h, population, out):
    """One step's rewards ``out [S, A]`` under a given population; the status of the family's function."""
    out[:] = np.nan
    return reward(h, population, common.shared, theta, out)


HEADER = 7
"""Numbers of `crowd_base` before its tables: S, H, coefficient, epsilon, and the forms of its three tables."""

NOTHING, SUM, TABLE = 0.0, 1.0, 2.0
"""Forms of a table over (s, a): none; ``place(s) + move(a)``, stored as place [S], move [A]; any, stored as [A, S]."""


@inline
def _entries(form, S, A):
    return 0 if form == NOTHING else S + A if form == SUM else S * A


@inline
def _row_of(table, form, S, a, lo, hi):
    """One action's numbers of the states lo..hi-1, and what is to be added to each."""
    if form == SUM:
        return table[lo:hi], table[S + a]
    return table[a * S + lo : a * S + hi], 0.0


@inline
def _price_crowd(h, population, shared, coefficient, lo, hi, out):
    """Rewards of the states lo..hi-1 into ``out[a, s - lo]``."""
    S, A = int(shared[0]), out.shape[0]
    last, epsilon = h + 1 == int(shared[1]), shared[3]
    first = HEADER + (_entries(shared[4], S, A) if last else 0)
    form, base = shared[5 if last else 4], shared[first:]
    congestion = shared[HEADER + _entries(shared[4], S, A) + _entries(shared[5], S, A) :]
    logs = np.empty(BLOCK)
    for start in range(lo, hi, BLOCK):
        end = min(hi, start + BLOCK)
        mu, log = population[start:end], logs[: end - start]
        if coefficient == 0.0:
            log[:] = 0.0
        else:
            log_row(mu, epsilon, log)
            for i in range(log.size):
                log[i] *= coefficient
        for a in range(A):
            place, move = _row_of(base, form, S, a, start, end)
            target = out[a, start - lo : end - lo]
            for i in range(target.size):
                target[i] = (place[i] + move) - log[i]
            if shared[6] != NOTHING and not last:
                place, move = _row_of(congestion, shared[6], S, a, start, end)
                for i in range(target.size):
                    target[i] -= mu[i] * (place[i] + move)


@filler(REWARD)
def crowd_base(h, population, shared, theta, out):
    """A table, less a price of crowds: ``base(s,a) - coefficient log(mu(s) + epsilon) - mu(s) congestion(s,a)``.

    `shared`: HEADER, then base of all steps but the last, base of the last, and congestion, each in its form. Nothing
    is charged for congestion at the last step, whose move leads nowhere.
    """
    _price_crowd(h, population, shared, shared[2], 0, out.shape[0], out.T)
    return 0


@part_of(crowd_base)
def crowd_base_part(h, population, shared, theta, lo, hi, out):
    """The same of some of the states."""
    _price_crowd(h, population, shared, shared[2], lo, hi, out)
    return 0


@filler(REWARD)
def crowd_base_own(h, population, shared, theta, out):
    """The same with a coefficient of the model's own, the last number of `theta`; that in `shared` is not used."""
    _price_crowd(h, population, shared, theta[theta.size - 1], 0, out.shape[0], out.T)
    return 0


@part_of(crowd_base_own)
def crowd_base_own_part(h, population, shared, theta, lo, hi, out):
    """The same of some of the states."""
    _price_crowd(h, population, shared, theta[theta.size - 1], lo, hi, out)
    return 0
