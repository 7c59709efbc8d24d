"""Constants of the theory, and the inequalities they rest on."""

import math

import naive
import naive_certificates as twins
import numpy as np
import pytest
from builders import legal_mask, policy, rows, table_class
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import fastmfg as mfg
from fastmfg.comparing import (
    PracticalConstants,
    cover_count,
    grid_size,
    lower_bounds,
    refuse_unscaled,
    transfer_constant,
    upper_bounds,
)
from fastmfg.games.zoo import hard

SEEDS = st.integers(0, 10**6)
SIZES = st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))  # M, H, S, A
L_R = 0.4


def crowd_class(seed, M, H, S, A):
    """A class whose rows and rewards depend on the density; rewards lie in [0, 1/H], and L_r = L_R / H."""
    rng = np.random.default_rng(seed)
    calm, crowded = rows(rng, (M, H, S, A, S), "eighths"), rows(rng, (M, H, S, A, S))
    bonus, legal = rng.random((H, S, A)), legal_mask(rng, S, A)
    taste = rng.random(S)

    def transition(m):
        return lambda h, mu: (1 - mu[0]) * calm[m, h] + mu[0] * crowded[m, h]

    def reward(h, mu):
        crowd = 2 * L_R * mu @ taste  # changes by at most L_R ||mu - mu'||: taste lies in an interval of length 1
        return ((1 - 2 * L_R) * bonus[h] + crowd) / H

    initial = rows(rng, (S,))
    games = [mfg.Game(initial, transition(m), reward, horizon=H, legal=legal) for m in range(M)]
    return mfg.ModelClass(games), policy(rng, H, legal, "eighths")


# Constants


