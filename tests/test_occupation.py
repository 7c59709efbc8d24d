"""Occupation measures: the residual from its definition, its derivative, the curves, and what the method solves."""

import subprocess
import sys

import naive
import numpy as np
import peer_games
import pytest
from builders import crowd_game, legal_mask, numbers, policy, rows
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from test_solvers import circle, constant_game, picks, random_game

import fastmfg as mfg
from fastmfg.planning import occupation
from fastmfg.planning.evaluation import evaluation_of, scale_of_q
from fastmfg.planning.occupation import MOST_ENTRIES, OccupationMeasure, Path, measured_entries
from fastmfg.planning.regularised import Derivative, RegularisedGame, SingularError

NAME = "occupation-measure"
CYCLING = picks(circle(5, 1, 2) * np.array([1, 2, 0.5, 1.5, 3]))
TURNING = picks(np.array([[3.2, -0.4, -1.1], [2.4, 2.2, -1.6], [-4.5, 0.8, 2.0]]))
"""Everyone picks a place; the curve from the uniform policy turns back in beta on its way."""


def proposals(game, n, start=None):
    """The method after n proposals, and the proposals."""
    method, pi, out = OccupationMeasure(), game.uniform_policy() if start is None else start, []
    for _ in range(n):
        pi = method(evaluation_of(game, pi))
        out.append(pi)
    return method, out


# The residual


def naive_residual(parts, log_prior, v, beta, scale):
    """F from its definition, one number after the other."""
    legal, joint = parts["legal"], parts["population"] == "joint"
    H, S, A = v.shape
    pi, prior = np.zeros((H, S, A)), np.zeros((H, S, A))
    for h, s in np.ndindex(H, S):
        for target, y in ((pi, v), (prior, log_prior)):
            weights = np.exp(y[h, s][legal[s]])
            target[h, s, legal[s]] = weights / weights.sum()
    density, P = naive.push(parts["initial"], pi, parts["transition"], joint)
    r = naive.rewards(parts["reward"], density, pi, joint) / scale
    V, F = np.zeros((H + 1, S)), np.zeros((H, S, A))
    for h, s in reversed(list(np.ndindex(H, S))):
        actions = np.flatnonzero(legal[s])
        q = np.array([r[h, s, a] + sum(P[h, s, a, x] * V[h + 1, x] for x in range(S)) for a in actions])
        V[h, s] = (prior[h, s, actions] @ q) if beta == 0 else np.log(prior[h, s, actions] @ np.exp(beta * q)) / beta
        gap = v[h, s, actions] - np.log(prior[h, s, actions]) - beta * q
        F[h, s, actions] = gap - gap.mean()
    return pi, density, V, F


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("beta", [0.0, 0.7, 12.0])
def test_the_residual_is_that_of_the_definition(joint, beta):
    rng = np.random.default_rng(600)
    parts = crowd_game(601, H=3, S=4, A=3, masked=True, joint=joint)
    game = RegularisedGame(mfg.Game(**parts), rng.standard_normal((3, 4, 3)), 1.7)
    v = game.centred(rng.standard_normal((3, 4, 3)))
    pi, density, V, F = naive_residual(parts, game.log_prior, v, beta, 1.7)
    crowd = game.at(v, beta)
    assert_allclose(crowd.policy, pi, rtol=0, atol=1e-14)
    assert_allclose(crowd.density, density, rtol=0, atol=1e-14)
    assert_allclose(crowd.value, V, rtol=0, atol=1e-12)
    assert_allclose(crowd.residual, F, rtol=0, atol=1e-11)


def test_at_beta_zero_the_zero_is_the_prior():
    prior = policy(np.random.default_rng(602), 3, np.ones((4, 3), bool))
    game = RegularisedGame(mfg.Game(**crowd_game(603)), np.log(prior), 1.0)
    crowd = game.at(game.log_prior, 0.0)
    assert_allclose(crowd.policy, prior, rtol=1e-13)
    assert_array_equal(crowd.residual, 0.0)


