"""OpenSpiel's games: against its numbers, the formulas of the docstrings, slow twins and a bookkeeping of traffic."""

import json

import naive_zoo_openspiel as naive
import numpy as np
import pytest
from builders import ROOT, policy, rows
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import fastmfg as mfg
from fastmfg import zoo
from fastmfg.games.grid import merged
from fastmfg.games.grid_game import priced_game
from fastmfg.games.zoo.garnet import distinct
from fastmfg.kernels import reward as reward_kernels
from fastmfg.kernels.jit import Common
from fastmfg.kernels.zoo import normal_form as normal_form_kernels

GOLDEN = json.loads((ROOT / "tests" / "golden" / "openspiel_zoo.json").read_text())

CITY = {
    "links": [("O", "A", 1.0, 8.0, 2.0, 2.0), ("O", "B", 2.0, 8.0, 0.0), ("A", "B", 0.5, 8.0), ("A", "X", 2.0, 8.0),
              ("B", "X", 1.0, 8.0, 1.0, 1.0), ("B", "Y", 1.5, 8.0), ("X", "Y", 0.5, 8.0),
              ("B", "Y", 0.7, 2.0, 1.0, 1.0), ("Y", "Z", 1.0, 1.0)],
    "demand": [("O", "X", 4.0, 0.6), ("O", "Y", 2.0), ("A", "Y", 1.0, 0.3)],
    "horizon": 14,
    "time_step": 0.3,
}  # fmt: skip
"""Two destinations, two links side by side, a dead end, departures, travel times that are no whole steps."""

LOOP = {
    "links": [(1, 2, 1.0, 1.0), (2, 1, 1.0, 1.0), (2, 2, 0.5, 0.5), (2, 3, 1.0, 1.0, 3.0, 1.0), (3, 1, 1.0, 1.0)],
    "demand": [(1, 3, 1), (3, 2, 2)],
    "horizon": 9,
    "time_step": 0.8,
    "late_penalty": 0.0,
}
"""Circles, a link from a node to itself, a destination with links beyond it."""

SIZES = {
    "four_rooms": [
        {"size": 5, "horizon": 1},
        {"size": 6, "horizon": 4, "noise_intensity": 0.0},
        {"size": 8, "horizon": 3, "start": (5, 2), "crowd_aversion_coef": -1.0},
        {},
    ],
    "maze": [
        {"walls": ["."], "horizon": 2, "start": (0, 0)},
        {"walls": ["..#", "#.."], "horizon": 4, "start": (0, 1), "noise_intensity": 0.3},
        {"walls": np.eye(4, dtype=bool), "horizon": 3, "start": (0, 3)},
        {"horizon": 7},
    ],
    "garnet": [
        {"n_states": 1, "n_actions": 1, "horizon": 1, "branching": 1},
        {"n_states": 7, "n_actions": 2, "horizon": 3, "branching": 7, "reward_density": 0.5},
        {"n_states": 5, "n_actions": 1, "branching": 2, "eta": 0.0, "seed": 9},
        {"table_seed": 4},
    ],
    "periodic_aversion": [
        {"size": 2, "horizon": 1},
        {"size": 5, "horizon": 4, "n_actions_per_side": 1, "volatility": 0.3},
        {"size": 4, "horizon": 3, "n_actions_per_side": 6, "x_min": -2.0, "x_max": -1.0, "dt": 0.2},
        {"size": 9, "horizon": 3, "noise_volatility": 1e-9, "coef_aversion": 0.0},
        {},
    ],
    "routing": [CITY, {**CITY, "longest": 3}, {**CITY, "longest": 1}, LOOP, {**CITY, "horizon": 1}, {}],
    "routing_line": [{"n_links": 1, "horizon": 1}, {"n_links": 3, "a": 1.0, "time_step": 0.7, "horizon": 9}, {}],
    "routing_braess": [{"horizon": 9, "time_step": 0.4, "longest": 5}, {"shortcut": False}, {}],
    "normal_form_coordination": [{}],
    "normal_form_dominance": [{"handicap": 0.0}, {}],
    "normal_form_biased_rps": [{"weights": (1, 2, 3)}, {}],
}
CASES = [(name, parameters) for name, cases in SIZES.items() for parameters in cases]


def uniform_gap(game):
    return mfg.ne_gap(game, game.uniform_policy())


def parameters_of(entry, *without):
    return {key: value for key, value in entry.items() if key not in {"uniform", "value", *without}}


