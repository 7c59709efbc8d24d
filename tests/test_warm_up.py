"""All kernels compiled before they are needed, by several processes that share a cache."""

import importlib
import json
import subprocess
import sys

import pytest

from fastmfg import cluster, warm_up
from fastmfg.cli import main
from fastmfg.kernels import cache, jit, table


def test_everything_is_listed_once():
    names = warm_up.compiled_names()
    assert len(names) == len(set(names)) > 100
    assert ("fastmfg.kernels.passes", "evaluate_policy") in names


def test_everything_is_kept_and_says_where():
    done = warm_up.compile_all(1)
    assert done.total == len(warm_up.compiled_names())
    again = warm_up.compile_all(1)
    assert again.compiled == 0
    assert str(again).startswith(f"all {done.total} kernels are compiled, none of them now, in ")
    assert str(again).endswith(f" s; kept in {done.folder}")
    for module, name in warm_up.compiled_names():
        assert getattr(importlib.import_module(module), name).is_kept()


@pytest.fixture
def two_functions(monkeypatch):
    """A package of two functions, none of them built."""
    monkeypatch.setattr(
        warm_up, "compiled_names", lambda: [("fastmfg.kernels.table", name) for name in ("prepare", "fill")]
    )
    for name, kind in (("prepare", jit.PREPARE), ("fill", jit.FILL)):
        monkeypatch.setattr(table, name, jit.Filler(getattr(table, name).function, kind))


def test_one_process_compiles_all_and_says_how_far_it_is(two_functions, tmp_path, monkeypatch):
    monkeypatch.setattr(cache.config, "CACHE_DIR", str(tmp_path))
    heard = []
    done = warm_up.compile_all(1, lambda done, total: heard.append((done, total)))
    assert heard == [(1, 2), (2, 2)]
    assert (done.compiled, done.total) == (2, 2)
    assert done.folder.parent == tmp_path
    assert f"all 2 kernels are compiled, 2 of them now, in {done.seconds:.1f} s; kept in {done.folder}" == str(done)


@pytest.mark.parametrize("processes", [1, 2])
def test_nothing_is_compiled_in_advance_where_nothing_is_kept(two_functions, processes, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cache, "_warned", [])
    (tmp_path / "file").touch()
    monkeypatch.setattr(cache.config, "CACHE_DIR", str(tmp_path / "file"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))  # of other processes
    with pytest.warns(RuntimeWarning, match="compiled code cannot be kept") as caught:
        assert main(["warm-up", "--threads", str(processes)]) == 2
    assert len(caught) == 1
    assert "nothing is compiled in advance" in capsys.readouterr().err
    assert not table.fill.is_built  # the first was enough to see it


def test_a_cache_that_is_turned_off_is_no_news(two_functions, monkeypatch, capsys):
    monkeypatch.setenv("FASTMFG_CACHE", "0")
    assert main(["warm-up", "--threads", "1"]) == 2
    assert "FASTMFG_CACHE=0 turns the cache off" in capsys.readouterr().err


def test_a_cluster_is_warmed_up_by_the_same_means(two_functions, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cache.config, "CACHE_DIR", str(tmp_path))
    done = cluster.warm_up(1)
    assert done.compiled == 2
    assert capsys.readouterr().out == f"{done}\n"


def test_a_wrong_number_of_processes_is_refused(capsys):
    assert main(["warm-up", "--threads", "0"]) == 2
    assert "--threads must be at least 1, got 0" in capsys.readouterr().err


def test_what_takes_long_to_build_is_told(monkeypatch):
    heard = []
    monkeypatch.setattr(jit, "PATIENCE", 0.0)
    jit.watch_builds(heard.append)
    try:
        jit.Filler(table.fill.function, jit.FILL, keep=False).build()
    finally:
        jit.watch_builds(None)
    assert heard == ["fill"]


BUILT_BY_A_COMMAND = """
import json
import sys
from fastmfg import warm_up
from fastmfg.cli import main

assert main(sys.argv[1:]) == 0
names = [name for module, name in warm_up.compiled_names()]
built = [
    f"{module.removeprefix('fastmfg.kernels.')}.{name}"
    for module, name in warm_up.compiled_names()
    if getattr(sys.modules[module], name)._built is not None
]
print(json.dumps(built))
"""


@pytest.mark.parametrize(
    "command",
    [["solve", "left_right", "--json"], ["learn", "--models=20", "--states=8", "--actions=3", "--horizon=2", "--json"]],
    ids=["solve", "learn"],
)
def test_what_is_compiled_ahead_is_needed(command, tmp_path):
    out = [f"--out={tmp_path / 'out'}"] if command[0] == "learn" else []
    done = subprocess.run(
        [sys.executable, "-c", BUILT_BY_A_COMMAND, *command, *out], capture_output=True, text=True, check=True
    )
    built = json.loads(done.stdout.splitlines()[-1])
    assert set(warm_up.AHEAD[command[0]]) <= set(built)
