"""Known games beside other libraries: an iteration, an NE gap, a best response.

Where a peer is installed it is timed in turns with ours in the same run, and both must print the same gap; else our
time stands beside the figure published for it on a machine with 2 cores (torch without and with opt_einsum), and the
README's table quotes, in brackets, what was measured beside it on a Xeon.
"""

import importlib.util
import statistics
import time

import numpy as np
import pytest

import fastmfg as mfg
from bench.conftest import duration

ITERATIONS = 200
STEP = 0.1

MFGLIB = {  # name: our game, theirs (a call of Environment), published seconds: plain, with opt_einsum
    "crowd_motion 20x20": (mfg.zoo.crowd_motion, "crowd_motion()", 65e-3, 14e-3),
    "building_evacuation": (lambda: mfg.zoo.building_evacuation(10, 20, 20), None, 263e-3, 26e-3),
    "random_linear n=100": (lambda: mfg.zoo.random_linear(100), None, 2.9, 103e-3),
    "beach_bar n=1000": (lambda: mfg.zoo.beach_bar(1000), "beach_bar(n=1000)", 183e-3, 38e-3),
    "susceptible_infected T=50": (mfg.zoo.susceptible_infected, "susceptible_infected()", 25e-3, None),
    "linear_quadratic": (mfg.zoo.linear_quadratic, "linear_quadratic()", 430e-3, None),
}

QUOTED = {  # times as fast as peers on a 2-core Intel Xeon (Skylake, 2.5 GHz), both measured there in one run
    "crowd_motion 20x20": "1,392 x",
    "building_evacuation": "263 ms, published",
    "random_linear n=100": "13 x, with opt_einsum and MKL",
    "beach_bar n=1000": "2,656 x",
    "susceptible_infected T=50": "939 x",
    "linear_quadratic": "24,010 x",
    "NashConv 20x20": "5,132 x",
}


def seconds_of(run, n):
    started = time.perf_counter()
    run(n)
    return (time.perf_counter() - started) / n


def iterate(game, n):
    return mfg.solve(game, "mirror-descent", step=STEP, tol=0.0, max_iterations=n, gap_every=0)


def mfglib_iterations(call):
    """A function that makes n iterations of MFGLib's mirror descent, or None where MFGLib is missing."""
    if call is None or importlib.util.find_spec("mfglib") is None:
        return None
    import torch
    from mfglib.alg import OnlineMirrorDescent
    from mfglib.env import Environment

    torch.set_default_dtype(torch.float64)
    environment = eval(f"Environment.{call}", {"Environment": Environment})
    return lambda n: OnlineMirrorDescent(STEP).solve(environment, max_iter=n, atol=None, rtol=None)


@pytest.mark.parametrize("name", MFGLIB)
def test_iteration_of_mirror_descent(name, benchmark, note, timing, figure, in_units):
    figure(name)
    make, call, plain, einsum = MFGLIB[name]
    game = make()
    assert iterate(game, 2).history[-1] == pytest.approx(
        mfg.solve(game, "mirror-descent", step=STEP, tol=0.0, max_iterations=2).history[-1], rel=1e-9, abs=1e-12
    )
    if not timing:
        benchmark.pedantic(lambda: iterate(game, 2), rounds=1)
        note(name, "right (timing off)")
        return
    n = max(3, min(ITERATIONS, int(0.5 / seconds_of(lambda n: iterate(game, n), 3))))
    theirs = mfglib_iterations(call)
    pairs = [(seconds_of(lambda n: iterate(game, n), n), seconds_of(theirs, 5) if theirs else np.nan) for _ in range(7)]
    benchmark.pedantic(lambda: iterate(game, n), rounds=1)
    own = statistics.median(pair[0] for pair in pairs)
    against = f"[{QUOTED[name]}]"
    text = f"{duration(own)}  {plain / own:,.0f} x MFGLib's published figure (target 20)"
    if einsum is not None:
        text += f", {einsum / own:,.1f} x with opt_einsum (target 10)"
    if theirs:
        ratio = statistics.median(peer / ours for ours, peer in pairs)
        text += f"; measured here {ratio:,.0f} x"
        benchmark.extra_info.update(measured_ratio=ratio)
        against = f"{ratio:,.0f} x"
    benchmark.extra_info.update(seconds=own, published_ratio=plain / own)
    figure(name, duration(own), f"{in_units(own)}; {against}")
    note(name, text)


