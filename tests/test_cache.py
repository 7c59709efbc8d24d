"""Compiled code on disk: damaged, of another processor, in folders that refuse it; several processes at once."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from fastmfg.kernels import cache, jit, table

pytestmark = pytest.mark.skipif(os.name != "posix", reason="forks, and limits the size of files")

SMALL = """
from numba import types
from fastmfg.kernels.jit import F1, PREPARE, f8, filler, kernel, unit

@unit(types.FunctionType(f8(F1)))
def total(x):
    found = 0.0
    for i in range(x.size):
        found += x[i]
    return found

@filler(PREPARE)
def double(h, population, shared, theta, aux):
    for i in range(aux.size):
        aux[i] = 2.0 * theta[i]
    return 0

@kernel(f8(PREPARE, F1, F1))
def run(prepare, x, y):
    prepare(0, x, x, x, y)
    return total(y)
"""
"""A kernel, a unit and a filler that compile in no time."""

SERVER = """
import json, os, resource, sys, warnings
import numpy as np
from numba.core import config
import small
from fastmfg.kernels import jit, table

def use(folder, limits, environment):
    config.CACHE_DIR = folder
    os.environ.update(environment)
    if limits == "nobody" and os.geteuid() == 0:  # folders refuse root nothing
        os.setegid(65534)
        os.seteuid(65534)
    if limits == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # bytes of a file at most
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        answer = small.run(small.double, np.arange(4.0), np.empty(4))
    parts = {"unit": small.total, "filler": small.double, "kernel": small.run}
    return json.dumps({
        "answer": answer,
        "said": [[one.category.__name__, str(one.message)] for one in caught],
        "loaded": [name for name, part in parts.items() if part.build()],
        "folder": [str(part.cache_folder()) for part in parts.values()],
    })

jit.Filler(table.fill.function, jit.FILL, keep=False).build()  # all that numba imports to compile
for line in sys.stdin:
    children = []
    for arguments in json.loads(line)["uses"]:
        child = os.fork()  # processes of which none need import anything
        if child == 0:
            os.write(1, (use(*arguments) + "\\n").encode())  # in one piece: others write too
            os._exit(0)
        children.append(child)
        if not json.loads(line)["at_once"]:
            os.waitpid(child, 0)
    if json.loads(line)["at_once"]:
        for child in children:
            os.waitpid(child, 0)
    print("done", flush=True)
"""
ALL = ["unit", "filler", "kernel"]
FUNCTIONS = {"unit": "total", "filler": "double", "kernel": "run"}


class Server:
    """Starts processes that use the kernel, each with a cache folder and what limits it: as small as processes get."""

    def __init__(self, module, **environment):
        env = {name: value for name, value in os.environ.items() if name not in ("FASTMFG_CACHE", "NUMBA_CACHE_DIR")}
        env["PYTHONPATH"] = os.pathsep.join([str(module), str(cache.KERNELS.parent.parent)])
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER], env=env | {"PYTHONDONTWRITEBYTECODE": "1"} | environment, cwd=module,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def use(self, *folders, limits="", at_once=False, **environment):
        """What each of the processes found, once its answer was seen to be right."""
        uses = [(str(folder), limits, environment) for folder in folders]
        self.process.stdin.write(json.dumps({"uses": uses, "at_once": at_once}) + "\n")
        self.process.stdin.flush()
        found = [json.loads(line) for line in iter(self.process.stdout.readline, "done\n")]
        assert [one["answer"] for one in found] == [12.0] * len(folders)
        return found

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait() == 0


def the_one_warning(found):
    assert [category for category, _ in found["said"]] == ["RuntimeWarning"]
    return found["said"][0][1]


def all_loaded(found):
    return (found["said"], found["loaded"]) == ([], ALL)


def files(folder, what="*.nbc"):
    return sorted(folder.rglob(what))


@pytest.fixture(scope="module")
def module():
    """Where the module stands: a folder that all users may read, as pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    (folder / "small.py").write_text(SMALL)
    yield folder
    allow(folder, 0o755)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def server(module):
    """Processes of this processor; their code stands in the folder `filled`."""
    started = Server(module)
    cold, warm = started.use(module / "filled", module / "filled")
    assert (cold["said"], cold["loaded"]) == ([], [])
    assert all_loaded(warm)
    assert {Path(path).parent for path in warm["folder"]} == {module / "filled"}
    assert [path.name.split("-")[0] for path in files(module / "filled")] == [
        "small.double",
        "small.run",
        "small.total",
    ]
    yield started
    started.close()


