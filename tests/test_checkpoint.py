"""A run that was interrupted, at any moment and in any way, ends as if it had not been; no damage goes unnoticed."""

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from builders import crowd_game
from hypothesis import given, settings
from hypothesis import strategies as st
from learning_cases import NoOracle, called_class, filled_class, near_class

import fastmfg as mfg
from fastmfg.files import read_sealed
from fastmfg.learning import Checkpoint, CheckpointError, journal
from fastmfg.learning.checkpoint import CheckpointWarning
from fastmfg.learning.run_digest import class_digest
from fastmfg.lock import FolderLockedError

SETTINGS = {"epsilon": 1e-3, "delta": 0.01, "max_rounds": 12, "strategy": "heuristic"}
CHOICES = {
    "information": {},
    "certified": {"strategy": "certified"},
    "paper": {"adversary": "first", "evidence": "paper"},
    "nash": {"adversary": "nash"},
}


@pytest.fixture(scope="module")
def models():
    return near_class(0, M=12, spread=0.2)


@pytest.fixture(scope="module")
def plain(models):
    """Runs that nothing interrupted, by the choices made."""
    return {name: learn(models, **choices) for name, choices in CHOICES.items()}


def learn(models, oracle=None, **options):
    return mfg.learn(models, oracle or mfg.MeanFieldOracle(models[3], seed=1), **(SETTINGS | options))


def same(a, b):
    """Whether all but the clock is equal, to the last bit."""
    arrays = ("policy", "survivors", "log_likelihood", "eliminated_at", "reference_policy")
    assert all(getattr(a, name).tobytes() == getattr(b, name).tobytes() for name in arrays)
    assert (a.ne_gap_bound, a.trajectories, a.stopped) == (b.ne_gap_bound, b.trajectories, b.stopped)
    assert [r.survivors for r in a.rounds] == [r.survivors for r in b.rounds]
    return True


class Interrupted(mfg.MeanFieldOracle):
    """Is interrupted when it is asked for more than so many samples, before or after it has drawn."""

    def __init__(self, game, most, late=False):
        super().__init__(game, seed=1)
        self.most, self.late = most, late

    def sample(self, deviation, reference, n):
        over = self.trajectories + n > self.most
        if over and not self.late:
            raise KeyboardInterrupt
        answer = super().sample(deviation, reference, n)
        if over:
            raise KeyboardInterrupt
        return answer


def interrupted(models, folder, most, late=False, **options):
    with pytest.raises(KeyboardInterrupt):
        learn(models, Interrupted(models[3], most, late), checkpoint=folder, **options)


def samples(folder):
    """Files of samples, oldest first."""
    return sorted(path for path in folder.iterdir() if path.name.startswith("samples-"))


# Going on


@pytest.mark.parametrize("choices", CHOICES)
def test_a_checkpoint_changes_nothing(models, plain, tmp_path, choices):
    assert same(learn(models, checkpoint=tmp_path / "run", **CHOICES[choices]), plain[choices])
    assert same(learn(models, NoOracle(), checkpoint=tmp_path / "run", **CHOICES[choices]), plain[choices])


@pytest.mark.parametrize("choices", CHOICES)
@settings(max_examples=6)
@given(
    moments=st.lists(st.integers(0, 84), min_size=1, max_size=4), late=st.booleans(), every=st.sampled_from([0, 1e9])
)
def test_interruptions_leave_no_trace(models, plain, tmp_path_factory, choices, moments, late, every):
    folder = tmp_path_factory.mktemp("run")
    for most in sorted(moments):
        with Checkpoint(folder, every=every) as checkpoint:
            interrupted(models, checkpoint, most, late, **CHOICES[choices])
            assert checkpoint.trajectories <= most
    assert same(learn(models, checkpoint=folder, **CHOICES[choices]), plain[choices])


def test_the_samples_kept_are_not_drawn_again(models, plain, tmp_path):
    interrupted(models, tmp_path, 50)
    with Checkpoint(tmp_path) as checkpoint:
        kept = checkpoint.trajectories
        assert kept == 50
    oracle = mfg.MeanFieldOracle(models[3], seed=1)
    drawn = []
    oracle_sample = oracle.sample
    oracle.sample = lambda dev, ref, n: drawn.append(n) or oracle_sample(dev, ref, n)
    assert same(learn(models, oracle, checkpoint=tmp_path), plain["information"])
    assert kept + sum(drawn) == plain["information"].trajectories


