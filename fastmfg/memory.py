"""Memory that is free, asked before much of it is taken: a refusal with numbers instead of a killed process."""

from __future__ import annotations

from pathlib import Path

GIB = 1 << 30

WORTH_ASKING = 1 << 28
"""Bytes from which on it is asked what is free: that takes up to a millisecond."""

UNLIMITED = 1 << 60
"""Limits from here on are none: control groups of version 1 write a number near 2**63."""


def require_memory(what: str, n_bytes: float, advice: str = "make it smaller") -> None:
    """Raise MemoryError, with both numbers, when so much is not free; nothing where no one can tell.

    `what` takes about `n_bytes`; `advice` says what to do about it. Less than `WORTH_ASKING` is not looked at.
    """
    if n_bytes < WORTH_ASKING:
        return
    free = free_memory()
    if free is not None and n_bytes > free:
        raise MemoryError(f"{what} takes about {size_text(n_bytes)}, but only {size_text(free)} are free: {advice}")


def require_numbers(what: str, count: float, advice: str = "make it smaller") -> None:
    """`require_memory` of so many numbers of eight bytes."""
    require_memory(what, 8.0 * count, advice)


def free_memory(root: Path = Path("/")) -> int | None:
    """Bytes that this process may still take: of the machine, and of every control group it is in; None if unknown.

    Page caches count as free. `root` is where ``proc`` and ``sys`` stand.
    """
    known = [free for free in (_machine(root), *_groups(root)) if free is not None]
    return max(min(known), 0) if known else None


def size_text(n_bytes: float) -> str:
    return f"{n_bytes / GIB:.3g} GiB"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _fields(path: Path) -> dict[str, int]:
    """Numbers of a file of lines ``name number ...``."""
    lines = (line.replace(":", " ").split() for line in _read(path).splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdecimal()}


def _machine(root: Path) -> int | None:
    kibibytes = _fields(root / "proc/meminfo").get("MemAvailable")
    return None if kibibytes is None else kibibytes * 1024


def _groups(root: Path) -> list[int]:
    """What is left of the limit of every group above this process, in either version of control groups."""
    left = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            top, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            top = root / "sys/fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        parts = Path(path.lstrip("/")).parts
        groups = [top.joinpath(*parts[:n]) for n in range(len(parts) + 1)]
        left += [free for free in (_left(group, *names) for group in groups) if free is not None]
    return left


def _left(group: Path, limit_name: str, used_name: str, cache_name: str) -> int | None:
    limit, used = _read(group / limit_name).strip(), _read(group / used_name).strip()
    if not limit.isdecimal() or not used.isdecimal() or int(limit) >= UNLIMITED:
        return None
    return int(limit) - int(used) + _fields(group / "memory.stat").get(cache_name, 0)
