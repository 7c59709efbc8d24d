"""Strategies of the learner: what is certified is so by brute force, and certified rounds do what they promise."""

import math
from collections import Counter
from dataclasses import dataclass
from functools import cache

import naive_bridge as naive
import numba
import numpy as np
import pytest
from builders import rows
from hard_cases import HARD, known, rounds_by_certificates
from learning_cases import NoOracle, Recorder, called_class, linear, near_class
from numpy.testing import assert_array_equal
from scipy.stats import binom

import fastmfg as mfg
from fastmfg.comparing.bridge import Centres, PolicyCover
from fastmfg.learning import certified, exact
from fastmfg.learning.options import LearnOptions
from fastmfg.learning.state import State


def state(models, strategy="certified", equilibria=None, grid=None, **settings):
    """A run before its first round."""
    options, plan = LearnOptions(**{"delta": 0.1, "strategy": strategy} | settings), None
    if strategy == "exact":
        options, plan = exact.plan(models, options, grid, None)
    return State(models, options, plan, equilibria)


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
        assert run.candidates.enough() or chosen.certificate == "direct"
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
        assert looked_at(models, run.candidates[run.candidates.best()[1]].policy, tolerance, epsilon)[2] <= epsilon


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


@numba.njit
def sway(h, population, shared, theta, aux):
    aux[0] = population[0]
    return 0


@numba.njit
def swayed(h, aux, shared, theta, lo, hi, out):
    """``(1 - mu(0)) calm + mu(0) crowded``; theta: calm [H, S, A, S], crowded alike."""
    A, S = out.shape[1:]
    half = theta.size // 2
    for s in range(lo, hi):
        for a in range(A):
            for x in range(S):
                place = ((h * S + s) * A + a) * S + x
                out[s - lo, a, x] = (1.0 - aux[0]) * theta[place] + aux[0] * theta[half + place]
    return 0


def swayed_toy(seed):
    """S, A, H of 2 or 3 and up to 8 models, some of which crowd; the class, calm, crowded and a cover of thousands."""
    rng = np.random.default_rng(seed)
    S, A, H = (int(x) for x in rng.integers(2, 4, 3))
    n = int(rng.integers(3, 9))
    core, own = (rows(rng, (2, *shape, S)) for shape in ((1, H, S, A), (n, H, S, A)))
    spread = rng.uniform(0.02, 0.4, n)[:, None, None, None, None]
    calm, crowded = (1 - spread) * core + spread * own
    start = np.eye(S)[0] if H * S * A > 12 else rows(rng, (S,))  # fewer cells, and a finer grid on them
    thetas = np.hstack([part.reshape(n, -1) for part in (calm, crowded)])
    models = mfg.ModelClass.from_filler(
        swayed, thetas, start, elsewhere, prepare=sway, aux_size=1, n_actions=A, horizon=H
    )
    return models, calm, crowded, finest(models, 4000)


def finest(models, limit):
    """The finest cover of at most so many points."""
    cover = PolicyCover(models, 1)
    for steps in range(2, 200):
        try:
            cover = PolicyCover(models, steps, limit=limit)
        except ValueError:
            break
    return cover


@dataclass(frozen=True)
class Brute:
    """By brute force, at every point of a cover: distances [p, n, n] and gaps [p, n]."""

    d: np.ndarray
    gaps: np.ndarray

    def counts(self, radius):
        return (self.d <= radius).sum(axis=2)

    def direct(self, tolerance, epsilon):
        """Where the direct certificate holds."""
        return (np.where(self.gaps > epsilon, self.counts(tolerance), 0)).max(axis=1) <= self.gaps.shape[1] / 2

    def bridge(self, radius, beta):
        return ((2 * self.counts(radius) >= self.gaps.shape[1]) & (self.gaps <= beta)).any(axis=1)


