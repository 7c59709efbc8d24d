"""The learning loop: what it returns is what its samples and the games say, whatever the class, rule and budget."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from builders import rows
from learning_cases import (
    BAD_ANSWERS,
    KINDS,
    FakeOracle,
    NoOracle,
    Recorder,
    certain_class,
    conditional_tables,
    linear,
    near_class,
    walled_class,
)
from numpy.testing import assert_allclose, assert_array_equal

import fastmfg as mfg
from fastmfg.games.functions import same_function
from fastmfg.learning.adversary import ADVERSARIES

EVIDENCE = ("anytime", "paper")
AUTHORS = {"adversary": "first", "evidence": "paper"}
REASONS = ("bound", "one model left", "out of rounds", "out of trajectories", "nothing left to try", "models alike")


def learn(models, true=0, seed=0, **settings):
    """A run that is checked: its outcome, and the oracle with all its samples."""
    oracle = Recorder(models[true], seed)
    settings = {"epsilon": 0.01, "delta": 1e-3} | settings
    out = mfg.learn(models, oracle, **settings)
    assert_sound(models, out, settings["epsilon"])
    assert out.trajectories == oracle.trajectories <= settings.get("max_trajectories", math.inf)
    return out, oracle


def assert_sound(models, out, epsilon):
    """The bound is the largest gap over the survivors, and all that is reported agrees."""
    assert_allclose(out.ne_gap_bound, max(mfg.ne_gap(models[m], out.policy) for m in out.survivors), atol=1e-12)
    assert out.certified == (out.ne_gap_bound <= epsilon)
    assert out.stopped in REASONS
    assert_array_equal(out.survivors, np.flatnonzero(out.eliminated_at < 0))
    assert_array_equal(out.survivors, np.flatnonzero(np.isfinite(out.log_likelihood)))
    assert out.survivors.dtype == np.int64
    assert out.policy.shape == (models.horizon, models.n_states, models.n_actions)
    drawn = np.cumsum([0, *(r.trajectories for r in out.rounds)])
    assert out.trajectories == drawn[-1]
    assert [r.survivors for r in out.rounds] == [
        int((out.eliminated_at > d).sum() + out.survivors.size) for d in drawn[1:]
    ]
    assert (np.diff([*(r.ne_gap_bound for r in out.rounds), out.ne_gap_bound]) <= 0).all()


# What comes out


@pytest.mark.parametrize("evidence", EVIDENCE)
@pytest.mark.parametrize("adversary", ADVERSARIES)
@pytest.mark.parametrize("seed", range(3))
def test_small_linear_classes(seed, adversary, evidence):
    models = linear(seed, scale=0.4)
    true = (2 * seed + 1) % len(models)
    out, oracle = learn(models, true, seed, adversary=adversary, evidence=evidence)
    assert out.certified
    assert out.stopped == "bound"
    assert oracle.trajectories > 0
    assert true in out.survivors
    assert out.survivors.size < len(models)
    assert mfg.ne_gap(models[true], out.policy) <= out.ne_gap_bound + 1e-12


@pytest.mark.parametrize("rule", [{}, {"adversary": "max"}, {"adversary": "nash"}, AUTHORS], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_class(kind, rule):
    models = KINDS[kind]()
    out, _ = learn(models, len(models) - 1, **rule)
    assert len(models) - 1 in out.survivors


@pytest.mark.parametrize("rule", [{}, {"adversary": "first"}, AUTHORS], ids=str)
def test_evidence_is_the_likelihood_of_what_was_drawn(rule):
    """Replay the samples: log-likelihoods, and the trajectory after which each model falls too far behind."""
    models, n, T, delta = near_class(3, M=8, spread=0.3), 8, 6, 0.05
    out, oracle = learn(models, 5, delta=delta, epsilon=0.001, radius=0.0, max_rounds=T, **rule)
    assert len({r.reference_model for r in out.rounds}) > 1
    paper, H, calls, drawn = rule == AUTHORS, models.horizon, iter(oracle.calls), 0
    alive, likelihood, dropped_at = np.full(n, True), np.zeros(n), np.full(n, -1)
    for k, one in enumerate(out.rounds):
        assert one.branch == "scatter"
        assert paper or one.reference_model == np.argmax(np.where(alive, likelihood, -np.inf))  # the likeliest
        threshold = math.log((H * n * T * (k + 1) if paper else n) / delta)
        end = drawn + one.trajectories
        while drawn < end:
            for call in [next(calls) for _ in range(2 if paper else 1)]:
                tables = conditional_tables(models, call.reference)
                drawn += len(call.states)
                for i in range(len(call.states)):
                    h = np.array([i]) if paper else np.arange(H)
                    s, a, x = call.states[i, h], call.actions[i, h], call.states[i, h + 1]
                    likelihood += np.log(tables[:, h, s, a, x]).sum(axis=1)
            best = likelihood[alive].max()
            most = best if paper else best + math.log(np.exp(likelihood[alive] - best).sum())
            behind = alive & (likelihood < most - threshold)
            dropped_at[behind], alive = drawn, alive & ~behind
    assert_array_equal(out.eliminated_at, dropped_at)
    assert_array_equal(out.survivors, np.flatnonzero(alive))
    assert_allclose(out.log_likelihood[alive], likelihood[alive], rtol=1e-10)


def test_the_policy_is_the_one_of_the_smallest_bound():
    """No survivor's equilibrium that the run had to solve does better than what it returns."""
    models = near_class(0, spread=0.3)
    out, oracle = learn(models, 1, max_trajectories=40, epsilon=1e-4)
    assert not out.certified
    for reference in {call.reference.tobytes(): call.reference for call in oracle.calls}.values():
        assert out.ne_gap_bound <= mfg.ne_gaps(models, reference, out.survivors).max() + 1e-12


