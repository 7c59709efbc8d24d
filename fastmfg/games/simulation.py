"""N agents in one game: transitions and rewards see the *empirical* distribution of the agents (Huang, He, Krause 2024,
Appendix H).

At step h agent i plays ``a_i ~ pi_h(.|s_i)``; with m the empirical distribution (of states, or of states and actions)
it moves by ``P_h(.|s_i, a_i, m)`` and is rewarded ``r_h(s_i, a_i, m)``. There are two forms. *Without identities* only
numbers are kept: agents of a state choose by one multinomial, those of a row of transitions move by one, so that a step
costs what its rows cost, whatever N. *With identities* every agent's trajectory is kept. One agent may deviate.

With several types of agents there are N_w of type w, and the slice of type w is that type's own empirical distribution
divided by the number of types, as in the lift.

Random numbers come from counters, ``Philox(key=[root, run], counter=[0, block, step, lane])``: they depend on the seed,
the number of the run, the step and the agent alone, not on threads, nor on what was simulated before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.executors import blocks, map_tasks
from fastmfg.games.checks import Floats, Integers, float_array, whole
from fastmfg.games.game import Game, require_game
from fastmfg.games.reward_noise import RewardNoise
from fastmfg.games.rows import Rows, draw, split
from fastmfg.kernels import crowd as kernels
from fastmfg.memory import require_numbers
from fastmfg.streams import Stream

CROWD, TAGGED, START, ACT, MOVE, OBSERVE, BRANCH = range(7)
"""Lanes of random numbers."""

AGENTS_A_TASK = 1 << 16
"""Agents one thread moves at a time."""

RUNS_A_TASK = 16
"""Runs one thread simulates at a time."""


@dataclass(frozen=True)
class Crowd:
    """One run without identities."""

    counts: Integers  # [H+1, S]   agents in each state
    chosen: Integers  # [H, S, A]   agents by state and action
    density: Floats  # [H+1, S]   the empirical distribution
    reward: Floats  # [H, S, A]   under it

    @property
    def mean_return(self) -> float:
        """The agents' mean return."""
        return float((self.chosen * self.reward).sum() / self.counts[0].sum())


@dataclass(frozen=True)
class Agents:
    """One run with identities."""

    states: Integers  # [N, H+1]
    actions: Integers  # [N, H]
    density: Floats  # [H+1, S]   the empirical distribution
    reward: Floats  # [H, S, A]   under it

    @property
    def returns(self) -> Floats:
        """Each agent's return [N]."""
        total = np.zeros(len(self.states))
        for h, reward in enumerate(self.reward):
            total += reward[self.states[:, h], self.actions[:, h]]
        return total


