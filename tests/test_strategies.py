"""Strategies of the learner: what is certified is so by brute force, and certified rounds do what they promise."""

import math

import naive_bridge as naive
import numpy as np
import pytest
from builders import rows
from learning_cases import NoOracle, Recorder, called_class, linear, near_class
from numpy.testing import assert_array_equal
from scipy.stats import binom

import fastmfg as mfg
from fastmfg.comparing.bridge import PolicyCover
from fastmfg.learning import certified, exact
from fastmfg.learning.state import Plan, State
from fastmfg.planning.solve import Solution

PLAN = {
    "delta": 0.1, "adversary": None, "evidence": "anytime", "tolerance": None, "radius": None, "max_rounds": 50,
    "max_trajectories": None, "seed": 0,
}  # fmt: skip


def state(models, strategy="certified", equilibria=None, grid=None, **settings):
    """A run before its first round."""
    settings = PLAN | settings
    constants = None
    if strategy == "exact":
        constants = exact.constants(
            models, epsilon=settings["epsilon"], delta=0.1, grid=grid, lipschitz=None,
            tolerance=settings["tolerance"], radius=settings["radius"],
        )  # fmt: skip
    plan = Plan.of(len(models), strategy=strategy, exact=constants, **settings)
    return State(models, NoOracle(), plan, dict(equilibria or {}))


def parts(models):
    return models.initial, [game.transition for game in models], models[0].reward, models.legal


def looked_at(models, policy, tolerance, epsilon):
    """By brute force: the largest neighbourhood, that of a model with a gap over epsilon, and the stopping bound."""
    initial, transitions, reward, legal = parts(models)
    d = naive.distances(initial, transitions, policy, legal)
    gaps = [naive.ne_gap(initial, transition, reward, policy, legal) for transition in transitions]
    near = (d <= tolerance).sum(axis=1).max()
    return int(near), naive.direct_count(d, gaps, tolerance, epsilon), max(gaps)


def toy(seed):
    """Up to eight models with two or three states and actions and two or three steps, near enough to crowd."""
    rng = np.random.default_rng(seed)
    n, S, A, H = int(rng.integers(3, 9)), int(rng.integers(2, 4)), 2, int(rng.integers(2, 4))
    core, own = rows(rng, (H, S, A, S)), rows(rng, (n, H, S, A, S))
    spread = rng.uniform(0.02, 0.4, n)[:, None, None, None, None]
    return mfg.ModelClass.from_tables((1 - spread) * core + spread * own, rows(rng, (S,)), "crowd-aversion")


def scales(models):
    """A tolerance and an epsilon at which things hang in the balance: middling distances and gaps."""
    pi = models[0].uniform_policy()
    solution = mfg.solve(models[0], tol=1e-6)
    distances = mfg.distance_matrix(models, pi)
    return float(np.quantile(distances, 0.6)), float(np.quantile(mfg.ne_gaps(models, solution.policy), 0.6)) + 1e-4


# Agreement with brute force


@pytest.mark.parametrize("seed", range(10))
def test_the_search_misses_no_certificate_of_a_cover(seed):
    """Where some point of a cover is certified, or meets the bound, the search ends in a certificate or a bound."""
    models = toy(seed)
    tolerance, epsilon = scales(models)
    cover = PolicyCover(models, 2, limit=100_000)
    points = np.random.default_rng(seed).permutation(cover.size)[:150]
    checks = [mfg.direct_certificate(models, cover.policy(int(p)), tolerance, epsilon) for p in points]
    run = state(models, epsilon=epsilon, tolerance=tolerance)
    chosen = certified.choose(run)
    if any(check.holds for check in checks):
        assert run.enough() or chosen.certificate == "direct"
    if chosen is not None:
        policy = run.candidates[chosen.candidate].policy
        near, count, bound = looked_at(models, policy, tolerance, epsilon)
        assert chosen.neighbours == near
        assert (chosen.certificate == "direct") == (count <= len(models) / 2)
        assert (chosen.branch == "scatter") == (near <= len(models) / 2)
        assert bound > epsilon
        check = mfg.direct_certificate(models, policy, tolerance, epsilon)
        assert (chosen.certificate == "direct", chosen.margin) == (check.holds, check.margin)
    else:
        assert looked_at(models, run.candidates[run.best()[1]].policy, tolerance, epsilon)[2] <= epsilon


