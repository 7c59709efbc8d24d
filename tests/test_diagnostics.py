"""Diagnostics of a game, and Lipschitz estimates of a class."""

import tracemalloc

import naive
import naive_diagnostics
import naive_population
import numba
import numpy as np
import peer_games
import pytest
from builders import crowd_game, swept_fill, swept_functions, swept_prepare, swept_reward, table_class
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import fastmfg as mfg
from fastmfg.games.fillers import as_filler
from fastmfg.kernels import crowd
from fastmfg.kernels.jit import PREPARE
from fastmfg.planning import diagnostics, sampled
from fastmfg.planning.evaluation import evaluation_of
from fastmfg.planning.mirror import PriorDescent

NUMBERS = ("reward_lipschitz", "transition_lipschitz", "contraction")


def numbers(found):
    """All numbers of a `Diagnostics`."""
    m = found.monotonicity
    return [getattr(found, name) for name in NUMBERS] + [m.pairs, m.violations, m.largest]


def fork(reward, n_forks=2):
    """From state 0 every action leads to a state of its own; rewards are those of the states reached, [n_forks]."""
    S, A = n_forks + 1, n_forks
    P = np.zeros((S, A, S))
    P[np.arange(S)[:, None], np.arange(A), 1 + np.arange(A)] = 1.0

    def rewards(h, mu):
        return np.repeat(np.concatenate([[0.0], reward(mu[1:])])[:, None], A, axis=1)

    return mfg.Game(np.eye(S)[0], lambda h, mu: P, rewards, horizon=2)


# The kernel


def test_a_population_that_is_not_the_own_one_is_prepared():
    H, S, A, D = 3, 4, 2, 2
    rng = np.random.default_rng(700)
    U, psi = rng.standard_normal((H, S, D * D)), rng.standard_normal((H, D, S))
    models = mfg.LinearClass(rng.standard_normal((H, S, A, D)), U, psi[None], np.full(S, 1 / S))
    seen = rng.dirichlet(np.ones(S), size=H)
    comp = models.aux_under(0, seen, "given")
    for h in range(H):
        ref = naive_population.prepare_at(lambda h, mu: naive.linear_prepare(U[h], psi[h], mu), h, seen[h])
        assert_allclose(comp[h].reshape(D, S), ref, atol=1e-13)


@numba.njit
def failing_prepare(h, population, shared, theta, aux):
    return h if h > 1 else 0


def test_preparing_hands_on_the_status_and_leaves_no_old_numbers():
    fails = as_filler("prepare", failing_prepare, PREPARE)
    for h in range(4):
        aux = np.zeros(2)
        status = crowd.prepare_at(fails, h, np.ones(1), np.empty(0), np.empty(0), aux)
        assert status == (h if h > 1 else 0)
        assert np.isnan(aux).all()


# Every pair against the slow twins


def flow(parts, pi):
    """Density, and what functions see at each step."""
    joint = parts["population"] == "joint"
    mu, P = naive.push(parts["initial"], pi, parts["transition"], joint)
    seen = [mu[h][:, None] * pi[h] if joint else mu[h] for h in range(len(pi))]
    return mu, seen, P


def unflattened(parts):
    """The functions of a game for the twins, which hand a joint population over flat or as [S, A]."""
    shape = np.shape(parts["legal"]) if parts["population"] == "joint" else (-1,)
    asked = {name: parts[name] for name in ("transition", "reward")}
    return {**parts, **{name: lambda h, x, f=f: f(h, np.reshape(x, shape)) for name, f in asked.items()}}


def response(parts, pi, temperature):
    """What functions see when all play the best response to the crowd of pi."""
    _, seen, P = flow(parts, pi)
    r = np.array([parts["reward"](h, x) for h, x in enumerate(seen)])
    if temperature is not None:
        return flow(parts, naive_diagnostics.softmax_policy(P, r, parts["legal"], temperature))[1]
    greedy = naive.back_up(P, r, pi, parts["legal"])[1]
    return flow(parts, np.eye(r.shape[2])[greedy])[1]