def brute_force(models, calm, crowded, policies):
    parts = []
    for some in np.array_split(policies, 1 + len(policies) // 500):
        density, P = naive.swayed_rows(models.initial, calm, crowded, some)
        parts.append((
            naive.many_distances(models.initial, P), naive.many_gaps(models.initial, P, 0.5 * (1 - density), some)
        ))  # fmt: skip
    return Brute(*(np.concatenate(part) for part in zip(*parts, strict=True)))


@cache
def looked_through(seed):
    """A toy class, its cover, the policies of that, and what brute force finds."""
    models, calm, crowded, cover = swayed_toy(seed)
    policies = cover.policies(cover.places(np.arange(cover.size)))
    return models, (calm, crowded), cover, policies, brute_force(models, calm, crowded, policies)


BALANCE = {"good": (0.55, 0.03, 1.0), "crowd": (0.55, 0.0, 0.7), "scatter": (0.04, 0.0, 0.7)}
"""Which quantiles the tolerance and epsilon are, and a factor of the latter."""


def balanced(found, kind):
    share, good, factor = BALANCE[kind]
    pairs = found.d[:, *np.tril_indices(found.d.shape[1], -1)]
    return float(np.quantile(pairs, share)), factor * float(np.quantile(found.gaps.max(axis=1), good))


TOYS, FEW_TOYS = 12, 6
each_toy = pytest.mark.parametrize(
    "seed",
    [pytest.param(seed, marks=[pytest.mark.statistics] if seed >= FEW_TOYS else []) for seed in range(TOYS)],
)


@pytest.mark.parametrize("kind", BALANCE)
@each_toy
def test_exact_certified_and_brute_force_agree(seed, kind):
    """On thousands of policies: central models, all three certificates, and what both strategies make of them."""
    models, tables, cover, policies, found = looked_through(seed)
    tolerance, epsilon = balanced(found, kind)
    n, radius = len(models), 1.5 * tolerance
    crowds = found.counts(radius).max(axis=1)
    centres = Centres(cover, np.arange(n), radius)
    assert_array_equal(centres.count, crowds)
    assert_array_equal(centres.central, found.counts(radius).argmax(axis=1))
    direct, bridge = found.direct(tolerance, epsilon), found.bridge(radius, epsilon / 2)
    halving = found.counts(tolerance).max(axis=1) <= n / 2
    for p in np.random.default_rng(seed).permutation(cover.size)[:25]:
        assert mfg.direct_certificate(models, policies[p], tolerance, epsilon).holds == direct[p]
        assert mfg.halving_certificate(models, policies[p], tolerance).holds == halving[p]
        assert mfg.bridge_certificate(models, policies[p], radius, epsilon / 2).holds == bridge[p]

    met = (found.gaps.max(axis=1) <= epsilon).any()  # the stopping bound, at some point
    run = state(models, epsilon=epsilon, tolerance=tolerance, radius=radius)
    chosen = certified.choose(run)
    assert (chosen is None and run.candidates.enough()) or chosen.certificate == "direct" or not (direct.any() or met)
    if chosen is not None:
        at = brute_force(models, *tables, np.array(run.candidates[chosen.candidate].policy)[None])
        assert (chosen.certificate == "direct") == at.direct(tolerance, epsilon)[0]
        assert chosen.neighbours == at.counts(tolerance).max()

    run = state(models, "exact", grid=cover, epsilon=epsilon, tolerance=tolerance, radius=radius)
    chosen = exact.choose(run)
    if chosen is None:
        assert run.candidates.enough()
        return
    policy = np.array(run.candidates[chosen.candidate].policy)
    at = brute_force(models, *tables, policy[None])
    scatters = at.counts(radius).max() <= n / 2
    assert (chosen.branch == "scatter") == scatters
    assert chosen.certificate == ("halving" if scatters else "direct" if at.direct(tolerance, epsilon)[0] else "none")
    if crowds.min() <= n / 2:
        assert_array_equal(policy, policies[np.argmin(crowds)])
    else:
        assert run.candidates[chosen.candidate].source in ("bridge", "equilibrium")


@pytest.mark.parametrize("n_toys", [FEW_TOYS, pytest.param(TOYS, marks=pytest.mark.statistics)])
def test_the_toys_have_thousands_of_policies_and_all_kinds_of_verdicts(n_toys):
    sizes, kinds, verdicts = [], set(), Counter()
    for seed in range(n_toys):
        models, _, cover, _, found = looked_through(seed)
        sizes.append(cover.size)
        kinds.add((models.n_states, models.n_actions, models.horizon))
        for kind in BALANCE:
            tolerance, epsilon = balanced(found, kind)
            direct = found.direct(tolerance, epsilon)
            verdicts["direct" if direct.any() else "none"] += 1
            verdicts["some"] += 0 < direct.mean() < 1
            verdicts["halving"] += (found.counts(1.5 * tolerance).max(axis=1) <= len(models) / 2).any()
    assert min(sizes) > 1000
    assert len(kinds) >= min(5, n_toys - 2)
    assert min(verdicts.values()) >= n_toys / 2, verdicts


# What rounds promise

DELTA, ERROR = 0.2, 1e-6
RUNS = [
    ("certified", 100),
    ("certified, few rounds", 24),
    ("exact", 8),
    *(
        pytest.param(*runs, marks=pytest.mark.statistics)
        for runs in (("certified", 500), ("certified, few rounds", 60), ("exact", 20))
    ),
]
PROMISES = {
    "certified": {"tolerance": 0.4, "epsilon": 2e-3, "max_rounds": 500, "adversary": "max"},
    "exact": {"tolerance": 0.2, "radius": 0.4, "epsilon": 5e-4, "grid": 3},
    "certified, few rounds": {"tolerance": 0.3, "epsilon": 2e-3, "max_rounds": 3},
}


def crowded_class():
    """From models that crowd to some that are far off; rewards in [0, 1/2]."""
    rng = np.random.default_rng(4)
    core, own = rows(rng, (2, 3, 2, 3)), rows(rng, (8, 2, 3, 2, 3))
    spread = np.array([0.02, 0.03, 0.05, 0.1, 0.15, 0.3, 0.4, 0.6])[:, None, None, None, None]
    return mfg.ModelClass.from_tables((1 - spread) * core + spread * own, [0.5, 0.3, 0.2], elsewhere)


@numba.njit
def elsewhere(h, population, shared, theta, out):
    """Half of what a state is left empty, whatever the action: where an agent goes is all that counts."""
    for s in range(out.shape[0]):
        for a in range(out.shape[1]):
            out[s, a] = 0.5 * (1.0 - population[s])
    return 0


@pytest.mark.filterwarnings("ignore::fastmfg.learning.fit.ImplausibleWarning")  # where a run loses the truth
@pytest.mark.parametrize(("kind", "n_runs"), RUNS)
def test_certified_rounds_halve_or_return(kind, n_runs):
    """And the true model is lost no more often than delta allows (binomial, error probability 1e-6)."""
    models, settings = crowded_class(), PROMISES[kind]
    equilibria, n = dict(enumerate(mfg.solve_models(models, tol=1e-7))), len(models)
    lost, verdicts = 0, Counter()
    for seed in range(n_runs):
        true, before = seed % n, n
        out = mfg.learn(
            models, mfg.MeanFieldOracle(models[true], seed=seed), delta=DELTA, strategy=kind.split(",")[0],
            max_trajectories=3000, seed=seed, equilibria=equilibria, **settings,
        )  # fmt: skip
        for one in out.rounds:
            if one.certificate != "none" and one.converged:
                halved, good = 2 * one.survivors <= before, one.ne_gap_bound <= settings["epsilon"]
                assert halved or good
                verdicts["halved" if halved else "good"] += 1
            before = one.survivors
        if all(one.certificate != "none" and one.converged for one in out.rounds):
            assert len(out.rounds) <= math.log2(n) + 1
        kept = true in out.survivors
        lost += not kept
        assert not kept or mfg.ne_gap(models[true], out.policy) <= out.ne_gap_bound + 1e-12
    assert lost <= binom.ppf(1 - ERROR, n_runs, DELTA)
    if kind == "certified":
        assert min(verdicts["halved"], verdicts["good"]) >= n_runs / 5
        assert verdicts.total() >= 0.8 * n_runs
    assert verdicts.total() > 0


def test_no_conclusion_without_convergence():
    """One short elimination: a certificate is recorded, and that nothing follows from it."""
    models = near_class(0, spread=0.2)
    out = mfg.learn(models, mfg.MeanFieldOracle(models[2]), epsilon=1e-4, delta=0.1, max_rounds=1)
    assert (out.rounds[0].certificate, out.rounds[0].converged) == ("direct", False)
    assert (out.certified, out.stopped) == (False, "out of rounds")


# Hard classes

SECTORS = {"epsilon": 0.032, "tolerance": 0.012, "radius": 0.024, "delta": 0.05}


@pytest.mark.parametrize("n", [5, 8, 16, 32])
def test_sectors(n):
    """The heuristic throws out one model a round; the search finds the crowd's own policy at once."""
    models = mfg.zoo.hard.sectors(n)
    runs = {}
    for strategy in ("certified", "heuristic"):
        oracle = Recorder(models[n - 1], 1)
        runs[strategy] = mfg.learn(models, oracle, strategy=strategy, equilibria=known(models), **SECTORS)
        assert runs[strategy].certified
    assert len(runs["heuristic"].rounds) == n - 1
    assert len(runs["certified"].rounds) <= 1
    assert runs["certified"].policies <= n + 6
    assert runs["certified"].trajectories < runs["heuristic"].trajectories
    assert mfg.ne_gap(models[n - 1], runs["certified"].policy) <= 0.0175


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.long] if name in ("switch1d", "crowded everywhere") else [])
        for name in HARD
    ],
)
def test_no_more_rounds_than_the_heuristic(name):
    """The true model is the last one, and rounds go on until they converge."""
    case = HARD[name]
    models = case.make()
    true, equilibria = models[len(models) - 1], case.equilibria(models)
    rounds = {}
    for strategy in ("certified", "heuristic"):
        out = mfg.learn(
            models, mfg.MeanFieldOracle(true, seed=0), strategy=strategy, equilibria=equilibria, adversary="max",
            max_rounds=5000, **case.settings,
        )  # fmt: skip
        if all(one.certificate != "none" and one.converged for one in out.rounds):
            assert len(out.rounds) <= math.log2(len(models)) + 1
        rounds[strategy] = len(out.rounds)
        assert out.certified
        assert mfg.ne_gap(true, out.policy) <= out.ne_gap_bound + 1e-12
    assert rounds["certified"] <= max(rounds["heuristic"], math.log2(len(models)) + 1)
    if name.startswith(("sectors", "spirals", "switch1d")):
        assert rounds["certified"] <= 1 < rounds["heuristic"]


