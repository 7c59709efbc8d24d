"""Work in other processes: the same bytes as here, whatever runs it and whatever dies meanwhile."""

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from builders import policy, swept_fill, swept_prepare, swept_reward, table_class
from hypothesis import given
from hypothesis import strategies as st

import fastmfg as mfg
from fastmfg import cluster, remote
from fastmfg.comparing.conditional import condition_class
from fastmfg.comparing.neighbourhood import count_neighbours
from fastmfg.comparing.tiles import Tiles
from fastmfg.games import serialize, stored
from fastmfg.games.serialize import code_digest, describe
from fastmfg.planning.evaluate import gaps_of
from fastmfg.remote import BlockSize, completed, map_remote

# Functions and games that other processes find here by name


def square(_, x):
    return x * x


def fail_at(_, x, where):
    if x == where:
        raise KeyError(f"task {x}")
    return x


def seconds_slept(_, seconds):
    time.sleep(seconds)
    return seconds


def leaning(h, mu, weight):
    stay = np.full((2, 2, 2), 0.5)
    stay[:, 1, 0] = weight * mu[0]
    stay[:, 1, 1] = 1.0 - stay[:, 1, 0]
    return stay


def crowding(h, mu):
    return np.repeat(-mu[:, None], 2, axis=1)


def gap_of_uniform(game, factor):
    return factor * mfg.ne_gap(game, game.uniform_policy())


def die_at_even(_, x):
    if x % 2 == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


FORMS = ("linear", "tables", "filler", "functions", "zoo")


def class_of(form):
    if form == "linear":
        return mfg.linear_class(53, 7, 3, 3, 3, 3)
    if form == "tables":
        return table_class(0, 53, 3, 7, 3, masked=True)[0]
    if form == "zoo":
        return mfg.zoo.classes.epidemic(infection=np.linspace(0.2, 0.9, 15), recovery=[0.1, 0.2], horizon=5)
    if form == "filler":
        return mfg.ModelClass.from_filler(
            swept_fill, np.linspace(0, 1, 53)[:, None], np.full(7, 1 / 7), swept_reward, n_actions=3, horizon=3,
            prepare=swept_prepare, shared=[0.1], aux_size=7,
        )  # fmt: skip
    weights = np.linspace(0.1, 0.9, 9)
    return mfg.ModelClass([mfg.Game([0.3, 0.7], partial(leaning, weight=w), crowding, horizon=2) for w in weights])


def answers(models, **where):
    """Bytes of everything that can be computed elsewhere."""
    pi = policy(np.random.default_rng(2), models.horizon, models.legal)
    distances = mfg.distance_matrix(models, pi, directed=True, **where)
    radius = float(np.median(mfg.distance_matrix(models, pi)))
    some = list(range(0, len(models), 7))
    solutions = list(mfg.solve_models(models, some, tol=1e-2, max_iterations=50, **where))
    assert not any(s.policy.flags.writeable or s.history.flags.writeable for s in solutions)
    arrays = [
        mfg.ne_gaps(models, pi, **where), mfg.ne_gaps(models, pi, some[::-1], **where), distances,
        mfg.neighbour_counts(models, pi, radius, **where), np.array(mfg.central_model(models, pi, radius, **where)),
        *(s.policy for s in solutions), *(s.history for s in solutions),
    ]  # fmt: skip
    return [array.tobytes() for array in arrays]


@pytest.fixture(scope="module")
def pool():
    with cluster.processes(2) as executor:
        yield executor


