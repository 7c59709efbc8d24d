"""A policy evaluated in its own game: what every solver looks at, and the form solvers take."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from fastmfg.games.checks import Floats, Integers
from fastmfg.games.game import Game
from fastmfg.planning.condition import ONE
from fastmfg.planning.evaluate import deterministic, evaluate_pairs

ROUNDING = 1e-14
"""Differences of values this small, relative to the largest, are rounding."""


@dataclass(frozen=True)
class Evaluation:
    """A policy with everything a method may want to know of it."""

    game: Game
    policy: Floats  # [H, S, A]
    density: Floats  # [H, S]
    aux: Floats  # [1, H, *]
    reward: Floats  # [H, S, A]
    q: Floats  # [H, S, A]
    greedy: Integers  # [H, S]   actions of the best response
    gap: float

    @cached_property
    def best_response(self) -> Floats:
        """The best response as a policy [H, S, A]."""
        return deterministic(self.greedy, self.game.n_actions)


class Method(Protocol):
    """Proposes the next policy, given the evaluation of the one it proposed last (the start policy at first).

    A method that needs no evaluation in between may also have ``leap(last, iterations, deadline)``: the policy after at
    most so many iterations, and how many they were.
    """

    def __call__(self, last: Evaluation) -> Floats: ...


def evaluation_of(game: Game, policy: Floats) -> Evaluation:
    members = np.array([game._member], dtype=np.int64)
    frozen_game, values = evaluate_pairs(game._family, members, policy[None], ONE)
    return Evaluation(
        game, policy, frozen_game.density[0], frozen_game.aux, frozen_game.reward[0], values.q[0], values.greedy[0],
        float(values.gap[0]),
    )  # fmt: skip


def spread_of_q(evaluation: Evaluation) -> float:
    """Mean over (h, s) of the range of Q over legal actions, where there is one; 0 where actions never matter."""
    legal = evaluation.game._family.common.legal
    spread = np.where(legal, evaluation.q, -np.inf).max(axis=-1) - np.where(legal, evaluation.q, np.inf).min(axis=-1)
    return float(spread[spread > 0].mean()) if (spread > 0).any() else 0.0


def scale_of_q(evaluation: Evaluation) -> float:
    """The larger of Q's spreads under this policy and the uniform one; 1 where actions never matter.

    Near an equilibrium the former vanishes. A spread within rounding of Q's size is none.
    """
    uniform = evaluation.game.uniform_policy()
    far = evaluation if np.array_equal(evaluation.policy, uniform) else evaluation_of(evaluation.game, uniform)
    spread = max(spread_of_q(evaluation), spread_of_q(far))
    return spread if spread > ROUNDING * float(np.abs(far.q).max()) else 1.0
