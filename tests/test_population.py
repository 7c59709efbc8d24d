"""N agents in one game: both forms have the exact law of a few agents, and approach the mean field with many."""

import math
from collections import Counter
from functools import cache
from itertools import pairwise
from types import SimpleNamespace

import naive_population
import numba
import numpy as np
import pytest
from builders import crowd_game, policy, rows, swept_fill, swept_prepare, swept_reward
from learning_cases import certain_class
from multi_type_cases import Parts
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import chi2
from test_sparse import crowd_prepare, factored_fill, sparse_fill, write_row

import fastmfg as mfg
from fastmfg.games import rows as game_rows
from fastmfg.games.simulation import AGENTS_A_TASK, Episode, Walk
from fastmfg.kernels import crowd as kernels
from fastmfg.kernels.jit import Common
from fastmfg.kernels.table import fill_by_step

ERROR = 1e-6
"""Probability with which a right simulation fails a test of frequencies; seeds are fixed: it passes or not for good."""

RUNS = 600


# Small games in every form


def sparse_game(factored):
    """A user's compiled game of 3 states, 2 actions, 2 successors; and its transition in NumPy."""
    moves, places = np.array([[0, 1], [2, 1], [0, 2]]), np.array([[1, 2], [0, 1], [2, 0]])
    rewards = np.array([[0.5, 0.0], [1.0, -1.0], [0.0, 0.3]])

    def reward(h, seen):
        return rewards - seen if seen.ndim == 2 else rewards - seen[:, None] ** 2

    def transition(h, seen):
        crowd = seen if seen.ndim == 1 else seen[:, 0]
        P = np.zeros((3, 2, 3))
        for s, a in np.ndindex(3, 2):
            row = np.zeros(2)
            write_row(row, 0.9 * (0.3 + 0.7 * crowd[moves[s, a]]) / (1 + h))
            P[s, a, places[moves[s, a]]] = row
        return P

    form = {"moves": moves, "successors": places} if factored else {"successors": places[moves]}
    models = mfg.ModelClass.from_filler(
        factored_fill if factored else sparse_fill, [[0.9]], [0.5, 0.3, 0.2], reward, prepare=crowd_prepare,
        n_actions=2, horizon=2, shared=moves, aux_size=3, population="joint" if factored else "state", **form,
    )  # fmt: skip
    return models[0], transition, reward


def called_game(joint):
    parts = crowd_game(7, H=2, S=3, A=2, joint=joint)
    return mfg.Game(**parts), parts["transition"], parts["reward"]


def table_game():
    """A game of tables that a crowd does not move."""
    P = rows(np.random.default_rng(0), (1, 2, 3, 2, 3), "eighths")
    game = mfg.ModelClass.from_tables(P, [0.25, 0.5, 0.25], "crowd-aversion")[0]
    return game, lambda h, seen: P[0, h], lambda h, seen: -np.log(1e-11) - np.log(seen + 1e-11)[:, None] * np.ones(2)


FORMS = {
    "functions": lambda: called_game(False),
    "functions of the joint": lambda: called_game(True),
    "sparse": lambda: sparse_game(False),
    "factored, joint": lambda: sparse_game(True),
    "tables": table_game,
}
N = 3


@cache
def case(form):
    """A game of three agents, two policies, and the exact law with agent 0 deviating, and without."""
    game, transition, reward = FORMS[form]()
    rng = np.random.default_rng(5)
    deviation, pi = policy(rng, 2, game.legal), policy(rng, 2, game.legal, "eighths")
    joint = game.population == "joint"

    def law(first):
        return naive_population.Law([game.initial] * N, [first, pi, pi], [1 / N] * N, transition, reward, joint)

    return SimpleNamespace(game=game, deviation=deviation, policy=pi, deviating=law(deviation), playing=law(pi),
                           transition=transition, reward=reward)  # fmt: skip