def test_one_model_needs_no_sample():
    for rule in ({}, AUTHORS):
        models = linear(M=1)
        out = mfg.learn(models, NoOracle(), epsilon=0.01, delta=0.1, max_trajectories=0, **rule)
        assert_sound(models, out, 0.01)
        assert out.certified
        assert (out.stopped, out.rounds, out.reference_policy) == ("bound", (), None)


@pytest.mark.parametrize("rule", [{"adversary": name} for name in ADVERSARIES] + [AUTHORS], ids=str)
def test_identical_models_need_no_sample(rule):
    models = linear(M=2)[[0]]
    models = mfg.ModelClass([models[0]] * 4)
    out = mfg.learn(models, NoOracle(), epsilon=0.01, delta=0.1, **rule)
    assert_sound(models, out, 0.01)
    assert out.certified
    assert_array_equal(out.survivors, range(4))


def test_probabilities_of_zero_and_one_name_the_model():
    out, _ = learn(certain_class(), 1, epsilon=1e-3)
    assert_array_equal(out.survivors, [1])
    assert out.trajectories == 1
    assert out.log_likelihood[1] == 0.0


def test_identify_goes_on_to_one_model():
    models = linear(2, scale=0.4)
    early, _ = learn(models, 3, epsilon=0.2)
    late, _ = learn(models, 3, epsilon=0.2, tolerance=0.01, identify=True)
    assert early.survivors.size > 1
    assert_array_equal(late.survivors, [3])
    assert late.trajectories > early.trajectories


# Branches and ends


def crowd_and_outlier():
    """Six models within 1e-4 of one another, and one far from all."""
    rng = np.random.default_rng(0)
    common, noise, other = rows(rng, (2, 4, 3, 4)), rows(rng, (6, 2, 4, 3, 4)), rows(rng, (2, 4, 3, 4))
    tables = np.concatenate([(1 - 1e-5) * common + 1e-5 * noise, other[None]])
    return mfg.ModelClass.from_tables(tables, rows(rng, (4,)), "crowd-aversion")


@pytest.mark.parametrize("rule", [{}, AUTHORS], ids=str)
@pytest.mark.parametrize("true", [2, 6])
def test_a_crowd(true, rule):
    out, _ = learn(crowd_and_outlier(), true, radius=1e-3, strategy="heuristic", **rule)
    first = out.rounds[0]
    assert (first.branch, first.reference_model, first.neighbours) == ("crowd", 0, 6)
    assert out.stopped == "bound"
    assert_array_equal(out.survivors, [6] if true == 6 else range(6))


def same_tables(n=5):
    t = rows(np.random.default_rng(3), (2, 4, 3, 4))
    return mfg.ModelClass.from_tables(np.stack([t] * n), np.full(4, 0.25), "crowd-aversion")


def same_functions(n=5):
    """Games whose functions are one code over equal values, made one at a time."""

    def game():
        t, r = rows(np.random.default_rng(3), (2, 4, 3, 4)), np.random.default_rng(4).random((4, 3))
        return mfg.Game(np.full(4, 0.25), lambda h, mu: t[h], lambda h, mu: r - mu[:, None], horizon=2)

    return mfg.ModelClass([game() for _ in range(n)])


