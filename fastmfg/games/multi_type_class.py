"""Classes of games with several types of agents (Huang, He, Krause 2024, App. G)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.games.agreement import refuse_unlike_classes
from fastmfg.games.checks import Floats, Integers, frozen, index_array, policy_array
from fastmfg.games.functions import FunctionSource
from fastmfg.games.grid import Grid
from fastmfg.games.layout import Layout, as_list
from fastmfg.games.lift import lift_layout, refuse_leaks
from fastmfg.games.model_class import ModelClass, require_class

if TYPE_CHECKING:
    from fastmfg.games.multi_type import MultiTypeGame

MOST_INDEX = 1 << 62
"""More models than a class can have."""


class Typed:
    """What a game and a class with several types of agents share: types, and translation to and from them."""

    models: ModelClass
    """The class."""
    layout: Layout
    """Where each type's states and actions are."""

    @property
    def n_types(self) -> int:
        """W."""
        return self.layout.n_types

    @property
    def grids(self) -> tuple[Grid, ...] | None:
        """Where each type's states lie, when they are cells of grids: ``grids[w].picture(split_density(mu)[w])``."""
        return self.layout.grids

    def split(self, policy: ArrayLike) -> list[Floats]:
        """The types' policies ``[H, S_w, A_w]`` of a lifted one [H, S, A].

        Raises ValueError where a type plays an action that it does not have, or rows are not distributions.
        """
        return self.layout.split(self.models.policy("policy", policy))

    def join(self, policies: Sequence[ArrayLike]) -> Floats:
        """The lifted policy [H, S, A] of one a type, ``[H, S_w, A_w]``."""
        models, parts = self.models, as_list("policies", policies)
        lifted = self.layout.joined("policies", parts, models.horizon)
        for w, (states, A) in enumerate(self.layout.types()):
            policy_array(f"policies[{w}]", parts[w], models.common.legal[states, :A], models.horizon)
        return lifted

    def split_density(self, density: ArrayLike) -> list[Floats]:
        """The types' densities ``[..., S_w]`` of lifted ones [..., S]: W times the slices, each of which sums to 1."""
        array = np.asarray(density, dtype=np.float64)
        if array.ndim == 0 or array.shape[-1] != self.models.n_states:
            raise ValueError(f"density must have shape [..., {self.models.n_states}], got {list(array.shape)}")
        return self.layout.shares(array)

    def join_density(self, densities: Sequence[ArrayLike]) -> Floats:
        """The lifted density [..., S] of one a type, ``[..., S_w]``."""
        parts = [np.asarray(part, dtype=np.float64) for part in as_list("densities", densities)]
        sizes = tuple(part.shape[-1] if part.ndim else 0 for part in parts)
        if sizes != self.layout.n_states or len({part.shape[:-1] for part in parts}) != 1:
            shapes = [list(part.shape) for part in parts]
            raise ValueError(f"densities must have shapes [..., S_w], S_w = {list(self.layout.n_states)}, got {shapes}")
        return np.concatenate(parts, axis=-1) / self.n_types


@dataclass(frozen=True, init=False, eq=False, repr=False)
class MultiTypeClass(Typed, ModelClass):
    """n games with several types of agents, alike in all but transition: a `ModelClass` of their lifts.

    ``models[i]`` is a `MultiTypeGame`, ``models[[2, 5]]`` and slices are classes. NE gaps, and with them the bound of
    `learn`, are those of the games with types; distances, tolerances and radii are the lift's, which are means over
    types: epsilon / W is what theory would have for them, and W times the lift's constant of transfer what a bridge
    certificate needs.

    Parameters
    ----------
    games : sequence of MultiTypeGame
        At least one. Types, start, legal actions, horizon and population must agree, and so must rewards (compared at
        the start and at uniform densities).

    See Also
    --------
    MultiTypeClass.of_lift : from a class of lifts in compiled form.
    product_class : every combination of the types' models.
    """

    layout: Layout
    parts: Integers | None = None
    """[n, W] of a product: which model of its own class each type has. None for other classes."""

    def __init__(self, games: Sequence[MultiTypeGame]) -> None:
        games = as_list("games", games)
        self._refuse_others(games)
        first, source = games[0].models, games[0].models.source
        members = np.array([game.index for game in games], dtype=np.int64)
        if all(game.models is first for game in games):
            self._take(first.subset(members))
            return
        for i, game in enumerate(games[1:], start=1):
            refuse_unlike_classes(f"games[{i}]", game.models, "games[0]", first)
        if isinstance(source, FunctionSource):
            transitions = tuple(game.transition_function for game in games)
            self._take(first, source=replace(source, transitions=transitions), thetas=np.empty((len(games), 0)))
        else:
            self._take(first, thetas=np.stack([game.models.thetas[game.index] for game in games]))

    @classmethod
    def of_lift(
        cls, models: ModelClass, n_states: Sequence[int], n_actions: Sequence[int] | None = None,
        n_parameters: Sequence[int] | None = None,
    ) -> MultiTypeClass:  # fmt: skip
        """A class whose lifts are at hand, as `ModelClass.from_filler` and `from_tables` make them.

        Parameters
        ----------
        models : ModelClass
        n_states, n_actions : W ints
            As in `MultiTypeGame.of_lift`.
        n_parameters : W ints, optional
            How many columns of `thetas` belong to each type, which stand one after another: needed for products.
        """
        layout = lift_layout(require_class("models", models), n_states, n_actions, n_parameters)
        for game in models:
            refuse_leaks(game, layout)
        return cls.of(models, layout=layout)

    @property
    def models(self) -> Self:  # type: ignore[override]  # games have theirs as an attribute
        """The class itself."""
        return self

    def subset(self, members: Integers) -> Self:
        """The class of these models."""
        chosen = super().subset(members)
        return chosen if self.parts is None else chosen.replace(parts=frozen(self.parts[members]))

    def parts_of(self, members: Any) -> list[Integers]:
        """Of a product: which models of each type occur among some members, such as survivors."""
        if self.parts is None:
            raise ValueError("parts_of needs a product class: see product_class")
        chosen = self.parts[index_array("members", members, (None,), len(self))]
        return [np.unique(column) for column in chosen.T]

    def member(self, part: Sequence[int]) -> int:
        """Of a product: the member that is made of these models, one a type."""
        if self.parts is None:
            raise ValueError("member needs a product class: see product_class")
        found = np.flatnonzero((self.parts == index_array("part", part, (self.n_types,), MOST_INDEX)).all(axis=1))
        if not found.size:
            raise ValueError(f"part {list(part)} is no member of this product")
        return int(found[0])