def test_values_are_continuous_at_beta_zero():
    game = RegularisedGame(mfg.Game(**crowd_game(604)), np.random.default_rng(604).standard_normal((3, 4, 3)), 1.0)
    flat, steep = (game.at(game.log_prior, beta) for beta in (0.0, 2e-7))
    assert_allclose(flat.value, steep.value, rtol=0, atol=1e-5)


# Its derivative


def check_derivative(game, beta, seed, atol=2e-6):
    """Differences of F along a direction, put into the equations, give the direction back."""
    rng = np.random.default_rng(seed)
    shape = game.log_prior.shape
    v, dv, row = (game.centred(rng.standard_normal(shape)) for _ in range(3))
    dbeta, corner, h = rng.standard_normal(), rng.standard_normal(), 1e-6
    up, down = (game.at(v + sign * h * dv, beta + sign * h * dbeta).residual for sign in (1, -1))
    derivative = Derivative(game.at(v, beta), row, corner)
    got, last = derivative.solve((up - down) / (2 * h), float((row * dv).sum() + corner * dbeta))
    assert_allclose(got, dv, rtol=0, atol=atol)
    assert_allclose(last, dbeta, rtol=0, atol=atol)


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("beta", [0.0, 1.3, 8.0])
@given(seed=st.integers(0, 10_000))
def test_the_derivative_agrees_with_differences(joint, beta, seed):
    rng = np.random.default_rng(seed)
    H, S, A = (int(n) for n in rng.integers(1, 5, 3))
    game = mfg.Game(**crowd_game(seed, H, S, A, masked=seed % 2 == 1, joint=joint))
    check_derivative(RegularisedGame(game, rng.standard_normal((H, S, A)), 1.4), beta, seed)


def test_the_derivative_where_no_policy_leads():
    """Rewards are logarithms of shares, one of them 0: its slope would be about 1e10."""

    def reward(h, mu):
        return np.repeat(-np.log(mu + 1e-25)[:, None], 3, axis=1)

    rng = np.random.default_rng(605)
    P = rows(rng, (4, 3, 4))
    game = mfg.Game([0.3, 0.7, 0.0, 0.0], lambda h, mu: P, reward, horizon=3)
    check_derivative(RegularisedGame(game, np.zeros((3, 4, 3)), 3.0), 2.0, 606, atol=2e-5)


@pytest.mark.parametrize("joint", [False, True])
def test_populations_asked_about_are_distributions(joint):
    parts, seen = crowd_game(607, masked=True, joint=joint), []

    def reward(h, population):
        seen.append(population)
        return parts["reward"](h, population)

    game = mfg.Game(**{**parts, "reward": reward})
    mfg.solve(game, NAME, tol=0.0, max_iterations=5)
    assert min(population.min() for population in seen) >= 0
    assert_allclose([population.sum() for population in seen], 1.0, rtol=0, atol=1e-12)
    if joint:
        assert max(population[~game.legal].max(initial=0.0) for population in seen) == 0.0


def test_no_agent_changes_type():
    seen = []

    def transition(h, populations):
        seen.extend(population.sum() for population in populations)
        return np.full((2, 2, 2), 0.5)

    def reward(h, populations):
        seen.extend(population.sum() for population in populations)
        return np.array([[1.0, 0.0], [0.0, 1.0]]) - populations[0][:, None]

    game = mfg.MultiTypeGame([[0.5, 0.5], [0.1, 0.9]], [transition] * 2, [reward] * 2, horizon=3)
    assert mfg.solve(game, NAME).converged
    assert_allclose(seen, 1.0, rtol=0, atol=1e-12)


# The curve


def path_from_uniform(game):
    start = evaluation_of(game, game.uniform_policy())
    return Path(RegularisedGame(game, np.zeros(start.q.shape), scale_of_q(start)))


