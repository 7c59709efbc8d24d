"""Susceptible and infected: states 0 (susceptible), 1 (infected); actions 0 (go out), 1 (keep one's distance).

    P(1|0,0) = infection mu(1),  P(1|0,1) = 0,  P(0|1,.) = recovery;    r(s,a) = - illness 1{s=1} - distance 1{a=1}

`theta`: infection, recovery; `shared`: cost of illness, cost of distance; `aux`: the chance to catch it. Where rewards
are unknown `theta` ends with the model's own cost of illness.
"""

from fastmfg.kernels.jit import FILL, PREPARE, REWARD, filler


@filler(PREPARE)
def prepare(h, population, shared, theta, aux):
    aux[0] = theta[0] * population[1]
    return 0


@filler(FILL)
def fill(h, aux, shared, theta, lo, hi, out):
    for s in range(lo, hi):
        for a in range(2):
            ill = 1.0 - theta[1] if s == 1 else aux[0] if a == 0 else 0.0
            out[s - lo, a, 0], out[s - lo, a, 1] = 1.0 - ill, ill
    return 0


@filler(REWARD)
def reward(h, population, shared, theta, out):
    for s in range(2):
        for a in range(2):
            out[s, a] = -shared[0] * s - shared[1] * a
    return 0


@filler(REWARD)
def reward_own(h, population, shared, theta, out):
    for s in range(2):
        for a in range(2):
            out[s, a] = -theta[theta.size - 1] * s - shared[1] * a
    return 0
