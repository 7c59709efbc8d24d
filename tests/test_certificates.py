"""Certificates of a reference policy: against their definitions, and what they promise."""

import naive_certificates as naive
import numpy as np
import pytest
from builders import crowd_game, policy, table_class
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import fastmfg as mfg
from fastmfg.comparing import certificates
from fastmfg.comparing.certificates import CLEAR, NearDistances, certify_bridge, certify_direct, certify_halving
from fastmfg.comparing.conditional import condition_class
from fastmfg.games.zoo import hard

SEEDS = st.integers(0, 10**6)
SIZES = st.tuples(st.integers(1, 8), st.integers(1, 3), st.integers(1, 4), st.integers(1, 3))  # M, H, S, A
QUANTILES = st.floats(0, 1)


def random_class(seed, sizes, kind="dense"):
    models, t = table_class(seed, *sizes, kind=kind, masked=True)
    return models, policy(np.random.default_rng(seed + 1), sizes[1], t.legal, kind)


def numbers(models, pi, radius_quantile, limit_quantile):
    """Distances, gaps, and two limits within their ranges."""
    d, E = mfg.distance_matrix(models, pi), mfg.ne_gaps(models, pi)
    return d, E, np.quantile(d, radius_quantile) + 1e-9, np.quantile(E, limit_quantile) + 1e-9


# Against the definitions


@given(SEEDS, SIZES, QUANTILES, QUANTILES)
def test_certificates_are_those_of_the_numbers(seed, sizes, radius_quantile, limit_quantile):
    models, pi = random_class(seed, sizes)
    d, E, radius, limit = numbers(models, pi, radius_quantile, limit_quantile)
    counts = (d <= radius).sum(axis=1)

    direct = mfg.direct_certificate(models, pi, radius, limit)
    assert (direct.holds, direct.count) == naive.direct(d, E, radius, limit)
    halving = mfg.halving_certificate(models, pi, radius)
    assert (halving.holds, halving.count, halving.central) == naive.halving(d, radius)
    bridge = mfg.bridge_certificate(models, pi, radius, limit)
    assert bridge.holds == naive.bridge(d, E, radius, limit)
    assert (bridge.count, bridge.ne_gap) == (counts[bridge.central], E[bridge.central])
    if bridge.holds:
        assert 2 * bridge.count >= len(models)
        assert bridge.ne_gap <= limit
    else:
        assert bridge.central == mfg.central_model(models, pi, radius)
    for found in (direct, halving, bridge):
        assert_array_equal(found.counts, counts)
        assert_array_equal(found.members, np.arange(len(models)))
        assert 0.0 <= found.margin <= CLEAR
    for found in (direct, bridge):
        assert_array_equal(found.gaps, E)


