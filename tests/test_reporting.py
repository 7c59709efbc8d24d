"""Folders, curves and pictures of runs."""

import dataclasses
import json

import numpy as np
import pytest

import fastmfg as mfg
from fastmfg.lock import FolderLockedError
from fastmfg.reporting import folder as folder_module
from fastmfg.reporting.experiment import Outcome
from fastmfg.reporting.figure2 import Run, curves
from fastmfg.reporting.folder import FolderInUseError, claimed_folder, taken_folder, write_json, write_whole
from fastmfg.reporting.placement import place, scale_by_landmarks
from fastmfg.reporting.plots import draw_models, survivors_over_time
from fastmfg.reporting.text import Progress


def distances_of(points):
    return np.linalg.norm(points[:, None] - points[None], axis=-1)


class Asked:
    """Distances of points, and how many of them were asked for."""

    def __init__(self, points):
        self.distances, self.pairs = distances_of(points), 0

    def __call__(self, landmarks):
        self.pairs += len(self.distances) * len(landmarks)
        return self.distances[:, landmarks]


@pytest.mark.parametrize("n", [1, 2, 3, 8, 12, 60])
def test_points_in_the_plane_are_placed_at_their_distances(n):
    """What classical scaling of all distances gives, from those to at most eight landmarks."""
    points = np.random.default_rng(n).normal(size=(n, 2))
    asked = Asked(points)
    placed = place(n, asked)
    assert placed.shape == (n, 2) and asked.pairs <= 8 * n
    np.testing.assert_allclose(distances_of(placed), distances_of(points), atol=1e-9)
    if n > 2:
        exact = by_all_distances(distances_of(points))
        turn, _, other = np.linalg.svd((placed - placed.mean(axis=0)).T @ exact)
        np.testing.assert_allclose((placed - placed.mean(axis=0)) @ (turn @ other), exact, atol=1e-9)


def by_all_distances(distances):
    """Classical multidimensional scaling."""
    centre = np.eye(len(distances)) - 1 / len(distances)
    values, vectors = np.linalg.eigh(-0.5 * centre @ distances**2 @ centre)
    return vectors[:, -2:] * np.sqrt(values[-2:])


@pytest.mark.parametrize("dimensions", [3, 40])
def test_distances_from_the_first_point_are_kept_where_a_plane_shows_little(dimensions):
    points = np.random.default_rng(0).normal(size=(50, dimensions))
    placed = place(50, Asked(points))
    np.testing.assert_allclose(np.linalg.norm(placed, axis=1), distances_of(points)[0], atol=1e-12)
    assert len(np.unique(placed.round(6), axis=0)) == 50


def test_points_on_a_line_are_placed_on_a_line():
    points = np.outer(np.arange(20.0) ** 1.5, [1.0, 0.0])
    placed = place(20, Asked(points))
    np.testing.assert_allclose(distances_of(placed), distances_of(points), atol=1e-6)


def test_points_that_are_alike_are_placed_at_one_point():
    """No landmark is sought among points that those before tell apart from nothing."""
    asked = Asked(np.zeros((30, 2)))
    np.testing.assert_array_equal(place(30, asked), 0.0)
    assert asked.pairs == 4 * 30
    points = np.repeat([[0.0, 0.0], [3.0, 4.0]], [20, 10], axis=0)
    placed = place(30, Asked(points))
    np.testing.assert_allclose(distances_of(placed), distances_of(points), atol=1e-9)


def test_placing_does_not_depend_on_a_sign():
    distances = distances_of(np.random.default_rng(0).normal(size=(9, 5)))
    landmarks = np.array([0, 2, 3, 7])
    placed = scale_by_landmarks(distances[:, landmarks], landmarks)
    assert (placed[np.abs(placed).argmax(axis=0), [0, 1]] > 0).all()


@pytest.mark.parametrize(
    ("n", "true", "survivors"), [(1, 0, [0]), (2, 1, [1]), (2, 0, [0, 1]), (9, 4, [4]), (9, 4, [2]), (9, 4, range(9))]
)
@pytest.mark.parametrize("scale", [0.0, 0.1])
def test_models_are_drawn_whatever_is_left(n, true, survivors, scale, tmp_path):
    """One model, two, identical ones (scale 0); none eliminated, all but one, even the true one."""
    models = mfg.linear_class(n, 6, 3, scale=scale, seed=2)
    run = mfg.learn(models, mfg.MeanFieldOracle(models[true]), epsilon=0.005, delta=0.01, max_trajectories=0)
    out = Outcome(models, true, dataclasses.replace(run, survivors=np.array(survivors)), 0.0, 0.0)
    told = []
    draw_models(out, tmp_path / "models.png", lambda done, total: told.append((done, total)))
    assert (tmp_path / "models.png").read_bytes().startswith(b"\x89PNG")
    assert told[-1][0] == told[-1][1]


