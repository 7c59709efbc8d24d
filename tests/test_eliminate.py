"""ModelElim against a slow twin written from the equations: the same oracle, the same samples, the same survivors."""

import math
from types import SimpleNamespace

import naive
import numpy as np
import pytest
from learning_cases import (
    BAD_ANSWERS,
    FakeOracle,
    NoOracle,
    Recorder,
    called_class,
    conditional_tables,
    linear,
    near_class,
    uniform,
    walled_class,
)
from numpy.testing import assert_allclose, assert_array_equal

import fastmfg as mfg
from fastmfg.learning.adversary import ADVERSARIES, STALE, TEMPER, USES

EVIDENCE = ("anytime", "paper")
CLASSES = {
    "tables": lambda: near_class(0),
    "tables, masked": lambda: near_class(1, masked=True, H=3),
    "tables, one step": lambda: near_class(2, H=1, M=8),
    "linear": linear,
    "functions": called_class,
}


# The twin


def deterministic(actions, A):
    return np.eye(A)[actions]


class Naive:
    """Conditional models under one reference policy, and all distances between the candidates."""

    def __init__(self, models, policy, candidates):
        self.models, self.P = models, conditional_tables(models, policy)
        self.initial, self.legal, self.A = models.initial, models.legal, models.n_actions
        pairs = [(j, k) for j in candidates for k in candidates]
        self.d = {(j, k): naive.directed_distance(self.P[j], self.P[k], self.initial, self.legal) for j, k in pairs}

    def spread(self, alive):
        return max(self.d[j, k] for j in alive for k in alive)

    def pair_deviation(self, j, k):
        gap = naive.row_gaps(self.P[j], self.P[k])
        return deterministic(naive.back_up(self.P[j], gap, np.zeros_like(gap), self.legal)[1], self.A)


class NaiveMax(Naive):
    """The pair of the largest directed distance."""

    def done(self, alive, tolerance):
        return self.spread(alive) <= tolerance

    def deviation(self, alive, log_likelihood, tolerance):
        return self.pair_deviation(*max(((j, k) for j in alive for k in alive), key=self.d.get))


class NaiveFirst(NaiveMax):
    """j ascending, k < j, and j -> k before k -> j."""

    def deviation(self, alive, log_likelihood, tolerance):
        for j in alive:
            for k in alive:
                for pair in ((j, k), (k, j)):
                    if k < j and self.d[pair] > tolerance:
                        return self.pair_deviation(*pair)
        raise AssertionError("converged")


class NaiveNash(Naive):
    """The survivors' equilibrium that sees the largest distance."""

    policies = None

    def seen(self, alive, tolerance):
        """Survivors' equilibria, and the largest distance that each sees between survivors."""
        if self.policies is None:
            solved = list(mfg.solve_models(self.models, alive, tol=tolerance / 2))
            self.policies = {m: solution.policy for m, solution in zip(alive, solved, strict=True)}
        return {
            m: max(
                naive.deviation_distance(self.P[j], self.P[k], self.initial, self.policies[m])
                for j in alive
                for k in alive
            )
            for m in alive
        }

    def done(self, alive, tolerance):
        return max(self.seen(alive, tolerance).values()) <= tolerance

    def deviation(self, alive, log_likelihood, tolerance):
        seen = self.seen(alive, tolerance)
        return self.policies[max(alive, key=seen.get)]


class NaiveInformation(NaiveMax):
    """Backward induction on the weighted squared Hellinger distances, pair by pair."""

    weights, uses = None, 0

    def deviation(self, alive, log_likelihood, tolerance):
        tempered = np.exp(TEMPER * (log_likelihood[alive] - max(log_likelihood[alive])))
        weights = np.zeros(len(log_likelihood))
        weights[alive] = tempered / sum(tempered)
        self.uses += 1
        if self.weights is None or self.uses > USES or sum(abs(weights - self.weights)) / 2 >= STALE:
            self.uses = 1
            self.weights, self.last = weights, self.best(weights)
        return self.last

    def best(self, weights):
        root = np.sqrt(self.P)
        hellinger = 1 - np.einsum("mhsax,nhsax->mnhsa", root, root)
        told = np.einsum("m,n,mnhsa->hsa", weights, weights, hellinger)
        mixture = np.einsum("m,mhsax->hsax", weights, self.P)
        return deterministic(naive.back_up(mixture, told, np.zeros_like(told), self.legal)[1], self.A)


