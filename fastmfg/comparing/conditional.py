"""Conditional models of many members of a class under one reference policy: what comparing and learning look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.games.checks import Floats, Integers, policy_array
from fastmfg.games.family import Family
from fastmfg.games.model_class import ModelClass, require_class
from fastmfg.planning.evaluate import back_up, map_blocks


@dataclass(frozen=True)
class ConditionalClass:
    """Conditional models of some members of a family under one reference policy.

    Positions 0..n-1 refer to `members`, not to the family.
    """

    family: Family
    policy: Floats  # [H, S, A]
    members: Integers  # [n]
    density: Floats  # [n, H, S]
    aux: Floats  # [n, H, *]

    def restrict(self, positions: Integers) -> ConditionalClass:
        return ConditionalClass(
            self.family, self.policy, self.members[positions], self.density[positions], self.aux[positions]
        )


def condition_members(family: Family, policy: Floats, members: Integers) -> ConditionalClass:
    """Conditional models of the members under one checked policy, in parallel."""

    def densities(block: Integers) -> tuple[Floats, Floats]:
        chosen = members[block]
        return family.densities(chosen, policy[None], np.zeros(chosen.size, dtype=np.int64))

    parts = list(map_blocks(densities, family, members.size))
    density, aux = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return ConditionalClass(family, policy, members, density, aux)


def condition_class(models: ModelClass, policy: ArrayLike) -> ConditionalClass:
    """All models of a class under a policy [H, S, A], which is checked."""
    family = require_class("models", models)._family
    pi = policy_array("policy", policy, models.legal, models.horizon)
    return condition_members(family, pi, np.arange(len(models), dtype=np.int64))


def conditional_gaps(conditional: ConditionalClass) -> Floats:
    """NE gaps ``E_M(pi)`` [n] of the reference policy in each model, in parallel."""
    family, policies = conditional.family, conditional.policy[None]

    def gaps(block: Integers) -> Floats:
        members, zeros = conditional.members[block], np.zeros(block.size, dtype=np.int64)
        rewards = family.rewards(members, conditional.density[block], policies, zeros)
        return back_up(family, members, conditional.aux[block], rewards, policies, zeros).gap

    return np.concatenate(list(map_blocks(gaps, family, conditional.members.size)))
