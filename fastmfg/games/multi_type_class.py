"""Classes of games with several types of agents, and products of per-type classes (Huang, He, Krause 2024, App. G)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastmfg.games.checks import Floats, Integers, first_index, frozen, index_array, whole
from fastmfg.games.family import CallableFamily, CompiledFamily, Family, StepFunction
from fastmfg.games.layout import as_list
from fastmfg.games.model_class import ModelClass, require_class
from fastmfg.games.multi_type import LiftedReward, LiftedTransition, MultiTypeGame, Typed, lift_layout, refuse_leaks

MOST_MODELS = 10_000
"""Members of a product that are made without being asked for."""


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

    parts: Integers | None = None
    """[n, W] of a product: which model of its own class each type has. None for other classes."""

    def __init__(self, games: Sequence[MultiTypeGame]) -> None:
        games = as_list("games", games)
        if not games:
            raise ValueError("games is empty: a class needs at least one model")
        for i, game in enumerate(games):
            if not isinstance(game, MultiTypeGame):
                raise TypeError(f"games[{i}] must be a MultiTypeGame, got {type(game).__name__}")
        families = [game._family for game in games]
        members = [game._member for game in games]
        if all(family is families[0] for family in families):
            self._family = families[0].subset(np.array(members, dtype=np.int64))
            return
        for i, family in enumerate(families[1:], start=1):
            refuse_unlike(f"games[{i}]", family, "games[0]", families[0])
        first = families[0]
        if isinstance(first, CompiledFamily):
            thetas = np.stack([family.thetas[m] for family, m in zip(families, members, strict=True)])
            self._family = with_thetas(first, thetas)
        else:
            each = zip(families, members, strict=True)
            self._family = with_transitions(first, [f.transitions[m] for f, m in each if isinstance(f, CallableFamily)])

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
        family = require_class("models", models)._family
        layout = lift_layout(family, n_states, n_actions, n_parameters)
        for member in range(len(models)):
            refuse_leaks(family, member, layout)
        return cls._with(family.laid_out(layout))

    @classmethod
    def _with(cls, family: Family, parts: Integers | None = None) -> MultiTypeClass:
        models = cls.__new__(cls)
        models._family = family
        if parts is not None:
            models.parts = frozen(parts)
        return models

    def __getitem__(self, index: Any) -> Any:
        """A `MultiTypeGame` for a whole number, a class for a slice or a list of them."""
        chosen = super().__getitem__(index)
        if isinstance(chosen, ModelClass):
            return self._with(chosen._family, None if self.parts is None else self.parts[index])
        return MultiTypeGame._of(chosen._family, chosen._member)

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


MOST_INDEX = 1 << 62
"""More models than a class can have."""


def product_class(
    classes: Sequence[MultiTypeClass], *, members: Any = None, max_models: int = MOST_MODELS
) -> MultiTypeClass:
    """The class of product form ``M^1 x ... x M^W``: type w behaves as in one of the models of ``classes[w]``.

    Parameters
    ----------
    classes : W classes
        Of the same games but for transitions. Only the transitions of type w of ``classes[w]`` count, and no two of
        its models may have the same parameters for it.
    members : [n, W] ints, optional
        The combinations wanted, by index in each class. By default all, the last type's varying fastest.
    max_models : int
        More models than this are refused. Memory is that of the members' own parameters, n times their number.

    Returns
    -------
    MultiTypeClass
        With `parts` [n, W], the combinations.

    Raises
    ------
    ValueError
        Classes that do not fit together, or too many combinations: the message says how many.
    """
    given = as_list("classes", classes)
    for w, models in enumerate(given):
        if not isinstance(models, MultiTypeClass):
            raise TypeError(f"classes[{w}] must be a MultiTypeClass, got {type(models).__name__}")
    if not given or len(given) != given[0].n_types:
        wanted = f"{given[0].n_types} classes, one a type" if given else "a class for each type"
        raise ValueError(f"classes must hold {wanted}, got {len(given)}")
    families = [models._family for models in given]
    for w, family in enumerate(families[1:], start=1):
        refuse_unlike(f"classes[{w}]", family, "classes[0]", families[0])
    parts = combinations([len(models) for models in given], members, whole("max_models", max_models, 1))
    layout, first = given[0].layout, families[0]
    if isinstance(first, CompiledFamily):
        own = [own_parameters(w, models) for w, models in enumerate(given)]
        thetas = np.concatenate([own[w][parts[:, w]] for w in range(layout.n_types)], axis=1)
        return MultiTypeClass._with(with_thetas(first, thetas), parts)
    functions = [
        [transition_of(family, m).functions[w] for m in range(len(family))] for w, family in enumerate(families)
    ]
    transitions = [LiftedTransition(layout, [functions[w][i] for w, i in enumerate(row)]) for row in parts.tolist()]
    return MultiTypeClass._with(with_transitions(first, transitions), parts)


def combinations(sizes: Sequence[int], members: Any, most: int) -> Integers:
    """Indices [n, W] into classes of these sizes: those asked for, or all."""
    if members is not None:
        array = index_array("members", members, (None, len(sizes)), tuple(sizes))
        if len(np.unique(array, axis=0)) != len(array):
            raise ValueError("members holds a combination twice")
        count, text = len(array), f"members holds {len(array)} combinations"
    else:
        count = math.prod(sizes)
        text = f"the product has {' * '.join(map(str, sizes))} = {count} models"
    if count > most:
        raise ValueError(f"{text}, more than max_models {most}: name those wanted in members, or raise max_models")
    if members is not None:
        return array
    return np.stack(np.unravel_index(np.arange(count), tuple(sizes)), axis=1).astype(np.int64)


def own_parameters(w: int, models: MultiTypeClass) -> Floats:
    """The parameters [M^w, *] of type w of the models of its class."""
    places = models.layout.parameters
    if places is None:
        raise ValueError(f"classes[{w}] does not say which parameters are whose: give of_lift n_parameters")
    own: Floats = models._family.thetas[:, places[w] : places[w + 1]]
    seen: dict[bytes, int] = {}
    for i, row in enumerate(own + 0.0):  # -0.0 is 0.0
        j = seen.setdefault(row.tobytes(), i)
        if j != i:
            raise ValueError(f"models {j} and {i} of classes[{w}] have the same parameters of type {w}")
    return own


def transition_of(family: Family, member: int) -> LiftedTransition:
    """The NumPy functions of a member, by type."""
    transition = family.transitions[member] if isinstance(family, CallableFamily) else None
    if not isinstance(transition, LiftedTransition):
        raise ValueError("transitions are not known by type: make games with MultiTypeGame(initials, transitions, ...)")
    return transition


def with_thetas(family: CompiledFamily, thetas: Floats) -> CompiledFamily:
    """The family with other parameters."""
    common = family.common
    return CompiledFamily(
        family.prepare, family.fill, family.reward, initial=common.initial, legal=common.legal,
        n_actions=family.n_actions, horizon=family.horizon, shared=common.shared, thetas=np.ascontiguousarray(thetas),
        aux_size=family.aux_size, joint=family.joint, checked=family.checked, statuses=family.statuses,
        successors=common.successors if common.successors.size else None,
        moves=common.moves if common.moves.size else None,
    ).laid_out(family.layout).observed(family.noise)  # fmt: skip


def with_transitions(family: Family, transitions: Sequence[StepFunction]) -> CallableFamily:
    """A family of NumPy functions with the rewards, start and actions of another."""
    assert isinstance(family, CallableFamily)
    return CallableFamily(
        transitions, family.reward, initial=family.common.initial, legal=family.common.legal,
        n_actions=family.n_actions, horizon=family.horizon, joint=family.joint,
    ).laid_out(family.layout).observed(family.noise)  # fmt: skip


def refuse_unlike(name: str, family: Family, first_name: str, first: Family) -> None:
    """Two families of games with types must agree in all but their transitions."""
    layout, own = family.layout, first.layout
    assert layout is not None and own is not None

    def refuse(what: str, text: str = "") -> None:
        raise ValueError(f"{name} and {first_name} differ in {what}{text}: models differ in transition only")

    if not layout.agrees(own):
        sizes = [f"{list(part.n_states)} and {list(part.n_actions)}" for part in (layout, own)]
        refuse("types", f" (states and actions {sizes[0]}; {sizes[1]})")
    for what, a, b in (
        ("horizon", family.horizon, first.horizon),
        ("population", family.joint, first.joint),
        ("reward noise", family.noise, first.noise),
    ):
        if a != b:
            refuse(what, f" ({a}; {b})" if what == "horizon" else "")
    for what in ("initial", "legal"):
        if not np.array_equal(getattr(family.common, what), getattr(first.common, what)):
            refuse(what)
    if isinstance(family, CompiledFamily) != isinstance(first, CompiledFamily):
        refuse("form", " (compiled; NumPy functions)")
    if isinstance(family, CompiledFamily) and isinstance(first, CompiledFamily):
        _refuse_unlike_fillers(refuse, family, first)
    elif family is not first:
        _refuse_unlike_rewards(refuse, family, first)


def _refuse_unlike_fillers(refuse: Any, family: CompiledFamily, first: CompiledFamily) -> None:
    for what in ("prepare", "fill", "reward", "aux_size", "checked"):
        if getattr(family, what) != getattr(first, what):
            refuse(what)
    for what in ("shared", "successors", "moves"):
        if not np.array_equal(getattr(family.common, what), getattr(first.common, what)):
            refuse(what)
    if family.thetas.shape[1] != first.thetas.shape[1]:
        refuse("their number of parameters", f" ({family.thetas.shape[1]}; {first.thetas.shape[1]})")


def _refuse_unlike_rewards(refuse: Any, family: Family, first: Family) -> None:
    """NumPy rewards, compared at the start and at uniform densities, unless they are the same functions."""
    rewards = [f.reward for f in (family, first) if isinstance(f, CallableFamily)]
    ours, theirs = ((r.functions if isinstance(r, LiftedReward) else (r,)) for r in rewards)
    if ours == theirs:
        return
    layout = first.layout
    assert layout is not None
    uniform = first.common.legal / first.common.legal.sum(axis=1, keepdims=True)
    even = np.repeat(1.0 / np.array(layout.n_states), layout.n_states) / layout.n_types
    for density in (first.common.initial, even):
        seen = first.population(density, uniform)
        for h in range(first.horizon):
            r, other = family.reward_at(0, h, seen), first.reward_at(0, h, seen)
            if not np.array_equal(r, other):
                s, a = first_index(r != other)
                refuse(f"rewards at step {h}, state {s}, action {a}")
