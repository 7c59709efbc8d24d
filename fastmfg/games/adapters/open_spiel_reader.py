"""An OpenSpiel mean-field game read step by step, and what in it depends on the distribution found out by probing.

No state says what its moves, its noise or its successor depend on. So each arrival is told several distributions (all
agents alike, at random, all at this arrival, all elsewhere, half and half), and what follows is compared: the moves are
*fixed* where it is the same, and so is the entry into the next decision. Where the entry is not (an agent that enters a
crowded link waits longer) the distributions between "all elsewhere" and "all here" are halved until every state on the
way is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from fastmfg.games.adapters.open_spiel_tree import (
    NO_ACTION,
    ROUNDING,
    Level,
    Node,
    Passage,
    begin,
    kind,
    kind_of_all,
    name,
    passage_of,
    play,
    reward,
    tell,
)
from fastmfg.games.checks import Floats, Integers

OPTIONS = 4
"""States of one string, told different distributions, whose moves are compared."""

GRID = 16
"""Parts of the way from "all elsewhere" to "all here" that are looked at before they are halved."""

FINEST = 1e-9
"""Shares closer than this are not halved further."""

Options = dict[str, list[Any]]
"""Decisions by their strings: states that were told different distributions."""


@dataclass(frozen=True)
class Step:
    """Decisions of one step and what they lead to."""

    names: list[str]  # [n] of decisions
    states: list[Any]  # [n]
    passage: Passage  # under some distribution, unless the moves are fixed
    moves_fixed: bool
    entry: Integers | None  # [J] the next decision of each arrival; None: the distribution decides; empty: the end
    last_action: bool  # whether rewards depend on it: a variant for each

    @property
    def legal(self) -> list[tuple[int, ...]]:
        return [tuple(state.legal_actions()) for state in self.states]


@dataclass(frozen=True)
class Tree:
    """All steps, and the start: chances and rewards of the first step's decisions."""

    steps: list[Step]
    start: Floats  # [n]
    start_reward: Floats  # [n]


def read(root: Any, max_states: int) -> Tree:
    """Read a game from its initial state; refuse more than so many decision nodes over all steps."""
    level = begin(root, max_states)
    if kind_of_all(state for node in level.values() for state in node.states.values()) != "decision":
        raise ValueError(f"game must begin with chance and a decision, got {next(iter(level))!r}")
    options: Options = {string: list(node.states.values())[:1] for string, node in level.items()}
    start = np.array([node.chances[0, NO_ACTION] for node in level.values()])
    start_reward = np.array([reward(states[0]) for states in options.values()])
    steps: list[Step] = []
    total = 0
    while options:
        total += len(options)
        if total > max_states:
            raise ValueError(
                f"game has {total} states by step {len(steps)}, more than max_states = {max_states}: "
                "make it smaller, or raise max_states"
            )
        step, options = _read_step(options, max_states)
        steps.append(step)
    return Tree(steps, start, start_reward)


def _read_step(options: Options, max_states: int) -> tuple[Step, Options]:
    n_options = max(len(states) for states in options.values())
    played = [
        play([states[min(k, len(states) - 1)] for states in options.values()], by_action=k == 0, most=max_states)
        for k in range(n_options)
    ]
    level = _merged(played)
    last_action = any(_last_action_matters(node) for node in level.values())
    passage = passage_of(level, list(level), last_action)
    entered = passage.entered(_alike(len(level)))
    arrived, after = kind_of_all(passage.states), kind_of_all(entered)
    if after not in ("decision", "terminal"):
        raise ValueError(f"game has a {after} node after a mean-field node, at {name(entered[0])!r}")
    following: Options = {}
    entry: Integers | None = np.empty(0, dtype=np.int64)
    if after == "decision" and arrived == "decision":
        for moved in played:
            for string, node in moved.items():
                following.setdefault(string, []).append(next(iter(node.states.values())))
        entry = np.arange(len(level))
    elif after == "decision":
        following, fixed = _entries(passage)
        entry = _entry(passage, entered, list(following)) if fixed else None
    states = [states[0] for states in options.values()]
    fixed_moves = all(_same(level, moved) for moved in played)
    return Step(list(options), states, passage, fixed_moves, entry, last_action), following


def _entry(passage: Passage, entered: list[Any], following: list[str]) -> Integers:
    place = {string: i for i, string in enumerate(following)}
    entry = np.empty(len(passage.names), dtype=np.int64)
    for j, state in zip(passage.arrival.tolist(), entered, strict=True):
        entry[j] = place[name(state)]
    return entry


def _merged(played: list[Level]) -> Level:
    """The first level with the nodes and states that only others have; chances are those of the first."""
    level = {string: Node(node.chances, dict(node.states)) for string, node in played[0].items()}
    for other in played[1:]:
        for string, node in other.items():
            here = level.setdefault(string, Node())
            for action, state in node.states.items():
                here.states.setdefault(action, state)
    return level