def test_equilibria_are_not_solved_again(models, plain, tmp_path, monkeypatch):
    learn(models, checkpoint=tmp_path)
    equilibria = sys.modules["fastmfg.learning.equilibria"]
    monkeypatch.setattr(equilibria, "solve", lambda *args, **options: pytest.fail("solved again"))
    assert same(learn(models, checkpoint=tmp_path), plain["information"])


def test_deviations_are_not_computed_again(models, plain, tmp_path, monkeypatch):
    learn(models, checkpoint=tmp_path)
    results = [path for path in tmp_path.iterdir() if path.name.startswith("result-")]
    assert results
    with monkeypatch.context() as patch:
        adversary = sys.modules["fastmfg.learning.adversary"]
        patch.setattr(adversary, "information_actions", lambda *args: pytest.fail("computed again"))
        assert same(learn(models, NoOracle(), checkpoint=tmp_path), plain["information"])
    for path in results:
        path.write_bytes(path.read_bytes()[:-1])
    assert same(learn(models, NoOracle(), checkpoint=tmp_path), plain["information"])


def test_comparisons_are_not_made_again(models, plain, tmp_path, monkeypatch):
    learn(models, checkpoint=tmp_path, **CHOICES["certified"])
    for module, name in (("candidates", "find_neighbourhoods"), ("certified", "near_distances")):
        again = sys.modules[f"fastmfg.learning.{module}"]
        monkeypatch.setattr(again, name, lambda *args: pytest.fail("compared again"))
    assert same(learn(models, NoOracle(), checkpoint=tmp_path, **CHOICES["certified"]), plain["certified"])


def test_rounds_are_told_of_again_and_counted(models, tmp_path):
    told, again = [], []
    learn(models, checkpoint=tmp_path, on_round=told.append)
    learn(models, checkpoint=tmp_path, on_round=again.append)
    assert [r.trajectories for r in told] == [r.trajectories for r in again]
    with Checkpoint(tmp_path) as checkpoint:
        assert checkpoint.rounds == len(told) > 1


def test_the_state_is_that_of_the_last_sample_kept(models, tmp_path):
    interrupted(models, tmp_path, 30, late=True)  # drawn, and lost before it was kept: it will be drawn again
    header, _ = read_sealed(samples(tmp_path)[-1])
    assert header["oracle"] == {"seed": 1, "trajectories": 30}


@pytest.mark.parametrize("make", [called_class, filled_class])
def test_classes_of_functions_go_on(tmp_path, make):
    models = make()
    whole = learn(models)
    with pytest.raises(KeyboardInterrupt):
        learn(models, Interrupted(models[3], 3), checkpoint=tmp_path)
    assert same(learn(make(), mfg.MeanFieldOracle(models[3], seed=1), checkpoint=tmp_path), whole)


class Real:
    """An oracle that has no state: samples that can not be had again."""

    def __init__(self, game, seed, most=10**9):
        self.oracle, self.left = mfg.MeanFieldOracle(game, seed=seed), most

    def sample(self, deviation, reference, n):
        self.left -= n
        if self.left < 0:
            raise KeyboardInterrupt
        return self.oracle.sample(deviation, reference, n)


