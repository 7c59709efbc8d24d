"""Whether survivors fit the data at all, and elimination when none of them is exactly true."""

import math
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from builders import rows
from learning_cases import (
    KINDS,
    FakeOracle,
    Recorder,
    called_class,
    certain_class,
    conditional_tables,
    linear,
    near_class,
    uniform,
)
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import binom, kstest
from test_sparse import filler_class, parts

import fastmfg as mfg
from fastmfg.comparing.conditional import condition_class
from fastmfg.learning.fit import ALARM, HALVINGS, ImplausibleWarning, Plausibility
from fastmfg.learning.likelihood import Transitions, all_transitions
from fastmfg.learning.observed import observed_probability, observed_rows
from fastmfg.learning.options import EliminationOptions
from fastmfg.learning.robust import robust_evidence

CLASSES = {
    "tables": lambda: near_class(0, H=3),
    "tables, zeros and ties": lambda: near_class(2, kind="eighths", spread=0.5),
    "linear": linear,
    "functions of the joint": lambda: called_class(joint=True),
    "sparse": lambda: filler_class("sparse", "state"),
    "factored": lambda: filler_class("factored", "joint"),
}


def sampled(models, true, n, seed=0, reference=None):
    """Trajectories of the uniform policy."""
    pi = uniform(models) if reference is None else reference
    return pi, *mfg.MeanFieldOracle(models[true], seed=seed).sample(uniform(models), pi, n)


def transitions(states, actions):
    """(h, s, a, s') one after another."""
    n, H = actions.shape
    return [(h, states[i, h], actions[i, h], states[i, h + 1]) for i in range(n) for h in range(H)]


# Rows at what was observed


@pytest.mark.parametrize("kind", CLASSES)
def test_observed_rows_are_those_of_the_conditional_models(kind):
    models = CLASSES[kind]()
    pi, states, actions = sampled(models, 1, 20)
    conditional, P = condition_class(models, pi), conditional_tables(models, pi)
    positions = np.array([2, 0, 1])
    found, entry = observed_rows(conditional, positions, all_transitions(states, actions))
    likely = observed_probability(found, entry)
    for t, (h, s, a, x) in enumerate(transitions(states, actions)):
        for i, m in enumerate(positions):
            assert likely[i, t] == pytest.approx(P[m, h, s, a, x], abs=1e-14)
            row = P[m, h, s, a]
            assert_allclose(np.sort(found[i, t])[::-1], np.sort(row)[::-1][: found.shape[2]], atol=1e-14)


def test_an_unknown_successor_has_no_entry():
    models = parts("usual").models("sparse")
    successors = models.common.successors
    outside = next(x for x in range(6) if x not in successors[0, 0])
    inside = int(successors[0, 0, 2])
    data = Transitions(np.zeros(2, int), np.zeros(2, int), np.zeros(2, int), np.array([outside, inside]))
    conditional = condition_class(models, uniform(models))
    found, entry = observed_rows(conditional, np.arange(2), data)
    assert_array_equal(entry, [-1, 2])
    assert_array_equal(observed_probability(found, entry)[:, 0], 0.0)
    with pytest.raises(mfg.RealizabilityError, match=rf"step 0, state 0, action 0, next state {outside}"):
        robust_evidence(conditional, np.arange(2), data, 0.1)


# Plausibility


def naive_fit(P, data):
    """Observed less expected log-likelihood, variance, and the logarithms of the tests, of one model [H, S, A, S]."""
    excess, variance, tests = 0.0, 0.0, np.zeros(2 * HALVINGS)
    powers = [sign / 2**i for i in range(1, HALVINGS + 1) for sign in (1, -1)]
    for h, s, a, x in data:
        row = [p for p in P[h, s, a] if p > 0]
        mean = sum(p * math.log(p) for p in row)
        excess += math.log(P[h, s, a, x]) - mean
        variance += sum(p * (math.log(p) - mean) ** 2 for p in row)
        for j, power in enumerate(powers):
            tests[j] += power * math.log(P[h, s, a, x]) - math.log(sum(p ** (1 + power) for p in row))
    return excess, variance, tests


