"""Classes made of the zoo's games: every member is the game of its parameters, and nothing else gets through."""

import inspect

import numpy as np
import pytest
from builders import policy
from numpy.testing import assert_allclose, assert_array_equal

import fastmfg as mfg
from fastmfg import zoo
from fastmfg.games.zoo import classes

TWO_ROADS = [("A", "B", 1.0, 4.0), ("A", "B", 1.5, 8.0)]

GRIDS = {
    "beach_bar": [{"n_states": 6, "p_still": [0.1, 0.5, 0.9]}, {"n_states": 5, "p_still": (0.5, 0.0, 0.25)}],
    "conservative_treasure_hunting": [
        {"scatter": [0.5, 2.0]},
        {"horizon": 3, "scatter": [[0.5, 1.0], [1.0, 0.5], 3.0]},
    ],
    "crowd_modelling_2d": [
        {"size": 3, "horizon": 3, "noise_intensity": np.linspace(0.2, 1.0, 3)},
        {"size": 3, "horizon": 2, "noise_intensity": [0.0, 0.5, 1.0], "forbidden_states": [(0, 0), (1, 1)]},
    ],
    "crowd_motion": [{"length": 4, "width": 3, "p_still": [0.5, 1.0, 0.0]}],
    "epidemic": [
        {"infection": [0.2, 0.8], "recovery": np.array([0.1, 0.2, 0.3]), "horizon": 5},
        {"recovery": (0.0, 1.0), "contacts": (1.0, 0.2), "costs": (0.0, 0.1), "infection": 2, "horizon": 2},
    ],
    "four_rooms": [{"size": 7, "horizon": 3, "noise_intensity": [0.0, 0.5, 1.0]}],
    "garnet": [{"n_states": 5, "horizon": 2, "table_seed": range(3)}],
    "kinetic_congestion": [{"strength": [0.0, 0.5, 1.0, 9.0], "shape": (3, 4), "walls": [(1, 1)], "horizon": 3}],
    "linear_quadratic": [
        {"max_state": 2, "mean_reversion": [0.5, 1.0], "sigma": [1.0, 3.0]},
        {"max_state": 2, "noise_spacing": [0.5, 1.0]},
    ],
    "maze": [{"walls": ["####", "#..#", "#.##", "####"], "horizon": 3, "noise_intensity": [0.2, 0.9]}],
    "mf_garnet": [
        {"n_states": 6, "horizon": 2, "strength": [0.5, 1.0], "coupling_seed": range(3)},
        {"n_states": 6, "horizon": 2, "coupling": "multiplicative", "strength": [0.0, 3]},
    ],
    "periodic_aversion": [{"size": 7, "horizon": 3, "n_actions_per_side": 2, "noise_volatility": [0.5, 1.0, 2.0]}],
    "random_linear": [{"n_states": 3, "horizon": 2, "seed": [4, 7]}],
    "routing": [
        {"links": [TWO_ROADS, [TWO_ROADS[0], ("A", "B", 2.0, 3.0)]], "demand": [("A", "B", 10)], "horizon": 8},
        {"links": TWO_ROADS, "demand": [("A", "B", 10)], "horizon": 8},
    ],
    "routing_braess": [{"shortcut_time": [0.25, 0.5], "congestion": [0.5, 1.0], "horizon": 12}],
    "routing_line": [{"free_flow": [1.0, 2.0], "capacity": [50, 100], "a": [0.5, 1.0], "b": [1.0, 2.0]}],
    "susceptible_infected": [{"infection": [0.3, 0.6], "recovery": [0.2, 0.4], "horizon": 4}],
}
CASES = [(name, grid) for name, grids in GRIDS.items() for grid in grids]


def test_every_class_is_covered():
    assert set(GRIDS) == set(zoo.classes.CLASSES) <= set(zoo.GAMES)
    assert list(zoo.classes.CLASSES) == sorted(zoo.classes.CLASSES)
    for name, learnable in zoo.classes.CLASSES.items():
        assert set(learnable) <= set(inspect.signature(zoo.GAMES[name]).parameters)
        assert {key for grid in GRIDS[name] for key in grid} >= set(learnable)
        assert name in dir(zoo.classes)


@pytest.mark.parametrize(("name", "grid"), CASES, ids=str)
def test_members_are_the_games_of_their_parameters(name, grid):
    models = getattr(zoo.classes, name)(**grid)
    given = zoo.classes.parameters(name, **grid)
    assert len(models) == len(given)
    rng = np.random.default_rng(0)
    for model, chosen in zip(models, given, strict=True):
        game = zoo.GAMES[name](**chosen)
        assert_array_equal(model.initial, game.initial)
        assert_array_equal(model.legal, game.legal)
        assert (model.horizon, model.population) == (game.horizon, game.population)
        pi = policy(rng, game.horizon, game.legal)
        comp, ref = mfg.condition(model, pi), mfg.condition(game, pi)
        assert_allclose(comp.density, ref.density, atol=1e-15)
        assert_allclose(comp.transition, ref.transition, atol=1e-15)
        assert_array_equal(comp.reward[0], ref.reward[0])
        assert_allclose(comp.reward, ref.reward, rtol=1e-12, atol=1e-12)


