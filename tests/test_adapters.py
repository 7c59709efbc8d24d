"""Games of other libraries: against their own exploitability where they are installed, against fakes everywhere."""

import functools
import json
import sys
from types import ModuleType, SimpleNamespace

import fake_open_spiel
import numpy as np
import pytest
from builders import ROOT, crowd_game, policy
from fake_open_spiel import FakeGame
from numpy.testing import assert_allclose, assert_array_equal

import fastmfg as mfg
from fastmfg import adapters
from fastmfg.games.adapters.open_spiel_labels import layout, timeless
from fastmfg.games.adapters.peers import rescaled

GOLDEN = json.loads((ROOT / "tests" / "golden" / "openspiel_zoo.json").read_text())


def some_policy(game, seed=0):
    return policy(np.random.default_rng(seed), game.horizon, game.legal)


# The structure of OpenSpiel's games, on a fake of it


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspiel", fake_open_spiel.module())


FAKES = {
    "plain": {},
    "one step": {"size": 3, "horizon": 1},
    "no charge": {"charge": 0.0},
    "moves follow the crowd": {"drift": True, "horizon": 4},
    "rewards remember the crowd": {"memory": True, "horizon": 4},
    "entries follow the crowd": {"waits": True, "horizon": 5, "size": 3},
    "no crowd": {"crowd": False},
}
FIXED = ("plain", "one step", "no charge", "no crowd")
"""Games whose moves and entries no crowd changes."""


def naive_nash_conv(game, pi, with_action):
    rows = {string: pi[h, s] for h, states in enumerate(game.nodes) for string, s in states.items()}

    def probabilities(state):
        return {a: rows[state.observation_string(0)][a] for a in state.legal_actions()}

    return fake_open_spiel.nash_conv(game.source, probabilities, with_action)


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", FAKES)
def test_a_policy_is_worth_what_a_walk_through_the_states_says(name, seed):
    game = mfg.from_open_spiel(FakeGame(**FAKES[name]))
    for pi in (some_policy(game, seed), game.uniform_policy(), mfg.best_response(game, game.uniform_policy()).policy):
        assert_allclose(mfg.ne_gap(game, pi), naive_nash_conv(game, pi, True), rtol=0, atol=1e-12)


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("name", FIXED)
def test_as_shipped_is_worth_what_a_walk_with_one_value_a_string_says(name):
    game = mfg.from_open_spiel(FakeGame(**FAKES[name]), as_shipped=True)
    exact = mfg.from_open_spiel(FakeGame(**FAKES[name]))
    assert game.as_shipped
    assert game.charges_last_action == (name != "no charge")
    pi = some_policy(game)
    assert_allclose(mfg.ne_gap(game, pi), naive_nash_conv(game, pi, False), rtol=0, atol=1e-12)
    assert (abs(mfg.ne_gap(game, pi) - mfg.ne_gap(exact, pi)) > 1e-3) == game.charges_last_action


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("name", FAKES)
def test_states_are_cells_without_the_time(name):
    facts = FAKES[name]
    game = mfg.from_open_spiel(FakeGame(**facts))
    size, horizon = facts.get("size", 4), facts.get("horizon", 3)
    assert game.horizon == horizon == len(game.nodes)
    assert game.population == "joint"
    assert len(set(game.labels)) == game.n_states
    plain = [f"(x={x}, t=t) decision" for x in range(size)]
    assert game.labels[:size] == plain
    if name != "entries follow the crowd":
        assert game.labels == plain
    assert_array_equal(game.initial[:size], 2 * np.arange(1, size + 1) / (size * (size + 1)))
    assert_array_equal(game.legal[:size, 0], np.arange(size) > 0)
    for states in game.nodes:
        assert len(set(states.values())) == len(states)


@pytest.mark.usefixtures("fake")
def test_waits_that_no_uniform_crowd_brings_about_are_found():
    game = mfg.from_open_spiel(FakeGame(**FAKES["entries follow the crowd"]))
    waits = {label.partition("wait=")[2][:1] for label in game.labels}
    assert waits == {"", "1", "2", "3", "4", "5"}


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("name", FAKES)
def test_rows_and_rewards_of_a_fake(name):
    """A step that is known in closed form: from cell 1 at step 0, action 2."""
    game = mfg.from_open_spiel(FakeGame(**FAKES[name]))
    facts = {"size": 4, "horizon": 3, "charge": 0.3, **FAKES[name]}
    joint = game.initial[:, None] * some_policy(game)[0]
    rows, paid = game.transition(0, joint), game.reward(0, joint)
    n = facts["size"]
    first, second = 2 % n, 3 % n
    paid_before = 0.3 / n if name == "rewards remember the crowd" else 0.0
    start = np.sin(1) - np.log(1 / n + 0.1) + paid_before
    if facts["horizon"] == 1:
        assert_allclose(paid[1, 2], start + 0.75 * first + 0.25 * second - facts["charge"], rtol=0, atol=1e-14)
        return
    if name in FIXED:
        assert_allclose(rows[1, 2, [first, second]], [0.75, 0.25], rtol=0, atol=1e-15)
    m = shares_after(joint, n)
    if name == "no crowd":
        m = np.full(n, 1 / n)  # nobody is told
    told = [
        x / 20 * (name != "no crowd") + np.sin(x) - facts["charge"] * (1 + m[x]) - np.log(m[x] + 0.1) + paid_before
        for x in (first, second)
    ]
    assert_allclose(paid[1, 2], start + 0.75 * told[0] + 0.25 * told[1], rtol=0, atol=1e-14)