@given(SEEDS, SIZES, QUANTILES)
def test_survivors_are_judged_among_themselves(seed, sizes, quantile):
    models, pi = random_class(seed, sizes)
    _, _, radius, limit = numbers(models, pi, quantile, 0.5)
    members = np.random.default_rng(seed).permutation(len(models))[: 1 + len(models) // 2]
    for whole, part in (
        (
            mfg.direct_certificate(models, pi, radius, limit, members=members),
            mfg.direct_certificate(models[members], pi, radius, limit),
        ),
        (
            mfg.halving_certificate(models, pi, radius, members=members),
            mfg.halving_certificate(models[members], pi, radius),
        ),
        (
            mfg.bridge_certificate(models, pi, radius, limit, members=members),
            mfg.bridge_certificate(models[members], pi, radius, limit),
        ),
    ):
        assert (whole.holds, whole.count, whole.margin) == (part.holds, part.count, part.margin)
        assert_array_equal(whole.members, members)
        assert_array_equal(whole.counts, part.counts)
        if hasattr(whole, "central"):
            assert whole.central == members[part.central]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("H", [1, 3])
def test_a_distance_equal_to_the_radius_is_within_it(seed, H):
    models, _ = table_class(seed, 8, H, 3, 2, "eighths", masked=True)  # distances are exact, many of them equal
    pi = models[0].uniform_policy()
    d = mfg.distance_matrix(models, pi)
    for radius in np.unique(d)[1:]:
        found = mfg.direct_certificate(models, pi, radius, 0.1)
        assert_array_equal(found.counts, (d <= radius).sum(axis=1))
        assert_array_equal(found.counts, mfg.neighbour_counts(models, pi, radius))


def test_a_gap_equal_to_its_limit_is_within_it():
    models = hard.sectors(5)
    pi = models[0].uniform_policy()
    E = mfg.ne_gaps(models, pi)
    direct = mfg.direct_certificate(models, pi, 1.0, E.max())
    assert direct.holds
    assert (direct.count, direct.margin) == (0, 0.0)
    assert not mfg.direct_certificate(models, pi, 1.0, E.max() * (1 - 1e-9)).holds
    assert mfg.bridge_certificate(models, pi, 1.0, E.min()).holds
    assert not mfg.bridge_certificate(models, pi, 1.0, E.min() * (1 - 1e-9)).holds


def test_a_radius_of_zero_counts_equal_models():
    one, other, third = (crowd_game(seed)["transition"] for seed in range(3))
    games = [mfg.Game(**{**crowd_game(0), "transition": step}) for step in (one, other, one, third, one)]
    models = mfg.ModelClass(games)
    found = mfg.halving_certificate(models, models[0].uniform_policy(), 0.0)
    assert_array_equal(found.counts, [3, 1, 3, 1, 3])
    assert (found.holds, found.count, found.central, found.margin) == (False, 3, 0, 0.0)
    apart = mfg.halving_certificate(models, models[0].uniform_policy(), 0.0, members=[1, 2, 3])
    assert (apart.holds, apart.count, apart.central, apart.margin) == (True, 1, 1, CLEAR)


def test_joint_populations_and_numpy_games():
    base = crowd_game(5, masked=True, joint=True)
    steps = [crowd_game(5 + i, joint=True)["transition"] for i in range(4)]
    models = mfg.ModelClass([mfg.Game(**{**base, "transition": step}) for step in steps])
    pi = policy(np.random.default_rng(0), 3, base["legal"])
    d, E = mfg.distance_matrix(models, pi), mfg.ne_gaps(models, pi)
    radius = float(np.median(d[d > 0]))
    found = mfg.direct_certificate(models, pi, radius, float(np.median(E)))
    assert (found.holds, found.count) == naive.direct(d, E, radius, np.median(E))


# Margins


def made(d, radius):
    """Distances as certificates see them."""
    least, most = (1 - CLEAR) * radius, (1 + CLEAR) * radius
    return NearDistances(radius, np.where(np.eye(len(d), dtype=bool), 0.0, np.clip(d, least, most)))


def verdicts(d, E, radius, limit):
    members = np.arange(len(d))
    near = made(d, radius)
    return (
        certify_direct(near, E, limit, members),
        certify_halving(near, members),
        certify_bridge(near, E, limit, members),
    )


def changed(kind, d, E, radius, limit, r, towards_holding):
    """The verdict after the change by r that favours one side most: all distances, all gaps together."""
    wider = (towards_holding == (kind == 2)) * 2 - 1  # bridges like neighbours, the others do not
    smaller_gaps = towards_holding * 2 - 1
    moved = np.where(np.eye(len(d), dtype=bool), 0.0, d - wider * r * radius)
    return [
        naive.direct(moved, E - smaller_gaps * r * limit, radius, limit)[0],
        naive.halving(moved, radius)[0],
        naive.bridge(moved, E - smaller_gaps * r * limit, radius, limit),
    ][kind]


@given(SEEDS, st.integers(1, 7), st.floats(0.2, 0.8), st.floats(0.2, 0.8))
def test_no_change_below_the_margin_alters_the_verdict_and_one_above_it_does(seed, n, radius, limit):
    rng = np.random.default_rng(seed)
    d, E = rng.random((n, n)), rng.random(n)
    d = np.where(np.eye(n, dtype=bool), 0.0, (d + d.T) / 2)
    for kind, found in enumerate(verdicts(d, E, radius, limit)):
        other = not found.holds
        assert changed(kind, d, E, radius, limit, found.margin * (1 - 1e-9), other) == found.holds
        if found.margin < CLEAR - 1e-9:
            assert changed(kind, d, E, radius, limit, found.margin + 1e-9, other) != found.holds


@given(SEEDS, SIZES, QUANTILES, QUANTILES)
def test_margins_are_those_of_the_exact_distances(seed, sizes, radius_quantile, limit_quantile):
    models, pi = random_class(seed, sizes)
    d, E, radius, limit = numbers(models, pi, radius_quantile, limit_quantile)
    ref = verdicts(d, E, radius, limit)
    comp = (
        mfg.direct_certificate(models, pi, radius, limit),
        mfg.halving_certificate(models, pi, radius),
        mfg.bridge_certificate(models, pi, radius, limit),
    )
    for a, b in zip(ref, comp, strict=True):
        assert_allclose(a.margin, b.margin, atol=1e-12)


def test_few_distances_are_computed_where_bounds_are_clear(monkeypatch):
    models = mfg.linear_class(20, 6, 4, 3, seed=3)
    wanted = []
    plain = certificates.directed_distances
    monkeypatch.setattr(
        certificates, "directed_distances", lambda c, pairs: (wanted.append(pairs.sum()), plain(c, pairs))[1]
    )
    pi = models[0].uniform_policy()
    assert mfg.halving_certificate(models, pi, 1e-4).holds
    assert mfg.halving_certificate(models, pi, 50.0).count == 20
    assert not wanted
    certificates.near_distances(condition_class(models, pi), float(np.median(mfg.distance_matrix(models, pi))))
    assert 0 < sum(wanted) <= 190


# What they promise


@given(SEEDS, SIZES, QUANTILES, QUANTILES)
def test_after_a_converged_elimination_the_class_is_halved_or_the_policy_good(seed, sizes, radius_q, limit_q):
    models, pi = random_class(seed, sizes)
    d, E, tolerance, epsilon = numbers(models, pi, radius_q, limit_q)
    if mfg.direct_certificate(models, pi, tolerance, epsilon).holds:
        for truth in range(len(models)):
            survivors = (d[truth] <= tolerance).sum()  # at most these
            assert 2 * survivors <= len(models) or E[truth] <= epsilon
    if mfg.halving_certificate(models, pi, tolerance).holds:
        assert mfg.direct_certificate(models, pi, tolerance, epsilon).holds


@given(SEEDS, st.sampled_from([5, 8]))
def test_the_rule_of_the_bridge_is_sound_and_the_direct_certificate_contains_it(seed, n):
    models, rng = hard.sectors(n), np.random.default_rng(seed)
    mu = np.array(hard.ANCHOR) + 0.15 * rng.random() * models.thetas[rng.integers(n)]
    pi = np.full((3, 3, 3), 1 / 3)
    pi[0, 0] = mu
    E, d = mfg.ne_gaps(models, pi), mfg.distance_matrix(models, pi)
    c = mfg.transfer_constant(1 / 3, 3, 0.0)
    epsilon = 4.0 * np.quantile(E, 0.4) + 1e-3
    k = mfg.practical_constants(epsilon, c)
    bridge = mfg.bridge_certificate(models, pi, k.eps0, k.beta)
    if not bridge.holds:
        return
    assert mfg.direct_certificate(models, pi, k.tol, epsilon).holds
    near_bridge = d[bridge.central] <= k.eps0
    for truth in range(n):
        survivors = d[truth] <= k.tol
        if (survivors & near_bridge).any():  # else half of the class is gone
            assert (E[survivors] <= 0.75 * epsilon).all()
        if (E[survivors] <= 0.75 * epsilon).any():
            assert E[truth] <= epsilon


def test_bridges_of_sectors_hold_in_the_centre():
    models = hard.sectors(5)
    held = []
    for t in np.linspace(-0.05, 0.05, 21):
        pi = np.full((3, 3, 3), 1 / 3)
        pi[0, 0] = np.array(hard.ANCHOR) + [t, -t, 0.0]
        held.append(mfg.bridge_certificate(models, pi, 0.024, 0.008).holds)
    assert any(held)
    assert not all(held)


# Bad input


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m, pi: mfg.direct_certificate(m, pi, -1.0, 0.1), ValueError, "tolerance must lie in"),
        (lambda m, pi: mfg.direct_certificate(m, pi, 0.1, 0.0), ValueError, "epsilon must lie in"),
        (lambda m, pi: mfg.direct_certificate(m, pi, 0.1, np.nan), ValueError, "epsilon must lie in"),
        (lambda m, pi: mfg.direct_certificate(m, pi, "0.1", 0.1), TypeError, "tolerance must be a number"),
        (lambda m, pi: mfg.direct_certificate(m, pi[:2], 0.1, 0.1), ValueError, "policy must have shape"),
        (lambda m, pi: mfg.direct_certificate(m, 2 * pi, 0.1, 0.1), ValueError, r"policy\[0, 0\] sums to"),
        (lambda m, pi: mfg.direct_certificate(m, pi, 0.1, 0.1, members=[]), ValueError, "members must be"),
        (lambda m, pi: mfg.direct_certificate(m, pi, 0.1, 0.1, members=[0, 0]), ValueError, "holds a model twice"),
        (lambda m, pi: mfg.halving_certificate(m, pi, 0.1, members=[5]), IndexError, r"members\[0\] is 5"),
        (lambda m, pi: mfg.halving_certificate(m, pi, np.inf), ValueError, "radius must lie in"),
        (lambda m, pi: mfg.halving_certificate(m[0], pi, 0.1), TypeError, "models must be a ModelClass"),
        (lambda m, pi: mfg.bridge_certificate(m, pi, 0.1, 0.0), ValueError, "beta must lie in"),
        (lambda m, pi: mfg.bridge_certificate(m, pi, -0.1, 0.1), ValueError, "radius must lie in"),
    ],
)
def test_bad_input(call, error, message):
    models = hard.sectors(5)
    with pytest.raises(error, match=message):
        call(models, models[0].uniform_policy())