@pytest.mark.parametrize("temperature", [None, 0.3])
@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_every_number_is_the_largest_over_the_sampled_pairs(masked, joint, temperature):
    parts = unflattened(crowd_game(701, 3, 3, 3, masked, joint))
    game, n = mfg.Game(**parts), 6
    ref = {name: [] for name in (*NUMBERS, "sum")}
    for pairs in sampled.Sampler(game.models, np.zeros(1, dtype=np.int64), 5, temperature).rounds(n):
        for x, y in pairs:
            (mu, xs, _), (nu, ys, _) = flow(parts, x.policy), flow(parts, y.policy)
            if max(map(naive_diagnostics.distance, xs, ys)) < naive_diagnostics.FLOOR:
                continue
            ref["reward_lipschitz"].append(naive_diagnostics.reward_slope(parts["reward"], xs, ys, game.legal))
            slope = naive_diagnostics.transition_slope(parts["transition"], xs, ys, game.legal)
            ref["transition_lipschitz"].append(slope)
            answers = (response(parts, z.policy, temperature) for z in (x, y))
            ref["contraction"].append(naive_diagnostics.expansion(xs, ys, *answers))
            total, scale = naive_diagnostics.lasry_lions(mu, x.policy, xs, nu, y.policy, ys, parts["reward"])
            ref["sum"].append(total / scale)
    comp = mfg.diagnose(game, n_policies=n, temperature=temperature, seed=5)
    assert comp.monotonicity.pairs == len(ref["sum"])
    assert_allclose(comp.monotonicity.largest, max(ref["sum"]), rtol=1e-6)
    for name in NUMBERS:
        assert_allclose(getattr(comp, name), max(ref[name]), rtol=1e-6, atol=1e-9)


def swept_class(thetas, S=4, A=2, H=3, bonus=0.3):
    return mfg.ModelClass.from_filler(
        swept_fill, np.reshape(thetas, (-1, 1)), np.eye(S)[0], swept_reward, n_actions=A, horizon=H,
        prepare=swept_prepare, shared=[bonus], aux_size=S,
    )  # fmt: skip


@pytest.mark.parametrize("compiled", [False, True])
def test_a_class_is_compared_within_and_between_models(compiled):
    S, A, thetas = 4, 2, [0.2, 0.5, 0.9]
    models = swept_class(thetas)
    functions = [swept_functions(w, S, A, 0.3) for w in thetas]
    if not compiled:
        models = mfg.ModelClass([mfg.Game(np.eye(S)[0], *f, horizon=3) for f in functions])
    sampler = sampled.Sampler(models, np.arange(3), 7)
    rewards, rows, between = [0.0], [0.0], 0
    for pairs in sampler.rounds(6):
        for x, y in pairs:
            (xs, ys) = (naive.push(models.initial, z.policy, functions[z.member][0])[0] for z in (x, y))
            between += x.member != y.member
            for m in (x.member, y.member):
                rewards.append(naive_diagnostics.reward_slope(functions[m][1], xs, ys, models.legal))
                rows.append(naive_diagnostics.transition_slope(functions[m][0], xs, ys, models.legal))
    comp = mfg.estimate_lipschitz(models, n_policies=6, seed=7)
    assert between > 0
    assert_allclose(comp.reward, max(rewards), rtol=1e-6)
    assert_allclose(comp.transition, max(rows), rtol=1e-6)
    # rows are w mu + (1 - w) fixed: L_T is the largest w, and every pair attains it
    assert_allclose(comp.transition, max(thetas), rtol=1e-6)


def test_the_witness_attains_the_largest_sum():
    game = peer_games.rock_paper_scissors()
    found = mfg.diagnose(game).monotonicity
    pi, rho = found.witness
    parts = {"initial": game.initial, "transition": game.transition, "population": "state"}
    (mu, xs, _), (nu, ys, _) = flow(parts, pi), flow(parts, rho)
    total, scale = naive_diagnostics.lasry_lions(mu, pi, xs, nu, rho, ys, game.reward)
    assert found.violations > 0
    assert total > 0
    assert_allclose(found.largest, total / scale, rtol=1e-6)
    assert not pi.flags.writeable


def test_the_softmax_response_is_a_step_of_prior_descent():
    game = mfg.Game(**crowd_game(702, masked=True))
    uniform = game.uniform_policy()
    one = np.zeros(1, dtype=np.int64)
    sample = sampled.Sampler(game.models, one, 0, 0.7).sample(0, uniform)
    step = PriorDescent(temperature=0.7, inner_iterations=None)(evaluation_of(game, uniform))
    assert_allclose(sample.response, mfg.condition(game, step).density, atol=1e-12)


# Games whose constants are known


