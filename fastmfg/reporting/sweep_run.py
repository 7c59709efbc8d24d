"""Sweeps carried out: in this process, in several of this machine, on a cluster, or a share of it in a job array."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastmfg.executors import Executor
from fastmfg.games.checks import whole
from fastmfg.learning.checkpoint import warn
from fastmfg.learning.journal import Tell
from fastmfg.planning.evaluate import ne_gap
from fastmfg.remote import LostBlockError, completed, processes
from fastmfg.reporting.experiment import BaseExperiment, Outcome, header
from fastmfg.reporting.folder import RESULT, FolderInUseError, write_json
from fastmfg.reporting.sweep import Config, Configs, Sweep, arguments, made
from fastmfg.reporting.sweep_table import merge
from fastmfg.reporting.task_files import TaskFiles
from fastmfg.reporting.zoo_experiment import zoo_experiment

CLOCKS = {"seconds"}
"""Entries of results that differ from run to run, and have no place in a table."""

STRIKES = 3
"""Processes may die so many times in a row without a task done in between."""

Advance = Callable[[int, str], Any]


@dataclass(frozen=True)
class Shard:
    """Every n-th task from the i-th on, i = 0..n-1."""

    index: int = 0
    count: int = 1

    def tasks(self, sweep: Sweep) -> range:
        return range(self.index, len(sweep), self.count)

    @staticmethod
    def of(text: str) -> Shard:
        """From ``i/n``."""
        index, slash, count = text.partition("/")
        if not slash or not index.strip().isdecimal() or not count.strip().isdecimal():
            raise ValueError(f"shard must be I/N, as 0/4 to 3/4, got {text!r}")
        shard = Shard(int(index), whole("shard's N", int(count), 1))
        if shard.index >= shard.count:
            raise ValueError(f"shards of {shard.count} count from 0 to {shard.count - 1}, got {text!r}")
        return shard


def run_task(_: None, config: Config) -> dict[str, Any]:
    """The experiment with these settings: its result and seconds, or what went wrong. Depends on the settings alone."""
    started = time.perf_counter()
    try:
        experiment = made(config) if config["epsilon"] is not None else zoo_experiment(**arguments(config))
        result = without_clocks(result_of(experiment))
    except Exception as error:  # one task that fails does not end a sweep; it is named, and tried again next time
        return {"error": f"{type(error).__name__}: {error}"}
    return {"result": result, "seconds": time.perf_counter() - started, "host": socket.gethostname()}


def result_of(experiment: BaseExperiment) -> dict[str, Any]:
    """Run an experiment; what its result file would say."""
    experiment.check()
    models, true_model = experiment.model_class(), experiment.hidden_model()
    learned = experiment.learn(models)
    gap = ne_gap(models[true_model], learned.policy)
    outcome = Outcome(models, true_model, learned, gap, seconds=0.0)
    content = {"class": experiment.class_content(models), "epsilon": experiment.epsilon, "rounds": len(learned.rounds)}
    return content | experiment.outcome_content(outcome)


def without_clocks(content: dict[str, Any]) -> dict[str, Any]:
    return {
        name: without_clocks(value) if isinstance(value, dict) else value
        for name, value in content.items()
        if name not in CLOCKS
    }


def run_sweep(
    sweep: Sweep, folder: Path, *, executor: Executor | None = None, workers: int | None = None,
    shard: Shard | None = None, force: bool = False, advance: Advance = lambda n, note: None, tell: Tell = warn,
) -> dict[str, Any]:  # fmt: skip
    """Compute the tasks that the folder lacks, then put all into one table and a picture.

    Parameters
    ----------
    executor : executor of concurrent.futures, or Dask client, optional
        Where tasks run; in this process by default, one after another.
    workers : int, optional
        So many fresh processes of this machine instead.
    shard : Shard, optional
        Only this share of the tasks. The table is made by whoever finds all tasks done.
    force : bool
        Compute tasks anew that are there already.
    advance : callable
        ``advance(n, note)`` as n more tasks are done.
    tell : callable
        What is wrong with files, or tasks, in words.

    Returns
    -------
    dict
        What result.json holds: ``tasks``, ``present``, ``computed``, ``failed`` (the first of them), ``finished``.
    """
    if executor is not None and workers is not None:
        raise ValueError("give an executor or workers, not both")
    sweep.check()
    files, started = TaskFiles(_claimed(folder), tell), time.perf_counter()
    share = shard or Shard()
    own = share.tasks(sweep)
    pending = [task for task in own if force or files.read(sweep.config(task)) is None]
    advance(len(own) - len(pending), "")
    failed: list[dict[str, Any]] = []
    computed = 0
    for task, answer in _answers(sweep, pending, executor, workers, tell):
        config = sweep.config(task)
        if "error" in answer:
            failed.append({"task": task, "config": {name: config[name] for name in sweep.varied}, **answer})
            tell(f"task {task} failed: {answer['error']}")
        else:
            files.write(config, answer)
            computed += 1
        advance(1, f"{len(failed)} failed" if failed else "")
    content = header(dict(sweep.given), "sweep") | {
        "tasks": len(sweep), "computed": computed, "failed": failed, "seconds": time.perf_counter() - started
    }  # fmt: skip
    return _finish(sweep, files, folder, content, alone=share.count == 1)


def _finish(sweep: Sweep, files: TaskFiles, folder: Path, content: dict[str, Any], alone: bool) -> dict[str, Any]:
    """Make the table if this process is to: it had all tasks, or all are there."""
    if not alone:
        there = files.present()
        present = sum(sweep.digest(task) in there for task in range(len(sweep)))
        if present < len(sweep):
            return content | {"present": present}
    content = content | merge(sweep, files, folder)
    content["finished"] = content["present"] == len(sweep)
    write_json(folder / RESULT, content)
    return content


def _claimed(folder: Path) -> Path:
    """Make the folder, or go on in it if what it holds is a sweep: tasks have names of their own."""
    if folder.exists() and not folder.is_dir():
        raise FolderInUseError(f"--out {folder} is a file: give a folder")
    result = folder / RESULT
    if result.exists() and json.loads(result.read_text(encoding="utf-8")).get("command") != "sweep":
        raise FolderInUseError(f"--out {folder} already holds a run that is no sweep ({RESULT}): give another folder")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _answers(
    sweep: Sweep, pending: Sequence[int], executor: Executor | None, workers: int | None, tell: Tell
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Tasks and what they gave, as they are done."""
    if workers is not None:
        yield from _in_processes(sweep, pending, workers, tell)
    elif executor is not None:
        yield from _elsewhere(sweep, pending, executor)
    else:
        for task in pending:
            yield task, run_task(None, sweep.config(task))


