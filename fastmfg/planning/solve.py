"""Equilibrium solvers: one loop, and methods that propose the next policy from the evaluation of the last one.

Methods: ``best-response-mixing`` ``pi <- (1-w) pi + w BR`` (the paper's oracle, w = 0.02); ``fictitious-play``, which
mixes occupation measures with weight 1/(k+1); ``mirror-descent`` ``y <- y + step Q^pi``, ``pi = softmax(y)``
(Perolat et al. 2022), its step scaled to Q and adapted unless one is given; ``auto``, for now that last one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.executors import map_tasks
from fastmfg.games.checks import Floats, choice, frozen, policy_array, real, whole
from fastmfg.games.family import Family
from fastmfg.games.game import Game, require_game
from fastmfg.games.model_class import ModelClass, member_indices, require_class
from fastmfg.kernels import softmax
from fastmfg.planning.condition import ONE, occupancies
from fastmfg.planning.evaluate import deterministic, evaluate_pairs

FLOOR = 1e-3
"""A start policy's probabilities are lifted to this before their logarithm is taken: lets unused actions come back."""

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


@dataclass(frozen=True)
class Solution:
    """What a solver found; `policy` is the best policy seen, `ne_gap` is its gap."""

    policy: Floats  # [H, S, A]
    ne_gap: float
    iterations: int  # updates made
    converged: bool  # ne_gap <= the tolerance
    history: Floats  # [k]   measured gaps, the start's first
    method: str


@dataclass(frozen=True)
class Evaluation:
    """A policy with everything a method may want to know of it."""

    game: Game
    policy: Floats  # [H, S, A]
    density: Floats  # [H, S]
    aux: Floats  # [1, H, *]
    q: Floats  # [H, S, A]
    best_response: Floats  # [H, S, A]
    gap: float


class Method(Protocol):
    """Proposes the next policy, given the evaluation of the one it proposed last (the start policy at first)."""

    def __call__(self, last: Evaluation) -> Floats: ...


def evaluation_of(game: Game, policy: Floats) -> Evaluation:
    members = np.array([game._member], dtype=np.int64)
    frozen_game, values = evaluate_pairs(game._family, members, policy[None], ONE)
    response = deterministic(values.greedy[0], game.n_actions)
    return Evaluation(
        game, policy, frozen_game.density[0], frozen_game.aux, values.q[0], response, float(values.gap[0])
    )


class BestResponseMixing:
    """``pi <- (1 - w) pi + w BR(pi)``: the NE oracle of the paper's experiment."""

    def __init__(self, step: float | None) -> None:
        self.weight = 0.02 if step is None else step

    def __call__(self, last: Evaluation) -> Floats:
        return (1.0 - self.weight) * last.policy + self.weight * last.best_response


class FictitiousPlay:
    """Mix the occupation measures of the average policy and its best response, weight 1/(k+1) at iteration k.

    The best response's occupation is taken in the conditional model of the average policy. States that neither
    reaches keep their policy.
    """

    def __init__(self, step: float | None) -> None:
        self.step = step
        self.iteration = 0

    def __call__(self, last: Evaluation) -> Floats:
        self.iteration += 1
        w = 1.0 / (self.iteration + 1) if self.step is None else self.step
        family, members = last.game._family, np.array([last.game._member], dtype=np.int64)
        reached = occupancies(family, members, last.aux, last.best_response[None], ONE)[0]
        old, new = (1.0 - w) * last.density[..., None] * last.policy, w * reached[..., None] * last.best_response
        mass = (old + new).sum(axis=-1, keepdims=True)
        mixed: Floats = np.divide(old + new, mass, out=last.policy.copy(), where=mass > 0)
        return mixed


class MirrorDescent:
    """``y <- y + step Q^pi``, ``pi = softmax(y)`` over legal actions, y = log pi at the start; a fixed step."""

    def __init__(self, step: float) -> None:
        self.step = step
        self.y: Floats | None = None

    def __call__(self, last: Evaluation) -> Floats:
        y = logits(last.policy) if self.y is None else self.y
        self.y, policy = mirror_step(last, y, self.step)
        return policy


