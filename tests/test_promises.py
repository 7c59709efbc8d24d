"""What the README promises of results: the same bytes on one processor, the same numbers to a tolerance on others."""

import os
import subprocess
import sys

import numpy as np
import pytest

TOLERANCE = 1e-9
"""Of numbers from code for different processors, relative to the largest of their kind: the README states it."""

COMPUTE = """
import importlib, sys
import numpy as np
import fastmfg as mfg
from fastmfg.warm_up import compiled_names

models = mfg.linear_class(12, 9, 4, 3, seed=3)
policy = np.random.default_rng(0).dirichlet(np.ones(4), (3, 9))
response = mfg.best_response(models[0], policy)
grid = mfg.zoo.crowd_modelling_2d(size=5, horizon=5)
fixed = mfg.solve(grid, "mirror-descent", step=0.1, tol=0.0, max_iterations=20)
solved = mfg.solve(grid)
learned = mfg.learn(models, mfg.MeanFieldOracle(models[7], seed=5), epsilon=1e-3, delta=1e-3, seed=5)

found = dict(
    density=mfg.condition(models[0], policy).density, gaps=mfg.ne_gaps(models, policy),
    distances=mfg.distance_matrix(models, policy), response=response.policy, response_value=response.value,
    fixed=fixed.policy, fixed_gaps=fixed.history, solved=solved.policy, solved_gap=solved.ne_gap,
    learned=learned.policy, bound=learned.ne_gap_bound, log_likelihood=learned.log_likelihood,
    survivors=learned.survivors, trajectories=learned.trajectories,
)
functions = [getattr(importlib.import_module(module), name) for module, name in compiled_names()]
built = [one for one in functions if one._built is not None]
np.savez(sys.argv[1], **found, compiled=sum(not one._code.was_loaded for one in built), used=len(built))
"""


def start(folder, name, **environment):
    env = {name: value for name, value in os.environ.items() if name != "HOME"} | {"NUMBA_CACHE_DIR": str(folder)}
    command = [sys.executable, "-c", COMPUTE, str(folder / f"{name}.npz")]
    return subprocess.Popen(command, env=env | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(folder, **processes):
    """What each process computed, and what it had to say."""
    outcome = {name: process.communicate() for name, process in processes.items()}
    assert {name: process.returncode for name, process in processes.items()} == dict.fromkeys(processes, 0), outcome
    return [(dict(np.load(folder / f"{name}.npz")), error) for name, (_, error) in outcome.items()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def first(folder):
    """Two processes that start at once with an empty cache and no home."""
    return finished(folder, one=start(folder, "one"), other=start(folder, "other"))


def numbers(found):
    return {name: array.tobytes() for name, array in found.items() if name not in ("compiled", "used")}


def test_two_processes_that_start_at_once_compile_each_function_once(folder, first):
    (one, said), (other, also_said) = first
    assert (said, also_said) == ("", "")
    assert one["compiled"] + other["compiled"] == one["used"] == other["used"] > 20
    assert len(list(folder.rglob("*.nbc"))) == one["used"]


def test_one_processor_gives_the_same_bytes(folder, first):
    """Compiled or loaded, and for another number of threads."""
    (one, _), (other, _) = first
    ((again, said),) = finished(folder, again=start(folder, "again", FASTMFG_NUM_THREADS="1"))
    assert (int(again["compiled"]), said) == (0, "")
    assert numbers(one) == numbers(other) == numbers(again)


def test_other_processors_give_the_same_numbers(folder, first):
    other = "x86-64" if os.environ.get("NUMBA_CPU_NAME") == "generic" else "generic"
    ((there, said),) = finished(folder, there=start(folder, "there", NUMBA_CPU_NAME=other))
    assert said.count("RuntimeWarning") == 1 and "made for another processor" in said
    here, _ = first[0]
    assert there["compiled"] == there["used"] == here["used"]
    for name in ("survivors", "trajectories", "response"):
        np.testing.assert_array_equal(there[name], here[name])
    for name in numbers(here):
        scale = np.abs(here[name][np.isfinite(here[name])]).max()
        np.testing.assert_allclose(there[name], here[name], rtol=0, atol=TOLERANCE * scale, err_msg=name)
    assert numbers(there) != numbers(here)  # it was other code
