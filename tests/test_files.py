"""Files written whole, folders for one process, memory asked for before it is taken."""

import errno
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from fastmfg import lock, memory
from fastmfg.files import TEMPORARY, DamagedFileError, read_sealed, remove_leftovers, write_sealed, write_whole
from fastmfg.lock import FolderLock, FolderLockedError

ARRAYS = {
    "a": np.arange(6, dtype=np.uint8).reshape(2, 3),
    "empty": np.empty((0, 4)),
    "strided": np.arange(20.0)[::3],
    "nan": np.array([[np.nan, -0.0, np.inf]]),
}


def test_sealed_arrays_come_back_bit_by_bit(tmp_path):
    header = {"rounds": 3, "state": {"words": [2**63, -1]}, "gap": 0.1}
    write_sealed(tmp_path / "x", header, ARRAYS)
    found, arrays = read_sealed(tmp_path / "x")
    assert found == header and list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype and arrays[name].shape == array.shape
        assert arrays[name].tobytes() == array.tobytes()
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_any_bit_that_differs_is_noticed(tmp_path):
    write_sealed(tmp_path / "x", {"rounds": 3}, {"a": ARRAYS["a"], "b": ARRAYS["nan"]})
    whole = (tmp_path / "x").read_bytes()
    damaged = [whole[:n] for n in (0, 1, 64, 65, 100, len(whole) - 1)] + [whole + b"\0", whole + whole]
    for i in range(0, len(whole), 7):
        damaged.append(whole[:i] + bytes([whole[i] ^ 16]) + whole[i + 1 :])
    for content in damaged:
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(DamagedFileError, match="x is damaged"):
            read_sealed(tmp_path / "x")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failure_names_the_file_and_leaves_the_old_one(tmp_path, monkeypatch, call):
    target = tmp_path / "x"
    target.write_text("old")

    def fail(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match=r"No space left on device: '.*x'") as raised:
        write_whole(target, lambda path: path.write_text("new"))
    assert raised.value.errno == errno.ENOSPC and raised.value.filename == str(target)
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]


def test_folders_that_cannot_be_synced_do(tmp_path, monkeypatch):
    fsync = os.fsync

    def only_files(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EINVAL, "not for folders")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", only_files)
    write_whole(tmp_path / "x", lambda path: path.write_text("new"))
    assert (tmp_path / "x").read_text() == "new"


def test_leftovers_of_our_files_are_removed(tmp_path):
    ours = [".result.json.12-0123abcd.json", ".samples.7-00000000", ".samples.7"]
    others = [".other.12-0123abcd", ".result.json", ".samples.7-0000000x", ".samples.7x", "samples.7-00000000"]
    for name in ours + others:
        (tmp_path / name).touch()
    os.utime(tmp_path / ours[1], (0, 0))
    remove_leftovers(tmp_path, ("result.json", "samples").__contains__, 3600.0)
    assert not (tmp_path / ours[1]).exists() and (tmp_path / ours[0]).exists()
    remove_leftovers(tmp_path, ("result.json", "samples").__contains__)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)


def test_hosts_with_one_process_number_do_not_write_the_same_file(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: 7)
    seen = []

    def write(path):
        seen.append(path.name)
        path.write_text("outer")
        if len(seen) == 1:
            write_whole(tmp_path / "x", write)  # another host, while this one is writing

    write_whole(tmp_path / "x", write)
    assert len(set(seen)) == 2 and all(TEMPORARY.fullmatch(name)["name"] == "x" for name in seen)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


# One process a folder


HOLD = "import sys; from pathlib import Path; from fastmfg.lock import FolderLock; FolderLock(Path(sys.argv[1])); "


def test_a_folder_is_held_until_it_is_released(tmp_path):
    held = FolderLock(tmp_path)
    with pytest.raises(FolderLockedError, match=f"is in use by process {os.getpid()} on {socket.gethostname()}$"):
        FolderLock(tmp_path)
    held.release()
    held.release()
    FolderLock(tmp_path).release()
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="open files can not be removed")
def test_a_lock_that_was_removed_as_it_was_taken_is_taken_anew(tmp_path, monkeypatch):
    flock, removed = lock.fcntl.flock, []

    def late(descriptor, operation):
        flock(descriptor, operation)
        if not removed:
            removed.append((tmp_path / "lock").unlink())

    monkeypatch.setattr(lock.fcntl, "flock", late)
    held = FolderLock(tmp_path)
    assert removed and (tmp_path / "lock").exists()
    with pytest.raises(FolderLockedError):
        FolderLock(tmp_path)
    held.release()


def test_processes_take_turns(tmp_path):
    """Whoever holds it finds its number unchanged: never two at a time, though the file comes and goes."""
    code = (
        "import os, sys, time; from pathlib import Path; from fastmfg.lock import FolderLock, FolderLockedError\n"
        "folder, done = Path(sys.argv[1]), 0\n"
        "while done < 100:\n"
        "    try: held = FolderLock(folder)\n"
        "    except FolderLockedError: continue\n"
        "    (folder / 'who').write_text(str(os.getpid())); time.sleep(1e-4)\n"
        "    assert (folder / 'who').read_text() == str(os.getpid()); done += 1; held.release()\n"
    )
    turns = [subprocess.Popen([sys.executable, "-c", code, tmp_path]) for _ in range(3)]
    assert [turn.wait() for turn in turns] == [0, 0, 0]


