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
    first_index,
    float_array,
    legal_mask,
    policy_array,
    refuse_non_distributions,
    whole,
)
from fastmfg.games.family import DENSITY_TOLERANCE, CallableFamily, Family, population_kind
from fastmfg.games.game import Game, require_game
from fastmfg.games.grid import Grid
from fastmfg.games.layout import Layout, as_list
from fastmfg.kernels import density as density_kernels

TypeFunction = Callable[[int, list[Floats]], Floats]
"""``f(h, densities)``: rewards [S_w, A_w] or transitions [S_w, A_w, S_w] of one type, given all types' densities."""

LEAK = 1e-9
"""Probability of changing type that passes for rounding."""


class Typed:
    """What a game and a class with several types of agents share: types, and translation to and from them."""

    _family: Family

    @property
    def layout(self) -> Layout:
        """Where each type's states and actions are."""
        layout = self._family.layout
        assert layout is not None  # the constructors give it one
        return layout

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
        return self.layout.split(self._family.policy("policy", policy))

    def join(self, policies: Sequence[ArrayLike]) -> Floats:
        """The lifted policy [H, S, A] of one a type, ``[H, S_w, A_w]``."""
        family, parts = self._family, as_list("policies", policies)
        lifted = self.layout.joined("policies", parts, family.horizon)
        for w, (states, A) in enumerate(self.layout.types()):
            policy_array(f"policies[{w}]", parts[w], family.common.legal[states, :A], family.horizon)
        return lifted

    def split_density(self, density: ArrayLike) -> list[Floats]:
        """The types' densities ``[..., S_w]`` of lifted ones [..., S]: W times the slices, each of which sums to 1."""
        array = np.asarray(density, dtype=np.float64)
        if array.ndim == 0 or array.shape[-1] != self._family.n_states:
            raise ValueError(f"density must have shape [..., {self._family.n_states}], got {list(array.shape)}")
        return self.layout.shares(array)

    def join_density(self, densities: Sequence[ArrayLike]) -> Floats:
        """The lifted density [..., S] of one a type, ``[..., S_w]``."""
        parts = [np.asarray(part, dtype=np.float64) for part in as_list("densities", densities)]
        sizes = tuple(part.shape[-1] if part.ndim else 0 for part in parts)
        if sizes != self.layout.n_states or len({part.shape[:-1] for part in parts}) != 1:
            shapes = [list(part.shape) for part in parts]
            raise ValueError(f"densities must have shapes [..., S_w], S_w = {list(self.layout.n_states)}, got {shapes}")
        return np.concatenate(parts, axis=-1) / self.n_types


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
        family = CallableFamily(
            [LiftedTransition(layout, moving)],
            LiftedReward(layout, paying),
            initial=np.concatenate(starts) / W,
            legal=_lifted_mask(layout, masks),
            n_actions=layout.most_actions,
            horizon=steps,
            joint=joint,
        )
        self._family, self._member = family.laid_out(layout), 0
        legal = family.common.legal
        start = family.population(family.common.initial, legal / legal.sum(axis=1, keepdims=True))
        for h in sorted({0, steps - 1}):  # as `Game` does
            family.transition_at(0, h, start)
            family.reward_at(0, h, start)

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
        layout = lift_layout(game._family, n_states, n_actions)
        refuse_leaks(game._family, game._member, layout)
        return cls._of(game._family.laid_out(layout), game._member)

    @classmethod
    def _of(cls, family: Family, member: int) -> MultiTypeGame:
        game = cls.__new__(cls)
        game._family, game._member = family, member
        return game

    def lift(self) -> Game:
        """The plain game: its NE gap is the mean over types of the type gaps."""
        return Game._of(self._family.laid_out(None), self._member)

    def __repr__(self) -> str:
        states = "+".join(map(str, self.layout.n_states))
        return (
            f"<MultiTypeGame: {self.n_types} types, {states} states, {self.n_actions} actions, horizon {self.horizon}>"
        )