def test_infections_have_a_transition_slope_of_081():
    found = mfg.diagnose(peer_games.susceptible_infected())
    assert_allclose(found.transition_lipschitz, 0.81, rtol=1e-9)
    assert found.transition_depends
    assert found.reward_lipschitz == 0.0
    assert (found.monotonicity.violations, found.monotonicity.largest) == (0, 0.0)  # rewards do not see the crowd


@pytest.mark.parametrize("c", [1e-6, 3.0, 1e6])
@pytest.mark.parametrize("n_forks", [2, 5])
def test_a_price_of_crowds(c, n_forks):
    # |d_s| <= ||d||_1 / 2 for any d that sums to 0, and who changes from one place to another attains it
    found = mfg.diagnose(fork(lambda mu: -c * mu, n_forks))
    assert 0.5 * c * (1 - 1e-6) <= found.reward_lipschitz <= 0.5 * c * (1 + 1e-9)
    assert found.transition_lipschitz == 0.0
    assert not found.transition_depends
    m = found.monotonicity
    assert m.pairs > 100
    assert m.violations == 0
    # -c sum_h ||d_h||_2^2, over ||d_1|| ||d_1|| + what actions move at the last step, where r is the price as well
    assert -0.5 * c * (1 + 1e-9) <= m.largest < 0.0


def test_a_change_in_one_state_attains_the_price_of_crowds():
    # a ring, everyone everywhere: only who goes elsewhere alone moves mass from one place to one place
    S = 12
    P = np.zeros((S, 2, S))
    P[np.arange(S), 0, np.arange(S)] = P[np.arange(S), 1, (np.arange(S) + 1) % S] = 1.0
    game = mfg.Game(np.full(S, 1 / S), lambda h, mu: P, lambda h, mu: -np.tile(mu[:, None], 2), horizon=2)
    assert_allclose(mfg.diagnose(game).reward_lipschitz, 0.5, rtol=1e-9)


def test_illegal_actions_do_not_count():
    legal = np.array([[True, True, False], [True, False, True]])
    P = np.where(np.arange(3)[:, None] > 0, [0.0, 1.0], [1.0, 0.0])  # action 0 leads to state 0, others to state 1

    def transition(h, mu):
        rows = np.stack([P, P])
        rows[~legal] = mu
        return rows

    def reward(h, mu):
        return np.where(legal, -0.1 * mu[:, None], 100.0 * mu[:, None])

    found = mfg.diagnose(mfg.Game([0.5, 0.5], transition, reward, horizon=3, legal=legal))
    assert found.transition_lipschitz == 0.0
    assert_allclose(found.reward_lipschitz, 0.05, rtol=1e-6)
    assert found.monotonicity.violations == 0


@pytest.mark.parametrize("n_forks", [2, 5])
def test_a_liking_for_crowds_is_caught(n_forks):
    found = mfg.diagnose(fork(lambda mu: mu, n_forks)).monotonicity
    assert found.violations == found.pairs > 100
    assert 0.0 < found.largest <= 0.5 * (1 + 1e-9)
    # a reward of -mu(1) + mu(2): only some directions violate
    partly = mfg.diagnose(fork(lambda mu: np.concatenate([-mu[:1], mu[1:]]), n_forks + 1)).monotonicity
    assert 0 < partly.violations < partly.pairs


def test_logarithms_have_no_lipschitz_constant():
    smooth, steep = (mfg.diagnose(mfg.zoo.beach_bar(20, log_eps=eps)) for eps in (1.0, 1e-20))
    assert smooth.reward_lipschitz <= 0.5  # the slope of log(mu + 1) is at most 1
    assert steep.reward_lipschitz > 10
    walled = mfg.diagnose(peer_games.building_evacuation())
    assert walled.reward_lipschitz > 1e5  # deterministic moves can empty a place


@pytest.mark.parametrize(
    "game",
    [
        mfg.zoo.beach_bar(10),
        mfg.zoo.crowd_modelling_1d(),
        mfg.zoo.crowd_modelling_2d(size=4, horizon=5, forbidden_states=[(1, 1), (1, 2)]),
        peer_games.left_right(),
    ],
    ids=["beach_bar", "crowd_1d", "crowd_2d", "left_right"],
)
def test_crowd_aversion_is_monotone(game):
    found = mfg.diagnose(game)
    assert found.monotonicity.pairs > 100
    assert found.monotonicity.violations == 0
    assert found.monotonicity.largest < 0.0
    assert found.transition_lipschitz == 0.0


