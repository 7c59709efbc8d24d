"""Finitely many agents: what one of them gains, samples taken among them, and learners on their own."""

import json
import math
from functools import cache

import naive_population
import numpy as np
import pytest
from builders import crowd_game, policy
from learning_cases import certain_class, linear
from multi_type_cases import Parts
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import binom
from test_population import interleaved, p_value

import fastmfg as mfg
from fastmfg.learning import betting

SURE = 1 - 1e-6
"""Level of intervals that are tested to hold the exact value."""

SIZES = (8, 32, 128, 512)


# Three games whose equilibrium sends half of the crowd to a road (state 1), which helps whoever is there if it is not
# exactly half


def road_game(H, rows, worth):
    """Start in 0; action 0 takes the road, 1 stays home (2). ``rows[1]`` and ``worth`` see the density."""

    def transition(h, mu):
        P = np.zeros((4, 2, 4))
        P[:, 0, 1] = P[:, 1, 2] = 1.0
        return P if h == 0 else np.broadcast_to(rows(mu)[:, None], (4, 2, 4))

    def reward(h, mu):
        return np.tile(worth(h, mu)[:, None], (1, 2))

    return mfg.Game([1.0, 0, 0, 0], transition, reward, horizon=H)


def constant(mu):
    return np.tile([1.0, 0, 0, 0], (4, 1))


def prize(mu):
    """From the road the prize (3) is met with a chance that has a kink at one half; from home with chance 1/2."""
    P = np.tile([0.5, 0, 0, 0.5], (4, 1))
    lucky = min(1.0, 0.5 + max(0.0, mu[1] - 0.5))
    P[1] = [1 - lucky, 0, 0, lucky]
    return P


ROADS = {  # game; what the road is worth more than home when its share is x; C of C / sqrt(N)
    "kink in the reward": (
        lambda: road_game(2, constant, lambda h, mu: np.array([0, h * abs(mu[1] - 0.5), 0, 0])), lambda x: abs(x - 0.5),
        0.5,
    ),
    "smooth": (
        lambda: road_game(2, constant, lambda h, mu: np.array([0, h * (mu[1] - 0.5) ** 2, 0, 0])),
        lambda x: (x - 0.5) ** 2, 0.5,
    ),
    "kink in the transition": (
        lambda: road_game(3, prize, lambda h, mu: np.array([0, 0, 0, h / 2.0])), lambda x: max(0.0, x - 0.5), 0.5,
    ),
}  # fmt: skip


def half_road(game):
    pi = np.zeros((game.horizon, 4, 2))
    pi[...] = 0.5
    return pi


def exact_gain(worth, n):
    """Half of what the road is worth to one who takes it while each of n - 1 others does with probability 1/2."""
    others = range(n)
    return sum(math.comb(n - 1, b) * 0.5 ** (n - 1) * worth((1 + b) / n) for b in others) / 2


@pytest.mark.parametrize("name", ROADS)
def test_gaps_are_exact_and_fall_as_promised(name):
    make, worth, C = ROADS[name]
    game = make()
    pi = half_road(game)
    assert mfg.ne_gap(game, pi) == 0.0
    found = mfg.finite_gaps(game, pi, SIZES, n_runs=250, confidence=SURE, seed=1)
    for n, gap in zip(SIZES, found.gaps, strict=True):
        assert gap.low <= exact_gain(worth, n) <= gap.high
        assert gap.high <= C / math.sqrt(n)
        assert (gap.n_agents, gap.n_runs, gap.limit_gap) == ((n,), 250, 0.0)
    assert found.slope < -0.3


def test_the_slope_is_that_of_the_sure_gaps():
    game = ROADS["smooth"][0]()
    found = mfg.finite_gaps(game, half_road(game), (4, 16, 64, 100_000), n_runs=50, seed=2)
    sure = [n for n, gap in zip((4, 16, 64, 100_000), found.gaps, strict=True) if gap.low > 0]
    assert len(sure) >= 3
    gaps = [gap.gap for gap in found.gaps if gap.low > 0]
    assert found.slope == pytest.approx(np.polyfit(np.log(sure), np.log(gaps), 1)[0])
    assert math.isnan(mfg.finite_gaps(game, half_road(game), (4,), n_runs=50).slope)
    flat = mfg.Game([1.0], lambda h, mu: np.ones((1, 1, 1)), lambda h, mu: np.zeros((1, 1)), horizon=1)
    assert math.isnan(mfg.finite_gaps(flat, flat.uniform_policy(), (4, 8), n_runs=5).slope)