def test_the_last_axis_varies_fastest():
    given = zoo.classes.parameters("epidemic", recovery=[0.1, 0.2], horizon=4, infection=np.array([1, 2, 3]))
    pairs = [(x["recovery"], x["infection"]) for x in given]
    assert pairs == [(0.1, 1), (0.1, 2), (0.1, 3), (0.2, 1), (0.2, 2), (0.2, 3)]
    assert all(x["horizon"] == 4 and type(x["infection"]) is int for x in given)
    models = zoo.classes.epidemic(recovery=[0.1, 0.2], horizon=4, infection=np.array([1, 2, 3]))
    assert_array_equal(models.thetas, [[infection, recovery] for recovery, infection in pairs])


def test_numbers_pass_through():
    assert len(zoo.classes.epidemic(horizon=2)) == 1
    assert len(zoo.classes.epidemic(horizon=2, infection=0.5, recovery=np.float64(0.1))) == 1
    assert len(zoo.classes.epidemic(horizon=2, infection=np.array(0.5), recovery=[np.float64(0.1)])) == 1


def test_what_is_shared_is_held_once():
    models = zoo.classes.kinetic_congestion(strength=np.linspace(0, 1, 64), shape=(60, 60), horizon=2)
    alone = zoo.kinetic_congestion((60, 60), 2)
    assert models.thetas.shape == (64, 2)
    for part, other in zip(models.common, alone.models.common, strict=True):
        assert_array_equal(part, other)


def test_rows_that_lead_to_fewer_states_without_noise():
    models = zoo.classes.crowd_modelling_2d(size=3, horizon=2, noise_intensity=[0.5, 0.0])
    assert models.common.successors.shape == (9, 1, 5)
    assert zoo.crowd_modelling_2d(3, 2, noise_intensity=0.0).models.common.successors.shape == (9, 1, 1)


def test_an_epidemic_is_learned():
    models = zoo.classes.epidemic(infection=[0.4, 0.6, 0.8, 1.0], recovery=[0.1, 0.2, 0.3], horizon=20)
    true = 7
    learned = mfg.learn(models, mfg.MeanFieldOracle(models[true], seed=1), epsilon=0.02, delta=0.05)
    assert learned.certified
    assert true in learned.survivors
    gap = mfg.ne_gap(models[true], learned.policy)
    assert gap <= learned.ne_gap_bound + 1e-12
    assert learned.ne_gap_bound <= 0.02 < mfg.ne_gap(models[true], models[true].uniform_policy())
    game = zoo.epidemic(**zoo.classes.parameters("epidemic", infection=0.8, recovery=0.2, horizon=20)[0])
    assert mfg.ne_gap(game, learned.policy) == pytest.approx(gap, rel=1e-12)


def test_grids_of_the_command_line():
    grid = zoo.classes.parse_grid("epidemic", ["infection=0.2:0.9:15", "recovery=0.1, 0.25,1"])
    assert list(grid) == ["infection", "recovery"]
    assert_allclose(grid["infection"], 0.2 + 0.05 * np.arange(15), atol=1e-15)
    assert (grid["infection"][0], grid["infection"][-1]) == (0.2, 0.9)
    assert_array_equal(grid["recovery"], [0.1, 0.25, 1.0])
    assert len(zoo.classes.epidemic(**grid, horizon=2)) == 45

    seeds = zoo.classes.parse_grid("mf_garnet", ["coupling_seed=3:9:4", "strength=1:2:3"])
    assert seeds["coupling_seed"].tolist() == [3, 5, 7, 9]
    assert seeds["coupling_seed"].dtype == np.int64
    assert seeds["strength"].tolist() == [1.0, 1.5, 2.0]
    assert len(zoo.classes.mf_garnet(**seeds, n_states=5, horizon=2)) == 12
    assert zoo.classes.parse_grid("mf_garnet", ["strength=2:2:1"])["strength"].tolist() == [2]
    assert zoo.classes.parse_grid("beach_bar", []) == {}