def p_value(outcomes, law):
    """Chi-square test of outcomes against a law; what has probability 0 must not occur, thin cells are merged."""
    seen = Counter(outcomes)
    assert set(seen) <= set(law)
    n = sum(seen.values())
    thick = [key for key in law if n * law[key] >= 5]
    observed = [seen[key] for key in thick]
    expected = [n * law[key] for key in thick]
    rest = n - sum(expected)
    if rest > 1e-9 * n:
        observed, expected = [*observed, n - sum(observed)], [*expected, rest]
    statistic = sum((o - e) ** 2 / e for o, e in zip(observed, expected, strict=True))
    return chi2.sf(statistic, len(expected) - 1) if len(expected) > 1 else 1.0


def interleaved(states, actions):
    """Trajectories (s, a, s, ..., s) as tuples."""
    both = np.empty((len(states), 2 * actions.shape[1] + 1), dtype=int)
    both[:, ::2], both[:, 1::2] = states, actions
    return [tuple(map(int, row)) for row in both]


def tuples(counts):
    return [tuple(map(int, row)) for row in counts]


# The exact law


@pytest.mark.parametrize("form", FORMS)
def test_a_deviating_agent_has_its_exact_law(form):
    c = case(form)
    population = mfg.Population(c.game, N, seed=1)
    outcomes = interleaved(*population.deviate(c.deviation, c.policy, RUNS))
    assert p_value(outcomes, c.deviating.trajectories()) > ERROR
    assert len(set(outcomes)) > 10


@pytest.mark.parametrize("form", FORMS)
def test_numbers_of_agents_have_their_exact_law(form):
    c = case(form)
    population = mfg.Population(c.game, N, seed=2)
    counts = np.array([population.crowd(c.policy, run=i).counts for i in range(RUNS)])
    assert (counts.sum(axis=2) == N).all()
    for h in range(3):
        assert p_value(tuples(counts[:, h]), c.playing.counts(h)) > ERROR


@pytest.mark.parametrize("form", FORMS)
def test_agents_with_identities_have_their_exact_law(form):
    c = case(form)
    population = mfg.Population(c.game, N, seed=3)
    runs = [population.agents(c.policy, c.deviation, deviator=i % N, run=i) for i in range(RUNS)]
    states = np.array([run.states[i % N] for i, run in enumerate(runs)])
    actions = np.array([run.actions[i % N] for i, run in enumerate(runs)])
    assert p_value(interleaved(states, actions), c.deviating.trajectories()) > ERROR
    for h in range(3):
        counts = [tuple(np.bincount(run.states[:, h], minlength=3).tolist()) for run in runs]
        assert p_value(counts, c.deviating.counts(h)) > ERROR


def test_a_wrong_law_is_told():
    """The tests above can fail: the law of the deviation is not that of the policy, nor the mean field's."""
    c = case("functions")
    outcomes = interleaved(*mfg.Population(c.game, N, seed=1).deviate(c.deviation, c.policy, 2 * RUNS))
    assert p_value(outcomes, c.playing.trajectories()) < ERROR
    c = case("sparse")
    outcomes = interleaved(*mfg.Population(c.game, 2, seed=1).deviate(c.deviation, c.policy, 10 * RUNS))
    assert p_value(outcomes, c.deviating.trajectories()) < ERROR


def test_both_forms_agree_in_distribution():
    """200 agents, too many for an exact law: numbers in state 0 at the end, in both forms, fall into the same bins."""
    game, pi = case("functions").game, case("functions").policy
    crowds, people = mfg.Population(game, 200, seed=4), mfg.Population(game, 200, seed=5)
    ends = np.array([
        [crowds.crowd(pi, run=i).counts[2, 0], 200 * people.agents(pi, run=i).density[2, 0]] for i in range(500)
    ])  # fmt: skip
    edges = np.quantile(ends, np.linspace(0, 1, 11)[1:-1])
    counts = np.array([np.bincount(np.searchsorted(edges, column), minlength=10) for column in ends.T])
    expected = counts.sum(axis=0) / 2
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert chi2.sf(statistic, 9) > ERROR


