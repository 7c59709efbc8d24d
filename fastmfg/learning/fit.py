"""Goodness of fit: whether a model that survived could have made the data at all.

Elimination compares models with one another, and some model always survives. Whether any is true shows in how likely
the data are *under that model itself*. For a transition with the row p and the observed successor x, ``log p(x)`` has
under the model the mean ``sum p log p`` and the variance of log p, whatever was chosen from past data. Summed over all
transitions, ``z = (observed - expected) / sqrt(variance)`` is about standard normal under a true model; far below 0 the
data are less likely than the model says, far above more.

The alarm does not rest on that approximation. For each model and each l in a few values of both signs,
``exp(sum [l log p(x) - log sum_y p(y)^(1+l)])`` is a nonnegative martingale of mean 1 under the model, and so is their
mean over l. By Ville's inequality it ever exceeds ``1 / a`` with probability at most a: a true model that survives is
ever called implausible with probability at most `ALARM`, however often one looks.

Where rewards are unknown, those observed count like transitions, by their log-likelihood ``-e^2 / (2 sigma^2)``: its
mean under the model is -1/2, its variance 1/2, and ``E exp(l .) = (1 + l)^(-1/2)``. Without noise nothing is left to
chance: a reward that is not the model's makes it impossible.

The statistic sees a model by its likelihood alone: a model whose rows are uniform is never implausible, nor is one that
is wrong in rows that were not visited.
"""

from __future__ import annotations

import math
import warnings
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.comparing.conditional import ConditionalClass, condition_members
from fastmfg.executors import blocks, map_tasks
from fastmfg.games.checks import Floats, Integers, float_array, index_array
from fastmfg.games.model_class import ModelClass, member_indices, require_class
from fastmfg.learning.likelihood import Transitions, all_transitions, reward_log_likelihoods
from fastmfg.learning.observed import observed_probability, observed_rows

ALARM = 1e-3
"""Probability of a false alarm, at most, over a whole run."""

HALVINGS = 4
"""Tests have l = 1/2, 1/4, ... of both signs: z of a few after 10 to 1,000 transitions is met by one of them."""


ENTRIES_A_BLOCK = 1 << 17
"""Entries of rows that a thread has in memory at a time, at most, unless a single row has more."""


class ImplausibleWarning(UserWarning):
    """No candidate that is left could well have made the data: the true model is probably not in the class."""


