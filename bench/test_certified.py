"""Strategies of the learner: a cover's central models, one choice of a round, rounds and samples on hard classes."""

import math

import naive_bridge as naive
import numpy as np
import pytest
from hard_cases import HARD, rounds_by_certificates

import fastmfg as mfg
from bench.test_learning import DELTA, EPSILON, FEW_SEEDS, PAPER, RULES, SEEDS, SMALL, WITHOUT_CLOCK, problem, title
from fastmfg.comparing.bridge import Centres, PolicyCover
from fastmfg.learning import certified
from fastmfg.learning.options import LearnOptions
from fastmfg.learning.state import State

RADIUS = 0.1


def test_cover(benchmark, note, timing):
    """Central models of 8 models at 10^6 policies, S = A = H = 2 (target: 20 s on two cores)."""
    models = mfg.linear_class(8, 2, 2, 2, 3, 3, scale=0.3, seed=0)
    cover = PolicyCover(models, 999 if timing else 9)
    centres = benchmark.pedantic(lambda: Centres(cover, np.arange(8), RADIUS), rounds=1)
    transitions = [game.transition for game in models]
    for point in np.random.default_rng(0).permutation(cover.size)[:20]:
        expected = naive.cover_centres(models.initial, transitions, cover.policy(int(point)), models.legal, RADIUS)
        assert (centres.central[point], centres.count[point]) == expected
    seconds = f"{benchmark.stats.stats.median:.2f} s (target 20 s)" if timing else "right (timing off)"
    note(f"{cover.size} points, 8 models, S=A=H=2", seconds)


def started(models):
    """A run before its first round."""
    return State(models, LearnOptions(epsilon=EPSILON, delta=DELTA))


def test_choice(benchmark, note, timing, figure, in_units):
    """What the choice of a first round costs, equilibrium and all (target: 2 s at the paper's size)."""
    size = PAPER if timing else SMALL
    models, _, _ = problem(size, 201)
    chosen = benchmark.pedantic(lambda: certified.choose(started(models)), rounds=3, warmup_rounds=int(timing))
    assert chosen.certificate == "direct"
    seconds = f"{benchmark.stats.stats.median:.2f} s (target 2 s)" if timing else "right (timing off)"
    note(title(size), f"{seconds}  {chosen.policies} policies looked at")
    own = benchmark.stats.stats.median if timing else None
    figure("choice", *(() if own is None else (f"{own:.2g} s", in_units(own))))


def test_further_policy(benchmark, note, timing, figure, in_units):
    """What each further policy costs that the search looks at: gaps in all survivors, distances, counts."""
    size = PAPER if timing else SMALL
    models, _, _ = problem(size, 201)
    run = started(models)
    search, stream = certified.Search(run), np.random.default_rng(0)

    def look():
        policy = stream.dirichlet(np.ones(models.n_actions), (models.horizon, models.n_states))
        candidate = run.candidates.register(policy, "random")
        run.candidates.gaps(candidate)
        return candidate, search.look(candidate)

    candidate, verdict = benchmark.pedantic(look, rounds=5 if timing else 1, warmup_rounds=1)
    check = mfg.direct_certificate(models, run.candidates[candidate].policy, run.options.elimination.tolerance, EPSILON)
    assert (verdict.holds, verdict.count, verdict.largest) == (check.holds, check.count, check.counts.max())
    own = benchmark.stats.stats.median if timing else None
    note(title(size), "right (timing off)" if own is None else f"{own:.2f} s a policy")
    figure("further policy", *(() if own is None else (f"{own:.2g} s", in_units(own))))


@pytest.mark.parametrize("name", HARD)
def test_hard_classes(name, benchmark, note):
    """Rounds that go on until they converge, the true model being the last; and rounds by certificates alone."""
    case = HARD[name]
    models = case.make()
    true, equilibria = models[len(models) - 1], case.equilibria(models)

    def run(strategy):
        return mfg.learn(
            models, mfg.MeanFieldOracle(true, seed=0), strategy=strategy, equilibria=equilibria, adversary="max",
            max_rounds=5000, **case.settings,
        )  # fmt: skip

    runs = benchmark.pedantic(lambda: {name: run(name) for name in ("certified", "heuristic")}, rounds=1)
    assert len(runs["certified"].rounds) <= len(runs["heuristic"].rounds)
    for out in runs.values():
        assert mfg.ne_gap(true, out.policy) <= out.ne_gap_bound + 1e-12
    rounds, _ = rounds_by_certificates(models, mfg.MeanFieldOracle(true, seed=0), equilibria, **case.settings)
    if name.startswith("sectors"):
        assert len(runs["certified"].rounds) <= len(rounds) == 1 < len(runs["heuristic"].rounds) == len(models) - 1
    if all(one.certificate == "direct" and one.converged for one in rounds):
        assert len(rounds) <= math.log2(len(models)) + 1
    text = "  ".join(
        f"{strategy}: {len(out.rounds)} rounds, {out.trajectories} trajectories, {out.policies} policies looked at"
        for strategy, out in runs.items()
    )
    alone = ", ".join(
        f"{one.certificate} after {one.policies} policies, {one.before} to {one.survivors}" for one in rounds
    )
    note(f"{name} ({len(models)} models)", f"{text}  without the stopping bound: {len(rounds)} rounds ({alone})")


class References:
    """A mean-field oracle that remembers the reference policies it was asked for."""

    def __init__(self, game, seed):
        self.oracle, self.policies = mfg.MeanFieldOracle(game, seed=seed), {}

    def sample(self, deviation, reference, n):
        self.policies.setdefault(reference.tobytes(), reference)
        return self.oracle.sample(deviation, reference, n)


@pytest.mark.parametrize("size", [SMALL, PAPER], ids=["small", "paper"])
def test_information(size, benchmark, note, timing):
    """Trajectories of the default rule against the information limit of the references it used, and the equilibrium.

    Naming the model at the threshold takes log(n/delta) nats against each other one, at the best worst-case
    information a trajectory; no rule of error delta can do with much less than log(1/delta).
    """
    seeds = list(SEEDS if timing and size == SMALL else FEW_SEEDS)
    size = size if timing else WITHOUT_CLOCK[size]
    nats = math.log(size[0] / DELTA), math.log(1 / DELTA)

    def ratio(seed):
        models, truth, settings = problem(size, seed)
        oracle = References(models[truth], seed)
        learned = mfg.learn(models, oracle, **settings, **RULES["default"])
        equilibrium = mfg.solve(models[truth], tol=EPSILON / 2).policy
        limits = [
            mfg.information_limit(models, truth, np.stack(policies), iterations=40)
            for policies in ([equilibrium], [equilibrium, *oracle.policies.values()])
        ]
        assert all(limit.lower <= limit.upper for limit in limits)
        return learned.trajectories, *(limit.trajectories(needed) for limit in limits for needed in nats)

    found = np.array(benchmark.pedantic(lambda: [ratio(seed) for seed in seeds], rounds=1))
    used, least = found[:, :1], np.median(found, axis=0)
    to_name, to_tell = np.median(used / found[:, 3:], axis=0)
    note(f"{title(size)}, {len(seeds)} seeds",
         f"medians {least[0]:.0f} trajectories  at the information limit of the references used {least[3]:.0f} to name "
         f"the model at the threshold, ratio {to_name:.2f}, and {least[4]:.0f} at error delta, ratio {to_tell:.2f}  "
         f"of the equilibrium alone {least[1]:.0f} and {least[2]:.0f}")  # fmt: skip
