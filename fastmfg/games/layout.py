"""How several types of agents lie in one game, the *lift* (Huang, He, Krause 2024, Section 5 and Appendix G).

States of all W types stand one after another; an agent never changes type. The lift starts at ``[mu1^1/W, ...,
mu1^W/W]``, and whatever belongs to type w sees W times the slices of the lifted population. The paper tags actions with
their type as well; here types share the action axis, A being the largest number of actions, and "an action of the
state's own type" is the mask of legal actions: the same game with a shorter axis.

What agents of type w get from the start is ``W sum over its states of mu1(s) V(s)``. The NE gap of the game with types
is the largest over types; that of the lift is their mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmfg.games.checks import Floats, Integers, first_index, float_array, whole
from fastmfg.games.grid import Grid


@dataclass(frozen=True, eq=False)
class Layout:
    """Where each type's states, actions and parameters are."""

    first: Integers  # [W + 1]   first state of each type, then S
    n_actions: tuple[int, ...]  # [W]
    parameters: Integers | None = None  # [W + 1]   first column of `thetas` of each type; None: not sorted by type
    grids: tuple[Grid, ...] | None = None  # [W]   where the types' states lie, when they are cells of grids

    @staticmethod
    def of(
        n_states: Sequence[int], n_actions: Sequence[int], n_parameters: Sequence[int] | None = None,
        grids: Sequence[Grid] | None = None,
    ) -> Layout:  # fmt: skip
        """A layout from numbers of each type, which are checked."""
        states, actions = whole_numbers("n_states", n_states, 1), whole_numbers("n_actions", n_actions, 1)
        counts = {"n_actions": actions}
        if n_parameters is not None:
            counts["n_parameters"] = whole_numbers("n_parameters", n_parameters, 0)
        for name, given in counts.items():
            if len(given) != len(states):
                raise ValueError(f"{name} must hold {len(states)} numbers, as n_states does, got {len(given)}")
        return Layout(
            running_sums(states),
            tuple(actions),
            running_sums(counts["n_parameters"]) if n_parameters is not None else None,
            None if grids is None else tuple(grids),
        )

    @property
    def n_types(self) -> int:
        """W."""
        return len(self.n_actions)

    @property
    def n_states(self) -> tuple[int, ...]:
        """States of each type [W]."""
        return tuple(np.diff(self.first).tolist())

    @property
    def most_actions(self) -> int:
        """A, the length of the shared action axis."""
        return max(self.n_actions)

    def states(self, w: int) -> slice:
        """Where the states of type w are."""
        return slice(int(self.first[w]), int(self.first[w + 1]))

    def types(self) -> Iterator[tuple[slice, int]]:
        """The states, and the number of actions, of each type."""
        return ((self.states(w), A) for w, A in enumerate(self.n_actions))

    def type_of(self, states: ArrayLike) -> Integers:
        """Types of lifted states, of any shape."""
        found: Integers = np.searchsorted(self.first, np.asarray(states), side="right") - 1
        return found

    def agrees(self, other: Layout | None) -> bool:
        """Whether types have the same states and actions."""
        return other is not None and np.array_equal(self.first, other.first) and self.n_actions == other.n_actions

    def own_actions(self) -> NDArray[np.bool_]:
        """The mask [S, A] of actions that the state's own type has."""
        return np.arange(self.most_actions) < np.repeat(self.n_actions, self.n_states)[:, None]

    def shares(self, values: Floats) -> list[Floats]:
        """W times the types' slices [..., S_w] of lifted densities [..., S]: fresh arrays."""
        return [self.n_types * values[..., states] for states, _ in self.types()]

    def joint_shares(self, values: Floats) -> list[Floats]:
        """W times the types' slices [..., S_w, A_w] of lifted joint densities [..., S, A]: fresh arrays."""
        return [np.ascontiguousarray(self.n_types * values[..., states, :A]) for states, A in self.types()]

    def means(self, values: Floats, initial: Floats) -> Floats:
        """``W sum over the type's states of mu1(s) V(s)`` [n, W] of values [n, S]; each row by itself."""
        parts = [(values[:, states] * initial[states]).sum(axis=1) for states, _ in self.types()]
        return self.n_types * np.stack(parts, axis=1)

    def split(self, policy: Floats) -> list[Floats]:
        """A policy [H, S, A] as one [H, S_w, A_w] a type: fresh arrays."""
        return [np.ascontiguousarray(policy[:, states, :A]) for states, A in self.types()]

    def joined(self, name: str, policies: Any, horizon: int) -> Floats:
        """The lifted policy [H, S, A] of one a type [H, S_w, A_w]; shapes are checked, probabilities are not."""
        parts = as_list(name, policies)
        if len(parts) != self.n_types:
            raise ValueError(f"{name} must hold a policy for each of the {self.n_types} types, got {len(parts)}")
        lifted = np.zeros((horizon, int(self.first[-1]), self.most_actions))
        for w, (part, (states, A)) in enumerate(zip(parts, self.types(), strict=True)):
            lifted[:, states, :A] = float_array(f"{name}[{w}]", part, (horizon, self.n_states[w], A))
        return lifted

    def lifted_policy(self, name: str, policy: Any, horizon: int) -> Floats:
        """A policy [H, S, A], from itself or from a list of arrays, one [H, S_w, A_w] a type.

        Raises ValueError where a type plays an action that it does not have.
        """
        if isinstance(policy, (list, tuple)) and all(getattr(part, "ndim", 0) == 3 for part in policy):
            return self.joined(name, policy, horizon)
        array = float_array(name, policy, (horizon, int(self.first[-1]), self.most_actions))
        stray = (array != 0) & ~self.own_actions()
        if stray.any():
            h, s, a = first_index(stray)
            w = int(self.type_of(s))
            raise ValueError(
                f"{name}[{h}, {s}, {a}] is {array[h, s, a]}: state {s} is of type {w}, which has the actions "
                f"0..{self.n_actions[w] - 1}"
            )
        return array


def as_list(name: str, values: Any) -> list[Any]:
    """The values as a list, if they are a sequence."""
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise TypeError(f"{name} must be a sequence, got {type(values).__name__}")
    return list(values)


def whole_numbers(name: str, values: Sequence[int], least: int) -> list[int]:
    """A list of whole numbers, one a type."""
    numbers = [whole(f"{name}[{w}]", value, least) for w, value in enumerate(as_list(name, values))]
    if not numbers:
        raise ValueError(f"{name} is empty: a game needs at least one type of agents")
    return numbers


def running_sums(numbers: Sequence[int]) -> Integers:
    """0, then the sums of the first 1, 2, ... numbers."""
    return np.concatenate([[0], np.cumsum(numbers)]).astype(np.int64)
