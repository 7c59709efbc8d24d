"""A few agents followed exactly: every profile of states and actions, with its probability; and twins of the kernels.

Agent i starts by ``initials[i] [S]``, plays ``policies[i] [H, S, A]``, and counts ``weights[i]`` in the population that
all see. Functions of the game are ``f(h, population)``.
"""

import math

import numpy as np

# Kernels


def prepare_at(prepare, h, seen):
    """What a population decides for all rows of a step."""
    return prepare(h, seen)


def gather_rows(tables, step, state, action):
    """Rows [n, T, S] of models ``tables [n, H, S, A, S]`` at T triples."""
    return np.array([[P[h, s, a] for h, s, a in zip(step, state, action, strict=True)] for P in tables])


def invert(p, u):
    """The first index whose running sum exceeds ``u`` times the sum of all."""
    total = sum(p)
    share = u * total
    running = 0.0
    for x in range(len(p)):
        running += p[x]
        if share < running:
            return x
    return max(x for x in range(len(p)) if p[x] > 0)


def act(policy, states, uniforms):
    """Actions of agents, and how many chose each [S, A]."""
    actions = [invert(policy[s], u) for s, u in zip(states, uniforms, strict=True)]
    chosen = np.zeros(policy.shape, dtype=np.int64)
    for s, a in zip(states, actions, strict=True):
        chosen[s, a] += 1
    return actions, chosen


def move(rows, targets, states, actions, uniforms):
    """Next states: entry k of ``rows [S, A, K]`` leads to ``targets [S, A, K]``."""
    return [targets[s, a, invert(rows[s, a], u)] for s, a, u in zip(states, actions, uniforms, strict=True)]


# The exact law


class Law:
    """What all agents do together, exactly."""

    def __init__(self, initials, policies, weights, transition, reward, joint):
        self.N, self.S, self.A, self.joint = len(initials), len(initials[0]), policies[0].shape[2], joint
        self.policies, self.weights, self.transition, self.reward = policies, weights, transition, reward
        start = {}
        for profile in np.ndindex(*(self.S,) * self.N):
            p = math.prod(initials[i][s] for i, s in enumerate(profile))
            if p > 0:
                start[(profile[0],), profile] = p
        self.steps = [start]  # at each step: (trajectory of agent 0 so far, everyone's state) -> probability
        self.returns = 0.0  # mean return of agent 0
        self.functions = {}
        for h in range(len(policies[0])):
            self.steps.append(self.after(h, self.steps[-1]))

    def seen(self, profile, actions):
        population = np.zeros((self.S, self.A) if self.joint else self.S)
        for i in range(self.N):
            population[(profile[i], actions[i]) if self.joint else profile[i]] += self.weights[i]
        return population

    def at(self, h, seen):
        """Rows and rewards at a population, computed once."""
        key = (h, *np.round(seen, 12).ravel())
        if key not in self.functions:
            self.functions[key] = self.transition(h, seen), self.reward(h, seen)
        return self.functions[key]

    def after(self, h, now):
        following = {}
        for (history, profile), p in now.items():
            for actions in np.ndindex(*(self.A,) * self.N):
                q = p * math.prod(self.policies[i][h, profile[i], actions[i]] for i in range(self.N))
                if q == 0:
                    continue
                P, r = self.at(h, self.seen(profile, actions))
                self.returns += q * r[profile[0], actions[0]]
                reached = [np.flatnonzero(P[profile[i], actions[i]]) for i in range(self.N)]
                for index in np.ndindex(*(len(x) for x in reached)):
                    there = tuple(int(x[k]) for x, k in zip(reached, index, strict=True))
                    key = (*history, actions[0], there[0]), there
                    w = math.prod(P[profile[i], actions[i], there[i]] for i in range(self.N))
                    following[key] = following.get(key, 0.0) + q * w
        return following

    def trajectories(self):
        """Probability of each trajectory (s, a, s, ..., s) of agent 0."""
        law = {}
        for (history, _), p in self.steps[-1].items():
            law[history] = law.get(history, 0.0) + p
        return law

    def counts(self, h):
        """Probability of each vector of numbers of agents by state."""
        law = {}
        for (_, profile), p in self.steps[h].items():
            key = tuple(profile.count(s) for s in range(self.S))
            law[key] = law.get(key, 0.0) + p
        return law
