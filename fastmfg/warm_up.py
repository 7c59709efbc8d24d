"""Compile everything at once, before it is needed: each process after that loads it from the disk cache."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import pkgutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import fastmfg.kernels
from fastmfg.executors import thread_count
from fastmfg.kernels import table
from fastmfg.kernels.jit import Filler, Kernel


def compiled_names() -> list[tuple[str, str]]:
    """Return module and name of every kernel, unit and filler of the package."""
    found = []
    for info in pkgutil.walk_packages(fastmfg.kernels.__path__, "fastmfg.kernels."):
        for name, value in vars(importlib.import_module(info.name)).items():
            if isinstance(value, (Kernel, Filler)) and value.function.__module__ == info.name:
                found.append((info.name, name))
    return found


def build(place: tuple[str, str]) -> None:
    """Load one of them, or compile and keep it."""
    getattr(importlib.import_module(place[0]), place[1]).build()


def build_all(processes: int | None = None, tick: Callable[[int, int], None] = lambda done, total: None) -> None:
    """Build all kernels, each by whichever of so many processes is free; `tick` hears how many are done.

    Parameters
    ----------
    processes
        How many at once; as many as there are threads by default. With one, this process does it.
    tick
        ``tick(done, total)``, after each.
    """
    names = compiled_names()
    for done, _ in enumerate(_built(names, thread_count() if processes is None else processes), start=1):
        tick(done, len(names))


def _built(names: list[tuple[str, str]], processes: int) -> Iterator[None]:
    if processes == 1:
        yield from map(build, names)
        return
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(build, names)


def cache_folder() -> Path | None:
    """Return the folder of this package's compiled code; None where the cache is off or no folder can be written."""
    if os.environ.get("FASTMFG_CACHE", "1") == "0":
        return None
    folder: Path | None = table.prepare.cache_folder()
    return folder
