"""Transition rows of one step of a game at a given population, only those that are asked for.

A *place* is where a row stands, as one number: ``s * A + a``, or, in a factored game, the state that an action moves
to: from there one row of noise carries on whoever is there.
"""

from __future__ import annotations

import numpy as np

from fastmfg.executors import blocks
from fastmfg.games.checks import TOLERANCE, Floats, Integers, row_text
from fastmfg.games.model_class import ModelClass
from fastmfg.kernels import crowd as kernels
from fastmfg.kernels.jit import Common

ENTRIES_A_BLOCK = 1 << 21
"""Entries of rows that stand in memory at a time while numbers of agents move."""


def rows_a_state(common: Common) -> int:
    """Places of one state: one where noise does not depend on the action, else one an action."""
    return 1 if common.moves.size else common.legal.shape[1]


def places_of(common: Common, states: Integers, actions: Integers) -> Integers:
    """Places of state-action pairs."""
    if common.moves.size:
        places: Integers = common.moves[states, actions]
    else:
        places = states * common.legal.shape[1] + actions
    return places


class Rows:
    """The rows of step h in one model of a class at a population (flat)."""

    def __init__(self, models: ModelClass, member: int, h: int, population: Floats) -> None:
        self.models, self.member, self.h = models, member, h
        self.aux = models.aux_at(member, h, population, self._where())[None, None]  # [1, 1, *]
        common = models.common
        self.n_places = models.n_states * rows_a_state(common)
        self.targets = common.successors.reshape(self.n_places, -1) if common.successors.size else None  # [P, K]

    def numbers(self, chosen: Integers) -> Integers:
        """How many agents stand at each place [P] when so many choose each action [S, A]."""
        moves = self.models.common.moves
        if not moves.size:
            return chosen.ravel()
        return np.bincount(moves.ravel(), chosen.ravel(), self.n_places).astype(np.int64)

    def gather(self, places: Integers) -> Floats:
        """Rows [R, K] of places, which should ascend; refused when they are not distributions, else normalised."""
        models, n = self.models, places.size
        out = np.empty((1, n, models.row_length))
        members, zeros = np.array([self.member], dtype=np.int64), np.zeros(n, dtype=np.int64)
        status = kernels.gather_rows(
            models.fill, models.common, models.thetas, members, self.aux, np.full(n, self.h), zeros, places, out
        )
        if status != 0:
            raise ValueError(f"fill returned {models.status_text(status)} for {self._where()}")
        rows: Floats = out[0]
        totals = rows.sum(axis=1, keepdims=True)
        wrong = ~(np.abs(totals[:, 0] - 1.0) <= TOLERANCE) | (rows < 0).any(axis=1)
        if wrong.any():
            r = int(np.argmax(wrong))
            raise ValueError(
                f"the transition row of {self._where()}, {self._place_text(places[r])} {row_text(rows[r])}"
            )
        rows /= totals
        return rows

    def carry(self, rng: np.random.Generator, chosen: Integers, also: int = -1) -> tuple[Integers, Floats]:
        """Agents in each state [S] after so many chose each action [S, A]: one multinomial a row.

        And the row [K] of the place `also`, where one agent more moves by itself; empty without.
        """
        numbers = self.numbers(chosen)
        wanted = numbers > 0
        if also >= 0:
            wanted[also] = True
        occupied = np.flatnonzero(wanted)
        arrived, row = np.zeros(self.models.n_states, dtype=np.int64), np.empty(0)
        for block in blocks(occupied.size, max(1, ENTRIES_A_BLOCK // self.models.row_length)):
            places = occupied[block.start : block.stop]
            rows = self.gather(places)
            if also >= 0 and places[0] <= also <= places[-1]:
                row = rows[np.searchsorted(places, also)]
            drawn = split(rng, numbers[places], rows)
            if self.targets is None:
                arrived += drawn.sum(axis=0)
            else:
                counted = np.bincount(self.targets[places].ravel(), drawn.ravel(), arrived.size)
                arrived += counted.astype(np.int64)  # whole numbers below 2^53: nothing is rounded
        return arrived, row

    def expected(self, places: Integers, values: Floats) -> Floats:
        """Means [R, V] of V functions ``values [S, V]`` of the next state, at places that ascend."""
        out = np.empty((places.size, values.shape[1]))
        for block in blocks(places.size, max(1, ENTRIES_A_BLOCK // self.models.row_length)):
            part = slice(block.start, block.stop)
            rows = self.gather(places[part])
            if self.targets is None:
                out[part] = rows @ values
            else:
                out[part] = np.einsum("rk,rkv->rv", rows, values[self.targets[places[part]]])
        return out

    def place(self, s: int, a: int) -> int:
        """Where the row of an action stands."""
        return int(places_of(self.models.common, np.array([s]), np.array([a]))[0])

    def successors(self, place: int) -> Integers:
        """States [K] that a row leads to."""
        return np.arange(self.models.n_states) if self.targets is None else self.targets[place]

    def _where(self) -> str:
        return f"{self.models.name_of(self.member)}, step {self.h}, at the agents' distribution"

    def _place_text(self, place: int) -> str:
        if self.models.common.moves.size:
            return f"the noise of state {place}"
        return "state {}, action {}".format(*divmod(int(place), self.models.n_actions))


def split(rng: np.random.Generator, numbers: Integers, rows: Floats) -> Integers:
    """Split each of R numbers among K places by its row [R, K]: independent multinomials.

    NumPy gives what rounding leaves over to the last place; here that is one of the largest probability, so that
    nobody ever goes where a row has a zero.
    """
    r, most = np.arange(len(rows)), rows.argmax(axis=1)
    p = rows / rows.sum(axis=1, keepdims=True)
    p[r, most], p[:, -1] = p[:, -1].copy(), p[r, most]
    drawn: Integers = rng.multinomial(numbers, p)
    drawn[r, most], drawn[:, -1] = drawn[:, -1].copy(), drawn[r, most]
    return drawn


def draw(row: Floats, uniform: float) -> int:
    """The index where the running sum of a row first exceeds its share of the total; never one of probability 0."""
    sums = np.cumsum(row)
    return int(np.searchsorted(sums, uniform * sums[-1], side="right"))
