"""An experiment: N agents in one population who learn independently, each from its own trajectory alone.

Each agent keeps logits y [H, S, A] and plays ``pi = (1 - e) softmax(y) + e uniform`` over legal actions. After an
episode it knows the states it was in, the actions it played and what followed each, ``G_h = r_h + ... + r_H``. Policy
mirror ascent with the estimate of advantages that a single trajectory gives, at the (s, a) of each step h:

    y_h(s, a) += step (G_h - b_h(s)) / pi_h(a|s),    after y_h(s, .) *= 1 - step temperature,

b being the mean of what the agent got from (h, s) before; the first time there is no step. The others are part of each
agent's environment; nobody sees the density, and nobody talks. For monotone games with regularisation the average
policy approaches an equilibrium (Yardim, Cayci, Geist, He 2023, Policy mirror ascent for efficient and independent
learning in mean field games); in general nothing is promised, and the history of the gap says what happened.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastmfg.equality import Result
from fastmfg.games.checks import Floats, Integers, frozen, probability, real, whole
from fastmfg.games.game import Game
from fastmfg.games.simulation import Episode, Population
from fastmfg.planning.evaluate import ne_gap
from fastmfg.streams import Stream


@dataclass(frozen=True, eq=False)
class IndependentLearning(Result):
    """What came of it."""

    policy: Floats  # [H, S, A]   the agents' average policy at the end
    history: Floats  # NE gap, in the limit game, of the average policy before and after rounds
    rounds: Integers  # how many rounds had been played at each entry of `history`


class _Learners:
    """The agents' logits and baselines."""

    def __init__(self, population: Population, exploration: float) -> None:
        self.population = population
        self.legal = population.game.legal
        S, A = self.legal.shape
        H, N = population.game.horizon, population.n_agents
        self.uniform = self.legal / self.legal.sum(axis=1, keepdims=True)
        self.exploration = exploration
        self.y = np.zeros((N, H, S, A))
        self.baseline, self.visits = np.zeros((N, H, S)), np.zeros((N, H, S))
        self.everyone = np.arange(N)

    def play_of(self, y: Floats, states: Integers) -> Floats:
        """Probabilities [..., A] of logits at states."""
        legal = self.legal[states]
        weights = np.where(legal, np.exp(y - np.where(legal, y, -np.inf).max(axis=-1, keepdims=True)), 0.0)
        softmax = weights / weights.sum(axis=-1, keepdims=True)
        play: Floats = (1.0 - self.exploration) * softmax + self.exploration * self.uniform[states]
        return play

    def average(self) -> Floats:
        """The agents' mean policy [H, S, A]."""
        states = np.arange(len(self.legal))
        total = np.zeros(self.y.shape[1:])
        for y in self.y:
            total += self.play_of(y, states)
        return total / len(self.y)

    def episode(self, run: int, rng: np.random.Generator) -> tuple[Integers, Integers, Floats, Floats]:
        """States, actions, their probabilities and rewards [H, N] of one episode of all agents."""
        population, N = self.population, self.everyone
        H = self.y.shape[1]
        walk = Episode(population, run)
        states, actions = np.empty((H, N.size), dtype=np.int64), np.empty((H, N.size), dtype=np.int64)
        chance, reward = np.empty((H, N.size)), np.empty((H, N.size))
        for h in range(H):
            s = walk.states
            play = self.play_of(self.y[N, h, s], s)
            sums = np.cumsum(play, axis=1)
            a = (sums <= rng.random((N.size, 1)) * sums[:, -1:]).sum(axis=1)
            states[h], actions[h], chance[h] = s, a, play[N, a]
            chosen = np.bincount(s * play.shape[1] + a, minlength=self.legal.size).reshape(self.legal.shape)
            reward[h] = population.reward_at(h, walk.move(a, chosen))[s, a]
        return states, actions, chance, reward

    def learn(self, run: int, rng: np.random.Generator, step: float, temperature: float) -> None:
        """One round: an episode, and a step of mirror ascent of each agent."""
        states, actions, chance, reward = self.episode(run, rng)
        got = np.cumsum(reward[::-1], axis=0)[::-1]
        N = self.everyone
        for h, (s, a) in enumerate(zip(states, actions, strict=True)):
            self.visits[N, h, s] += 1
            surprise = got[h] - self.baseline[N, h, s]
            first = self.visits[N, h, s] == 1
            self.baseline[N, h, s] += surprise / self.visits[N, h, s]
            self.y[N, h, s] *= 1.0 - step * temperature
            self.y[N, h, s, a] += np.where(first, 0.0, step * surprise / chance[h])


def independent_learners(
    game: Game,
    n_agents: int,
    rounds: int,
    step: float,
    seed: int = 0,
    *,
    temperature: float = 0.0,
    exploration: float = 0.1,
    gap_every: int = 10,
) -> IndependentLearning:
    """Let N agents learn independently, each by policy mirror ascent from its own trajectories.

    Parameters
    ----------
    game : Game
    n_agents : int >= 1
        Memory is ``n_agents * H * S * A`` numbers.
    rounds : int >= 1
        Episodes; each agent takes one step after each.
    step : float > 0
        Of mirror ascent, in units of 1 / reward.
    seed : int
    temperature : float >= 0
        Of entropy regularisation, in units of reward: logits shrink by ``step * temperature`` where they are visited.
    exploration : float in [0, 1]
        Share of the uniform policy in what is played: estimates grow like its inverse.
    gap_every : int >= 1
        Rounds between measurements of the average policy's NE gap.
    """
    population = Population(game, n_agents, seed)
    n_rounds, every = whole("rounds", rounds, 1), whole("gap_every", gap_every, 1)
    size, tau = real("step", step, 0.0), real("temperature", temperature, 0.0, include_low=True)
    if size * tau >= 1.0:
        raise ValueError(f"step * temperature must be less than 1, got {size * tau:g}")
    learners = _Learners(population, probability("exploration", exploration))
    rng = Stream.INDEPENDENT_LEARNERS.generator(population.seed)
    history, measured = [ne_gap(game, learners.average())], [0]
    for i in range(n_rounds):
        learners.learn(i, rng, size, tau)
        if (i + 1) % every == 0 or i + 1 == n_rounds:
            history.append(ne_gap(game, learners.average()))
            measured.append(i + 1)
    return IndependentLearning(frozen(learners.average()), frozen(np.array(history)), frozen(np.array(measured)))