def density_of(S, seed=1):
    mu = np.random.default_rng(seed).dirichlet(np.ones(S))
    mu[0], mu[-1] = (mu[0] + mu[-1], 0.0) if S > 1 else (1.0, 1.0)
    return mu


# OpenSpiel's numbers


@pytest.mark.parametrize("name", ["four_rooms", "maze", "periodic_aversion"])
def test_gaps_are_openspiels(name):
    for entry in GOLDEN[name]:
        game = zoo.GAMES[name](**parameters_of(entry))
        assert uniform_gap(game) == pytest.approx(entry["uniform"], rel=1e-12)


@pytest.mark.parametrize("name", ["routing", "routing_braess", "routing_line"])
def test_travel_times_and_gaps_are_openspiels(name):
    for entry in GOLDEN[name]:
        game = zoo.GAMES[name](**parameters_of(entry))
        assert mfg.evaluate(game, game.uniform_policy()) == pytest.approx(entry["value"], abs=1e-13)
        assert uniform_gap(game) == pytest.approx(entry["uniform"], abs=1e-13)


@pytest.mark.parametrize("name", ["normal_form_coordination", "normal_form_dominance", "normal_form_biased_rps"])
def test_normal_form_gaps_are_openspiels(name):
    game = zoo.GAMES[name]()
    for entry in GOLDEN[name]:
        pi = np.array(game.uniform_policy())
        pi[0, 0] = entry["policy"]
        assert mfg.ne_gap(game, pi) == pytest.approx(entry["ne_gap"], rel=1e-12)


def test_sparse_crowds_are_openspiels():
    for entry in GOLDEN["garnet"]:
        places, chances = np.array(entry["successors"]), np.array(entry["chances"])
        S, A, K = places.shape
        successors, rows_of = (x.reshape(S, A, -1) for x in merged(places.reshape(-1, K), chances.reshape(-1, K), S))
        game = priced_game(
            np.full(S, 1 / S), np.zeros((S, A)), successors, rows_of, horizon=entry["horizon"],
            crowd_aversion=entry["eta"],
        )  # fmt: skip
        assert uniform_gap(game) == pytest.approx(entry["uniform"], rel=1e-12)


# Rooms and mazes


@pytest.mark.parametrize(
    ("size", "picture"),
    [
        (5, ["#####", "#...#", "#.#.#", "#...#", "#####"]),
        (6, ["######", "#....#", "#..#.#", "#.##.#", "#....#", "######"]),
        (
            13,
            ["#############", *["#     #     #"] * 2, "#           #", *["#     #     #"] * 2, "### ##### ###"]
            + [*["#     #     #"] * 2, "#           #", *["#     #     #"] * 2, "#############"],
        ),
    ],
)
def test_where_the_walls_of_four_rooms_are(size, picture):
    game = zoo.four_rooms(size, 2, start=(1, 1))
    drawn = np.isnan(game.grid.picture(game.initial))
    assert_array_equal(drawn, [[cell == "#" for cell in row] for row in picture])
    assert game.initial[game.grid.state_at((1, 1))] == 1.0


def test_the_default_maze():
    game = zoo.maze(horizon=2)
    walls = np.isnan(game.grid.picture(game.initial))
    assert walls.shape == (22, 22)
    assert game.n_states == 259
    assert walls[[0, -1]].all()
    assert walls[:, [0, -1]].all()
    text = ["".join("#" if wall else " " for wall in row) for row in walls]
    again = zoo.maze(text, 2)
    assert_array_equal(again.transition(0, again.initial), game.transition(0, game.initial))
    assert_array_equal(zoo.maze(walls, 2).initial, game.initial)


@pytest.mark.parametrize("noise", [0.0, 0.4, 1.0])
def test_rows_and_rewards_behind_walls(noise):
    walls = ["..#.", "#...", ".#.."]
    game = zoo.maze(walls, 3, start=(1, 2), noise_intensity=noise, crowd_aversion_coef=0.7)
    cells = [(y, x) for y in range(3) for x in range(4) if walls[y][x] != "#"]
    moves = [(-1, 0), (0, -1), (0, 0), (0, 1), (1, 0)]

    def move(cell, step):
        return (cell[0] + step[0]) % 3, (cell[1] + step[1]) % 4

    def legal(cell):
        return [step for step in moves if move(cell, step) in cells]

    mu = density_of(len(cells))
    P, r = game.transition(1, mu), game.reward(2, mu)
    for s, cell in enumerate(cells):
        assert_array_equal(game.legal[s], [step in legal(cell) for step in moves])
        for a, step in enumerate(moves):
            assert r[s, a] == pytest.approx(-0.7 * np.log(mu[s] + 1e-25), abs=1e-12)
            if game.legal[s, a]:
                ref = np.zeros(len(cells))
                moved = move(cell, step)
                ref[cells.index(moved)] += 1 - noise
                for drift in legal(moved):
                    ref[cells.index(move(moved, drift))] += noise / len(legal(moved))
                assert_allclose(P[s, a], ref, atol=1e-15)


