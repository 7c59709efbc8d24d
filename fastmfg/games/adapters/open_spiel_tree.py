"""The tree of an OpenSpiel mean-field game, cut into steps.

OpenSpiel plays one agent: chance places it; then come a decision (DECISION), chance (CHANCE), and a node (MEAN_FIELD)
where the state asks for probabilities of the strings ``distribution_support()`` and is told them through
``update_distribution``; then the next decision. States of one depth that share an ``observation_string`` are one node,
as in OpenSpiel's own algorithms. A step h begins at its decisions and leads by action and chance to *arrivals*: the
states before ``update_distribution``, or, where there is no such node, the next decisions, or the end. Where the share
``L_h(i, a)`` of agents plays a at decision i, arrivals j have the shares

    m(j) = sum_{i,a} L_h(i, a) P(j | i, a),

which is what ``update_distribution`` is told; what follows it, and its reward, are asked of the state. A reward may
depend on the action just played although no string shows it: a *variant* is an arrival with the action that led there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastmfg.games.adapters.peers import rescaled
from fastmfg.games.checks import Floats, Integers, refuse_non_distributions

NO_ACTION = -1
"""Of states that no action led to."""

ROUNDING = 1e-12
"""Chances and rewards that differ by less than this, relative to their size, are the same."""


@dataclass
class Node:
    """States of one depth that share a string."""

    chances: dict[tuple[int, int], float] = field(default_factory=dict)  # of getting here, by (decision, action)
    states: dict[int, Any] = field(default_factory=dict)  # one for each last action


Level = dict[str, Node]


def kind(state: Any) -> str:
    if state.is_terminal():
        return "terminal"
    if state.is_chance_node():
        return "chance"
    return "mean field" if state.is_mean_field_node() else "decision"


def name(state: Any) -> str:
    return str(state.observation_string(0))


def reward(state: Any) -> float:
    return float(state.rewards()[0])


def kind_of_all(states: Iterable[Any]) -> str:
    """The kind of states of one depth, which is one."""
    kinds = {kind(state): state for state in states}
    if len(kinds) != 1:
        shown = ", ".join(f"{name(state)!r} ({what})" for what, state in kinds.items())
        raise ValueError(f"game has nodes of different kinds at one depth: {shown}")
    return next(iter(kinds))


def play(decisions: list[Any], by_action: bool = True, most: float = math.inf) -> Level:
    """Where every action in every decision leads, chance included; with a state for each last action, or only one.

    More than so many nodes at one depth are refused, here and below.
    """
    level: Level = {}
    for i, state in enumerate(decisions):
        for action in state.legal_actions():
            child = state.child(action)
            node = level.setdefault(name(child), Node())
            node.chances[i, action] = node.chances.get((i, action), 0.0) + 1.0
            if by_action or not node.states:
                node.states.setdefault(action, child)
    return through_chance(level, by_action, most)


def begin(root: Any, most: float = math.inf) -> Level:
    """The first nodes that are not chance; their chances have the key (0, NO_ACTION)."""
    return through_chance({name(root): Node({(0, NO_ACTION): 1.0}, {NO_ACTION: root})}, True, most)


def through_chance(level: Level, by_action: bool, most: float) -> Level:
    while kind_of_all(state for node in level.values() for state in node.states.values()) == "chance":
        following: Level = {}
        for string, node in level.items():
            _spread(string, node, following, by_action)
            if len(following) > most:
                raise ValueError(
                    f"game has {len(following)} states and more at one depth, more than max_states = {most}: "
                    "make it smaller, or raise max_states"
                )
        level = following
    return level


def _spread(string: str, node: Node, following: Level, by_action: bool) -> None:
    """Carry the chances of a chance node on; of each (target, last action), or each target, one state is made."""
    outcomes = {action: state.chance_outcomes() for action, state in node.states.items()}
    first = next(iter(outcomes.values()))
    if any(other != first for other in outcomes.values()):
        raise ValueError(f"chances at {string!r} depend on the last action, which its string does not show")
    chances = rescaled(np.array([chance for _, chance in first], dtype=np.float64))
    refuse_non_distributions(f"chance_outcomes at {string!r}", chances)
    for (outcome, _), chance in zip(first, chances.tolist(), strict=True):
        (action, state), *others = node.states.items()
        child = state.child(outcome)
        target = following.setdefault(name(child), Node())
        for key, p in node.chances.items():
            target.chances[key] = target.chances.get(key, 0.0) + p * chance
        if by_action or not target.states:
            target.states.setdefault(action, child)
        for action, state in others:
            if action not in target.states:
                target.states[action] = state.child(outcome)


@dataclass(frozen=True)
class Passage:
    """What decisions lead to: entry e is the way from a decision by an action to a variant of an arrival."""

    decision: Integers  # [E]
    action: Integers  # [E]
    variant: Integers  # [E]
    chance: Floats  # [E]
    arrival: Integers  # [V] of each variant
    last: Integers  # [V] the action that led there; with one variant an arrival, any of these
    states: list[Any]  # [V]
    support: list[Integers]  # [V] arrivals that the state asks for, -1 for others; where they are mean-field nodes
    names: list[str]  # [J] of arrivals

    def shares(self, joint: Floats) -> Floats:
        """``m`` [J] of the shares [n, A] of decisions and actions."""
        weights = joint[self.decision, self.action] * self.chance
        shares = np.zeros(len(self.names))
        np.add.at(shares, self.arrival[self.variant], weights)
        return shares

    def entered(self, shares: Floats, variants: Iterable[int] | None = None) -> list[Any]:
        """Each variant's state, or those of some, after it has been told the shares of arrivals."""
        wanted = range(len(self.states)) if variants is None else variants
        if not self.support:
            return [self.states[v] for v in wanted]
        told: dict[int, list[float]] = {}
        extended = np.append(shares, 0.0)
        result = []
        for v in wanted:
            support = self.support[v]
            if id(support) not in told:
                told[id(support)] = extended[support].tolist()
            result.append(tell(self.states[v], told[id(support)]))
        return result

    def rewards(self, entered: list[Any]) -> Floats:
        """Each variant's reward [V]: before it is told the shares, and after."""
        after = np.array([reward(state) for state in entered])
        return after + np.array([reward(state) for state in self.states]) if self.support else after


