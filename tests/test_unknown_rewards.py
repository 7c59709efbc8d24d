"""Classes whose rewards are unknown: what they are, and how their models are compared."""

import math
from concurrent.futures import ThreadPoolExecutor

import naive
import naive_rewards
import numpy as np
import pytest
from builders import crowd_game, policy, tables
from hypothesis import given
from hypothesis import strategies as st
from learning_cases import called_class, linear, near_class
from numpy.testing import assert_allclose, assert_array_equal
from reward_cases import KINDS, SIGMA, called, conditionals, paid, swept

import fastmfg as mfg
from fastmfg import cluster
from fastmfg.comparing import neighbourhood
from fastmfg.comparing.bridge import BridgeModel, SoftBridge
from fastmfg.comparing.conditional import condition_class
from fastmfg.comparing.distance import deviation_distances, lower_bounds, pair_deviation, row_gaps, upper_bounds
from fastmfg.kernels import distance, information, table
from fastmfg.learning.run_digest import class_digest


def random_policy(models, seed=0):
    return policy(np.random.default_rng(seed), models.horizon, models.legal)


def pairs(models, twin, policy):
    """``twin(M, N, initial, legal)`` of all ordered pairs [n, n]."""
    found = conditionals(models, policy)
    return np.array([[twin(M, N, models.initial, models.legal) for N in found] for M in found])


# Kernels


class Block:
    """A random block of pairs of six models with rewards, some of them wanted."""

    def __init__(self, seed, H, S, A, R, C):
        rng = np.random.default_rng(seed)
        self.t = tables(rng, 6, H, S, A, masked=True)
        self.reward = rng.standard_normal((6, H, S, A))
        self.members = rng.permutation(6)  # rewards are those of the models that it lists
        self.rows, self.cols = rng.integers(0, 6, R), rng.integers(0, 6, C)
        self.wanted = rng.random((R, C)) < 0.7
        self.args = (table.fill_by_step, self.t.common, self.t.thetas, self.members, self.t.aux, self.reward)

    def model(self, position):
        return self.t.P[self.members[position]], self.reward[position]

    def check(self, found, twin):
        for i, j in np.argwhere(self.wanted):
            ref = twin(self.model(self.rows[i]), self.model(self.cols[j]), self.t.initial, self.t.legal)
            assert_allclose(found[i, j], ref, atol=1e-13)


@pytest.mark.parametrize(("H", "S", "A"), [(1, 1, 1), (1, 3, 2), (2, 5, 1), (3, 6, 4)])
@pytest.mark.parametrize(("R", "C"), [(1, 1), (2, 3), (5, 4)])
def test_kernels_count_rewards(H, S, A, R, C):
    block = Block(R, H, S, A, R, C)
    comp = np.full((R, C, 2), np.nan)
    distance.block_distances(*block.args, block.rows, block.cols, block.wanted, comp)
    block.check(comp[..., 0], naive_rewards.directed)
    block.check(comp[..., 1], lambda M, N, *rest: naive_rewards.directed(N, M, *rest))
    bound, wanted, order = np.zeros((R, C)), block.wanted.copy(), np.argsort(-block.t.initial, kind="stable")
    distance.block_lower_bounds(*block.args, order, block.rows, block.cols, wanted, np.inf, bound)
    block.check(bound, naive_rewards.low)
    distance.block_upper_bounds(*block.args, block.rows, block.cols, wanted, np.inf, bound)
    block.check(bound, naive_rewards.high)
    gap = np.empty((H, S, A))
    distance.row_gaps(*block.args, 1, 4, gap)
    assert_allclose(gap, naive_rewards.gaps(block.model(1), block.model(4)), atol=1e-14)


@pytest.mark.parametrize("radius", [0.5, 2.0, 4.0])
def test_bounds_give_up_pairs_over_the_radius(radius):
    block = Block(7, 3, 5, 3, 5, 4)
    block.wanted[:] = True
    low, wanted, order = np.zeros((5, 4)), block.wanted.copy(), np.argsort(-block.t.initial, kind="stable")
    full = low.copy()
    distance.block_lower_bounds(*block.args, order, block.rows, block.cols, wanted.copy(), np.inf, full)
    distance.block_lower_bounds(*block.args, order, block.rows, block.cols, wanted, radius, low)
    assert_array_equal(wanted, full <= radius)
    assert (low[~wanted] > radius).all()
    assert (low <= full + 1e-13).all()


