"""Log-likelihoods of what was observed, ``sum log P_{M,h}(s'|s,a,mu_M)``: one of probability 0 expels for ever."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastmfg.comparing.conditional import ConditionalClass
from fastmfg.games.checks import Floats, Integers
from fastmfg.kernels import likelihood as likelihood_kernels


class RealizabilityError(ValueError):
    """Every surviving model gives some observed transition probability 0: the true model is not among them."""


@dataclass(frozen=True)
class Transitions:
    """Observed transitions (h, s, a, s')."""

    step: Integers  # [T]
    state: Integers  # [T]
    action: Integers  # [T]
    successor: Integers  # [T]


def all_transitions(states: Integers, actions: Integers) -> Transitions:
    """Every transition of trajectories states [n, H+1], actions [n, H]."""
    n, H = actions.shape
    return Transitions(
        np.tile(np.arange(H), n), states[:, :-1].ravel(), actions.ravel(), np.ascontiguousarray(states[:, 1:]).ravel()
    )


def transitions_at(states: Integers, actions: Integers, step: Integers) -> Transitions:
    """One transition of each trajectory: that of the given step [n]."""
    i = np.arange(len(states))
    return Transitions(step, states[i, step], actions[i, step], states[i, step + 1])


def log_likelihoods(conditional: ConditionalClass, positions: Integers, data: Transitions) -> Floats:
    """``[n]``: summed log-likelihood of the transitions in the models at these positions.

    Raises RealizabilityError, naming the transition, when no model is left with a positive likelihood.
    """
    f = conditional.family
    table = np.empty((positions.size, data.step.size))
    status = likelihood_kernels.log_likelihoods(
        f.fill, f.common, f.thetas, conditional.members[positions], conditional.aux[positions],
        data.step, data.state, data.action, data.successor, table,
    )  # fmt: skip
    f.refuse_status(status, "weighing evidence")
    sums: Floats = table.sum(axis=1)
    if np.isneginf(sums).all():
        dead = np.isneginf(table)
        t = int(np.argmax(np.logical_or.accumulate(dead, axis=1).all(axis=0)))
        raise RealizabilityError(
            f"no surviving model allows what was observed: step {data.step[t]}, state {data.state[t]}, action "
            f"{data.action[t]}, next state {data.successor[t]} has probability 0 in the last of them; the true model "
            "is not in the class, or the oracle does not sample it at the reference policy's density"
        )
    return sums