def shares_after(joint, n):
    """Where the crowd of a fake is after one step from a joint over its first n states, which does not drift."""
    m = np.zeros(n)
    for x in range(n):
        for a in range(3):
            m[(x + a - 1) % n] += 0.75 * joint[x, a]
            m[(x + a) % n] += 0.25 * joint[x, a]
    return m


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("name", FAKES)
def test_states_that_a_step_does_not_have_stay_and_earn_nothing(name):
    game = mfg.from_open_spiel(FakeGame(**FAKES[name]))
    seen = np.full((game.n_states, 3), 1 / (3 * game.n_states))
    for h, states in enumerate(game.nodes):
        rows, paid = game.transition(h, seen), game.reward(h, seen)
        absent = np.setdiff1d(np.arange(game.n_states), list(states.values()))
        assert_array_equal(rows[absent][:, :, absent], np.repeat(np.eye(len(absent))[:, None], 3, axis=1))
        assert not paid[absent].any()
        assert not paid[~game.legal].any()
        nobody = np.zeros((game.n_states, 3))
        if absent.size:
            nobody[absent[0], 1] = 1.0  # no play puts anybody there
            assert np.isfinite(game.reward(h, nobody)).all()


@pytest.mark.usefixtures("fake")
def test_a_fake_is_solved():
    game = mfg.from_open_spiel(FakeGame())
    solution = mfg.solve(game, tol=1e-3)
    assert solution.converged
    assert_allclose(naive_nash_conv(game, solution.policy, True), solution.ne_gap, rtol=0, atol=1e-12)


@pytest.mark.usefixtures("fake")
def test_from_open_spiel_policy_reads_what_the_policy_says():
    game = mfg.from_open_spiel(FakeGame(**FAKES["entries follow the crowd"]))
    pi = some_policy(game)
    rows = {string: pi[h, s] for h, states in enumerate(game.nodes) for string, s in states.items()}
    peers = SimpleNamespace(
        action_probabilities=lambda state: {a: rows[state.observation_string(0)][a] for a in state.legal_actions()}
    )
    expected = game.uniform_policy()
    for h, states in enumerate(game.nodes):
        expected[h, list(states.values())] = pi[h, list(states.values())]
    assert_array_equal(adapters.from_open_spiel_policy(game, peers), expected)
    assert_array_equal(adapters.from_open_spiel_policy(game.source, peers), expected)
    with pytest.raises(TypeError, match="policy must be an OpenSpiel policy, got ndarray"):
        adapters.from_open_spiel_policy(game, pi)
    with pytest.raises(ValueError, match=r"policy\[0, 0\] sums to 0.4"):
        adapters.from_open_spiel_policy(game, SimpleNamespace(action_probabilities=lambda state: {1: 0.4}))


@pytest.mark.usefixtures("fake")
def test_chances_in_single_precision_are_divided_by_their_sum():
    game = mfg.from_open_spiel(FakeGame(oddity="single precision"))
    row = game.transition(0, game.initial[:, None] * game.uniform_policy()[0])[1, 2]
    assert_allclose(row[[2, 3]], np.array([0.75, 0.25 - 1e-7]) / (1 - 1e-7), rtol=0, atol=1e-15)


# What is refused


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(
    ("game", "error", "match"),
    [
        ("mfg_garnet", TypeError, r"game must be a pyspiel\.Game, got str"),
        (None, TypeError, r"game must be a pyspiel\.Game, got NoneType"),
        (FakeGame(dynamics="SEQUENTIAL"), ValueError, "must be a mean-field game, fake has SEQUENTIAL dynamics"),
        (FakeGame(players=3), ValueError, "3 populations, and one only can be converted: build it as a MultiTypeGame"),
        (FakeGame(chance_mode="SAMPLED_STOCHASTIC"), ValueError, r"samples its chances \(continuous states\?\)"),
        (
            FakeGame(oddity="crowd first"),
            ValueError,
            r"must begin with chance and a decision, got '\(x=0, t=0\) crowd'",
        ),
        (FakeGame(oddity="mixed"), ValueError, r"nodes of different kinds at one depth: .*\(mean field\)"),
        (
            FakeGame(oddity="noise after crowd"),
            ValueError,
            r"a chance node after a mean-field node, at '\(x=0, t=1\) noise'",
        ),
        (FakeGame(oddity="loaded"), ValueError, r"chance_outcomes at '\(x=0, t=0\) noise' sums to 0\.8999"),
        (FakeGame(oddity="hidden"), ValueError, "chances at '.*noise' depend on the last action"),
        (FakeGame(waits=True, drift=True), ValueError, "the moves of step 2 depend on a distribution that"),
    ],
)
def test_what_is_no_finite_game_of_one_population_is_refused(game, error, match):
    with pytest.raises(error, match=match):
        mfg.from_open_spiel(game)


