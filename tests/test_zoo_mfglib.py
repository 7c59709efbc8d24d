"""MFGLib's games: its numbers, the same games written by hand, and slow twins of all compiled functions."""

import inspect

import naive
import naive_zoo_mfglib as twin
import numpy as np
import peer_games
import pytest
from builders import policy
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from peer_games import MFGLIB

import fastmfg as mfg
from fastmfg import zoo
from fastmfg.kernels.zoo import affine, infection, quadratic, treasure

GOLDEN = {
    "building_evacuation_2x3x3": lambda: zoo.building_evacuation(2, 3, 3, 4),
    "conservative_treasure_hunting": lambda: zoo.conservative_treasure_hunting(3, 6),
    "left_right": zoo.left_right,
    "rock_paper_scissors": zoo.rock_paper_scissors,
    "susceptible_infected": lambda: zoo.susceptible_infected(51),
}
"""The games of golden/mfglib.json; the beach bar is tested with the other games of crowds."""


def crowd(rng, game, empty=False):
    """A random density, or joint density, as the game's functions see it."""
    mu = rng.dirichlet(np.ones(game.n_states))
    if empty and game.n_states > 1:
        mu[0], mu[-1] = mu[0] + mu[-1], 0.0
    pi = rng.dirichlet(np.ones(game.n_actions), size=game.n_states)
    return mu[:, None] * pi if game.population == "joint" else mu


# Numbers of MFGLib


@pytest.mark.parametrize("name", GOLDEN)
def test_values_under_the_uniform_policy(name):
    entry, game = MFGLIB[name], GOLDEN[name]()
    assert (game.horizon, game.n_states, game.n_actions) == (entry["T"] + 1, entry["n_states"], entry["n_actions"])
    pi = game.uniform_policy()
    model = mfg.condition(game, pi)
    P = np.moveaxis(np.array([entry["P_const"]] * entry["T"] if "P_const" in entry else entry["P_at_uniform"]), 1, -1)
    assert_allclose(model.transition[: len(P)], P, rtol=0, atol=1e-14)
    r = np.array(entry["R_at_uniform"])
    assert_allclose(model.reward[: len(r)], r, rtol=0, atol=1e-12)
    assert_allclose(model.density[-1], entry["mu_final"], rtol=0, atol=1e-12)
    assert mfg.ne_gap(game, pi) == pytest.approx(entry["uniform_expl"], abs=1e-10)
    assert mfg.best_response(game, pi).value == pytest.approx(entry["V_best_response"], abs=1e-10)
    assert mfg.evaluate(game, pi) == pytest.approx(entry["V_uniform"], abs=1e-10)


TRAJECTORIES = {
    "OMD(alpha=0.1)": ("mirror-descent", {"step": 0.1}),
    "PD(eta=1,n_inner=None)": ("prior-descent", {"temperature": 1.0, "inner_iterations": None}),
    "PD(eta=2,n_inner=10)": ("prior-descent", {"temperature": 2.0, "inner_iterations": 10}),
}