@pytest.mark.parametrize("name", [*list(HARD)[:2], list(HARD)[4], *list(HARD)[8:]])
def test_rounds_that_rest_on_certificates_alone(name):
    """Without the stopping bound: each halves the class or returns an epsilon-NE, and there are log2 n + 1 at most."""
    case = HARD[name]
    models = case.make()
    n = len(models)
    rounds, policy = rounds_by_certificates(
        models, mfg.MeanFieldOracle(models[n - 1], seed=0), case.equilibria(models), **case.settings
    )
    assert {now.certificate for now in rounds} == {"direct"}
    assert all(now.converged for now in rounds)
    assert all(2 * now.survivors <= now.before for now in rounds[:-1])
    assert mfg.ne_gap(models[n - 1], policy) <= case.epsilon
    assert len(rounds) <= math.log2(n) + 1
    if name.startswith("sectors"):
        assert (len(rounds), rounds[0].policies <= n + 6) == (1, True)


def test_sectors_by_the_exact_strategy():
    """The cover is that of the one cell that moves a crowd: 153 points."""
    models = mfg.zoo.hard.sectors(5)
    out = mfg.learn(models, NoOracle(), strategy="exact", grid=16, equilibria=known(models), **SECTORS)
    assert PolicyCover(models, 16).size == 153
    assert out.certified
    assert out.ne_gap_bound <= 0.032 / 4