@pytest.mark.usefixtures("fake")
def test_too_many_states_are_counted_and_refused():
    game = FakeGame(size=6, horizon=5)
    assert sum(map(len, mfg.from_open_spiel(game, max_states=30).nodes)) == 30
    with pytest.raises(
        ValueError, match=r"game has 30 states by step 4, more than max_states = 29: .* raise max_states"
    ):
        mfg.from_open_spiel(game, max_states=29)
    with pytest.raises(ValueError, match="game has 6 states and more at one depth, more than max_states = 5"):
        mfg.from_open_spiel(game, max_states=5)
    with pytest.raises(TypeError, match="max_states must be a whole number"):
        mfg.from_open_spiel(game, max_states=2.5)
    with pytest.raises(ValueError, match="max_states must be at least 1"):
        mfg.from_open_spiel(game, max_states=0)


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("name", [name for name in FAKES if name not in FIXED])
def test_as_shipped_needs_an_order_that_no_crowd_changes(name):
    with pytest.raises(ValueError, match="as_shipped can not be had: the order of the traversal"):
        mfg.from_open_spiel(FakeGame(**FAKES[name]), as_shipped=True)


@pytest.mark.usefixtures("fake")
def test_a_state_that_reading_did_not_meet_is_named():
    game = FakeGame(waits=True, size=3, horizon=3)
    converted = mfg.from_open_spiel(game)
    FakeGame.surprise = 7
    try:
        with pytest.raises(ValueError, match=r"step 0 leads to the state '.*wait=7.*', which was not met"):
            mfg.ne_gap(converted, some_policy(converted))
    finally:
        FakeGame.surprise = None