@pytest.mark.parametrize("joint", [False, True])
def test_points_of_a_curve_are_regularised_equilibria(joint):
    game = mfg.Game(**crowd_game(610, masked=True, joint=joint))
    path = path_from_uniform(game)
    uniform = game.uniform_policy()
    scale = scale_of_q(evaluation_of(game, uniform))
    for _ in range(8):
        assert path.advance()
        crowd = path.crowd
        slack = (crowd.value[:-1, :, None] - crowd.q)[:, game.legal]
        softened = uniform[:, game.legal] * np.exp(-crowd.beta * slack)  # slack = log(prior / pi) / beta
        assert_allclose(crowd.policy[:, game.legal], softened, rtol=0, atol=1e-3)
        bound = game.horizon * np.log(3) / crowd.beta * scale
        assert mfg.ne_gap(game, crowd.policy) <= 1.01 * bound
    assert crowd.beta > 100


def test_the_curve_of_one_decision():
    """Without a crowd the zeros are prior * exp(beta r), normalised."""
    r, prior = np.array([1.0, 0.4, -0.3]), np.array([0.2, 0.3, 0.5])
    path = Path(RegularisedGame(constant_game(r), np.log(prior)[None, None], 1.0))
    for _ in range(5):
        assert path.advance()
        weights = prior * np.exp(path.crowd.beta * r)
        assert_allclose(path.crowd.policy[0, 0], weights / weights.sum(), rtol=1e-5)


def test_a_curve_is_followed_where_it_turns():
    path, start = path_from_uniform(TURNING), mfg.ne_gap(TURNING, TURNING.uniform_policy())
    betas, gap = [0.0], start
    while gap > 1e-6 * start:
        assert path.advance()
        betas.append(path.crowd.beta)
        assert np.abs(path.crowd.residual).max() < 1e-3
        gap = mfg.ne_gap(TURNING, path.crowd.policy)
    assert len(betas) < 40
    assert (np.diff(betas) < 0).sum() >= 3


def test_a_curve_that_comes_back_ends():
    path = path_from_uniform(CYCLING)
    path.direction = -path.direction
    assert [path.advance(), path.advance()] == [True, False]


def test_equations_without_a_solution_are_singular():
    for joint in (False, True):
        game = RegularisedGame(mfg.Game(**crowd_game(608, joint=joint)), np.zeros((3, 4, 3)), 1.0)
        with pytest.raises(SingularError, match="singular"):
            Derivative(game.at(game.log_prior, 0.0), np.zeros((3, 4, 3)), 0.0)


def test_a_singular_derivative_shortens_the_step(monkeypatch):
    def singular(*args):
        raise SingularError("Factor is exactly singular")

    path = path_from_uniform(CYCLING)
    before, crowd = path.step, path.crowd
    monkeypatch.setattr(occupation, "Derivative", singular)
    assert not path.advance()
    assert path.step < 1e-3 * before
    assert path.crowd is crowd


# When curves are left


def test_the_next_prior_is_the_best_policy_if_it_is_new_else_random(monkeypatch):
    """Curves that cannot be followed; each proposal is then a prior."""
    monkeypatch.setattr(Path, "advance", lambda path: False)
    game = mfg.Game(**crowd_game(611))
    _, proposed = proposals(game, 6)
    gaps, best, drawn = [mfg.ne_gap(game, game.uniform_policy())], game.uniform_policy(), 0
    used = gaps[0]
    for comp in proposed:
        if min(gaps) < used:
            used, ref = min(gaps), np.maximum(best, 1e-3)
            ref = ref / ref.sum(axis=-1, keepdims=True)
        else:
            drawn += 1
            noise = drawn * np.random.default_rng(drawn).standard_normal(comp.shape)
            ref = np.exp(noise) / np.exp(noise).sum(axis=-1, keepdims=True)
        assert_allclose(comp, ref, rtol=1e-10)
        gap = mfg.ne_gap(game, comp)
        best = comp if gap < min(gaps) else best
        gaps.append(gap)
    assert drawn >= 2


