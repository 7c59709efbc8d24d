"""Equilibrium solvers: one loop, and methods that propose the next policy from the evaluation of the last one.

The methods stand in `mixing` (best-response mixing, the paper's oracle; fictitious play; smoothed policy iteration),
`mirror` (mirror descent, prior descent), `anderson` (Anderson acceleration on the normal map), `occupation` (a residual
over occupation measures, for small games) and `auto`. Policy-aware models (`policy_aware`) are given to the same loop;
several methods from several starts (`attempts`) take the place of `auto`.
"""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.executors import Executor, Tick
from fastmfg.games.checks import Floats, choice, frozen, nearest, real, whole
from fastmfg.games.game import Game
from fastmfg.games.model_class import ModelClass, member_indices, require_class
from fastmfg.games.spread import spread
from fastmfg.memory import require_numbers
from fastmfg.planning.anderson import Anderson
from fastmfg.planning.attempts import Trial, search_equilibrium
from fastmfg.planning.auto import Auto
from fastmfg.planning.evaluation import ROUNDING, Method, evaluation_of
from fastmfg.planning.mirror import MirrorDescent, PriorDescent, mirror_descent
from fastmfg.planning.mixing import BestResponseMixing, FictitiousPlay, SmoothedPolicyIteration
from fastmfg.planning.occupation import OccupationMeasure
from fastmfg.planning.passes import can_pass
from fastmfg.planning.policy_aware import PolicyAwareModel, PolicyAwareSource, as_game
from fastmfg.planning.solution import Limits, Solution

__all__ = ["METHODS", "Solution", "solve", "solve_models"]

METHODS: dict[str, Callable[..., Method]] = {
    "auto": Auto,
    "best-response-mixing": BestResponseMixing,
    "fictitious-play": FictitiousPlay,
    "mirror-descent": mirror_descent,
    "prior-descent": PriorDescent,
    "policy-iteration": SmoothedPolicyIteration,
    "anderson": Anderson,
    "occupation-measure": OccupationMeasure,
}
"""Solvers by name; the arguments of each are the options it takes."""

HELD = {"best-response-mixing": 6, "fictitious-play": 11, "policy-iteration": 11, "anderson": 36}
"""Arrays [H, S, A] that a method holds at once, measured; 13 are the others'."""

HELD_BY_OTHERS, HELD_ALONE = 13, 4