@pytest.mark.parametrize("label", TRAJECTORIES)
@pytest.mark.parametrize("name", GOLDEN)
def test_trajectories(name, label):
    method, options = TRAJECTORIES[label]
    listed = {int(k): gap for k, gap in MFGLIB[name]["expl_trajectory_iter"][label].items()}
    comp = mfg.solve(GOLDEN[name](), method, tol=0.0, max_iterations=max(listed), **options).history
    assert_allclose(comp[list(listed)], list(listed.values()), rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", GOLDEN)
def test_games_written_by_hand(name):
    game, by_hand = GOLDEN[name](), peer_games.MFGLIB_GAMES[name]()
    assert game.population == by_hand.population
    assert_array_equal(game.initial, by_hand.initial)
    assert_array_equal(game.legal, by_hand.legal)
    for seed in range(3):
        seen = crowd(np.random.default_rng(seed), game, empty=seed == 2)
        for h in (0, 1, game.horizon - 1):
            assert_allclose(game.transition(h, seen), by_hand.transition(h, seen), rtol=0, atol=1e-15)
            assert_allclose(game.reward(h, seen), by_hand.reward(h, seen), rtol=1e-14, atol=1e-14)


# Twins: every function at random populations


def rows_of(moves):
    """Certain moves [S, A] as a table [S, A, S]."""
    return np.eye(len(moves))[moves]


def left_right_twin(left_cost=1.0, right_cost=2.0, **_):
    return rows_of(np.array([[1, 2]] * 3)), [[0, 0, 0], [0, -left_cost, 0], [0, 0, -right_cost]]


def rps_twin(**_):
    return rows_of(np.array([[1, 2, 3]] * 4)), [[0, 0, 0, 0], [0, 0, -1, 2], [0, 4, 0, -2], [0, -3, 6, 0]]


def one_choice(make):
    def both(**parameters):
        P, payoffs = make(**parameters)
        return lambda h, mu: P, lambda h, mu: twin.choice_reward(mu, P.shape[1], payoffs)

    return both


def evacuation_twin(n_floors, length, width, evacuation_reward=10.0, crowd_aversion_coef=1.0, log_eps=1e-20,
                    alternating_stairs=False, **_):  # fmt: skip
    P = rows_of(twin.evacuation_moves(n_floors, length, width, alternating_stairs))
    numbers = (length * width, evacuation_reward, crowd_aversion_coef, log_eps)
    return lambda h, mu: P, lambda h, mu: twin.evacuation_reward(mu, 6, *numbers)


def motion_twin(length, width, bar, attraction=10.0, p_still=0.5, log_eps=1e-10, torus=False, **_):
    P = twin.motion_rows(length, width, p_still, torus)
    bases = [twin.motion_base(length, width, place, attraction, torus) for place in bar]
    return lambda h, mu: P, lambda h, mu: twin.motion_reward(mu, 5, bases[h], log_eps)


def price_twin(max_stock, max_production, max_order, demand=1.0, supply_floor=1.0, elasticity=1.0, costs=(1.0,) * 5,
               **_):  # fmt: skip
    P = rows_of(twin.market_moves(max_stock, max_production, max_order))
    return lambda h, L: P, lambda h, L: twin.market_reward(L, max_order, demand, supply_floor, elasticity, costs)


def treasure_twin(n_sites, horizon, worth=1.0, scatter=1.0, **_):
    w, c = np.broadcast_to(worth, n_sites), np.broadcast_to(scatter, horizon - 1)
    return (
        lambda h, L: twin.treasure_fill(twin.treasure_prepare(h, L, c)),
        lambda h, L: twin.treasure_reward(h, L, w),
    )


def infection_twin(infection=0.81, recovery=0.3, illness_cost=1.0, distance_cost=0.5, **_):
    return (
        lambda h, mu: twin.infection_fill(twin.infection_prepare(mu, infection), recovery),
        lambda h, mu: twin.infection_reward(illness_cost, distance_cost),
    )


def quadratic_twin(max_state, max_action, horizon, mean_reversion=1.0, sigma=3.0, noise_spacing=None, time_step=0.1,
                   coupling=0.01, aversion=0.5, last_aversion=1.0, **_):  # fmt: skip
    L, M, D = max_state, max_action, time_step
    spacing = sigma if noise_spacing is None else noise_spacing

    def transition(h, mu):
        return twin.quadratic_fill(twin.quadratic_prepare(mu), L, M, D, mean_reversion, sigma, spacing)

    return transition, lambda h, mu: twin.quadratic_reward(h, horizon, mu, M, D, coupling, aversion, last_aversion)


def weights(n_states, n_actions, scale, seed, reward_seed):
    """W, B, V, C as the docstring has them; the streams are those of the game."""
    S, A = n_states, n_actions or n_states
    moves = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(14,)))
    gains = np.random.default_rng(np.random.SeedSequence(reward_seed, spawn_key=(15,)))
    shapes = [(moves, (S, S, S)), (moves, (S, A, S)), (gains, (S, S)), (gains, (S, A))]
    return [stream.uniform(-scale, scale, shape) for stream, shape in shapes]


def random_linear_twin(n_states, n_actions=None, scale=10.0, seed=0, reward_seed=0, **_):
    W, B, V, C = weights(n_states, n_actions, scale, seed, reward_seed)
    return (
        lambda h, L: twin.affine_fill(twin.affine_prepare(L), W, B),
        lambda h, L: twin.affine_reward(L, V, C),
    )


