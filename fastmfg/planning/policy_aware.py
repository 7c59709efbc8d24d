"""Policy-aware models: decision processes whose tables depend on the policy that the population plays.

A policy-aware model has transitions ``P_h(. | s, a, pi)`` and rewards ``r_h(s, a, pi)`` (Huang, He, Krause 2024,
Section 4.2). Every mean-field game is one, ``P_h(. | s, a, pi) = P_h(. | s, a, mu^pi_h)``; the bridge models of
`fastmfg.comparing.bridge` are others. An equilibrium is a policy that is a best response to the tables it brings about.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fastmfg.games.checks import (
    Floats,
    Integers,
    float_array,
    legal_mask,
    refuse_non_distributions,
    shape_text,
    whole,
)
from fastmfg.games.game import Game, OfClass, named_game
from fastmfg.games.model_class import ModelClass
from fastmfg.games.sources import Conditionals, Source
from fastmfg.kernels import table
from fastmfg.kernels.forms import NO_ROWS
from fastmfg.planning.condition import condition_one

PARTS = ("initial", "legal", "horizon", "transition", "reward")
"""What a policy-aware model has."""


@runtime_checkable
class PolicyAwareModel(Protocol):
    """What can be solved here; `policy` is [H, S, A], h = 0..H-1.

    A model whose steps are computed together may also have ``tables(policy)``: transition [H, S, A, S] and reward
    [H, S, A] at once.
    """

    @property
    def initial(self) -> Floats:
        """Start distribution [S]."""
        ...

    @property
    def legal(self) -> NDArray[np.bool_]:
        """Legal actions [S, A]."""
        ...

    @property
    def horizon(self) -> int:
        """Steps H."""
        ...

    def transition(self, h: int, policy: Floats) -> Floats:
        """``P_h(. | s, a, policy)`` [S, A, S]."""
        ...

    def reward(self, h: int, policy: Floats) -> Floats:
        """``r_h(s, a, policy)`` [S, A]."""
        ...


class DensityAware(OfClass):
    """A game as a policy-aware model: tables at the policy's own density."""

    def __init__(self, game: Game) -> None:
        self.game, self.models = game, game.models

    def tables(self, policy: Floats) -> tuple[Floats, Floats]:
        conditionals = condition_one(self.game, np.array(policy))
        rows = self.models.transitions_along(self.game.index, conditionals.density[0], policy)
        return rows, conditionals.reward[0]

    def transition(self, h: int, policy: Floats) -> Floats:
        rows: Floats = self.tables(policy)[0][h]
        return rows

    def reward(self, h: int, policy: Floats) -> Floats:
        rewards: Floats = self.tables(policy)[1][h]
        return rewards


def policy_aware(model: Any) -> PolicyAwareModel:
    """The model, or the policy-aware model that a game is.

    Raises
    ------
    TypeError
        Neither a `Game` nor an object with `initial`, `legal`, `horizon`, `transition` and `reward`.
    """
    if isinstance(model, Game):
        return DensityAware(model)
    missing = [part for part in PARTS if not hasattr(model, part)]
    if missing:
        raise TypeError(
            f"game must be a Game, got {type(model).__name__}; a policy-aware model has initial, legal, horizon, "
            f"transition(h, policy) and reward(h, policy), this has no {', '.join(missing)}"
        )
    for part in ("transition", "reward"):
        if not callable(getattr(model, part)):
            raise TypeError(f"{part} of a policy-aware model must be a function {part}(h, policy)")
    checked: PolicyAwareModel = model
    return checked


@dataclass(frozen=True, eq=False)
class PolicyAwareSource(Source):
    """One policy-aware model as a source of rows; the tables of a step stand in `aux`."""

    model: PolicyAwareModel

    prepare = table.prepare
    fill = table.fill_from_aux
    parallel = False

    def tables(self, policy: Floats) -> tuple[Floats, Floats]:
        """Transition [H, S, A, S] and reward [H, S, A] under a policy, checked."""
        H, S, A = policy.shape
        together = getattr(self.model, "tables", None)
        if together is not None:
            given = together(policy.copy())
            rows = float_array("transition of tables(policy)", given[0], (H, S, A, S))
            refuse_non_distributions("transition of tables(policy)", rows)
            return rows, float_array("reward of tables(policy)", given[1], (H, S, A))
        rows, rewards = np.empty((H, S, A, S)), np.empty((H, S, A))
        for h in range(H):
            name = f"transition({h}, policy)"
            rows[h] = float_array(name, self.model.transition(h, policy.copy()), (S, A, S))
            refuse_non_distributions(name, rows[h])
            rewards[h] = float_array(f"reward({h}, policy)", self.model.reward(h, policy.copy()), (S, A))
        return rows, rewards

    def condition(
        self, models: ModelClass, members: Integers, policies: Floats, policy_of: Integers, rows: Floats = NO_ROWS
    ) -> Conditionals:
        n, H, S, A = members.size, models.horizon, models.n_states, models.n_actions
        density, aux, reward = np.empty((n, H, S)), np.empty((n, H, models.aux_size)), np.empty((n, H, S, A))
        for i in range(n):
            policy = policies[policy_of[i]]
            tables, reward[i] = self.tables(policy)
            aux[i] = tables.reshape(H, -1)
            mu = models.common.initial
            for h in range(H):
                density[i, h] = mu
                mu = ((mu[:, None] * policy[h])[:, :, None] * tables[h]).sum(axis=(0, 1))  # no BLAS: the same bytes
        return Conditionals(density, aux, reward)

    def densities(
        self, models: ModelClass, members: Integers, policies: Floats, policy_of: Integers, rows: Floats = NO_ROWS
    ) -> tuple[Floats, Floats]:
        conditionals = self.condition(models, members, policies, policy_of)
        return conditionals.density, conditionals.aux

    def rewards(
        self, models: ModelClass, members: Integers, density: Floats, policies: Floats, policy_of: Integers
    ) -> Floats:
        return self.condition(models, members, policies, policy_of).reward


def as_game(model: Any) -> Game:
    """A policy-aware model (or a game, as it is) behind the interface of a game: solvers, gaps, best responses."""
    if isinstance(model, Game):
        return model
    if isinstance(model, str):
        raise named_game("game", model)
    known = policy_aware(model)
    legal = np.asarray(known.legal)
    if legal.ndim != 2:
        raise ValueError(f"legal must have shape [S, A], got {shape_text(legal.shape)}")
    return Game.from_source(
        PolicyAwareSource(known), initial=known.initial, legal=legal_mask(legal, *legal.shape),
        n_actions=legal.shape[1], horizon=whole("horizon", known.horizon, 1),
    )  # fmt: skip
