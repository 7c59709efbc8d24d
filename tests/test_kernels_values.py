"""Kernels that back values up, and the mirror-descent step, against their slow twins."""

import naive
import numpy as np
import pytest
from builders import ROW_KINDS, numbers, policy, rows, tables
from numpy.testing import assert_allclose, assert_array_equal

from fastmfg.games.transitions import transitions_of
from fastmfg.kernels import backup, backward, information, softmax, table
from fastmfg.kernels.forms import NO_ROWS, Pairs
from fastmfg.kernels.jit import Common

SIZES = [  # models, H, S, A; the last ones take several tiles
    (1, 1, 1, 1),
    (2, 1, 3, 2),
    (2, 3, 1, 3),
    (2, 4, 5, 1),
    (5, 3, 7, 3),
    (2, 2, 41, 14),
    (1, 3, 65, 3),
]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", ROW_KINDS)
@pytest.mark.parametrize("sizes", SIZES)
def test_back_up(sizes, kind, masked):
    M, H, S, A = sizes
    rng = np.random.default_rng(20)
    t = tables(rng, M, H, S, A, kind, masked)
    policies = np.stack([policy(rng, H, t.legal, kind) for _ in range(3)])
    members, policy_of = rng.permutation(M), rng.integers(0, 3, M)
    r = numbers(rng, (M, H, S, A), kind)
    q, greedy, value = np.full((M, H, S, A), np.nan), np.full((M, H, S), -1, dtype=np.int32), np.full((M, 2, S), np.nan)
    for _ in range(2):  # a second pass finds nothing left over from the first
        pairs = Pairs(t.thetas, members, policies, policy_of, NO_ROWS)
        backup.back_up(transitions_of(table.prepare, table.fill_by_step, t.common), pairs, t.aux, r, q, greedy, value)
        for i in range(M):
            ref = naive.back_up(t.P[members[i]], r[i], policies[policy_of[i]], t.legal)
            assert_allclose(q[i], ref[0], atol=1e-13)
            assert_array_equal(greedy[i], ref[1])
            assert_allclose(value[i], ref[2], atol=1e-13)


def test_back_up_takes_the_lowest_legal_action_on_a_tie():
    legal = np.array([[False, True, True], [True, True, True], [False, False, True]])
    common = Common(np.array([3.0]), np.full(3, 1 / 3), legal)
    P = np.full((1, 2, 3, 3, 3), 1 / 3)
    r = np.zeros((1, 2, 3, 3))
    r[..., 0] = 5.0  # best, but illegal in two states
    r[0, :, 1] = 5.0
    greedy = np.full((1, 2, 3), -1, dtype=np.int32)
    pi = naive.back_up(P[0], r[0], np.zeros((2, 3, 3)), legal)[1]
    q, value = np.empty((1, 2, 3, 3)), np.empty((1, 2, 3))
    pairs = Pairs(P.reshape(1, -1), np.array([0]), np.zeros((1, 2, 3, 3)), np.array([0]), NO_ROWS)
    transitions = transitions_of(table.prepare, table.fill_by_step, common)
    backup.back_up(transitions, pairs, np.empty((1, 2, 0)), r, q, greedy, value)
    assert_array_equal(greedy[0], pi)
    assert_array_equal(greedy[0], [[1, 0, 2]] * 2)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("seed", range(4))
