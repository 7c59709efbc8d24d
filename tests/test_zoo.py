"""The games people know: against the numbers of two libraries and the formulas of their docstrings."""

import json

import naive
import numpy as np
import pytest
from builders import ROOT, policy
from numpy.testing import assert_allclose, assert_array_equal

import fastmfg as mfg
from fastmfg import zoo
from fastmfg.games.grid_game import price_table
from fastmfg.kernels import reward as reward_kernels
from fastmfg.kernels.jit import F1, F2, REWARD_PART, Common, i8, kernel

WALLED = {
    "size": 6,
    "horizon": 6,
    "only_distribution_reward": True,
    "forbidden_states": [(1, 1), (2, 1), (4, 3)],
    "initial_distribution": {(3, 0): 0.75, (2, 5): 0.25},
    "noise_intensity": 0.5,
    "crowd_aversion_coef": 0.5,
}
"""Game C of openspiel.json."""

SIZES = {
    "beach_bar": [
        {"n_states": 2, "horizon": 1},
        {"n_states": 2, "horizon": 3, "bar": 0},
        {"n_states": 3, "horizon": 2, "bar": 2, "p_still": 0.0},
        {"n_states": 7, "horizon": 5, "p_still": 0.9, "log_eps": 0.1},
        {},
    ],
    "crowd_modelling_1d": [
        {"size": 2, "horizon": 1},
        {"size": 2, "horizon": 4},
        {"size": 3, "horizon": 2, "crowd_aversion_coef": 0.0},
        {"size": 5, "horizon": 7, "crowd_aversion_coef": 3.0},
        {},
    ],
    "crowd_modelling_2d": [
        {"size": 2, "horizon": 1},
        {"size": 2, "horizon": 3, "noise_intensity": 0.0},
        {"size": 2, "horizon": 3, "forbidden_states": [(0, 0), (0, 1), (1, 0)]},
        {"size": 3, "horizon": 4, "with_congestion": True, "noise_intensity": 0.3},
        {"size": 4, "horizon": 2, "forbidden_states": [(0, 1), (3, 2)], "crowd_aversion_coef": -1.0},
        WALLED,
        {},
    ],
}
CASES = [(name, parameters) for name, cases in SIZES.items() for parameters in cases]


def golden(library, name):
    return json.loads((ROOT / "tests" / "golden" / f"{library}.json").read_text())[name]


def gap_after(game, iterations, method, **options):
    return mfg.solve(game, method, tol=0.0, max_iterations=iterations, **options).history[-1]


# Against other libraries


def test_beach_bar_is_mfglibs():
    entry = golden("mfglib", "beach_bar")
    game = zoo.beach_bar(4, 3, bar=2)
    start = np.array(entry["mu0"])
    assert_array_equal(game.initial, start)
    assert_array_equal(game.transition(0, start), np.moveaxis(entry["P_const"], 0, -1))
    uniform = game.uniform_policy()
    assert_allclose(mfg.condition(game, uniform).reward, entry["R_at_uniform"], atol=1e-12)
    assert mfg.ne_gap(game, uniform) == pytest.approx(entry["uniform_expl"], abs=1e-10)
    assert mfg.best_response(game, uniform).value == pytest.approx(entry["V_best_response"], abs=1e-10)
    assert mfg.evaluate(game, uniform) == pytest.approx(entry["V_uniform"], abs=1e-10)
    assert_allclose(mfg.condition(game, uniform).density[-1], entry["mu_final"], atol=1e-11)

    listed = {int(k): gap for k, gap in entry["expl_trajectory_iter"]["OMD(alpha=0.1)"].items()}
    history = mfg.solve(game, "mirror-descent", step=0.1, tol=0.0, max_iterations=max(listed)).history
    assert_allclose(history[list(listed)], list(listed.values()), atol=1e-8)