def _alike(n: int) -> Floats:
    return np.full(n, 1.0 / max(n, 1))


def _same(level: Level, other: Level) -> bool:
    """Whether two levels have the same nodes, chances and rewards."""
    if level.keys() != other.keys():
        return False
    for string, node in level.items():
        chances = other[string].chances
        if node.chances.keys() != chances.keys() or not _close(
            node.chances.values(), [chances[k] for k in node.chances]
        ):
            return False
        action, state = next(iter(other[string].states.items()))
        if not _close(_rewards(node.states[action]), _rewards(state)):
            return False
    return True


def _last_action_matters(node: Node) -> bool:
    first, *others = node.states.values()
    paid = _rewards(first) if others else []
    return not all(_close(paid, _rewards(state)) for state in others)


def _rewards(state: Any) -> list[float]:
    """Of a state, and of what it enters when it is told several distributions."""
    told = _told(state.distribution_support(), name(state)) if kind(state) == "mean field" else []
    return [reward(state), *(reward(tell(state, shares)) for shares in told)]


def _close(first: Iterable[float], second: Iterable[float]) -> bool:
    return all(
        math.isclose(a, b, rel_tol=ROUNDING, abs_tol=ROUNDING) for a, b in zip(first, second, strict=True)
    )  # fmt: skip


def _told(support: list[str], own: str) -> list[list[float]]:
    """Probabilities of a support: alike, at random, and all at one's own place."""
    n = len(support)
    if n == 0:
        return [[]]
    single = np.zeros(n)
    single[support.index(own) if own in support else 0] = 1.0
    return [_alike(n).tolist(), np.random.default_rng(n).dirichlet(np.ones(n)).tolist(), single.tolist()]


def _entries(passage: Passage) -> tuple[Options, bool]:
    """The next decisions of all arrivals under several distributions, and whether these make no difference."""
    following: Options = {}
    fixed = True
    looked_at: set[int] = set()
    for state, j, support in zip(passage.states, passage.arrival.tolist(), passage.support, strict=True):
        if j in looked_at:
            continue
        looked_at.add(j)
        enter, probes = _between(state, j, support, len(passage.names))
        states = [enter(shares) for shares in probes]
        if len({name(after) for after in states}) > 1:
            fixed = False
            states += _all_between(enter, probes[1], probes[3])
        for after in states:
            known = following.setdefault(name(after), [])
            if len(known) < OPTIONS:
                known.append(after)
    return following, fixed


def _between(state: Any, j: int, support: Integers, n: int) -> tuple[Callable[[Floats], Any], list[Floats]]:
    """A function of the shares [J] that enters a state, and shares to try.

    Alike; all elsewhere, at two places; all here; half here; at random.
    """

    def enter(shares: Floats) -> Any:
        return tell(state, np.append(shares, 0.0)[support].tolist())

    strangers = np.setdiff1d(np.arange(n), support)  # whom this state does not ask about
    others = strangers if strangers.size else np.setdiff1d(np.arange(n), j)
    if not others.size:
        return enter, [np.ones(1)]
    near, far, here = (np.eye(1, n, k).ravel() for k in (others[0], others[-1], j))
    drawn = np.random.default_rng(j).dirichlet(np.ones(n))
    return enter, [_alike(n), near, far, here, 0.5 * (near + here), drawn]


def _all_between(enter: Callable[[Floats], Any], first: Floats, last: Floats) -> Iterable[Any]:
    """The states that are entered on the way from one distribution to another, one for each string."""
    found: dict[str, Any] = {}

    def look(c: float) -> str:
        state = enter((1.0 - c) * first + c * last)
        found.setdefault(name(state), state)
        return name(state)

    ends = [(c, look(c)) for c in np.linspace(0.0, 1.0, GRID + 1).tolist()]
    parts = list(pairwise(ends))
    while parts:
        (low, below), (high, above) = parts.pop()
        if below != above and high - low > FINEST:
            middle = (0.5 * (low + high), look(0.5 * (low + high)))
            parts += [((low, below), middle), (middle, (high, above))]
    return found.values()


def first_visits(root: Any) -> dict[str, int]:
    """The last action that a depth-first traversal, which looks at each string once, brings to it first.

    In the order of OpenSpiel's `PolicyValue` and `BestResponse`: actions and outcomes as listed.
    """
    first: dict[str, int] = {}

    def visit(state: Any, last: int) -> None:
        string = name(state)
        if string in first:
            return
        first[string] = last
        what = kind(state)
        if what == "chance":
            for outcome, _ in state.chance_outcomes():
                visit(state.child(outcome), last)
        elif what == "mean field":
            visit(tell(state, _alike(len(state.distribution_support())).tolist()), last)
        elif what == "decision":
            for action in state.legal_actions():
                visit(state.child(action), action)

    visit(root, NO_ACTION)
    return first
