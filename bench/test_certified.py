"""Strategies of the learner: a cover's central models, one choice of a round, rounds and samples on hard classes."""

import math

import naive_bridge as naive
import numpy as np
import pytest

import fastmfg as mfg
from bench.test_learning import DELTA, EPSILON, FEW_SEEDS, PAPER, RULES, SEEDS, SMALL, WITHOUT_CLOCK, problem, title
from fastmfg.comparing.bridge import Centres, PolicyCover
from fastmfg.learning import certified
from fastmfg.learning.state import Plan, State
from fastmfg.planning.solve import Solution

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


class NoOracle:
    """Nothing is sampled while a round chooses."""

    def sample(self, deviation, reference, n):
        raise AssertionError("a sample was drawn")


def test_choice(benchmark, note, timing):
    """What the choice of a first round costs, equilibrium and all (target: 2 s at the paper's size)."""
    size = PAPER if timing else SMALL
    models, _, _ = problem(size, 201)
    plan = Plan.of(
        len(models), epsilon=EPSILON, delta=DELTA, strategy="certified", adversary=None, evidence="anytime",
        tolerance=None, radius=None, max_rounds=50, max_trajectories=None, seed=0,
    )  # fmt: skip
    chosen = benchmark.pedantic(
        lambda: certified.choose(State(models, NoOracle(), plan, {})), rounds=3, warmup_rounds=int(timing)
    )
    assert chosen.certificate == "direct"
    seconds = f"{benchmark.stats.stats.median:.2f} s (target 2 s)" if timing else "right (timing off)"
    note(title(size), f"{seconds}  {chosen.policies} policies looked at")


def ray_equilibria(models, n):
    """Equilibria of the sectors: mu_2 = a + D e_j."""
    east, north = np.array([1, -1, 0]) / math.sqrt(2), np.array([1, 1, -2]) / math.sqrt(6)
    found = {}
    for j in range(n):
        turn = 2 * math.pi * (j + 0.5) / n + 0.3
        policy = models[0].uniform_policy()
        policy[0, 0] = np.array([0.42, 0.33, 0.25]) + 0.2 * (math.cos(turn) * east + math.sin(turn) * north)
        policy[0, 0] /= policy[0, 0].sum()
        found[j] = Solution(policy, mfg.ne_gap(models[j], policy), 0, True, np.zeros(1), "by hand")
    return found


@pytest.mark.parametrize("n", [5, 8, 16, 32])
def test_sectors(n, benchmark, note, timing):
    """Rounds and trajectories, the true model last: the heuristic needs n - 1 rounds."""
    models = mfg.zoo.hard.sectors(n)
    equilibria = ray_equilibria(models, n)
    settings = {"epsilon": 0.032, "tolerance": 0.012, "radius": 0.024, "delta": 0.05, "equilibria": equilibria}

    def run(strategy):
        return mfg.learn(models, mfg.MeanFieldOracle(models[n - 1], seed=1), strategy=strategy, **settings)

    runs = benchmark.pedantic(lambda: {name: run(name) for name in ("certified", "heuristic")}, rounds=1)
    assert len(runs["certified"].rounds) <= 1 < len(runs["heuristic"].rounds) == n - 1
    assert mfg.ne_gap(models[n - 1], runs["certified"].policy) <= runs["certified"].ne_gap_bound + 1e-12
    text = "  ".join(
        f"{name}: {len(out.rounds)} rounds, {out.trajectories} trajectories, {out.policies} policies looked at"
        for name, out in runs.items()
    )
    note(f"sectors, {n} models", text)


@pytest.mark.parametrize("size", [SMALL, PAPER], ids=["small", "paper"])
def test_information(size, benchmark, note, timing):
    """Trajectories of the default rule against the limit: log(n/delta) over the best worst-case information."""
    seeds = list(SEEDS if timing and size == SMALL else FEW_SEEDS)
    size = size if timing else WITHOUT_CLOCK[size]

    def ratio(seed):
        models, truth, settings = problem(size, seed)
        learned = mfg.learn(models, mfg.MeanFieldOracle(models[truth], seed=seed), **settings, **RULES["default"])
        references = np.stack([mfg.solve(models[truth], tol=EPSILON / 2).policy, models[truth].uniform_policy()])
        limit = mfg.information_limit(models, truth, references)
        assert limit.lower <= limit.upper
        least = limit.trajectories(math.log(len(models) / DELTA))
        return learned.trajectories, least

    found = np.array(benchmark.pedantic(lambda: [ratio(seed) for seed in seeds], rounds=1))
    note(f"{title(size)}, {len(seeds)} seeds",
         f"medians {np.median(found[:, 0]):.0f} trajectories against {np.median(found[:, 1]):.0f} to name the model at "
         f"the information limit  median ratio {np.median(found[:, 0] / found[:, 1]):.2f}")  # fmt: skip
