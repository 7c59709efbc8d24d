"""Solvers: one step of each from its definition, when they stop, and what the default solves."""

import importlib
import itertools
import time

import naive
import numpy as np
import pytest
from builders import crowd_game, legal_mask, policy, rows
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import fastmfg as mfg
from fastmfg.planning import METHODS, auto
from fastmfg.planning.anderson import RIDGE, project
from fastmfg.planning.auto import PATIENCE, PROGRESS, Stage
from fastmfg.planning.evaluation import evaluation_of

NAMES = sorted(METHODS)
PARTS = crowd_game(500, masked=True)
GAME = mfg.Game(**PARTS)


def iterates(game, method, n, start=None, **options):
    """The first n policies that a method proposes."""
    propose, pi, out = METHODS[method](**options), game.uniform_policy() if start is None else start, []
    for _ in range(n):
        pi = propose(evaluation_of(game, pi))
        out.append(pi)
    return out


def slow_values(parts, pi):
    """Density, and Q and greedy actions of the policy, from the slow twins."""
    density, P = naive.push(parts["initial"], pi, parts["transition"])
    r = naive.rewards(parts["reward"], density, pi, False)
    return density, P, r, naive.back_up(P, r, pi, parts["legal"])


def play(actions, A):
    return np.eye(A)[actions]


def constant_game(r, horizon=1):
    """One state; the rewards of its actions."""
    r = np.atleast_2d(np.asarray(r, dtype=float))
    return mfg.Game([1.0], lambda h, mu: np.ones((1, r.size, 1)), lambda h, mu: r, horizon=horizon)


# Policy iteration


@pytest.mark.parametrize("step", [None, 0.3])
def test_policy_iteration_steps(step):
    pi = GAME.uniform_policy()
    for k, comp in enumerate(iterates(GAME, "policy-iteration", 4, step=step), start=1):
        w = 2 / (k + 2) if step is None else step
        density, _, _, (q, _, _) = slow_values(PARTS, pi)
        greedy = [[naive.first_best(q[h, s], GAME.legal[s]) for s in range(4)] for h in range(3)]
        response = play(np.array(greedy), 3)
        reached = naive.push(PARTS["initial"], response, PARTS["transition"])[0]
        mass = (1 - w) * density[..., None] * pi + w * reached[..., None] * response
        pi = mass / mass.sum(axis=-1, keepdims=True)
        assert_allclose(comp, pi, rtol=0, atol=1e-12)


