"""Random streams: who draws random numbers, each under a number of its own.

A stream is keyed by the user's seed, its number here and, where one purpose needs several streams, further numbers
(a model, a trajectory, a round). Keys differ from purpose to purpose, so that one seed may serve a class, an oracle, a
hidden model and a run of the learner: what they draw is independent. Numbers are part of every result: never renumber.
"""

from __future__ import annotations

from enum import IntEnum, unique

import numpy as np


@unique
class Stream(IntEnum):
    """Purposes of random numbers; the comment names the further numbers of a key."""

    LINEAR_FEATURES = 0  # features of a linear class, model 0 and the start distribution
    LINEAR_MODEL = 1  # noise of a model of a linear class; its index
    ORACLE = 2  # trajectories of a mean-field oracle; the trajectory
    REFERENCES = 3  # order of equilibria under the paper's rule of evidence; of random candidates: the round
    HIDDEN_MODEL = 4  # the true model of an experiment; of Figure 2: the trial
    TWO_CLUSTERS = 5  # the hard class of two clusters; of a model's own tables: its index
    SEARCH_STARTS = 7  # start policies of the search for equilibria of policy-aware models
    POPULATION = 8  # the root of a finite population's counters
    ORACLE_OF_TYPES = 9  # trajectories of a mean-field oracle whose types take turns; the trajectory
    INDEPENDENT_LEARNERS = 10  # actions of agents that learn independently
    CALLBACK_ORACLE = 11  # what a user's simulator is given; the trajectory
    GARNET = 12  # successors and rewards of a Garnet
    GARNET_CHANCES = 13  # transition probabilities of a Garnet
    AFFINE = 14  # transitions of an affine game
    AFFINE_REWARDS = 15  # rewards of an affine game
    MEAN_FIELD_GARNET = 16  # tables of a mean-field Garnet
    MEAN_FIELD_GARNET_COUPLING = 17  # who watches whom in a mean-field Garnet
    DIAGNOSED_MODELS = 18  # order in which the models of a class are diagnosed
    DIAGNOSED_POLICIES = 19  # policies that a diagnosis samples; the policy
    AGGREGATED = 20  # the hard class of aggregated features
    DIAGNOSED_ROUNDING = 21  # directions in which the rounding of a reward function is looked for; the model

    def sequence(self, seed: int, *numbers: int) -> np.random.SeedSequence:
        """The seed sequence under this stream's key."""
        return np.random.SeedSequence(seed, spawn_key=(self.value, *numbers))

    def generator(self, seed: int, *numbers: int) -> np.random.Generator:
        """A fresh generator under this stream's key."""
        return np.random.default_rng(self.sequence(seed, *numbers))
