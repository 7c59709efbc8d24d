"""Sweeps: axes and tasks; every task once, the same bytes whoever computes it; interrupted, damaged, killed."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest

from fastmfg import cli
from fastmfg.reporting import sweep_run, sweep_table
from fastmfg.reporting.experiment import Experiment, run_experiment
from fastmfg.reporting.folder import FolderInUseError
from fastmfg.reporting.sweep import MOST_TASKS, Configs, digest_of, made, read_sweep, sweep_of
from fastmfg.reporting.sweep_run import Shard, run_sweep, run_task
from fastmfg.reporting.task_files import TaskFiles

SMALL = {"models": 6, "states": 5, "actions": 3, "horizon": 2, "epsilon": 0.05}
TABLES = ("sweep.csv", "sweep.jsonl")


def small(**settings):
    return sweep_of(SMALL | settings)


def quiet(text):
    raise AssertionError(f"nothing was to be said, but: {text}")


def tables(folder):
    return [(folder / name).read_bytes() for name in TABLES]


def task_paths(folder):
    return sorted((folder / "tasks").glob("*/*.json"))


@pytest.fixture(scope="module")
def six(tmp_path_factory):
    """A sweep of six tasks, its folder once it is done by this process, and its tables."""
    sweep, folder = small(actions=[2, 3], seed=[0, 1, 2]), tmp_path_factory.mktemp("six")
    content = run_sweep(sweep, folder, tell=quiet)
    assert content["finished"] and content["computed"] == content["tasks"] == content["present"] == 6
    return sweep, folder, tables(folder)


# Axes and tasks


def test_tasks_are_the_product_of_the_axes_the_last_varying_fastest():
    sweep = small(actions=[2, 3], seed=[5, 6, 7])
    assert sweep.varied == ["actions", "seed"] and len(sweep) == 6
    assert [(c["actions"], c["seed"]) for c in Configs(sweep, range(6))] == [
        (2, 5), (2, 6), (2, 7), (3, 5), (3, 6), (3, 7),
    ]  # fmt: skip
    assert sweep.config(4) == asdict(Experiment(**SMALL | {"actions": 3, "seed": 6}))
    assert Configs(sweep, [4, 1])[1:] == [sweep.config(1)] and Configs(sweep, [4, 1])[0] == sweep.config(4)
    assert sweep.positions(4)["seed"] == 1 and sweep.positions(4)["models"] == 0


def test_a_setting_alone_is_one_task():
    assert len(sweep_of({})) == 1
    assert made(sweep_of({}).config(0)) == Experiment()


def test_a_span_is_an_axis():
    assert small(seed={"start": 3, "count": 4, "step": 2}).axes["seed"] == (3, 5, 7, 9)
    assert small(seed={"count": 3}).axes["seed"] == (0, 1, 2)


def test_addresses_depend_on_what_is_computed_alone():
    one, other = small(actions=[2, 3], seed=[0, 1]), sweep_of({"seed": [1, 0], "actions": 3} | SMALL | {"delta": 0.001})
    assert one.digest(3) == other.digest(0) == digest_of(asdict(Experiment(**SMALL | {"actions": 3, "seed": 1})))
    assert len({one.digest(task) for task in range(4)}) == 4
    assert sweep_of(SMALL | {"epsilon": 1}).digest(0) == sweep_of(SMALL | {"epsilon": 1.0}).digest(0)
    assert one.name != other.name


def test_zoo_games_are_swept_too():
    sweep = sweep_of({
        "game": "epidemic", "grid": [["infection=0.2:0.8:4"], ["infection=0.2:0.8:4", "recovery=0.1,0.3"]],
        "param": ["horizon=4"], "seed": [0, 1],
    })  # fmt: skip
    assert len(sweep) == 4 and sweep.varied == ["grid", "seed"]
    sweep.check()
    found = run_task(None, sweep.config(3))
    assert found["result"]["class"]["models"] == 8 and found["result"]["epsilon"] > 0
    assert set(found["result"]["true_parameters"]) == {"infection", "recovery"}
    one = sweep_of({"game": "epidemic", "grid": ["infection=0.2:0.8:4"], "epsilon": 0.5})
    assert len(one) == 1 and one.config(0)["grid"] == ["infection=0.2:0.8:4"] and one.config(0)["epsilon"] == 0.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sed = [1, 2]", r"setting: did you mean 'seed'\? It must be one of .*, got 'sed'"),
        ("seed = []", "seed is an empty list: an axis needs at least one value"),
        ("seed = [1, 2, 1]", "seed holds 1 twice"),
        ("seed = 'one'", "seed must be int, or a list of these as an axis, got 'one'"),
        ("seed = [0, true]", "seed must be int, .* got True"),
        ("seed = [[0, 1]]", r"seed must be int, .* got \[0, 1\]"),
        ("epsilon = ['small']", "epsilon must be float, .* got 'small'"),
        ("tolerance = '1'", "tolerance must be float, .* got '1'"),
        ("seed = {start = 0, cuont = 3}", r"key of seed: did you mean 'count'\? It must be one of .*, got 'cuont'"),
        ("seed = {start = 3}", r"seed needs a count"),
        ("seed = {count = 0}", "seed is an empty list"),
        ("seed = {count = 3, step = 0}", r"seed.step must be at least 1, got 0"),
        ("seed = ", "is not TOML"),
        ("game = 'epidemic'\ngrid = 'infection=0.1,0.2'", "grid must be a list, or a list of lists as an axis"),
        ("game = 'epidemic'\nstates = 3", "It must be one of .*, got 'states'"),
        (f"seed = {{count = {MOST_TASKS + 1}}}", f"seed.count is {MOST_TASKS + 1}, more than {MOST_TASKS}"),
        ("seed = {count = 4000}\nmax_rounds = {start = 1, count = 4000}", f"16000000 tasks, more than {MOST_TASKS}"),
    ],
)
def test_bad_files_are_refused_by_name(tmp_path, text, message):
    file = tmp_path / "sweep.toml"
    file.write_text(text)
    with pytest.raises((ValueError, TypeError), match=message) as error:
        read_sweep(file)
    assert str(file) in str(error.value)


def test_a_task_that_cannot_run_is_named_before_anything_runs(tmp_path):
    with pytest.raises(ValueError, match=r"task 1 \(delta = 1\.5\): delta must lie in \(0, 1\), got 1\.5"):
        run_sweep(small(delta=[0.1, 1.5]), tmp_path / "run")
    with pytest.raises(ValueError, match=r"task 0 \(the only one\): states must be at least 1, got 0"):
        run_sweep(sweep_of({"states": 0}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4/4", "shards of 4 count from 0 to 3, got '4/4'"),
        ("1", "shard must be I/N, as 0/4 to 3/4, got '1'"),
        ("a/b", "shard must be I/N"),
        ("-1/4", "shard must be I/N"),
        ("0/0", "shard's N must be at least 1, got 0"),
    ],
)
def test_bad_shards(text, message):
    with pytest.raises(ValueError, match=message):
        Shard.of(text)


# What tasks give


def test_a_task_gives_what_learn_gives(tmp_path):
    config = small(seed=4).config(0)
    _, content = run_experiment(made(config), tmp_path)
    found = run_task(None, config)["result"]
    same = ("survivors", "ne_gap_bound", "certified", "true_model", "true_ne_gap", "trajectories", "stopped", "class")
    assert {name: found[name] for name in same} == {name: content[name] for name in same}
    assert found["rounds"] == len(content["rounds"])
    assert run_task(None, config)["result"] == found


def test_tables_hold_every_task_in_order(six):
    sweep, folder, _ = six
    with (folder / "sweep.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = [json.loads(line) for line in (folder / "sweep.jsonl").read_text().splitlines()]
    assert [int(row["task"]) for row in rows] == [line["task"] for line in lines] == list(range(6))
    for task, (row, line) in enumerate(zip(rows, lines, strict=True)):
        found = run_task(None, sweep.config(task))["result"]
        assert line == {"task": task, "sha256": sweep.digest(task), "config": sweep.config(task), **found}
        assert int(row["actions"]) == line["config"]["actions"] and int(row["seed"]) == line["config"]["seed"]
        assert float(row["ne_gap_bound"]) == found["ne_gap_bound"]
        assert int(row["survivors.count"]) == len(found["survivors"])
        assert int(row["class.models"]) == 6
        assert "seconds" not in row and "seconds" not in line
    assert (folder / "sweep.png").read_bytes().startswith(b"\x89PNG")
    kept = json.loads((folder / "result.json").read_text())
    assert kept["config"] == SMALL | {"actions": [2, 3], "seed": [0, 1, 2]}
    assert kept["finished"] and kept["tasks"] == 6 and kept["true_model_lost"] == 0
    assert kept["median_trajectories"] == np.median([line["trajectories"] for line in lines])


def test_a_table_of_nested_results():
    row = {"config": {"grid": ["a=1", "b=2"]}, "true": {"x": 1, "y": {"z": 2}}, "left": [1, 2, 3], "ok": True}
    assert sweep_table.flat(row) == {"grid": "a=1 b=2", "true.x": 1, "true.y.z": 2, "left.count": 3, "ok": True}


def test_axes_of_the_picture():
    assert sweep_table.horizontal_axis(small(adversary=["max", "first"], actions=[2, 3], seed=[1, 2])) == (
        "actions", ["adversary"],
    )  # fmt: skip
    assert sweep_table.horizontal_axis(small(adversary=["max", "first"])) == ("adversary", [])
    assert sweep_table.horizontal_axis(small(seed=[1, 2])) == (None, [])


@pytest.mark.parametrize("axes", [{"adversary": ["max", "first"]}, {"seed": [0, 1]}, {"actions": list(range(2, 10))}])
def test_pictures_of_all_kinds_of_axes(tmp_path, axes):
    sweep = small(**axes, scale=[0.1, 0.2])
    sweep_table.draw(sweep, [(task, 10.0 + task, 0.1) for task in range(len(sweep))], tmp_path / "sweep.png")
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")


# Who computes them


def test_what_is_there_is_not_computed_again(six, monkeypatch):
    sweep, folder, bytes_before = six
    monkeypatch.setattr(sweep_run, "run_task", None)
    done = []
    content = run_sweep(sweep, folder, tell=quiet, advance=lambda n, note: done.append(n))
    assert content["computed"] == 0 and content["finished"] and done == [6]
    assert tables(folder) == bytes_before


def test_axes_may_grow(six, tmp_path):
    folder = tmp_path / "run"
    run_sweep(small(actions=[2, 3], seed=[0]), folder, tell=quiet)
    content = run_sweep(six[0], folder, tell=quiet)
    assert content["computed"] == 4 and tables(folder) == six[2]


def test_force_computes_anew(six, tmp_path):
    folder = tmp_path / "run"
    for force, computed in ((False, 2), (False, 0), (True, 2)):
        assert run_sweep(small(seed=[0, 1]), folder, force=force, tell=quiet)["computed"] == computed


def test_processes_and_executors_give_the_same_bytes(six, tmp_path):
    sweep, _, expected = six
    content = run_sweep(sweep, tmp_path / "workers", workers=2, tell=quiet)
    assert content["computed"] == 6 and tables(tmp_path / "workers") == expected
    with ThreadPoolExecutor(2) as executor:
        run_sweep(sweep, tmp_path / "executor", executor=executor, tell=quiet)
    assert tables(tmp_path / "executor") == expected
    with pytest.raises(ValueError, match="give an executor or workers, not both"):
        run_sweep(sweep, tmp_path / "both", executor=executor, workers=2)


def test_shards_make_the_table_together(six, tmp_path):
    sweep, _, expected = six
    folder = tmp_path / "run"
    for i in (2, 0):
        content = run_sweep(sweep, folder, shard=Shard(i, 3), tell=quiet)
        assert content["computed"] == 2 and content["finished"] is False
        assert not (folder / "sweep.csv").exists()
    content = run_sweep(sweep, folder, shard=Shard(1, 3), tell=quiet)
    assert content["finished"] and tables(folder) == expected
    assert sorted(task for i in range(4) for task in Shard(i, 4).tasks(sweep)) == list(range(6))
    assert list(Shard(5, 7).tasks(sweep)) == [5] and not Shard(6, 7).tasks(sweep)


# What goes wrong


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-40],
        lambda text: "",
        lambda text: "[1, 2]",
        lambda text: text.replace('"trajectories": ', '"trajectories": 1'),
        lambda text: text.replace('"models": 6', '"models": 7'),
    ],
)
def test_a_damaged_file_is_computed_anew_with_a_warning(tmp_path, damage):
    sweep, folder = small(seed=[0, 1]), tmp_path / "run"
    run_sweep(sweep, folder, tell=quiet)
    before, path = tables(folder), task_paths(folder)[1]
    whole = path.read_text()
    assert damage(whole) != whole
    path.write_text(damage(whole))
    with pytest.warns(UserWarning, match=f"{path} is damaged: its task is computed anew"):
        content = run_sweep(sweep, folder)
    assert content["computed"] == 1 and content["finished"] and tables(folder) == before
    assert json.loads(path.read_text())["result"] == json.loads(whole)["result"]


def test_a_file_in_anothers_place_is_damage(tmp_path):
    sweep, folder = small(seed=[0, 1]), tmp_path / "run"
    run_sweep(sweep, folder, tell=quiet)
    first, second = task_paths(folder)
    first.write_text(second.read_text())
    with pytest.warns(UserWarning, match="is damaged"):
        assert run_sweep(sweep, folder)["computed"] == 1


def test_a_file_of_another_version_is_computed_anew(tmp_path, monkeypatch):
    sweep, folder = small(), tmp_path / "run"
    run_sweep(sweep, folder, tell=quiet)
    monkeypatch.setattr("fastmfg.reporting.task_files.__version__", "9.9")
    with pytest.warns(UserWarning, match=r"is of fastmfg 0\.1\.0: its task is computed anew"):
        run_sweep(sweep, folder)


def test_files_are_written_whole_or_not_at_all(tmp_path):
    files = TaskFiles(tmp_path, quiet)
    with pytest.raises(ValueError, match="Out of range float"):
        files.write({"a": 1}, {"result": float("nan")})
    assert not list(tmp_path.rglob("*.json*")) and files.present() == set()


def test_a_task_that_fails_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    sweep, folder, said = small(seed=[0, 1, 2]), tmp_path / "run", []
    result_of = sweep_run.result_of

    def sometimes(experiment):
        if experiment.seed == 1:
            raise ZeroDivisionError("seed one")
        return result_of(experiment)

    monkeypatch.setattr(sweep_run, "result_of", sometimes)
    content = run_sweep(sweep, folder, tell=said.append)
    assert said == ["task 1 failed: ZeroDivisionError: seed one"]
    assert content["present"] == content["computed"] == 2 and content["finished"] is False
    assert content["failed"] == [{"task": 1, "config": {"seed": 1}, "error": "ZeroDivisionError: seed one"}]
    file = tmp_path / "sweep.toml"
    file.write_text("".join(f"{name} = {value}\n" for name, value in (SMALL | {"seed": [0, 1, 2]}).items()))
    assert cli.main(["sweep", str(file), "--out", str(folder)]) == 2
    assert "1 tasks failed; first task 1: ZeroDivisionError: seed one" in capsys.readouterr().err
    monkeypatch.setattr(sweep_run, "result_of", result_of)
    assert run_sweep(sweep, folder, tell=quiet)["finished"]


def test_folders_that_hold_something_else_are_refused(tmp_path):
    run_experiment(made(small().config(0)), tmp_path / "learned")
    with pytest.raises(FolderInUseError, match="already holds a run that is no sweep"):
        run_sweep(small(), tmp_path / "learned")
    (tmp_path / "file").touch()
    with pytest.raises(FolderInUseError, match="is a file: give a folder"):
        run_sweep(small(), tmp_path / "file")


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_killed_process_is_replaced(six, tmp_path):
    sweep, _, expected = six
    said, killed = [], []

    def kill_one(n, note):
        if n == 1 and not killed:
            killed.append(active_children()[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    content = run_sweep(sweep, tmp_path / "run", workers=2, tell=said.append, advance=kill_one)
    assert killed and content["finished"] and tables(tmp_path / "run") == expected
    assert len(said) <= 1 and all("a worker process died" in text for text in said)
    assert active_children() == []


def dies(_, config):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_processes_that_die_for_ever_are_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep_run, "run_task", dies)
    with pytest.raises(ChildProcessError, match=r"died 3 times in a row \(out of memory\?\) at task 0"):
        run_sweep(small(), tmp_path / "run", workers=1, tell=lambda text: None)
    assert active_children() == []


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_killed_dask_worker_costs_nothing_but_time(six, tmp_path):
    distributed = pytest.importorskip("distributed")
    sweep, _, expected = six
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0", host="127.0.0.1"
        ) as running,
        distributed.Client(running, set_as_default=False) as client,
    ):
        workers = list(client.run(os.getpid).values())

        def kill_one(n, note):
            if n == 1 and len(workers) == 2:
                os.kill(workers.pop(), signal.SIGKILL)

        content = run_sweep(sweep, tmp_path / "run", executor=client, tell=quiet, advance=kill_one)
        assert len(workers) == 1 and content["finished"] and tables(tmp_path / "run") == expected


# On the command line


def command(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "fastmfg.cli", "sweep", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


@pytest.fixture
def toml(tmp_path):
    file = tmp_path / "sweep.toml"
    file.write_text("models = 6\nstates = 5\nactions = [2, 3]\nhorizon = 2\nepsilon = 0.05\nseed = {count = 3}\n")
    return file


def test_the_command(toml, tmp_path, six):
    process = command(toml.name, "--json", cwd=tmp_path)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0 and err == "", err
    said = json.loads(out)
    folder = tmp_path / said["out"]
    assert folder.parent.name == "runs" and folder.name == f"sweep-{six[0].name}"
    assert said["finished"] and tables(folder) == six[2]


def test_the_summary_and_shards(toml, tmp_path, capsys, six):
    out = ["--out", str(tmp_path / "run")]
    assert cli.main(["sweep", str(toml), *out, "--shard", "0/2"]) == 0
    said = capsys.readouterr()
    assert "3 of 6 done, 3 of them now" in said.out and "none yet" in said.out and said.err == ""
    assert cli.main(["sweep", str(toml), *out]) == 0
    said = capsys.readouterr()
    assert "6 of 6 done, 3 of them now" in said.out and "median" in said.out and said.err == ""
    assert tables(tmp_path / "run") == six[2]


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("number", "workers"), [(signal.SIGKILL, []), (signal.SIGINT, ["--workers", "2"])])
def test_an_interrupted_sweep_goes_on(toml, tmp_path, number, workers):
    toml.write_text(toml.read_text().replace("count = 3", "count = 200"))
    folder = tmp_path / "run"
    process = command(str(toml), "--out", str(folder), *workers)
    deadline = time.monotonic() + 120
    while len(task_paths(folder)) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    if number == signal.SIGINT:
        assert process.returncode == 130 and err.startswith(
            f"fastmfg sweep: interrupted; what was finished is in {folder}"
        )
    done = {path: path.stat().st_mtime_ns for path in task_paths(folder)}
    assert 3 <= len(done) < 400
    content = run_sweep(read_sweep(toml), folder, shard=Shard(0, 40), tell=quiet)
    after = task_paths(folder)
    assert content["computed"] == len(after) - len(done) <= 10
    assert all(path.stat().st_mtime_ns == written for path, written in done.items())


EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
STUBS = {
    "python": 'exec "{python}" "$@"',
    "fastmfg": 'exec "{python}" -m fastmfg.cli "$@"',
    "dask": 'part=$1; shift; exec "{python}" -m distributed.cli.dask_$part "$@" &> "$part-$$.log"',
    "srun": 'shift 3; "$@" & a=$!; "$@" & trap "kill $a $!" TERM; wait; wait',
}
"""What a cluster has, as programs of a line: `srun` starts the same twice."""


@pytest.fixture
def slurm(tmp_path, toml):
    """``slurm(script, **variables)`` runs an example script beside the sweep's file, as a batch system would."""
    (tmp_path / "home" / "fastmfg" / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / "home" / "fastmfg" / ".venv" / "bin" / "activate").touch()
    (tmp_path / "bin").mkdir()
    for name, line in STUBS.items():
        program = tmp_path / "bin" / name
        program.write_text("#!/usr/bin/env bash\n" + line.format(python=sys.executable) + "\n")
        program.chmod(0o755)

    def run(script, **variables):
        env = (
            os.environ
            | {"HOME": str(tmp_path / "home"), "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
            | variables
        )
        text = (EXAMPLES / script).read_text().replace('export NUMBA_CACHE_DIR="$HOME/.cache/fastmfg-numba"', "true")
        done = subprocess.run(
            ["bash", "-c", text], cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.mark.skipif(os.name != "posix", reason="shell scripts")
def test_the_example_of_a_job_array(slurm, tmp_path, six):
    both = {"SLURM_ARRAY_TASK_COUNT": "2", "SLURM_CPUS_PER_TASK": "1"}
    assert "none yet" in slurm("slurm_array.sh", SLURM_ARRAY_TASK_ID="0", **both)
    assert "6 of 6 done, 3 of them now" in slurm("slurm_array.sh", SLURM_ARRAY_TASK_ID="1", **both)
    assert tables(tmp_path / "sweep-out") == six[2]


@pytest.mark.skipif(os.name != "posix", reason="shell scripts")
def test_the_example_of_an_allocation(slurm, tmp_path, six):
    pytest.importorskip("distributed")
    assert "6 of 6 done, 6 of them now" in slurm("slurm_dask.sh", SLURM_JOB_ID="7", SLURM_NTASKS="2")
    assert tables(tmp_path / "sweep-out") == six[2]
    assert len(list(tmp_path.glob("worker-*.log"))) == 2 and not (tmp_path / "scheduler-7.json").exists()


def test_the_example_of_a_sweep():
    sweep = read_sweep(EXAMPLES / "sweep.toml")
    assert len(sweep) == 300 and sweep.varied == ["models", "adversary", "seed"]
    sweep.check()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shard", "2/2"], "shards of 2 count from 0 to 1"),
        (["--workers", "0"], "workers must be a whole number of at least 1, got 0"),
        (
            ["--scheduler-file", "s.json", "--shard", "0/2"],
            "--scheduler-file goes neither with --workers nor with --shard",
        ),
    ],
)
def test_bad_flags(toml, tmp_path, capsys, arguments, message):
    assert cli.main(["sweep", str(toml), "--out", str(tmp_path / "run"), *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == "" and message in said.err and said.err.count("\n") == 1


def test_a_scheduler_that_is_not_there(toml, tmp_path, capsys):
    pytest.importorskip("distributed")
    file = tmp_path / "scheduler.json"
    assert cli.main(["sweep", str(toml), "--scheduler-file", str(file)]) == 2
    assert "does not exist: `dask scheduler --scheduler-file" in capsys.readouterr().err
    file.write_text('{"address": "tcp://127.0.0.1:9"}')
    assert cli.main(["sweep", str(toml), "--scheduler-file", str(tmp_path)]) == 2
    assert "is not a Dask scheduler's file" in capsys.readouterr().err


def test_without_dask_the_command_says_what_to_install(toml, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert cli.main(["sweep", str(toml), "--scheduler-file", "s.json"]) == 2
    said = capsys.readouterr()
    assert "pip install 'fastmfg[cluster]'" in said.err and said.err.count("\n") == 1
