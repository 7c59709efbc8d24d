"""Who chooses the deviation of a round of ModelElim (Huang, He, Krause 2024, Alg. 2 step 1), and when it is over.

``max``: the deviation of the largest distance of all; ``first``: that of the first pair farther apart than the
tolerance; ``nash``: the equilibrium, among the survivors', that sees the largest distance; ``information``: the
deviation that discriminates most between all survivors, weighted by how likely they still are.

Distances do not depend on data: each adversary computes what it needs once and then only shrinks the set of survivors.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fastmfg.comparing.conditional import ConditionalClass
from fastmfg.comparing.distance import deviation_distances, directed_distances, pair_deviation
from fastmfg.comparing.neighbourhood import find_neighbourhoods
from fastmfg.executors import blocks, map_tasks
from fastmfg.games.checks import Floats, Integers
from fastmfg.games.reward_noise import RewardNoise
from fastmfg.kernels import information as information_kernels
from fastmfg.learning.recall import recalled
from fastmfg.planning.evaluate import deterministic
from fastmfg.planning.ties import lowest_best

STATES_A_TASK = 16
"""States one thread backs information up for at a time."""

TEMPER = 0.5
"""Survivors are weighted by their likelihoods to this power: the last rivals must still count."""

RIVALS = 24
"""The likeliest survivors that a deviation is chosen to tell apart. At the paper's size such a deviation brings 98.4 to
99.9% of the information that the best one brings over all 200 models; 64 rivals: 99.6%, for 2.7 times the work."""

STALE = 0.1
"""A deviation is used again until the weights have moved by this much in total variation."""

USES = 8
"""And at most this often: it may have done its work without moving the weights of those it does not tell apart."""

Equilibria = Callable[[Integers], Floats]
"""``equilibria(members) -> [n, H, S, A]``: equilibrium policies of members of the class."""


class Adversary(Protocol):
    """Chooses deviations among the survivors, given by position in the conditional class."""

    def converged(self, alive: Integers) -> bool:
        """Whether no two survivors are farther apart than the tolerance, under any deviation."""
        ...

    def done(self, alive: Integers) -> bool:
        """Whether the adversary has no deviation to offer (step 1 of Alg. 2 returns)."""
        ...

    def deviation(self, alive: Integers, log_likelihood: Floats) -> Floats:
        """A deviation [H, S, A] that tells survivors apart; asked only while not done."""
        ...


class _ByDistance:
    """Knows which models are near one another, and the deviations of the pairs it was asked for last."""

    def __init__(self, conditional: ConditionalClass, tolerance: float, near: NDArray[np.bool_]) -> None:
        self.conditional, self.tolerance, self.near = conditional, tolerance, near
        self.pair_deviation = lru_cache(maxsize=8)(self._pair_deviation)

    def converged(self, alive: Integers) -> bool:
        return bool(self.near[np.ix_(alive, alive)].all())

    def done(self, alive: Integers) -> bool:
        return self.converged(alive)

    def _pair_deviation(self, m: int, n: int) -> tuple[float, Floats]:
        distance, actions = pair_deviation(self.conditional, m, n)
        return distance, deterministic(actions, self.conditional.models.n_actions)


class First(_ByDistance):
    """The first pair (k < j, j ascending) farther apart than the tolerance, j -> k before k -> j: the authors' code."""

    def __init__(self, conditional: ConditionalClass, tolerance: float, equilibria: Equilibria) -> None:
        super().__init__(conditional, tolerance, find_neighbourhoods(conditional, tolerance).near)

    def deviation(self, alive: Integers, log_likelihood: Floats) -> Floats:
        j, k = alive[self._first_far(alive)].tolist()
        distance, policy = self.pair_deviation(j, k)
        return policy if distance > self.tolerance else self.pair_deviation(k, j)[1]

    def _first_far(self, alive: Integers) -> Integers:
        """Which two of the survivors, j before k."""
        return _first_pair(np.tril(~self.near[np.ix_(alive, alive)]))


class Max(_ByDistance):
    """The largest directed distance over all deviations and pairs: Alg. 2 as written."""

    def __init__(self, conditional: ConditionalClass, tolerance: float, equilibria: Equilibria) -> None:
        self.distances = directed_distances(conditional)
        super().__init__(conditional, tolerance, np.maximum(self.distances, self.distances.T) <= tolerance)

    def deviation(self, alive: Integers, log_likelihood: Floats) -> Floats:
        among = self.distances[np.ix_(alive, alive)]
        return self.pair_deviation(*alive[_first_pair(among == among.max())].tolist())[1]


