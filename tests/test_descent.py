"""Mirror descent in leaps: the same iterations as one at a time, for every form of rows, by one thread or a team."""

import threading

import naive
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fastmfg as mfg
from fastmfg import executors, zoo
from fastmfg.kernels import elementary, team
from fastmfg.kernels.jit import F1, I1, I2, f8, i8, kernel
from fastmfg.planning import descent, passes, survey


def joint_class():
    """Sparse rows and rewards that see who does what."""
    rng = np.random.default_rng(3)
    rows = rng.dirichlet(np.ones(2), (1, 4, 5, 3))
    successors = np.array([[[(s + a) % 5, (s + 2 * a + 1) % 5] for a in range(3)] for s in range(5)])
    successors[..., 1] = np.where(
        successors[..., 0] == successors[..., 1], (successors[..., 1] + 1) % 5, successors[..., 1]
    )
    return mfg.ModelClass.from_tables(
        rows, np.full(5, 0.2), joint_reward, successors=successors, population="joint", legal=np.tri(5, 3, dtype=bool)
    )


def joint_reward(h, population):
    return -population + np.arange(3) * 0.1


GAMES = {
    "factored": lambda: zoo.crowd_modelling_2d(5, 6, forbidden_states=[(1, 1)]),
    "congestion": lambda: zoo.crowd_modelling_2d(4, 3, with_congestion=True),
    "sparse": lambda: zoo.beach_bar(7, 5),
    "dense": lambda: mfg.linear_class(n_models=3, n_states=9, n_actions=4, horizon=3, d_phi=2, d_psi=3, seed=1)[2],
    "joint": lambda: zoo.conservative_treasure_hunting(4, 3),
    "crowd moves": lambda: zoo.epidemic(6),
    "one step": lambda: zoo.crowd_modelling_2d(3, 1),
}


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("leap", [2, 3, 0])
def test_leaps_are_iterations(name, leap):
    game = GAMES[name]()
    options = {"step": 0.3, "tol": 0.0, "max_iterations": 7}
    one_by_one = mfg.solve(game, "mirror-descent", **options)
    leaps = mfg.solve(game, "mirror-descent", gap_every=leap, **options)
    looked_at = [0, *sorted({*range(leap or 7, 8, leap or 7), 7})]
    assert_allclose(leaps.history, one_by_one.history[looked_at], rtol=1e-9, atol=1e-12)
    if leaps.ne_gap == leaps.history[-1] and one_by_one.ne_gap == one_by_one.history[-1]:
        assert_allclose(leaps.policy, one_by_one.policy, atol=1e-12)


def test_families_that_are_checked_or_called_take_single_iterations():
    game = joint_class()[0]
    assert not passes.can_pass(game.models)
    options = {"step": 0.3, "tol": 0.0, "max_iterations": 5}
    one_by_one = mfg.solve(game, "mirror-descent", **options)
    assert_allclose(mfg.solve(game, "mirror-descent", gap_every=0, **options).history[-1], one_by_one.history[-1])


@pytest.mark.parametrize("name", GAMES)
def test_iterations_are_the_naive_ones(name):
    game = GAMES[name]()
    rng = np.random.default_rng(0)
    start = rng.dirichlet(np.ones(game.n_actions), (game.horizon, game.n_states)) * game.legal
    start /= start.sum(axis=-1, keepdims=True)
    y = np.log(np.maximum(start, descent.FLOOR))
    joint = game.population == "joint"
    expected = naive.descend(game.initial, game.transition, game.reward, game.legal, y, start, 0.2, 3, joint)[1]
    found = descent.Descent(game, start)
    assert found.advance(0.2, 3, np.inf) == 3
    assert_allclose(passes.turned(found.pi), expected, atol=1e-12)


def random_policy(game, seed=0):
    rng = np.random.default_rng(seed)
    policy = rng.dirichlet(np.ones(game.n_actions), (game.horizon, game.n_states)) * game.legal
    return policy / policy.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("parts", [1, 3])
