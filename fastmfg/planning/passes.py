"""Whole passes through one game, by one thread or a team: what the kernels of `descent` and `survey` share."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import cast

import numpy as np

from fastmfg.executors import run_team
from fastmfg.games.checks import Floats, Integers
from fastmfg.games.compiled import CompiledSource
from fastmfg.games.game import Game
from fastmfg.games.model_class import ModelClass
from fastmfg.games.transitions import transitions_of
from fastmfg.kernels import passes as kernels
from fastmfg.kernels import table
from fastmfg.kernels.forms import NO_ROWS, Links, Transitions
from fastmfg.kernels.jit import Filler
from fastmfg.kernels.reward import no_part
from fastmfg.kernels.segments import BLOCK, NO_SEGMENTS
from fastmfg.kernels.team import new_fault
from fastmfg.memory import require_numbers
from fastmfg.planning.segments import noise_segments, row_segments

PART_STATES = 4096
"""Smallest part of the states that a thread is given: claiming it takes about a microsecond."""

FEW_PARTS, MOST_PARTS, MANY_STATES, LONG_ROWS = 2, 4, 1 << 17, 64
"""Parts at most, and where there are many states, or as many entries a state: what all parts send is added up."""

SEGMENT_PARTS = 32
"""Parts at most where all is in segments, and nothing is added up."""

KEPT_BYTES = 1 << 26
"""Rows that a pass forwards keeps for the pass back, at most: more would be fetched more slowly than filled."""

PART_ENTRIES = 1 << 17
"""Entries of one step's rows that make a part as well, in games of few states."""

TEAM_ENTRIES = 1 << 21
"""Entries that a run goes through, from which on it is worth a team: starting threads takes up to a few ms."""


def can_pass(models: ModelClass) -> bool:
    """Whether all that a pass calls is compiled, and no row needs to be checked anew."""
    source = models.source
    return isinstance(source, CompiledSource) and isinstance(source.reward, Filler) and not source.checked


def is_large(models: ModelClass) -> bool:
    """Whether a team should pass through the game: there are at least two parts."""
    return can_pass(models) and models.n_states >= 2 * PART_STATES


class Passes:
    """One game's turned tables, and the arrays that the members of a team share."""

    def __init__(self, game: Game) -> None:
        models, source = game.models, game.models.source
        assert isinstance(source, CompiledSource) and isinstance(source.reward, Filler)
        self.game, self.models, self.member = game, models, game.index
        H, S, A = models.horizon, models.n_states, models.n_actions
        each_state = H + 16 + 5 * A + (2 * A if models.joint else 0)  # docs/memory.md lists the arrays
        require_numbers("passing through the game", S * each_state + H * models.aux_size, "take a smaller game")
        self.transitions, links_back = transitions_along(models, self.member)
        form = self.transitions.form
        by_segments = form.carry_pulls if form.factored else form.send_pulls
        by_parts = source.reward.part is not None and not models.joint
        block = source.reward.part if by_parts else no_part
        self.way_back = kernels.WayBack(source.reward, block, links_back)
        self.entries = H * S * max(A, entries_a_state(models))
        self.parts = count_parts(models, by_segments)
        self.work = kernels.Workspace(
            density=np.empty((H, S)),
            aux=np.empty((H, models.aux_size)),
            chunk_starts=part_starts(S, self.parts, BLOCK if form.send_pulls else 1),
            flows=np.empty((2, self.parts, 0 if by_segments else S)),
            values=np.zeros((2, 2, S)),
            moved=np.empty(S if form.factored else 0),
            means=np.empty((2, 1, S if form.factored else 0)),
            extents=np.zeros((2, self.parts)),
            rewards=np.empty((2, 0 if by_parts else S, A)),
            populations=np.empty((2, S * A if models.joint else 0)),
            rows=np.empty((0, 0, 0, 0)),
            fault=new_fault(),
            board=np.empty((0, 2), dtype=np.int64),
        )
        self.work.density[0] = models.common.initial

    def run(self, member: Callable[[kernels.Workspace], None], times: int = 1) -> None:
        """Have a team make passes forwards and back, so many times; raises ValueError where one met a fault.

        `member` calls the kernel.
        """
        phases = times * kernels.PHASES * self.models.horizon
        rows = kept_rows(self.models)  # of the thread that runs, whoever made this
        work = self.work._replace(board=np.zeros((phases, 2), dtype=np.int64), rows=rows)
        run_team(lambda: member(work), self.parts if times * self.entries > TEAM_ENTRIES else 1)
        status = int(work.fault[0])
        if status == kernels.NOT_FINITE:
            name = self.models.name_of(self.member)
            raise ValueError(f"the values of {name} are not finite: its rewards are not, or overflow")
        self.models.refuse_status(status, "passing through the game")


