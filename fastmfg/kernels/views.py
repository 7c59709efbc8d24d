"""Parts of arrays, lent: the code numba makes of a slice or a reshape takes long to compile.

A part counts no reference to the memory it shows: use it while the whole is there.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array


@intrinsic
def part(typing, whole, start, shape):
    """A contiguous array of this shape (a tuple) that shows `whole`, of any shape, from its entry `start` on."""
    kind = types.Array(whole.dtype, shape.count, "C")

    def build(context, builder, signature, args):
        data = builder.gep(context.make_array(signature.args[0])(context, builder, args[0]).data, [args[1]])
        array = context.make_array(kind)(context, builder)
        itemsize = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(whole.dtype)))
        shape = cgutils.unpack_tuple(builder, args[2])
        strides, stride = [], itemsize
        for length in reversed(shape):
            strides.insert(0, stride)
            stride = builder.mul(stride, length)
        no_owner = ir.Constant(cgutils.voidptr_t, None)
        populate_array(array, data=data, shape=shape, strides=strides, itemsize=itemsize, meminfo=no_owner)
        return array._getvalue()

    return kind(whole, types.int64, shape), build