class Plausibility:
    """Sums over a run, for every model of a class; `add` takes what was weighed, transitions or batches of them.

    Models that are left out of an `add` keep what they had: ask for those that were never left out.
    """

    def __init__(self, n_models: int) -> None:
        self.excess = np.zeros(n_models)  # [M]   log-likelihood less what the model expects
        self.variance = np.zeros(n_models)  # [M]
        self.tests = np.zeros((n_models, 2 * HALVINGS))  # [M, *]   logarithms of the martingales

    def add(self, conditional: ConditionalClass, positions: Integers, data: Transitions) -> None:
        """Count transitions under a reference policy for the models at these positions of its conditional class."""
        length = conditional.models.row_length
        for part in blocks(data.step.size, max(1, ENTRIES_A_BLOCK // length)):
            some = data.part(part)
            size = max(1, ENTRIES_A_BLOCK // (length * len(part)))
            tasks = [positions[block.start : block.stop] for block in blocks(positions.size, size)]
            counted = map_tasks(partial(_count, conditional, data=some), tasks)
            for chosen, (excess, variance, tests) in zip(tasks, counted, strict=True):
                members = conditional.members[chosen]
                self.excess[members] += excess
                self.variance[members] += variance
                self.tests[members] += tests

    def z(self, members: Integers) -> Floats:
        """Standardised log-likelihoods [k]; 0 where a model leaves nothing to chance, -inf for an impossible one."""
        scale = np.sqrt(self.variance[members])
        with np.errstate(divide="ignore", invalid="ignore"):
            z: Floats = np.where(self.excess[members] == 0, 0.0, self.excess[members] / scale)
        return z

    def log_evidence(self, members: Integers) -> Floats:
        """Logarithm [k] of the evidence against each model: it ever exceeds ``log(1/a)`` with probability at most a."""
        tests = self.tests[members]
        top = tests.max(axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):
            spread = np.where(np.isinf(top), 1.0, np.exp(tests - top).mean(axis=1, keepdims=True))
        evidence: Floats = (top + np.log(spread))[:, 0]
        return evidence

    def implausible(self, members: Integers) -> bool:
        """Whether every one of these models is."""
        return bool((self.log_evidence(members) > math.log(1 / ALARM)).all())

    def warn(self, members: Integers) -> None:
        """An `ImplausibleWarning` when every one of these models is implausible."""
        if self.implausible(members):
            z = self.z(members)
            warnings.warn(
                f"no model left fits the data: z from {z.min():.3g} to {z.max():.3g} for {z.size} of them (if the true "
                f"model is left, a false alarm has probability at most {ALARM:g}). The true model may be missing from "
                "the class, or the oracle's population may be too small for it; bounds on NE gaps do not hold then",
                ImplausibleWarning,
                stacklevel=3,
            )


def _count(conditional: ConditionalClass, positions: Integers, data: Transitions) -> tuple[Floats, Floats, Floats]:
    """What transitions add to the excess [n], variance [n] and tests [n, *] of the models at these positions."""
    rows, entry = observed_rows(conditional, positions, data)
    tests = np.empty((positions.size, 2 * HALVINGS))
    with np.errstate(divide="ignore"):
        observed, log_rows = np.log(observed_probability(rows, entry)), np.log(np.where(rows > 0, rows, 1.0))
    mean = (rows * log_rows).sum(axis=2)
    excess = (observed - mean).sum(axis=1)
    variance = (rows * (log_rows - mean[..., None]) ** 2).sum(axis=(1, 2))
    root, power = rows, 1.0
    for i in range(HALVINGS):
        root, power = np.sqrt(root), power / 2
        up, down = rows * root, np.divide(rows, root, out=np.zeros_like(rows), where=root > 0)
        tests[:, 2 * i] = (power * observed - np.log(up.sum(axis=2))).sum(axis=1)
        tests[:, 2 * i + 1] = (-power * observed - np.log(down.sum(axis=2))).sum(axis=1)
    if (noise := conditional.models.reward_noise) is not None:
        observed = reward_log_likelihoods(noise, conditional, positions, data)
        excess += (observed - noise.mean).sum(axis=1)
        variance += noise.variance * observed.shape[1]
        for i in range(HALVINGS):
            power = 0.5 ** (i + 1)
            tests[:, 2 * i] += (power * observed - noise.log_moment(power)).sum(axis=1)
            tests[:, 2 * i + 1] += (-power * observed - noise.log_moment(-power)).sum(axis=1)
    return excess, variance, tests


def plausibility(
    models: ModelClass, policy: ArrayLike, states: ArrayLike, actions: ArrayLike, members: Any = None, *,
    rewards: ArrayLike | None = None,
) -> Floats:  # fmt: skip
    """How well models fit trajectories: standardised log-likelihoods z [k], about normal for a true model.

    Parameters
    ----------
    models : ModelClass
    policy : [H, S, A]
        The reference policy that the population played.
    states, actions : [n, H+1], [n, H]
        Trajectories of one agent, who may have played anything.
    members : indices, optional
        The models, in the order of the answer; all by default.
    rewards : [n, H]
        Observed rewards, where those of the class are unknown, and only there.

    Warns
    -----
    ImplausibleWarning
        Every one of the models is implausible. If one of them is true, this has probability at most `ALARM`.

    Raises
    ------
    ValueError, TypeError, IndexError
        States or actions out of range; wrong shapes; a policy that does not fit the class.
    """
    require_class("models", models)
    pi = models.policy("policy", policy)
    n, H = len(models), models.horizon
    s = index_array("states", states, (None, H + 1), models.n_states)
    a = index_array("actions", actions, (len(s), H), models.n_actions)
    if (rewards is None) != (models.reward_noise is None):
        raise ValueError(
            "rewards [n, H] are needed where those of the class are unknown"
            if rewards is None
            else "rewards are given, but those of the class are known: they are no evidence"
        )
    r = None if rewards is None else float_array("rewards", rewards, a.shape)
    chosen = np.arange(n, dtype=np.int64) if members is None else member_indices("members", members, n)
    sums = Plausibility(n)
    conditional = condition_members(models, pi, chosen)
    sums.add(conditional, np.arange(chosen.size), all_transitions(s, a, r))
    sums.warn(chosen)
    return sums.z(chosen)