class AdaptiveMirrorDescent:
    """Mirror descent whose step is scaled to Q, grows while the gap falls and shrinks when it rises.

    A proposal whose gap exceeds those of the last accepted ones is taken back and tried with a smaller step. At the
    smallest step every proposal is accepted: the gap need not fall along the way to an equilibrium. The scale is the
    larger of Q's spreads under the start policy and the uniform one: near an equilibrium the former vanishes.
    """

    def __init__(self) -> None:
        self.step = self.least = 0.0
        self.recent: list[float] = []  # gaps accepted last
        self.accepted: tuple[Evaluation, Floats] | None = None  # with its logits
        self.proposed: Floats | None = None  # logits

    def __call__(self, last: Evaluation) -> Floats:
        if self.proposed is None:
            self._start(last)
        else:
            self._judge(last, self.proposed)
        assert self.accepted is not None
        evaluation, y = self.accepted
        self.proposed, policy = mirror_step(evaluation, y, self.step)
        return policy

    def _start(self, first: Evaluation) -> None:
        uniform = first.game.uniform_policy()
        far = first if np.array_equal(first.policy, uniform) else evaluation_of(first.game, uniform)
        scale = max(spread_of_q(first), spread_of_q(far)) or 1.0
        self.step = min(FIRST_STEP / max(scale, SMALLEST_SCALE), 1.0 / SMALLEST_SCALE)
        self.least = LEAST * self.step
        self.accepted = first, logits(first.policy)
        self.recent = [first.gap]

    def _judge(self, last: Evaluation, y: Floats) -> None:
        if last.gap <= RISE * max(self.recent) or self.step <= self.least:
            self.accepted = last, y
            self.step = max(self.step, self.least) * GROW
            self.recent = [*self.recent, last.gap][-WINDOW:]
        else:
            self.step *= SHRINK


def spread_of_q(evaluation: Evaluation) -> float:
    """Mean over (h, s) of the range of Q over legal actions, where there is one; 0 where actions never matter."""
    legal = evaluation.game._family.common.legal
    spread = np.where(legal, evaluation.q, -np.inf).max(axis=-1) - np.where(legal, evaluation.q, np.inf).min(axis=-1)
    return float(spread[spread > 0].mean()) if (spread > 0).any() else 0.0


def logits(policy: Floats) -> Floats:
    y: Floats = np.log(np.maximum(policy, FLOOR))
    return y


def mirror_step(evaluation: Evaluation, y: Floats, step: float) -> tuple[Floats, Floats]:
    """The logits y + step Q, shifted to a largest legal entry of 0, and their softmax."""
    y_next, policy = np.empty_like(y), np.empty_like(y)
    softmax.mirror_step(y, evaluation.q, step, evaluation.game._family.common.legal, y_next, policy)
    return y_next, policy


def _mirror_descent(step: float | None) -> Method:
    return AdaptiveMirrorDescent() if step is None else MirrorDescent(step)


METHODS: dict[str, Callable[[float | None], Method]] = {
    "auto": _mirror_descent,
    "best-response-mixing": BestResponseMixing,
    "fictitious-play": FictitiousPlay,
    "mirror-descent": _mirror_descent,
}
"""Solvers by name; each is made from the step the user gave, or None."""


