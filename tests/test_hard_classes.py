"""Hard classes for learners: compiled functions against their twins, and the facts their docstrings state."""

import naive_certificates as twins
import numpy as np
import pytest
from builders import rows
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import fastmfg as mfg
from fastmfg.games.zoo import hard

EPS, RADIUS, TOLERANCE = 0.032, 0.024, 0.012  # of sectors

CLASSES = {
    "sectors": lambda: hard.sectors(5),
    "seven sectors": lambda: hard.sectors(7),
    "spirals": lambda: hard.spirals(5, pull=-0.2),
    "switch1d": hard.switch1d,
    "two clusters": hard.two_clusters,
    "hidden density": lambda: hard.hidden_density(3),
    "hidden density of two states": lambda: hard.hidden_density(2, 0.5, 0.1, 1),
    "crowded": hard.crowded,
    "aggregated": hard.aggregated,
}
ROUTING = ("sectors", "seven sectors", "spirals", "switch1d", "hidden density", "hidden density of two states")


def first_step(mu):
    """The policy whose crowd is mu at step 2."""
    d = len(mu)
    pi = np.full((3, d, d), 1.0 / d)
    pi[0, 0] = mu
    return pi


def chances(models, mu):
    """g of each model [n, d]."""
    return np.array([models[m].transition(1, mu)[:, 0, 0] for m in range(len(models))])


def densities(d, n, seed=0):
    rng = np.random.default_rng(seed)
    return [*np.eye(d), *rows(rng, (n, d))]


# Compiled functions against their twins


@pytest.mark.parametrize(("pull", "spin"), [(1.5, 0.0), (0.1, 1.0), (-0.3, 1.0)])
@pytest.mark.parametrize("n", [1, 2, 5, 16])
def test_sectors_rows(n, pull, spin):
    models = hard.sectors(n, pull=pull, spin=spin, width=0.07, bump=0.01)
    directions = models.thetas
    near = [np.array(hard.ANCHOR) + r * e for e in directions for r in (-0.05, 0.0, 0.1, 0.2, 0.23)]
    for mu in densities(3, 20) + near:
        for m, e in enumerate(directions):
            g = twins.sectors_prepare(mu, e, pull, spin, hard.REACH, 0.07, 0.01, hard.ANCHOR)
            for h in range(3):
                assert_allclose(models[m].transition(h, mu), twins.hard_fill(h, g), atol=1e-14)