def test_a_process_that_died_holds_nothing(tmp_path):
    held = subprocess.Popen(
        [sys.executable, "-c", HOLD + "print('held', flush=True); input()", tmp_path],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with held:
        assert held.stdout.readline() == b"held\n"
        with pytest.raises(FolderLockedError, match=f"in use by process {held.pid} on"):
            FolderLock(tmp_path)
        held.kill()
    FolderLock(tmp_path).release()


@pytest.fixture
def without_locks(monkeypatch):
    """A file system that knows no locks."""

    def refuse(descriptor, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    if lock.sys.platform != "win32":
        monkeypatch.setattr(lock.fcntl, "flock", refuse)


def dead_process():
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


@pytest.mark.usefixtures("without_locks")
def test_without_locks_a_file_is_the_lock(tmp_path):
    held = FolderLock(tmp_path)
    with pytest.raises(FolderLockedError, match=r"if there is no such process, delete .*lock\.held"):
        FolderLock(tmp_path)
    held.release()
    assert not (tmp_path / "lock.held").exists()
    FolderLock(tmp_path).release()


@pytest.mark.usefixtures("without_locks")
@pytest.mark.skipif(os.name != "posix", reason="whether a process lives is asked by a signal")
def test_without_locks_a_dead_process_counts_as_none(tmp_path):
    host = socket.gethostname()
    for pid in (dead_process(), os.getpid()):  # the latter: of an earlier process with our number
        (tmp_path / "lock.held").write_text(f"{pid} {host}\n")
        FolderLock(tmp_path).release()
    for text in (f"{dead_process()} another-host\n", f"{os.getppid()} {host}\n", "", "rubbish"):
        (tmp_path / "lock.held").write_text(text)
        with pytest.raises(FolderLockedError, match="is in use by process"):
            FolderLock(tmp_path)


def test_other_errors_of_the_lock_name_the_file(tmp_path, monkeypatch):
    def refuse(descriptor, operation):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    with pytest.raises(OSError, match=r"Input/output error: '.*lock'"):
        FolderLock(tmp_path)


# Memory

GIB = 2**30


def system(tmp_path, files):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return memory.free_memory(tmp_path)


MEMINFO = {"proc/meminfo": "MemTotal:       9999999 kB\nMemFree: 12 kB\nMemAvailable:    4194304 kB\n"}


def test_what_the_machine_has_free(tmp_path):
    assert system(tmp_path, MEMINFO) == 4 * GIB


def test_where_nobody_can_tell(tmp_path, monkeypatch):
    assert memory.free_memory(tmp_path) is None
    assert system(tmp_path, {"proc/meminfo": "nothing known\n"}) is None
    monkeypatch.setattr(memory, "free_memory", lambda: None)
    memory.require_memory("the moon", 1e30)


def group(path, limit, used, cache, names=("memory.max", "memory.current", "inactive_file")):
    stat = f"anon 17\n{names[2]} {cache}\nfile 3\n"
    return {f"{path}/{names[0]}": f"{limit}\n", f"{path}/{names[1]}": f"{used}\n", f"{path}/memory.stat": stat}


@pytest.mark.parametrize(
    ("limits", "free"),
    [
        ({"": ("max", 0, 0), "/job": (3 * GIB, 2 * GIB, GIB // 2)}, 3 * GIB // 2),
        ({"/job": (8 * GIB, 0, 0)}, 4 * GIB),  # the machine has less
        ({"/job": (2 * GIB, GIB, 0), "/job/step": (8 * GIB, 0, 0)}, GIB),  # of the group above
        ({"/job": (GIB, 2 * GIB, 0)}, 0),
        ({"/job": ("max", 5, 0)}, 4 * GIB),
    ],
)
def test_groups_of_version_2(tmp_path, limits, free):
    files = dict(MEMINFO) | {"proc/self/cgroup": "0::/job/step\n"}
    for path, numbers in limits.items():
        files |= group(f"sys/fs/cgroup{path}", *numbers)
    assert system(tmp_path, files) == free


def test_groups_of_version_1(tmp_path):
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    files = dict(MEMINFO) | {"proc/self/cgroup": "8:pids:/job\n4:cpuset,memory:/job\n0::/\n"}
    files |= group("sys/fs/cgroup/memory", 9223372036854771712, GIB, 0, names)
    assert system(tmp_path / "a", files) == 4 * GIB
    assert system(tmp_path / "b", files | group("sys/fs/cgroup/memory/job", 2 * GIB, GIB, 1024, names)) == GIB + 1024


def test_too_much_is_refused_with_both_numbers(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 3 * GIB)
    memory.require_memory("a class", 3 * GIB)
    with pytest.raises(MemoryError, match=r"^a class takes about 4.5 GiB, but only 3 GiB are free: take fewer models$"):
        memory.require_memory("a class", 4.5 * GIB, "take fewer models")


def test_this_machine_says_something_sensible():
    free = memory.free_memory()
    assert free is None or 0 <= free < 2**60
