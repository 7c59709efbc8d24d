"""Equilibria of a whole class to an NE gap of 5e-4, amortised; over generator seeds that nothing was tuned on."""

import statistics

import naive
import pytest

import fastmfg as mfg
from bench.work import Work, recorded
from fastmfg.executors import thread_count

TOLERANCE = 5e-4
PAPER = (200, 100, 50, 3)  # models, S, A, H
CASES = [((40, 20, 10, 3), 101), *((PAPER, seed) for seed in range(101, 106))]
FEW = 3  # models when the clock is off


def name(case):
    return case if isinstance(case, int) else "M{}-S{}-A{}-H{}".format(*case)


@pytest.mark.parametrize(("size", "seed"), CASES, ids=name)
def test_equilibria(size, seed, meter, timing, monkeypatch):
    M, S, A, H = size if timing else (FEW, 20, 10, 3)
    models = mfg.linear_class(M, S, A, H, seed=seed)
    list(mfg.solve_models(models, range(2), tol=TOLERANCE))  # loads what is compiled

    def solve():
        with recorded(monkeypatch) as calls:
            return list(mfg.solve_models(models, tol=TOLERANCE)), sum(calls, Work())

    solutions, work = meter.benchmark.pedantic(solve, rounds=1)
    assert [s.converged for s in solutions] == [True] * M
    assert max(s.ne_gap for s in solutions) <= TOLERANCE
    evaluations = sum(s.iterations + 1 for s in solutions)
    last, game = solutions[-1], models[M - 1]

    def twin():
        return naive.ne_gap(game.initial, game.transition, game.reward, last.policy, game.legal)

    twin_seconds = meter.check(lambda: last.ne_gap, twin) * evaluations
    iterations = statistics.median(s.iterations for s in solutions)
    meter.benchmark.extra_info["iterations"] = iterations
    more = f"  {iterations:.0f} iterations (median), none of {M} failed" + ("; target 60 ms" if size == PAPER else "")
    meter.report(f"{M} models, S={S} A={A} H={H}, seed {seed}", work, twin_seconds, threads=thread_count(), per=M,
                 unit=" an NE", more=more, key=f"equilibria {seed}" if size == PAPER else None)  # fmt: skip