def _elsewhere(sweep: Sweep, pending: Sequence[int], executor: Executor) -> Iterator[tuple[int, dict[str, Any]]]:
    for positions, outcome in completed(executor, run_task, Configs(sweep, pending)):
        if isinstance(outcome, LostBlockError):  # these tasks will not do; others may
            yield from ((pending[position], {"error": str(outcome)}) for position in positions)
        elif isinstance(outcome, Exception):
            raise outcome
        else:
            yield from ((pending[position], answer) for position, answer in zip(positions, outcome, strict=True))


def _in_processes(
    sweep: Sweep, pending: Sequence[int], workers: int, tell: Tell
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The same in processes of this machine; when one of them dies, the others are ended and all begins anew."""
    left, strikes = dict.fromkeys(pending), 0
    while left:
        pool = processes(min(workers, len(left)))
        try:
            for task, answer in _elsewhere(sweep, list(left), pool):
                del left[task]
                strikes = 0
                yield task, answer
        except BrokenProcessPool:
            strikes += 1
            if strikes == STRIKES:
                where = f"at task {next(iter(left))} or near"
                raise ChildProcessError(
                    f"worker processes died {STRIKES} times in a row (out of memory?) {where}"
                ) from None
            tell(f"a worker process died: the {len(left)} tasks left go to new ones")
        finally:
            for process in list((pool._processes or {}).values()):
                process.terminate()
            pool.shutdown(wait=True, cancel_futures=True)
