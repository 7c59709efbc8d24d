"""Rows that stand in a table: a model's own ``[T, S, R, K]``, T = H or 1, or one step's table left in `aux`.

R rows a state: one an action, or a single one for the noise of a factored family.
"""

from fastmfg.kernels.jit import FILL, PREPARE, filler, inline
from fastmfg.kernels.views import part


@filler(PREPARE)
def prepare(h, population, shared, theta, aux):
    return 0


@inline
def _copy(source, start, out):
    target, stored = part(out, 0, (out.size,)), part(source, start, (out.size,))
    for k in range(target.size):
        target[k] = stored[k]


@filler(FILL)
def fill(h, aux, shared, theta, lo, hi, out):
    """`shared`: S; `theta`: one model's table, flat, perhaps with a few numbers for its reward behind it."""
    row = out.shape[1] * out.shape[2]
    step = h if theta.size >= 2 * int(shared[0]) * row else 0
    _copy(theta, (step * int(shared[0]) + lo) * row, out)
    return 0


@filler(FILL)
def fill_from_aux(h, aux, shared, theta, lo, hi, out):
    """`aux` is the step's table, flat: for games given as Python functions."""
    _copy(aux, lo * out.shape[1] * out.shape[2], out)
    return 0
