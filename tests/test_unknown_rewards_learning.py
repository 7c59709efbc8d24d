"""Learning where rewards are unknown: samples, evidence, deviations, fit, whole runs."""

import math
from types import SimpleNamespace

import naive_rewards
import numpy as np
import pytest
from builders import policy
from learning_cases import near_class, uniform
from multi_type_cases import PAIR
from numpy.testing import assert_allclose, assert_array_equal
from reward_cases import KINDS, SIGMA, called, conditionals, paid, swept
from scipy.stats import binom

import fastmfg as mfg
from fastmfg.comparing.conditional import condition_class
from fastmfg.learning import Checkpoint
from fastmfg.learning.adversary import information_actions
from fastmfg.learning.fit import HALVINGS, Plausibility
from fastmfg.learning.likelihood import Transitions, all_transitions, log_likelihoods, transitions_at


def random_policy(models, seed=0):
    return policy(np.random.default_rng(seed), models.horizon, models.legal)


class Recorder(mfg.MeanFieldOracle):
    """Keeps what it was asked, and its answers."""

    def __init__(self, game, seed=0):
        super().__init__(game, seed=seed)
        self.calls = []

    def sample(self, deviation, reference, n):
        answer = super().sample(deviation, reference, n)
        self.calls.append((deviation, answer))
        return answer


class Changed:
    """An oracle whose answers are changed."""

    def __init__(self, game, change):
        self.oracle, self.change = mfg.MeanFieldOracle(game), change

    def sample(self, deviation, reference, n):
        return self.change(*self.oracle.sample(deviation, reference, n))


# Samples


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sigma", [0.0, 0.3])
def test_rewards_are_those_of_the_conditional_model_under_noise(kind, sigma):
    models = KINDS[kind]().with_unknown_rewards(sigma)
    pi, dev = random_policy(models), random_policy(models, 1)
    game = models[len(models) - 1]
    states, actions, rewards = mfg.MeanFieldOracle(game, seed=4).sample(dev, pi, 400)
    along = mfg.condition(game, pi).reward[np.arange(models.horizon), states[:, :-1], actions]
    z = (rewards - along) / (sigma or 1.0)
    if sigma == 0.0:
        assert_array_equal(rewards, along)
    else:  # five standard errors
        assert abs(z.mean()) < 5 / math.sqrt(z.size)
        assert abs((z**2).mean() - 1) < 5 * math.sqrt(2 / z.size)
    silent = mfg.MeanFieldOracle(game, seed=4, reward_noise=None if game.reward_noise is None else 0.0)
    assert_array_equal(silent.sample(dev, pi, 400)[0], states)  # noise moves no trajectory


def test_trajectories_are_drawn_by_identity():
    models = called()
    pi, dev = random_policy(models), random_policy(models, 1)
    whole = mfg.MeanFieldOracle(models[1], seed=2).sample(dev, pi, 9)
    pieces = mfg.MeanFieldOracle(models[1], seed=2)
    parts = [pieces.sample(dev, pi, n) for n in (2, 4, 3)]
    for k in range(3):
        assert_array_equal(np.concatenate([part[k] for part in parts]), whole[k])
    again = mfg.MeanFieldOracle(models[1])
    again.restore({"seed": 2, "trajectories": 2})
    assert_array_equal(again.sample(dev, pi, 4)[2], whole[2][2:6])
    plain = mfg.MeanFieldOracle(near_class(0)[1], seed=3)
    loud = mfg.MeanFieldOracle(near_class(0)[1], seed=3, reward_noise=0.5)
    pi = uniform(near_class(0))
    assert len(plain.sample(pi, pi, 3)) == 2
    assert len(loud.sample(pi, pi, 3)) == 3


def test_populations_of_many_agents():
    """Rewards that the population does not move are exact; others are near those of the limit."""
    models = paid(noise=0.0)
    pi = random_policy(models)
    states, actions, rewards = mfg.PopulationOracle(models[2], 20, seed=1).sample(pi, pi, 30)
    table = mfg.condition(models[2], pi).reward
    assert_array_equal(rewards, table[np.arange(2), states[:, :-1], actions])
    plain = mfg.PopulationOracle(models[2], 20, seed=1, reward_noise=0.7)
    same = plain.sample(pi, pi, 30)
    assert_array_equal(same[0], states)
    assert abs((same[2] - rewards).std() - 0.7) < 5 * 0.7 / math.sqrt(2 * rewards.size)
    moved = called(noise=0.0)
    pi = random_policy(moved)
    states, actions, rewards = mfg.PopulationOracle(moved[1], 100_000, seed=1).sample(pi, pi, 5)
    table = mfg.condition(moved[1], pi).reward
    assert_allclose(rewards, table[np.arange(2), states[:, :-1], actions], atol=0.02)


