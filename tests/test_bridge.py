"""Covers, central models and bridge models against their slow twins; what a bridge model is, whatever the class."""

import itertools
import math

import naive_bridge as naive
import numba
import numpy as np
import pytest
from builders import legal_mask, policy, rows
from hypothesis import given
from hypothesis import strategies as st
from learning_cases import KINDS, called_class, filled_class, linear, near_class
from numpy.testing import assert_allclose, assert_array_equal

import fastmfg as mfg
from fastmfg.comparing.bridge import (
    BridgeModel,
    Centres,
    PolicyCover,
    SoftBridge,
    average_tables,
    compositions,
    distances_within,
    moving_cells,
)
from fastmfg.comparing.conditional import condition_class
from fastmfg.planning.policy_aware import as_game


@numba.njit
def look(h, population, shared, theta, aux):
    aux[0] = population[0]
    return 0


@numba.njit
def walk(h, aux, shared, theta, lo, hi, out):
    for s in range(hi - lo):
        for a in range(out.shape[1]):
            out[s, a, 1] = theta[0] * (0.5 + 0.5 * a * aux[0])
            out[s, a, 0] = 1.0 - out[s, a, 1]
    return 0


def parts(models):
    """What the twins take: start, transitions, a reward, legal actions."""
    return models.initial, [game.transition for game in models], models[0].reward, models.legal


def random_policy(models, seed, kind="dense"):
    return policy(np.random.default_rng(seed), models.horizon, models.legal, kind)


def every(models):
    return np.arange(len(models))


SMALL = {
    "linear": lambda: linear(S=2, A=2, H=3, M=5),
    "three actions": lambda: linear(S=3, A=3, H=2, M=4),
    "tables": lambda: near_class(0, M=4, S=3, A=2),
    "masked": lambda: near_class(1, M=4, S=3, A=3, masked=True),
    "ties": lambda: near_class(2, M=4, S=2, A=2, kind="eighths", spread=0.5),
    "filler": filled_class,
    "functions": lambda: called_class(M=3),
    "sparse": lambda: mfg.zoo.classes.beach_bar(p_still=[0.2, 0.5, 0.8], n_states=3, horizon=2),
    "factored": lambda: mfg.zoo.classes.crowd_modelling_2d(noise_intensity=[0.1, 0.4], size=2, horizon=2),
    "one model": lambda: linear(S=2, A=2, H=2, M=1),
    "one step": lambda: linear(S=2, A=2, H=1, M=3),
}


# The cover


@pytest.mark.parametrize(("N", "A"), [(1, 1), (4, 1), (1, 3), (3, 2), (4, 3), (2, 5)])
def test_compositions(N, A):
    assert_allclose(sorted(compositions(N, A).tolist()), sorted(naive.grid(N, A)))
    assert len(compositions(N, A)) == math.comb(N + A - 1, A - 1)


def moved(models, policy):
    """Brute force: cells at which playing a legal action for sure changes the population of some model."""
    before, cells = condition_class(models, policy), []
    for h, s in itertools.product(range(models.horizon), range(models.n_states)):
        for a in np.flatnonzero(models.legal[s]):
            other = policy.copy()
            other[h, s] = np.eye(policy.shape[2])[a]
            if np.abs(condition_class(models, other).density - before.density).max() > 1e-9:
                cells.append([h, s])
                break
    return cells


@pytest.mark.parametrize("seed", range(12))
def test_cells_are_those_that_move_a_density(seed):
    """Tables that no crowd moves are looked through: the cells are exactly those that brute force finds."""
    rng = np.random.default_rng(seed)
    M, H, S, A = rng.integers([1, 1, 2, 1], [4, 5, 5, 4])
    tables = np.eye(S)[rng.integers(S, size=(M, H, S, A))] if seed % 2 else rows(rng, (M, H, S, A, S), "eighths")
    alike = rng.random((H, S)) < 0.3
    tables = np.where(alike[None, :, :, None, None], tables[:, :, :, :1], tables)
    start = np.eye(S)[0] if seed % 3 else rows(rng, (S,))
    models = mfg.ModelClass.from_tables(tables, start, "crowd-aversion", legal=legal_mask(rng, S, A))
    assert moving_cells(models).tolist() == moved(models, models[0].uniform_policy())