# Types of agents


@pytest.mark.parametrize("joint", [False, True])
def test_agents_of_several_types_have_their_exact_law(joint):
    parts = Parts(1, ((2, 2), (2, 2)), H=2, joint=joint)
    game = parts.game()
    pi, deviation = game.join(parts.policies()), game.join(parts.policies(6))
    sizes = [2, 1]
    starts = [np.concatenate([start, [0, 0]] if w == 0 else [[0, 0], start]) for w, start in enumerate(parts.initials)]
    population = mfg.Population(game, sizes, seed=1)
    outcomes = interleaved(*population.deviate(deviation, pi, 2 * RUNS))
    for w, others in enumerate([[0, 1], [0, 0]]):  # agent 0 of the law deviates and is of type w
        types = [w, *others]
        weights = [1 / (2 * sizes[v]) for v in types]
        law = naive_population.Law([starts[v] for v in types], [deviation, pi, pi], weights, game.transition,
                                   game.reward, joint)  # fmt: skip
        assert p_value(outcomes[w::2], law.trajectories()) > ERROR
        agents = [population.agents(pi, deviation, deviator=2 * w, run=i) for i in range(RUNS // 2)]
        walked = np.array([run.states[2 * w] for run in agents]), np.array([run.actions[2 * w] for run in agents])
        assert p_value(interleaved(*walked), law.trajectories()) > ERROR


def test_numbers_of_agents_may_differ_by_type():
    parts = Parts(2, ((2, 3), (4, 1), (3, 2)))
    game = parts.game()
    pi = parts.policies()
    population = mfg.Population(game, [70_000, 10, 500], seed=0)
    assert (population.sizes, population.n_agents) == ((70_000, 10, 500), 70_510)
    crowd, agents = population.crowd(pi), population.agents(pi)
    for density in (crowd.density, agents.density):
        assert_allclose([part.sum(axis=1) for part in game.split_density(density)], 1.0, atol=1e-12)
    ends = [0, 70_000, 70_010, 70_510]
    for w, (lo, hi) in enumerate(pairwise(ends)):
        assert (game.layout.type_of(agents.states[lo:hi]) == w).all()
    assert mfg.Population(game, 7).sizes == (7, 7, 7)


# Rows that leave nothing to chance, and the limit


def test_certain_rows_are_followed_exactly():
    game = certain_class()[1]  # action a moves from s to s + a + 1
    pi = np.zeros((2, 4, 2))
    pi[0, :, 1] = pi[1, :, 0] = 1.0
    population = mfg.Population(game, 1_000_003)
    crowd, agents = population.crowd(pi), population.agents(pi)
    assert_array_equal(crowd.counts, 1_000_003 * np.eye(4, dtype=int)[[0, 2, 3]])
    assert_array_equal(agents.states, np.tile([0, 2, 3], (1_000_003, 1)))
    assert_array_equal(agents.actions, np.tile([1, 0], (1_000_003, 1)))
    stay = np.broadcast_to([1.0, 0.0], (2, 4, 2))
    states, actions = population.deviate(stay, pi, 3)
    assert_array_equal(states, np.tile([0, 1, 2], (3, 1)))
    assert_array_equal(actions, np.zeros((3, 2)))


def distance_bound(n, steps, S, L):
    """L1 distance from the mean field at each step, exceeded at any of them with probability at most ERROR.

    Given the past, numbers are sums of independent agents: their mean distance is at most ``sqrt(S / n)``, and one
    agent moves it by 2/n at most (McDiarmid). What a step inherits grows by 1 + L.
    """
    fresh = math.sqrt(S / n) + math.sqrt(2 * math.log(steps / ERROR) / n)
    bounds = [fresh]
    for _ in range(steps - 1):
        bounds.append((1 + L) * bounds[-1] + fresh)
    return np.array(bounds)


@pytest.mark.parametrize("n", [100, 10_000, 1_000_000])
def test_densities_approach_the_mean_field(n):
    game = mfg.Game(**crowd_game(3, H=3, S=4, A=3))  # moved by the share of one state: L_T <= 1
    pi = policy(np.random.default_rng(0), 3, game.legal)
    mean_field = mfg.condition(game, pi).density
    population = mfg.Population(game, n, seed=n)
    bound = distance_bound(n, 3, 4, 1.0)
    for simulated in (population.crowd(pi), population.agents(pi)):
        assert (np.abs(simulated.density[:3] - mean_field).sum(axis=1) <= bound).all()
    if n == 1_000_000:  # there the bound tells policies apart
        other = mfg.condition(game, policy(np.random.default_rng(1), 3, game.legal)).density
        assert (np.abs(simulated.density[1:3] - other[1:]).sum(axis=1) > 2 * bound[1:]).all()


def test_rewards_are_those_at_the_agents_distribution():
    for form in ("functions", "factored, joint"):
        c = case(form)
        population = mfg.Population(c.game, 50, seed=8)
        crowd, agents = population.crowd(c.policy), population.agents(c.policy)
        seen = crowd.chosen / 50 if form == "factored, joint" else crowd.density[:2]
        assert_allclose(crowd.reward, [c.reward(h, seen[h]) for h in range(2)], atol=1e-12)
        assert crowd.mean_return == pytest.approx((crowd.chosen * crowd.reward).sum() / 50)
        expected = sum(agents.reward[h, agents.states[:, h], agents.actions[:, h]] for h in range(2))
        assert_allclose(agents.returns, expected, atol=1e-12)
        chosen = np.zeros((2, 3, 2))
        for h in range(2):
            np.add.at(chosen[h], (agents.states[:, h], agents.actions[:, h]), 1 / 50)
        seen = chosen if form == "factored, joint" else chosen.sum(axis=2)
        assert_allclose(agents.reward, [c.reward(h, seen[h]) for h in range(2)], atol=1e-12)


def test_the_mean_return_is_the_exact_one():
    c = case("functions of the joint")
    population = mfg.Population(c.game, N, seed=9)
    returns = np.array([population.agents(c.policy, run=i).returns.mean() for i in range(500)])
    slack = 5 * returns.std() / math.sqrt(500)  # fails once in two million
    assert abs(returns.mean() - c.playing.returns) < slack
    counted = np.array([population.crowd(c.policy, run=i).mean_return for i in range(500)])
    assert abs(counted.mean() - c.playing.returns) < slack


# What decides


def swept_game(H=3):
    return mfg.ModelClass.from_filler(
        swept_fill, [[0.4]], [0.5, 0.3, 0.2, 0.0], swept_reward, prepare=swept_prepare, shared=[0.3], aux_size=4,
        n_actions=3, horizon=H,
    )[0]  # fmt: skip


def test_results_do_not_depend_on_the_number_of_threads(threads):
    game = swept_game()
    pi = policy(np.random.default_rng(0), 3, game.legal)
    n = 2 * AGENTS_A_TASK + 17

    def answers():
        population = mfg.Population(game, n, seed=3)
        crowd, agents = population.crowd(pi), population.agents(pi, pi[::-1].copy(), deviator=AGENTS_A_TASK)
        parts = [crowd.counts, crowd.reward, agents.states, agents.actions, agents.density, agents.reward]
        return [part.tobytes() for part in (*parts, *population.deviate(pi[::-1], pi, 40))]

    threads(1)
    alone = answers()
    for count in (2, 3):
        threads(count)
        assert answers() == alone


def test_the_seed_and_the_run_decide():
    c = case("functions")
    ref = mfg.Population(c.game, 100, seed=1)
    same, other = mfg.Population(c.game, 100, seed=1), mfg.Population(c.game, 100, seed=2)
    same.crowd(c.policy, run=5)
    for form in ("crowd", "agents"):
        density = [getattr(p, form)(c.policy, run=r).density for p, r in ((ref, 3), (same, 3), (ref, 4), (other, 3))]
        assert_array_equal(density[0], density[1])
        assert not np.array_equal(density[0], density[2])
        assert not np.array_equal(density[0], density[3])
    whole = ref.deviate(c.deviation, c.policy, 40)
    for lo, hi in ((0, 17), (17, 40)):
        part = same.deviate(c.deviation, c.policy, hi - lo, first_run=lo)
        assert_array_equal(part[0], whole[0][lo:hi])
        assert_array_equal(part[1], whole[1][lo:hi])


def test_an_agents_random_numbers_are_its_own():
    """Where rows do not depend on the crowd, nobody's trajectory depends on how many there are, or on a deviation."""
    game, _, _ = table_game()
    pi = policy(np.random.default_rng(0), 2, game.legal)
    few, many = mfg.Population(game, 100, seed=1).agents(pi), mfg.Population(game, 5000, seed=1).agents(pi)
    assert_array_equal(many.states[:100], few.states)
    assert_array_equal(many.actions[:100], few.actions)
    deviating = mfg.Population(game, 100, seed=1).agents(pi, pi[::-1].copy(), deviator=40)
    others = np.arange(100) != 40
    assert_array_equal(deviating.states[others], few.states[others])
    assert len(np.unique(many.states, axis=0)) > 10


def test_one_agent_is_a_population():
    game, _, _ = table_game()
    population = mfg.Population(game, 1)
    assert population.crowd(game.uniform_policy()).counts.sum(axis=1).tolist() == [1, 1, 1]
    assert population.agents(game.uniform_policy()).states.shape == (1, 3)


def test_streams_do_not_overlap():
    population = mfg.Population(swept_game(), 10, seed=0)
    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0, 1)]
    numbers = np.concatenate([population.generator(*key).random(1000) for key in keys])
    assert np.unique(numbers).size == numbers.size