@pytest.mark.parametrize("seed", range(6))
def test_every_candidate_is_judged_as_by_brute_force(seed):
    models = toy(seed)
    tolerance, epsilon = scales(models)
    run = state(models, epsilon=epsilon / 8, tolerance=tolerance)
    search = certified.Search(run)
    for candidate in search.candidates():
        verdict = search.look(candidate)
        if candidate % 40 == 0:
            near, count, _ = looked_at(models, run.candidates[candidate].policy, tolerance, epsilon / 8)
            assert (verdict.largest, verdict.count) == (near, count)
            assert verdict.holds == (count <= len(models) / 2)
    sources = {candidate.source for candidate in run.candidates}
    assert {"equilibrium", "centre", "random"} <= sources


@pytest.mark.parametrize("seed", range(6))
def test_the_exact_strategy_halves_where_the_cover_does(seed):
    models = toy(seed)
    tolerance, epsilon = scales(models)
    cells = [(0, 0), (0, 1)]
    cover = PolicyCover(models, 3, cells=cells)
    largest = [looked_at(models, cover.policy(p), 2 * tolerance, epsilon)[0] for p in range(cover.size)]
    run = state(models, "exact", grid=cover, epsilon=epsilon / 50, tolerance=tolerance, radius=2 * tolerance)
    chosen = exact.choose(run)
    assert chosen is not None
    if min(largest) <= len(models) / 2:
        assert (chosen.certificate, chosen.neighbours) == ("halving", min(largest))
        assert_array_equal(run.candidates[chosen.candidate].policy, cover.policy(int(np.argmin(largest))))
    else:
        assert run.candidates[chosen.candidate].source in ("bridge", "equilibrium")


# What rounds promise

RUNS, DELTA, ERROR = {"certified": 60, "exact": 8}, 0.2, 1e-6
PROMISES = {
    "certified": {"tolerance": 0.2, "epsilon": 5e-4},
    "exact": {"tolerance": 0.2, "radius": 0.4, "epsilon": 5e-4},
    "certified, few rounds": {"tolerance": 0.3, "epsilon": 2e-3, "max_rounds": 3},
}


def crowded_class():
    """From models that crowd to some that are far off; rewards in [0, 1/2]."""
    rng = np.random.default_rng(4)
    core, own = rows(rng, (2, 3, 2, 3)), rows(rng, (8, 2, 3, 2, 3))
    spread = np.array([0.02, 0.03, 0.05, 0.1, 0.15, 0.3, 0.4, 0.6])[:, None, None, None, None]
    return mfg.ModelClass.from_tables((1 - spread) * core + spread * own, [0.5, 0.3, 0.2], elsewhere)


def elsewhere(h, mu):
    """Half of what a state is left empty, whatever the action: where an agent goes is all that counts."""
    return np.repeat(0.5 * (1 - mu[:, None]), 2, axis=1)


@pytest.mark.parametrize("kind", PROMISES)
def test_certified_rounds_halve_or_return(kind):
    """And the true model is lost no more often than delta allows (binomial, error probability 1e-6)."""
    models, settings = crowded_class(), dict(PROMISES[kind])
    strategy = kind.split(",")[0]
    if strategy == "exact":
        settings["grid"] = PolicyCover(models, 3, cells=[(0, 0), (0, 1), (0, 2)])
    lost = rounds = 0
    for seed in range(RUNS[strategy]):
        true = seed % len(models)
        out = mfg.learn(
            models, mfg.MeanFieldOracle(models[true], seed=seed), delta=DELTA, strategy=strategy,
            max_trajectories=3000, seed=seed, **settings,
        )  # fmt: skip
        before = len(models)
        for one in out.rounds:
            if one.certificate != "none" and one.converged:
                assert one.survivors <= before / 2 or out.ne_gap_bound <= settings["epsilon"]
                rounds += 1
            before = one.survivors
        if all(one.certificate != "none" and one.converged for one in out.rounds):
            assert len(out.rounds) <= math.log2(len(models)) + 1
        kept = true in out.survivors
        lost += not kept
        assert not kept or mfg.ne_gap(models[true], out.policy) <= out.ne_gap_bound + 1e-12
    assert lost <= binom.ppf(1 - ERROR, RUNS[strategy], DELTA)
    assert rounds > 0


def test_no_conclusion_without_convergence():
    """One short elimination: a certificate is recorded, and that nothing follows from it."""
    models = near_class(0, spread=0.2)
    out = mfg.learn(models, mfg.MeanFieldOracle(models[2]), epsilon=1e-4, delta=0.1, max_rounds=1)
    assert (out.rounds[0].certificate, out.rounds[0].converged) == ("direct", False)
    assert (out.certified, out.stopped) == (False, "out of rounds")


# Hard classes


