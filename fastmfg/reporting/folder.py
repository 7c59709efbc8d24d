"""A run's folder: never two runs in one, files written whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

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


class FolderInUseError(FileExistsError):
    """The folder already holds a run."""


def open_folder(path: Path, force: bool) -> Path:
    """Make the folder, or take it over when it is free of runs; with `force` a run in it is removed first."""
    if path.exists() and not path.is_dir():
        raise FolderInUseError(f"--out {path} is a file: give a folder")
    present = [name for name in OWN_FILES if (path / name).exists()]
    if present and not force:
        raise FolderInUseError(f"--out {path} already holds a run ({present[0]}): give another folder, or --force")
    for name in present:
        (path / name).unlink()
    path.mkdir(parents=True, exist_ok=True)
    return path


def write_whole(path: Path, write: Any) -> None:
    """Call ``write(temporary path)``, then move the result into place: readers never see half a file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}{path.suffix}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