@pytest.mark.parametrize("temperature", [0.5, 2.0, 4.0])
def test_contraction_of_the_softmax_response(temperature):
    # p -> 1 / (1 + exp((2p - 1) c / T)): steepest at p = 1/2, slope c / (2T)
    found = mfg.diagnose(fork(lambda mu: -3.0 * mu), temperature=temperature)
    true = 3.0 / (2.0 * temperature)
    assert true * (1 - 1e-6) <= found.contraction <= true * (1 + 1e-9)
    assert found.temperature == temperature


def test_a_best_response_jumps_or_stays():
    jumping = mfg.diagnose(fork(lambda mu: -mu))
    assert jumping.contraction > 1e3
    assert mfg.diagnose(fork(lambda mu: np.array([1.0, 0.0]) - 0.4 * mu)).contraction == 0.0
    table = mfg.ModelClass.from_tables(np.full((1, 2, 3, 2, 3), 1 / 3), [1.0, 0.0, 0.0], lambda h, mu: np.eye(3)[:, :2])
    assert mfg.diagnose(table[0]).contraction == 0.0


def test_a_joint_population_is_measured_jointly():
    # r = -L(s, a): the last step's actions move the joint population, though not the density
    game = mfg.Game(
        [0.5, 0.5], lambda h, seen: np.full((2, 2, 2), 0.5), lambda h, seen: -seen, horizon=1,
        population="joint", legal=np.ones((2, 2), dtype=bool),
    )  # fmt: skip
    found = mfg.diagnose(game)
    assert_allclose(found.reward_lipschitz, 0.5, rtol=1e-6)
    assert found.monotonicity.violations == 0
    assert mfg.diagnose(fork(lambda mu: -mu)).monotonicity.pairs > 0


def test_rounding_is_no_slope():
    # rows and rewards see the crowd's total only, which is 1 but for the last digits
    rng = np.random.default_rng(708)
    P, bonus = rng.dirichlet(np.ones(30), (30, 2)), 1e3 * rng.standard_normal((30, 2))
    seen = set()

    def transition(h, mu):
        seen.add(float(mu.sum()))
        return P * mu.sum()

    game = mfg.Game(P[0, 0], transition, lambda h, mu: bonus * np.exp(mu.sum()), horizon=4)
    found = mfg.diagnose(game)
    assert len(seen) > 1
    assert (found.reward_lipschitz, found.transition_lipschitz) == (0.0, 0.0)
    assert (found.transition_depends, found.monotonicity.violations, found.monotonicity.largest) == (False, 0, 0.0)


# Properties


@given(st.integers(0, 10_000), st.booleans(), st.booleans())
def test_estimates_never_exceed_the_constants(seed, masked, joint):
    parts = crowd_game(seed, 3, 3, 2, masked, joint)
    rng = np.random.default_rng(seed)
    C = rng.standard_normal((3, 3, 2, 6 if joint else 3))
    parts["reward"] = lambda h, seen: C[h] @ seen.ravel()
    game = mfg.Game(**parts)
    found = mfg.diagnose(game, n_policies=5, seed=seed)
    legal = game.legal
    # C d for d of sum 0: at most half the range of C times ||d||
    L_r = (C.max(axis=-1) - C.min(axis=-1))[:, legal].max() / 2
    assert found.reward_lipschitz <= L_r * (1 + 1e-9)
    assert abs(found.monotonicity.largest) <= L_r * (1 + 1e-9)
    # rows are mixtures with the weight of one entry of the population
    empty = np.zeros((3, 2)) if joint else np.zeros(3)
    spread = [np.abs(parts["transition"](h, empty) - parts["transition"](h, empty + 1)).sum(axis=-1) for h in range(3)]
    assert found.transition_lipschitz <= np.max(spread) / 2 * (1 + 1e-9)


@given(st.integers(0, 10_000), st.booleans())
def test_more_policies_never_lower_an_estimate(seed, joint):
    game = mfg.Game(**crowd_game(seed, joint=joint))
    few, more = (mfg.diagnose(game, n_policies=n, temperature=1.0, seed=seed) for n in (3, 7))
    assert (np.array(numbers(few)) <= numbers(more)).all()