def solve(
    game: Game | PolicyAwareModel,
    method: str = "auto",
    *,
    tol: float | None = None,
    rtol: float | None = None,
    max_iterations: int = 2000,
    gap_every: int = 1,
    initial_policy: ArrayLike | None = None,
    max_seconds: float | None = None,
    callback: Callable[[int, float, float], Any] | None = None,
    **options: Any,
) -> Solution:
    """Look for a Nash equilibrium of a known game, or of a policy-aware model.

    Parameters
    ----------
    game : Game or policy-aware model
        A policy-aware model is any object with ``initial`` [S], ``legal`` [S, A], ``horizon``, ``transition(h, policy)
        -> [S, A, S]`` and ``reward(h, policy) -> [S, A]``, h = 0..H-1 (`PolicyAwareModel`), as `BridgeModel` and
        `SoftBridge` are.
    method : str
        One of `METHODS`. On a policy-aware model "auto" tries several methods from several starts, each with its share
        of `max_iterations`, until one meets the tolerance; "occupation-measure" is for games alone.
    tol : float, optional
        Absolute tolerance: stop at a policy whose NE gap is at most this. 0 runs exactly `max_iterations`.
    rtol : float, optional
        Tolerance relative to the start policy's gap. Default: 1e-3, or 0 when `tol` is given. The larger counts.
    max_iterations : int
    gap_every : int
        Look at the gap (record it, test for convergence) each so many iterations; 0: only at the end.
    initial_policy : [H, S, A], optional
        Where to start; the uniform policy by default.
    max_seconds : float, optional
        Stop after the iteration in which this much wall-clock time has passed.
    callback : callable, optional
        ``callback(iteration, ne_gap, best_ne_gap)`` at every gap looked at; a true answer stops the solver.
    **options
        Of the method: ``step`` (the weight in (0, 1] of best-response mixing, there also "harmonic", fictitious play
        and policy iteration; mirror descent's fixed step; Anderson's in units of one over the spread of Q),
        ``temperature`` and ``inner_iterations`` (prior descent), ``memory`` (Anderson). "occupation-measure" takes
        none, and refuses large games with a ValueError. "auto" takes none on a game; on a policy-aware model
        ``starts``, how many random start policies are tried in the end (4), and their ``seed`` (0).

    Returns
    -------
    Solution
        The best policy seen, its gap, and ``converged=False`` where no policy met the tolerance. Of a policy-aware
        model, `attempts` says what was tried and the smallest gap of each; `iterations` and `history` are those of all
        attempts, `method` is the best one's.

    Raises
    ------
    TypeError
        Neither a game nor a policy-aware model; an option that the method does not take.
    ValueError
        Arguments out of range; tables of a policy-aware model that have a wrong shape or rows that are not
        distributions, at the step named.
    """
    known = as_game(game)
    name = choice("method", method, tuple(METHODS))
    limit, every = whole("max_iterations", max_iterations, 1), whole("gap_every", gap_every, 0)
    absolute = 0.0 if tol is None else real("tol", tol, 0.0, include_low=True)
    relative = (1e-3 if tol is None else 0.0) if rtol is None else real("rtol", rtol, 0.0, include_low=True)
    seconds = math.inf if max_seconds is None else real("max_seconds", max_seconds, 0.0)
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be a function, got {type(callback).__name__}")
    start = None if initial_policy is None else known.models.policy("initial_policy", initial_policy)
    limits = Limits(absolute, relative, limit, every, seconds, callback)
    if not isinstance(known.models.source, PolicyAwareSource):
        return run(known, name, made(name, options), start, limits)
    if name == "auto":
        _refuse_options("'auto' on a policy-aware model", options, ("starts", "seed"))
        return search_equilibrium(known, partial(_attempt, known), start, limits, **options)
    if name == "occupation-measure":
        raise ValueError(
            "method 'occupation-measure' asks for tables under any population, which a policy-aware model does not "
            "give: use 'auto' or another method"
        )
    return run(known, name, made(name, options), start, limits)


def _attempt(game: Game, trial: Trial, start: Floats, limits: Limits) -> Solution:
    return run(game, trial.method, made(trial.method, trial.options), start, limits)


def made(name: str, options: dict[str, Any]) -> Method:
    """The method of that name with these options."""
    factory = METHODS[name]
    _refuse_options(repr(name), options, tuple(inspect.signature(factory).parameters))
    return factory(**options)


def _refuse_options(method: str, options: dict[str, Any], known: tuple[str, ...]) -> None:
    for option in options:
        if option not in known:
            common = tuple(inspect.signature(solve).parameters)[1:-1]
            hint = nearest(option, (*known, *common))
            takes = f"{hint}It takes" if hint else "it takes"
            raise TypeError(f"method {method} has no option {option!r}: {takes} {', '.join(known) or 'none'}")


