"""Which certified reference policy to sample under: the one that brings the most information a trajectory.

What a deviation can tell models apart by depends on where the crowd is: rows are compared at each model's own density.
The information of a reference policy is what the adversary ``information`` maximises under it, the largest expected
squared Hellinger distance over weighted pairs of survivors that any deviation sees. That maximum ranges over all
deviations, the reference policy itself among them: no trajectory of (pi, pi) brings more than one of (dev, pi), and
rounds draw the latter alone.

Besides policies looked at before, *gatherings* are tried: each agent makes for one state, at every step, as fast as the
likeliest model lets a single agent. Equilibria spread the crowd, and average out what models disagree about; a crowd
that gathers does not. (Measured at the paper's size: half to a third of the trajectories at the information limit.)
First all make for one state throughout; then, with the best state as the first goal, for another one later on. Who
gathers changes the way there: each gathering is tried as it is, and anew at the density that it leads to.

Policies only have to be put in order, so that information is estimated: from some of the states where rows are dense
(a mean over all states stands for the others), first with few models and few states, and with more of both for the
policies that come out on top. Everybody starts alike, so that rows of the first step are the same under all references,
and are weighed once.

The choice depends on data through the weights alone. Whatever is chosen is checked like any other candidate; it decides
how many samples are drawn, not whether what they prove is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fastmfg.comparing.conditional import ConditionalClass, condition_members
from fastmfg.executors import map_tasks, thread_count
from fastmfg.games.checks import Floats, Integers
from fastmfg.games.model_class import ModelClass
from fastmfg.kernels.crowd import gather_rows
from fastmfg.learning.adversary import TEMPER, information_step, reward_information
from fastmfg.learning.recall import recalled_arrays
from fastmfg.learning.state import State
from fastmfg.planning.evaluate import back_up, deterministic

RIVALS = 16
"""Survivors that references are compared by: the likeliest half of these, and others evenly spread."""

GOALS = 24
"""States that gatherings make for: evenly spread ones, in each of the two stages."""

MOST_ENTRIES, LEAST_GOALS = 4_000_000_000, 4
"""Entries of rows that a choice may take, about: fewer goals in larger games, and none at all where these are few."""

SCREENED, SCREENED_STATES, FINALISTS = 4, 12, 4
"""Rivals by which all policies are compared first, at how many states, and how many policies are then compared by all
rivals. At the paper's size, in 70 rounds, what is chosen so brings 101% (standard error 1.3) of the information of what
is chosen by exact information, with all states, among the gatherings at the density that they lead to."""

STATES = 24
"""States from which information is estimated, evenly spread."""

KNOWN = 8
"""Policies looked at before that are compared too, the latest."""


def by_information(state: State) -> bool:
    """Whether references are chosen by information: not under the rules of others, which stay as they are written."""
    rule = state.options.elimination
    return state.options.strategy == "certified" and (rule.adversary, rule.evidence) == ("information", "anytime")


def has_served(state: State, started: int, survivors: int) -> bool:
    """Whether half of the survivors that a reference started with are gone: its certificate promises no more.

    For those that are left another one may tell more.
    """
    return by_information(state) and 2 * survivors <= started


@dataclass(frozen=True)
class FirstStep:
    """What the first step tells at some states, and where it leads: alike under all reference policies."""

    told: Floats  # [n]   information of the legal actions of the states looked at, one state after another
    rows: Floats  # [n, S]   the mixture of the rivals' rows


@dataclass(frozen=True)
class Rivals:
    """Survivors that references are to tell apart."""

    models: ModelClass
    members: Integers  # [n]   sorted
    weights: Floats  # [n]   sum to one
    looks: int = STATES  # states from which information is estimated

    @property
    def leader(self) -> Integers:
        """The likeliest of them [1]."""
        return self.members[[int(np.argmax(self.weights))]]

    @cached_property
    def few(self) -> Rivals:
        """The likeliest of them, for a first look."""
        chosen = np.sort(np.argsort(-self.weights, kind="stable")[:SCREENED])
        weights = self.weights[chosen] / self.weights[chosen].sum()
        return Rivals(self.models, self.members[chosen], weights, SCREENED_STATES)

    @cached_property
    def first_step(self) -> FirstStep | None:
        """The first step, weighed; None where its rows depend on the policy, or all states are looked at."""
        f = self.models
        if f.joint or _all_are_looked_at(f):
            return None
        states, legal = states_looked_at(f, self.looks)[0], f.common.legal
        anyhow = deterministic(np.tile(legal.argmax(axis=1), (f.horizon, 1)), f.n_actions)
        conditional = condition_members(f, anyhow, self.members)
        i, actions = np.nonzero(legal[states])
        places = states[i] * f.n_actions + actions
        root, mixture = np.zeros((2, places.size, f.n_states))
        rows = np.empty((1, places.size, f.n_states))
        for m, w in enumerate(self.weights):
            one, zeros = slice(m, m + 1), np.zeros(places.size, dtype=np.int64)
            aux = conditional.aux[one]
            status = gather_rows(f.fill, f.common, f.thetas, self.members[one], aux, zeros, zeros, places, rows)
            f.refuse_status(status, "backing information up")
            root += w * np.sqrt(rows[0])
            mixture += w * rows[0]
        told = 1.0 - (root * root).sum(axis=1)
        if f.reward_noise is not None:
            told += reward_information(conditional, f.reward_noise, self.weights, 0, states)[states[i], actions]
        return FirstStep(told, mixture)


def better_references(state: State, candidate: int) -> list[int]:
    """Numbers of up to two candidates that bring more information than this one: a new one, and the best known."""
    apart = rivals(state)
    if apart.members.size < 2:
        return []
    policy = np.array(state.candidates[candidate].policy)
    pool = state.candidates
    known = [i for i in range(len(pool)) if pool[i].comparison is not None and i not in pool.exhausted]
    known = [i for i in known if i != candidate][-KNOWN:]
    policies = [np.array(state.candidates[i].policy) for i in known]
    finalists = _finalists(apart, policies)
    base, *values = informations(apart, [policy, *(policies[i] for i in finalists)])
    best = int(np.argmax(values)) if values else -1
    ranked = [known[finalists[best]]] if values and values[best] > base else []

    def gather() -> dict[str, Floats]:
        found, value = best_gathering(apart, policy)
        return {"policy": found, "information": np.array(value)}

    found = recalled_arrays("gathering", (policy, apart.members, apart.weights), gather)
    if found["information"].item() <= max([base, *values]):
        return ranked
    return [state.candidates.register(found["policy"], "gathering"), *ranked]


def rivals(state: State) -> Rivals:
    """The survivors that count, and their weights: tempered likelihoods, as the adversary takes them."""
    order, log_likelihood = state.evidence.likeliest_first(), state.evidence.log_likelihood
    if order.size > RIVALS:
        rest = order[RIVALS // 2 :]
        spread = np.linspace(0, rest.size - 1, RIVALS - RIVALS // 2).astype(np.int64)
        order = np.concatenate([order[: RIVALS // 2], rest[spread]])
    members = np.sort(order)
    tempered = np.exp(TEMPER * (log_likelihood[members] - log_likelihood[members].max()))
    return Rivals(state.models, members, tempered / tempered.sum())


def informations(rivals: Rivals, policies: Sequence[Floats]) -> list[float]:
    """What the best deviation brings under each reference policy, over weighted pairs of rivals.

    Estimated from `states_looked_at`, exact where these are all. The values of other states are taken to be the mean of
    those.
    """
    f, first = rivals.models, rivals.first_step
    start, later = states_looked_at(f, rivals.looks)

    def information(policy: Floats) -> float:
        conditional = condition_members(f, policy, rivals.members)
        future = np.zeros(f.n_states)
        for h in range(f.horizon - 1, -1, -1):
            states = later if h > 0 else start
            if h == 0 and first is not None:
                value = _first_values(f, first, states, future)
            else:
                value = information_step(conditional, rivals.weights, h, future, states)[0][states]
            future = np.full(f.n_states, value.mean())
            future[states] = value
        share = f.common.initial[start]
        return float((share * future[start]).sum() / share.sum())

    return list(map_tasks(information, policies, _one_a_task(f, len(policies))))


def _one_a_task(models: ModelClass, n: int) -> bool:
    """Whether threads take one policy each; of fewer policies than threads they share each one's states."""
    return models.parallel and n >= thread_count()


