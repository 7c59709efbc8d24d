"""Predators and prey, and crowds that avoid one another: against OpenSpiel, slow twins and the docstrings' formulas."""

import json

import naive_multi_type as naive
import numpy as np
import pytest
from builders import ROOT, policy, rows
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import fastmfg as mfg
from fastmfg import zoo
from fastmfg.kernels import density as density_kernels
from fastmfg.kernels import reward as reward_kernels
from fastmfg.kernels.jit import Common
from fastmfg.kernels.zoo import predation

GOLDEN = json.loads((ROOT / "tests" / "golden" / "openspiel.json").read_text())["E_predator_prey_4x4x3_h5"]


@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(2, 5), st.integers(1, 3))
def test_predation_kernels(seed, W, n, A):
    rng = np.random.default_rng(seed)
    K, S = int(rng.integers(1, n + 1)), W * n
    densities = rows(rng, (W, n), "eighths")
    own, drift = rows(rng, (n, K)), rows(rng, (n, K))
    congestion, attraction = rng.standard_normal(W) * rng.integers(0, 2, W), rng.standard_normal((W, W))
    place, theta = rng.standard_normal((W, n)), rng.uniform(0, [1.0, 0.7], (W, 2))
    tables = (congestion, attraction, place, own, drift)
    shared = np.concatenate([[W, n, K, 1e-3], *(np.ravel(part) for part in tables)])
    population = densities.ravel() / W
    successors = np.argsort(rng.random((S, 1, S)), axis=-1)[..., :K].copy()
    common = Common(shared, population, np.ones((S, 1), dtype=bool), successors, np.arange(S)[:, None].copy())

    p = naive.predation_prepare(densities, *theta.T)
    ref = naive.predation_fill(p, own, drift).reshape(S, K)
    aux, comp = np.full(S, np.nan), np.empty((S, 1, S))
    fillers = (predation.prepare, predation.fill, common, theta.ravel())
    assert density_kernels.tabulate(*fillers, 0, population, aux, comp) == 0
    assert_allclose(aux, p.ravel(), rtol=1e-14)
    assert_allclose(np.take_along_axis(comp, successors, axis=2)[:, 0], ref, atol=1e-15)
    lo, hi = sorted(rng.integers(0, S + 1, 2))
    block = np.full((hi - lo, 1, K), np.nan)
    assert predation.fill.function(0, aux, shared, theta.ravel(), lo, hi, block) == 0
    assert_allclose(block[:, 0], ref[lo:hi], atol=1e-15)

    r = np.empty((S, A))
    assert reward_kernels.reward_step(predation.reward, common, theta.ravel(), 0, population, r) == 0
    wanted = naive.predation_reward(densities, place, congestion, attraction, 1e-3, A).reshape(S, A)
    assert_allclose(r, wanted, atol=1e-12)


def golden_game():
    return zoo.predator_prey(
        4,
        5,
        reward_matrix=GOLDEN["reward_matrix"],
        initial=np.reshape(GOLDEN["tabular"]["mu0"], (3, 4, 4)),
        noise_probability=0.6,
        congestion_coeff=0.5,
    )


def test_predators_and_prey_are_openspiels():
    game, tabular, gaps = golden_game(), GOLDEN["tabular"], GOLDEN["numpy_ref"]
    P = np.zeros((16, 5, 16))
    for s, a, x, p in tabular["P_sparse_s_a_snext_p"]:
        P[s, a, x] += p
    transition = game.transition(0, game.initial)
    for w in range(3):
        states = game.layout.states(w)
        assert_allclose(transition[states, :, states], P, atol=1e-15)
        assert_allclose(game.split_density(game.initial)[w], tabular["mu0"][w], rtol=1e-15)
    assert mfg.nash_conv(game, game.uniform_policy()) == pytest.approx(GOLDEN["openspiel"]["uniform"], abs=1e-12)
    assert mfg.nash_conv(game, game.uniform_policy()) == pytest.approx(gaps["uniform"], abs=1e-12)
    for name, method, options in (("omd10", "mirror-descent", {"step": 0.1}), ("fp10", "fictitious-play", {})):
        last = mfg.solve(game, method, tol=0.0, max_iterations=10, gap_every=0, **options)
        assert mfg.nash_conv(game, last.policy) == pytest.approx(gaps[name], abs=1e-11)
        assert mfg.ne_gap(game, last.policy) == pytest.approx(last.ne_gap, abs=1e-13)


FOUR = [[0, 1, 0, -1], [-1, 0, 1, 0], [0, -1, 0, 1], [1, 0, -1, 0]]

