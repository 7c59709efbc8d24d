"""Many machines: Dask clusters found, checked and warmed up; work on many models; classes in files.

    from fastmfg import cluster
    with cluster.connect("scheduler.json") as client:
        gaps = mfg.ne_gaps(models, policy, executor=client)

``pip install "fastmfg[cluster]"`` brings Dask. Start workers with one thread each (``dask worker --nthreads 1``):
`dask worker --preload fastmfg.cluster` loads what is compiled before the first task arrives.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import llvmlite.binding
import numba
import numpy as np

from fastmfg import __version__
from fastmfg.comparing.neighbourhood import neighbour_counts
from fastmfg.executors import Tick
from fastmfg.games.linear import linear_class
from fastmfg.games.model_class import ModelClass, member_indices, require_class
from fastmfg.games.spread import spread
from fastmfg.games.stored import open_stored, store
from fastmfg.learning.learn import learn
from fastmfg.learning.oracle import MeanFieldOracle
from fastmfg.remote import processes
from fastmfg.warm_up import WarmUp, compile_all

__all__ = ["connect", "map_games", "open_stored", "prepare_workers", "processes", "store", "warm_up"]

Result = TypeVar("Result")


def map_games(
    function: Callable[..., Result], models: ModelClass, *arguments: Any, members: Any = None, executor: Any = None,
    tick: Tick | None = None,
) -> Iterator[Result]:  # fmt: skip
    """``function(game, *arguments)`` of every model (or of `members`), yielded in order.

    The function is one of an importable module; it runs where the executor runs it, so that what it returns may be as
    small as the question allows: a policy of the paper's size takes 120 kB, a million of them 120 GB.
    """
    n = len(require_class("models", models))
    chosen = range(n) if members is None else member_indices("members", members, n).tolist()
    task = partial(_with_game, function=function, arguments=arguments)
    return spread(task, models, chosen, executor, tick)


def _with_game(models: ModelClass, member: int, function: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
    return function(models[member], *arguments)


def connect(scheduler: str | os.PathLike[str], timeout: float = 60.0) -> Any:
    """A Dask client of a running scheduler, its workers checked and warmed up (`prepare_workers`).

    Parameters
    ----------
    scheduler : path or str
        The file that ``dask scheduler --scheduler-file FILE`` writes, or an address such as ``tcp://host:8786``.
    timeout : float
        Seconds to wait for the scheduler, and then for its first worker.

    Raises
    ------
    ImportError
        Dask is not installed.
    ValueError, ConnectionError
        The file is missing or no scheduler's; no scheduler answers; there is no worker; workers have other versions.
    """
    distributed = _distributed()
    address = str(scheduler) if "://" in str(scheduler) else _address_in(Path(scheduler))
    try:
        client = distributed.Client(address, timeout=timeout, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise ConnectionError(
            f"no Dask scheduler answers at {address} within {timeout:g} s ({type(error).__name__}): "
            "is it still running, and may this machine reach it?"
        ) from None
    try:
        client.wait_for_workers(1, timeout=timeout)
        prepare_workers(client)
    except BaseException as error:
        client.close(timeout=1)
        if isinstance(error, TimeoutError):
            raise ConnectionError(f"the Dask scheduler at {address} has no worker after {timeout:g} s") from None
        raise
    return client


def _distributed() -> Any:
    try:
        return import_module("distributed")
    except ImportError:
        raise ImportError("work on many machines needs Dask: pip install 'fastmfg[cluster]'") from None


def _address_in(file: Path) -> str:
    """The address in a scheduler file."""
    try:
        address = json.loads(file.read_text(encoding="utf-8"))["address"]
    except FileNotFoundError:
        raise ValueError(
            f"the scheduler file {file} does not exist: `dask scheduler --scheduler-file {file}` writes it"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is not a Dask scheduler's file ({type(error).__name__}: {error})") from None
    if not isinstance(address, str) or not urlsplit(address).scheme:
        raise ValueError(f"{file} is not a Dask scheduler's file: its address is {address!r}")
    return address


def prepare_workers(client: Any) -> dict[str, int]:
    """Check that all workers run what this process runs, and load kernels on them, all at once (`prepare_worker`).

    Returns how many workers each host has. A warning says so where workers have processors of several kinds: compiled
    code differs between these, and results may in their last bits. Workers that join later are not asked.

    Raises
    ------
    ValueError
        A worker has another version of this package, NumPy, numba or Python.
    """
    addresses = list(client.nthreads())
    asked = [client.submit(prepare_worker, workers=[a], allow_other_workers=False, pure=False) for a in addresses]
    here, hosts, processors = about(), Counter[str](), set()
    for address, there in zip(addresses, client.gather(asked), strict=True):
        for what in ("fastmfg", "numpy", "numba", "python"):
            if there[what] != here[what]:
                raise ValueError(
                    f"the worker at {address} has {what} {there[what]}, this process {here[what]}: "
                    "results would differ; start workers from the same environment"
                )
        hosts[there["host"]] += 1
        processors.add(there["processor"])
    if len(processors) > 1:
        warnings.warn(
            f"workers have processors of different kinds ({', '.join(sorted(processors))}): results may differ in "
            "their last bits; with NUMBA_CPU_NAME=generic in all of them compiled code is the same",
            stacklevel=2,
        )
    return dict(hosts)


def about() -> dict[str, str]:
    """What a process's results depend on, and where it runs."""
    return {
        "fastmfg": __version__,
        "numpy": np.__version__,
        "numba": numba.__version__,
        "python": ".".join(platform.python_version_tuple()[:2]),
        "processor": os.environ.get("NUMBA_CPU_NAME") or llvmlite.binding.get_host_cpu_name(),
        "host": socket.gethostname(),
    }


def warm_up(processes: int | None = None) -> WarmUp:
    """Compile all kernels into the disk cache, and print how long it took and where they are kept.

    Once on one machine, before many processes that share ``NUMBA_CACHE_DIR`` start; ``fastmfg warm-up`` is the command.
    With several processes (as many as there are threads by default), a script needs ``if __name__ == "__main__":``.
    """
    done = compile_all(processes)
    print(done)
    return done


def prepare_worker() -> dict[str, str]:
    """Load, or compile, the kernels that experiments need, once a process; `about` it.

    Of workers that share a cache folder none compiles what another is at: it waits, and loads.
    """
    models = linear_class(3, 4, 2, 2)
    learn(models, MeanFieldOracle(models[1]), epsilon=0.1, delta=0.1)
    neighbour_counts(models, models[0].uniform_policy(), 0.1)
    return about()


def dask_setup(worker: Any) -> None:
    """What ``dask worker --preload fastmfg.cluster`` calls before the worker takes tasks."""
    prepare_worker()
