"""Moves that may fail: an agent reaches the cell t it heads for with a chance the crowd there decides, or stays.

``q(x) = min(1, max(0, chance + gain mu(x)))``; ``P(t|s,a) = q(t)``, ``P(s|s,a) = 1 - q(t)``, t = target(s,a), and
``P(s|s,a) = 1`` where t = s. ``r(s,a) = base(s,a) + slope(s) mu(s)``.

Rows are sparse: entry 0 stays, entry 1 arrives. `shared` holds, flat and in this order: target [S,A], base [S,A],
slope [S]; `theta` is (chance, gain); `aux` is q [S].
"""

from fastmfg.kernels.jit import FILL, PREPARE, REWARD, filler, inline, part_of


@filler(PREPARE)
def prepare(h, population, shared, theta, aux):
    chance, gain = theta[0], theta[1]
    for x in range(aux.size):
        aux[x] = min(1.0, max(0.0, chance + gain * population[x]))
    return 0


@filler(FILL)
def fill(h, aux, shared, theta, lo, hi, out):
    A = out.shape[1]
    targets = shared[lo * A : hi * A]
    for s in range(lo, hi):
        for a in range(A):
            t = int(targets[(s - lo) * A + a])
            q = aux[t] if t != s else 0.0
            out[s - lo, a, 0] = 1.0 - q
            out[s - lo, a, 1] = q
    return 0


@inline
def _reward(population, shared, lo, hi, out):
    """Rewards of the states lo..hi-1 into ``out[a, s - lo]``."""
    S, A = population.size, out.shape[0]
    base, slope = shared[S * A : 2 * S * A], shared[2 * S * A :]
    for s in range(lo, hi):
        crowd = slope[s] * population[s]
        for a in range(A):
            out[a, s - lo] = base[s * A + a] + crowd


@filler(REWARD)
def reward(h, population, shared, theta, out):
    _reward(population, shared, 0, out.shape[0], out.T)
    return 0


@part_of(reward)
def reward_part(h, population, shared, theta, lo, hi, out):
    _reward(population, shared, lo, hi, out)
    return 0
