"""Log-likelihoods of what was observed, ``sum log P_{M,h}(s'|s,a,mu_M)``: one of probability 0 expels for ever.

Where rewards are unknown that of the observed reward is added, step by step (`fastmfg.games.reward_noise`): noise and
successor are independent, so that exp of the sum is a likelihood as before, and both rules of evidence hold as they
are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from fastmfg.comparing.conditional import ConditionalClass
from fastmfg.games.checks import Floats, Integers
from fastmfg.games.reward_noise import RewardNoise
from fastmfg.kernels import likelihood as likelihood_kernels


class RealizabilityError(ValueError):
    """No surviving model allows what was observed, a transition or a reward: the true model is not among them."""


NO_REWARDS: Floats = np.empty(0)
"""Stands for the rewards of transitions of a class whose rewards are known: they are no evidence."""


@dataclass(frozen=True)
class Transitions:
    """Observed transitions (h, s, a, s'), and rewards where these are unknown."""

    step: Integers  # [T]
    state: Integers  # [T]
    action: Integers  # [T]
    successor: Integers  # [T]
    reward: Floats = field(default_factory=lambda: NO_REWARDS)  # [T]; empty where rewards are known

    def part(self, chosen: range) -> Transitions:
        """Some consecutive ones of the transitions."""
        arrays = (getattr(self, each.name)[chosen.start : chosen.stop] for each in fields(Transitions))
        return Transitions(*arrays)

    @staticmethod
    def joined(parts: Sequence[Transitions]) -> Transitions:
        """The transitions of all parts, one after another."""
        names = [each.name for each in fields(Transitions)]
        return Transitions(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def all_transitions(states: Integers, actions: Integers, rewards: Floats | None = None) -> Transitions:
    """Every transition of trajectories states [n, H+1], actions [n, H], and rewards [n, H] where these are unknown."""
    n, H = actions.shape
    return Transitions(
        np.tile(np.arange(H), n), states[:, :-1].ravel(), actions.ravel(), np.ascontiguousarray(states[:, 1:]).ravel(),
        NO_REWARDS if rewards is None else rewards.ravel(),
    )  # fmt: skip


def transitions_at(
    states: Integers, actions: Integers, rewards: Floats | None = None, *, step: Integers
) -> Transitions:
    """One transition of each trajectory: that of the given step [n]."""
    i = np.arange(len(states))
    reward = NO_REWARDS if rewards is None else rewards[i, step]
    return Transitions(step, states[i, step], actions[i, step], states[i, step + 1], reward)


def log_likelihoods(conditional: ConditionalClass, positions: Integers, data: Transitions) -> Floats:
    """``[n]``: summed log-likelihood of the transitions in the models at these positions.

    Raises RealizabilityError, naming the transition or the reward, when no model is left with a positive likelihood.
    """
    f = conditional.models
    table = np.empty((positions.size, data.step.size))
    status = likelihood_kernels.log_likelihoods(
        f.fill, f.common, f.thetas, conditional.members[positions], conditional.aux[positions],
        data.step, data.state, data.action, data.successor, table,
    )  # fmt: skip
    f.refuse_status(status, "weighing evidence")
    if f.reward_noise is None:
        sums: Floats = table.sum(axis=1)
        if np.isneginf(sums).all():
            _refuse_impossible(data, np.isneginf(table), np.zeros(table.shape, dtype=np.bool_), table)
        return sums
    rewards = reward_log_likelihoods(f.reward_noise, conditional, positions, data)
    sums = (table + rewards).sum(axis=1)
    if np.isneginf(sums).all():
        _refuse_impossible(data, np.isneginf(table), np.isneginf(rewards), model_rewards(conditional, positions, data))
    return sums


def model_rewards(conditional: ConditionalClass, positions: Integers, data: Transitions) -> Floats:
    """Rewards ``r_M,h(s,a,mu_M)`` [n, T] of the transitions' states and actions in the models at these positions."""
    if data.reward.shape != data.step.shape:
        raise ValueError("the rewards of this class are unknown: transitions need observed rewards, one each")
    rewards: Floats = conditional.reward[positions[:, None], data.step, data.state, data.action]
    return rewards


def reward_log_likelihoods(
    noise: RewardNoise, conditional: ConditionalClass, positions: Integers, data: Transitions
) -> Floats:
    """``[n, T]``: log-likelihoods of the observed rewards alone, up to a constant that all models share."""
    return noise.log_likelihood(data.reward, model_rewards(conditional, positions, data))


def _refuse_impossible(
    data: Transitions, transition: NDArray[np.bool_], reward: NDArray[np.bool_], own: Floats
) -> NoReturn:
    """Name what the last model died of: `transition`, `reward` say what is impossible in which model, all [n, T].

    `own`: the models' rewards; not read where no reward is impossible.
    """
    dead = transition | reward
    gone = np.logical_or.accumulate(dead, axis=1)
    t = int(np.argmax(gone.all(axis=0)))
    last = dead[:, t] if t == 0 else dead[:, t] & ~gone[:, t - 1]
    where = f"step {data.step[t]}, state {data.state[t]}, action {data.action[t]}"
    others = own[last & reward[:, t], t]
    if others.size == 0:
        what = f"{where}, next state {data.successor[t]} has probability 0 in the last of them"
    else:
        what = f"{where} was rewarded with {float(data.reward[t])!r}, where the last of them has " + (
            f"{float(others[0])!r}" if others.size == 1 else f"rewards from {others.min()!s} to {others.max()!s}"
        )
    raise RealizabilityError(
        f"no surviving model allows what was observed: {what}; the true model is not in the class, or the oracle does "
        "not sample it at the reference policy's density"
        + (", or its rewards are observed under more noise than stated" if reward.any() else "")
    )