TWINS = {"max": NaiveMax, "first": NaiveFirst, "nash": NaiveNash, "information": NaiveInformation}


def naive_eliminate(
    models, oracle, policy, *, tolerance, delta, adversary, evidence, max_rounds=50, candidates=None,
    log_likelihood=None, earlier_calls=0,
):  # fmt: skip
    """Alg. 2 with both rules of evidence."""
    n, H = len(models), models.horizon
    alive = list(range(n)) if candidates is None else sorted(candidates)
    chooser = TWINS[adversary](models, policy, alive)
    ratio = n if evidence == "anytime" else H * n * max_rounds * (earlier_calls + 1)
    run = SimpleNamespace(l=np.full(n, -np.inf), drawn=0)
    run.l[alive] = 0.0 if log_likelihood is None else log_likelihood[alive]
    eliminated_at = np.full(n, -1)

    def weigh(policies, count, keep):
        """Draw `count` trajectories of each policy, count the transitions that `keep` says, and drop models."""
        data = []
        for deviation in policies:
            states, actions = oracle.sample(deviation, policy, count)
            run.drawn += count
            data += [
                (h, states[i, h], actions[i, h], states[i, h + 1]) for i in range(count) for h in range(H) if keep(i, h)
            ]
        for m in alive:
            for h, s, a, x in data:
                run.l[m] += math.log(chooser.P[m, h, s, a, x]) if chooser.P[m, h, s, a, x] > 0 else -math.inf
        best = max(run.l[alive])
        if evidence == "anytime":  # the sum over the models left, not the largest
            best += math.log(sum(math.exp(run.l[m] - best) for m in alive))
        dropped = [m for m in alive if best - run.l[m] > math.log(ratio / delta)]
        eliminated_at[dropped], run.l[dropped] = run.drawn, -np.inf
        alive[:] = [m for m in alive if m not in dropped]
        return bool(dropped)

    weigh([], 0, None)
    rounds = 0
    while rounds < max_rounds and not chooser.done(alive, tolerance):
        deviation = chooser.deviation(alive, run.l, tolerance)
        if evidence == "paper":
            weigh([policy, deviation], H, lambda i, h: i == h)
        else:
            for each in [deviation] * (2 * H) if adversary == "information" else [policy, deviation]:
                if weigh([each], 1, lambda i, h: True) and chooser.done(alive, tolerance):
                    break
        rounds += 1
    return SimpleNamespace(
        survivors=alive,
        log_likelihood=run.l,
        trajectories=run.drawn,
        rounds=rounds,
        converged=chooser.spread(alive) <= tolerance,
        eliminated_at=eliminated_at,
    )


def assert_as_naive(models, true, seed=0, policy=None, **settings):
    """Run both on oracles of one seed, and compare all they did."""
    pi = uniform(models) if policy is None else policy
    oracles = Recorder(models[true], seed), Recorder(models[true], seed)
    ref = naive_eliminate(models, oracles[0], pi, **settings)
    comp = mfg.eliminate(models, oracles[1], pi, **settings)
    assert_array_equal(comp.survivors, ref.survivors)
    assert_array_equal(comp.eliminated_at, ref.eliminated_at)
    assert_allclose(comp.log_likelihood, ref.log_likelihood, rtol=1e-10)
    assert (comp.trajectories, comp.rounds, comp.converged) == (ref.trajectories, ref.rounds, ref.converged)
    assert comp.trajectories == oracles[1].trajectories
    assert len(oracles[0].calls) == len(oracles[1].calls)
    for a, b in zip(oracles[0].calls, oracles[1].calls, strict=True):
        assert_array_equal(a.deviation, b.deviation)
        assert_array_equal(b.reference, pi)
    return comp, oracles[1].calls


