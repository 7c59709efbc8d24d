"""Work for other processes and machines: blocks of tasks go out, results come back, the same bytes as from here.

An *executor* is any object with ``submit(function, *arguments) -> future`` as in `concurrent.futures`, or a
dask.distributed Client. A task is ``function(subject, task)``: the function is found by name where it runs (a function
of an importable module, or `functools.partial` of one); the subject, a class of models say, is built there from a
*description*, which is sent once a process and kept under its digest. Kernels are called on the same arrays in the same
order as here, one thread a task.

Tasks go out in blocks of about a second: the clocks of earlier blocks say how many tasks the next one holds. Results do
not depend on how tasks are grouped.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context, parent_process
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

from fastmfg.executors import Executor, Tick, alone, set_thread_count

LEAST_SECONDS, USUAL_SECONDS = 0.5, 2.0
"""Of a block: at least the first, so that its overhead is a few percent at most; the second while much is left."""

SCHEDULER_SECONDS = 0.005
"""Least time between two blocks, about twice what a Dask scheduler and its client spend on one: with many workers
blocks are longer."""

GROWTH = 4
"""How many times the largest block so far the next may be: the first blocks of a process load its kernels."""

FIRST_BLOCKS = 64
"""Blocks of one task each that go out at most while nothing is known of how long tasks take."""

BLOCKS_A_WORKER = 3
"""Blocks in flight a worker: one runs, the others are at hand when it is done."""

MOST_AHEAD = 8
"""Blocks a worker by which results that are wanted in order may run ahead of the earliest one missing."""

MOST_BYTES = 1 << 30
"""Of a description that is sent. What is larger belongs into a folder that all processes see."""

PATIENCE = 2.0
"""Seconds to wait for a scheduler's count of its workers."""

KEPT = 4
"""Subjects that a process keeps: the last used."""

Task = TypeVar("Task")
Result = TypeVar("Result")


class Description(Protocol):
    """What a subject is built from."""

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""

    @property
    def size(self) -> int:
        """Bytes to be sent."""

    def open(self) -> Any:
        """Build the subject."""


# Where tasks run

kept_subjects: OrderedDict[str, Any] = OrderedDict()
_building = threading.Lock()
_unsafe = threading.Lock()


def subject_of(digest: str, description: Description | None) -> Any:
    """The subject with this digest: kept from an earlier block, or built now; None where neither can be."""
    with _building:
        if digest not in kept_subjects:
            if description is None:
                return None
            kept_subjects[digest] = description.open()
            while len(kept_subjects) > KEPT:
                kept_subjects.popitem(last=False)
        kept_subjects.move_to_end(digest)
        return kept_subjects[digest]


def run_block(
    function: Callable[[Any, Task], Result], tasks: Sequence[Task], digest: str, description: Description | None
) -> tuple[list[Result], float] | None:
    """Results of a block and the seconds it took; None when its subject is not here and was not sent along."""
    subject = subject_of(digest, description) if digest else None
    if digest and subject is None:
        return None
    started = time.perf_counter()
    with alone():
        if getattr(subject, "parallel", True):
            results = [function(subject, task) for task in tasks]
        else:  # users' functions are never called from two threads at once
            with _unsafe:
                results = [function(subject, task) for task in tasks]
    return results, time.perf_counter() - started


# Where tasks come from


class LostBlockError(RuntimeError):
    """Workers died again and again while they had a block of tasks, and only then."""


def processes(count: int) -> ProcessPoolExecutor:
    """An executor of so many fresh processes of this machine, of one thread each.

    A script that uses it needs ``if __name__ == "__main__":`` around what it does, as processes import it.
    """
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ValueError(f"workers must be a whole number of at least 1, got {count!r}")
    return ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_begin)


def _begin() -> None:
    """One thread a process, which leaves interrupts to its parent and does not outlive it."""
    set_thread_count(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow, args=(parent_process(),), daemon=True).start()


def _follow(parent: Any) -> None:
    parent.join()
    os._exit(1)