def _first_values(models: ModelClass, first: FirstStep, states: Integers, future: Floats) -> Floats:
    """Values of states of the first step; `future` [S]: the values of the second one."""
    legal = models.common.legal[states]
    q = np.full(legal.shape, -np.inf)
    q[legal] = first.told + (first.rows * future).sum(axis=1)
    value: Floats = q.max(axis=1)
    return value


def states_looked_at(models: ModelClass, count: int) -> tuple[Integers, Integers]:
    """States of the first step and of later ones from which information is estimated: so many, or all."""
    every, starts = np.arange(models.n_states), np.flatnonzero(models.common.initial)
    if _all_are_looked_at(models):
        return starts, every
    return spread_evenly(starts, count), spread_evenly(every, count)


def _all_are_looked_at(models: ModelClass) -> bool:
    """Whether a mean stands for no state: where rows are sparse, or agents of several types."""
    return models.common.successors.size > 0 or models.layout is not None


def spread_evenly(items: Integers, count: int) -> Integers:
    """At most so many of the items, from the first to the last."""
    return items[np.unique(np.linspace(0, items.size - 1, min(count, items.size)).astype(np.int64))]


def _finalists(rivals: Rivals, policies: Sequence[Floats]) -> list[int]:
    """Which policies are the most informative, judged by the likeliest rivals; in ascending order."""
    if len(policies) <= FINALISTS:
        return list(range(len(policies)))
    values = informations(rivals.few, policies)
    return sorted(np.argsort(-np.array(values), kind="stable")[:FINALISTS].tolist())