def test_large_walls_are_taken():
    rng = np.random.default_rng(0)
    walls = rng.random((120, 90)) < 0.3
    walls[0, 0] = False
    game = zoo.maze(walls, 2, start=(0, 0))
    assert game.n_states == (~walls).sum()
    assert game.grid.shape == (120, 90)


# Garnets


def test_garnets_by_their_seeds():
    shape = {"n_states": 20, "n_actions": 4, "branching": 3, "horizon": 2}
    game = zoo.garnet(**shape, seed=1)
    mu = density_of(20)
    P = game.transition(0, mu)
    assert_array_equal((P > 0).sum(axis=-1), 3)
    for other, same_rows, same_places in [
        (zoo.garnet(**shape, seed=1, table_seed=1), True, True),
        (zoo.garnet(**shape, seed=1, table_seed=2), False, True),
        (zoo.garnet(**shape, seed=2, table_seed=1), False, False),
    ]:
        Q = other.transition(0, mu)
        assert np.array_equal(Q, P) == same_rows
        assert np.array_equal(Q > 0, P > 0) == same_places
        assert np.array_equal(other.reward(0, mu), game.reward(0, mu)) == same_places


def test_rewards_of_garnets():
    mu = density_of(200)
    crowd = 0.5 * np.log(mu + 1e-25)[:, None]
    for share in (0.0, 0.3, 1.0):
        game = zoo.garnet(200, 5, 3, eta=0.5, reward_density=share, seed=3)
        bonus = game.reward(0, mu) + crowd
        assert_allclose(game.reward(2, mu) + crowd, bonus, atol=1e-12)  # the last action is paid as well
        assert bonus.min() >= -1e-12
        assert bonus.max() <= 1.0
        assert (np.abs(bonus) > 1e-9).mean() == pytest.approx(share, abs=0.06)
        if share:
            assert bonus[bonus > 1e-9].mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(("n", "size"), [(4, 2), (4, 3), (3, 3), (5, 1)])
def test_sets_are_drawn_uniformly(n, size):
    sets = np.sort(distinct(np.random.default_rng(0), n, (6000, 1, size)), axis=-1)[:, 0]
    assert (np.diff(sets, axis=-1) > 0).all()
    found, counts = np.unique(sets, axis=0, return_counts=True)
    expected = {(4, 2): 6, (4, 3): 4, (3, 3): 1, (5, 1): 5}[n, size]
    assert len(found) == expected
    assert_allclose(counts, 6000 / expected, atol=5 * np.sqrt(6000 / expected))


# Periodic aversion


@pytest.mark.parametrize("parameters", SIZES["periodic_aversion"][:4], ids=str)
def test_periodic_aversion_by_its_formulas(parameters):
    game = zoo.periodic_aversion(**parameters)
    given_ = {"horizon": 20, "dt": 0.01, "x_min": 0.0, "x_max": 1.0, "n_actions_per_side": 10, "volatility": 1.0,
              "coef_aversion": 1.0, "noise_volatility": None, **parameters}  # fmt: skip
    n, dt, s, k = given_["size"], given_["dt"], given_["volatility"], given_["n_actions_per_side"]
    sigma = given_["noise_volatility"] or s
    dx = (given_["x_max"] - given_["x_min"]) / (n - 1)
    offsets = range(-k, k + 1)
    weights = np.array([np.exp(-((j * dx) ** 2) / (2 * sigma**2 * dt)) for j in offsets])
    mu = density_of(n)
    P = game.transition(0, mu)
    for i in range(n):
        x = given_["x_min"] + i * dx
        potential = (
            2 * np.pi**2 * s * np.sin(2 * np.pi * x) - 2 * np.pi**2 * np.cos(2 * np.pi * x) ** 2
            + 2 / s**2 * np.sin(2 * np.pi * x)
        )  # fmt: skip
        crowd = given_["coef_aversion"] * np.log(mu[i] / dx + 1e-15)
        for a, move in enumerate(offsets):
            ref = np.zeros(n)
            for j, weight in zip(offsets, weights / weights.sum(), strict=True):
                ref[(i + move + j) % n] += weight
            assert_allclose(P[i, a], ref, atol=1e-14)
            for h in {0, given_["horizon"] - 1}:
                speed = move * dx / dt if h < given_["horizon"] - 1 else 0.0
                value = dt * (-(speed**2) / 2 - crowd + potential)
                assert game.reward(h, mu)[i, a] == pytest.approx(value, rel=1e-11, abs=1e-11)


