"""Builds every kernel of the package once, in several processes, so that all later ones load them from the cache."""

import importlib
import multiprocessing
import pkgutil
from concurrent.futures import ProcessPoolExecutor

import fastmfg.kernels
from fastmfg.kernels.jit import Filler, Kernel


def kernel_modules():
    """Of the package's folder of kernels, by name."""
    return [found.name for found in pkgutil.walk_packages(fastmfg.kernels.__path__, "fastmfg.kernels.")]


def kernels():
    """Module and name of every kernel and filler."""
    out = []
    for module in kernel_modules():
        for name, value in vars(importlib.import_module(module)).items():
            if isinstance(value, (Kernel, Filler)) and value.function.__module__ == module:
                out.append((module, name))
    return out


def build(place):
    """Load a kernel, or compile and keep it."""
    found = getattr(importlib.import_module(place[0]), place[1])
    if isinstance(found, Kernel):
        assert found.dispatcher
    else:
        assert found.__wrapper_address__()


def warm(processes):
    """Build all, each by whichever process is free."""
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(build, kernels()))