def test_types_take_turns():
    game = PAIR.game()
    pi = game.join(PAIR.policies())
    states, actions, rewards = mfg.MeanFieldOracle(game, reward_noise=0.0, types_in_turn=True).sample(pi, pi, 6)
    table = mfg.condition(game, pi).reward
    assert_array_equal(rewards, table[np.arange(game.horizon), states[:, :-1], actions])
    models = mfg.MultiTypeClass([game]).with_unknown_rewards(0.0)
    inner = mfg.MeanFieldOracle(models[0], types_in_turn=True)

    def simulator(w):
        def ask(deviation, references, n):
            lifted = models.join(references)
            found = [inner.sample(lifted, lifted, 2 * n)[k][w::2] for k in (0,)]
            walk = found[0] - models.layout.first[w]
            return walk, np.zeros((n, models.horizon), dtype=int), np.full((n, models.horizon), 1.5 + w)

        return ask

    oracle = mfg.SimulatorOracle(models, [simulator(0), simulator(1)])
    assert_array_equal(oracle.sample(pi, pi, 4)[2][:, 0], [1.5, 2.5, 1.5, 2.5])
    with pytest.raises(TypeError, match=r"simulators\[0\] must return \(states, actions, rewards\), got a tuple of 2"):
        mfg.SimulatorOracle(models, [lambda *a: (0, 0)] * 2).sample(pi, pi, 2)


class Ring:
    """A simulator with Gymnasium's interface for one agent; rewards are its states."""

    def __init__(self, reference):
        self.observation_space, self.action_space = SimpleNamespace(n=3), SimpleNamespace(n=2)

    def reset(self, seed=None):
        self.s = seed % 3
        return self.s, {}

    def step(self, action):
        paid = 10.0 * self.s + action
        self.s = (self.s + action) % 3
        return self.s, paid, False, False, {}


class Two:
    """The same for two agents, as PettingZoo's parallel environments."""

    def __init__(self):
        self.rings = {name: Ring(None) for name in "ab"}

    def action_space(self, agent):
        return self.rings[agent].action_space

    def reset(self, seed=None):
        return {name: ring.reset(seed + (name == "b"))[0] for name, ring in self.rings.items()}, {}

    def step(self, moves):
        found = {name: ring.step(moves[name]) for name, ring in self.rings.items()}
        each = [{name: answer[k] for name, answer in found.items()} for k in range(5)]
        return tuple(each)


def test_simulators_of_the_user():
    pi = np.full((2, 3, 2), 0.5)

    def walk(deviation, reference, rng):
        states = rng.integers(0, 3, 3)
        return states, [0, 1], [float(states[0]), 0.5]

    makers = {
        "function": lambda **options: mfg.CallbackOracle.from_function(walk, **options),
        "gymnasium": lambda **options: mfg.CallbackOracle.from_gymnasium(Ring, **options),
        "parallel": lambda **options: mfg.CallbackOracle.from_parallel(Two(), "b", **options),
    }
    for name, make in makers.items():
        states, actions, rewards = make(rewards=True, seed=3).sample(pi, pi, 8)
        first = states[:, 0] if name == "function" else 10.0 * states[:, 0] + actions[:, 0]
        assert_array_equal(rewards[:, 0], first)
        if name != "function":
            assert len(make(seed=3).sample(pi, pi, 8)) == 2
    with pytest.raises(TypeError, match=r"the simulator must return \(states, actions\), got a tuple of 3"):
        mfg.CallbackOracle.from_function(walk).sample(pi, pi, 1)
    with pytest.raises(TypeError, match=r"\(states, actions, rewards\), got a tuple of 2"):
        mfg.CallbackOracle.from_function(lambda *a: walk(*a)[:2], rewards=True).sample(pi, pi, 1)
    with pytest.raises(ValueError, match=r"the simulator's rewards\[1\] is nan"):
        mfg.CallbackOracle.from_function(lambda *a: (*walk(*a)[:2], [0.0, np.nan]), rewards=True).sample(pi, pi, 1)
    silent = Two()
    step = silent.step
    silent.step = lambda moves: (step(moves)[0], {}, {}, {}, {})
    with pytest.raises(ValueError, match="returns no reward of agent 'a'"):
        mfg.CallbackOracle.from_parallel(silent, "a", rewards=True).sample(pi, pi, 1)