def test_crowd_modelling_1d_as_intended():
    entry = golden("openspiel", "A_crowd1d_s10_h10")
    game, gaps = zoo.crowd_modelling_1d(10, 10), entry["intended_semantics_numpy"]
    assert_same_rows(game, entry["tabular"], np.arange(10))
    assert mfg.ne_gap(game, game.uniform_policy()) == pytest.approx(gaps["uniform"], abs=1e-10)
    assert gap_after(game, 10, "mirror-descent", step=0.1) == pytest.approx(gaps["omd10"], abs=1e-8)


def test_fictitious_play_on_the_ring():
    """From the uniform policy the ring is symmetric: rounding decides between best responses that are equally good.

    So `fp10` of the golden numbers is one path of many; from a start without ties the path is the textbook's.
    """
    game = zoo.crowd_modelling_1d(10, 10)
    A, H = 3, 10
    P = np.tile(game.transition(0, game.initial), (H, 1, 1, 1))

    def best_values(pi):
        mu = naive.push(game.initial, pi, lambda h, _: P[h])[0]
        r = np.array([game.reward(h, mu[h]) for h in range(H)])
        greedy = naive.back_up(P, r, pi, game.legal)[1]
        best = np.eye(A)[greedy]
        values, _, ends = naive.back_up(P, r, best, game.legal)
        return mu, best, values, game.initial @ (ends[1] - naive.back_up(P, r, pi, game.legal)[2][0])

    def tied(values):
        top = np.sort(values[:-1], axis=-1)  # the last step's actions are alike: the lowest is taken, exactly
        return int((top[..., -1] - top[..., -2] < 1e-11).sum())

    assert tied(best_values(game.uniform_policy())[2]) == 24

    pi = start = policy(np.random.default_rng(0), H, game.legal)
    gaps = []
    for k in range(4):
        mu, best, values, gap = best_values(pi)
        gaps.append(gap)
        assert tied(values) == 0
        w = 1 / (k + 2)
        mass = (1 - w) * mu[..., None] * pi + w * naive.push(game.initial, best, lambda h, _: P[h])[0][..., None] * best
        pi = mass / mass.sum(axis=-1, keepdims=True)
    comp = mfg.solve(game, "fictitious-play", tol=0.0, max_iterations=3, initial_policy=start).history
    assert_allclose(comp, gaps, atol=1e-8)


def assert_same_rows(game, tabular, cells):
    """Legal actions and rows of an OpenSpiel entry; `cells` are its indices of our states."""
    assert_array_equal(game.legal, np.array(tabular["mask"], dtype=bool)[cells])
    assert_allclose(game.initial, np.array(tabular["mu0"])[cells], atol=1e-15)
    P = np.zeros((tabular["S"], tabular["A"], tabular["S"]))
    for s, a, successor, p in tabular["P_sparse_s_a_snext_p"]:
        P[s, a, successor] += p
    ref, comp = P[cells][..., cells], game.transition(0, game.initial)
    assert_allclose(comp[game.legal], ref[game.legal], atol=1e-14)


def test_crowd_modelling_2d_with_walls_is_openspiels():
    entry = golden("openspiel", "C_crowd2d_s6_walls_onlydist")
    game, gaps = zoo.crowd_modelling_2d(**WALLED), entry["numpy_ref"]
    assert game.n_states == 33
    assert_same_rows(game, entry["tabular"], game.grid.cells)
    assert mfg.ne_gap(game, game.uniform_policy()) == pytest.approx(gaps["uniform"], abs=1e-10)
    assert gap_after(game, 10, "fictitious-play") == pytest.approx(gaps["fp10"], abs=1e-8)
    assert gap_after(game, 10, "mirror-descent", step=0.1) == pytest.approx(gaps["omd10"], abs=1e-8)


def test_crowd_modelling_2d_has_openspiels_rows():
    entry = golden("openspiel", "B_crowd2d_s5_h5")
    assert_same_rows(zoo.crowd_modelling_2d(5, 5), entry["tabular"], np.arange(25))


# Rewards, by the formulas


def density_of(S):
    mu = np.random.default_rng(1).dirichlet(np.ones(S))
    mu[0], mu[-1] = (mu[0] + mu[-1], 0.0) if S > 1 else (1.0, 1.0)
    return mu