class Population:
    """N agents who play a game.

    Parameters
    ----------
    game : Game
        Any game, in any form of rows.
    n_agents : int, or a list of one int a type
        N >= 1. In a game with several types of agents, one int stands for that many agents of each type.
    seed : int

    Notes
    -----
    Nothing is changed by a run. Number `run` chooses the random numbers: the same number gives the same run.
    """

    def __init__(self, game: Game, n_agents: int | Sequence[int], seed: int = 0) -> None:
        models = require_game("game", game).models
        layout = models.layout
        self.game, self.seed = game, whole("seed", seed, 0)
        self.sizes = _sizes(n_agents, None if layout is None else layout.n_types)
        self.n_agents = sum(self.sizes)
        self.slices = [slice(0, models.n_states)] if layout is None else [states for states, _ in layout.types()]
        self._root = int(Stream.POPULATION.sequence(self.seed).generate_state(1, np.uint64)[0])
        self._per = np.empty(models.n_states)  # [S]   a state that so many agents are in has density 1
        for states, size in zip(self.slices, self.sizes, strict=True):
            self._per[states] = float(size * len(self.sizes))

    def crowd(self, policy: ArrayLike, *, run: int = 0) -> Crowd:
        """One run without identities: all agents play `policy` [H, S, A]."""
        walk = Walk(self, self._policy("policy", policy), whole("run", run, 0))
        H, S, A = walk.policy.shape
        require_numbers("a run's counts and rewards [H, S, A]", 2 * H * S * (A + 1), "take a smaller game or horizon")
        counts, chosen, reward = np.empty((H + 1, S), np.int64), np.empty((H, S, A), np.int64), np.empty((H, S, A))
        for h in range(H):
            counts[h] = walk.counts
            step = walk.advance()
            chosen[h], reward[h] = step.chosen, self.reward_at(h, step.population)
        counts[H] = walk.counts
        return Crowd(counts, chosen, counts / self._per, reward)

    def deviate(
        self, deviation: ArrayLike, policy: ArrayLike, n: int, *, first_run: int = 0
    ) -> tuple[Integers, Integers]:
        """Trajectories of one agent who plays `deviation` while the N - 1 others play `policy`, each in its own crowd.

        Parameters
        ----------
        deviation, policy : [H, S, A]
        n : int
            Trajectories; number i is that of run ``first_run + i``. Where there are W types of agents, that of run k is
            of type k mod W.

        Returns
        -------
        states : int64 [n, H+1]
        actions : int64 [n, H]

        Raises
        ------
        ValueError
            Fewer than two agents: nobody would play the policy.
        """
        return self.deviate_rewarded(deviation, policy, n, first_run=first_run)[:2]

    def deviate_rewarded(
        self, deviation: ArrayLike, policy: ArrayLike, n: int, *, first_run: int = 0, noise: RewardNoise | None = None
    ) -> tuple[Integers, Integers, Floats]:
        """As `deviate`, with the rewards [n, H] at the agents' distribution, observed under a noise; None: all 0."""
        dev, pi = self._policy("deviation", deviation), self._policy("policy", policy)
        count, first = whole("n", n, 1), whole("first_run", first_run, 0)
        self.require_two()
        H = len(pi)
        states, actions = np.empty((count, H + 1), dtype=np.int64), np.empty((count, H), dtype=np.int64)
        rewards = np.zeros((count, H))

        def simulate(block: range) -> None:
            for i in block:
                walk = Walk(self, pi, first + i, dev, (first + i) % len(self.sizes))
                for h in range(H):
                    states[i, h] = walk.state
                    step = walk.advance()
                    actions[i, h] = step.action
                    if noise is not None:
                        rewards[i, h] = self.reward_at(h, step.population)[step.state, step.action]
                states[i, H] = walk.state
                if noise is not None:
                    normals = self.generator(first + i, 0, OBSERVE).standard_normal(H)
                    rewards[i] = noise.observe(rewards[i], normals)

        tasks = blocks(count, RUNS_A_TASK)
        for _ in map_tasks(simulate, tasks, parallel=self.game.models.parallel and len(tasks) > 1):
            pass
        return states, actions, rewards

    def agents(
        self, policy: ArrayLike, deviation: ArrayLike | None = None, *, deviator: int = 0, run: int = 0
    ) -> Agents:
        """One run with identities: all agents play `policy`; with a `deviation`, agent number `deviator` plays that.

        Agents of type 0 have the numbers 0..N_0 - 1, then come those of type 1, and so on.
        """
        pi = self._policy("policy", policy)
        who = whole("deviator", deviator, 0)
        if who >= self.n_agents:
            raise IndexError(f"deviator must be less than the number of agents {self.n_agents}, got {deviator}")
        if deviation is not None:
            self.require_two()
        dev = None if deviation is None else (who, self._policy("deviation", deviation))
        episode = Episode(self, whole("run", run, 0))
        H, S, A = pi.shape
        numbers = (2 * H + 6) * self.n_agents + 2 * pi.size
        require_numbers(f"trajectories of {self.n_agents} agents", numbers, "crowd() keeps counts only")
        states, actions = np.empty((H + 1, self.n_agents), np.int64), np.empty((H, self.n_agents), np.int64)
        density, reward = np.empty((H + 1, S)), np.empty((H, S, A))
        for h in range(H):
            states[h] = episode.states
            chosen = episode.act(pi[h], actions[h], None if dev is None else (dev[0], dev[1][h]))
            density[h] = chosen.sum(axis=1) / self._per
            reward[h] = self.reward_at(h, episode.move(actions[h], chosen))
        states[H] = episode.states
        density[H] = np.bincount(states[H], minlength=S) / self._per
        return Agents(states.T, actions.T, density, reward)

    def reward_at(self, h: int, population: Floats) -> Floats:
        """Rewards [S, A] of step h at what the game's functions see (flat)."""
        reward = self.game.models.reward_at(self.game.index, h, population)
        return float_array(f"the reward at step {h} under the agents' distribution", reward, reward.shape)

    def require_two(self) -> None:
        """Raise ValueError unless somebody is left to play the policy when one agent deviates."""
        if self.n_agents < 2:
            raise ValueError(f"n_agents must be at least 2 where one agent deviates, got {self.n_agents}")

    def __repr__(self) -> str:
        return f"<Population: {self.n_agents} agents in {self.game!r}>"

    def _policy(self, name: str, policy: ArrayLike) -> Floats:
        return self.game.models.policy(name, policy)

    def generator(self, run: int, step: int, lane: int, block: int = 0) -> np.random.Generator:
        """Random numbers of a step of a run, for one purpose (its lane) and one block of agents."""
        key, counter = (np.array(words, dtype=np.uint64) for words in ([self._root, run], [0, block, step, lane]))
        return np.random.Generator(np.random.Philox(key=key, counter=counter))

    def seen(self, chosen: Integers) -> Floats:
        """What functions of the game see, flat, when so many agents choose each action."""
        if self.game.models.joint:
            return (chosen / self._per[:, None]).ravel()
        seen: Floats = chosen.sum(axis=1) / self._per
        return seen


