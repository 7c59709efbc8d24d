"""A team: the same kernel called by several threads at once, which share its phases part by part.

A phase is cut into parts by size alone, and whoever is free claims the next: results are the same bytes for any number
of members, one included, and nobody waits for a thread that the machine does not run, unless it is within a part. All
members go through the same phases; one that comes late finds nothing to do in those that are over. Nobody leaves early,
or parts would be left undone: a fault is noted, and all go on with rubbish until the end.

``board [phases, 2]`` counts how many parts were claimed, and how many are done; it starts with zeros.
"""

import os

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastmfg.kernels.jit import inline

CLAIMED, DONE = 0, 1

PATIENCE = 50
"""Looks at the board before a waiting thread offers its core to others."""

if os.name == "posix":
    _yield_core = types.ExternalFunction("sched_yield", types.int32())
else:

    @inline
    def _yield_core():
        return 0


def new_fault():
    """Where members note faults: 0 is none."""
    return np.zeros(1, np.int64)


@intrinsic
def _add(typing, array, place, value):
    """Adds to an int64 array's entry at once for all threads; what stood there before."""

    def build(context, builder, signature, args):
        data = cgutils.create_struct_proxy(signature.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("add", builder.gep(data, [args[1]]), args[2], "seq_cst")

    return types.int64(array, types.int64, types.int64), build


@inline
def note(fault, status):
    """Keeps a fault; of several members' one stays."""
    if status != 0 and _add(fault, 0, 0) == 0:
        fault[0] = status


@inline
def claim(board, phase):
    """The next part of a phase; those from the number of parts on are none."""
    return _add(board[phase], CLAIMED, 1)


@inline
def claim_next(board, phase):
    """The same, when a part is done."""
    _add(board[phase], DONE, 1)
    return _add(board[phase], CLAIMED, 1)


@inline
def end_phase(board, phase, parts):
    """Waits until all parts of a phase are done, and what was written in them is seen; the next phase."""
    looks = 0
    while _add(board[phase], DONE, 0) < parts:
        looks += 1
        if looks > PATIENCE:
            _yield_core()
    return phase + 1
