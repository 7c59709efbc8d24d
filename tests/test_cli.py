"""The command line, run as people run it: in processes of its own, and in this one for what needs no process."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import fastmfg as mfg
from fastmfg import cli

SMALL = ["--models", "12", "--states", "8", "--actions", "4", "--epsilon", "0.01"]


def fastmfg(*arguments, cwd, **options):
    return subprocess.run(
        [sys.executable, "-m", "fastmfg.cli", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def test_learn_leaves_everything_in_its_folder(tmp_path):
    done = fastmfg("learn", *SMALL, "--json", "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # piped: no progress
    said = json.loads(done.stdout)  # one object and nothing else
    kept = json.loads((tmp_path / "run" / "result.json").read_text())
    assert said == kept | {"out": "run"}
    assert kept["finished"]
    assert kept["config"]["models"] == 12 and kept["config"]["delta"] == 1e-3 and kept["config"]["seed"] == 0
    assert set(kept["versions"]) == {"fastmfg", "numpy", "numba", "python"}
    assert kept["threads"] >= 1
    assert kept["trajectories"] == sum(r["trajectories"] for r in kept["rounds"])
    assert kept["certified"] == (kept["ne_gap_bound"] <= 0.01)

    arrays = np.load(tmp_path / "run" / "policy.npz")
    models = mfg.linear_class(n_models=12, n_states=8, n_actions=4, seed=0)
    gaps = mfg.ne_gaps(models, arrays["policy"])
    assert gaps[kept["survivors"]].max() == pytest.approx(kept["ne_gap_bound"], abs=1e-12)
    assert gaps[kept["true_model"]] == pytest.approx(kept["true_ne_gap"], abs=1e-12)
    np.testing.assert_array_equal(arrays["survivors"], kept["survivors"])
    for picture in ("elimination.png", "models.png"):
        assert (tmp_path / "run" / picture).read_bytes().startswith(b"\x89PNG")


def test_summary_is_readable_and_the_default_folder_is_fresh(tmp_path):
    first = fastmfg("learn", *SMALL, "--seed", "3", cwd=tmp_path)
    second = fastmfg("learn", *SMALL, "--seed", "3", cwd=tmp_path)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert "NE gap      at most" in first.stdout and "trajectories" in first.stdout
    folders = sorted((tmp_path / "runs").iterdir())
    assert len(folders) == 2 and all("seed3" in folder.name for folder in folders)
    policies = [(folder / "policy.npz") for folder in folders]
    np.testing.assert_array_equal(*(np.load(p)["policy"] for p in policies))


def test_a_folder_with_a_run_is_refused_unless_forced(tmp_path, capsys):
    arguments = ["learn", *SMALL, "--out", str(tmp_path / "run")]
    assert cli.main(arguments) == 0
    before = (tmp_path / "run" / "result.json").read_bytes()
    capsys.readouterr()
    assert cli.main([*arguments, "--seed", "5"]) == 2
    assert "already holds a run (result.json)" in capsys.readouterr().err
    assert (tmp_path / "run" / "result.json").read_bytes() == before
    assert cli.main([*arguments, "--seed", "5", "--force"]) == 0
    assert json.loads((tmp_path / "run" / "result.json").read_text())["config"]["seed"] == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epsilon", "0"], "epsilon must lie in (0, inf), got 0.0"),
        (["--delta", "1"], "delta must lie in (0, 1), got 1.0"),
        (["--models", "0"], "models must be at least 1, got 0"),
        (["--states", "0"], "states must be at least 1, got 0"),
        (["--true-model", "12"], "true_model must be less than the number of models 12, got 12"),
        (["--adversary", "frist"], "did you mean 'first'?"),
        (["--evidence", "papers"], "did you mean 'paper'?"),
        (["--threads", "0"], "threads must be a whole number of at least 1"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(tmp_path, capsys, arguments, message):
    assert cli.main(["learn", *SMALL, "--out", str(tmp_path / "run"), *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == "" and message in said.err and said.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_config_file_under_flags(tmp_path, capsys):
    config = tmp_path / "config.toml"
    config.write_text(f'models = 12\nstates = 8\nactions = 4\nepsilon = 0.01\nseed = 7\nout = "{tmp_path / "a"}"\n')
    assert cli.main(["learn", "--config", str(config), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["config"]["seed"] == 7
    assert cli.main(["learn", "--config", str(config), "--json", "--seed", "8", "--out", str(tmp_path / "b")]) == 0
    assert json.loads(capsys.readouterr().out)["config"]["seed"] == 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modles = 3", "did you mean 'models'?"),
        ('models = "many"', "models in"),
        ("models = true", "must be int, got True"),
        ("models = ", "is not TOML"),
    ],
)
def test_bad_config_file(tmp_path, capsys, text, message):
    config = tmp_path / "config.toml"
    config.write_text(text)
    assert cli.main(["learn", "--config", str(config)]) == 2
    assert message in capsys.readouterr().err


def test_missing_config_file(tmp_path, capsys):
    assert cli.main(["learn", "--config", str(tmp_path / "none.toml")]) == 2
    assert "none.toml" in capsys.readouterr().err


def test_figure2_draws_and_tabulates(tmp_path, capsys):
    out = tmp_path / "run"
    arguments = [*SMALL, "--classes", "2", "--trials", "2", "--json", "--out", str(out)]
    assert cli.main(["figure2", *arguments]) == 0
    said = json.loads(capsys.readouterr().out)
    kept = json.loads((out / "result.json").read_text())
    assert said["finished"] and "runs" not in said
    assert kept["config"]["adversary"] == "first" and kept["config"]["evidence"] == "paper"
    assert len(kept["runs"]) == 4 and kept["unsolved_equilibria"] == 0
    for run in kept["runs"]:
        assert run["left"][0] == 12 and run["left"][-1] == run["survivors"]
        assert run["gap"][0] == 1.0 and run["times"][-1] == run["trajectories"]
        assert run["trajectories"] % 6 == 0  # 2H a round
    table = np.genfromtxt(out / "figure2.csv", delimiter=",", names=True)
    assert table["left_mean"][0] == 12 and table["gap_mean"][0] == 1.0
    assert table["left_mean"][-1] == pytest.approx(np.mean([run["survivors"] for run in kept["runs"]]))
    assert table["trajectories"][-1] == max(run["trajectories"] for run in kept["runs"])
    assert (out / "figure2.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_interrupt_keeps_what_was_finished(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "fastmfg.cli", "learn", "--out", "run", "--epsilon", "1e-9", "--scale", "1e-4"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    result = tmp_path / "run" / "result.json"
    deadline = time.monotonic() + 60
    while not result.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == "" and "interrupted; what was finished is in run" in err
    kept = json.loads(result.read_text())
    assert kept["finished"] is False and kept["config"]["models"] == 200


# Known games


def test_games_are_listed(capsys):
    assert cli.main(["games"]) == 0
    names = capsys.readouterr().out.split()
    assert cli.main(["games", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == names == list(mfg.zoo.GAMES)


def test_solve_says_what_it_found_and_writes_nothing(tmp_path):
    done = fastmfg("solve", "crowd_modelling_1d", "--param", "size=6", "--param", "horizon=4", "--json", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    said = json.loads(done.stdout)
    game = mfg.zoo.crowd_modelling_1d(6, 4)
    solution = mfg.solve(game)
    assert said["params"] == {"size": 6, "horizon": 4} and said["method"] == "auto" and said["converged"]
    assert said["uniform_ne_gap"] == mfg.ne_gap(game, game.uniform_policy())
    assert said["ne_gap"] == solution.ne_gap and said["iterations"] == solution.iterations
    assert said["seconds"] > 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["beach_bar", "crowd_modelling_2d"])
def test_solve_leaves_its_files(tmp_path, capsys, name):
    out = tmp_path / "run"
    assert cli.main(["solve", name, "--method", "mirror-descent", "--rtol", "0.05", "--out", str(out)]) == 0
    assert "converged" in capsys.readouterr().out
    kept = json.loads((out / "result.json").read_text())
    arrays = np.load(out / "policy.npz")
    game = mfg.zoo.GAMES[name]()
    assert kept["finished"] and kept["ne_gap"] == mfg.ne_gap(game, arrays["policy"]) == arrays["history"].min()
    np.testing.assert_array_equal(arrays["density"], mfg.condition(game, arrays["policy"]).density)
    for picture in ("gap.png", "density.png"):
        assert (out / picture).read_bytes().startswith(b"\x89PNG")
    assert cli.main(["solve", name, "--out", str(out)]) == 2
    assert "already holds a run" in capsys.readouterr().err


def test_solve_is_honest_when_it_stops_early(capsys):
    assert cli.main(["solve", "crowd_modelling_1d", "--max-iterations", "2"]) == 0
    assert "NOT converged" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["beachbar"], "did you mean 'beach_bar'?"),
        (["beach_bar", "--param", "n_state=4"], "did you mean 'n_states'?"),
        (["beach_bar", "--param", "n_states"], "must be NAME=VALUE, got 'n_states'"),
        (["beach_bar", "--param", "n_states=1"], "n_states must be at least 2, got 1"),
        (["beach_bar", "--param", "n_states=many"], "n_states must be a whole number, got 'many'"),
        (["beach_bar", "--method", "mirror-decent"], "did you mean 'mirror-descent'?"),
        (["beach_bar", "--max-iterations", "0"], "max_iterations must be at least 1, got 0"),
    ],
)
def test_bad_input_to_solve(capsys, arguments, message):
    assert cli.main(["solve", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == "" and message in said.err and said.err.count("\n") == 1


def test_solve_reads_a_config_file(tmp_path, capsys):
    config = tmp_path / "config.toml"
    config.write_text('method = "fictitious-play"\nmax_iterations = 7\ntol = 0.0\n')
    assert cli.main(["solve", "beach_bar", "--config", str(config), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["method"] == "fictitious-play" and said["iterations"] == 7


@pytest.mark.parametrize(
    "arguments",
    [["learn", "--models", "many"], ["learn", "--nosuch", "1"], ["figure2", "--true-model", "3"], ["solve"], []],
)
def test_the_parser_says_what_is_wrong_in_one_line(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    said = capsys.readouterr()
    assert ended.value.code == 2 and said.out == "" and said.err.count("\n") == 1


def test_memory_that_is_not_there(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["learn", "--models", "1000000000"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not list((tmp_path / "runs").iterdir())  # no empty folder is left behind


def test_fresh_folders_are_never_shared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli.time, "strftime", lambda form: "now")
    assert [cli.fresh_folder(1).name for _ in range(3)] == ["now-seed1", "now-seed1-2", "now-seed1-3"]


def test_output_whose_reader_has_gone(tmp_path):
    command = f"{sys.executable} -m fastmfg.cli games | head -c 1"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
