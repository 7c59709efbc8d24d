"""Many iterations of fixed-step mirror descent in one call of a kernel, by one thread or by a team of them."""

from __future__ import annotations

import time
from functools import partial

import numpy as np

from fastmfg.executors import run_team
from fastmfg.games.checks import Floats
from fastmfg.games.family import CompiledFamily, Family
from fastmfg.games.game import Game
from fastmfg.kernels import descent as kernels
from fastmfg.kernels.jit import Filler
from fastmfg.kernels.team import FAULT, new_sync

PART_STATES = 4096
"""Smallest part of the states that a thread is given: meeting the others takes up to 10 us a step."""

MOST_PARTS = 4
"""Parts at most: the shares that all of them send to a state are added up."""

CALL_OPERATIONS = 1 << 28
"""Row entries and exponentials a call of the kernel goes through, about: half a second."""


def can_descend(family: Family) -> bool:
    """Whether all that an iteration calls is compiled, and no row needs to be checked anew."""
    return isinstance(family, CompiledFamily) and isinstance(family.reward, Filler) and not family.checked


class Descent:
    """Mirror descent's logits and policy between calls, as the kernel keeps them: [H, A, S]."""

    def __init__(self, game: Game, y: Floats, policy: Floats) -> None:
        family = game._family
        assert isinstance(family, CompiledFamily)
        self.family, self.member = family, game._member
        self.y, self.pi = turned(y), turned(policy)
        H, A, S = self.y.shape
        common = family.common
        self.turned = kernels.Turned(
            np.ascontiguousarray(common.legal.T),
            np.ascontiguousarray(common.moves.T, dtype=np.int32),
            np.ascontiguousarray(common.successors[:, 0].T if common.moves.size else common.moves, dtype=np.int32),
        )
        self.parts = min(MOST_PARTS, max(1, S // PART_STATES))
        self.work = kernels.Workspace(
            density=np.empty((H, S)),
            aux=np.empty((H, family.aux_size)),
            parts=np.linspace(0, S, self.parts + 1).astype(np.int64),
            flows=np.empty((2, self.parts, S)),
            values=np.empty((2, S)),
            moved=np.empty(S),
            rewards=np.empty((2, S, A)),
            populations=np.empty((2, S * A if family.joint else S)),
            sync=new_sync(),
        )
        self.work.density[0] = common.initial
        self.call_iterations = max(1, CALL_OPERATIONS // (family.row_entries + 10 * self.y.size))

    def advance(self, step: float, iterations: int, deadline: float) -> int:
        """Go on for so many iterations, or until the deadline has passed; how many were made."""
        done = 0
        while done < iterations and (done == 0 or time.monotonic() < deadline):
            n = min(self.call_iterations, iterations - done)
            run_team(partial(self._descend, step, n), self.parts)
            status = int(self.work.sync[FAULT])
            if status == kernels.NOT_FINITE:
                name = self.family.name_of(self.member)
                raise ValueError(f"the values of {name} are not finite: its rewards are not, or overflow")
            self.family.refuse_status(status, "iterating")
            done += n
        return done

    def _descend(self, step: float, iterations: int, rank: int, members: int) -> None:
        f = self.family
        kernels.descend(
            f.prepare, f.fill, f.reward, f.common, f.thetas[self.member], self.turned, f.joint, step, iterations,
            self.y, self.pi, self.work, rank, members,
        )  # fmt: skip


def turned(array: Floats) -> Floats:
    """[H, S, A] as [H, A, S], or the other way, copied."""
    return np.ascontiguousarray(array.swapaxes(1, 2))