# Normal form


def payoffs(name, nu):
    a, b, c = nu
    if name == "normal_form_coordination":
        return [10 * a - 200 / 9 * (a - c) * c - 20 * b, 20 * (a - b) - 2380 * c, 2000 / 9 * (a - c) * c]
    if name == "normal_form_dominance":
        return [a + c, b, a + c - 0.25]
    return [0.5 * b - 0.3 * c, 0.3 * c - 0.7 * a, 0.7 * a - 0.5 * b]


@pytest.mark.parametrize("name", ["normal_form_coordination", "normal_form_dominance", "normal_form_biased_rps"])
def test_normal_form_games_by_their_formulas(name):
    game = zoo.GAMES[name]()
    for nu in [*np.eye(3), *np.random.default_rng(0).dirichlet(np.ones(3), 5)]:
        mu = np.array([0.0, *nu])
        assert_allclose(game.reward(1, mu)[1:, 0], payoffs(name, nu), atol=1e-12)
        pi = np.array(game.uniform_policy())
        pi[0, 0] = nu
        paid = np.array(payoffs(name, nu))
        assert mfg.ne_gap(game, pi) == pytest.approx(paid.max() - nu @ paid, abs=1e-12)
    assert_array_equal(game.reward(0, np.eye(4)[0])[0], 0.0)


def test_equilibria_of_normal_form_games():
    def gap(game, nu):
        pi = np.array(game.uniform_policy())
        pi[0, 0] = nu
        return mfg.ne_gap(game, pi)

    weights = np.array([0.7, 0.5, 0.3])
    assert gap(zoo.normal_form_biased_rps(), 1 / weights / (1 / weights).sum()) == pytest.approx(0.0, abs=1e-15)
    assert all(gap(zoo.normal_form_coordination(), nu) > 1.0 for nu in np.eye(3))
    dominance = zoo.normal_form_dominance()
    assert [gap(dominance, nu) for nu in np.eye(3)] == [0.0, 0.0, 0.25]
    assert mfg.solve(dominance, tol=1e-6).policy[0, 0, 2] < 1e-4


@pytest.mark.parametrize("B", [1, 2, 3, 5])
def test_the_payoff_kernel(B):
    rng = np.random.default_rng(B)
    constant, linear, quadratic = rng.standard_normal(B), rng.standard_normal((B, B)), rng.standard_normal((B, B, B))
    mu = rows(rng, (1 + B,))
    shared = np.concatenate([[1 + B], constant, linear.ravel(), quadratic.ravel()])
    common = Common(shared, mu, np.ones((1 + B, 2), dtype=bool))
    comp = np.full((1 + B, 2), np.nan)
    kernel = normal_form_kernels.polynomial_payoff
    assert reward_kernels.reward_step(kernel, common, np.empty(0), 1, mu, comp) == 0
    assert_allclose(comp, naive.polynomial_payoff(mu, constant, linear, quadratic, 2), rtol=1e-13, atol=1e-14)


# Routing


def parts(game):
    """What the head of `shared`, the places and theta of a routing game say."""
    shared = game.models.common.shared
    theta = game.models.thetas[0].reshape(4, -1)
    return *(float(x) for x in shared[:6]), shared[6:].astype(int), theta


