"""References chosen by information: gatherings, what they tell by brute force, and when a reference has served."""

import itertools
import math

import naive_bridge as naive
import numpy as np
import pytest
from learning_cases import KINDS, Recorder, linear, near_class, uniform
from numpy.testing import assert_allclose, assert_array_equal

import fastmfg as mfg
from fastmfg.comparing.conditional import condition_members
from fastmfg.executors import set_thread_count
from fastmfg.learning import certified, references
from fastmfg.learning.adversary import most_information
from fastmfg.learning.options import LearnOptions
from fastmfg.learning.state import State


def state(models, **settings):
    return State(models, LearnOptions(**{"epsilon": 1e-3, "delta": 0.1} | settings))


def conditional_rows(models, policy):
    return np.stack([naive.conditional(models.initial, game.transition, policy)[1] for game in models])


def hellinger(rows, weights):
    """``sum_{M,N} w_M w_N H^2(P_M, P_N)`` [H, S, A], pair by pair."""
    total = np.zeros(rows.shape[1:4])
    for m, p in enumerate(rows):
        for n, q in enumerate(rows):
            total += weights[m] * weights[n] * 0.5 * ((np.sqrt(p) - np.sqrt(q)) ** 2).sum(axis=-1)
    return total


def expected(initial, rows, told, policy):
    """What a deviation is told on average along a trajectory of the mixture's rows [H, S, A, S]."""
    mu, total = initial, 0.0
    for h in range(len(policy)):
        joint = mu[:, None] * policy[h]
        total += (joint * told[h]).sum()
        mu = (joint[..., None] * rows[h]).sum(axis=(0, 1))
    return total


@pytest.mark.parametrize("seed", range(4))
def test_no_deviation_is_told_more_and_the_reference_is_one(seed):
    """The information of a reference is a maximum over all deviations: brute force over the deterministic ones."""
    models = near_class(seed, M=4, S=2, A=2)
    rng = np.random.default_rng(seed)
    reference = rng.dirichlet(np.ones(2), (2, 2))
    weights = rng.dirichlet(np.ones(4))
    value, actions = most_information(condition_members(models, reference, np.arange(4)), weights)
    rows = conditional_rows(models, reference)
    told, mixture = hellinger(rows, weights), (weights[:, None, None, None, None] * rows).sum(axis=0)
    corners = [np.eye(2)[np.array(chosen).reshape(2, 2)] for chosen in np.ndindex(2, 2, 2, 2)]
    best = max(expected(models.initial, mixture, told, corner) for corner in corners)
    assert_allclose(value, best, rtol=1e-12)
    assert_allclose(expected(models.initial, mixture, told, np.eye(2)[actions]), best, rtol=1e-12)
    assert expected(models.initial, mixture, told, reference) <= value + 1e-15


def test_a_gathering_makes_for_its_goal():
    """By one more backward induction: no policy visits the goal more often, at the density it was made for."""
    models = linear(4, M=3, H=3, S=5, A=3)
    leader = condition_members(models, uniform(models).copy(), np.array([1]))
    for goal in range(5):
        policy = references.gathering(leader, np.full(3, goal))
        assert_array_equal(policy.max(axis=2), 1.0)
        assert_array_equal(policy, naive_gathering(models[1], uniform(models), goal))
        crowd = mfg.condition(models[1], policy).density[:, goal]
        spread = mfg.condition(models[1], uniform(models)).density[:, goal]
        assert crowd[1] >= spread[1] - 1e-12


def naive_gathering(game, reference, goal):
    """Backward induction on visits to the goal after the first step; the lowest action on a tie."""
    rows = mfg.condition(game, reference).transition
    H, S, A = rows.shape[:3]
    value, actions = np.zeros(S), np.empty((H, S), dtype=int)
    for h in range(H - 1, -1, -1):
        q = np.einsum("sax,x->sa", rows[h], value)
        actions[h] = q.argmax(axis=1)
        value = q.max(axis=1) + (np.arange(S) == goal if h > 0 else 0.0)
    return np.eye(A)[actions]


def estimated(initial, rows, weights, start, later):
    """Backward induction on the best deviation; a mean over the states looked at stands for the others."""
    told, mixture = hellinger(rows, weights), (weights[:, None, None, None, None] * rows).sum(axis=0)
    future = np.zeros(len(initial))
    for h in range(len(told) - 1, -1, -1):
        value, states = (told[h] + mixture[h] @ future).max(axis=1), later if h > 0 else start
        future = np.full(len(initial), value[states].mean())
        future[states] = value[states]
    return (initial * future)[start].sum() / initial[start].sum()


@pytest.mark.parametrize("looked_at", [3, 24])
def test_information_is_estimated_from_some_of_the_states(looked_at):
    """From all of them it is exact; several policies at once give what they give alone, with any number of threads."""
    models = linear(2, M=5, H=3, S=9, A=3)
    rng = np.random.default_rng(0)
    members, weights = np.array([0, 1, 3, 4]), rng.dirichlet(np.ones(4))
    policies = [rng.dirichlet(np.ones(3), (3, 9)) for _ in range(3)]
    start, later = references.states_looked_at(models, looked_at)
    assert later.tolist() == ([0, 4, 8] if looked_at == 3 else list(range(9)))
    rivals = references.Rivals(models, members, weights, looked_at)
    found = references.informations(rivals, policies)
    for value, policy in zip(found, policies, strict=True):
        rows = conditional_rows(models, policy)[members]
        assert_allclose(value, estimated(models.initial, rows, weights, start, later), rtol=1e-12)
        if looked_at == 24:
            exact = most_information(condition_members(models, policy, members), weights)[0]
            assert_allclose(value, exact, rtol=1e-12)
    for threads in (1, 2, 5):
        set_thread_count(threads)
        try:
            assert references.informations(rivals, policies) == found
        finally:
            set_thread_count(None)