CALLS = {
    "from_open_spiel": lambda: mfg.from_open_spiel(FakeGame()),
    "to_open_spiel_policy": lambda: adapters.to_open_spiel_policy(FakeGame(), np.ones(1)),
    "from_open_spiel_policy": lambda: adapters.from_open_spiel_policy(FakeGame(), None),
    "open_spiel_nash_conv": lambda: adapters.open_spiel_nash_conv(FakeGame(), np.ones(1)),
    "from_mfglib": lambda: mfg.from_mfglib(None),
    "to_mfglib": lambda: adapters.to_mfglib(mfg.zoo.beach_bar(n_states=4)),
    "to_mfglib_policy": lambda: adapters.to_mfglib_policy(None, np.ones(1)),
    "from_mfglib_policy": lambda: adapters.from_mfglib_policy(None, np.ones(1)),
    "mfglib_exploitability": lambda: adapters.mfglib_exploitability(None, np.ones(1)),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_missing_package_is_named_with_the_way_to_get_it(name, monkeypatch):
    for module in ("pyspiel", "torch", "mfglib", "mfglib.env"):
        monkeypatch.setitem(sys.modules, module, None)
    extra = "mfglib" if "mfglib" in name else "open-spiel"
    with pytest.raises(ImportError, match=rf'can not be imported \(.*\): pip install "fastmfg\[{extra}\]"'):
        CALLS[name]()


def test_all_calls_are_exported_and_tried_without_their_package():
    assert {*CALLS, "OpenSpielGame"} == set(adapters.__all__)


@pytest.fixture
def fake_mfglib(monkeypatch):
    """Enough of MFGLib to be refused by: the class of its environments."""
    module = ModuleType("mfglib.env")
    module.Environment = type("Environment", (SimpleNamespace,), {})
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    monkeypatch.setitem(sys.modules, "mfglib.env", module)
    return module.Environment


def test_what_is_no_finite_environment_is_refused(fake_mfglib):
    for call in (mfg.from_mfglib, lambda env: adapters.to_mfglib_policy(env, None)):
        with pytest.raises(TypeError, match=r"env must be an mfglib\.env\.Environment, got dict"):
            call({})
        for shapes, name in (((1.5, (2,)), "S"), (((3,), ()), "A"), (((3,), (0,)), "A"), (((2.0,), (2,)), "S")):
            with pytest.raises(TypeError, match=rf"env\.{name} must be a tuple of whole numbers, got .* finite here"):
                call(fake_mfglib(S=shapes[0], A=shapes[1], T=1))
    with pytest.raises(TypeError, match="game must be a Game, got dict"):
        adapters.to_mfglib({})
    with pytest.raises(ValueError, match=r"MFGLib has no illegal actions, and action \d is illegal in state \d"):
        adapters.to_mfglib(mfg.Game(**crowd_game(0, masked=True)))
    with pytest.raises(ValueError, match="r_max must lie in"):
        adapters.to_mfglib(mfg.zoo.beach_bar(n_states=4), r_max=0.0)


# Labels and sums


def test_the_time_is_what_every_string_of_a_kind_counts():
    names = [["(2, 0)", "(0, 0)"], ["(1, 1)", "(2, 1)"], ["(1, 2)"]]
    assert timeless(names) == [["(2, t)", "(0, t)"], ["(1, t)", "(2, t)"], ["(1, t)"]]
    assert timeless([["(5, 0)"], ["(6, 1)"]]) == [["(5, t)"], ["(6, t)"]]  # both count
    names = [["go 7 of 1.5"], ["go 8 of 1.5", "arrived"], ["go 9 of 2"]]  # seven more than the step
    assert timeless(names) == [["go t of 1.5"], ["go t of 1.5", "arrived"], ["go t of 2"]]
    assert timeless([["a-1"], ["a-1"]]) == [["a-1"], ["a-1"]]  # no time: the same string at two steps


def test_states_with_other_legal_actions_are_others():
    places = layout([["(3, 0)"], ["(3, 1)", "(4, 1)"], ["(3, 2)"]], [[(0, 2)], [(1,), (0, 2)], [(0, 2)]], 3)
    assert places.labels == ["(3, t)", "(3, t)", "(4, t)"]
    assert [state.tolist() for state in places.state] == [[0], [1, 2], [0]]
    assert_array_equal(places.legal, [[True, False, True], [False, True, False], [True, False, True]])


def test_only_sums_of_single_precision_are_divided_out():
    rows = np.array([[0.5, 0.5 + 1e-10], [0.5, 0.5 - 1e-7], [0.5, 0.4], [0.25, 0.75]])
    assert_array_equal(rescaled(rows)[[0, 2, 3]], rows[[0, 2, 3]])
    assert_allclose(rescaled(rows)[1], rows[1] / rows[1].sum(), rtol=0, atol=0)


# OpenSpiel's own games, where OpenSpiel is

OPEN_SPIEL = [
    ("mfg_crowd_modelling", {}),
    ("mfg_crowd_modelling", {"size": 7, "horizon": 4}),
    ("mfg_crowd_modelling", {"size": 4, "horizon": 9}),
    ("python_mfg_crowd_modelling", {"size": 6, "horizon": 5}),
    ("python_mfg_crowd_modelling", {"size": 4, "horizon": 3}),
    ("python_mfg_crowd_modelling", {"size": 5, "horizon": 2}),
    ("mfg_crowd_modelling_2d", {"size": 5, "horizon": 4}),
    ("mfg_crowd_modelling_2d", {"size": 4, "horizon": 5, "with_congestion": True, "crowd_aversion_coef": 0.5}),
    (
        "mfg_crowd_modelling_2d",
        {
            "size": 5,
            "horizon": 6,
            "forbidden_states": "[0|0;1|1;2|2;2|3]",
            "initial_distribution": "[0|1;3|3]",
            "initial_distribution_value": "[0.25;0.75]",
            "noise_intensity": 0.5,
            "positional_reward": "[0|3;4|4]",
            "positional_reward_value": "[1.5;0.5]",
        },
    ),
    ("mfg_garnet", {}),
    ("mfg_garnet", {"size": 6, "num_action": 2, "seed": 3, "eta": 0.3, "horizon": 5}),
    ("mfg_garnet", {"size": 7, "sparsity_factor": 0.0, "num_chance_action": 4, "horizon": 4}),
    ("python_mfg_periodic_aversion", {"size": 7, "horizon": 3, "n_actions_per_side": 2}),
    ("python_mfg_periodic_aversion", {"size": 9, "horizon": 2, "n_actions_per_side": 3, "volatility": 0.5, "dt": 0.02}),
    ("python_mfg_periodic_aversion", {"size": 5, "horizon": 4, "n_actions_per_side": 1, "coef_aversion": 2.0}),
    ("mean_field_lin_quad", {"size": 6, "horizon": 4, "n_actions_per_side": 2}),
    ("mean_field_lin_quad", {"size": 8, "horizon": 3, "mean_revert": 0.4}),
    ("mean_field_lin_quad", {"size": 5, "horizon": 3, "dt": 0.5, "n_actions_per_side": 1, "cross_q": 0.2}),
    ("mfg_dynamic_routing", {"time_step_length": 0.25, "max_num_time_step": 25}),
    ("mfg_dynamic_routing", {"time_step_length": 0.5, "max_num_time_step": 12}),
    ("mfg_dynamic_routing", {"network": "line", "max_num_time_step": 5}),
    ("python_mfg_dynamic_routing", {"time_step_length": 0.25, "max_num_time_step": 20}),
    ("python_mfg_dynamic_routing", {"time_step_length": 0.5, "max_num_time_step": 12}),
    ("python_mfg_dynamic_routing", {"time_step_length": 0.2, "max_num_time_step": 26}),
    ("normal_form", {"num_actions": 3, "reward_function": "coop"}),
    ("normal_form", {"num_actions": 3, "reward_function": "dom"}),
    ("normal_form", {"num_actions": 3, "reward_function": "biased_indirect_rps"}),
]
NAMES = [f"{name}-{i % 3}" for i, (name, _) in enumerate(OPEN_SPIEL)]
CHARGED = ("crowd_modelling", "garnet-0", "garnet-1", "periodic", "lin_quad")
"""Games that pay for a last action that is not in their states."""


@pytest.fixture(scope="module")
def open_spiel():
    """OpenSpiel with its mean-field games."""
    pytest.importorskip("pyspiel", reason="OpenSpiel is not installed")
    pytest.importorskip("open_spiel.python.mfg.games.factory")
    return sys.modules


@functools.cache
def loaded(index, as_shipped=False):
    """A game of the list, converted."""
    name, parameters = OPEN_SPIEL[index]
    if name == "normal_form":
        module = pytest.importorskip("open_spiel.python.mfg.games.normal_form_game")
        return mfg.from_open_spiel(module.MFGNormalFormGame(parameters), as_shipped=as_shipped)
    return mfg.from_open_spiel(sys.modules["pyspiel"].load_game(name, parameters), as_shipped=as_shipped)


def published(game):
    """OpenSpiel's NashConv of its own uniform policy, nothing of ours."""
    algorithms = pytest.importorskip("open_spiel.python.mfg.algorithms.nash_conv")
    policies = pytest.importorskip("open_spiel.python.policy")
    return algorithms.NashConv(game.source, policies.UniformRandomPolicy(game.source)).nash_conv()


each_game = pytest.mark.parametrize("index", range(len(OPEN_SPIEL)), ids=NAMES)


@pytest.mark.usefixtures("open_spiel")
@each_game
def test_uniform_ne_gaps_are_open_spiels(index):
    game = loaded(index)
    uniform = game.uniform_policy()
    assert game.charges_last_action == any(part in NAMES[index] for part in CHARGED)
    assert_allclose(mfg.ne_gap(game, uniform), adapters.open_spiel_nash_conv(game, uniform), rtol=0, atol=1e-9)
    if not game.charges_last_action:
        assert_allclose(mfg.ne_gap(game, uniform), published(game), rtol=0, atol=1e-9)
    elif OPEN_SPIEL[index][1].get("mean_revert"):
        with pytest.raises(ValueError, match="as_shipped can not be had"):
            loaded(index, as_shipped=True)
    else:
        shipped = loaded(index, as_shipped=True)
        assert_allclose(mfg.ne_gap(shipped, uniform), published(game), rtol=0, atol=1e-9)
        assert_allclose(adapters.open_spiel_nash_conv(shipped, uniform), published(game), rtol=0, atol=1e-9)


@pytest.mark.usefixtures("open_spiel")
@each_game
def test_ne_gaps_of_any_policy_are_open_spiels(index):
    game = loaded(index)
    pi = some_policy(game, seed=index)
    assert mfg.ne_gap(game, pi) > 1e-6 or "line" in OPEN_SPIEL[index][1].values()
    assert_allclose(mfg.ne_gap(game, pi), adapters.open_spiel_nash_conv(game, pi), rtol=0, atol=1e-9)


@pytest.mark.usefixtures("open_spiel")
@pytest.mark.parametrize("index", range(1, len(OPEN_SPIEL), 3), ids=NAMES[1::3])
def test_a_solved_policy_is_as_good_in_open_spiel(index):
    game = loaded(index)
    solution = mfg.solve(game, tol=1e-12, max_iterations=15)
    assert solution.ne_gap < 0.5 * mfg.ne_gap(game, game.uniform_policy()) + 1e-9
    assert_allclose(adapters.open_spiel_nash_conv(game, solution.policy), solution.ne_gap, rtol=0, atol=1e-9)


@pytest.mark.usefixtures("open_spiel")
@pytest.mark.parametrize("index", [1, 8, 19, 24], ids=lambda i: NAMES[i])
def test_policies_go_there_and_back(index):
    policies = pytest.importorskip("open_spiel.python.policy")
    game = loaded(index)
    pi = some_policy(game)
    there = adapters.to_open_spiel_policy(game, pi)
    assert isinstance(there, policies.Policy)
    back = adapters.from_open_spiel_policy(game, there)
    for h, states in enumerate(game.nodes):
        assert_array_equal(back[h, list(states.values())], pi[h, list(states.values())])
    assert_allclose(mfg.ne_gap(game, back), mfg.ne_gap(game, pi), rtol=0, atol=1e-15)
    uniform = adapters.from_open_spiel_policy(game, policies.UniformRandomPolicy(game.source))
    assert_array_equal(uniform, game.uniform_policy())


@pytest.mark.usefixtures("open_spiel")
def test_open_spiels_published_figure():
    """The NashConv that OpenSpiel's own tests expect of the uniform policy in mfg_crowd_modelling."""
    game = loaded(0, as_shipped=True)
    assert_allclose(mfg.ne_gap(game, game.uniform_policy()), 2.8135365543870385, rtol=0, atol=1e-12)


@pytest.mark.usefixtures("open_spiel")
@pytest.mark.parametrize("index", [0, 1, 2, 6])
def test_the_zoo_has_the_same_games(index):
    name, parameters = OPEN_SPIEL[index]
    maker = mfg.zoo.crowd_modelling_2d if name.endswith("2d") else mfg.zoo.crowd_modelling_1d
    ours, theirs = maker(**parameters), loaded(index)
    for ours_pi, theirs_pi in zip(alike_policies(ours, theirs), alike_policies(theirs, theirs), strict=True):
        assert_allclose(mfg.ne_gap(ours, ours_pi), mfg.ne_gap(theirs, theirs_pi), rtol=0, atol=1e-9)


def alike_policies(game, numbered):
    """The uniform policy; on lines also one that depends on the state (grids number cells otherwise)."""
    uniform = game.uniform_policy()
    return (uniform, some_policy(game)) if numbered.n_actions == 3 else (uniform,)


@pytest.mark.usefixtures("open_spiel")
@pytest.mark.parametrize("index", [1, 2])
def test_golden_periodic_aversion(index):
    entry = dict(GOLDEN["periodic_aversion"][index])
    expected = entry.pop("uniform")
    entry = {key.replace("_m", "m") if key in ("x_min", "x_max") else key: value for key, value in entry.items()}
    game = mfg.from_open_spiel(sys.modules["pyspiel"].load_game("python_mfg_periodic_aversion", entry))
    assert_allclose(mfg.ne_gap(game, game.uniform_policy()), expected, rtol=0, atol=1e-9)


@pytest.mark.usefixtures("open_spiel")
def test_golden_four_rooms():
    rooms = pytest.importorskip("open_spiel.python.mfg.games.crowd_modelling_2d").FOUR_ROOMS
    entry = dict(GOLDEN["four_rooms"][2])
    expected = entry.pop("uniform")
    parameters = {**rooms, **entry, "only_distribution_reward": True}
    game = mfg.from_open_spiel(sys.modules["pyspiel"].load_game("mfg_crowd_modelling_2d", parameters))
    assert_allclose(mfg.ne_gap(game, game.uniform_policy()), expected, rtol=0, atol=1e-9)


@pytest.mark.usefixtures("open_spiel")
@pytest.mark.parametrize("name", ["python_mfg_crowd_avoidance", "python_mfg_predator_prey", "kuhn_poker"])
def test_open_spiels_other_games_are_refused(name):
    game = sys.modules["pyspiel"].load_game(name)
    match = "must be a mean-field game" if name == "kuhn_poker" else r"has \d populations.*MultiTypeGame"
    for call in (mfg.from_open_spiel, lambda game: adapters.open_spiel_nash_conv(game, np.ones(1))):
        with pytest.raises(ValueError, match=match):
            call(game)


@pytest.mark.usefixtures("open_spiel")
def test_bad_policies_for_open_spiel():
    game = loaded(1)
    for call in (adapters.to_open_spiel_policy, adapters.open_spiel_nash_conv):
        with pytest.raises(ValueError, match="policy must have shape"):
            call(game, np.ones((2, 2, 2)))
    stranger = loaded(0).source.new_initial_states()[0].child(9)
    with pytest.raises(ValueError, match=r"policy knows no decision '\(9, 0\)'"):
        adapters.to_open_spiel_policy(game, game.uniform_policy()).action_probabilities(stranger)


# MFGLib's own environments, where MFGLib is

MFGLIB = [
    ("beach_bar", {}),
    ("beach_bar", {"T": 5, "n": 20, "bar_loc": 3, "p_still": 0.2}),
    ("beach_bar", {"T": 9, "n": 7, "bar_loc": 0, "log_eps": 1e-3}),
    ("building_evacuation", {"n_floor": 2, "floor_l": 3, "floor_w": 3}),
    ("building_evacuation", {"T": 6, "n_floor": 3, "floor_l": 4, "floor_w": 2, "eta": 0.5, "evac_r": 3.0}),
    ("building_evacuation", {"T": 1, "n_floor": 1, "floor_l": 2, "floor_w": 5, "log_eps": 1e-3}),
    ("conservative_treasure_hunting", {}),
    ("conservative_treasure_hunting", {"T": 3, "n": 5, "r": (1.0, 2.0, 3.0, 0.5, 0.0), "c": (0.1, 2.0, 5.0)}),
    ("conservative_treasure_hunting", {"T": 8, "n": 2, "r": (1.0, 2.0), "c": (1.0,) * 8}),
    ("crowd_motion", {"torus_l": 6, "torus_w": 5}),
    ("crowd_motion", {"T": 7, "torus_l": 5, "torus_w": 8, "loc_change_freq": 1, "p_still": 0.3, "seed": 4}),
    ("crowd_motion", {"T": 5, "torus_l": 4, "torus_w": 4, "c": 2.0, "log_eps": 1e-3, "p_still": 0.0, "seed": 7}),
    ("equilibrium_price", {}),
    ("equilibrium_price", {"T": 6, "s_inv": 5, "Q": 3, "d": 20.0, "e0": 0.5, "sigma": 2.0}),
    ("equilibrium_price", {"s_inv": 2, "Q": 3, "H": 4, "d": 8.0, "e0": 1.5, "c": (0.1, 0.3, 0.2, 0.4, 0.15)}),
    ("left_right", {}),
    ("left_right", {"mu0": (0.5, 0.25, 0.25)}),
    ("left_right", {"mu0": (0.0, 0.875, 0.125)}),
    ("linear_quadratic", {}),
    ("linear_quadratic", {"T": 4, "el": 4, "m": 3, "sigma": 1.0, "delta": 0.7, "k": 0.4, "q": 0.2, "kappa": 0.8}),
    ("linear_quadratic", {"T": 2, "el": 6, "m": 1, "sigma": 1.7, "delta": 0.33, "k": 1.3, "q": 0.1, "c_term": 2.0}),
    ("random_linear", {}),
    ("random_linear", {"T": 5, "n": 8, "m": 1.0, "seed": 3}),
    ("random_linear", {"T": 2, "n": 11, "m": 3.0, "seed": 5}),
    ("rock_paper_scissors", {}),
    ("rock_paper_scissors", {"T": 4}),
    ("rock_paper_scissors", {"T": 3, "mu0": (0.125, 0.25, 0.5, 0.125)}),
    ("susceptible_infected", {}),
    ("susceptible_infected", {"T": 5}),
    ("susceptible_infected", {"T": 20, "mu0": (0.875, 0.125)}),
]
each_environment = pytest.mark.parametrize(("name", "parameters"), MFGLIB, ids=[name for name, _ in MFGLIB])


@pytest.fixture
def torch():
    """torch whose default dtype is float64 for this test."""
    module = pytest.importorskip("torch", reason="torch, and so MFGLib, is not installed")
    pytest.importorskip("mfglib.env")
    before = module.get_default_dtype()
    module.set_default_dtype(module.float64)
    yield module
    module.set_default_dtype(before)


def environment(name, parameters):
    return getattr(sys.modules["mfglib.env"].Environment, name)(**parameters)


def published_score(env, policy_of_env):
    """MFGLib's exploitability, nothing of ours."""
    pytest.importorskip("mfglib.alg")
    return pytest.importorskip("mfglib.scoring").exploitability_score(env, policy_of_env)


@each_environment
def test_ne_gaps_are_mfglibs(torch, name, parameters):
    env = environment(name, parameters)
    game = mfg.from_mfglib(env)
    assert (game.horizon, game.n_states, game.n_actions) == (env.T + 1, env.n_states, env.n_actions)
    uniform = torch.ones(env.T + 1, *env.S, *env.A) / env.n_actions
    assert_allclose(mfg.ne_gap(game, game.uniform_policy()), published_score(env, uniform), rtol=0, atol=1e-9)
    pi = some_policy(game)
    theirs = torch.tensor(pi).reshape(uniform.shape)
    assert_allclose(mfg.ne_gap(game, pi), published_score(env, theirs), rtol=0, atol=1e-9)
    assert_allclose(adapters.mfglib_exploitability(env, pi), published_score(env, theirs), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("name", "parameters"), MFGLIB[::3])
def test_ne_gaps_in_single_precision(torch, name, parameters):
    torch.set_default_dtype(torch.float32)
    env = environment(name, parameters)
    game = mfg.from_mfglib(env)
    pi = some_policy(game)
    gap, score = mfg.ne_gap(game, pi), adapters.mfglib_exploitability(env, pi)
    assert torch.get_default_dtype() == torch.float32
    assert env.mu0.dtype == torch.float32
    assert_allclose(gap, score, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "parameters"), MFGLIB[1::6])
