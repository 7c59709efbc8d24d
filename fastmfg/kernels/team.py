"""A team: the same kernel called by several threads at once, each with its rank, meeting at barriers.

Work is cut into parts by size alone, and part p belongs to the member ``p % members``: results are the same bytes for
any number of members, one included. A member never leaves early, or the others would wait for ever: it notes a fault
and goes on with rubbish until all are done.
"""

import os

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastmfg.kernels.jit import inline

ARRIVED, FAULT = 0, 1
"""Places in ``sync [2]``: how often members arrived at barriers so far, and the first fault noted."""

PATIENCE = 50
"""Looks at the counter before a waiting thread offers its core to others."""

if os.name == "posix":
    _yield_core = types.ExternalFunction("sched_yield", types.int32())
else:

    @inline
    def _yield_core():
        return 0


def new_sync():
    return np.zeros(2, np.int64)


@intrinsic
def _add(typing, array, place, value):
    """Adds to an int64 array's entry at once for all threads; what stood there before."""

    def build(context, builder, signature, args):
        data = cgutils.create_struct_proxy(signature.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("add", builder.gep(data, [args[1]]), args[2], "seq_cst")

    return types.int64(array, types.int64, types.int64), build


@inline
def note(sync, status):
    """Keeps a fault; of several members' one stays."""
    if status != 0 and _add(sync, FAULT, 0) == 0:
        sync[FAULT] = status


@inline
def barrier(sync, members):
    """Waits until all members are here; what they wrote is seen by all."""
    if members == 1:
        return
    ticket = _add(sync, ARRIVED, 1)
    goal = (ticket // members + 1) * members
    looks = 0
    while _add(sync, ARRIVED, 0) < goal:
        looks += 1
        if looks > PATIENCE:
            _yield_core()