def test_a_curve_without_progress_is_left(monkeypatch):
    monkeypatch.setattr(occupation, "PATIENCE", 3)
    monkeypatch.setattr(occupation, "PROGRESS", 0.0)  # nothing counts as progress
    method, _ = proposals(CYCLING, 3)
    assert method.left == 0
    method, _ = proposals(CYCLING, 4)
    assert method.left == 1
    assert method.path.crowd.beta < 1.0  # a step along the second curve
    method, _ = proposals(CYCLING, 4 + 3 + 6)
    assert method.left == 3  # the second after three steps, too; the third after six


# What the method solves


@pytest.mark.parametrize("name", [name for name in peer_games.all_games() if name != "susceptible_infected"])
def test_games_of_other_libraries(name):
    game = peer_games.all_games()[name]
    solution = mfg.solve(game, NAME, rtol=1e-5, max_iterations=60)
    gap = mfg.ne_gap(game, solution.policy)
    assert solution.converged
    assert solution.ne_gap == gap <= 1e-5 * mfg.ne_gap(game, game.uniform_policy())


def test_the_one_whose_curves_turn_without_end():
    """The docstring says so; other methods solve it."""
    game = peer_games.all_games()["susceptible_infected"]
    solution = mfg.solve(game, NAME, max_iterations=50)
    assert 1e-3 < solution.ne_gap / solution.history[0] < 3e-2


@pytest.mark.parametrize("n", [3, 5, 7, 9])
@pytest.mark.parametrize(("win", "loss"), [(1, 1), (1, 3), (1e3, 1e3), (1e-3, 2e-3)])
def test_cycling_games_to_the_last_digits(n, win, loss):
    game = picks(circle(n, win, loss) * np.random.default_rng(540 + n).uniform(0.2, 2.0, n))
    solution = mfg.solve(game, NAME, rtol=1e-10, max_iterations=40)
    assert solution.converged
    assert mfg.ne_gap(game, solution.policy) <= 1e-10 * mfg.ne_gap(game, game.uniform_policy())


@pytest.mark.parametrize("seed", [26, 39, 47, 117, 137])
def test_games_where_the_crowd_decides_much(seed):
    """Cyclic ones, and ones with turning curves (26)."""
    assert mfg.solve(random_game(seed)[0], NAME, max_iterations=100).converged


COUPLINGS = {
    "linear": lambda x, crowd: x,
    "crowd aversion": lambda x, crowd: x - np.log(crowd + 1e-10)[:, None],
    "kinked": lambda x, crowd: np.maximum(np.abs(x - 0.2), 0.3),
}