@pytest.mark.parametrize("kind", CLASSES)
def test_sums_are_those_of_the_twin(kind):
    models = CLASSES[kind]()
    pi, states, actions = sampled(models, 1, 25)
    conditional, P = condition_class(models, pi), conditional_tables(models, pi)
    sums = Plausibility(len(models))
    for part in (slice(0, 10), slice(10, 25)):
        sums.add(conditional, np.array([1, 2]), all_transitions(states[part], actions[part]))
    for m in (1, 2):
        if (P[m][tuple(np.array(transitions(states, actions)).T)] == 0).any():
            assert sums.z(np.array([m]))[0] == -np.inf
            assert sums.log_evidence(np.array([m]))[0] == np.inf
            continue
        excess, variance, tests = naive_fit(P[m], transitions(states, actions))
        assert sums.excess[m] == pytest.approx(excess, abs=1e-10)
        assert sums.variance[m] == pytest.approx(variance, abs=1e-10)
        assert_allclose(sums.tests[m], tests, atol=1e-10)
        z, evidence = sums.z(np.array([m]))[0], sums.log_evidence(np.array([m]))[0]
        assert z == pytest.approx(excess / math.sqrt(variance))
        assert evidence == pytest.approx(math.log(np.mean(np.exp(tests))))
    assert sums.excess[0] == sums.variance[0] == 0.0


def test_tests_are_martingales():
    """Under the model each step multiplies them by a number of mean 1, and adds to the sums what has mean 0."""
    models = near_class(3, kind="eighths", spread=0.5)
    pi = uniform(models)
    conditional, P = condition_class(models, pi), conditional_tables(models, pi)
    for h, s, a in np.ndindex(P.shape[1:4]):
        factor, drift = np.zeros(2 * HALVINGS), 0.0
        for x in np.flatnonzero(P[2, h, s, a]):
            sums = Plausibility(len(models))
            sums.add(conditional, np.array([2]), Transitions(*(np.array([i]) for i in (h, s, a, x))))
            factor += P[2, h, s, a, x] * np.exp(sums.tests[2])
            drift += P[2, h, s, a, x] * sums.excess[2]
        assert_allclose(factor, 1.0, atol=1e-12)
        assert abs(drift) < 1e-12


def test_z_of_a_true_model_is_normal_and_alarms_are_rare():
    models = near_class(5, H=3, M=2)
    z, alarms = [], 0
    for seed in range(300):
        pi, states, actions = sampled(models, 0, 60, seed)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            z.append(mfg.plausibility(models, pi, states, actions, [0])[0])
        alarms += bool(caught)
    assert kstest(z, "norm").pvalue > 1e-6
    assert alarms <= binom.ppf(1 - 1e-6, 300, ALARM)


def test_a_false_class_is_told():
    models = near_class(5, H=3, M=6, spread=0.6)
    pi, states, actions = sampled(models, 0, 300)
    with pytest.warns(ImplausibleWarning, match="no model left fits the data: z from .* for 5 of them"):
        z = mfg.plausibility(models, pi, states, actions, [1, 2, 3, 4, 5])
    assert (np.abs(z) > 4).all()
    assert abs(mfg.plausibility(models, pi, states, actions)[0]) < 4  # with the true one among them there is no warning
    assert_array_equal(mfg.plausibility(models, pi, states, actions, [3, 0])[0], z[2])


def test_an_alarm_within_a_run():
    """An oracle that samples a game outside of the class, whose models are near one another: none that is left fits."""
    rng = np.random.default_rng(3)
    tables = 0.8 * rows(rng, (1, 2, 4, 3, 4)) + 0.2 * rows(rng, (6, 2, 4, 3, 4))
    tables[5] = rows(rng, (2, 4, 3, 4))
    known = mfg.ModelClass.from_tables(tables, rows(rng, (4,)), "crowd-aversion")
    models, stranger = known[:5], known[5]
    run_elimination = sys.modules["fastmfg.learning.eliminate"].run_elimination
    options = EliminationOptions(tolerance=1e-3, delta=0.01, adversary="information")
    adversaries = sys.modules["fastmfg.learning.adversary"].ADVERSARIES
    conditional = condition_class(models, uniform(models))
    for game, alarm in ((models[2], False), (stranger, True)):
        sums, data = Plausibility(5), []
        adversary = adversaries["information"](conditional, 1e-3, lambda members: None)
        out = run_elimination(
            conditional, adversary, mfg.MeanFieldOracle(game, seed=1), options, np.zeros(5), watch=data.append
        )
        sums.add(conditional, out.survivors, Transitions.joined(data))
        assert sums.implausible(out.survivors) == alarm
        assert np.isfinite(sums.z(out.survivors)).all()


