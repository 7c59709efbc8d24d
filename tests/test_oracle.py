"""The oracle samples its game at the reference policy's density; nothing but the seed and the number decide."""

import naive
import numpy as np
import pytest
from builders import crowd_game, policy
from learning_cases import certain_class, filled_class, near_class
from numpy.testing import assert_array_equal
from scipy.stats import chi2

import fastmfg as mfg

ERROR = 1e-6
"""Probability with which a right oracle fails a test of frequencies (seeds are fixed: it passes or not for good)."""


@pytest.fixture
def game():
    return mfg.Game(**crowd_game(3, masked=True))


@pytest.fixture
def pair(game):
    """A deviation and a reference policy."""
    rng = np.random.default_rng(0)
    return policy(rng, game.horizon, game.legal), policy(rng, game.horizon, game.legal)


def sample(game, pair, pieces, seed=7):
    """States and actions, drawn in pieces of the given sizes."""
    oracle = mfg.MeanFieldOracle(game, seed=seed)
    states, actions = zip(*(oracle.sample(*pair, n) for n in pieces), strict=True)
    return np.concatenate(states), np.concatenate(actions)


def test_shapes_and_dtypes(game, pair):
    oracle = mfg.MeanFieldOracle(game, seed=0)
    for n in (1, 5):
        states, actions = oracle.sample(*pair, n)
        assert (states.shape, actions.shape) == ((n, game.horizon + 1), (n, game.horizon))
        assert states.dtype == actions.dtype == np.int64
    assert oracle.trajectories == 6


def test_the_seed_decides(game, pair):
    first, again, other = (sample(game, pair, [30], seed) for seed in (7, 7, 8))
    assert_array_equal(first[0], again[0])
    assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("pieces", [[1] * 12, [5, 7], [1, 9, 2]])
def test_many_at_once_are_one_at_a_time(game, pair, pieces):
    whole, cut = sample(game, pair, [12]), sample(game, pair, pieces)
    assert_array_equal(whole[0], cut[0])
    assert_array_equal(whole[1], cut[1])


def test_earlier_policies_leave_no_trace(game, pair):
    deviation, reference = pair
    mixed = mfg.MeanFieldOracle(game, seed=7)
    mixed.sample(reference, deviation, 5)
    states, actions = mixed.sample(deviation, reference, 7)
    ref = sample(game, pair, [12])
    assert_array_equal(states, ref[0][5:])
    assert_array_equal(actions, ref[1][5:])


def test_a_reference_changed_in_place_counts():
    """The next state is where the crowd started playing: the density of the reference decides everything."""

    def transition(h, mu):
        return np.broadcast_to(mu if h else np.eye(2)[None], (2, 2, 2)).copy()

    game = mfg.Game([1.0, 0.0], transition, lambda h, mu: np.zeros((2, 2)), horizon=2)
    stay = np.zeros((2, 2, 2))
    stay[..., 0] = 1.0
    reference, oracle = stay.copy(), mfg.MeanFieldOracle(game, seed=0)
    assert (oracle.sample(stay, reference, 20)[0][:, 2] == 0).all()
    reference[...] = reference[..., ::-1]
    assert (oracle.sample(stay, reference, 20)[0][:, 2] == 1).all()


# Frequencies


def p_value(counts, probabilities):
    """Chi-square test of multinomial rows [R, K]; probability 0 must mean no count. Thin rows are left out."""
    assert not counts[probabilities == 0].any()
    expected = counts.sum(axis=1, keepdims=True) * probabilities
    full = np.where(probabilities > 0, expected, np.inf).min(axis=1) >= 5
    assert full.any()
    n, e, p = counts[full], expected[full], probabilities[full]
    statistic = ((n - e)[p > 0] ** 2 / e[p > 0]).sum()
    freedom = (p > 0).sum() - len(p)
    return chi2.sf(statistic, freedom) if freedom else float(statistic == 0)


def successor_counts(states, actions, S, A):
    """How often (h, s, a) led where, [H, S, A, S]."""
    H = actions.shape[1]
    counts = np.zeros((H, S, A, S))
    for h in range(H):
        np.add.at(counts[h], (states[:, h], actions[:, h], states[:, h + 1]), 1)
    return counts


def assert_frequencies(game, deviation, reference):
    S, A = game.legal.shape
    counts = successor_counts(*sample(game, (deviation, reference), [6000]), S, A)
    transition = mfg.condition(game, reference).transition
    starts, actions = counts[0].sum(axis=(1, 2)), counts.sum(axis=3)
    assert p_value(starts[None], game.initial[None]) > ERROR
    assert p_value(actions.reshape(-1, A), deviation.reshape(-1, A)) > ERROR
    assert p_value(counts.reshape(-1, S), transition.reshape(-1, S)) > ERROR
    assert p_value(actions.sum(axis=2), naive.occupy(game.initial, deviation, transition)) > ERROR
    return counts