def run(game: Game, name: str, method: Method, start: Floats | None, limits: Limits) -> Solution:
    """The loop all methods share; the uniform policy is the start where None is given."""
    started = time.monotonic()
    every = limits.gap_every or limits.max_iterations
    alone = method if isinstance(method, MirrorDescent) and every > 1 and can_pass(game.models) else None
    held = HELD.get(name, HELD_BY_OTHERS) if alone is None else HELD_ALONE
    advice = "take a smaller game or horizon, or mirror-descent with a fixed step and gap_every > 1"
    numbers = held * game.horizon * game.n_states * game.n_actions
    require_numbers(f"solving by {name}", numbers, advice)
    first = evaluation_of(game, game.uniform_policy() if start is None else start, values=alone is None)
    target = max(limits.tol, limits.rtol * first.gap, ROUNDING * float(np.abs(first.q).max(initial=0.0)))
    history = [first.gap]
    best: Floats = first.policy
    best_gap = first.gap
    last = first if alone is None else None
    del start, first  # large policies live no longer than they are needed
    iteration = 0
    stopped = False
    while iteration < limits.max_iterations and not stopped and (limits.endless or best_gap > target):
        policy: Floats | None
        if alone is None:
            assert last is not None
            last = evaluation_of(game, method(last))
            done, gap, policy = 1, last.gap, last.policy
        else:
            ahead = min(every - iteration % every, limits.max_iterations - iteration)
            done, gap, policy = alone.advance(game, best, ahead, started + limits.max_seconds, best_gap)
        iteration += done
        stopped = time.monotonic() - started >= limits.max_seconds
        final = stopped or iteration == limits.max_iterations
        if final or (limits.gap_every and iteration % limits.gap_every == 0):
            history.append(gap)
            if policy is not None and gap < best_gap:
                best, best_gap = policy, gap
            if limits.callback is not None:
                stopped = bool(limits.callback(iteration, gap, best_gap)) or stopped
        del policy
    return Solution(frozen(best), best_gap, iteration, best_gap <= target, frozen(np.array(history)), name)


def solve_models(
    models: ModelClass,
    members: Any = None,
    *,
    tol: float = 5e-4,
    max_iterations: int = 2000,
    start: int | None = None,
    executor: Executor | None = None,
    tick: Tick | None = None,
) -> Iterator[Solution]:
    """Equilibria of many models of a class, in parallel, in the order of `members` (all by default).

    One member (`start`, the first by default) is solved from the uniform policy, and its equilibrium is where all
    others start: results depend neither on the order of the others nor on the number of threads. `executor`: where the
    others are solved (`fastmfg.remote`), in this process's threads by default. `tick(done, total)` reports progress.
    """
    real("tol", tol, 0.0)
    whole("max_iterations", max_iterations, 1)
    n = len(require_class("models", models))
    if members is not None and len(members) == 0:
        return iter(())
    chosen = range(n) if members is None else member_indices("members", members, n).tolist()
    first = chosen[0] if start is None else int(member_indices("start", start, n)[0])
    solver = partial(_solve_member, tol=tol, max_iterations=max_iterations)
    return _solutions(solver, models, chosen, first, executor, tick)


def _solutions(
    solver: Callable[..., Solution], models: ModelClass, members: Sequence[int], first: int, executor: Executor | None,
    tick: Tick | None,
) -> Iterator[Solution]:  # fmt: skip
    anchor = solver(models, first)
    from_anchor = partial(solver, start=anchor.policy, solved={first: anchor})
    for found in spread(from_anchor, models, members, executor, tick):
        yield replace(found, policy=frozen(found.policy), history=frozen(found.history))  # other processes lose that


def solve_from(
    models: ModelClass, members: Sequence[int], start: Floats, *, tol: float, executor: Executor | None = None
) -> Iterator[Solution]:
    """What ``solve(game, tol=tol, initial_policy=start)`` gives for each of the members, in their order."""
    solver = partial(_solve_member, tol=tol, max_iterations=2000, start=start)
    for found in spread(solver, models, members, executor):
        yield replace(found, policy=frozen(found.policy), history=frozen(found.history))


def _solve_member(
    models: ModelClass, member: int, tol: float, max_iterations: int, start: Floats | None = None,
    solved: Mapping[int, Solution] = MappingProxyType({}),
) -> Solution:  # fmt: skip
    if member in solved:
        return solved[member]
    game = models[member]
    return solve(game, tol=tol, max_iterations=max_iterations, initial_policy=start)