@pytest.mark.parametrize("make", [same_tables, same_functions])
@pytest.mark.parametrize("strategy", ["certified", "heuristic"])
def test_the_same_model_several_times_is_seen_before_any_search(make, strategy):
    out = mfg.learn(make(), NoOracle(), epsilon=1e-2, delta=0.1, identify=True, strategy=strategy)
    assert (out.stopped, out.certified, out.trajectories, out.policies) == ("models alike", True, 0, 1)
    assert "tell them apart" in str(out)
    assert_array_equal(out.survivors, range(5))
    out = mfg.learn(make(), NoOracle(), epsilon=1e-2, delta=0.1, strategy=strategy)
    assert (out.stopped, out.policies) == ("bound", 1)
    assert "one policy is good in all 5 models" in str(out)


def test_copies_beside_another_model_are_what_is_left():
    t = rows(np.random.default_rng(3), (2, 2, 4, 3, 4))
    models = mfg.ModelClass.from_tables(t[[0, 0, 1, 0]], np.full(4, 0.25), "crowd-aversion")
    out = mfg.learn(models, mfg.MeanFieldOracle(models[1], seed=1), epsilon=1e-2, delta=0.1, identify=True)
    assert out.stopped == "models alike"
    assert_array_equal(out.survivors, [0, 1, 3])


def test_functions_over_other_values_are_other_functions():
    def made(value, extra=0):
        return lambda h, mu, *, more=extra: value + more

    assert same_function(made(np.zeros(2)), made(np.zeros(2)))
    assert not same_function(made(np.zeros(2)), made(np.ones(2)))
    assert not same_function(made(np.zeros(2)), made(np.zeros(2), 1))
    assert not same_function(made(np.zeros(2)), lambda h, mu: 0)
    assert not same_function(made(np.zeros(2)), np.sum)


def test_one_model_needs_no_sample_and_says_why():
    out = mfg.learn(same_tables(1), NoOracle(), epsilon=1e-2, delta=0.1)
    assert "one model, whose equilibrium this is" in str(out)


@pytest.mark.parametrize("rule", [{}, AUTHORS], ids=str)
def test_models_too_near_to_tell_apart_end_the_run(rule):
    """The tolerance lets ModelElim return at once under every equilibrium: each is tried once, then it is over."""
    models = near_class(0)
    settings = {"epsilon": 1e-3, "delta": 0.1, "tolerance": 5.0} | rule
    out = mfg.learn(models, NoOracle(), strategy="heuristic", **settings)
    assert_sound(models, out, 1e-3)
    assert (out.stopped, out.certified, out.trajectories) == ("nothing left to try", False, 0)
    assert sorted(r.reference_model for r in out.rounds) == list(range(len(models)))
    assert all(r.converged and r.elimination_rounds == 0 for r in out.rounds)
    searched = mfg.learn(models, NoOracle(), **settings)  # no candidate of any stage tells two models apart
    assert_sound(models, searched, 1e-3)
    assert (searched.stopped, searched.rounds, searched.trajectories) == ("nothing left to try", (), 0)
    assert searched.policies > 100
    assert searched.ne_gap_bound <= out.ne_gap_bound


@pytest.mark.parametrize(("strategy", "seed"), [("heuristic", 0), ("heuristic", 9), ("certified", 9)])
def test_a_reference_that_has_converged_is_not_taken_again(strategy, seed):
    """Distances do not depend on data: no pair of survivors will ever be farther apart under it."""
    models = linear(seed, M=8, H=3, scale=0.6)
    out, _ = learn(models, seed % 8, seed, epsilon=1e-3, delta=0.1, tolerance=2.4, strategy=strategy)
    assert len(out.rounds) > 1
    done = [r.reference_model for r in out.rounds if r.converged]
    assert len(set(done)) == len(done)


def test_a_wide_radius_is_a_crowd_a_small_one_scatters():
    models = near_class(0)
    for radius, branch, size in ((5.0, "crowd", len(models)), (0.0, "scatter", 1)):
        first = learn(models, radius=radius, strategy="heuristic")[0].rounds[0]
        assert (first.branch, first.neighbours) == (branch, size)
        assert sum(first.decided.values()) == len(models) * (len(models) - 1) // 2


@pytest.mark.parametrize("evidence", EVIDENCE)
@pytest.mark.parametrize("adversary", ADVERSARIES)
@pytest.mark.parametrize("budget", [0, 1, 2, 3, 7, 8, 21])
def test_budgets_are_kept(budget, adversary, evidence):
    models = near_class(0, spread=0.2)
    out, oracle = learn(models, adversary=adversary, evidence=evidence, max_trajectories=budget, epsilon=1e-4)
    assert (out.stopped, out.certified) == ("out of trajectories", False)
    round_size = 2 * models.horizon if evidence == "paper" else 1
    assert oracle.trajectories == budget - budget % round_size


