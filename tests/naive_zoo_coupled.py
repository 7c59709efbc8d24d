"""Slow twins of the compiled functions of games whose transitions depend on the density.

Rows are written out in full, [S, A, S], whatever their form in the package.
"""

import math

import numpy as np

# Moves that may fail


def attempts_prepare(chance, gain, mu):
    """``q(x) = chance + gain mu(x)``, cut to [0, 1]."""
    return np.array([min(1.0, max(0.0, chance + gain * m)) for m in mu])


def attempts_fill(targets, q):
    """To the target with probability ``q(target)``, else nowhere."""
    S, A = targets.shape
    P = np.zeros((S, A, S))
    for s in range(S):
        for a in range(A):
            t = targets[s, a]
            if t == s:
                P[s, a, s] = 1.0
            else:
                P[s, a, t] = q[t]
                P[s, a, s] = 1.0 - q[t]
    return P


def attempts_reward(base, slope, mu):
    """``base(s,a) + slope(s) mu(s)``."""
    S, A = base.shape
    return np.array([[base[s, a] + slope[s] * mu[s] for a in range(A)] for s in range(S)])


# An epidemic


def epidemic_prepare(infection, mu):
    """Infections a step for who has all contacts."""
    return infection * mu[1]


def epidemic_fill(force, contacts, recovery, waning):
    """``P(1|0,a) = 1 - exp(-contacts(a) force)``, ``P(2|1,a) = recovery``, ``P(0|2,a) = waning``."""
    P = np.zeros((3, len(contacts), 3))
    for a in range(len(contacts)):
        caught = 1.0 - math.exp(-contacts[a] * force)
        P[0, a] = [1.0 - caught, caught, 0.0]
        P[1, a] = [0.0, 1.0 - recovery, recovery]
        P[2, a] = [waning, 0.0, 1.0 - waning]
    return P


def epidemic_reward(costs, illness):
    """``-cost(a) - illness 1{s = 1}``."""
    return np.array([[-cost - (illness if s == 1 else 0.0) for cost in costs] for s in range(3)])


# Mean-field garnets


def mf_garnet_prepare(sources, weights, mu):
    """``z(x) = sum_j weight_j(x) mu(source_j(x))``."""
    S, K = sources.shape
    return np.array([sum(weights[x, j] * mu[sources[x, j]] for j in range(K)) for x in range(S)])


def mf_garnet_fill(places, chances, z, multiplicative):
    """Weights ``p_k + z(x_k) / K`` or ``p_k (1 + z(x_k))``, normalised."""
    S, A, K = places.shape
    P = np.zeros((S, A, S))
    for s in range(S):
        for a in range(A):
            for k in range(K):
                x, p = places[s, a, k], chances[s, a, k]
                P[s, a, x] = p * (1.0 + z[x]) if multiplicative else p + z[x] / K
            P[s, a] /= sum(P[s, a])
    return P


def mf_garnet_reward(base, left, right, mu):
    """``base(s,a) + sum_y sum_i left_i(s) right_i(y) mu(y)``."""
    S, A = base.shape
    r = np.zeros((S, A))
    for s in range(S):
        crowd = sum(left[i, s] * right[i, y] * mu[y] for i in range(len(left)) for y in range(S))
        for a in range(A):
            r[s, a] = base[s, a] + crowd
    return r
