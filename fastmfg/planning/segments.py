"""Rows, moves and noise of a game as segments, where they are worth it (`fastmfg.kernels.segments`)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastmfg.games.checks import Floats, Integers
from fastmfg.games.model_class import ModelClass
from fastmfg.kernels import table
from fastmfg.kernels.segments import BLOCK, NO_SEGMENTS, Segments

SHORTEST = 6
"""Mean length of segments that is worth it: below it tables of indices are as fast."""

MOST_OFFSETS = 64
"""Different ways from a state to where noise leads it, at most."""


class Run(NamedTuple):
    """Runs of one action, or of one kind of noise."""

    action: int  # 0 for noise
    source: Integers  # [k]
    target: Integers  # [k]
    length: Integers  # [k]
    weight: Floats  # [k]

    def turned(self) -> Run:
        """With sources for targets."""
        return Run(self.action, self.target, self.source, self.length, self.weight)


def row_segments(models: ModelClass, member: int) -> tuple[Segments, Segments]:
    """Rows of a sparse game, or moves of a factored one, by the states they lead to and by those they start from.

    None where steps or populations change them, or runs are short.
    """
    moves, S, A = models.common.moves, models.n_states, models.n_actions
    if moves.size:
        runs = [_runs(a, np.arange(S), moves[:, a], np.ones(S)) for a in range(A)]
        return _both_ways(runs, S * A, S)
    rows = _fixed_rows(models, member)
    if rows is None or not models.common.successors.size:
        return NO_SEGMENTS, NO_SEGMENTS
    places, chances = models.common.successors, rows.reshape(S, A, -1)
    by_action = [_offset_runs(a, places[:, a], chances[:, a]) for a in range(A)]
    return _both_ways(None if None in by_action else [run for runs in by_action for run in runs or ()], rows.size, S)


def noise_segments(models: ModelClass, member: int) -> tuple[Segments, Segments]:
    """Noise by the states it leads to and by those it starts from; none where steps or populations change it."""
    rows = _fixed_rows(models, member)
    if rows is None or not models.common.moves.size:
        return NO_SEGMENTS, NO_SEGMENTS
    places = models.common.successors[:, 0]
    return _both_ways(_offset_runs(0, places, rows.reshape(places.shape)), rows.size, models.n_states)


def _fixed_rows(models: ModelClass, member: int) -> Floats | None:
    """Rows that stand in a table of one step for all, flat."""
    size = models.n_states * models.row_length * (1 if models.common.moves.size else models.n_actions)
    theta = models.thetas[member]
    return theta[:size] if models.fill is table.fill else None


def _offset_runs(action: int, places: Integers, chances: Floats) -> list[Run] | None:
    """Runs of rows ``[S, K]``; None where they lead to too many different offsets."""
    offsets = places - np.arange(len(places))[:, None]
    kinds = np.unique(offsets[chances > 0])
    if kinds.size > MOST_OFFSETS:
        return None
    runs = []
    for offset in kinds:
        chance = (chances * (offsets == offset)).sum(axis=1)  # one entry of a row at most: its places differ
        states = np.flatnonzero(chance)
        runs.append(_runs(action, states, states + offset, chance[states]))
    return runs


def _both_ways(runs: list[Run] | None, entries: int, n_states: int) -> tuple[Segments, Segments]:
    """Segments of runs and of the runs turned, where they are worth it."""
    if runs is None or entries < SHORTEST * sum(run.source.size for run in runs):
        return NO_SEGMENTS, NO_SEGMENTS
    return _segments(runs, n_states), _segments([run.turned() for run in runs], n_states)


def _runs(action: int, source: Integers, target: Integers, weight: Floats) -> Run:
    """Runs along which both sources and targets grow by one, all of one weight."""
    begins = np.flatnonzero((np.diff(source) != 1) | (np.diff(target) != 1) | (np.diff(weight) != 0.0)) + 1
    first = np.concatenate([[0], begins])
    return Run(action, source[first], target[first], np.diff(np.append(first, source.size)), weight[first])


def _segments(runs: list[Run], n_states: int) -> Segments:
    """Runs cut at the borders of blocks of targets and sorted by them; within a block in the order given."""
    actions, *parts = zip(*runs, strict=True)
    source, target, length, weight = (np.concatenate(values) for values in parts)
    action = np.repeat(actions, [run.source.size for run in runs])
    pieces = (target + length - 1) // BLOCK - target // BLOCK + 1
    whole = np.repeat(np.arange(source.size), pieces)
    block = target[whole] // BLOCK + np.arange(whole.size) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    first = np.maximum(block * BLOCK, target[whole])
    end = np.minimum((block + 1) * BLOCK, (target + length)[whole])
    order = np.argsort(block, kind="stable")
    whole, first, end = whole[order], first[order], end[order]
    return Segments(
        start=np.searchsorted(block[order], np.arange(-(-n_states // BLOCK) + 1)),
        runs=np.stack([action[whole], first, source[whole] + first - target[whole], end - first], axis=1),
        weight=weight[whole],
    )