@pytest.mark.parametrize("parameters", SIZES["routing"], ids=str)
def test_the_routing_kernels(parameters):
    game = zoo.routing(**parameters)
    L, longest, H, time_step, demand, late, place, theta = parts(game)
    S, A, K = game.models.common.successors.shape
    assert (K, len(place)) == (longest, S)
    for seed in range(3):
        mu = density_of(S, seed)
        steps = naive.routing_prepare(mu, place, longest, time_step, demand, *theta)
        assert (steps >= 1).all()
        ref = np.zeros((S, A, S))
        filled = naive.routing_fill(steps, place, A, K, 0, S)
        for s in range(S):
            for a in range(A):
                np.add.at(ref[s, a], game.models.common.successors[s, a], filled[s, a])
        assert_allclose(game.transition(0, mu), ref, atol=1e-13)
        for h in {0, 1, int(H) - 1} & set(range(int(H))):
            ref = naive.routing_reward(place, int(L), int(H), time_step, late, h, A)
            assert_array_equal(game.reward(h, mu), ref)


NUMBER = st.floats(0.2, 3.0)


@given(
    times=st.lists(NUMBER, min_size=9, max_size=9),
    capacities=st.lists(NUMBER, min_size=9, max_size=9),
    a=st.floats(0.0, 2.0),
    b=st.floats(0.5, 3.0),
    time_step=st.floats(0.2, 1.0),
    late=st.floats(0.0, 2.0),
)
def test_traffic_is_the_bookkeepings(times, capacities, a, b, time_step, late):
    for base in (CITY, LOOP):
        ends = [link[:2] for link in base["links"]]
        links = [(*pair, t, 4 * c, a, b) for pair, t, c in zip(ends, times, capacities, strict=False)]
        game = zoo.routing(links, base["demand"], 12, time_step=time_step, late_penalty=late)
        uniform = game.uniform_policy()
        volumes, value = naive.uniform_traffic(links, base["demand"], 12, time_step, late)
        comp = zoo.link_volumes(game, mfg.condition(game, uniform).density)
        assert_allclose(comp, volumes, atol=1e-11)
        assert mfg.evaluate(game, uniform) == pytest.approx(value, abs=1e-11)


def test_braess_paradox():
    """With the shortcut everyone needs longer: 3.75 instead of 3.5 (OpenSpiel's tests have the same times)."""
    times = {}
    for shortcut in (False, True):
        game = zoo.routing_braess(shortcut=shortcut)
        solution = mfg.solve(game, tol=1e-3)
        assert solution.converged
        times[shortcut] = -mfg.evaluate(game, solution.policy)
    assert times[False] == pytest.approx(3.5, abs=2e-3)
    assert times[True] == pytest.approx(3.75, abs=4e-3)


def test_rows_are_continuous_in_the_density():
    """``||P(mu) - P(nu)||_1 <= c ||mu - nu||_1``, c = max 2 free_flow a demand / (capacity time_step), where b = 1."""
    links = [(*link[:4], 1.5, 1.0) for link in CITY["links"]]
    game = zoo.routing(links, CITY["demand"], 14, time_step=0.3)
    demand, theta = parts(game)[4], parts(game)[7]
    bound = (2 * theta[0] * 1.5 * demand / (theta[1] * 0.3)).max()
    rng = np.random.default_rng(0)
    mu = density_of(game.n_states)
    seen = []
    for size in (1e-6, 1e-3, 0.1, 1.0):
        nu = (1 - size) * mu + size * rows(rng, mu.shape)
        moved = np.abs(game.transition(0, mu) - game.transition(0, nu)).sum(axis=-1).max()
        assert moved <= bound * np.abs(mu - nu).sum() + 1e-12
        seen.append(moved)
    assert seen[0] > 0  # the crowd decides


def test_a_line_by_hand():
    """Two hundred agents on a link that takes 1 + 200/100 = 3 steps; then one that takes as long."""
    game = zoo.routing_line(2, 9, a=1.0, n_agents=200.0)
    uniform = game.uniform_policy()
    volumes = zoo.link_volumes(game, mfg.condition(game, uniform).density)
    assert_array_equal(volumes.T, [[0, 200, 200, 200, 0, 0, 0, 0, 0], [0, 0, 0, 0, 200, 200, 200, 0, 0]])
    assert mfg.evaluate(game, uniform) == -6.0
    for horizon, value in ((8, -6.0), (7, -7.0), (6, -6.0)):  # late: H - 1 steps under way, and the penalty of one
        late = zoo.routing_line(2, horizon, a=1.0, n_agents=200.0)
        assert mfg.evaluate(late, late.uniform_policy()) == value
    assert uniform_gap(game) == uniform_gap(late) == 0.0