@pytest.mark.parametrize("sigma", [0.3, 2.0])
def test_information_of_rewards(sigma):
    rng = np.random.default_rng(1)
    reward, weights = rng.standard_normal((4, 2, 3, 5)), rng.dirichlet(np.ones(4))
    weights[2] = 0.0
    comp = np.full((3, 5), np.nan)
    scale = mfg.RewardNoise(sigma).affinity_scale
    for states in (np.array([0, 2]), np.array([1])):
        information.reward_information(reward, weights, scale, 1, states, comp)
    assert_allclose(comp, naive_rewards.reward_information(reward[:, 1], weights, sigma), atol=1e-9)


# Distances


@pytest.mark.parametrize("kind", KINDS)
def test_distances(kind):
    models = KINDS[kind]()
    pi = random_policy(models)
    directed = pairs(models, naive_rewards.directed, pi)
    assert_allclose(mfg.distance_matrix(models, pi, directed=True), directed, atol=1e-12)
    assert_allclose(mfg.distance_matrix(models, pi), np.maximum(directed, directed.T), atol=1e-12)
    d, low, high = mfg.distance_matrix(models, pi), lower_bounds(models, pi), upper_bounds(models, pi)
    assert_allclose(low, pairs(models, naive_rewards.low, pi), atol=1e-12)
    assert_allclose(high, pairs(models, naive_rewards.high, pi), atol=1e-12)
    assert (low <= d + 1e-12).all()
    assert (d <= high + 1e-12).all()
    assert_array_equal(np.diag(d), 0.0)
    assert_array_equal(d, d.T)


@pytest.mark.parametrize("kind", ["fillers", "functions, masked", "sparse"])
def test_deviations(kind):
    models = KINDS[kind]()
    pi, found = random_policy(models), conditionals(models, random_policy(models))
    conditional = condition_class(models, pi)
    assert_allclose(row_gaps(conditional, 2, 1), naive_rewards.gaps(found[2], found[1]), atol=1e-13)
    value, actions = pair_deviation(conditional, 2, 1)
    assert_allclose(value, naive_rewards.directed(found[2], found[1], models.initial, models.legal), atol=1e-12)
    deviations = np.stack([np.eye(models.n_actions)[actions], random_policy(models, 3)])
    comp = deviation_distances(conditional, deviations)
    for k, dev in enumerate(deviations):
        ref = [[naive_rewards.along(M, N, models.initial, dev) for N in found] for M in found]
        assert_allclose(comp[k], ref, atol=1e-12)
    assert_allclose(comp[0, 2, 1], value, atol=1e-12)


@pytest.mark.parametrize("kind", [lambda: near_class(0), linear, lambda: called_class(masked=True)])
def test_known_rewards_do_not_count(kind):
    """Equal rewards at all densities leave distances what they were, to the last bit; different ones add to them."""
    models = kind()
    pi, reward = random_policy(models), np.random.default_rng(5).standard_normal((models.n_states, models.n_actions))
    functions = [(game.transition, game.reward) for game in models]
    fixed = [
        mfg.Game(models.initial, f, lambda h, mu: reward, horizon=models.horizon, legal=models.legal)
        for f, _ in functions
    ]
    known, unknown = mfg.ModelClass(fixed), mfg.ModelClass(fixed, reward_noise=SIGMA)
    assert_array_equal(mfg.distance_matrix(unknown, pi), mfg.distance_matrix(known, pi))
    assert_array_equal(lower_bounds(unknown, pi), lower_bounds(known, pi))
    assert_array_equal(upper_bounds(unknown, pi), upper_bounds(known, pi))
    before = mfg.distance_matrix(models, pi)
    more = mfg.distance_matrix(models.with_unknown_rewards(SIGMA), pi)
    assert (more >= before - 1e-12).all()
    assert (more > before + 1e-6).any()
    assert_array_equal(mfg.distance_matrix(models, pi), before)  # the class itself is as it was


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("large", [False, True])
def test_neighbourhoods(kind, large, monkeypatch):
    models = KINDS[kind]()
    pi = random_policy(models, 1)
    d = mfg.distance_matrix(models, pi)
    if large:
        monkeypatch.setattr(neighbourhood, "LARGE", 1)
    for radius in [0.0, *(np.quantile(d, [0.3, 0.6, 0.9]) * (1 + 1e-6)), d.max() + 1.0]:
        counts = (d <= radius).sum(axis=1)
        assert_array_equal(mfg.neighbour_counts(models, pi, radius), counts)
        assert_array_equal(mfg.neighbourhoods(models, pi, radius).near, d <= radius)
        assert mfg.central_model(models, pi, radius) == counts.argmax()
        assert mfg.halving_certificate(models, pi, radius).count == counts.max()