CASES = {
    "left_right": (one_choice(left_right_twin), [
        {},
        {"horizon": 1},
        {"horizon": 4, "left_cost": 0.3, "right_cost": -1.5, "initial": [0.2, 0.5, 0.3]},
    ]),
    "rock_paper_scissors": (one_choice(rps_twin), [
        {},
        {"horizon": 1},
        {"horizon": 5, "initial": [0.1, 0.2, 0.3, 0.4]},
    ]),
    "building_evacuation": (evacuation_twin, [
        {"n_floors": 1, "length": 1, "width": 1, "horizon": 1},
        {"n_floors": 2, "length": 1, "width": 1, "horizon": 2},
        {"n_floors": 1, "length": 2, "width": 1, "horizon": 3},
        {"n_floors": 3, "length": 2, "width": 3, "horizon": 4, "evacuation_reward": -2.0, "crowd_aversion_coef": 0.4},
        {"n_floors": 4, "length": 3, "width": 2, "horizon": 3, "alternating_stairs": True, "log_eps": 0.05},
        {"n_floors": 3, "length": 10, "width": 9, "horizon": 2, "initial": np.full((3, 10, 9), 1 / 270)},
    ]),
    "crowd_motion": (motion_twin, [
        {"length": 1, "width": 1, "horizon": 1, "bar": [(0, 0)]},
        {"length": 2, "width": 1, "horizon": 2, "bar": [(1, 0), (0, 0)], "p_still": 0.0},
        {"length": 2, "width": 2, "horizon": 2, "bar": [(1, 0), (0, 1)], "torus": True, "p_still": 1.0},
        {"length": 3, "width": 5, "horizon": 3, "bar": [(1, 0), (0, 4), (2, 2)], "attraction": -1.5, "log_eps": 0.3},
        {"length": 5, "width": 4, "horizon": 3, "bar": [(4, 0), (0, 3), (2, 2)], "torus": True, "p_still": 0.2},
        {"length": 17, "width": 16, "horizon": 2, "bar": [(4, 0), (0, 15)]},
    ]),
    "equilibrium_price": (price_twin, [
        {"max_stock": 0, "max_production": 0, "max_order": 0, "horizon": 1},
        {"max_stock": 1, "max_production": 0, "max_order": 1, "horizon": 2},
        {"max_stock": 3, "max_production": 2, "max_order": 2},
        {"max_stock": 4, "max_production": 5, "max_order": 1, "horizon": 3, "demand": 9.0, "supply_floor": 0.3,
         "elasticity": 2.2, "costs": (0.3, 0.1, 0.7, 0.2, 0.4)},
        {"max_stock": 2, "max_production": 1, "max_order": 3, "demand": 0.0, "initial": [0.5, 0.5, 0.0]},
    ]),
    "conservative_treasure_hunting": (treasure_twin, [
        {"n_sites": 1, "horizon": 1},
        {"n_sites": 2, "horizon": 2, "scatter": [0.0]},
        {"n_sites": 4, "horizon": 3, "worth": [1.0, -2.0, 0.0, 3.0], "scatter": (0.5, 7.0)},
        {"n_sites": 20, "horizon": 3, "initial": np.arange(20) / 190},
    ]),
    "susceptible_infected": (infection_twin, [
        {},
        {"horizon": 1, "infection": 0.0, "recovery": 0.0},
        {"horizon": 3, "infection": 1.0, "recovery": 1.0, "initial": [1.0, 0.0]},
        {"horizon": 4, "infection": 0.37, "recovery": 0.02, "illness_cost": -0.3, "distance_cost": 0.9},
    ]),
    "linear_quadratic": (quadratic_twin, [
        {"max_state": 1, "max_action": 0, "horizon": 1},
        {"max_state": 5, "max_action": 2, "horizon": 4},
        {"max_state": 3, "max_action": 1, "horizon": 3, "sigma": 0.0, "mean_reversion": -0.7},
        {"max_state": 4, "max_action": 6, "horizon": 2, "sigma": 1.3, "noise_spacing": 1.0, "time_step": 0.7,
         "mean_reversion": 0.4, "coupling": -0.3, "aversion": 1.7, "last_aversion": 0.2},
        {"max_state": 20, "max_action": 2, "horizon": 3, "sigma": 2.0, "noise_spacing": 0.5, "time_step": 1.0},
    ]),
    "random_linear": (random_linear_twin, [
        {"n_states": 1, "horizon": 1},
        {"n_states": 2, "horizon": 2, "n_actions": 1, "scale": 0.0},
        {"n_states": 5, "horizon": 4},
        {"n_states": 7, "horizon": 3, "n_actions": 3, "scale": 2.0, "seed": 4, "reward_seed": 9},
        {"n_states": 3, "horizon": 3, "n_actions": 8, "scale": 600.0},
    ]),
}  # fmt: skip
"""For each game its twin and parameters; sizes of more than one tile of rows are among them."""

ALL_CASES = [
    pytest.param(name, parameters, id=f"{name}-{i}")
    for name, (_, cases) in CASES.items()
    for i, parameters in enumerate(cases)
]


