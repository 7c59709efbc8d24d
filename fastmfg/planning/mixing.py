"""Solvers that average: policies, or occupation measures."""

from __future__ import annotations

import numpy as np

from fastmfg.games.checks import Floats, real
from fastmfg.planning.condition import condition_one
from fastmfg.planning.evaluate import deterministic
from fastmfg.planning.evaluation import Evaluation
from fastmfg.planning.ties import lowest_best


def _weight(name: str, value: float) -> float:
    number = real(name, value, 0.0)
    if number > 1.0:
        raise ValueError(f"{name} must lie in (0, 1], got {value!r}")
    return number


class BestResponseMixing:
    """``pi <- (1 - w) pi + w BR(pi)``: the NE oracle of the paper's experiment, with w = `step`, 0.02 by default.

    `step` "harmonic": w = 1/(k+1) at iteration k = 1, 2, ...
    """

    def __init__(self, step: float | str | None = None) -> None:
        self.harmonic = step == "harmonic"
        self.step = 0.02 if step is None or isinstance(step, str) else _weight("step", step)
        if isinstance(step, str) and not self.harmonic:
            raise ValueError(f"step must be a number in (0, 1] or 'harmonic', got {step!r}")
        self.iteration = 0

    def __call__(self, last: Evaluation) -> Floats:
        self.iteration += 1
        w = 1.0 / (self.iteration + 1) if self.harmonic else self.step
        return (1.0 - w) * last.policy + w * last.best_response


class FictitiousPlay:
    """Mix the occupation measures of the policy and its best response (Perrin et al. 2020), w = 1/(k+1), or `step`.

    Each moves the crowd by itself: the best response's occupation is that of a population that plays it. States that
    neither reaches keep their policy.
    """

    def __init__(self, step: float | None = None) -> None:
        self.step = None if step is None else _weight("step", step)
        self.iteration = 0

    def __call__(self, last: Evaluation) -> Floats:
        self.iteration += 1
        w = 1.0 / (self.iteration + 1) if self.step is None else self.step
        return mix_occupations(last, last.best_response, w)


class SmoothedPolicyIteration:
    """Improve the policy greedily on its own values, and mix occupation measures, w = 2/(k+2), or `step`.

    After Tang and Song (2023), with the values of the averaged policy.
    """

    def __init__(self, step: float | None = None) -> None:
        self.step = None if step is None else _weight("step", step)
        self.iteration = 0

    def __call__(self, last: Evaluation) -> Floats:
        self.iteration += 1
        w = 2.0 / (self.iteration + 2) if self.step is None else self.step
        greedy = lowest_best(last.q, last.game.legal)
        return mix_occupations(last, deterministic(greedy, last.game.n_actions), w)


def mix_occupations(last: Evaluation, other: Floats, w: float) -> Floats:
    """The policy whose occupation measure is (1-w) that of the last policy plus w that of another."""
    reached = condition_one(last.game, other).density[0]
    old, new = (1.0 - w) * last.density[..., None] * last.policy, w * reached[..., None] * other
    mass = (old + new).sum(axis=-1, keepdims=True)
    mixed: Floats = np.divide(old + new, mass, out=last.policy.copy(), where=mass > 0)
    return mixed
