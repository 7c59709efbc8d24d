"""Which certified reference policy to sample under: the one that brings the most information a trajectory.

What a deviation can tell models apart by depends on where the crowd is: rows are compared at each model's own density.
The information of a reference policy is what the adversary ``information`` maximises under it, the largest expected
squared Hellinger distance over weighted pairs of survivors that any deviation sees. That maximum ranges over all
deviations, the reference policy itself among them: no trajectory of (pi, pi) brings more than one of (dev, pi), and
rounds draw the latter alone.

Besides policies looked at before, *gatherings* are tried: each agent makes for one state, at every step, as fast as the
likeliest model lets a single agent. Equilibria spread the crowd, and average out what models disagree about; a crowd
that gathers does not. (Measured at the paper's size: half to a third of the trajectories at the information limit.)
First all make for one state throughout; then, with the best state as the first goal, for another one later on.

The choice depends on data through the weights alone. Whatever is chosen is checked like any other candidate; it decides
how many samples are drawn, not whether what they prove is right.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from fastmfg.comparing.conditional import ConditionalClass, condition_members
from fastmfg.games.checks import Floats, Integers
from fastmfg.games.family import Family
from fastmfg.learning.adversary import TEMPER, most_information
from fastmfg.learning.recall import recalled
from fastmfg.learning.state import State
from fastmfg.planning.evaluate import back_up, deterministic

RIVALS = 16
"""Survivors that references are compared by: the likeliest half of these, and others evenly spread."""

GOALS = 24
"""States that gatherings make for: evenly spread ones, in each of the two stages."""

MOST_ENTRIES, LEAST_GOALS = 4_000_000_000, 4
"""Entries of rows that a choice may take, about: fewer goals in larger games, and none at all where these are few."""

SCREENED, FINALISTS = 4, 2
"""Rivals by which all gatherings are compared first, and how many of them are compared by all rivals then."""

KNOWN = 8
"""Policies looked at before that are compared too, the latest."""


def by_information(state: State) -> bool:
    """Whether references are chosen by information: not under the rules of others, which stay as they are written."""
    rule = state.plan.elimination
    return state.plan.strategy == "certified" and (rule.adversary, rule.evidence) == ("information", "anytime")


def has_served(state: State, started: int, survivors: int) -> bool:
    """Whether half of the survivors that a reference started with are gone: its certificate promises no more.

    For those that are left another one may tell more.
    """
    return by_information(state) and 2 * survivors <= started


def better_references(state: State, candidate: int) -> list[int]:
    """Numbers of up to two candidates that bring more information than this one: a new one, and the best known."""
    members, weights = rivals(state)
    family = state.models._family
    if members.size < 2:
        return []
    value = partial(reference_information, family, members, weights)
    base = value(np.array(state.candidates[candidate].policy))
    known = [i for i, c in enumerate(state.candidates) if c.comparison is not None and i not in state.exhausted]
    known = [i for i in known if i != candidate][-KNOWN:]
    values = {i: value(np.array(state.candidates[i].policy)) for i in known}
    ranked = sorted((i for i in known if values[i] > base), key=lambda i: -values[i])[:1]
    found = recalled(
        "gathering",
        (np.array(state.candidates[candidate].policy), members, weights),
        lambda: best_gathering(family, members, weights, np.array(state.candidates[candidate].policy)),
    )
    new = value(found) if found.size else -np.inf
    if new <= max([base, *values.values()]):
        return ranked
    return [state.register(found, "gathering"), *ranked]


def rivals(state: State) -> tuple[Integers, Floats]:
    """The survivors that count, sorted, and their weights: tempered likelihoods, as the adversary takes them."""
    alive = state.alive
    order = alive[np.argsort(-state.log_likelihood[alive], kind="stable")]
    if order.size > RIVALS:
        rest = order[RIVALS // 2 :]
        spread = np.linspace(0, rest.size - 1, RIVALS - RIVALS // 2).astype(np.int64)
        order = np.concatenate([order[: RIVALS // 2], rest[spread]])
    members = np.sort(order)
    tempered = np.exp(TEMPER * (state.log_likelihood[members] - state.log_likelihood[members].max()))
    return members, tempered / tempered.sum()


def reference_information(family: Family, members: Integers, weights: Floats, policy: Floats) -> float:
    """What the best deviation brings under a reference policy, over weighted pairs of members."""
    return most_information(condition_members(family, policy, members), weights)[0]


def best_gathering(family: Family, members: Integers, weights: Floats, start: Floats) -> Floats:
    """The most informative gathering [H, S, A] of those tried; empty where the game is too large, or nothing moves.

    Agents know their way by the likeliest member's conditional model under the policy `start`.
    """
    H, S = family.horizon, family.n_states
    count = min(GOALS, S, MOST_ENTRIES // (2 * (members.size + 2) * family.row_entries))
    if H == 1 or count < min(LEAST_GOALS, S):
        return np.empty(0)
    leader = condition_members(family, start, members[[int(np.argmax(weights))]])
    states = np.unique(np.linspace(0, S - 1, count).astype(np.int64))
    goals = np.repeat(states[:, None], H, axis=1)
    best, value = _most_informative(leader, goals, members, weights)
    if H > 2:
        later = goals.copy()
        later[:, :2] = best[1]
        found, more = _most_informative(leader, later, members, weights)
        best = found if more > value else best
    return gathering(leader, best)


def _most_informative(
    leader: ConditionalClass, goals: Integers, members: Integers, weights: Floats
) -> tuple[Integers, float]:
    """The goals [H] of the most informative gathering, and its information; the first on a tie."""
    policies = [gathering(leader, goal) for goal in goals]
    if members.size > SCREENED and len(goals) > FINALISTS:
        few = np.sort(np.argsort(-weights, kind="stable")[:SCREENED])
        share = weights[few] / weights[few].sum()
        first = [reference_information(leader.family, members[few], share, policy) for policy in policies]
        finalists = np.sort(np.argsort(-np.array(first), kind="stable")[:FINALISTS])
    else:
        finalists = np.arange(len(goals))
    values = [reference_information(leader.family, members, weights, policies[i]) for i in finalists]
    best = int(np.argmax(values))
    return goals[finalists[best]], values[best]


def gathering(leader: ConditionalClass, goals: Integers) -> Floats:
    """The policy [H, S, A] of most visits, on average, to state ``goals[h]`` at step h, summed over steps h > 0.

    In the one member of `leader`, at about its own density: that of the policy of most visits at the density of
    ``leader.policy``. Deterministic, the lowest action on a tie.
    """
    f = leader.family
    reward = np.zeros((1, f.horizon, f.n_states, f.n_actions))
    for h in range(1, f.horizon):
        reward[0, h, goals[h]] = 1.0
    start = _best_response(leader, reward)
    return _best_response(condition_members(f, start, leader.members), reward)


def _best_response(conditional: ConditionalClass, reward: Floats) -> Floats:
    """The best response [H, S, A] to rewards [1, H, S, A] in the conditional model of one member."""
    f, zero = conditional.family, np.zeros(1, dtype=np.int64)
    values = back_up(f, conditional.members, conditional.aux, reward, conditional.policy[None], zero)
    return deterministic(values.greedy[0], f.n_actions)
