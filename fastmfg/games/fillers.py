"""Functions of a class as users give them, brought behind C pointers: fillers (`fastmfg.kernels.jit`)."""

from __future__ import annotations

from typing import Any, cast

from fastmfg.games.functions import StepFunction
from fastmfg.kernels import reward as reward_kernels
from fastmfg.kernels.jit import REWARD, Filler

REWARDS: dict[str, Filler] = {"crowd-aversion": reward_kernels.crowd_aversion}
"""Rewards known by name."""


def python_function(function: Any) -> Any:
    """The Python function inside a filler, or a numba njit or cfunc function; None inside anything else."""
    if isinstance(function, Filler):
        return function.function
    return getattr(function, "py_func", None) or getattr(function, "_pyfunc", None)


def as_filler(name: str, function: Any, kind: Any) -> Filler:
    """A user's njit function, cfunc or plain function over arrays, behind a C pointer of this kind."""
    if isinstance(function, Filler):
        return function
    body = python_function(function) or function
    if not callable(body):
        raise TypeError(f"{name} must be a function that numba can compile, got {function!r}")
    try:
        result = Filler(body, kind, keep=False)
        result.build()
    except Exception as error:
        raise TypeError(f"{name} does not compile with the signature {kind.signature}: {error}") from error
    return result


def as_reward(reward: Any) -> Filler | StepFunction:
    """A reward by name, a compiled filler, or a NumPy function."""
    if isinstance(reward, str):
        if reward not in REWARDS:
            raise ValueError(f"reward must be one of {', '.join(map(repr, REWARDS))} or a function, got {reward!r}")
        return REWARDS[reward]
    if python_function(reward) is not None:
        return as_filler("reward", reward, REWARD)
    if not callable(reward):
        raise TypeError(f"reward must be a name or a function, got {reward!r}")
    return cast(StepFunction, reward)
