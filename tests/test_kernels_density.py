"""Kernels that follow agents forward in time, against their slow twins."""

from types import SimpleNamespace

import naive
import numpy as np
import pytest
from builders import ROW_KINDS, policy, rows, tables
from numpy.testing import assert_allclose, assert_array_equal
from test_kernels_rows import Linear

from fastmfg.games.transitions import transitions_of
from fastmfg.kernels import density, likelihood, linear, table, walk
from fastmfg.kernels.forms import NO_ROWS, Pairs

SIZES = [  # models, H, S, A; the last ones take several tiles, the last of which is not full
    (1, 1, 1, 1),
    (2, 1, 3, 2),
    (2, 3, 1, 3),
    (2, 4, 5, 1),
    (5, 3, 7, 3),
    (2, 2, 41, 14),
    (1, 3, 65, 3),
]


STEPS = SimpleNamespace(prepare=table.prepare, fill=table.fill_by_step)


def push(fillers, t, members, policies, policy_of, joint=False, check=True, aux_size=0):
    """Density, aux and fault of the kernel."""
    n, H, S = len(members), *policies.shape[1:3]
    mu, aux = np.full((n, H, S), np.nan), np.full((n, H, aux_size), np.nan)
    fault = np.full((n, 5), -7)
    pairs = Pairs(t.thetas, np.array(members), policies, np.array(policy_of), NO_ROWS)
    density.push(transitions_of(fillers.prepare, fillers.fill, t.common), pairs, joint, check, mu, aux, fault)
    return mu, aux, fault


@pytest.mark.parametrize("kind", ROW_KINDS)
@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("sizes", SIZES)
def test_push_and_occupy(sizes, kind, check):
    M, H, S, A = sizes
    rng = np.random.default_rng(4)
    t = tables(rng, M, H, S, A, kind)
    policies = np.stack([policy(rng, H, t.legal, kind) for _ in range(3)])
    members, policy_of = np.arange(M)[::-1].copy(), rng.integers(0, 3, M)
    comp, aux, fault = push(STEPS, t, members, policies, policy_of, check=check)
    ref = [
        naive.push(t.initial, policies[p], lambda h, _, m=m: t.P[m, h])[0]
        for m, p in zip(members, policy_of, strict=True)
    ]
    assert_array_equal(fault[:, 0], 0)
    assert_allclose(comp, ref, atol=1e-14)

    deviations = np.stack([policy(rng, H, t.legal, kind) for _ in range(3)])
    comp = np.full((M, H, S), np.nan)
    pairs = Pairs(t.thetas, members, deviations, policy_of, NO_ROWS)
    density.occupy(transitions_of(table.prepare, table.fill_by_step, t.common), pairs, aux, comp)
    ref = [naive.occupy(t.initial, deviations[p], t.P[m]) for m, p in zip(members, policy_of, strict=True)]
    assert_allclose(comp, ref, atol=1e-14)


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1, 1), (3, 7, 3, 5, 5), (4, 6, 2, 2, 3), (2, 45, 11, 3, 2)])
def test_push_where_rows_depend_on_the_density(sizes):
    H, S, d_phi = sizes[0], sizes[1], sizes[3]
    game = Linear(5, *sizes)
    game.thetas = game.theta[None]
    pi = policy(np.random.default_rng(6), H, game.common.legal)
    ref, P = naive.push(game.mu, pi, naive.linear_game(game.phi, game.U, game.psi))
    comp, aux, _ = push(linear, game, [0], pi[None], [0], aux_size=d_phi * S)
    assert_allclose(comp[0], ref, atol=1e-13)

    deviation = policy(np.random.default_rng(7), H, game.common.legal)
    ref = naive.occupy(game.mu, deviation, P)  # the population stays at the density of pi
    comp = np.full((1, H, S), np.nan)
    pairs = Pairs(game.thetas, np.array([0]), deviation[None], np.array([0]), NO_ROWS)
    density.occupy(transitions_of(linear.prepare, linear.fill, game.common), pairs, aux, comp)
    assert_allclose(comp[0], ref, atol=1e-13)


