"""A policy evaluated in its own game: what every solver looks at, and the form solvers take."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastmfg.games.checks import Floats
from fastmfg.games.game import Game
from fastmfg.planning.condition import rewards_one
from fastmfg.planning.evaluate import deterministic, evaluate_one
from fastmfg.planning.passes import is_large
from fastmfg.planning.survey import survey

ROUNDING = 1e-14
"""Differences of values this small, relative to the largest, are rounding."""


@dataclass(frozen=True)
class Evaluation:
    """A policy with everything a method may want to know of it."""

    game: Game
    policy: Floats  # [H, S, A]
    density: Floats  # [H, S]
    aux: Floats  # [1, H, *]
    q: Floats  # [H, S, A]   empty where the solver said that nobody needs it
    greedy: NDArray[np.integer[Any]]  # [H, S]   actions of the best response; empty likewise
    gap: float

    @cached_property
    def reward(self) -> Floats:
        """Rewards [H, S, A] under the policy's density."""
        return rewards_one(self.game, self.density, self.policy)

    @cached_property
    def best_response(self) -> Floats:
        """The best response as a policy [H, S, A]."""
        return deterministic(self.greedy, self.game.n_actions)


class Method(Protocol):
    """Proposes the next policy, given the evaluation of the one it proposed last (the start policy at first).

    One that needs no evaluation in between may go on by itself instead, from its first proposal on
    (`MirrorDescent.advance`).
    """

    def __call__(self, last: Evaluation) -> Floats: ...


def evaluation_of(game: Game, policy: Floats, values: bool = True) -> Evaluation:
    """Evaluate; without `values` nobody needs Q and the best response, and large games leave them out."""
    if is_large(game.models):
        found = survey(game, policy.swapaxes(1, 2), q=values, greedy=values)
        return Evaluation(game, policy, found.density, found.aux[None], found.q, found.greedy, found.gap)
    conditionals, of = evaluate_one(game, policy)
    density, gap = conditionals.density[0], float(of.gap[0])
    return Evaluation(game, policy, density, conditionals.aux, of.q[0], of.greedy[0], gap)


def spread_of_q(evaluation: Evaluation) -> float:
    """Mean over (h, s) of the range of Q over legal actions, where there is one; 0 where actions never matter."""
    legal = evaluation.game.models.common.legal
    spread = np.where(legal, evaluation.q, -np.inf).max(axis=-1) - np.where(legal, evaluation.q, np.inf).min(axis=-1)
    return float(spread[spread > 0].mean()) if (spread > 0).any() else 0.0


def at_uniform(evaluation: Evaluation) -> Evaluation:
    """The evaluation of the uniform policy in the same game; the given one where that is it."""
    uniform = evaluation.game.uniform_policy()
    same = np.array_equal(evaluation.policy, uniform)
    return evaluation if same else evaluation_of(evaluation.game, uniform)


def scale_of_q(evaluation: Evaluation, uniform: Evaluation | None = None) -> float:
    """The larger of Q's spreads under this policy and the uniform one; 1 where actions never matter.

    Near an equilibrium the former vanishes. A spread within rounding of Q's size is none.
    """
    far = at_uniform(evaluation) if uniform is None else uniform
    spread = max(spread_of_q(evaluation), spread_of_q(far))
    return spread if spread > ROUNDING * float(np.abs(far.q).max()) else 1.0
