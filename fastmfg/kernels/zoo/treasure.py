"""Conservative treasure hunting: who leaves the crowd's ways is scattered.

``D_s = sum_{x,a} (L(x,a) - 1{x=a=s})^2``, L the joint density; at steps h >= 1

    P(s'|s,a,L) = (1{s'=a} + c D_s) / (1 + n c D_s),  c = scatter of step h;    r(s,a,L) = 1{s=a} worth_s (1 - D_s/2)

and at step 0 ``P = 1{s'=a}``, ``r = 0``. `shared`: worth [n]; `theta`: scatter [H-1]; `aux`: c D [n].
"""

from fastmfg.kernels.jit import FILL, PREPARE, REWARD, filler, inline


@inline
def _squares(population):
    total = 0.0
    for i in range(population.size):
        total += population[i] * population[i]
    return total


@inline
def _distance(population, squares, n, s):
    """D_s; never negative, which rounding could make it where all are at s."""
    here = population[s * n + s]
    return max(squares - here * here + (1.0 - here) * (1.0 - here), 0.0)


@filler(PREPARE)
def prepare(h, population, shared, theta, aux):
    n = aux.size
    squares = _squares(population)
    for s in range(n):
        aux[s] = theta[h - 1] * _distance(population, squares, n, s) if h > 0 else 0.0
    return 0


@filler(FILL)
def fill(h, aux, shared, theta, lo, hi, out):
    n = aux.size
    for s in range(hi - lo):
        scale = 1.0 / (1.0 + n * aux[lo + s])
        scattered = aux[lo + s] * scale
        for a in range(n):
            row = out[s, a]
            for x in range(n):
                row[x] = scattered
            row[a] += scale
    return 0


@filler(REWARD)
def reward(h, population, shared, theta, out):
    n = out.shape[0]
    out[:] = 0.0
    if h > 0:
        squares = _squares(population)
        for s in range(n):
            out[s, s] = shared[s] * (1.0 - 0.5 * _distance(population, squares, n, s))
    return 0