@pytest.mark.parametrize("h", [0, 2])
@pytest.mark.parametrize(("s", "a"), [(0, 0), (17, 4), (40, 13)])
@pytest.mark.parametrize(
    ("row", "code"), [("negative", density.FAULT_VALUE), ("nan", density.FAULT_VALUE), ("sum", density.FAULT_SUM)]
)
def test_push_names_the_first_faulty_row(h, s, a, row, code):
    rng = np.random.default_rng(8)
    t = tables(rng, 1, 3, 41, 14)
    P = t.thetas.reshape(3, 41, 14, 41)
    if row == "negative":
        P[h, s, a, 0], P[h, s, a, 1] = -0.25, P[h, s, a, :2].sum() + 0.25
    else:
        P[h, s, a, 3] += np.nan if row == "nan" else 2e-9
    pi = policy(rng, 3, t.legal)[None]
    ref = naive.faulty_row(P[h])
    assert ref == (s, a, "sum" if row == "sum" else "value")
    assert_array_equal(push(STEPS, t, [0], pi, [0])[2], [[code, 0, s, a, h]])
    assert push(STEPS, t, [0], pi, [0], check=False)[2][0, 0] == 0


@pytest.mark.parametrize("kind", ROW_KINDS)
@pytest.mark.parametrize(("H", "S", "A", "n"), [(1, 1, 1, 1), (2, 5, 1, 9), (3, 7, 3, 50), (4, 2, 4, 13)])
def test_walk(H, S, A, n, kind):
    rng = np.random.default_rng(9)
    t = tables(rng, 1, H, S, A, kind)
    deviation = policy(rng, H, t.legal, kind)
    uniforms = rng.random((n, 2 * H + 1))
    uniforms[0], uniforms[-1] = 0.0, np.nextafter(1.0, 0.0)
    if kind == "eighths":  # on the edges of running sums
        uniforms[n // 2 :] = rng.integers(0, 8, uniforms[n // 2 :].shape) / 8
    states, actions = np.full((n, H + 1), -1), np.full((n, H), -1)
    walk.walk(table.fill_by_step, t.common, t.thetas[0], t.aux[0], deviation, uniforms, states, actions)
    for i in range(n):
        ref = naive.walk(t.initial, t.P[0], deviation, uniforms[i])
        assert (list(states[i]), list(actions[i])) == ref


def test_walk_never_draws_what_has_probability_zero():
    initial = np.array([0.0, 0.7 - 1e-10, 0.3, 0.0])  # a sum just under one, as far as the checks allow
    t = tables(np.random.default_rng(10), 1, 1, 4, 2)
    common = t.common._replace(initial=initial)
    uniforms = np.array([[0.0, 0.5, 0.5], [1 - 1e-12, 0.5, 0.5]])
    states, actions = np.empty((2, 2), dtype=np.int64), np.empty((2, 1), dtype=np.int64)
    pi = policy(np.random.default_rng(11), 1, t.legal)
    walk.walk(table.fill_by_step, common, t.thetas[0], t.aux[0], pi, uniforms, states, actions)
    assert list(states[:, 0]) == [1, 2]


@pytest.mark.parametrize("kind", ROW_KINDS)
@pytest.mark.parametrize(("M", "H", "S", "A", "n"), [(1, 1, 1, 1, 1), (3, 2, 5, 1, 7), (5, 3, 4, 3, 30)])
def test_log_likelihoods(M, H, S, A, n, kind):
    rng = np.random.default_rng(12)
    t = tables(rng, M, H, S, A, kind)
    data = [rng.integers(0, top, n) for top in (H, S, A, S)]
    members = rng.permutation(M)
    ref = naive.log_likelihoods(t.P[members], *data)
    comp = np.full((M, n), np.nan)
    likelihood.log_likelihoods(table.fill_by_step, t.common, t.thetas, members, t.aux, *data, comp)
    assert_allclose(comp, ref, rtol=1e-15)
    if kind == "eighths" and n == 30:
        assert np.isneginf(comp).any() and np.isfinite(comp).any()


def test_push_starts_where_it_is_told():
    rng = np.random.default_rng(13)
    t = tables(rng, 1, 2, 3, 2)
    t.common.initial[:] = rows(rng, (3,))
    comp, _, _ = push(STEPS, t, [0], policy(rng, 2, t.legal)[None], [0])
    assert_array_equal(comp[0, 0], t.initial)
