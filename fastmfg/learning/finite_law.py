"""One deviating agent among N, exactly: every vector of numbers of agents, with its probability.

Agents who play one policy are alike, so that the state of the game is the deviating agent's own and how many others are
in each state. From there the others' moves are independent multinomials, one a state (or, where functions of the game
see actions, one a state and action).
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from fastmfg.games.checks import Floats, Integers
from fastmfg.games.rows import Rows
from fastmfg.games.simulation import Population

Counts = tuple[int, ...]
Node = tuple[int, Counts]
"""The deviating agent's state, and the number of others in each state."""

ROW_WORK = 20
"""Work of computing one row, in units of one outcome."""


class TooManyOutcomesError(Exception):
    """The enumeration would take more work than it may."""


class FiniteLaw:
    """The others play `policy`; at most `work` outcomes are visited, else `TooManyOutcomesError` is raised."""

    def __init__(self, population: Population, policy: Floats, kind: int, work: int) -> None:
        self.population, self.policy, self.kind, self.left = population, policy, kind, work
        self.models = population.game.models
        self.scale = 0.0  # sum over steps of the largest reward met

    def returns(self, *deviations: Floats) -> list[float]:
        """Mean return of an agent of type `kind` for each policy [H, S, A] that it may play."""
        H, A = self.policy.shape[0], self.policy.shape[2]
        start = self._start()
        layers, nodes = [], set(start)
        for h in range(H):
            layer = {}
            for node in nodes:
                played = [a for a in range(A) if any(d[h, node[0], a] > 0 for d in deviations)]
                layer[node] = self._expand(h, node, played)
            nodes = {after for actions in layer.values() for _, moves in actions.values() for after in moves}
            layers.append(layer)
            self.scale += max(abs(reward) for actions in layer.values() for reward, _ in actions.values())
        return [self._mean(start, layers, deviation) for deviation in deviations]

    def _mean(
        self, start: dict[Node, float], layers: list[dict[Node, dict[int, tuple[float, dict[Node, float]]]]],
        deviation: Floats,
    ) -> float:  # fmt: skip
        value: dict[Node, float] = defaultdict(float)
        for h in reversed(range(len(layers))):
            value = {
                node: sum(
                    float(deviation[h, node[0], a]) * (reward + sum(p * value[after] for after, p in moves.items()))
                    for a, (reward, moves) in actions.items()
                    if deviation[h, node[0], a] > 0
                )
                for node, actions in layers[h].items()
            }
        return math.fsum(p * value[node] for node, p in start.items())

    def _start(self) -> dict[Node, float]:
        """Where everyone starts."""
        slices, initial = self.population.slices, self.models.common.initial
        groups = []
        for w, (states, size) in enumerate(zip(slices, self.population.sizes, strict=True)):
            row = np.zeros(len(initial))
            row[states] = initial[states] / initial[states].sum()
            groups.append((size - int(w == self.kind), row))
        own = groups[self.kind][1]
        others = self._sums(groups)
        self._spend(int(np.count_nonzero(own)) * len(others))
        return {(int(s), counts): float(own[s]) * p for s in np.flatnonzero(own) for counts, p in others.items()}

    def _expand(self, h: int, node: Node, played: list[int]) -> dict[int, tuple[float, dict[Node, float]]]:
        """For each action of the deviating agent: its mean reward, and the nodes that follow, with probabilities."""
        s, counts = node
        found = {}
        if not self.models.joint:  # what is seen does not depend on actions
            everyone = np.zeros(self.policy.shape[1:], dtype=np.int64)
            everyone[:, 0] = counts
            everyone[s, 0] += 1
            rows, reward = self._at(h, everyone)
            others = self._moves(h, rows, counts) if h + 1 < len(self.policy) else {}
            for a in played:
                found[a] = float(reward[s, a]), self._joined(h, rows, s, a, others)
            return found
        S, A = self.policy.shape[1:]
        splits = self._sums([(counts[x], self._slots(h, x)) for x in range(S)])
        for a in played:
            mean = 0.0
            following: dict[Node, float] = defaultdict(float)
            for chosen, q in splits.items():
                among = np.array(chosen, dtype=np.int64).reshape(S, A)
                among[s, a] += 1
                rows, reward = self._at(h, among)
                mean += q * float(reward[s, a])
                if h + 1 < len(self.policy):
                    groups = [(n, self._row(rows, *divmod(i, A))) for i, n in enumerate(chosen) if n]
                    for after, p in self._joined(h, rows, s, a, self._sums(groups)).items():
                        following[after] += q * p
            found[a] = mean, dict(following)
        return found

    def _at(self, h: int, everyone: Integers) -> tuple[Rows, Floats]:
        self._spend(2 * ROW_WORK)
        seen = self.population.seen(everyone)
        return Rows(self.models, self.population.game.index, h, seen), self.population.reward_at(h, seen)

    def _slots(self, h: int, s: int) -> Floats:
        """The policy of a state as a distribution over all pairs of states and actions, flat."""
        slots = np.zeros(self.policy.shape[1:])
        slots[s] = self.policy[h, s]
        return slots.ravel()

    def _moves(self, h: int, rows: Rows, counts: Counts) -> dict[Counts, float]:
        """Where the others go: one multinomial a state, by the mean row of its actions."""
        groups = []
        for x, n in enumerate(counts):
            if n:
                actions = np.flatnonzero(self.policy[h, x])
                mixed = sum(self.policy[h, x, a] * self._row(rows, x, int(a)) for a in actions)
                groups.append((n, np.asarray(mixed)))
        return self._sums(groups)

    def _joined(self, h: int, rows: Rows, s: int, a: int, others: dict[Counts, float]) -> dict[Node, float]:
        if h + 1 == len(self.policy):
            return {}
        own = self._row(rows, s, a)
        self._spend(int(np.count_nonzero(own)) * len(others))
        return {(int(x), counts): float(own[x]) * p for x in np.flatnonzero(own) for counts, p in others.items()}

    def _row(self, rows: Rows, s: int, a: int) -> Floats:
        """A row over all states."""
        self._spend(ROW_WORK)
        place = rows.place(s, a)
        entries = rows.gather(np.array([place], dtype=np.int64))[0]
        row = np.zeros(self.models.n_states)
        np.add.at(row, rows.successors(place), entries)
        return row

    def _sums(self, groups: list[tuple[int, Floats]]) -> dict[Counts, float]:
        """Law of the sum of independent multinomials: n of each group choose by its row."""
        length = len(groups[0][1]) if groups else self.models.n_states
        total: dict[Counts, float] = {(0,) * length: 1.0}
        for n, row in groups:
            if n == 0:
                continue
            support = np.flatnonzero(row)
            self._spend(len(total) * math.comb(n + support.size - 1, support.size - 1))
            sums: dict[Counts, float] = defaultdict(float)
            for parts, p in _multinomial(n, row[support]):
                for counts, q in total.items():
                    more = list(counts)
                    for x, k in zip(support.tolist(), parts, strict=True):
                        more[x] += k
                    sums[tuple(more)] += p * q
            total = dict(sums)
        return total

    def _spend(self, work: int) -> None:
        self.left -= work
        if self.left < 0:
            raise TooManyOutcomesError


def _multinomial(n: int, row: Floats) -> Iterator[tuple[Counts, float]]:
    """All ways to divide n among the entries of a positive row, with their probabilities."""
    logs = [math.log(p) for p in row]
    k = len(logs)
    for bars in itertools.combinations(range(n + k - 1), k - 1):
        ends = (-1, *bars, n + k - 1)
        parts = tuple(right - left - 1 for left, right in itertools.pairwise(ends))
        log = math.lgamma(n + 1) + sum(m * x - math.lgamma(m + 1) for m, x in zip(parts, logs, strict=True))
        yield parts, math.exp(log)
