"""Building evacuation: ``r(s, mu) = bonus 1{s on the lowest floor} - eta log(max(mu(s), epsilon))``.

`shared`: S, cells of a floor, bonus, eta, epsilon. Moves are certain: the rows are those of `table`.
"""

import numpy as np

from fastmfg.kernels.elementary import log_row
from fastmfg.kernels.jit import REWARD, filler

BLOCK = 256
"""States whose logarithms are taken in one loop."""


@filler(REWARD)
def reward(h, population, shared, theta, out):
    cells, bonus, eta, epsilon = int(shared[1]), shared[2], shared[3], shared[4]
    seen, logs = np.empty(BLOCK), np.empty(BLOCK)
    for lo in range(0, out.shape[0], BLOCK):
        part = out[lo : lo + BLOCK]
        n = part.shape[0]
        for s in range(n):
            seen[s] = max(population[lo + s], epsilon)
        log_row(seen[:n], 0.0, logs[:n])
        for s in range(n):
            value = (bonus if lo + s < cells else 0.0) - eta * logs[s]
            for a in range(part.shape[1]):
                part[s, a] = value
    return 0
