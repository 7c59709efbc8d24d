"""Compile everything at once, before it is needed: each process after that loads it from the disk cache."""

from __future__ import annotations

import importlib
import multiprocessing
import pkgutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import fastmfg.kernels
from fastmfg.executors import thread_count
from fastmfg.kernels.cache import warn_once
from fastmfg.kernels.jit import Filler, Kernel

EVALUATE = (
    "density.push", "reward.rewards", "backup.back_up", "backward.bellman_update", "elementary.exp_row",
    "softmax.mirror_step",
)  # fmt: skip
COMPARE = (
    "forward.send_dense", "backward.expect_dense", "distance.block_lower_bounds", "distance.compare_state",
    "distance.block_distances", "likelihood.log_likelihoods", "walk.walk", "information.back_up_information",
)  # fmt: skip
AHEAD = {"solve": EVALUATE, "learn": EVALUATE + COMPARE, "figure2": EVALUATE + COMPARE}
"""What commands call, in about this order, as ``module.name`` in `fastmfg.kernels`; `link_units` adds the units."""


@dataclass(frozen=True)
class WarmUp:
    """What a warm-up did; `str` says it in a sentence."""

    compiled: int  # functions compiled now
    total: int  # functions of the package
    seconds: float  # that it took
    folder: Path | None  # where compiled code is kept; None: nowhere, and the warm-up was broken off

    def __str__(self) -> str:
        if self.folder is None:
            return (
                "nothing is compiled in advance, as compiled code is not kept: FASTMFG_CACHE=0 turns the cache off, "
                "or no folder can be written; NUMBA_CACHE_DIR names one"
            )
        now = "none of them now" if self.compiled == 0 else f"{self.compiled} of them now"
        return f"all {self.total} kernels are compiled, {now}, in {self.seconds:.1f} s; kept in {self.folder}"


def compiled_names() -> list[tuple[str, str]]:
    """Return module and name of every kernel, unit and filler of the package."""
    found = []
    for info in pkgutil.walk_packages(fastmfg.kernels.__path__, "fastmfg.kernels."):
        for name, value in vars(importlib.import_module(info.name)).items():
            if isinstance(value, (Kernel, Filler)) and value.function.__module__ == info.name:
                found.append((info.name, name))
    return found


def compile_all(processes: int | None = None, tick: Callable[[int, int], None] = lambda done, total: None) -> WarmUp:
    """Compile all functions of the package that the disk cache does not hold.

    Other processes may do so at the same time: nothing is compiled twice. A script that calls this with several
    processes needs ``if __name__ == "__main__":`` around what it does, as processes import it.

    Parameters
    ----------
    processes
        How many to spread the work over; as many as there are threads by default. With one, this process does it.
    tick
        ``tick(done, total)``, called after each function.
    """
    names, started, compiled, folder = compiled_names(), time.perf_counter(), 0, None
    for done, (was_compiled, folder, said) in enumerate(_ensured(names, processes), start=1):
        compiled += was_compiled
        tick(done, len(names))
        for text in said:
            warn_once(text)
        if folder is None:  # nor will the others be kept
            break
    return WarmUp(compiled, len(names), time.perf_counter() - started, folder)


def _ensured(names: list[tuple[str, str]], processes: int | None) -> Iterator[tuple[bool, Path | None, list[str]]]:
    """Of each function: whether it was compiled now, where its code is kept, what was said about it elsewhere."""
    wanted = thread_count() if processes is None else processes
    if wanted == 1:
        yield from ((*_ensure(place), []) for place in names)
        return
    pool = ProcessPoolExecutor(wanted, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield from pool.map(_ensure_elsewhere, names)
    finally:
        pool.shutdown(cancel_futures=True)


def _ensure(place: tuple[str, str]) -> tuple[bool, Path | None]:
    """See to it that a function's code is in the cache."""
    function = getattr(importlib.import_module(place[0]), place[1])
    was_compiled = not function.is_kept() and not function.build()
    return was_compiled, function.cache_folder()


def _ensure_elsewhere(place: tuple[str, str]) -> tuple[bool, Path | None, list[str]]:
    """Ensure it in a process of many, which leaves warnings to the one that asked."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        was_compiled, folder = _ensure(place)
    return was_compiled, folder, [str(one.message) for one in caught if one.category is RuntimeWarning]


@contextmanager
def compile_ahead(command: str) -> Iterator[int]:
    """Have another process compile what a command needs, the last first, while this one compiles what it meets.

    Both keep their code in the disk cache and wait for each other there (`fastmfg.kernels.cache`). Yields how many
    functions the cache lacks; nothing is started where that is few, or with one thread.
    """
    places = [tuple(f"{fastmfg.kernels.__name__}.{name}".rsplit(".", 1)) for name in AHEAD.get(command, ())]
    lacking = [place for place in places if getattr(importlib.import_module(place[0]), place[1]).is_kept() is False]
    helper = None
    if len(lacking) > 1 and thread_count() > 1:
        names = [f"{module}:{name}" for module, name in reversed(lacking)]
        helper = subprocess.Popen(
            [sys.executable, "-m", __name__, *names],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        yield len(lacking)
    finally:
        if helper is not None:
            helper.terminate()
            helper.wait()


if __name__ == "__main__":
    for place in sys.argv[1:]:
        _, kept_in = _ensure((place.partition(":")[0], place.partition(":")[2]))
        if kept_in is None:
            break
