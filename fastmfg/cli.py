"""The command line: ``fastmfg learn`` and ``fastmfg figure2``.

Exit codes: 0 done, 2 bad input, 130 interrupted (what was finished is in the folder).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import tomllib
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from fastmfg import __version__
from fastmfg.executors import set_thread_count
from fastmfg.games.checks import choice

BAD_INPUT, INTERRUPTED = 2, 130

SETTINGS: dict[str, tuple[type, str]] = {
    "models": (int, "models in the class"),
    "states": (int, "states S"),
    "actions": (int, "actions A"),
    "horizon": (int, "steps H"),
    "d_phi": (int, "state-action features"),
    "d_psi": (int, "next-state features"),
    "scale": (float, "largest weight of a model's own noise"),
    "seed": (int, "seed of the class, the hidden model and the samples"),
    "true_model": (int, "index of the hidden model (drawn from the seed)"),
    "epsilon": (float, "wanted bound on the NE gap"),
    "delta": (float, "allowed probability of losing the true model"),
    "tolerance": (float, "tolerance of an elimination (epsilon)"),
    "radius": (float, "radius of neighbourhoods (epsilon / 10)"),
    "strategy": (str, "how reference policies are chosen"),
    "adversary": (str, "how deviations are chosen: max, first, nash or information"),
    "evidence": (str, "when a model is dropped: anytime or paper"),
    "max_rounds": (int, "rounds of an elimination, and eliminations"),
    "max_trajectories": (int, "samples at most"),
}
FIGURE2_SETTINGS: dict[str, tuple[type, str]] = {
    "classes": (int, "random classes"),
    "trials": (int, "hidden models a class"),
}
COMMON_SETTINGS: dict[str, tuple[type, str]] = {
    "threads": (int, "threads (all CPUs allowed)"),
    "out": (str, "folder for the results (a fresh one under runs/)"),
}


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(prog="fastmfg", description="Learn Nash equilibria of unknown mean-field games.")
    top.add_argument("--version", action="version", version=f"fastmfg {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    learn = commands.add_parser("learn", help="the paper's experiment: one class, one hidden model, one run")
    _add_options(learn, _defaults_of_learn(), SETTINGS | COMMON_SETTINGS)
    figure2 = commands.add_parser("figure2", help="the paper's Figure 2: five classes, five hidden models each")
    _add_options(figure2, _defaults_of_figure2(), FIGURE2_SETTINGS | SETTINGS | COMMON_SETTINGS)
    return top


def _defaults_of_learn() -> dict[str, Any]:
    from fastmfg.reporting.experiment import Experiment  # noqa: PLC0415  (only when a command line is parsed)

    return {field.name: field.default for field in fields(Experiment)}


def _defaults_of_figure2() -> dict[str, Any]:
    own = {"classes": 5, "trials": 5, "adversary": "first", "evidence": "paper"}
    return _defaults_of_learn() | own


def _add_options(
    command: argparse.ArgumentParser, defaults: dict[str, Any], settings: dict[str, tuple[type, str]]
) -> None:
    for name, (kind, text) in settings.items():
        default = defaults.get(name)
        shown = "" if default is None else f" (default {default})"
        command.add_argument(
            f"--{name.replace('_', '-')}", type=kind, help=text + shown, default=None, metavar=kind.__name__.upper()
        )
    command.add_argument(
        "--config", type=Path, metavar="FILE", help="TOML file of these options, names with underscores"
    )
    command.add_argument("--force", action="store_true", default=None, help="replace a run that the folder holds")
    command.add_argument(
        "--json", action="store_true", default=None, help="print the result as one JSON object, nothing else"
    )


def read_config(path: Path, known: Sequence[str]) -> dict[str, Any]:
    """Options of a TOML file; an unknown one is refused with the nearest known."""
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"--config {path} is not TOML: {error}") from None
    for name in content:
        choice(f"option in {path}", name, tuple(known))
    return content


def options_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Flags over the configuration file over the defaults."""
    learn = arguments.command == "learn"
    settings = (SETTINGS if learn else FIGURE2_SETTINGS | SETTINGS) | COMMON_SETTINGS
    flags = {name: value for name, value in vars(arguments).items() if value is not None}
    config = flags.pop("config", None)
    del flags["command"]
    options = _defaults_of_learn() if learn else _defaults_of_figure2()
    if config is not None:
        switches: dict[str, tuple[type, str]] = {"force": (bool, ""), "json": (bool, "")}
        given = read_config(config, [*settings, *switches])
        for name, value in given.items():
            kind = (settings | switches)[name][0]
            sound = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
            if not sound and not (kind is float and isinstance(value, int)):
                raise TypeError(f"{name} in {config} must be {kind.__name__}, got {value!r}")
        options |= given
    return options | flags


def fresh_folder(seed: int) -> Path:
    """runs/<time>-seed<seed>, with a number behind it where that exists."""
    stem = Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-seed{seed}"
    folder, n = stem, 1
    while folder.exists():
        n += 1
        folder = stem.with_name(f"{stem.name}-{n}")
    return folder


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    arguments = parser().parse_args(argv)
    folder: Path | None = None
    try:
        options = options_of(arguments)
        as_json = bool(options.pop("json", False))
        force = bool(options.pop("force", False))
        threads = options.pop("threads", None)
        if threads is not None:
            set_thread_count(threads)
        folder = Path(out) if (out := options.pop("out", None)) else fresh_folder(int(options["seed"]))
        run = run_learn if arguments.command == "learn" else run_figure2_command
        content, text = run(options, folder, force)
    except (ValueError, TypeError, IndexError, OSError) as error:
        print(f"fastmfg {arguments.command}: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print(
            f"fastmfg {arguments.command}: interrupted; what was finished is in {folder or 'no folder'}",
            file=sys.stderr,
        )
        return INTERRUPTED
    print(json.dumps(content | {"out": str(folder)}, default=str) if as_json else text)
    return 0


def run_learn(options: dict[str, Any], folder: Path, force: bool) -> tuple[dict[str, Any], str]:
    """``fastmfg learn``: the machine's and the reader's summary."""
    from fastmfg.reporting.experiment import Experiment, run_experiment  # noqa: PLC0415  (start-up time)
    from fastmfg.reporting.plots import draw_elimination, draw_models  # noqa: PLC0415
    from fastmfg.reporting.text import Progress, learn_summary  # noqa: PLC0415

    experiment = Experiment(**options)
    with Progress("learn", None, " trajectories") as progress:
        outcome, content = run_experiment(experiment, folder, force, progress.round_done)
    draw_elimination(experiment, outcome, folder / "elimination.png")
    draw_models(outcome, folder / "models.png")
    return content, learn_summary(experiment, outcome, folder)


def run_figure2_command(options: dict[str, Any], folder: Path, force: bool) -> tuple[dict[str, Any], str]:
    """``fastmfg figure2``: the machine's and the reader's summary."""
    from fastmfg.reporting.experiment import Experiment  # noqa: PLC0415  (start-up time)
    from fastmfg.reporting.figure2 import figure2_summary, run_figure2  # noqa: PLC0415
    from fastmfg.reporting.text import Progress  # noqa: PLC0415

    classes, trials = options.pop("classes"), options.pop("trials")
    experiment = Experiment(**options)
    with Progress("figure2", classes * experiment.models, " equilibria") as progress:
        content = run_figure2(experiment, classes, trials, folder, force, progress.advance)
    short = {name: value for name, value in content.items() if name != "runs"}
    return short, figure2_summary(content, folder)


if __name__ == "__main__":
    sys.exit(main())