# Parts


def test_what_rounding_leaves_goes_to_the_largest_entry():
    class Leftover:
        """A generator that gives all to the last place, as NumPy does with what is left over."""

        def multinomial(self, numbers, p):
            self.p = p
            return np.eye(p.shape[1], dtype=np.int64)[-1] * numbers[:, None]

    rng = Leftover()
    p = np.array([[0.25, 0.75, 0.0], [0.0, 0.0, 1.0], [0.5, 0.5, 0.0], [0.1, 0.2, 0.7]])
    drawn = game_rows.split(rng, np.array([4, 5, 6, 7]), p)
    assert_array_equal(drawn, [[0, 4, 0], [0, 0, 5], [6, 0, 0], [0, 0, 7]])
    assert_array_equal(rng.p, [[0.25, 0.0, 0.75], [0.0, 0.0, 1.0], [0.0, 0.5, 0.5], [0.1, 0.2, 0.7]])
    assert_array_equal(p[0], [0.25, 0.75, 0.0])


def test_rows_that_are_not_quite_distributions_are_taken():
    """Sums within 1e-9 of one, above and below, pass NumPy's own check too."""
    for off in (1 + 9e-10, 1 - 9e-10):
        P = np.broadcast_to(np.array([0.5, 0.5, 0.0]) * off, (1, 1, 3, 1, 3)).copy()
        game = mfg.ModelClass.from_tables(P, [1.0, 0.0, 0.0], "crowd-aversion", horizon=3)[0]
        population = mfg.Population(game, 1000)
        assert (population.crowd(game.uniform_policy()).counts[1:, 2] == 0).all()
        assert (population.agents(game.uniform_policy()).states < 2).all()


