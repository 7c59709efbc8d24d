"""Large arrays are refused before they are made: with what is needed, what is free, and what to do."""

import re

import numpy as np
import pytest

import fastmfg as mfg
from fastmfg import memory
from fastmfg.comparing.bridge import PolicyCover
from fastmfg.comparing.conditional import condition_class
from fastmfg.comparing.distance import deviation_distances, lower_bounds
from fastmfg.executors import map_tasks

KIB = 1 << 10


@pytest.fixture
def scarce(monkeypatch):
    """``scarce(n)``: from now on n KiB are free, and everything over 1 KiB is looked at."""

    def set_free(kibibytes):
        monkeypatch.setattr(memory, "WORTH_ASKING", KIB)
        monkeypatch.setattr(memory, "free_memory", lambda: kibibytes * KIB)

    return set_free


@pytest.fixture(scope="module")
def models():
    return mfg.linear_class(30, 12, 6, 3, seed=1)


@pytest.fixture(scope="module")
def large():
    """A game that a team passes through."""
    return mfg.zoo.crowd_modelling_2d(100, 3)


def refused(call, what):
    """The call is refused, for want of this."""
    with pytest.raises(MemoryError) as raised:
        call()
    said = str(raised.value)
    assert re.search(rf"^{what}.* takes about [0-9.e-]+ GiB, but only [0-9.e-]+ GiB are free: \w", said), said


CALLS = {
    "a linear class": (lambda m: mfg.linear_class(100, 12, 6, 3), 200, "a linear class of 100 models"),
    "tables": (
        lambda m: mfg.ModelClass.from_tables(np.full((9, 1, 8, 4, 8), 1 / 8), np.full(8, 1 / 8), "crowd-aversion"),
        10, r"a copy of transition \[9, 1, 8, 4, 8\]",
    ),
    "a linear class's own arrays": (
        lambda m: mfg.LinearClass(np.ones((1, 9, 9, 5)), np.ones((1, 9, 25)), np.ones((1, 1, 5, 9)), np.full(9, 1 / 9)),
        3, "a copy of phi",
    ),
    "a class of the zoo": (
        lambda m: mfg.zoo.classes.crowd_motion(p_still=np.linspace(0.1, 0.9, 20).tolist()), 600, "a class of 20 models",
    ),
    "conditioning one model": (lambda m: mfg.condition(m[0], m[0].uniform_policy()), 3, "conditioning 1 models"),
    "the gaps of many": (lambda m: mfg.ne_gaps(m, m[0].uniform_policy()), 20, "conditioning [0-9]+ models"),
    "conditioning many": (lambda m: mfg.neighbour_counts(m, m[0].uniform_policy(), 0.1), 80, "conditioning 30 models"),
    "a policy": (lambda m: m[0].uniform_policy(), 1, r"a policy \[H, S, A\]"),
    "distances": (lambda m: pairs(m, mfg.distance_matrix), 100, "2 matrices of all pairs of 100 models"),
    "bounds": (lambda m: pairs(m, lower_bounds), 100, "2 matrices of all pairs of 100 models"),
    "distances of deviations": (
        lambda m: deviation_distances(uniform(m), np.stack([uniform(m).policy] * 20)),
        130, "20 matrices of all pairs of 30 models",
    ),
    "a grid": (lambda m: mfg.Grid.of((100, 100)), 1000, r"a grid of shape \[100, 100\]"),
    "agents": (
        lambda m: mfg.Population(m[0], n_agents=10_000).agents(m[0].uniform_policy()), 500,
        "trajectories of 10000 agents",
    ),
    "a table of a game": (
        lambda m: m[0].transition(0, m[0].initial), 4, r"one step's transition as a table \[S, A, S\]",
    ),
}  # fmt: skip


def uniform(models):
    return condition_class(models, models[0].uniform_policy())


def pairs(models, call):
    """On few states, so that the matrices are what is large."""
    small = mfg.linear_class(100, 2, 2, 1)
    return call(small, small[0].uniform_policy())


@pytest.mark.parametrize("name", CALLS)
def test_what_does_not_fit_is_refused(models, scarce, name):
    call, free, what = CALLS[name]
    call(models)
    scarce(free)
    refused(lambda: call(models), what)


@pytest.mark.parametrize("method", ["auto", "mirror-descent", "anderson", "fictitious-play"])
def test_a_solver_asks_for_all_that_it_will_hold(models, scarce, method):
    policy = models[0].uniform_policy()
    scarce(10 * policy.nbytes // KIB)
    refused(lambda: mfg.solve(models[0], method), f"solving by {method}")


def test_one_dense_table_is_refused_and_what_needs_none_is_not(models, scarce):
    conditional = mfg.condition(models[0], models[0].uniform_policy())
    scarce(20)  # of 28 that the tables take
    refused(lambda: conditional.transition, r"the transition as a table \[H, S, A, S\]")
    assert mfg.ne_gap(models[0], conditional.policy) > 0.0


def test_passes_through_a_large_game(large, scarce):
    policy = large.uniform_policy()
    needed = policy.nbytes + 8 * large.n_states * (large.horizon + 16 + 5 * 5)
    scarce(needed // KIB // 2)
    for call in (mfg.condition, mfg.ne_gap, mfg.best_response):
        refused(lambda call=call: call(large, policy), "(passing through the game|a copy of policy)")
    refused(lambda: mfg.solve(large, "mirror-descent", step=0.1, gap_every=2), "(a policy|solving|passing)")


def test_points_of_a_cover(scarce):
    small = mfg.linear_class(2, 2, 2, 3)
    cover = PolicyCover(small, 8)
    places = cover.places(np.arange(cover.size))
    assert len(cover.policies(places)) == cover.size
    scarce(1)
    refused(lambda: cover.policies(places), f"{cover.size} policies of the cover")


def test_small_arrays_are_not_asked_about(models, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: pytest.fail("it was asked"))
    policy = models[0].uniform_policy()
    mfg.distance_matrix(models, policy)
    assert mfg.best_response(models[0], policy).value > 0.0


def test_a_refusal_in_a_thread_comes_out(models, scarce):
    scarce(0)
    with pytest.raises(MemoryError, match="only 0 GiB are free"):
        list(map_tasks(lambda i: models[i].uniform_policy(), range(4)))