ANSWERS = [
    (
        lambda s, a, r: (s, a),
        TypeError,
        r"must return \(states, actions, rewards\), got a tuple of 2: the rewards of t",
    ),
    (lambda s, a, r: [s, a, r], TypeError, r"must return \(states, actions, rewards\), got list"),
    (lambda s, a, r: (s, a, r[:, 0]), ValueError, r"oracle.sample: rewards must have shape \[1, 2\]"),
    (lambda s, a, r: (s, a, r * np.nan), ValueError, r"oracle.sample: rewards\[0, 0\] is nan"),
    (lambda s, a, r: (s, a, r + np.inf), ValueError, r"oracle.sample: rewards\[0, 0\] is inf"),
    (lambda s, a, r: (s, a, r.astype(str)), TypeError, "oracle.sample: rewards must"),
]


@pytest.mark.parametrize(("change", "error", "message"), ANSWERS)
def test_answers_without_proper_rewards(change, error, message, tmp_path):
    models = called()
    for checkpoint in (None, tmp_path / "run"):
        with pytest.raises(error, match=message):
            mfg.learn(models, Changed(models[1], change), epsilon=1e-3, delta=0.1, checkpoint=checkpoint)


def test_rewards_that_nobody_wants():
    models = near_class(0)
    oracle = mfg.MeanFieldOracle(models[1], reward_noise=0.1)
    with pytest.raises(TypeError, match="got a tuple of 3: the rewards of this class are known"):
        mfg.learn(models, oracle, epsilon=1e-3, delta=0.1)


