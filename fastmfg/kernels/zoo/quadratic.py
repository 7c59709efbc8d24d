"""Linear-quadratic game: states x = -L..L, actions a = -M..M, m the mean of the crowd's states.

    x' = x + (k (m - x) + a) D + sigma e sqrt(D), to the nearest state;    e = j w, j = -3..3, weights exp(-e^2/2)
    r = D (-a^2/2 + q a (m - x) - kappa/2 (m - x)^2), at the last step -c/2 (m - x)^2

`theta`: k, sigma, w; `shared`: H, L, M, D, q, kappa, c; `aux`: m.
"""

import numpy as np

from fastmfg.kernels.jit import FILL, PREPARE, REWARD, filler, inline

POINTS = 3
"""Values of the noise to either side of 0."""

TIE = 1e-9
"""As near to the middle of two states as this is the middle: rounding must not decide."""


@inline
def _mean(population, L):
    m = 0.0
    for s in range(population.size):
        m += population[s] * (s - L)
    return m


@inline
def _nearest(x, L):
    """The index of the state nearest to x, of two as near the even one."""
    if not abs(x) < L:
        return 2 * L if x > 0.0 else 0
    below = np.floor(x)
    part = x - below
    if abs(part - 0.5) <= TIE:
        up = below % 2.0 != 0.0
    else:
        up = part > 0.5
    return int(below) + L + (1 if up else 0)


@filler(PREPARE)
def prepare(h, population, shared, theta, aux):
    aux[0] = _mean(population, int(shared[1]))
    return 0


@filler(FILL)
def fill(h, aux, shared, theta, lo, hi, out):
    L, M, D = int(shared[1]), int(shared[2]), shared[3]
    k, sigma, width = theta[0], theta[1], theta[2]
    weights = np.empty(2 * POINTS + 1)
    for j in range(weights.size):
        weights[j] = np.exp(-0.5 * ((j - POINTS) * width) ** 2)
    weights /= weights.sum()
    push = sigma * width * np.sqrt(D)
    for s in range(lo, hi):
        x = s - L
        for a in range(out.shape[1]):
            row = out[s - lo, a]
            row[:] = 0.0
            centre = x + (k * (aux[0] - x) + (a - M)) * D
            for j in range(weights.size):
                row[_nearest(centre + (j - POINTS) * push, L)] += weights[j]
    return 0


@filler(REWARD)
def reward(h, population, shared, theta, out):
    H, L, M, D = int(shared[0]), int(shared[1]), int(shared[2]), shared[3]
    q, kappa, c = shared[4], shared[5], shared[6]
    m = _mean(population, L)
    for s in range(out.shape[0]):
        away = m - (s - L)
        for a in range(out.shape[1]):
            move = a - M
            if h + 1 == H:
                out[s, a] = -0.5 * c * away * away
            else:
                out[s, a] = D * (-0.5 * move * move + q * move * away - 0.5 * kappa * away * away)
    return 0
