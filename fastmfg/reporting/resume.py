"""A run that goes on in its folder, or that is finished and is shown again: ``fastmfg learn --resume DIR``."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from fastmfg.learning.checkpoint import Checkpoint, warn
from fastmfg.learning.journal import Tell
from fastmfg.reporting.experiment import BaseExperiment, Experiment, OnDraw, Outcome, carry_out
from fastmfg.reporting.folder import CHECKPOINT, RESULT, held_folder
from fastmfg.reporting.zoo_experiment import ZooExperiment

FILES = (RESULT, "policy.npz", "elimination.png", "models.png")
"""What a finished run has left."""


def read_run(folder: Path) -> dict[str, Any]:
    """What result.json of a run of the learner says. Raises ValueError or OSError when there is none."""
    if not folder.is_dir():
        raise FileNotFoundError(f"--resume {folder}: there is no such folder")
    path = folder / RESULT
    if not path.exists():
        raise FileNotFoundError(f"--resume {folder}: the folder holds no run (no {RESULT})")
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        command, config = content["command"], content["config"]
        complete = {"class", "rounds", "finished", "resumed_from_round"} <= content.keys() and isinstance(config, dict)
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"--resume {folder}: {RESULT} is damaged") from None
    if command != "learn":
        raise ValueError(f"--resume {folder}: it holds a run of {command!r}; runs of 'learn' go on")
    if not complete:
        raise ValueError(f"--resume {folder}: {RESULT} is of another version of this package")
    return content


def is_finished(folder: Path, content: dict[str, Any]) -> bool:
    """Whether all is there that a run leaves."""
    return bool(content["finished"]) and all((folder / name).exists() for name in FILES)


def experiment_of(config: dict[str, Any]) -> BaseExperiment:
    """The experiment that a result file configures."""
    kind: type[BaseExperiment] = ZooExperiment if "game" in config else Experiment
    unknown = config.keys() - {field.name for field in fields(kind)}
    if unknown:
        raise ValueError(f"{RESULT} has the setting {sorted(unknown)[0]!r}, which this version does not know")
    settings: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in config.items()}
    return kind(**settings)


def resume_experiment(
    folder: Path, on_draw: OnDraw | None = None, tell: Tell = warn
) -> tuple[BaseExperiment, Outcome, dict[str, Any]]:
    """Go on with the run in the folder from its checkpoint, or from the beginning where it has none yet."""
    with held_folder(folder), Checkpoint(folder / CHECKPOINT, tell=tell) as checkpoint:
        content = read_run(folder)  # now that nobody else writes it
        experiment = experiment_of(content["config"])
        experiment.check()
        models = experiment.model_class()
        content["resumed_from_round"] = checkpoint.rounds
        outcome, content = carry_out(experiment, models, folder, checkpoint, content, on_draw)
    return experiment, outcome, content