def test_policy_iteration_is_greedy_on_the_policys_own_values():
    # action 1 of the first state leads to a state where the best action earns 3, the uniform policy 1; action 0 earns 2
    P = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]]])
    tables = np.array([[[2.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [3.0, -1.0]]])
    game = mfg.Game([1.0, 0.0], lambda h, mu: P, lambda h, mu: tables[h], horizon=2)
    (first,) = iterates(game, "policy-iteration", 1)
    assert mfg.best_response(game, game.uniform_policy()).policy[0, 0, 1] == 1.0
    assert_allclose(first[0, 0], [5 / 6, 1 / 6], rtol=1e-14)  # 1/3 of uniform, 2/3 of action 0


# Prior descent


@pytest.mark.parametrize(
    ("inner", "exponents"),
    [(1, [1, 2, 3, 4, 5, 6]), (2, [1, 2, 2, 3, 3, 4]), (3, [1, 1, 2, 2, 2, 3]), (None, [1] * 6)],
)
def test_the_prior_becomes_the_policy_at_every_so_many_iterations(inner, exponents):
    r = np.array([1.0, 0.0, -0.5])
    comp = iterates(constant_game(r), "prior-descent", 6, temperature=2.0, inner_iterations=inner)
    for pi, n in zip(comp, exponents, strict=True):
        weights = np.exp(n * r / 2.0)
        assert_allclose(pi[0, 0], weights / weights.sum(), rtol=1e-14)


def test_prior_descent_adds_the_values_of_the_best_response():
    start = policy(np.random.default_rng(501), 3, GAME.legal)
    (comp,) = iterates(GAME, "prior-descent", 1, start, temperature=0.7)
    _, P, r, (_, greedy, _) = slow_values(PARTS, start)
    best = naive.back_up(P, r, play(greedy, 3), GAME.legal)[0]
    weights = start * np.exp(best / 0.7)
    assert_allclose(comp, weights / weights.sum(axis=-1, keepdims=True), rtol=0, atol=1e-14)


def test_the_default_temperature_is_the_spread_of_q():
    r = np.array([3.0, 1.0, -1.0])
    (comp,) = iterates(constant_game(r), "prior-descent", 1)
    assert_allclose(comp[0, 0], np.exp(r / 4) / np.exp(r / 4).sum(), rtol=1e-14)


# Anderson


def nearest(y, legal):
    """The nearest distribution: on some support K it is ``y_K - (sum y_K - 1) / |K|``; all supports are tried."""
    actions, best, least = np.flatnonzero(legal), None, np.inf
    for n in range(1, len(actions) + 1):
        for support in map(list, itertools.combinations(actions, n)):
            p = np.zeros(len(y))
            p[support] = y[support] - (y[support].sum() - 1) / n
            distance = ((p - y)[actions] ** 2).sum()
            if p.min() >= 0 and distance < least:
                best, least = p, distance
    return best


def naive_project(y, legal):
    return np.array([[nearest(row, legal[s]) for s, row in enumerate(step)] for step in y])


def images_of(pi, step, scale):
    """``pi + step (Q - mean Q) / scale`` over legal actions."""
    q = slow_values(PARTS, pi)[3][0]
    out = pi.copy()
    for h, s in np.ndindex(q.shape[:2]):
        legal = GAME.legal[s]
        out[h, s, legal] += step * (q[h, s, legal] - q[h, s, legal].mean()) / scale
    return out


@pytest.mark.parametrize("step", [None, 0.3])
def test_anderson_steps(step):
    options = {} if step is None else {"step": step}
    size = 5.0 if step is None else step
    pi = y = GAME.uniform_policy()
    q = slow_values(PARTS, pi)[3][0]
    spreads = [np.ptp(q[h, s, GAME.legal[s]]) for h, s in np.ndindex(q.shape[:2])]
    scale = np.mean([spread for spread in spreads if spread > 0])
    images, residuals = [], []
    for comp in iterates(GAME, "anderson", 4, memory=3, **options):
        images = [*images, images_of(pi, size, scale).ravel()][-3:]
        residuals = [*residuals, images[-1] - y.ravel()][-3:]
        y = images[-1]
        if len(images) > 1:  # least squares in the differences to the newest, and a ridge
            D = np.array([residuals[-1] - r for r in residuals[:-1]]).T
            ridge = np.sqrt(RIDGE * (D**2).sum() / D.shape[1]) * np.eye(D.shape[1])
            target = np.concatenate([residuals[-1], np.zeros(D.shape[1])])
            weights = np.linalg.lstsq(np.vstack([D, ridge]), target, rcond=None)[0]
            y = images[-1] - np.array([images[-1] - image for image in images[:-1]]).T @ weights
        y = y.reshape(pi.shape)
        pi = naive_project(y, GAME.legal)
        assert_allclose(comp, pi, rtol=0, atol=1e-9)


@given(st.integers(0, 10_000), st.sampled_from([1e-6, 1e-3, 1.0, 30.0, 1e6]))
def test_projections(seed, size):
    rng = np.random.default_rng(seed)
    H, S, A = (int(n) for n in rng.integers(1, 6, 3))
    legal, y = legal_mask(rng, S, A), size * rng.standard_normal((H, S, A))
    pi = project(y, legal)
    assert (pi >= 0).all()
    assert (pi[:, ~legal] == 0).all()
    assert_allclose(pi.sum(axis=-1), 1.0, rtol=0, atol=1e-14)
    assert_allclose(project(pi, legal), pi, rtol=0, atol=1e-14)
    assert_allclose(pi, naive_project(y, legal), rtol=0, atol=1e-14 + 1e-15 * size)

    def distance(x):
        return (np.where(legal, x - y, 0.0) ** 2).sum(axis=-1)

    mine = distance(pi)
    shift = rng.random((H, S, 1)) * 0.1  # candidates far and near
    for _ in range(20):
        other = policy(rng, H, legal, rng.choice(["dense", "eighths"]))
        for candidate in (other, (1 - shift) * pi + shift * other):
            assert (distance(candidate) >= mine * (1 - 1e-13)).all()


def test_illegal_entries_do_not_matter_to_a_projection():
    rng = np.random.default_rng(502)
    legal, y = legal_mask(rng, 5, 4), rng.standard_normal((2, 5, 4))
    loud = np.where(legal, y, 1e6 * rng.standard_normal(y.shape))
    assert_array_equal(project(loud, legal), project(y, legal))


# When a run stops


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("every", [1, 3])
def test_the_callback_hears_of_every_gap_looked_at(method, every):
    heard = []
    solution = mfg.solve(
        GAME, method, tol=0.0, max_iterations=10, gap_every=every, callback=lambda *args: heard.append(args)
    )
    iteration, gap, best = map(list, zip(*heard, strict=True))
    assert iteration == ([3, 6, 9, 10] if every == 3 else list(range(1, 11)))
    assert_array_equal(gap, solution.history[1:])
    assert_array_equal(best, np.minimum.accumulate(solution.history)[1:])
    assert solution.iterations == 10


@pytest.mark.parametrize("answer", [True, 1, np.True_, "stop"])
def test_a_true_answer_stops(answer):
    solution = mfg.solve(GAME, tol=0.0, callback=lambda k, gap, best: answer if k == 4 else None)
    assert solution.iterations == 4
    assert len(solution.history) == 5
    assert solution.ne_gap == solution.history.min() == mfg.ne_gap(GAME, solution.policy)
    assert not solution.converged


def test_an_error_in_a_callback_is_not_swallowed():
    def broken(k, gap, best):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        mfg.solve(GAME, callback=broken)


@pytest.mark.parametrize("every", [0, 1])
def test_max_seconds_stops_a_slow_game(every):
    def slow(h, mu):
        time.sleep(0.005)
        return PARTS["transition"](h, mu)

    game = mfg.Game(**{**PARTS, "transition": slow})
    started = time.monotonic()
    solution = mfg.solve(game, tol=0.0, max_iterations=10**9, gap_every=every, max_seconds=0.1)
    assert 0.1 <= time.monotonic() - started < 5.0
    assert 1 <= solution.iterations <= 0.1 / 0.005
    assert len(solution.history) == (2 if every == 0 else 1 + solution.iterations)  # the last gap is looked at
    assert solution.ne_gap == solution.history.min() == mfg.ne_gap(game, solution.policy)


def test_the_run_ends_with_the_iteration_in_which_the_time_is_over(monkeypatch):
    ticks = itertools.count(0.0, 1.0)
    module = importlib.import_module("fastmfg.planning.solve")
    monkeypatch.setattr(module.time, "monotonic", lambda: next(ticks))
    assert mfg.solve(GAME, tol=0.0, max_seconds=6.5).iterations == 7


# Nothing breaks


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("seed", range(4))
def test_no_solver_breaks_down_on_rewards_of_many_scales(method, seed):
    parts = crowd_game(510 + seed, masked=True, joint=seed % 2 == 1)
    scales = 10.0 ** np.random.default_rng(520 + seed).uniform(-3, 3, (4, 3))
    game = mfg.Game(**{**parts, "reward": lambda h, seen: scales * parts["reward"](h, seen)})
    seen = []

    def look(k, gap, best):
        seen.append(gap)

    solution = mfg.solve(game, method, tol=0.0, max_iterations=60, callback=look)
    assert np.isfinite(seen).all()
    assert np.isfinite(solution.policy).all()
    assert_allclose(solution.policy.sum(axis=-1), 1.0, rtol=0, atol=1e-12)
    assert (solution.policy[:, ~game.legal] == 0).all()
    assert solution.ne_gap == mfg.ne_gap(game, solution.policy) <= solution.history[0]


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("mirror-descent", {"step": 1e9}),
        ("mirror-descent", {"step": 1e-300}),
        ("prior-descent", {"temperature": 1e-9}),
        ("prior-descent", {"temperature": 1e300}),
        ("anderson", {"step": 1e9}),
        ("anderson", {"step": 1e-300}),
        ("anderson", {"memory": 1}),
        ("anderson", {"memory": 100}),
        ("fictitious-play", {"step": 1.0}),
        ("policy-iteration", {"step": 1.0}),
        ("policy-iteration", {"step": 1e-300}),
    ],
)
def test_extreme_options(method, options):
    for proposed in iterates(GAME, method, 40, **options):
        assert (proposed >= 0).all()  # false for NaN
        assert_allclose(proposed.sum(axis=-1), 1.0, rtol=0, atol=1e-12)
        assert (proposed[:, ~GAME.legal] == 0).all()


