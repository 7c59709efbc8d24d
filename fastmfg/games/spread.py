"""Many tasks on one class of models: in this process's threads, or wherever an executor runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from fastmfg.executors import Executor, Tick, map_tasks
from fastmfg.games.model_class import ModelClass
from fastmfg.games.serialize import describe
from fastmfg.remote import map_remote

Task = TypeVar("Task")
Result = TypeVar("Result")


def spread(
    function: Callable[[ModelClass, Task], Result], models: ModelClass, tasks: Sequence[Task],
    executor: Executor | None = None, tick: Tick | None = None,
) -> Iterator[Result]:  # fmt: skip
    """``function(models, task)`` of each task, yielded in order; ``tick(done, len(tasks))`` as they are done.

    The function is one of a module, or `functools.partial` of one: with an executor it is found by name. None: this
    process, in several threads where the class is compiled.
    """
    if executor is not None:
        yield from map_remote(executor, function, tasks, describe(models), tick)
        return
    for done, result in enumerate(map_tasks(partial(function, models), tasks, parallel=models.parallel), start=1):
        if tick is not None:
            tick(done, len(tasks))
        yield result