def tolerance_of(models, share):
    """The tolerance under which this share of the pairs is near, under the uniform policy."""
    d = mfg.distance_matrix(models, uniform(models))
    return float(np.quantile(d[np.tri(len(d), k=-1, dtype=bool)], share))


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("evidence", EVIDENCE)
@pytest.mark.parametrize("adversary", ADVERSARIES)
def test_eliminate_is_its_twin(adversary, evidence, kind):
    models = CLASSES[kind]()
    settings = {"adversary": adversary, "evidence": evidence, "delta": 0.05, "max_rounds": 12}
    for true, share in ((0, 0.05), (len(models) - 1, 0.3)):
        assert_as_naive(models, true, true, tolerance=tolerance_of(models, share), **settings)


@pytest.mark.parametrize("adversary", ADVERSARIES)
@pytest.mark.parametrize("evidence", EVIDENCE)
def test_twin_of_candidates_with_a_past(evidence, adversary):
    """Under another reference, with candidates in any order, evidence of earlier calls, and a higher threshold."""
    models = near_class(4, M=7, spread=0.6)
    past = -np.random.default_rng(0).uniform(0, 6, 7)
    past[5] = -np.inf
    reference = mfg.best_response(models[1], uniform(models)).policy
    settings = {"adversary": adversary, "evidence": evidence, "tolerance": 0.05, "delta": 0.3, "max_rounds": 9}
    comp, _ = assert_as_naive(
        models, 3, policy=reference, candidates=[6, 3, 0, 5], log_likelihood=past, earlier_calls=3, **settings
    )
    assert comp.eliminated_at[5] == 0
    assert set(comp.survivors) <= {0, 3, 6}


def test_first_takes_the_order_of_the_authors():
    """Pairs (1, 0), (2, 0), (2, 1), ...: the first that is far decides, and its direction j -> k comes first."""
    tables = np.full((4, 1, 2, 3, 2), 0.5)
    tables[2, 0, :, 1] = [0.9, 0.1]  # model 2 is told from the others by action 1
    tables[3, 0, :, 2] = [1.0, 0.0]  # model 3 by action 2, and best of all
    models = mfg.ModelClass.from_tables(tables, [1.0, 0.0], "crowd-aversion")
    tried = {}
    for adversary in ("first", "max"):
        oracle = Recorder(models[0])
        mfg.eliminate(models, oracle, uniform(models), tolerance=0.1, delta=0.1, max_rounds=1, adversary=adversary)
        tried[adversary] = oracle.calls[1].deviation[0, 0].argmax()
    assert tried == {"first": 1, "max": 2}


@pytest.mark.parametrize(("tolerance", "action"), [(0.5, 1), (1.0, 0)])
def test_first_turns_a_pair_around_when_only_that_way_is_far(tolerance, action):
    """From model 1 the distance is 0.85 (action 1, then nothing), from model 0 it is 1.4 (action 0, more follows)."""
    tables = np.zeros((2, 2, 3, 2, 3))
    tables[..., 2] = 1.0
    tables[0, 0, 0] = [[0.0, 0.4, 0.6], [0.425, 0.0, 0.575]]
    tables[1, 0, 0] = [[0.0, 0.1, 0.9], [0.0, 0.0, 1.0]]
    tables[1, 1, 1] = [1.0, 0.0, 0.0]
    models = mfg.ModelClass.from_tables(tables, [1.0, 0.0, 0.0], "crowd-aversion")
    directed = mfg.distance_matrix(models, uniform(models), directed=True)
    assert_allclose(directed, [[0.0, 1.4], [0.85, 0.0]])
    oracle = Recorder(models[0])
    mfg.eliminate(
        models, oracle, uniform(models), tolerance=tolerance, delta=1e-9, max_rounds=1, adversary="first",
        evidence="paper",
    )  # fmt: skip
    assert oracle.calls[1].deviation[0, 0].argmax() == action


