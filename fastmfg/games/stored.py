"""Classes of models in files: processes that see the folder map the arrays into memory instead of being sent them."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from fastmfg.files import DAY, remove_leftovers, write_whole
from fastmfg.games.model_class import ModelClass, require_class
from fastmfg.games.serialize import Bytes, Serialized

ABOUT, ARRAYS, STRUCTURE = "class.json", "arrays.bin", "structure.bin"
ALIGNMENT = 64
"""Arrays start at multiples of this many bytes: a cache line."""

KNOWN = {
    "builtins": {"dict", "set", "frozenset", "slice", "range", "complex"},
    "copyreg": {"_reconstructor", "__newobj__"},
    "numpy": {"dtype", "ndarray"},
    "numpy._core.numeric": {"_frombuffer"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
}
"""What a stored structure may refer to, beside this package and functions of modules: it is not trusted."""


@dataclass(frozen=True)
class Stored:
    """A class that stands in a folder."""

    digest: str
    folder: str
    size: int = 0  # of what is sent: next to nothing

    def open(self) -> ModelClass:
        """Map the arrays into memory; nothing is read before it is needed, nothing is ever written back."""
        folder = Path(self.folder)
        about = _about(folder)
        if about["digest"] != self.digest:
            raise ValueError(f"{folder} holds another class now: SHA-256 {about['digest']}, wanted {self.digest}")
        file = folder / ARRAYS
        end = max((start + length for start, length in about["arrays"] if length), default=0)
        if file.stat().st_size < end:
            raise ValueError(f"{file} is cut short: {file.stat().st_size} bytes of {end}")
        whole = np.memmap(file, dtype=np.uint8, mode="c") if end else np.empty(0, np.uint8)
        buffers = [np.asarray(whole[start : start + length]) for start, length in about["arrays"]]
        models = _Unpickler(BytesIO((folder / STRUCTURE).read_bytes()), buffers=buffers).load()
        if not isinstance(models, ModelClass):
            raise ValueError(f"{folder / STRUCTURE} holds no class of models")
        return models


class _Unpickler(pickle.Unpickler):
    """Builds nothing but classes of models."""

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] == "fastmfg" or name in KNOWN.get(module, ()):
            return super().find_class(module, name)
        raise ValueError(f"a stored class of models does not refer to {module}.{name}")


def store(models: ModelClass, folder: str | os.PathLike[str]) -> ModelClass:
    """Write a class into a folder, and open it there.

    The class that is returned is what to compute with: other processes then map its files into memory. The folder must
    be on a file system that all of them see, under the same path.

    Raises
    ------
    TypeError
        Functions that other processes cannot find by name.
    FileExistsError
        The folder holds another class.
    """
    description = Serialized.of(require_class("models", models))
    places = list(_places(description.arrays))
    path = Path(folder).absolute()
    if (path / ABOUT).exists() and _about(path)["digest"] != description.digest:
        raise FileExistsError(f"{path} holds another class: give another folder")

    def write_arrays(file: Path) -> None:
        with file.open("wb") as out:
            for (start, _), array in zip(places, description.arrays, strict=True):
                out.seek(start)
                out.write(array.data)

    about = json.dumps({"digest": description.digest, "arrays": places})
    path.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path, (ABOUT, ARRAYS, STRUCTURE).__contains__, DAY)
    write_whole(path / ARRAYS, write_arrays)
    write_whole(path / STRUCTURE, lambda file: file.write_bytes(description.structure))
    write_whole(path / ABOUT, lambda file: file.write_text(about, encoding="utf-8"))  # last: now it is a class
    return open_stored(path)


def open_stored(folder: str | os.PathLike[str]) -> ModelClass:
    """The class that `store` left in a folder, its arrays mapped into memory.

    Raises
    ------
    ValueError
        No class, or a damaged one; or functions that are not what they were.
    """
    path = Path(folder).absolute()
    stored = Stored(_about(path)["digest"], str(path))
    models = stored.open()
    models.memo["description"] = stored
    return models


def _about(folder: Path) -> dict[str, Any]:
    try:
        about: dict[str, Any] = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        return {"digest": str(about["digest"]), "arrays": [(int(a), int(b)) for a, b in about["arrays"]]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder} holds no stored class of models ({ABOUT}: {error!r})") from None


def _places(arrays: tuple[Bytes, ...]) -> Iterator[tuple[int, int]]:
    """Where arrays start in the file, and how many bytes they are."""
    start = 0
    for array in arrays:
        yield start, array.nbytes
        start += -(-array.nbytes // ALIGNMENT) * ALIGNMENT