class PoolPort:
    """An executor of `concurrent.futures`. A process that lacks the subject says so, and is then sent it."""

    def __init__(self, executor: Executor, function: Callable[..., Any], description: Description | None) -> None:
        context = getattr(executor, "_mp_context", None)
        if context is not None and context.get_start_method() == "fork":
            raise ValueError(
                "executor forks its processes, which may hang when threads run: give ProcessPoolExecutor "
                'mp_context=multiprocessing.get_context("spawn"), or take fastmfg.cluster.processes'
            )
        self.executor, self.function, self.description = executor, function, description

    def workers(self) -> int:
        return int(getattr(self.executor, "_max_workers", 8))

    def submit(self, tasks: Sequence[Any], send: bool) -> Any:
        digest = "" if self.description is None else self.description.digest
        return self.executor.submit(run_block, self.function, tasks, digest, self.description if send else None)

    def explained(self, error: Exception) -> Exception:
        if isinstance(error, CancelledError):
            return ConnectionError("the executor has dropped the work: it was shut down, or has lost its scheduler")
        return error

    def cancel(self, futures: list[Any]) -> None:
        for future in futures:
            future.cancel()


class DaskPort:
    """A dask.distributed Client.

    A worker that lacks the subject says so. The description it is then sent is a task: one worker gets it from another,
    and it is done anew when its worker is lost.
    """

    def __init__(self, client: Any, function: Callable[..., Any], description: Description | None) -> None:
        if getattr(client, "asynchronous", False):
            raise ValueError("executor is an asynchronous Dask client: give one made with asynchronous=False")
        self.client, self.function, self.address = client, function, client.scheduler.address
        self.description, self.threads = description, 1
        self.digest, self.shared = "" if description is None else description.digest, None
        name = getattr(getattr(function, "func", function), "__name__", "task")
        self.key, self.sent = f"fastmfg-{name.strip('_')}-{uuid.uuid4().hex}", 0

    def _share(self) -> Any:
        if self.shared is None:
            quiet = {"distributed.admin.large-graph-warning-threshold": MOST_BYTES}
            with import_module("dask").config.set(quiet):
                self.shared = self.client.submit(itself, self.description, key=f"fastmfg-subject-{self.digest}")
        return self.shared

    def workers(self) -> int:
        try:
            threads = self.client.sync(self.client.scheduler.ncores, callback_timeout=PATIENCE)
            self.threads = max(1, sum(map(int, threads.values())))
        except OSError:  # it is busy, or has gone: blocks under way will say
            pass
        return self.threads

    def submit(self, tasks: Sequence[Any], send: bool) -> Any:
        self.sent += 1
        key = f"{self.key}-{self.sent}"
        return self.client.submit(
            run_block, self.function, tasks, self.digest, self._share() if send else None, key=key
        )

    def explained(self, error: Exception) -> Exception:
        if isinstance(error, CancelledError):
            said = str(error).partition("\n")[0]
            return ConnectionError(f"the Dask scheduler at {self.address} has gone away or dropped the work ({said})")
        cause = error.__cause__ or error
        if isinstance(cause, ImportError):
            return ImportError(f"the Dask scheduler, or a worker, cannot import what the work needs: {cause}")
        if type(error).__name__ == "KilledWorker":
            return LostBlockError(f"a block of tasks kills its workers, again and again (out of memory?): {error}")
        return error

    def cancel(self, futures: list[Any]) -> None:
        if self.client.status == "running":
            self.client.cancel(futures)


def itself(description: Description) -> Description:
    """Where a worker asks for a description."""
    return description


def is_dask_client(executor: object) -> bool:
    """Whether this is a dask.distributed Client; nothing is imported to see it."""
    return any(c.__name__ == "Client" and c.__module__.startswith("distributed.") for c in type(executor).__mro__)


def _port(executor: Executor, function: Callable[..., Any], description: Description | None) -> PoolPort | DaskPort:
    if description is not None and description.size > MOST_BYTES:
        raise ValueError(
            f"the models take {description.size / 2**30:.1f} GiB, too much to be sent to every process: put them into "
            "a folder that all processes see (fastmfg.cluster.store, fastmfg.cluster.open_stored)"
        )
    if is_dask_client(executor):
        return DaskPort(executor, function, description)
    if not callable(getattr(executor, "submit", None)):
        raise TypeError(
            "executor must be an executor of concurrent.futures, a dask.distributed Client or None, "
            f"got {type(executor).__name__}"
        )
    return PoolPort(executor, function, description)


