"""Solvers that add values to logits: mirror descent (Perolat et al. 2022) and prior descent (Cui, Koeppl 2021)."""

from __future__ import annotations

import numpy as np

from fastmfg.games.checks import Floats, real, whole
from fastmfg.games.game import Game
from fastmfg.kernels import softmax
from fastmfg.planning.descent import FLOOR, Descent
from fastmfg.planning.evaluate import back_up_one
from fastmfg.planning.evaluation import Evaluation, at_uniform, scale_of_q
from fastmfg.planning.passes import turned

FIRST_STEP = 8.0
"""Mirror descent's first step times the mean range of Q over a state's actions: larger overshoots, smaller crawls."""

GROW, SHRINK, LEAST = 1.1, 0.5, 0.1
"""The step grows after an accepted policy, shrinks after a refused one, never below LEAST times the first step."""

SMALLEST_SCALE = 1e-290
"""Ranges of Q below this are taken for it: steps stay finite."""

WINDOW = 2
"""A policy is accepted if its gap is at most RISE times the larger of the last WINDOW accepted gaps."""

RISE = 1.05
"""A gap may rise a little: without that some per cent of small random games stall."""


MOMENTUM = 0.8
"""Share of the last move of the logits that is made again: slow modes go up to five times as fast (Polyak 1964)."""

LOST = 10
"""Proposals accepted at the smallest step, none of them the best so far, after which it is too large."""


class MirrorDescent:
    """``y <- y + step Q^pi``, ``pi = softmax(y)`` over legal actions, y = log pi at the start; a fixed step."""

    def __init__(self, step: float) -> None:
        self.step = real("step", step, 0.0)
        self.y: Floats | None = None
        self.descent: Descent | None = None  # holds the logits between calls of `advance`

    def __call__(self, last: Evaluation) -> Floats:
        y = logits(last.policy) if self.y is None else self.y
        self.y, policy = logit_step(last, y, last.q, self.step)
        return policy

    def advance(
        self, game: Game, start: Floats, iterations: int, deadline: float, below: float
    ) -> tuple[int, float, Floats | None]:
        """Go on, from `start` at the first call, for at most so many iterations without an evaluation in between.

        Returns
        -------
        done
            Iterations made; fewer than `iterations` where the deadline has passed.
        gap
            NE gap of the policy then.
        policy
            A copy of it [H, S, A] where its gap is less than `below`, else None: large policies are not copied in vain.
        """
        if self.descent is None:
            self.descent = Descent(game, start)
        done = self.descent.advance(self.step, iterations, deadline)
        gap = self.descent.gap
        return done, gap, turned(self.descent.pi) if gap < below else None


class AdaptiveMirrorDescent:
    """Mirror descent with momentum, whose step is scaled to Q, grows while the gap falls and shrinks when it rises.

    A proposal whose gap exceeds those of the last accepted ones is taken back and tried without momentum and with a
    smaller step. At the smallest step every proposal is accepted that is not worse than all starts: the gap need not
    fall along the way to an equilibrium. Where it has not for a while, the way back to the best policy is taken, and
    steps may be smaller from there.
    """

    def __init__(self) -> None:
        self.step = self.least = 0.0
        self.hopeless = 0.0  # the larger gap of the start and of the uniform policy: where that is passed, steps shrink
        self.recent: list[float] = []  # gaps accepted last
        self.accepted: tuple[Evaluation, Floats] | None = None  # with its logits
        self.best: tuple[Evaluation, Floats] | None = None
        self.since_best = 0  # proposals accepted at the smallest step
        self.before: Floats | None = None  # logits accepted before those; None: no momentum
        self.proposed: Floats | None = None  # logits

    def __call__(self, last: Evaluation) -> Floats:
        if self.proposed is None:
            self._start(last)
        else:
            self._judge(last, self.proposed)
        assert self.accepted is not None
        evaluation, y = self.accepted
        ahead = y if self.before is None else y + MOMENTUM * (y - self.before)
        self.proposed, policy = logit_step(evaluation, ahead, evaluation.q, self.step)
        return policy

    def _start(self, first: Evaluation) -> None:
        uniform = at_uniform(first)
        self.step = min(FIRST_STEP / max(scale_of_q(first, uniform), SMALLEST_SCALE), 1.0 / SMALLEST_SCALE)
        self.hopeless = max(first.gap, uniform.gap)
        self.least = LEAST * self.step
        self.accepted = self.best = first, logits(first.policy)
        self.recent = [first.gap]

    def _judge(self, last: Evaluation, y: Floats) -> None:
        assert self.best is not None
        self.since_best += 1
        if last.gap < self.best[0].gap:
            self.best, self.since_best = (last, y), 0
        if last.gap > self.hopeless and self.step <= self.least:
            self.least *= SHRINK
        if last.gap <= RISE * max(self.recent) or (self.step <= self.least and last.gap <= self.hopeless):
            assert self.accepted is not None
            self.before = self.accepted[1]
            self.accepted = last, y
            self.step = max(self.step, self.least) * GROW
            self.recent = [*self.recent, last.gap][-WINDOW:]
        else:
            self.step *= SHRINK
            self.before = None
        if self.since_best >= LOST:
            self.accepted, self.since_best = self.best, 0
            self.recent, self.before = [self.best[0].gap], None
            self.least *= SHRINK
            self.step = self.least


def logits(policy: Floats) -> Floats:
    y: Floats = np.log(np.maximum(policy, FLOOR))
    return y


def logit_step(evaluation: Evaluation, y: Floats, q: Floats, step: float) -> tuple[Floats, Floats]:
    """The logits ``y + step * q``, shifted to a largest legal entry of 0, and their softmax."""
    y_next, policy = np.empty_like(y), np.empty_like(y)
    softmax.mirror_step(y, q, step, evaluation.game.models.common.legal, y_next, policy)
    return y_next, policy


class PriorDescent:
    """``pi = prior * exp(Q* / temperature)``, normalised, Q* the best response's values under the current density.

    The prior becomes the current policy at every iteration number, counted from 1, that `inner_iterations` divides;
    never when that is None, which makes it the Boltzmann fixed-point iteration. The first prior is the start policy.
    `temperature` is in units of reward; by default the spread of Q.
    """

    def __init__(self, temperature: float | None = None, inner_iterations: int | None = 10) -> None:
        self.temperature = None if temperature is None else real("temperature", temperature, 0.0)
        self.inner = None if inner_iterations is None else whole("inner_iterations", inner_iterations, 1)
        self.prior: Floats | None = None  # logits
        self.iteration = 0

    def __call__(self, last: Evaluation) -> Floats:
        self.iteration += 1
        if self.temperature is None:
            self.temperature = max(scale_of_q(last), SMALLEST_SCALE)
        if self.prior is None or (self.inner is not None and self.iteration % self.inner == 0):
            self.prior = np.log(np.maximum(last.policy, np.finfo(np.float64).tiny))
        best = back_up_one(last.game, last.aux, last.reward[None], last.best_response)
        return logit_step(last, self.prior, best.q[0], 1.0 / self.temperature)[1]


def mirror_descent(step: float | None = None) -> MirrorDescent | AdaptiveMirrorDescent:
    """Mirror descent with a fixed step, or one that is scaled to Q and adapted."""
    return AdaptiveMirrorDescent() if step is None else MirrorDescent(step)
