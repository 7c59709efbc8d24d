"""The same bytes for any number of threads, and the seam itself."""

import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from builders import policy, swept_fill, swept_prepare, swept_reward, table_class

import fastmfg as mfg
from fastmfg.executors import TASK_OPERATIONS, blocks, items_a_task, map_tasks, thread_count


def answers(models, pi):
    solutions = list(mfg.solve_models(models, list(range(0, len(models), 7)), tol=1e-2, max_iterations=50))
    near = mfg.neighbourhoods(models, pi, float(np.median(mfg.distance_matrix(models, pi))))
    arrays = [
        mfg.ne_gaps(models, pi), mfg.distance_matrix(models, pi, directed=True), near.near, near.counts,
        *(s.policy for s in solutions), *(s.history for s in solutions),
    ]  # fmt: skip
    return [array.tobytes() for array in arrays], near.decided


@pytest.mark.parametrize("form", ["linear", "tables", "filler", "functions"])
def test_results_do_not_depend_on_the_number_of_threads(form, threads):
    if form == "linear":
        models = mfg.linear_class(53, 7, 3, 3, 3, 3)
    elif form == "tables":
        models, _ = table_class(0, 53, 3, 7, 3, masked=True)
    elif form == "filler":
        models = mfg.ModelClass.from_filler(
            swept_fill, np.linspace(0, 1, 53)[:, None], np.full(7, 1 / 7), swept_reward, n_actions=3, horizon=3,
            prepare=swept_prepare, shared=[0.1], aux_size=7,
        )  # fmt: skip
    else:
        tables = table_class(1, 30, 2, 4, 2)[0]
        models = mfg.ModelClass([
            mfg.Game(tables.initial, g.transition, tables[0].reward, horizon=2) for g in tables
        ])  # fmt: skip
    pi = policy(np.random.default_rng(2), models.horizon, models.legal)
    threads(1)
    alone = answers(models, pi)
    for count in (2, 3):
        threads(count)
        assert answers(models, pi) == alone


def test_results_come_in_the_order_of_the_tasks(threads):
    delays = [0.02, 0.0, 0.01, 0.0, 0.0, 0.005] * 2
    for count in (1, 2, 4):
        threads(count)
        assert list(map_tasks(lambda i: (time.sleep(delays[i]), i)[1], range(12))) == list(range(12))
        assert list(map_tasks(abs, [])) == []


def test_work_is_spread_over_the_threads(threads):
    threads(2)
    both = threading.Barrier(2, timeout=10)  # passes only if two tasks run at a time
    names = list(map_tasks(lambda _: (both.wait(), threading.current_thread().name)[1], range(2)))
    assert len(set(names)) == 2
    assert threading.current_thread().name not in names


def test_at_most_two_tasks_a_thread_are_in_flight(threads):
    threads(2)
    handed = []

    def tasks():
        for i in range(50):
            handed.append(i)
            yield i

    for done, _ in enumerate(map_tasks(abs, tasks())):
        assert len(handed) <= done + 4


@pytest.mark.parametrize(("parallel", "count"), [(False, 2), (True, 1)])
def test_serial_work_stays_in_the_calling_thread(threads, parallel, count):
    threads(count)
    names = set(map_tasks(lambda _: threading.current_thread().name, range(5), parallel=parallel))
    assert names == {threading.current_thread().name}


NESTED = """
import threading
from fastmfg.executors import map_tasks, set_thread_count

def outer(i):
    inner = list(map_tasks(lambda j: (threading.current_thread().name, 10 * i + j), range(5)))
    assert {name for name, _ in inner} == {threading.current_thread().name}
    return [value for _, value in inner]

set_thread_count(2)
assert list(map_tasks(outer, range(8))) == [[10 * i + j for j in range(5)] for i in range(8)]
"""


def test_a_nested_call_runs_in_its_task_and_does_not_wait_for_a_thread():
    # in a process of its own: should it wait for ever, it is stopped
    subprocess.run([sys.executable, "-c", NESTED], timeout=30, check=True)


@pytest.mark.parametrize("count", [1, 2])
def test_an_exception_comes_out_where_its_result_would(threads, count):
    threads(count)

    def fail(i):
        if i == 3:
            raise KeyError("task 3")
        return i

    results = map_tasks(fail, range(100))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError, match="task 3"):
        next(results)
    assert list(map_tasks(abs, [-1, -2])) == [1, 2]  # the threads are as good as before


def test_work_left_undone_is_dropped(threads):
    threads(2)
    done = []
    results = map_tasks(lambda i: (time.sleep(0.002), done.append(i))[1], range(1000))
    next(results)
    results.close()
    time.sleep(0.02)
    assert len(done) < 10


def test_the_number_of_threads(threads, monkeypatch):
    threads(None)
    monkeypatch.setenv("FASTMFG_NUM_THREADS", "5")
    assert thread_count() == 5
    threads(3)
    assert thread_count() == 3
    threads(None)
    monkeypatch.delenv("FASTMFG_NUM_THREADS")
    assert thread_count() >= 1


@pytest.mark.parametrize(("n", "size", "lengths"), [(0, 3, []), (1, 3, [1]), (6, 3, [3, 3]), (7, 3, [3, 3, 1])])
def test_blocks(n, size, lengths):
    parts = blocks(n, size)
    assert [len(part) for part in parts] == lengths
    assert [i for part in parts for i in part] == list(range(n))


@pytest.mark.parametrize(
    ("operations", "most", "items"),
    [(1, 8, 8), (TASK_OPERATIONS // 3, 8, 3), (TASK_OPERATIONS, 8, 1), (10 * TASK_OPERATIONS, 8, 1)],
)
def test_items_a_task(operations, most, items):
    assert items_a_task(operations, most) == items
