"""The one place that sets compiler options, and the types of the functions a class of models is made of.

A class of models is made of three compiled functions over flat arrays (`fastmfg.games.compiled` explains them):

    prepare(h, population, shared, theta, aux) -> status      once a step: what the population decides for all rows
    fill(h, aux, shared, theta, lo, hi, out) -> status        rows of states lo..hi-1 into out[hi-lo, A, K]
    reward(h, population, shared, theta, out) -> status       out[S, A]

Kernels receive them as first-class functions under an explicit signature, so that one compiled kernel serves
every class and is found in the disk cache by later processes. A kernel is compiled (or loaded) at its first
call, never at import. Kernels release the interpreter lock: threads run them side by side.

Environment: ``FASTMFG_CACHE=0`` turns the disk cache off, ``FASTMFG_CHECK_KERNELS=1`` has numba look at the types of
all arguments at every call, as the tests do: it takes some ten microseconds a call.
"""

import dis
import os
import threading
from collections.abc import Callable
from contextlib import contextmanager
from typing import NamedTuple

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.ccallback import CFunc  # `cfunc` compiles before a cache can be given to it
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import AnalysisPass, register_pass
from numba.core.datamodel.models import OpaqueModel
from numba.core.imputils import lower_constant
from numba.core.sigutils import normalize_signature
from numba.core.typed_passes import NopythonRewrites
from numba.core.typing.typeof import Purpose
from numba.extending import NativeValue, lower_builtin, register_model, typeof_impl, unbox

from fastmfg.kernels.cache import CodeCache

REORDER = {"reassoc", "nsz", "contract", "arcp"}
"""Floating-point freedoms of every kernel: sums may be reordered; NaN and infinities keep their meaning."""

EXACT = {"contract"}
"""Freedoms where operations must keep their order: products and sums may still be fused."""


class FunctionPointer(types.Callable, types.Opaque):
    """The type of compiled functions of one signature, given to kernels as addresses.

    numba's own type of functions (``FunctionType``) does as much, at the price of more code in every kernel that takes
    or calls one.
    """

    def __init__(self, signature):
        self.signature = signature
        super().__init__(f"pointer({signature})")
        if self.name not in _known_pointers:
            _known_pointers.add(self.name)
            _lower_call(self, self, *signature.args)

    def get_call_type(self, context, args, kws):
        return self.signature.replace(recvr=self)  # calls are given the address first

    def get_call_signatures(self):
        return [self.signature], False

    def get_impl_key(self, signature):
        return self.name


_known_pointers: set[str] = set()


@unbox(FunctionPointer)
def _address_of(kind, function, c):
    number = c.pyapi.object_getattr_string(function, "address")
    address = c.pyapi.long_as_voidptr(number)  # with an error set where there is no number
    c.pyapi.decref(number)
    return NativeValue(address, is_error=c.pyapi.c_api_error())


def _lower_call(kind, *args):
    """Have calls of values of a type, with these arguments, compiled as calls of the function that it stands for."""

    @lower_builtin(kind.name, *args)
    def build(context, builder, signature, args):
        value_type = context.get_value_type
        function = ir.FunctionType(value_type(kind.signature.return_type), [value_type(t) for t in kind.signature.args])
        if isinstance(kind, FunctionPointer):
            address, *args = args
            target = builder.bitcast(address, function.as_pointer())
        else:
            kind.unit.build()  # for callers that are no kernels: `link_units` has done it for those
            target = cgutils.get_or_insert_function(builder.module, function, kind.unit.symbol)
        return builder.call(target, args)


f8, i8, b1 = types.float64, types.int64, types.boolean
F1, F2, F3, F4 = f8[::1], f8[:, ::1], f8[:, :, ::1], f8[:, :, :, ::1]
I1, I2, I3 = i8[::1], i8[:, ::1], i8[:, :, ::1]
B2 = b1[:, ::1]

PREPARE = FunctionPointer(i8(i8, F1, F1, F1, F1))
FILL = FunctionPointer(i8(i8, F1, F1, F1, i8, i8, F3))
REWARD = FunctionPointer(i8(i8, F1, F1, F1, F2))
REWARD_PART = FunctionPointer(i8(i8, F1, F1, F1, i8, i8, F2))
"""``(h, population, shared, theta, lo, hi, out)``: rewards of states lo..hi-1 into ``out [A, *]``, from column 0."""


class Common(NamedTuple):
    """What all models of a class share, as kernels see it."""

    shared: np.ndarray  # [*]     constants of the class
    initial: np.ndarray  # [S]    start distribution
    legal: np.ndarray  # [S, A]   boolean
    successors: np.ndarray = np.empty((0, 0, 0), np.int64)  # [S, A, K]   where a row's entries lead; [S, 1, K] factored
    moves: np.ndarray = np.empty((0, 0), np.int64)  # [S, A]   where an action leads before noise; empty: not factored