def test_no_budget_but_a_bound():
    models = near_class(0)
    out = mfg.learn(models, NoOracle(), epsilon=100.0, delta=0.1, max_trajectories=0)
    assert_sound(models, out, 100.0)
    assert out.certified


@pytest.mark.parametrize("evidence", EVIDENCE)
def test_one_round(evidence):
    models = near_class(0, spread=0.2)
    out, _ = learn(models, max_rounds=1, evidence=evidence, epsilon=1e-4)
    assert (out.stopped, out.certified) == ("out of rounds", False)
    assert [r.elimination_rounds for r in out.rounds] == [1]
    assert 1 <= out.trajectories <= 2 * models.horizon


def test_on_round_sees_each_round():
    seen = []
    out, _ = learn(near_class(0, spread=0.3), on_round=seen.append, max_rounds=4, epsilon=1e-3)
    assert len(seen) > 1
    assert tuple(seen) == out.rounds


# The same bytes


def as_bytes(out):
    arrays = (out.policy, out.survivors, out.log_likelihood, out.eliminated_at, out.reference_policy)
    rounds = [(r.branch, r.reference_model, r.decided, r.trajectories, r.ne_gap_bound) for r in out.rounds]
    return [array.tobytes() for array in arrays], out.ne_gap_bound, rounds


@pytest.mark.parametrize("rule", [{}, AUTHORS, {"adversary": "max"}], ids=str)
def test_seeds_and_not_threads_decide(rule, threads):
    models = linear(3, M=26, S=18, A=4, scale=0.3)  # several blocks of models, of pairs and of states
    settings = {"epsilon": 0.005, "max_trajectories": 200, "max_rounds": 10} | rule
    results = []
    for count in (1, 2, 2):
        threads(count)
        results.append(as_bytes(learn(models, 4, 9, **settings)[0]))
    assert results[0] == results[1] == results[2]
    assert as_bytes(learn(models, 4, 10, **settings)[0]) != results[0]


def test_the_order_of_references_under_the_papers_rule_is_the_seeds():
    models = near_class(0, M=8)
    first = {learn(models, seed=s, max_trajectories=4, **AUTHORS)[0].rounds[0].reference_model for s in range(2)}
    others = {mfg.learn(models, Recorder(models[0]), epsilon=0.01, delta=0.1, seed=s, max_trajectories=4, **AUTHORS)
              .rounds[0].reference_model for s in range(12)}  # fmt: skip
    assert len(first) == 1
    assert len(others) > 2


def test_permuting_models_permutes_the_result():
    models, order = near_class(3, M=8, spread=0.3), np.array([0, 3, 2, 1, 5, 4, 7, 6])  # at first all tie: 0 is played
    equilibria = dict(enumerate(mfg.solve_models(models, tol=1e-3)))
    permuted = {i: equilibria[m] for i, m in enumerate(order)}
    ref, _ = learn(models, 5, max_rounds=5, equilibria=equilibria)
    comp, _ = learn(models[order], 4, max_rounds=5, equilibria=permuted)
    assert_array_equal(comp.eliminated_at, ref.eliminated_at[order])
    assert_allclose(comp.log_likelihood, ref.log_likelihood[order], rtol=1e-12)
    assert_array_equal(comp.policy, ref.policy)


# Bad input