def test_multiply_adds_of_an_affine_game(benchmark, note, timing, figure):
    """An iteration of random_linear against BLAS making the same multiply-adds, S^3 A a step, in one product a step.

    The logits of the rows, ``sum_y W(s,y,x) L(y,a)``, are all but 1 in S of what an iteration multiplies.
    """
    n = 100 if timing else 10
    game = mfg.zoo.random_linear(n)
    W, L = np.random.default_rng(0).random((n * n, n)), np.random.default_rng(1).random((n, n))
    out = np.empty((n * n, n))

    def product():
        for _ in range(game.horizon):
            np.matmul(W, L, out=out)

    assert iterate(game, 2).iterations == 2
    figure("affine")
    benchmark.pedantic(lambda: iterate(game, 2), rounds=1)
    if not timing:
        note(f"random_linear n={n}", "right (timing off)")
        return
    product()
    pairs = [(seconds_of(lambda n: iterate(game, n), 5), seconds_of(lambda _: product(), 1)) for _ in range(15)]
    own = statistics.median(ours for ours, _ in pairs)
    fraction = statistics.median(blas / ours for ours, blas in pairs)
    benchmark.extra_info.update(seconds=own, fraction=fraction)
    figure("affine", duration(own), f"{fraction:.2g} of BLAS (target 0.5)")
    rate = game.horizon * n**4 / own
    note(
        f"random_linear n={n}",
        f"{duration(own)}, {rate:.2g} multiply-adds/s, fraction {fraction:.2g} of BLAS (target 0.5)",
    )


def test_best_response(benchmark, note, timing):
    size, horizon = (100, 30) if timing else (10, 5)
    game = mfg.zoo.crowd_modelling_2d(size, horizon)
    policy = game.uniform_policy()
    gap = mfg.best_response(game, policy).value - mfg.evaluate(game, policy)
    assert gap == pytest.approx(mfg.ne_gap(game, policy), abs=1e-9)
    benchmark(lambda: mfg.best_response(game, policy))
    if timing:
        rate = horizon * size**2 / benchmark.stats.stats.median
        note(
            f"{size} x {size}, H={horizon}",
            f"{rate / 1e6:.1f} M state-steps/s, conditioning and checks included (JAX, published: 2.6 M; target 20 M)",
        )


def test_ne_gap_on_a_torus(benchmark, note, timing, figure, in_units):
    figure("NashConv 20x20")
    game = mfg.zoo.crowd_modelling_2d(20, 10, only_distribution_reward=True)
    policy = game.uniform_policy()
    theirs, peer_gap = open_spiel_nash_conv()
    if peer_gap is not None:
        assert mfg.ne_gap(game, policy) == pytest.approx(peer_gap, abs=1e-9)
    benchmark(lambda: mfg.ne_gap(game, policy))
    if not timing:
        note("20 x 20, H=10", "right (timing off)")
        return
    own = benchmark.stats.stats.median
    text = f"{duration(own)}  {1.8 / own:,.0f} x OpenSpiel's published 1.8 s (target 1,000)"
    against = f"[{QUOTED['NashConv 20x20']}]"
    if theirs is not None:
        against = f"{seconds_of(lambda n: theirs(), 1) / own:,.0f} x"
        text += f"; measured here {against}"
    figure("NashConv 20x20", duration(own), f"{in_units(own)}; {against}")
    note("20 x 20, H=10", text)


def open_spiel_nash_conv():
    """A call of OpenSpiel's NashConv of the uniform policy, and its value; None where OpenSpiel is missing."""
    if importlib.util.find_spec("pyspiel") is None:
        return None, None
    import pyspiel
    from open_spiel.python import policy as policies
    from open_spiel.python.mfg.algorithms import nash_conv

    game = pyspiel.load_game("mfg_crowd_modelling_2d(size=20,horizon=10,only_distribution_reward=true)")

    def call():
        return nash_conv.NashConv(game, policies.UniformRandomPolicy(game)).nash_conv()

    return call, call()