@given(st.integers(0, 10**6))
def test_switch_rows(seed):
    models, constants = hard.switch1d(4), (0.8, 0.25, 0.004, 0.03, 0.018, 0.1)
    places = [0.12 * (1 + i / 4) for i in range(4)] * 2 + [0.45 - 0.045 * i for i in range(4)]
    for mu in densities(2, 6, seed):
        for m, place in enumerate(places):
            g = twins.switch_prepare(mu, m // 4, place, constants)
            for h in range(3):
                assert_allclose(models[m].transition(h, mu), twins.hard_fill(h, g), atol=1e-14)


@given(st.integers(0, 10**6), st.integers(2, 4))
def test_hidden_rows(seed, d):
    models = hard.hidden_density(d, 0.8, 0.1)
    hidden = hard.density_grid(d, 4)
    assert len(models) == 1 + len(hidden)
    for mu in [*densities(d, 3, seed), *hidden[:3]]:
        for m in range(min(len(models), 6)):
            g = twins.hidden_prepare(mu, 0.1, hidden[m - 1], 0.8) if m else np.zeros(d)
            for h in range(3):
                assert_allclose(models[m].transition(h, mu), twins.hard_fill(h, g), atol=1e-14)


@given(st.integers(0, 100), st.integers(2, 5), st.integers(1, 4))
def test_cluster_rows(seed, S, d):
    models = hard.two_clusters(4, S, d_psi=d, scale=0.3, width=0.6, seed=seed)
    shared = models.common.shared
    phi, U, core = np.split(shared[6:], np.cumsum([S * S * d, S * d * d]))
    for mu in densities(S, 4, seed):
        for m in range(4):
            direction, noise = models.thetas[m, 0], models.thetas[m, 1:].reshape(d, S)
            U_, core_ = U.reshape(S, d * d), core.reshape(d, S)
            W = twins.clusters_prepare(mu, direction, noise, 0.3, 0.6, U_, core_)
            for h in range(3):
                ref = twins.clusters_fill(h, phi.reshape(S, S, d), W)
                assert_allclose(models[m].transition(h, mu), ref, atol=1e-12)


@pytest.mark.parametrize("name", CLASSES)
def test_rows_are_distributions_and_rewards_those_of_the_twin(name):
    models = CLASSES[name]()
    S, H = models.n_states, models.horizon
    for mu in densities(S, 5):
        for m in range(len(models)):
            for h in range(H):
                P = models[m].transition(h, mu)
                assert (P >= 0).all()
                assert_allclose(P.sum(axis=-1), 1.0, atol=1e-12)
    if name not in ("crowded", "aggregated"):
        height = 1.0 if "hidden" in name else 1 / 3
        for h in range(3):
            assert_array_equal(models[0].reward(h, np.full(S, 1 / S)), twins.hard_reward(h, S, height))


# Routing games


@pytest.mark.parametrize("name", ROUTING)
def test_distances_and_gaps_of_routing_games(name):
    models = CLASSES[name]()
    height = 1.0 if "hidden" in name else 1 / 3
    for mu in densities(models.n_states, 4):
        g, pi = chances(models, mu), first_step(mu)
        ref = 2 * np.abs(g[:, None] - g[None]).max(axis=-1)
        assert_allclose(mfg.distance_matrix(models, pi), ref, atol=1e-14)
        assert_allclose(mfg.ne_gaps(models, pi), height * (g.max(axis=1) - g @ mu), atol=1e-14)


# Sectors


@pytest.mark.parametrize("n", hard.SECTORS)
def test_each_equilibrium_of_sectors_is_crowded_by_the_others(n):
    models = hard.sectors(n)
    for j, e in enumerate(models.thetas):
        pi = first_step(np.array(hard.ANCHOR) + hard.REACH * e)
        gaps, counts = mfg.ne_gaps(models, pi), mfg.neighbour_counts(models, pi, RADIUS)
        centre = mfg.central_model(models, pi, RADIUS)
        assert gaps[j] <= 1e-12
        assert counts[j] == 1
        assert counts[centre] == n - 1 == counts.max()
        assert gaps[centre] >= 0.051
        assert gaps.max() >= 0.05  # the stopping bound
        assert not mfg.direct_certificate(models, pi, TOLERANCE, EPS).holds
        assert not mfg.halving_certificate(models, pi, RADIUS).holds
        assert not mfg.bridge_certificate(models, pi, RADIUS, EPS / 4).holds


def test_no_other_crowd_is_an_equilibrium_of_a_sector():
    models = hard.sectors(5)
    points = np.array(twins.grid(40, 3))
    for j, e in enumerate(models.thetas):
        at = np.array(hard.ANCHOR) + hard.REACH * e
        far = [mu for mu in points if np.abs(mu - at).sum() > 0.05]
        assert min(mfg.ne_gap(models[j], first_step(mu)) for mu in far) > 1e-4


@pytest.mark.parametrize("pull", [0.1, -0.1, -0.3])
def test_spirals_keep_their_equilibria(pull):
    models = hard.spirals(5, pull=pull)
    for j, e in enumerate(models.thetas):
        pi = first_step(np.array(hard.ANCHOR) + hard.REACH * e)
        assert mfg.ne_gap(models[j], pi) <= 1e-12
        assert mfg.ne_gaps(models, pi).max() > 0.012


def test_the_field_of_a_spiral_turns():
    mu = np.array(hard.ANCHOR) - 0.1 * hard.spirals(1).thetas[0]  # off every ray
    y, g = mu - hard.ANCHOR, chances(hard.spirals(1, pull=0.0), mu)[0] - 0.5
    assert abs(g @ y) <= 1e-14
    assert_allclose(np.linalg.norm(g), np.linalg.norm(y))


# Equilibria


@pytest.mark.parametrize("name", ["sectors", "seven sectors", "spirals", "switch1d"])
def test_known_equilibria(name):
    models = CLASSES[name]()
    policies = hard.equilibria(models)
    assert max(mfg.ne_gap(model, pi) for model, pi in zip(models, policies, strict=True)) <= 1e-12
    some = np.array([0, len(models) - 1])
    assert_array_equal(hard.equilibria(models[some]), policies[some])


def test_equilibria_of_tents_are_near_their_places():
    crowds = hard.equilibria(hard.switch1d(4))[:, 0, 0, 0]
    assert_allclose(crowds[:4], 0.25 + 0.12 * (1 + np.arange(4) / 4))
    assert_allclose(crowds[4:8], 0.25 - 0.12 * (1 + np.arange(4) / 4))
    assert np.abs(crowds[8:] - (0.45 - 0.045 * np.arange(4))).max() < 0.01


# The line


def test_equilibria_of_the_line():
    models = hard.switch1d()
    for i in range(3):
        left = 0.25 + 0.12 * (1 + i / 4)
        assert mfg.ne_gap(models[i], first_step([left, 1 - left])) <= 1e-12
        assert mfg.ne_gap(models[3 + i], first_step([0.5 - left, 0.5 + left])) <= 1e-12
        assert mfg.ne_gap(models[6 + i], first_step([0.25, 0.75])) <= 1e-12
        grid = np.linspace(0.25, 0.6, 3001)
        f = [np.diff(chances(models[[6 + i]], np.array([x, 1 - x]))[0])[0] < 0 for x in grid]
        crossings = grid[1:][np.diff(np.array(f, dtype=int)) < 0]  # from f > 0 to f < 0: stable
        assert np.abs(crossings - (0.45 - 0.045 * i)).min() < 0.01


def test_the_central_model_of_the_line_switches():
    models = hard.switch1d()
    for x, crowd in ((0.1, (0, 1, 2, 6, 7, 8)), (0.47, (3, 4, 5, 6, 7, 8))):
        near = mfg.neighbourhoods(models, first_step([x, 1 - x]), 0.03)
        assert_array_equal(np.flatnonzero(near.near[near.central]), crowd)
    for i in range(3):
        for m, x in ((i, 0.37 + 0.03 * i), (3 + i, 0.13 - 0.03 * i)):
            near = mfg.neighbourhoods(models, first_step([x, 1 - x]), 0.03)
            assert near.counts.max() > 4.5
            assert not near.near[near.central, m]


# Clusters


def test_clusters_scatter_on_opposite_sides():
    models = hard.two_clusters(8)
    even, odd = np.arange(0, 8, 2), np.arange(1, 8, 2)
    for share, calm, wild in ((0.2, even, odd), (0.8, odd, even)):
        d = mfg.distance_matrix(models, first_step([share, (1 - share) / 2, (1 - share) / 2]))
        assert_allclose(d[np.ix_(calm, calm)], 0.0, atol=1e-14)
        assert (d[np.ix_(wild, wild)] + np.eye(4) > 1e-3).all()
        assert mfg.halving_certificate(models, first_step([share, (1 - share) / 2, (1 - share) / 2]), 1e-4).holds


def test_a_cluster_model_depends_on_its_index_alone():
    few, many = hard.two_clusters(3, seed=7), hard.two_clusters(9, seed=7)
    assert_array_equal(few.thetas, many.thetas[:3])


# Hidden densities


@pytest.mark.parametrize(("d", "size"), [(2, 3), (3, 10), (4, 56), (5, 210)])
def test_the_grid_of_hidden_densities(d, size):
    models = hard.hidden_density(d)
    hidden, b = models.thetas[1:, 1:], models.thetas[1, 0]
    assert len(models) == 1 + size
    assert_allclose(b, 0.4 / d)
    apart = np.abs(hidden[:, None] - hidden[None]).sum(axis=-1) + 9 * np.eye(size)
    assert apart.min() >= 2 * (2 * b) - 1e-12  # supports of radius 2 b / L_T do not meet


@given(st.integers(0, 10**6), st.integers(2, 4))
def test_every_policy_is_an_equilibrium_and_the_crowd_gets_what_it_hits(seed, d):
    models = hard.hidden_density(d)
    hidden, b = models.thetas[:, 1:], models.thetas[:, 0]
    rng = np.random.default_rng(seed)
    start = 0.9 * hidden[rng.integers(1, len(models))] + 0.1 * rows(rng, (d,))
    pi = rows(rng, (3, d, d))
    pi[0, 0] = start
    assert (mfg.ne_gaps(models, pi) <= 1e-15).all()
    for m in range(len(models)):
        value = max(0.0, b[m] - 0.5 * np.abs(start - hidden[m]).sum())
        assert_allclose(mfg.evaluate(models[m], pi), value, atol=1e-15)


@pytest.mark.parametrize("L_T", [1.0, 0.3])
def test_rows_are_exactly_lipschitz(L_T):
    models = hard.hidden_density(3, L_T)
    rng = np.random.default_rng(0)
    steepest = 0.0
    for m in range(1, len(models)):
        mu = models.thetas[m, 1:]
        for _ in range(20):
            other = 0.95 * mu + 0.05 * rows(rng, (3,))
            slope = np.abs(models[m].transition(1, mu) - models[m].transition(1, other)).sum(axis=-1).max()
            slope /= np.abs(mu - other).sum()
            assert slope <= L_T * (1 + 1e-9)
            steepest = max(steepest, slope)
    assert_allclose(steepest, L_T, rtol=1e-9)


def test_the_density_grid():
    assert_array_equal(hard.density_grid(1, 5), [[1.0]])
    for d, zeta in ((2, 3), (3, 4), (4, 2)):
        assert_allclose(sorted(map(tuple, hard.density_grid(d, zeta))), sorted(twins.grid(zeta, d)))


# Linear classes


def test_everything_crowds_in_a_crowded_class():
    models = hard.crowded()
    for seed in range(3):
        pi = rows(np.random.default_rng(seed), (3, 6, 4))
        counts = mfg.neighbour_counts(models, pi, 0.03)
        assert_array_equal(counts, len(models))
        assert (mfg.distance_matrix(models, pi) + np.eye(len(models)) > 1e-6).all()


def test_aggregated_models_change_one_kind_of_row():
    models = hard.aggregated(3, 5, 2, 2)
    assert len(models) == 12
    mu = np.full(5, 0.2)
    P = np.stack([models[m].transition(1, mu).reshape(10, 5) for m in range(12)])
    for i, j in np.ndindex(12, 12):
        gap = np.abs(P[i] - P[j]).sum(axis=-1)
        kinds = np.unique(np.arange(10)[gap > 1e-12] % 3)
        assert set(kinds) == ({i % 3, j % 3} if i % 3 != j % 3 else {i % 3} if i != j else set())
        if i != j and i % 3 == j % 3:
            assert gap[i % 3] >= 0.05


# Bad input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hard.sectors(0), "n_models must be at least 1"),
        (lambda: hard.sectors(5, width=0.0), "width"),
        (lambda: hard.sectors(5, bump=-1.0), "bump"),
        (lambda: hard.switch1d(5), "n_each must be at most 4"),
        (lambda: hard.two_clusters(4, 1), "n_states"),
        (lambda: hard.two_clusters(4, scale=1.5), "scale"),
        (lambda: hard.two_clusters(4, seed=-1), "seed"),
        (lambda: hard.hidden_density(1), "d must be at least 2"),
        (lambda: hard.hidden_density(3, 1.5), "L_T must lie in"),
        (lambda: hard.hidden_density(3, 0.5, 0.4), "b must be at most"),
        (lambda: hard.hidden_density(3, 1.0, 0.1, 6), "zeta must be at most"),
        (lambda: hard.hidden_density(3, 1.0, 0.1, 0), "zeta"),
        (lambda: hard.aggregated(9, 4, 2), "d must be at most"),
        (lambda: hard.aggregated(0), "d must be at least 1"),
        (lambda: hard.equilibria(hard.crowded()), "models must be of sectors, spirals or switch1d"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
