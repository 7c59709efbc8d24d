"""Values, best responses and NE gaps: one backward pass through a conditional model gives all three.

``E_M(pi) = max_dev J_M(dev; pi) - J_M(pi; pi)``, the NE gap or exploitability (Huang, He, Krause 2024, Section 2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmfg.equality import Result
from fastmfg.executors import Executor, Tick, blocks, items_a_task, map_tasks
from fastmfg.games.checks import Floats, Integers, first_index, frozen
from fastmfg.games.game import Game, require_game
from fastmfg.games.layout import Layout
from fastmfg.games.model_class import ModelClass, member_indices, require_class
from fastmfg.games.sources import Conditionals
from fastmfg.games.spread import spread
from fastmfg.kernels import backup as backup_kernels
from fastmfg.kernels.forms import NO_ROWS
from fastmfg.memory import require_numbers
from fastmfg.planning.condition import condition_one
from fastmfg.planning.passes import is_large, kept_rows
from fastmfg.planning.survey import respond, survey

MODELS_A_TASK = 8
"""Models one thread conditions and evaluates at a time, at most: bounds the memory a pass takes."""


Actions = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Values(Result):
    """Values of n (model, policy) pairs in conditional models."""

    q: Floats  # [n, H, S, A]   of the policy
    greedy: Actions  # [n, H, S]   actions of the best response, the lowest of those tied
    value: Floats  # [n, 2, S]   V_1 of the policy and of the best response
    initial: Floats  # [S]
    layout: Layout | None  # of types of agents

    @property
    def policy_return(self) -> Floats:
        """``J_M(pi)`` [n]."""
        return self._mean(self.value[:, 0])

    @property
    def best_return(self) -> Floats:
        """``max_dev J_M(dev)`` [n]."""
        return self._mean(self.value[:, 1])

    @property
    def gap(self) -> Floats:
        """What the best response gains [n], of several types the one that gains most."""
        largest: Floats = self.gap_by_type.max(axis=1)
        return largest

    @property
    def gap_by_type(self) -> Floats:
        """What the best response gains, type by type [n, W]; never negative (rounding can leave -1e-16)."""
        return np.maximum(self.by_type(self.value[:, 1] - self.value[:, 0]), 0.0)

    def by_type(self, values: Floats) -> Floats:
        """Means [n, W] over each type's start of values [n, S]; W = 1 where there are no types."""
        return self._mean(values)[:, None] if self.layout is None else self.layout.means(values, self.initial)

    def _mean(self, values: Floats) -> Floats:
        """Over the start distribution; row by row, so that no result depends on what else is in the batch."""
        means: Floats = (values * self.initial).sum(axis=1)
        return means


@dataclass(frozen=True, eq=False)
class BestResponse(Result):
    """A best response in a conditional model."""

    policy: Floats  # [H, S, A]   deterministic
    value: float  # mu1 . V_1


def back_up(
    models: ModelClass, members: Integers, aux: Floats, reward: Floats, policies: Floats, policy_of: Integers,
    rows: Floats = NO_ROWS,
) -> Values:  # fmt: skip
    """Values of policies, and of the best response, under any rewards [n, H, S, A] in conditional models.

    ``rows``: those of a single model, where its conditioning kept them.
    """
    n, H, S, A = reward.shape
    q, greedy, value = np.empty((n, H, S, A)), np.empty((n, H, S), dtype=np.int32), np.empty((n, 2, S))
    pairs = models.pairs(members, policies, policy_of, rows)
    status = backup_kernels.back_up(models.compiled_rows, pairs, aux, reward, q, greedy, value)
    models.refuse_status(status, "backing values up")
    if not np.isfinite(value).all():
        i = first_index(~np.isfinite(value))[0]
        raise ValueError(f"the values of {models.name_of(int(members[i]))} are not finite: its rewards overflow")
    return Values(q, greedy, value, models.common.initial, models.layout)


def evaluate_pairs(
    models: ModelClass, members: Integers, policies: Floats, policy_of: Integers
) -> tuple[Conditionals, Values]:
    """Condition n (model, policy) pairs and back their values up."""
    rows = kept_rows(models) if members.size == 1 else NO_ROWS
    conditionals = models.condition(members, policies, policy_of, rows)
    return conditionals, back_up(models, members, conditionals.aux, conditionals.reward, policies, policy_of, rows)


