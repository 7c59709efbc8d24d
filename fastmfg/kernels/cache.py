"""Compiled code kept on disk: one file a function, signature and processor, written whole and checked when it is read.

A file begins with two digests: of the sources it was compiled from, and of all that follows. What is missing, or of
other sources, is compiled and replaced in silence. What is damaged, of another processor only, or cannot be written is
said once a process, by a RuntimeWarning, and the run goes on. Processes that need the same function at the same time
wait for the first of them to compile it.

Files stand in ``NUMBA_CACHE_DIR`` where that is set, else beside the package, else in the user's folder of caches.
"""

import hashlib
import inspect
import os
import pickle
import sys
import time
import uuid
import warnings
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import numba
from numba.core import config
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.registry import cpu_target
from numba.core.serialize import dumps
from numba.misc.appdirs import AppDirs

if sys.platform != "win32":  # without file locks, processes that start at once may compile the same
    import fcntl

KERNELS = Path(__file__).parent

DIGEST = 32
"""Bytes of a digest, SHA-256."""

PATIENCE = 120.0
"""Seconds to wait for another process that compiles a function, before it is compiled here as well."""

INTERVAL = 0.02
"""Seconds between two looks at whether that process is done."""

_warned: list[str] = []


def warn_once(text):
    """Say what is wrong with the cache, the first time only: a run has a hundred functions and one cache."""
    if not _warned:
        _warned.append(text)
        warnings.warn(text, RuntimeWarning, stacklevel=2)


def sha256(content):
    return hashlib.sha256(content).digest()


def _digest_of(files):
    """Digest of sources, and of numba's version."""
    found = hashlib.sha256(f"numba {numba.__version__}".encode())
    for path in files:
        text = path.read_bytes()
        found.update(f"\n{path.name} {len(text)}\n".encode() + text)
    return found.digest()


SOURCES = _digest_of(sorted(KERNELS.rglob("*.py")))
"""Digest of this folder, whose functions are compiled into each other: as it was imported, whatever becomes of it."""


@cache
def _processor():
    """Name of the processor that code is compiled for, and a digest of all that the compiler knows of it."""
    triple, name, features = cpu_target.target_context.codegen().magic_tuple()
    return name, hashlib.sha256(f"{triple} {name} {features}".encode()).hexdigest()[:8]


class _DamagedError(Exception):
    """A file is not what was written."""