def test_a_survey_is_the_naive_one(name, parts, monkeypatch):
    game = GAMES[name]()
    monkeypatch.setattr(passes, "PART_STATES", max(1, game.n_states // parts))
    monkeypatch.setattr(passes, "MANY_STATES", 0)
    pi = random_policy(game)
    density, rows = naive.push(game.initial, pi, game.transition, game.population == "joint")
    rewards = naive.rewards(game.reward, density, pi, game.population == "joint")
    q, greedy, value = naive.back_up(rows, rewards, pi, game.legal)
    for layout in (pi.swapaxes(1, 2), np.ascontiguousarray(pi.swapaxes(1, 2))):
        found = survey.survey(game, layout, q=True, greedy=True)
        assert_allclose(found.density, density, atol=1e-14)
        assert_allclose(found.q, q, atol=1e-12)
        assert_array_equal(found.greedy, greedy)
        assert_allclose([found.policy_return, found.best_return], value @ game.initial, atol=1e-12)
        assert_allclose(survey.follow(game, layout), density, atol=1e-14)
    nothing = survey.survey(game, pi.swapaxes(1, 2))
    assert nothing.q.size == nothing.greedy.size == 0
    assert nothing.gap == found.gap


WITHOUT_TIES = ("mirror-descent", "prior-descent", "anderson")  # a tie of best responses is decided by rounding


@pytest.mark.parametrize("name", ["factored", "sparse", "dense", "joint"])
def test_large_games_are_evaluated_as_small_ones_are(name, monkeypatch):
    game = GAMES[name]()
    pi = random_policy(game)

    def everything():
        response, model = mfg.best_response(game, pi), mfg.condition(game, pi)
        solutions = [mfg.solve(game, method, max_iterations=6, tol=0.0) for method in WITHOUT_TIES]
        return (
            [mfg.ne_gap(game, pi), response.value, *(solution.history for solution in solutions)],
            [response.policy, model.density, model.reward],
        )

    small = everything()
    monkeypatch.setattr(passes, "PART_STATES", 2)
    large = everything()
    for one, other in zip(small[0] + small[1], large[0] + large[1], strict=True):
        assert_allclose(one, other, atol=1e-9)


@pytest.mark.parametrize("name", ["factored", "sparse", "dense"])
def test_a_team_finds_the_same_bytes(name, monkeypatch, threads):
    monkeypatch.setattr(passes, "PART_STATES", 2)
    monkeypatch.setattr(passes, "TEAM_ENTRIES", 0)
    game = GAMES[name]()
    found = []
    for count in (1, 2, 3):
        threads(count)
        found.append(mfg.solve(game, "mirror-descent", step=0.3, tol=0.0, max_iterations=20, gap_every=0).policy)
    assert_array_equal(found[0], found[1])
    assert_array_equal(found[0], found[2])


def test_parts_change_rounding_only(monkeypatch):
    game = GAMES["factored"]()
    whole = mfg.solve(game, "mirror-descent", step=0.3, tol=0.0, max_iterations=20, gap_every=0).policy
    monkeypatch.setattr(passes, "PART_STATES", 2)
    parts = mfg.solve(game, "mirror-descent", step=0.3, tol=0.0, max_iterations=20, gap_every=0).policy
    assert_allclose(whole, parts, atol=1e-11)


def test_rewards_that_overflow_are_said():
    game = mfg.grid_game(
        mfg.Grid.of((3,)), np.full(3, 1 / 3), np.full((3, 3), 1e308), horizon=3, stay=0.5, crowd_aversion=1.0
    )
    with pytest.raises(ValueError, match="not finite"):
        descent.Descent(game, game.uniform_policy()).advance(1.0, 5, np.inf)


def test_a_deadline_ends_a_leap(monkeypatch):
    monkeypatch.setattr(descent, "CALL_OPERATIONS", 1)
    game = GAMES["factored"]()
    assert descent.Descent(game, game.uniform_policy()).advance(0.1, 50, 0.0) == 1
    solution = mfg.solve(game, "mirror-descent", step=0.1, tol=0.0, max_iterations=10**6, gap_every=0, max_seconds=0.2)
    assert 0 < solution.iterations < 10**6


def test_a_member_that_fails_is_heard(threads):
    threads(3)
    caller = threading.get_ident()

    def fails():
        if threading.get_ident() != caller:
            raise ValueError("a member failed")

    with pytest.raises(ValueError, match="a member failed"):
        executors.run_team(fails, 8)


@pytest.mark.parametrize("most", [1, 2, 8])
def test_a_team_is_as_large_as_there_are_threads_and_parts(threads, most):
    threads(3)
    seen = []
    executors.run_team(lambda: seen.append(threading.get_ident()), most)
    assert len(seen) == min(3, most)
    assert threading.get_ident() in seen


def test_a_team_is_as_large_as_threads_can_be_had(threads, monkeypatch):
    threads(4)
    start = threading.Thread.start
    begun = []

    def sometimes(thread):
        if len(begun) == 1:
            raise RuntimeError("can't start new thread")
        begun.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", sometimes)
    seen = []
    executors.run_team(lambda: seen.append(1), 8)
    assert len(seen) == 2


def test_inside_a_task_a_team_is_one(threads):
    threads(2)
    seen = []
    list(executors.map_tasks(lambda _: executors.run_team(lambda: seen.append(1), 2), range(3)))
    assert len(seen) == 3


@kernel(i8(I2, I1, I1, i8))
def count_parts(board, taken, order, parts):
    """Each part of each phase adds one; a part of a phase finds all parts of the phase before done."""
    phase, wrong = 0, 0
    while phase < board.shape[0]:
        now = phase
        p = team.claim(board, now)
        while p < parts:
            wrong += taken[p] != now  # a part's own count is the phase's number, or another member was here too
            if now > 0:
                for other in range(parts):
                    wrong += taken[other] < now
            taken[p] += 1
            order[now * parts + p] = 1
            p = team.claim_next(board, now)
        phase = team.end_phase(board, now, parts)
    return wrong


@pytest.mark.parametrize("members", [1, 2, 4])
def test_phases_follow_one_another(threads, members):
    threads(members)
    phases, parts = 3000, 3
    board, taken = np.zeros((phases, 2), np.int64), np.zeros(parts, np.int64)
    order, wrong = np.zeros(phases * parts, np.int64), []
    count_parts(board[:0], taken, order, parts)
    executors.run_team(lambda: wrong.append(count_parts(board, taken, order, parts)), members)
    assert wrong == [0] * members
    assert_array_equal(taken, phases)
    assert_array_equal(order, 1)
    assert_array_equal(board[:, team.DONE], parts)


@kernel(f8(F1, f8, F1))
def logs(x, offset, out):
    elementary.log_row(x, offset, out)
    return 0.0


@kernel(f8(F1, F1))
def exponentials(x, out):
    elementary.exp_row(x, out)
    return 0.0


def test_logarithms_of_rows():
    rng = np.random.default_rng(0)
    x = np.concatenate([10.0 ** rng.uniform(-300, 300, 4000), rng.uniform(0.5, 2.0, 4000), 1 + rng.normal(0, 1e-9, 99)])
    out = np.empty_like(x)
    logs(x, 0.0, out)
    exact = np.log(x.astype(np.longdouble))
    assert (np.abs(out - exact) <= 4e-16 * np.maximum(np.abs(exact), 1e-2)).all()
    logs(x[:7], 1e-3, out[:7])
    assert_allclose(out[:7], np.log(x[:7] + 1e-3), rtol=1e-15)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, -1.0, 5e-324, -np.inf, 1.7e308, 1.0])
def test_logarithms_of_extreme_numbers(value):
    out = np.empty(3)
    logs(np.array([1.0, value, 2.0]), 0.0, out)
    with np.errstate(all="ignore"):
        assert_allclose(out, np.log([1.0, value, 2.0]), rtol=1e-15)


def test_exponentials_of_rows():
    x = np.concatenate([-(10.0 ** np.random.default_rng(0).uniform(-20, 2.8, 4000)), [0.0, -700.0, -701.0, -1e300]])
    out = np.empty_like(x)
    exponentials(x, out)
    exact = np.exp(x.astype(np.longdouble))
    assert (np.abs(out - exact)[x >= -700] <= 4e-16 * exact[x >= -700]).all()
    assert (out[x < -700] == 0.0).all()