@pytest.fixture
def copied(server, module, request):
    """``copied(name)``: a copy of the filled folder."""
    return lambda name: Path(shutil.copytree(module / "filled", module / f"{request.node.name} {name}"))


def allow(folder, mode):
    for path in (*folder.rglob("*"), folder):
        path.chmod(mode)


DAMAGE = {
    "empty": lambda content: b"",
    "cut short": lambda content: content[: len(content) // 2],
    "another file": lambda content: b"no compiled code",
    "one bit": lambda content: content[:-100] + bytes([content[-100] ^ 1]) + content[-99:],
    "its digest": lambda content: content[:40] + bytes([content[40] ^ 1]) + content[41:],
}


def test_damaged_code_is_said_once_and_replaced(server, copied):
    folders = [copied(how) for how in DAMAGE]
    for folder, damage in zip(folders, DAMAGE.values(), strict=True):
        for path in files(folder):
            path.write_bytes(damage(path.read_bytes()))
    found = server.use(*folders, *folders)
    for folder, first in zip(folders, found, strict=False):
        said = the_one_warning(first)
        assert "cannot be used (it is not what was written)" in said
        assert str(folder) in said and "set NUMBA_CACHE_DIR to another folder" in said
        assert first["loaded"] == []
    assert all(map(all_loaded, found[len(folders) :]))


def test_only_what_is_damaged_is_compiled_anew(server, copied):
    paths = [files(copied(part), f"small.{FUNCTIONS[part]}-*.nbc")[0] for part in ALL]
    for path in paths:
        path.write_bytes(path.read_bytes()[:-1])
    for part, path, found in zip(ALL, paths, server.use(*(path.parent.parent for path in paths)), strict=True):
        assert str(path) in the_one_warning(found)
        assert found["loaded"] == [name for name in ALL if name != part]


def rewrite(folder, sources, code):
    """Sound files with other content."""
    for path in files(folder):
        content = path.read_bytes()
        of, what = sources or content[: cache.DIGEST], code or content[2 * cache.DIGEST :]
        path.write_bytes(of + cache.sha256(of + what) + what)
    return folder


def test_code_that_numba_does_not_take_is_compiled_anew(server, copied):
    folder = rewrite(copied(""), None, b"sound, but no pickle")
    found, again = server.use(folder, folder)
    assert "cannot be used (UnpicklingError" in the_one_warning(found)
    assert found["loaded"] == []
    assert all_loaded(again)


def test_code_of_other_sources_is_replaced_in_silence(server, copied):
    folder = rewrite(copied(""), bytes(cache.DIGEST), None)
    found, again = server.use(folder, folder)
    assert (found["said"], found["loaded"]) == ([], [])
    assert all_loaded(again)


def test_code_of_another_processor_is_kept_beside_it(server, module, copied):
    folder, other = copied(""), "x86-64" if os.environ.get("NUMBA_CPU_NAME") == "generic" else "generic"
    names = {path.name for path in files(folder)}
    elsewhere = Server(module, NUMBA_CPU_NAME=other)
    found, again = elsewhere.use(folder, folder)
    elsewhere.close()
    said = the_one_warning(found)
    assert "was made for another processor (" in said and f"; this one is {other})" in said
    assert str(folder) in said and "Set NUMBA_CACHE_DIR" in said
    assert found["loaded"] == []
    assert all_loaded(again)
    assert len(files(folder)) == 6 and names < {path.name for path in files(folder)}
    assert all_loaded(*server.use(folder))


def test_a_folder_that_cannot_be_made_and_a_full_one(server, module):
    (module / "file").touch()  # a file stands where the folder would be made: that stops even root
    found = server.use(module / "file" / "cache") + server.use(module / "full", limits="full")
    for one in found:
        said = the_one_warning(one)
        assert "compiled code cannot be kept" in said and "Set NUMBA_CACHE_DIR to a folder" in said
        assert (one["loaded"], one["folder"]) == ([], ["None"] * 3)
    assert str(module / "file" / "cache") in the_one_warning(found[0])
    assert files(module / "full", "*.*") == []  # half a file, or a lock


def test_folders_of_others(server, copied):
    whole, part, closed = (copied(name) for name in ("whole", "part", "closed"))
    files(part, "small.double*")[0].unlink()
    for folder, mode in ((whole, 0o555), (part, 0o555), (closed, 0o000)):
        allow(folder, mode)
    of_whole, of_part, of_closed = server.use(whole, part, closed, limits="nobody")
    assert all_loaded(of_whole)
    assert "cannot be kept" in the_one_warning(of_part) and "Permission denied" in the_one_warning(of_part)
    assert of_part["loaded"] == ["unit", "kernel"]
    assert "cannot be used" in the_one_warning(of_closed) and "Permission denied" in the_one_warning(of_closed)
    assert of_closed["loaded"] == []


def test_a_package_that_cannot_be_written_and_no_home(server, module, tmp_path):
    """The user's folder is the next; where there is none, or the system names none, code is not kept."""
    users, nobodys = tmp_path / "users", dict.fromkeys(("LOCALAPPDATA", "USERPROFILE"), "")
    (module / "__pycache__").touch()
    (tmp_path / "file").touch()
    found, again = server.use("", "", XDG_CACHE_HOME=str(users), **nobodys)
    assert (found["said"], found["loaded"]) == ([], [])
    assert {Path(path).parent for path in found["folder"]} == {users / "numba"}
    assert all_loaded(again)
    for home in ("not/a/place", str(tmp_path / "file")):
        (found,) = server.use("", XDG_CACHE_HOME=home, **nobodys)
        assert str(module / "__pycache__") in the_one_warning(found)
        assert found["folder"] == ["None"] * 3
    assert not (module / "not").exists()


def test_processes_that_start_at_once_share_the_work(server, module):
    cold = module / "cold"
    found = server.use(*[cold] * 3, at_once=True)
    assert [one["said"] for one in found] == [[], [], []]
    for part in ALL:
        assert sum(part in one["loaded"] for one in found) == 2, found
    assert len(files(cold)) == 3 and files(cold, "*.lock") == []


@pytest.mark.skipif(cache.fcntl is None, reason="no file locks here")
def test_a_process_that_compiles_for_too_long_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(cache.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cache, "PATIENCE", 0.1)
    first = cache.CodeCache(table.prepare.function, jit.PREPARE.signature)
    with first.claimed():
        assert [path.suffix for path in tmp_path.glob("*/*")] == [".lock"]
        again = jit.Filler(table.prepare.function, jit.PREPARE)
        assert again.build() is False
        assert again.cache_folder().parent == tmp_path
    assert jit.Filler(table.prepare.function, jit.PREPARE).build() is True


def test_a_warning_that_is_an_error_stops_one_build_only(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "_warned", [])
    (tmp_path / "file").touch()
    monkeypatch.setattr(cache.config, "CACHE_DIR", str(tmp_path / "file"))
    built = jit.Filler(table.prepare.function, jit.PREPARE)
    with pytest.raises(RuntimeWarning, match="compiled code cannot be kept"):
        built.build()
    assert built.build() is False
