"""Comparing models under one policy: distances, bounds, neighbourhoods, the central model."""

import naive
import numpy as np
import pytest
from builders import crowd_game, legal_mask, policy, rows, table_class
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import fastmfg as mfg
from fastmfg import executors
from fastmfg.comparing import deviation_distances, lower_bounds, pair_deviation, upper_bounds
from fastmfg.comparing.distance import condition_class, distances_to
from fastmfg.kernels.distance import PAIR_BLOCK

SIZES = st.tuples(st.integers(1, 7), st.integers(1, 4), st.integers(1, 5), st.integers(1, 4))  # M, H, S, A
SEEDS = st.integers(0, 10**6)


def matrix(twin, t):
    return np.array([[twin(P, Q, t.initial, t.legal) for Q in t.P] for P in t.P])


def random_class(seed, sizes, masked=True):
    """A class of tables and a policy."""
    models, t = table_class(seed, *sizes, masked=masked)
    return models, t, policy(np.random.default_rng(seed + 1), sizes[1], t.legal)


# Against the slow twins


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (2, 1, 3, 2), (5, 3, 4, 3), (4, 2, 1, 3), (3, 4, 5, 1)])
@pytest.mark.parametrize("masked", [False, True])
def test_distances_and_bounds(sizes, masked):
    models, t, pi = random_class(300, sizes, masked)
    ref = matrix(naive.directed_distance, t)
    assert_allclose(mfg.distance_matrix(models, pi, directed=True), ref, atol=1e-13)
    assert_allclose(mfg.distance_matrix(models, pi), np.maximum(ref, ref.T), atol=1e-13)
    assert_allclose(lower_bounds(models, pi), matrix(naive.lower_bound, t), atol=1e-13)
    assert_allclose(upper_bounds(models, pi), matrix(naive.upper_bound, t), atol=1e-13)


@pytest.mark.parametrize(("S", "A", "d"), [(1, 1, 1), (6, 4, 3), (5, 3, 5)])
def test_conditioning_on_a_deterministic_policy_leaves_what_all_rows_lead_to(S, A, d):
    """Rows of actions that are not played are not filled; the bytes are those of the pass that fills them."""
    rng = np.random.default_rng(S)
    legal = legal_mask(rng, S, A)
    phi, U = rng.standard_normal((3, S, A, d)), rng.standard_normal((3, S, d * 2))
    models = mfg.LinearClass(phi, U, rng.standard_normal((4, 3, 2, S)), np.full(S, 1 / S), legal=legal)
    actions = np.where(legal, rng.random((3, S, A)), -1.0).argmax(axis=2)
    pi, members = np.eye(A)[actions], np.array([3, 0, 2])
    for chosen, policy_of in ((models, members), (models[members], np.arange(3))):
        found = condition_class(chosen, pi)
        density, aux = models.densities(members, pi[None], np.zeros(3, dtype=np.int64))
        assert_array_equal(found.density[policy_of], density)
        assert_array_equal(found.aux[policy_of], aux)


def test_a_row_that_can_not_be_normalised_is_met_whether_it_is_played_or_not():
    rng = np.random.default_rng(0)
    phi, U = rng.standard_normal((2, 3, 2, 2)), rng.standard_normal((2, 3, 4))
    phi[0, 1, 1] = 0.0
    models = mfg.LinearClass(phi, U, rng.standard_normal((3, 2, 2, 3)), np.full(3, 1 / 3))
    for action in (0, 1):
        pi = np.tile(np.eye(2)[action], (2, 3, 1))
        with pytest.raises(ValueError, match="zero in all entries"):
            mfg.distance_matrix(models, pi)
        with pytest.raises(ValueError, match=r"zero in all entries and can not be normalised.* for .* step 0"):
            mfg.condition(models[1], pi)


