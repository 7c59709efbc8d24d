"""Cells: pairs (h, s) of a step and a state, and which of them a cover of the policy space needs.

A cell *moves a density* when a change of ``pi_h(.|s)`` can change the population of some model, at some step. Others
need no cover: all models conditioned on a policy are what they are without them. None do

* of the last step, nor of states with one legal action,
* that nobody reaches, in any model and whatever the policies: at the first step known from the start distribution,
  later from where rows can lead,
* whose rows are the same for every legal action in every model, whatever the population.

The last two are claims about all populations, which no sample of them proves. They are made where they can be: *static*
classes (compiled, ``aux_size == 0``: what fills rows never sees the population) are looked through, model by model;
sparse rows lead to the states of their table and no others; factored rows are the same where all actions move alike;
classes may declare more (`ModelClass.equal_rows`: linear ones whose features are alike, and routing games do). For
others, games of NumPy functions first of all, the cells that matter may be given (`PolicyCover`).

Games that see the joint population see the last step's policy as well, and every choice that somebody makes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastmfg.games.checks import Integers
from fastmfg.games.compiled import CompiledSource
from fastmfg.games.model_class import ModelClass

MOST_ENTRIES = 200_000_000
"""Row entries (M H S A S) of a static class that are looked through, at most; of larger ones less is known."""


def moving_cells(models: ModelClass) -> Integers:
    """Cells (h, s) [C, 2] that move a density, or may."""
    reached, same = _followed(models)
    moving = reached & (models.common.legal.sum(axis=1) > 1)
    if not models.joint:
        moving[-1] = False
        moving &= ~same
    return np.ascontiguousarray(np.argwhere(moving), dtype=np.int64).reshape(-1, 2)


def _followed(models: ModelClass) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Cells that somebody may reach, and cells known to have the same rows for every legal action, [H, S]."""
    H, S = models.horizon, models.n_states
    legal = models.common.legal
    same = _known_same_rows(models)
    reached = np.zeros((H, S), dtype=np.bool_)
    reached[0] = models.common.initial > 0
    static = _static(models)
    table = _table_support(models)
    for h in range(H - 1):
        support = table
        if static:
            support, alike = _rows_of_step(models, h)
            same[h] |= alike
        if support is None:
            reached[h + 1] = True
        else:
            reached[h + 1] = support[reached[h]][legal[reached[h]]].any(axis=0)
    return reached, same


def _static(models: ModelClass) -> bool:
    """Whether rows are known not to depend on the population, and few enough to be looked through."""
    entries = len(models) * models.horizon * models.n_states**2 * models.n_actions
    return isinstance(models.source, CompiledSource) and models.aux_size == 0 and entries <= MOST_ENTRIES


def _known_same_rows(models: ModelClass) -> NDArray[np.bool_]:
    """What is declared, and what moves alike, [H, S]; a fresh array."""
    same = np.zeros((models.horizon, models.n_states), dtype=np.bool_)
    if models.equal_rows is not None:
        same |= models.equal_rows
    moves, legal = models.common.moves, models.common.legal
    if moves.size:
        first = moves[np.arange(len(moves)), legal.argmax(axis=1)]
        same |= ((moves == first[:, None]) | ~legal).all(axis=1)
    return same


def _table_support(models: ModelClass) -> NDArray[np.bool_] | None:
    """States [S, A, S] that sparse rows can lead to; None where rows are dense, or the table would be large."""
    common = models.common
    S, A = common.legal.shape
    if not common.successors.size or S * A * S > MOST_ENTRIES:
        return None
    leads = common.successors[common.moves, 0] if common.moves.size else common.successors  # [S, A, K]
    support = np.zeros((S, A, S), dtype=np.bool_)
    np.put_along_axis(support, leads, True, axis=2)
    return support


def _rows_of_step(models: ModelClass, h: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of a static class: where rows lead in some model [S, A, S]; states with one row for all legal actions [S]."""
    S, A = models.common.legal.shape
    legal = models.common.legal
    anybody = models.population_at_start()
    support, alike = np.zeros((S, A, S), dtype=np.bool_), np.ones(S, dtype=np.bool_)
    for member in range(len(models)):
        rows = models.transition_at(member, h, anybody)
        support |= rows > 0
        first = rows[np.arange(S), legal.argmax(axis=1)]
        alike &= ((rows == first[:, None]).all(axis=2) | ~legal).all(axis=1)
    return support, alike
