"""The default solver: adapts its step, notices that it stalls or cycles, and changes method.

It begins with adaptive mirror descent. When the best gap has not fallen by a tenth within a while, the next method of
the list takes over, from the uniform policy or the best one seen; when the list is through it begins anew from the
uniform policy, with twice the patience. On small games the list ends with the path of occupation measures, which is
dear and finds what the others circle around.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from fastmfg.games.checks import Floats
from fastmfg.games.game import Game
from fastmfg.planning.anderson import Anderson
from fastmfg.planning.evaluation import Evaluation, Method, evaluation_of
from fastmfg.planning.mirror import AdaptiveMirrorDescent
from fastmfg.planning.mixing import FictitiousPlay
from fastmfg.planning.occupation import OccupationMeasure, measured_entries

PATIENCE = 25
"""Iterations within which mirror descent must lower the best gap; others have twice as many."""

PROGRESS = 0.9
"""What the best gap must be lowered to, relatively."""


class Stage(NamedTuple):
    """A method of the list, and where it begins."""

    make: Callable[[], Method]
    from_best: bool  # from the best policy seen; else from the uniform one, as a corner of the simplices would hold it


STAGES = (
    Stage(AdaptiveMirrorDescent, True),
    Stage(lambda: Anderson(step=1.0, memory=12), False),
    Stage(lambda: Anderson(step=5.0, memory=6), False),
    Stage(lambda: Anderson(step=20.0, memory=3), False),
    Stage(lambda: Anderson(step=0.2, memory=12), False),
    Stage(FictitiousPlay, True),
)
"""Short memories help where the normal map has kinks, long ones on cycling games."""

LAST, SMALL = Stage(OccupationMeasure, False), 50_000_000
"""The last stage of games that take at most so many entries (`measured_entries`)."""


def stages_of(game: Game) -> tuple[Stage, ...]:
    """The list of a game."""
    return (*STAGES, LAST) if measured_entries(game) <= SMALL else STAGES


class Auto:
    """Mirror descent first, other methods when it stalls."""

    def __init__(self) -> None:
        self.stage = 0
        self.method = STAGES[0].make()
        self.best: Evaluation | None = None
        self.mark = 0.0  # the best gap when the method was looked at last
        self.waited = 0

    def __call__(self, last: Evaluation) -> Floats:
        if self.best is None:
            self.best, self.mark = last, last.gap
            return self.method(last)
        if last.gap < self.best.gap:
            self.best = last
        self.waited += 1
        rounds, place = divmod(self.stage, len(stages_of(last.game)))
        patience = PATIENCE if place == 0 else 2 * PATIENCE
        if self.waited < patience << rounds:
            return self.method(last)
        self.waited = 0
        stalled = self.best.gap > PROGRESS * self.mark
        self.mark = self.best.gap
        return self._change(self.best) if stalled else self.method(last)

    def _change(self, best: Evaluation) -> Floats:
        """The first proposal of the next method."""
        self.stage += 1
        stages = stages_of(best.game)
        rounds, place = divmod(self.stage, len(stages))
        self.method = stages[place].make()
        anew = not stages[place].from_best or (rounds > 0 and place == 0)
        return self.method(evaluation_of(best.game, best.game.uniform_policy()) if anew else best)