@pytest.mark.parametrize("seed", [1, 2])  # where that is not the first one's
def test_nash_takes_the_equilibrium_that_sees_most(seed):
    models, tolerance = linear(seed, scale=1.0), 0.01
    settings = {"tolerance": tolerance, "delta": 1e-6, "max_rounds": 6, "adversary": "nash", "evidence": "anytime"}
    _, calls = assert_as_naive(models, 1, seed, **settings)
    first = next(mfg.solve_models(models, tol=tolerance / 2)).policy
    assert not any(np.array_equal(call.deviation, first) for call in calls)


def test_information_goes_on_when_its_deviation_has_done_its_work():
    """Action 0 tells one outlier from eleven models, action 1 tells these apart: both are needed, one after another."""
    tables = np.zeros((12, 1, 3, 2, 3))
    tables[:, 0, :, 0] = [0.5, 0.48, 0.02]
    tables[11, 0, :, 0] = [0.01, 0.01, 0.98]
    for m, p in enumerate([*np.linspace(0.2, 0.8, 11), 0.5]):
        tables[m, 0, :, 1] = [p, 1 - p, 0.0]
    models = mfg.ModelClass.from_tables(tables, [1.0, 0.0, 0.0], "crowd-aversion")
    oracle = Recorder(models[0], seed=1)
    out = mfg.eliminate(
        models, oracle, uniform(models), tolerance=0.01, delta=0.05, max_rounds=20, adversary="information"
    )
    assert out.eliminated_at[11] > 0
    played = [call.deviation[0, 0].argmax() for call in oracle.calls]
    assert played[0] == 0
    assert 1 in played  # it tells all survivors apart, action 0 none of them


# When a call ends, and what it costs


@pytest.mark.parametrize("evidence", EVIDENCE)
@pytest.mark.parametrize("adversary", ADVERSARIES)
def test_converged_is_what_distances_say(adversary, evidence):
    models = near_class(0, M=5)
    distances = Naive(models, uniform(models), range(5))
    seen = set()
    for share in (0.0, 0.3, 0.8):
        tolerance = tolerance_of(models, share) * 1.01
        out = mfg.eliminate(
            models, mfg.MeanFieldOracle(models[2], seed=1), uniform(models), tolerance=tolerance, delta=1e-3,
            max_rounds=2, adversary=adversary, evidence=evidence,
        )  # fmt: skip
        assert out.converged == (distances.spread(out.survivors) <= tolerance)
        seen.add(out.converged)
    assert seen == {True, False}


@pytest.mark.parametrize("evidence", EVIDENCE)
@pytest.mark.parametrize("adversary", ADVERSARIES)
def test_a_converged_call_draws_nothing(adversary, evidence):
    models = near_class(0)
    far = mfg.distance_matrix(models, uniform(models)).max()
    rule = {"delta": 0.05, "adversary": adversary, "evidence": evidence}
    out = mfg.eliminate(models, NoOracle(), uniform(models), tolerance=1.001 * far, **rule)
    assert out.converged
    assert (out.trajectories, out.rounds) == (0, 0)
    assert_array_equal(out.survivors, range(len(models)))
    with pytest.raises(AssertionError, match="a sample was drawn"):
        mfg.eliminate(models, NoOracle(), uniform(models), tolerance=far / 2, **rule)


def test_nash_may_be_done_before_it_has_converged():
    """Action 1 tells the two models apart, and no equilibrium plays it."""
    tables = np.full((2, 1, 2, 2, 2), 0.5)
    tables[1, 0, :, 1] = [0.9, 0.1]
    models = mfg.ModelClass.from_tables(tables, [1.0, 0.0], lambda h, mu: np.array([[1.0, 0.0], [1.0, 0.0]]))
    out = mfg.eliminate(models, NoOracle(), uniform(models), tolerance=0.1, delta=0.1, adversary="nash")
    assert not out.converged
    assert (out.rounds, out.survivors.size) == (0, 2)


