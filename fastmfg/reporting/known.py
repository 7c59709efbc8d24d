"""A known game from the zoo, solved and shown: ``fastmfg solve``."""

from __future__ import annotations

import ast
import inspect
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastmfg.games.checks import choice
from fastmfg.games.game import Game
from fastmfg.games.zoo import GAMES
from fastmfg.planning.condition import condition
from fastmfg.planning.evaluate import ne_gap
from fastmfg.planning.solve import Solution, solve
from fastmfg.reporting.experiment import header
from fastmfg.reporting.folder import RESULT, write_arrays, write_json
from fastmfg.reporting.plots import BLUE, GREY, axes, save

PICTURES = 6
"""Steps drawn of a game on a two-dimensional grid."""


@dataclass(frozen=True)
class Solved:
    """A solved game of the zoo."""

    name: str
    params: dict[str, Any]
    game: Game
    solution: Solution
    uniform_ne_gap: float
    seconds: float


def parse_params(name: str, pairs: Sequence[str]) -> dict[str, Any]:
    """Keyword arguments of a zoo game from ``k=v`` texts; values as Python writes them, else as text."""
    known = tuple(inspect.signature(GAMES[choice("game", name, tuple(GAMES))]).parameters)
    params: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise ValueError(f"--param must be NAME=VALUE, got {pair!r}")
        choice(f"parameter of {name}", key, known)
        try:
            params[key] = ast.literal_eval(text.capitalize() if text in ("true", "false", "none") else text)
        except (ValueError, SyntaxError):
            params[key] = text
    return params


def solve_game(name: str, pairs: Sequence[str], advance: Callable[[int, str], Any], **options: Any) -> Solved:
    """Make a game of the zoo and solve it; `options` are those of `fastmfg.solve`."""
    params = parse_params(name, pairs)
    started = time.perf_counter()
    game = GAMES[name](**params)
    uniform = ne_gap(game, game.uniform_policy())
    solution = solve(game, callback=lambda k, gap, best: advance(1, f"best NE gap {best:.3g}"), **options)
    return Solved(name, params, game, solution, uniform, time.perf_counter() - started)


def content_of(solved: Solved) -> dict[str, Any]:
    """What came out, for machines."""
    solution = solved.solution
    return {
        "game": solved.name,
        "params": solved.params,
        "n_states": solved.game.n_states,
        "n_actions": solved.game.n_actions,
        "horizon": solved.game.horizon,
        "method": solution.method,
        "iterations": solution.iterations,
        "converged": solution.converged,
        "ne_gap": solution.ne_gap,
        "uniform_ne_gap": solved.uniform_ne_gap,
        "seconds": solved.seconds,
    }


def text_of(solved: Solved) -> str:
    """What came out, readable."""
    game, solution = solved.game, solved.solution
    params = ", ".join(f"{key}={value}" for key, value in solved.params.items()) or "defaults"
    share = f", {solution.ne_gap / solved.uniform_ne_gap:.2g} of the uniform policy's" if solved.uniform_ne_gap else ""
    return "\n".join(
        [
            f"game        {solved.name} ({params})",
            f"size        {game.n_states} states, {game.n_actions} actions, horizon {game.horizon}",
            f"method      {solution.method}, {solution.iterations} iterations, "
            + ("converged" if solution.converged else "NOT converged: the best policy found"),
            f"NE gap      {solution.ne_gap:.3g}{share}",
            f"seconds     {solved.seconds:.2f}",
        ]
    )


def write(solved: Solved, folder: Path) -> None:
    """policy.npz, gap.png, density.png and result.json, in a folder that this process holds."""
    density = condition(solved.game, solved.solution.policy).density
    content = header(solved.params, "solve") | content_of(solved) | {"finished": True}
    policy, history = solved.solution.policy, solved.solution.history
    write_arrays(folder / "policy.npz", policy=policy, density=density, history=history)
    draw_gap(solved, folder / "gap.png")
    draw_density(solved.game, density, folder / "density.png")
    write_json(folder / RESULT, content)  # last: now it is finished


def draw_gap(solved: Solved, path: Path) -> None:
    """The NE gap against iterations, and the best so far."""
    history = np.maximum(solved.solution.history, 1e-16)
    figure, (part,) = axes(1, 5.6, 3.4)
    part.plot(history, color=GREY, linewidth=1, label="each policy")
    part.plot(np.minimum.accumulate(history), color=BLUE, label="best so far")
    part.set(xlabel="iteration", ylabel="NE gap", yscale="log", title=f"{solved.name}: {solved.solution.method}")
    part.legend(frameon=False, fontsize=8)
    save(figure, path)


def draw_density(game: Game, density: Any, path: Path) -> None:
    """Where the crowd is: a heat map of states against steps, or on two-dimensional grids a picture a chosen step."""
    if game.grid is None or len(game.grid.shape) != 2:
        figure, (part,) = axes(1, 6.0, 3.6)
        image = part.imshow(density.T, aspect="auto", origin="lower", cmap="Blues", interpolation="nearest", vmin=0)
        part.set(xlabel="step", ylabel="state", title="Density of the crowd")
        figure.colorbar(image, ax=part)
        save(figure, path)
        return
    steps = np.unique(np.linspace(0, game.horizon - 1, min(PICTURES, game.horizon)).round().astype(int))
    pictures = game.grid.picture(density[steps])
    top = np.nanmax(pictures)
    figure, parts = axes(len(steps), 2.1 * len(steps) + 0.8, 2.6)
    for part, step, picture in zip(parts, steps, pictures, strict=True):
        part.set_facecolor(GREY)  # walls
        image = part.imshow(picture, cmap="Blues", interpolation="nearest", vmin=0, vmax=top)
        part.set(title=f"step {step}", xticks=[], yticks=[])
    figure.colorbar(image, ax=list(parts), shrink=0.8)
    save(figure, path)