@given(st.integers(0, 10_000))
def test_relabelled_rewards_scale(seed):
    """Rewards times k plus a constant: L_r and the sums times k, the rest as before."""
    parts = crowd_game(seed)
    given_reward = parts["reward"]
    scaled = {**parts, "reward": lambda h, mu: 8.0 * given_reward(h, mu)}
    a, b = (mfg.diagnose(mfg.Game(**p), n_policies=4) for p in (parts, scaled))
    assert_allclose(b.reward_lipschitz, 8.0 * a.reward_lipschitz, rtol=1e-9)
    assert_allclose(b.monotonicity.largest, 8.0 * a.monotonicity.largest, rtol=1e-9)
    assert (a.transition_lipschitz, a.contraction) == (b.transition_lipschitz, b.contraction)


def test_results_depend_on_the_seed_alone(threads):
    models = mfg.linear_class(n_models=4, n_states=6, n_actions=3, seed=2)
    found = []
    for count in (1, 2, 3):
        threads(count)
        found.append((numbers(mfg.diagnose(models[1], n_policies=6)), mfg.estimate_lipschitz(models, n_policies=6)))
    assert found[0] == found[1] == found[2]
    assert numbers(mfg.diagnose(models[1], n_policies=6, seed=1)) != found[0][0]


def test_a_game_is_a_class_of_one():
    models = mfg.linear_class(n_models=3, n_states=5, n_actions=3, seed=3)
    alone = mfg.diagnose(models[2])
    for one in (models[2], models[[2]]):
        found = mfg.estimate_lipschitz(one)
        assert (found.reward, found.transition) == (alone.reward_lipschitz, alone.transition_lipschitz)
        assert found.pairs == alone.monotonicity.pairs


def test_densities_of_different_models_count():
    # with one action a model has one density: only between models is there anything to compare
    models, _ = table_class(703, M=4, A=1, reward=lambda h, mu: -2.0 * mu[:, None])
    assert mfg.estimate_lipschitz(models[0]) == diagnostics.Lipschitz(0.0, 0.0, 0)
    found = mfg.estimate_lipschitz(models)
    assert found.pairs > 0
    assert 0.5 < found.reward <= 1.0 + 1e-9


@pytest.mark.parametrize("seed", range(4))
def test_a_policy_is_compared_with_itself_in_another_model(seed):
    models = swept_class([0.2, 0.9], A=1)
    assert mfg.estimate_lipschitz(models[1], n_policies=1, seed=seed).pairs == 0
    found = mfg.estimate_lipschitz(models, n_policies=1, seed=seed)
    assert found.pairs == 1
    assert_allclose(found.transition, 0.9, rtol=1e-9)  # whichever model comes first, both are asked


# Sizes and limits


@pytest.mark.parametrize(("H", "S", "A"), [(1, 4, 3), (3, 1, 3), (3, 4, 1), (1, 1, 1)])
def test_where_policies_move_nothing(H, S, A):
    found = mfg.diagnose(mfg.Game(**crowd_game(704, H, S, A)))
    assert found.monotonicity == diagnostics.Monotonicity(0, 0, 0.0, None)
    assert [getattr(found, name) for name in NUMBERS] == [0.0] * 3
    assert not found.transition_depends
    assert "nothing to compare" in str(found)


def test_one_policy_has_its_neighbours():
    found = mfg.diagnose(fork(lambda mu: -mu), n_policies=1)
    assert 0 < found.monotonicity.pairs <= 3


def test_large_games_are_compared_in_a_chain(monkeypatch):
    game = mfg.zoo.crowd_modelling_1d(6, 4)
    every = mfg.diagnose(game)
    monkeypatch.setattr(sampled, "KEPT_BYTES", 1)
    chain = mfg.diagnose(game)
    assert 0 < chain.monotonicity.pairs < every.monotonicity.pairs
    assert chain.reward_lipschitz <= every.reward_lipschitz


@numba.njit
def drifting_prepare(h, population, shared, theta, aux):
    aux[:] = population
    return 0


@numba.njit
def drifting_fill(h, aux, shared, theta, lo, hi, out):  # on a ring: held up where it is crowded
    for s in range(lo, hi):
        for a in range(out.shape[1]):
            out[s - lo, a, 0], out[s - lo, a, 1] = theta[0] * aux[s], 1.0 - theta[0] * aux[s]
    return 0