@pytest.mark.parametrize("joint", [False, True])
def test_the_gap_of_three_agents_is_the_exact_one(joint):
    parts = crowd_game(7, H=2, S=3, A=2, joint=joint)
    game = mfg.Game(**parts)
    pi = policy(np.random.default_rng(5), 2, game.legal)
    best = mfg.best_response(game, pi).policy
    leave, stay = (
        naive_population.Law([game.initial] * 3, [first, pi, pi], [1 / 3] * 3, parts["transition"], parts["reward"],
                             joint).returns for first in (best, pi)
    )  # fmt: skip
    gap = mfg.finite_gap(game, pi, 3, n_runs=900, confidence=SURE, seed=3)
    assert gap.low <= leave - stay <= gap.high
    assert gap.high - gap.low < 0.5 * (leave - stay)
    assert abs(gap.limit_gap - mfg.ne_gap(game, pi)) < 1e-12


def test_the_gap_by_type_is_the_exact_one():
    parts = Parts(1, ((2, 2), (2, 2)), H=2)
    game = parts.game()
    pi = game.join(parts.policies())
    best = mfg.best_response(game, pi).policy
    starts = [np.array([*parts.initials[0], 0, 0]), np.array([0, 0, *parts.initials[1]])]
    gains = []
    for types in ([0, 0, 1], [1, 0, 0]):
        weights = [1 / 4 if w == 0 else 1 / 2 for w in types]
        returns = [
            naive_population.Law([starts[w] for w in types], [first, pi, pi], weights, game.transition, game.reward,
                                 False).returns for first in (best, pi)
        ]  # fmt: skip
        gains.append(returns[0] - returns[1])
    gap = mfg.finite_gap(game, pi, [2, 1], n_runs=400, confidence=SURE, seed=3)
    assert_allclose(gap.by_type, gains, atol=0.1 * max(gains))
    assert gap.low <= max(gains) <= gap.high
    assert gap.gap == gap.by_type.max()
    assert gap.limit_gap == pytest.approx(mfg.ne_gap(game, pi))


def density_game(seed, *, joint=False):
    """Two states, two actions, two steps; rows and rewards are moved by the density."""
    rng = np.random.default_rng(seed)
    near, far = rng.dirichlet([0.5, 0.5], size=(2, 2, 2, 2))
    base, slope, initial = rng.standard_normal((2, 2, 2)), 2 * rng.standard_normal((2, 2)), rng.dirichlet([1.0, 1.0])

    def states(seen):
        return seen.sum(axis=1) if joint else seen

    def transition(h, seen):
        share = float(np.asarray(seen).ravel()[0])
        return (1 - share) * near[h] + share * far[h]

    return mfg.Game(
        initial, transition, lambda h, seen: base[h] + slope * states(np.asarray(seen))[:, None] ** 2, horizon=2,
        population="joint" if joint else "state", legal=np.ones((2, 2), dtype=bool),
    )  # fmt: skip


def exact_by_profiles(game, pi, n):
    """What the best response of the limit game gains among n agents, every profile enumerated."""
    best, joint = mfg.best_response(game, pi).policy, game.models.joint
    leave, stay = (
        naive_population.Law([game.initial] * n, [first] + [pi] * (n - 1), [1 / n] * n, game.transition, game.reward,
                             joint).returns for first in (best, pi)
    )  # fmt: skip
    return leave - stay


@cache
def covered_games():
    """Five games with a policy, a number of agents and the exact gain; the first three policies are solved."""
    cases = []
    for seed, joint, solved, n in (
        (1, False, True, 2), (4, False, True, 2), (1, True, True, 2), (3, False, False, 3), (5, False, False, 2),
    ):  # fmt: skip
        game = density_game(seed, joint=joint)
        pi = mfg.solve(game, max_iterations=200).policy if solved else game.uniform_policy()
        cases.append((game, pi, n, exact_by_profiles(game, pi, n)))
    return cases


