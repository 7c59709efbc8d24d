"""Building evacuation: ``r(s, mu) = bonus 1{s on the lowest floor} - eta log(max(mu(s), epsilon))``.

`shared`: S, cells of a floor, bonus, eta, epsilon. Moves are certain: the rows are those of `table`.
"""

import numpy as np

from fastmfg.kernels.elementary import log_row
from fastmfg.kernels.jit import REWARD, filler, inline, part_of

BLOCK = 256
"""States whose logarithms are taken in one loop."""


@inline
def _reward(population, shared, lo, hi, out):
    """Rewards of the states lo..hi-1 into ``out[a, s - lo]``."""
    cells, bonus, eta, epsilon = int(shared[1]), shared[2], shared[3], shared[4]
    seen, logs = np.empty(BLOCK), np.empty(BLOCK)
    for start in range(lo, hi, BLOCK):
        n = min(hi - start, BLOCK)
        for i in range(n):
            mu = population[start + i]
            seen[i] = mu if mu > epsilon else epsilon
        log_row(seen[:n], 0.0, logs[:n])
        for a in range(out.shape[0]):
            target = out[a, start - lo : start - lo + n]
            for i in range(n):
                target[i] = (bonus if start + i < cells else 0.0) - eta * logs[i]


@filler(REWARD)
def reward(h, population, shared, theta, out):
    _reward(population, shared, 0, out.shape[0], out.T)
    return 0


@part_of(reward)
def reward_part(h, population, shared, theta, lo, hi, out):
    _reward(population, shared, lo, hi, out)
    return 0