def herding(w):
    """The chance to meet in state 1 is greatest where half of the crowd is there: among two agents, less on average."""

    def transition(h, mu):
        reach = 0.1 + w * 4 * mu[1] * (1 - mu[1])
        return np.broadcast_to([1 - reach, reach], (2, 1, 2))

    return mfg.Game([0.5, 0.5], transition, lambda h, mu: np.zeros((2, 1)), horizon=2)


def test_few_agents_do_not_look_like_a_mean_field():
    models = mfg.ModelClass([herding(w) for w in (0.75, 0.8, 0.85)])
    pi = uniform(models)
    for n, alarm in ((2, True), (1_000_000, False)):
        states, actions = mfg.PopulationOracle(models[1], n, seed=0).sample(pi, pi, 200)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            mfg.plausibility(models, pi, states, actions)
        assert bool(caught) == alarm


def test_what_leaves_nothing_to_chance_is_plausible():
    models = certain_class()
    right = np.zeros((2, 4, 2))
    right[..., 1] = 1.0
    states, actions = mfg.MeanFieldOracle(models[1]).sample(right, uniform(models), 5)
    assert_array_equal(mfg.plausibility(models, uniform(models), states, actions), [-np.inf, 0.0, -np.inf])
    with pytest.warns(ImplausibleWarning, match="z from -inf to -inf for 2"):
        mfg.plausibility(models, uniform(models), states, actions, [0, 2])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"models": 1}, TypeError, "models must be a ModelClass"),
        ({"policy": np.ones((1, 1, 1))}, ValueError, "policy must have shape"),
        ({"states": np.full((5, 3), 4)}, ValueError, r"states\[0, 0\] is 4: must lie in 0..3"),
        ({"states": np.zeros((5, 2), int)}, ValueError, r"states must have shape \[\*, 3\], got \[5, 2\]"),
        ({"actions": np.zeros((4, 2), int)}, ValueError, r"actions must have shape \[5, 2\], got \[4, 2\]"),
        ({"actions": np.zeros((5, 2))}, TypeError, "actions must hold whole numbers"),
        ({"members": [6]}, IndexError, r"members\[0\] is 6"),
    ],
)
def test_bad_input_of_plausibility(change, error, message):
    models = near_class(0)
    pi, states, actions = sampled(models, 0, 5)
    arguments = {"models": models, "policy": pi, "states": states, "actions": actions}
    with pytest.raises(error, match=message):
        mfg.plausibility(**(arguments | change))


# Robust elimination


def naive_robust(P, data, eta):
    """Smoothed log-likelihoods [n], and what each model is allowed [n]; dense rows P [n, H, S, A, S]."""
    n, S = len(P), P.shape[-1]
    smooth = (1 - eta) * P + eta / S
    likelihood, allowed = np.zeros(n), np.zeros(n)
    for h, s, a, x in data:
        for m in range(n):
            likelihood[m] += math.log(smooth[m, h, s, a, x])
            ratios = [smooth[k, h, s, a, y] / smooth[m, h, s, a, y] for k in range(n) for y in range(S)]
            bound = 1 + eta / (1 - eta) * (1 - min(ratios)) + eta / 2 * (max(ratios) - min(ratios))
            allowed[m] += math.log(bound)
    return likelihood, allowed