@pytest.fixture(scope="module")
def dask_cluster():
    """Two workers, processes of one thread each, and a client."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0", host="127.0.0.1"
        ) as running,
        distributed.Client(running, set_as_default=False) as client,
    ):
        yield running, client


@pytest.fixture
def client(dask_cluster):
    return dask_cluster[1]


# The same bytes


@pytest.mark.parametrize("form", FORMS)
def test_processes_give_the_same_bytes(form, pool):
    models = class_of(form)
    alone = answers(models)
    assert answers(models, executor=pool) == alone
    with ThreadPoolExecutor(3) as threads:
        assert answers(models, executor=threads) == alone


@pytest.mark.parametrize("form", ["linear", "filler", "functions"])
def test_a_dask_cluster_gives_the_same_bytes(form, client):
    models = class_of(form)
    alone = answers(models)
    assert answers(models, executor=client) == alone
    assert answers(models, executor=client.get_executor(retries=2)) == alone


@pytest.mark.parametrize("n", [1, 23, 24, 25, 400])
def test_tiles_cover_each_pair_once(n):
    """Those of an executor, and blocks of pairs here."""
    family, every = mfg.linear_class(1, 4, 2), np.arange(n)
    for conditional in (None, "here"):
        seen = np.zeros((n, n), dtype=int)
        for rows, cols in Tiles(family, None, every, conditional).pairs():
            seen[np.ix_(rows, cols)] += 1
        assert (seen[np.tri(n, k=-1, dtype=bool)] == 1).all() and (seen <= 1).all()


def test_distances_do_not_depend_on_the_size_of_squares(pool, monkeypatch):
    models = mfg.linear_class(90, 5, 3, 2)
    pi = models[0].uniform_policy()
    alone = mfg.distance_matrix(models, pi, directed=True), mfg.neighbour_counts(models, pi, 0.4)
    for a_side, most in ((1, 64), (1, 2), (16, 1)):
        monkeypatch.setattr("fastmfg.comparing.tiles.SQUARES_A_SIDE", a_side)
        monkeypatch.setattr("fastmfg.comparing.tiles.MOST_BLOCKS", most)
        np.testing.assert_array_equal(mfg.distance_matrix(models, pi, directed=True, executor=pool), alone[0])
        np.testing.assert_array_equal(mfg.neighbour_counts(models, pi, 0.4, executor=pool), alone[1])


@pytest.mark.parametrize("most", [0, 10**6])
def test_neighbours_in_large_classes_are_counted_where_pivots_are_of_no_use(pool, monkeypatch, most):
    models = mfg.linear_class(300, 5, 3, 2, seed=2)
    pi = models[0].uniform_policy()
    monkeypatch.setattr("fastmfg.comparing.pivots.MOST_PAIRS", most)  # 0: all pairs are looked at
    for radius in (0.01, 0.3, 4.0):
        found = count_neighbours(Tiles.of_class(models, pi, pool, None), radius)
        np.testing.assert_array_equal(found.counts, mfg.neighbour_counts(models, pi, radius))
        assert (found.decided["pivots"] > 0) == (most > 0 and radius == 0.01)


@pytest.mark.parametrize(("window", "stretch", "chunk"), [(192, 8, 1 << 25), (24, 1, 1000), (96, 2, 1)])
def test_neighbours_in_large_classes_are_counted_alike(pool, monkeypatch, window, stretch, chunk):
    """Whoever counts: counts and what decided are those of this process, however the work is cut."""
    models = mfg.linear_class(300, 5, 3, 2, seed=2)
    pi, said = models[0].uniform_policy(), []
    distances, here = mfg.distance_matrix(models, pi), condition_class(models, pi)
    constants = {"tiles.WINDOW": window, "tiles.STRETCH": stretch, "pivots.FAR_CHUNK": chunk, "pivots.SHARE": 1}
    for name, value in constants.items():
        monkeypatch.setattr(f"fastmfg.comparing.{name}", value)
    radii = (0.0, 0.05, 0.3, 0.5, 4.0) if chunk > 1 else (0.0, 0.05)
    for radius in radii:
        tiles = Tiles.of_class(models, pi, pool, lambda *told: said.append(told))
        found, expected = count_neighbours(tiles, radius), count_neighbours(Tiles.of(here), radius)
        np.testing.assert_array_equal(found.counts, (distances <= radius).sum(axis=1))
        np.testing.assert_array_equal(found.counts, expected.counts)
        if chunk > 10**6:  # upper bounds to the pivots come into play when so many pairs of earlier chunks are left
            assert found.decided == expected.decided
        assert sum(found.decided.values()) == 300 * 299 // 2
        assert mfg.central_model(models, pi, radius, executor=pool) == mfg.central_model(models, pi, radius)
        assert said[-1][0] == said[-1][1]


def test_any_function_of_a_game(pool):
    models = class_of("linear")
    expected = [2.0 * mfg.ne_gap(game, game.uniform_policy()) for game in models]
    assert list(cluster.map_games(gap_of_uniform, models, 2.0)) == expected
    assert list(cluster.map_games(gap_of_uniform, models, 2.0, executor=pool, members=[4, 1])) == [
        expected[4], expected[1],
    ]  # fmt: skip


@pytest.mark.parametrize("elsewhere", [False, True])
def test_progress_is_told(elsewhere, pool):
    models, said = class_of("linear"), []
    where = {"executor": pool} if elsewhere else {}
    mfg.ne_gaps(models, models[0].uniform_policy(), tick=lambda done, of: said.append((done, of)), **where)
    assert [done for done, _ in said] == sorted(done for done, _ in said)
    assert said[-1] == (7, 7) and {of for _, of in said} == {7}  # 53 models in blocks of 8


def test_the_example_of_the_docs_runs(tmp_path):
    text = (Path(__file__).parents[1] / "docs" / "cluster.md").read_text(encoding="utf-8")
    script = tmp_path / "example.py"
    script.write_text(text.partition("```python\n")[2].partition("```")[0])
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-W", "error", script], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout == done.stderr == "", done.stderr


# How tasks go out


class Here:
    """An executor that does its work when told to, in the order it is told."""

    _max_workers = 2

    def __init__(self):
        self.waiting, self.most = [], 0

    def submit(self, function, *arguments):
        future = Future()
        self.waiting.append((future, function, arguments))
        self.most = max(self.most, len(self.waiting))
        return future

    def work(self, which=0):
        future, function, arguments = self.waiting.pop(which)
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(function(*arguments))
            except KeyError as error:
                future.set_exception(error)


@pytest.fixture
def here(monkeypatch):
    """An executor `Here` that works, last block first, whenever somebody waits for a block."""
    executor = Here()
    take = remote.Run.take

    def working(run):
        while run.done.empty():
            executor.work(-1)
        return take(run)

    monkeypatch.setattr(remote.Run, "take", working)
    return executor


def test_results_come_in_the_order_of_the_tasks(here):
    assert list(map_remote(here, square, range(40))) == [x * x for x in range(40)]
    assert list(map_remote(here, square, [])) == []


def test_results_come_in_the_order_of_the_tasks_from_processes(pool):
    delays = [0.05, 0.0, 0.02, 0.0, 0.0, 0.01] * 2
    assert list(map_remote(pool, seconds_slept, delays)) == delays


def test_all_positions_are_there_once_whatever_the_order(here):
    blocks = [positions for positions, _ in completed(here, square, range(100))]
    assert sorted(p for positions in blocks for p in positions) == list(range(100))


def test_first_one_block_a_worker_then_few(here):
    list(completed(here, square, range(3)))
    assert here.most == 2  # nothing is known yet
    list(completed(here, square, range(100_000)))
    assert here.most <= 2 * remote.BLOCKS_A_WORKER
    crowd = remote.Run(remote.PoolPort(here, square, None), range(1000), ordered=False)
    crowd.workers, crowd.counted = 500, np.inf
    crowd.fill()
    assert len(crowd.out) == remote.FIRST_BLOCKS


def test_results_do_not_pile_up_behind_a_slow_block(monkeypatch):
    executor, handed = Here(), []
    run = remote.Run(remote.PoolPort(executor, square, None), range(10**6), ordered=True)
    run.size.learn(1, 100.0)  # slow tasks: one a block
    for _ in range(200):
        run.fill()
        handed.append(run.sent)
        if len(executor.waiting) == 1:  # the first block is never done
            break
        executor.work(-1)
        run.take()
    assert handed[-1] == remote.MOST_AHEAD * 2


def test_an_exception_comes_out_where_its_block_would(here):
    results = map_remote(here, partial(fail_at, where=3), range(10))
    with pytest.raises(KeyError, match="task 3"):
        list(results)
    blocks = list(completed(here, partial(fail_at, where=3), range(10)))
    assert sum(isinstance(outcome, KeyError) for _, outcome in blocks) == 1


def test_work_left_undone_is_cancelled():
    executor = Here()
    results = completed(executor, square, range(10))
    started = threading.Thread(target=lambda: (time.sleep(0.05), executor.work()))
    started.start()
    next(results)
    started.join()
    results.close()
    assert executor.waiting and all(future.cancelled() for future, _, _ in executor.waiting)


@given(st.lists(st.floats(1e-7, 50.0), min_size=1, max_size=30), st.integers(1, 10**6), st.integers(1, 1000))
def test_the_size_of_blocks(clocks, left, workers):
    size = BlockSize()
    assert size.next(left, workers) == 1
    for seconds in clocks:
        size.learn(1, seconds)
    n = size.next(left, workers)
    assert 1 <= n <= min(left, remote.GROWTH)
    size.largest = 10**9
    n = size.next(left, workers)
    least = max(remote.LEAST_SECONDS, remote.SCHEDULER_SECONDS * workers)
    assert 1 <= n <= left
    if n < left:
        assert n * size.task_seconds >= least * (1 - 1e-9)
    assert (n - 1) * size.task_seconds <= max(remote.USUAL_SECONDS, least)


def test_blocks_grow_to_the_usual_length():
    size = BlockSize()
    for _ in range(20):
        n = size.next(10**6, 2)
        size.learn(n, n * 0.01)
    assert n == remote.USUAL_SECONDS / 0.01
    assert size.next(150, 2) == 50  # the last ones: at least half a second each
    assert size.next(10**6, 1000) == 500  # 1000 workers: a block each 5 ms is what a scheduler keeps up with
    assert size.next(10**6, 4000) == 800  # but no more than 4 times the largest


# What is sent


@pytest.mark.parametrize("form", FORMS)
def test_a_description_is_sent_and_opened(form):
    models = class_of(form)
    made = describe(models)
    assert describe(models) is made
    opened = pickle.loads(pickle.dumps(made)).open()
    assert type(opened) is type(models) and len(opened) == len(models)
    assert answers(opened) == answers(models)


def test_a_class_is_sent_once_a_process(pool, monkeypatch):
    models = mfg.linear_class(40, 6, 3, seed=11)
    sent = []
    submit = remote.PoolPort.submit
    monkeypatch.setattr(
        remote.PoolPort, "submit", lambda port, tasks, send: (sent.append(send), submit(port, tasks, send))[1]
    )
    for _ in range(5):
        mfg.ne_gaps(models, models[0].uniform_policy(), executor=pool)
    assert 1 <= sum(sent) <= 4  # blocks under way before the first one had it among them
    assert len(pickle.dumps(partial(remote.run_block, gaps_of, [0], "0" * 64, None))) < 1000


def test_only_the_last_few_classes_are_kept(monkeypatch):
    monkeypatch.setattr(remote, "kept_subjects", type(remote.kept_subjects)())
    for seed in range(6):
        assert remote.subject_of(str(seed), describe(mfg.linear_class(2, 3, 2, seed=seed))) is not None
    assert list(remote.kept_subjects) == ["2", "3", "4", "5"]
    assert remote.subject_of("0", None) is None


def test_digests_tell_contents_apart():
    digests = [describe(class_of(form)).digest for form in FORMS]
    assert len(set(digests)) == len(FORMS)
    models = mfg.linear_class(5, 4, 2)
    assert describe(mfg.linear_class(5, 4, 2)).digest == describe(models).digest
    assert describe(mfg.linear_class(5, 4, 2, seed=1)).digest != describe(models).digest
    assert describe(models[:4]).digest != describe(models).digest


def local_function():
    return lambda h, mu: np.zeros((2, 1))


@pytest.mark.parametrize("reward", [lambda h, mu: np.zeros((2, 1)), local_function(), partial(local_function())])
def test_functions_that_others_cannot_find_are_refused(reward, pool):
    models = mfg.ModelClass.from_tables(np.full((2, 1, 2, 1, 2), 0.5), [0.5, 0.5], reward)
    with pytest.raises(TypeError, match=r"cannot be sent to other processes.*functions of a module"):
        mfg.ne_gaps(models, models[0].uniform_policy(), executor=pool)
    assert mfg.ne_gaps(models, models[0].uniform_policy()).max() == 0.0


SCRIPT = """
import fastmfg as mfg, numpy as np
from fastmfg.games.serialize import describe
def reward(h, mu):
    return np.zeros((2, 1))
