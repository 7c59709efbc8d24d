"""The command line, run as people run it: in processes of its own, and in this one for what needs no process."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import fastmfg as mfg
from fastmfg import cli
from fastmfg.learning import Checkpoint
from fastmfg.reporting import signals
from fastmfg.reporting.folder import taken_folder

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


# Classes of the zoo

EPIDEMIC = ["--game", "epidemic", "--grid", "infection=0.2:0.8:4", "recovery=0.1,0.3", "--param", "horizon=6"]
AXES = {"infection": np.linspace(0.2, 0.8, 4), "recovery": [0.1, 0.3], "horizon": 6}


def test_learn_a_game_of_the_zoo(tmp_path, capsys):
    out = tmp_path / "run"
    assert cli.main(["learn", *EPIDEMIC, "--true-model", "5", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    kept = json.loads((out / "result.json").read_text())
    models = mfg.zoo.classes.epidemic(**AXES)
    uniform = mfg.ne_gaps(models, models[0].uniform_policy()).max()
    assert kept["config"]["epsilon"] == pytest.approx(0.01 * uniform, rel=5e-3)
    assert kept["class"] == {"models": 8, "states": 3, "actions": 3, "horizon": 6, "uniform_ne_gap": uniform}
    assert kept["true_model"] == 5 and kept["true_parameters"] == {"infection": pytest.approx(0.6), "recovery": 0.3}
    assert [list(values) for values in kept["survivors_parameters"]] == [["infection", "recovery"]] * len(
        kept["survivors"]
    )
    policy = np.load(out / "policy.npz")["policy"]
    gaps = mfg.ne_gaps(models, policy)
    assert gaps[5] == pytest.approx(kept["true_ne_gap"], abs=1e-12)
    assert gaps[kept["survivors"]].max() == pytest.approx(kept["ne_gap_bound"], abs=1e-12)
    assert "epidemic (infection=0.2:0.8:4 recovery=0.1,0.3 horizon=6): 8 models, 3 states" in text
    assert "true model  infection=0.6, recovery=0.3" in text and "5: infection=0.6, recovery=0.3" in text
    assert (
        f"epsilon     {kept['config']['epsilon']:g}, 0.01 of the uniform policy's largest NE gap in the class" in text
    )
    assert (out / "models.png").read_bytes().startswith(b"\x89PNG")


def test_learn_a_game_with_unknown_rewards(tmp_path, capsys):
    game = ["--game", "epidemic", "--grid", "illness=0.5:2:4", "infection=0.3,0.6", "--param", "horizon=5"]
    out = tmp_path / "run"
    arguments = ["learn", *game, "--reward-noise", "0.5", "--true-model", "5", "--json", "--out", str(out)]
    assert cli.main(arguments) == 0
    kept = json.loads(capsys.readouterr().out)
    assert kept["config"]["reward_noise"] == 0.5
    assert kept["true_parameters"] == {"illness": pytest.approx(1.5), "infection": 0.6}
    assert 5 in kept["survivors"]
    assert cli.main(["learn", "--resume", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["survivors"] == kept["survivors"]
    assert cli.main(["learn", "--resume", str(out)]) == 0
    text = capsys.readouterr().out
    assert "epidemic (illness=0.5:2:4 infection=0.3,0.6 horizon=5 reward_noise=0.5): 8 models" in text
    assert "true model  illness=1.5, infection=0.6" in text


def test_a_configuration_reproduces_its_run(tmp_path, capsys):
    config = tmp_path / "config.toml"
    config.write_text(
        'game = "epidemic"\ngrid = ["infection=0.2:0.8:4", "recovery=0.1,0.3"]\nparam = ["horizon=6"]\nseed = 3\n'
    )
    results = []
    for name, arguments in (("a", ["--config", str(config)]), ("b", [*EPIDEMIC, "--seed", "3"])):
        assert cli.main(["learn", *arguments, "--json", "--out", str(tmp_path / name)]) == 0
        results.append(json.loads(capsys.readouterr().out))
    assert results[0]["config"] == results[1]["config"] and results[0]["true_model"] == results[1]["true_model"]
    np.testing.assert_array_equal(*(np.load(tmp_path / name / "policy.npz")["policy"] for name in "ab"))


def test_the_default_epsilon_tells_nothing_of_the_hidden_model(tmp_path, capsys):
    said = set()
    for model in ("0", "7"):
        out = str(tmp_path / model)
        assert cli.main(["learn", *EPIDEMIC, "--true-model", model, "--json", "--out", out]) == 0
        said.add(json.loads(capsys.readouterr().out)["config"]["epsilon"])
    assert len(said) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*EPIDEMIC, "--states", "8"], "--states is of the linear class, not of --game epidemic"),
        ([*EPIDEMIC, "--d-phi", "8"], "--d-phi is of the linear class, not of --game epidemic"),
        ([*EPIDEMIC, "--horizon", "8"], "not of --game epidemic; --param horizon=8, if the game has it"),
        (["--grid", "infection=0.1,0.2"], "--grid needs --game NAME"),
        (["--param", "horizon=3"], "--param needs --game NAME"),
        (["--reward-noise", "0.1"], "--reward-noise needs --game NAME"),
        ([*EPIDEMIC, "--reward-noise", "-1"], "--reward-noise must lie in [0, inf), got -1.0"),
        ([*EPIDEMIC, "--reward-noise", "nan"], "--reward-noise must lie in [0, inf), got nan"),
        (["--game", "epidemic", "--grid", "illness=1,2"], "must be one of 'infection', 'recovery', got 'illness'"),
        (["--game", "epidemic"], "nothing to learn: give several values of infection or recovery with --grid"),
        ([*EPIDEMIC, "--param", "infection=0.3"], "infection is given by --grid and by --param"),
        ([*EPIDEMIC, "--param", "horizn=3"], "did you mean 'horizon'?"),
        ([*EPIDEMIC, "--param", "waning=2"], "waning must lie in [0, 1], got 2"),
        (["--game", "epidemc", "--grid", "infection=0.1,0.2"], "did you mean 'epidemic'?"),
        (["--game", "left_right", "--grid", "a=0.1,0.2"], "left_right has nothing to learn in its transitions"),
        (["--game", "epidemic", "--grid", "infektion=0.1,0.2"], "did you mean 'infection'?"),
        (["--game", "epidemic", "--grid", "infection=0.1:0.2"], "infection must be FROM:TO:COUNT"),
        (["--game", "epidemic", "--grid", "infection=0.1,0.1"], "are equal: no data could tell them apart"),
        ([*EPIDEMIC, "--true-model", "8"], "true_model must be less than the number of models 8, got 8"),
        ([*EPIDEMIC, "--epsilon", "0"], "epsilon must lie in (0, inf), got 0.0"),
        ([*EPIDEMIC, "--delta", "7"], "delta must lie in (0, 1), got 7.0"),
        (["--game", "epidemic", "--grid", "infection=0:1:1000000"], "GiB are free: take fewer models"),
    ],
)
def test_bad_input_to_learn_a_game(tmp_path, capsys, arguments, message):
    assert cli.main(["learn", *arguments, "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr()
    assert said.out == "" and message in said.err and said.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", ['grid = "infection=0.1,0.2"', "grid = 3", "game = 3"])
def test_bad_config_file_of_a_game(tmp_path, capsys, text):
    config = tmp_path / "config.toml"
    config.write_text(text)
    assert cli.main(["learn", "--config", str(config)]) == 2
    assert "must be" in capsys.readouterr().err


# Diagnoses


def test_diagnose_says_what_a_game_is_like(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["diagnose", "epidemic", "--param", "horizon=4", "--policies", "5", "--seed", "2"]
    found = mfg.diagnose(mfg.zoo.epidemic(4), n_policies=5, seed=2)
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out == f"{found}\n"
    assert cli.main([*arguments, "--json", "--temperature", "0.5"]) == 0
    said = json.loads(capsys.readouterr().out)
    heated = mfg.diagnose(mfg.zoo.epidemic(4), n_policies=5, seed=2, temperature=0.5)
    assert (said["game"], said["params"], said["seed"], said["temperature"]) == ("epidemic", {"horizon": 4}, 2, 0.5)
    assert said["contraction"] == heated.contraction and said["transition_lipschitz"] == heated.transition_lipschitz
    assert said["monotonicity"] == {"pairs": heated.monotonicity.pairs, "violations": 0, "largest": 0.0}
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["beachbar"], "did you mean 'beach_bar'?"),
        (["beach_bar", "--policies", "0"], "n_policies must be at least 1, got 0"),
        (["beach_bar", "--temperature", "0"], "temperature must lie in (0, inf), got 0.0"),
        (["beach_bar", "--out", "x"], "it writes no files"),
    ],
)
def test_bad_input_to_diagnose(tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["diagnose", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == "" and message in said.err and said.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


# Going on

LONG = [*SMALL, "--adversary", "first", "--evidence", "paper"]  # hundreds of samples, in several rounds


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The folder of a run that nothing has interrupted."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert cli.main(["learn", *LONG, "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def end_at(monkeypatch):
    """``end_at(k, signal)``: a signal comes at the k-th draw of this process."""

    def end_at(k, number):
        draws = iter(range(10**9))

        def drawn(progress, trajectories, survivors):
            if next(draws) == k:
                signal.raise_signal(number)

        monkeypatch.setattr("fastmfg.reporting.text.Progress.drawn", drawn)

    return end_at


def assert_same_run(folder, uninterrupted):
    found, wanted = (np.load(run / "policy.npz") for run in (folder, uninterrupted))
    assert set(found) == set(wanted)
    for name in wanted:
        assert found[name].tobytes() == wanted[name].tobytes()
    contents = [json.loads((run / "result.json").read_text()) for run in (folder, uninterrupted)]
    for content in contents:
        del content["seconds"], content["resumed_from_round"]
        for finished in content["rounds"]:
            del finished["seconds"]
    assert contents[0] == contents[1]


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "ended by SIGTERM"), ("SIGUSR1", None, "ended by SIGUSR1")],
)
def test_a_signal_ends_a_run_that_then_goes_on(tmp_path, capsys, monkeypatch, end_at, uninterrupted, name, code, says):
    if not hasattr(signal, name):
        pytest.skip("no such signal here")
    number = getattr(signal, name)
    before = signal.getsignal(number)
    out = tmp_path / "run"
    end_at(40, number)
    assert cli.main(["learn", *LONG, "--json", "--out", str(out)]) == (code or 128 + number)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        f"fastmfg learn: {says}; what was finished is in {out}: go on with fastmfg learn --resume {out}\n"
    )
    assert signal.getsignal(number) is before
    assert not json.loads((out / "result.json").read_text())["finished"]
    monkeypatch.undo()
    assert cli.main(["learn", "--resume", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    rounds = said["rounds"]
    assert said["resumed_from_round"] == sum(np.cumsum([r["elimination_rounds"] for r in rounds]) <= 41)
    assert said["out"] == str(out) and said["finished"]
    assert_same_run(out, uninterrupted)
    for picture in ("elimination.png", "models.png"):
        assert (out / picture).exists()


def test_a_second_interrupt_ends_at_once(monkeypatch):
    ended = []
    monkeypatch.setattr(signals.os, "_exit", ended.append)
    with signals.stopping() as check:
        with pytest.raises(signals.Stopped):
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(signals.Stopped):  # whoever caught the first
            check()
        signal.raise_signal(signal.SIGTERM)  # it is ending already
        assert ended == []
        signal.raise_signal(signal.SIGINT)
        assert ended == [130]


class SignalsAtItsEnd:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)


def end_an_object_and_wait():
    with signals.stopping():
        SignalsAtItsEnd()
        time.sleep(20)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_signal_within_a_destructor_is_not_lost():
    with pytest.raises(signals.Stopped) as stopped:
        end_an_object_and_wait()
    assert stopped.value.exit_code == 143


def test_signals_that_are_ignored_stay_so():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with signals.stopping():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_finished_run_is_shown_again(uninterrupted, capsys):
    before = {path: path.stat().st_mtime_ns for path in uninterrupted.rglob("*")}
    assert cli.main(["learn", "--resume", str(uninterrupted), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads((uninterrupted / "result.json").read_text()) | {"out": str(uninterrupted)}
    assert cli.main(["learn", "--resume", str(uninterrupted)]) == 0
    assert "NE gap      at most" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in uninterrupted.rglob("*")}


def test_pictures_that_are_missing_are_drawn(tmp_path, uninterrupted):
    run = tmp_path / "run"
    shutil.copytree(uninterrupted, run)
    (run / "models.png").unlink()
    assert cli.main(["learn", "--resume", str(run)]) == 0
    assert (run / "models.png").exists()
    assert_same_run(run, uninterrupted)


def test_a_run_without_a_checkpoint_starts(tmp_path, uninterrupted, capsys):
    content = json.loads((uninterrupted / "result.json").read_text())
    header = ("command", "config", "versions", "threads", "class", "resumed_from_round")
    begun = {name: content[name] for name in header} | {"finished": False, "rounds": []}
    (tmp_path / "result.json").write_text(json.dumps(begun))
    assert cli.main(["learn", "--resume", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["resumed_from_round"] == 0
    assert_same_run(tmp_path, uninterrupted)


def test_a_game_of_the_zoo_goes_on(tmp_path, capsys, monkeypatch, end_at):
    end_at(1, signal.SIGTERM)
    out = tmp_path / "run"
    assert cli.main(["learn", *EPIDEMIC, "--out", str(out)]) == 143
    monkeypatch.undo()
    assert cli.main(["learn", *EPIDEMIC, "--out", str(tmp_path / "whole")]) == 0
    assert cli.main(["learn", "--resume", str(out)]) == 0
    assert "resumed     from the checkpoint after round 0" in capsys.readouterr().out
    assert_same_run(out, tmp_path / "whole")


def test_a_damaged_checkpoint_is_said_in_a_line(tmp_path, capsys, monkeypatch, end_at, uninterrupted):
    end_at(100, signal.SIGTERM)
    out = tmp_path / "run"
    assert cli.main(["learn", *LONG, "--out", str(out)]) == 143
    capsys.readouterr()
    newest = max((out / "checkpoint").glob("samples-*"))
    newest.write_bytes(newest.read_bytes()[:-1])
    monkeypatch.undo()
    assert cli.main(["learn", "--resume", str(out), "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["finished"]
    assert said.err.count("\n") == 1 and f"{newest} is damaged" in said.err and "going on from" in said.err
    assert_same_run(out, uninterrupted)


def test_a_full_disk_is_said_in_a_line_and_the_run_goes_on(tmp_path, capsys, monkeypatch, uninterrupted):
    out = tmp_path / "run"
    fsync, left = os.fsync, iter(range(10**9))

    def fill(descriptor):
        if next(left) > 11:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fill)
    assert cli.main(["learn", *LONG, "--out", str(out)]) == 2
    said = capsys.readouterr()
    assert "No space left on device" in said.err and str(out) in said.err and said.err.count("\n") == 1
    monkeypatch.undo()
    assert cli.main(["learn", "--resume", str(out)]) == 0
    assert_same_run(out, uninterrupted)


COMMANDS = {
    "learn": ["learn", *SMALL],
    "figure2": ["figure2", *SMALL, "--classes", "1", "--trials", "1"],
    "solve": ["solve", "left_right"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_that_can_not_be_written(tmp_path, capsys, monkeypatch, command):
    def refuse(path, *args, **options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(os, "open", refuse)
    assert cli.main([*COMMANDS[command], "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr()
    assert "Read-only file system" in said.err and said.err.count("\n") == 1
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


@pytest.mark.parametrize("command", ["figure2", "solve"])
@pytest.mark.parametrize("k", range(4))
def test_a_full_disk_leaves_nothing_half_written(tmp_path, capsys, monkeypatch, command, k):
    """The disk is full from the k-th file on: one line says so, and what is there is whole."""
    run, replace, left = tmp_path / "run", os.replace, iter(range(10**9))

    def full(*args):
        if next(left) >= k:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(*args)

    monkeypatch.setattr(os, "replace", full)
    assert cli.main([*COMMANDS[command], "--out", str(run)]) == 2
    said = capsys.readouterr()
    assert said.out == "" and "No space left on device" in said.err and said.err.count("\n") == 1
    assert run.exists() == (k > 0)  # an empty folder is not left behind
    for path in run.glob("*"):
        assert path.suffix in (".json", ".npz", ".png", ".csv") and path.stat().st_size > 0
    if (run / "result.json").exists():
        assert not json.loads((run / "result.json").read_text())["finished"]


@pytest.mark.parametrize("arguments", [["--resume", "run"], [*LONG, "--out", "run", "--force"]])
def test_a_run_that_goes_on_elsewhere_is_left_alone(tmp_path, capsys, monkeypatch, uninterrupted, arguments):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(uninterrupted, "run")
    os.unlink("run/models.png")  # not finished
    before = sorted(str(path) for path in (tmp_path / "run").rglob("*"))
    with Checkpoint("run/checkpoint"):
        assert cli.main(["learn", *arguments]) == 2
    said = capsys.readouterr()
    assert f"run/checkpoint is in use by process {os.getpid()} on " in said.err and said.err.count("\n") == 1
    assert before == sorted(str(path) for path in (tmp_path / "run").rglob("*"))


def test_two_runs_that_start_in_one_folder(tmp_path, capsys):
    with Checkpoint(tmp_path / "run" / "checkpoint"):
        assert cli.main(["learn", *SMALL, "--out", str(tmp_path / "run")]) == 2
    assert "is in use by process" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("force", [[], ["--force"]])
def test_no_command_works_in_the_folder_of_another(tmp_path, capsys, command, force):
    with taken_folder(tmp_path / "run", force=False) as run:
        (run / "figure2.png").write_text("theirs")
        assert cli.main([*command, "--out", str(run), *force]) == 2
        said = capsys.readouterr()
        assert said.out == "" and said.err.count("\n") == 1
        assert "is in use by process" in said.err if force else "already holds a run" in said.err
        assert sorted(path.name for path in run.iterdir()) == ["figure2.png", "lock"]


def test_solve_takes_its_folder_before_it_solves(tmp_path, monkeypatch, capsys):
    (tmp_path / "policy.npz").touch()
    monkeypatch.setattr("fastmfg.reporting.known.solve_game", pytest.fail)
    assert cli.main(["solve", "left_right", "--out", str(tmp_path)]) == 2
    assert "already holds a run" in capsys.readouterr().err


def test_force_forgets_the_checkpoint(tmp_path, monkeypatch, end_at, uninterrupted):
    end_at(40, signal.SIGTERM)
    out = tmp_path / "run"
    assert cli.main(["learn", *LONG, "--seed", "5", "--out", str(out)]) == 143
    monkeypatch.undo()
    assert cli.main(["learn", *LONG, "--out", str(out), "--force"]) == 0
    assert_same_run(out, uninterrupted)


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (None, [], "the folder holds no run (no result.json)"),
        ("{", [], "result.json is damaged"),
        ("[]", [], "result.json is damaged"),
        ('{"command": "figure2", "config": {}}', [], "it holds a run of 'figure2'; runs of 'learn' go on"),
        ('{"command": "learn", "config": {}}', [], "result.json is of another version"),
        ("", ["--seed", "3"], "--seed does not go with --resume: the run has its settings"),
        ("", ["--out", "x"], "--out does not go with --resume"),
        ("", ["--force"], "--force does not go with --resume"),
        ("", ["--game", "epidemic"], "--game does not go with --resume"),
    ],
)
def test_bad_input_to_resume(tmp_path, capsys, content, arguments, message):
    if content is not None:
        (tmp_path / "result.json").write_text(content)
    assert cli.main(["learn", "--resume", str(tmp_path), *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == "" and message in said.err and said.err.count("\n") == 1
    assert cli.main(["learn", "--resume", str(tmp_path / "none")]) == 2
    assert "there is no such folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [] if content is None else ["result.json"]


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_killed_run_goes_on(tmp_path, uninterrupted):
    arguments = ["learn", *LONG, "--out", "run"]
    run = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-m", "fastmfg.cli", *arguments], cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not list(run.glob("checkpoint/samples-000001-000002")) and time.monotonic() < deadline:
        time.sleep(0.001)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    done = fastmfg("learn", "--resume", "run", "--json", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert json.loads(done.stdout)["resumed_from_round"] is not None
    assert_same_run(run, uninterrupted)


def test_a_cache_of_kernels_that_can_not_be_written(tmp_path):
    (tmp_path / "file").touch()
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "file" / "cache")}
    done = fastmfg("solve", "left_right", "--json", cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    (said,) = done.stderr.splitlines()
    assert said.startswith("fastmfg: compiled code cannot be kept (") and "NUMBA_CACHE_DIR" in said
    assert json.loads(done.stdout)["converged"]