def test_what_longest_does():
    free = zoo.routing(**{**CITY, "longest": None})
    for longest, same in ((30, True), (13, True), (2, False)):
        game = zoo.routing(**CITY, longest=longest)
        expected = pytest.approx(mfg.evaluate(free, free.uniform_policy()), rel=1e-12)
        assert (mfg.evaluate(game, game.uniform_policy()) == expected) == same
        assert (uniform_gap(game) == pytest.approx(uniform_gap(free), rel=1e-12)) == same


def test_a_demand_split_in_two_is_the_same_demand():
    split = [("O", "X", 1.0, 0.6), ("O", "X", 3.0, 0.6), *CITY["demand"][1:]]
    game, again = zoo.routing(**CITY), zoo.routing(**{**CITY, "demand": split})
    assert_allclose(again.initial, game.initial, atol=1e-16)
    assert_array_equal(again.legal, game.legal)


def test_who_never_departs_is_late():
    game = zoo.routing([("A", "B", 1.0, 1.0)], [("A", "B", 1.0, 1e300)], 5, time_step=1.0, late_penalty=10.0)
    assert mfg.evaluate(game, game.uniform_policy()) == -14.0


# All of them


UNKNOWN = [
    ("four_rooms", {"horizon": 3}, "noise_intensity", [0.0, 0.5, 1.0]),
    ("maze", {"horizon": 3}, "noise_intensity", [0.0, 0.5, 1.0]),
    ("garnet", {}, "table_seed", [0, 1, 2]),
    ("periodic_aversion", {}, "noise_volatility", [1e-3, 0.5, 1.0]),
    ("routing_line", {}, "free_flow", [1.5, 2.0, 7.0]),
    ("routing_line", {"a": 1.0}, "capacity", [20.0, 50.0, 90.0]),
    ("routing_braess", {}, "shortcut_time", [0.3, 0.5, 3.0]),
    ("routing_braess", {}, "congestion", [0.0, 1.0, 2.5]),
    ("routing", CITY, "links", [[(*link[:2], f, f + 1, f) for link in CITY["links"]] for f in (0.5, 1.0, 2.0)]),
]


def functions_of(models):
    return models.prepare, models.fill, models.source.reward


@pytest.mark.parametrize(("name", "fixed", "unknown", "values"), UNKNOWN, ids=lambda x: x if isinstance(x, str) else "")
def test_what_is_unknown_stands_in_thetas_alone(name, fixed, unknown, values):
    classes = [zoo.GAMES[name](**{**fixed, unknown: value}).models for value in values]
    for models in classes[1:]:
        assert not np.array_equal(models.thetas, classes[0].thetas)
        assert models.thetas.shape == classes[0].thetas.shape
        assert functions_of(models) == functions_of(classes[0])
        for ours, theirs in zip(models.common, classes[0].common, strict=True):
            assert_array_equal(ours, theirs)
        mu = density_of(models.n_states)
        assert not np.array_equal(models.transition_at(0, 0, mu), classes[0].transition_at(0, 0, mu))


def test_every_game_is_here():
    assert set(SIZES) <= set(zoo.GAMES)
    assert set(SIZES) <= set(zoo.__all__)


@pytest.mark.parametrize(("name", "parameters"), CASES, ids=str)
def test_games_are_games(name, parameters):
    game, again = (zoo.GAMES[name](**parameters) for _ in range(2))
    pi = policy(np.random.default_rng(0), game.horizon, game.legal)
    model, same = mfg.condition(game, pi), mfg.condition(again, pi)
    for array in ("density", "reward", "transition"):
        assert_array_equal(getattr(same, array), getattr(model, array))
    assert_array_equal(again.initial, game.initial)
    assert_array_equal(again.legal, game.legal)
    assert (model.density >= 0).all()
    assert_allclose(model.density.sum(axis=-1), 1.0, atol=1e-13)
    assert np.isfinite(model.reward).all()
    for seed in range(3):
        mu = density_of(game.n_states, seed)
        for h in {0, game.horizon - 1}:
            P = game.transition(h, mu)
            assert (P >= 0).all()
            assert_allclose(P.sum(axis=-1), 1.0, atol=1e-13)
    if game.grid is not None:
        assert game.grid.legal.shape == game.legal.shape


@pytest.mark.parametrize("name", SIZES)
def test_default_games_are_solved(name):
    game = zoo.GAMES[name]()
    solution = mfg.solve(game, rtol=1e-3)
    assert solution.converged
    assert mfg.ne_gap(game, solution.policy) <= 1e-3 * uniform_gap(game)