def small_game(seed):
    """S, A, H from 1..6; ties, illegal actions, joint populations, moved rows; rewards of scales 1e-3..1e8."""
    rng = np.random.default_rng([620, seed])
    H, S, A = (int(n) for n in rng.integers(1, 7, 3))
    joint, masked, moved = (seed >> bit & 1 for bit in range(3))
    kind, couple = ("dense", "eighths")[seed // 8 % 2], list(COUPLINGS.values())[seed % 3]
    legal = legal_mask(rng, S, A) if masked else np.ones((S, A), dtype=bool)
    calm, crowded, bonus = rows(rng, (H, S, A, S), kind), rows(rng, (H, S, A, S), kind), numbers(rng, (H, S, A), kind)
    n = S * A if joint else S
    share, M = moved * rng.random(n), rng.standard_normal((S * A, n))
    scale, strength = 10 ** rng.uniform(-3, 8), 10 ** rng.uniform(-1, 1.5)

    def transition(h, seen):
        return (1 - share @ seen.ravel()) * calm[h] + (share @ seen.ravel()) * crowded[h]

    def reward(h, seen):
        crowd = seen.sum(axis=-1) if joint else seen
        return scale * (bonus[h] + strength * couple((M @ seen.ravel()).reshape(S, A), crowd))

    initial, population = rows(rng, (S,), kind), "joint" if joint else "state"
    return mfg.Game(initial, transition, reward, horizon=H, legal=legal, population=population)


@pytest.mark.parametrize("seed", range(48))
def test_small_random_games(seed):
    game = small_game(seed)
    solution = mfg.solve(game, NAME, max_iterations=100)
    gap = mfg.ne_gap(game, solution.policy)
    start = mfg.ne_gap(game, game.uniform_policy())
    assert solution.converged
    assert solution.ne_gap == gap <= max(1e-3 * start, 1e-12 * np.abs(game.reward(0, game_start(game))).max())
    assert (solution.policy[:, ~game.legal] == 0).all()


def game_start(game):
    """What the functions see at the first step when all play the uniform policy."""
    mass = game.initial[:, None] * game.uniform_policy()[0]
    return mass if game.population == "joint" else game.initial


@pytest.mark.parametrize("exponent", [-20, 7, 30])
def test_the_unit_of_rewards_does_not_matter(exponent):
    parts = crowd_game(612, masked=True)
    other = {**parts, "reward": lambda h, mu: 2.0**exponent * parts["reward"](h, mu)}
    (_, ref), (_, comp) = (proposals(mfg.Game(**p), 6) for p in (parts, other))
    assert_array_equal(comp, ref)


def test_runs_are_alike():
    for game in (CYCLING, TURNING):
        assert_array_equal(proposals(game, 12)[1], proposals(game, 12)[1])


def test_compiled_classes():
    models = mfg.linear_class(n_models=3, n_states=8, n_actions=4, seed=613)
    solution = mfg.solve(models[2], NAME, rtol=1e-7)
    assert solution.converged
    assert mfg.ne_gap(models[2], solution.policy) <= 1e-7 * solution.history[0]


def test_a_start_near_the_equilibrium_is_kept():
    found = mfg.solve(CYCLING, NAME, rtol=1e-9).policy
    solution = mfg.solve(CYCLING, NAME, tol=0.0, max_iterations=10, initial_policy=found)
    assert solution.ne_gap <= solution.history[0]
    assert solution.history[1] <= 0.1 * mfg.ne_gap(CYCLING, CYCLING.uniform_policy())  # where the curve begins


def test_the_smallest_game():
    game = constant_game([3.0])
    solution = mfg.solve(game, NAME, tol=0.0, max_iterations=100)
    assert_array_equal(solution.policy, 1.0)
    assert_array_equal(solution.history, 0.0)


def test_rows_that_jump_with_the_crowd_break_nothing():
    solution = mfg.solve(mfg.zoo.linear_quadratic(), NAME, tol=0.0, max_iterations=30)
    assert np.isfinite(solution.history).all()
    assert solution.ne_gap <= 0.5 * solution.history[0]


# What it refuses


@pytest.mark.parametrize(("population", "S"), [("state", 200), ("joint", 100)])
def test_large_games_are_refused(population, S):
    P, r = np.full((S, 10, S), 1 / S), np.arange(S * 10.0).reshape(S, 10)
    legal = np.ones((S, 10), dtype=bool)
    game = mfg.Game(P[0, 0], lambda h, seen: P, lambda h, seen: r, horizon=8, population=population, legal=legal)
    assert measured_entries(game) == 8 * 10 * S**3 * (10 if population == "joint" else 1) > MOST_ENTRIES
    with pytest.raises(ValueError, match=rf"H = 8, S = {S}, A = 10\); use method 'auto'"):
        mfg.solve(game, NAME)


def test_it_has_no_options():
    with pytest.raises(TypeError, match="it takes none"):
        mfg.solve(CYCLING, NAME, step=1.0)


@pytest.mark.parametrize("error", [ValueError, RuntimeError, np.linalg.LinAlgError])
def test_errors_of_the_game_are_not_swallowed(error):
    """Wherever they are met: in passes, in differences, under the root finder."""
    parts = crowd_game(614)
    for last in (5, 40, 100, 200):
        calls = iter(range(10**6))

        def reward(h, mu, calls=calls, last=last):
            if next(calls) == last:
                raise error("mine")
            return parts["reward"](h, mu)

        with pytest.raises(error, match="mine"):
            mfg.solve(mfg.Game(**{**parts, "reward": reward}), NAME, tol=0.0)


def test_scipy_is_imported_where_it_is_needed():
    code = "import sys, fastmfg; print([m for m in sys.modules if m in ('scipy.optimize', 'scipy.sparse')])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