def test_frequencies_are_those_of_the_conditional_model(game, pair):
    assert_frequencies(game, *pair)


def test_the_crowd_plays_the_reference():
    game = filled_class()[2]
    S = game.n_states
    deviation = policy(np.random.default_rng(0), game.horizon, game.legal)
    reference = np.tile([0.9, 0.1, 0.0], (game.horizon, S, 1))
    counts = assert_frequencies(game, deviation, reference)
    wrong = mfg.condition(game, deviation).transition
    assert p_value(counts[1:].reshape(-1, S), wrong[1:].reshape(-1, S)) < ERROR


def test_a_member_of_a_class_is_sampled_itself():
    models = near_class(4, spread=0.8)
    play = (models[0].uniform_policy(),) * 2
    for i in (0, 3):
        counts = successor_counts(*sample(models[i], play, [3000]), models.n_states, models.n_actions)
        for j in (0, 3):
            p = p_value(counts.reshape(-1, 4), mfg.condition(models[j], play[1]).transition.reshape(-1, 4))
            assert (p > ERROR) == (i == j)


def test_probabilities_of_zero_and_one():
    models = certain_class()
    right = np.zeros((2, 4, 2))
    right[..., 1] = 1.0
    for i, game in enumerate(models):
        states, actions = mfg.MeanFieldOracle(game, seed=i).sample(right, game.uniform_policy(), 50)
        assert (actions == 1).all()
        assert_array_equal(states, np.tile(np.arange(3) * (1 + i) % 4, (50, 1)))


def test_illegal_actions_are_never_played(game, pair):
    states, actions = sample(game, pair, [500])
    assert game.legal[states[:, :-1], actions].all()


# Bad input


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
        ({"seed": 1.5}, TypeError, "seed must be a whole number, got 1.5"),
        ({"seed": None}, TypeError, "seed must be a whole number, got None"),
        ({"game": near_class(0)}, TypeError, "game must be a Game, got ModelClass"),
    ],
)
def test_bad_construction(game, change, error, message):
    with pytest.raises(error, match=message):
        mfg.MeanFieldOracle(**({"game": game} | change))


@pytest.mark.parametrize("name", ["deviation", "reference"])
@pytest.mark.parametrize(
    ("index", "value", "message"),
    [
        ((1, 2, 0), np.nan, r"\[1, 2, 0\] is nan: every entry must be finite"),
        ((1, 2, 0), -0.25, r"\[1, 2, 0\] is -0.25: probabilities must not be negative"),
        ((2, 1), 0.5, r"\[2, 1\] sums to 1.5: probabilities must sum to 1"),
    ],
)
def test_bad_policies(game, name, index, value, message):
    policies = {key: game.uniform_policy() for key in ("deviation", "reference")}
    policies[name][index] = value
    oracle = mfg.MeanFieldOracle(game)
    with pytest.raises(ValueError, match=name + message):
        oracle.sample(**policies, n=1)
    assert oracle.trajectories == 0


@pytest.mark.parametrize("name", ["deviation", "reference"])
def test_policies_that_do_not_fit(game, name):
    S, A = game.legal.shape
    s, a = np.argwhere(~game.legal)[0]
    stray = game.uniform_policy()
    stray[0, s] = np.eye(A)[a]
    cases = [
        (stray, ValueError, rf"{name}\[0, {s}, {a}\] is 1.0: action {a} is illegal in state {s}"),
        (game.uniform_policy()[:-1], ValueError, rf"{name} must have shape \[3, {S}, {A}\], got \[2, {S}, {A}\]"),
        (np.full((3, S, A), "x"), TypeError, f"{name} must hold real numbers"),
    ]
    for value, error, message in cases:
        policies = {"deviation": game.uniform_policy(), "reference": game.uniform_policy()} | {name: value}
        with pytest.raises(error, match=message):
            mfg.MeanFieldOracle(game).sample(**policies, n=1)


@pytest.mark.parametrize(("n", "error"), [(0, ValueError), (-3, ValueError), (2.0, TypeError), ("2", TypeError)])
def test_bad_numbers_of_trajectories(game, pair, n, error):
    with pytest.raises(error, match=r"^n must be"):
        mfg.MeanFieldOracle(game).sample(*pair, n)