@pytest.mark.parametrize("adversary", ADVERSARIES)
def test_what_a_round_draws(adversary):
    models = near_class(0, spread=0.2)
    H, pi = models.horizon, uniform(models)
    for evidence in EVIDENCE:
        oracle = Recorder(models[0])
        out = mfg.eliminate(
            models, oracle, pi, tolerance=0.01, delta=1e-3, max_rounds=5, adversary=adversary, evidence=evidence
        )
        assert (out.rounds, out.converged) == (5, False)
        play = [np.array_equal(call.deviation, pi) for call in oracle.calls]
        sizes = [len(call.states) for call in oracle.calls]
        if evidence == "paper":
            assert play == [True, False] * 5
            assert sizes == [H] * 10
        elif adversary == "information":
            assert play == [False] * (5 * 2 * H)
            assert set(sizes) == {1}
        else:
            assert play == [True, False] * 5
            assert set(sizes) == {1}
        assert out.trajectories == sum(sizes)


@pytest.mark.parametrize("adversary", ADVERSARIES)
@pytest.mark.parametrize("evidence", EVIDENCE)
def test_one_model_and_identical_models(evidence, adversary):
    table = near_class(0, M=1)
    same = mfg.ModelClass([table[0]] * 4)
    for models in (table, same):
        out = mfg.eliminate(
            models, NoOracle(), uniform(models), tolerance=1e-9, delta=0.1, adversary=adversary, evidence=evidence
        )
        assert out.converged
        assert_array_equal(out.survivors, range(len(models)))
        assert_array_equal(out.eliminated_at, -1)


# Evidence


def test_evidence_carries_over():
    models, pi = near_class(0, spread=0.2), uniform(near_class(0))
    rule = {"tolerance": 0.01, "delta": 0.05, "adversary": "max"}
    ref = mfg.eliminate(models, mfg.MeanFieldOracle(models[1], seed=3), pi, max_rounds=40, **rule)
    oracle = mfg.MeanFieldOracle(models[1], seed=3)
    first = mfg.eliminate(models, oracle, pi, max_rounds=15, **rule)
    assert first.survivors.size > ref.survivors.size
    second = mfg.eliminate(
        models, oracle, pi, max_rounds=25, candidates=first.survivors, log_likelihood=first.log_likelihood, **rule
    )
    assert_array_equal(second.survivors, ref.survivors)
    assert_array_equal(second.log_likelihood, ref.log_likelihood)
    assert first.trajectories + second.trajectories == ref.trajectories
    assert first.rounds + second.rounds == ref.rounds


@pytest.mark.parametrize("evidence", EVIDENCE)
def test_dropped_models_do_not_come_back(evidence):
    """log_likelihood alone carries the evidence: it says who is out."""
    models = linear(scale=0.4)
    rule = {"tolerance": 0.01, "delta": 0.05, "evidence": evidence}
    first = mfg.eliminate(models, mfg.MeanFieldOracle(models[2], seed=0), uniform(models), **rule)
    assert 2 in first.survivors
    assert first.survivors.size < len(models)
    second = mfg.eliminate(
        models, mfg.MeanFieldOracle(models[2], seed=1), uniform(models), log_likelihood=first.log_likelihood,
        earlier_calls=1, **rule,
    )  # fmt: skip
    assert set(second.survivors) <= set(first.survivors)


def one_way(*moves):
    """Models of two steps in which everybody is at moves[m][h] after step h, whatever they do; None: anywhere."""
    tables = np.zeros((len(moves), 2, 3, 2, 3))
    for m, h in np.ndindex(len(moves), 2):
        tables[m, h] = 1 / 3 if moves[m][h] is None else np.eye(3)[moves[m][h]]
    return mfg.ModelClass.from_tables(tables, [1.0, 0.0, 0.0], "crowd-aversion")


