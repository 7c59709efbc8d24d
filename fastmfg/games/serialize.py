"""What other processes build a class of models from: arrays and names of functions, under the SHA-256 of them all.

A function travels by name, with a digest of its code: a process that has another version of the file refuses, instead
of computing something else. Arrays travel beside the rest, without copies on the way out.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from types import CodeType, FunctionType, MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmfg.games.fillers import as_filler, python_function
from fastmfg.games.model_class import ModelClass
from fastmfg.kernels.jit import FILL, PREPARE, REWARD, Filler
from fastmfg.remote import Description

KINDS = {"prepare": PREPARE, "fill": FILL, "reward": REWARD}

OURS = {"fastmfg", "numpy", "numba"} | sys.stdlib_module_names
"""Packages whose functions travel as pickles have them, by name alone: versions are compared elsewhere."""

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Serialized:
    """A class of models in a form that can be sent."""

    digest: str  # SHA-256 of structure and arrays
    structure: bytes  # everything but the arrays
    arrays: tuple[Bytes, ...]  # their bytes

    @staticmethod
    def of(models: ModelClass) -> Serialized:
        """Raises TypeError for a function that other processes cannot find by name."""
        structure, arrays = take_apart(models)
        digest = hashlib.sha256(structure)
        for array in arrays:
            digest.update(array.data)
        return Serialized(digest.hexdigest(), structure, arrays)

    @property
    def size(self) -> int:
        """Bytes to be sent."""
        return len(self.structure) + sum(array.nbytes for array in self.arrays)

    def open(self) -> ModelClass:
        """Build the class; ValueError where this process has another version of a function."""
        arrays = [a if a.flags.writeable else a.copy() for a in self.arrays]  # kernels take no read-only ones
        models: ModelClass = pickle.loads(self.structure, buffers=arrays)
        return models


def describe(models: ModelClass) -> Description:
    """The description of a class, made once and kept as long as the class.

    Raises
    ------
    TypeError
        A function that other processes cannot find by name.
    """
    if "description" not in models.memo:
        models.memo["description"] = Serialized.of(models)
    description: Description = models.memo["description"]
    return description


def take_apart(models: ModelClass) -> tuple[bytes, tuple[Bytes, ...]]:
    """The structure of a class, and the bytes of its arrays (views, not copies)."""
    found: list[pickle.PickleBuffer] = []
    out = BytesIO()
    try:
        _Pickler(out, protocol=5, buffer_callback=found.append).dump(models)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(f"these models cannot be sent to other processes: {error}. {ADVICE}") from None
    views = [buffer.raw() for buffer in found]
    return out.getvalue(), tuple(np.frombuffer(v, np.uint8) if v.nbytes else np.empty(0, np.uint8) for v in views)


ADVICE = (
    "Their functions must be functions of a module that these import: not lambdas, not defined inside other functions, "
    "not in the script that is run (functools.partial of such a function will do for games given in NumPy)"
)


class _Pickler(pickle.Pickler):
    """Functions by name and digest of code."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Filler):
            kind = next(name for name, kind in KINDS.items() if value.kind is kind)
            return find_function, (*_reference(value.function), kind)
        if isinstance(value, FunctionType) and value.__module__.partition(".")[0] not in OURS:
            return find_function, (*_reference(value), "")
        if isinstance(value, MappingProxyType):
            return dict, (dict(value),)
        return NotImplemented


def _body(value: Any) -> Any:
    """The Python function inside a filler or compiled function; anything else as it is."""
    return python_function(value) or value


def _reference(function: FunctionType) -> tuple[str, str, str]:
    """Module, name and digest of the code of a function, which must be found there."""
    module, name = function.__module__, function.__qualname__
    found: Any = None
    if module != "__main__" and name.isidentifier():
        found = getattr(sys.modules.get(module), name, None)
    if _body(found) is not function:
        raise TypeError(f"{name} is not to be found by that name in an importable module (it is of {module})")
    return module, name, code_digest(function)


def find_function(module: str, name: str, digest: str, kind: str) -> Any:
    """The function of that name, behind a pointer where it is a filler of that kind."""
    found = getattr(import_module(module), name, None)
    body = _body(found)
    if not isinstance(body, FunctionType) or code_digest(body) != digest:
        raise ValueError(
            f"{module}.{name} is another function in this process than where the work comes from: all need the same "
            "files and the same version of Python (workers keep what they have once imported: start them anew)"
        )
    return as_filler(name, found, KINDS[kind]) if kind else body


def code_digest(function: FunctionType) -> str:
    """SHA-256 of what a function does, but for the globals that it reads."""
    digest = hashlib.sha256()
    defaults = [function.__defaults__, function.__kwdefaults__]
    for part in (*_code_parts(function.__code__), *map(repr, defaults)):
        digest.update(f"{len(part)} {part}".encode())
    return digest.hexdigest()


def _code_parts(code: CodeType) -> Sequence[str]:
    """Byte code, names and constants, those of functions inside included; texts that other processes find alike."""
    parts = [code.co_code.hex(), repr(code.co_names), repr(code.co_varnames)]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            parts.extend(_code_parts(constant))
        elif isinstance(constant, frozenset):
            parts.append(repr(sorted(map(repr, constant))))
        else:
            parts.append(repr(constant))
    return parts