@pytest.mark.parametrize("n", [2, 3, 8])
def test_rewards_of_beach_bar(n):
    bar = n - 1
    game = zoo.beach_bar(n, 3, bar=bar, log_eps=1e-3)
    mu = density_of(n)
    for h in range(3):
        r = game.reward(h, mu)
        for x in range(n):
            distance = min(abs(x - bar), n - abs(x - bar))
            for a, move in enumerate((-1, 0, 1)):
                assert r[x, a] == pytest.approx(-distance - abs(move) / n - np.log(mu[x] + 1e-3), abs=1e-12)


@pytest.mark.parametrize("n", [2, 3, 8])
def test_rewards_of_crowd_modelling_1d(n):
    game = zoo.crowd_modelling_1d(n, 3, crowd_aversion_coef=0.7)
    mu = density_of(n)
    for h in range(3):
        r = game.reward(h, mu)
        for x in range(n):
            for a, move in enumerate((-1, 0, 1)):
                charge = abs(move) / n if h < 2 else 0.0
                ref = 1 - abs(x - n // 2) / (n // 2) - charge - 0.7 * np.log(mu[x] + 1e-25)
                assert r[x, a] == pytest.approx(ref, abs=1e-12)


@pytest.mark.parametrize("n", [2, 5, 6])
@pytest.mark.parametrize("walls", [None, [(1, 0), (0, 1)]], ids=["open", "walls"])
@pytest.mark.parametrize("positional", [False, True])
@pytest.mark.parametrize("congestion", [False, True])
@pytest.mark.parametrize("only_crowd", [False, True])
def test_rewards_of_crowd_modelling_2d(n, walls, positional, congestion, only_crowd):
    own = np.random.default_rng(2).standard_normal((n, n))  # row y, column x
    game = zoo.crowd_modelling_2d(
        n, 3, forbidden_states=walls, positional_reward=own if positional else None, with_congestion=congestion,
        only_distribution_reward=only_crowd, crowd_aversion_coef=0.7,
    )  # fmt: skip
    cells = [(x, y) for y in range(n) for x in range(n) if (x, y) not in (walls or [])]
    mu = density_of(len(cells))
    for h in range(3):
        r = game.reward(h, mu)
        for s, (x, y) in enumerate(cells):
            place = own[y, x] if positional else 2 - 2 * abs(x - n // 2) / n - 2 * abs(y - n // 2) / n
            for a, (dx, dy) in enumerate([(0, -1), (-1, 0), (0, 0), (1, 0), (0, 1)]):
                charge = (abs(dx) + abs(dy)) / n * (mu[s] if congestion else 1.0) if h < 2 else 0.0
                ref = (0.0 if only_crowd else place - charge) - 0.7 * np.log(mu[s] + 1e-25)
                assert r[s, a] == pytest.approx(ref, abs=1e-12), (h, x, y, a)


@pytest.mark.parametrize("coefficient", [0.0, 0.6, -2.0])
@pytest.mark.parametrize("sums", ["", "b", "l", "p", "blp"])
def test_the_reward_kernel(coefficient, sums):
    S, A, H = 4, 3, 3
    rng = np.random.default_rng(3)
    base, last, price = (
        rng.standard_normal((S, 1)) + rng.standard_normal(A) if name in sums else rng.standard_normal((S, A))
        for name in "blp"
    )
    mu = density_of(S)
    shared = price_table([S, H, coefficient, 1e-25], [base, last, price])
    common = Common(shared, mu, np.ones((S, A), dtype=bool))
    for h in range(H):
        ref = naive.crowd_base(mu, h, H, coefficient, 1e-25, base, last, price)
        comp = np.full((S, A), np.nan)
        assert reward_kernels.reward_step(reward_kernels.crowd_base, common, np.empty(0), h, mu, comp) == 0
        assert_allclose(comp, ref, rtol=1e-12)
        part = np.full((A, 5), np.nan)
        assert reward_part(reward_kernels.crowd_base, h, mu, shared, np.empty(0), 1, 3, part) == 0
        assert_array_equal(part[:, :2].T, comp[1:3])
        assert np.isnan(part[:, 2:]).all()


@kernel(i8(REWARD_PART, i8, F1, F1, F1, i8, i8, F2))
def _part(part, h, population, shared, theta, lo, hi, out):
    return part(h, population, shared, theta, lo, hi, out)


def reward_part(whole, *arguments):
    return _part(whole.part, *arguments)


def test_tables_that_are_sums_are_stored_as_sums():
    place, move = np.random.default_rng(0).standard_normal(50), np.array([0.3, 0.0, -0.1])
    summed, other = place[:, None] + move, place[:, None] * move
    S, A = summed.shape
    assert price_table([], [summed, summed, None]).size == 3 + 2 * (S + A)
    assert price_table([], [summed, other, None]).size == 3 + (S + A) + S * A
    game = zoo.crowd_modelling_2d(30, 3)
    assert game.models.common.shared.size < 3 * game.n_states


def test_where_the_crowd_starts():
    weights = np.arange(9.0).reshape(3, 3) / 36  # row y, column x
    by_array = zoo.crowd_modelling_2d(3, 2, initial_distribution=weights)
    by_cell = zoo.crowd_modelling_2d(
        3, 2, initial_distribution={(x, y): weights[y, x] for y in range(3) for x in range(3)}
    )
    assert_array_equal(by_array.initial, weights.ravel())
    assert_array_equal(by_cell.initial, weights.ravel())
    assert_allclose(zoo.crowd_modelling_2d(3, 2, forbidden_states=[(0, 0)]).initial, 1 / 8)


# Every game, at many sizes


def test_every_game_is_listed():
    assert set(SIZES) <= set(zoo.GAMES)
    assert all(name in zoo.__all__ for name in zoo.GAMES)


@pytest.mark.parametrize(("name", "parameters"), CASES, ids=str)
def test_games_are_games(name, parameters):
    game, again = (zoo.GAMES[name](**parameters) for _ in range(2))
    pi = policy(np.random.default_rng(0), game.horizon, game.legal)
    model, same = mfg.condition(game, pi), mfg.condition(again, pi)
    for array in ("density", "reward", "transition"):
        assert_array_equal(getattr(same, array), getattr(model, array))
    assert_array_equal(again.initial, game.initial)
    assert_array_equal(again.legal, game.legal)

    P = model.transition
    assert (P >= 0).all()
    assert_allclose(P.sum(axis=-1), 1.0, atol=1e-13)
    assert (model.density >= 0).all()
    assert_allclose(model.density.sum(axis=-1), 1.0, atol=1e-13)
    if game.n_states < 10:
        assert_allclose(model.density, naive.push(game.initial, pi, lambda h, _: P[h])[0], atol=1e-14)
    assert np.isfinite(model.reward).all()


@pytest.mark.parametrize(("name", "parameters"), CASES, ids=str)
def test_grids_fit_their_games(name, parameters):
    game = zoo.GAMES[name](**parameters)
    grid = game.grid
    assert grid.n_states == game.n_states
    assert grid.legal.shape == game.legal.shape
    moves = {
        "beach_bar": [[-1], [0], [1]],
        "crowd_modelling_1d": [[-1], [0], [1]],
        "crowd_modelling_2d": [[-1, 0], [0, -1], [0, 0], [0, 1], [1, 0]],
    }[name]
    image = grid.picture(mfg.condition(game, game.uniform_policy()).density)
    assert image.shape == (game.horizon, *grid.shape)
    assert_allclose(np.nansum(image.reshape(game.horizon, -1), axis=1), 1.0, atol=1e-13)
    assert_array_equal(grid.offsets, moves)


@pytest.mark.parametrize("name", zoo.GAMES)
def test_default_games_are_solved(name):
    game = zoo.GAMES[name]()
    solution = mfg.solve(game, rtol=1e-3)
    assert solution.converged
    assert mfg.ne_gap(game, solution.policy) <= 1e-3 * mfg.ne_gap(game, game.uniform_policy())


# Bad parameters


@pytest.mark.parametrize(
    ("name", "parameters", "error", "message"),
    [
        ("beach_bar", {"n_states": 1}, ValueError, "n_states must be at least 2, got 1"),
        ("beach_bar", {"n_states": 4.0}, TypeError, "n_states must be a whole number, got 4.0"),
        ("beach_bar", {"horizon": 0}, ValueError, "horizon must be at least 1, got 0"),
        ("beach_bar", {"n_states": 4, "bar": 4}, ValueError, "bar must be less than n_states 4, got 4"),
        ("beach_bar", {"bar": -1}, ValueError, "bar must be at least 0, got -1"),
        ("beach_bar", {"p_still": 1.0}, ValueError, r"p_still must lie in \[0, 1\), got 1.0"),
        ("beach_bar", {"p_still": -0.1}, ValueError, r"p_still must lie in \[0, 1\), got -0.1"),
        ("beach_bar", {"log_eps": 0.0}, ValueError, r"log_eps must lie in \(0, inf\), got 0.0"),
        ("crowd_modelling_1d", {"size": 1}, ValueError, "size must be at least 2, got 1"),
        ("crowd_modelling_1d", {"horizon": -1}, ValueError, "horizon must be at least 1, got -1"),
        ("crowd_modelling_1d", {"crowd_aversion_coef": np.nan}, ValueError, "crowd_aversion_coef must lie .*got nan"),
        ("crowd_modelling_2d", {"size": 1}, ValueError, "size must be at least 2, got 1"),
        ("crowd_modelling_2d", {"size": "3"}, TypeError, "size must be a whole number, got '3'"),
        ("crowd_modelling_2d", {"horizon": 0}, ValueError, "horizon must be at least 1, got 0"),
        ("crowd_modelling_2d", {"noise_intensity": 1.5}, ValueError, r"noise_intensity must lie in \[0, 1\], got 1.5"),
        ("crowd_modelling_2d", {"noise_intensity": -0.5}, ValueError, r"noise_intensity must lie in \[0, 1\].*-0.5"),
        ("crowd_modelling_2d", {"crowd_aversion_coef": np.inf}, ValueError, "crowd_aversion_coef must lie .*got inf"),
        ("crowd_modelling_2d", {"size": 3, "forbidden_states": [(0, 3)]}, ValueError, "forbidden_states.* 3.* 0..2"),
        ("crowd_modelling_2d", {"size": 3, "forbidden_states": [(0, 1, 2)]}, ValueError, "forbidden_states"),
        ("crowd_modelling_2d", {"size": 2, "positional_reward": np.zeros(4)}, ValueError,
         r"positional_reward must have shape \[2, 2\], got \[4\]"),
        ("crowd_modelling_2d", {"size": 2, "initial_distribution": [0.5, 0.5]}, ValueError,
         r"initial_distribution must have shape \[2, 2\], got \[2\]"),
        ("crowd_modelling_2d", {"size": 2, "initial_distribution": {(0, 0): 0.5}}, ValueError, "initial.* sums to 0.5"),
        ("crowd_modelling_2d", {"size": 2, "initial_distribution": {(0, 0): 1.5, (0, 1): -0.5}}, ValueError,
         "initial.* is -0.5"),
        ("crowd_modelling_2d", {"size": 3, "initial_distribution": {(1, 0): 1.0}, "forbidden_states": [(1, 0)]},
         ValueError, r"initial_distribution.*is no free cell"),
        ("crowd_modelling_2d", {"size": 2, "forbidden_states": [(0, 0)], "initial_distribution": np.full((2, 2), 0.25)},
         ValueError, "initial.* sums to 0.75"),
    ],
)  # fmt: skip
def test_bad_parameters(name, parameters, error, message):
    with pytest.raises(error, match=message):
        zoo.GAMES[name](**parameters)