def ray_equilibria(models, n):
    """Of sectors and spirals: mu_2 = a + D e_j."""
    turns = 2 * np.pi * (np.arange(n) + 0.5) / n + 0.3
    east, north = np.array([1, -1, 0]) / math.sqrt(2), np.array([1, 1, -2]) / math.sqrt(6)
    found = {}
    for j, turn in enumerate(turns):
        pi = models[0].uniform_policy()
        pi[0, 0] = np.array([0.42, 0.33, 0.25]) + 0.2 * (math.cos(turn) * east + math.sin(turn) * north)
        pi[0, 0] /= pi[0, 0].sum()
        found[j] = Solution(pi, mfg.ne_gap(models[j], pi), 0, True, np.zeros(1), "by hand")
        assert found[j].ne_gap < 1e-12
    return found


SECTORS = {"epsilon": 0.032, "tolerance": 0.012, "radius": 0.024, "delta": 0.05}


@pytest.mark.parametrize("n", [5, 8, 16])
def test_sectors(n):
    """The heuristic throws out one model a round; the search finds the crowd's own policy at once."""
    models = mfg.zoo.hard.sectors(n)
    equilibria = ray_equilibria(models, n)
    runs = {}
    for strategy in ("certified", "heuristic"):
        oracle = Recorder(models[n - 1], 1)
        runs[strategy] = mfg.learn(models, oracle, strategy=strategy, equilibria=equilibria, **SECTORS)
        assert runs[strategy].certified
    assert len(runs["heuristic"].rounds) == n - 1
    assert len(runs["certified"].rounds) <= 1
    assert runs["certified"].policies <= n + 6
    assert runs["certified"].trajectories < runs["heuristic"].trajectories
    assert mfg.ne_gap(models[n - 1], runs["certified"].policy) <= 0.0175


def test_sectors_by_the_exact_strategy():
    models = mfg.zoo.hard.sectors(5)
    cover = PolicyCover(models, 16, cells=[(0, 0)])
    out = mfg.learn(models, NoOracle(), strategy="exact", grid=cover, equilibria=ray_equilibria(models, 5), **SECTORS)
    assert out.certified
    assert out.ne_gap_bound <= 0.032 / 4


@pytest.mark.parametrize("pull", [0.1, 0.0, -0.1, -0.3])
def test_spirals(pull):
    """Best-response mixing circles there; the soft bridge is solved by Anderson acceleration."""
    models = mfg.zoo.hard.spirals(5, pull=pull)
    settings = {"epsilon": 0.012, "tolerance": 0.0225, "radius": 0.045}
    run = state(models, equilibria=ray_equilibria(models, 5), **settings)
    chosen = certified.choose(run)
    assert run.enough() or chosen.certificate == "direct"
    assert run.candidates[-1].source == "soft bridge"


@pytest.mark.parametrize("seed", range(4))
def test_no_more_samples_than_the_heuristic_where_equilibria_do(seed):
    models = linear(seed, M=12, S=6, scale=0.3)
    runs = [
        mfg.learn(models, mfg.MeanFieldOracle(models[seed], seed=seed), epsilon=0.005, delta=0.01, strategy=strategy)
        for strategy in ("certified", "heuristic")
    ]
    assert runs[0].trajectories == runs[1].trajectories > 0
    assert {one.certificate for one in runs[0].rounds} == {"direct"}


def test_few_equilibria_are_solved():
    """Where the likeliest one will do, no other is."""
    models = linear(0, M=30, S=6, scale=0.3)
    run = state(models, epsilon=0.005)
    assert certified.choose(run).policies == 1
    assert len(run.solutions) == 1


# The exact strategy


@pytest.mark.parametrize("seed", [2, 4, 6, 10])
def test_a_bridge_that_is_certified(seed):
    """Five models crowd everywhere, three are far off: no policy halves, and the bridge is nearly their equilibrium."""
    rng = np.random.default_rng(seed)
    core, near, far = rows(rng, (2, 2, 2, 2)), rows(rng, (5, 2, 2, 2, 2)), rows(rng, (3, 2, 2, 2, 2))
    models = mfg.ModelClass.from_tables(np.concatenate([(1 - 1e-3) * core + 1e-3 * near, far]), [0.5, 0.5], elsewhere)
    for true in (1, 6):
        out = mfg.learn(
            models, mfg.MeanFieldOracle(models[true]), epsilon=0.02, delta=0.05, strategy="exact", grid=8,
            lipschitz=(0.0, 0.0),
        )  # fmt: skip
        assert out.certified
        assert true in out.survivors
        assert (out.rounds[0].source, out.rounds[0].certificate) == ("bridge", "bridge")


def test_the_exact_strategy_of_called_functions():
    models = called_class(M=3)
    cover = PolicyCover(models, 2, cells=[(0, 0)])
    out = mfg.learn(models, mfg.MeanFieldOracle(models[1]), epsilon=0.02, delta=0.05, strategy="exact", grid=cover)
    assert 1 in out.survivors
    assert out.certified


