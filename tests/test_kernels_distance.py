"""Distance kernels and their bounds, on blocks of pairs, against their slow twins."""

import naive
import numpy as np
import pytest
from builders import ROW_KINDS, legal_mask, rows, tables
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from fastmfg.comparing.conditional import KNOWN
from fastmfg.kernels import distance, table
from fastmfg.kernels.jit import Common

SIZES = [(1, 1, 1), (1, 3, 2), (3, 1, 3), (2, 5, 1), (3, 6, 4), (2, 9, 5)]  # H, S, A
BLOCKS = [(1, 1), (1, 2), (2, 1), (2, 3), (3, 3), (4, 4), (5, 2), (4, 7)]  # rows, columns


class Block:
    """A random block of pairs of ten models, some of them wanted."""

    def __init__(self, seed, H, S, A, R, C, kind="dense", masked=False):
        rng = np.random.default_rng(seed)
        self.t = tables(rng, 10, H, S, A, kind, masked)
        self.members = rng.permutation(10)
        self.rows, self.cols = rng.integers(0, 10, R), rng.integers(0, 10, C)
        self.wanted = rng.random((R, C)) < 0.6
        self.args = (table.fill_by_step, self.t.common, self.t.thetas, self.members, self.t.aux, KNOWN)

    def pairs(self):
        """Index and the two models' tables of each wanted pair."""
        for i, j in np.argwhere(self.wanted):
            yield (i, j), self.t.P[self.members[self.rows[i]]], self.t.P[self.members[self.cols[j]]]

    def reference(self, twin):
        out = {index: twin(P, Q, self.t.initial, self.t.legal) for index, P, Q in self.pairs()}
        return np.array([out.get(index, np.nan) for index in np.ndindex(self.wanted.shape)]).reshape(self.wanted.shape)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", ROW_KINDS)
@pytest.mark.parametrize(("H", "S", "A"), SIZES)
@pytest.mark.parametrize(("R", "C"), BLOCKS)
def test_block_distances(R, C, H, S, A, kind, masked):
    block = Block(30 + R + C, H, S, A, R, C, kind, masked)
    comp = np.full((R, C, 2), np.nan)
    distance.block_distances(*block.args, block.rows, block.cols, block.wanted, comp)
    for index, P, Q in block.pairs():
        ref = naive.block_distances(P, Q, block.t.initial, block.t.legal)
        assert_allclose(comp[index], ref, atol=1e-13)
    assert np.isnan(comp[~block.wanted]).all()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("H", "S", "A"), SIZES)
@pytest.mark.parametrize(("R", "C"), BLOCKS[1::2])
def test_bounds_without_a_radius(R, C, H, S, A, masked):
    block = Block(40 + R + C, H, S, A, R, C, masked=masked)
    low, wanted = np.zeros((R, C)), block.wanted.copy()
    order = np.argsort(-block.t.initial, kind="stable")
    distance.block_lower_bounds(*block.args, order, block.rows, block.cols, wanted, np.inf, low)
    ref = block.reference(naive.lower_bound)
    assert_array_equal(wanted, block.wanted)
    assert_allclose(low[wanted], ref[wanted], atol=1e-14)

    high = low.copy()
    distance.block_upper_bounds(*block.args, block.rows, block.cols, wanted, np.inf, high)
    ref = block.reference(naive.upper_bound)
    assert_array_equal(wanted, block.wanted)
    assert_allclose(high[wanted], ref[wanted], atol=1e-13)