@pytest.mark.parametrize("large", [False, True])
def test_executors(large, monkeypatch):
    models = mfg.zoo.classes.beach_bar(
        p_still=[0.2, 0.7], crowd_aversion_coef=np.linspace(0.5, 2, 9), n_states=5, reward_noise=SIGMA
    )
    pi = random_policy(models)
    monkeypatch.setattr(neighbourhood, "LARGE", 1 if large else 256)
    d = mfg.distance_matrix(models, pi, directed=True)
    with ThreadPoolExecutor(2) as pool:
        assert_array_equal(mfg.distance_matrix(models, pi, directed=True, executor=pool), d)
        for radius in np.quantile(d, [0.2, 0.6]):
            counts = mfg.neighbour_counts(models, pi, radius)
            assert_array_equal(mfg.neighbour_counts(models, pi, radius, executor=pool), counts)


def test_certificates_see_rewards_and_gaps_are_each_models_own():
    models = paid(seed=2)
    pi, legal = random_policy(models), models.legal
    found = conditionals(models, pi)
    gaps = [naive_rewards.best(P, r, models.initial, legal) - naive.returns(models.initial, P, r, pi) for P, r in found]
    d = pairs(models, naive_rewards.distance, pi)
    tolerance = float(np.quantile(d, 0.6)) + 1e-9
    certificate = mfg.direct_certificate(models, pi, tolerance, 0.1)
    assert_allclose(certificate.gaps, gaps, atol=1e-12)
    assert_allclose(mfg.ne_gaps(models, pi), gaps, atol=1e-12)
    assert_array_equal(certificate.counts, (d <= tolerance).sum(axis=1))


@pytest.mark.parametrize("kind", ["fillers", "functions", "functions of the joint", "sparse"])
def test_bridge_models_average_each_models_own_rewards(kind):
    models = KINDS[kind]()
    pi = random_policy(models, 2)
    found, d = conditionals(models, pi), mfg.distance_matrix(models, pi)
    model = SoftBridge(models, float(np.quantile(d, 0.7)))
    weights = model.weights(d)
    rows, rewards = model.tables(pi)
    assert (weights > 0).sum() > 1
    assert_allclose(rows, sum(w * P for w, (P, _) in zip(weights, found, strict=True)), atol=1e-12)
    assert_allclose(rewards, sum(w * r for w, (_, r) in zip(weights, found, strict=True)), atol=1e-12)


@pytest.mark.parametrize("kind", [lambda: near_class(0, M=4, S=2, A=2), lambda: called(S=2, A=2)])
def test_covers_look_at_rewards(kind):
    models = kind()
    models = models if models.reward_noise else models.with_unknown_rewards(SIGMA)
    radius = float(np.quantile(mfg.distance_matrix(models, random_policy(models)), 0.6))
    model = BridgeModel(models, radius, 2)
    for point in range(model.cover.size):
        counts = mfg.neighbour_counts(models, model.cover.policy(point), radius)
        assert (model.centres.central[point], model.centres.count[point]) == (counts.argmax(), counts.max())
    pi = model.cover.policy(1)
    _, rewards = model.tables(pi)
    assert np.isfinite(rewards).all()


# Transfer


@given(st.integers(0, 10_000), st.integers(1, 3), st.floats(0.01, 3.0), st.floats(0.0, 1.0))
def test_transfer(seed, H, scale, spread):
    """``|E_M - E_N| <= max(2, span) d`` with the span that values have; no Lipschitz constant."""
    rng = np.random.default_rng(seed)
    games = []
    for _ in range(2):
        P, r = rng.dirichlet(np.full(3, 0.3), (H, 3, 2)), rng.standard_normal((H, 3, 2))
        shared = games[0].parts if games else (P, r)
        P, r = (1 - spread) * shared[0] + spread * P, (1 - spread) * shared[1] + spread * r
        game = mfg.Game(
            [0.5, 0.3, 0.2], lambda h, mu, P=P: P[h], lambda h, mu, r=r: scale * (r[h] - mu[:, None]), horizon=H
        )
        game.parts = P, r
        games.append(game)
    models = mfg.ModelClass(games, reward_noise=SIGMA)
    pi = random_policy(models, seed)
    span = max(naive_rewards.value_span(M, models.legal) for M in conditionals(models, pi))
    gaps, d = mfg.ne_gaps(models, pi), mfg.distance_matrix(models, pi)[0, 1]
    c = mfg.transfer_constant(span, H, unknown_rewards=True)
    assert c == max(2.0, span)
    assert abs(gaps[0] - gaps[1]) <= c * d + 1e-12


