"""The transition and the reward of a game that has been read from OpenSpiel: as sparse tables where they can be.

P_h(s' | s, a, L) = sum_j P(j | s, a) 1[j, told m, enters s'],   m what L leads to,
r_h(s, a, L)      = sum_j P(j | s, a) (reward of j + reward of what j, told m, enters) + 1[h = 0] reward of s.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmfg.games.adapters.open_spiel_labels import Layout
from fastmfg.games.adapters.open_spiel_reader import Step, Tree
from fastmfg.games.adapters.open_spiel_tree import Passage, name, passage_of, play
from fastmfg.games.checks import Floats, Integers
from fastmfg.games.game import Game
from fastmfg.games.model_class import ModelClass


class Functions:
    """``transition(h, L)`` and ``reward(h, L)`` over the states of a layout.

    `first` says which last action is paid for at each arrival; by default the one that led there.
    """

    def __init__(self, tree: Tree, places: Layout, first: dict[str, int] | None = None) -> None:
        self.steps, self.start, self.start_reward = tree.steps, tree.start, tree.start_reward
        self.state, self.legal = places.state, places.legal
        self.fixed = all(step.moves_fixed and step.entry is not None for step in self.steps)
        for h in range(len(self.steps)):
            _refuse_hidden(self.steps, h)
        self.paid = [None if first is None else _paid(step, first) for step in self.steps]
        self.known: dict[int, tuple[Floats, Passage, list[Any]]] = {}

    def game(self) -> Game:
        start, horizon = np.zeros(len(self.legal)), len(self.steps)
        start[self.state[0]] = self.start
        if not self.fixed:
            return Game(start, self.transition, self.reward, horizon=horizon, legal=self.legal, population="joint")
        rows, successors = self.tables()
        game: Game = ModelClass.from_tables(
            rows[None], start, self.reward, successors=successors, legal=self.legal, population="joint"
        )[0]  # fmt: skip
        return game

    def reward(self, h: int, population: Floats) -> Floats:
        state, order = self.state[h], self.paid[h]
        passage, entered = self._outcome(h, population[state])
        paid = passage.rewards(entered)
        if order is not None:
            paid = paid[order]
        out = np.zeros(self.legal.shape)
        np.add.at(out, (state[passage.decision], passage.action), passage.chance * paid[passage.variant])
        if h == 0:
            out[state] += np.where(self.legal[state], self.start_reward[:, None], 0.0)
        return out

    def transition(self, h: int, population: Floats) -> Floats:
        S, A = self.legal.shape
        rows = np.zeros((S, A, S))
        if h + 1 < len(self.steps):
            state = self.state[h]
            passage, entered = self._outcome(h, population[state])
            following = self._following(h, passage, entered)
            np.add.at(rows, (state[passage.decision], passage.action, following[passage.variant]), passage.chance)
        s, a = np.nonzero(rows.sum(axis=2) == 0.0)  # states that this step does not have, illegal actions
        rows[s, a, s] = 1.0
        return rows

    def tables(self) -> tuple[Floats, Integers]:
        """Rows [H, S, A, K] and the states [S, A, K] they lead to, where no distribution changes them."""
        (S, A), H = self.legal.shape, len(self.steps)
        stay = np.arange(S * A) * S + np.arange(S * A) // A  # row * S + target; all rows hold it
        keys = [self._keys(h) for h in range(H - 1)]
        pairs = np.unique(np.concatenate([stay, *keys]))
        row, target = pairs // S, pairs % S
        rank = np.arange(pairs.size) - np.searchsorted(row, row)
        rows = np.zeros((H, S * A, int(rank.max()) + 1))
        for h in range(H):
            if h + 1 < H:
                at = np.searchsorted(pairs, keys[h])
                np.add.at(rows[h], (row[at], rank[at]), self.steps[h].passage.chance)
            nowhere = np.flatnonzero(rows[h].sum(axis=1) == 0.0)
            rows[h, nowhere, rank[np.searchsorted(pairs, stay[nowhere])]] = 1.0
        successors = _padded(row, rank, target, rows.shape[1:])
        return rows.reshape(H, S, A, -1), successors.reshape(S, A, -1)

    def _keys(self, h: int) -> Integers:
        """``(s A + a) S + s'`` of each entry of a step's passage."""
        S, A = self.legal.shape
        passage = self.steps[h].passage
        row = self.state[h][passage.decision] * A + passage.action
        keys: Integers = row * S + self._following(h, passage, [])[passage.variant]
        return keys

    def _outcome(self, h: int, joint: Floats) -> tuple[Passage, list[Any]]:
        """A step's passage under a joint over its decisions [n, A], and what its variants enter.

        Rows and rewards of one step are asked for in turn: where both are worked out here, the last answer is kept.
        """
        if h in self.known and np.array_equal(self.known[h][0], joint):
            return self.known[h][1:]
        passage = self._passage(h, joint)
        shares = passage.shares(joint)
        if not shares.any():  # nobody is at this step's decisions, which no play leads to
            shares = np.full(shares.size, 1.0 / shares.size)
        answer = passage, passage.entered(shares)
        if not self.fixed:
            self.known[h] = joint, *answer
        return answer

    def _passage(self, h: int, joint: Floats) -> Passage:
        """Of one step; played again where it depends on what its decisions were told."""
        step = self.steps[h]
        if step.moves_fixed:
            return step.passage
        before = self.steps[h - 1]
        arrival, shares = _arrivals(before), np.zeros(len(before.passage.names))
        shares[arrival] = joint.sum(axis=1)
        one_each = [int(np.argmax(before.passage.arrival == j)) for j in arrival]
        entered = before.passage.entered(shares, one_each)
        return passage_of(play(entered), step.passage.names, step.last_action)

    def _following(self, h: int, passage: Passage, entered: list[Any]) -> Integers:
        """The next state of each variant [V]."""
        entry, state = self.steps[h].entry, self.state[h + 1]
        if entry is not None:
            return state[entry[passage.arrival]]
        place = {string: int(s) for string, s in zip(self.steps[h + 1].names, state, strict=True)}
        strings = [name(after) for after in entered]
        for string in strings:
            if string not in place:
                raise ValueError(
                    f"the distribution of step {h} leads to the state {string!r}, "
                    "which was not met when the game was read"
                )
        return np.array([place[string] for string in strings], dtype=np.int64)


def _arrivals(step: Step) -> Integers:
    """The arrival [n] that each of the next decisions is entered from, where it is one."""
    assert step.entry is not None
    return np.argsort(step.entry)


def _refuse_hidden(steps: list[Step], h: int) -> None:
    """Moves that depend on the distribution need to know it: from the density of decisions, one for each arrival."""
    if steps[h].moves_fixed:
        return
    entry = steps[h - 1].entry
    if not steps[h - 1].passage.support or entry is None or np.unique(entry).size < entry.size:
        raise ValueError(
            f"the moves of step {h} depend on a distribution that its decisions do not tell: can not be converted"
        )


def _paid(step: Step, first: dict[str, int]) -> Integers:
    """For each variant [V] the variant of the same arrival whose last action is paid for."""
    passage = step.passage
    if not step.last_action:
        return np.arange(len(passage.states))
    if step.entry is None or not step.moves_fixed or np.unique(step.entry).size < step.entry.size:
        raise ValueError(
            "as_shipped can not be had: the order of the traversal depends on the distribution in this game"
        )
    arrival = passage.arrival.tolist()
    place = {(j, a): v for v, (j, a) in enumerate(zip(arrival, passage.last.tolist(), strict=True))}
    return np.array([place[j, first[passage.names[j]]] for j in arrival], dtype=np.int64)


def _padded(row: Integers, rank: Integers, target: Integers, shape: tuple[int, ...]) -> Integers:
    """Targets of each row, with states that it does not lead to in the places that are left."""
    table = np.full(shape, -1)
    table[row, rank] = target
    for r in np.flatnonzero((table < 0).any(axis=1)):
        held = set(table[r].tolist())
        spare = [x for x in range(shape[1]) if x not in held]
        places = np.flatnonzero(table[r] < 0)
        table[r, places] = spare[: places.size]
    return table