@pytest.mark.parametrize("H", [1, 3, 7])
@pytest.mark.parametrize("L_r", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("L_T", [0.0, 1e-9, 0.3, 2.0])
def test_constants_are_those_of_the_theorems(H, L_r, L_T):
    found = mfg.theory_constants(0.1, 0.05, H, L_r, L_T, 40)
    eps0, tol, eps_bar = twins.constants(0.1, H, L_r, L_T)
    assert_allclose((found.eps0, found.tol), (eps0, tol), rtol=1e-15)
    assert_allclose(found.eps_bar, eps_bar, rtol=1e-6 if L_T == 1e-9 else 1e-13)  # the twin cancels
    assert found.rounds == 6
    assert_allclose(found.delta0, 0.05 / (math.log2(40) + 1))
    assert found.elimination_rounds is found.trajectories is None


def test_a_small_slope_has_the_limit_of_none():
    tiny, none = (mfg.theory_constants(0.1, 0.1, 4, 0.5, L_T, 8) for L_T in (1e-14, 0.0))
    assert_allclose(tiny.eps_bar, none.eps_bar, rtol=1e-12)
    assert mfg.theory_constants(0.1, 0.1, 4, 0.0, 0.0, 8).eps_bar == math.inf
    assert mfg.theory_constants(0.1, 0.1, 1000, 1.0, 10.0, 8).eps_bar == 0.0  # (1 + L_T)^H beyond numbers


@pytest.mark.parametrize(("n", "rounds"), [(1, 1), (2, 2), (3, 2), (4, 3), (200, 8), (2**60, 61)])
def test_rounds_suffice_to_halve_down_to_one(n, rounds):
    found = mfg.theory_constants(0.1, 0.1, 3, 0.0, 0.0, n)
    assert found.rounds == rounds
    assert n >> (rounds - 1) == 1
    assert rounds * found.delta0 <= 0.1 * (1 + 1e-12)


def test_orders_of_samples():
    found = mfg.theory_constants(0.1, 0.1, 3, 0.0, 0.0, 8, dim=5, constant=2.0)
    assert_allclose(found.elimination_rounds, 2.0 * 3**4 * 5 / found.tol**2)
    assert_allclose(found.trajectories, 2 * 3 * found.elimination_rounds * 4)
    assert found.constant == 2.0
    plain = mfg.theory_constants(0.1, 0.1, 3, 0.0, 0.0, 8, dim=5)
    assert_allclose(plain.elimination_rounds * 2.0, found.elimination_rounds)
    assert mfg.theory_constants(0.1, 0.1, 3, 0.0, 0.0, 8, dim=0).trajectories == 0.0


def test_theory_asks_for_far_more_than_practice():
    theory, practice = mfg.theory_constants(0.3, 0.1, 3, 0.0, 0.0, 8), mfg.practical_constants(0.3, 2 / 3)
    assert_allclose(theory.tol, 0.3 / 336)
    assert_allclose(practice.tol, 0.3 / 8 / (2 / 3))
    PracticalConstants(0.3, 2 / 3, theory.eps0, theory.tol, 0.3 / 4)


@given(st.floats(1e-9, 1e9), st.floats(1e-9, 1e9))
def test_practical_constants_are_sound_and_no_larger_ones_are(epsilon, c):
    k = mfg.practical_constants(epsilon, c)
    assert_allclose([k.eps0 * c, k.tol * c, k.beta], [epsilon / 4, epsilon / 8, epsilon / 4], rtol=1e-12)
    PracticalConstants(epsilon, c, k.eps0, k.tol, k.beta)
    for larger in ((k.eps0 * 1.001, k.tol, k.beta), (k.eps0, k.tol * 1.001, k.beta), (k.eps0, k.tol, k.beta * 1.001)):
        with pytest.raises(ValueError, match=r"beta \+ c \(eps0 \+ 2 tol\) is"):
            PracticalConstants(epsilon, c, *larger)
    with pytest.raises(ValueError, match="c tol is"):
        PracticalConstants(epsilon, c, 0.0, epsilon / (3.9 * c), 0.0)


# Covers


@pytest.mark.parametrize(("N", "A"), [(1, 1), (1, 2), (3, 2), (2, 3), (4, 3), (3, 4)])
def test_points_of_the_cover(N, A):
    assert cover_count(N, A, 1) == len(twins.grid(N, A))
    assert cover_count(N, A, 0) == 1
    assert cover_count(N, A, 3) == len(twins.grid(N, A)) ** 3


def test_covers_are_counted_in_whole_numbers():
    assert cover_count(5000, 3, 9) == (5002 * 5001 // 2) ** 9
    assert grid_size(math.inf, 50) == 1
    assert grid_size(3.0, 2) == 1
    assert grid_size(0.1, 2) == 20
    assert grid_size(0.0999, 2) == 21
    assert grid_size(0.01, 1) == 1
    assert grid_size(5e-324, 3) == 2**1076  # beyond floating numbers, and still a whole number


@given(SEEDS, st.integers(1, 4), st.floats(0.2, 3.0))
def test_the_grid_covers_the_simplex(seed, A, eps_bar):
    points = np.array(twins.grid(grid_size(eps_bar, A), A))
    for u in rows(np.random.default_rng(seed), (10, A)):
        assert np.abs(points - u).sum(axis=1).min() <= eps_bar


# Rewards


def test_rewards_in_range_pass():
    models, pi = crowd_class(0, 3, 3, 4, 2)
    low, high = refuse_unscaled(models, [pi, models[0].uniform_policy()])
    assert 0.0 <= low < high <= 1 / 3
    assert refuse_unscaled(hard.sectors(5)) == (0.0, 1 / 3)
    assert refuse_unscaled(hard.hidden_density(3)) == (0.0, 1.0)  # one reward of 1 at one step: returns in [0, 1]


def test_unscaled_rewards_are_named_and_scaled():
    models, _ = table_class(3, 4, 3, 5, 2)
    with pytest.raises(
        ValueError, match=r"model 0 gives the reward .* \(policies\[0\]\).*Scale them: \(r - "
    ) as caught:
        refuse_unscaled(models)
    words = str(caught.value).replace(":", "").replace(")", "").split()
    low, width = float(words[words.index("-") + 1]), float(words[words.index("/") + 1].rstrip(","))
    assert "epsilon / " in str(caught.value)
    scaled = mfg.ModelClass.from_tables(
        naive_tables(models), models.initial, lambda h, mu: np.clip((models[0].reward(h, mu) - low) / width, 0, 1 / 3)
    )
    refuse_unscaled(scaled)


def naive_tables(models):
    mu = models.initial
    return np.stack([[models[m].transition(h, mu) for h in range(models.horizon)] for m in range(len(models))])


@pytest.mark.parametrize("value", [-0.01, 0.4])
def test_constant_rewards_out_of_range(value):
    P = rows(np.random.default_rng(0), (2, 3, 2, 2, 2))
    models = mfg.ModelClass.from_tables(P, [0.5, 0.5], lambda h, mu: np.full((2, 2), value))
    with pytest.raises(ValueError, match="everywhere: subtract it"):
        refuse_unscaled(models)


def test_illegal_actions_do_not_count():
    P, legal = rows(np.random.default_rng(0), (2, 2, 2, 2, 2)), np.array([[True, False], [True, True]])
    reward = np.array([[0.1, 9.0], [0.2, 0.3]])
    models = mfg.ModelClass.from_tables(P, [0.5, 0.5], lambda h, mu: reward, legal=legal)
    assert refuse_unscaled(models) == (0.1, 0.3)


# Inequalities


@given(SEEDS, SIZES)
def test_densities_differ_by_less_than_the_distance(seed, sizes):
    models, pi = crowd_class(seed, *sizes)
    d = mfg.distance_matrix(models, pi)
    conditionals = [mfg.condition(game, pi) for game in models]
    for i, M in enumerate(conditionals):
        for j, N in enumerate(conditionals):
            own = naive.deviation_distance(M.transition, N.transition, models.initial, pi)
            assert np.abs(M.density - N.density).sum(axis=1).max() <= own + 1e-12 <= d[i, j] + 2e-12


@given(SEEDS, SIZES)
def test_gaps_of_aligned_models_are_close(seed, sizes):
    models, pi = crowd_class(seed, *sizes)
    H = sizes[1]
    d, E = mfg.distance_matrix(models, pi), mfg.ne_gaps(models, pi)
    c = transfer_constant((H - 1) / H, H, L_R / H)
    assert (np.abs(E[:, None] - E[None]) <= c * d + 1e-12).all()


def test_the_transfer_bound_is_tight_in_the_span():
    P = np.zeros((2, 2, 2, 2, 2))
    P[:, 0, :, 0, 0] = P[:, 0, :, 1, 1] = 1.0  # step 1: action a leads to state a
    delta = 0.01
    P[0, 1, :, :] = [0.5, 0.5]
    P[1, 1, 0], P[1, 1, 1] = [0.5 + delta, 0.5 - delta], [0.5 - delta, 0.5 + delta]
    three = np.concatenate([P, P[:1, :1].repeat(2, axis=0)], axis=1)  # the reward is paid at step 3
    models = mfg.ModelClass.from_tables(
        three, [1.0, 0.0], lambda h, mu: np.eye(2)[0][:, None].repeat(2, 1) * (h == 2) / 3
    )
    pi = np.full((3, 2, 2), 0.5)
    pi[0] = [1e-9, 1 - 1e-9]
    gaps, d = mfg.ne_gaps(models, pi), mfg.distance_matrix(models, pi)[0, 1]
    assert_allclose(d, 2 * delta)
    assert_allclose(abs(gaps[0] - gaps[1]), transfer_constant(1 / 3, 3, 0.0) * d, rtol=1e-8)


@given(SEEDS, SIZES)
def test_the_relaxed_triangle_inequality_and_the_bounds_of_d(seed, sizes):
    models, pi = crowd_class(seed, *sizes)
    H, d = sizes[1], mfg.distance_matrix(models, pi)
    to, on = d[:, :, None], d[None]
    assert (d[:, None] <= H * np.maximum(to, on) + np.minimum(to, on) + 1e-12).all()
    directed = mfg.distance_matrix(models, pi, directed=True)
    assert (lower_bounds(models, pi) <= np.minimum(directed, directed.T) + 1e-12).all()
    assert (d <= upper_bounds(models, pi) + 1e-12).all()


# Bad input


@pytest.mark.parametrize(
    ("change", "error", "name"),
    [
        ({"epsilon": 0.0}, ValueError, "epsilon"),
        ({"epsilon": np.inf}, ValueError, "epsilon"),
        ({"delta": 0.0}, ValueError, "delta"),
        ({"delta": 1.0}, ValueError, "delta"),
        ({"H": 0}, ValueError, "H"),
        ({"H": 2.5}, TypeError, "H"),
        ({"L_r": -1e-9}, ValueError, "L_r"),
        ({"L_T": -1.0}, ValueError, "L_T"),
        ({"L_T": np.nan}, ValueError, "L_T"),
        ({"n_models": 0}, ValueError, "n_models"),
        ({"n_models": True}, ValueError, "n_models"),
        ({"dim": -1}, ValueError, "dim"),
        ({"constant": 0.0}, ValueError, "constant"),
    ],
)
def test_bad_constants(change, error, name):
    good = {"epsilon": 0.1, "delta": 0.1, "H": 3, "L_r": 0.0, "L_T": 0.0, "n_models": 8}
    with pytest.raises(error, match=f"{name} must"):
        mfg.theory_constants(**{**good, **change})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: grid_size(0.0, 2), ValueError, "eps_bar"),
        (lambda: grid_size(-math.inf, 2), ValueError, "eps_bar"),
        (lambda: grid_size(math.nan, 2), ValueError, "eps_bar"),
        (lambda: grid_size(0.1, 0), ValueError, "A must"),
        (lambda: cover_count(0, 2, 1), ValueError, "N must"),
        (lambda: cover_count(1, 2, -1), ValueError, "cells"),
        (lambda: transfer_constant(-0.1, 3, 0.0), ValueError, "span"),
        (lambda: transfer_constant(0.1, 0, 0.0), ValueError, "H must"),
        (lambda: transfer_constant(0.1, 3, -1.0), ValueError, "L_r"),
        (lambda: mfg.practical_constants(0.0, 1.0), ValueError, "epsilon"),
        (lambda: mfg.practical_constants(0.1, 0.0), ValueError, "c must"),
        (lambda: refuse_unscaled(hard.sectors(2), []), ValueError, "policies is empty"),
        (lambda: refuse_unscaled(hard.sectors(2), 3), TypeError, "policies must be"),
        (lambda: refuse_unscaled(hard.sectors(2), np.ones((1, 3, 3, 3))), ValueError, r"policies\[0\]\[0, 0\] sums to"),
        (lambda: refuse_unscaled(hard.sectors(2)[0]), TypeError, "models must be a ModelClass"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
