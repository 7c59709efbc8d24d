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

__all__ = [
    "CHECKPOINT",
    "OWN_FILES",
    "RESULT",
    "FolderInUseError",
    "claimed_folder",
    "open_folder",
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


def open_folder(path: Path, force: bool) -> Path:
    """Make the folder, or take it over when it is free of runs; with `force` a run in it is removed first.

    Raises FolderLockedError when that run is still going on.
    """
    if path.exists() and not path.is_dir():
        raise FolderInUseError(f"--out {path} is a file: give a folder")
    present = [name for name in OWN_FILES if (path / name).exists()]
    if has_samples(path / CHECKPOINT):
        present.append(CHECKPOINT)
    if present and not force:
        raise FolderInUseError(f"--out {path} already holds a run ({present[0]}): give another folder, or --force")
    if CHECKPOINT in present:
        clear_checkpoint(path / CHECKPOINT)
    for name in present:
        if name != CHECKPOINT:
            (path / name).unlink()
    path.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path, OWN_FILES.__contains__)
    return path


@contextmanager
def claimed_folder(path: Path, force: bool, tell: Tell) -> Iterator[Checkpoint]:
    """`open_folder`, then a checkpoint in it: while that is open no other process has the folder."""
    open_folder(path, force)
    with Checkpoint(path / CHECKPOINT, tell=tell) as checkpoint:
        if (path / RESULT).exists() or checkpoint.trajectories:
            raise FolderInUseError(f"--out {path} has just been taken by another run: give another folder")
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
