"""Sampled policies and the populations they make, in pairs far apart and near: what suprema are estimated over.

Policies in turn: the uniform one; then Dirichlet rows of several concentrations, deterministic ones, best responses to
the policy before, and ones that are optimal for random rewards of states, which gather the crowd where random ones
spread it. Every policy is paired with those before it, with mixtures next to it, and, in a class, with itself in
another model.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fastmfg.games.checks import Floats, Integers, refuse_non_finite
from fastmfg.games.game import Game
from fastmfg.games.model_class import ModelClass
from fastmfg.planning.evaluate import back_up_one, deterministic, evaluate_one
from fastmfg.streams import Stream

KINDS = ("spread", "deterministic", "response", "gathering", "response")
"""Kinds of sampled policies, in turn, after the uniform policy."""

CONCENTRATIONS = (1.0, 0.1, 10.0)
"""Of Dirichlet rows: every distribution alike, near the corners, near the uniform one."""

NEAR = 1e-4
"""The weight of the other policy in a near pair: slopes of smooth functions are met up to about this, relatively."""

STEPS = (1e-12, 1e-9, 1e-6, 1e-3)
"""Relative steps between populations along which a reward function's rounding is looked for, the smallest first."""

DIRECTIONS = 2
"""Random directions of such steps."""

FOURTH_DIFFERENCE = 70.0**0.5
"""Standard deviation of ``a - 4b + 6c - 4d + e`` of independent numbers of unit variance."""

KEPT_BYTES = 1 << 28
"""Samples are kept, for later ones to be compared with, while they take no more than this (at least one is)."""


@dataclass(frozen=True)
class Sample:
    """A policy in a model, and the population it makes there."""

    game: Game
    policy: Floats  # [H, S, A]
    density: Floats  # [H, S]
    population: Floats  # [H, S], or [H, S*A] where functions see the joint
    aux: Floats  # [H, *]
    reward: Floats  # [H, S, A]
    greedy: Integers  # [H, S]   actions of the best response
    temperature: float | None  # of the softmax in `response`; None: the best response itself

    @property
    def models(self) -> ModelClass:
        """The class of its model."""
        return self.game.models

    @property
    def member(self) -> int:
        """Index of its model."""
        return self.game.index

    @cached_property
    def response(self) -> Floats:
        """The population [H, *] of the best response to this one, when all play it."""
        policy = deterministic(self.greedy, self.models.n_actions)
        if self.temperature is not None:
            policy = softmax(self._best_values(policy), self.temperature, self.models.common.legal)
        density = self.models.densities(*self.game.batch(policy))[0][0]
        return self.models.population_views(density, policy)

    def _best_values(self, best_response: Floats) -> Floats:
        """``Q*`` [H, S, A]."""
        q: Floats = back_up_one(self.game, self.aux[None], self.reward[None], best_response).q[0]
        return q

    def aux_in(self, member: int) -> Floats:
        """`aux` [H, *] of any model's rows under this population."""
        f = self.models
        if member == self.member:
            return self.aux
        return f.aux_under(member, self.population, f"of model {self.member}")

    def reward_in(self, member: int) -> Floats:
        """Rewards [H, S, A] of any model under this population."""
        f = self.models
        if member == self.member:
            return self.reward
        reward = np.stack([f.reward_at(member, h, seen) for h, seen in enumerate(self.population)])
        refuse_non_finite(f"the reward of {f.name_of(member)} under a population of model {self.member}", reward)
        return reward

    @cached_property
    def reward_noise(self) -> float:
        """How far the reward function's own rounding moves a legal reward under this population, about.

        The values of intermediate sums are not seen from outside: ``(x + 1e6) - 1e6`` is of the size of x and rounds
        like 1e6. So fourth differences are taken along populations that differ by relative steps (More, Wild 2011):
        they leave nothing of a smooth function and all of its rounding. Where values do not change at a step the next
        larger one is taken. Infinite where a reward nearby is not finite.
        """
        rng = Stream.DIAGNOSED_ROUNDING.generator(self.member)
        largest = 0.0
        for _ in range(DIRECTIONS):
            lean = rng.uniform(-1.0, 1.0, self.population.shape)
            largest = max(largest, self._noise_along(lean))
        return largest

    def _noise_along(self, lean: Floats) -> float:
        """The largest fourth difference of rewards, over its standard deviation at unit noise."""
        f, legal = self.models, self.models.common.legal
        largest, open_entries = 0.0, np.ones((f.horizon, int(legal.sum())), dtype=np.bool_)
        for size in STEPS:
            near = [self.population * (1.0 + size * k * lean) for k in range(-2, 3)]
            near = [x / x.sum(axis=-1, keepdims=True) * self.population.sum(axis=-1, keepdims=True) for x in near]
            values = np.array(
                [
                    [f.reward_at(self.member, h, np.ascontiguousarray(row))[legal] for h, row in enumerate(x)]
                    for x in near
                ]
            )
            if not np.isfinite(values).all():
                return float(np.inf)
            steps = np.diff(values, axis=0)
            moved = (steps != 0.0).sum(axis=0) >= 2
            counted = open_entries if size == STEPS[-1] else open_entries & moved
            fourth = np.abs(np.diff(steps, n=3, axis=0)[0]) / FOURTH_DIFFERENCE
            largest = max(largest, float(fourth[counted].max(initial=0.0)))
            open_entries &= ~moved
            if not open_entries.any():
                break
        return largest