@pytest.mark.parametrize(
    ("name", "texts", "message"),
    [
        ("epidemics", [], "name: did you mean 'epidemic'"),
        ("crowd_modelling_1d", [], "crowd_modelling_1d has nothing to learn in its transitions"),
        ("routing", ["links=1"], "links of routing is not a number: give it in a script, to zoo.classes.routing"),
        ("epidemic", ["infection"], "an axis must be PARAMETER=FROM:TO:COUNT or .* got 'infection'"),
        ("epidemic", ["infektion=1"], "learnable parameter of epidemic: did you mean 'infection'"),
        ("epidemic", ["horizon=1,2"], "learnable parameter of epidemic must be one of 'infection', 'recovery', got"),
        ("epidemic", ["infection=1", "infection=2"], "infection is given twice"),
        ("epidemic", ["infection=0:1"], "infection must be FROM:TO:COUNT .* got '0:1'"),
        ("epidemic", ["infection=0:1:2:3"], "infection must be FROM:TO:COUNT"),
        ("epidemic", ["infection=0:1:0"], "infection must be FROM:TO:COUNT with a whole COUNT of at least 1"),
        ("epidemic", ["infection=0:1:2.5"], "infection must be FROM:TO:COUNT with a whole COUNT"),
        ("epidemic", ["infection=0:1:1"], "infection=0:1:1 asks for 1 value from 0 to 1"),
        ("epidemic", ["infection=0:x:3"], "infection must be numbers, got 'x'"),
        ("epidemic", ["infection=0.1,,0.3"], "infection must be numbers, got ''"),
        ("epidemic", ["infection="], "infection must be numbers, got ''"),
        ("epidemic", ["infection=nan,1"], "infection must be finite numbers, got 'nan'"),
        ("epidemic", ["infection=0:inf:3"], "infection must be finite numbers, got 'inf'"),
    ],
)
def test_bad_grids(name, texts, message):
    with pytest.raises(ValueError, match=message):
        zoo.classes.parse_grid(name, texts)


@pytest.mark.parametrize(
    ("name", "grid", "error", "message"),
    [
        ("epidemics", {}, ValueError, "name: did you mean 'epidemic'"),
        ("chain_contraction", {}, ValueError, "chain_contraction has nothing to learn in its transitions: .*mf_garnet"),
        ("epidemic", {"infektion": [1]}, ValueError, "parameter of epidemic: did you mean 'infection'"),
        ("epidemic", {"infection": []}, ValueError, "infection is an empty axis"),
        ("epidemic", {"infection": np.empty(0)}, ValueError, "infection is an empty axis"),
        ("epidemic", {"horizon": [10, 20]}, ValueError, "horizon of epidemic takes one value for all models"),
        ("epidemic", {"initial_infected": [0.1, 0.2]}, ValueError,
         r"did you mean .infection.\? .* may differ in infection, recovery only$"),
        ("epidemic", {"contacts": [[1, 0.5], [1, 0.2]]}, ValueError, r"contacts must have shape \[\*\], got \[2, 2\]"),
        ("epidemic", {"recovery": [0.5, 1.5]}, ValueError, r"recovery must lie in \[0, 1\], got 1.5"),
        ("epidemic", {"infection": "0.5"}, TypeError, "infection must be a number, got '0.5'"),
        ("epidemic", {"infection": [[0.5], [0.6]]}, TypeError, r"infection must be a number, got \[0.5\]"),
        ("epidemic", {"infection": [0.5, 0.2, 0.5], "recovery": [0.1, 0.2]}, ValueError,
         r"models 0 \(infection=0.5, recovery=0.1\) and 4 \(infection=0.5, recovery=0.1\) of epidemic are equal"),
        ("epidemic", {"infection": [0.0, -0.0]}, ValueError, "models 0 .* and 1 .* of epidemic are equal"),
        ("mf_garnet", {"strength": 0.0, "coupling_seed": [1, 2]}, ValueError, "models 0 .* and 1 .* are equal"),
        ("routing", {"links": [TWO_ROADS, TWO_ROADS[:1]], "demand": [("A", "B", 1)], "horizon": 3}, ValueError,
         "routing with links=.* and with links=.* differ in n_states"),
        ("mf_garnet", {"coupling_seed": [1.0]}, TypeError, "coupling_seed must be a whole number, got 1.0"),
    ],
)  # fmt: skip
def test_bad_classes(name, grid, error, message):
    with pytest.raises(error, match=message):
        zoo.classes.build(name, **grid)


def test_models_that_differ_in_more_than_their_rows(monkeypatch):
    def crafty(infection=0.5, horizon=3):
        return zoo.epidemic(horizon if infection < 0.6 else horizon + 1, infection=infection)

    def dear(infection=0.5):
        return zoo.epidemic(3, infection=infection, illness=infection)

    for name, game in (("crafty", crafty), ("dear", dear)):
        monkeypatch.setitem(zoo.GAMES, name, game)
        monkeypatch.setitem(classes.CLASSES, name, ("infection",))
    with pytest.raises(ValueError, match=r"crafty with infection=0.5 and with infection=0.7 differ in horizon: models"):
        zoo.classes.crafty(infection=[0.5, 0.55, 0.7])
    with pytest.raises(ValueError, match=r"dear with infection=0.5 and with infection=0.7 differ in shared"):
        zoo.classes.dear(infection=[0.5, 0.7])


def test_only_compiled_games_make_classes(monkeypatch):
    def plain(x=0.5):
        return mfg.Game([1.0], lambda h, mu: np.ones((1, 1, 1)), lambda h, mu: np.zeros((1, 1)), horizon=1)

    monkeypatch.setitem(zoo.GAMES, "plain", plain)
    monkeypatch.setitem(classes.CLASSES, "plain", ("x",))
    with pytest.raises(TypeError, match="plain is not a compiled game"):
        zoo.classes.plain(x=[0.5])


def test_other_names_are_no_classes():
    with pytest.raises(AttributeError, match="has no attribute 'left_right'"):
        _ = zoo.classes.left_right
