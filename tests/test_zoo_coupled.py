"""Games whose transitions depend on the density: against their slow twins and the formulas of their docstrings."""

from collections import deque

import naive
import naive_zoo_coupled as twins
import numpy as np
import pytest
from builders import policy, rows
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import fastmfg as mfg
from fastmfg import zoo
from fastmfg.games.zoo.attempts import steps_to
from fastmfg.kernels import density as density_kernels
from fastmfg.kernels import reward as reward_kernels
from fastmfg.kernels.jit import Common
from fastmfg.kernels.zoo import attempts, mf_garnet
from fastmfg.kernels.zoo import epidemic as epidemic_kernels

CASES = {
    "chain_contraction": [
        {},
        {"n_states": 2, "horizon": 1, "coupling": 0.9, "slip": 0.05},
        {"n_states": 7, "horizon": 3, "coupling": 0.0, "slip": 0.0},
        {"n_states": 3, "horizon": 4, "coupling": 0.49, "slip": 0.5},
    ],
    "chain_several_equilibria": [
        {},
        {"n_states": 3, "horizon": 1},
        {"n_states": 4, "horizon": 5, "slip": 0.99, "start": 1},
        {"n_states": 6, "horizon": 3, "slip": 0.0, "agreement": 7.0},
    ],
    "epidemic": [
        {},
        {"horizon": 1, "infection": 0.0},
        {"horizon": 3, "infection": 40.0, "recovery": 1.0, "waning": 1.0, "initial_infected": 1.0},
        {"horizon": 2, "contacts": [0.3], "costs": [-1.0], "waning": 0.2, "initial_infected": 0.0},
        {"horizon": 4, "contacts": np.array([2.0, 0.0]), "costs": np.array([0, 1]), "recovery": 0.0},
    ],
    "kinetic_congestion": [
        {},
        {"shape": (2,), "horizon": 1},
        {"shape": (1, 2), "horizon": 2, "strength": 100.0, "capacity": 0.3},
        {"shape": (3,), "horizon": 2, "strength": 1e300, "capacity": 1e-300, "crowd_aversion": 0.0},
        {"shape": (3, 5), "horizon": 3, "border": "torus", "goals": [(0, 0), (2, 4)], "strength": 0.0},
        {"shape": (4, 3), "horizon": 2, "border": "illegal", "walls": [(0, 1), (2, 2)], "crowd_aversion": 3.0},
        {"shape": (2, 2, 2), "horizon": 2, "blocked": "stay", "walls": [(0, 0, 0)], "move_cost": 0.0},
        {"shape": (5,), "horizon": 3, "moves": [[2], [-1], [0]], "initial": [0, 0, 0, 0, 1], "capacity": 2.0},
    ],
    "mf_garnet": [
        {},
        {"reward": "cyclic"},
        {"n_states": 2, "n_actions": 1, "horizon": 1, "branching": 2},
        {"n_states": 7, "n_actions": 3, "horizon": 3, "branching": 7, "coupling": "multiplicative", "strength": 1e6},
        {"n_states": 9, "n_actions": 2, "horizon": 2, "branching": 3, "strength": 9e289, "seed": 5, "coupling_seed": 9},
        {"n_states": 5, "horizon": 2, "coupling": "multiplicative", "reward": "cyclic", "strength": 0.0},
    ],
}
GAMES = [(name, parameters) for name, cases in CASES.items() for parameters in cases]


