"""Confidence intervals for the mean of bounded numbers, by betting (Waudby-Smith, Ramdas 2024).

With x_i in [0, 1] and bets ``0 <= l_i <= 0.9 / mu`` that depend on earlier numbers alone,
``prod_{i<=k} (1 + l_i (x_i - mu))`` is a nonnegative martingale if mu is the mean. By Ville's inequality it ever
exceeds 1/a with probability a at most: all mu where it does are excluded, for x and for 1 - x with half of a each. That
holds for any number of draws and any law of them, also where the sample's variance is zero by chance, as an empirical
Bernstein bound does (Maurer, Pontil 2009), which is wider.
"""

from __future__ import annotations

import math

import numpy as np

from fastmfg.games.checks import Floats

STAKE = 0.9
"""Share of its capital that a bet risks at most."""

PRIOR_VARIANCE = 1 / 16
"""Of numbers in [0, 1] before any is seen; whatever it is, the interval holds."""


def interval(sample: Floats, bottom: float, top: float, level: float) -> tuple[float, float]:
    """Hold the mean of a variable between `bottom` and `top` with probability ``1 - level``; and the sample's mean."""
    mean = float(sample.mean())
    if not top > bottom:
        return mean, mean
    x = np.clip((sample - bottom) / (top - bottom), 0.0, 1.0)
    low, high = _below(x, level / 2), 1.0 - _below(1.0 - x, level / 2)
    return min(mean, bottom + (top - bottom) * low), max(mean, bottom + (top - bottom) * high)


def _below(x: Floats, level: float) -> float:
    """A number that the mean of x in [0, 1] is not below, but with probability `level`: by bets."""
    n, target = len(x), -math.log(level)
    earlier = np.arange(n)  # runs before each
    means = (0.5 + np.cumsum(x)) / (1 + np.arange(1, n + 1))
    squares = np.concatenate([[0.0], np.cumsum((x - means) ** 2)[:-1]])
    variance = (PRIOR_VARIANCE + squares) / (1 + earlier)
    bets = np.sqrt(2 * target / (n * variance))

    def refuted(mu: float) -> bool:
        bounded = np.minimum(bets, STAKE / mu)
        return bool(np.cumsum(np.log1p(bounded * (x - mu))).max() >= target)

    low, high = 0.0, 1.0  # what refutes mu refutes all that is smaller: every factor falls in mu
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low
