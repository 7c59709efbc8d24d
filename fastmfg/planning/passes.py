"""Whole passes through one game, by one thread or a team: what the kernels of `descent` and `survey` share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastmfg.executors import run_team
from fastmfg.games.checks import Floats
from fastmfg.games.family import CompiledFamily, Family
from fastmfg.games.game import Game
from fastmfg.kernels import passes as kernels
from fastmfg.kernels.jit import Filler
from fastmfg.kernels.team import new_fault

PART_STATES = 4096
"""Smallest part of the states that a thread is given: claiming it takes about a microsecond."""

FEW_PARTS, MOST_PARTS, MANY_STATES = 2, 4, 1 << 17
"""Parts at most, and of games with many states: the shares that all of them send to a state are added up."""


TEAM_ENTRIES = 1 << 21
"""Entries of policies, times passes, that are worth a team: starting and ending threads takes up to a few ms."""


def can_pass(family: Family) -> bool:
    """Whether all that a pass calls is compiled, and no row needs to be checked anew."""
    return isinstance(family, CompiledFamily) and isinstance(family.reward, Filler) and not family.checked


def is_large(family: Family) -> bool:
    """Whether a team should pass through the game: there are at least two parts."""
    return can_pass(family) and family.n_states >= 2 * PART_STATES


class Passes:
    """One game's turned tables, and the arrays that the members of a team share."""

    def __init__(self, game: Game) -> None:
        family = game._family
        assert isinstance(family, CompiledFamily)
        self.game, self.family, self.member = game, family, game._member
        H, S, A = family.horizon, family.n_states, family.n_actions
        common = family.common
        self.turned = kernels.Turned(
            np.ascontiguousarray(common.legal.T),
            np.ascontiguousarray(common.moves.T, dtype=np.int32),
            np.ascontiguousarray(common.successors[:, 0].T if common.moves.size else common.moves, dtype=np.int32),
        )
        self.parts = min(MOST_PARTS if S >= MANY_STATES else FEW_PARTS, max(1, S // PART_STATES))
        self.work = kernels.Workspace(
            density=np.empty((H, S)),
            aux=np.empty((H, family.aux_size)),
            parts=np.linspace(0, S, self.parts + 1).astype(np.int64),
            flows=np.empty((2, self.parts, S)),
            values=np.zeros((4, S)),
            moved=np.empty((2, S)),
            rewards=np.empty((2, S, A)),
            populations=np.empty((2, S * A if family.joint else 0)),
            fault=new_fault(),
            board=np.empty((0, 2), dtype=np.int64),
        )
        self.work.density[0] = common.initial

    def run(self, member: Callable[[kernels.Workspace], None], times: int = 1) -> None:
        """Have a team make passes forwards and back, so many times; raises ValueError where one met a fault.

        `member` calls the kernel.
        """
        phases = times * kernels.PHASES * self.family.horizon
        work = self.work._replace(board=np.zeros((phases, 2), dtype=np.int64))
        entries = times * self.family.horizon * self.family.n_states * self.family.n_actions
        run_team(lambda: member(work), self.parts if entries > TEAM_ENTRIES else 1)
        status = int(work.fault[0])
        if status == kernels.NOT_FINITE:
            name = self.family.name_of(self.member)
            raise ValueError(f"the values of {name} are not finite: its rewards are not, or overflow")
        self.family.refuse_status(status, "passing through the game")


def turned(array: Floats) -> Floats:
    """[H, S, A] as [H, A, S], or the other way, copied."""
    return np.ascontiguousarray(array.swapaxes(1, 2))
