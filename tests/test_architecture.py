"""What the package is made of: who imports whom, what an import costs, where compiled code is kept."""

import ast
import json
import math
import os
import shutil
import subprocess
import sys

import pytest
from builders import ROOT

import fastmfg

IMPORT_LINTER = "from importlinter.cli import lint_imports_command; lint_imports_command(['--no-cache'])"

LOOK_AT_IMPORT = """
import json, pkgutil, sys
import fastmfg
loaded = sorted({name.partition(".")[0] for name in sys.modules})
from numba.core.dispatcher import Dispatcher
from fastmfg.kernels.jit import Kernel, Filler
built, compiled = [], []
for name, module in list(sys.modules.items()):
    if name.startswith("fastmfg."):
        for key, value in vars(module).items():
            if isinstance(value, (Kernel, Filler)) and value.is_built:
                built.append(f"{name}.{key}")
            if isinstance(value, Dispatcher) and value.signatures:
                compiled.append(f"{name}.{key}")
print(json.dumps({"loaded": loaded, "built": built, "compiled": compiled}))
"""

USE_A_KERNEL = """
import json
import numpy as np
import fastmfg
from fastmfg.kernels import density, jit, table
P = np.arange(8.0).reshape(1, 2, 2, 2)
common = jit.Common(np.array([2.0]), np.array([0.5, 0.5]), np.ones((2, 2), dtype=bool))
out = np.empty((2, 2, 2))
status = density.tabulate(
    table.prepare, table.fill, common, P.ravel(), 0, common.initial, np.empty(0), out
)
assert status == 0 and (out == P[0]).all()
stats = density.tabulate.dispatcher.stats
print(json.dumps({
    "file": fastmfg.__file__,
    "path": stats.cache_path,
    "hits": sum(stats.cache_hits.values()),
    "misses": sum(stats.cache_misses.values()),
}))
"""

USE_A_REWARD = """
import json
import numpy as np
import fastmfg
from fastmfg.kernels import jit, reward
common = jit.Common(np.empty(0), np.array([0.5, 0.5]), np.ones((2, 1), dtype=bool))
out, status = np.empty((1, 1, 2, 1)), np.zeros(1, dtype=np.int64)
zero, pi = np.zeros(1, dtype=np.int64), np.ones((1, 1, 2, 1))
reward.rewards(
    reward.crowd_aversion, common, np.empty((1, 0)), zero, np.full((1, 1, 2), 0.5), pi, zero, True, out, status
)
print(json.dumps({"reward": out[0, 0, 0, 0]}))
"""


def run(code, cwd, **environment):
    """The JSON that a fresh interpreter prints."""
    env = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "FASTMFG_CACHE")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=cwd, env={**env, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def copy(tmp_path):
    """A folder that holds a copy of the package without any compiled code."""
    source = os.path.dirname(fastmfg.__file__)
    shutil.copytree(source, tmp_path / "fastmfg", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def compiled_files(folder):
    return list(folder.rglob("*.nbc"))


def test_imports_go_one_way():
    done = subprocess.run([sys.executable, "-c", IMPORT_LINTER], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_an_import_loads_no_plots_and_compiles_nothing(tmp_path):
    found = run(LOOK_AT_IMPORT, tmp_path)
    assert {"fastmfg", "numba", "numpy"} <= set(found["loaded"])
    assert not {"matplotlib", "tqdm"} & set(found["loaded"])
    assert found["built"] == []
    assert found["compiled"] == []


def test_compiled_code_is_kept_for_the_next_process(copy):
    first = run(USE_A_KERNEL, copy, PYTHONPATH=str(copy))
    assert first["file"].startswith(str(copy))
    assert (first["hits"], first["misses"]) == (0, 1)
    assert len(compiled_files(copy)) >= 3  # the kernel and two fillers
    second = run(USE_A_KERNEL, copy, PYTHONPATH=str(copy))
    assert (second["hits"], second["misses"]) == (1, 0)


def test_an_edited_helper_of_another_module_is_not_used_from_the_cache(copy):
    before = run(USE_A_REWARD, copy, PYTHONPATH=str(copy))
    assert before["reward"] == pytest.approx(-math.log(1e-11) - math.log(0.5))
    helper = copy / "fastmfg" / "kernels" / "density.py"  # `write_joint` is compiled into `reward.rewards`
    text = helper.read_text()
    assert text.count("= mu[s] * pi[a, s]\n") == 1
    helper.write_text(text.replace("= mu[s] * pi[a, s]\n", "= 2.0 * mu[s] * pi[a, s]\n"))
    after = run(USE_A_REWARD, copy, PYTHONPATH=str(copy))
    assert after["reward"] == pytest.approx(-math.log(1e-11) - math.log(1.0))


def test_the_disk_cache_can_be_turned_off(copy):
    answer = run(USE_A_KERNEL, copy, PYTHONPATH=str(copy), FASTMFG_CACHE="0", XDG_CACHE_HOME=str(copy / "cache"))
    assert answer["file"].startswith(str(copy))
    assert answer["path"] is None
    assert compiled_files(copy) == []


FOREIGN = {"_replace", "_fields", "_exit", "_processes", "_reduce", "_rebuild", "_getvalue"}
"""Names with an underscore that Python's library or numba offers, or offers no other way to."""


def of_self(node):
    return isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}


def private_names_used(path):
    """Names with one leading underscore that a file takes from elsewhere: of other objects, or of other modules."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    attributes = [node for node in nodes if isinstance(node, ast.Attribute)]
    own = {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    own |= {node.attr for node in attributes if isinstance(node.ctx, ast.Store) and of_self(node)}
    own |= {node.target.id for node in nodes if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}
    found = [alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names]
    found += [node.attr for node in attributes if not of_self(node)]
    return {name for name in found if name.startswith("_") and not name.startswith("__")} - own - FOREIGN


@pytest.mark.parametrize("folder", ["fastmfg", "tests", "bench"])
def test_no_private_name_crosses_a_module(folder):
    files = sorted((ROOT / folder).rglob("*.py"))
    assert len(files) > 10
    used = {str(path.relative_to(ROOT)): private_names_used(path) for path in files}
    assert {file: names for file, names in used.items() if names} == {}


def test_the_package_is_typed_and_says_what_it_offers():
    assert (ROOT / "fastmfg" / "py.typed").exists()
    for name in fastmfg.__all__:
        assert getattr(fastmfg, name) is not None
