"""N agents on sparse rows: 400 states, 5 actions, 5 successors, by numbers alone and with identities.

Without identities a step is one multinomial a row: the limit is NumPy's own binomials on rows that stand ready. With
identities an agent-step takes two random numbers, and moves 80 bytes: state, action and successor are written once and
read three times in all, and so are the two random numbers. Both limits are measured in the same run; what else is done
(rows filled, checked and summed, a search in two of them) is what keeps us from them.
"""

import statistics
import time

import naive_population
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fastmfg as mfg
from fastmfg.executors import thread_count
from fastmfg.games.simulation import ACT, MOVE, Population

S, A, K, H = 400, 5, 5, 10
TARGET_MS, TARGET_RATE = 3.0, 20e6
BYTES = 80


@pytest.fixture(scope="module")
def sparse():
    """A game that no crowd moves, its rows and successors, and a random policy."""
    rng = np.random.default_rng(0)
    successors = rng.permuted(np.broadcast_to(np.arange(S), (S, A, S)), axis=-1)[..., :K]
    rows = rng.dirichlet(np.ones(K), (S, A))
    models = mfg.ModelClass.from_tables(
        rows[None, None], np.full(S, 1 / S), "crowd-aversion", horizon=H, successors=successors
    )
    return models[0], rows, successors, rng.dirichlet(np.ones(A), (H, S))


def in_turns(*functions, rounds=25):
    """Median seconds of each, and the median ratio of the last to the first in a round."""
    seconds = []
    for _ in range(rounds):
        taken = []
        for function in functions:
            started = time.perf_counter()
            function()
            taken.append(time.perf_counter() - started)
        seconds.append(taken)
    medians = [statistics.median(column) for column in zip(*seconds, strict=True)]
    return medians, statistics.median(taken[-1] / taken[0] for taken in seconds)


@pytest.mark.parametrize("n", [10_000, 1_000_000, 100_000_000])
def test_counts(n, sparse, benchmark, note, timing, figure):
    game, rows, _, pi = sparse
    population = Population(game, n)
    crowd = population.crowd(pi)
    assert (crowd.counts.sum(axis=1) == n).all() and (crowd.chosen.sum(axis=2) == crowd.counts[:H]).all()
    mean_field = mfg.condition(game, pi).density
    assert np.abs(crowd.density[:H] - mean_field).sum(axis=1).max() < 6 * np.sqrt(S / n)
    benchmark.pedantic(lambda: population.crowd(pi), rounds=1)
    figure(f"counts {n}")
    if not timing:
        note(f"{n} agents", "right (timing off)")
        return
    rng, flat = np.random.default_rng(0), rows.reshape(-1, K)

    def binomials():
        for h in range(H):
            rng.multinomial(rng.multinomial(crowd.counts[h], pi[h]).ravel(), flat)

    (own, _), fraction = in_turns(lambda: population.crowd(pi), binomials)
    benchmark.extra_info.update(seconds_a_step=own / H, fraction=fraction)
    figure(f"counts {n}", f"{own / H * 1e3:.2g} ms", f"{fraction:.2g} of NumPy's multinomials alone")
    note(
        f"{n} agents, S={S} A={A} K={K}",
        f"{own / H * 1e3:.3g} ms a step (target {TARGET_MS:g}), fraction {fraction:.2g} of NumPy's multinomials alone",
    )


def assert_moved_as_by_the_twin(population, agents, sparse, n=500):
    """The first agents, by plain loops on the same random numbers."""
    _, rows, successors, pi = sparse
    states = agents.states[:n, 0]
    for h in range(2):
        act, move = (population.generator(0, h, lane).random(n) for lane in (ACT, MOVE))
        actions, _ = naive_population.act(pi[h], states, act)
        states = np.array(naive_population.move(rows, successors, states, actions, move))
        assert_array_equal(agents.actions[:n, h], actions)
        assert_array_equal(agents.states[:n, h + 1], states)


def test_identities(sparse, benchmark, note, timing, limits, figure):
    game, _, _, pi = sparse
    n = 1_000_000 if timing else 70_000
    population = Population(game, n)
    assert_moved_as_by_the_twin(population, population.agents(pi), sparse)
    benchmark.pedantic(lambda: population.agents(pi), rounds=1)
    figure("identities")
    if not timing:
        note(f"{n} agents", "right (timing off)")
        return
    numbers, generator = np.empty(1 << 16), population.generator(0, 0, 0)
    (own, drawn), _ = in_turns(lambda: population.agents(pi), lambda: generator.random(out=numbers), rounds=9)
    rate, draw = n * H / own, drawn / numbers.size
    limit = thread_count() / (2 * draw + BYTES / limits.bytes)
    benchmark.extra_info.update(rate=rate, fraction=rate / limit)
    figure("identities", f"{rate / 1e6:.2g} M agent-steps/s", f"{rate / limit:.2g} of drawing numbers and moving bytes")
    note(
        f"{n} agents, S={S} A={A} K={K}",
        f"{rate / 1e6:.3g} M agent-steps/s (target {TARGET_RATE / 1e6:g}) with {thread_count()} threads, fraction "
        f"{rate / limit:.2g} of drawing two random numbers ({draw * 1e9:.2g} ns each) and moving {BYTES} bytes",
    )


@pytest.mark.parametrize("n", [10_000, 1_000_000])
def test_oracle(n, benchmark, note, timing):
    """Trajectories of one deviating agent, each in a crowd of its own, for the learner."""
    models = mfg.linear_class(8, 20, 10, 3, seed=1)
    game = models[0]
    pi = game.uniform_policy()
    deviation = mfg.best_response(game, pi).policy
    oracle = mfg.PopulationOracle(game, n)
    states, _ = oracle.sample(deviation, pi, 16)
    assert states.shape == (16, 4)
    benchmark(lambda: oracle.sample(deviation, pi, 16))
    own = f"{benchmark.stats.stats.median / 16 * 1e3:.3g} ms a trajectory" if timing else "right (timing off)"
    note(f"{n} agents, S=20 A=10 H=3", own)