NAN = float("nan")
BAD_ARGUMENTS = [
    ({"models": [1]}, TypeError, "models must be a ModelClass, got list"),
    ({"models": near_class(0)[0]}, TypeError, "models must be a ModelClass, got Game"),
    ({"oracle": object()}, TypeError, "oracle must have a method sample"),
    ({"epsilon": 0.0}, ValueError, r"epsilon must lie in \(0, inf\), got 0.0"),
    ({"epsilon": -1e-3}, ValueError, "epsilon .* got -0.001"),
    ({"epsilon": NAN}, ValueError, "epsilon .* got nan"),
    ({"epsilon": math.inf}, ValueError, "epsilon .* got inf"),
    ({"epsilon": None}, TypeError, "epsilon must be a number, got None"),
    ({"delta": 0.0}, ValueError, r"delta must lie in \(0, 1\), got 0.0"),
    ({"delta": 1.0}, ValueError, "delta .* got 1.0"),
    ({"delta": 2}, ValueError, "delta .* got 2"),
    ({"delta": NAN}, ValueError, "delta .* got nan"),
    ({"tolerance": 0.0}, ValueError, r"tolerance must lie in \(0, inf\), got 0.0"),
    ({"tolerance": -1.0}, ValueError, "tolerance .* got -1.0"),
    ({"radius": -1e-9}, ValueError, r"radius must lie in \[0, inf\), got -1e-09"),
    ({"radius": NAN}, ValueError, "radius .* got nan"),
    ({"adversary": "informaton"}, ValueError, "adversary: did you mean 'information'.* got 'informaton'"),
    ({"evidence": "papers"}, ValueError, "evidence: did you mean 'paper'.* got 'papers'"),
    ({"strategy": "heuristics"}, ValueError, "strategy: did you mean 'heuristic'.* got 'heuristics'"),
    ({"max_rounds": 0}, ValueError, "max_rounds must be at least 1, got 0"),
    ({"max_trajectories": -1}, ValueError, "max_trajectories must be at least 0, got -1"),
    ({"max_trajectories": 1e3}, TypeError, "max_trajectories must be a whole number, got 1000.0"),
    ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
    ({"seed": "one"}, TypeError, "seed must be a whole number, got 'one'"),
    ({"on_round": 3}, TypeError, "on_round"),
    ({"equilibria": {6: None}}, IndexError, "equilibria .*6"),
    ({"equilibria": {0: "mixed"}}, TypeError, "equilibria"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD_ARGUMENTS)
def test_bad_arguments(change, error, message):
    good = {"models": near_class(0), "oracle": NoOracle(), "epsilon": 0.01, "delta": 0.1}
    with pytest.raises(error, match=message):
        mfg.learn(**(good | change))


@pytest.mark.parametrize("case", BAD_ANSWERS)
def test_bad_oracles(case):
    change, error, message = BAD_ANSWERS[case]
    models = walled_class()
    with pytest.raises(error, match=message):
        mfg.learn(models, FakeOracle(models[0], change), epsilon=1e-3, delta=0.1)


@pytest.mark.parametrize("rule", [{}, {"adversary": "max"}, AUTHORS], ids=str)
def test_data_that_no_model_allows(rule):
    """The truth moves two states farther than the first model says, the class knows of at most one."""
    models = certain_class()
    with pytest.raises(mfg.RealizabilityError, match=r"step \d, state \d, action \d, next state \d has probability 0"):
        mfg.learn(models[:2], mfg.MeanFieldOracle(models[2]), epsilon=1e-3, delta=0.1, **rule)


def test_an_oracle_of_another_game():
    models, other = near_class(0), near_class(0, S=5)
    with pytest.raises(ValueError, match=r"deviation must have shape \[2, 5, 3\], got \[2, 4, 3\]"):
        mfg.learn(models, mfg.MeanFieldOracle(other[0]), epsilon=1e-3, delta=0.1)


def test_results_are_read_only():
    out, _ = learn(near_class(0))
    for name in ("policy", "survivors", "log_likelihood", "eliminated_at", "reference_policy"):
        assert not getattr(out, name).flags.writeable, name


def test_a_crowd_of_twins_does_not_hide_the_pair_to_tell_apart():
    """More identical models than a deviation is chosen among, and one that differs under the last action only."""
    twin = np.full((1, 1, 2, 2, 2), 0.5)
    other = twin.copy()
    other[:, :, :, 1] = [0.9, 0.1]
    models = mfg.ModelClass.from_tables(
        np.concatenate([np.repeat(twin, 80, axis=0), other]), [0.5, 0.5], "crowd-aversion"
    )
    options = {"epsilon": 1e-6, "delta": 0.01, "tolerance": 0.1, "identify": True, "max_trajectories": 500}
    learned = mfg.learn(models, mfg.MeanFieldOracle(models[0], seed=1), **options)
    assert learned.survivors.tolist() == list(range(80))


def test_gaps_may_be_computed_elsewhere():
    models = mfg.linear_class(8, 6, 3, 3, seed=4)

    def learned(**options):
        return mfg.learn(models, mfg.MeanFieldOracle(models[5], seed=0), epsilon=1e-3, delta=0.05, **options)

    here = learned()
    with ThreadPoolExecutor(1) as executor:
        there = learned(executor=executor)
    assert_array_equal(here.policy, there.policy)
    assert_array_equal(here.survivors, there.survivors)
    assert (here.ne_gap_bound, here.trajectories) == (there.ne_gap_bound, there.trajectories)
