"""Pictures of runs. Colours are fixed by role: blue what survives, orange the truth, grey what is gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fastmfg.comparing.distance import distance_matrix
from fastmfg.executors import Tick
from fastmfg.games.checks import Floats, Integers
from fastmfg.learning.learn import Learned
from fastmfg.planning.evaluate import ne_gaps
from fastmfg.reporting.experiment import BaseExperiment, Outcome
from fastmfg.reporting.folder import write_whole

BLUE, ORANGE, GREY = "#2b6cb0", "#dd6b20", "#b8bfc9"
MOST_DOTS = 400
"""Models drawn at most: placing n dots takes n (n - 1) / 2 exact distances."""


def save(figure: Figure, path: Path) -> None:
    write_whole(path, lambda temporary: figure.savefig(temporary, dpi=144))


def axes(n: int, width: float, height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    parts = figure.subplots(1, n, squeeze=False)[0]
    for part in parts:
        part.spines[["top", "right"]].set_visible(False)
    return figure, parts


def survivors_over_time(learned: Learned) -> tuple[Integers, list[NDArray[np.bool_]]]:
    """Trajectory counts [k] at which models were dropped, 0 first and the last one last, and who was left [M] then."""
    dropped = learned.eliminated_at
    times = np.unique(np.concatenate([[0], dropped[dropped >= 0], [learned.trajectories]]))
    return times, [(dropped < 0) | (dropped > t) for t in times]


def draw_elimination(experiment: BaseExperiment, outcome: Outcome, path: Path) -> None:
    """Survivors, and the bound on the returned policy's NE gap, against trajectories."""
    learned = outcome.learned
    times, alive = survivors_over_time(learned)
    left = [mask.sum() for mask in alive]
    gaps = ne_gaps(outcome.models, learned.policy)
    bounds = np.array([gaps[mask].max() for mask in alive])
    figure, (count, gap) = axes(2, 9.0, 3.4)
    count.step(times, left, where="post", color=BLUE)
    count.set(xlabel="trajectories", ylabel="models left", yscale="log", title="Elimination")
    count.yaxis.set_major_formatter("{x:g}")
    gap.step(times, bounds, where="post", color=BLUE, label="bound: largest over models left")
    gap.axhline(max(outcome.true_ne_gap, 1e-12), color=ORANGE, label="in the true model")
    gap.axhline(experiment.epsilon, color=GREY, linestyle="--", label=f"epsilon = {experiment.epsilon:g}")
    gap.set(xlabel="trajectories", ylabel="NE gap", yscale="log", title="The returned policy")
    gap.legend(frameon=False, fontsize=8)
    save(figure, path)


def place_by_distances(distances: Floats) -> Floats:
    """Points [n, 2] whose distances resemble the given ones: classical multidimensional scaling, signs fixed."""
    n = len(distances)
    if n < 3:
        return np.column_stack([np.arange(n) * (distances.max() if n > 1 else 0.0), np.zeros(n)])
    centre = np.eye(n) - 1.0 / n
    values, vectors = np.linalg.eigh(-0.5 * centre @ distances**2 @ centre)
    points = vectors[:, -2:][:, ::-1] * np.sqrt(np.maximum(values[-2:][::-1], 0.0))
    largest = np.abs(points).argmax(axis=0)
    placed: Floats = points * np.where(points[largest, [0, 1]] < 0, -1.0, 1.0)
    return placed


def draw_models(outcome: Outcome, path: Path, tick: Tick | None = None) -> None:
    """The models as dots under the last reference policy, placed by their mutual distances d."""
    learned = outcome.learned
    n = len(outcome.models)
    by_importance = list(dict.fromkeys([outcome.true_model, *learned.survivors.tolist(), *range(n)]))
    keep = np.array(by_importance[:MOST_DOTS])
    policy = learned.policy if learned.reference_policy is None else learned.reference_policy
    points = place_by_distances(distance_matrix(outcome.models[keep], policy, tick=tick))
    alive, true = np.isin(keep, learned.survivors), keep == outcome.true_model
    figure, (part,) = axes(1, 5.2, 4.6)
    part.scatter(*points[~alive].T, s=22, color=GREY, label=f"eliminated ({n - learned.survivors.size})")
    part.scatter(*points[alive].T, s=34, color=BLUE, label=f"left ({learned.survivors.size})")
    part.scatter(*points[true].T, s=150, facecolors="none", edgecolors=ORANGE, linewidths=2, label="true model")
    note = "" if keep.size == n else f" ({keep.size} of {n} drawn)"
    part.set(
        title=f"Models under the last reference policy{note}", xlabel="placed by mutual distance d", aspect="equal"
    )
    part.legend(frameon=False, fontsize=8)
    save(figure, path)