@pytest.mark.parametrize("quantile", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize(("H", "S", "A"), SIZES[1:])
def test_bounds_give_up_pairs_over_the_radius(H, S, A, quantile):
    block = Block(50, H, S, A, 5, 4, masked=True)
    block.wanted[:] = True
    ref_low, ref_high = block.reference(naive.lower_bound), block.reference(naive.upper_bound)
    radius = np.quantile(ref_low, quantile) + 1e-9
    low, wanted = np.zeros((5, 4)), block.wanted.copy()
    order = np.argsort(-block.t.initial, kind="stable")
    distance.block_lower_bounds(*block.args, order, block.rows, block.cols, wanted, radius, low)
    assert_array_equal(wanted, ref_low <= radius)
    assert_allclose(low[wanted], ref_low[wanted], atol=1e-14)
    assert (low[~wanted] > radius).all()
    assert (low <= ref_low + 1e-14).all()  # partial sums are bounds as well

    radius, high = np.quantile(ref_high, quantile) + 1e-9, ref_low.copy()
    wanted = ref_low <= radius  # it is asked about pairs that the lower bound leaves open
    distance.block_upper_bounds(*block.args, block.rows, block.cols, wanted, radius, high)
    assert_array_equal(wanted, ref_high <= radius)
    assert_allclose(high[wanted], ref_high[wanted], atol=1e-13)


@pytest.mark.parametrize("kind", ROW_KINDS)
@pytest.mark.parametrize(("H", "S", "A"), SIZES)
def test_row_gaps(H, S, A, kind):
    block = Block(60, H, S, A, 1, 1, kind)
    comp = np.full((H, S, A), np.nan)
    distance.row_gaps(*block.args, 3, 8, comp)
    ref = naive.row_gaps(block.t.P[block.members[3]], block.t.P[block.members[8]])
    assert_allclose(comp, ref, atol=1e-15 * S)


def test_distances_of_whole_eighths_are_exact():
    block = Block(70, 3, 5, 4, 4, 3, "eighths", masked=True)
    block.wanted[:] = True
    comp = np.full((4, 3, 2), np.nan)
    distance.block_distances(*block.args, block.rows, block.cols, block.wanted, comp)
    for index, P, Q in block.pairs():
        assert_array_equal(comp[index], naive.block_distances(P, Q, block.t.initial, block.t.legal))


# Bytes: a pair's numbers are its own


class Case:
    """Some models whose rows have any form, as kernels read them, and a random block of their pairs."""

    def __init__(self, seed, sizes, form, unknown):
        n, H, S, A = sizes
        rng = np.random.default_rng(seed)
        K = S if form == "dense" else int(rng.integers(1, S + 1))
        B = 1 if form == "factored" else A  # rows a state
        successors = np.argsort(rng.random((S, B, S)))[..., :K].copy() if form != "dense" else np.empty((0, 0, 0), int)
        moves = rng.integers(0, S, (S, A)) if form == "factored" else np.empty((0, 0), int)
        self.common = Common(np.array([float(S)]), rows(rng, (S,)), legal_mask(rng, S, A), successors, moves)
        thetas, aux = rows(rng, (n, H * S * B, K)).reshape(n, -1), np.empty((n, H, 0))
        reward = rng.standard_normal((n, H, S, A)) if unknown else KNOWN
        self.models = (table.fill_by_step, self.common, thetas, rng.permutation(n), aux, reward)
        self.shape = H, S, A
        self.rows, self.cols = (rng.integers(0, n, rng.integers(1, 2 * n)) for _ in range(2))
        self.wanted = rng.random((self.rows.size, self.cols.size)) < rng.choice([0.05, 0.5, 1.0])
        self.order = np.argsort(-self.common.initial, kind="stable")

    def distances(self, block):
        out = np.full((*block[2].shape, 2), np.nan)
        assert distance.block_distances(*self.models, *block, out) == 0
        return out

    def bounds(self, block, radius=np.inf):
        """The lower and the upper bounds, and which pairs they leave within the radius."""
        rows, cols, wanted = block[0], block[1], block[2].copy()
        low = np.zeros(wanted.shape)
        assert distance.block_lower_bounds(*self.models, self.order, rows, cols, wanted, radius, low) == 0
        high, near = low.copy(), wanted.copy()
        assert distance.block_upper_bounds(*self.models, rows, cols, near, radius, high) == 0
        return low, wanted, np.where(near, high, np.inf), near

    def gaps(self, m, n):
        out = np.empty(self.shape)
        assert distance.row_gaps(*self.models, m, n, out) == 0
        return out


cases = st.builds(
    Case, st.integers(0, 10**6), st.tuples(st.integers(1, 9), st.integers(1, 3), st.integers(1, 23), st.integers(1, 6)),
    st.sampled_from(["dense", "sparse", "factored"]), st.booleans(),
)  # fmt: skip


@given(cases)
def test_a_pair_has_the_same_distances_alone_and_mirrored(case):
    block = case.rows, case.cols, case.wanted
    d, mirrored = case.distances(block), case.distances((case.cols, case.rows, case.wanted.T.copy()))
    assert_array_equal(d, mirrored.swapaxes(0, 1)[..., ::-1])
    for i, j in np.argwhere(case.wanted)[::7]:
        assert_array_equal(case.distances((case.rows[[i]], case.cols[[j]], np.array([[True]])))[0, 0], d[i, j])


@given(cases, st.floats(0, 1))
def test_a_pair_has_the_same_bounds_alone_and_mirrored(case, quantile):
    block = case.rows, case.cols, case.wanted
    for radius in (np.inf, np.quantile(case.bounds(block)[0], quantile)):
        found = case.bounds(block, radius)
        mirrored = case.bounds((case.cols, case.rows, case.wanted.T.copy()), radius)
        for a, b in zip(found, mirrored, strict=True):
            assert_array_equal(a, b.T)
        for i, j in np.argwhere(case.wanted)[::7]:
            alone = case.bounds((case.rows[[i]], case.cols[[j]], np.array([[True]])), radius)
            for a, b in zip(found, alone, strict=True):
                assert_array_equal(a[i, j], b[0, 0])


@given(cases)
def test_gaps_are_symmetric_and_those_of_the_bounds(case):
    m, n = case.rows[0], case.cols[-1]
    gap = case.gaps(m, n)
    assert_array_equal(gap, case.gaps(n, m))
    low, _, high, _ = case.bounds((np.array([m]), np.array([n]), np.array([[True]])))
    top = np.where(case.common.legal, gap, 0.0).max(axis=2)
    assert_allclose(low[0, 0], top[0] @ case.common.initial, rtol=1e-13, atol=1e-300)
    assert_allclose(high[0, 0], low[0, 0] + top[1:].max(axis=1).sum(), rtol=1e-13, atol=1e-300)
    assert_array_equal(case.gaps(m, m), 0.0)