def test_cells_of_actions_that_differ_in_one_model_are_kept():
    tables = np.full((3, 2, 2, 2, 2), 0.5)
    models = mfg.ModelClass.from_tables(tables, [0.5, 0.5], "crowd-aversion")
    assert moving_cells(models).tolist() == []
    assert PolicyCover(models, 7).size == 1
    tables[2, 0, 1, 1] = [0.25, 0.75]
    models = mfg.ModelClass.from_tables(tables, [0.5, 0.5], "crowd-aversion")
    assert moving_cells(models).tolist() == [[0, 1]]


ROUTING = {
    "sectors": lambda: mfg.zoo.hard.sectors(5),
    "spirals": lambda: mfg.zoo.hard.spirals(5),
    "switch1d": mfg.zoo.hard.switch1d,
    "hidden density": lambda: mfg.zoo.hard.hidden_density(3),
}


@pytest.mark.parametrize("kind", ROUTING)
def test_routing_games_need_one_cell(kind):
    """Declared: only what the first step does moves a crowd. Brute force under some policies agrees."""
    models = ROUTING[kind]()
    assert moving_cells(models).tolist() == [[0, 0]]
    for seed in range(5):
        assert moved(models, random_policy(models, seed)) == [[0, 0]]
    assert moving_cells(models[[0, 2]]).tolist() == [[0, 0]]
    for game in models:  # and the declaration itself: one row for all actions, under any population
        for h, s in np.argwhere(models.equal_rows):
            for seed in range(5):
                table = game.transition(h, rows(np.random.default_rng(seed), (models.n_states,)))
                assert_array_equal(table[s], np.broadcast_to(table[s, 0], table[s].shape))


def test_clusters_need_the_second_step_as_well():
    models = mfg.zoo.hard.two_clusters(4)
    assert moving_cells(models).tolist() == [[0, 0], [1, 0], [1, 1], [1, 2]]


def test_linear_actions_of_equal_features_move_nothing():
    rng = np.random.default_rng(0)
    phi = rng.standard_normal((3, 3, 2, 4))
    phi[1, 2, 1] = phi[1, 2, 0]
    models = mfg.LinearClass(phi, rng.standard_normal((3, 3, 16)), rng.standard_normal((5, 3, 4, 3)), [0.0, 0.5, 0.5])
    assert moving_cells(models).tolist() == [[0, 1], [0, 2], [1, 0], [1, 1]]
    assert moved(models, random_policy(models, 0)) == [[0, 1], [0, 2], [1, 0], [1, 1]]


def test_sparse_rows_lead_to_their_table_s_states_only():
    """A line: from state s to s or s + 1; the crowd decides how likely."""
    models = mfg.ModelClass.from_filler(
        walk, [[0.2], [0.4]], [1.0, 0.0, 0.0, 0.0], lambda h, mu: np.tile(-mu[:, None], 2), prepare=look, aux_size=1,
        n_actions=2, horizon=4, successors=[[[s, (s + 1) % 4]] * 2 for s in range(4)],
    )  # fmt: skip
    assert moving_cells(models).tolist() == [[0, 0], [1, 0], [1, 1], [2, 0], [2, 1], [2, 2]]
    assert moved(models, random_policy(models, 0)) == moving_cells(models).tolist()


def test_games_of_the_joint_population_and_of_functions():
    """Of functions nothing is known beyond the start; who sees the joint population sees the last step as well."""
    state, joint = called_class(), called_class(joint=True)
    H, S = state.horizon, state.n_states
    cells = [[h, s] for h in range(H) for s in range(S)]
    assert moving_cells(joint).tolist() == cells
    assert moving_cells(state).tolist() == [cell for cell in cells if cell[0] < H - 1]


@pytest.mark.parametrize("kind", SMALL)
def test_other_cells_move_no_density(kind):
    models = SMALL[kind]()
    inside, outside = random_policy(models, 0), random_policy(models, 1)
    for h, s in moving_cells(models):
        outside[h, s] = inside[h, s]
    assert_allclose(condition_class(models, inside).density, condition_class(models, outside).density, atol=1e-15)


def test_points_and_places_are_inverse():
    cover = PolicyCover(linear(S=2, A=3, H=2), 3)
    points = np.arange(cover.size)
    assert_array_equal(cover.points(cover.places(points)), points)
    expected = naive.cover(3, cover.cells, cover.base)
    assert len(expected) == cover.size
    assert_allclose(
        sorted(p.ravel().tolist() for p in cover.policies(cover.places(points))),
        sorted(p.ravel().tolist() for p in expected),
    )


