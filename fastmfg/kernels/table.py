"""Rows that stand in a table: a model's own ``[H, S, A, S]``, or one step's table left in `aux`."""

from fastmfg.kernels.jit import FILL, PREPARE, filler


@filler(PREPARE)
def prepare(h, population, shared, theta, aux):
    return 0


@filler(FILL)
def fill(h, aux, shared, theta, lo, hi, out):
    """`theta` is one model's table, flat."""
    row = out[0, 0].size * out.shape[1]
    start = (h * int(shared[0]) + lo) * row
    for s in range(hi - lo):
        for a in range(out.shape[1]):
            target = out[s, a]
            source = theta[start + s * row + a * target.size : start + s * row + (a + 1) * target.size]
            for x in range(target.size):
                target[x] = source[x]
    return 0


@filler(FILL)
def fill_from_aux(h, aux, shared, theta, lo, hi, out):
    """`aux` is the step's table, flat: for games given as Python functions."""
    row = out[0, 0].size * out.shape[1]
    start = lo * row
    for s in range(hi - lo):
        for a in range(out.shape[1]):
            target = out[s, a]
            source = aux[start + s * row + a * target.size : start + s * row + (a + 1) * target.size]
            for x in range(target.size):
                target[x] = source[x]
    return 0