COMMON = types.NamedTuple((F1, F1, B2, I3, I2), Common)

TILE_BYTES = 1 << 15
"""Rows are filled in tiles of about this size (but at least one state), so that they are used from cache."""


PATIENCE = 0.3
"""Seconds after which a build is no load from the cache."""

_watchers: list[Callable[[str], None]] = []


def watch_builds(watcher):
    """Have ``watcher(name)`` called when something is being compiled, not loaded; None: nobody."""
    _watchers[:] = [] if watcher is None else [watcher]


@contextmanager
def _watch(name):
    if not _watchers:
        yield
        return
    timer = threading.Timer(PATIENCE, _watchers[0], (name,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class _Lazy:
    """Builds a compiled object at first use, once, whichever thread comes first."""

    _lock = threading.RLock()

    def __init__(self, function, signature, keep=True):
        self.function, self._signature, self._keep = function, signature, keep
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__
        self._built = self._code = None

    def _get(self):
        if self._built is None:
            with self._lock:
                if self._built is None:
                    link_units(self.function)
                    with _watch(self.__name__):
                        self._built = self._make()
        return self._built

    def _compile(self, prepared, *arguments):
        """Compile what numba has prepared for it, unless the code is kept already; then keep it."""
        self._code = self._cache()
        if self._code is None:
            prepared.compile(*arguments)
        else:
            prepared._cache = self._code
            with self._code.claimed():
                prepared.compile(*arguments)

    def _cache(self):
        """The disk cache of its code; None where it is turned off, or no file holds what the code depends on."""
        wanted = self._keep and os.environ.get("FASTMFG_CACHE", "1") != "0"
        in_a_file = os.path.isfile(self.function.__code__.co_filename) and self.function.__closure__ is None
        return CodeCache(self.function, self._signature) if wanted and in_a_file else None

    def is_kept(self):
        """Whether its code stands in the cache; None where it is never kept."""
        self._code = self._code or self._cache()
        return None if self._code is None else self._code.is_kept()

    @property
    def is_built(self):
        """Whether it has been loaded or compiled."""
        return self._built is not None

    def build(self):
        """Load it from the cache, or compile it; whether it was loaded."""
        self._get()
        return self._code is not None and self._code.was_loaded

    def cache_folder(self):
        """Where its compiled code stands; None where it is not kept, or has not been looked for."""
        return None if self._code is None or self._code.path is None else self._code.path.parent


class Kernel(_Lazy):
    """A compiled loop with one explicit signature."""

    def __init__(self, function, signature):
        super().__init__(function, signature)
        self._entry = None

    def _make(self):
        dispatcher = njit(nogil=True, fastmath=REORDER, error_model="numpy", no_cfunc_wrapper=True)(self.function)
        self._compile(dispatcher, self._signature)
        dispatcher.disable_compile()
        return dispatcher

    def __call__(self, *args):
        return (self._entry or self._enter())(*args)

    def _enter(self):
        """What is called: the compiled function itself, as there is one signature, or numba's checks before it."""
        dispatcher = self._get()
        checked = os.environ.get("FASTMFG_CHECK_KERNELS", "0") == "1"
        self._entry = dispatcher if checked else dispatcher.overloads[dispatcher.signatures[0]].entry_point
        return self._entry

    @property
    def dispatcher(self):
        """The numba dispatcher, compiled."""
        return self._get()


def kernel(signature):
    """Decorator: a kernel with this signature, compiled or loaded from the cache at its first call."""
    return lambda function: Kernel(function, signature)


@register_pass(mutates_CFG=False, analysis_only=True)
class _NeverRun(AnalysisPass):
    """Spares a helper the machine code of its own: what calls it has it compiled in."""

    _name = "fastmfg_never_run"

    def __init__(self):
        AnalysisPass.__init__(self)

    def run_pass(self, state):
        # the context is this compilation's own; what would be called need only be a builtin, and none other
        state.targetctx.get_executable = lambda library, fndesc, env: [].append
        return False


class _HelperCompiler(CompilerBase):
    def define_pipelines(self):
        steps = DefaultPassBuilder.define_nopython_pipeline(self.state)
        steps.add_pass_after(_NeverRun, NopythonRewrites)
        steps.finalize()
        return [steps]


def _helper(function, fastmath):
    """Compile a helper into the kernels that call it.

    Forced into them: left to the compiler, which decides otherwise for a kernel that stands in the cache, last bits
    would differ between a process that compiles and one that loads. References are counted in all: a helper is compiled
    once, and would else do as the first of its callers.
    """
    return njit(
        fastmath=fastmath, error_model="numpy", forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True,
        pipeline_class=_HelperCompiler, _nrt=True,
    )(function)  # fmt: skip


def inline(function):
    """Decorator: a helper compiled into the kernels that call it."""
    return _helper(function, REORDER)


def inline_exact(function):
    """Decorator: a helper whose operations keep their order; products and sums may still be fused."""
    return _helper(function, EXACT)


def inline_finite(function):
    """Decorator: a helper whose numbers are never NaN, so that a maximum becomes vector code."""
    return _helper(function, REORDER | {"nnan"})


class Filler(_Lazy):
    """A function of a class behind a C pointer: all fillers of one kind have the same numba type."""

    def __init__(self, function, kind, keep=True):
        _Lazy.__init__(self, function, kind.signature, keep)
        self.kind = kind
        self.freedoms, self.allocates = REORDER, True
        self.part = None  # of a reward: the filler that gives those of some of the states, where there is one

    def _make(self):
        signature = normalize_signature(self._signature)
        options = {"fastmath": self.freedoms, "error_model": "numpy", "_nrt": self.allocates}
        callback = CFunc(self.function, signature, locals={}, options=options)
        self._compile(callback)
        if not self.allocates:
            refuse_owners(self.function)
        return callback

    @property
    def address(self):
        """Where the compiled function stands in this process."""
        return self._get().address


class Unit(Filler):
    """A part of kernels that is compiled once, by itself, and called: by its symbol, or through a pointer given.

    A helper that is compiled into its callers is typed and optimised again in each of them; a unit is not. A call
    copies the headers of all its arrays, some 50 to 100 ns: units work on a block of states, or more.
    """

    def __init__(self, function, kind, allocates, exact):
        super().__init__(function, kind)
        self.freedoms, self.allocates = EXACT if exact else REORDER, allocates
        self.symbol = f"{function.__module__}.{function.__name__}"
        self.type_by_name = _UnitType(self)
        _lower_call(self.type_by_name, *kind.signature.args)

    def _make(self):
        built = super()._make()
        llvm.add_symbol(self.symbol, built.address)
        return built


class _UnitType(types.Callable, types.Opaque):
    """What numba takes a unit for, where a kernel calls it by its name."""

    def __init__(self, unit):
        self.unit, self.signature = unit, unit.kind.signature
        super().__init__(f"unit({unit.symbol})")

    def get_call_type(self, context, args, kws):
        return self.signature

    def get_call_signatures(self):
        return [self.signature], False

    def get_impl_key(self, signature):
        return self.name


register_model(_UnitType)(OpaqueModel)
register_model(FunctionPointer)(OpaqueModel)


@lower_constant(_UnitType)
def _constant_unit(context, builder, kind, value):
    return context.get_dummy_value()


@typeof_impl.register(Filler)
def _type_of_filler(filler, context):
    by_name = isinstance(filler, Unit) and context.purpose is Purpose.constant
    return filler.type_by_name if by_name else filler.kind


def _called_by_name(function):
    """The global names that a function reads, in the order of its code."""
    return [
        function.__globals__.get(step.argval) for step in dis.get_instructions(function) if step.opname == "LOAD_GLOBAL"
    ]


def _holds_arrays(kind):
    return isinstance(kind, types.Array) or any(_holds_arrays(part) for part in getattr(kind, "types", ()))


def refuse_owners(function):
    """Refuse helpers that return arrays, in a unit that counts no references: it would never give them back."""
    for helper in _called_by_name(function):
        for compiled in getattr(helper, "overloads", {}).values():
            if _holds_arrays(compiled.signature.return_type):
                raise TypeError(f"{function.__name__} counts no references, but {helper.__name__} returns an array")


def link_units(function, seen=None):
    """Make every unit that a function calls by name, itself or in its helpers, known to the linker."""
    seen = set() if seen is None else seen
    body = getattr(function, "py_func", function)
    if body in seen or not hasattr(body, "__code__"):
        return
    seen.add(body)
    for used in _called_by_name(body):
        if isinstance(used, Unit):
            used._get()
        elif hasattr(used, "py_func"):
            link_units(used, seen)


def unit(kind, *, allocates=False, exact=False):
    """Decorator: a unit of this function type.

    One that makes no arrays counts no references, which is less code. Operations of an exact one keep their order.
    """
    return lambda function: Unit(function, kind, allocates, exact)


def filler(kind):
    """Decorator: a built-in function of a class (``PREPARE``, ``FILL`` or ``REWARD``), compiled at first use."""
    return lambda function: Filler(function, kind)


def part_of(whole):
    """Decorator: the rewards of some of the states (``REWARD_PART``), where `whole` gives those of all."""

    def decorate(function):
        whole.part = Filler(function, REWARD_PART)
        return whole.part

    return decorate