def test_an_oracle_without_a_state_goes_on_with_fresh_samples(models, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        learn(models, Real(models[3], seed=1, most=40), checkpoint=tmp_path)
    with Checkpoint(tmp_path) as checkpoint:
        assert checkpoint.trajectories == 40
        _, before = read_sealed(samples(tmp_path)[-1])
        oracle = Real(models[3], seed=2)
        learned = learn(models, oracle, checkpoint=checkpoint)
        assert learned.trajectories == checkpoint.trajectories == 40 + oracle.oracle.trajectories
    assert learned.certified and 3 in learned.survivors
    _, after = read_sealed(samples(tmp_path)[-1])
    np.testing.assert_array_equal(after["states"][:40], before["states"])


# When it is written


def generations(folder):
    return [int(path.name.split("-")[2]) for path in samples(folder)]


def test_it_is_written_after_rounds_and_when_the_time_has_come(models, plain, tmp_path):
    for every, least in ((1e9, len(plain["information"].rounds)), (0, plain["information"].trajectories)):
        with Checkpoint(tmp_path / str(every), every=every) as checkpoint:
            learn(models, checkpoint=checkpoint)
        last = generations(tmp_path / str(every))
        assert (
            len(last) == 2
            and last[1] == last[0] + 1
            and least <= last[1] <= least + len(plain["information"].rounds) + 2
        )


def test_finished_segments_are_not_written_again(models, plain, tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "SEGMENT_BYTES", 600)
    with Checkpoint(tmp_path, every=0) as checkpoint:
        interrupted(models, checkpoint, 60)
    before = {path: path.stat().st_ino for path in samples(tmp_path)}
    segments = {path.name.split("-")[1] for path in before}
    assert len(segments) > 1 and len(before) <= 2 * len(segments)
    assert same(learn(models, checkpoint=tmp_path), plain["information"])
    finished = [path for path in before if path.name.split("-")[1] != max(segments)]
    assert finished and all(path.stat().st_ino == before[path] for path in finished)
    assert same(learn(models, NoOracle(), checkpoint=tmp_path), plain["information"])


# Damage


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def flip_header(path):
    content = bytearray(path.read_bytes())
    content[80] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-7])


def empty(path):
    path.write_bytes(b"")


def grow(path):
    path.write_bytes(path.read_bytes() + b"x")


DAMAGE = [flip, flip_header, cut, empty, grow]


@pytest.mark.parametrize("damage", DAMAGE)
def test_of_a_damaged_file_the_older_one_is_used(models, plain, tmp_path, damage):
    with Checkpoint(tmp_path, every=0) as checkpoint:
        interrupted(models, checkpoint, 30)
    damage(samples(tmp_path)[-1])
    with pytest.warns(CheckpointWarning, match=r"samples-000001-\d+ is damaged: .*; going on from what was written"):
        checkpoint = Checkpoint(tmp_path)
    with checkpoint:
        assert checkpoint.trajectories == 29
        assert same(learn(models, checkpoint=checkpoint), plain["information"])
    assert same(learn(models, NoOracle(), checkpoint=tmp_path), plain["information"])


def test_damage_in_the_middle_costs_what_follows(models, plain, tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "SEGMENT_BYTES", 600)
    with Checkpoint(tmp_path, every=0) as checkpoint:
        interrupted(models, checkpoint, 60)
    second = [path for path in samples(tmp_path) if path.name.startswith("samples-000002-")]
    assert second and len(samples(tmp_path)) > len(second) + 2
    for path in second:
        flip(path)
    told = []
    with Checkpoint(tmp_path, tell=told.append) as checkpoint:
        assert 0 < checkpoint.trajectories < 60 and len(told) == len(second)
        assert same(learn(models, checkpoint=checkpoint), plain["information"])
    with Checkpoint(tmp_path, tell=pytest.fail) as checkpoint:
        assert checkpoint.trajectories > 60


def test_nothing_whole_is_an_error(models, tmp_path):
    interrupted(models, tmp_path, 30)
    for path in samples(tmp_path):
        cut(path)
    with pytest.warns(CheckpointWarning), pytest.raises(CheckpointError, match="remove the folder to start anew"):
        Checkpoint(tmp_path)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_equilibrium_is_solved_again(models, plain, tmp_path, damage):
    learn(models, checkpoint=tmp_path)
    damage(tmp_path / "equilibrium-000003")
    with pytest.warns(CheckpointWarning, match="solving model 3 again"):
        assert same(learn(models, NoOracle(), checkpoint=tmp_path), plain["information"])
    assert same(learn(models, NoOracle(), checkpoint=tmp_path), plain["information"])


def test_what_a_killed_process_was_writing_is_removed(models, plain, tmp_path):
    interrupted(models, tmp_path, 30)
    (tmp_path / ".samples-000001-000009.4711").write_text("half")
    (tmp_path / ".notes.4711").write_text("not ours")
    assert same(learn(models, checkpoint=tmp_path), plain["information"])
    assert sorted(path.name for path in tmp_path.glob(".*")) == [".notes.4711"]


# Whose it is