OPENSPIEL = [
    ("crowd_avoidance", {}, 6.276543452378794),
    ("crowd_avoidance", {"coef_congestion": 2.0}, 4.570400544333168),
    ("crowd_avoidance", {"coef_congestion": 2.0, "coef_target": 0.5, "proba_noise": 0.3, "horizon": 6,
                         "congestion_matrix": [[0.5, 1], [2, -0.25]]}, 0.6375261755463526),
    ("crowd_avoidance", {"coef_congestion": 1.5, "geometry": "torus", "horizon": 5,
                         "forbidden_states": [(3, 3), (2, 1)]}, 0.7893406075197388),
    ("predator_prey", {"horizon": 6}, 20.51515255013507),
    ("predator_prey", {"horizon": 4, "reward_matrix": FOUR}, 13.635225757810865),
    ("predator_prey", {"horizon": 5, "geometry": "torus", "noise_probability": 0.3, "congestion_coeff": 0.7},
     5.134172117062704),
]  # fmt: skip
"""NashConv of the uniform policy that OpenSpiel 2.0.2 prints for its games python_mfg_..., all else at its defaults."""


@pytest.mark.parametrize(("name", "parameters", "uniform"), OPENSPIEL, ids=str)
def test_gaps_are_openspiels(name, parameters, uniform):
    game = zoo.GAMES[name](**parameters)
    assert mfg.nash_conv(game, game.uniform_policy()) == pytest.approx(uniform, abs=1e-12)


GRIDS = [
    ("predator_prey", {"size": 2, "horizon": 2, "reward_matrix": [[1.5]], "noise_probability": 0.0}),
    ("predator_prey", {"size": 3, "horizon": 3, "noise_probability": (0.1, 0.5, 1.0), "congestion_coeff": (1.0, 0, -1),
                       "jostling": (0.0, 0.4, 9.0)}),
    ("predator_prey", {"size": 3, "horizon": 2, "geometry": "torus", "jostling": 0.3, "reward_matrix": FOUR}),
    ("predator_prey", {"size": 2, "horizon": 1, "reward_matrix": np.eye(5), "geometry": "torus"}),
    ("crowd_avoidance", {"size": 3, "horizon": 3, "forbidden_states": [(1, 1)], "targets": [(0, 0), (2, 2)],
                         "initial": np.diag([0.5, 0, 0.5])[None].repeat(2, 0), "coef_congestion": 1.0}),
    ("crowd_avoidance", {"horizon": 3, "proba_noise": (0.2, 0.9), "coef_congestion": 3.0}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "parameters"), GRIDS, ids=str)
def test_games_on_grids_are_what_their_docstrings_say(name, parameters):
    game = zoo.GAMES[name](**parameters)
    W, n, A = game.n_types, game.layout.n_states[0], 5
    grid = game.grids[0]
    size, torus = grid.shape[0], parameters.get("geometry") == "torus"
    free = {(x, y) for y, x in grid.position.tolist()}
    walls = {(x, y) for x in range(size) for y in range(size)} - free
    at = [(x, y) for y, x in grid.position.tolist()]
    predators = name == "predator_prey"
    name_of_noise, default = ("noise_probability", 0.8) if predators else ("proba_noise", 0.5)
    noise = np.broadcast_to(parameters.get(name_of_noise, default), W)
    jostling = np.broadcast_to(parameters.get("jostling", 0.0), W)
    matrix = parameters.get("reward_matrix", zoo.predation.CYCLE)
    price = np.broadcast_to(parameters.get("congestion_coeff", 1.0), W) if predators else np.zeros(W)
    place = np.zeros((W, n))
    if not predators:
        matrix = -parameters["coef_congestion"] * np.array([[0.0, 1.0], [1.0, 0.0]])
        for w, target in enumerate(parameters.get("targets", ((5, 3), (1, 3)))):
            place[w, at.index(tuple(target))] = 1.0

    def transition(w):
        return lambda h, seen: naive.grid_rows(
            size, torus, walls, naive.predation_prepare(np.array(seen), noise, jostling)[w]
        )

    def reward(w):
        return lambda h, seen: naive.predation_reward(np.array(seen), place, price, np.array(matrix), 1e-25, A)[w]

    policies = game.split(policy(np.random.default_rng(0), game.horizon, game.legal))
    starts = game.split_density(game.initial)
    legals = [np.ones((n, A), dtype=bool)] * W
    gaps, returns = naive.type_gaps(
        starts, policies, [transition(w) for w in range(W)], [reward(w) for w in range(W)], legals
    )
    assert_allclose(mfg.ne_gaps_by_type(game, policies), gaps, atol=1e-11)
    assert_allclose(mfg.returns_by_type(game, policies), returns, atol=1e-11)
    image = game.grids[0].picture(starts[0])
    assert np.nansum(image) == pytest.approx(1.0)


def test_walls_and_starts_are_where_they_should_be():
    game = zoo.crowd_avoidance()
    image = game.grids[0].picture(np.zeros(game.layout.n_states[0]))
    assert_array_equal(np.isnan(image), [[c == "#" for c in row] for row in zoo.predation.HALL])
    left, right = (game.grids[0].picture(part) for part in game.split_density(game.initial))
    assert (left[2, 1], left[2, 2], left[4, 1]) == (0.4, 0.4, 0.2)
    assert_array_equal(np.nan_to_num(right), np.nan_to_num(left)[::-1, ::-1])
    starts = [np.argwhere(p.reshape(5, 5) > 0.99).tolist() for p in
              zoo.predator_prey(reward_matrix=np.zeros((6, 6))).split_density(np.array(
                  zoo.predator_prey(reward_matrix=np.zeros((6, 6))).initial))]  # fmt: skip
    assert starts == [[[0, 0]], [[4, 0]], [[4, 4]], [[0, 4]], [[0, 0]], [[4, 0]]]