@pytest.mark.parametrize("joint", [False, True])
def test_each_model_is_compared_at_its_own_density(joint):
    base = crowd_game(310, masked=True, joint=joint)
    steps = [crowd_game(310 + i, joint=joint)["transition"] for i in range(3)]
    models = mfg.ModelClass([mfg.Game(**{**base, "transition": step}) for step in steps])
    pi = policy(np.random.default_rng(311), 3, base["legal"])
    P = [naive.push(base["initial"], pi, step, joint)[1] for step in steps]
    for twin, comp in (
        (naive.directed_distance, mfg.distance_matrix(models, pi, directed=True)),
        (naive.lower_bound, lower_bounds(models, pi)),
        (naive.upper_bound, upper_bounds(models, pi)),
    ):
        ref = [[twin(p, q, base["initial"], base["legal"]) for q in P] for p in P]
        assert_allclose(comp, ref, atol=1e-13)


def test_pair_deviation_and_deviation_distances():
    models, t, pi = random_class(320, (4, 3, 4, 3))
    conditional = condition_class(models, pi)
    ref = matrix(naive.directed_distance, t)
    deviations = np.stack([policy(np.random.default_rng(i), 3, t.legal) for i in range(3)])
    comp = deviation_distances(conditional, deviations)
    for d, deviation in enumerate(deviations):
        for m, n in np.ndindex(4, 4):
            value = naive.deviation_distance(t.P[m], t.P[n], t.initial, deviation)
            assert_allclose(comp[d, m, n], value, atol=1e-13)
    for m, n in np.ndindex(4, 4):
        distance, actions = pair_deviation(conditional, m, n)
        assert_allclose(distance, ref[m, n], atol=1e-13)
        best = np.zeros((3, 4, 3))
        np.put_along_axis(best, actions[..., None], 1.0, axis=-1)
        assert t.legal[np.arange(4), actions].all()
        assert_allclose(naive.deviation_distance(t.P[m], t.P[n], t.initial, best), ref[m, n], atol=1e-13)


def test_the_most_different_models_are_at_distance_two_a_step():
    P = np.zeros((2, 3, 2, 1, 2))
    P[0, ..., 0] = P[1, ..., 1] = 1.0
    models = mfg.ModelClass.from_tables(P, [0.5, 0.5], "crowd-aversion")
    assert_array_equal(mfg.distance_matrix(models, models[0].uniform_policy()), [[0.0, 6.0], [6.0, 0.0]])


# Properties


@given(SEEDS, SIZES)
def test_distances_are_symmetric_and_zero_to_oneself(seed, sizes):
    models, _, pi = random_class(seed, sizes)
    d = mfg.distance_matrix(models, pi)
    assert_array_equal(d, d.T)
    assert_array_equal(np.diag(d), 0.0)
    assert ((d >= 0) & (d <= 2 * sizes[1] + 1e-12)).all()
    twice = models[list(range(len(models)))]
    assert_array_equal(mfg.distance_matrix(mfg.ModelClass([*models, *twice]), pi).diagonal(len(models)), 0.0)


@given(SEEDS, SIZES)
def test_bounds_bracket_both_directions(seed, sizes):
    models, _, pi = random_class(seed, sizes)
    d = mfg.distance_matrix(models, pi, directed=True)
    low, high = lower_bounds(models, pi), upper_bounds(models, pi)
    assert (low <= np.minimum(d, d.T) + 1e-13).all()
    assert (np.maximum(d, d.T) <= high + 1e-13).all()


@given(SEEDS, SIZES)
def test_no_deviation_exceeds_the_directed_distance(seed, sizes):
    models, t, pi = random_class(seed, sizes)
    deviations = np.stack([policy(np.random.default_rng(seed + i), sizes[1], t.legal, "eighths") for i in range(3)])
    values = deviation_distances(condition_class(models, pi), deviations)
    assert (values <= mfg.distance_matrix(models, pi, directed=True) + 1e-13).all()


@given(SEEDS, st.integers(1, PAIR_BLOCK + 3), st.data())
def test_distances_of_some_models_are_those_of_the_class(seed, n, data):
    models = mfg.linear_class(n, 5, 3, 2, 2, 3, seed=seed)
    pi = models[0].uniform_policy()
    some = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=9, unique=True))
    part = np.ix_(some, some)
    assert_array_equal(mfg.distance_matrix(models[some], pi, True), mfg.distance_matrix(models, pi, True)[part])
    assert_array_equal(lower_bounds(models[some], pi), lower_bounds(models, pi)[part])
    assert_array_equal(upper_bounds(models[some], pi), upper_bounds(models, pi)[part])