def solve(
    game: Game,
    method: str = "auto",
    *,
    tol: float | None = None,
    rtol: float | None = None,
    max_iterations: int = 2000,
    gap_every: int = 1,
    initial_policy: ArrayLike | None = None,
    step: float | None = None,
) -> Solution:
    """Look for a Nash equilibrium of a known game.

    Parameters
    ----------
    method : str
        One of `METHODS`.
    tol : float, optional
        Absolute tolerance: stop at a policy whose NE gap is at most this. 0 runs exactly `max_iterations`.
    rtol : float, optional
        Tolerance relative to the start policy's gap. Default: 1e-3, or 0 when `tol` is given. The larger counts.
    max_iterations : int
    gap_every : int
        Look at the gap (record it, test for convergence) each so many iterations; 0: only at the end.
    initial_policy : [H, S, A], optional
        Where to start; the uniform policy by default.
    step : float, optional
        Weight in (0, 1] of the mixing methods, or mirror descent's fixed step; each method has its default.

    Returns
    -------
    Solution
        The best policy seen, its gap, and ``converged=False`` where no policy met the tolerance.
    """
    require_game("game", game)
    name = choice("method", method, tuple(METHODS))
    limit, every = whole("max_iterations", max_iterations, 1), whole("gap_every", gap_every, 0)
    absolute = 0.0 if tol is None else real("tol", tol, 0.0, include_low=True)
    relative = (1e-3 if tol is None else 0.0) if rtol is None else real("rtol", rtol, 0.0, include_low=True)
    if step is not None:
        step = real("step", step, 0.0)
        if name in ("best-response-mixing", "fictitious-play") and step > 1.0:
            raise ValueError(f"step must lie in (0, 1] for {name}, got {step!r}")
        if name == "auto":
            raise ValueError("step can not be given to method 'auto', which chooses its own: name a method")
    start = (
        game.uniform_policy()
        if initial_policy is None
        else policy_array("initial_policy", initial_policy, game.legal, game.horizon)
    )
    return run(game, name, METHODS[name](step), start, absolute, relative, limit, every)


def run(
    game: Game, name: str, method: Method, start: Floats, tol: float, rtol: float, max_iterations: int, gap_every: int
) -> Solution:
    """The loop all methods share."""
    last = best = evaluation_of(game, start)
    target = max(tol, rtol * last.gap)
    endless = tol == 0.0 and rtol == 0.0
    history = [last.gap]
    iteration = 0
    while iteration < max_iterations and (endless or best.gap > target):
        last = evaluation_of(game, method(last))
        iteration += 1
        if not math.isfinite(last.gap):
            raise FloatingPointError(
                f"the NE gap became {last.gap} at iteration {iteration} of {name}: rewards overflow"
            )
        if iteration == max_iterations or (gap_every and iteration % gap_every == 0):
            history.append(last.gap)
            if last.gap < best.gap:
                best = last
    return Solution(
        frozen(best.policy), best.gap, iteration, best.gap <= target, frozen(np.array(history)), name
    )  # fmt: skip


def solve_models(
    models: ModelClass,
    members: Any = None,
    *,
    tol: float = 5e-4,
    max_iterations: int = 2000,
    start: int | None = None,
) -> Iterator[Solution]:
    """Equilibria of many models of a class, in parallel, in the order of `members` (all by default).

    One member (`start`, the first by default) is solved from the uniform policy, and its equilibrium is where all
    others start: results depend neither on the order of the others nor on the number of threads.
    """
    real("tol", tol, 0.0)
    whole("max_iterations", max_iterations, 1)
    n = len(require_class("models", models))
    if members is not None and len(members) == 0:
        return iter(())
    chosen = range(n) if members is None else member_indices("members", members, n).tolist()
    first = chosen[0] if start is None else int(member_indices("start", start, n)[0])
    return _solutions(models._family, chosen, first, tol, max_iterations)


def _solutions(
    family: Family, members: Sequence[int], first: int, tol: float, max_iterations: int
) -> Iterator[Solution]:
    anchor = _solve_member(family, first, None, tol, max_iterations)

    def solution(member: int) -> Solution:
        return anchor if member == first else _solve_member(family, member, anchor.policy, tol, max_iterations)

    yield from map_tasks(solution, members, parallel=family.parallel)


def _solve_member(family: Family, member: int, start: Floats | None, tol: float, max_iterations: int) -> Solution:
    game = Game._of(family, member)
    return solve(game, tol=tol, max_iterations=max_iterations, initial_policy=start)