def test_jostling_moves_the_crowd():
    """Transitions see the densities of all populations."""
    calm, pushed = (zoo.predator_prey(4, 4, noise_probability=0.2, jostling=x) for x in (0.0, 0.5))
    together = np.tile(np.eye(16)[5] / 3, 3)
    assert_array_equal(calm.transition(0, together), calm.transition(0, calm.initial))
    row = pushed.transition(0, together)[5, 0]  # three populations of mass one are there: noise is certain
    assert_allclose(row[[1, 4, 6, 9, 5]], [0.25, 0.25, 0.25, 0.25, 0.0], atol=1e-15)
    assert_array_equal(pushed.transition(0, together)[0], calm.transition(0, together)[0])


@pytest.mark.parametrize("name", ["predator_prey", "crowd_avoidance"])
def test_default_games_are_solved(name):
    game = zoo.GAMES[name]()
    solution = mfg.solve(game, rtol=1e-3)
    assert solution.converged
    assert mfg.ne_gap(game, solution.policy) <= 1e-3 * mfg.ne_gap(game, game.uniform_policy())
    assert name in zoo.__all__


# Bad input

WRONG_GRIDS = [
    ("predator_prey", {"size": 1}, ValueError, "size must be at least 2, got 1"),
    ("predator_prey", {"horizon": 0}, ValueError, "horizon must be at least 1, got 0"),
    ("predator_prey", {"reward_matrix": [[1, 2]]}, ValueError, r"reward_matrix must be square.*got \[1, 2\]"),
    ("predator_prey", {"reward_matrix": [[np.nan]]}, ValueError, r"reward_matrix\[0, 0\] is nan"),
    ("predator_prey", {"initial": np.zeros((2, 5, 5))}, ValueError, r"initial must have shape \[3, 5, 5\]"),
    ("predator_prey", {"initial": np.zeros((3, 5, 5))}, ValueError, r"initial\[0\] sums to 0.0"),
    ("predator_prey", {"geometry": "ring"}, ValueError, "geometry must be one of 'square', 'torus', got 'ring'"),
    ("predator_prey", {"noise_probability": 1.5}, ValueError, r"noise_probability must lie in \[0, 1\], got 1.5"),
    ("predator_prey", {"noise_probability": [0.5, 0.5]}, ValueError, "noise_probability must be one number, or 3"),
    ("predator_prey", {"congestion_coeff": np.inf}, ValueError, "congestion_coeff must lie in"),
    ("predator_prey", {"jostling": -0.1}, ValueError, "jostling must lie in"),
    ("crowd_avoidance", {"size": 5}, ValueError, "initial is needed for size 5 and 2 crowds"),
    ("crowd_avoidance", {"congestion_matrix": np.eye(3)}, ValueError, "initial is needed for size 7 and 3 crowds"),
    ("crowd_avoidance", {"targets": [(0, 0), (1, 3)]}, ValueError,
     r"targets\[0\]: \(x, y\) = \(0, 0\) is no free cell"),
    ("crowd_avoidance", {"targets": [(1, 1)]}, ValueError, r"targets must have shape \[2, 2\]"),
    ("crowd_avoidance", {"forbidden_states": [(1, 2)]}, ValueError, r"initial\[0\] sums to 0.6"),
    ("crowd_avoidance", {"forbidden_states": [(7, 0)]}, ValueError, "forbidden_states.* is 7: must lie in 0..6"),
    ("crowd_avoidance", {"proba_noise": -1}, ValueError, "proba_noise must lie in"),
    ("crowd_avoidance", {"coef_target": np.nan}, ValueError, "coef_target must lie in"),
    ("crowd_avoidance", {"coef_congestion": "x"}, TypeError, "coef_congestion must be a number"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "parameters", "error", "message"), WRONG_GRIDS)
def test_wrong_grids(name, parameters, error, message):
    with pytest.raises(error, match=message):
        zoo.GAMES[name](**parameters)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"noise_probability": (0.1, 0.2)}, ValueError, "noise_probability must be one number, or 3 of them"),
        ({"noise_probability": (0.1, (), 0.2)}, ValueError, "population 1 has no candidates"),
        ({"noise_probability": ((0.1, 0.1), 0.2, 0.3)}, ValueError, r"models 0 and 1 of classes\[0\] have the same"),
        ({"noise_probability": (0.1, 0.2, 2.0)}, ValueError, r"noise_probability must lie in \[0, 1\], got 2.0"),
        ({"unknown": 3}, TypeError, "unknown"),
    ],
)
def test_wrong_classes_of_predators(arguments, error, message):
    with pytest.raises(error, match=message):
        zoo.predator_prey_class(**arguments)
