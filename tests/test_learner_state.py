"""Parts of a run: evidence whose version tells sets of survivors apart, equilibria solved once, candidates kept."""

import numpy as np
import pytest
from learning_cases import near_class
from numpy.testing import assert_array_equal

import fastmfg as mfg
from fastmfg.learning.candidates import CandidatePool
from fastmfg.learning.eliminate import Elimination
from fastmfg.learning.equilibria import EquilibriumCache
from fastmfg.learning.evidence import Evidence
from fastmfg.learning.options import LearnOptions
from fastmfg.learning.state import State


class Store:
    """Equilibria of an earlier process; what is asked of it is noted."""

    def __init__(self, kept, damaged=()):
        self.kept, self.damaged, self.told = dict(kept), set(damaged), []

    def holds(self, member):
        return member in self.kept

    def load(self, member):
        self.told.append(("load", member))
        found = self.kept.pop(member, None)
        return None if member in self.damaged else found

    def save(self, member, solution):
        self.told.append(("save", member))


def outcome(survivors, M, trajectories, dropped=()):
    eliminated_at = np.full(M, -1)
    for member, when in dropped:
        eliminated_at[member] = when
    log_likelihood = np.where(np.isin(np.arange(M), survivors), -1.0 * np.arange(M), -np.inf)
    return Elimination(np.array(survivors), log_likelihood, trajectories, 1, False, eliminated_at, np.zeros(M))


def test_the_version_of_evidence_is_that_of_its_survivors():
    evidence = Evidence(5)
    assert not evidence.narrow(np.arange(5)) and evidence.version == 0
    assert evidence.narrow(np.array([0, 2, 3])) and evidence.version == 1
    evidence.absorb(outcome([0, 2, 3], 5, trajectories=4, dropped=[(1, 2), (4, 3)]))
    assert evidence.version == 1  # nobody has left since
    evidence.absorb(outcome([2, 3], 5, trajectories=3, dropped=[(0, 1)]))
    assert evidence.version == 2 and evidence.trajectories == 7
    assert evidence.eliminated_at.tolist() == [5, 2, -1, -1, 3]
    assert evidence.likeliest_first().tolist() == [2, 3]


def test_equilibria_are_loaded_or_solved_once_and_kept():
    models = near_class(0)
    solved = dict(enumerate(mfg.solve_models(models, [0, 1], tol=1e-4)))
    store = Store({1: solved[1], 2: solved[1]}, damaged=[2])
    cache = EquilibriumCache(models, 1e-4, {0: solved[0]}, store)
    assert cache.get_or_load(0) is solved[0] and cache.get_or_load(3) is None
    assert cache.get_or_load(1) is solved[1] and cache.get_or_load(1) is solved[1]
    assert cache.get_or_solve(2) is cache.get_or_solve(2)  # its file is damaged
    assert store.told == [("load", 3), ("load", 1), ("load", 2), ("save", 2)]
    assert list(cache.solved) == [0, 1, 2]  # in the order in which they became known
    expected = mfg.solve(models[2], tol=1e-4, initial_policy=solved[0].policy)
    assert_array_equal(cache.get_or_solve(2).policy, expected.policy)


def test_candidates_are_conditioned_anew_when_survivors_have_left():
    models = near_class(0)
    state = State(models, LearnOptions(epsilon=0.01, delta=0.1))
    pool, evidence = state.candidates, state.evidence
    assert isinstance(pool, CandidatePool)
    number = pool.register(models[0].uniform_policy(), "given")
    before = pool.conditional(number)
    assert pool.conditional(number) is before
    gaps = pool.gaps(number).copy()
    assert gaps == pytest.approx(mfg.ne_gaps(models, models[0].uniform_policy()), abs=1e-12)
    evidence.narrow(evidence.survivors[1:])
    assert_array_equal(pool.conditional(number).members, evidence.survivors)
    assert_array_equal(pool.gaps(number), gaps)  # they do not depend on data
    assert pool.best() == (gaps[1:].max(), number)
    assert_array_equal(pool.compare(number).members, evidence.survivors)


def test_the_order_of_survivors_is_what_the_cache_expects():
    models = near_class(0)
    state = State(models, LearnOptions(epsilon=0.01, delta=0.1))
    state.evidence.absorb(outcome(list(range(len(models))), len(models), trajectories=1))
    order = state.order_survivors()
    assert order == list(range(len(models))) == state.equilibria.expected
    drawn = State(models, LearnOptions(epsilon=0.01, delta=0.1, evidence="paper", seed=3))
    orders = [drawn.order_survivors() for _ in range(3)]
    assert all(sorted(each) == order for each in orders) and len({tuple(each) for each in orders}) > 1
