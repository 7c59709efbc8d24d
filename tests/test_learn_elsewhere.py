"""`learn` with an executor: the same policies, survivors and bounds; equilibria in batches, counts by blocks."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from learning_cases import near_class
from numpy.testing import assert_array_equal

import fastmfg as mfg
from fastmfg.learning import equilibria as equilibria_module
from fastmfg.learning.options import LearnOptions
from fastmfg.learning.state import State

SETTINGS = {"epsilon": 1e-3, "delta": 0.01, "max_rounds": 8}
CHOICES = {
    "certified": {},
    "heuristic": {"strategy": "heuristic"},
    "nash": {"strategy": "heuristic", "adversary": "nash"},
    "paper": {"strategy": "heuristic", "adversary": "first", "evidence": "paper"},
}


@pytest.fixture(scope="module")
def models():
    return near_class(0, M=14, spread=0.2)


@pytest.fixture(scope="module")
def executor():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def learn(models, **options):
    return mfg.learn(models, mfg.MeanFieldOracle(models[3], seed=1), **(SETTINGS | options))


def assert_same(here, elsewhere):
    assert here.policy.tobytes() == elsewhere.policy.tobytes()
    assert here.ne_gap_bound == elsewhere.ne_gap_bound and here.stopped == elsewhere.stopped
    assert here.trajectories == elsewhere.trajectories
    for name in ("survivors", "log_likelihood", "eliminated_at"):
        assert_array_equal(getattr(here, name), getattr(elsewhere, name))
    rounds = [[replace(r, seconds=0.0) for r in learned.rounds] for learned in (here, elsewhere)]
    assert rounds[0] == rounds[1]


@pytest.mark.parametrize("large", [1000, 3])
@pytest.mark.parametrize("choices", CHOICES)
def test_an_executor_changes_nothing(models, executor, monkeypatch, choices, large):
    """Also where a few models are a large class, whose neighbours are counted elsewhere."""
    monkeypatch.setattr("fastmfg.learning.candidates.LARGE", large)
    here = learn(models, **CHOICES[choices])
    assert_same(here, learn(models, executor=executor, **CHOICES[choices]))


def test_equilibria_are_solved_in_batches_and_few_for_nothing(models, executor, monkeypatch):
    batches = []
    solve_from = equilibria_module.solve_from

    def seen(models, members, start, **options):
        batches.append(list(members))
        return solve_from(models, members, start, **options)

    monkeypatch.setattr(equilibria_module, "solve_from", seen)
    options = LearnOptions(epsilon=1e-3, delta=0.01, strategy="heuristic", max_rounds=8)
    away = State(models, options, executor=executor)
    here = State(models, options)
    assert here.order_survivors() == away.order_survivors()
    for member in here.order_survivors():
        found = [run.equilibria.get_or_solve(member).policy for run in (here, away)]
        assert found[0].tobytes() == found[1].tobytes()
    assert list(here.equilibria.solved) == list(away.equilibria.solved) and not away.equilibria.ahead
    assert [len(batch) for batch in batches] == [2, 4, 7]  # the first is solved here; then as many again as are known
    assert sorted(sum(batches, [0])) == list(range(14))


def test_a_checkpoint_is_of_either(models, executor, tmp_path):
    here = learn(models, checkpoint=tmp_path)
    assert_same(here, learn(models, checkpoint=tmp_path, executor=executor))
