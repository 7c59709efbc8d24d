"""Figure 2 of the paper: five classes, five hidden models each; survivors and gap against trajectories.

The gap is the largest NE gap in the true model of the survivors' equilibria, divided by its value at the start, 0 once
below epsilon. A run goes on until one model is left. Mean and 95% interval (2 standard errors) over the runs; a run
that has ended keeps its last value. The axis shows true counts of trajectories: the paper's counts a third of them.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fastmfg.executors import blocks, map_tasks
from fastmfg.games.checks import Floats, Integers, whole
from fastmfg.games.linear import LinearClass
from fastmfg.planning.evaluate import evaluate_pairs
from fastmfg.planning.solve import Solution, solve_models
from fastmfg.reporting.experiment import Experiment, header
from fastmfg.reporting.folder import RESULT, taken_folder, write_json, write_whole
from fastmfg.reporting.plots import BLUE, GREY, axes, save, survivors_over_time
from fastmfg.streams import Stream

SEEDS_A_CLASS = 1_000_003
"""Trials of one class have oracle seeds of their own, up to this many."""

POINTS = 200
"""Points of the curves' grid of trajectory counts."""


@dataclass(frozen=True)
class Run:
    """One trial of one class."""

    class_seed: int
    trial: int
    true_model: int
    true_model_survived: bool
    trajectories: int
    survivors: int
    ne_gap_bound: float
    seconds: float
    times: Integers  # [k]   trajectory counts at which the survivors changed, 0 first
    left: Integers  # [k]   models left from then on
    gap: Floats  # [k]   largest NE gap in the true model of the survivors' equilibria, normalised


def gaps_in(models: LinearClass, true_model: int, solutions: list[Solution]) -> Floats:
    """``E_{M*}(pi_M)`` [n] of every model's equilibrium in the true model."""
    policies = np.stack([solution.policy for solution in solutions])

    def gaps(block: range) -> Floats:
        chosen = policies[block.start : block.stop]
        members = np.full(len(chosen), true_model, dtype=np.int64)
        return evaluate_pairs(models, members, chosen, np.arange(len(chosen)))[1].gap

    return np.concatenate(list(map_tasks(gaps, blocks(len(policies), 8))))


def run_trial(experiment: Experiment, models: LinearClass, solutions: list[Solution], trial: int) -> Run:
    """One run of the learner to its end, and its two curves."""
    started = time.perf_counter()
    stream = Stream.HIDDEN_MODEL.generator(experiment.seed, trial)
    true_model = int(stream.integers(len(models)))
    trial_settings = replace(experiment, true_model=true_model, identify=True)
    learned = trial_settings.learn(
        models,
        oracle_seed=experiment.seed * SEEDS_A_CLASS + trial,
        equilibria=dict(enumerate(solutions)),
    )
    gaps = gaps_in(models, true_model, solutions)
    times, alive = survivors_over_time(learned)
    raw = np.array([gaps[mask].max() for mask in alive])
    normalised = np.where(raw < experiment.epsilon, 0.0, raw) / max(raw[0], experiment.epsilon)
    return Run(
        class_seed=experiment.seed,
        trial=trial,
        true_model=true_model,
        true_model_survived=bool(true_model in learned.survivors),
        trajectories=learned.trajectories,
        survivors=learned.survivors.size,
        ne_gap_bound=learned.ne_gap_bound,
        seconds=time.perf_counter() - started,
        times=times,
        left=np.array([int(mask.sum()) for mask in alive]),
        gap=normalised,
    )


def _run_trials(experiment: Experiment, models: LinearClass, solutions: list[Solution], trials: int) -> Iterator[Run]:
    """Trials side by side: each is a long chain of small steps, which threads inside it would hardly speed up."""
    return map_tasks(lambda trial: run_trial(experiment, models, solutions, trial), range(trials))


def curves(runs: list[Run], horizon: int) -> dict[str, Floats]:
    """Mean and 95% interval of both curves on a common grid of trajectory counts."""
    grid = np.unique(np.linspace(0, horizon, POINTS).round())
    table: dict[str, Floats] = {"trajectories": grid}
    for name in ("left", "gap"):
        values = np.stack([getattr(r, name)[np.searchsorted(r.times, grid, side="right") - 1] for r in runs])
        error = values.std(axis=0, ddof=1) / np.sqrt(len(runs)) if len(runs) > 1 else np.zeros(grid.size)
        mean = values.mean(axis=0)
        table |= {f"{name}_mean": mean, f"{name}_low": mean - 2 * error, f"{name}_high": mean + 2 * error}
    return table


