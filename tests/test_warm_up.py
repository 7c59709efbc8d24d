"""All kernels compiled before they are needed, by several processes that share a cache."""

import os
import subprocess
import sys

import pytest

from fastmfg import warm_up
from fastmfg.cli import main
from fastmfg.kernels import jit, table


def test_everything_is_listed_once():
    names = warm_up.compiled_names()
    assert len(names) == len(set(names)) > 100
    assert ("fastmfg.kernels.passes", "evaluate_policy") in names


def test_one_process_builds_all_and_says_how_far_it_is(monkeypatch):
    monkeypatch.setattr(
        warm_up, "compiled_names", lambda: [("fastmfg.kernels.table", name) for name in ("prepare", "fill")]
    )
    heard = []
    warm_up.build_all(1, lambda done, total: heard.append((done, total)))
    assert heard == [(1, 2), (2, 2)]


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


SOLVE = "import fastmfg as mfg; print(mfg.solve(mfg.zoo.beach_bar(n_states=8)).ne_gap)"


@pytest.mark.parametrize("home", [True, False])
def test_two_processes_that_start_at_once_share_a_cold_cache(tmp_path, home):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    if not home:
        environment.pop("HOME", None)
    started = [
        subprocess.Popen([sys.executable, "-c", SOLVE], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    answers = [process.communicate() for process in started]
    assert [process.returncode for process in started] == [0, 0], answers
    assert answers[0] == answers[1]  # the same number, and no word of complaint
