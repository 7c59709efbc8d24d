"""Conditional models of many members of a class under one reference policy: what comparing and learning look at."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.games.checks import Floats, Integers, policy_array
from fastmfg.games.model_class import ModelClass, require_class
from fastmfg.memory import require_numbers
from fastmfg.planning.evaluate import back_up, map_blocks

KNOWN: Floats = np.empty((0, 0, 0, 0))
"""Stands for the rewards of models whose rewards are known: nothing is to be compared."""


@dataclass(frozen=True)
class ConditionalClass:
    """Conditional models of some members of a class under one reference policy.

    Positions 0..n-1 refer to `members`, not to the class.
    """

    models: ModelClass
    policy: Floats  # [H, S, A]
    members: Integers  # [n]
    density: Floats  # [n, H, S]
    aux: Floats  # [n, H, *]
    reward: Floats = field(default_factory=lambda: KNOWN)  # [n, H, S, A] where rewards are unknown, else empty

    @property
    def arrays(self) -> tuple[Any, ...]:
        """What kernels that compare models begin with."""
        f = self.models
        return f.fill, f.common, f.thetas, self.members, self.aux, self.reward

    def restrict(self, positions: Integers) -> ConditionalClass:
        return ConditionalClass(
            self.models, self.policy, self.members[positions], self.density[positions], self.aux[positions],
            self.reward[positions] if self.reward.size else KNOWN,
        )  # fmt: skip


def condition_members(models: ModelClass, policy: Floats, members: Integers) -> ConditionalClass:
    """Conditional models of the members under one checked policy, in parallel."""

    def densities(block: Integers) -> tuple[Floats, Floats]:
        return models.densities_under(members[block], policy)

    rewards = 0 if models.reward_noise is None else models.n_states * models.n_actions
    each = models.horizon * (models.n_states + models.aux_size + rewards)
    numbers = 2 * members.size * each
    require_numbers(f"conditioning {members.size} models on a policy", numbers, "take fewer models or a smaller game")
    parts = list(map_blocks(densities, models, members.size))
    density, aux = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    conditional = ConditionalClass(models, policy, members, density, aux)
    return conditional if models.reward_noise is None else replace(conditional, reward=_rewards(conditional))


def _rewards(conditional: ConditionalClass) -> Floats:
    """Rewards [n, H, S, A] of each model at its own density, in parallel."""
    models, policies = conditional.models, conditional.policy[None]

    def rewards(block: Integers) -> Floats:
        zeros = np.zeros(block.size, dtype=np.int64)
        return models.rewards(conditional.members[block], conditional.density[block], policies, zeros)

    return np.concatenate(list(map_blocks(rewards, models, conditional.members.size)))


def condition_class(models: ModelClass, policy: ArrayLike) -> ConditionalClass:
    """All models of a class under a policy [H, S, A], which is checked."""
    require_class("models", models)
    pi = policy_array("policy", policy, models.legal, models.horizon)
    return condition_members(models, pi, models.members)


def conditional_gaps(conditional: ConditionalClass) -> Floats:
    """NE gaps ``E_M(pi)`` [n] of the reference policy in each model, in parallel."""
    models, policies = conditional.models, conditional.policy[None]

    def gaps(block: Integers) -> Floats:
        members, zeros = conditional.members[block], np.zeros(block.size, dtype=np.int64)
        if conditional.reward.size:
            rewards = conditional.reward[block]
        else:
            rewards = models.rewards(members, conditional.density[block], policies, zeros)
        return back_up(models, members, conditional.aux[block], rewards, policies, zeros).gap

    return np.concatenate(list(map_blocks(gaps, models, conditional.members.size)))