def test_many_rows_are_carried_block_by_block(monkeypatch):
    c = case("sparse")
    for form in ("sparse", "functions", "factored, joint"):
        c = case(form)
        monkeypatch.setattr(game_rows, "ENTRIES_A_BLOCK", 5)
        counts = np.array([mfg.Population(c.game, N, seed=2).crowd(c.policy, run=i).counts for i in range(500)])
        assert p_value(tuples(counts[:, 2]), c.playing.counts(2)) > ERROR
        monkeypatch.undo()


def random_common(rng, S, A, K, form):
    legal = np.ones((S, A), dtype=bool)
    if form == "dense":
        return Common(np.empty(0), rows(rng, (S,)), legal)
    places = rng.permuted(np.broadcast_to(np.arange(S), (S, A, S)), axis=-1)[..., :K].copy()
    if form == "sparse":
        return Common(np.empty(0), rows(rng, (S,)), legal, places)
    return Common(np.empty(0), rows(rng, (S,)), legal, places[:, :1].copy(), rng.integers(0, S, (S, A)))


@pytest.mark.parametrize("form", ["dense", "sparse", "factored"])
@pytest.mark.parametrize("K", [1, 3, 9, 40])
@pytest.mark.parametrize("kind", ["dense", "eighths"])
def test_agents_are_moved_as_by_the_twin(form, K, kind):
    rng = np.random.default_rng(K)
    S, A, n = 40, 3, 300
    common = random_common(rng, S, A, K, form)
    K = S if form == "dense" else K
    places = S if form == "factored" else S * A
    row_table = rows(rng, (places, K), kind)
    occupied = np.flatnonzero(rng.random(places) < 0.7)
    states, actions = rng.integers(0, S, 5 * n), rng.integers(0, A, 5 * n)
    where = common.moves[states, actions] if form == "factored" else states * A + actions
    kept = np.flatnonzero(np.isin(where, occupied))[:n]
    states, actions, uniforms = states[kept], actions[kept], rng.random(kept.size)
    position = np.full(places, -1)
    position[occupied] = np.arange(occupied.size)
    out = np.full(states.size, -1)
    kernels.move(common, np.cumsum(row_table[occupied], axis=1), position, states, actions, uniforms, out)
    index = common.moves if form == "factored" else np.arange(S * A).reshape(S, A)
    targets = np.broadcast_to(np.arange(S), (S, A, S)) if form == "dense" else (
        common.successors[common.moves, 0] if form == "factored" else common.successors)  # fmt: skip
    assert_array_equal(out, naive_population.move(row_table[index], targets, states, actions, uniforms))