def test_sparse_games_need_no_table():
    S, A = 2000, 2  # a table takes 64 MB a step
    to = np.array([[[s, (s + 1 + a) % S] for a in range(A)] for s in range(S)])
    models = mfg.ModelClass.from_filler(
        drifting_fill, [[0.5], [1.0]], np.eye(S)[0], "crowd-aversion", n_actions=A, horizon=3,
        prepare=drifting_prepare, aux_size=S, successors=to,
    )  # fmt: skip
    tracemalloc.start()
    found = mfg.diagnose(models[0], n_policies=4)
    pooled = mfg.estimate_lipschitz(models, n_policies=4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16e6
    assert 0.0 < found.transition_lipschitz <= 0.5 * (1 + 1e-9)  # 2 w |d_s| <= w ||d||
    assert 0.5 < pooled.transition <= 1.0 + 1e-9


# Words


def test_what_is_said():
    said = str(mfg.diagnose(peer_games.rock_paper_scissors()))
    assert "monotone rewards     no, proved by" in said
    assert "the same for all sampled crowds" in said
    assert "no contraction in this norm; it jumps" in said
    said = str(mfg.diagnose(peer_games.susceptible_infected(), temperature=1.0, n_policies=5))
    assert "no violation in" in said
    assert "which is no proof" in said
    assert "monotone rewards alone do not make the equilibrium unique" in said
    assert "at least 0.81" in said
    said = str(mfg.diagnose(fork(lambda mu: -mu), temperature=10.0, n_policies=5))
    assert "suggests, and does not prove, that iterating the softmax best response at 10 converges" in said


# Bad input


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_policies": 0}, ValueError, "n_policies must be at least 1, got 0"),
        ({"n_policies": 2.5}, TypeError, "n_policies must be a whole number, got 2.5"),
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
        ({"seed": None}, TypeError, "seed must be a whole number, got None"),
    ],
)
def test_bad_numbers(options, error, message):
    models, _ = table_class(705)
    for call in (lambda: mfg.diagnose(models[0], **options), lambda: mfg.estimate_lipschitz(models, **options)):
        with pytest.raises(error, match=message):
            call()


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, np.inf])
def test_bad_temperatures(temperature):
    with pytest.raises(ValueError, match=r"temperature must lie in \(0, inf\)"):
        mfg.diagnose(fork(lambda mu: -mu), temperature=temperature)


def test_a_tiny_temperature_is_the_best_response():
    game = fork(lambda mu: np.array([1.0, 0.0]) - 0.4 * mu)
    assert mfg.diagnose(game, temperature=1e-320).contraction == 0.0


def test_what_is_no_game():
    models, _ = table_class(706)
    with pytest.raises(TypeError, match="game must be a Game, got ModelClass"):
        mfg.diagnose(models)
    with pytest.raises(TypeError, match="models must be a ModelClass or a Game, got list"):
        mfg.estimate_lipschitz([models[0]])


@numba.njit
def narrow_prepare(h, population, shared, theta, aux):
    aux[0] = np.sqrt(theta[1] - population[1])  # NaN, or a status, where more than theta[1] are in state 1
    return 9 if theta[2] > 0 and population[1] > theta[1] else 0


@numba.njit
def narrow_fill(h, aux, shared, theta, lo, hi, out):
    for s in range(hi - lo):
        for a in range(out.shape[1]):
            out[s, a, 1] = theta[0] + 0.01 * aux[0]
            out[s, a, 0] = 1.0 - out[s, a, 1]
    return 0


@pytest.mark.parametrize(
    ("strict", "message"),
    [
        (0.0, "the transition row of model 0, step 1, state 0, action 0 is no distribution under a population"),
        (1.0, "prepare returned status 9 for model 0 under a population of model 1"),
    ],
)
def test_rows_that_another_models_population_breaks(strict, message):
    models = mfg.ModelClass.from_filler(
        narrow_fill, [[0.1, 0.5, strict], [0.8, 1.0, strict]], [1.0, 0.0], "crowd-aversion", n_actions=2, horizon=2,
        prepare=narrow_prepare, aux_size=1,
    )  # fmt: skip
    mfg.estimate_lipschitz(models[0])
    with pytest.raises(ValueError, match=message):
        mfg.estimate_lipschitz(models)


