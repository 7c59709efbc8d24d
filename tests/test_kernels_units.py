"""Units: parts of kernels that are compiled once and called."""

import numpy as np
import pytest
from numba import njit, types
from numpy.testing import assert_array_equal

from fastmfg.kernels.jit import F1, FunctionPointer, f8, i8, inline, kernel, unit

SCALE = FunctionPointer(i8(f8, F1))


@inline
def halves(x):
    return x[: x.size // 2], x[x.size // 2 :]


@inline
def times(x, factor):
    for i in range(x.size):
        x[i] *= factor


@unit(SCALE)
def scale(factor, x):
    times(x, factor)
    return x.size


@unit(SCALE)
def scale_first_half(factor, x):
    first, _ = halves(x)
    times(first, factor)
    return first.size


@unit(SCALE)
def scale_anywhere(factor, x):
    times(x, factor)
    return x.size


@kernel(i8(f8, F1))
def by_name(factor, x):
    return scale(factor, x)


@kernel(i8(SCALE, f8, F1))
def by_pointer(way, factor, x):
    return way(factor, x)


@kernel(types.void(F1, F1))
def keep_half(x, out):
    first, _ = halves(x)
    out[: first.size] = first


def test_a_unit_is_called_by_its_name_and_through_a_pointer():
    x = np.arange(4.0)
    assert by_name(2.0, x) == 4
    assert by_pointer(scale, 3.0, x) == 4
    assert_array_equal(x, 6 * np.arange(4.0))


def test_a_unit_that_counts_no_references_is_refused_helpers_that_return_arrays():
    with pytest.raises(TypeError, match="scale_first_half counts no references, but halves returns an array"):
        scale_first_half.build()
    x, out = np.arange(6.0), np.zeros(3)
    for _ in range(100):  # the helper, which that unit was the first to call, counts for those who do
        keep_half(x, out)
    assert_array_equal(out, [0, 1, 2])
    assert_array_equal(x, np.arange(6.0))


def test_any_compiled_function_may_call_a_unit():
    @njit
    def call(x):
        return scale_anywhere(2.0, x)

    assert call(np.ones(3)) == 3


def test_what_is_no_compiled_function_is_refused():
    with pytest.raises((TypeError, AttributeError)):
        by_pointer(None, 1.0, np.ones(1))
