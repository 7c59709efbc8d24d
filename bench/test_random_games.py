"""Random games that the crowd moves, S, A and H up to 30: `solve` as it is, to 1e-3 of the uniform policy's NE gap."""

import time

import numpy as np
from builders import crowd_game

import fastmfg as mfg
from bench.conftest import duration

GAMES, FEW = 200, 5
MOST = 30
"""States, actions and steps."""


def test_random_games(benchmark, note, timing, figure, in_units):
    figure("random games")
    sizes = np.random.default_rng(0).integers(1, MOST + 1, (GAMES, 3)).tolist()
    games = [mfg.Game(**crowd_game(seed, H, S, A)) for seed, (H, S, A) in enumerate(sizes[: GAMES if timing else FEW])]
    seconds = []

    def solve():
        for game in games:
            started = time.perf_counter()
            yield mfg.solve(game)
            seconds.append(time.perf_counter() - started)

    solutions = benchmark.pedantic(lambda: list(solve()), rounds=1)
    solved = sum(solution.converged for solution in solutions)
    assert solved == len(games)
    if timing:
        figure("random games", f"{solved} solved, {duration(sum(seconds))}", in_units(sum(seconds)))
        note(
            f"{len(games)} games", f"{solved} solved in {duration(sum(seconds))}, the slowest {duration(max(seconds))}"
        )
    else:
        note(f"{len(games)} games", f"{solved} solved (timing off)")