def run_figure2(
    base: Experiment, classes: int, trials: int, folder: Path, force: bool = False,
    advance: Callable[[int, str], Any] = lambda n, note: None,
) -> dict[str, Any]:  # fmt: skip
    """All classes and trials; writes result.json after every trial, then figure2.csv and figure2.png.

    ``advance(n, note)`` is told of every equilibrium and every trial.
    """
    whole("classes", classes, 1), whole("trials", trials, 1)
    base.check()
    with taken_folder(folder, force):
        return _run_classes(base, classes, trials, folder, advance)


def _run_classes(
    base: Experiment, classes: int, trials: int, folder: Path, advance: Callable[[int, str], Any]
) -> dict[str, Any]:
    started = time.perf_counter()
    content = header(asdict(base) | {"classes": classes, "trials": trials}, "figure2") | {"runs": []}
    result = folder / RESULT
    write_json(result, content)
    runs: list[Run] = []
    for c in range(classes):
        experiment = replace(base, seed=base.seed + c)
        models = experiment.model_class()
        solutions = []
        for solution in solve_models(models, tol=experiment.epsilon / 2):
            solutions.append(solution)
            advance(1, f"class {c + 1}/{classes}: equilibria")
        for trial, run in enumerate(_run_trials(experiment, models, solutions, trials)):
            runs.append(run)
            content["runs"].append(asdict(runs[-1]))
            write_json(result, content)
            advance(1, f"class {c + 1}/{classes}: trial {trial + 1}/{trials}")
        unsolved = sum(not solution.converged for solution in solutions)
        content["unsolved_equilibria"] = content.get("unsolved_equilibria", 0) + unsolved
        write_json(result, content)
    table = curves(runs, max(r.trajectories for r in runs))
    write_whole(folder / "figure2.csv", lambda path: _write_csv(path, table))
    _draw(table, runs, base, folder / "figure2.png")
    content |= {
        "median_trajectories": float(np.median([r.trajectories for r in runs])),
        "true_model_lost": sum(not r.true_model_survived for r in runs),
        "seconds": time.perf_counter() - started,
        "finished": True,
    }
    write_json(result, content)
    return content


def _write_csv(path: Path, table: dict[str, Floats]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows(zip(*(column.tolist() for column in table.values()), strict=True))


def _draw(table: dict[str, Floats], runs: list[Run], base: Experiment, path: Path) -> None:
    figure, parts = axes(2, 9.0, 3.4)
    labels = {"left": ("models left", base.models), "gap": ("normalised NE gap of their equilibria", 1.0)}
    for part, (name, (label, top)) in zip(parts, labels.items(), strict=True):
        x = table["trajectories"]
        low, high = np.clip(table[f"{name}_low"], 0, None), table[f"{name}_high"]
        part.fill_between(x, low, high, step="post", color=BLUE, alpha=0.25, linewidth=0, label="95% interval")
        part.step(x, table[f"{name}_mean"], where="post", color=BLUE, label=f"mean of {len(runs)} runs")
        part.axhline(0, color=GREY, linewidth=0.8)
        part.set(xlabel="trajectories", ylabel=label, ylim=(-0.03 * top, 1.05 * top))
        part.legend(frameon=False, fontsize=8)
    figure.suptitle(f"adversary {base.adversary}, evidence {base.evidence}", fontsize=10)
    save(figure, path)


def figure2_summary(content: dict[str, Any], folder: Path) -> str:
    """The result of all runs, readable."""
    runs = content["runs"]
    config = content["config"]
    lines = [
        f"rule        adversary {config['adversary']}, evidence {config['evidence']}",
        "",
        "class  trial  true model  trajectories  models left",
    ]
    lines += [
        f"{r['class_seed']:5d}  {r['trial']:5d}  {r['true_model']:10d}  {r['trajectories']:12d}  {r['survivors']:11d}"
        + ("" if r["true_model_survived"] else "  the true model was lost")
        for r in runs
    ]
    lines += [
        "",
        f"median      {content['median_trajectories']:g} trajectories to one model, {len(runs)} runs",
        f"lost        the true model in {content['true_model_lost']} of {len(runs)} runs",
        f"equilibria  {content['unsolved_equilibria']} not solved to {config['epsilon'] / 2:g}",
        f"seconds     {content['seconds']:.1f}",
        f"written to  {folder}",
    ]
    return "\n".join(lines)