def test_a_solved_policy_is_as_good_in_mfglib(torch, name, parameters):
    env = environment(name, parameters)
    game = mfg.from_mfglib(env)
    solution = mfg.solve(game, tol=1e-4, max_iterations=40)
    assert solution.ne_gap < 0.8 * mfg.ne_gap(game, game.uniform_policy())
    assert_allclose(adapters.mfglib_exploitability(env, solution.policy), solution.ne_gap, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("name", "parameters"), [MFGLIB[3], MFGLIB[12]])
def test_tensors_go_there_and_back(torch, name, parameters):
    env = environment(name, parameters)
    pi = some_policy(mfg.from_mfglib(env))
    there = adapters.to_mfglib_policy(env, pi)
    assert (there.dtype, tuple(there.shape)) == (torch.float64, (env.T + 1, *env.S, *env.A))
    assert_array_equal(adapters.from_mfglib_policy(env, there), pi)
    assert_allclose(adapters.from_mfglib_policy(env, there.to(torch.float32)), pi, rtol=0, atol=1e-7)
    with pytest.raises(ValueError, match=r"policy must have shape \[.*\], got \[.*\]"):
        adapters.from_mfglib_policy(env, there[:1])
    with pytest.raises(ValueError, match=r"policy\[0, 0\] sums to"):
        adapters.from_mfglib_policy(env, 0.5 * there)
    for call in (adapters.to_mfglib_policy, adapters.mfglib_exploitability):
        with pytest.raises(ValueError, match="policy must have shape"):
            call(env, pi[:1])