def test_theory_constants_where_any_cover_will_do():
    """Transitions and rewards that no crowd moves: one point is a cover."""
    tables = rows(np.random.default_rng(1), (4, 2, 2, 2, 2))
    models = mfg.ModelClass.from_tables(tables, [0.5, 0.5], lambda h, mu: np.array([[0.5, 0.1], [0.0, 0.4]]))
    out = mfg.learn(
        models, mfg.MeanFieldOracle(models[1]), epsilon=0.1, delta=0.05, strategy="exact", lipschitz=(0.0, 0.0)
    )
    assert out.certified


# The same bytes


@pytest.mark.parametrize("strategy", ["certified", "exact"])
def test_seeds_and_not_threads_decide(strategy, threads):
    models, results = near_class(3, M=6, S=2, A=2), []
    grid = {"grid": 3} if strategy == "exact" else {}
    for count in (1, 2):
        threads(count)
        oracle = mfg.MeanFieldOracle(models[1], seed=1)
        out = mfg.learn(models, oracle, epsilon=1e-4, delta=0.1, tolerance=0.3, strategy=strategy, **grid)
        rounds = [(r.branch, r.source, r.certificate, r.margin, r.policies, r.trajectories) for r in out.rounds]
        results.append((out.policy.tobytes(), out.log_likelihood.tobytes(), out.policies, rounds))
    assert results[0] == results[1]


# Bad input

FLAT = {"initial": [0.5, 0.5], "reward": lambda h, mu: np.full((2, 2), 0.25)}


def flat_class():
    return mfg.ModelClass.from_tables(rows(np.random.default_rng(0), (2, 2, 2, 2, 2)), **FLAT)


BAD_ARGUMENTS = [
    ({"strategy": "certifed"}, ValueError, "did you mean 'certified'"),
    ({"strategy": "exact"}, ValueError, r"strategy 'exact' needs grid=N, .* or lipschitz=\(L_T, L_r\)"),
    ({"grid": 4}, ValueError, "grid is of strategy 'exact' alone, the strategy is 'certified'"),
    ({"lipschitz": (0, 0)}, ValueError, "lipschitz is of strategy 'exact' alone"),
    ({"strategy": "exact", "grid": 0}, ValueError, "grid must be at least 1, got 0"),
    ({"strategy": "exact", "grid": 2.0}, TypeError, "grid must be a whole number, got 2.0"),
    ({"strategy": "exact", "grid": 10**6}, ValueError, "has about 10.12 points, more than the limit of 10000000"),
    ({"strategy": "exact", "lipschitz": (-1.0, 0.0)}, ValueError, r"lipschitz: L_T must lie in \[0, inf\), got -1.0"),
    ({"strategy": "exact", "lipschitz": (0.0, -2)}, ValueError, r"lipschitz: L_r must lie in \[0, inf\), got -2"),
    ({"strategy": "exact", "lipschitz": 1.0}, ValueError, r"lipschitz must be the pair \(L_T, L_r\), got 1.0"),
    ({"strategy": "exact", "lipschitz": (1.0, 0.0)}, ValueError, "points, more than the limit .* strategy='certified'"),
    ({"strategy": "exact", "lipschitz": (1e200, 0.0)}, ValueError, "eps_bar = .* beyond what numbers can hold"),
    ({"strategy": "exact", "lipschitz": (1.0, 0.0), "epsilon": 1e-300}, ValueError, "beyond what numbers can hold"),
    ({"strategy": "exact", "lipschitz": (1.0, 0.0), "epsilon": 1e-9}, ValueError, "points, more than the limit"),
    ({"strategy": "exact", "grid": 2, "lipschitz": (0, 0), "tolerance": 0.1}, ValueError, "c tol is .* at most"),
    ({"strategy": "exact", "grid": 2, "radius": 0.0}, ValueError, r"radius must lie in \(0, inf\), got 0.0"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD_ARGUMENTS)
def test_bad_arguments(change, error, message):
    good = {"models": flat_class(), "oracle": NoOracle(), "epsilon": 0.01, "delta": 0.1}
    with pytest.raises(error, match=message):
        mfg.learn(**(good | change))


def test_theory_wants_scaled_rewards():
    models = near_class(0, S=2, A=2)
    with pytest.raises(ValueError, match=r"theory wants rewards in \[0, 1/H\]"):
        mfg.learn(models, NoOracle(), epsilon=0.1, delta=0.1, strategy="exact", lipschitz=(1.0, 1.0), grid=3)