class Nash(_ByDistance):
    """Deviations range over the survivors' equilibria only (Alg. 7): done does not mean converged."""

    def __init__(self, conditional: ConditionalClass, tolerance: float, equilibria: Equilibria) -> None:
        super().__init__(conditional, tolerance, find_neighbourhoods(conditional, tolerance).near)
        self.policies = equilibria(conditional.members)
        self.distances = deviation_distances(conditional, self.policies)

    def done(self, alive: Integers) -> bool:
        return bool(self.distances[np.ix_(alive, alive, alive)].max() <= self.tolerance)

    def deviation(self, alive: Integers, log_likelihood: Floats) -> Floats:
        among = self.distances[np.ix_(alive, alive, alive)].max(axis=(1, 2))
        chosen: Floats = self.policies[alive[int(np.argmax(among))]]
        return chosen


def _first_pair(mask: NDArray[np.bool_]) -> Integers:
    """Row and column of the first true entry."""
    return np.array(np.unravel_index(int(np.argmax(mask)), mask.shape))


class Information(First):
    """The deviation of the largest expected squared Hellinger distance over pairs of survivors."""

    weights: Floats | None = None  # [n]   those of the last deviation
    last: Floats
    uses = 0

    def deviation(self, alive: Integers, log_likelihood: Floats) -> Floats:
        likeliest = np.argsort(-log_likelihood, kind="stable")[:RIVALS]
        rivals = np.union1d(likeliest, self._first_far(alive))  # at least one pair to tell apart
        tempered = np.exp(TEMPER * (log_likelihood[rivals] - log_likelihood.max()))
        weights = np.zeros(self.conditional.members.size)
        weights[alive[rivals]] = tempered / tempered.sum()
        moved = self.weights is None or float(np.abs(weights - self.weights).sum()) / 2 >= STALE
        self.uses += 1
        if moved or self.uses > USES:
            chosen = alive[rivals]
            restricted = self.conditional.restrict(chosen)
            actions = recalled(
                "information",
                (restricted.policy, restricted.members, weights[chosen]),
                lambda: information_actions(restricted, weights[chosen]),
            )
            self.uses = 1
            self.weights, self.last = weights, deterministic(actions, self.conditional.models.n_actions)
        return self.last


ADVERSARIES: dict[str, Callable[[ConditionalClass, float, Equilibria], Adversary]] = {
    "max": Max,
    "first": First,
    "nash": Nash,
    "information": Information,
}


def information_actions(conditional: ConditionalClass, weights: Floats) -> Integers:
    """Actions [H, S] of the deviation that tells the weighted models apart best (weights [n] sum to one)."""
    return most_information(conditional, weights)[1]


def most_information(conditional: ConditionalClass, weights: Floats) -> tuple[float, Integers]:
    """The most that a deviation tells weighted models apart by (weights [n] sum to one), and its actions [H, S].

    What is summed along a trajectory are expected squared Hellinger distances over pairs of models, each with its
    weight.

    Where rewards are unknown, the squared Hellinger distance of rows and that of observed rewards are added: between
    once and twice that of both together, and exactly that where models differ in one of the two alone.
    """
    f = conditional.models
    actions, future = np.empty((f.horizon, f.n_states), dtype=np.int64), np.zeros(f.n_states)
    for h in range(f.horizon - 1, -1, -1):
        future, actions[h] = information_step(conditional, weights, h, future, np.arange(f.n_states))
    return float((f.common.initial * future).sum()), actions


def information_step(
    conditional: ConditionalClass, weights: Floats, h: int, future: Floats, states: Integers
) -> tuple[Floats, Integers]:
    """Back information up by one step: values [S] and actions [S] of some states; elsewhere undefined.

    `future` [S]: the values of the next step.
    """
    f = conditional.models
    S, A = f.n_states, f.n_actions
    q, value, greedy = np.zeros((S, A)), np.zeros(S), np.zeros(S, dtype=np.int64)

    def back_up(part: range) -> None:
        status = information_kernels.back_up_information(
            f.fill, f.common, f.thetas, conditional.members, conditional.aux, weights, h,
            states[part.start : part.stop], future, q, value, greedy,
        )  # fmt: skip
        f.refuse_status(status, "backing information up")

    for _ in map_tasks(back_up, blocks(states.size, STATES_A_TASK)):
        pass
    if f.reward_noise is not None:
        q += reward_information(conditional, f.reward_noise, weights, h, states)
        value = np.where(f.common.legal, q, -np.inf).max(axis=1)
        greedy = lowest_best(q, f.common.legal, information_kernels.ROUNDING)
    return value, greedy


def reward_information(
    conditional: ConditionalClass, noise: RewardNoise, weights: Floats, h: int, states: Integers
) -> Floats:
    """Squared Hellinger distances [S, A] of rewards observed at step h in some states, over weighted pairs; else 0."""
    told = np.zeros(conditional.reward.shape[2:])

    def tell(part: range) -> None:
        information_kernels.reward_information(
            conditional.reward, weights, noise.affinity_scale, h, states[part.start : part.stop], told
        )

    for _ in map_tasks(tell, blocks(states.size, STATES_A_TASK)):
        pass
    return told