def test_transfer_is_tight():
    """One state, two actions: rewards (0, 0) against (-x, x); the first action's gap moves by twice the distance."""
    one = np.ones((1, 2, 1))
    games = [mfg.Game([1.0], lambda h, mu: one, lambda h, mu, x=x: np.array([[-x, x]]), horizon=1) for x in (0.0, 0.7)]
    models = mfg.ModelClass(games, reward_noise=0.0)
    pi = np.array([[[1.0, 0.0]]])
    gaps, d = mfg.ne_gaps(models, pi), mfg.distance_matrix(models, pi)[0, 1]
    assert_allclose([gaps[1] - gaps[0], d], [1.4, 0.7])
    assert mfg.transfer_constant(0.0, 1, unknown_rewards=True) == 2.0
    assert mfg.transfer_constant(0.0, 1) == 0.0


# The information limit


def test_information_limit_of_rewards():
    """One step, one state: an action tells ``(difference)^2 / (2 sigma^2)`` nats."""
    one, r = np.ones((1, 2, 1)), [np.array([[0.0, 0.0]]), np.array([[0.3, 0.0]]), np.array([[0.0, -0.4]])]
    games = [mfg.Game([1.0], lambda h, mu: one, lambda h, mu, x=x: x, horizon=1) for x in r]
    pi = np.full((1, 1, 2), 0.5)
    limit = mfg.information_limit(mfg.ModelClass(games, reward_noise=0.5), 0, pi, iterations=4000)
    nats = np.array([0.09, 0.16]) / (2 * 0.25)  # the plan makes them equal: 1 / (1/a + 1/b)
    assert limit.lower <= 1 / (1 / nats).sum() <= limit.upper
    assert limit.upper - limit.lower < 0.1 * limit.upper
    assert mfg.information_limit(mfg.ModelClass(games, reward_noise=0.0), 0, pi).lower == math.inf


# The classes themselves


def test_a_class_says_how_its_rewards_are_observed():
    models = swept()
    assert models.reward_noise == mfg.RewardNoise(SIGMA)
    assert models[1].reward_noise == models[[2, 3]].reward_noise == models[1:].reward_noise == models.reward_noise
    assert linear().reward_noise is linear()[0].reward_noise is None
    again = mfg.ModelClass([models[1], models[3]])
    assert again.reward_noise == models.reward_noise
    assert mfg.ModelClass(list(models), reward_noise=0.1).reward_noise == mfg.RewardNoise(0.1)
    games = [models[0], called()[0]]
    assert type(linear().with_unknown_rewards(0.0)) is mfg.LinearClass
    for game, function in zip(called(M=3), [called(M=3)[i] for i in range(3)], strict=True):
        assert_array_equal(game.reward(1, game.initial), function.reward(1, game.initial))
    with pytest.raises(ValueError, match=r"n_states|games\[1\] has rewards observed under|horizon"):
        mfg.ModelClass(games)


def test_members_keep_their_rewards():
    models = called(M=4)
    mu = np.full(models.n_states, 1 / models.n_states)
    rewards = [game.reward(1, mu) for game in models]
    assert not np.array_equal(rewards[0], rewards[1])
    for chosen in ([3, 1], [2]):
        for i, m in enumerate(chosen):
            assert_array_equal(models[chosen][i].reward(1, mu), rewards[m])
    mixed = mfg.ModelClass([models[2], called(M=2)[1]])
    assert_array_equal(mixed[1].reward(1, mu), rewards[1])


def test_stored_and_sent_classes_keep_their_noise(tmp_path):
    models = mfg.zoo.classes.epidemic(illness=[0.5, 1.0], horizon=3, reward_noise=mfg.RewardNoise(0.0, 1e-6))
    kept = cluster.store(models, tmp_path / "class")
    assert kept.reward_noise == cluster.open_stored(tmp_path / "class").reward_noise == models.reward_noise
    pi = random_policy(models)
    assert_array_equal(mfg.distance_matrix(kept, pi), mfg.distance_matrix(models, pi))


def test_digests_tell_noise():
    models = near_class(0)
    digests = {class_digest(m) for m in (models, *(models.with_unknown_rewards(s) for s in (0.0, 0.1, 0.2)))}
    assert len(digests) == 4


ZOO = {
    "beach_bar": {"crowd_aversion_coef": [0.5, 2.0], "p_still": [0.0, 0.5], "n_states": 5},
    "crowd_modelling_2d": {"crowd_aversion_coef": [0.0, 2.0], "noise_intensity": [0.0, 0.5], "size": 3, "horizon": 3},
    "epidemic": {"infection": [0.2, 0.8], "illness": [0.5, 1.0, 2.0], "horizon": 3},
    "susceptible_infected": {"illness_cost": [0.5, 1.0, 2.0], "horizon": 3},
}