@pytest.mark.parametrize("pull", [0.1, 0.0, -0.1, -0.3])
def test_spirals(pull):
    """Best-response mixing circles there; the soft bridge is solved by Anderson acceleration."""
    models = mfg.zoo.hard.spirals(5, pull=pull)
    settings = {"epsilon": 0.012, "tolerance": 0.0225, "radius": 0.045}
    run = state(models, equilibria=known(models), **settings)
    chosen = certified.choose(run)
    assert run.candidates.enough() or chosen.certificate == "direct"
    assert run.candidates[-1].source == "soft bridge"


def test_fewer_samples_than_the_heuristic_where_equilibria_do():
    """Both have equilibria that scatter the class; the certified choice may gather the crowd, which tells more."""
    drawn = {"certified": 0, "heuristic": 0}
    for seed in range(12):
        models = linear(seed, M=12, S=6, scale=0.3)
        for strategy in drawn:
            oracle = mfg.MeanFieldOracle(models[seed], seed=seed)
            out = mfg.learn(models, oracle, epsilon=0.005, delta=0.01, strategy=strategy)
            drawn[strategy] += out.trajectories
            if strategy == "certified":
                assert {one.certificate for one in out.rounds} == {"direct"}
    assert 0 < drawn["certified"] < 0.9 * drawn["heuristic"], drawn


def test_few_equilibria_are_solved():
    """Where the likeliest one will do, no other is."""
    models = linear(0, M=30, S=6, scale=0.3)
    run = state(models, epsilon=0.005)
    assert certified.choose(run).policies == 1
    assert len(run.equilibria.solved) == 1


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
    ({"strategy": "exact", "grid": 10**400}, ValueError, r"grid N = about 10\^400 .* points, more than the limit"),
    ({"strategy": "exact", "lipschitz": (1e-9, 1e-9), "epsilon": 1e-12}, ValueError, "points, more than the limit"),
    *(
        ({"strategy": name, "epsilon": 0.0} | more, ValueError, r"epsilon must lie in \(0, inf\), got 0.0")
        for name, more in (
            ("certified", {}),
            ("heuristic", {}),
            ("exact", {"grid": 2}),
            ("exact", {"lipschitz": (1, 0)}),
        )
    ),
    ({"epsilon": -1e-3}, ValueError, r"epsilon must lie in \(0, inf\), got -0.001"),
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