def _sizes(n_agents: Any, n_types: int | None) -> tuple[int, ...]:
    """Agents of each type; one number where there are no types."""
    if not isinstance(n_agents, (list, tuple, np.ndarray)):
        return (whole("n_agents", n_agents, 1),) * (n_types or 1)
    if n_types is None:
        raise ValueError(f"n_agents must be one number for a game without types of agents, got {n_agents!r}")
    if len(n_agents) != n_types:
        raise ValueError(f"n_agents must hold {n_types} numbers, one a type, got {len(n_agents)}")
    return tuple(whole(f"n_agents[{w}]", size, 1) for w, size in enumerate(n_agents))


@dataclass(frozen=True)
class Step:
    """One step of a run without identities."""

    population: Floats  # [S], or flat [S*A]   what the game's functions saw
    chosen: Integers  # [S, A]   agents by state and action, the deviating one among them
    state: int  # of the deviating agent; -1: there is none
    action: int
    successors: Integers  # [K]   where its action may lead
    row: Floats  # [K]   with which probabilities; empty when there is none
    rows: Rows  # all rows of the step

    def expected(self, value: Floats) -> float:
        """Mean of a function of the deviating agent's next state, ``sum_x P(x|s,a,m) V(x)``."""
        return float(self.row @ value[self.successors])


class Walk:
    """A run without identities in progress: all agents play `policy`, but for one of type `kind` with a `deviation`."""

    def __init__(
        self, population: Population, policy: Floats, run: int, deviation: Floats | None = None, kind: int = 0
    ) -> None:
        self.population, self.policy, self.run, self.deviation = population, policy, run, deviation
        models = population.game.models
        self.h, self.state = 0, -1
        self.counts = np.zeros(models.n_states, dtype=np.int64)  # [S]   of all but the deviating agent
        initial = models.common.initial
        if deviation is not None:
            self.own = population.generator(run, 0, TAGGED).random(2 * models.horizon + 1)
            states = population.slices[kind]
            self.state = states.start + draw(initial[states], self.own[0])
        rng = population.generator(run, 0, CROWD)
        for w, (states, size) in enumerate(zip(population.slices, population.sizes, strict=True)):
            others = size - (deviation is not None and w == kind)
            self.counts[states] = split(rng, np.array([others]), initial[None, states])[0]

    def advance(self) -> Step:
        """Play one step."""
        population, h, s = self.population, self.h, self.state
        game = population.game
        rng = population.generator(self.run, h + 1, CROWD)
        others = split(rng, self.counts, self.policy[h])
        everyone, a = others, -1
        if self.deviation is not None:
            a = draw(self.deviation[h, s], self.own[2 * h + 1])
            everyone = others.copy()
            everyone[s, a] += 1
        seen = population.seen(everyone)
        rows = Rows(game.models, game.index, h, seen)
        place = rows.place(s, a) if self.deviation is not None else -1
        self.counts, row = rows.carry(rng, others, place)
        successors = rows.successors(place)
        if self.deviation is not None:
            self.state = int(successors[draw(row, self.own[2 * h + 2])])
        self.h += 1
        return Step(seen, everyone, s, a, successors, row, rows)