class CodeCache(NullCache):
    """What numba asks for the compiled code of one function, and gives it to."""

    def __init__(self, function, signature):
        source = Path(inspect.getfile(function)).resolve()
        own = source.is_relative_to(KERNELS)
        self._home = KERNELS if own else source.parent
        self._sources = SOURCES if own else sha256(SOURCES + _digest_of([source]))
        module = function.__module__.removeprefix(f"{__package__}.")
        kind = hashlib.sha256(f"{signature} {function.__code__.co_firstlineno}".encode()).hexdigest()[:8]
        version = f"py{sys.version_info[0]}{sys.version_info[1]}{getattr(sys, 'abiflags', '')}"
        self._name = f"{module}.{function.__qualname__}-{kind}.{version}".replace("<", "").replace(">", "")
        self._found = None  # code that was read before numba asked for it
        self.path = None  # the file that this process has read or written
        self.was_loaded = False

    @property
    def cache_path(self):
        """The folder in which the code stands; None where it is not kept."""
        return None if self.path is None else str(self.path.parent)

    def folders(self):
        """Where files are looked for, in this order; the first that can be written gets them."""
        digest = hashlib.sha1(str(self._home).encode(), usedforsecurity=False).hexdigest()
        part = f"{self._home.name}_{digest}"
        if config.CACHE_DIR:
            return [Path(config.CACHE_DIR, part).absolute()]
        users = Path(AppDirs(appname="numba", appauthor=False).user_cache_dir, part)
        return [self._home / "__pycache__", *([users] if users.is_absolute() else [])]

    def file_in(self, folder):
        """This function's file for this processor."""
        return folder / f"{self._name}.{'-'.join(_processor())}.nbc"

    def is_kept(self):
        """Whether code for this processor, of the present sources, stands in one of the folders."""
        return self._find() is not None

    def _find(self):
        """The code in the first folder that has it; None where there is none, or none that is of use."""
        for folder in self.folders():
            path = self.file_in(folder)
            try:
                code = self._read(path)
            except (FileNotFoundError, NotADirectoryError):
                self._look_for_others(folder)
            except (OSError, _DamagedError) as error:
                warn_once(
                    f"compiled code in {path} cannot be used ({error}): it is compiled anew, and replaced where that "
                    f"is possible. If this comes again, delete {folder}, or set NUMBA_CACHE_DIR to another folder"
                )
            else:
                if code is not None:
                    self.path = path
                    return code
        return None

    def _read(self, path):
        """What follows the digests; None where it was made from other sources."""
        content = path.read_bytes()
        sources, digest, code = content[:DIGEST], content[DIGEST : 2 * DIGEST], content[2 * DIGEST :]
        if sha256(sources + code) != digest:
            raise _DamagedError("it is not what was written")
        return code if sources == self._sources else None

    def _look_for_others(self, folder):
        """Say so where there is code of other processors, and none of this one."""
        if _warned:
            return
        start, (name, _) = f"{self._name}.", _processor()
        for path in folder.glob(f"{start}*.nbc"):
            with suppress(OSError), path.open("rb") as file:
                if file.read(DIGEST) == self._sources:
                    other = path.name.removeprefix(start).rpartition("-")[0]
                    what = other if other != name else f"{other} with other features"
                    warn_once(
                        f"compiled code in {folder} was made for another processor ({what}; this one is {name}): it "
                        "is compiled anew and kept beside the other, at the first run only. Set NUMBA_CACHE_DIR to "
                        "give each kind of processor a folder, or NUMBA_CPU_NAME=generic to have one code for all"
                    )
                    return

    @contextmanager
    def claimed(self):
        """Hold the right to compile the function; a process that has waited for another finds the code in the cache."""
        self._found = self._find()
        if self._found is not None or sys.platform == "win32":
            yield
            return
        descriptor, lock = None, None
        for folder in self.folders():
            with suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
                lock = self.file_in(folder).with_suffix(".lock")
                descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
                break
        if descriptor is None:
            yield
            return
        try:
            _wait_for(descriptor)
            yield
        finally:
            with suppress(OSError):
                lock.unlink(missing_ok=True)
            os.close(descriptor)

    def load_overload(self, sig, target_context):
        """Give the compiled code that is kept; None where there is none."""
        target_context.refresh()
        code, self._found = self._find() if self._found is None else self._found, None
        if code is None:
            return None
        try:
            loaded = CompileResult._rebuild(target_context, *pickle.loads(code))
        except Exception as error:  # whatever unpickling comes upon
            warn_once(
                f"compiled code in {self.path} cannot be used ({type(error).__name__}: {error}): it is compiled anew. "
                f"If this comes again, delete {self.path.parent}, or set NUMBA_CACHE_DIR to another folder"
            )
            self.path = None
            return None
        self.was_loaded = True
        return loaded

    def save_overload(self, sig, data):
        """Keep compiled code in the first folder that takes it; not code that holds addresses of this process."""
        if data.library.has_dynamic_globals:
            return
        code, self.path = dumps(data._reduce()), None
        content = self._sources + sha256(self._sources + code) + code
        refusals = []
        for folder in self.folders():
            path = self.file_in(folder)
            try:
                folder.mkdir(parents=True, exist_ok=True)
                _write_whole(path, content)
            except OSError as error:
                refusals.append(f"{folder}: {error.strerror or type(error).__name__}")
            else:
                self.path = path
                return
        warn_once(
            f"compiled code cannot be kept ({'; '.join(refusals)}): every process compiles what it uses. "
            "Set NUMBA_CACHE_DIR to a folder that can be written and has room"
        )


def _wait_for(descriptor):
    """Lock an open file, or give up: when a process holds it too long, or the file system knows no locks."""
    end = time.monotonic() + PATIENCE
    while sys.platform != "win32" and time.monotonic() < end:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(INTERVAL)
        except OSError:
            return
        else:
            return


def _write_whole(path, content):
    """Write a file under another name, then move it into place: readers see the old file, or the new one."""
    temporary = path.with_suffix(f".{uuid.uuid4().hex[:16]}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
