"""Planning one game: values, best responses, NE gaps, and the solvers."""

import itertools

import naive
import numpy as np
import pytest
from builders import crowd_game, policy, table_class
from numpy.testing import assert_allclose, assert_array_equal

import fastmfg as mfg
from fastmfg.planning import METHODS

SIZES = [(1, 1, 1), (1, 4, 3), (3, 1, 2), (2, 5, 1), (4, 3, 3)]  # H, S, A


def conditional(parts, pi):
    """Tables of the conditional model, from the slow twins."""
    joint = parts["population"] == "joint"
    density, P = naive.push(parts["initial"], pi, parts["transition"], joint)
    return P, naive.rewards(parts["reward"], density, pi, joint)


def deterministic_policies(H, legal):
    choices = [np.flatnonzero(row) for _ in range(H) for row in legal]
    for actions in itertools.product(*choices):
        pi = np.zeros((H, *legal.shape))
        np.put_along_axis(pi, np.reshape(actions, (H, -1, 1)), 1.0, axis=-1)
        yield pi


# Evaluation


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("sizes", SIZES)
def test_evaluate(sizes, masked, joint):
    parts = crowd_game(200, *sizes, masked, joint)
    game, rng = mfg.Game(**parts), np.random.default_rng(201)
    pi, deviation = policy(rng, sizes[0], game.legal), policy(rng, sizes[0], game.legal)
    P, r = conditional(parts, pi)
    assert_allclose(mfg.evaluate(game, pi), naive.returns(parts["initial"], P, r, pi), atol=1e-13)
    assert_allclose(mfg.evaluate(game, pi, deviation), naive.returns(parts["initial"], P, r, deviation), atol=1e-13)


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize(
    ("H", "S", "A", "masked"), [(1, 1, 1, False), (2, 2, 2, False), (2, 2, 3, True), (3, 2, 2, False)]
)
def test_no_deterministic_deviation_is_better_than_the_best_response(H, S, A, masked, joint):
    parts = crowd_game(210 + H, H, S, A, masked, joint)
    game = mfg.Game(**parts)
    pi = policy(np.random.default_rng(211), H, game.legal)
    P, r = conditional(parts, pi)
    ref = max(naive.returns(parts["initial"], P, r, dev) for dev in deterministic_policies(H, game.legal))
    response = mfg.best_response(game, pi)
    assert_allclose(response.value, ref, atol=1e-13)
    assert_allclose(mfg.evaluate(game, pi, response.policy), ref, atol=1e-13)
    assert_allclose(mfg.ne_gap(game, pi), ref - naive.returns(parts["initial"], P, r, pi), atol=1e-13)
    assert set(np.unique(response.policy)) <= {0.0, 1.0}


def test_a_tie_goes_to_the_lowest_legal_action():
    legal = np.array([[True, True, True], [False, True, True]])
    models = mfg.ModelClass.from_tables(
        np.full((1, 2, 2, 3, 2), 0.5), [0.5, 0.5], lambda h, mu: np.zeros((2, 3)), legal=legal
    )
    game = models[0]
    assert_array_equal(mfg.best_response(game, game.uniform_policy()).policy.argmax(axis=-1), [[0, 1]] * 2)