# Evidence


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sigma", [SIGMA, 0.0])
def test_log_likelihoods(kind, sigma):
    models = KINDS[kind]().with_unknown_rewards(sigma)
    pi, dev = random_policy(models), random_policy(models, 1)
    sample = mfg.MeanFieldOracle(models[0], seed=1).sample(dev, pi, 6)
    conditional = condition_class(models, pi)
    comp = log_likelihoods(conditional, np.arange(len(models)), all_transitions(*sample))
    found = conditionals(models, pi)
    ref = [naive_rewards.log_likelihood(M, list(zip(*sample, strict=True)), sigma) for M in found]
    assert_allclose(comp, ref, rtol=1e-10, atol=1e-10)
    some = np.arange(len(models))[::-1][: max(1, len(models) // 2)]
    if np.isfinite(comp[some]).any():
        assert_array_equal(log_likelihoods(conditional, some, all_transitions(*sample)), comp[some])


def test_transitions_keep_their_rewards():
    models = called()
    pi = random_policy(models)
    states, actions, rewards = mfg.MeanFieldOracle(models[0]).sample(pi, pi, 4)
    data = transitions_at(states, actions, rewards, step=np.array([1, 0, 1, 1]))
    assert_array_equal(data.reward, rewards[np.arange(4), [1, 0, 1, 1]])
    both = Transitions.joined([data, all_transitions(states, actions, rewards)])
    assert_array_equal(both.reward, np.concatenate([data.reward, rewards.ravel()]))
    assert all_transitions(states, actions).reward.size == 0
    with pytest.raises(ValueError, match="transitions need observed rewards"):
        log_likelihoods(condition_class(models, pi), np.arange(4), all_transitions(states, actions))


@pytest.mark.parametrize("evidence", ["anytime", "paper"])
@pytest.mark.parametrize("kind", ["functions", "rewards alone", "sparse", "one reward, own densities"])
def test_eliminations_follow_the_rule(kind, evidence):
    """Log-likelihoods and survivors from what the oracle has answered, draw by draw."""
    models = KINDS[kind]().with_unknown_rewards(1.0)
    pi, n, H, delta, rounds = random_policy(models), len(models), models.horizon, 0.05, 6
    oracle = Recorder(models[1], seed=3)
    out = mfg.eliminate(
        models, oracle, pi, tolerance=1e-6, delta=delta, max_rounds=rounds, adversary="first", evidence=evidence
    )
    found, kept, total = conditionals(models, pi), list(range(n)), np.zeros(n)
    weighed = []
    for _, sample in oracle.calls:
        walks = list(zip(*sample, strict=True))
        if evidence == "anytime":
            weighed.append(lambda M, walks=walks: naive_rewards.log_likelihood(M, walks, 1.0))
        else:  # trajectory h gives its transition at step h
            weighed.append(
                lambda M, walks=walks: sum(
                    naive_rewards.log_likelihood(
                        (M[0][h : h + 1], M[1][h : h + 1]), [(s[h : h + 2], a[h : h + 1], r[h : h + 1])], 1.0
                    )
                    for h, (s, a, r) in enumerate(walks)
                )
            )
    if evidence == "paper":
        weighed = [lambda M, a=a, b=b: a(M) + b(M) for a, b in zip(weighed[::2], weighed[1::2], strict=True)]
    threshold = math.log(n / delta) if evidence == "anytime" else math.log(H * n * rounds / delta)
    for weigh in weighed:
        for m in kept:
            total[m] += weigh(found[m])
        among = naive_rewards.survivors([total[m] for m in kept], threshold, mixed=evidence == "anytime")
        kept = [kept[i] for i in among]
    assert_array_equal(out.survivors, kept)
    assert_allclose(out.log_likelihood[kept], total[kept], rtol=1e-9, atol=1e-9)


def test_a_reward_that_no_model_explains_is_named():
    models = paid(noise=0.0)
    pi = random_policy(models)
    oracle = Changed(models[2], lambda s, a, r: (s, a, r + np.array([0.0, 0.25])))
    with pytest.raises(mfg.RealizabilityError, match=r"step 1, state \d, action \d was rewarded with .* the last of t"):
        mfg.learn(models, oracle, epsilon=1e-3, delta=0.1)
    with pytest.raises(mfg.RealizabilityError, match="or its rewards are observed under more noise than stated"):
        mfg.eliminate(models, mfg.MeanFieldOracle(models[2], reward_noise=0.1), pi, tolerance=0.1, delta=0.1)
    data = Transitions(*(np.array([0]) for _ in range(4)), np.array([1e200]))
    conditional = condition_class(models.with_unknown_rewards(1e-200), pi)
    with pytest.raises(mfg.RealizabilityError, match=r"was rewarded with 1e\+200, where the last of them has re"):
        log_likelihoods(conditional, np.arange(len(models)), data)


def test_impossible_transitions_are_still_named():
    one = np.zeros((2, 1, 2))
    one[:, :, 0] = 1.0
    models = mfg.ModelClass(
        [mfg.Game([1.0, 0.0], lambda h, mu: one, lambda h, mu, x=x: np.full((2, 1), x), horizon=1) for x in (0.0, 1.0)],
        reward_noise=0.0,
    )
    data = Transitions(*(np.array([x]) for x in (0, 0, 0, 1)), np.array([1.0]))
    with pytest.raises(mfg.RealizabilityError, match="next state 1 has probability 0 in the last of them"):
        log_likelihoods(condition_class(models, uniform(models)), np.array([1]), data)


@pytest.mark.parametrize(("off", "kept"), [(0.0, True), (1e-12, True), (0.9e-9, True), (1.1e-9, False), (1e-6, False)])
def test_tolerance_of_rewards_without_noise(off, kept):
    """A model stays while rewards are its own within the tolerance, relative to rewards larger than 1."""
    for size in (0.5, 1.0, 1000.0):
        noise = mfg.RewardNoise(0.0)
        expected = 0.0 if kept else -math.inf
        assert noise.log_likelihood(np.array(size + off * max(1.0, size)), np.array(size)) == expected
    assert mfg.RewardNoise(0.0, 1e-3).log_likelihood(np.array(1.0005), np.array(1.0)) == 0.0
    models = paid(noise=0.0, seed=4)
    oracle = Changed(models[3], lambda s, a, r: (s, a, r + off))
    if kept:
        assert mfg.learn(models, oracle, epsilon=1e-3, delta=0.1, identify=True).survivors.tolist() == [3]
    else:
        with pytest.raises(mfg.RealizabilityError):
            mfg.learn(models, oracle, epsilon=1e-3, delta=0.1, identify=True)


def test_misspecification_is_refused():
    models = called()
    for call in (
        lambda: mfg.learn(models, mfg.MeanFieldOracle(models[0]), epsilon=1e-3, delta=0.1, misspecification=0.1),
        lambda: mfg.eliminate(
            models, mfg.MeanFieldOracle(models[0]), uniform(models), tolerance=0.1, delta=0.1, misspecification=0.1
        ),
    ):
        with pytest.raises(ValueError, match=r"misspecification is 0.1, .* rewards of this class are unknown"):
            call()


# Deviations


@pytest.mark.parametrize("kind", ["functions", "functions, masked", "rewards alone", "fillers"])
def test_information(kind):
    models = KINDS[kind]()
    pi, n = random_policy(models), len(models)
    weights = np.random.default_rng(2).dirichlet(np.ones(n))
    q = naive_rewards.information_actions(conditionals(models, pi), models.initial, models.legal, weights, SIGMA)
    comp = information_actions(condition_class(models, pi), weights)
    for h, s in np.ndindex(comp.shape):
        assert models.legal[s, comp[h, s]]
        assert q[h, s, comp[h, s]] >= q[h, s][models.legal[s]].max() - 1e-8


@pytest.mark.parametrize("sigma", [0.3, 0.0])
@pytest.mark.parametrize("adversary", ["information", "max", "first", "nash"])
def test_deviations_go_where_rewards_differ(adversary, sigma):
    """Rewards differ in action 2 of state 1 at the last step, and there alone."""
    rows = np.full((3, 3, 3), 0.1)
    rows[:, np.arange(3), np.arange(3)] = 0.8  # action a leads to state a
    games = []
    for x in (0.0, 0.3, 0.6):
        bonus = np.zeros((2, 3, 3))
        bonus[1, 1, 2] = x
        games.append(mfg.Game([1.0, 0.0, 0.0], lambda h, mu: rows, lambda h, mu, b=bonus: b[h] - 0.01, horizon=2))
    models = mfg.ModelClass(games, reward_noise=sigma)
    oracle = Recorder(models[1], seed=0)
    out = mfg.eliminate(models, oracle, uniform(models), tolerance=1e-3, delta=0.01, max_rounds=60, adversary=adversary)
    assert out.survivors.tolist() == [1]
    if adversary == "information":
        assert all(dev[0, 0, 1] == dev[1, 1, 2] == 1.0 for dev, _ in oracle.calls)


# Fit


def test_plausibility_counts_rewards():
    models = paid(spread=2.0)
    pi, n = random_policy(models), len(models)
    sample = mfg.MeanFieldOracle(models[1], seed=1).sample(pi, pi, 50)
    sums, known = Plausibility(n), Plausibility(n)
    conditional = condition_class(models, pi)
    sums.add(conditional, np.arange(n), all_transitions(*sample))
    same = mfg.ModelClass(list(models)).with_unknown_rewards(SIGMA)
    assert same.reward_noise == models.reward_noise
    plain = mfg.ModelClass([mfg.Game(models.initial, g.transition, models[0].reward, horizon=2) for g in models])
    known.add(condition_class(plain, pi), np.arange(n), all_transitions(*sample[:2]))
    z = sample[2] - np.stack([r for _, r in conditionals(models, pi)])[:, np.arange(2), sample[0][:, :-1], sample[1]]
    squares = (z / SIGMA) ** 2
    assert_allclose(sums.excess - known.excess, ((1 - squares) / 2).sum(axis=(1, 2)))
    assert_allclose(sums.variance - known.variance, 0.5 * 100)
    for i in range(HALVINGS):
        for j, power in ((2 * i, 0.5 ** (i + 1)), (2 * i + 1, -(0.5 ** (i + 1)))):
            ref = (-power * squares / 2 + 0.5 * math.log(1 + power)).sum(axis=(1, 2))
            assert_allclose(sums.tests[:, j] - known.tests[:, j], ref, rtol=1e-9, atol=1e-9)
    fit = mfg.plausibility(models, pi, *sample[:2], rewards=sample[2])
    assert abs(fit[1]) < 4
    assert fit.argmax() == 1
    assert np.delete(fit, 1).max() < -4


def test_martingales_have_mean_one():
    """``E exp(l . - log E exp(l .)) = 1`` for the log-likelihood of Gaussian noise, by the trapezoid rule."""
    z = np.linspace(-30, 30, 100_001)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    noise = mfg.RewardNoise(0.7)
    for power in (0.5, 0.25, -0.25, -0.5):
        values = density * np.exp(power * noise.log_likelihood(0.7 * z, np.zeros(1)) - noise.log_moment(power))
        assert_allclose(np.sum((values[1:] + values[:-1]) / 2 * np.diff(z)), 1.0, rtol=1e-9)


def test_more_noise_than_stated_is_noticed():
    models = paid(spread=0.3, noise=0.1)
    oracle = mfg.MeanFieldOracle(models[1], seed=2, reward_noise=5.0)
    with pytest.warns(mfg.ImplausibleWarning):
        mfg.learn(models, oracle, epsilon=1e-4, delta=0.01)
    pi = random_policy(models)
    states, actions, rewards = oracle.sample(pi, pi, 100)
    with pytest.warns(mfg.ImplausibleWarning):
        mfg.plausibility(models, pi, states, actions, rewards=rewards)
    exact = paid(noise=0.0)
    pi = random_policy(exact)
    states, actions, rewards = mfg.MeanFieldOracle(exact[1]).sample(pi, pi, 9)
    assert np.isneginf(np.delete(mfg.plausibility(exact, pi, states, actions, rewards=rewards), 1)).all()


def test_plausibility_wants_rewards_where_they_are_unknown():
    models, pi = called(), uniform(called())
    states, actions, rewards = mfg.MeanFieldOracle(models[1]).sample(pi, pi, 4)
    with pytest.raises(ValueError, match="are needed where those of the class are unknown"):
        mfg.plausibility(models, pi, states, actions)
    with pytest.raises(ValueError, match="rewards must have shape"):
        mfg.plausibility(models, pi, states, actions, rewards=rewards[1:])
    plain = near_class(0)
    with pytest.raises(ValueError, match="those of the class are known"):
        mfg.plausibility(plain, uniform(plain), np.zeros((1, 3), int), np.zeros((1, 2), int), rewards=np.zeros((1, 2)))


# Runs

DELTA, ERROR = 0.2, 1e-6


@pytest.mark.filterwarnings("ignore::fastmfg.learning.fit.ImplausibleWarning")  # where a run loses the truth
@pytest.mark.parametrize(
    ("evidence", "adversary"), [("anytime", "information"), ("anytime", "max"), ("paper", "first")]
)
@pytest.mark.parametrize("n_runs", [50, pytest.param(200, marks=pytest.mark.statistics)])
def test_the_true_model_is_kept(evidence, adversary, n_runs):
    """Lost in no more runs than a coin of probability delta shows with error probability 1e-6."""
    models = paid(spread=0.4, noise=1.0, M=6, S=2, A=2)
    allowed = binom.ppf(1 - ERROR, n_runs, DELTA)
    known = dict(enumerate(mfg.solve_models(models, tol=0.01)))
    lost = dropped = 0
    for seed in range(n_runs):
        true = seed % len(models)
        out = mfg.learn(
            models, mfg.MeanFieldOracle(models[true], seed=seed), epsilon=0.02, delta=DELTA, evidence=evidence,
            adversary=adversary, strategy="heuristic", max_trajectories=60, equilibria=known,
        )  # fmt: skip
        lost += true not in out.survivors
        dropped += len(models) - out.survivors.size
        assert out.ne_gap_bound >= mfg.ne_gap(models[true], out.policy) - 1e-9 or true not in out.survivors
    assert lost <= allowed
    assert dropped >= n_runs  # the promise was put at risk


@pytest.mark.parametrize("strategy", ["certified", "heuristic", "exact"])
@pytest.mark.parametrize("sigma", [0.5, 0.0])
def test_models_that_differ_in_rewards_alone_are_told_apart(strategy, sigma):
    """Each of 6 true models is found; with error probability 0.01 a run may lose it (none of these does)."""
    models = paid(spread=0.5, noise=sigma, seed=3, S=2, A=2)
    options = {"grid": 1} if strategy == "exact" else {}
    for true in range(len(models)):
        oracle = mfg.MeanFieldOracle(models[true], seed=true)
        out = mfg.learn(models, oracle, epsilon=0.01, delta=0.01, strategy=strategy, identify=True, **options)
        assert out.survivors.tolist() == [true]
        assert out.ne_gap_bound <= 0.01
        assert mfg.ne_gap(models[true], out.policy) <= 0.01


@pytest.mark.parametrize("kind", ["fillers", "functions", "sparse", "one reward, own densities", "factored"])
@pytest.mark.parametrize("strategy", ["certified", "heuristic"])
def test_runs(kind, strategy):
    models = KINDS[kind]()
    true = len(models) - 1
    out = mfg.learn(models, mfg.MeanFieldOracle(models[true], seed=5), epsilon=0.02, delta=0.01, strategy=strategy)
    assert true in out.survivors
    assert out.certified
    assert mfg.ne_gap(models[true], out.policy) <= out.ne_gap_bound + 1e-9


def test_rewards_save_samples():
    """The same class, with and without its rewards as evidence."""
    models = swept(0.1)
    known = models.with_unknown_rewards(0.1)
    known = known.replace(reward_noise=None)
    drawn = [
        mfg.learn(m, mfg.MeanFieldOracle(m[2], seed=1), epsilon=1e-3, delta=0.01, identify=True).trajectories
        for m in (models, known)
    ]
    assert drawn[0] < drawn[1]


def test_the_exact_strategy_takes_the_other_transfer_constant():
    """c = max(2, span) = 2 for rewards in [0, 1/H]: epsilon/16 is the tolerance, whatever L_r."""
    table = np.random.default_rng(0).dirichlet(np.ones(2), (2, 2, 2))
    games = [
        mfg.Game([0.5, 0.5], lambda h, mu: table[h], lambda h, mu, x=x: np.array([[x, 0.1], [0.2, x]]), horizon=2)
        for x in (0.1, 0.3, 0.5)
    ]
    models, told = mfg.ModelClass(games, reward_noise=0.1), []
    out = mfg.learn(
        models, mfg.MeanFieldOracle(models[1], seed=0), epsilon=0.05, delta=0.01, strategy="exact", grid=1,
        lipschitz=(0.0, 0.0), on_round=told.append,
    )  # fmt: skip
    assert out.certified
    assert 1 in out.survivors
    constants = mfg.practical_constants(0.05, mfg.transfer_constant(0.5, 2, unknown_rewards=True))
    assert_allclose(constants.tol, 0.05 / 16)


# Interruptions


class Interrupted(mfg.MeanFieldOracle):
    """Is interrupted when it is asked for more than so many samples."""

    most = math.inf

    def sample(self, deviation, reference, n):
        if self.trajectories + n > self.most:
            raise KeyboardInterrupt
        return super().sample(deviation, reference, n)


@pytest.mark.parametrize("every", [0.0, 1e9])
@pytest.mark.parametrize("choices", [{}, {"strategy": "heuristic", "evidence": "paper", "adversary": "first"}])
def test_interruptions_leave_no_trace(choices, every, tmp_path):
    models = paid(spread=0.1, noise=0.5, M=8)

    def run(oracle, **options):
        return mfg.learn(models, oracle, epsilon=1e-3, delta=0.01, max_rounds=12, **choices, **options)

    plain = run(mfg.MeanFieldOracle(models[3], seed=1))
    assert plain.trajectories > 40
    for most in (7, 30, 33):
        oracle = Interrupted(models[3], seed=1)
        oracle.most = most
        with Checkpoint(tmp_path, every=every) as checkpoint, pytest.raises(KeyboardInterrupt):
            run(oracle, checkpoint=checkpoint)
    resumed = run(mfg.MeanFieldOracle(models[3], seed=1), checkpoint=tmp_path)
    for name in ("policy", "survivors", "log_likelihood", "eliminated_at"):
        assert getattr(resumed, name).tobytes() == getattr(plain, name).tobytes()
    assert (resumed.trajectories, resumed.ne_gap_bound) == (plain.trajectories, plain.ne_gap_bound)
    again = run(Changed(models[3], lambda *_: pytest.fail("nothing is left to draw")), checkpoint=tmp_path)
    assert again.log_likelihood.tobytes() == plain.log_likelihood.tobytes()


def test_a_checkpoint_is_of_one_noise(tmp_path):
    models = paid()
    mfg.learn(models, mfg.MeanFieldOracle(models[0]), epsilon=0.1, delta=0.1, checkpoint=tmp_path)
    other = models.with_unknown_rewards(0.4)
    with pytest.raises(mfg.CheckpointError, match="another run"):
        mfg.learn(other, mfg.MeanFieldOracle(other[0]), epsilon=0.1, delta=0.1, checkpoint=tmp_path)
