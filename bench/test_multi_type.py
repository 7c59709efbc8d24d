"""Predators and prey on 10 x 10 cells, three populations: a mirror-descent iteration, and NashConv.

OpenSpiel takes 13 s for the one and 20 s for the other, as published.
"""

import statistics
import time

import naive_multi_type as naive
import numpy as np
import pytest

import fastmfg as mfg
from bench.conftest import duration

SIZE, HORIZON, STEP, ITERATIONS = 10, 10, 0.1, 100
CHECKED = 4
"""Cells along a side of the game that is compared with its slow twin."""

PUBLISHED = {"mirror descent": 13.0, "NashConv": 20.0}
"""Seconds of OpenSpiel."""

TARGET = 2e-3
"""Seconds, for either."""


def by_types(game):
    """Each type's start, transition and reward functions, and legal actions, read off the lift."""
    layout, W = game.layout, game.n_types
    starts = game.split_density(game.initial)

    def functions(of):
        return [lambda h, seen, w=w: of(h, np.concatenate(seen) / W, layout.states(w)) for w in range(W)]

    transitions = functions(lambda h, mu, states: game.transition(h, mu)[states, :, states])
    rewards = functions(lambda h, mu, states: game.reward(h, mu)[states])
    return starts, transitions, rewards, [game.legal[layout.states(w)] for w in range(W)]


def naive_gaps(game, policies):
    starts, transitions, rewards, legals = by_types(game)
    return naive.type_gaps(starts, policies, transitions, rewards, legals)[0]


def descended(game, n, every=0):
    return mfg.solve(game, "mirror-descent", step=STEP, tol=0.0, max_iterations=n, gap_every=every)


def median_seconds(function, n=9):
    seconds = []
    for _ in range(n):
        started = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


@pytest.mark.parametrize("work", ["mirror descent", "mirror descent and gap", "NashConv"])
def test_predators_and_prey(work, benchmark, note, timing, figure, in_units):
    small, game = zoo_game(CHECKED), zoo_game(SIZE)
    last = descended(small, 3).policy
    gaps = naive_gaps(small, small.split(last))
    assert mfg.nash_conv(small, last) == pytest.approx(gaps.sum(), rel=1e-11)
    uniform = game.uniform_policy()
    run = {
        "mirror descent": lambda: descended(game, ITERATIONS),
        "mirror descent and gap": lambda: descended(game, ITERATIONS, every=1),
        "NashConv": lambda: mfg.nash_conv(game, uniform),
    }[work]
    times = 1 if work == "NashConv" else ITERATIONS
    size = f"{SIZE} x {SIZE}, 3 types, H={HORIZON}: {work}"
    figure(f"predators {work}")
    if not timing:
        benchmark.pedantic(run, rounds=1)
        note(size, "right (timing off)")
        return
    run()
    seconds = median_seconds(run) / times
    benchmark.pedantic(run, rounds=1)
    benchmark.extra_info["seconds"] = seconds
    quoted = f"; [{PUBLISHED[work]:g} s]" if work in PUBLISHED else ""
    figure(f"predators {work}", duration(seconds), in_units(seconds) + quoted)
    note(size, f"{seconds * 1e3:.3g} ms (target {TARGET * 1e3:g} ms)")


def zoo_game(size):
    return mfg.zoo.predator_prey(size, HORIZON)