@pytest.mark.parametrize("case", range(5))
def test_small_games_are_enumerated(case):
    game, pi, n, gain = covered_games()[case]
    found = mfg.finite_gap(game, pi, n)
    assert found.exact
    assert abs(found.gap - gain) < 1e-12
    assert found.low <= gain <= found.high <= found.low + 1e-8


COVERED = 0.9
"""Level of the simulated intervals that are counted."""


@pytest.mark.parametrize("n_seeds", [20, pytest.param(200, marks=pytest.mark.statistics)])
def test_simulated_intervals_hold_the_exact_gain(n_seeds):
    """Over five games, 100 or 1000 seeds; intervals at the stated level fail this with probability 1e-6 at most."""
    inside = 0
    for case, (game, pi, n, gain) in enumerate(covered_games()):
        for seed in range(n_seeds):
            found = mfg.finite_gap(game, pi, n, n_runs=10, confidence=COVERED, seed=1000 * case + seed, enumerated=0)
            assert not found.exact
            inside += found.low <= gain <= found.high
    assert binom.sf(5 * n_seeds - inside - 1, 5 * n_seeds, 1 - COVERED) > 1e-6


def test_estimates_are_unbiased():
    """Student's t with 19 degrees of freedom exceeds 6 with probability 1e-5, in five games."""
    for game, pi, n, gain in covered_games():
        gaps = np.array([mfg.finite_gap(game, pi, n, n_runs=20, seed=seed, enumerated=0).gap for seed in range(20)])
        assert abs(gaps.mean() - gain) < 6 * gaps.std(ddof=1) / math.sqrt(20)


def test_bets_hold_the_mean_of_rare_events():
    """All 50 numbers are 0 in most samples, whose variance then is 0; their mean is 1/100."""
    rng = np.random.default_rng(0)
    missed, silent = 0, 0
    for _ in range(1000):
        x = (rng.random(50) < 0.01).astype(float)
        low, high = betting.interval(x, 0.0, 1.0, 0.05)
        silent += x.sum() == 0
        missed += not low <= 0.01 <= high
    assert silent > 500
    assert binom.sf(missed - 1, 1000, 0.05) > 1e-6


def test_a_range_of_rewards_proves_a_wider_interval():
    game, pi, n, gain = covered_games()[3]
    plain = mfg.finite_gap(game, pi, n, n_runs=20, enumerated=0)
    proved = mfg.finite_gap(game, pi, n, n_runs=20, enumerated=0, reward_range=(-10, 10))
    assert proved.gap == plain.gap
    assert proved.low < plain.low <= gain <= plain.high < proved.high
    with pytest.raises(ValueError, match=r"reward_range is \(0.0, 0.1\), but rewards from .* were met: widen it"):
        mfg.finite_gap(game, pi, n, n_runs=5, enumerated=0, reward_range=(0, 0.1))
    for given, message in (((1, 0), "two finite numbers, the lower first"), ((1,), "got 1 numbers")):
        with pytest.raises(ValueError, match=message):
            mfg.finite_gap(game, pi, n, reward_range=given)


def test_the_interval_narrows_with_the_number_of_agents():
    """Plain returns would have an interval of the same width, about 0.3, for any number of agents."""
    game = mfg.Game(**crowd_game(3))
    pi = policy(np.random.default_rng(0), 3, game.legal)
    widths = [(gap := mfg.finite_gap(game, pi, n, n_runs=100)).high - gap.low for n in (100, 10_000)]
    assert widths[0] < 0.1
    assert widths[1] < 0.15 * widths[0]
    assert abs(gap.gap - mfg.ne_gap(game, pi)) < 0.01