OTHER = [
    {"epsilon": 2e-3},
    {"delta": 0.02},
    {"max_rounds": 11},
    {"adversary": "max"},
    {"seed": 4},
    {"max_trajectories": 99},
]


@pytest.mark.parametrize("change", OTHER)
def test_other_settings_are_another_run(models, tmp_path, change):
    interrupted(models, tmp_path, 30)
    with pytest.raises(CheckpointError, match="belongs to another run: its class or its settings are not these"):
        learn(models, checkpoint=tmp_path, **change)


def test_another_class_is_another_run(models, tmp_path):
    interrupted(models, tmp_path, 30)
    for other in (models[:11], models[::-1], near_class(1, M=12, spread=0.2)):
        with pytest.raises(CheckpointError, match="belongs to another run"):
            learn(other, mfg.MeanFieldOracle(models[3], seed=1), checkpoint=tmp_path)


def test_given_equilibria_are_part_of_a_run(models, tmp_path):
    known = {0: mfg.solve(models[0], tol=1e-2)}
    interrupted(models, tmp_path, 30, equilibria=known)
    with pytest.raises(CheckpointError, match="belongs to another run"):
        learn(models, checkpoint=tmp_path)
    assert same(learn(models, checkpoint=tmp_path, equilibria=known), learn(models, equilibria=known))


def test_functions_count_by_what_they_answer():
    parts = [crowd_game(i, H=2) for i in range(2)]

    def digest_of(**changes):
        return class_digest(mfg.ModelClass([mfg.Game(**(p | changes)) for p in parts[:1]]))

    first = digest_of()
    assert first == digest_of(transition=lambda h, mu: parts[0]["transition"](h, mu) * 1.0)
    assert first != digest_of(transition=parts[1]["transition"])
    assert first != digest_of(reward=lambda h, mu: parts[0]["reward"](h, mu) + 1e-3)


def test_other_questions_are_noticed(models, tmp_path, monkeypatch):
    """Where a digest would not tell runs apart, their questions do."""
    interrupted(models, tmp_path, 30)
    monkeypatch.setattr(
        "fastmfg.learning.checkpoint.run_digest", lambda *_: read_sealed(samples(tmp_path)[-1])[0]["run"]
    )
    with pytest.raises(CheckpointError, match="draw 0 of it was made with other policies than are asked for now"):
        learn(models, adversary="max", checkpoint=tmp_path)


def test_other_versions_are_refused(models, tmp_path, monkeypatch):
    interrupted(models, tmp_path, 30)
    with monkeypatch.context() as patch:
        patch.setattr("fastmfg.learning.checkpoint.package_version", lambda: "9.9")
        with pytest.raises(
            CheckpointError, match=r"written by version .*, which may choose otherwise than version 9.9"
        ):
            learn(models, checkpoint=tmp_path)
    monkeypatch.setattr(journal, "FORMAT", 2)
    with pytest.raises(CheckpointError, match="has the format 1; this version reads 2"):
        Checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("checkpoint", "error", "message"),
    [
        (7, TypeError, "checkpoint must be a path or a Checkpoint, got int"),
        (lambda folder: Checkpoint(folder, every=-1.0), ValueError, r"every must lie in \[0, inf\), got -1.0"),
        (lambda folder: folder / "file" / "x", OSError, "file"),
    ],
)
def test_bad_checkpoints(models, tmp_path, checkpoint, error, message):
    (tmp_path / "file").touch()
    with pytest.raises(error, match=message):
        learn(models, checkpoint=checkpoint(tmp_path) if callable(checkpoint) else checkpoint)


class Stateful(mfg.MeanFieldOracle):
    def state(self):
        return {"generator": object()}


def test_a_state_that_is_not_json_is_met_at_once(models, tmp_path):
    with pytest.raises(TypeError, match=r"oracle.state\(\) must return what JSON can hold"):
        learn(models, Stateful(models[3]), checkpoint=tmp_path)


@pytest.mark.parametrize("state", [{"seed": -1, "trajectories": 0}, {"seed": 0, "trajectories": 1.5}])
def test_bad_states_of_the_oracle(models, state):
    oracle = mfg.MeanFieldOracle(models[3], seed=5)
    with pytest.raises((ValueError, TypeError), match=r"must be at least 0|must be a whole number"):
        oracle.restore(state)
    assert oracle.state() == {"seed": 5, "trajectories": 0}


