"""The command line: ``fastmfg learn``, ``figure2``, ``solve``, ``diagnose``, ``games`` and ``warm-up``.

Exit codes: 0 done, 2 bad input, or what the system refuses; 128 + the number of the signal that ended the run, once
what was finished was written: 130 Ctrl-C, 143 SIGTERM, 138 SIGUSR1 (on Linux).
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
import tomllib
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, get_args, get_type_hints

from fastmfg import __version__
from fastmfg.executors import set_thread_count
from fastmfg.games.checks import choice
from fastmfg.learning.options import LearnOptions
from fastmfg.reporting.experiment import BaseExperiment, Experiment

BAD_INPUT, INTERRUPTED = 2, 130

Settings = dict[str, tuple[type, str]]
"""Options of a command: the type of each, and what it means."""


def settings_of(kind: type[BaseExperiment]) -> Settings:
    """Options of an experiment, those of the class first: its fields, as they are explained where they are defined."""
    types, known = get_type_hints(kind), {each.name: each for each in fields(kind)}
    texts = {each.name: each.metadata["help"] for each in fields(LearnOptions)}
    texts |= {name: each.metadata["help"] for name, each in known.items() if each.metadata}
    own = [name for name in known if name not in LEARNER]
    return {name: ((get_args(types[name]) or (types[name],))[0], texts[name]) for name in dict.fromkeys([*own, *known])}


LEARNER = tuple(each.name for each in fields(BaseExperiment))
"""Settings of the learner, whatever the class."""

SETTINGS = settings_of(Experiment)
FIGURE2_SETTINGS: Settings = {
    "classes": (int, "random classes"),
    "trials": (int, "hidden models a class"),
} | {name: setting for name, setting in SETTINGS.items() if name not in ("true_model", "identify")}
SOLVE_SETTINGS: Settings = {
    "method": (str, "solver"),
    "tol": (float, "absolute tolerance of the NE gap"),
    "rtol": (float, "tolerance relative to the uniform policy's gap (1e-3 without --tol)"),
    "max_iterations": (int, "iterations at most"),
    "max_seconds": (float, "seconds at most"),
}
DIAGNOSE_SETTINGS: Settings = {
    "policies": (int, "policies sampled"),
    "temperature": (float, "measure the softmax best response at this temperature, not the best response"),
    "seed": (int, "seed of the sampled policies"),
}
SWEEP_SETTINGS: Settings = {
    "scheduler_file": (str, "run on the Dask cluster whose scheduler wrote this file"),
    "workers": (int, "run in so many processes of this machine"),
    "shard": (str, "only this share of the tasks, I/N with I = 0..N-1: for job arrays"),
}
ZOO_SETTINGS: Settings = {
    "game": (str, "learn a game of the zoo instead of the linear class"),
    "grid": (list, "its unknown parameters: NAME=FROM:TO:COUNT or NAME=VALUE,VALUE,...; several"),
    "param": (list, "a parameter that all of its models share, NAME=VALUE; repeatable"),
    "reward_noise": (float, "its rewards are unknown, and observed under Gaussian noise of this standard deviation"),
}
LINEAR_ONLY = tuple(name for name in SETTINGS if name not in LEARNER)
"""Settings of the linear class, not of the learner."""

COMMON_SETTINGS: Settings = {
    "threads": (int, "threads (all CPUs allowed)"),
    "out": (str, "folder for the results"),
}
SWITCHES = {
    "force": "replace a run that the folder holds",
    "json": "print the result as one JSON object, nothing else",
}
FIGURE2_DEFAULTS = {"classes": 5, "trials": 5, "strategy": "heuristic", "adversary": "first", "evidence": "paper"}
SOLVE_DEFAULTS = {"method": "auto", "max_iterations": 2000}
DIAGNOSE_DEFAULTS = {"policies": 20, "seed": 0}
COMMANDS: dict[str, tuple[str, Settings]] = {
    "learn": ("the paper's experiment: one class, one hidden model, one run", SETTINGS),
    "figure2": ("the paper's Figure 2: five classes, five hidden models each", FIGURE2_SETTINGS),
    "solve": ("a known game of the zoo", SOLVE_SETTINGS),
    "diagnose": ("what a known game of the zoo is like: monotone, smooth, contracting", DIAGNOSE_SETTINGS),
    "sweep": ("an experiment for every combination of settings; goes on where it was left", SWEEP_SETTINGS),
}


Runner = Callable[[dict[str, Any], Path | None, bool], tuple[dict[str, Any], str]]
"""``runner(options, folder, force)``: runs a command; the machine's and the reader's summary."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: {message} (see {self.prog} --help)\n")


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = Parser(prog="fastmfg", description="Learn Nash equilibria of unknown mean-field games, and solve known ones.")
    top.add_argument("--version", action="version", version=f"fastmfg {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (text, settings) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        _add_options(command, defaults_of(name), settings | COMMON_SETTINGS)
        if name == "learn":
            _add_zoo_options(command)
        if name == "sweep":
            command.add_argument("file", type=Path, metavar="FILE", help="TOML file of settings; lists are axes")
        if name in ("solve", "diagnose"):
            command.add_argument("game", metavar="NAME", help="a name that `fastmfg games` lists")
            command.add_argument("--param", action="append", metavar="K=V", help="a parameter of the game; repeatable")
    games = commands.add_parser("games", help="the names of the zoo's games")
    games.add_argument("--json", action="store_true", default=None, help="as a JSON list")
    warm = commands.add_parser("warm-up", help="compile everything now, for all later runs")
    warm.add_argument("--threads", type=int, default=None, help="processes that compile (all cores)")
    return top


def _add_zoo_options(command: argparse.ArgumentParser) -> None:
    texts = {name: text for name, (_, text) in ZOO_SETTINGS.items()}
    command.add_argument("--game", metavar="NAME", help=texts["game"])
    command.add_argument("--grid", nargs="+", action="extend", metavar="K=VALUES", help=texts["grid"])
    command.add_argument("--param", action="append", metavar="K=V", help=texts["param"])
    command.add_argument("--reward-noise", type=float, metavar="SIGMA", help=texts["reward_noise"])
    command.add_argument(
        "--resume", type=Path, metavar="DIR", help="go on with the run in the folder; takes no settings"
    )


def defaults_of(command: str) -> dict[str, Any]:
    """Values of the options that neither a flag nor a file gives."""
    if command == "solve":
        return dict(SOLVE_DEFAULTS)
    if command == "diagnose":
        return dict(DIAGNOSE_DEFAULTS)
    if command == "sweep":
        return {}
    own = {field.name: field.default for field in fields(Experiment)}
    if command == "figure2":
        return {name: value for name, value in (own | FIGURE2_DEFAULTS).items() if name in FIGURE2_SETTINGS}
    return own


def _add_options(command: argparse.ArgumentParser, defaults: dict[str, Any], settings: Settings) -> None:
    for name, (kind, text) in settings.items():
        flag, default = f"--{name.replace('_', '-')}", defaults.get(name)
        if kind is bool:
            command.add_argument(flag, action="store_true", default=None, help=text)
            continue
        shown = "" if default is None else f" (default {default})"
        command.add_argument(flag, type=kind, help=text + shown, default=None, metavar=kind.__name__.upper())
    command.add_argument(
        "--config", type=Path, metavar="FILE", help="TOML file of these options, names with underscores"
    )
    for name, text in SWITCHES.items():
        command.add_argument(f"--{name}", action="store_true", default=None, help=text)


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
    settings = COMMANDS[arguments.command][1] | COMMON_SETTINGS
    if arguments.command == "learn":
        settings = settings | ZOO_SETTINGS
    flags = {name: value for name, value in vars(arguments).items() if value is not None}
    config = flags.pop("config", None)
    del flags["command"]
    options: dict[str, Any] = {}
    if config is not None:
        kinds = {name: kind for name, (kind, _) in settings.items()} | dict.fromkeys(SWITCHES, bool)
        given = read_config(config, tuple(kinds))
        for name, value in given.items():
            kind = kinds[name]
            sound = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
            if not sound and not (kind is float and isinstance(value, int) and not isinstance(value, bool)):
                raise TypeError(f"{name} in {config} must be {kind.__name__}, got {value!r}")
        options |= given
    options |= flags
    if arguments.command == "learn":
        return learn_options(options)
    return defaults_of(arguments.command) | options


def learn_options(given: dict[str, Any]) -> dict[str, Any]:
    """The given options of `learn` over the defaults of their kind of run; what does not go together is refused."""
    if "resume" in given:
        others = [name for name in given if name not in ("resume", "json", "threads")]
        if others:
            raise ValueError(f"--{others[0].replace('_', '-')} does not go with --resume: the run has its settings")
        return given
    if "game" not in given:
        stray = [name for name in ZOO_SETTINGS if name in given]
        if stray:
            raise ValueError(f"--{stray[0].replace('_', '-')} needs --game NAME")
        return defaults_of("learn") | given
    stray = [name for name in LINEAR_ONLY if name in given]
    if stray:
        hint = f"; --param {stray[0]}={given[stray[0]]}, if the game has it" if stray[0] == "horizon" else ""
        raise ValueError(f"--{stray[0].replace('_', '-')} is of the linear class, not of --game {given['game']}{hint}")
    defaults = {name: value for name, value in defaults_of("learn").items() if name not in LINEAR_ONLY}
    return defaults | {"epsilon": None} | given | {name: tuple(given.get(name, ())) for name in ("grid", "param")}


def fresh_folder(seed: int) -> Path:
    """Makes runs/<time>-seed<seed>, with a number behind it where that exists: never one for two runs."""
    stem = Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-seed{seed}"
    stem.parent.mkdir(exist_ok=True)
    n = 1
    while True:
        folder = stem if n == 1 else stem.with_name(f"{stem.name}-{n}")
        try:
            folder.mkdir()
        except FileExistsError:
            n += 1
        else:
            return folder


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    from fastmfg.reporting.signals import stopping

    arguments = parser().parse_args(argv)
    try:
        with stopping() as check, warnings_in_a_line():
            return run(arguments, check)
    except BrokenPipeError:  # whoever read our output has gone: nothing is left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


@contextmanager
def warnings_in_a_line() -> Iterator[None]:
    """Have warnings printed without the place in the code that gave them."""
    before = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: f"fastmfg: {message}\n"
    try:
        yield
    finally:
        warnings.formatwarning = before


@contextmanager
def compiling(command: str) -> Iterator[None]:
    """Have what a command needs compiled by two processes; on a terminal, say what is waited for."""
    from fastmfg.kernels.jit import watch_builds
    from fastmfg.warm_up import compile_ahead

    total, named = 0, 0

    def say(name: str) -> None:
        nonlocal named
        if named == 0:
            print("compiling for this processor, at the first run only:", file=sys.stderr)
        named += 1
        print(f"  kernel {named} of {max(named, total)}: {name}", file=sys.stderr)

    if sys.stderr.isatty():
        watch_builds(say)
    try:
        with compile_ahead(command) as total:
            yield
    finally:
        watch_builds(None)


def warm_up(processes: int | None) -> int:
    """Compile all kernels, and say how long it took and where they stand; the exit code."""
    from fastmfg.warm_up import compile_all

    if processes is not None and processes < 1:
        print(f"fastmfg warm-up: --threads must be at least 1, got {processes}", file=sys.stderr)
        return BAD_INPUT

    def tick(done: int, total: int) -> None:
        if sys.stderr.isatty():
            print(f"\rcompiled {done} of {total}", end="" if done < total else "\n", file=sys.stderr, flush=True)

    done = compile_all(processes, tick)
    if done.folder is None:
        print(f"fastmfg warm-up: {done}", file=sys.stderr)
        return BAD_INPUT
    print(done)
    return 0


def run(arguments: argparse.Namespace, check: Callable[[], None]) -> int:
    """Run a parsed command; the exit code. `check` raises when a signal has come."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # a home without room for its cache is no news
    if arguments.command == "games":
        return list_games(bool(arguments.json))
    if arguments.command == "warm-up":
        return warm_up(arguments.threads)
    folder: Path | None = None
    made = False
    try:
        options = options_of(arguments)
        as_json = bool(options.pop("json", False))
        force = bool(options.pop("force", False))
        threads = options.pop("threads", None)
        if threads is not None:
            set_thread_count(threads)
        out = options.pop("out", options.get("resume"))
        if out is not None or arguments.command in ("learn", "figure2"):
            folder = fresh_folder(int(options["seed"])) if out is None else Path(out)
            made = out is None or not folder.exists()
        runners: dict[str, Runner] = {
            "learn": partial(run_learn, check), "figure2": run_figure2_command, "solve": run_solve,
            "diagnose": run_diagnose, "sweep": partial(run_sweep_command, check),
        }  # fmt: skip
        with compiling(arguments.command):
            content, text = runners[arguments.command](options, folder, force)
    except (ValueError, TypeError, IndexError, OSError, MemoryError, ImportError) as error:
        if folder is not None and made and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
        print(f"fastmfg {arguments.command}: {error or type(error).__name__}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt as stop:
        kept = f"; what was finished is in {folder}" if folder is not None and folder.exists() else ""
        if kept and arguments.command == "learn":
            kept += f": go on with fastmfg learn --resume {folder}"
        name = getattr(stop, "name", "SIGINT")
        what = "interrupted" if name == "SIGINT" else f"ended by {name}"
        print(f"fastmfg {arguments.command}: {what}{kept}", file=sys.stderr)
        return int(getattr(stop, "exit_code", INTERRUPTED))
    where = {} if folder is None else {"out": str(folder)}
    print(json.dumps(content | where, default=str) if as_json else text, flush=True)
    return 0


def list_games(as_json: bool) -> int:
    """``fastmfg games``: the names, one a line or as a JSON list."""
    from fastmfg.games.zoo import GAMES

    print(json.dumps(list(GAMES)) if as_json else "\n".join(GAMES))
    return 0


def run_solve(options: dict[str, Any], folder: Path | None, force: bool) -> tuple[dict[str, Any], str]:
    """``fastmfg solve``: the machine's and the reader's summary; files only when a folder is given."""
    from fastmfg.reporting import known
    from fastmfg.reporting.folder import taken_folder
    from fastmfg.reporting.text import Progress

    name, pairs = options.pop("game"), options.pop("param", [])
    known.parse_params(name, pairs)
    with ExitStack() as stack:
        if folder is not None:  # taken before anything is solved: it may be in use
            stack.enter_context(taken_folder(folder, force))
        with Progress("solve", options["max_iterations"], " iterations") as progress:
            solved = known.solve_game(name, pairs, progress.advance, **options)
        if folder is None:
            return known.content_of(solved), known.text_of(solved)
        known.write(solved, folder)
    return known.content_of(solved), f"{known.text_of(solved)}\nwritten to  {folder}"


def run_diagnose(options: dict[str, Any], folder: Path | None, force: bool) -> tuple[dict[str, Any], str]:
    """``fastmfg diagnose``: the machine's and the reader's summary."""
    from fastmfg.games.zoo import GAMES
    from fastmfg.planning.diagnostics import diagnose
    from fastmfg.reporting.known import parse_params
    from fastmfg.reporting.text import diagnosis_content

    if folder is not None:
        raise ValueError("--out is not for diagnose: it writes no files")
    name = options["game"]
    params = parse_params(name, options.get("param", []))
    found = diagnose(
        GAMES[name](**params), n_policies=options["policies"], temperature=options.get("temperature"),
        seed=options["seed"],
    )  # fmt: skip
    return {"game": name, "params": params, "seed": options["seed"]} | diagnosis_content(found), str(found)


def run_learn(
    check: Callable[[], None], options: dict[str, Any], folder: Path | None, force: bool
) -> tuple[dict[str, Any], str]:
    """``fastmfg learn``: the machine's and the reader's summary."""
    from fastmfg.reporting.experiment import run_experiment
    from fastmfg.reporting.plots import draw_elimination, draw_models
    from fastmfg.reporting.resume import is_finished, read_run, resume_experiment
    from fastmfg.reporting.text import Progress, learn_summary
    from fastmfg.reporting.zoo_experiment import zoo_experiment

    assert folder is not None
    resumed = options.pop("resume", None) is not None
    if resumed and is_finished(folder, content := read_run(folder)):
        return content, learn_summary(content, folder)

    def tell(text: str) -> None:
        print(f"fastmfg learn: {text}", file=sys.stderr)

    with Progress("learn", None, " trajectories") as progress:

        def drawn(trajectories: int, survivors: int) -> None:
            check()
            progress.drawn(trajectories, survivors)

        if resumed:
            experiment, outcome, content = resume_experiment(folder, drawn, tell)
        else:
            experiment = zoo_experiment(**options) if "game" in options else Experiment(**options)
            outcome, content = run_experiment(experiment, folder, force, drawn, tell)
    draw_elimination(experiment, outcome, folder / "elimination.png")
    with Progress("models.png", None, " blocks of distances") as progress:
        draw_models(outcome, folder / "models.png", progress.tick)
    return content, learn_summary(content, folder)


def run_sweep_command(
    check: Callable[[], None], options: dict[str, Any], folder: Path | None, force: bool
) -> tuple[dict[str, Any], str]:
    """``fastmfg sweep``: the machine's and the reader's summary."""
    from fastmfg.cluster import connect
    from fastmfg.reporting.sweep import read_sweep
    from fastmfg.reporting.sweep_run import Shard, run_sweep
    from fastmfg.reporting.sweep_table import sweep_summary
    from fastmfg.reporting.text import Progress

    scheduler, shard = options.get("scheduler_file"), Shard.of(options.get("shard", "0/1"))
    if scheduler is not None and ("workers" in options or "shard" in options):
        raise ValueError("--scheduler-file goes neither with --workers nor with --shard: Dask shares the work out")
    sweep = read_sweep(options["file"])
    folder = Path("runs") / f"sweep-{sweep.name}" if folder is None else folder
    with ExitStack() as stack:
        client = None if scheduler is None else stack.enter_context(connect(scheduler))
        progress = stack.enter_context(Progress("sweep", len(shard.tasks(sweep)), " tasks"))

        def advance(n: int, note: str) -> None:
            check()
            progress.advance(n, note)

        content = run_sweep(
            sweep, folder, executor=client, workers=options.get("workers"), shard=shard, force=force, advance=advance,
            tell=lambda text: print(f"fastmfg sweep: {text}", file=sys.stderr),
        )  # fmt: skip
    if content["failed"]:
        first, kept = content["failed"][0], f"the others are in {folder}"
        raise ValueError(f"{len(content['failed'])} tasks failed; first task {first['task']}: {first['error']}; {kept}")
    return content | {"out": str(folder)}, sweep_summary(content, folder)


def run_figure2_command(options: dict[str, Any], folder: Path | None, force: bool) -> tuple[dict[str, Any], str]:
    """``fastmfg figure2``: the machine's and the reader's summary."""
    from fastmfg.reporting.figure2 import figure2_summary, run_figure2
    from fastmfg.reporting.text import Progress

    assert folder is not None
    classes, trials = options.pop("classes"), options.pop("trials")
    experiment = Experiment(**options)
    with Progress("figure2", classes * (experiment.models + trials), " equilibria and runs") as progress:
        content = run_figure2(experiment, classes, trials, folder, force, progress.advance)
    short = {name: value for name, value in content.items() if name != "runs"}
    return short, figure2_summary(content, folder)


if __name__ == "__main__":
    sys.exit(main())
