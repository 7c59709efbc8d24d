"""Crowd motion: ``r_h(s, mu) = base_h(s) - log(mu(s) + epsilon)``, how good a place is changes from step to step.

`shared`: S, epsilon, base [H, S]. The rows are those of `table`.
"""

import numpy as np

from fastmfg.kernels.elementary import log_row
from fastmfg.kernels.jit import REWARD, filler, inline, part_of

BLOCK = 256
"""States whose logarithms are taken in one loop."""


@inline
def _reward(h, population, shared, lo, hi, out):
    """Rewards of the states lo..hi-1 into ``out[a, s - lo]``."""
    S = int(shared[0])
    base = shared[2 + h * S : 2 + (h + 1) * S]
    logs = np.empty(BLOCK)
    for start in range(lo, hi, BLOCK):
        end = min(hi, start + BLOCK)
        place, log = base[start:end], logs[: end - start]
        log_row(population[start:end], shared[1], log)
        for a in range(out.shape[0]):
            target = out[a, start - lo : end - lo]
            for i in range(target.size):
                target[i] = place[i] - log[i]


@filler(REWARD)
def reward(h, population, shared, theta, out):
    _reward(h, population, shared, 0, out.shape[0], out.T)
    return 0


@part_of(reward)
def reward_part(h, population, shared, theta, lo, hi, out):
    _reward(h, population, shared, lo, hi, out)
    return 0
