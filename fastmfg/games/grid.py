"""Grids of any shape with walls: cells become states, moves and noise become a factored game.

An action moves the agent to a neighbouring cell (or leaves it), then noise moves it once more. States are the free
cells in C order of the grid's axes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmfg.games.checks import Floats, Integers, choice, float_array, frozen, index_array, probability, whole
from fastmfg.memory import require_numbers

BORDERS = ("torus", "stay", "illegal")


def cross_moves(axes: int) -> Integers:
    """Stay, then one step back and one ahead along each axis: [1 + 2 axes, axes]."""
    return np.vstack([np.zeros((1, axes)), *(sign * row for row in np.eye(axes) for sign in (-1, 1))]).astype(np.int64)


@dataclass(frozen=True)
class Grid:
    """Free cells of a grid and where moves lead.

    Parameters of `Grid.of`: `shape` of the grid; `walls`, a boolean array of that shape, or a list of cells; `border`:
    "torus" (wrap round), "stay" (a move across it leaves the agent where it is) or "illegal"; `blocked`, what a move
    into a wall does: "illegal" or "stay"; `moves` [A, axes], offsets, by default stay and one step along each axis.
    """

    shape: tuple[int, ...]
    cells: Integers  # [S]   flat index of each free cell
    position: Integers  # [S, axes]
    offsets: Integers  # [A, axes]
    moves: Integers  # [S, A]   where each move leads
    legal: NDArray[np.bool_]  # [S, A]

    @staticmethod
    def of(
        shape: Sequence[int],
        *,
        walls: Any = None,
        border: str = "torus",
        blocked: str = "illegal",
        moves: ArrayLike | None = None,
    ) -> Grid:
        """Build a grid; raises ValueError where no cell is free or a cell has no legal move."""
        sizes = tuple(whole(f"shape[{i}]", n, 1) for i, n in enumerate(shape))
        numbers = math.prod(sizes) * (1 + 2 * len(sizes)) * (2 * len(sizes) + 3)  # about, whatever the moves
        require_numbers(f"a grid of shape {list(sizes)}", numbers, "take a smaller grid")
        choice("border", border, BORDERS)
        choice("blocked", blocked, BORDERS[1:])
        free = ~wall_mask(walls, sizes)
        if not free.any():
            raise ValueError("walls leave no free cell: the game would have no state")
        if not sizes:
            raise ValueError("shape must have at least one axis, got ()")
        offsets = cross_moves(len(sizes)) if moves is None else move_offsets(moves, len(sizes))
        position = np.argwhere(free)
        number = np.full(sizes, -1, dtype=np.int64)
        number[free] = np.arange(len(position))
        target = position[:, None] + offsets
        inside = ((target >= 0) & (target < np.array(sizes))).all(axis=-1)
        wrapped = target % np.array(sizes)
        reached = number[tuple(np.moveaxis(wrapped, -1, 0))]
        into_wall = reached < 0
        outside = np.zeros_like(inside) if border == "torus" else ~inside
        own = np.arange(len(position))[:, None]
        legal = ~((outside & (border == "illegal")) | (~outside & into_wall & (blocked == "illegal")))
        stuck = ~legal.any(axis=1)
        if stuck.any():
            cell = position[int(np.argmax(stuck))].tolist()
            raise ValueError(f"cell {cell} has no legal move: give moves one that stays, or blocked='stay'")
        return Grid(
            shape=sizes,
            cells=np.flatnonzero(free),
            position=position,
            offsets=offsets,
            moves=np.where(outside | into_wall, own, reached),
            legal=legal,
        )

    @property
    def n_states(self) -> int:
        return len(self.cells)

    @property
    def move_length(self) -> Integers:
        """``|move|_1`` of each action [A]."""
        lengths: Integers = np.abs(self.offsets).sum(axis=1)
        return lengths

    def state_at(self, cell: Sequence[int]) -> int:
        """The state of a cell; ValueError where it is a wall or off the grid."""
        wanted = [whole("cell", n, 0) for n in cell]
        match = (self.position == np.array(wanted)).all(axis=1) if len(wanted) == len(self.shape) else np.zeros(1, bool)
        if not match.any():
            raise ValueError(f"cell {list(cell)} is not a free cell of a grid of shape {list(self.shape)}")
        return int(np.argmax(match))

    def picture(self, values: ArrayLike) -> Floats:
        """Values of states [..., S] as an array [..., *shape], NaN at walls."""
        array = np.asarray(values, dtype=np.float64)
        if array.ndim == 0 or array.shape[-1] != self.n_states:
            raise ValueError(f"values must have shape [..., {self.n_states}], got {list(array.shape)}")
        image = np.full((*array.shape[:-1], int(np.prod(self.shape))), np.nan)
        image[..., self.cells] = array
        return image.reshape(*array.shape[:-1], *self.shape)

    def noise(self, stay: float, weights: ArrayLike | None = None) -> tuple[Integers, Floats]:
        """Successors [S, K] and probabilities [S, K] of noise: nothing with probability `stay`, else a legal move.

        `weights` [A] says how likely the moves are relative to one another (alike by default); illegal ones are left
        out cell by cell. Moves that lead to the same cell are one entry.
        """
        keep = probability("stay", stay)
        A = len(self.offsets)
        share = np.ones(A) if weights is None else float_array("weights", weights, (A,))
        if (share < 0).any():
            i = int(np.argmax(share < 0))
            raise ValueError(f"weights[{i}] is {share[i]}: must not be negative")
        drift = share * self.legal
        total = drift.sum(axis=1, keepdims=True)
        drift = np.divide(drift, total, out=np.zeros_like(drift), where=total > 0) * (1.0 - keep)
        own = np.arange(self.n_states)[:, None]
        places = np.hstack([own, self.moves])
        chances = np.hstack([np.where(total > 0, keep, 1.0), drift])
        return merged(places, chances, self.n_states)


def wall_mask(walls: Any, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """A boolean array of the grid's shape, true at walls, from one or from a list of cells."""
    if walls is None:
        return np.zeros(shape, dtype=np.bool_)
    given = walls if isinstance(walls, np.ndarray) else None
    if given is not None and given.dtype == np.bool_:
        if given.shape != shape:
            raise ValueError(f"walls must have shape {list(shape)}, got {list(given.shape)}")
        return given.copy()
    mask = np.zeros(shape, dtype=np.bool_)
    for i, cell in enumerate(walls):
        mask[tuple(index_array(f"walls[{i}]", cell, (len(shape),), shape))] = True
    return mask


