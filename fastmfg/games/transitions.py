"""How a class's rows are passed through: the form they take, and the tables that loops over states read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastmfg.games.checks import Integers
from fastmfg.kernels import backward, forward
from fastmfg.kernels.forms import Form, Links, Transitions
from fastmfg.kernels.jit import Common, Filler
from fastmfg.kernels.segments import NO_SEGMENTS, Segments

DENSE = Form(
    forward.send_dense, forward.send_dense, backward.expect_dense, backward.expect_dense,
    factored=False, send_pulls=False, carry_pulls=False,
)  # fmt: skip
SPARSE = Form(
    forward.send_sparse, forward.send_sparse, backward.expect_sparse, backward.expect_sparse,
    factored=False, send_pulls=False, carry_pulls=False,
)  # fmt: skip
FACTORED = Form(
    forward.send_moves, forward.carry_noise, backward.average_noise, backward.expect_moves,
    factored=True, send_pulls=False, carry_pulls=False,
)  # fmt: skip
SPARSE_ALONG = Form(
    forward.pull_rows, forward.pull_rows, backward.expect_along, backward.expect_along,
    factored=False, send_pulls=True, carry_pulls=False,
)  # fmt: skip
MOVES_ALONG = Form(
    forward.pull_rows, forward.carry_noise, backward.average_noise, backward.expect_along,
    factored=True, send_pulls=True, carry_pulls=False,
)  # fmt: skip
ALL_ALONG = Form(
    forward.pull_rows, forward.pull_noise, backward.average_along, backward.expect_along,
    factored=True, send_pulls=True, carry_pulls=True,
)  # fmt: skip
"""The forms of rows; a step that a form never takes repeats another, which is compiled anyway."""


def transitions_of(
    prepare: Filler, fill: Filler, common: Common, rows: Segments = NO_SEGMENTS, noise: Segments = NO_SEGMENTS
) -> Transitions:
    """Bring rows into the form that passes read: along the segments given, or by tables of indices."""
    factored, along = common.moves.size > 0, rows.start.size > 0
    if not common.successors.size:
        form = DENSE
    elif factored:
        form = FACTORED if not along else ALL_ALONG if noise.start.size else MOVES_ALONG
    else:
        form = SPARSE_ALONG if along else SPARSE
    moves, places = common.moves[:0], common.moves[:0]
    if factored:  # what is in segments needs no table
        moves = moves if along else common.moves
        places = places if noise.start.size else common.successors[:, 0]
    legal = common.legal[:0] if common.legal.all() else common.legal
    links = Links(_by_state(moves), _by_state(places), rows, noise)
    return Transitions(prepare, fill, common, form, links, np.ascontiguousarray(legal.T))


def _by_state(table: Integers) -> NDArray[np.int32]:
    return np.ascontiguousarray(table.T, dtype=np.int32)
