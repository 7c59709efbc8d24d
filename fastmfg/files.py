"""Files that are there whole or not at all, and stay after a loss of power; arrays in files that notice damage."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNSYNCED = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)
"""What systems answer that can not write a folder's entries through to the disk: they do so by themselves."""


TEMPORARY = re.compile(r"\.(?P<name>.+)\.\d+(-[0-9a-f]{8})?(\.\w+)?")
"""Names of files that are being written: the process, and a random number, as other hosts may write here too."""

DAY = 86400.0
"""Seconds after which nobody is still writing a file."""


class DamagedFileError(ValueError):
    """A file is not what was written."""


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Call ``write(temporary path)``, then move the result into place, through to the disk.

    Readers, also after a crash, see the old file or the new one, never half of it. Raises OSError naming `path`, with
    the old file as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{path.suffix}")
    try:
        write(temporary)
        sync(temporary)
        os.replace(temporary, path)
        if os.name == "posix":
            sync(path.parent)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's entries, are on the disk."""
    folder = path.is_dir()
    descriptor = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not folder or error.errno not in UNSYNCED:
            raise
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path, ours: Callable[[str], bool], age: float = 0.0) -> None:
    """Remove what processes that were killed within `write_whole` have left of files with these names.

    Where others may be writing, give an `age` in seconds (`DAY`): what was touched since is left alone.
    """
    latest = time.time() - age
    for path in folder.glob(".*"):
        match = TEMPORARY.fullmatch(path.name)
        if match and ours(match["name"]) and path.is_file():
            with contextlib.suppress(FileNotFoundError):
                if not age or path.stat().st_mtime < latest:
                    path.unlink()


# Arrays with a header: a line with the SHA-256 of the next one; that line, JSON; then the arrays' bytes in its order


def write_sealed(path: Path, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """A header that JSON can hold, and arrays, in one file; `write_whole` says how."""
    contents = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    listed = [
        {"name": name, "dtype": array.dtype.str, "shape": array.shape, "sha256": digest(array)}
        for name, array in contents.items()
    ]
    line = json.dumps({"header": header, "arrays": listed}).encode()

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            file.write(digest(line).encode() + b"\n" + line + b"\n")
            for array in contents.values():
                file.write(array.data if array.size else b"")

    write_whole(path, write)


def read_sealed(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and arrays as they were written; raises DamagedFileError when a bit differs."""
    with path.open("rb") as file:
        seal, line = file.readline().strip(), file.readline().removesuffix(b"\n")
        if digest(line).encode() != seal:
            raise DamagedFileError(f"{path} is damaged: its header is not what was written")
        content = json.loads(line)
        arrays = {}
        for listed in content["arrays"]:
            array = np.empty(listed["shape"], dtype=listed["dtype"])
            read = file.readinto(array.data.cast("B")) if array.size else 0
            if read != array.nbytes or digest(array) != listed["sha256"]:
                raise DamagedFileError(f"{path} is damaged: its {listed['name']} are not what was written")
            arrays[listed["name"]] = array
        if file.read(1):
            raise DamagedFileError(f"{path} is damaged: something follows its end")
    return content["header"], arrays


def digest(content: bytes | NDArray[Any]) -> str:
    """SHA-256 in hexadecimal digits of bytes, or of a C-contiguous array's."""
    if isinstance(content, np.ndarray):
        return hashlib.sha256(content.data if content.size else b"").hexdigest()
    return hashlib.sha256(content).hexdigest()