@given(seed=st.integers(0, 1000), N=st.integers(1, 9))
def test_the_cover_covers(seed, N):
    """Some point is within eps_bar of any policy, in every cell."""
    models = linear(S=2, A=3, H=2)
    cover = PolicyCover(models, N)
    pi = random_policy(models, seed)
    for c, (h, s) in enumerate(cover.cells):
        assert np.abs(cover.rows[c] - pi[h, s]).sum(axis=1).min() <= cover.mesh + 1e-12


BAD_COVERS = [
    ({"steps": 0}, ValueError, "steps must be at least 1, got 0"),
    ({"steps": 2.5}, TypeError, "steps must be a whole number, got 2.5"),
    ({"steps": 1000}, ValueError, r"grid N = 1000 on 6 cells .* has about 10\^34 points, more than the limit of 100"),
    ({"steps": 10**400}, ValueError, r"has about 10\^\d+ points"),
    ({"steps": 2, "cells": [[0, 9]]}, ValueError, r"cells\[0, 1\] is 9: must lie in 0..2"),
    ({"steps": 2, "cells": [[0, 1], [0, 1]]}, ValueError, "cells holds a cell twice"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), BAD_COVERS)
def test_bad_covers(arguments, error, message):
    models = near_class(0, S=3, H=3)
    with pytest.raises(error, match=message):
        PolicyCover(models, **({"limit": 10_000_000} | arguments))


# Central models


@pytest.mark.parametrize("radius", [0.0, 0.05, 0.3, 9.0])
@pytest.mark.parametrize("kind", SMALL)
def test_central_models_are_the_twins(kind, radius):
    models = SMALL[kind]()
    initial, transitions, _, legal = parts(models)
    cover = PolicyCover(models, 1, limit=100_000)
    centres = Centres(cover, every(models), radius)
    chosen = np.random.default_rng(0).permutation(cover.size)[:5]
    for point in chosen:
        expected = naive.cover_centres(initial, transitions, cover.policy(int(point)), legal, radius)
        assert (centres.central[point], centres.count[point]) == expected


def test_central_models_of_some_members():
    models, members = linear(S=2, A=2, H=2, M=6), np.array([1, 4, 5])
    some = Centres(PolicyCover(models, 3), members, 0.3)
    other = Centres(PolicyCover(models[members], 3), np.arange(3), 0.3)
    assert_array_equal(some.central, other.central)
    assert_array_equal(some.count, other.count)


def test_centres_do_not_depend_on_threads(threads):
    models = linear(S=3, A=2, H=3, M=5)
    found = []
    for count in (1, 2):
        threads(count)
        found.append(Centres(PolicyCover(models, 3), every(models), 0.2))
    assert_array_equal(found[0].central, found[1].central)
    assert_array_equal(found[0].count, found[1].count)


def test_central_models_of_games_of_the_joint_population():
    models = called_class(joint=True, M=3)
    cover = PolicyCover(models, 1, cells=moving_cells(models)[-3:])
    for radius in (0.3, 0.6):
        centres = Centres(cover, every(models), radius)
        for point in range(cover.size):
            hoods = mfg.neighbourhoods(models, cover.policy(point), radius)
            assert (centres.central[point], centres.count[point]) == (hoods.central, hoods.counts.max())


# Bridge models


@pytest.mark.parametrize("kind", SMALL)
def test_average_tables(kind):
    models = SMALL[kind]()
    conditional = condition_class(models, random_policy(models, 3))
    weights = np.random.default_rng(1).dirichlet(np.ones(len(models)))
    weights[0] = 0.0
    got, rewards = average_tables(conditional, weights)
    each = [mfg.condition(game, conditional.policy) for game in models]
    assert_allclose(got, naive.weighted_rows([c.transition for c in each], weights), atol=1e-12)
    assert_allclose(rewards, naive.weighted_rows([c.reward for c in each], weights), atol=1e-12)


@pytest.mark.parametrize("N", [1, 2, 3])
@pytest.mark.parametrize("kind", ["linear", "tables", "masked", "filler", "functions"])
def test_the_bridge_is_its_twin(kind, N):
    models = SMALL[kind]()
    initial, transitions, reward, _ = parts(models)
    try:
        cover = PolicyCover(models, N, limit=300)
    except ValueError:
        cover = PolicyCover(models, N, cells=moving_cells(models)[:2])
    bridge = BridgeModel(models, 0.2, cover=cover)
    points = cover.policies(cover.places(np.arange(cover.size)))
    for seed in range(2):
        pi = random_policy(models, seed)
        expected = naive.bridge_tables(
            initial, transitions, reward, pi, cover.cells, points, bridge.centres.central, cover.mesh
        )
        for got, want in zip(bridge.tables(pi), expected, strict=True):
            assert_allclose(got, want, atol=1e-12)


