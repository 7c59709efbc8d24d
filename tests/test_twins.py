"""Every kernel has a slow twin, and the twins know nothing of the package."""

import ast
import importlib
import inspect
import pkgutil

import naive

import fastmfg.kernels
from fastmfg.kernels.jit import Filler, Kernel

TWINS = {
    "backup.back_up": naive.back_up,
    "density.occupy": naive.occupy,
    "density.push": naive.push,
    "density.tabulate": naive.tabulate,
    "distance.block_distances": naive.block_distances,
    "distance.block_lower_bounds": naive.lower_bound,
    "distance.block_upper_bounds": naive.upper_bound,
    "distance.row_gaps": naive.row_gaps,
    "information.back_up_information": naive.back_up_information,
    "likelihood.log_likelihoods": naive.log_likelihoods,
    "linear.fill": naive.linear_fill,
    "linear.prepare": naive.linear_prepare,
    "reward.crowd_aversion": naive.crowd_aversion,
    "reward.crowd_base": naive.crowd_base,
    "reward.reward_step": naive.reward_step,
    "reward.rewards": naive.rewards,
    "softmax.mirror_step": naive.mirror_step,
    "table.fill": naive.table_fill,
    "table.fill_from_aux": naive.table_fill_from_aux,
    "table.prepare": naive.table_prepare,
    "walk.walk": naive.walk,
}


def kernels():
    """Names of all kernels and built-in fillers, found by looking at the modules."""
    names = set()
    for info in pkgutil.walk_packages(fastmfg.kernels.__path__, "fastmfg.kernels."):
        for value in vars(importlib.import_module(info.name)).values():
            if isinstance(value, (Kernel, Filler)):
                module = value.function.__module__.removeprefix("fastmfg.kernels.")
                names.add(f"{module}.{value.__name__}")
    return names


def test_every_kernel_has_a_twin():
    assert kernels() == set(TWINS)


def test_twins_import_nothing_from_the_package():
    imported = set()
    for node in ast.walk(ast.parse(inspect.getsource(naive))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module)
    assert imported == {"math", "numpy"}