@pytest.mark.parametrize("name", ZOO)
def test_zoo_classes(name):
    """Members are the zoo's games with these parameters, in rows and rewards."""
    assert set(ZOO) == set(mfg.zoo.classes.REWARDS)
    models = mfg.zoo.classes.build(name, reward_noise=0.1, **ZOO[name])
    given = mfg.zoo.classes.parameters(name, reward_noise=0.1, **ZOO[name])
    assert len(models) == len(given)
    for model, chosen in zip(models, given, strict=True):
        game = mfg.zoo.GAMES[name](**chosen)
        pi = random_policy(models)
        comp, ref = mfg.condition(model, pi), mfg.condition(game, pi)
        assert_allclose(comp.transition, ref.transition, atol=1e-14)
        assert_array_equal(comp.reward, ref.reward)
    key = mfg.zoo.classes.REWARDS[name][0]
    with pytest.raises(ValueError, match=f"{key} of {name} takes one value .* give reward_noise"):
        mfg.zoo.classes.build(name, **ZOO[name])
    plain = mfg.zoo.classes.build("garnet", table_seed=range(3), n_states=4, reward_noise=0.1)
    assert plain.reward_noise == mfg.RewardNoise(0.1)


def test_types_of_agents():
    """Classes with types are compared by the rewards of the lift; products and members keep the noise."""
    known = mfg.zoo.predator_prey_class(jostling=(0.0, 0.0, (0.0, 0.3)), size=2, horizon=2)
    models = known.with_unknown_rewards(SIGMA)[[0, 3, 5]]
    assert type(models) is mfg.MultiTypeClass
    assert models[0].reward_noise == models[0].lift().reward_noise == mfg.RewardNoise(SIGMA)
    pi = random_policy(models)
    assert_allclose(mfg.distance_matrix(models, pi), pairs(models, naive_rewards.distance, pi), atol=1e-12)
    product = mfg.product_class(_parts(SIGMA))
    assert product.reward_noise == mfg.RewardNoise(SIGMA)
    with pytest.raises(ValueError, match="differ in reward noise"):
        mfg.product_class([_parts(SIGMA)[0], *_parts(0.1)[1:]])


def _parts(sigma):
    """A class a type, whose jostling is unknown."""
    return [
        mfg.MultiTypeClass([mfg.zoo.predator_prey(jostling=push, size=2, horizon=2) for push in jostlings])
        .with_unknown_rewards(sigma)
        for jostlings in ([0.0, (0.2, 0.0, 0.0)], [0.0, (0.0, 0.2, 0.0)], [0.0])
    ]  # fmt: skip


BAD = [
    (lambda: linear().with_unknown_rewards(-0.1), ValueError, r"noise must lie in \[0, inf\), got -0.1"),
    (lambda: linear().with_unknown_rewards(math.nan), ValueError, r"noise must lie in \[0, inf\), got nan"),
    (lambda: linear().with_unknown_rewards("loud"), TypeError, "noise must be a number, got 'loud'"),
    (lambda: linear().with_unknown_rewards(None), TypeError, "noise must be a number"),
    (lambda: linear().with_unknown_rewards(True), ValueError, "noise must lie in"),
    (lambda: mfg.RewardNoise(math.inf), ValueError, "sigma must lie in"),
    (lambda: mfg.RewardNoise(0.0, -1.0), ValueError, "tolerance must lie in"),
    (lambda: mfg.ModelClass(list(called()), reward_noise=-1.0), ValueError, "reward_noise must lie in"),
    (lambda: mfg.zoo.classes.garnet(table_seed=[1, 2], reward_noise=-1), ValueError, "reward_noise must lie in"),
    (lambda: mfg.zoo.classes.epidemic(illness=["a", "b"], reward_noise=1), TypeError, "illness must be a number"),
    (lambda: mfg.transfer_constant(-1.0, 2, unknown_rewards=True), ValueError, "span must lie in"),
]


@pytest.mark.parametrize(("make", "error", "message"), BAD)
def test_bad_noise(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_known_rewards_must_agree():
    parts, others = crowd_game(0), crowd_game(1)
    games = [mfg.Game(**parts), mfg.Game(**(parts | {"reward": others["reward"]}))]
    with pytest.raises(ValueError, match=r"games\[1\] has other rewards than games\[0\] .*\(reward_noise=sigma\)"):
        mfg.ModelClass(games)
    assert len(mfg.ModelClass(games, reward_noise=0.0)) == 2