class LiftedTransition:
    """The lift's transition [S, A, S] from those of types; an action that a type lacks does what its action 0 does."""

    def __init__(self, layout: Layout, functions: Sequence[TypeFunction]) -> None:
        self.layout, self.functions = layout, tuple(functions)

    def __call__(self, h: int, population: Floats) -> Floats:
        layout = self.layout
        S = int(layout.first[-1])
        out = np.zeros((S, layout.most_actions, S))
        for w, (states, A) in enumerate(layout.types()):
            rows = called_for(layout, "transitions", w, self.functions[w], h, population, (A, layout.n_states[w]))
            refuse_non_distributions(f"transitions[{w}]({h}, densities)", rows)
            out[states, :A, states] = rows
            out[states, A:, states] = rows[:, :1]
        return out


class LiftedReward:
    """The lift's reward [S, A] from those of types; 0 for actions that a type lacks."""

    def __init__(self, layout: Layout, functions: Sequence[TypeFunction]) -> None:
        self.layout, self.functions = layout, tuple(functions)

    def __call__(self, h: int, population: Floats) -> Floats:
        out = np.zeros((int(self.layout.first[-1]), self.layout.most_actions))
        for w, (states, A) in enumerate(self.layout.types()):
            out[states, :A] = called_for(self.layout, "rewards", w, self.functions[w], h, population, (A,))
        return out


def called_for(
    layout: Layout, name: str, w: int, function: TypeFunction, h: int, population: Floats, shape: tuple[int, ...]
) -> Floats:
    """One type's function at a lifted population [S] or [S, A]; its answer checked for shape and finiteness."""
    seen = layout.shares(population) if population.ndim == 1 else layout.joint_shares(population)
    return float_array(f"{name}[{w}]({h}, densities)", function(h, seen), (layout.n_states[w], *shape))


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


def lift_layout(
    family: Family, n_states: Sequence[int], n_actions: Sequence[int] | None,
    n_parameters: Sequence[int] | None = None,
) -> Layout:  # fmt: skip
    """The layout of a family that is a lift, checked against its start and its legal actions."""
    states = as_list("n_states", n_states)
    layout = Layout.of(states, [family.n_actions] * len(states) if n_actions is None else n_actions, n_parameters)
    if sum(layout.n_states) != family.n_states:
        raise ValueError(f"n_states sum to {sum(layout.n_states)}, but the lift has {family.n_states} states")
    if layout.most_actions != family.n_actions:
        raise ValueError(f"the largest of n_actions is {layout.most_actions}, but the lift has {family.n_actions}")
    if layout.parameters is not None and layout.parameters[-1] != family.thetas.shape[1]:
        raise ValueError(
            f"n_parameters sum to {layout.parameters[-1]}, but thetas have {family.thetas.shape[1]} columns"
        )
    W = layout.n_types
    for w, share in enumerate(layout.means(np.ones((1, family.n_states)), family.common.initial)[0]):
        if abs(share - 1.0) > LEAK:
            raise ValueError(f"initial gives type {w} the mass {share / W:.10g}: each of {W} types starts with 1/{W}")
    stray = family.common.legal & ~layout.own_actions()
    if stray.any():
        s, a = first_index(stray)
        w = int(layout.type_of(s))
        raise ValueError(f"legal[{s}, {a}]: state {s} is of type {w}, which has {layout.n_actions[w]} actions")
    return layout


def refuse_leaks(family: Family, member: int, layout: Layout) -> None:
    """Agents must keep their type: those of each type are followed under the uniform policy."""
    legal = family.common.legal
    policy = np.tile(legal / legal.sum(axis=1, keepdims=True), (1, family.horizon, 1, 1))
    members, one = np.array([member], dtype=np.int64), np.zeros(1, dtype=np.int64)
    aux, pairs = family.densities(members, policy, one)[1], family.pairs(members, policy, one)
    for w, (states, _) in enumerate(layout.types()):
        start = np.zeros(family.n_states)
        start[states] = layout.n_types * family.common.initial[states]
        density = np.empty((1, family.horizon, family.n_states))
        from_there = family.compiled_rows._replace(common=family.common._replace(initial=start))
        status = density_kernels.occupy(from_there, pairs, aux, density)
        family.refuse_status(status, "following agents of each type")
        away = 1.0 - density[0][:, states].sum(axis=1)
        if (np.abs(away) > DENSITY_TOLERANCE).any():
            h = int(np.argmax(np.abs(away) > DENSITY_TOLERANCE))
            raise ValueError(
                f"agents of type {w} change type: by step {h} a share of {away[h]:.3g} has left its states"
            )
