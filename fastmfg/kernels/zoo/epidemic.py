"""Susceptible (0), infected (1), recovered (2): contacts infect, the action limits them.

``P(1|0,a) = 1 - exp(-infection contacts(a) mu(1))``, ``P(2|1,a) = recovery``, ``P(0|2,a) = waning``, else no change;
``r(s,a) = -cost(a) - illness 1{s = 1}``.

`shared` holds, flat and in this order: waning, illness, contacts [A], cost [A]; `theta` is (infection, recovery);
`aux` is ``infection mu(1)``. Where rewards are unknown `theta` ends with the model's own illness.
"""

import numpy as np

from fastmfg.kernels.jit import FILL, PREPARE, REWARD, filler, inline

SUSCEPTIBLE, INFECTED, RECOVERED = 0, 1, 2


@filler(PREPARE)
def prepare(h, population, shared, theta, aux):
    aux[0] = theta[0] * population[INFECTED]
    return 0


@filler(FILL)
def fill(h, aux, shared, theta, lo, hi, out):
    A = out.shape[1]
    waning, contacts = shared[0], shared[2 : 2 + A]
    out[:] = 0.0
    for s in range(lo, hi):
        for a in range(A):
            row = out[s - lo, a]
            if s == SUSCEPTIBLE:
                row[SUSCEPTIBLE] = np.exp(-contacts[a] * aux[0])
                row[INFECTED] = -np.expm1(-contacts[a] * aux[0])
            elif s == INFECTED:
                row[INFECTED] = 1.0 - theta[1]
                row[RECOVERED] = theta[1]
            else:
                row[SUSCEPTIBLE] = waning
                row[RECOVERED] = 1.0 - waning
    return 0


@filler(REWARD)
def reward(h, population, shared, theta, out):
    charge(shared, shared[1], out)
    return 0


@filler(REWARD)
def reward_own(h, population, shared, theta, out):
    charge(shared, theta[theta.size - 1], out)
    return 0


@inline
def charge(shared, illness, out):
    S, A = out.shape
    cost = shared[2 + A : 2 + 2 * A]
    for s in range(S):
        for a in range(A):
            out[s, a] = -cost[a] - (illness if s == INFECTED else 0.0)