GAMES = {
    "state": lambda: mfg.Game(**crowd_game(3)),
    "joint": lambda: mfg.Game(**crowd_game(4, joint=True)),
    "one step": lambda: mfg.Game(**crowd_game(5, H=1)),
    "zoo": mfg.zoo.left_right,
}


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("single", [False, True])
def test_games_go_there_and_back(torch, name, single):
    torch.set_default_dtype(torch.float32 if single else torch.float64)
    game = GAMES[name]()
    env = adapters.to_mfglib(game)
    pi = some_policy(game)
    tolerance = 1e-5 if single else 1e-9
    assert_allclose(adapters.mfglib_exploitability(env, pi), mfg.ne_gap(game, pi), rtol=0, atol=tolerance)
    assert_allclose(
        published_score(env, torch.tensor(pi, dtype=env.mu0.dtype)), mfg.ne_gap(game, pi), rtol=0, atol=tolerance
    )
    back = mfg.from_mfglib(env)
    assert (back.population, back.horizon) == ("joint", game.horizon)
    assert_allclose(mfg.ne_gap(back, pi), mfg.ne_gap(game, pi), rtol=0, atol=tolerance)


@pytest.mark.usefixtures("torch")
def test_mfglib_solves_our_games():
    game = GAMES["state"]()
    env = adapters.to_mfglib(game)
    algorithms = pytest.importorskip("mfglib.alg")
    solutions, _, _ = algorithms.OnlineMirrorDescent(alpha=1.0).solve(env, max_iter=200, verbose=0)
    gap = mfg.ne_gap(game, adapters.from_mfglib_policy(env, solutions[-1]))
    assert gap < 0.1 * mfg.ne_gap(game, game.uniform_policy())