def move_offsets(moves: ArrayLike, axes: int) -> Integers:
    """Offsets [A, axes], whole numbers."""
    given = np.asarray(moves)
    if given.ndim != 2 or given.shape[1] != axes or len(given) == 0:
        raise ValueError(f"moves must have shape [A, {axes}], got {list(given.shape)}")
    if given.dtype.kind not in "iu":
        raise TypeError(f"moves must hold whole numbers, got dtype {given.dtype}")
    return given.astype(np.int64)


def merged(places: Integers, chances: Floats, n_states: int) -> tuple[Integers, Floats]:
    """Rows without repeated states: chances of equal places add up, freed entries lead elsewhere with chance 0."""
    order = np.argsort(places, axis=1, kind="stable")
    places, chances = np.take_along_axis(places, order, 1), np.take_along_axis(chances, order, 1)
    for k in range(places.shape[1] - 1):  # carry the chance of a repeated place on to its last occurrence
        same = places[:, k] == places[:, k + 1]
        chances[:, k + 1] += np.where(same, chances[:, k], 0.0)
        chances[:, k] = np.where(same, 0.0, chances[:, k])
    used = chances > 0
    used[~used.any(axis=1), -1] = True
    K = int(used.sum(axis=1).max())
    keep = np.argsort(~used, axis=1, kind="stable")[:, :K]
    places, chances = np.take_along_axis(places, keep, 1), np.take_along_axis(chances, keep, 1)
    filled = np.take_along_axis(used, keep, 1)
    for k in range(K):  # entries of chance 0 need a state of their own
        rows = np.flatnonzero(~filled[:, k])
        for shift in range(K + 1):
            candidate = (places[rows, 0] + shift) % n_states
            taken = ((places[rows] == candidate[:, None]) & filled[rows]).any(axis=1)
            free = rows[~taken]
            places[free, k] = candidate[~taken]
            filled[free, k] = True
            rows = rows[taken]
            if not rows.size:
                break
    return frozen(places), frozen(chances)