class BlockSize:
    """How many tasks the next block holds, from the clocks of earlier ones."""

    def __init__(self) -> None:
        self.task_seconds = math.nan  # of one task, later blocks counting more
        self.largest = 0

    def learn(self, tasks: int, seconds: float) -> None:
        """A block of so many tasks took so long."""
        now = max(seconds / tasks, 1e-9)
        self.task_seconds = now if self.largest == 0 else (self.task_seconds + now) / 2
        self.largest = max(self.largest, tasks)

    def next(self, left: int, workers: int) -> int:
        """Tasks of the next block when so many are left."""
        if self.largest == 0:
            return 1
        shortest = max(LEAST_SECONDS, SCHEDULER_SECONDS * workers)
        least, usual = (math.ceil(s / self.task_seconds) for s in (shortest, max(shortest, USUAL_SECONDS)))
        share = math.ceil(left / (BLOCKS_A_WORKER * workers))  # nobody waits for one long last block
        return min(left, max(least, min(usual, share)), GROWTH * self.largest)


class Run:
    """Blocks of one call: which are out, and how large the next is."""

    def __init__(self, port: PoolPort | DaskPort, tasks: Sequence[Any], ordered: bool) -> None:
        self.port, self.tasks, self.ordered = port, tasks, ordered
        self.size = BlockSize()
        self.start = self.sent = 0
        self.out: dict[int, tuple[range, Any]] = {}  # by number of the block
        self.done: SimpleQueue[int] = SimpleQueue()
        self.counted, self.workers = -math.inf, 1

    def fill(self) -> None:
        """Send blocks while there is room."""
        if time.monotonic() - self.counted > 1.0:  # workers come and go
            self.counted, self.workers = time.monotonic(), self.port.workers()
        while self.start < len(self.tasks) and self._room():
            n = self.size.next(len(self.tasks) - self.start, self.workers)
            self.send(self.sent, range(self.start, self.start + n), send=False)
            self.start, self.sent = self.start + n, self.sent + 1

    def _room(self) -> bool:
        most = self.workers * BLOCKS_A_WORKER if self.size.largest else min(self.workers, FIRST_BLOCKS)
        ahead = self.sent - min(self.out, default=self.sent)
        return len(self.out) < most and not (self.ordered and ahead >= MOST_AHEAD * self.workers)

    def send(self, number: int, positions: range, send: bool) -> None:
        future = self.port.submit(self.tasks[positions.start : positions.stop], send)
        self.out[number] = positions, future
        future.add_done_callback(lambda _: self.done.put(number))

    def take(self) -> tuple[range, list[Any] | Exception] | None:
        """Wait for a block: its positions, and its results or what went wrong; None when it is sent once more."""
        number = self.done.get()
        positions, future = self.out.pop(number)
        try:
            answer = future.result()
        except Exception as error:
            return positions, self.port.explained(error)
        if answer is None:
            self.send(number, positions, send=True)
            return None
        results, seconds = answer
        self.size.learn(len(positions), seconds)
        return positions, results


def completed(
    executor: Executor, function: Callable[[Any, Task], Result], tasks: Sequence[Task],
    description: Description | None = None, ordered: bool = False,
) -> Iterator[tuple[range, list[Result] | Exception]]:  # fmt: skip
    """Positions of each block with its results, or with what went wrong, as blocks are finished.

    `ordered`: for callers that put results in order; how far blocks run ahead of the earliest missing is bounded.
    """
    run = Run(_port(executor, function, description), tasks, ordered)
    try:
        while run.start < len(tasks) or run.out:
            run.fill()
            block = run.take()
            if block is not None:
                yield block
    finally:
        run.port.cancel([future for _, future in run.out.values()])


def map_remote(
    executor: Executor, function: Callable[[Any, Task], Result], tasks: Sequence[Task],
    description: Description | None = None, tick: Tick | None = None,
) -> Iterator[Result]:  # fmt: skip
    """``function(subject, task)`` for each task, yielded in order; an exception comes out where its block would."""
    waiting: dict[int, list[Result] | Exception] = {}
    position = done = 0
    for positions, outcome in completed(executor, function, tasks, description, ordered=True):
        waiting[positions.start] = outcome
        done += len(positions)
        if tick is not None:
            tick(done, len(tasks))
        while position in waiting:
            block = waiting.pop(position)
            if isinstance(block, Exception):
                raise block
            position += len(block)
            yield from block