def test_functions_that_another_models_population_breaks():
    def narrow(w, most):
        def transition(h, mu):
            if mu[1] > most:
                return np.full((2, 2, 2), np.nan)
            return np.broadcast_to([1.0 - w, w], (2, 2, 2))

        return transition

    games = [
        mfg.Game([1.0, 0.0], narrow(*p), lambda h, mu: np.zeros((2, 2)), horizon=2) for p in [(0.1, 0.5), (0.8, 1)]
    ]
    with pytest.raises(ValueError, match=r"transition\(1, population\) of game 0\[0, 0, 0\] is nan"):
        mfg.estimate_lipschitz(mfg.ModelClass(games))


@numba.njit
def narrow_reward(h, population, shared, theta, out):
    out[:] = np.sqrt(theta[0] - population[1])
    return 0


@numba.njit
def steady_fill(h, aux, shared, theta, lo, hi, out):
    for s in range(hi - lo):
        for a in range(out.shape[1]):
            out[s, a, 0], out[s, a, 1] = 1.0 - theta[1], theta[1]
    return 0


def test_rewards_that_another_models_population_breaks():
    models = mfg.ModelClass.from_filler(
        steady_fill, [[0.5, 0.1], [1.0, 0.8]], [1.0, 0.0], narrow_reward, n_actions=2, horizon=2
    )
    with pytest.raises(ValueError, match=r"the reward of model 0 under a population of model 1\[1, 0, 0\] is nan"):
        mfg.estimate_lipschitz(models)


def test_the_sequence_of_policies():
    game = mfg.Game(**crowd_game(707, 2, 4, 3, masked=True))
    one = np.zeros(1, dtype=np.int64)
    samples = [pairs[-1][0] for pairs in sampled.Sampler(game.models, one, 0).rounds(12)]
    assert_array_equal(samples[0].policy, game.uniform_policy())
    assert_array_equal(samples[3].policy, mfg.best_response(game, samples[2].policy).policy)
    for x in samples:
        assert_allclose(x.policy.sum(axis=-1), 1.0, atol=1e-12)
        assert (x.policy[:, ~game.legal] == 0).all()
    kinds = [set(np.unique(x.policy)) <= {0.0, 1.0} for x in samples]
    assert kinds[1:6] == kinds[6:11] == [False, True, True, True, True]


# Rounding within a reward function is no proof


def skew_game(seed, rounding, S=4, A=2, H=3):
    """Rewards ``K mu``, K skew-symmetric: the Lasry-Lions sum is 0 for all pairs, written so that it rounds."""
    rng = np.random.default_rng(seed)
    T = rng.dirichlet(np.ones(S), size=(H, S, A))
    Q = rng.standard_normal((S, S))
    K = Q - Q.T
    return mfg.Game(
        np.ones(S) / S, lambda h, mu: T[h], lambda h, mu: np.repeat(rounding(K @ mu)[:, None], A, axis=1), horizon=H
    )


ROUNDINGS = {
    "added and taken away": lambda x, scale: (x + scale) - scale,
    "then scaled": lambda x, scale: 0.1 * ((3.0 * x + scale) - scale),
    "two at once": lambda x, scale: ((x + scale) - 3.0 * scale) + 2.0 * scale,
    "difference of logarithms": lambda x, scale: scale * (np.log(np.exp(x / scale))),
}


@pytest.mark.parametrize("name", ROUNDINGS)
@pytest.mark.parametrize("scale", [1.0, 1e3, 1e6, 1e9])
def test_rounding_in_a_reward_proves_nothing(name, scale):
    for seed in range(3):
        found = mfg.diagnose(skew_game(seed, lambda x: ROUNDINGS[name](x, scale)), n_policies=8)
        assert found.monotonicity.pairs > 0
        assert found.monotonicity.violations == 0, seed
        assert "proved" not in str(found)


@pytest.mark.parametrize("scale", [0.0, 1e3, 1e6])
def test_a_true_violation_is_proved_behind_an_offset(scale):
    n = 3
    game = fork(lambda mu: (mu + scale) - scale, n)  # attracting: the sum is the squared distance
    assert mfg.diagnose(game, n_policies=8).monotonicity.violations > 0


def test_rounding_that_is_seen_is_that_of_the_largest_sum():
    for scale in (1e3, 1e6, 1e9):
        game = skew_game(0, lambda x, scale=scale: (x + scale) - scale)
        [[(sample, _), *_]] = list(sampled.Sampler(game.models, np.array([0]), 0).rounds(1))
        assert 0.1 * np.spacing(scale) < sample.reward_noise < 10 * np.spacing(scale)
