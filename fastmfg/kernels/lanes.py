"""Sums along rows in a fixed order: L1 gaps and dot products of several rows at once. And largest entries.

Each sum runs in four lanes, entry k in lane k % 4, each lane in order; then ``(0 + 1) + (2 + 3)``. That order is
written down here in vector types rather than left to the compiler, so that a sum is the same to the last bit whatever
else is computed beside it, however the loop around it is cut and however wide the processor's vectors are.
(numba gives a kernel's freedoms to every operation that has no flag of its own, hence `KEPT`.)

Rows are given by the places where they begin in an array of any shape. A *cross* takes every row of one array with
every row of another, which saves loads; a *zip* takes them one by one.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 4

KEPT = ("nsz",)
"""A freedom that changes no sum. Operations that have it are given no others."""

_number, _index = ir.DoubleType(), ir.IntType(64)
_vector = ir.VectorType(_number, LANES)
_mask = ir.VectorType(ir.IntType(1), LANES)
_zeros = ir.Constant(_vector, [0.0] * LANES)


def _add_gap(builder, total, x, y):
    """``total + |x - y|``"""
    module = builder.module
    fabs = cgutils.get_or_insert_function(module, ir.FunctionType(_vector, [_vector]), f"llvm.fabs.v{LANES}f64")
    return builder.fadd(total, builder.call(fabs, [builder.fsub(x, y, flags=KEPT)]), flags=KEPT)


def _add_product(builder, total, x, y):
    """``total + x * y``, in one operation where the processor has it."""
    kind = ir.FunctionType(_vector, [_vector] * 3)
    fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{LANES}f64")
    return builder.call(fma, [x, y, total])


def _sums_of(builder, totals):
    """The sums of the lanes of each vector: four vectors at a time."""

    def shuffle(a, b, places):
        return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), LANES), places))

    def of_halves(a, b):  # a0+a1, b0+b1, a2+a3, b2+b3
        return builder.fadd(shuffle(a, b, [0, 4, 2, 6]), shuffle(a, b, [1, 5, 3, 7]), flags=KEPT)

    sums = []
    for first in range(0, len(totals), 4):
        a, b, c, d = (totals[min(first + i, len(totals) - 1)] for i in range(4))
        ab, cd = of_halves(a, b), of_halves(c, d)
        four = builder.fadd(shuffle(ab, cd, [0, 1, 4, 5]), shuffle(ab, cd, [2, 3, 6, 7]), flags=KEPT)
        sums += [builder.extract_element(four, ir.Constant(ir.IntType(32), i)) for i in range(4)]
    return sums[: len(totals)]


def _load(builder, place, rest):
    """Four entries; with `rest` so many of them, and zeros."""
    pointer = builder.bitcast(place, _vector.as_pointer())
    if rest is None:
        return builder.load(pointer, align=8)
    kind = ir.FunctionType(_vector, [_vector.as_pointer(), ir.IntType(32), _mask, _vector])
    masked = cgutils.get_or_insert_function(builder.module, kind, f"llvm.masked.load.v{LANES}f64.p0")
    return builder.call(masked, [pointer, ir.Constant(ir.IntType(32), 8), rest, _zeros])


def _all_lanes(builder, values):
    vector = ir.Constant(ir.VectorType(values[0].type, LANES), ir.Undefined)
    for i, value in enumerate(values):
        vector = builder.insert_element(vector, value, ir.Constant(ir.IntType(32), i))
    return vector


def _first_lanes(builder, count):
    """True in the first so many lanes."""
    every = ir.Constant(ir.VectorType(_index, LANES), list(range(LANES)))
    return builder.icmp_signed("<", every, _all_lanes(builder, [count] * LANES))


def _for_fours(builder, count, work):
    """``work(k, rest)`` for the entries k .. k+3, k = 0, 4, ..; with `rest`, the lanes that are left, for the last."""
    zero, step = ir.Constant(_index, 0), ir.Constant(_index, LANES)
    whole = builder.and_(count, ir.Constant(_index, -LANES))
    with cgutils.for_range_slice(builder, zero, whole, step, _index, inc=True) as (k, _):
        work(k, None)
    rest = builder.sub(count, whole)
    with builder.if_then(builder.icmp_signed(">", rest, zero)):
        work(whole, _first_lanes(builder, rest))


def _places(context, builder, kind, array, starts):
    """Pointers to the entries of an array of any shape, counted through."""
    data = context.make_array(kind)(context, builder, array).data
    return [builder.gep(data, [start]) for start in starts]


def _sums(add, pairs_of):
    """An intrinsic ``(X, places, Y, places, K)``: sums over rows of K entries, of the pairs of rows named."""

    @intrinsic
    def sums(typing, X, xs, Y, ys, K):
        pairs = pairs_of(xs.count, ys.count)

        def build(context, builder, signature, args):
            X_type, _, Y_type, _, _ = signature.args
            x_rows = _places(context, builder, X_type, args[0], cgutils.unpack_tuple(builder, args[1]))
            y_rows = _places(context, builder, Y_type, args[2], cgutils.unpack_tuple(builder, args[3]))
            totals = [cgutils.alloca_once_value(builder, _zeros) for _ in pairs]

            def add_entries(k, rest):
                x, y = ([_load(builder, builder.gep(row, [k]), rest) for row in rows] for rows in (x_rows, y_rows))
                for total, (i, j) in zip(totals, pairs, strict=True):
                    builder.store(add(builder, builder.load(total), x[i], y[j]), total)

            _for_fours(builder, args[4], add_entries)
            values = _sums_of(builder, [builder.load(total) for total in totals])
            return context.make_tuple(builder, signature.return_type, values)

        result = types.UniTuple(types.float64, len(pairs))
        return result(X, xs, Y, ys, types.int64), build

    return sums


def _each_with_each(m, n):
    return [(i, j) for i in range(m) for j in range(n)]


def _one_by_one(m, _):
    return [(i, i) for i in range(m)]


cross_gaps = _sums(_add_gap, _each_with_each)
"""``cross_gaps(X, (x0, x1), Y, (y0, ..), K)``: L1 gaps of each row of X with each of Y; the last one of Y fastest."""
zip_gaps = _sums(_add_gap, _one_by_one)
cross_dots = _sums(_add_product, _each_with_each)


@intrinsic
def gathered_dots(typing, X, x, places, first, Y, ys, K):
    """``sum_k X[x + k] Y[y + places[first + k]]`` of four y, each in order."""

    def build(context, builder, signature, args):
        row, places, *values = (
            _places(context, builder, signature.args[i], args[i], starts)
            for i, starts in ((0, [args[1]]), (2, [args[3]]), (4, cgutils.unpack_tuple(builder, args[5])))
        )
        total = cgutils.alloca_once_value(builder, _zeros)
        zero, one = ir.Constant(_index, 0), ir.Constant(_index, 1)
        with cgutils.for_range_slice(builder, zero, args[6], one, _index, inc=True) as (k, _):
            place = builder.load(builder.gep(places[0], [k]))
            read = [builder.load(builder.gep(value, [place])) for value in values[0]]
            weights = _all_lanes(builder, [builder.load(builder.gep(row[0], [k]))] * LANES)
            builder.store(_add_product(builder, builder.load(total), weights, _all_lanes(builder, read)), total)
        sums = builder.load(total)
        lanes = [builder.extract_element(sums, ir.Constant(ir.IntType(32), i)) for i in range(LANES)]
        return context.make_tuple(builder, signature.return_type, lanes)

    return types.UniTuple(types.float64, LANES)(X, types.int64, places, types.int64, Y, ys, types.int64), build


def _build_largest(context, builder, signature, args):
    *arrays, count = args
    rows = [
        _places(context, builder, signature.args[i], arrays[i], [arrays[i + 1]])[0] for i in range(0, len(arrays), 2)
    ]
    top = cgutils.alloca_once_value(builder, _zeros)

    def keep(value, kept):
        larger = builder.fcmp_ordered(">", value, kept, flags=KEPT)
        return builder.select(larger, value, kept)

    def keep_larger(k, rest):
        value, *more = (_load(builder, builder.gep(row, [k]), rest) for row in rows)
        for other in more:
            value = builder.fadd(value, other, flags=KEPT)
        builder.store(keep(value, builder.load(top)), top)

    _for_fours(builder, count, keep_larger)
    tops = builder.load(top)
    lanes = [builder.extract_element(tops, ir.Constant(ir.IntType(32), i)) for i in range(LANES)]
    return keep(keep(lanes[0], lanes[1]), keep(lanes[2], lanes[3]))


@intrinsic
def largest(typing, X, x, count):
    """The largest of so many entries from x on; at least 0."""
    return types.float64(X, types.int64, types.int64), _build_largest


@intrinsic
def largest_sum(typing, X, x, Y, y, count):
    """The largest sum of an entry of X, from x on, and the one of Y beside it, from y on; at least 0."""
    return types.float64(X, types.int64, Y, types.int64, types.int64), _build_largest
