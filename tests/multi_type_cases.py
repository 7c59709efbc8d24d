"""Small games with several types of agents, all from a seed."""

import numpy as np
from builders import legal_mask, policy, rows
from naive_multi_type import type_gaps

import fastmfg as mfg

SIZES = [((3, 2),), ((3, 2), (3, 2)), ((2, 3), (4, 1)), ((1, 2), (3, 3), (2, 2))]
"""(S_w, A_w) of each type."""


class Parts:
    """Functions of a random game whose rows and rewards depend on the densities of all types."""

    def __init__(self, seed, sizes, H=3, masked=False, joint=False):
        rng = np.random.default_rng(seed)
        W = len(sizes)
        self.H, self.joint = H, joint
        self.initials = [rows(rng, (S,)) for S, _ in sizes]
        self.legals = [legal_mask(rng, S, A) if masked else np.ones((S, A), dtype=bool) for S, A in sizes]
        self.transitions = [self._transition(rng, w, S, A, W) for w, (S, A) in enumerate(sizes)]
        self.rewards = [self._reward(rng, S, A, W) for S, A in sizes]

    def _shares(self, seen):
        """One number a type, which the order of types does not change."""
        return np.array([part[0].sum() if self.joint else part[0] for part in seen])

    def _transition(self, rng, w, S, A, W):
        calm, crowded = rows(rng, (self.H, S, A, S)), rows(rng, (self.H, S, A, S))
        weights = rows(rng, (W,))

        def transition(h, seen):
            share = weights @ self._shares(seen)
            return (1 - share) * calm[h] + share * crowded[h]

        return transition

    def _reward(self, rng, S, A, W):
        bonus, weights = rng.standard_normal((self.H, S, A)), rng.standard_normal(W)
        return lambda h, seen: bonus[h] - weights @ self._shares(seen)

    def game(self, **changes):
        arguments = {"initials": self.initials, "transitions": self.transitions, "rewards": self.rewards,
                     "horizon": self.H, "legals": self.legals,
                     "population": "joint" if self.joint else "state"}  # fmt: skip
        return mfg.MultiTypeGame(**{**arguments, **changes})

    def policies(self, seed=5):
        rng = np.random.default_rng(seed)
        return [policy(rng, self.H, legal) for legal in self.legals]

    def gaps(self, policies):
        return type_gaps(self.initials, policies, self.transitions, self.rewards, self.legals, self.joint)


PAIR = Parts(1, ((2, 3), (3, 2)))
"""A small game for errors."""


def family_of(parts, n, seed=0):
    """n games that differ in transition, and the functions of each type."""
    functions = [Parts(seed + i, [legal.shape for legal in parts.legals]).transitions for i in range(n)]
    return [parts.game(transitions=f) for f in functions], functions


def blocks_class(sizes=(2, 3)):
    """A plain class of tables whose agents keep to their type, its tables, and its reward."""
    rng, S = np.random.default_rng(0), sum(sizes)
    tables = np.zeros((4, 3, S, 2, S))
    first = 0
    for size in sizes:
        tables[:, :, first : first + size, :, first : first + size] = rows(rng, (4, 3, size, 2, size))
        first += size
    initial = np.concatenate([rows(rng, (size,)) for size in sizes]) / len(sizes)

    def reward(h, mu):
        return np.stack([np.arange(S) / S - mu, 0.5 - mu], axis=1)

    return mfg.ModelClass.from_tables(tables, initial, reward), tables, reward
