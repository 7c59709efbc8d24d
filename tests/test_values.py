"""The mean field, exploitability, Q and V, against their equations."""

import doctest
import importlib
import pkgutil

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fastmfg as mfg

GAMES = {
    "dense": lambda: mfg.linear_class(2, 6, 4, 3, seed=1)[1],
    "walls": lambda: mfg.zoo.crowd_modelling_2d(size=4, horizon=4, forbidden_states=[(1, 1), (2, 1)]),
    "crowd moves": lambda: mfg.zoo.epidemic(horizon=5),
    "one step": lambda: mfg.zoo.left_right(1),
}


@pytest.mark.parametrize("name", GAMES)
def test_values_of_a_deviation_while_the_crowd_keeps_to_its_policy(name):
    game, rng = GAMES[name](), np.random.default_rng(3)
    legal = game.legal
    pi, dev = (rng.random((game.horizon, *legal.shape)) * legal for _ in range(2))
    pi, dev = pi / pi.sum(axis=2, keepdims=True), dev / dev.sum(axis=2, keepdims=True)
    conditional = mfg.condition(game, pi)
    found = mfg.policy_values(game, pi, dev)
    V = np.zeros(game.n_states)
    for h in range(game.horizon - 1, -1, -1):
        Q = conditional.reward[h] + conditional.transition[h] @ V
        V = np.where(legal, dev[h] * Q, 0.0).sum(axis=1)
        assert_allclose(found.q[h][legal], Q[legal], rtol=1e-12, atol=1e-12)
        assert_allclose(found.v[h], V, rtol=1e-12, atol=1e-12)
    assert_array_equal(np.isnan(found.q), np.broadcast_to(~legal, found.q.shape))
    assert game.initial @ found.v[0] == pytest.approx(mfg.evaluate(game, pi, dev), rel=1e-12)


@pytest.mark.parametrize("name", GAMES)
def test_values_of_the_best_response_satisfy_the_optimality_equation(name):
    game = GAMES[name]()
    pi = game.uniform_policy()
    found = mfg.policy_values(game, pi, mfg.best_response(game, pi).policy)
    assert_allclose(np.nanmax(found.q, axis=2), found.v, rtol=1e-9, atol=1e-9)
    gain = game.initial @ (found.v[0] - mfg.policy_values(game, pi).v[0])
    assert gain == pytest.approx(mfg.exploitability(game, pi), abs=1e-9)


def test_the_mean_field_is_the_density():
    models = mfg.linear_class(3, 5, 2, 4, seed=0)
    pi = models[2].uniform_policy()
    mu = mfg.mean_field(models[2], pi)
    P = mfg.condition(models[2], pi).transition
    expected = models[2].initial
    for h in range(4):
        assert_allclose(mu[h], expected, rtol=1e-12, atol=1e-15)
        expected = np.einsum("s,sa,sat->t", mu[h], pi[h], P[h])
    with pytest.raises(ValueError, match="read-only"):
        mu[0, 0] = 1.0


def test_bad_input_is_named():
    game = mfg.zoo.left_right()
    with pytest.raises(TypeError, match="game"):
        mfg.policy_values("left_right", game.uniform_policy())
    with pytest.raises(ValueError, match="deviation"):
        mfg.policy_values(game, game.uniform_policy(), np.ones((2, 3, 3)))


def test_examples_of_docstrings_run():
    modules = [info.name for info in pkgutil.walk_packages(mfg.__path__, "fastmfg.") if ".adapters" not in info.name]
    results = [doctest.testmod(importlib.import_module(name)) for name in modules]
    assert sum(result.failed for result in results) == 0
    assert sum(result.attempted for result in results) >= 5