@pytest.mark.parametrize("eta", [0.01, 0.3])
@pytest.mark.parametrize("kind", ["tables", "tables, zeros and ties", "linear", "functions of the joint"])
def test_robust_evidence_is_that_of_the_twin(kind, eta):
    models = CLASSES[kind]()
    pi, states, actions = sampled(models, 1, 10)
    conditional, P = condition_class(models, pi), conditional_tables(models, pi)
    positions = np.array([0, 2, 3])
    comp = robust_evidence(conditional, positions, all_transitions(states, actions), eta)
    ref = naive_robust(P[positions], transitions(states, actions), eta)
    assert_allclose(comp[0], ref[0], rtol=1e-10)
    assert_allclose(comp[1], ref[1], atol=1e-12)
    assert (comp[1] >= 0).all()


def in_the_ball(rng, row, eta):
    """A random distribution at L1 distance eta of a row, or less where the simplex ends."""
    other = np.eye(row.size)[rng.integers(row.size)] if rng.random() < 0.5 else rng.dirichlet(np.full(row.size, 0.3))
    distance = np.abs(other - row).sum()
    return row + min(1.0, eta / max(distance, 1e-300)) * (other - row)


@pytest.mark.parametrize("eta", [0.0, 0.02, 0.3])
def test_the_allowance_makes_likelihood_ratios_supermartingales(eta):
    """For a truth within eta of a model, a step multiplies each rival's advantage, less the allowance, by 1 on average
    at most; without the allowance it is more for some."""
    rng = np.random.default_rng(0)
    most = 0.0
    for trial in range(60):
        kind = "eighths" if trial % 2 else "dense"
        tables = rows(rng, (4, 1, 1, 1, 5), kind)
        models = mfg.ModelClass.from_tables(
            np.broadcast_to(tables, (4, 1, 5, 1, 5)), np.eye(5)[0], lambda h, mu: mu[:, None]
        )
        conditional = condition_class(models, uniform(models))
        for m in range(4):
            truth = in_the_ball(rng, tables[m, 0, 0, 0], eta)
            ratio = np.zeros(4)
            for x in np.flatnonzero(truth):
                likelihood, allowed = robust_evidence(
                    conditional, np.arange(4), Transitions(*(np.array([i]) for i in (0, 0, 0, x))), eta
                ) if eta else (np.log(np.maximum(tables[:, 0, 0, 0, x], 1e-300)), np.zeros(4))  # fmt: skip
                ratio += truth[x] * np.exp(likelihood - likelihood[m])
            assert (ratio <= np.exp(allowed[m]) + 1e-12).all()
            most = max(most, ratio.max())
    assert most > 1.001 or eta == 0


@pytest.mark.parametrize("evidence", ["anytime", "paper"])
@pytest.mark.parametrize("kind", ["tables", "linear", "functions", "fillers"])
def test_without_misspecification_nothing_changes(kind, evidence):
    models = KINDS[kind]()
    settings = {"tolerance": 1e-3, "delta": 0.1, "max_rounds": 8, "adversary": "first", "evidence": evidence}
    pair = [
        mfg.eliminate(models, Recorder(models[1], 3), uniform(models), **settings, **more)
        for more in ({}, {"misspecification": 0.0})
    ]
    for name in ("survivors", "log_likelihood", "eliminated_at", "allowance"):
        assert_array_equal(getattr(pair[0], name), getattr(pair[1], name))
    assert (pair[0].allowance == 0).all()


def naive_elimination(models, oracle, pi, eta, delta, trajectories):
    """The rule of the robust threshold, one trajectory at a time, on all that an oracle gave."""
    P, n = conditional_tables(models, pi), len(models)
    alive, likelihood, allowed = list(range(n)), np.zeros(n), np.zeros(n)
    for states, actions in trajectories:
        more = naive_robust(P[alive], transitions(states, actions), eta)
        likelihood[alive] += more[0]
        allowed[alive] += more[1]
        mixture = math.log(sum(math.exp(likelihood[m]) for m in alive))
        alive = [m for m in alive if mixture - likelihood[m] <= math.log(n / delta) + allowed[m]]
    return SimpleNamespace(alive=alive, likelihood=likelihood, allowed=allowed)


