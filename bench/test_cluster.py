"""What it costs to have work done elsewhere: two workers against one, and the overhead of a block, a result, a task.

Workers are processes of this machine, of one thread each; client and scheduler share its processors with them.
`docs/cluster.md` predicts large clusters from these numbers.
"""

import pickle
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

import fastmfg as mfg
from bench.test_learning import PAPER, SMALL, title
from fastmfg import cluster, remote
from fastmfg.executors import set_thread_count
from fastmfg.games.serialize import describe
from fastmfg.remote import map_remote
from fastmfg.reporting.sweep import sweep_of
from fastmfg.reporting.sweep_run import run_task
from fastmfg.reporting.sweep_table import merge
from fastmfg.reporting.task_files import TaskFiles

MILLISECONDS = 1e3

KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(1 << 28), "MALLOC_MMAP_THRESHOLD_": str(1 << 25)}
"""Dask has its workers give freed memory back at once, which costs a fifth of the speed; `docs/cluster.md` says so."""


def nothing(_, x):
    return x


def numbers(_, n):
    return np.zeros(n)


@pytest.fixture(scope="module", params=["processes", "dask"])
def workers(request):
    """``workers(n)``: an executor with n workers, started and warmed up."""
    started, closing = {}, []
    patch = pytest.MonkeyPatch()
    for name, value in KEEP_MEMORY.items():
        patch.setenv(name, value)

    def make(n):
        if n not in started:
            if request.param == "processes":
                closing.append(cluster.processes(n))
                started[n] = closing[-1]
                list(started[n].map(pickle.dumps, range(n)))
            else:
                distributed = pytest.importorskip("distributed")
                running = distributed.LocalCluster(
                    n_workers=n, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0", host="127.0.0.1"
                )
                started[n] = distributed.Client(running, set_as_default=False)
                closing.extend([running, started[n]])
                cluster.prepare_workers(started[n])
        return started[n]

    yield make
    patch.undo()
    for resource in reversed(closing):
        resource.shutdown() if isinstance(resource, ProcessPoolExecutor) else resource.close()


def kind(executor):
    return "processes" if isinstance(executor, ProcessPoolExecutor) else "dask"


@pytest.fixture
def one_task_a_block(monkeypatch):
    monkeypatch.setattr(remote, "LEAST_SECONDS", 1e-12)
    monkeypatch.setattr(remote, "USUAL_SECONDS", 1e-12)
    monkeypatch.setattr(remote, "SCHEDULER_SECONDS", 0.0)


def compared(work, workers, rounds, benchmark):
    """Work done here by one thread, by one worker and by two, turn and turn about; the least clock of each counts.

    Beside the clocks stands the processor time of this process while two workers are at it: client and scheduler.
    """
    clocks, busy = {None: [], 1: [], 2: []}, []
    set_thread_count(1)
    try:
        alone = work()
        for _ in range(rounds):
            for n, seconds in clocks.items():
                where = {} if n is None else {"executor": workers(n)}
                started, before = time.perf_counter(), time.process_time()
                assert work(**where) == alone
                seconds.append(time.perf_counter() - started)
                busy.append(time.process_time() - before)
    finally:
        set_thread_count(None)
    here, one, two = (min(seconds) for seconds in clocks.values())
    benchmark.extra_info.update(here=here, one=one, two=two, client=busy[2::3])
    benchmark.pedantic(lambda: None, rounds=1)
    return (
        f"one thread here {here:.2f} s, 1 worker {one:.2f} s, 2 workers {two:.2f} s: efficiency {one / two / 2:.2f}; "
        f"client busy for {min(busy[2::3]):.2f} s"
    )


def test_efficiency(workers, benchmark, note, timing):
    size, some = ((400, *PAPER[1:]), 400) if timing else (SMALL, 10)
    models = mfg.linear_class(*size, seed=101)

    def solve(**where):
        return [s.policy.tobytes() for s in mfg.solve_models(models, range(some), tol=5e-4, **where)]

    text = compared(solve, workers, 3 if timing else 1, benchmark)
    note(f"{title(size)}, {some} NE, {kind(workers(1))}", text if timing else "right (timing off)")


def test_neighbours(workers, benchmark, note, timing):
    size = (10_000, *PAPER[1:]) if timing else (300, 6, 3, 2)
    models = mfg.linear_class(*size, seed=101)
    pi = models[0].uniform_policy()

    def count(**where):
        return mfg.neighbour_counts(models, pi, 1e-4, **where).tolist()

    text = compared(count, workers, 3 if timing else 1, benchmark)
    note(f"{title(size)}, neighbours, {kind(workers(1))}", text if timing else "right (timing off)")


def test_block(workers, one_task_a_block, benchmark, note, timing):
    executor, n = workers(2), 500 if timing else 20
    list(map_remote(executor, nothing, range(20)))
    assert benchmark.pedantic(lambda: list(map_remote(executor, nothing, range(n))), rounds=3) == list(range(n))
    per = benchmark.stats.stats.median / n if timing else 0.0
    note(f"empty blocks, {kind(executor)}", f"{per * MILLISECONDS:.2f} ms a block" if timing else "right (timing off)")


def test_result(workers, one_task_a_block, benchmark, note, timing):
    """Blocks that give 12 MB, 100 policies of the paper's size, as half a second of solving does."""
    executor, n, length = workers(2), 40 if timing else 4, 1_500_000 if timing else 100
    list(map_remote(executor, numbers, [10] * 20))

    def run():
        return sum(array.nbytes for array in map_remote(executor, numbers, [length] * n))

    assert benchmark.pedantic(run, rounds=3) == 8 * length * n
    rate = 8e-6 * length * n / benchmark.stats.stats.median if timing else 0.0
    note(f"results of 12 MB, {kind(executor)}", f"{rate:.0f} MB/s to one client" if timing else "right (timing off)")


def test_description(benchmark, note, timing):
    models = mfg.linear_class(*(PAPER if timing else SMALL), seed=101)
    sent = pickle.dumps(describe(models), protocol=5)
    opened = benchmark(lambda: pickle.loads(sent).open())
    assert len(opened) == len(models) and (opened.thetas == models.thetas).all()
    seconds = benchmark.stats.stats.median if timing else 0.0
    text = f"{len(sent) / 1e6:.1f} MB sent once a process, opened in {seconds * MILLISECONDS:.1f} ms"
    note(title(PAPER if timing else SMALL), text if timing else "right (timing off)")


def test_task_files(benchmark, note, timing, tmp_path):
    """What a sweep spends on a task beside the experiment: its settings, its file, its line in the table."""
    n = 2000 if timing else 20
    sweep = sweep_of({"models": 6, "states": 5, "actions": 3, "horizon": 2, "epsilon": 0.05, "seed": {"count": n}})
    answer = run_task(None, sweep.config(0))
    files = TaskFiles(tmp_path, lambda text: None)
    clocks = {}

    def timed(name, function):
        started = time.perf_counter()
        result = function()
        clocks[name] = (time.perf_counter() - started) / n
        return result

    def run():
        timed("check", sweep.check)
        timed("write", lambda: [files.write(sweep.config(task), answer) for task in range(n)])
        assert all(timed("read", lambda: [files.read(sweep.config(task)) for task in range(n)]))
        assert timed("merge", lambda: merge(sweep, files, tmp_path))["present"] == n

    benchmark.pedantic(run, rounds=1)
    benchmark.extra_info.update(clocks)
    text = ", ".join(f"{name} {seconds * MILLISECONDS:.2f}" for name, seconds in clocks.items())
    note(f"{n} tasks of a sweep", f"ms a task: {text}" if timing else "right (timing off)")
