"""Every kernel that fills rows hands on the first status that is not 0."""

import numpy as np
import pytest
from builders import rows

from fastmfg.comparing.conditional import KNOWN
from fastmfg.games.transitions import transitions_of
from fastmfg.kernels import backup, density, distance, information, likelihood, linear, walk
from fastmfg.kernels.forms import NO_ROWS, Pairs
from fastmfg.kernels.jit import Common

H, S, A, D = 3, 5, 2, 2
STATE = 3
"""Rows of this state are zero in all entries at one step, which a linear filler reports as status 1."""


class Broken:
    """Two linear models whose rows of one step can not be filled; a method for each kernel returns its status."""

    def __init__(self, step):
        rng = np.random.default_rng(400)
        phi, U = rng.standard_normal((H, S, A, D)), rng.standard_normal((H, S, D * D))
        if step is not None:
            phi[step, STATE, A - 1] = 0.0
        shared = np.concatenate([[S, A, D, D], phi.ravel(), U.ravel()])
        self.common = Common(shared, np.full(S, 1 / S), np.ones((S, A), dtype=bool))
        self.thetas, self.aux = rng.standard_normal((2, H * D * S)), rng.standard_normal((2, H, D * S))
        self.models = (linear.fill, self.common, self.thetas, np.arange(2), self.aux)
        self.policies, self.policy_of = rows(rng, (1, H, S, A)), np.zeros(2, dtype=np.int64)
        self.transitions = transitions_of(linear.prepare, linear.fill, self.common)
        self.pairs = Pairs(self.thetas, np.arange(2), self.policies, self.policy_of, NO_ROWS)
        self.block = (np.array([0]), np.array([0, 1]), np.array([[False, True]]))

    def back_up(self):
        q, greedy, value = np.empty((2, H, S, A)), np.empty((2, H, S), dtype=np.int32), np.empty((2, 2, S))
        return backup.back_up(self.transitions, self.pairs, self.aux, np.zeros(q.shape), q, greedy, value)

    def occupy(self):
        return density.occupy(self.transitions, self.pairs, self.aux, np.empty((2, H, S)))

    def block_distances(self):
        return distance.block_distances(*self.models, KNOWN, *self.block, np.empty((1, 2, 2)))

    def block_lower_bounds(self):
        return distance.block_lower_bounds(*self.models, KNOWN, np.arange(S), *self.block, np.inf, np.zeros((1, 2)))

    def block_upper_bounds(self):
        return distance.block_upper_bounds(*self.models, KNOWN, *self.block, np.inf, np.zeros((1, 2)))

    def row_gaps(self):
        return distance.row_gaps(*self.models, KNOWN, 0, 1, np.empty((H, S, A)))

    def log_likelihoods(self):
        step, state, zero = np.repeat(np.arange(H), S), np.tile(np.arange(S), H), np.zeros(H * S, dtype=np.int64)
        return likelihood.log_likelihoods(*self.models, step, state, zero, zero, np.empty((2, H * S)))

    def walk(self):
        states, actions = np.empty((200, H + 1), dtype=np.int64), np.empty((200, H), dtype=np.int64)
        uniforms = np.random.default_rng(401).random((200, 2 * H + 1))
        deviation = self.policies[0]
        return walk.walk(linear.fill, self.common, self.thetas[0], self.aux[0], deviation, uniforms, states, actions)

    def back_up_information(self):
        q, V, greedy = np.empty((S, A)), np.empty(S), np.empty(S, dtype=np.int64)
        statuses = [
            information.back_up_information(
                *self.models, np.array([0.0, 1.0]), h, np.arange(S), np.zeros(S), q, V, greedy
            )
            for h in range(H)
        ]  # fmt: skip
        return max(statuses)


STEPS_READ = {  # values and densities do not need the last step's transition
    "back_up": {0, 1},
    "back_up_information": {0, 1, 2},
    "block_distances": {0, 1, 2},
    "block_lower_bounds": {0},
    "block_upper_bounds": {1, 2},
    "log_likelihoods": {0, 1, 2},
    "occupy": {0, 1},
    "row_gaps": {0, 1, 2},
    "walk": {0, 1, 2},
}


@pytest.mark.parametrize("kernel", STEPS_READ)
def test_statuses_come_out(kernel):
    assert getattr(Broken(None), kernel)() == 0
    for step in range(H):
        assert getattr(Broken(step), kernel)() == (1 if step in STEPS_READ[kernel] else 0)