def best_gathering(rivals: Rivals, start: Floats) -> tuple[Floats, float]:
    """The most informative gathering [H, S, A] of those tried, and its information.

    Empty, and minus infinity, where the game is too large, or nothing moves. Agents know their way by the likeliest
    rival's conditional model under the policy `start`.
    """
    models = rivals.models
    H, S = models.horizon, models.n_states
    count = min(GOALS, S, MOST_ENTRIES // (2 * (rivals.members.size + 2) * models.row_entries))
    if H == 1 or count < min(LEAST_GOALS, S):
        return np.empty(0), -np.inf
    leader = condition_members(models, start, rivals.leader)
    states = spread_evenly(np.arange(S), count)
    goals = np.repeat(states[:, None], H, axis=1)
    first, policy, value = _most_informative(leader, goals, rivals)
    if H > 2:
        goals[:, :2] = first[1]
        _, other, more = _most_informative(leader, goals, rivals)
        policy, value = (other, more) if more > value else (policy, value)
    return policy, value


def _most_informative(leader: ConditionalClass, goals: Integers, rivals: Rivals) -> tuple[Integers, Floats, float]:
    """The goals [H] of the most informative gathering, the gathering, and its information; the first on a tie."""
    f = leader.models

    def gather(goal: Integers) -> tuple[Floats, Floats]:
        policy = gathering(leader, goal)
        return policy, gathering(condition_members(f, policy, leader.members), goal)

    policies = [policy for both in map_tasks(gather, goals, _one_a_task(f, len(goals))) for policy in both]
    chosen = _finalists(rivals, policies)
    values = informations(rivals, [policies[i] for i in chosen])
    best = int(np.argmax(values))
    return goals[chosen[best] // 2], policies[chosen[best]], values[best]


def gathering(leader: ConditionalClass, goals: Integers) -> Floats:
    """The policy [H, S, A] of most visits, on average, to state ``goals[h]`` at step h, summed over steps h > 0.

    In the one member of `leader`, at its density there. Deterministic, the lowest action on a tie.
    """
    f, zero = leader.models, np.zeros(1, dtype=np.int64)
    reward = np.zeros((1, f.horizon, f.n_states, f.n_actions))
    for h in range(1, f.horizon):
        reward[0, h, goals[h]] = 1.0
    values = back_up(f, leader.members, leader.aux, reward, leader.policy[None], zero)
    return deterministic(values.greedy[0], f.n_actions)