def test_survivors_over_time_starts_with_all_and_ends_with_the_survivors():
    models = mfg.linear_class(10, 6, 3, seed=2)
    learned = mfg.learn(models, mfg.MeanFieldOracle(models[4], seed=1), epsilon=0.005, delta=0.01)
    times, alive = survivors_over_time(learned)
    assert learned.trajectories > 0
    assert times[0] == 0 and times[-1] == learned.trajectories and (np.diff(times) > 0).all()
    left = [int(mask.sum()) for mask in alive]
    assert left[0] == 10 and left == sorted(left, reverse=True)
    np.testing.assert_array_equal(np.flatnonzero(alive[-1]), learned.survivors)


def run(times, left, gap):
    return Run(0, 0, 0, True, times[-1], left[-1], 0.0, 0.0, np.array(times), np.array(left), np.array(gap))


def test_curves_hold_the_last_value_and_average():
    table = curves([run([0, 10], [4, 1], [1.0, 0.0]), run([0, 4, 20], [4, 2, 1], [1.0, 0.5, 0.0])], 20)
    at = {int(t): i for i, t in enumerate(table["trajectories"])}
    assert table["left_mean"][at[0]] == 4
    assert table["left_mean"][at[5]] == 3  # 4 and 2
    assert table["left_mean"][at[12]] == 1.5  # 1, held, and 2
    assert table["gap_mean"][at[5]] == 0.75
    deviation = np.std([4, 2], ddof=1) / np.sqrt(2)
    assert table["left_high"][at[5]] == pytest.approx(3 + 2 * deviation)


def test_one_run_has_no_interval():
    table = curves([run([0, 10], [4, 1], [1.0, 0.0])], 10)
    np.testing.assert_array_equal(table["left_low"], table["left_high"])


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    target = tmp_path / "result.json"
    write_json(target, {"a": np.int64(1), "b": np.arange(2.0)})

    def fail(path):
        path.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_whole(target, fail)
    assert json.loads(target.read_text()) == {"a": 1, "b": [0.0, 1.0]}
    assert list(tmp_path.iterdir()) == [target]


def test_json_refuses_nan(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "result.json", {"a": float("nan")})
    assert not list(tmp_path.iterdir())


def take(path, force):
    with taken_folder(path, force) as folder:
        return folder


def test_a_folder_is_taken_when_it_holds_no_run(tmp_path):
    folder = take(tmp_path / "a" / "b", force=False)
    (folder / "notes.txt").write_text("mine")
    take(folder, force=False)
    (folder / "policy.npz").write_bytes(b"")
    with pytest.raises(FolderInUseError, match=r"already holds a run \(policy.npz\)"):
        take(folder, force=False)
    take(folder, force=True)
    assert [p.name for p in folder.iterdir()] == ["notes.txt"]
    with pytest.raises(FolderInUseError, match="is a file"):
        take(folder / "notes.txt", force=True)


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_is_of_one_process(tmp_path, force):
    with taken_folder(tmp_path / "run", False) as folder:
        (folder / "notes.txt").write_text("mine")
        with pytest.raises(FolderLockedError, match="run is in use by process"):
            take(folder, force)
        with pytest.raises(FolderLockedError), claimed_folder(folder, force, pytest.fail):
            pass
    assert [p.name for p in folder.iterdir()] == ["notes.txt"]


def test_what_came_in_between_is_not_overwritten(tmp_path, monkeypatch):
    """Two processes find a folder free; the second has it after the first has left a run."""
    hold = folder_module.held_folder

    def later(path):
        (path / "result.json").write_text("{}")
        return hold(path)

    monkeypatch.setattr(folder_module, "held_folder", later)
    with pytest.raises(FolderInUseError, match=r"already holds a run \(result.json\)"):
        take(tmp_path / "run", force=False)


class Terminal:
    """Remembers what was written to it."""

    def __init__(self, is_terminal):
        self.text, self.is_terminal = "", is_terminal

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def isatty(self):
        return self.is_terminal


@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_speaks_to_terminals_only(is_terminal):
    stream = Terminal(is_terminal)
    with Progress("learn", 3, " steps", stream) as progress:
        for _ in range(3):
            progress.advance(1, "note")
    assert ("learn" in stream.text) == is_terminal


@pytest.mark.parametrize("piped", ["stdout", "stderr"])
def test_progress_is_quiet_when_output_is_piped(monkeypatch, piped):
    terminals = {name: Terminal(name != piped) for name in ("stdout", "stderr")}
    for name, terminal in terminals.items():
        monkeypatch.setattr(f"sys.{name}", terminal)
    with Progress("learn", 3, " steps") as progress:
        progress.advance(3)
    assert not terminals["stdout"].text and not terminals["stderr"].text


def test_progress_shows_rate_and_time_left():
    stream = Terminal(True)
    with Progress("learn", 4, " steps", stream) as progress:
        progress.bar.start_t -= 10.0
        progress.bar.last_print_t -= 10.0
        progress.advance(2)
    assert " 50%" in stream.text and "00:10<00:10" in stream.text and "5.00s/ steps" in stream.text