def tell(state: Any, shares: list[float]) -> Any:
    """A copy of a mean-field state, told the shares of its support."""
    copy = state.clone()
    copy.update_distribution(list(shares))
    return copy


def passage_of(level: Level, names: list[str], by_action: bool) -> Passage:
    """A level as arrays over the given names, with a variant for each last action or only one."""
    place = {string: j for j, string in enumerate(names)}
    supports = _Supports(place)
    ways: list[tuple[int, int, int, float]] = []
    arrival: list[int] = []
    last: list[int] = []
    states: list[Any] = []
    support: list[Integers] = []
    for string, node in level.items():
        variants = {}
        for action, state in node.states.items() if by_action else [next(iter(node.states.items()))]:
            variants[action] = len(states)
            arrival.append(_place(place, string))
            last.append(action)
            states.append(state)
            if kind(state) == "mean field":
                support.append(supports.of(string, state))
        only = next(iter(variants.values()))
        for (i, action), chance in node.chances.items():
            if chance > 0.0:
                ways.append((i, action, variants[action] if by_action else only, chance))
    decision, action_of, variant = (np.array([way[k] for way in ways], dtype=np.int64) for k in range(3))
    chances = np.array([way[3] for way in ways])
    return Passage(
        decision, action_of, variant, chances, np.array(arrival, dtype=np.int64), np.array(last, dtype=np.int64),
        states, support, names,
    )  # fmt: skip


def _place(place: dict[str, int], string: str) -> int:
    if string not in place:
        raise ValueError(f"the distribution leads to the state {string!r}, which was not met when the game was read")
    return place[string]


class _Supports:
    """Supports as indices of arrivals; equal ones are one array."""

    def __init__(self, place: dict[str, int]) -> None:
        self.place = place
        self.known: dict[tuple[str, ...], Integers] = {}
        self.of_node: dict[str, Integers] = {}

    def of(self, string: str, state: Any) -> Integers:
        if string not in self.of_node:
            support = tuple(state.distribution_support())
            if support not in self.known:
                self.known[support] = np.array([self.place.get(x, -1) for x in support], dtype=np.int64)
            self.of_node[string] = self.known[support]
        return self.of_node[string]