# Bad parameters

LINKS, DEMAND = [("A", "B", 1.0, 1.0)], [("A", "B", 1.0)]


@pytest.mark.parametrize(
    ("name", "parameters", "error", "message"),
    [
        ("four_rooms", {"size": 4}, ValueError, "size must be at least 5, got 4"),
        ("four_rooms", {"start": (0, 0)}, ValueError, r"start \[0, 0\] is a wall"),
        ("four_rooms", {"start": (1, 13)}, ValueError, r"start\[1\] is 13: must lie in 0..12"),
        ("four_rooms", {"start": (1,)}, ValueError, r"start must have shape \[2\], got \[1\]"),
        ("four_rooms", {"noise_intensity": 1.5}, ValueError, r"noise_intensity must lie in \[0, 1\], got 1.5"),
        ("four_rooms", {"crowd_aversion_coef": np.nan}, ValueError, "crowd_aversion_coef must lie in"),
        ("four_rooms", {"horizon": 0}, ValueError, "horizon must be at least 1, got 0"),
        ("maze", {"walls": ["###", "##"]}, ValueError, r"walls\[1\] has 2 cells, walls\[0\] has 3"),
        ("maze", {"walls": ["##", "##"]}, ValueError, "walls leave no free cell"),
        ("maze", {"walls": np.zeros((3, 3))}, TypeError, "walls must be boolean or rows of text, got dtype float64"),
        ("maze", {"walls": np.zeros(3, bool)}, ValueError, r"walls must have shape \[rows, columns\], got \[3\]"),
        ("maze", {"walls": []}, TypeError, "walls must be boolean"),
        ("maze", {"walls": [[True], [True, False]]}, ValueError, r"walls must have shape \[rows, columns\]"),
        ("maze", {"start": (0, 0)}, ValueError, r"start \[0, 0\] is a wall"),
        ("garnet", {"n_states": 0}, ValueError, "n_states must be at least 1, got 0"),
        ("garnet", {"branching": 11}, ValueError, r"branching must lie in 1..n_states = 1..10, got 11"),
        ("garnet", {"branching": 0}, ValueError, "branching must be at least 1, got 0"),
        ("garnet", {"reward_density": -0.1}, ValueError, r"reward_density must lie in \[0, 1\], got -0.1"),
        ("garnet", {"eta": np.inf}, ValueError, "eta must lie in"),
        ("garnet", {"seed": -1}, ValueError, "seed must be at least 0, got -1"),
        ("garnet", {"table_seed": 0.5}, TypeError, "table_seed must be a whole number, got 0.5"),
        ("periodic_aversion", {"size": 1}, ValueError, "size must be at least 2, got 1"),
        ("periodic_aversion", {"n_actions_per_side": 0}, ValueError, "n_actions_per_side must be at least 1, got 0"),
        ("periodic_aversion", {"x_max": 0.0}, ValueError, "x_max must be greater than x_min 0, got 0.0"),
        ("periodic_aversion", {"dt": 0.0}, ValueError, r"dt must lie in \(1e-30, 1e\+30\), got 0.0"),
        ("periodic_aversion", {"volatility": -1.0}, ValueError, "volatility must lie in"),
        ("periodic_aversion", {"noise_volatility": 0.0}, ValueError, "noise_volatility must lie in"),
        ("periodic_aversion", {"coef_aversion": 1e300}, ValueError, "coef_aversion must lie in"),
        ("normal_form_dominance", {"handicap": -1.0}, ValueError, r"handicap must lie in \[0, inf\), got -1.0"),
        ("normal_form_biased_rps", {"weights": (1, 2)}, ValueError, r"weights must have shape \[3\], got \[2\]"),
        ("normal_form_biased_rps", {"weights": (1, 0, 1)}, ValueError, r"weights\[1\] must lie in \(0, inf\)"),
        ("routing", {"links": LINKS}, ValueError, "links and demand belong together"),
        ("routing", {"demand": DEMAND}, ValueError, "links and demand belong together"),
        ("routing", {"links": [], "demand": DEMAND}, ValueError, "links is empty"),
        ("routing", {"links": LINKS, "demand": []}, ValueError, "demand is empty"),
        ("routing", {"links": "AB", "demand": DEMAND}, TypeError, "links must be a list, got 'AB'"),
        ("routing", {"links": 3, "demand": DEMAND}, TypeError, "links must be a list, got 3"),
        ("routing", {"links": [("A", "B", 1.0)], "demand": DEMAND}, ValueError, r"links\[0\] must be \(from, to, free"),
        ("routing", {"links": ["A to B"], "demand": DEMAND}, ValueError, r"links\[0\] must be \(from, to, free_flow"),
        ("routing", {"links": [("A", "B", 0.0, 1.0)], "demand": DEMAND}, ValueError, r"links\[0\]: free_flow must lie"),
        ("routing", {"links": [("A", "B", 1.0, -1.0)], "demand": DEMAND}, ValueError, r"links\[0\]: capacity must lie"),
        (
            "routing",
            {"links": [("A", "B", 1, 1, -1)], "demand": DEMAND},
            ValueError,
            r"links\[0\]: a must lie in \[0, ",
        ),
        ("routing", {"links": [("A", "B", 1, 1, 1, 0)], "demand": DEMAND}, ValueError, r"links\[0\]: b must lie in"),
        (
            "routing",
            {"links": [("A", "B", "x", 1)], "demand": DEMAND},
            TypeError,
            r"links\[0\]: free_flow must be a num",
        ),
        ("routing", {"links": [(["A"], "B", 1, 1)], "demand": DEMAND}, TypeError, r"links\[0\]: nodes must be names"),
        (
            "routing",
            {"links": LINKS, "demand": [("A", "C", 1)]},
            ValueError,
            r"demand\[0\] names the node 'C', which no",
        ),
        ("routing", {"links": LINKS, "demand": [("A", "A", 1)]}, ValueError, r"demand\[0\] leads from 'A' to itself"),
        (
            "routing",
            {"links": LINKS, "demand": [("B", "A", 1)]},
            ValueError,
            r"demand\[0\]: no way leads from 'B' to 'A'",
        ),
        (
            "routing",
            {"links": LINKS, "demand": [("A", "B", 0)]},
            ValueError,
            r"demand\[0\]: count must lie in \(0, inf\)",
        ),
        ("routing", {"links": LINKS, "demand": [("A", "B", 1, -1)]}, ValueError, r"demand\[0\]: departure must lie in"),
        ("routing", {"links": LINKS, "demand": [("A", "B")]}, ValueError, r"demand\[0\] must be \(origin, destination"),
        ("routing", {"links": LINKS, "demand": [("A", "B", 1e308)] * 2}, ValueError, "the sum of all counts must lie"),
        ("routing", {"horizon": 2500}, ValueError, "give longest, the most steps a link can take"),
        ("routing", {"horizon": 1700}, ValueError, "give longest, the most steps a link can take"),
        ("routing", {"horizon": 10**9}, ValueError, "give longest, the most steps a link can take"),
        ("routing", {"longest": 0}, ValueError, "longest must be at least 1, got 0"),
        ("routing", {"time_step": 0.0}, ValueError, r"time_step must lie in \(0, inf\), got 0.0"),
        ("routing", {"late_penalty": -1.0}, ValueError, r"late_penalty must lie in \[0, inf\), got -1.0"),
        ("routing_line", {"n_links": 0}, ValueError, "n_links must be at least 1, got 0"),
        ("routing_line", {"free_flow": 0.0}, ValueError, r"links\[0\]: free_flow must lie in \(0, inf\), got 0.0"),
        ("routing_line", {"n_agents": 0}, ValueError, r"n_agents must lie in \(0, inf\), got 0"),
        ("routing_braess", {"shortcut_time": 0}, ValueError, r"shortcut_time must lie in \(0, inf\), got 0"),
        ("routing_braess", {"congestion": -1}, ValueError, r"congestion must lie in \[0, inf\), got -1"),
    ],
)
def test_bad_parameters(name, parameters, error, message):
    with pytest.raises(error, match=message):
        zoo.GAMES[name](**parameters)


def test_volumes_of_routing_games_only():
    game = zoo.routing_braess()
    with pytest.raises(ValueError, match="game must be a routing game"):
        zoo.link_volumes(zoo.garnet(), np.ones((10, 10)))
    with pytest.raises(ValueError, match=r"density must have shape \[\*, 117\]"):
        zoo.link_volumes(game, np.ones((2, 3)))
    with pytest.raises(TypeError, match="game must be a Game"):
        zoo.link_volumes("braess", np.ones((2, 3)))
