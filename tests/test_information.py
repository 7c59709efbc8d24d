"""The information limit of a class, and mixtures of equilibria: small matrix games against brute force."""

import math

import naive_bridge as naive
import numpy as np
import pytest
from builders import policy
from learning_cases import KINDS, certain_class, linear, near_class, uniform
from numpy.testing import assert_allclose

import fastmfg as mfg
from fastmfg.learning.mixtures import play


def plan_nats(models, true, deviation, reference):
    """``KL(dev, pi; N)`` [n], from the definition."""
    found = [naive.conditional(models.initial, game.transition, reference)[1] for game in models]
    return np.array([naive.information(models.initial, found[true], P, deviation) for P in found])


def corners(models):
    """All deterministic deviations of a class of one step, or of two states and actions."""
    H, S, A = uniform(models).shape
    for actions in np.ndindex(*[A] * (H * S)):
        yield np.eye(A)[np.array(actions).reshape(H, S)]


@pytest.mark.parametrize("seed", range(3))
def test_bounds_hold_for_every_plan(seed):
    """No mixture of deviations beats the upper bound; some mixture of deterministic ones reaches the lower."""
    models = near_class(seed, M=4, S=2, A=2)
    reference = policy(np.random.default_rng(seed), 2, models.legal)
    limit = mfg.information_limit(models, 1, reference, iterations=3000)
    table = np.array([np.delete(plan_nats(models, 1, dev, reference), 1) for dev in corners(models)])
    weights = np.random.default_rng(0).dirichlet(np.full(len(table), 0.1), 500)
    assert (weights @ table).min(axis=1).max() <= limit.upper + 1e-12
    scale = table.max()
    found, value = play(scale - table)  # rows that leave the least to be wished of any column
    assert scale - value <= limit.upper + 1e-12
    assert (found @ table).min() <= limit.upper + 1e-12
    assert limit.lower <= limit.upper <= limit.lower * 1.1
    assert scale - value >= limit.lower * 0.9


def test_more_references_never_bring_less():
    models = linear(3, M=5)
    pi, other = uniform(models), policy(np.random.default_rng(1), 2, models.legal)
    one = mfg.information_limit(models, 2, pi)
    both = mfg.information_limit(models, 2, np.stack([pi, other]))
    assert both.upper >= one.lower
    assert one.trajectories(2.0) == pytest.approx(2.0 / one.upper)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_class(kind):
    models = KINDS[kind]()
    limit = mfg.information_limit(models, 0, uniform(models), iterations=20)
    assert 0.0 <= limit.lower <= limit.upper
    assert limit.hardest != 0


def test_certainty_and_none():
    """Probabilities 0 and 1 name the model at once; equal models can never be told apart."""
    assert mfg.information_limit(certain_class(), 1, uniform(certain_class())).lower == math.inf
    assert mfg.information_limit(linear(M=1), 0, uniform(linear(M=1))).trajectories(5.0) == 0.0
    models = linear(M=2)
    twins = mfg.ModelClass([models[0]] * 3)
    limit = mfg.information_limit(twins, 0, uniform(models))
    assert (limit.lower, limit.upper, limit.trajectories(1.0)) == (0.0, 0.0, math.inf)


def test_runs_need_about_as_many_trajectories_as_the_limit_says():
    """An elimination's threshold over the limit: within a factor of the median run."""
    models = linear(0, M=10, S=6, scale=0.5)
    nats = math.log(10 / 0.01)
    drawn = [
        mfg.learn(models, mfg.MeanFieldOracle(models[4], seed=s), epsilon=1e-4, delta=0.01).trajectories
        for s in range(15)
    ]
    reference = mfg.solve(models[4], tol=1e-4).policy
    least = mfg.information_limit(models, 4, reference).trajectories(nats)
    assert 0.5 * least <= np.median(drawn) <= 3.0 * least


@pytest.mark.parametrize("seed", range(5))
def test_matrix_games(seed):
    """The mixture's largest column is within 6% of the value, found by a fine grid of weights."""
    gaps = np.random.default_rng(seed).random((3, 4))
    weights, value = play(gaps)
    assert weights.min() >= 0.0
    assert weights.sum() == pytest.approx(1.0)
    assert value == pytest.approx((weights @ gaps).max())
    best = min((np.array(w) @ gaps).max() for w in naive.grid(40, 3))
    assert value <= 1.06 * best + 1e-12


def test_matrix_games_without_gaps():
    weights, value = play(np.zeros((3, 3)))
    assert_allclose(weights, 1 / 3)
    assert value == 0.0


BAD = [
    ({"true_model": 9}, IndexError, r"true_model\[0\] is 9"),
    ({"true_model": 1.5}, TypeError, "true_model must be a whole number"),
    ({"policies": np.ones((2, 5, 3))}, ValueError, r"policies\[0\].* sums to"),
    ({"policies": [1.0]}, ValueError, "policies must have shape"),
    ({"iterations": 0}, ValueError, "iterations must be at least 1"),
    ({"models": 1}, TypeError, "models must be a ModelClass"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD)
def test_bad_arguments(change, error, message):
    good = {"models": linear(), "true_model": 0, "policies": uniform(linear())}
    with pytest.raises(error, match=message):
        mfg.information_limit(**(good | change))