# Others at work, and systems that refuse


def test_one_run_a_folder(models, tmp_path):
    with Checkpoint(tmp_path), pytest.raises(FolderLockedError, match=f"is in use by process {os.getpid()} on "):
        learn(models, checkpoint=tmp_path)
    learn(models, checkpoint=tmp_path)  # free again


def test_a_checkpoint_given_open_stays_open(models, tmp_path):
    with Checkpoint(tmp_path) as checkpoint:
        learn(models, checkpoint=checkpoint)
        with pytest.raises(FolderLockedError):
            Checkpoint(tmp_path)


os_open = os.open


class Fails:
    """A system call that fails from the k-th time on."""

    def __init__(self, call, k, number):
        self.call, self.left, self.number = call, k, number

    def __call__(self, *args, **options):
        self.left -= 1
        if self.left < 0:
            raise OSError(self.number, os.strerror(self.number), *(args[:1] if self.call is os_open else ()))
        return self.call(*args, **options)


@pytest.mark.parametrize("call", ["fsync", "replace", "open"])
@pytest.mark.parametrize(("number", "says"), [(errno.ENOSPC, "No space left"), (errno.EROFS, "Read-only file system")])
@pytest.mark.parametrize("k", [0, 5, 12])
def test_a_full_or_read_only_disk_is_said_and_harms_nothing(
    models, plain, tmp_path, monkeypatch, call, number, says, k
):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(os, call, Fails(getattr(os, call), k, number))
        with pytest.raises(OSError, match=says) as raised, Checkpoint(folder, every=0) as checkpoint:
            learn(models, checkpoint=checkpoint)
    assert raised.value.errno == number and "run" in str(raised.value)
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    with Checkpoint(folder, tell=pytest.fail) as checkpoint:
        assert same(learn(models, checkpoint=checkpoint), plain["information"])


# Killed


KILLED = """
import json, os, random, signal, sys, time
import numpy as np
sys.path.insert(0, {tests!r})
import fastmfg as mfg
from learning_cases import near_class

class Slow(mfg.MeanFieldOracle):
    def sample(self, deviation, reference, n):
        time.sleep(0.001)
        return super().sample(deviation, reference, n)

models = near_class(0, M=12, spread=0.2)
settings = json.loads(sys.argv[1])

def learn(folder=None):
    return mfg.learn(models, Slow(models[3], seed=1), checkpoint=folder, **settings)

def arrays(learned):
    return {{name: getattr(learned, name) for name in ("policy", "survivors", "log_likelihood", "eliminated_at")}}

reference = arrays(learn())  # also loads all kernels: children have them
started = time.monotonic()
learn()
whole = time.monotonic() - started
moments = random.Random(int(sys.argv[3]))
kills = 0
for trial in range(2):
    folder = os.path.join(sys.argv[2], str(trial))
    while True:
        child = os.fork()
        if child == 0:
            with mfg.learning.Checkpoint(folder, every=moments.choice([0.0, 0.005, 30.0])) as checkpoint:
                np.savez(folder + ".npz", **arrays(learn(checkpoint)))
            os._exit(0)
        deadline = time.monotonic() + moments.uniform(0.0, 0.8 * whole)
        while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                deadline = float("inf")
            time.sleep(0.0005)
        moments.random()
        if os.waitstatus_to_exitcode(ended[1]) == 0:
            break
        kills += 1
        if kills > 200:
            raise SystemExit("never done")
    found = np.load(folder + ".npz")
    assert all(found[name].tobytes() == reference[name].tobytes() for name in reference)
print(kills)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.statistics) for seed in (2, 3))])
@pytest.mark.parametrize("choices", ["information", "paper"])
def test_killed_at_random_moments(tmp_path, choices, seed):
    script = tmp_path / "killed.py"
    script.write_text(KILLED.format(tests=os.path.dirname(__file__)))
    done = subprocess.run(
        [sys.executable, "-W", "error", script, json.dumps(SETTINGS | CHOICES[choices]), tmp_path, str(seed)],
        env={**os.environ, "FASTMFG_NUM_THREADS": "1"}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
