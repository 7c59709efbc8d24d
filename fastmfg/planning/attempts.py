"""Several methods from several starts: how equilibria of policy-aware models are looked for.

Their tables may depend on the policy in any way, and no single method finds equilibria of all of them. The first policy
whose gap meets the tolerance ends the search; where none does, the smallest gap of all attempts is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastmfg.games.checks import Floats, frozen, whole
from fastmfg.games.game import Game
from fastmfg.planning.evaluation import ROUNDING, evaluation_of
from fastmfg.planning.solution import Attempt, Limits, Solution
from fastmfg.streams import Stream

LADDER = (1.0, 5.0, 20.0)
"""Steps of Anderson acceleration, in units of one over the spread of Q: which one converges differs between models."""


@dataclass(frozen=True)
class Trial:
    """A method, its options, and where it starts; None: at the best policy so far."""

    method: str
    options: dict[str, Any]
    name: str
    start: Floats | None


Solver = Callable[[Trial, Floats, Limits], Solution]
"""Makes one attempt from a start policy."""


def trials(game: Game, first: Floats | None, starts: int, seed: int) -> Iterator[Trial]:
    """What is tried, in order; it begins at `first`, or at the uniform policy."""
    uniform = game.uniform_policy()
    origin, name = (uniform, "uniform") if first is None else (first, "given")
    yield Trial("best-response-mixing", {"step": "harmonic"}, name, origin)
    for step in LADDER:
        yield Trial("anderson", {"step": step}, name, origin)
    for step in LADDER:
        yield Trial("anderson", {"step": step}, "best", None)
    yield Trial("mirror-descent", {}, name, origin)
    stream = Stream.SEARCH_STARTS.generator(seed)
    for k in range(starts):
        drawn = np.where(game.legal, stream.exponential(size=uniform.shape), 0.0)
        start = drawn / drawn.sum(axis=-1, keepdims=True)
        for step in LADDER:
            yield Trial("anderson", {"step": step}, f"random {k}", start)


class Attempts:
    """A search under way; `limits` are those of all attempts together."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.deadline = time.monotonic() + limits.max_seconds
        self.made: list[Attempt] = []
        self.history: list[Floats] = []
        self.iterations = 0
        self.best: Solution | None = None
        self.stopped = False  # by the callback

    def watch(self, iteration: int, ne_gap: float, best_gap: float) -> bool:
        """The callback of one attempt: tells the caller's of the search as a whole."""
        if self.limits.callback is not None:
            so_far = best_gap if self.best is None else min(best_gap, self.best.ne_gap)
            self.stopped = bool(self.limits.callback(self.iterations + iteration, ne_gap, so_far))
        return self.stopped

    def limits_of(self, share: int, target: float) -> Limits:
        """Of the next attempt."""
        left = max(self.deadline - time.monotonic(), 1e-9)
        return replace(self.limits, tol=target, rtol=0.0, max_iterations=share, max_seconds=left, callback=self.watch)

    def add(self, trial: Trial, found: Solution) -> None:
        self.made.append(Attempt(trial.method, trial.name, found.ne_gap))
        self.history.append(found.history)
        self.iterations += found.iterations
        if self.best is None or found.ne_gap < self.best.ne_gap:
            self.best = found

    @property
    def over(self) -> bool:
        """Whether a limit is met, or enough was found."""
        if self.best is None:
            return False
        enough = self.best.converged and not self.limits.endless
        return enough or self.stopped or time.monotonic() >= self.deadline

    @property
    def result(self) -> Solution:
        assert self.best is not None
        history = frozen(np.concatenate(self.history))
        return replace(self.best, iterations=self.iterations, history=history, attempts=tuple(self.made))


def search_equilibrium(
    game: Game, solver: Solver, first: Floats | None, limits: Limits, starts: Any = 4, seed: Any = 0
) -> Solution:
    """The first solution that meets the tolerance, else the best of all attempts.

    `starts` random start policies, drawn by `seed`, are tried when all else failed. Iterations are shared out evenly
    among the attempts.
    """
    n_starts, root = whole("starts", starts, 0), whole("seed", seed, 0)
    target = 0.0 if limits.endless else _target(game, first, limits)
    plan = list(trials(game, first, n_starts, root))
    share, more = divmod(limits.max_iterations, len(plan))
    attempts = Attempts(limits)
    for i, trial in enumerate(plan):
        iterations = share + (i < more)
        if attempts.over or iterations == 0:
            break
        start = trial.start if attempts.best is None or trial.start is not None else attempts.best.policy
        assert start is not None
        attempts.add(trial, solver(trial, np.array(start), attempts.limits_of(iterations, target)))
    return attempts.result


def _target(game: Game, first: Floats | None, limits: Limits) -> float:
    """The largest gap that ends the search."""
    origin = evaluation_of(game, game.uniform_policy() if first is None else first)
    rounding = ROUNDING * float(np.abs(origin.q).max(initial=0.0))
    return max(limits.tol, limits.rtol * origin.gap, rounding, float(np.finfo(float).tiny))