def test_ties_are_decided_by_the_margin_not_by_rounding(seed, scale):
    """Values within the margin count as one, and what that loses is bounded."""
    rng = np.random.default_rng(seed)
    S, A, H = 6, 4, 5
    t = tables(rng, 1, H, S, A)
    t.P[:] = t.P[:, :, :, :1]  # all actions lead to the same states, so that rewards decide
    exact = rng.integers(1, 4, (1, H, S, A)) * scale
    pi = rows(rng, (1, H, S, A))
    transitions = transitions_of(table.prepare, table.fill_by_step, t.common)
    pairs = Pairs(t.P.reshape(1, -1), np.array([0]), pi, np.array([0]), NO_ROWS)

    def respond(r):
        q, greedy, value = np.empty((1, H, S, A)), np.empty((1, H, S), dtype=np.int32), np.empty((1, 2, S))
        backup.back_up(transitions, pairs, t.aux, r, q, greedy, value)
        return greedy[0], value[0]

    clear, _ = respond(exact)
    assert_array_equal(clear, exact[0].argmax(axis=-1))
    blurred = exact + rng.uniform(-1, 1, exact.shape) * 0.4 * backward.TIE * scale
    greedy, value = respond(blurred)
    assert_array_equal(greedy, clear)  # whatever is on top by less than the margin
    assert (blurred[0].argmax(axis=-1) != clear).any()
    played = np.zeros((1, H, S, A))
    np.put_along_axis(played, greedy[None, ..., None], 1.0, axis=-1)
    pairs = pairs._replace(policies=played)
    lost = respond(blurred)[1]
    assert_allclose(lost[1], value[1], rtol=1e-15)  # the largest values, of which gaps are made, lose nothing
    assert (lost[1] - lost[0] <= H * backward.TIE * H * np.abs(blurred).max()).all()
    assert (lost[1] - lost[0] > 0).any()


def test_information_on_models_that_are_nearly_alike_is_not_decided_by_rounding():
    """Actions whose rows are each other's with the successors permuted tell models apart alike."""
    rng = np.random.default_rng(23)
    n, S, A = 3, 40, 5
    t = tables(rng, n, 1, S, A)
    base = rng.dirichlet(np.ones(S), S)[None] * (1.0 + 1e-5 * rng.standard_normal((n, S, S)))
    base /= base.sum(axis=-1, keepdims=True)
    for a in range(A):
        t.P[:, 0, :, a] = base[..., rng.permutation(S)]
    q, V, greedy = np.empty((S, A)), np.empty(S), np.empty(S, dtype=np.int64)
    weights = np.full(n, 1 / n)
    information.back_up_information(
        table.fill_by_step, t.common, t.P.reshape(n, -1), np.arange(n), t.aux, weights, 0, np.arange(S), np.zeros(S),
        q, V, greedy,
    )  # fmt: skip
    assert (V < 1e-9).all() and (V > 1e-12).all()
    assert (q.argmax(axis=1) != 0).any()
    assert_array_equal(greedy, 0)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", ROW_KINDS)
@pytest.mark.parametrize(("n", "S", "A"), [(1, 1, 1), (1, 4, 3), (3, 5, 1), (4, 7, 3), (7, 9, 4)])
def test_information(n, S, A, kind, masked):
    rng = np.random.default_rng(21)
    t = tables(rng, n, 2, S, A, kind, masked)
    weights, V_next = rows(rng, (n,), kind), rng.random(S)
    members = rng.permutation(n)
    for h in range(2):
        ref = naive.back_up_information(t.P[members, h], weights, V_next, t.legal)
        q, V, greedy = np.full((S, A), np.nan), np.full(S, np.nan), np.full(S, -1)
        for states in (np.arange(0, S, 2), np.arange(1, S, 2)):
            information.back_up_information(
                table.fill_by_step, t.common, t.thetas, members, t.aux, weights, h, states, V_next, q, V, greedy
            )
        assert_allclose(q, ref[0], atol=1e-14)
        assert_allclose(V, ref[1], atol=1e-14)
        assert_allclose(q[np.arange(S), greedy], ref[0][np.arange(S), ref[2]], atol=1e-14)
        assert t.legal[np.arange(S), greedy].all()


