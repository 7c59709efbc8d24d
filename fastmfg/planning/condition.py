"""The conditional model ``M|pi``: the single-agent problem left when the population is frozen at pi's density in M."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.equality import Result, alike
from fastmfg.games.checks import Floats, Integers, frozen
from fastmfg.games.game import Game, require_game
from fastmfg.games.model_class import ModelClass
from fastmfg.games.sources import Conditionals
from fastmfg.kernels import density as density_kernels
from fastmfg.planning.passes import is_large
from fastmfg.planning.survey import follow


@dataclass(frozen=True, eq=False)
class ConditionalModel(Result):
    """``M|pi`` (Huang, He, Krause 2024, Section 2): transition ``P_h(.|s,a,mu_h)``, reward ``r_h(s,a,mu_h)``."""

    game: Game = field(compare=False)
    policy: Floats  # [H, S, A]
    density: Floats  # [H, S]

    _rewards: Callable[[], Floats] = field(repr=False, compare=False)

    def __eq__(self, other: object) -> bool:
        """Whether policy and density are equal, and the game: the same one, or one of the same tables along them."""
        if not isinstance(other, ConditionalModel):
            return NotImplemented
        if not super().__eq__(other):
            return False
        if self.game.models is other.game.models and self.game.index == other.game.index:
            return True
        return alike(self.reward, other.reward) and alike(self.transition, other.transition)

    __hash__ = None

    @cached_property
    def reward(self) -> Floats:
        """Rewards [H, S, A], read-only; those of large games are made at first use."""
        return frozen(self._rewards())

    @cached_property
    def transition(self) -> Floats:
        """Dense tables [H, S, A, S], built at first use, read-only."""
        return frozen(self.game.models.transitions_along(self.game.index, self.density, self.policy))


def condition(game: Game, policy: ArrayLike) -> ConditionalModel:
    """Freeze the population at the density of `policy` [H, S, A] in `game`."""
    require_game("game", game)
    pi = game.models.policy("policy", policy)
    if is_large(game.models):
        density = follow(game, pi.swapaxes(1, 2))
        return ConditionalModel(game, frozen(pi), frozen(density), partial(rewards_one, game, density, pi))
    conditionals = condition_one(game, pi)
    return ConditionalModel(game, frozen(pi), frozen(conditionals.density[0]), lambda: conditionals.reward[0])


def condition_one(game: Game, policy: Floats) -> Conditionals:
    """Conditionals of one checked policy in one game."""
    return game.models.condition(*game.batch(policy))


def rewards_one(game: Game, density: Floats, policy: Floats) -> Floats:
    """Rewards [H, S, A] of one game at the density [H, S] of a policy."""
    members, policies, policy_of = game.batch(policy)
    rewards: Floats = game.models.rewards(members, density[None], policies, policy_of)[0]
    return rewards


def occupancies(models: ModelClass, members: Integers, aux: Floats, policies: Floats, policy_of: Integers) -> Floats:
    """State distributions [n, H, S] of deviations in conditional models."""
    density = np.empty((members.size, models.horizon, models.n_states))
    pairs = models.pairs(members, policies, policy_of)
    status = density_kernels.occupy(models.compiled_rows, pairs, aux, density)
    models.refuse_status(status, "following deviations")
    return density
