"""Routing on links that slow down as they fill up (Cabannes et al. 2021; Bureau of Public Roads 1964).

``steps(l) = free(l) (1 + a(l) (volume(l) / capacity(l))^b(l)) / time_step``, kept within [1, longest]; ``volume(l)`` is
`demand` times the mass of agents on link l. `theta`: free, capacity, a, b, [4, L].

`shared`: L, longest, H, time_step, demand, late_penalty, then the place of every state: l where an agent has just
entered link l, L + l where it waits on it, 2L at an origin, 2L + 1 once arrived.
"""

import numpy as np

from fastmfg.kernels.jit import FILL, PREPARE, REWARD, filler

HEAD = 6
"""Numbers of `shared` before the places."""


@filler(PREPARE)
def prepare(h, population, shared, theta, aux):
    """``aux [L]``: steps that a link takes who enters it now; a whole number of them is drawn, see `fill`."""
    L, longest, time_step, demand = int(shared[0]), shared[1], shared[3], shared[4]
    for link in range(L):
        aux[link] = 0.0
    for s in range(population.size):
        place = int(shared[HEAD + s])
        if place < 2 * L:
            aux[place % L] += population[s]
    for link in range(L):
        free, capacity, a, b = theta[link], theta[L + link], theta[2 * L + link], theta[3 * L + link]
        delay = a * (demand * aux[link] / capacity) ** b if a > 0.0 else 0.0
        aux[link] = min(max(free * (1.0 + delay) / time_step, 1.0), longest)
    return 0


@filler(FILL)
def fill(h, aux, shared, theta, lo, hi, out):
    """Entry 0 goes where the action says; entry k of a state just entered waits there for k - 1 steps more.

    A link that takes n + f steps, 0 <= f < 1, takes n with probability 1 - f and n + 1 with probability f.
    """
    L = int(shared[0])
    for s in range(lo, hi):
        place = int(shared[HEAD + s])
        steps = aux[place] if place < L else 1.0
        n = int(np.floor(steps))
        f = steps - n
        for a in range(out.shape[1]):
            row = out[s - lo, a]
            for k in range(row.size):
                row[k] = 0.0
            row[n - 1] = 1.0 - f
            if f > 0.0:
                row[n] = f
    return 0


@filler(REWARD)
def reward(h, population, shared, theta, out):
    """A step under way costs time_step (step 0, when nobody is on a link yet, nothing); being late, the penalty."""
    arrived = 2 * int(shared[0]) + 1
    cost = shared[3] if h > 0 else 0.0
    if h + 1 == int(shared[2]):
        cost += shared[5]
    for s in range(out.shape[0]):
        value = 0.0 if int(shared[HEAD + s]) == arrived else -cost
        for a in range(out.shape[1]):
            out[s, a] = value
    return 0