models = mfg.ModelClass.from_tables(np.full((2, 1, 2, 1, 2), 0.5), [0.5, 0.5], reward)
try:
    describe(models)
except TypeError as error:
    print(error)
"""


def test_functions_of_the_script_itself_are_refused():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert "reward is not to be found by that name in an importable module (it is of __main__)" in done.stdout


def test_a_function_that_has_changed_is_refused(monkeypatch):
    made = describe(class_of("filler"))
    monkeypatch.setattr("builders.swept_fill", swept_prepare)
    with pytest.raises(ValueError, match=r"builders\.swept_fill is another function in this process"):
        made.open()


def test_the_digest_of_code():
    def first(x, y=1):
        return [x + y for _ in range(3) if x in {1, 2, 3}]

    def second(x, y=1):
        return [x - y for _ in range(3) if x in {1, 2, 3}]

    def third(x, y=2):
        return [x + y for _ in range(3) if x in {1, 2, 3}]

    assert len({code_digest(first), code_digest(second), code_digest(third)}) == 3
    code = "import test_cluster; from fastmfg.games.serialize import code_digest as d; print(d(test_cluster.leaning))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=os.path.dirname(__file__), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == code_digest(leaning)


# Classes in files


@pytest.mark.parametrize("form", FORMS)
def test_a_stored_class_gives_the_same_bytes(form, tmp_path, pool):
    models = class_of(form)
    if form == "functions":  # partials are not what a file may refer to
        with pytest.raises(ValueError, match=r"does not refer to functools\.partial"):
            cluster.store(models, tmp_path / "class")
        return
    kept = cluster.store(models, tmp_path / "class")
    assert describe(kept).size == 0
    assert describe(kept).digest == describe(models).digest
    alone = answers(models)
    assert answers(kept) == answers(kept, executor=pool) == answers(cluster.open_stored(tmp_path / "class")) == alone
    cluster.store(models, tmp_path / "class")  # the same once more
    with pytest.raises(FileExistsError, match="holds another class"):
        cluster.store(models[:2], tmp_path / "class")


def test_damaged_stored_classes_are_refused(tmp_path):
    models = class_of("linear")
    cluster.store(models, tmp_path)
    kept = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def broken(name, content, message):
        for path, whole in kept.items():
            path.write_bytes(whole)
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=message):
            cluster.open_stored(tmp_path)

    broken(stored.ABOUT, b"{}", "holds no stored class of models")
    broken(stored.ABOUT, b"{", "holds no stored class of models")
    broken(stored.ARRAYS, kept[tmp_path / stored.ARRAYS][:-1], "cut short")
    broken(stored.STRUCTURE, pickle.dumps(os.system), "does not refer to posix.system")
    broken(stored.STRUCTURE, pickle.dumps([1]), "holds no class of models")
    with pytest.raises(ValueError, match="holds no stored class of models"):
        cluster.open_stored(tmp_path / "nowhere")


def test_a_folder_that_holds_another_class_by_now(tmp_path):
    kept = describe(cluster.store(class_of("linear"), tmp_path / "class"))
    for path in (tmp_path / "class").iterdir():
        path.unlink()
    cluster.store(class_of("tables"), tmp_path / "class")
    with pytest.raises(ValueError, match="holds another class now"):
        kept.open()


def test_what_is_too_large_to_be_sent_is_refused(pool, monkeypatch, tmp_path):
    monkeypatch.setattr(remote, "MOST_BYTES", 1000)
    models = class_of("linear")
    with pytest.raises(ValueError, match="too much to be sent to every process"):
        mfg.ne_gaps(models, models[0].uniform_policy(), executor=pool)
    kept = cluster.store(models, tmp_path)
    assert mfg.ne_gaps(kept, kept[0].uniform_policy(), executor=pool).size == 53


# Executors


def test_what_is_no_executor_is_refused():
    models = class_of("linear")
    pi = models[0].uniform_policy()
    with pytest.raises(TypeError, match=r"executor must be an executor of concurrent.futures, .* got int"):
        mfg.ne_gaps(models, pi, executor=2)
    with pytest.raises(ValueError, match=r"executor forks.*get_context\(\"spawn\"\)"):
        mfg.distance_matrix(models, pi, executor=ProcessPoolExecutor(1, mp_context=get_context("fork")))
    for count in (0, True, 1.5):
        with pytest.raises(ValueError, match="workers must be a whole number of at least 1"):
            cluster.processes(count)


def test_an_asynchronous_client_is_refused(client, monkeypatch):
    monkeypatch.setattr(type(client), "asynchronous", True)
    with pytest.raises(ValueError, match="asynchronous Dask client"):
        list(map_remote(client, square, [1]))


def test_an_executor_that_was_shut_down_is_said_to_be():
    executor = Here()
    run = remote.Run(remote.PoolPort(executor, square, None), range(3), ordered=False)
    run.fill()
    executor.waiting[0][0].cancel()
    _, error = run.take()
    assert isinstance(error, ConnectionError) and "has dropped the work" in str(error)


ORPHANS = """
import os, sys, time
from fastmfg import cluster
if __name__ == "__main__":
    pool = cluster.processes(1)
    print(pool.submit(os.getpid).result(), flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_processes_do_not_outlive_their_parent(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(ORPHANS)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 20
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(child)


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")  # what has ended may still be listed
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")


# Clusters that break


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_worker_that_is_killed_costs_nothing_but_time(client):
    models = mfg.linear_class(200, 8, 4, 3, seed=3)
    alone = [s.policy.tobytes() for s in mfg.solve_models(models, tol=1e-4)]
    worker = next(iter(client.run(os.getpid).values()))
    solutions = mfg.solve_models(models, tol=1e-4, executor=client)
    found = [next(solutions).policy.tobytes()]
    os.kill(worker, signal.SIGKILL)
    found += [s.policy.tobytes() for s in solutions]
    assert found == alone
    assert worker not in client.run(os.getpid).values()


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_block_that_kills_its_workers_is_named_and_others_go_on(dask_cluster, monkeypatch):
    running, client = dask_cluster
    client.wait_for_workers(2, timeout=30)
    monkeypatch.setattr(running.scheduler, "allowed_failures", 0)  # 3 by default
    outcomes = dict(completed(client, die_at_even, [1, 2, 3]))
    assert outcomes[range(0, 1)] == [1] and outcomes[range(2, 3)] == [3]
    assert isinstance(outcomes[range(1, 2)], remote.LostBlockError)
    assert "kills its workers" in str(outcomes[range(1, 2)])


QUIET = {
    "stdout": subprocess.DEVNULL,
    "stderr": subprocess.DEVNULL,
    "env": os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
}


@pytest.fixture
def dask_scheduler(tmp_path):
    """A scheduler process, its file, and what ends it."""
    pytest.importorskip("distributed")
    file = tmp_path / "scheduler.json"
    command = ["-m", "distributed.cli.dask_scheduler", "--scheduler-file", str(file), "--port", "0", "--no-dashboard"]
    process = subprocess.Popen([sys.executable, *command, "--host", "127.0.0.1"], **QUIET)
    deadline = time.monotonic() + 30
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    yield file, process
    process.kill()
    process.wait()


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_scheduler_without_workers_and_then_a_dead_one(dask_scheduler):
    file, process = dask_scheduler
    with pytest.raises(ConnectionError, match="has no worker after 1 s"):
        cluster.connect(file, timeout=1)
    command = ["-m", "distributed.cli.dask_worker", "--scheduler-file", str(file), "--nthreads", "1", "--no-dashboard",
               "--no-nanny", "--preload", "fastmfg.cluster"]  # fmt: skip
    worker = subprocess.Popen([sys.executable, *command], **QUIET)
    try:
        with cluster.connect(file, timeout=120) as client:  # it may have to compile
            results = map_remote(client, seconds_slept, [0.1] * 1000)
            assert next(results) == 0.1
            process.kill()
            with pytest.raises(ConnectionError, match=r"Dask scheduler at tcp://.* has gone away"):
                list(results)
        with pytest.raises(ConnectionError, match=r"no Dask scheduler answers at tcp://.* within 1 s"):
            cluster.connect(file, timeout=1)
    finally:
        worker.kill()
        worker.wait()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist: `dask scheduler --scheduler-file"),
        ("", "is not a Dask scheduler's file"),
        ("[]", "is not a Dask scheduler's file"),
        ('{"address": 3}', "its address is 3"),
    ],
)
def test_a_wrong_scheduler_file(tmp_path, content, message):
    pytest.importorskip("distributed")
    file = tmp_path / "scheduler.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ValueError, match=message):
        cluster.connect(file)


def test_a_port_where_nobody_answers(tmp_path):
    pytest.importorskip("distributed")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    (tmp_path / "scheduler.json").write_text(json.dumps({"address": f"tcp://127.0.0.1:{port}"}))
    with pytest.raises(ConnectionError, match=f"no Dask scheduler answers at tcp://127.0.0.1:{port}"):
        cluster.connect(tmp_path / "scheduler.json", timeout=0.5)


def test_without_dask_the_remedy_is_said(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"pip install 'fastmfg\[cluster\]'"):
        cluster.connect(tmp_path / "scheduler.json")


def test_workers_are_compared_with_this_process(client, monkeypatch):
    client.wait_for_workers(2, timeout=30)
    assert cluster.prepare_workers(client) == {socket.gethostname(): 2}
    monkeypatch.setenv("NUMBA_CPU_NAME", "another")  # of this process only: kinds of workers are compared
    assert cluster.prepare_workers(client) == {socket.gethostname(): 2}
    monkeypatch.setattr(cluster, "__version__", "9.9")
    with pytest.raises(ValueError, match=r"the worker at tcp://.* has fastmfg 0\.1\.0, this process 9\.9"):
        cluster.prepare_workers(client)


def test_workers_with_processors_of_several_kinds_are_warned_of(monkeypatch):
    class Client:
        def nthreads(self):
            return {"a": 1, "b": 1}

        def submit(self, function, workers, **_):
            return cluster.about() | {"processor": workers[0]}

        def gather(self, futures):
            return futures

    with pytest.warns(UserWarning, match=r"processors of different kinds \(a, b\)"):
        cluster.prepare_workers(Client())


def test_kinds_of_fillers_are_all_known():
    assert set(serialize.KINDS.values()) == {mfg.kernels.jit.PREPARE, mfg.kernels.jit.FILL, mfg.kernels.jit.REWARD}
