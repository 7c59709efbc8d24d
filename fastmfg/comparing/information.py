"""How fast samples can name the true model: the information limit of a class.

With policies of deviation dev and reference pi a trajectory brings, against model N, on average
``KL(dev, pi; N) = E_{dev in M*|pi} sum_h KL( P_M*,h(.|s_h,a_h) || P_N,h(.|s_h,a_h) )`` nats, each model at its own
density; where rewards are unknown a step adds the divergence of what is observed of them, with Gaussian noise
``(r_M* - r_N)^2 / (2 sigma^2)``. A sampling plan is a distribution over pairs (dev, pi); the limit is ``max over plans
of min over N != M* of KL(plan; N)``. A rule that drops models at a log-likelihood ratio of log(n/delta) needs about
``log(n/delta) / limit`` trajectories to be left with the true model alone, whatever it samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmfg.comparing.conditional import condition_members
from fastmfg.executors import map_tasks
from fastmfg.games.checks import Floats, Integers, float_array, policy_array, policy_of, whole
from fastmfg.games.model_class import ModelClass, member_indices, require_class
from fastmfg.planning.ties import lowest_best

RATE = 2.0
"""Step of the weights' player, times the usual ``sqrt(log n / iterations)``."""


@dataclass(frozen=True)
class InformationLimit:
    """Bounds of the limit, in nats a trajectory; infinite where every other model is told apart for sure."""

    lower: float  # that of a plan found
    upper: float  # no plan does better
    hardest: int  # the model that this plan tells least of; -1 where there is none

    def trajectories(self, nats: float) -> float:
        """Trajectories that bring so many nats against every other model, at the least: ``nats / upper``."""
        return 0.0 if self.upper == math.inf else nats / self.upper if self.upper > 0.0 else math.inf


def information_limit(
    models: ModelClass, true_model: int, policies: ArrayLike, *, iterations: int = 400
) -> InformationLimit:
    """The information limit over all deviations and the given reference policies.

    Parameters
    ----------
    models : ModelClass
    true_model : int
        M*, an index of the class.
    policies : [H, S, A] or [P, H, S, A]
        Reference policies that a plan may use.
    iterations : int
        Of the matrix game between plans and weights on models; bounds close in like one over its square root.

    Raises
    ------
    ValueError, TypeError, IndexError
        A model out of range, arrays that are no policies.
    """
    n = len(require_class("models", models))
    true = int(member_indices("true_model", whole("true_model", true_model, 0), n)[0])
    rounds = whole("iterations", iterations, 1)
    policies = policy_of(policies)
    array = float_array("policies", policies, (None,) * (4 if np.ndim(policies) == 4 else 3))
    batch = array if array.ndim == 4 else array[None]
    references = [policy_array(f"policies[{i}]", pi, models.legal, models.horizon) for i, pi in enumerate(batch)]
    others = np.array([m for m in range(n) if m != true], dtype=np.int64)
    if others.size == 0:
        return InformationLimit(math.inf, math.inf, -1)
    sides = [_Side(models, true, others, policy) for policy in references]
    sure = np.any([side.sure for side in sides], axis=0)
    if sure.all():
        return InformationLimit(math.inf, math.inf, -1)
    lower, upper, hardest = _play(sides, np.flatnonzero(~sure), rounds)
    return InformationLimit(lower, max(lower, upper), int(others[hardest]))


class _Side:
    """Information under one reference policy: ``nats [n, H, S, A]``, and the true model's rows ``[H, S, A, S]``."""

    def __init__(self, models: ModelClass, true: int, others: Integers, policy: Floats) -> None:
        members = np.concatenate([[true], others])
        conditional = condition_members(models, policy, members)

        def table(position: int) -> Floats:
            return models.transitions_along(int(members[position]), conditional.density[position], policy)

        self.initial, self.legal = models.initial, models.legal
        self.rows = rows = table(0)
        positions = range(1, members.size)
        self.nats = np.stack(list(map_tasks(lambda i: divergence(rows, table(i)), positions, parallel=models.parallel)))
        if models.reward_noise is not None:  # an observed reward is independent of the successor: what it tells adds up
            self.nats += models.reward_noise.divergence(conditional.reward[:1], conditional.reward[1:])
        reached = self._reachable()
        infinite = np.isinf(self.nats)
        self.sure = (infinite & reached & self.legal).any(axis=(1, 2, 3))  # [n]
        self.nats[infinite] = 0.0

    def _reachable(self) -> NDArray[np.bool_]:
        """Which states [H, S, 1] some deviation reaches."""
        H, S = self.rows.shape[:2]
        reached = np.zeros((H, S, 1), dtype=np.bool_)
        reached[0, :, 0] = self.initial > 0
        for h in range(H - 1):
            leads = (self.rows[h] > 0) & self.legal[:, :, None] & reached[h][:, :, None]
            reached[h + 1, :, 0] = leads.any(axis=(0, 1))
        return reached

    def best(self, weights: Floats, chosen: Integers) -> tuple[float, Floats]:
        """The most weighted nats that a deviation brings, and its nats against each chosen model."""
        H, S = self.rows.shape[:2]
        reward = np.tensordot(weights, self.nats[chosen], axes=1)
        value, each, states = np.zeros(S), np.zeros((chosen.size, S)), np.arange(S)
        for h in range(H - 1, -1, -1):
            q = np.where(self.legal, reward[h] + self.rows[h] @ value, -np.inf)
            actions = lowest_best(q, self.legal)
            value = q.max(axis=1)
            each = self.nats[chosen, h][:, states, actions] + each @ self.rows[h][states, actions].T
        return float(self.initial @ value), each @ self.initial


def divergence(P: Floats, Q: Floats) -> Floats:
    """``sum_x P(x) log(P(x) / Q(x))`` along the last axis; infinite where Q is 0 and P is not."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(P > 0.0, P * np.log(P / Q), 0.0)
    total: Floats = np.maximum(terms.sum(axis=-1), 0.0)
    return total


def _play(sides: list[_Side], chosen: Integers, rounds: int) -> tuple[float, float, int]:
    """Multiplicative weights on models against best plans: value of the average plan, upper bound, hardest model."""
    total, upper, scale = np.zeros(chosen.size), math.inf, 0.0
    rate = RATE * math.sqrt(math.log(max(chosen.size, 2)) / rounds)
    for _ in range(rounds):
        shifted = total - total.min()
        weights = np.exp(-rate * shifted / scale) if scale > 0.0 else np.ones(chosen.size)
        weights /= weights.sum()
        value, each = max((side.best(weights, chosen) for side in sides), key=lambda found: found[0])
        upper, scale = min(upper, value), max(scale, float(each.max()))
        total += each
    hardest = int(np.argmin(total))
    return float(total[hardest] / rounds), upper, int(chosen[hardest])