def first_values(work: kernels.Workspace, n_values: int) -> kernels.Workspace:
    """The same arrays with room for so many values at once, one or two: those for two hold those for one."""
    S = work.values.shape[2]
    values = work.values.ravel()[: 2 * n_values * S].reshape(2, n_values, S)
    return work._replace(values=values, means=work.means[:n_values])


def turned(array: Floats) -> Floats:
    """[H, S, A] as [H, A, S], or the other way, copied."""
    return np.ascontiguousarray(array.swapaxes(1, 2))


def transitions_along(models: ModelClass, member: int) -> tuple[Transitions, Links]:
    """Bring a model's rows into segments where it has them: for passes forwards, and the links of those back.

    Those of a class's last model are kept as long as it.
    """
    kept: tuple[int, Transitions, Links] | None = models.memo.get("transitions")
    if kept is None or kept[0] != member:
        rows = row_segments(models, member)
        noise = noise_segments(models, member) if rows[0].start.size else (NO_SEGMENTS, NO_SEGMENTS)
        transitions = transitions_of(models.prepare, models.fill, models.common, rows[0], noise[0])
        back = transitions.links._replace(rows=rows[1], noise=noise[1])
        kept = models.memo["transitions"] = member, transitions, back
    return kept[1:]


def entries_a_state(models: ModelClass) -> int:
    """Numbers in the rows of one state at one step: one row of noise when factored, else one an action."""
    return models.row_length * (1 if models.common.moves.size else models.n_actions)


def count_parts(models: ModelClass, by_segments: bool) -> int:
    """Parts that a team shares; by sizes alone."""
    S, entries = models.n_states, entries_a_state(models)
    if by_segments:
        return min(SEGMENT_PARTS, max(1, S // PART_STATES))
    many = S >= MANY_STATES or entries >= LONG_ROWS
    return min(MOST_PARTS if many else FEW_PARTS, S, max(1, S // PART_STATES, S * entries // PART_ENTRIES))


_buffers = threading.local()


def kept_rows(models: ModelClass) -> Floats:
    """Room [H - 1, S, A, K] for rows that are worth keeping between a pass forwards and one back; else an empty one.

    It is this thread's, for use within one pass: new memory costs more than filling it.
    """
    shape = (models.horizon - 1, models.n_states, models.n_actions, models.row_length)
    size = math.prod(shape)
    filled = (
        isinstance(models.source, CompiledSource) and not models.common.moves.size and models.fill not in table.STORED
    )
    if not filled or size == 0 or 8 * size > KEPT_BYTES:
        return NO_ROWS
    if size > getattr(_buffers, "rows", NO_ROWS).size:
        _buffers.rows = np.empty(size)
    return cast(Floats, _buffers.rows[:size].reshape(shape))


def part_starts(n_states: int, parts: int, block: int) -> Integers:
    """First states of parts of whole blocks of states, then the number of states."""
    blocks = -(-n_states // block)
    return np.minimum(np.linspace(0, blocks, parts + 1).astype(np.int64) * block, n_states)
