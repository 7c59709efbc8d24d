"""Rows that stand in a table: a model's own, of every step or of one step for all, or one step's left in `aux`.

R rows a state: one an action, or a single one for the noise of a factored class.
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
    """Copy from a table ``[S, R, K]`` of all steps, with which `theta` begins."""
    _copy(theta, lo * out.shape[1] * out.shape[2], out)
    return 0


@filler(FILL)
def fill_by_step(h, aux, shared, theta, lo, hi, out):
    """Copy from a table ``[H, S, R, K]``, with which `theta` begins; `shared` begins with S."""
    _copy(theta, (h * int(shared[0]) + lo) * out.shape[1] * out.shape[2], out)
    return 0


@filler(FILL)
def fill_from_aux(h, aux, shared, theta, lo, hi, out):
    """`aux` is the step's table, flat: for games given as Python functions."""
    _copy(aux, lo * out.shape[1] * out.shape[2], out)
    return 0


STORED = (fill, fill_by_step)
"""Fillers of tables that stand in `theta`."""