def test_gaps_do_not_depend_on_threads(threads):
    game = linear()[0]
    threads(1)
    alone = mfg.finite_gap(game, game.uniform_policy(), 20, n_runs=50)
    threads(3)
    again = mfg.finite_gap(game, game.uniform_policy(), 20, n_runs=50)
    assert (again.gap, again.low, again.high) == (alone.gap, alone.low, alone.high)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"game": 1}, TypeError, "game must be a Game"),
        ({"policy": np.ones((2, 4, 2))}, ValueError, r"policy\[0, 0\] sums to 2"),
        ({"policy": np.ones((1, 4, 2))}, ValueError, r"policy must have shape \[2, 4, 2\]"),
        ({"n_agents": 1}, ValueError, "n_agents must be at least 2 where one agent deviates, got 1"),
        ({"n_runs": 1}, ValueError, "n_runs must be at least 2, got 1"),
        ({"confidence": 1.0}, ValueError, "confidence must lie in"),
    ],
)
def test_bad_input_of_gaps(change, error, message):
    game = ROADS["smooth"][0]()
    with pytest.raises(error, match=message):
        mfg.finite_gap(**({"game": game, "policy": half_road(game), "n_agents": 5} | change))


def test_bad_sizes():
    game = ROADS["smooth"][0]()
    for sizes, error, message in (
        ((), ValueError, "sizes is empty"), (3, TypeError, "sizes must be a sequence"),
        ((2, 1), ValueError, r"sizes\[1\] must be at least 2, got 1"),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            mfg.finite_gaps(game, half_road(game), sizes)


# Samples among agents


@pytest.fixture
def sampled():
    game = mfg.Game(**crowd_game(3, masked=True))
    rng = np.random.default_rng(0)
    return game, policy(rng, 3, game.legal), policy(rng, 3, game.legal)


def test_an_oracle_samples_deviating_agents(sampled):
    game, deviation, reference = sampled
    oracle = mfg.PopulationOracle(game, 50, seed=4)
    states, actions = oracle.sample(deviation, reference, 9)
    more = oracle.sample(deviation, reference, 3)
    assert (states.shape, actions.shape, states.dtype, actions.dtype) == ((9, 4), (9, 3), np.int64, np.int64)
    ref = mfg.Population(game, 50, seed=4).deviate(deviation, reference, 12)
    assert_array_equal(np.concatenate([states, more[0]]), ref[0])
    assert_array_equal(np.concatenate([actions, more[1]]), ref[1])
    assert oracle.trajectories == 12
    assert game.legal[states[:, :-1], actions].all()


def test_many_agents_are_sampled_as_a_mean_field():
    game = linear(H=2, S=3, A=2)[1]
    rng = np.random.default_rng(1)
    deviation, reference = policy(rng, 2, game.legal), policy(rng, 2, game.legal)
    P, law = mfg.condition(game, reference).transition, {}
    for s, a, x, b, y in np.ndindex(3, 2, 3, 2, 3):
        law[s, a, x, b, y] = (
            game.initial[s] * deviation[0, s, a] * P[0, s, a, x] * deviation[1, x, b] * P[1, x, b, y]
        )  # fmt: skip
    outcomes = interleaved(*mfg.PopulationOracle(game, 10**9, seed=0).sample(deviation, reference, 1000))
    assert p_value(outcomes, law) > 1e-6


def test_an_oracle_goes_on_where_it_stood(sampled):
    game, deviation, reference = sampled
    oracle = mfg.PopulationOracle(game, seed=4)
    assert oracle.population.n_agents == 10_000
    oracle.sample(deviation, reference, 5)
    state = json.loads(json.dumps(oracle.state()))
    ref = oracle.sample(deviation, reference, 4)
    again = mfg.PopulationOracle(game, seed=9)
    again.restore(state)
    comp = again.sample(deviation, reference, 4)
    assert_array_equal(ref[0], comp[0])
    assert again.state() == oracle.state()
    with pytest.raises(ValueError, match=r"the state is of an oracle with n_agents \[10000\], this one has \[50\]"):
        mfg.PopulationOracle(game, 50).restore(state)
    with pytest.raises(ValueError, match="n_agents must be at least 2 where one agent deviates, got 1"):
        mfg.PopulationOracle(game, 1)


def test_types_take_turns():
    parts = Parts(2, ((2, 3), (4, 1), (3, 2)))
    game = parts.game()
    oracle = mfg.PopulationOracle(game, [5, 1, 9], seed=1)
    states = np.concatenate([oracle.sample(parts.policies(), parts.policies(), n)[0] for n in (4, 5)])
    assert_array_equal(game.layout.type_of(states), np.tile((np.arange(9) % 3)[:, None], game.horizon + 1))
    again = mfg.PopulationOracle(game, [5, 1, 9], seed=0)
    again.restore(oracle.state())
    assert again.state() == oracle.state() == {"seed": 1, "n_agents": [5, 1, 9], "trajectories": 9}


@cache
def separated():
    """A class that a crowd moves, its models far apart, and their equilibria."""
    models = mfg.linear_class(6, 5, 3, 3, 3, 3, scale=1.0, seed=3)
    every = range(len(models))
    return models, dict(zip(every, mfg.solve_models(models, list(every), tol=0.005), strict=True))


def test_learning_from_many_agents_keeps_the_true_model():
    models, equilibria = separated()
    kept = 0
    for seed in range(100):
        true = seed % len(models)
        oracle = mfg.PopulationOracle(models[true], 100_000, seed=seed)
        out = mfg.learn(models, oracle, epsilon=0.01, delta=0.01, equilibria=equilibria)
        assert out.trajectories > 0
        kept += true in out.survivors and mfg.ne_gap(models[true], out.policy) <= 0.01
    assert kept >= 95


# Independent learners


def test_independent_learners_approach_an_equilibrium():
    game = mfg.zoo.beach_bar(n_states=6)
    found = mfg.independent_learners(game, 200, 150, 0.1, seed=1, gap_every=60)
    assert_array_equal(found.rounds, [0, 60, 120, 150])
    assert found.history[0] == pytest.approx(mfg.ne_gap(game, game.uniform_policy()))
    assert found.history[-1] < 0.4 * found.history[0]
    assert found.history[-1] == pytest.approx(mfg.ne_gap(game, found.policy))
    again = mfg.independent_learners(game, 200, 150, 0.1, seed=1, gap_every=150)
    assert_array_equal(again.policy, found.policy)
    runs = [mfg.independent_learners(game, 20, 2, 0.1, seed=seed).policy for seed in (1, 2)]
    assert not np.array_equal(*runs)


def test_one_learner_finds_the_better_action():
    """Reward 1 for action 1, of which state 1 has no use; action 2 is illegal."""
    legal = np.array([[True, True, False], [True, True, False]])
    game = mfg.Game(
        [1.0, 0.0], lambda h, mu: np.broadcast_to([1.0, 0.0], (2, 3, 2)), lambda h, mu: np.eye(3)[[1, 1]], horizon=1,
        legal=legal,
    )  # fmt: skip
    found = mfg.independent_learners(game, 1, 300, 0.2, exploration=0.1)
    assert found.policy[0, 0, 1] > 0.9
    assert found.policy[0, 0, 1] <= 0.95 + 1e-12  # a tenth is uniform
    assert (found.policy[:, :, 2] == 0).all()
    assert_allclose(found.policy[0, 1], [0.5, 0.5, 0.0])
    damped = mfg.independent_learners(game, 1, 300, 0.2, exploration=0.1, temperature=2.0)
    assert 0.5 < damped.policy[0, 0, 1] < found.policy[0, 0, 1]


def test_learners_meet_the_crowd_of_all():
    """Rewards of an episode are those at the agents' own distribution."""
    game = certain_class()[0]
    with pytest.raises(ValueError, match="step \\* temperature must be less than 1, got 1"):
        mfg.independent_learners(game, 2, 1, 1.0, temperature=1.0)
    for change, error, message in (
        ({"n_agents": 0}, ValueError, "n_agents must be at least 1"), ({"rounds": 0}, ValueError, "rounds must be"),
        ({"step": 0.0}, ValueError, "step must lie in"), ({"exploration": 1.5}, ValueError, "exploration must lie in"),
        ({"gap_every": 0}, ValueError, "gap_every must be at least 1"), ({"game": 0}, TypeError, "game must be a Game"),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            mfg.independent_learners(**({"game": game, "n_agents": 2, "rounds": 1, "step": 0.1} | change))