@given(SEEDS, st.integers(1, 60), st.data())
def test_distances_to_some_models_are_columns_of_the_matrix(seed, n, data):
    """The same bytes, in whatever order they are asked for."""
    models, _, pi = random_class(seed, (n, 2, 3, 2))
    chosen = st.lists(st.integers(0, n - 1), max_size=2 * PAIR_BLOCK)
    targets = np.array(data.draw(chosen), dtype=np.int64)
    found = distances_to(condition_class(models, pi), targets)
    assert_array_equal(found, mfg.distance_matrix(models, pi)[:, targets])


@given(SEEDS, SIZES, st.randoms())
def test_permuting_models_permutes_results(seed, sizes, random):
    models, _, pi = random_class(seed, sizes)
    order = list(range(len(models)))
    random.shuffle(order)
    swap = np.ix_(order, order)
    d = mfg.distance_matrix(models, pi, directed=True)
    assert_array_equal(mfg.distance_matrix(models[order], pi, directed=True), d[swap])
    assert_allclose(mfg.ne_gaps(models[order], pi), mfg.ne_gaps(models, pi)[order], atol=1e-12)
    radius = np.median(d) + 1e-9
    assert_array_equal(
        mfg.neighbourhoods(models[order], pi, radius).near, mfg.neighbourhoods(models, pi, radius).near[swap]
    )


@given(SEEDS, SIZES, st.randoms())
def test_relabelling_states_changes_nothing(seed, sizes, random):
    models, t, pi = random_class(seed, sizes)
    order = list(range(sizes[2]))
    random.shuffle(order)
    relabelled = mfg.ModelClass.from_tables(
        t.P[:, :, order][..., order], t.initial[order], "crowd-aversion", legal=t.legal[order]
    )
    there = pi[:, order]
    assert_allclose(mfg.distance_matrix(relabelled, there), mfg.distance_matrix(models, pi), atol=1e-12)
    assert_allclose(mfg.ne_gaps(relabelled, there), mfg.ne_gaps(models, pi), atol=1e-11)
    assert_allclose(lower_bounds(relabelled, there), lower_bounds(models, pi), atol=1e-12)
    assert_allclose(upper_bounds(relabelled, there), upper_bounds(models, pi), atol=1e-12)


@given(SEEDS, SIZES)
def test_the_relaxed_triangle_inequality(seed, sizes):
    models, _, pi = random_class(seed, sizes)
    d = mfg.distance_matrix(models, pi)
    to, on = d[:, :, None], d[None]  # A to B, B to C
    assert (d[:, None] <= sizes[1] * np.maximum(to, on) + np.minimum(to, on) + 1e-12).all()


@given(SEEDS, SIZES)
def test_the_lower_bound_does_not_depend_on_the_policy(seed, sizes):
    M, H, S, A = sizes
    models = mfg.linear_class(M, S, A, H, 2, 3, seed=seed)
    rng = np.random.default_rng(seed)
    pi, other = policy(rng, H, models.legal), policy(rng, H, models.legal)
    assert_array_equal(lower_bounds(models, pi), lower_bounds(models, other))


# Neighbourhoods


def brute_force(models, pi, radius):
    return mfg.distance_matrix(models, pi) <= radius


@pytest.mark.parametrize("n", [1, 2, PAIR_BLOCK - 1, PAIR_BLOCK, PAIR_BLOCK + 1, 2 * PAIR_BLOCK + 3])
def test_neighbourhoods_are_those_of_the_distances(n):
    models = mfg.linear_class(n, 5, 3, 3, 2, 3, scale=0.3, seed=n)
    pi = policy(np.random.default_rng(330), 3, models.legal)
    d = mfg.distance_matrix(models, pi)
    assert d.shape == (n, n)
    how = np.zeros(3, dtype=int)
    between = np.quantile(d, np.linspace(0, 1, 12)) * (1 + 1e-7)
    for radius in (0.0, 1e-9, *between, 2 * models.horizon, 1e9):
        result = mfg.neighbourhoods(models, pi, radius)
        assert_array_equal(result.near, d <= radius)
        assert_array_equal(result.counts, (d <= radius).sum(axis=1))
        assert result.central == np.argmax((d <= radius).sum(axis=1))
        assert_array_equal(mfg.neighbour_counts(models, pi, radius), result.counts)
        assert mfg.central_model(models, pi, radius) == result.central
        assert set(result.decided) == {"lower bound", "upper bound", "exact distance"}
        assert sum(result.decided.values()) == n * (n - 1) // 2
        how += list(result.decided.values())
    assert n < 3 or (how > 0).all()  # every way of deciding was taken


