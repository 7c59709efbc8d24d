"""Sweeps: an experiment for every combination of settings, each a task with a file of its own.

A TOML file gives settings; a list of values is an *axis*, and tasks are the product of the axes, the last of which
varies fastest. A task is addressed by its content: its file is named by the SHA-256 of its settings. What has been
computed, by whatever process and in whatever order, is not computed again; results depend on settings alone.
"""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints, overload

from fastmfg.games.checks import choice, whole
from fastmfg.reporting.experiment import BaseExperiment, Experiment
from fastmfg.reporting.zoo_experiment import ZooExperiment

MOST_TASKS = 10_000_000
"""More are a mistake."""

SPAN = ("start", "count", "step")
"""Keys of a table that stands for an axis of whole numbers."""

Config = dict[str, Any]


@dataclass(frozen=True)
class Sweep:
    """Axes of settings; task i is a combination of their values."""

    kind: type[BaseExperiment]
    given: Mapping[str, Any]  # settings as they were given
    axes: dict[str, tuple[Any, ...]]  # all settings of the experiment, most of them with one value

    def __len__(self) -> int:
        return math.prod(len(values) for values in self.axes.values())

    @property
    def varied(self) -> list[str]:
        """Names of the axes that have several values."""
        return [name for name, values in self.axes.items() if len(values) > 1]

    def config(self, task: int) -> Config:
        """All settings of a task."""
        return {name: self.axes[name][position] for name, position in self.positions(task).items()}

    def positions(self, task: int) -> dict[str, int]:
        """Where on each axis a task is."""
        found = {}
        for name in reversed(self.axes):
            task, found[name] = divmod(task, len(self.axes[name]))
        return {name: found[name] for name in self.axes}

    def digest(self, task: int) -> str:
        """SHA-256 of a task's settings."""
        return digest_of(self.config(task))

    @cached_property
    def name(self) -> str:
        """What tells this sweep from others."""
        return digest_of({"kind": self.kind.__name__, "axes": self.axes})[:12]

    def check(self) -> None:
        """Raise what a task would that cannot run, before anything is computed."""
        for task in range(len(self)):
            config = self.config(task)
            try:
                made(config, epsilon=1.0 if config["epsilon"] is None else config["epsilon"]).check()
            except (ValueError, TypeError, IndexError) as error:
                of = ", ".join(f"{name} = {config[name]!r}" for name in self.varied) or "the only one"
                raise type(error)(f"task {task} ({of}): {error}") from None


class Configs(Sequence[Config]):
    """Settings of some tasks, made as they are asked for."""

    def __init__(self, sweep: Sweep, tasks: Sequence[int]) -> None:
        self.sweep, self.tasks = sweep, tasks

    def __len__(self) -> int:
        return len(self.tasks)

    @overload
    def __getitem__(self, index: int) -> Config: ...
    @overload
    def __getitem__(self, index: slice) -> list[Config]: ...
    def __getitem__(self, index: int | slice) -> Config | list[Config]:
        if isinstance(index, slice):
            return [self.sweep.config(task) for task in self.tasks[index]]
        return self.sweep.config(self.tasks[index])


def digest_of(content: Any) -> str:
    """SHA-256 of what JSON can hold, keys in order."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()


def kind_of(settings: Mapping[str, Any]) -> type[BaseExperiment]:
    """Which experiment settings are for: one with a game of the zoo, or with the paper's random class."""
    return ZooExperiment if "game" in settings else Experiment


def made(config: Config, **changed: Any) -> BaseExperiment:
    """The experiment with these settings; lists are tuples again."""
    make: Callable[..., BaseExperiment] = kind_of(config)
    return make(**arguments(config | changed))


def arguments(config: Config) -> dict[str, Any]:
    """Settings as experiments take them: lists are tuples again."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}


def read_sweep(path: Path) -> Sweep:
    """The sweep that a TOML file describes.

    Raises ValueError or TypeError naming file, setting and value; the nearest known setting is suggested.
    """
    try:
        with path.open("rb") as file:
            settings = tomllib.load(file)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not TOML: {error}") from None
    try:
        return sweep_of(settings)
    except (ValueError, TypeError) as error:
        raise type(error)(f"{path}: {error}") from None


def sweep_of(settings: Mapping[str, Any]) -> Sweep:
    """The sweep of these settings, lists being axes; others have their defaults.

    Axes keep the order they are given in. ``{start = 0, count = 1000, step = 1}`` is an axis of whole numbers.
    """
    kind = kind_of(settings)
    types = get_type_hints(kind)
    known = {field.name: None if field.default is MISSING else field.default for field in fields(kind)}
    for name in settings:
        choice("setting", name, tuple(known))
    if kind is ZooExperiment:
        known["epsilon"] = None  # unless it is given, the class says
    given = {name: _axis(name, value, types[name]) for name, value in settings.items()}
    axes = {name: (_plain(default),) for name, default in known.items() if name not in given} | given
    sweep = Sweep(kind, dict(settings), axes)
    if len(sweep) > MOST_TASKS:
        raise ValueError(f"the product of all axes has {len(sweep)} tasks, more than {MOST_TASKS}")
    return sweep


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _axis(name: str, value: Any, kind: Any) -> tuple[Any, ...]:
    """The values of a setting, one or many, each of the right type and none twice."""
    if isinstance(value, dict):
        value = _span(name, value)
    elif not isinstance(value, list) or (_is_list(kind) and not any(isinstance(v, list) for v in value)):
        value = [value]
    if not value:
        raise ValueError(f"{name} is an empty list: an axis needs at least one value")
    values = tuple(_value(name, v, kind) for v in value)
    seen: set[str] = set()
    for v in values:
        if digest_of(v) in seen:
            raise ValueError(f"{name} holds {v!r} twice")
        seen.add(digest_of(v))
    return values


def _span(name: str, table: Mapping[str, Any]) -> list[int]:
    """``{start, count, step}``."""
    for key in table:
        choice(f"key of {name}", key, SPAN)
    if "count" not in table:
        raise ValueError(f"{name} needs a count, as in {name} = {{start = 0, count = 100}}")
    start, count = whole(f"{name}.start", table.get("start", 0), 0), whole(f"{name}.count", table["count"], 0)
    step = whole(f"{name}.step", table.get("step", 1), 1)
    if count > MOST_TASKS:
        raise ValueError(f"{name}.count is {count}, more than {MOST_TASKS}")
    return list(range(start, start + count * step, step))


def _is_list(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _value(name: str, value: Any, kind: Any) -> Any:
    """A value of the type that the setting has; whole numbers where real ones are wanted become these."""
    if _is_list(kind):
        if not isinstance(value, list):
            raise TypeError(f"{name} must be a list, or a list of lists as an axis, got {value!r}")
        return [_value(name, v, get_args(kind)[0]) for v in value]
    allowed = get_args(kind) or (kind,)
    if float in allowed and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        wanted = " or ".join(k.__name__ for k in allowed if k is not type(None))
        raise TypeError(f"{name} must be {wanted}, or a list of these as an axis, got {value!r}")
    return value