def densities(S):
    """Even, all in one state, and two at random."""
    rng = np.random.default_rng(S)
    return [np.full(S, 1 / S), np.eye(S)[S // 2], rng.dirichlet(np.ones(S)), rng.dirichlet(np.full(S, 0.1))]


# Compiled functions against their twins


def assert_rows(module, shared, theta, aux_size, mu, ref, successors=None):
    """The compiled rows of all states, and those that plain Python makes of the same functions block by block."""
    S, A = ref.shape[:2]
    places = np.empty((0, 0, 0), dtype=np.int64) if successors is None else successors
    common = Common(shared, np.full(S, 1 / S), np.ones((S, A), dtype=bool), places)
    aux, comp = np.full(aux_size, np.nan), np.empty((S, A, S))
    assert density_kernels.tabulate(module.prepare, module.fill, common, theta, 0, mu, aux, comp) == 0
    assert_allclose(comp, ref, rtol=1e-13, atol=1e-15)

    K = places.shape[2] or S
    middle = S // 2
    blocks = [np.full((middle, A, K), np.nan), np.full((S - middle, A, K), np.nan)]
    module.fill.function(0, aux, shared, theta, 0, middle, blocks[0])
    module.fill.function(0, aux, shared, theta, middle, S, blocks[1])
    block = np.vstack(blocks)
    dense = block if successors is None else np.zeros((S, A, S))
    if successors is not None:
        np.put_along_axis(dense, successors, block, axis=-1)
    assert_allclose(dense, ref, rtol=1e-13, atol=1e-15)
    return aux


def assert_rewards(module, shared, theta, mu, ref):
    S, A = ref.shape
    comp = np.empty((S, A))
    common = Common(shared, mu, np.ones((S, A), dtype=bool))
    assert reward_kernels.reward_step(module.reward, common, theta, 0, mu, comp) == 0
    assert_allclose(comp, ref, rtol=1e-12, atol=1e-14)


@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(1, 4))
def test_attempts(seed, S, A):
    rng = np.random.default_rng(seed)
    mu = rows(rng, (S,))
    targets = rng.integers(0, S, (S, A))
    base, slope = rng.standard_normal((S, A)), rng.standard_normal(S)
    own = np.repeat(np.arange(S)[:, None], A, axis=1)
    successors = np.stack([own, np.where(targets == own, (own + 1) % S, targets)], axis=-1)
    shared = np.concatenate([targets.ravel(), base.ravel(), slope])
    theta = rng.uniform([0.0, -4.0], [1.0, 4.0])
    q = twins.attempts_prepare(*theta, mu)
    aux = assert_rows(attempts, shared, theta, S, mu, twins.attempts_fill(targets, q), successors)
    assert_allclose(aux, q, rtol=1e-15)
    assert_rewards(attempts, shared, theta, mu, twins.attempts_reward(base, slope, mu))


@given(st.integers(0, 10**6), st.integers(1, 4))
def test_epidemic_kernels(seed, A):
    rng = np.random.default_rng(seed)
    mu = rows(rng, (3,))
    contacts, costs = rng.uniform(0, 2, A), rng.standard_normal(A)
    (waning, recovery), illness, infection = rng.random(2), rng.standard_normal(), rng.uniform(0, 9)
    shared = np.concatenate([[waning, illness], contacts, costs])
    theta = np.array([infection, recovery])
    force = twins.epidemic_prepare(infection, mu)
    aux = assert_rows(epidemic_kernels, shared, theta, 1, mu, twins.epidemic_fill(force, contacts, recovery, waning))
    assert aux[0] == pytest.approx(force, rel=1e-15)
    assert_rewards(epidemic_kernels, shared, theta, mu, twins.epidemic_reward(costs, illness))


@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(1, 3), st.booleans())
def test_mf_garnet_kernels(seed, S, A, multiplicative):
    rng = np.random.default_rng(seed)
    K = int(rng.integers(2, S + 1))
    mu = rows(rng, (S,))
    places = np.argsort(rng.random((S, A, S)), axis=-1)[..., :K].copy()
    chances, weights = rows(rng, (S, A, K)), rng.uniform(0, 3, (S, K))
    sources = rng.integers(0, S, (S, K))
    base, left, right = rng.standard_normal((S, A)), rng.standard_normal((2, S)), rng.standard_normal((2, S))
    tables = (places, chances, base, left, right)
    shared = np.concatenate([[float(multiplicative), S], *(np.ravel(table) for table in tables)])
    theta = np.concatenate([sources.ravel(), weights.ravel()])
    z = twins.mf_garnet_prepare(sources, weights, mu)
    ref = twins.mf_garnet_fill(places, chances, z, multiplicative)
    assert_allclose(assert_rows(mf_garnet, shared, theta, S, mu, ref, places), z, rtol=1e-14)
    assert_rewards(mf_garnet, shared, theta, mu, twins.mf_garnet_reward(base, left, right, mu))


# Every game, at many sizes


@pytest.mark.parametrize(("name", "parameters"), GAMES, ids=str)
def test_rows_are_distributions_at_every_density(name, parameters):
    game, again = (zoo.GAMES[name](**parameters) for _ in range(2))
    assert_array_equal(again.models.thetas, game.models.thetas)
    for mu in densities(game.n_states):
        for h in sorted({0, game.horizon - 1}):
            P, r = game.transition(h, mu), game.reward(h, mu)
            assert (P >= 0).all()
            assert_allclose(P.sum(axis=-1), 1.0, atol=1e-13)
            assert np.isfinite(r).all()
            assert_array_equal(again.transition(h, mu), P)
            assert_array_equal(again.reward(h, mu), r)


