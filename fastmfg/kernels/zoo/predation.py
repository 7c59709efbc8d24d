"""Populations on one grid that chase, flee and jostle one another: a lift of W types with n cells each.

State ``w n + x`` is an agent of population w at cell x; ``mu_w(x) = W population[w n + x]``. After its move an agent is
carried on by noise with probability

    p_w(x, mu) = min(1, noise_w + jostling_w sum_v mu_v(x)),

to where ``drift[x]`` says; ``r_w(x, mu) = place_w(x) - congestion_w log(mu_w(x) + epsilon) + sum_v attraction[w,v]
mu_v(x)``.

Rows are those of noise (factored). `shared` holds, flat and in this order: W, n, K, epsilon, congestion [W], attraction
[W,W], place [W,n], own [n,K] (1 where an entry is the cell itself), drift [n,K]; `theta` is (noise_w, jostling_w) for
each population; `aux` is p [W n].
"""

import numpy as np

from fastmfg.kernels.elementary import log_row
from fastmfg.kernels.jit import FILL, PREPARE, REWARD, filler, inline

HEAD = 4
"""Numbers before the tables in `shared`."""


@inline
def crowd_at(population, W, n, x):
    """``sum_v mu_v(x)``."""
    total = 0.0
    for v in range(W):
        total += population[v * n + x]
    return W * total


@filler(PREPARE)
def prepare(h, population, shared, theta, aux):
    W, n = int(shared[0]), int(shared[1])
    for x in range(n):
        crowd = crowd_at(population, W, n, x)
        for w in range(W):
            aux[w * n + x] = min(1.0, theta[2 * w] + theta[2 * w + 1] * crowd)
    return 0


@filler(FILL)
def fill(h, aux, shared, theta, lo, hi, out):
    W, n, K = int(shared[0]), int(shared[1]), int(shared[2])
    start = HEAD + W + W * W + W * n
    own, drift = shared[start : start + n * K], shared[start + n * K : start + 2 * n * K]
    x = lo % n
    for s in range(lo, hi):
        p, row = aux[s], out[s - lo, 0]
        for k in range(K):
            row[k] = (1.0 - p) * own[x * K + k] + p * drift[x * K + k]
        x += 1
        if x == n:
            x = 0
    return 0


@filler(REWARD)
def reward(h, population, shared, theta, out):
    W, n, epsilon = int(shared[0]), int(shared[1]), shared[3]
    A = out.shape[1]
    congestion, attraction = shared[HEAD : HEAD + W], shared[HEAD + W : HEAD + W + W * W]
    place = shared[HEAD + W + W * W :]
    scaled, logs = np.empty(n), np.zeros(n)
    for w in range(W):
        if congestion[w] != 0.0:
            own = population[w * n : (w + 1) * n]
            for x in range(n):
                scaled[x] = W * own[x]
            log_row(scaled, epsilon, logs)
        for x in range(n):
            value = place[w * n + x] - congestion[w] * logs[x]
            for v in range(W):
                value += attraction[w * W + v] * (W * population[v * n + x])
            for a in range(A):
                out[w * n + x, a] = value
    return 0