@pytest.mark.parametrize("A", [1, 2, 7, 8, 9, 30])
@pytest.mark.parametrize("kind", ["dense", "eighths"])
def test_agents_act_as_by_the_twin(A, kind):
    rng = np.random.default_rng(A)
    pi = rows(rng, (5, A), kind)
    states, uniforms = rng.integers(0, 5, 400), rng.random(400)
    uniforms[:3] = 0.0, 1 - 2**-53, 0.5
    actions, chosen = np.empty(400, dtype=np.int64), np.zeros((5, A), dtype=np.int64)
    kernels.act(np.cumsum(pi, axis=1), states, uniforms, actions, chosen)
    ref = naive_population.act(pi, states, uniforms)
    assert_array_equal(actions, ref[0])
    assert_array_equal(chosen, ref[1])
    assert (pi[states, actions] > 0).all()


@pytest.mark.parametrize("form", ["dense", "sparse", "factored"])
def test_rows_are_gathered_as_by_the_twin(form):
    rng = np.random.default_rng(0)
    M, H, S, A, K = 3, 2, 5, 3, 2
    common = random_common(rng, S, A, K, form)
    width, K = (1 if form == "factored" else A), (S if form == "dense" else K)
    table = rows(rng, (M, H, S, width, K))
    common = common._replace(shared=np.array([float(S)]))
    step, state, action = rng.integers(0, H, 40), rng.integers(0, S, 40), rng.integers(0, A, 40)
    step[1], state[1] = step[0], state[0]  # filled once
    dense = np.zeros((M, H, S, A, S))
    for s, a in np.ndindex(S, A):
        origin, r = (common.moves[s, a], 0) if form == "factored" else (s, a)
        if form == "dense":
            dense[:, :, s, a] = table[:, :, origin, r]
        else:
            dense[:, :, s, a, common.successors[origin, r]] = table[:, :, origin, r]
    place = game_rows.places_of(common, state, action)
    members = np.array([2, 0])
    out = np.full((2, 40, K), np.nan)
    args = (common, table.reshape(M, -1), members, np.empty((2, H, 0)), step, step, place, out)
    assert kernels.gather_rows(fill_by_step, *args) == 0
    ref = naive_population.gather_rows(dense[members], step, state, action)
    if form == "dense":
        assert_allclose(out, ref, atol=0)
    else:
        targets = common.successors.reshape(-1, K)[place]
        assert_allclose(out, np.take_along_axis(ref, np.broadcast_to(targets, out.shape), axis=2), atol=0)


