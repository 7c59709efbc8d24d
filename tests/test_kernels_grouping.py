"""Grouping of indices by keys."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from fastmfg.kernels.grouping import group


@njit
def grouped(keys):
    order = np.full(keys.size, -1)
    group(keys, order)
    return order


@given(st.lists(st.one_of(st.integers(0, 9), st.integers(0, 2**56)), max_size=40), st.integers(0, 4))
def test_equal_keys_stand_side_by_side(keys, twice):
    keys = np.array(keys * twice, dtype=np.int64) * 64  # many share a bucket
    order = grouped(keys)
    assert sorted(order) == list(range(keys.size))
    runs = 1 + np.count_nonzero(np.diff(keys[order])) if keys.size else 0
    assert runs == len(set(keys.tolist()))