class Episode:
    """A run with identities in progress: where all N agents are."""

    def __init__(self, population: Population, run: int) -> None:
        self.population, self.run, self.h = population, run, 0
        self.states = np.empty(population.n_agents, dtype=np.int64)  # [N]
        ends = np.cumsum(population.sizes)
        initial = population.game.models.common.initial

        def start(block: range) -> None:
            uniforms = self._uniforms(START, block)
            for states, size, end in zip(population.slices, population.sizes, ends, strict=True):
                lo, hi = max(block.start, end - size), min(block.stop, end)
                if lo < hi:
                    sums = np.cumsum(initial[states])
                    shares = uniforms[lo - block.start : hi - block.start] * sums[-1]
                    self.states[lo:hi] = states.start + np.searchsorted(sums, shares, side="right")

        self._each(start)

    def act(self, policy: Floats, actions: Integers, deviation: tuple[int, Floats] | None = None) -> Integers:
        """Everyone's action by one step of a policy [S, A], into `actions` [N]; how many chose each [S, A].

        `deviation`: the number of an agent, and the policy that it plays instead.
        """
        played = [(0, self.states.size, np.cumsum(policy, axis=1))]
        if deviation is not None:
            who, other = deviation
            (_, N, sums) = played[0]
            played = [(0, who, sums), (who, who + 1, np.cumsum(other, axis=1)), (who + 1, N, sums)]

        def choose(block: range) -> Integers:
            uniforms, chosen = self._uniforms(ACT, block), np.zeros(policy.shape, dtype=np.int64)
            for first, end, sums in played:
                lo, hi = max(block.start, first), min(block.stop, end)
                if lo < hi:
                    own = uniforms[lo - block.start : hi - block.start]
                    kernels.act(sums, self.states[lo:hi], own, actions[lo:hi], chosen)
            return chosen

        counted: Integers = np.sum(self._each(choose), axis=0)
        return counted

    def move(self, actions: Integers, chosen: Integers) -> Floats:
        """Everyone's next state, `chosen` [S, A] being the numbers of `actions` [N]; what the game's functions saw."""
        population = self.population
        models = population.game.models
        seen = population.seen(chosen)
        rows = Rows(models, population.game.index, self.h, seen)
        occupied = np.flatnonzero(rows.numbers(chosen))
        position = np.full(rows.n_places, -1, dtype=np.int64)
        position[occupied] = np.arange(occupied.size)
        sums = np.cumsum(rows.gather(occupied), axis=1)
        successors = np.empty_like(self.states)

        def carry(block: range) -> None:
            part = slice(block.start, block.stop)
            uniforms = self._uniforms(MOVE, block)
            kernels.move(models.common, sums, position, self.states[part], actions[part], uniforms, successors[part])

        self._each(carry)
        self.states, self.h = successors, self.h + 1
        return seen

    def _uniforms(self, lane: int, block: range) -> Floats:
        return self.population.generator(self.run, self.h, lane, block.start // AGENTS_A_TASK).random(len(block))

    def _each(self, function: Callable[[range], Any]) -> list[Any]:
        """The function of every block of agents, side by side."""
        tasks = blocks(self.states.size, AGENTS_A_TASK)
        return list(map_tasks(function, tasks, parallel=len(tasks) > 1))