def test_populations_are_prepared_as_by_the_twin():
    game = mfg.linear_class(2, 6, 3, 2, 3, 3, seed=4)[1]
    models = game.models
    mu = rows(np.random.default_rng(0), (6,), "eighths")
    aux = np.empty(models.aux_size)
    for h in range(2):
        assert kernels.prepare_at(models.prepare, h, mu, models.common.shared, models.thetas[1], aux) == 0
        ref = naive_population.prepare_at(game.transition, h, mu)
        found = game_rows.Rows(models, 1, h, mu).gather(np.arange(18)).reshape(6, 3, 6)
        assert_allclose(found, ref, atol=1e-14)


# Bad input


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"game": 3}, TypeError, "game must be a Game, got int"),
        ({"n_agents": 0}, ValueError, "n_agents must be at least 1, got 0"),
        ({"n_agents": 2.5}, TypeError, "n_agents must be a whole number, got 2.5"),
        ({"n_agents": [2, 3]}, ValueError, "n_agents must be one number for a game without types"),
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
    ],
)
def test_bad_populations(change, error, message):
    with pytest.raises(error, match=message):
        mfg.Population(**({"game": swept_game(), "n_agents": 5} | change))


def test_bad_numbers_by_type():
    game = Parts(0, ((2, 2), (2, 2))).game()
    with pytest.raises(ValueError, match="n_agents must hold 2 numbers, one a type, got 3"):
        mfg.Population(game, [1, 2, 3])
    with pytest.raises(ValueError, match=r"n_agents\[1\] must be at least 1, got 0"):
        mfg.Population(game, [1, 0])


def test_bad_runs():
    game = swept_game()
    pi, population = game.uniform_policy(), mfg.Population(game, 5)
    with pytest.raises(ValueError, match=r"policy must have shape \[3, 4, 3\], got \[2, 4, 3\]"):
        population.crowd(pi[:2])
    with pytest.raises(ValueError, match=r"deviation must have shape \[3, 4, 3\]"):
        population.deviate(pi[:, :2], pi, 1)
    with pytest.raises(ValueError, match=r"policy\[0, 0\] sums to 0.6"):
        population.agents(np.where(np.arange(3) == 0, 0.0, pi))
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        population.deviate(pi, pi, 0)
    with pytest.raises(ValueError, match="run must be at least 0, got -1"):
        population.crowd(pi, run=-1)
    with pytest.raises(IndexError, match="deviator must be less than the number of agents 5, got 5"):
        population.agents(pi, pi, deviator=5)
    alone = mfg.Population(game, 1)
    for run in (lambda: alone.deviate(pi, pi, 1), lambda: alone.agents(pi, pi)):
        with pytest.raises(ValueError, match="n_agents must be at least 2 where one agent deviates, got 1"):
            run()


