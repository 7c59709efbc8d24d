"""Kernels that write rows and rewards, against their slow twins."""

import naive
import numpy as np
import pytest
from builders import rows
from numpy.testing import assert_allclose, assert_array_equal

from fastmfg.kernels import density, linear, reward, table
from fastmfg.kernels.jit import Common

LINEAR_SIZES = [  # H, S, A, d_phi, d_psi; five features have a loop of their own
    (1, 1, 1, 1, 1),
    (2, 3, 1, 2, 3),
    (3, 7, 3, 5, 5),
    (2, 9, 2, 5, 1),
    (1, 17, 5, 6, 2),
    (2, 31, 4, 1, 5),
]


class Linear:
    """One random linear model, by parts and in the form kernels read."""

    def __init__(self, seed, H, S, A, d_phi, d_psi):
        rng = np.random.default_rng(seed)
        self.phi = rng.standard_normal((H, S, A, d_phi))
        self.U = rng.standard_normal((H, S, d_phi * d_psi))
        self.psi = rng.standard_normal((H, d_psi, S))
        self.mu = rows(rng, (S,))
        shared = np.concatenate([[S, A, d_phi, d_psi], self.phi.ravel(), self.U.ravel()])
        self.common = Common(shared, self.mu, np.ones((S, A), dtype=bool))
        self.theta = self.psi.ravel()
        self.aux = np.full(d_phi * S, np.nan)
        self.out = np.full((S, A, S), np.nan)


@pytest.mark.parametrize("sizes", LINEAR_SIZES)
def test_linear_rows_are_those_of_the_equation(sizes):
    game = Linear(0, *sizes)
    for h in range(sizes[0]):
        ref = naive.linear_fill(game.phi[h], naive.linear_prepare(game.U[h], game.psi[h], game.mu))
        assert (
            density.tabulate(linear.prepare, linear.fill, game.common, game.theta, h, game.mu, game.aux, game.out) == 0
        )
        comp = game.out
        assert_allclose(
            game.aux.reshape(sizes[3], -1), naive.linear_prepare(game.U[h], game.psi[h], game.mu), atol=1e-13
        )
        assert_allclose(comp, ref, rtol=1e-12, atol=1e-14)
        assert_allclose(comp.sum(axis=-1), 1.0, atol=1e-14)


def test_a_linear_row_of_zeros_is_reported_by_status():
    game = Linear(1, 2, 5, 2, 3, 3)
    game.phi[1, 3, 1] = 0.0
    shared = np.concatenate([[5, 2, 3, 3], game.phi.ravel(), game.U.ravel()])
    common = game.common._replace(shared=shared)
    statuses = [
        density.tabulate(linear.prepare, linear.fill, common, game.theta, h, game.mu, game.aux, game.out)
        for h in range(2)
    ]
    assert statuses[0] == 0
    assert statuses[1] != 0


@pytest.mark.parametrize(("H", "S", "A"), [(1, 1, 1), (3, 1, 4), (2, 5, 1), (3, 7, 3)])
def test_tables_are_read_as_they_stand(H, S, A):
    rng = np.random.default_rng(2)
    P = rows(rng, (H, S, A, S))
    common = Common(np.array([float(S)]), rows(rng, (S,)), np.ones((S, A), dtype=bool))
    out = np.full((S, A, S), np.nan)
    for h in range(H):
        ref = naive.table_fill_by_step(P.ravel(), S, A, h, 0, S)
        density.tabulate(table.prepare, table.fill_by_step, common, P.ravel(), h, common.initial, np.empty(0), out)
        assert_array_equal(out, ref)
        assert_array_equal(out, P[h])

        theta, aux = P[h].ravel().copy(), P[h].ravel().copy()
        ref = naive.table_fill(aux, S, A, 0, S)
        for fill, *given in ((table.fill, theta, np.empty(0)), (table.fill_from_aux, np.empty(0), aux)):
            out[:] = np.nan
            density.tabulate(table.prepare, fill, common, given[0], h, common.initial, given[1], out)
            assert_array_equal(out, ref)
        assert_array_equal(aux, naive.table_prepare(P[h].ravel()))


@pytest.mark.parametrize("mu", [[1.0], [0.0, 1.0], [0.125, 0.0, 0.5, 0.375], [1e-300, 1.0 - 1e-12, 1e-12]])
@pytest.mark.parametrize("A", [1, 3])
def test_crowd_aversion(mu, A):
    mu = np.array(mu)
    common = Common(np.empty(0), mu, np.ones((mu.size, A), dtype=bool))
    comp = np.full((mu.size, A), np.nan)
    ref = naive.crowd_aversion(mu, A)
    assert reward.reward_step(reward.crowd_aversion, common, np.empty(0), 0, mu, comp) == 0
    assert_allclose(comp, ref, rtol=1e-14)


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize(("n", "H", "S", "A"), [(1, 1, 1, 1), (3, 2, 5, 3), (2, 3, 4, 1)])
def test_rewards_see_the_density_or_the_joint(joint, n, H, S, A):
    # crowd aversion reads the first S numbers of what it sees: of the joint, those of the first states
    rng = np.random.default_rng(3)
    common = Common(np.empty(0), rows(rng, (S,)), np.ones((S, A), dtype=bool))
    mu, pi = rows(rng, (n, H, S)), rows(rng, (2, H, S, A))
    policy_of = rng.integers(0, 2, n)
    comp, status = np.full((n, H, S, A), np.nan), np.full(n, -1)
    reward.rewards(
        reward.crowd_aversion, common, np.empty((n, 0)), np.arange(n), mu, pi, policy_of, joint, comp, status
    )
    ref = [
        naive.rewards(lambda _, seen: naive.crowd_aversion(seen.ravel()[:S], A), mu[i], pi[policy_of[i]], joint)
        for i in range(n)
    ]
    assert_array_equal(status, 0)
    assert_allclose(comp, ref, rtol=1e-14)
