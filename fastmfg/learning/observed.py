"""Whole transition rows of candidate models at what was observed: for statistics that need more than a likelihood."""

from __future__ import annotations

import numpy as np

from fastmfg.comparing.conditional import ConditionalClass
from fastmfg.games.checks import Floats, Integers
from fastmfg.games.rows import places_of
from fastmfg.kernels import crowd as kernels
from fastmfg.learning.likelihood import Transitions


def observed_rows(conditional: ConditionalClass, positions: Integers, data: Transitions) -> tuple[Floats, Integers]:
    """Rows [n, T, K] of T transitions in the models at these positions, and which entry [T] was observed.

    -1: a state that none of the models' rows lead to.
    """
    f, common = conditional.models, conditional.models.common
    places = places_of(common, data.state, data.action)
    rows = np.empty((positions.size, places.size, f.row_length))
    status = kernels.gather_rows(
        f.fill, common, f.thetas, conditional.members[positions], conditional.aux[positions], data.step, data.step,
        places, rows,
    )  # fmt: skip
    f.refuse_status(status, "weighing evidence")
    if not common.successors.size:
        return rows, data.successor
    hits = common.successors.reshape(-1, f.row_length)[places] == data.successor[:, None]
    return rows, np.where(hits.any(axis=1), hits.argmax(axis=1), -1)


def observed_probability(rows: Floats, entry: Integers) -> Floats:
    """Probability [n, T] of what was observed; 0 where it is in no row."""
    probability: Floats = np.where(entry >= 0, rows[:, np.arange(entry.size), entry], 0.0)
    return probability
