"""What passes through a game are made of: the forms that transition rows take, as units compiled one by one.

A *form* is how a family's rows stand: dense, sparse, or factored (`fastmfg.kernels.rows`), read from tables of indices
or along segments (`fastmfg.kernels.segments`). It consists of the same few steps in each:

    send(...)     sends the crowd of some states on: to where rows lead, of factored rows to where moves lead
    carry(...)    (factored) sends the moved crowd to where noise carries it
    average(...)  (factored) averages values over the noise of some states
    expect(...)   adds the values expected a step later to Q of some states

`fastmfg.kernels.forward` and `fastmfg.kernels.backward` hold them. Kernels receive a form's units as pointers, so that
one kernel serves all forms, and a run compiles the forms it meets.
"""

from typing import NamedTuple

import numpy as np
from numba import types

from fastmfg.kernels.jit import B2, COMMON, F1, F2, F3, F4, FILL, I1, PREPARE, Common, FunctionPointer, Unit, b1, f8, i8
from fastmfg.kernels.segments import SEGMENTS, Segments

SHORT2 = types.int32[:, ::1]


class Links(NamedTuple):
    """Where moves and noise lead, action by action; the segments by target (forwards) or by source (backwards)."""

    moves: np.ndarray  # [A, S] int32   of a factored game; empty for others, and where there are segments
    places: np.ndarray  # [Kn, S] int32   where noise leads; likewise
    rows: Segments  # of sparse rows, or of a factored game's moves; empty where runs are short
    noise: Segments  # of a factored game's noise; only where its moves are in segments too


class Model(NamedTuple):
    """One model's rows: the compiled function that fills them, and what it reads."""

    fill: object
    common: Common
    theta: np.ndarray  # [*]


LINKS = types.NamedTuple((SHORT2, SHORT2, SEGMENTS, SEGMENTS), Links)
MODEL = types.NamedTuple((FILL, COMMON, F1), Model)

SEND = FunctionPointer(i8(MODEL, i8, F1, LINKS, F1, f8[:, :], i8, i8, F3, F3, b1, I1, F1))
"""``(model, h, aux, links, mu, pi [A, S], lo, hi, tile, rows, check, fault, out [S])``, the first nonzero status.

The crowd ``mu`` of the states lo..hi-1 is sent to ``out``, which is written whole; forms that pull write the *targets*
lo..hi-1 instead. Rows are left in ``rows [hi-lo, A, K]`` where that is not empty. With `check` each row must be a
distribution, else ``fault [5]`` holds code, detail, state, action.
"""

EXPECT = FunctionPointer(i8(MODEL, i8, F1, LINKS, F2, i8, i8, F3, F3, F3))
"""``(model, h, aux, links, V [J, S], lo, hi, tile, rows, q [J, A, hi-lo])``, the first nonzero status.

Adds the expectation of J values at once. ``rows`` holds the rows of the states lo..hi-1, or is empty. An *average* has
the same type and writes the means over noise into ``q [J, 1, S]``.
"""


class Form(NamedTuple):
    """The steps of a form of rows."""

    send: Unit
    carry: Unit
    average: Unit
    expect: Unit
    factored: bool  # noise follows moves
    send_pulls: bool  # `send` writes targets, not what sources give
    carry_pulls: bool


FORM = types.NamedTuple((SEND, SEND, EXPECT, EXPECT, b1, b1, b1), Form)


class Transitions(NamedTuple):
    """Where rows come from and where they lead: what every pass through a family reads."""

    prepare: object
    fill: object
    common: Common
    form: Form
    links: Links  # of a pass forwards; where there are segments, a pass back has others
    legal: np.ndarray  # [A, S]   empty where all actions are legal everywhere


class Pairs(NamedTuple):
    """n (model, policy) pairs, each by the two's indices."""

    thetas: np.ndarray  # [M, *]
    members: np.ndarray  # [n]   of thetas
    policies: np.ndarray  # [P, H, S, A]
    policy_of: np.ndarray  # [n]   of policies
    rows: np.ndarray  # [H - 1, S, A, K]   of one pair: kept from its pass forwards for the pass back; else empty


TRANSITIONS = types.NamedTuple((PREPARE, FILL, COMMON, FORM, LINKS, B2), Transitions)
PAIRS = types.NamedTuple((F2, I1, F4, I1, F4), Pairs)

NO_ROWS = np.empty((0, 0, 0, 0))