def test_information_is_the_weighted_sum_over_pairs_of_squared_hellinger_distances():
    rng = np.random.default_rng(22)
    t = tables(rng, 4, 1, 3, 2)
    w = rows(rng, (4,))
    q, V, greedy = np.empty((3, 2)), np.empty(3), np.empty(3, dtype=np.int64)
    information.back_up_information(
        table.fill_by_step, t.common, t.thetas, t.members, t.aux, w, 0, np.arange(3), np.zeros(3), q, V, greedy
    )
    pairs = sum(w[m] * w[n] * (1.0 - np.sqrt(t.P[m, 0] * t.P[n, 0]).sum(axis=-1)) for m in range(4) for n in range(4))
    assert_allclose(q, pairs, atol=1e-14)


def test_information_takes_the_lowest_legal_action_on_a_tie_and_skips_models_without_weight():
    legal = np.array([[False, True, True], [True, True, True]])
    common = Common(np.array([2.0]), np.array([0.5, 0.5]), legal)
    P = np.zeros((2, 2, 3, 2))
    P[0, ..., 0] = 1.0
    P[1, ..., 1] = 1.0  # every action tells the two apart alike
    q, V, greedy = np.empty((2, 3)), np.empty(2), np.empty(2, dtype=np.int64)
    args = (table.fill_by_step, common, P.reshape(2, -1), np.arange(2), np.empty((2, 1, 0)))
    information.back_up_information(*args, np.array([0.5, 0.5]), 0, np.arange(2), np.zeros(2), q, V, greedy)
    assert_array_equal(greedy, [1, 0])
    assert_array_equal(V, [0.5, 0.5])
    information.back_up_information(*args, np.array([0.0, 1.0]), 0, np.arange(2), np.array([3.0, 2.0]), q, V, greedy)
    assert_array_equal(V, [2.0, 2.0])


@pytest.mark.parametrize("scale", [0.0, 1e-8, 1.0, 50.0, 1e6])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("H", "S", "A"), [(1, 1, 1), (2, 3, 1), (3, 5, 7), (1, 4, 16), (2, 3, 33)])
def test_mirror_step(H, S, A, masked, scale):
    rng = np.random.default_rng(23)
    legal = tables(rng, 1, 1, S, A, masked=masked).legal
    y, q = rng.standard_normal((H, S, A)), scale * rng.standard_normal((H, S, A))
    comp, pi = np.full_like(y, np.nan), np.full_like(y, np.nan)
    for _ in range(3):  # logits handed on, as solvers do
        ref, ref_pi = naive.mirror_step(y, q, 0.7, legal)
        softmax.mirror_step(y, q, 0.7, legal, comp, pi)
        assert_allclose(comp[:, legal], ref[:, legal], rtol=1e-13, atol=1e-13)
        assert_array_equal(pi[:, ~legal], 0.0)
        assert_allclose(pi, ref_pi, rtol=1e-13 + 1e-15 * scale, atol=1e-300)
        assert_allclose(pi.sum(axis=-1), 1.0, atol=1e-15 * A)
        y = comp.copy()


def test_mirror_step_shares_evenly_on_ties_and_forgets_what_is_hopeless():
    y = np.array([[[0.0, 0.0, -800.0, 0.0], [1e5, 0.0, 1e5, 9e9]]])
    legal = np.array([[True, True, True, True], [True, True, True, False]])
    out, pi = np.empty_like(y), np.empty_like(y)
    softmax.mirror_step(y, np.zeros_like(y), 1.0, legal, out, pi)
    assert_allclose(pi[0, 0], [1 / 3, 1 / 3, 0.0, 1 / 3], rtol=1e-15)
    assert_array_equal(pi[0, 1], [0.5, 0.0, 0.5, 0.0])


@pytest.mark.parametrize("depth", [1.0, 20.0, 100.0, 699.0])
def test_the_polynomial_exponential_is_accurate(depth):
    y = np.linspace(-depth, 0.0, 5001)[None, None]
    out, pi = np.empty_like(y), np.empty_like(y)
    softmax.mirror_step(y, np.zeros_like(y), 0.0, np.ones((1, y.size), dtype=bool), out, pi)
    assert_allclose(pi / pi.max(), np.exp(y), rtol=1e-15)
