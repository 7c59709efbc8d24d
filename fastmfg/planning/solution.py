"""What a solver is told, and what it found."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from fastmfg.equality import Result
from fastmfg.games.checks import Floats


@dataclass(frozen=True)
class Limits:
    """When a solver stops, and whom it tells."""

    tol: float
    rtol: float
    max_iterations: int
    gap_every: int
    max_seconds: float = math.inf
    callback: Callable[[int, float, float], Any] | None = None

    @property
    def endless(self) -> bool:
        """Whether no gap ends it."""
        return self.tol == 0.0 and self.rtol == 0.0


class Attempt(NamedTuple):
    """One way to look for an equilibrium, and the smallest gap it met."""

    method: str
    start: str  # "uniform", "given", "best" (the best policy of the attempts before), "random 0", ...
    ne_gap: float


@dataclass(frozen=True, eq=False)
class Solution(Result):
    """What a solver found; `policy` is the best policy seen, `ne_gap` is its gap."""

    policy: Floats  # [H, S, A]
    ne_gap: float
    iterations: int  # updates made
    converged: bool  # ne_gap <= the tolerance
    history: Floats  # [k]   measured gaps, the start's first
    method: str
    attempts: tuple[Attempt, ...] = ()  # on a policy-aware model: all that was tried, in order
