"""Crowd motion: ``r_h(s, mu) = base_h(s) - log(mu(s) + epsilon)``, how good a place is changes from step to step.

`shared`: S, epsilon, base [H, S]. The rows are those of `table`.
"""

import numpy as np

from fastmfg.kernels.elementary import log_row
from fastmfg.kernels.jit import REWARD, filler

BLOCK = 256
"""States whose logarithms are taken in one loop."""


@filler(REWARD)
def reward(h, population, shared, theta, out):
    S = out.shape[0]
    base = shared[2 + h * S : 2 + (h + 1) * S]
    logs = np.empty(BLOCK)
    for lo in range(0, S, BLOCK):
        part = out[lo : lo + BLOCK]
        n = part.shape[0]
        log_row(population[lo : lo + n], shared[1], logs[:n])
        for s in range(n):
            for a in range(part.shape[1]):
                part[s, a] = base[lo + s] - logs[s]
    return 0
