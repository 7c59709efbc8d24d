"""The seam for parallel work: tasks go to this process's threads, results come back in the order of the tasks.

Kernels release the interpreter lock, so threads run them side by side. How work is cut into tasks depends on
sizes alone, never on the number of threads: results are the same bytes for any number. Other processes and machines:
`fastmfg.remote`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

TASK_OPERATIONS = 2_000_000_000
"""Elementary operations of one task, at most, unless a single item takes more."""

Task = TypeVar("Task")
Result = TypeVar("Result")

Tick = Callable[[int, int], None]
"""``tick(done, total)``, called as work gets done."""


class Executor(Protocol):
    """Where work is done instead of by this process's threads.

    An executor of `concurrent.futures` whose processes are spawned, a dask.distributed Client, or any object like the
    former (`fastmfg.remote`).
    """

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Any:
        """A future of ``function(*arguments)``: with ``result()``, ``cancel()`` and ``add_done_callback``."""
        ...


class _Pool:
    """The threads of this process, started at first use and after a fork anew."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.executor: ThreadPoolExecutor | None = None
        self.size = 0
        self.owner = 0

    def get(self, size: int) -> ThreadPoolExecutor:
        with self.lock:
            if self.executor is None or self.size != size or self.owner != os.getpid():
                self.executor = ThreadPoolExecutor(size, thread_name_prefix="fastmfg")
                self.size, self.owner = size, os.getpid()
            return self.executor


_pool = _Pool()
_inside = threading.local()
_wanted: list[int] = []


def thread_count() -> int:
    """Threads that parallel work uses: `set_thread_count`, else ``FASTMFG_NUM_THREADS``, else the CPUs allowed."""
    if _wanted:
        return _wanted[0]
    text = os.environ.get("FASTMFG_NUM_THREADS", "")
    if text:
        if not text.isdigit() or int(text) < 1:
            raise ValueError(f"FASTMFG_NUM_THREADS must be a whole number of at least 1, got {text!r}")
        return int(text)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_thread_count(count: int | None) -> None:
    """Set the number of threads for this process; None goes back to the default."""
    if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 1):
        raise ValueError(f"threads must be a whole number of at least 1 or None, got {count!r}")
    _wanted[:] = [] if count is None else [count]


def map_tasks(function: Callable[[Task], Result], tasks: Iterable[Task], parallel: bool = True) -> Iterator[Result]:
    """``function(task)`` for each task, yielded in order as they are done; at most two tasks a thread are in flight.

    Runs in the calling thread when `parallel` is false, with one thread, and inside another call's task.
    """
    threads = thread_count()
    if not parallel or threads == 1 or getattr(_inside, "busy", False):
        yield from map(function, tasks)
        return

    def run(task: Task) -> Result:
        _inside.busy = True
        return function(task)

    executor = _pool.get(threads)
    pending = []
    try:
        for task in tasks:
            pending.append(executor.submit(run, task))
            if len(pending) >= 2 * threads:
                yield pending.pop(0).result()
        while pending:
            yield pending.pop(0).result()
    finally:
        for future in pending:
            future.cancel()


@contextmanager
def alone() -> Iterator[None]:
    """What runs inside stays in the calling thread: one task of many, whoever runs the others."""
    before = getattr(_inside, "busy", False)
    _inside.busy = True
    try:
        yield
    finally:
        _inside.busy = before


def run_team(function: Callable[[], None], most: int) -> None:
    """``function()`` of each member of a team at once, the caller and threads of their own; at most so many members.

    For kernels whose members share the parts of their work (`fastmfg.kernels.team`): how many they are is of no
    consequence. Inside another call's task there is one.
    """
    wanted = 1 if getattr(_inside, "busy", False) else min(thread_count(), most)
    faults: list[BaseException] = []

    def member() -> None:
        try:
            function()
        except BaseException as error:  # raised again where the team was called
            faults.append(error)

    others: list[threading.Thread] = []
    for i in range(1, wanted):
        thread = threading.Thread(target=member, name=f"fastmfg-{i}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads to be had: fewer will do
            break
        others.append(thread)
    try:
        function()
    finally:
        for thread in others:
            thread.join()
    if faults:
        raise faults[0]


def blocks(n: int, size: int) -> list[range]:
    """``range(n)`` in consecutive ranges of at most `size`."""
    return [range(lo, min(n, lo + size)) for lo in range(0, n, size)]


def items_a_task(operations: int, most: int) -> int:
    """How many items of so many operations each go into one task: kernels return within about a second."""
    return max(1, min(most, TASK_OPERATIONS // operations))
