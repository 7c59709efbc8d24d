"""Large classes and large games: how cost grows, and what is reached of the copy bandwidth measured beside it.

    pytest bench/test_large.py --benchmark-enable

Bytes that must move, a state-step: a density pass reads a policy and a density and writes a density, ``8 (A + 2)``, 56
with five actions. A best response begins with one; going back it reads the density and the values of the step after,
and writes values and an action of two bytes: 26 more.
"""

import resource
import time

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fastmfg as mfg
from bench.work import FILL, Work
from fastmfg.planning.passes import Passes
from fastmfg.planning.survey import follow, respond, survey

GIB = 1 << 20  # of ru_maxrss, which counts KiB


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / GIB


def seconds_of(call, n=3):
    best = np.inf
    for _ in range(n):
        started = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - started)
    return best


@pytest.mark.parametrize(
    ("n", "shape"),
    [(200, (100, 50, 3)), (1000, (100, 50, 3)), (3000, (100, 50, 3)), (10_000, (100, 50, 3)), (100_000, (10, 4, 5))],
)
def test_neighbour_counts(n, shape, benchmark, note, timing, figure, in_units):
    key = f"neighbours {n}"
    figure(key)
    n = n if timing else min(n, 300)
    S, A, H = shape if timing else (10, 4, 3)
    models = mfg.linear_class(n, S, A, H, seed=0)
    policy = models[0].uniform_policy()
    counts = mfg.neighbour_counts(models, policy, 1e-4)
    if n <= 1000:
        low = mfg.neighbourhoods(models[:200], policy, 1e-4).counts
        assert_array_equal(mfg.neighbour_counts(models[:200], policy, 1e-4), low)
    benchmark.pedantic(lambda: mfg.neighbour_counts(models, policy, 1e-4), rounds=1)
    if timing:
        own = benchmark.stats.stats.median
        figure(key, f"{own:.2g} s", in_units(own))
        note(
            f"{n:,} models, S={S} A={A} H={H}",
            f"{own:.2f} s, densities included, {own / n * 1e3:.2f} ms a model; largest count {counts.max()}; "
            f"peak {peak():.2f} GiB so far",
        )


def test_linear_without_tables(benchmark, note, timing, limits, figure):
    """The linear class at S=5,000, A=50, H=3: one model has 28 GiB of tables. One thread, counted as work.py does.

    Rows are filled anew in each pass: they are absolute values, normalised one by one, and no shortcut through the
    features gives their sums. A density pass and a backup fill those of H - 1 steps, a pair's distance those of H steps
    of both models.
    """
    n, S, A, H = (20, 5000, 50, 3) if timing else (3, 12, 4, 3)
    models = mfg.linear_class(n, S, A, H, seed=0)
    policy = models[0].uniform_policy()
    density = mfg.condition(models[0], policy).density
    assert np.abs(density.sum(axis=1) - 1.0).max() < 1e-9
    response = mfg.best_response(models[0], policy)
    gap = response.value - mfg.evaluate(models[0], policy)
    assert abs(mfg.ne_gap(models[0], policy) - gap) < 1e-9
    counts = benchmark.pedantic(lambda: mfg.neighbour_counts(models, policy, 1e-4), rounds=1)
    assert counts.min() >= 1
    distance = mfg.distance_matrix(models[:2], policy)
    assert 0.0 < distance[0, 1] <= 2 * H
    entries = S * A * S
    parts = (
        ("density", lambda: mfg.condition(models[0], policy), Work(multiply_adds=(FILL + 1) * (H - 1) * entries)),
        (
            "best response",
            lambda: mfg.best_response(models[0], policy),
            Work(multiply_adds=(2 * FILL + 3) * (H - 1) * entries),
        ),
        (
            "distance of a pair",
            lambda: mfg.distance_matrix(models[:2], policy),
            Work(H * entries, (2 * H * FILL + 2 * (H - 1) + 2 * (FILL + 1) * (H - 1)) * entries),
        ),
    )
    for name, call, work in parts:
        figure(f"no tables: {name}")
        if not timing:
            continue
        started = time.process_time()
        call()
        own = time.process_time() - started
        note(f"S={S:,} A={A} H={H}", f"{name} {own:.2f} CPU s, fraction {limits.seconds(work) / own:.2g} ({work})")
        figure(f"no tables: {name}", f"{own:.2g} s", f"{limits.seconds(work) / own:.2g} of plain loops")
    if timing:
        own = benchmark.stats.stats.median
        note(
            f"{n} models, S={S:,} A={A} H={H}",
            f"neighbours counted in {own:.1f} s, densities included; peak {peak():.2f} GiB so far",
        )


def test_a_million_states(benchmark, note, timing, figure):
    size, horizon = (1000, 50) if timing else (100, 5)
    game = mfg.zoo.crowd_modelling_2d(size, horizon)
    benchmark.pedantic(lambda: passes(game, timing, note, figure, horizon * size**2), rounds=1)
    if timing:
        own = seconds_of(lambda: mfg.solve(game, "mirror-descent", step=0.1, tol=0.0, max_iterations=3, gap_every=0), 1)
        note(f"{size} x {size}, H={horizon}", f"three iterations from nothing {own:.1f} s; peak {peak():.1f} GiB")


def passes(game, timing, note, figure, state_steps):
    """Both passes, checked and timed, and the calls that are made of them."""
    policy = game.uniform_policy().swapaxes(1, 2)
    density = follow(game, policy)
    assert np.abs(density.sum(axis=1) - 1.0).max() < 1e-9
    assert survey(game, policy).gap > 0.0
    publics = {"condition": mfg.condition, "best_response": mfg.best_response, "ne_gap": mfg.ne_gap}
    if not timing:
        for name in ("density", "best response", *publics):
            figure(f"million states: {name}")
        return
    bandwidth, shared = copy_bandwidth(), Passes(game)  # into memory that is there already, both
    for name, call, size in (("density", follow, 56), ("best response", respond, 56 + 26)):
        own = seconds_of(lambda call=call: call(game, policy, shared), 5)
        reached = size * state_steps / own / bandwidth
        figure(f"million states: {name}", f"{own:.2g} s", f"{reached:.0%} of copy bandwidth")
        note(
            f"{game.n_states:,} states, H={game.horizon}",
            f"{name} {own:.2f} s, {state_steps / own / 1e6:.0f} M state-steps/s, "
            f"{reached:.0%} of copying {bandwidth / 1e9:.0f} GB/s",
        )
    named = game.uniform_policy()
    for name, public in publics.items():
        own = seconds_of(lambda public=public: public(game, named), 2)
        size = 56 if name == "condition" else 56 + 26
        reached = size * state_steps / own / bandwidth
        figure(f"million states: {name}", f"{own:.2g} s", f"{reached:.0%}")
        note(f"{game.n_states:,} states, H={game.horizon}", f"{name}, the policy checked and copied: {own:.2f} s")


def copy_bandwidth():
    source = np.ones(1 << 27)
    target = np.empty_like(source)
    np.copyto(target, source)
    return 2 * source.nbytes / seconds_of(lambda: np.copyto(target, source))