Pairs = list[tuple[Sample, Sample]]


class Sampler:
    """Samples in some models of a class; sample i depends on the seed, on i and on the sample before it alone."""

    def __init__(self, models: ModelClass, members: Integers, seed: int, temperature: float | None = None) -> None:
        self.models, self.seed, self.temperature = models, seed, temperature
        self.members = Stream.DIAGNOSED_MODELS.generator(seed).permutation(members)
        self.uniform = np.tile(models.uniform, (models.horizon, 1, 1))

    def rounds(self, n: int) -> Iterator[Pairs]:
        """The new pairs of each of n policies."""
        kept: deque[Sample] = deque(maxlen=max(1, KEPT_BYTES // self._bytes_a_sample()))
        for i in range(n):
            rng = Stream.DIAGNOSED_POLICIES.generator(self.seed, i)
            member = int(self.members[i % self.members.size])
            newest = self.sample(member, self._policy(i, kept[-1], rng) if kept else self.uniform)
            pairs = [(earlier, newest) for earlier in kept]
            pairs += [(newest, self.sample(member, policy)) for policy in self._neighbours(newest, rng)]
            if self.members.size > 1:
                other = int(self.members[(i + 1) % self.members.size])
                pairs.append((newest, self.sample(other, newest.policy)))
            yield pairs
            kept.append(newest)

    def sample(self, member: int, policy: Floats) -> Sample:
        """The policy in a model, its population and the best response to it."""
        game: Game = self.models[member]
        conditionals, values = evaluate_one(game, policy)
        density = conditionals.density[0]
        return Sample(
            game, policy, density, self.models.population_views(density, policy), conditionals.aux[0],
            conditionals.reward[0], values.greedy[0], self.temperature,
        )  # fmt: skip

    def _bytes_a_sample(self) -> int:
        f = self.models
        S, A = f.n_states, f.n_actions
        seen = S * A if f.joint else S
        return 8 * f.horizon * (2 * S * A + 2 * S + 2 * seen + f.aux_size)

    def _policy(self, i: int, before: Sample, rng: np.random.Generator) -> Floats:
        turn, place = divmod(i - 1, len(KINDS))
        kind = KINDS[place]
        A = self.models.n_actions
        if kind == "spread":
            return self._dirichlet(CONCENTRATIONS[turn % len(CONCENTRATIONS)], rng)
        if kind == "deterministic":
            return self._random_actions(rng)
        if kind == "response":
            return deterministic(before.greedy, A)
        return deterministic(self._gathering(before, rng), A)

    def _dirichlet(self, concentration: float, rng: np.random.Generator) -> Floats:
        weights = rng.standard_gamma(concentration, self.uniform.shape) * self.models.common.legal
        totals = weights.sum(axis=-1, keepdims=True)
        policy: Floats = np.divide(weights, totals, out=self.uniform.copy(), where=totals > 0)
        return policy

    def _random_actions(self, rng: np.random.Generator) -> Floats:
        scores = np.where(self.models.common.legal, rng.random(self.uniform.shape), -1.0)
        return deterministic(scores.argmax(axis=-1), self.models.n_actions)

    def _gathering(self, before: Sample, rng: np.random.Generator) -> Integers:
        """Actions that are best for random rewards of states, alike at every step."""
        reward = np.empty((1, *self.uniform.shape))
        reward[:] = rng.standard_normal((self.models.n_states, 1))
        values = back_up_one(before.game, before.aux[None], reward, before.policy)
        actions: Integers = values.greedy[0]
        return actions

    def _neighbours(self, sample: Sample, rng: np.random.Generator) -> Iterator[Floats]:
        """Policies close to a sample's: towards a random one, towards its best response, other in one state only."""
        random = self._random_actions(rng)
        for other in (random, deterministic(sample.greedy, self.models.n_actions)):
            yield (1.0 - NEAR) * sample.policy + NEAR * other
        steps = self.models.horizon if self.models.joint else max(1, self.models.horizon - 1)
        h = int(rng.integers(steps))  # the last step's actions move no state density
        mass = sample.density[h]
        s = int(rng.choice(mass.size, p=mass / mass.sum()))
        changed = sample.policy.copy()
        changed[h, s] = random[h, s]
        yield changed


def softmax(q: Floats, temperature: float, legal: NDArray[np.bool_]) -> Floats:
    """``exp(q / temperature)`` over legal actions, normalised, [H, S, A]."""
    values = np.where(legal, q, -np.inf)
    with np.errstate(over="ignore"):  # far below the best at this temperature: probability 0
        weights = np.exp((values - values.max(axis=-1, keepdims=True)) / temperature)
    policy: Floats = weights / weights.sum(axis=-1, keepdims=True)
    return policy