def evaluate_one(game: Game, policy: Floats) -> tuple[Conditionals, Values]:
    """Condition one game on a checked policy [H, S, A], and back its values up: a batch of one."""
    return evaluate_pairs(game.models, *game.batch(policy))


def back_up_one(game: Game, aux: Floats, reward: Floats, policy: Floats) -> Values:
    """Values of a policy in a conditional model of one game: aux [1, H, *], rewards [1, H, S, A]."""
    members, policies, policy_of = game.batch(policy)
    return back_up(game.models, members, aux, reward, policies, policy_of)


def deterministic(actions: NDArray[np.integer[Any]], n_actions: int) -> Floats:
    """The policy [H, S, A] that plays the given actions [H, S]."""
    require_numbers("a policy [H, S, A]", actions.size * n_actions, "take a smaller game or horizon")
    policy = np.zeros((*actions.shape, n_actions))
    np.put_along_axis(policy, actions[..., None], 1.0, axis=-1)
    return policy


def evaluate(game: Game, policy: ArrayLike, deviation: ArrayLike | None = None) -> float:
    """Return ``J_M(deviation; policy)`` of one agent who plays `deviation` while the crowd plays `policy` [H, S, A].

    Without a deviation, the crowd's own return ``J_M(policy; policy)``.
    """
    require_game("game", game)
    pi = game.models.policy("policy", policy)
    dev = pi if deviation is None else game.models.policy("deviation", deviation)
    conditionals = condition_one(game, pi)
    values = back_up_one(game, conditionals.aux, conditionals.reward, dev)
    return float(values.policy_return[0])


def best_response(game: Game, policy: ArrayLike) -> BestResponse:
    """The best response of one agent to a crowd that plays `policy` [H, S, A]; the lowest action on a tie.

    Tied are actions within 1e-10 of the best, relative to the largest absolute value of any state at that step and the
    next: against `value` the policy loses at most ``H * 1e-10`` of the largest value of all.
    """
    pi = _checked(game, policy)
    if is_large(game.models):
        actions, value = respond(game, pi.swapaxes(1, 2))
        del pi
        return BestResponse(frozen(deterministic(actions, game.n_actions)), value)
    values = evaluate_one(game, pi)[1]
    return BestResponse(frozen(deterministic(values.greedy[0], game.n_actions)), float(values.best_return[0]))


def ne_gap(game: Game, policy: ArrayLike) -> float:
    """``E_M(policy)``: what one agent gains at most by leaving `policy` [H, S, A] when all others keep to it.

    Of several types of agents, the one that gains most (`ne_gaps_by_type`); the policy may be a list of theirs.
    """
    pi = _checked(game, policy)
    if is_large(game.models):
        return survey(game, pi.swapaxes(1, 2)).gap
    return float(evaluate_one(game, pi)[1].gap[0])


def _checked(game: Game, policy: ArrayLike) -> Floats:
    return require_game("game", game).models.policy("policy", policy)


def ne_gaps(
    models: ModelClass,
    policy: ArrayLike,
    members: Any = None,
    *,
    executor: Executor | None = None,
    tick: Tick | None = None,
) -> Floats:
    """``E_M(policy)`` of every model M (or of `members`, in their order), [n]: the largest is the stopping bound.

    `executor`: where the work is done (`fastmfg.remote`), this process's threads by default. `tick(done, total)`
    reports progress.
    """
    require_class("models", models)
    pi = models.policy("policy", policy)
    chosen = models.members if members is None else member_indices("members", members, len(models))
    tasks = [chosen[block] for block in model_blocks(models, chosen.size)]
    return np.concatenate(list(spread(partial(gaps_of, policy=pi), models, tasks, executor, tick)))


def gaps_of(models: ModelClass, members: Integers, policy: Floats) -> Floats:
    """NE gaps [n] of a checked policy in some of the models."""
    return evaluate_pairs(models, members, policy[None], np.zeros(members.size, dtype=np.int64))[1].gap


def model_blocks(models: ModelClass, n: int) -> list[Integers]:
    """The positions 0..n-1 in consecutive blocks, one a task."""
    size = items_a_task(models.row_entries, MODELS_A_TASK)
    return [np.arange(block.start, block.stop) for block in blocks(n, size)]


def map_blocks(function: Callable[[Integers], Any], models: ModelClass, n: int) -> Any:
    """``function`` of consecutive blocks of the positions 0..n-1, side by side where the class is compiled."""
    return map_tasks(function, model_blocks(models, n), parallel=models.parallel)