@pytest.mark.parametrize(("evidence", "drawn"), [("anytime", 1), ("paper", 4)])
def test_an_impossible_transition_expels_at_once(evidence, drawn):
    models = one_way((0, 1), (0, 2), (None, 1))
    out = mfg.eliminate(
        models, mfg.MeanFieldOracle(models[0]), uniform(models), tolerance=0.1, delta=1e-9, max_rounds=1,
        adversary="max", evidence=evidence,
    )  # fmt: skip
    assert_array_equal(out.eliminated_at, [-1, drawn, -1])
    assert_array_equal(out.survivors, [0, 2])
    assert_array_equal(np.isneginf(out.log_likelihood), [False, True, False])
    assert out.log_likelihood[0] == 0.0


@pytest.mark.parametrize("evidence", EVIDENCE)
@pytest.mark.parametrize("moves", [[(0, 2), (0, 0)], [(1, 1), (0, 2)], [(0, 2), (1, 1)]])
def test_broken_realizability_names_the_transition(moves, evidence):
    """The truth is (0, 1); at its second transition the last of the models is out."""
    models, truth = one_way(*moves), one_way((0, 1))
    second_action = np.tile([0.0, 1.0], (2, 3, 1))
    with pytest.raises(
        mfg.RealizabilityError, match="step 1, state 0, action 1, next state 1 has probability 0"
    ) as caught:
        mfg.eliminate(models, mfg.MeanFieldOracle(truth[0]), second_action, tolerance=0.1, delta=0.1, evidence=evidence)
    assert isinstance(caught.value, ValueError)


# Indices and arrays


def test_candidates_are_indices_of_the_class():
    models = near_class(5, M=8, spread=0.6)
    rule = {"tolerance": 0.05, "delta": 1e-6, "max_rounds": 3}
    chosen = [6, 1, 4]
    out = mfg.eliminate(models, mfg.MeanFieldOracle(models[6], seed=2), uniform(models), candidates=chosen, **rule)
    assert 6 in out.survivors
    assert set(out.survivors) <= set(chosen)
    others = [m for m in range(8) if m not in chosen]
    assert_array_equal(out.log_likelihood[others], -np.inf)
    assert_array_equal(out.eliminated_at[others], -1)
    again = mfg.eliminate(
        models, mfg.MeanFieldOracle(models[6], seed=2), uniform(models), candidates=np.sort(chosen), **rule
    )
    assert_array_equal(again.log_likelihood, out.log_likelihood)


def test_results_are_read_only():
    models = near_class(0)
    out = mfg.eliminate(models, mfg.MeanFieldOracle(models[0]), uniform(models), tolerance=0.1, delta=0.1)
    for name in ("survivors", "log_likelihood", "eliminated_at"):
        assert not getattr(out, name).flags.writeable, name


def test_inputs_stay_as_they_are():
    models = near_class(0)
    pi, past, candidates = uniform(models), np.zeros(6), np.array([4, 0, 2])
    kept = pi.copy()

    class Scribbler(mfg.MeanFieldOracle):
        """Writes into the policies it was given."""

        def sample(self, deviation, reference, n):
            answer = super().sample(deviation, reference, n)
            deviation[:], reference[:] = 0.0, np.nan
            return answer

    def eliminate(oracle, candidates, past):
        return mfg.eliminate(
            models, oracle, pi, tolerance=0.1, delta=1e-3, max_rounds=3, candidates=candidates, log_likelihood=past
        )

    ref = eliminate(mfg.MeanFieldOracle(models[0]), [4, 0, 2], None)
    out = eliminate(Scribbler(models[0]), candidates, past)
    assert out.rounds == 3
    assert_array_equal(out.log_likelihood, ref.log_likelihood)
    assert_array_equal(pi, kept)
    assert_array_equal(past, 0.0)
    assert_array_equal(candidates, [4, 0, 2])


# Bad input