@pytest.mark.parametrize("rho", [0.1, 1.0])
@pytest.mark.parametrize("kind", SMALL)
def test_the_soft_bridge_is_its_twin(kind, rho):
    models = SMALL[kind]()
    initial, transitions, reward, legal = parts(models)
    pi = random_policy(models, 4)
    d = naive.distances(initial, transitions, pi, legal)
    for radius in (0.05, 0.5):
        weights = naive.soft_weights(d, radius, rho)
        each = [naive.conditional(initial, transition, pi) for transition in transitions]
        got, rewards = SoftBridge(models, radius, rho).tables(pi)
        assert_allclose(got, naive.weighted_rows([P for _, P in each], weights), atol=1e-10)
        tables = [np.array([reward(h, mu[h]) for h in range(len(mu))]) for mu, _ in each]
        assert_allclose(rewards, naive.weighted_rows(tables, weights), atol=1e-10)


def bridges(models, radius, N=2):
    cover = PolicyCover(models, N, cells=moving_cells(models)[:3])
    return {"cover": BridgeModel(models, radius, cover=cover), "soft": SoftBridge(models, radius)}


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_distributions(kind):
    models = KINDS[kind]()
    for bridge in bridges(models, 0.1, 1).values():
        for seed in range(3):
            transition, reward = bridge.tables(random_policy(models, seed))
            assert transition.min() >= 0.0
            assert_allclose(transition.sum(axis=-1), 1.0, atol=1e-12)
            assert np.isfinite(reward).all()


@pytest.mark.parametrize("seed", range(4))
def test_of_one_model_the_soft_bridge_is_the_model(seed):
    models = linear(S=3, A=3, H=3)[[2]]
    pi = random_policy(models, seed)
    transition, reward = SoftBridge(models, 0.1).tables(pi)
    frozen = mfg.condition(models[0], pi)
    assert_allclose(transition, frozen.transition, atol=1e-14)
    assert_allclose(reward, frozen.reward, atol=1e-14)


