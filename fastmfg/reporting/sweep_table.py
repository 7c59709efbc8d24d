"""A sweep's tasks in one table, and a picture of it.

``sweep.csv`` has a line a task: settings and results that are numbers or words; of lists, how long they are.
``sweep.jsonl`` has everything. Neither says when or where a task ran, so that bytes depend on settings alone.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fastmfg.files import DAY, remove_leftovers, write_whole
from fastmfg.reporting.plots import BLUE, GREY, ORANGE, axes, save
from fastmfg.reporting.sweep import Config, Sweep
from fastmfg.reporting.task_files import TaskFiles

TABLE, LINES, PICTURE = "sweep.csv", "sweep.jsonl", "sweep.png"

SHADES = (BLUE, ORANGE, GREY, "#38a169", "#805ad5", "#d53f8c")
MOST_CURVES = len(SHADES)


def merge(sweep: Sweep, files: TaskFiles, folder: Path) -> dict[str, Any]:
    """Write the table, whole or not at all, task after task; how many tasks are in it, and medians over them."""
    columns: dict[str, None] = {}
    points: list[tuple[int, float, float]] = []
    lost = 0

    def write_lines(path: Path) -> None:
        nonlocal lost
        with path.open("w", encoding="utf-8") as out:
            for task, content in _tasks(sweep, files):
                row = {"task": task, "sha256": sweep.digest(task), "config": content["config"], **content["result"]}
                out.write(json.dumps(row) + "\n")
                columns.update(dict.fromkeys(flat(row)))
                points.append((task, float(row["trajectories"]), float(row["true_ne_gap"])))
                lost += not row["true_model_survived"]

    def write_table(path: Path) -> None:
        with (folder / LINES).open(encoding="utf-8") as lines, path.open("w", newline="", encoding="utf-8") as out:
            writer = csv.DictWriter(out, list(columns), restval="")
            writer.writeheader()
            for line in lines:
                writer.writerow(flat(json.loads(line)))

    remove_leftovers(folder, (LINES, TABLE).__contains__, DAY)
    write_whole(folder / LINES, write_lines)
    write_whole(folder / TABLE, write_table)
    if points:
        draw(sweep, points, folder / PICTURE)
    return {
        "present": len(points),
        "median_trajectories": float(np.median([p[1] for p in points])) if points else None,
        "true_model_lost": lost,
    }


def _tasks(sweep: Sweep, files: TaskFiles) -> Iterator[tuple[int, dict[str, Any]]]:
    for task in range(len(sweep)):
        content = files.read(sweep.config(task))
        if content is not None:
            yield task, content


def flat(row: dict[str, Any], above: str = "") -> dict[str, Any]:
    """A line of the table: settings by their names, parts of tables as ``name.part``, lists as ``name.count``."""
    cells: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            cells |= flat(value, "" if not above and name == "config" else f"{above}{name}.")
        elif isinstance(value, list) and not all(isinstance(v, str) for v in value):
            cells[f"{above}{name}.count"] = len(value)
        else:
            cells[f"{above}{name}"] = " ".join(value) if isinstance(value, list) else value
    return cells


def draw(sweep: Sweep, points: list[tuple[int, float, float]], path: Path) -> None:
    """Trajectories, and the NE gap in truth, against the first axis that is no seed; a curve for each of the others."""
    across, others = horizontal_axis(sweep)
    curves: dict[str, dict[int, list[tuple[float, float]]]] = {}
    for task, trajectories, gap in points:
        config = sweep.config(task)
        label = ", ".join(f"{name} = {config[name]}" for name in others)
        where = 0 if across is None else sweep.positions(task)[across]
        curves.setdefault(label, {}).setdefault(where, []).append((trajectories, gap))
    figure, parts = axes(2, 9.0, 3.4)
    for (label, values), shade in zip(list(curves.items())[:MOST_CURVES], SHADES, strict=False):
        x = _places(sweep, across, sorted(values))
        found = [np.array(values[where]) for where in sorted(values)]
        for k, part in enumerate(parts):
            low, middle, high = np.array([np.quantile(v[:, k], [0.0, 0.5, 1.0]) for v in found]).T
            part.errorbar(x, middle, [middle - low, high - middle], marker="o", capsize=3, color=shade, label=label)
    note = f" ({MOST_CURVES} of {len(curves)} curves)" if len(curves) > MOST_CURVES else ""
    for part, name in zip(parts, ("trajectories", "NE gap in the true model"), strict=True):
        part.set(xlabel=across or "", ylabel=name)
        if across is None or not _is_numeric(sweep.axes[across]):
            names = [""] if across is None else [str(value) for value in sweep.axes[across]]
            part.set_xticks(range(len(names)), names)
    if others:
        parts[0].legend(frameon=False, fontsize=7)
    figure.suptitle(f"median, least and most of {len(points)} runs{note}", fontsize=10)
    save(figure, path)


def horizontal_axis(sweep: Sweep) -> tuple[str | None, list[str]]:
    """The axis to draw along, numbers first, and those that make curves; repetitions (seeds) are neither."""
    varied = [name for name in sweep.varied if name != "seed"]
    numeric = [name for name in varied if _is_numeric(sweep.axes[name])]
    across = next(iter(numeric + varied), None)
    return across, [name for name in varied if name != across]


def _is_numeric(values: tuple[Any, ...]) -> bool:
    return all(isinstance(value, (int, float)) for value in values)


def _places(sweep: Sweep, across: str | None, positions: list[int]) -> list[float]:
    if across is None or not _is_numeric(sweep.axes[across]):
        return [float(position) for position in positions]
    return [float(sweep.axes[across][position]) for position in positions]


def sweep_summary(content: Config, folder: Path) -> str:
    """What a sweep did, readable."""
    lines = [
        f"tasks       {content['present']} of {content['tasks']} done, {content['computed']} of them now",
        f"seconds     {content['seconds']:.1f}",
    ]
    if content["failed"]:
        first = content["failed"][0]
        lines.append(f"failed      {len(content['failed'])}; first task {first['task']}: {first['error']}")
    if content.get("median_trajectories") is None:
        lines.append(f"table       none yet: `fastmfg sweep` without --shard makes it from what is in {folder}")
    else:
        lines += [
            f"median      {content['median_trajectories']:g} trajectories",
            f"lost        the true model in {content['true_model_lost']} runs",
            f"written to  {folder}",
        ]
    return "\n".join(lines)