def test_a_huge_step_of_anderson():
    for proposed in iterates(GAME, "anderson", 5, step=1e20):
        assert (proposed >= 0).all()
        assert_allclose(proposed.sum(axis=-1), 1.0, rtol=0, atol=1e-12)


def picks(payoff, H=2):
    """Everyone picks a place for the next step, and earns ``payoff @ mu`` there."""
    n = len(payoff)
    P = np.zeros((n + 1, n, n + 1))
    P[:, np.arange(n), 1 + np.arange(n)] = 1.0

    def reward(h, mu):
        return np.repeat(np.concatenate([[0.0], payoff @ mu[1:]])[:, None], n, axis=1)

    return mfg.Game(np.eye(n + 1)[0], lambda h, mu: P, reward, horizon=H)


def circle(n, win, loss):
    """Place i beats the (n-1)/2 before it and loses to as many behind it."""
    ahead = (np.arange(n)[:, None] - np.arange(n)) % n
    return np.where(ahead == 0, 0.0, np.where(ahead <= n // 2, win, -loss))


@pytest.mark.parametrize("method", NAMES)
def test_a_mixed_equilibrium_is_a_fine_place_to_start(method):
    game = picks(circle(3, 1.0, 1.0))
    equilibrium = game.uniform_policy()
    assert_allclose(mfg.ne_gap(game, equilibrium), 0.0, atol=1e-15)
    solution = mfg.solve(game, method, tol=0.0, max_iterations=5, initial_policy=equilibrium)
    assert_allclose(solution.ne_gap, 0.0, atol=1e-15)
    near = mfg.solve(GAME, tol=1e-9).policy
    solution = mfg.solve(GAME, method, tol=0.0, max_iterations=5, initial_policy=near)
    assert solution.ne_gap <= solution.history[0] <= 1e-9
    assert np.isfinite(solution.history).all()


def rounded_equilibrium():
    """A game whose uniform policy is an equilibrium, but for rounding: every place earns 0 up to 1e-17."""
    game = picks(circle(3, 1.0, 1.0) * np.array([[0.3], [0.7], [1.1]]) / 3)
    assert 0 < mfg.ne_gap(game, game.uniform_policy()) < 1e-15
    return game


@pytest.mark.parametrize("method", NAMES)
def test_no_solver_breaks_down_at_an_equilibrium_that_rounding_blurs(method):
    solution = mfg.solve(rounded_equilibrium(), method, tol=0.0, max_iterations=4 * PATIENCE)
    assert np.isfinite(solution.history).all()
    assert solution.ne_gap < 1e-15


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("H", [1, 2000])
def test_horizons(method, H):
    rng = np.random.default_rng(530)
    P, bonus = rows(rng, (2, 2, 2)), rng.standard_normal((2, 2))
    game = mfg.Game([0.9, 0.1], lambda h, mu: P, lambda h, mu: bonus - mu[:, None], horizon=H)
    solution = mfg.solve(game, method, rtol=0.5, max_iterations=40)
    assert solution.converged
    assert solution.ne_gap == mfg.ne_gap(game, solution.policy) <= 0.5 * solution.history[0]
    assert np.isfinite(solution.history).all()


# What the default solves


def check_solved(game, **options):
    solution = mfg.solve(game, **options)
    start, gap = mfg.ne_gap(game, game.uniform_policy()), mfg.ne_gap(game, solution.policy)
    assert solution.method == "auto"
    assert solution.ne_gap == gap
    assert solution.converged == (gap <= 1e-3 * start)
    return solution.converged


@pytest.mark.parametrize("n", [3, 5, 7, 9])
@pytest.mark.parametrize(("win", "loss"), [(1, 1), (3, 1), (1, 3), (1e3, 1e3), (1e-3, 2e-3)])
def test_cycling_games(n, win, loss):
    rng = np.random.default_rng(540 + n)
    payoff = circle(n, win, loss) * rng.uniform(0.2, 2.0, n)  # what beating one pays: moves the equilibrium
    game = picks(payoff)
    assert mfg.ne_gap(game, game.uniform_policy()) > 1e-2 * win
    assert check_solved(game)


@pytest.mark.parametrize("H", [3, 6])
def test_cycling_games_of_more_steps(H):
    payoff = circle(5, 1, 2) * np.array([1, 2, 0.5, 1.5, 3])
    assert check_solved(picks(payoff, H))


COUPLINGS = ("monotone", "cyclic", "herding", "random")


def random_game(seed):
    """A dense game: S, A, H from 2..30 with tables of at most 60,000 entries, to save time."""
    rng = np.random.default_rng([550, seed])
    coupling, moved = COUPLINGS[seed % 4], seed // 4 % 2 == 1  # whether the crowd moves the transitions
    S, A, H = sizes = rng.integers(2, 31, 3)
    while H * S * A * S > 60_000:
        S, A, H = sizes = rng.integers(2, 31, 3)
    concentration = 10 ** rng.uniform(-1.5, 0.5)

    def table():
        P = rng.standard_gamma(concentration, (*sizes[[2, 0, 1]], S)) + 1e-12
        return P / P.sum(axis=-1, keepdims=True)

    calm, crowded, share = table(), table() if moved else None, rng.random(S)
    bonus, B = rng.standard_normal((H, S, A)), rng.standard_normal((S, S))
    payoff = {"monotone": -B @ B.T / S, "cyclic": B - B.T, "herding": np.eye(S), "random": B}[coupling]
    scale, strength = 10 ** rng.uniform(-3, 3), 10 ** rng.uniform(-1, 2)

    def transition(h, mu):
        return (1 - mu @ share) * calm[h] + (mu @ share) * crowded[h] if moved else calm[h]

    def reward(h, mu):
        return scale * (bonus[h] + strength * (payoff @ mu)[:, None])

    game = mfg.Game(rng.dirichlet(np.ones(S)), transition, reward, horizon=int(H))
    return game, coupling == "monotone" and not moved


@pytest.mark.parametrize("n_games", [24, pytest.param(200, marks=pytest.mark.statistics)])
def test_the_share_of_random_games_solved(n_games):
    solved = {True: [], False: []}
    for seed in range(n_games):  # each run of eight has every coupling, with and without a crowd that moves
        game, monotone = random_game(seed)
        solved[monotone].append(check_solved(game))
    assert len(solved[True]) == n_games // 8
    assert all(solved[True])
    assert np.mean(solved[False]) >= 0.95


# Long horizons and terminal rewards


@pytest.mark.parametrize("method", METHODS)
def test_a_horizon_of_ten_thousand_steps(method):
    steps = 10_000 if method != "occupation-measure" else 50
    game = mfg.zoo.beach_bar(3, steps)
    solution = mfg.solve(game, method, max_iterations=3, tol=0.0)
    assert np.isfinite(solution.policy).all() and np.isfinite(solution.history).all()
    assert_allclose(solution.policy.sum(axis=-1), 1.0, atol=1e-9)
    assert solution.ne_gap == pytest.approx(mfg.ne_gap(game, solution.policy), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_a_terminal_reward_is_worth_moving_for(method):
    """Only the last step pays: 1 - mu there, in state 1 or 2; half the crowd goes to each."""
    rows = np.zeros((3, 2, 3))
    rows[0, 0, 1] = rows[0, 1, 2] = rows[1, :, 1] = rows[2, :, 2] = 1.0

    def reward(h, mu):
        return np.repeat(((1.0 - mu) * [0, 1, 1])[:, None], 2, axis=1) * (h == 3)

    game = mfg.Game([1.0, 0.0, 0.0], lambda h, mu: rows, reward, horizon=4)
    start = np.full((4, 3, 2), 0.5)
    start[0, 0] = [0.9, 0.1]
    solution = mfg.solve(game, method, tol=0.06, initial_policy=start)
    assert solution.converged
    assert_allclose(mfg.condition(game, solution.policy).density[-1], [0.0, 0.5, 0.5], atol=0.061)


# How the default changes its method


def test_small_games_end_the_list_with_occupation_measures():
    small, large = mfg.zoo.rock_paper_scissors(), mfg.zoo.crowd_modelling_2d(40, 10)
    assert auto.stages_of(small) == (*auto.STAGES, auto.LAST)
    assert auto.stages_of(large) == auto.STAGES


class Staged:
    """Fake methods in place of the stages; `plan` says which policy a call proposes."""

    def __init__(self, monkeypatch, n, plan):
        self.calls = []  # (number of the instance, stage, policy it was given)
        self.made = 0
        self.plan = plan
        monkeypatch.setattr("fastmfg.planning.auto.STAGES", tuple(Stage(self.stage(i), True) for i in range(n)))
        monkeypatch.setattr("fastmfg.planning.auto.SMALL", -1)

    def stage(self, i):
        def make():
            number, self.made = self.made, self.made + 1

            def propose(last):
                self.calls.append((number, i, last.policy))
                return self.plan(len(self.calls))

            return propose

        return make

    def solve(self, game, n):
        solution = mfg.solve(game, "auto", tol=0.0, max_iterations=n)
        assert len(self.calls) == n
        return solution


def lean(p):
    """A policy of a game of two actions whose better action has probability p: gap 1 - p."""
    return np.array([[[p, 1 - p]]])


TWO = constant_game([1.0, 0.0])


def test_a_stalled_method_makes_way_for_the_next_one_from_the_best_policy(monkeypatch):
    better = lean(0.52)  # seen in the fourth iteration: less than a tenth better than the uniform policy
    staged = Staged(monkeypatch, 3, lambda k: better if k == 4 else lean(0.3))
    staged.solve(TWO, 3 * PATIENCE + 1)
    stages = [i for _, i, _ in staged.calls]
    assert stages == [0] * PATIENCE + [1] * (2 * PATIENCE) + [2]
    starts = [pi for (_, i, pi), before in zip(staged.calls[1:], stages, strict=False) if i != before]
    assert len(starts) == 2
    for start in starts:
        assert_array_equal(start, better)
    assert_array_equal(staged.calls[0][2], TWO.uniform_policy())
    assert_array_equal(staged.calls[PATIENCE - 1][2], lean(0.3))  # before, a method sees what it proposed


def test_after_the_list_it_begins_anew_from_uniform_with_doubled_patience(monkeypatch):
    staged = Staged(monkeypatch, 2, lambda k: lean(0.52 if k == 4 else 0.3))
    rounds = [PATIENCE, 2 * PATIENCE, 2 * PATIENCE, 4 * PATIENCE, 4 * PATIENCE, 8 * PATIENCE]
    solution = staged.solve(TWO, sum(rounds))
    lengths = [len(list(group)) for _, group in itertools.groupby(staged.calls, key=lambda call: call[0])]
    assert lengths == rounds
    firsts = [next(group) for _, group in itertools.groupby(staged.calls, key=lambda call: call[0])]
    assert [i for _, i, _ in firsts] == [0, 1] * 3
    for _, i, start in firsts:
        assert_array_equal(start, TWO.uniform_policy() if i == 0 else lean(0.52))
    assert_array_equal(solution.policy, lean(0.52))  # the best of all rounds


def test_a_stage_may_begin_at_the_uniform_policy(monkeypatch):
    staged = Staged(monkeypatch, 2, lambda k: lean(0.52))
    stages = (Stage(staged.stage(0), True), Stage(staged.stage(1), False))
    monkeypatch.setattr("fastmfg.planning.auto.STAGES", stages)
    staged.solve(TWO, PATIENCE + 1)
    assert_array_equal(staged.calls[-1][2], TWO.uniform_policy())


def test_a_method_that_makes_progress_stays(monkeypatch):
    pace = (0.99 * PROGRESS) ** (1 / PATIENCE)
    staged = Staged(monkeypatch, 2, lambda k: lean(1 - 0.5 * pace**k))
    staged.solve(TWO, 6 * PATIENCE)
    assert {i for _, i, _ in staged.calls} == {0}
    slow = (1.01 * PROGRESS) ** (1 / PATIENCE)
    staged = Staged(monkeypatch, 2, lambda k: lean(1 - 0.5 * slow**k))
    staged.solve(TWO, PATIENCE + 1)
    assert [i for _, i, _ in staged.calls] == [0] * PATIENCE + [1]