def test_robust_elimination_is_its_twin():
    models, eta, delta = near_class(4, M=7, spread=0.6), 0.02, 0.1
    pi, oracle = uniform(models), Recorder(models[3], 1)
    comp = mfg.eliminate(models, oracle, pi, tolerance=0.05, delta=delta, misspecification=eta, max_rounds=20)
    ref = naive_elimination(models, oracle, pi, eta, delta, [(call.states, call.actions) for call in oracle.calls])
    assert_array_equal(comp.survivors, ref.alive)
    assert 1 <= len(ref.alive) < 7
    assert_allclose(comp.log_likelihood[ref.alive], ref.likelihood[ref.alive], rtol=1e-10)
    assert_allclose(comp.allowance, ref.allowed, atol=1e-10)


def test_what_was_allowed_goes_with_the_evidence():
    models, eta = near_class(4, M=7, spread=0.6), 0.02
    settings = {
        "policy": uniform(models),
        "tolerance": 1e-3,
        "delta": 0.1,
        "adversary": "first",
        "misspecification": eta,
    }
    whole = mfg.eliminate(models, Recorder(models[3], 1), max_rounds=6, **settings)
    oracle = Recorder(models[3], 1)
    first = mfg.eliminate(models, oracle, max_rounds=2, **settings)
    second = mfg.eliminate(
        models, oracle, max_rounds=4, candidates=first.survivors, log_likelihood=first.log_likelihood,
        allowance=first.allowance, **settings,
    )  # fmt: skip
    assert_array_equal(second.survivors, whole.survivors)
    assert_allclose(second.allowance[whole.survivors], whole.allowance[whole.survivors], rtol=1e-12)


def misspecified(eta):
    """Three models, none of them true.

    Model 0 is within eta of the truth and rules out state 4, which the truth reaches now and then; model 1 is nearly
    the same and reaches it far too often; model 2 is far off.
    """
    base, often, far = [0.4, 0.3, 0.2, 0.1, 0.0], [0.37, 0.28, 0.2, 0.1, 0.05], [0.1, 0.2, 0.3, 0.35, 0.05]
    truth = [0.4 - eta / 2, 0.3, 0.2, 0.1, eta / 2]
    game = {"initial": np.eye(5)[0], "reward": lambda h, mu: np.zeros((5, 1)), "horizon": 3}
    tables = np.broadcast_to(np.array([base, often, far, truth])[:, None, None, None], (4, 1, 5, 1, 5))
    models = mfg.ModelClass.from_tables(tables, **game)
    return models[:3], models[3]


def test_the_nearest_model_is_kept_though_none_is_true():
    """Plain elimination drops it far more often than delta: the truth does what it rules out."""
    eta, delta, runs = 0.02, 0.1, 150
    models, truth = misspecified(eta)
    settings = {"policy": uniform(models), "tolerance": 1e-3, "delta": delta, "max_rounds": 30, "adversary": "first"}
    robust, plain = (
        [mfg.eliminate(models, mfg.MeanFieldOracle(truth, seed=seed), misspecification=e, **settings).survivors
         for seed in range(runs)] for e in (eta, 0.0)
    )  # fmt: skip
    allowed = binom.ppf(1 - 1e-6, runs, delta)
    assert sum(0 not in survivors for survivors in robust) <= allowed
    assert sum(0 not in survivors for survivors in plain) > allowed
    assert sum(2 not in survivors for survivors in robust) > runs / 2  # robust, and yet it eliminates


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"misspecification": 1.0}, ValueError, r"misspecification must lie in \[0, 1\), got 1.0"),
        ({"misspecification": -0.1}, ValueError, r"misspecification must lie in \[0, 1\), got -0.1"),
        ({"misspecification": "x"}, TypeError, "misspecification must be a number"),
        ({"allowance": np.zeros(3)}, ValueError, r"allowance must have shape \[6\], got \[3\]"),
        ({"allowance": np.full(6, np.nan)}, ValueError, r"allowance\[0\] is nan"),
    ],
)
def test_bad_misspecification(change, error, message):
    models = near_class(0)
    with pytest.raises(error, match=message):
        mfg.eliminate(models, FakeOracle(models[0], None), uniform(models), tolerance=0.1, delta=0.1, **change)