def test_of_one_model_the_bridge_averages_the_model():
    """At a point of a fine cover the bridge is nearly the model itself, and exactly where densities play no part."""
    models = linear(S=2, A=2, H=2)[[1]]
    near = []
    for N in (4, 40):
        bridge = BridgeModel(models, 0.1, N)
        point = bridge.cover.policy(bridge.cover.size // 2)
        near.append(np.abs(bridge.tables(point)[0] - mfg.condition(models[0], point).transition).max())
    assert near[1] < near[0] / 5
    static = near_class(0, M=1)
    transition = BridgeModel(static, 0.1, 1).tables(random_policy(static, 0))[0]
    assert_allclose(transition, mfg.condition(static[0], random_policy(static, 0)).transition, atol=1e-14)


def steepest(bridge, start, end, steps):
    """The largest change of tables over one of so many steps from one policy to another, and the ends of that step."""
    path = [(1 - t) * start + t * end for t in np.linspace(0.0, 1.0, steps + 1)]
    tables = [bridge.tables(pi) for pi in path]
    changes = [max(np.abs(a[0] - b[0]).max(), np.abs(a[1] - b[1]).max()) for a, b in itertools.pairwise(tables)]
    worst = int(np.argmax(changes))
    return changes[worst], path[worst], path[worst + 1]


@pytest.mark.parametrize("name", ["cover", "soft"])
def test_continuous_where_the_central_model_switches(name):
    """Along a line between policies with different central models, and ever closer where tables change most.

    The line crosses borders of the cover's cells. At a jump the change would stay as it is.
    """
    models = mfg.zoo.hard.switch1d()
    start, end = models[0].uniform_policy(), models[0].uniform_policy()
    start[0, 0], end[0, 0] = [0.9, 0.1], [0.1, 0.9]
    cover = PolicyCover(models, 20, cells=[(0, 0)])
    bridge = BridgeModel(models, 0.03, cover=cover) if name == "cover" else SoftBridge(models, 0.03)
    centres = {mfg.central_model(models, (1 - t) * start + t * end, 0.03) for t in np.linspace(0, 1, 41)}
    assert len(centres) > 1
    change, left, right = steepest(bridge, start, end, 400)
    for _ in range(4):
        change, left, right = steepest(bridge, left, right, 20)
    assert change < 1e-4


def corner_to_corner(models, cover):
    """Two policies; the line between them crosses borders of every cell of the cover."""
    ends = np.repeat(models[0].uniform_policy()[None], 2, axis=0)
    for h, s in cover.cells:
        legal = np.flatnonzero(models.legal[s])
        ends[:, h, s] = np.eye(models.n_actions)[legal[[0, -1]]]
    return ends


def switching_radius(models, cover):
    """A radius at which different points of the cover have different central models."""
    for point in range(0, cover.size, 5):
        for radius in np.unique(mfg.distance_matrix(models, cover.policy(point)))[1:]:
            if len(np.unique(Centres(cover, every(models), radius).central)) > 1:
                return float(radius)
    raise AssertionError("the central model is the same everywhere")


@pytest.mark.parametrize("kind", ["linear", "three actions", "filler"])
def test_continuous_across_borders_of_cells(kind):
    """Finite differences on a line through the whole cover, ever closer where tables change most.

    Between steps 1 / 480,000 apart tables change by at most 20 times what slopes of coarser steps say; where central
    models switch, a jump would be of the order of the models' distance.
    """
    models = SMALL[kind]()
    cover = PolicyCover(models, 3, cells=moving_cells(models)[:3])
    start, end = corner_to_corner(models, cover)
    radius = switching_radius(models, cover)
    for bridge in (BridgeModel(models, radius, cover=cover), SoftBridge(models, radius)):
        slope = 60 * steepest(bridge, start, end, 60)[0]
        change, left, right = steepest(bridge, start, end, 60)
        for _ in range(3):
            change, left, right = steepest(bridge, left, right, 20)
        assert change <= 20 * (slope + 1.0) / (60 * 20**3)


def test_distances_within():
    models = linear(S=3, A=2, H=3)
    pi = random_policy(models, 0)
    exact = mfg.distance_matrix(models, pi)
    reach = float(np.median(exact))
    got = distances_within(condition_class(models, pi), reach)
    assert_allclose(got[exact <= reach], exact[exact <= reach], atol=1e-12)
    assert (got[exact > reach] > reach).all()


def test_bridge_gaps_are_those_of_the_tables():
    models = linear(S=2, A=2, H=2)
    for bridge in bridges(models, 0.2).values():
        pi = random_policy(models, 1)
        expected = naive.tables_gap(models.initial, *bridge.tables(pi), pi, models.legal)
        assert mfg.ne_gap(as_game(bridge), pi) == pytest.approx(expected, abs=1e-12)


BAD_BRIDGES = [
    ({"radius": 0.0}, ValueError, r"radius must lie in \(0, inf\), got 0.0"),
    ({"softness": 0.0}, ValueError, "softness .* got 0.0"),
    ({"softness": float("nan")}, ValueError, "softness .* got nan"),
    ({"candidates": []}, ValueError, "candidates must be a non-empty list of model indices"),
    ({"candidates": [0, 9]}, IndexError, r"candidates\[1\] is 9"),
    ({"candidates": [1, 1]}, ValueError, "candidates holds a model twice"),
    ({"models": 3}, TypeError, "models must be a ModelClass, got int"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD_BRIDGES)
def test_bad_soft_bridges(change, error, message):
    with pytest.raises(error, match=message):
        SoftBridge(**({"models": linear(), "radius": 0.1} | change))


@pytest.mark.parametrize(("change", "error", "message"), [BAD_BRIDGES[0], *BAD_BRIDGES[3:]])
def test_bad_bridges_over_a_cover(change, error, message):
    with pytest.raises(error, match=message):
        BridgeModel(**({"models": linear(S=2, A=2), "radius": 0.1, "steps": 2} | change))


def test_tables_are_asked_of_policies():
    with pytest.raises(ValueError, match="policy"):
        SoftBridge(linear(), 0.1).transition(0, np.ones((2, 5, 3)))


def test_an_average_over_too_many_points(monkeypatch):
    models = linear(S=2, A=2, H=2)
    bridge = BridgeModel(models, 0.1, 2)
    monkeypatch.setattr("fastmfg.comparing.bridge.MOST_LOCAL_POINTS", 2)
    with pytest.raises(ValueError, match=r"averages \d points of its cover around one policy, more than 2: cover"):
        bridge.reward(0, np.full((2, 2, 2), 0.5) + [0.01, -0.01])
