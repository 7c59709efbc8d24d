"""Progress and summaries for people."""

from __future__ import annotations

import sys
from typing import Any, TextIO

from tqdm import tqdm

from fastmfg.reporting.experiment import Experiment, Outcome


class Progress:
    """A bar on stderr while work goes on; silent when stderr is no terminal."""

    def __init__(self, description: str, total: int | None, unit: str, stream: TextIO | None = None) -> None:
        out = sys.stderr if stream is None else stream
        self.bar: Any = tqdm(total=total, desc=description, unit=unit, file=out, disable=not out.isatty(), leave=False)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def advance(self, n: int = 1, note: str = "") -> None:
        self.bar.set_postfix_str(note, refresh=False)
        self.bar.update(n)

    def drawn(self, trajectories: int, survivors: int) -> None:
        self.advance(trajectories - self.bar.n, f"{survivors} models left")

    def tick(self, done: int, total: int) -> None:
        self.bar.total = total
        self.advance(done - self.bar.n)


def learn_summary(experiment: Experiment, outcome: Outcome, folder: Any) -> str:
    """The result of one run, readable."""
    learned = outcome.learned
    verdict = "certified" if learned.certified else "not certified"
    size = f"{experiment.models} models, {experiment.states} states, {experiment.actions} actions"
    lines = [
        f"class       {size}, horizon {experiment.horizon}, seed {experiment.seed}",
        f"rule        adversary {experiment.adversary}, evidence {experiment.evidence}",
        "",
        "round  branch   reference  neighbours  trajectories  models left     bound  seconds",
    ]
    lines += [
        f"{i:5d}  {r.branch:7s}  {r.reference_model:9d}  {r.neighbours:10d}  {r.trajectories:12d}  {r.survivors:11d}"
        f"  {r.ne_gap_bound:8.2g}  {r.seconds:7.2f}"
        for i, r in enumerate(learned.rounds, start=1)
    ]
    if not learned.rounds:
        lines.append("    -  nothing had to be sampled")
    survived = "among them" if outcome.true_model in learned.survivors else "NOT among them"
    left = f"{learned.survivors.size} of {experiment.models}"
    promise = f"{verdict} for epsilon {experiment.epsilon:g}, with probability {1 - experiment.delta:g}"
    lines += [
        "",
        f"samples     {learned.trajectories} trajectories",
        f"models left {left}; the true one, {outcome.true_model}, is {survived}",
        f"NE gap      at most {learned.ne_gap_bound:.3g} ({promise}); in the true model {outcome.true_ne_gap:.3g}",
        f"stopped     {learned.stopped}, after {outcome.seconds:.1f} s",
        f"written to  {folder}",
    ]
    return "\n".join(lines)