@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_information_is_exact_where_all_states_are_looked_at(kind, unknown):
    """Over every kind of class: the first step, weighed once for all policies, is that of each of them."""
    models = KINDS[kind]()
    models = models.with_unknown_rewards(0.5) if unknown else models
    assert models.n_states <= references.STATES
    rng = np.random.default_rng(0)
    members, weights = np.arange(len(models)), rng.dirichlet(np.ones(len(models)))
    policies = [uniform(models).copy()]
    for _ in range(2):
        shares = np.where(models.legal, rng.gamma(0.5, size=uniform(models).shape), 0.0)
        policies.append(shares / shares.sum(axis=2, keepdims=True))
    found = references.informations(references.Rivals(models, members, weights), policies)
    for value, pi in zip(found, policies, strict=True):
        exact = most_information(condition_members(models, pi, members), weights)[0]
        assert_allclose(value, exact, rtol=1e-12, atol=1e-15)


def test_all_states_are_looked_at_where_a_mean_stands_for_none():
    """Where rows are sparse; but states where nobody starts count at no first step."""
    game = mfg.zoo.crowd_modelling_2d(size=5, horizon=4)
    start, later = references.states_looked_at(game.models, 3)
    assert later.size == game.n_states
    assert_array_equal(start, np.flatnonzero(game.initial))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_chosen_tells_most_and_is_certified(kind):
    """Over every kind of class: legal, certified, and no less informative than the likeliest model's equilibrium."""
    models = KINDS[kind]()
    run = state(models)
    chosen = certified.choose(run)
    if chosen is None or chosen.certificate == "none" or len(models) == 1:
        return
    numbers = (chosen.candidate, run.candidates.equilibrium(int(run.order_survivors()[0])))
    policies = [np.array(run.candidates[i].policy) for i in numbers]
    told = references.informations(references.rivals(run), policies)
    assert told[0] >= told[1]
    policy = run.candidates[chosen.candidate].policy
    assert (policy[:, ~models.legal] == 0).all()
    assert mfg.direct_certificate(models, policy, run.options.elimination.tolerance, run.options.epsilon).holds


def test_rivals_are_the_likeliest_and_some_of_all():
    run = state(linear(M=40))
    assert_array_equal(references.rivals(run).members[:8], range(8))
    run.evidence.log_likelihood = -np.random.default_rng(0).permutation(40.0 * np.arange(40)) / 10
    rivals = references.rivals(run)
    members, weights = rivals.members, rivals.weights
    likeliest = np.argsort(-run.evidence.log_likelihood)
    assert set(likeliest[:8]) <= set(members)
    assert likeliest[39] in members
    assert (members.size, weights.argmax()) == (16, list(members).index(likeliest[0]))
    ratio = math.exp(0.5 * (run.evidence.log_likelihood[members[3]] - run.evidence.log_likelihood[likeliest[0]]))
    assert_allclose(weights[3] / weights.max(), ratio)


def test_large_games_and_single_steps_have_no_gatherings(monkeypatch):
    models = linear(H=1)
    rivals = references.Rivals(models, np.arange(2), np.full(2, 0.5))
    found = references.best_gathering(rivals, uniform(models).copy())
    assert (found[0].size, found[1]) == (0, -np.inf)
    models = linear(H=2)
    monkeypatch.setattr(references, "MOST_ENTRIES", 100)
    rivals = references.Rivals(models, np.arange(2), np.full(2, 0.5))
    found = references.best_gathering(rivals, uniform(models).copy())
    assert (found[0].size, found[1]) == (0, -np.inf)


def test_a_round_ends_when_half_of_the_class_is_gone():
    """As the certificate promises; the next reference is chosen for those that are left."""
    models = linear(5, M=12, S=6, H=3, scale=0.3)
    oracle = Recorder(models[3], seed=1)
    out = mfg.learn(models, oracle, epsilon=1e-3, delta=0.01)
    before = [12, *(one.survivors for one in out.rounds)]
    assert len(out.rounds) > 1
    assert all(one.certificate == "direct" for one in out.rounds)
    assert all(2 * now <= then for then, now in itertools.pairwise(before))
    assert len({call.reference.tobytes() for call in oracle.calls}) > 1
    assert any(one.source == "gathering" for one in out.rounds)


def test_other_rules_keep_their_references():
    """Equilibria alone: those rules are run as they were written."""
    models = linear(5, M=12, S=6, H=3, scale=0.3)
    for rule in ({"adversary": "max"}, {"adversary": "first", "evidence": "paper"}, {"strategy": "heuristic"}):
        out = mfg.learn(models, mfg.MeanFieldOracle(models[3], seed=1), epsilon=1e-3, delta=0.01, **rule)
        assert {one.source for one in out.rounds} == {"equilibrium"}


@pytest.mark.parametrize("n_runs", [6, pytest.param(20, marks=pytest.mark.statistics)])
def test_fewer_trajectories_than_with_the_equilibria(n_runs):
    """The same classes and seeds, choice by information against the heuristic's likeliest equilibrium."""
    drawn = {"certified": [], "heuristic": []}
    for seed in range(n_runs):
        models = linear(seed, M=20, S=8, H=3, scale=0.2)
        for strategy, counts in drawn.items():
            oracle = mfg.MeanFieldOracle(models[seed % 20], seed=seed)
            counts.append(mfg.learn(models, oracle, epsilon=1e-3, delta=0.01, strategy=strategy).trajectories)
    logs = np.log(np.array(list(drawn.values())) + 1.0)
    assert (logs[0] - logs[1]).mean() < -0.1
