"""The noise model of unknown rewards: what is observed of a reward, and how likely that is in a model.

In a class whose rewards are unknown a model is a pair (r_M, P_M) (Huang, He, Krause 2024, Appendix C), and trajectories
come with observed rewards. At step h an agent that plays a in s observes

    ``y = r_h(s, a, mu_h) + sigma z``,    z standard normal, independent of all else, sigma known.

The log-likelihood of y in model M is ``-(y - r_M)^2 / (2 sigma^2)``, up to a constant that all models share. The
paper's rewards are noise-free: ``sigma = 0``. A density then degenerates; its place takes an indicator, log-likelihood
0 where y is r_M within rounding, ``|y - r_M| <= tolerance max(1, |r_M|)``, and -inf elsewhere: the observation expels
the model, for ever. Both are likelihoods in the sense that matters to elimination: under the true model the ratio of
another model's to its own has a mean of at most 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmfg.games.checks import Floats, real

ROUNDING = 1e-9
"""Tolerance of noise-free rewards: sums of densities in another order, or on another machine, round otherwise."""

TINY = 1e-300
"""Least variance that numbers can be divided by."""


@dataclass(frozen=True)
class RewardNoise:
    """Gaussian noise of known size on observed rewards.

    Parameters
    ----------
    sigma : float >= 0
        Standard deviation, in units of reward. 0: rewards are observed as they are.
    tolerance : float >= 0
        Without noise: a reward observed is a model's if it differs by at most this, times the reward's size where that
        exceeds 1. Not used otherwise.
    """

    sigma: float
    tolerance: float = ROUNDING

    def __post_init__(self) -> None:
        object.__setattr__(self, "sigma", real("sigma", self.sigma, 0.0, include_low=True))
        object.__setattr__(self, "tolerance", real("tolerance", self.tolerance, 0.0, include_low=True))

    @property
    def exact(self) -> bool:
        """Whether rewards are observed without noise."""
        return self.sigma == 0.0

    def observe(self, reward: Floats, normals: Floats) -> Floats:
        """What is observed of rewards, given standard normal numbers of the same shape."""
        seen: Floats = reward + self.sigma * normals
        return seen

    def log_likelihood(self, observed: Floats, reward: Floats) -> Floats:
        """Log-likelihoods of observations where these are the rewards, 0 at the most: arrays that broadcast."""
        with np.errstate(over="ignore"):  # beyond all numbers: impossible
            if self.exact:
                near = np.abs(observed - reward) <= self.tolerance * np.maximum(1.0, np.abs(reward))
                return np.where(near, 0.0, -np.inf)
            likelihood: Floats = -0.5 * ((observed - reward) / self.sigma) ** 2
        return likelihood

    @property
    def mean(self) -> float:
        """Mean of the log-likelihood in the model that makes the data."""
        return 0.0 if self.exact else -0.5

    @property
    def variance(self) -> float:
        """Variance of the log-likelihood in the model that makes the data."""
        return 0.0 if self.exact else 0.5

    def log_moment(self, power: float) -> float:
        """``log E exp(power l)`` of the log-likelihood l in the model that makes the data; power > -1."""
        return 0.0 if self.exact else -0.5 * float(np.log1p(power))

    def divergence(self, reward: Floats, other: Floats) -> Floats:
        """Kullback-Leibler divergence of observations, in nats: infinite where rewards without noise differ."""
        return -self.log_likelihood(reward, other)

    @property
    def affinity_scale(self) -> float:
        """k: observations of two rewards have the affinity (Bhattacharyya's) ``exp(-k (r - r')^2)``, ``k = 1 / (8
        sigma^2)``; without noise a number so large that it tells whether they differ by the tolerance."""
        width = self.tolerance / 4 if self.exact else self.sigma
        return 0.125 / max(width * width, TINY)


def reward_noise(name: str, value: Any) -> RewardNoise:
    """The value, or Gaussian noise of that size."""
    return value if isinstance(value, RewardNoise) else RewardNoise(real(name, value, 0.0, include_low=True))
