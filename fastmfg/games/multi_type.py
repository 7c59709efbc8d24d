"""Games with several types of agents (Huang, He, Krause 2024, Section 5 and Appendix G).

Type w has its own states, actions, start, transitions and rewards, and agents never change type; transitions and
rewards see the densities of all types. Such a game *is* its lift (`fastmfg.games.layout`): one `Game` over the states
of all types, which every solver, comparison and learner takes as it is. What differs is the NE gap: that of a game with
types is the largest over types of what one agent of that type gains by deviating, wherever a gap is measured
(`ne_gap`, `solve` and its tolerance, the bound of `learn`). `lift` gives the plain game, whose gap is the mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmfg.games.checks import (
    Floats,
    float_array,
    legal_mask,
    population_kind,
    refuse_non_distributions,
    whole,
)
from fastmfg.games.functions import FunctionSource
from fastmfg.games.game import Game, require_game
from fastmfg.games.layout import Layout, as_list
from fastmfg.games.lift import LiftedReward, LiftedTransition, TypeFunction, lift_layout, refuse_leaks
from fastmfg.games.model_class import ModelClass
from fastmfg.games.multi_type_class import MultiTypeClass, Typed


class MultiTypeGame(Typed, Game):
    """A mean-field game with W types of agents.

    Parameters
    ----------
    initials : W arrays [S_w]
        Start distribution of each type; each sums to 1.
    transitions : W callables
        ``transitions[w](h, densities) -> [S_w, A_w, S_w]``, asked at h = 0..H-1; `densities` is a list of the densities
        [S_v] of all types v, each summing to 1.
    rewards : W callables
        ``rewards[w](h, densities) -> [S_w, A_w]``, finite numbers.
    horizon : int
        Steps H, the same for all types.
    legals : W boolean masks [S_w, A_w], optional
        Legal actions; None, or None for a type: all. Needed for every type with ``population="joint"``.
    population : "state" or "joint"
        Whether `densities` holds state densities [S_v] or joint state-action densities [S_v, A_v].

    Raises
    ------
    ValueError, TypeError
        As `Game`, naming the type.

    Notes
    -----
    The game is its lift: states of type 0, then of type 1, and so on; A is the largest A_w, and further actions are
    illegal. ``transition``, ``reward``, ``initial``, ``legal`` and policies are those of the lift; `split` and `join`
    translate policies, `split_density` and `join_density` densities. The functions of `fastmfg.planning` take policies
    in either form, lifted [H, S, A] or as a list of arrays [H, S_w, A_w].

    Compiled games: make the lift with `ModelClass.from_filler` and say where types are, `MultiTypeClass.of_lift`.
    """

    def __init__(
        self,
        initials: Sequence[ArrayLike],
        transitions: Sequence[TypeFunction],
        rewards: Sequence[TypeFunction],
        *,
        horizon: int,
        legals: Sequence[ArrayLike | None] | None = None,
        population: str = "state",
    ) -> None:
        starts = _starts_of(initials)
        W, steps, joint = len(starts), whole("horizon", horizon, 1), population_kind(population)
        moving, paying = one_a_type("transitions", transitions, W), one_a_type("rewards", rewards, W)
        masks = [None] * W if legals is None else as_list("legals", legals)
        if len(masks) != W:
            raise ValueError(f"legals must hold a mask for each of the {W} types, got {len(masks)}")
        n_actions = [_actions_of(w, masks[w], moving[w], starts, joint) for w in range(W)]
        layout = Layout.of([start.size for start in starts], n_actions)
        self.index, self.models = 0, MultiTypeClass.of(ModelClass.from_source(
            FunctionSource((LiftedTransition(layout, moving),), LiftedReward(layout, paying)),
            initial=np.concatenate(starts) / W, legal=_lifted_mask(layout, masks), n_actions=layout.most_actions,
            horizon=steps, joint=joint, layout=layout,
        ))  # fmt: skip
        self._ask_once()

    @classmethod
    def of_lift(cls, game: Game, n_states: Sequence[int], n_actions: Sequence[int] | None = None) -> MultiTypeGame:
        """A game whose lift is at hand: for lifts in compiled form.

        Parameters
        ----------
        game : Game
            States sorted by type; every type starts with mass 1/W; functions that belong to type w see the lifted
            density, and multiply what they read by W.
        n_states, n_actions : W ints
            Of each type; all have the game's actions by default.

        Raises
        ------
        ValueError
            Numbers that do not fit; a start of other masses; a legal action beyond a type's own; agents who change
            type (looked for along the uniform policy).
        """
        require_game("game", game)
        layout = lift_layout(game.models, n_states, n_actions)
        refuse_leaks(game, layout)
        return cls.of(MultiTypeClass.of(game.models, layout=layout), game.index)

    def lift(self) -> Game:
        """The plain game: its NE gap is the mean over types of the type gaps."""
        return Game.of(ModelClass.of(self.models, layout=None), self.index)

    def __repr__(self) -> str:
        states = "+".join(map(str, self.layout.n_states))
        return (
            f"<MultiTypeGame: {self.n_types} types, {states} states, {self.n_actions} actions, horizon {self.horizon}>"
        )


MultiTypeClass.game_type = MultiTypeGame


def _starts_of(initials: Any) -> list[Floats]:
    """Start distributions, checked."""
    starts = [float_array(f"initials[{w}]", start, (None,)) for w, start in enumerate(as_list("initials", initials))]
    if not starts:
        raise ValueError("initials is empty: a game needs at least one type of agents")
    for w, start in enumerate(starts):
        refuse_non_distributions(f"initials[{w}]", start)
    return starts


def one_a_type(name: str, functions: Any, n_types: int) -> list[Callable[..., Any]]:
    """The functions, one a type."""
    given = as_list(name, functions)
    if len(given) != n_types:
        raise ValueError(f"{name} must hold a function for each of the {n_types} types, got {len(given)}")
    for w, function in enumerate(given):
        if not callable(function):
            raise TypeError(f"{name}[{w}] must be a function, got {type(function).__name__}")
    return given


def _actions_of(w: int, mask: Any, transition: TypeFunction, starts: list[Floats], joint: bool) -> int:
    """A_w: from the mask if there is one, else from the shape of the first table."""
    S = starts[w].size
    if mask is not None:
        shape = np.shape(mask)
        if len(shape) != 2 or shape[0] != S or shape[1] == 0:
            raise ValueError(f"legals[{w}] must have shape [{S}, A] with at least one action, got {list(shape)}")
        return int(shape[1])
    if joint:
        raise ValueError(f'legals[{w}] is needed: with population="joint" it says how many actions type {w} has')
    copies = [start.copy() for start in starts]
    return int(float_array(f"transitions[{w}](0, densities)", transition(0, copies), (S, None, S)).shape[1])


def _lifted_mask(layout: Layout, masks: list[Any]) -> NDArray[np.bool_]:
    legal = layout.own_actions()
    for w, (states, A) in enumerate(layout.types()):
        try:
            legal[states, :A] = legal_mask(masks[w], layout.n_states[w], A)
        except (ValueError, TypeError) as error:
            raise type(error)(f"type {w}: {error}") from None
    return legal
