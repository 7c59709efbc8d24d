"""Input as people type it: results in the place of policies, names that are nearly right, results that are compared."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest
from builders import table_class
from numpy.testing import assert_array_equal

import fastmfg as mfg
from fastmfg.equality import Result, alike
from fastmfg.learning.by_type import LearnedType


@pytest.fixture(scope="module")
def game():
    return mfg.zoo.beach_bar(n_states=5, horizon=3)


@pytest.fixture(scope="module")
def solution(game):
    return mfg.solve(game)


@pytest.fixture(scope="module")
def models():
    return table_class(5, M=4, S=3, A=2)[0]


@pytest.fixture(scope="module")
def learned(models):
    return mfg.learn(models, mfg.MeanFieldOracle(models[1], seed=3), epsilon=1e-3, delta=0.1, max_trajectories=60)


# Results in the place of their policies


ON_A_GAME = (
    mfg.ne_gap, mfg.evaluate, mfg.condition, mfg.best_response, mfg.mean_field, mfg.policy_values, mfg.exploitability,
    mfg.nash_conv,
)  # fmt: skip
ON_A_CLASS = (mfg.ne_gaps, mfg.distance_matrix)


@pytest.mark.parametrize("function", ON_A_GAME)
def test_a_solution_stands_for_its_policy(game, solution, function):
    assert alike(function(game, solution), function(game, solution.policy))


@pytest.mark.parametrize("function", ON_A_CLASS)
def test_what_is_learned_stands_for_its_policy(models, learned, function):
    assert_array_equal(function(models, learned), function(models, learned.policy))


def test_results_stand_for_policies_wherever_policies_are_taken(game, solution, models, learned):
    response = mfg.best_response(game, solution)
    assert mfg.evaluate(game, solution, response) == mfg.evaluate(game, solution.policy, response.policy)
    assert mfg.solve(game, initial_policy=solution, max_iterations=1).history[0] == solution.ne_gap
    assert mfg.central_model(models, learned, 0.1) == mfg.central_model(models, learned.policy, 0.1)
    bounds = [mfg.information_limit(models, 0, policy, iterations=10) for policy in (learned, learned.policy)]
    assert bounds[0] == bounds[1]


def test_a_result_of_another_game_is_refused_by_its_shape(models, solution):
    with pytest.raises(ValueError, match=r"policy must have shape \[3, 3, 2\], got \[3, 5, 3\]"):
        mfg.ne_gap(models[0], solution)


def test_with_several_types_a_solution_stands_for_its_policy():
    lifted = mfg.zoo.predator_prey(3, 3)
    found = mfg.solve(lifted, max_iterations=2)
    assert mfg.ne_gap(lifted, found) == mfg.ne_gap(lifted, found.policy)


# Equality


def results(game, solution, models, learned):
    yield solution
    yield learned
    yield mfg.best_response(game, solution)
    yield mfg.condition(game, solution)
    yield mfg.policy_values(game, solution)
    yield mfg.diagnose(game, n_policies=2)
    yield mfg.eliminate(
        models, mfg.MeanFieldOracle(models[0], seed=1), solution_of(models), tolerance=0.1, delta=0.1, max_rounds=2
    )
    yield mfg.neighbourhoods(models, solution_of(models), 0.1)


def solution_of(models):
    return mfg.solve(models[0], max_iterations=5)


def changed(value):
    """Another value of the same kind."""
    if isinstance(value, np.ndarray):
        other = value.copy()
        other.flat[0] = not other.flat[0] if other.dtype == bool else other.flat[0] + 1
        return other
    return not value if isinstance(value, bool) else f"{value}?"


def test_results_equal_their_copies_and_nothing_else(game, solution, models, learned):
    seen = []
    for result in results(game, solution, models, learned):
        copies = [copy.copy(result)]
        if not isinstance(result, mfg.ConditionalModel):
            copies += [copy.deepcopy(result), pickle.loads(pickle.dumps(result))]
        assert all(result == twin for twin in copies)
        for field in (field for field in dataclasses.fields(result) if field.compare):
            value = getattr(result, field.name)
            if not isinstance(value, np.ndarray) or np.isfinite(value.flat[:1]).all():
                assert result != dataclasses.replace(result, **{field.name: changed(value)}), field.name
        assert all(result != other for other in [*seen, None, 1, "text"])
        with pytest.raises(TypeError, match="unhashable"):
            hash(result)
        seen.append(result)
    assert len(seen) == 8


def test_conditional_models_of_alike_games_are_equal():
    one, other, third = (
        mfg.zoo.beach_bar(4, 2),
        mfg.zoo.beach_bar(4, 2),
        mfg.zoo.beach_bar(4, 2, crowd_aversion_coef=2.0),
    )
    uniform = one.uniform_policy()
    assert mfg.condition(one, uniform) == mfg.condition(other, uniform)
    assert mfg.condition(one, uniform) != mfg.condition(third, uniform)
    assert mfg.condition(one, uniform) != mfg.best_response(one, uniform)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (np.array([1.0, np.nan]), np.array([1.0, np.nan]), True),
        (np.array([1.0, np.nan]), np.array([1.0, 2.0]), False),
        (np.array([1.0]), np.array([1]), False),
        (np.zeros((1, 2)), np.zeros(2), False),
        (np.zeros(2), [0.0, 0.0], False),
        ([0.0, 0.0], np.zeros(2), False),
        ((np.zeros(2), None), (np.zeros(2), None), True),
        ((np.zeros(2),), (np.zeros(2), None), False),
        ({"a": np.zeros(2)}, {"a": np.zeros(2)}, True),
        ({"a": np.zeros(2)}, {"b": np.zeros(2)}, False),
        (float("nan"), float("nan"), True),
        (1, 1.0, True),
        (None, np.zeros(1), False),
    ],
)
def test_alike(one, other, equal):
    assert alike(one, other) is equal


def test_results_of_two_types_differ():
    policy = np.ones((1, 1, 1))
    assert mfg.BestResponse(policy, 0.0) != LearnedType(policy, 0.0, None)
    assert LearnedType(policy, 0.0, None) == LearnedType(policy.copy(), 0.0, None)
    assert issubclass(LearnedType, Result)


# Names that are nearly right


def message(action):
    with pytest.raises((TypeError, ValueError, AttributeError)) as caught:
        action()
    return f"{caught.type.__name__}: {caught.value}"


@pytest.mark.parametrize("function", [mfg.solve, lambda g: mfg.ne_gap(g, None), mfg.diagnose, mfg.MeanFieldOracle])
@pytest.mark.parametrize("name", ["beach_bar", "beachbar", "Beach bar", "beach-bar"])
def test_the_name_of_a_game_is_answered_with_how_to_make_it(function, name):
    said = message(lambda: function(name))
    assert said.startswith("TypeError")
    assert "zoo.beach_bar()" in said


def test_other_strings_in_the_place_of_a_game():
    assert "zoo.GAMES" in message(lambda: mfg.solve("zzzz"))
    assert "zoo.classes.build" in message(lambda: mfg.learn("epidemic", None, epsilon=0.1, delta=0.1))


@pytest.mark.parametrize(
    ("action", "near"),
    [
        (lambda: mfg.slove, "solve"),
        (lambda: mfg.nash_gap, "ne_gap"),
        (lambda: mfg.MeanfieldOracle, "MeanFieldOracle"),
        (lambda: mfg.zoo.beachbar, "beach_bar"),
        (lambda: mfg.zoo.epidemics, "epidemic"),
        (lambda: mfg.solve(mfg.zoo.left_right(), iterations=10), "max_iterations"),
        (lambda: mfg.solve(mfg.zoo.left_right(), "mirror-descent", stepp=1), "step"),
        (lambda: mfg.solve(mfg.zoo.left_right(), tolerance=1), "tol"),
        (lambda: mfg.solve(mfg.zoo.left_right(), method="mirror-decent"), "mirror-descent"),
        (lambda: mfg.solve(mfg.zoo.left_right(), method="ficticious_play"), "fictitious-play"),
        (lambda: mfg.LearnOptions(epsilon=1, delta=0.1, strategy="certifed"), "certified"),
        (lambda: mfg.LearnOptions(epsilon=1, delta=0.1, adversary="informations"), "information"),
    ],
)
def test_the_nearest_name_comes_before_any_list(action, near):
    said = message(action)
    hint = f"did you mean {near!r}?"
    assert hint in said
    assert "," not in said[: said.index(hint)]


def test_nothing_is_suggested_where_nothing_is_near():
    for action in (lambda: mfg.qqqq, lambda: mfg.zoo.qqqq, lambda: mfg.solve(mfg.zoo.left_right(), qqqq=1)):
        assert "did you mean" not in message(action)
    assert not hasattr(mfg, "qqqq")
    assert getattr(mfg.zoo, "qqqq", 3) == 3
