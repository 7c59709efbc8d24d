"""Classes of product form: every combination of the types' models (Huang, He, Krause 2024, App. G)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastmfg.games.agreement import refuse_unlike_classes
from fastmfg.games.checks import Floats, Integers, frozen, index_array, whole
from fastmfg.games.functions import FunctionSource
from fastmfg.games.game import Game
from fastmfg.games.layout import as_list
from fastmfg.games.lift import LiftedTransition
from fastmfg.games.multi_type_class import MultiTypeClass

MOST_MODELS = 10_000
"""Members of a product that are made without being asked for."""


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
    for w, models in enumerate(given[1:], start=1):
        refuse_unlike_classes(f"classes[{w}]", models, "classes[0]", given[0])
    parts = combinations([len(models) for models in given], members, whole("max_models", max_models, 1))
    first: MultiTypeClass = given[0]
    layout = first.layout
    if not isinstance(first.source, FunctionSource):
        own = [own_parameters(w, models) for w, models in enumerate(given)]
        thetas = np.concatenate([own[w][parts[:, w]] for w in range(layout.n_types)], axis=1)
        return first.replace(thetas=np.ascontiguousarray(thetas), parts=frozen(parts))
    functions = [[transition_of(game).functions[w] for game in models] for w, models in enumerate(given)]
    source = replace(
        first.source,
        transitions=tuple(
            LiftedTransition(layout, [functions[w][i] for w, i in enumerate(row)]) for row in parts.tolist()
        ),
    )
    return first.replace(source=source, thetas=np.empty((len(parts), 0)), parts=frozen(parts))


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
    own: Floats = models.thetas[:, places[w] : places[w + 1]]
    seen: dict[bytes, int] = {}
    for i, row in enumerate(own + 0.0):  # -0.0 is 0.0
        j = seen.setdefault(row.tobytes(), i)
        if j != i:
            raise ValueError(f"models {j} and {i} of classes[{w}] have the same parameters of type {w}")
    return own


def transition_of(game: Game) -> LiftedTransition:
    """The NumPy functions of a game, by type."""
    transition = game.transition_function
    if not isinstance(transition, LiftedTransition):
        raise ValueError("transitions are not known by type: make games with MultiTypeGame(initials, transitions, ...)")
    return transition
