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
from fastmfg.games.description import describe
from fastmfg.remote import map_remote
from fastmfg.reporting.sweep import sweep_of
from fastmfg.reporting.sweep_run import run_task
from fastmfg.reporting.sweep_table import merge
from fastmfg.reporting.task_files import TaskFiles

MILLISECONDS = 1e3


def nothing(_, x):
    return x


def numbers(_, n):
    return np.zeros(n)


@pytest.fixture(scope="module", params=["processes", "dask"])
def workers(request):
    """``workers(n)``: an executor with n workers, started and warmed up."""
    started, closing = {}, []

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
    for resource in reversed(closing):
        resource.shutdown() if isinstance(resource, ProcessPoolExecutor) else resource.close()


def kind(executor):
    return "processes" if isinstance(executor, ProcessPoolExecutor) else "dask"


@pytest.fixture
def one_task_a_block(monkeypatch):
    monkeypatch.setattr(remote, "LEAST_SECONDS", 1e-12)
    monkeypatch.setattr(remote, "USUAL_SECONDS", 1e-12)


def test_efficiency(workers, benchmark, note, timing):
    size, some = (PAPER, 120) if timing else (SMALL, 10)
    models = mfg.linear_class(*size, seed=101)

    def solve(**where):
        started = time.perf_counter()
        found = [s.policy.tobytes() for s in mfg.solve_models(models, range(some), tol=5e-4, **where)]
        return time.perf_counter() - started, found

    set_thread_count(1)
    try:
        alone = solve()[1]
        seconds = {"here": [], 1: [], 2: []}
        for _ in range(6 if timing else 1):  # turn and turn about; the least counts: the machine does other things
            for n, clocks in seconds.items():
                took, found = solve() if n == "here" else solve(executor=workers(n))
                assert found == alone
                clocks.append(took)
    finally:
        set_thread_count(None)
    here, one, two = (min(clocks) for clocks in seconds.values())
    benchmark.extra_info.update(here=here, one=one, two=two)
    benchmark.pedantic(lambda: None, rounds=1)
    text = f"one thread here {here:.2f} s, 1 worker {one:.2f} s, 2 workers {two:.2f} s: efficiency {one / two / 2:.2f}"
    note(f"{title(size)}, {some} NE, {kind(workers(1))}", text if timing else "right (timing off)")


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
    sent = pickle.dumps(describe(models._family), protocol=5)
    family = benchmark(lambda: pickle.loads(sent).open())
    assert len(family) == len(models) and (family.thetas == models._family.thetas).all()
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