def test_faults_of_games_are_named():
    """What passes at the mean field may fail where nobody is."""

    def transition(h, mu):
        return np.broadcast_to(mu / (mu > 0), (2, 1, 2)) if h else np.broadcast_to([1.0, 0.0], (2, 1, 2))

    def reward(h, mu):
        return np.where(mu > 0, 0.0, np.nan)[:, None]

    uniform = np.ones((2, 2, 1))
    flat = [0.5, 0.5]
    with np.errstate(invalid="ignore"):
        with pytest.raises(ValueError, match=r"transition\(1, population\)"):
            mfg.Population(mfg.Game(flat, transition, lambda h, mu: np.zeros((2, 1)), horizon=2), 3).crowd(uniform)
        calm = mfg.Game(flat, lambda h, mu: np.full((2, 1, 2), 0.5), reward, horizon=2)
        with pytest.raises(ValueError, match=r"reward\(0, population\)"):
            [mfg.Population(calm, 1).crowd(uniform, run=i) for i in range(2)]


def test_faults_of_compiled_games_are_named():
    thetas = [[0.0]]
    game = mfg.ModelClass.from_filler(
        swept_fill, thetas, [0.5, 0.5], swept_reward, prepare=swept_prepare, shared=[0.0], aux_size=2, n_actions=1,
        horizon=1,
    )[0]  # fmt: skip
    game.models.thetas[0, 0] = 3.0  # spoilt behind the checks
    pi = game.uniform_policy()
    with pytest.raises(
        ValueError, match=r"transition row of the game, step 0, at the agents' distribution, state \d, action 0 "
    ):
        mfg.Population(game, 10).crowd(pi)
    with pytest.raises(ValueError, match=r"transition row of the game, step 0"):
        mfg.Population(game, 10).agents(pi)


# theta says which function of a game fails where nobody is in state 0


@numba.njit
def picky_prepare(h, population, shared, theta, aux):
    aux[0] = population[0]
    return 3 if theta[0] == 1.0 and population[0] == 0.0 else 0


@numba.njit
def picky_fill(h, aux, shared, theta, lo, hi, out):
    out[:] = 0.5
    return 4 if theta[0] == 2.0 and aux[0] == 0.0 else 0


@numba.njit
def picky_reward(h, population, shared, theta, out):
    out[:] = np.nan if theta[0] == 3.0 and population[0] == 0.0 else 0.0
    return 5 if theta[0] == 4.0 and population[0] == 0.0 else 0


@pytest.mark.parametrize(
    ("theta", "message"),
    [
        (1.0, r"prepare returned status 3 for .*, step \d, at the agents' distribution"),
        (2.0, r"fill returned status 4 for .*, step \d, at the agents' distribution"),
        (3.0, r"the reward at step \d under the agents' distribution\[0, 0\] is nan: every entry must be finite"),
        (4.0, r"reward returned status 5 for .*, step \d"),
    ],
)
def test_statuses_of_compiled_games_come_out(theta, message):
    models = mfg.ModelClass.from_filler(
        picky_fill,
        [[0.0], [theta]],
        [0.5, 0.5],
        picky_reward,
        prepare=picky_prepare,
        aux_size=1,
        n_actions=1,
        horizon=2,
    )
    one = [mfg.Population(game, 1) for game in models]
    pi = models[0].uniform_policy()
    for form in ("crowd", "agents"):
        for run in range(12):  # at the start there is somebody in state 0, or there is not
            getattr(one[0], form)(pi, run=run)
        with pytest.raises(ValueError, match=message):
            _ = [getattr(one[1], form)(pi, run=run) for run in range(12)]


def test_pieces_say_what_they_are():
    game = swept_game()
    assert repr(mfg.Population(game, 5)) == f"<Population: 5 agents in {game!r}>"
    walk, episode = Walk(mfg.Population(game, 5), game.uniform_policy(), 0), Episode(mfg.Population(game, 5), 0)
    assert (walk.state, walk.counts.sum(), episode.states.size) == (-1, 5, 5)