@pytest.mark.parametrize(("name", "parameters"), GAMES, ids=str)
def test_densities_follow_the_rows(name, parameters):
    game = zoo.GAMES[name](**parameters)
    pi = policy(np.random.default_rng(3), game.horizon, game.legal)
    model = mfg.condition(game, pi)
    assert_allclose(model.density.sum(axis=-1), 1.0, atol=1e-13)
    if game.n_states < 30:
        ref, P = naive.push(game.initial, pi, game.transition)
        assert_allclose(model.density, ref, atol=1e-14)
        assert_allclose(model.transition, P, atol=1e-14)
        ref = naive.ne_gap(game.initial, game.transition, game.reward, pi, game.legal)
        assert mfg.ne_gap(game, pi) == pytest.approx(ref, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("name", [*CASES, "mf_garnet"])
def test_default_games_are_solved(name):
    game = zoo.GAMES[name](**({"reward": "cyclic"} if name == "mf_garnet" else {}))
    solution = mfg.solve(game)
    assert solution.converged
    assert mfg.ne_gap(game, solution.policy) <= 1e-3 * mfg.ne_gap(game, game.uniform_policy())


@pytest.mark.parametrize("name", ["chain_contraction", "chain_several_equilibria", "kinetic_congestion"])
def test_cells_are_where_the_grid_says(name):
    game = zoo.GAMES[name]()
    assert game.grid.n_states == game.n_states
    assert_array_equal(game.grid.legal, game.legal)


@pytest.mark.parametrize(
    ("name", "changed", "same"),
    [
        ("epidemic", {"infection": 0.3, "recovery": 0.9}, {"waning": 0.1}),
        ("kinetic_congestion", {"shape": (3, 3), "strength": 0.2}, {"shape": (3, 3)}),
        ("mf_garnet", {"strength": 9.0, "coupling_seed": 4}, {}),
    ],
)
def test_rewards_do_not_depend_on_what_is_unknown(name, changed, same):
    game, other = zoo.GAMES[name](**same), zoo.GAMES[name](**same | changed)
    for part, twin in zip(game.models.common, other.models.common, strict=True):
        assert_array_equal(part, twin)
    assert not np.array_equal(game.models.thetas, other.models.thetas)
    for mu in densities(game.n_states):
        assert_array_equal(other.reward(0, mu), game.reward(0, mu))
        if name != "mf_garnet" or mu.max() < 1:
            assert not np.array_equal(other.transition(0, mu), game.transition(0, mu))


# The epidemic


def test_the_epidemic_by_hand():
    contacts, costs = [1.0, 0.4], [0.0, 0.3]
    game = zoo.epidemic(
        6, infection=2.0, recovery=0.25, waning=0.1, contacts=contacts, costs=costs, illness=2.0, initial_infected=0.2
    )
    pi = policy(np.random.default_rng(0), 6, game.legal)
    s, i, r = 0.8, 0.2, 0.0
    value = 0.0
    for h in range(6):
        assert_allclose(mfg.condition(game, pi).density[h], [s, i, r], atol=1e-14)
        value -= 2.0 * i + sum(m * pi[h, x, 1] * 0.3 for x, m in enumerate((s, i, r)))
        caught = s * sum(pi[h, 0, a] * (1 - np.exp(-2.0 * contacts[a] * i)) for a in range(2))
        s, i, r = s - caught + 0.1 * r, i + caught - 0.25 * i, r + 0.25 * i - 0.1 * r
    assert mfg.evaluate(game, pi) == pytest.approx(value, abs=1e-12)


def test_individuals_damp_the_outbreak():
    game = zoo.epidemic()
    careless = np.tile([1.0, 0.0, 0.0], (game.horizon, 3, 1))
    free = mfg.condition(game, careless).density
    wary = mfg.condition(game, mfg.solve(game).policy).density
    assert free[:, 1].max() > 0.4
    assert wary[:, 1].max() < 0.5 * free[:, 1].max()
    assert wary[-1, 0] > 0.2  # many never catch it
    assert free[-1, 0] < 0.05
    assert mfg.ne_gap(game, careless) > 0.1


# Congestion


def test_who_is_held_up():
    game = zoo.kinetic_congestion((2, 3), 4, border="illegal", capacity=0.5, strength=0.8, goals=[(0, 0)])
    mu = np.array([0.1, 0.3, 0.0, 0.6, 0.0, 0.0])
    P = game.transition(0, mu)
    for s in range(6):
        for a, (dx, dy) in enumerate(game.grid.offsets):
            x, y = s // 3 + dx, s % 3 + dy
            if (dx or dy) and 0 <= x < 2 and 0 <= y < 3:
                t = 3 * x + y
                assert game.legal[s, a]
                assert P[s, a, t] == pytest.approx(1 - min(1, 0.8 * mu[t] / 0.5), abs=1e-15)
                assert P[s, a, s] == pytest.approx(min(1, 0.8 * mu[t] / 0.5), abs=1e-15)
            else:
                assert P[s, a, s] == 1.0
                assert game.legal[s, a] == (dx == dy == 0)
    assert_allclose(P[4, 3, [3, 4]], [0.04, 0.96], atol=1e-15)  # state 3, (1, 0), is crowded


def test_rewards_of_congestion():
    game = zoo.kinetic_congestion(
        (3, 3), 2, walls=[(1, 1)], goals=[(0, 0)], capacity=0.2, move_cost=0.3, crowd_aversion=0.5
    )
    steps = {(0, 0): 0, (0, 1): 1, (0, 2): 2, (1, 0): 1, (1, 2): 3, (2, 0): 2, (2, 1): 3, (2, 2): 4}
    mu = densities(8)[2]
    for h in range(2):
        r = game.reward(h, mu)
        for s, cell in enumerate(game.grid.position):
            for a, offset in enumerate(game.grid.offsets):
                ref = 1 - steps[tuple(cell)] / 4 - 0.3 * np.abs(offset).sum() - 0.5 * mu[s] / 0.2
                assert r[s, a] == pytest.approx(ref, abs=1e-13)


def test_places_and_starts_are_given_on_the_grid():
    place, start = np.arange(6.0).reshape(2, 3), np.array([[0.25, 0, 0.25], [0, 0.5, 0]])
    game = zoo.kinetic_congestion((2, 3), 2, walls=[(0, 1)], place=place, initial=start, move_cost=0, crowd_aversion=0)
    assert_array_equal(game.initial, [0.25, 0.25, 0, 0.5, 0])
    assert_array_equal(game.reward(0, game.initial), np.tile([[0.0], [2], [3], [4], [5]], 5))
    assert_array_equal(zoo.kinetic_congestion((4,), goals=[3]).grid.position[:, 0], range(4))


def test_default_capacity_is_five_even_shares():
    game = zoo.kinetic_congestion((5, 5), border="torus", strength=2.0)
    P = game.transition(0, np.full(25, 1 / 25))
    assert_allclose(P[game.grid.moves != np.arange(25)[:, None]].max(axis=-1), 1 - 2 / 5, atol=1e-15)


@given(st.integers(0, 10**6), st.sampled_from(["torus", "stay", "illegal"]))
def test_steps_to_goals(seed, border):
    rng = np.random.default_rng(seed)
    walls = rng.random((4, 5)) < 0.3
    walls[0, 0] = walls[3, 4] = False
    moves = [(0, 0), (0, 1), (1, 0), (-1, 0)] + [(2, -1)] * int(rng.integers(2))  # not the same there and back
    grid = mfg.Grid.of((4, 5), walls=walls, border=border, moves=moves)
    goals = np.unique(rng.integers(0, grid.n_states, 2))
    ref = np.full(grid.n_states, np.inf)
    for s in range(grid.n_states):  # forward, from every cell
        seen, ahead = {s}, deque([(s, 0)])
        while ahead:
            x, n = ahead.popleft()
            if x in goals:
                ref[s] = n
                break
            for y in grid.moves[x, grid.legal[x]].tolist():
                if y not in seen:
                    seen.add(y)
                    ahead.append((y, n + 1))
    assert_array_equal(steps_to(grid, goals), ref)


def test_cells_without_a_way_to_a_goal():
    game = zoo.kinetic_congestion((5,), 2, walls=[(1,)], goals=[(4,)], move_cost=0, crowd_aversion=0)
    assert_allclose(game.reward(0, game.initial)[:, 0], [0, 0, 0.5, 1])


def test_a_hundred_thousand_cells():
    game = zoo.kinetic_congestion((316, 316), 2)
    models = game.models
    assert models.common.successors.shape == (316**2, 5, 2)
    assert models.common.shared.nbytes < 10e6
    assert models.thetas.nbytes + 8 * models.aux_size < 1e6
    density = mfg.condition(game, game.uniform_policy()).density
    assert density[1].sum() == pytest.approx(1.0, abs=1e-12)
    assert 0 < mfg.ne_gap(game, game.uniform_policy()) < 1


# Garnets


@pytest.mark.parametrize("coupling", ["additive", "multiplicative"])
def test_even_crowds_pull_evenly(coupling):
    sizes = {"n_states": 8, "n_actions": 3, "horizon": 2, "branching": 4, "coupling": coupling}
    even, base = np.full(8, 1 / 8), zoo.mf_garnet(**sizes, strength=0.0)
    p = base.transition(0, even)
    assert ((p > 0).sum(axis=-1) == 4).all()
    assert_allclose(base.transition(0, densities(8)[2]), p, atol=1e-15)
    P = zoo.mf_garnet(**sizes, strength=3.0).transition(0, even)
    ref = (p + 3 / 4 * (p > 0)) / (1 + 3) if coupling == "additive" else p
    assert_allclose(P, ref, atol=1e-14)


@pytest.mark.parametrize("coupling", ["additive", "multiplicative"])
def test_states_are_pulled_by_those_they_watch(coupling):
    sizes = {"n_states": 6, "n_actions": 2, "horizon": 2, "branching": 3, "coupling": coupling, "seed": 1}
    game = zoo.mf_garnet(**sizes, strength=2.0)
    sources, weights = game.models.thetas[0].reshape(2, 6, 3)
    assert all(len(set(row)) == 3 for row in sources)
    assert_allclose(weights.sum(axis=-1), 2.0 * 6, rtol=1e-14)
    mu = densities(6)[2]
    p = zoo.mf_garnet(**sizes, strength=0.0).transition(0, mu)
    P = game.transition(0, mu)
    z = [sum(weights[x, j] * mu[int(sources[x, j])] for j in range(3)) for x in range(6)]
    for s in range(6):
        for a in range(2):
            row = [0.0] * 6
            for x in np.flatnonzero(p[s, a]):
                row[x] = p[s, a, x] + z[x] / 3 if coupling == "additive" else p[s, a, x] * (1 + z[x])
            assert_allclose(P[s, a], np.array(row) / sum(row), atol=1e-14)


@pytest.mark.parametrize("coupling", ["additive", "multiplicative"])
@pytest.mark.parametrize("kind", ["cyclic", "potential"])
def test_interactions(coupling, kind):
    S = 7
    with_crowd, without = (
        zoo.mf_garnet(S, 3, 2, coupling=coupling, reward=kind, reward_strength=x, seed=2) for x in (1.5, 0.0)
    )
    base = without.reward(0, np.full(S, 1 / S))
    assert_array_equal(without.reward(0, np.eye(S)[0]), base)
    D = np.empty((S, S))
    for y in range(S):
        gain = with_crowd.reward(1, np.eye(S)[y]) - base
        assert_allclose(gain, gain[:, :1] + np.zeros(3), atol=1e-14)  # the same for all actions
        D[:, y] = gain[:, 0] / 1.5
    if kind == "cyclic":
        assert_allclose(D, -D.T, atol=1e-14)
        assert np.abs(D).max() > 0.1
    else:
        assert_allclose(D, D.T, atol=1e-14)
        assert np.linalg.eigvalsh(D).max() < 1e-13
        assert (np.diag(D) < 0).all()
    if coupling == "additive":
        assert_allclose(D.sum(axis=1), 0.0, atol=1e-13)
        values = np.sin(2 * np.pi * np.arange(S) / S) if kind == "cyclic" else -np.cos(2 * np.pi * np.arange(S) / S)
        for row in D:
            assert_allclose(np.sort(row), np.sort(values), atol=1e-13)


def test_three_states_play_rock_paper_scissors():
    game = zoo.mf_garnet(3, 2, 2, branching=2, reward="cyclic", reward_strength=1.0)
    base = zoo.mf_garnet(3, 2, 2, branching=2, reward="cyclic", reward_strength=0.0).reward(0, np.ones(3) / 3)
    D = np.array([(game.reward(0, np.eye(3)[y]) - base)[:, 0] for y in range(3)]).T / np.sin(2 * np.pi / 3)
    assert sorted(np.round(D, 12).tolist()) in (
        [[-1, 0, 1], [0, 1, -1], [1, -1, 0]],
        [[-1, 1, 0], [0, -1, 1], [1, 0, -1]],
    )


def test_mirror_descent_cycles_where_rewards_do():
    def gaps(kind):
        game = zoo.mf_garnet(reward=kind)
        return mfg.solve(game, "mirror-descent", step=1.0, tol=0.0, max_iterations=400).history

    cyclic, potential = gaps("cyclic"), gaps("potential")
    assert cyclic[-100:].min() > 1e-2 * cyclic[0]
    assert potential[-1] < 1e-3 * potential[0]


def test_garnets_hold_no_table_of_all_states():
    models = zoo.mf_garnet(20_000, 2, 1).models
    assert models.common.successors.shape == (20_000, 2, 4)
    assert (np.diff(np.sort(models.common.successors, axis=-1)) > 0).all()
    assert models.thetas.shape == (1, 2 * 4 * 20_000)


# Chains


def always(game, action):
    pi = np.zeros((game.horizon, game.n_states, game.n_actions))
    pi[..., action] = 1.0
    return pi


@given(st.integers(3, 8), st.integers(2, 9), st.integers(1, 6), st.floats(0, 0.95), st.floats(0.01, 50))
def test_several_equilibria(n, horizon, start, slip, agreement):
    game = zoo.chain_several_equilibria(n, horizon, start=min(start, n - 2), slip=slip, agreement=agreement)
    for action in range(3):
        assert mfg.ne_gap(game, always(game, action)) <= 1e-12 * agreement


def test_they_are_different_and_not_everything_is_one():
    game = zoo.chain_several_equilibria()
    left, stay, right = (mfg.condition(game, always(game, a)).density for a in range(3))
    assert left[-1, 0] > 0.9
    assert right[-1, -1] > 0.9
    assert stay[-1, 2] == 1.0
    assert mfg.evaluate(game, always(game, 0)) > 3
    assert mfg.ne_gap(game, game.uniform_policy()) > 0.1
    assert mfg.ne_gap(game, 0.6 * always(game, 0) + 0.4 * always(game, 2)) > 0.1


def test_halves_are_an_equilibrium():
    game = zoo.chain_several_equilibria(5, 9, slip=0.3)
    pi = always(game, 0)
    pi[:, 3:] = always(game, 2)[:, 3:]
    pi[:, 2] = [0.5, 0.0, 0.5]
    assert mfg.ne_gap(game, pi) < 1e-12
    density = mfg.condition(game, pi).density
    assert_allclose(density, density[:, ::-1], atol=1e-14)


def test_chances_of_the_chains():
    mu = np.array([0.1, 0.2, 0.3, 0.4])
    several = zoo.chain_several_equilibria(4, 2, slip=0.5, agreement=3.0)
    one = zoo.chain_contraction(4, 2, slip=0.25, coupling=0.3)
    for game, q in ((several, 1 - 0.5 * (1 - mu)), (one, 1 - 0.25 - 0.3 * mu)):
        P = game.transition(0, mu)
        for s in range(4):
            for a, move in enumerate((-1, 0, 1)):
                t = min(max(s + move, 0), 3)
                ref = np.eye(4)[s] if t == s else q[t] * np.eye(4)[t] + (1 - q[t]) * np.eye(4)[s]
                assert_allclose(P[s, a], ref, atol=1e-15)
    assert_allclose(several.reward(1, mu), np.tile([[0.3], [0], [0], [1.2]], 3), atol=1e-15)
    assert_allclose(one.reward(1, mu), np.tile((np.arange(4) / 3 - 0.3 * mu)[:, None], 3), atol=1e-15)


@given(st.integers(0, 10**6), st.integers(2, 7), st.integers(1, 7), st.floats(0, 0.99), st.floats(0, 0.99))
def test_one_best_response_to_all(seed, n, horizon, coupling, slip):
    weak = coupling / (n - 1)
    game = zoo.chain_contraction(n, horizon, coupling=weak, slip=slip * (1 - weak))
    right = always(game, 2)
    assert mfg.ne_gap(game, right) <= 1e-12
    pi = policy(np.random.default_rng(seed), horizon, game.legal, "eighths")
    best = mfg.best_response(game, pi).policy
    assert_array_equal(best[:-1, :-1], right[:-1, :-1])  # elsewhere actions have no effect
    wrong = right.copy()
    wrong[0, 0] = [0.0, 1.0, 0.0]
    if horizon > 1:
        assert mfg.ne_gap(game, wrong) > 0


def regularised(game, pi, temperature):
    """``softmax(Q / temperature)`` under pi's density."""
    model = mfg.condition(game, pi)
    V = np.zeros(game.n_states)
    out = np.empty_like(pi)
    for h in reversed(range(game.horizon)):
        Q = (model.reward[h] + model.transition[h] @ V) / temperature
        top = Q.max(axis=-1, keepdims=True)
        weights = np.exp(Q - top)
        out[h] = weights / weights.sum(axis=-1, keepdims=True)
        V = temperature * (top[:, 0] + np.log(weights.sum(axis=-1)))
    return out


def factor(H, coupling, temperature):
    """The bound of the docstring."""
    E = [t if coupling == 0 else ((1 + coupling) ** t - 1) / coupling for t in range(H)]
    later = [1 + (H - 1 - t) * (1 + coupling + temperature * np.log(3)) for t in range(H)]
    return sum(e * x for e, x in zip(E, later, strict=True)) * coupling / 2 / temperature


def apart(pi, other):
    return np.abs(pi - other).sum(axis=-1).max()


@pytest.mark.parametrize(("coupling", "slip"), [(0.02, 0.2), (0.02, 0.0), (0.2, 0.1)])
def test_the_regularised_map_contracts(coupling, slip):
    game = zoo.chain_contraction(coupling=coupling, slip=slip)
    rng = np.random.default_rng(0)
    bound = factor(game.horizon, coupling, 1.0)
    ratios = []
    for kind in ("dense", "eighths") * 10:
        pi, other = (policy(rng, game.horizon, game.legal, kind) for _ in range(2))
        ratios.append(apart(regularised(game, pi, 1.0), regularised(game, other, 1.0)) / apart(pi, other))
    assert 0 < max(ratios) <= bound
    if coupling == 0.02:
        assert bound == pytest.approx(0.584, abs=0.001)
        for _ in range(60):
            pi, other = regularised(game, pi, 1.0), regularised(game, other, 1.0)
        assert apart(pi, other) < 1e-12


# Bad parameters


@pytest.mark.parametrize(
    ("name", "parameters", "error", "message"),
    [
        ("epidemic", {"horizon": 0}, ValueError, "horizon must be at least 1, got 0"),
        ("epidemic", {"infection": -0.1}, ValueError, r"infection must lie in \[0, inf\), got -0.1"),
        ("epidemic", {"infection": "much"}, TypeError, "infection must be a number, got 'much'"),
        ("epidemic", {"recovery": 1.1}, ValueError, r"recovery must lie in \[0, 1\], got 1.1"),
        ("epidemic", {"waning": -1}, ValueError, r"waning must lie in \[0, 1\], got -1"),
        ("epidemic", {"contacts": (1.0, -0.5)}, ValueError, r"contacts\[1\] is -0.5: must not be negative"),
        ("epidemic", {"contacts": ()}, ValueError, "contacts must not be empty"),
        ("epidemic", {"contacts": 1.0}, ValueError, r"contacts must have shape \[\*\], got \[\]"),
        ("epidemic", {"costs": (0.0, 1.0)}, ValueError, r"costs must have shape \[3\], got \[2\]"),
        ("epidemic", {"costs": (0.0, 1.0, np.nan)}, ValueError, r"costs\[2\] is nan"),
        ("epidemic", {"illness": np.inf}, ValueError, "illness must lie in .* got inf"),
        ("epidemic", {"initial_infected": 2}, ValueError, r"initial_infected must lie in \[0, 1\], got 2"),
        ("kinetic_congestion", {"horizon": 0}, ValueError, "horizon must be at least 1, got 0"),
        ("kinetic_congestion", {"shape": (0, 2)}, ValueError, r"shape\[0\] must be at least 1, got 0"),
        ("kinetic_congestion", {"shape": (1,)}, ValueError, "one free cell: moves need at least 2"),
        ("kinetic_congestion", {"shape": (2,), "walls": [(0,)], "goals": [1]}, ValueError, "one free cell"),
        ("kinetic_congestion", {"border": "tours"}, ValueError, "border: did you mean 'torus'"),
        ("kinetic_congestion", {"strength": -1}, ValueError, r"strength must lie in \[0, inf\), got -1"),
        ("kinetic_congestion", {"capacity": 0}, ValueError, r"capacity must lie in \(0, inf\), got 0"),
        ("kinetic_congestion", {"move_cost": np.nan}, ValueError, "move_cost must lie in .* got nan"),
        ("kinetic_congestion", {"crowd_aversion": np.inf}, ValueError, "crowd_aversion must lie in .* got inf"),
        ("kinetic_congestion", {"shape": 9}, TypeError, "shape must be a sequence, got 9"),
        ("kinetic_congestion", {"goals": 4}, TypeError, "goals must be a sequence, got 4"),
        ("kinetic_congestion", {"goals": []}, ValueError, "goals is empty"),
        ("kinetic_congestion", {"goals": [(1, 1), (10, 0)]}, ValueError, r"goals\[1\]: cell \[10, 0\] is not a free"),
        ("kinetic_congestion", {"goals": [(0.5, 1)]}, TypeError, r"goals\[0\]: cell must be a whole number, got 0.5"),
        ("kinetic_congestion", {"walls": [(5, 5)]}, ValueError, r"goals \(the middle by default\): cell \[5, 5\]"),
        ("kinetic_congestion", {"place": np.zeros(100)}, ValueError, r"place must have shape \[10, 10\], got \[100\]"),
        ("kinetic_congestion", {"shape": (2,), "initial": [1.5, -0.5]}, ValueError, r"initial\[1\] is -0.5"),
        ("kinetic_congestion", {"shape": (3,), "walls": [(0,)], "initial": [0.5, 0.5, 0.0]}, ValueError,
         "initial sums to 0.5"),
        ("mf_garnet", {"n_states": 1}, ValueError, "n_states must be at least 2, got 1"),
        ("mf_garnet", {"n_actions": 0}, ValueError, "n_actions must be at least 1, got 0"),
        ("mf_garnet", {"horizon": 0}, ValueError, "horizon must be at least 1, got 0"),
        ("mf_garnet", {"branching": 1}, ValueError, "branching must be at least 2, got 1"),
        ("mf_garnet", {"n_states": 3}, ValueError, "branching must be at most n_states 3, got 4"),
        ("mf_garnet", {"coupling": "add"}, ValueError, "It must be one of 'additive', 'multiplicative', got 'add'"),
        ("mf_garnet", {"reward": "cyclical"}, ValueError, "reward: did you mean 'cyclic'"),
        ("mf_garnet", {"strength": -1.0}, ValueError, r"strength must lie in \[0, 1e\+290\), got -1.0"),
        ("mf_garnet", {"reward_strength": np.inf}, ValueError, r"reward_strength must lie in \[0, inf\), got inf"),
        ("mf_garnet", {"seed": -1}, ValueError, "seed must be at least 0, got -1"),
        ("mf_garnet", {"coupling_seed": 0.5}, TypeError, "coupling_seed must be a whole number, got 0.5"),
        ("chain_several_equilibria", {"n_states": 2}, ValueError, "n_states must be at least 3, got 2"),
        ("chain_several_equilibria", {"horizon": 0}, ValueError, "horizon must be at least 1, got 0"),
        ("chain_several_equilibria", {"start": 0}, ValueError, "start must be at least 1, got 0"),
        ("chain_several_equilibria", {"start": 4}, ValueError, r"start must lie between the ends, in 1..3, got 4"),
        ("chain_several_equilibria", {"slip": 1.0}, ValueError, r"slip must lie in \[0, 1\), got 1.0"),
        ("chain_several_equilibria", {"agreement": 0.0}, ValueError, r"agreement must lie in \(0, inf\), got 0.0"),
        ("chain_contraction", {"n_states": 1}, ValueError, "n_states must be at least 2, got 1"),
        ("chain_contraction", {"horizon": 0}, ValueError, "horizon must be at least 1, got 0"),
        ("chain_contraction", {"coupling": 0.25}, ValueError, r"coupling must lie in \[0, 0.25\), got 0.25"),
        ("chain_contraction", {"coupling": 0.1, "slip": 0.9}, ValueError, r"slip must lie in \[0, 0.9\), got 0.9"),
    ],
)  # fmt: skip
def test_bad_parameters(name, parameters, error, message):
    with pytest.raises(error, match=message):
        zoo.GAMES[name](**parameters)