@pytest.mark.parametrize("n", [1, 7, 8, 9, 20])  # a task holds eight models
def test_ne_gaps(n):
    def reward(h, mu):
        return np.sin(np.arange(12)).reshape(4, 3) - mu[:, None]

    models, t = table_class(220, M=n, masked=True, reward=reward)
    pi = policy(np.random.default_rng(221), 3, t.legal)
    ref = np.array([naive.ne_gap(t.initial, lambda h, mu, m=m: t.P[m, h], reward, pi, t.legal) for m in range(n)])
    comp = mfg.ne_gaps(models, pi)
    assert comp.shape == (n,)
    assert_allclose(comp, ref, atol=1e-13)
    chosen = np.random.default_rng(222).permutation(n)[: max(1, n // 2)]
    assert_allclose(mfg.ne_gaps(models, pi, chosen), ref[chosen], atol=1e-13)


def test_a_gap_is_never_negative():
    models, _ = table_class(223, M=30, A=1)  # with one action the policy is the best response
    gaps = mfg.ne_gaps(models, models[0].uniform_policy())
    assert (gaps >= 0).all()
    assert_allclose(gaps, 0.0, atol=1e-13)


# Solvers

NAMES = sorted(METHODS)
GAME = mfg.Game(**crowd_game(230, masked=True))


def test_these_are_the_methods():
    assert {"auto", "best-response-mixing", "fictitious-play", "mirror-descent"} <= set(METHODS)


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("joint", [False, True])
def test_every_method_finds_an_equilibrium(method, joint):
    game = mfg.Game(**crowd_game(231, masked=True, joint=joint))
    start = mfg.ne_gap(game, game.uniform_policy())
    solution = mfg.solve(game, method, tol=start / 20, max_iterations=500)
    assert solution.converged
    assert solution.ne_gap <= start / 20
    assert solution.method == method
    assert mfg.ne_gap(game, solution.policy) == solution.ne_gap
    assert (solution.policy[:, ~game.legal] == 0).all()


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("gap_every", [0, 1, 3, 50])
@pytest.mark.parametrize("limit", [1, 12])
def test_the_policy_returned_is_the_best_one_measured(method, gap_every, limit):
    solution = mfg.solve(GAME, method, tol=0.0, max_iterations=limit, gap_every=gap_every)
    assert solution.iterations == limit
    assert solution.converged == (solution.ne_gap <= 1e-13)  # rounding counts as none
    assert mfg.ne_gap(GAME, solution.policy) == solution.ne_gap == min(solution.history)
    assert solution.history[0] == mfg.ne_gap(GAME, GAME.uniform_policy())
    last_is_extra = gap_every == 0 or limit % gap_every != 0
    assert len(solution.history) == 1 + (limit // gap_every if gap_every else 0) + last_is_extra


@pytest.mark.parametrize("method", NAMES)
def test_measuring_less_often_changes_nothing_else(method):
    every = mfg.solve(GAME, method, tol=0.0, max_iterations=12)
    third = mfg.solve(GAME, method, tol=0.0, max_iterations=12, gap_every=3)
    last = mfg.solve(GAME, method, tol=0.0, max_iterations=12, gap_every=0)
    assert_array_equal(third.history, every.history[::3])
    assert_array_equal(last.history, every.history[[0, -1]])


@pytest.mark.parametrize("method", NAMES)
def test_the_run_stops_at_the_first_measured_policy_that_meets_the_tolerance(method):
    history = mfg.solve(GAME, method, tol=0.0, max_iterations=30).history
    tol = max(np.sort(history)[len(history) // 3], 1e-12)  # 0 would mean: run on
    first = int(np.argmax(history <= tol))
    for options in ({"tol": tol}, {"rtol": tol / history[0] * (1 + 1e-12)}):
        solution = mfg.solve(GAME, method, max_iterations=30, **options)
        assert solution.converged
        assert solution.iterations == first
        assert_array_equal(solution.history, history[: first + 1])


@pytest.mark.parametrize("method", [name for name in NAMES if name != "anderson"])  # it gets to 0
def test_an_unmet_tolerance_is_reported(method):
    solution = mfg.solve(GAME, method, tol=1e-300, max_iterations=3)
    assert not solution.converged
    assert solution.iterations == 3


def test_tolerances():
    start = mfg.ne_gap(GAME, GAME.uniform_policy())
    assert mfg.solve(GAME).ne_gap <= 1e-3 * start  # the default
    assert mfg.solve(GAME, tol=start).iterations == 0
    both = mfg.solve(GAME, tol=start / 2, rtol=0.5)  # the larger counts, not the sum
    assert both.history[-2] > start / 2 >= both.ne_gap
    assert mfg.solve(GAME, tol=start / 2, rtol=1.0).iterations == 0
    assert mfg.solve(GAME, tol=0.0, rtol=0.5).ne_gap <= start / 2
    assert mfg.solve(GAME, tol=1e-300, max_iterations=5).iterations == 5  # rtol is 0 where tol is given


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize(("H", "S", "A"), [(1, 1, 1), (1, 3, 1), (3, 1, 1), (1, 1, 3), (1, 4, 2), (3, 1, 2)])
def test_games_of_one_state_action_or_step(method, H, S, A):
    game = mfg.Game(**crowd_game(240, H, S, A))
    for options in ({"tol": 0.0, "max_iterations": 4}, {"tol": 1e-2, "max_iterations": 2000}):
        solution = mfg.solve(game, method, **options)
        assert mfg.ne_gap(game, solution.policy) == solution.ne_gap
        assert solution.policy.shape == (H, S, A)
    assert solution.converged


@pytest.mark.parametrize("method", NAMES)
def test_an_equilibrium_is_a_fine_place_to_start(method):
    # the crowd does not matter and the best action is the same everywhere: a deterministic equilibrium, gap 0
    game = mfg.Game(
        [0.5, 0.5], lambda h, mu: np.full((2, 2, 2), 0.5), lambda h, mu: np.array([[0.0, 1.0]] * 2), horizon=2
    )
    equilibrium = np.tile([0.0, 1.0], (2, 2, 1))
    assert mfg.ne_gap(game, equilibrium) == 0.0
    solution = mfg.solve(game, method, tol=1e-6, initial_policy=equilibrium)
    assert (solution.iterations, solution.ne_gap, solution.converged) == (0, 0.0, True)
    solution = mfg.solve(game, method, initial_policy=equilibrium)  # relative to a gap of zero
    assert (solution.iterations, solution.ne_gap, solution.converged) == (0, 0.0, True)
    solution = mfg.solve(game, method, tol=0.0, max_iterations=6, initial_policy=equilibrium)
    assert (solution.iterations, solution.ne_gap, solution.converged) == (6, 0.0, True)
    assert_array_equal(solution.policy, equilibrium)


@pytest.mark.parametrize("method", NAMES)
def test_a_game_without_incentives_is_solved_at_once_and_runs_on_when_told_to(method):
    game = mfg.Game(**{**crowd_game(241), "reward": lambda h, mu: np.ones((4, 3))})
    assert mfg.solve(game, method, tol=1e-9).iterations == 0
    solution = mfg.solve(game, method, tol=0.0, max_iterations=5)
    assert solution.iterations == 5
    assert_allclose(solution.history, 0.0, atol=1e-14)


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("scale", [1e-280, 1e-200, 1e-9, 1e9, 1e200])
def test_the_scale_of_rewards_does_not_matter(method, scale):
    parts = crowd_game(242)
    game = mfg.Game(**{**parts, "reward": lambda h, mu: scale * parts["reward"](h, mu)})
    solution = mfg.solve(game, method, rtol=0.2, max_iterations=200)
    assert solution.converged
    assert np.isfinite(solution.history).all()


# One step of each method, from its definition


def test_best_response_mixing_steps():
    pi = GAME.uniform_policy()
    for step in (None, 0.3):
        w = 0.02 if step is None else step
        ref = pi
        for _ in range(3):
            ref = (1 - w) * ref + w * mfg.best_response(GAME, ref).policy
        comp = mfg.solve(GAME, "best-response-mixing", tol=0.0, max_iterations=3, step=step).history[-1]
        assert_allclose(comp, mfg.ne_gap(GAME, ref), rtol=1e-12)


@pytest.mark.parametrize("step", [None, 0.3])
def test_fictitious_play_steps(step):
    ref = GAME.uniform_policy()
    for k in range(1, 4):
        w = 1 / (k + 1) if step is None else step
        conditional = mfg.condition(GAME, ref)
        response = mfg.best_response(GAME, ref).policy
        reached = mfg.condition(GAME, response).density
        mass = (1 - w) * conditional.density[..., None] * ref + w * reached[..., None] * response
        ref = mass / mass.sum(axis=-1, keepdims=True)
    comp = mfg.solve(GAME, "fictitious-play", tol=0.0, max_iterations=3, step=step).history[-1]
    assert_allclose(comp, mfg.ne_gap(GAME, ref), rtol=1e-11)


def test_fictitious_play_leaves_states_alone_that_nobody_reaches():
    stay = np.repeat(np.eye(3)[:, None], 2, axis=1)
    game = mfg.Game([0.5, 0.5, 0.0], lambda h, mu: stay, lambda h, mu: np.array([[0.0, 1.0]] * 3), horizon=2)
    start = np.tile([0.75, 0.25], (2, 3, 1))
    solution = mfg.solve(game, "fictitious-play", tol=0.0, max_iterations=5, initial_policy=start)
    assert_array_equal(solution.policy[:, 2], start[:, 2])
    assert (solution.policy[:, :2, 1] > 0.8).all()


def test_mirror_descent_steps():
    pi, y = GAME.uniform_policy(), None
    for _ in range(3):
        conditional = mfg.condition(GAME, pi)
        q = naive.back_up(conditional.transition, conditional.reward, pi, GAME.legal)[0]
        y, pi = naive.mirror_step(np.log(np.maximum(pi, 1e-3)) if y is None else y, q, 0.7, GAME.legal)
    comp = mfg.solve(GAME, "mirror-descent", tol=0.0, max_iterations=3, step=0.7).history[-1]
    assert_allclose(comp, mfg.ne_gap(GAME, pi), rtol=1e-11)


# Many models


def test_solve_models_keeps_the_order_asked_for():
    models = mfg.linear_class(6, 5, 3, 2, 2, 2)
    every = list(mfg.solve_models(models, tol=1e-3))
    assert len(every) == 6
    for model, solution in zip(models, every, strict=True):
        assert mfg.ne_gap(model, solution.policy) == solution.ne_gap
        assert solution.converged == (solution.ne_gap <= 1e-3)
    for members in ([0, 3, 5, 1], [0, 5, 3], np.array([0, 4])):
        for m, solution in zip(members, mfg.solve_models(models, members, tol=1e-3), strict=True):
            assert_array_equal(solution.policy, every[m].policy)
    for members in ([3, 0, 5], [5, 3, 0]):
        for m, solution in zip(members, mfg.solve_models(models, members, tol=1e-3, start=0), strict=True):
            assert_array_equal(solution.policy, every[m].policy)
    assert list(mfg.solve_models(models, [], tol=1e-3)) == []


def test_other_models_start_from_the_solution_of_the_first():
    models = mfg.linear_class(3, 5, 3, 2, 2, 2)
    first, _, third = mfg.solve_models(models, tol=1e-3)
    assert_array_equal(first.policy, mfg.solve(models[0], tol=1e-3).policy)
    assert third.history[0] == mfg.ne_gap(models[2], first.policy)


def test_a_start_near_an_equilibrium_is_no_worse_than_the_uniform_policy():
    models = mfg.linear_class(6, 5, 3, 2, 2, 2)
    assert all(mfg.solve(model, tol=1e-4, max_iterations=200).converged for model in models)
    assert all(solution.converged for solution in mfg.solve_models(models, tol=1e-4, max_iterations=200))


def test_a_class_of_functions_is_solved_as_well():
    base = crowd_game(250)
    games = [mfg.Game(**{**base, "transition": crowd_game(250 + i)["transition"]}) for i in range(3)]
    for game, solution in zip(games, mfg.solve_models(mfg.ModelClass(games), tol=1e-2), strict=True):
        assert solution.ne_gap <= 1e-2
        assert_allclose(mfg.ne_gap(game, solution.policy), solution.ne_gap, rtol=1e-12)
