"""A folder for one process at a time."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from pathlib import Path

if sys.platform != "win32":
    import fcntl

UNLOCKABLE = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL)
"""What file systems answer that know no locks."""


_mine: set[Path] = set()
"""Lock files that this process has made: others that name it are left over from one that had its number."""


class FolderLockedError(OSError):
    """Another process is at work in the folder."""


class FolderLock:
    """Holds a folder until it is released, or until the process ends, however it ends.

    The file `lock` in the folder says who holds it, and goes when it is released. Where the system knows no file locks,
    the file `lock.held` is the lock: one that a dead process of the same host has left counts as none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path, self.held = folder, folder / "lock", folder / "lock.held"
        self._descriptor: int | None = None
        self._made = False
        if not self._lock_file():
            self._make_file()

    def release(self) -> None:
        """Let others in; may be called twice."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):  # a folder that can not be written any more keeps it
                self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None
        if self._made:
            self.held.unlink(missing_ok=True)
            _mine.discard(self.held)
            self._made = False

    def _lock_file(self) -> bool:
        """Whether the system's lock is held; False where there are none."""
        if sys.platform == "win32":
            return False
        while self._descriptor is None:
            descriptor = self._open_locked()
            if descriptor is None:
                return False
            if _is_at(descriptor, self.path):
                self._descriptor = descriptor
            else:  # whoever held it has just removed it
                os.close(descriptor)
        return True

    def _open_locked(self) -> int | None:
        """The lock file, open and locked; None where there are no locks."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.write(descriptor, owner().encode())
        except BlockingIOError:
            os.close(descriptor)
            raise self._locked(self.path) from None
        except OSError as error:
            os.close(descriptor)
            if error.errno in UNLOCKABLE:
                return None
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        return descriptor

    def _make_file(self) -> None:
        if self.held.exists() and is_stale(self.held):
            self.held.unlink(missing_ok=True)
        try:
            descriptor = os.open(self.held, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            raise self._locked(self.held) from None
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(owner())
        self._made = True
        _mine.add(self.held)

    def _locked(self, path: Path) -> FolderLockedError:
        pid, host = owner_of(path)
        remedy = f"; if there is no such process, delete {path}" if path == self.held else ""
        return FolderLockedError(f"{self.folder} is in use by process {pid} on {host}{remedy}")


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def owner() -> str:
    return f"{os.getpid()} {socket.gethostname()}\n"


def owner_of(path: Path) -> tuple[str, str]:
    """Process and host that a lock file names; "?" where it does not say."""
    words: list[str] = []
    with contextlib.suppress(OSError, UnicodeDecodeError):
        words = path.read_text(encoding="utf-8").split()
    return (words[0], words[1]) if len(words) == 2 else ("?", "?")


def is_stale(path: Path) -> bool:
    """Whether a lock file names a process of this host that is no more."""
    pid, host = owner_of(path)
    if sys.platform == "win32" or host != socket.gethostname() or not pid.isdecimal():
        return False  # nobody here can tell
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it is somebody else's
        return False
    return int(pid) == os.getpid() and path not in _mine
