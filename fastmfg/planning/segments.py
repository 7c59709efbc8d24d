"""A factored game's moves and noise as segments, where they are worth it (`fastmfg.kernels.segments`)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastmfg.games.checks import Floats, Integers
from fastmfg.games.family import CompiledFamily
from fastmfg.kernels import table
from fastmfg.kernels.segments import BLOCK, Segments

SHORTEST = 6
"""Mean length of segments that is worth it: below it tables of indices are as fast."""

MOST_OFFSETS = 64
"""Different ways from a state to where noise leads it, at most."""

_NONE = np.empty(0, dtype=np.int64)
NO_SEGMENTS = Segments(_NONE, _NONE, _NONE, _NONE, _NONE, np.empty(0))


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


def move_segments(family: CompiledFamily) -> tuple[Segments, Segments]:
    """Moves by the states they lead to, and by those they start from; none where runs are short."""
    moves, S = family.common.moves, family.n_states
    if not moves.size:
        return NO_SEGMENTS, NO_SEGMENTS
    runs = [_runs(a, np.arange(S), moves[:, a], np.ones(S)) for a in range(family.n_actions)]
    if _too_short(runs, S * family.n_actions):
        return NO_SEGMENTS, NO_SEGMENTS
    return _segments(runs, S), _segments([run.turned() for run in runs], S)


def noise_segments(family: CompiledFamily, member: int) -> tuple[Segments, Segments]:
    """Noise by the states it leads to, and by those it starts from; none where steps or populations change it."""
    S, K = family.n_states, family.row_length
    rows = family.thetas[member]
    if not family.common.moves.size or family.fill is not table.fill or rows.size >= 2 * S * K:
        return NO_SEGMENTS, NO_SEGMENTS
    places, chances = family.common.successors[:, 0], rows[: S * K].reshape(S, K)
    offsets = places - np.arange(S)[:, None]
    kinds = _few_values(offsets[chances > 0])
    if kinds is None:
        return NO_SEGMENTS, NO_SEGMENTS
    runs: list[Run] = []
    for offset in kinds:
        chance = (chances * (offsets == offset)).sum(axis=1)  # one entry of a row at most: its places differ
        states = np.flatnonzero(chance)
        runs.append(_runs(0, states, states + offset, chance[states]))
    if _too_short(runs, S * K):
        return NO_SEGMENTS, NO_SEGMENTS
    return _segments(runs, S), _segments([run.turned() for run in runs], S)


def _too_short(runs: list[Run], entries: int) -> bool:
    return entries < SHORTEST * sum(run.source.size for run in runs)


def _few_values(values: Integers) -> Integers | None:
    """The different values, sorted; None when they are too many."""
    found = np.unique(values)
    return found if found.size <= MOST_OFFSETS else None


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
        action=action[whole],
        target=first,
        source=source[whole] + first - target[whole],
        length=end - first,
        weight=weight[whole],
    )