@given(SEEDS, SIZES, st.floats(0, 1))
def test_neighbourhoods_of_tables(seed, sizes, quantile):
    models, _, pi = random_class(seed, sizes)
    radius = np.quantile(mfg.distance_matrix(models, pi), quantile) + 1e-9
    assert_array_equal(mfg.neighbourhoods(models, pi, radius).near, brute_force(models, pi, radius))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("H", [1, 2, 3])
def test_a_distance_equal_to_the_radius_counts(seed, H):
    models, _ = table_class(seed, 8, H, 3, 2, "eighths", masked=True)  # distances are exact, many of them equal
    pi = models[0].uniform_policy()
    for radius in np.unique(mfg.distance_matrix(models, pi)):
        assert_array_equal(mfg.neighbourhoods(models, pi, radius).near, brute_force(models, pi, radius))


@pytest.mark.parametrize("H", [1, 2])
def test_a_radius_that_is_a_distance_of_the_matrix_is_read_the_same_way(H):
    different = 0
    for seed in range(10):
        models, _, pi = random_class(seed, (6, H, 5, 3))
        for radius in np.unique(mfg.distance_matrix(models, pi)):
            near = mfg.neighbourhoods(models, pi, radius).near
            different += (near != brute_force(models, pi, radius)).any()
    assert different == 0


def test_the_central_model_is_the_first_of_the_most_crowded():
    rng = np.random.default_rng(340)
    one, two, alone = rows(rng, (3, 1, 2, 3, 2, 3))
    models = mfg.ModelClass.from_tables(np.concatenate([alone, two, one, one, two]), [1, 0, 0], "crowd-aversion")
    pi = models[0].uniform_policy()
    assert list(mfg.neighbour_counts(models, pi, 0.0)) == [1, 2, 2, 2, 2]
    assert mfg.central_model(models, pi, 0.0) == 1
    assert mfg.central_model(models, pi, 100.0) == 0
    assert mfg.central_model(models[[0, 2, 4]], pi, 0.0) == 0


def test_states_nobody_starts_from_do_not_disturb_the_bounds():
    rng = np.random.default_rng(350)
    P, legal = rows(rng, (4, 2, 5, 3, 5)), legal_mask(rng, 5, 3)
    initial = np.array([0.0, 0.25, 0.0, 0.75, 0.0])
    models = mfg.ModelClass.from_tables(P, initial, "crowd-aversion", legal=legal)
    ref = [[naive.lower_bound(p, q, initial, legal) for q in P] for p in P]
    assert_allclose(lower_bounds(models, models[0].uniform_policy()), ref, atol=1e-14)


def test_smaller_blocks_give_the_same_results(monkeypatch):
    models = mfg.linear_class(13, 5, 3, 2, 2, 2)
    pi = models[0].uniform_policy()
    d, gaps = mfg.distance_matrix(models, pi), mfg.ne_gaps(models, pi)
    radius = np.median(d)
    near = mfg.neighbourhoods(models, pi, radius * (1 + 1e-9))
    for operations in (1, 150 * 4, 150 * 9):  # blocks of 1, 2 and 3 models on a side
        monkeypatch.setattr(executors, "TASK_OPERATIONS", operations)
        assert_array_equal(mfg.distance_matrix(models, pi), d)
        assert_allclose(mfg.ne_gaps(models, pi), gaps, rtol=1e-12)
        again = mfg.neighbourhoods(models, pi, radius * (1 + 1e-9))
        assert_array_equal(again.near, near.near)
        assert again.decided == near.decided


def test_progress_counts_blocks():
    models = mfg.linear_class(2 * PAIR_BLOCK + 1, 3, 2, 1, 2, 2)
    seen = []
    mfg.distance_matrix(models, models[0].uniform_policy(), tick=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 5) for i in range(1, 6)]  # the last diagonal block has one model, and so no pair