def test_bounds_and_gradients_of_our_games(torch):
    game = GAMES["joint"]()
    env = adapters.to_mfglib(game)
    assert adapters.to_mfglib(game, r_max=7).r_max == 7
    seen = game.initial[:, None] * game.uniform_policy()[0]
    assert env.r_max >= np.abs(game.reward(0, seen)).max()
    joint = torch.tensor(seen, requires_grad=True)
    for function in (env.prob, env.reward):
        with pytest.raises(TypeError, match="carry no gradients"):
            function(0, joint)


def test_faults_of_an_environment_are_named_and_the_dtype_is_restored(torch):
    torch.set_default_dtype(torch.float32)
    env = environment("beach_bar", {})
    env.transition_fn = lambda env, t, joint: 0.5 * torch.ones(4, 4, 3)
    with pytest.raises(ValueError, match=r"transition\(0, population\)\[0, 0\] sums to 2.0"):
        mfg.from_mfglib(env)
    env.transition_fn = lambda env, t, joint: torch.ones(3) @ torch.ones(4)
    with pytest.raises(RuntimeError):
        mfg.from_mfglib(env)
    assert torch.get_default_dtype() == torch.float32
    env = environment("beach_bar", {})
    env.mu0 = torch.tensor([0.5, 0.5, 0.5, -0.5])
    with pytest.raises(ValueError, match=r"initial\[3\] is -0.5"):
        mfg.from_mfglib(env)
