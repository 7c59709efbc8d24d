"""Progress and summaries for people."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from typing import Any, TextIO

from tqdm import tqdm

from fastmfg.learning.state import stopped_text
from fastmfg.planning.diagnostics import Diagnostics

MOST_SURVIVORS = 10
"""Models left whose parameters are written out."""


class Progress:
    """A bar on stderr while work goes on, with rate and, where it is known, time left.

    Silent when stdout or stderr is no terminal.
    """

    def __init__(self, description: str, total: int | None, unit: str, stream: TextIO | None = None) -> None:
        out = sys.stderr if stream is None else stream
        seen = out.isatty() and (stream is not None or sys.stdout.isatty())
        self.bar: Any = tqdm(total=total, desc=description, unit=unit, file=out, disable=not seen, leave=False)

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


def learn_summary(content: dict[str, Any], folder: Any) -> str:
    """The result of one run, readable: from what its result.json says."""
    config = content["config"]
    lines = [
        f"class       {class_text(content)}, seed {config['seed']}",
        f"rule        strategy {config['strategy']}, adversary {config['adversary']}, evidence {config['evidence']}",
    ]
    if "uniform_ne_gap" in content["class"]:
        lines.append(f"epsilon     {epsilon_text(content)}")
    if content["resumed_from_round"] is not None:
        lines.append(f"resumed     from the checkpoint after round {content['resumed_from_round']}")
    lines += ["", "round  branch   reference     neighbours  trajectories  models left     bound  seconds"]
    lines += [
        f"{i:5d}  {r['branch']:7s}  {reference_text(r):12s}  {r['neighbours']:10d}  {r['trajectories']:12d}"
        f"  {r['survivors']:11d}  {r['ne_gap_bound']:8.2g}  {r['seconds']:7.2f}"
        for i, r in enumerate(content["rounds"], start=1)
    ]
    if not content["rounds"]:
        lines.append("    -  nothing had to be sampled")
    return "\n".join([*lines, "", *outcome_lines(content), f"written to  {folder}"])


def reference_text(row: dict[str, Any]) -> str:
    """Whose equilibrium the reference policy of a round was, or where else it came from."""
    return f"model {row['reference_model']}" if row["reference_model"] >= 0 else str(row["source"])


def outcome_lines(content: dict[str, Any]) -> list[str]:
    """What a run has found."""
    config, survivors = content["config"], content["survivors"]
    verdict = "certified" if content["certified"] else "not certified"
    promise = f"{verdict} for epsilon {config['epsilon']:g}, with probability {1 - config['delta']:g}"
    survived = "among them" if content["true_model_survived"] else "NOT among them"
    left = f"{len(survivors)} of {content['class']['models']}"
    lines = [
        f"samples     {content['trajectories']} trajectories",
        f"models left {left}; the true one, {content['true_model']}, is {survived}",
    ]
    if "true_parameters" in content:
        lines.append(f"true model  {parameters_text(content['true_parameters'])}")
        pairs = list(zip(survivors, content["survivors_parameters"], strict=True))
        lines += [f"left        {model}: {parameters_text(values)}" for model, values in pairs[:MOST_SURVIVORS]]
        if len(pairs) > MOST_SURVIVORS:
            lines.append(f"            and {len(pairs) - MOST_SURVIVORS} more: see result.json")
    bound, gap = content["ne_gap_bound"], content["true_ne_gap"]
    why = stopped_text(content["stopped"], content["trajectories"], content["class"]["models"])
    return [
        *lines,
        f"NE gap      at most {bound:.3g} ({promise}); in the true model {gap:.3g}",
        f"stopped     {why}, after {content['seconds']:.1f} s",
    ]


def class_text(content: dict[str, Any]) -> str:
    """Which class a run was about."""
    config, size = content["config"], content["class"]
    text = f"{size['models']} models, {size['states']} states, {size['actions']} actions, horizon {size['horizon']}"
    if "game" not in config:
        return text
    noise = config.get("reward_noise")
    unknown = [] if noise is None else [f"reward_noise={noise:g}"]
    given = " ".join([*config["grid"], *config["param"], *unknown])
    return f"{config['game']} ({given}): {text}"


def epsilon_text(content: dict[str, Any]) -> str:
    """Epsilon in units that people can judge."""
    epsilon, uniform = content["config"]["epsilon"], content["class"]["uniform_ne_gap"]
    share = f"{epsilon / uniform:.2g} of" if uniform > 0 else "against"
    return f"{epsilon:g}, {share} the uniform policy's largest NE gap in the class, {uniform:.3g}"


def parameters_text(values: dict[str, Any]) -> str:
    return ", ".join(
        f"{name}={f'{value:.6g}' if isinstance(value, float) else value}" for name, value in values.items()
    )


def diagnosis_content(found: Diagnostics) -> dict[str, Any]:
    """What `fastmfg.diagnose` found, for machines; without the policies that are the witness."""
    content = asdict(replace(found, monotonicity=replace(found.monotonicity, witness=None)))
    del content["monotonicity"]["witness"]
    return content