NAN = float("nan")
BAD_ARGUMENTS = [
    ({"models": [1]}, TypeError, "models must be a ModelClass, got list"),
    ({"oracle": object()}, TypeError, "oracle must have a method sample"),
    ({"tolerance": 0.0}, ValueError, r"tolerance must lie in \(0, inf\), got 0.0"),
    ({"tolerance": -1}, ValueError, "tolerance .* got -1"),
    ({"tolerance": NAN}, ValueError, "tolerance .* got nan"),
    ({"tolerance": "small"}, TypeError, "tolerance must be a number, got 'small'"),
    ({"delta": 0.0}, ValueError, r"delta must lie in \(0, 1\), got 0.0"),
    ({"delta": 1.0}, ValueError, r"delta .* got 1.0"),
    ({"delta": NAN}, ValueError, "delta .* got nan"),
    ({"max_rounds": 0}, ValueError, "max_rounds must be at least 1, got 0"),
    ({"max_rounds": 2.5}, TypeError, "max_rounds must be a whole number, got 2.5"),
    ({"earlier_calls": -1}, ValueError, "earlier_calls must be at least 0, got -1"),
    ({"adversary": "firts"}, ValueError, "adversary: did you mean 'first'.*, got 'firts'"),
    ({"evidence": "both"}, ValueError, "evidence must be one of 'anytime', 'paper', got 'both'"),
    ({"policy": np.full((2, 4, 3), 0.5)}, ValueError, r"policy\[0, 0\] sums to 1.5"),
    ({"policy": np.full((2, 4, 2), 0.5)}, ValueError, r"policy must have shape \[2, 4, 3\], got \[2, 4, 2\]"),
    ({"candidates": []}, ValueError, "candidates must be a non-empty list"),
    ({"candidates": [0, 6]}, IndexError, r"candidates\[1\] is 6: model indices run from 0 to 5"),
    ({"candidates": [-1]}, IndexError, r"candidates\[0\] is -1"),
    ({"candidates": [2, 1, 2]}, ValueError, "candidates holds a model twice"),
    ({"candidates": [0.0, 1.0]}, ValueError, "candidates must be a non-empty list of model indices"),
    ({"candidates": np.ones(6, dtype=bool)}, ValueError, "candidates must be a non-empty list of model indices"),
    ({"log_likelihood": np.zeros(5)}, ValueError, r"log_likelihood must have shape \[6\], got \[5\]"),
    ({"log_likelihood": [0, 0, NAN, 0, 0, 0]}, ValueError, r"log_likelihood\[2\] is nan"),
    ({"log_likelihood": [0, 0, 0, 0, np.inf, 0]}, ValueError, r"log_likelihood\[4\] is inf"),
    ({"log_likelihood": np.full(6, -np.inf)}, ValueError, "log_likelihood is -inf for every candidate"),
    ({"log_likelihood": ["a"] * 6}, (TypeError, ValueError), "log_likelihood"),
    ({"log_likelihood": np.zeros(6, dtype=complex)}, (TypeError, ValueError), "log_likelihood"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD_ARGUMENTS)
def test_bad_arguments(change, error, message):
    models = near_class(0)
    good = {
        "models": models, "oracle": NoOracle(), "policy": uniform(models), "tolerance": 0.01, "delta": 0.1,
    }  # fmt: skip
    with pytest.raises(error, match=message):
        mfg.eliminate(**(good | change))


@pytest.mark.parametrize("case", BAD_ANSWERS)
def test_bad_oracles(case):
    change, error, message = BAD_ANSWERS[case]
    models = walled_class()
    with pytest.raises(error, match=message):
        mfg.eliminate(models, FakeOracle(models[0], change), uniform(models), tolerance=0.01, delta=0.1)


def test_other_whole_numbers_and_lists_are_fine():
    models = walled_class()
    rule = {"tolerance": 0.01, "delta": 0.1, "max_rounds": 2}
    ref = mfg.eliminate(models, FakeOracle(models[0], lambda s, a: (s, a)), uniform(models), **rule)
    for change in (lambda s, a: (s.astype(np.uint8), a.astype(np.int32)), lambda s, a: (s.tolist(), a.tolist())):
        out = mfg.eliminate(models, FakeOracle(models[0], change), uniform(models), **rule)
        assert_array_equal(out.log_likelihood, ref.log_likelihood)