@pytest.mark.parametrize(("name", "parameters"), ALL_CASES)
def test_functions_are_their_twins(name, parameters):
    game = zoo.GAMES[name](**parameters)
    transition, reward = CASES[name][0](**parameters)
    for seed in range(2):
        seen = crowd(np.random.default_rng(seed), game, empty=seed == 1)
        for h in sorted({0, game.horizon // 2, game.horizon - 1}):
            assert_allclose(game.transition(h, seen), transition(h, seen), rtol=0, atol=2e-14)
            assert_allclose(game.reward(h, seen), reward(h, seen), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("case", CASES)
def test_gaps_are_those_of_the_twins(case):
    make, cases = CASES[case]
    compared = 0
    for parameters in cases:
        game = zoo.GAMES[case](**parameters)
        if game.n_states * game.n_actions * game.horizon > 300:
            continue  # the slow twin would take seconds; densities of larger games are compared below
        transition, reward = make(**parameters)
        pi = policy(np.random.default_rng(5), game.horizon, game.legal)
        ref = naive.ne_gap(game.initial, transition, reward, pi, game.legal, game.population == "joint")
        assert mfg.ne_gap(game, pi) == pytest.approx(ref, rel=1e-11, abs=1e-11)
        compared += 1
    assert compared > 1


LARGE = {
    "building_evacuation": {"n_floors": 3, "length": 10, "width": 9, "horizon": 2},
    "conservative_treasure_hunting": {"n_sites": 20, "horizon": 3},
    "crowd_motion": {"length": 17, "width": 16, "horizon": 2, "bar": [(4, 0), (0, 15)]},
    "linear_quadratic": {"max_state": 20, "max_action": 2, "horizon": 3, "noise_spacing": 1.0},
    "random_linear": {"n_states": 40, "n_actions": 15, "horizon": 2, "scale": 3.0},
}


@pytest.mark.parametrize("name", LARGE)
def test_densities_where_rows_fill_many_tiles(name):
    game = zoo.GAMES[name](**LARGE[name])
    transition, _ = CASES[name][0](**LARGE[name])
    pi = policy(np.random.default_rng(6), game.horizon, game.legal)
    mu = game.initial
    for h, density in enumerate(mfg.condition(game, pi).density):
        assert_allclose(density, mu, rtol=0, atol=1e-14)
        mass = mu[:, None] * pi[h]
        P = transition(h, mass if game.population == "joint" else mu)
        mu = np.einsum("sa,sax->x", mass, P)


@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from(sorted(CASES)), small=st.booleans())
def test_rows_are_distributions_and_games_are_made_anew_the_same(seed, name, small):
    rng = np.random.default_rng(seed)
    parameters = random_parameters(name, rng, 2 if small else 5)
    game, again = zoo.GAMES[name](**parameters), zoo.GAMES[name](**parameters)
    h, seen = int(rng.integers(game.horizon)), crowd(rng, game, empty=bool(rng.integers(2)))
    P = game.transition(h, seen)
    assert (P >= 0).all()
    assert_allclose(P.sum(axis=-1), 1.0, rtol=0, atol=1e-13)
    assert np.isfinite(game.reward(h, seen)).all()
    assert_array_equal(again.transition(h, seen), P)
    assert_array_equal(again.reward(h, seen), game.reward(h, seen))
    density = mfg.condition(game, policy(rng, game.horizon, game.legal)).density
    assert_allclose(density.sum(axis=-1), 1.0, rtol=0, atol=1e-12)


def random_parameters(name, rng, most):
    """Parameters in their ranges, sizes up to `most`."""
    size = {name: int(rng.integers(1, most + 1)) for name in ("a", "b", "c", "H")}
    own = {
        "building_evacuation": {"n_floors": size["a"], "length": size["b"], "width": size["c"],
                                "alternating_stairs": bool(rng.integers(2))},
        "conservative_treasure_hunting": {"n_sites": size["a"], "worth": rng.standard_normal(size["a"]),
                                          "scatter": rng.exponential(size=size["H"] - 1)},
        "crowd_motion": {"length": size["a"], "width": size["b"], "move_every": size["c"], "p_still": rng.random(),
                         "torus": bool(rng.integers(2)), "seed": int(rng.integers(99))},
        "equilibrium_price": {"max_stock": size["a"], "max_production": size["b"], "max_order": size["c"],
                              "demand": rng.exponential(), "costs": rng.standard_normal(5)},
        "left_right": {"left_cost": rng.standard_normal()},
        "linear_quadratic": {"max_state": size["a"], "max_action": size["b"], "sigma": rng.exponential(),
                             "mean_reversion": rng.standard_normal(), "time_step": rng.exponential()},
        "random_linear": {"n_states": size["a"], "n_actions": size["b"], "seed": int(rng.integers(99))},
        "rock_paper_scissors": {},
        "susceptible_infected": {"infection": rng.random(), "recovery": rng.random()},
    }  # fmt: skip
    return own[name] | {"horizon": size["H"]}


# Classes of models: what may be unknown stands in thetas, and nowhere else

UNKNOWN = {
    "susceptible_infected": ([{"infection": 0.5}, {"recovery": 0.9}, {"infection": 0.1, "recovery": 0.0}], infection),
    "linear_quadratic": ([{"mean_reversion": 0.1}, {"sigma": 1.0}, {"noise_spacing": 1.0}], quadratic),
    "random_linear": ([{"seed": 1}, {"seed": 2}, {"seed": 3}], affine),
    "conservative_treasure_hunting": ([{"scatter": 0.2}, {"scatter": [0.0, 1.0, 2.0, 3.0, 4.0]}], treasure),
    "crowd_motion": ([{"p_still": 0.0}, {"p_still": 0.75}, {"p_still": 1.0}], None),
}


def functions_of(models):
    return models.prepare, models.fill, models.source.reward


@pytest.mark.parametrize("name", UNKNOWN)
def test_games_stack_to_a_class(name):
    changes, kernels = UNKNOWN[name]
    games = [zoo.GAMES[name](**change) for change in [{}, *changes]]
    classes = [game.models for game in games]
    first = classes[0]
    for other in classes[1:]:
        for a, b in zip(first.common, other.common, strict=True):
            assert_array_equal(a, b)
        assert not np.array_equal(first.thetas, other.thetas)
        assert functions_of(other) == functions_of(first)
    if kernels is not None:
        assert functions_of(first) == (kernels.prepare, kernels.fill, kernels.reward)

    models = first.replace(thetas=np.concatenate([other.thetas for other in classes]))
    seen = crowd(np.random.default_rng(7), games[0])
    for i, game in enumerate(games):
        if game.n_states < 100:
            assert_array_equal(models[i].transition(1, seen), game.transition(1, seen))
        assert_array_equal(models[i].reward(1, seen), games[0].reward(1, seen))
    pi = games[0].uniform_policy()
    assert_allclose(mfg.ne_gaps(models, pi), [mfg.ne_gap(game, pi) for game in games], rtol=1e-12)


def test_random_linear_weights_have_seeds_of_their_own():
    game, moved, paid = zoo.random_linear(), zoo.random_linear(seed=1), zoo.random_linear(reward_seed=1)
    L = crowd(np.random.default_rng(8), game)
    assert not np.array_equal(game.transition(0, L), moved.transition(0, L))
    assert_array_equal(game.reward(0, L), moved.reward(0, L))
    assert_array_equal(game.transition(0, L), paid.transition(0, L))
    assert not np.array_equal(game.reward(0, L), paid.reward(0, L))


# Sizes


def test_a_large_building_takes_little_memory():
    game = zoo.building_evacuation(100, 50, 5)
    models = game.models
    assert (game.n_states, game.n_actions, models.row_length) == (25_000, 6, 1)
    arrays = [models.thetas, *models.common, game.grid.moves, game.grid.position, game.grid.legal]
    assert sum(array.nbytes for array in arrays) < 6_000_000
    pi = game.uniform_policy()
    response = mfg.best_response(game, pi)
    assert response.value > mfg.evaluate(game, pi)


def test_random_linear_stores_no_table():
    models = zoo.random_linear(20, n_actions=7).models
    assert models.aux_size == 20 * 7
    assert models.thetas.shape == (1, 20**3 + 20 * 7 * 20)


# What the games are about


def choose(game, chances):
    """The policy that makes the choices of state 0 with these chances."""
    pi = game.uniform_policy()
    pi[:, 0] = chances
    return pi


def test_both_ways_cost_the_same_in_equilibrium():
    game = zoo.left_right()
    assert mfg.ne_gap(game, choose(game, [2 / 3, 1 / 3])) < 1e-15
    assert mfg.ne_gap(game, choose(game, [1 / 2, 1 / 2])) == pytest.approx(0.25)


def test_all_choices_pay_the_same_in_equilibrium():
    game = zoo.rock_paper_scissors()
    payoffs = np.array([[0, -1, 2], [4, 0, -2], [-3, 6, 0]])
    equal = np.vstack([payoffs[0] - payoffs[1], payoffs[1] - payoffs[2], np.ones(3)])
    chances = np.linalg.solve(equal, [0, 0, 1])
    assert (chances > 0).all()
    assert mfg.ne_gap(game, choose(game, chances)) < 1e-14


@pytest.mark.parametrize("site", range(3))
def test_all_may_dig_at_one_site(site):
    game = zoo.conservative_treasure_hunting(worth=[1.0, 0.2, 5.0])
    pi = np.zeros((6, 3, 3))
    pi[:, :, site] = 1.0
    assert mfg.ne_gap(game, pi) < 1e-14
    assert mfg.evaluate(game, pi) == pytest.approx(5 * [1.0, 0.2, 5.0][site])
    assert_allclose(mfg.condition(game, pi).density[1:, site], 1.0, rtol=0, atol=1e-14)


def test_nobody_orders_where_the_price_is_low():
    game = zoo.equilibrium_price()
    solution = mfg.solve(game, tol=1e-6)
    model = mfg.condition(game, solution.policy)
    played = model.density[:, :, None] * solution.policy
    assert played.reshape(5, 4, 3, 3)[..., 1:].sum() < 1e-3
    assert (played.reshape(5, 4, 3, 3) * np.arange(3)[:, None]).sum() > 0.1  # to empty the stores
    rich = zoo.equilibrium_price(demand=20.0)
    solution = mfg.solve(rich, tol=1e-4)
    played = mfg.condition(rich, solution.policy).density[:, :, None] * solution.policy
    assert played.reshape(5, 4, 3, 3)[..., 1:].sum() > 0.1


def walked(game, start, steps):
    """The cells (f, x, y) one comes through with these actions."""
    moves, seen = game.grid.moves, [start]
    for a in steps:
        seen.append(int(moves[seen[-1], a]))
    return [game.grid.position[s].tolist() for s in seen]


def test_alternating_stairs_make_the_crowd_cross_every_floor():
    state = zoo.building_evacuation(3, 2, 2).grid.state_at
    fixed = zoo.building_evacuation(3, 2, 2)
    assert walked(fixed, state((2, 0, 0)), [4, 4]) == [[2, 0, 0], [1, 0, 0], [0, 0, 0]]
    other = zoo.building_evacuation(3, 2, 2, alternating_stairs=True)
    assert walked(other, state((2, 0, 0)), [4]) == [[2, 0, 0], [2, 0, 0]]
    path = walked(other, state((2, 1, 1)), [4, 4, 1, 2, 4, 5])
    assert path == [[2, 1, 1], [1, 1, 1], [1, 1, 1], [1, 0, 1], [1, 0, 0], [0, 0, 0], [1, 0, 0]]


def test_where_the_bar_goes():
    paths = []
    for seed in range(20):
        game = zoo.crowd_motion(5, 4, 9, move_every=2, seed=seed)
        mu = np.full(20, 1 / 20)
        path = np.array([game.grid.position[game.reward(h, mu)[:, 0].argmax()] for h in range(9)])
        assert path[0].tolist() == [2, 2]
        changed = (np.diff(path, axis=0) != 0).any(axis=1)
        assert not changed[::2].any()  # from step 0 to 1, 2 to 3, ...
        assert (np.abs(np.diff(path, axis=0)[changed]) == 1).all()
        paths.append(path)
    assert len({path.tobytes() for path in paths}) > 5
    assert any((np.diff(path[::2], axis=0) == 0).all(axis=1).any() for path in paths)  # at the border it stays
    around = [zoo.crowd_motion(3, 3, 9, move_every=1, torus=True, seed=seed) for seed in range(3)]
    for game in around:
        steps = np.diff(
            [game.grid.position[game.reward(h, np.full(9, 1 / 9))[:, 0].argmax()] for h in range(9)], axis=0
        )
        assert np.isin(steps % 3, [1, 2]).all()  # never stays


def test_halves_are_rounded_to_the_even_state():
    game = zoo.linear_quadratic(6, 1, 2, sigma=0.0, mean_reversion=0.5, time_step=1.0)
    mu = np.full(13, 1 / 13)  # the mean is 0, but for rounding: x goes to x/2 + a
    P = game.transition(0, mu)
    for x in range(-6, 7):
        for a in (-1, 0, 1):
            assert P[x + 6, a + 1, np.clip(round(x / 2 + a), -6, 6) + 6] == pytest.approx(1.0, abs=1e-15)
    assert_array_equal(P, game.transition(0, (mu + 1e-13 * np.arange(13)) / (mu + 1e-13 * np.arange(13)).sum()))


def test_noise_is_spaced_by_sigma_unless_told():
    mu = np.full(41, 1 / 41)
    wide = zoo.linear_quadratic(20, 0, 2, sigma=2.0, mean_reversion=0.0, time_step=1.0).transition(0, mu)[20, 0]
    e = 2.0 * np.arange(-3, 4)
    assert_allclose(wide[20 + 2 * e.astype(int)], np.exp(-(e**2) / 2) / np.exp(-(e**2) / 2).sum(), rtol=1e-14)
    normal = zoo.linear_quadratic(20, 0, 2, sigma=2.0, noise_spacing=1.0, mean_reversion=0.0, time_step=1.0)
    row = normal.transition(0, mu)[20, 0]
    assert (row * (np.arange(41) - 20) ** 2).sum() == pytest.approx(4.0, rel=0.02)  # sigma squared


# Grids


def test_grids():
    game = zoo.crowd_motion(3, 5)
    assert game.grid.shape == (3, 5)
    assert_array_equal(game.grid.offsets, [[1, 0], [-1, 0], [0, 1], [0, -1], [0, 0]])
    still = zoo.crowd_motion(3, 5, p_still=1.0)
    assert_array_equal(rows_of(still.grid.moves), still.transition(0, still.initial))
    torus = zoo.crowd_motion(3, 5, p_still=1.0, torus=True)
    assert_array_equal(rows_of(torus.grid.moves), torus.transition(0, torus.initial))
    building = zoo.building_evacuation(2, 3, 4)
    assert building.grid.shape == (2, 3, 4)
    assert_array_equal(rows_of(building.grid.moves), building.transition(0, building.initial))


# Parameters


@pytest.mark.parametrize("name", CASES)
def test_parameters_are_documented(name):
    function = zoo.GAMES[name]
    section = function.__doc__.partition("Parameters\n")[2]
    documented = [
        word.strip() for line in section.splitlines() if " : " in line for word in line.partition(" : ")[0].split(",")
    ]
    assert documented == list(inspect.signature(function).parameters)


BAD = [
    ("left_right", {"horizon": 0}, ValueError, "horizon must be at least 1, got 0"),
    ("left_right", {"left_cost": np.nan}, ValueError, "left_cost must lie in .*got nan"),
    ("left_right", {"right_cost": "2"}, TypeError, "right_cost must be a number, got '2'"),
    ("left_right", {"initial": [0.5, 0.5]}, ValueError, r"initial must have shape \[3\], got \[2\]"),
    ("rock_paper_scissors", {"horizon": 1.5}, TypeError, "horizon must be a whole number, got 1.5"),
    ("rock_paper_scissors", {"initial": [0.5, 0.5, 0.5, -0.5]}, ValueError, r"initial\[3\] is -0.5"),
    ("building_evacuation", {"n_floors": 0}, ValueError, "n_floors must be at least 1, got 0"),
    ("building_evacuation", {"length": -2}, ValueError, "length must be at least 1, got -2"),
    ("building_evacuation", {"width": 2.0}, TypeError, "width must be a whole number, got 2.0"),
    ("building_evacuation", {"horizon": 0}, ValueError, "horizon must be at least 1, got 0"),
    ("building_evacuation", {"evacuation_reward": np.inf}, ValueError, "evacuation_reward must lie in"),
    ("building_evacuation", {"crowd_aversion_coef": np.nan}, ValueError, "crowd_aversion_coef must lie in"),
    ("building_evacuation", {"log_eps": 0.0}, ValueError, r"log_eps must lie in \(0, inf\), got 0.0"),
    ("building_evacuation", {"n_floors": 1, "length": 2, "width": 3, "initial": np.full((3, 2), 1 / 6)}, ValueError,
     r"initial must have shape \[1, 2, 3\], got \[3, 2\]"),
    ("building_evacuation", {"n_floors": 1, "length": 2, "width": 1, "initial": [[[0.5], [0.6]]]}, ValueError,
     "initial sums to 1.1"),
    ("crowd_motion", {"length": 0}, ValueError, "length must be at least 1, got 0"),
    ("crowd_motion", {"width": None}, TypeError, "width must be a whole number, got None"),
    ("crowd_motion", {"horizon": 0}, ValueError, "horizon must be at least 1, got 0"),
    ("crowd_motion", {"move_every": 0}, ValueError, "move_every must be at least 1, got 0"),
    ("crowd_motion", {"attraction": np.inf}, ValueError, "attraction must lie in"),
    ("crowd_motion", {"p_still": 1.01}, ValueError, r"p_still must lie in \[0, 1\], got 1.01"),
    ("crowd_motion", {"log_eps": -1.0}, ValueError, r"log_eps must lie in \(0, inf\), got -1.0"),
    ("crowd_motion", {"seed": -1}, ValueError, "seed must be at least 0, got -1"),
    ("crowd_motion", {"horizon": 2, "bar": [(0, 0)]}, ValueError, r"bar must have shape \[2, 2\], got \[1, 2\]"),
    ("crowd_motion", {"length": 3, "width": 2, "horizon": 1, "bar": [(2, 2)]}, ValueError, r"bar\[0, 1\] is 2.*0..1"),
    ("crowd_motion", {"length": 2, "width": 1, "initial": [0.5, 0.5]}, ValueError, r"initial must have shape \[2, 1\]"),
    ("equilibrium_price", {"max_stock": -1}, ValueError, "max_stock must be at least 0, got -1"),
    ("equilibrium_price", {"max_production": 1.0}, TypeError, "max_production must be a whole number, got 1.0"),
    ("equilibrium_price", {"max_order": -1}, ValueError, "max_order must be at least 0, got -1"),
    ("equilibrium_price", {"horizon": 0}, ValueError, "horizon must be at least 1, got 0"),
    ("equilibrium_price", {"demand": -0.5}, ValueError, r"demand must lie in \[0, inf\), got -0.5"),
    ("equilibrium_price", {"supply_floor": 0.0}, ValueError, r"supply_floor must lie in \(0, inf\), got 0.0"),
    ("equilibrium_price", {"elasticity": 0.0}, ValueError, r"elasticity must lie in \(0, inf\), got 0.0"),
    ("equilibrium_price", {"costs": (1.0, 1.0)}, ValueError, r"costs must have shape \[5\], got \[2\]"),
    ("equilibrium_price", {"initial": [1.0]}, ValueError, r"initial must have shape \[4\], got \[1\]"),
    ("conservative_treasure_hunting", {"n_sites": 0}, ValueError, "n_sites must be at least 1, got 0"),
    ("conservative_treasure_hunting", {"horizon": 0}, ValueError, "horizon must be at least 1, got 0"),
    ("conservative_treasure_hunting", {"worth": [1.0]}, ValueError, r"worth must have shape \[3\], got \[1\]"),
    ("conservative_treasure_hunting", {"worth": np.nan}, ValueError, "worth must lie in"),
    ("conservative_treasure_hunting", {"worth": "one"}, TypeError, "worth must hold real numbers"),
    ("conservative_treasure_hunting", {"scatter": -1.0}, ValueError, r"scatter\[0\] is -1.0: must lie in \[0, inf\)"),
    ("conservative_treasure_hunting", {"scatter": [0.0] * 6}, ValueError, r"scatter must have shape \[5\], got \[6\]"),
    ("conservative_treasure_hunting", {"scatter": [[0.0], 1.0]}, ValueError, "scatter must be an array"),
    ("conservative_treasure_hunting", {"horizon": 1, "scatter": [1.0]}, ValueError, r"scatter must have shape \[0\]"),
    ("conservative_treasure_hunting", {"initial": [1.0, 0.0]}, ValueError, r"initial must have shape \[3\]"),
    ("susceptible_infected", {"horizon": 0}, ValueError, "horizon must be at least 1, got 0"),
    ("susceptible_infected", {"infection": 1.2}, ValueError, r"infection must lie in \[0, 1\], got 1.2"),
    ("susceptible_infected", {"recovery": -0.1}, ValueError, r"recovery must lie in \[0, 1\], got -0.1"),
    ("susceptible_infected", {"illness_cost": np.inf}, ValueError, "illness_cost must lie in"),
    ("susceptible_infected", {"distance_cost": None}, TypeError, "distance_cost must be a number, got None"),
    ("susceptible_infected", {"initial": [0.4, 0.5]}, ValueError, "initial sums to 0.9"),
    ("linear_quadratic", {"max_state": 0}, ValueError, "max_state must be at least 1, got 0"),
    ("linear_quadratic", {"max_action": -1}, ValueError, "max_action must be at least 0, got -1"),
    ("linear_quadratic", {"horizon": 0}, ValueError, "horizon must be at least 1, got 0"),
    ("linear_quadratic", {"mean_reversion": np.nan}, ValueError, "mean_reversion must lie in"),
    ("linear_quadratic", {"sigma": -1.0}, ValueError, r"sigma must lie in \[0, inf\), got -1.0"),
    ("linear_quadratic", {"noise_spacing": -1.0}, ValueError, r"noise_spacing must lie in \[0, inf\), got -1.0"),
    ("linear_quadratic", {"time_step": 0.0}, ValueError, r"time_step must lie in \(0, inf\), got 0.0"),
    ("linear_quadratic", {"coupling": np.inf}, ValueError, "coupling must lie in"),
    ("linear_quadratic", {"aversion": np.inf}, ValueError, "aversion must lie in"),
    ("linear_quadratic", {"last_aversion": np.inf}, ValueError, "last_aversion must lie in"),
    ("linear_quadratic", {"initial": [1.0]}, ValueError, r"initial must have shape \[11\], got \[1\]"),
    ("random_linear", {"n_states": 0}, ValueError, "n_states must be at least 1, got 0"),
    ("random_linear", {"n_actions": 0}, ValueError, "n_actions must be at least 1, got 0"),
    ("random_linear", {"horizon": 0}, ValueError, "horizon must be at least 1, got 0"),
    ("random_linear", {"scale": -1.0}, ValueError, r"scale must lie in \[0, 1e\+300\), got -1.0"),
    ("random_linear", {"seed": -1}, ValueError, "seed must be at least 0, got -1"),
    ("random_linear", {"reward_seed": 0.5}, TypeError, "reward_seed must be a whole number, got 0.5"),
    ("random_linear", {"initial": [1.0]}, ValueError, r"initial must have shape \[5\], got \[1\]"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "parameters", "error", "message"), BAD)
def test_bad_parameters(name, parameters, error, message):
    with pytest.raises(error, match=message):
        zoo.GAMES[name](**parameters)


@pytest.mark.parametrize("name", CASES)
def test_every_parameter_with_a_range_is_tried(name):
    tried = {key for case, parameters, *_ in BAD if case == name for key in parameters}
    assert tried | {"torus", "alternating_stairs"} >= set(inspect.signature(zoo.GAMES[name]).parameters)


def test_rewards_that_overflow_are_refused():
    game = zoo.equilibrium_price(demand=1e9, elasticity=1e-3)
    with pytest.raises(ValueError, match="must be finite"):
        mfg.ne_gap(game, game.uniform_policy())
