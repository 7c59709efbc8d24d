"""Many iterations of fixed-step mirror descent in one call of a kernel."""

from __future__ import annotations

import time
from functools import partial

import numpy as np

from fastmfg.games.checks import Floats
from fastmfg.games.game import Game
from fastmfg.kernels import passes as kernels
from fastmfg.kernels.passes import Workspace
from fastmfg.memory import require_numbers
from fastmfg.planning.passes import Passes, first_values, turned
from fastmfg.planning.survey import survey

CALL_OPERATIONS = 1 << 28
"""Row entries and exponentials a call of the kernel goes through, about: half a second."""


FLOOR = 1e-3
"""A start policy's probabilities are lifted to this before their logarithm is taken: lets unused actions come back."""


class Descent:
    """Mirror descent's logits and policy between calls, as the kernel keeps them: [H, A, S]."""

    def __init__(self, game: Game, start: Floats) -> None:
        self.passes = Passes(game)
        require_numbers("mirror descent's policy and logits", 2 * start.size, "take a smaller game or horizon")
        self.pi = turned(start)
        self.y = np.empty_like(self.pi)
        for y, pi in zip(self.y, self.pi, strict=True):  # a step at a time: no copy of the whole is made
            np.log(np.maximum(pi, FLOOR), out=y)
        self.call_iterations = max(1, CALL_OPERATIONS // (game.models.row_entries + 10 * self.y.size))

    @property
    def gap(self) -> float:
        """The policy's NE gap."""
        return survey(self.passes.game, self.pi, passes=self.passes).gap

    def advance(self, step: float, iterations: int, deadline: float) -> int:
        """Go on for so many iterations, or until the deadline has passed; how many were made."""
        done = 0
        while done < iterations and (done == 0 or time.monotonic() < deadline):
            n = min(self.call_iterations, iterations - done)
            self.passes.run(partial(self._descend, step, n), n)
            done += n
        return done

    def _descend(self, step: float, iterations: int, work: Workspace) -> None:
        f, passes = self.passes.models, self.passes
        theta, work = f.thetas[passes.member], first_values(work, 1)
        kernels.descend(passes.way_back, passes.transitions, theta, f.joint, step, iterations, self.y, self.pi, work)
