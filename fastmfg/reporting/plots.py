"""Pictures of runs. Colours are fixed by role: blue what survives, orange the truth, grey what is gone."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fastmfg.comparing.conditional import condition_class
from fastmfg.comparing.distance import distances_to
from fastmfg.executors import Tick
from fastmfg.games.checks import Integers
from fastmfg.learning.learn import Learned
from fastmfg.planning.evaluate import ne_gaps
from fastmfg.reporting.experiment import BaseExperiment, Outcome
from fastmfg.reporting.folder import write_whole
from fastmfg.reporting.placement import place

BLUE, ORANGE, GREY = "#2b6cb0", "#dd6b20", "#b8bfc9"
MOST_DOTS = 400
"""Models drawn at most: placing a dot takes as many exact distances as there are landmarks."""


def save(figure: Figure, path: Path) -> None:
    write_whole(path, lambda temporary: figure.savefig(temporary, dpi=144))


def axes(n: int, width: float, height: float, edges: tuple[float, float, float, float] | None = None) -> Any:
    """A figure, and n axes beside one another; sizes in inches.

    `edges`: room for labels at the left of each of the axes, below, at the right and above, in inches; without them
    matplotlib finds out, which takes longer than the drawing.
    """
    figure = Figure(figsize=(width, height), layout="constrained" if edges is None else None)
    parts = figure.subplots(1, n, squeeze=False)[0]
    if edges is not None:
        left, bottom, right, top = edges
        share = (left + right) / (width / n - left - right)  # between axes, of the width of one
        figure.subplots_adjust(left / width, bottom / height, 1 - right / width, 1 - top / height, share)
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
    figure, (count, gap) = axes(2, 9.0, 3.4, (0.65, 0.5, 0.1, 0.35))
    count.step(times, left, where="post", color=BLUE)
    count.set(xlabel="trajectories", ylabel="models left", yscale="log", title="Elimination")
    count.yaxis.set_major_formatter("{x:g}")
    gap.step(times, bounds, where="post", color=BLUE, label="bound: largest over models left")
    gap.axhline(max(outcome.true_ne_gap, 1e-12), color=ORANGE, label="in the true model")
    gap.axhline(experiment.epsilon, color=GREY, linestyle="--", label=f"epsilon = {experiment.epsilon:g}")
    gap.set(xlabel="trajectories", ylabel="NE gap", yscale="log", title="The returned policy")
    gap.legend(frameon=False, fontsize=8)
    save(figure, path)


def draw_models(outcome: Outcome, path: Path, tick: Tick | None = None) -> None:
    """The models as dots under the last reference policy, around the true one, each as far away as its distance d.

    Directions come from distances to a few landmarks (`fastmfg.reporting.placement`): dots that are close to each other
    need not be models that are.
    """
    learned = outcome.learned
    n = len(outcome.models)
    by_importance = list(dict.fromkeys([outcome.true_model, *learned.survivors.tolist(), *range(n)]))
    keep = np.array(by_importance[:MOST_DOTS])
    policy = learned.policy if learned.reference_policy is None else learned.reference_policy
    drawn = condition_class(outcome.models[keep], policy)
    points = place(keep.size, partial(distances_to, drawn, tick=tick))
    alive = np.isin(keep, learned.survivors)
    figure, (part,) = axes(1, 5.2, 5.0, (0.7, 0.75, 0.1, 0.35))
    part.scatter(*points[~alive].T, s=22, color=GREY, label=f"eliminated ({n - learned.survivors.size})")
    part.scatter(*points[alive].T, s=34, color=BLUE, label=f"left ({learned.survivors.size})")
    part.scatter(*points[:1].T, s=150, facecolors="none", edgecolors=ORANGE, linewidths=2, label="true model")
    note = "" if keep.size == n else f" ({keep.size} of {n} drawn)"
    part.set(
        title=f"Models under the last reference policy{note}",
        xlabel="distance d from the true model; directions approximate,\nfrom distances to a few landmarks",
        aspect="equal",
    )  # fmt: skip
    part.legend(frameon=False, fontsize=8)
    save(figure, path)
