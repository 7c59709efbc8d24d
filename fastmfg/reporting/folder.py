"""A run's folder: never two runs in one, nor two processes at work on one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fastmfg.files import remove_leftovers, write_whole
from fastmfg.learning.checkpoint import Checkpoint, clear_checkpoint, has_samples
from fastmfg.learning.journal import Tell
from fastmfg.lock import FolderLock

__all__ = [
    "CHECKPOINT",
    "OWN_FILES",
    "RESULT",
    "FolderInUseError",
    "claimed_folder",
    "held_folder",
    "taken_folder",
    "write_arrays",
    "write_json",
    "write_whole",
]

RESULT = "result.json"
OWN_FILES = (
    RESULT,
    "policy.npz",
    "elimination.png",
    "models.png",
    "figure2.png",
    "figure2.csv",
    "gap.png",
    "density.png",
)
CHECKPOINT = "checkpoint"
"""The folder in it that holds what a run needs to go on."""


class FolderInUseError(FileExistsError):
    """The folder already holds a run."""


@contextmanager
def held_folder(path: Path) -> Iterator[Path]:
    """Within the context no other process has the folder (FolderLockedError)."""
    lock = FolderLock(path)
    try:
        yield path
    finally:
        lock.release()


@contextmanager
def taken_folder(path: Path, force: bool) -> Iterator[Path]:
    """Make the folder, or take it over when it is free of runs; with `force` a run in it is removed first.

    Within the context no other process has it. Raises FolderLockedError when one has already, FolderInUseError when it
    holds a run.
    """
    if path.exists() and not path.is_dir():
        raise FolderInUseError(f"--out {path} is a file: give a folder")
    _refuse_run(path, force)
    path.mkdir(parents=True, exist_ok=True)
    with held_folder(path):
        present = _refuse_run(path, force)  # it may have been free a moment ago
        if CHECKPOINT in present:
            clear_checkpoint(path / CHECKPOINT)
        for name in present:
            if name != CHECKPOINT:
                (path / name).unlink()
        remove_leftovers(path, OWN_FILES.__contains__)
        yield path


def _refuse_run(path: Path, force: bool) -> list[str]:
    """What the folder holds of a run. Raises FolderInUseError if there is anything, and no `force`."""
    present = [name for name in OWN_FILES if (path / name).exists()]
    if has_samples(path / CHECKPOINT):
        present.append(CHECKPOINT)
    if present and not force:
        raise FolderInUseError(f"--out {path} already holds a run ({present[0]}): give another folder, or --force")
    return present


@contextmanager
def claimed_folder(path: Path, force: bool, tell: Tell) -> Iterator[Checkpoint]:
    """`taken_folder`, and a checkpoint in it."""
    with taken_folder(path, force), Checkpoint(path / CHECKPOINT, tell=tell) as checkpoint:
        yield checkpoint


def write_json(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=2, default=plain, allow_nan=False) + "\n"
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_arrays(path: Path, **arrays: Any) -> None:
    write_whole(path, lambda temporary: np.savez_compressed(temporary, **arrays))


def plain(value: Any) -> Any:
    """NumPy numbers and arrays as JSON knows them."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} does not go into JSON")
