"""Eluder dimensions: kernels against their twins, brute force on tiny classes, and what is known of some classes."""

import sys

import naive_certificates as naive
import numba
import numpy as np
import pytest
from builders import ROW_KINDS, crowd_game, legal_mask, policy, rows, table_class
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import fastmfg as mfg
from fastmfg import executors
from fastmfg.comparing import eluder
from fastmfg.games.zoo import hard
from fastmfg.kernels import pmbed as kernels
from fastmfg.kernels import table
from fastmfg.kernels.jit import Common

SEEDS = st.integers(0, 10**6)
KINDS = st.sampled_from(ROW_KINDS)
SIZES = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2))  # M, H, S, A
EPS = st.floats(0.05, 1.5)


# Kernels against their twins


def populations(seed, n, T, S, A, kind):
    """Rows [n, T, S, A, S] of n models under T populations, in the form kernels read."""
    rng = np.random.default_rng(seed)
    P, legal = rows(rng, (n, T, S, A, S), kind), legal_mask(rng, S, A)
    common = Common(np.array([float(S)]), np.full(S, 1 / S), legal)
    aux = np.ascontiguousarray(P.reshape(n, T, -1))
    return P, legal, (table.fill_from_aux, common, np.empty((n, 0)), np.arange(n), aux)


def call_exceeding(args, lo, hi, r, c, eps):
    A = args[1].legal.shape[1]
    wanted = r[:, None] > c
    over = np.ones((hi - lo, *wanted.shape, A), dtype=bool)
    bins = np.zeros((*wanted.shape, kernels.BINS), dtype=np.int32)
    fault = np.full(4, -1)
    assert kernels.block_exceeding(*args, 0, lo, hi, r, c, wanted, eps, over, bins, fault) == 0
    return over, bins, fault, wanted


@given(SEEDS, st.tuples(*(st.integers(1, 4) for _ in range(4))), KINDS, st.sampled_from([0.25, 0.3, 0.5, 1.0]))
def test_which_elements_exceed(seed, sizes, kind, eps):
    n, T, S, A = sizes[0] + 1, *sizes[1:]
    P, legal, args = populations(seed, n, T, S, A, kind)
    r, c = np.arange(n), np.arange(n)
    lo, hi = (T * S) // 3, T * S
    over, bins, fault, wanted = call_exceeding(args, lo, hi, r, c, eps)
    assert_array_equal(fault, -1)
    pairs = np.argwhere(wanted)
    elements = [(*divmod(place, S), a) for place in range(lo, hi) for a in range(A)]
    ref = naive.exceeding(P, legal, elements, pairs, eps)
    comp = over[:, wanted].transpose(0, 2, 1).reshape(-1, len(pairs))
    assert_array_equal(comp, ref)

    usable = np.array([legal[s, a] for _, s, a in elements])
    small = np.where(ref | ~usable[:, None], np.inf, naive.element_gaps(P, elements, pairs))
    assert_array_equal(bins[wanted].sum(axis=1), np.isfinite(small).sum(axis=0))
    for p, counts in enumerate(bins[wanted]):
        squares = np.sort((small[:, p][np.isfinite(small[:, p])] / eps) ** 2)
        places = np.repeat(np.arange(kernels.BINS), counts)
        octave, part = np.divmod(places - 1, kernels.PARTS)
        least = np.where(places > 0, 2.0 ** (octave - kernels.OCTAVES) * (1 + part / kernels.PARTS), 0.0)
        assert (least <= squares + 1e-12).all()
        assert (squares <= np.maximum(least * (1 + 1 / kernels.PARTS), 2.0**-kernels.OCTAVES) + 1e-12).all()


@given(SEEDS, st.tuples(*(st.integers(1, 4) for _ in range(4))), KINDS)
def test_gaps_of_elements(seed, sizes, kind):
    n, T, S, A = sizes
    P, _, args = populations(seed, n, T, S, A, kind)
    rng = np.random.default_rng(seed)
    elements = rng.integers(0, (T, S, A), (5, 3))
    pairs = rng.integers(0, n, (6, 2))
    out = np.empty((5, 6))
    assert kernels.element_gaps(*args, 0, elements, pairs[:, 0].copy(), pairs[:, 1].copy(), out) == 0
    assert_allclose(out, naive.element_gaps(P, elements, pairs), atol=1e-14)


def gaps_of(seed, m, P, kind):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 5, (m, P)) / 4.0 if kind == "eighths" else rng.random((m, P)) ** 2


def search(g, eps, best=0, budget=10**9):
    m = len(g)
    masks = ((g > eps).astype(np.int64) << np.arange(m)[:, None]).sum(axis=0)
    order = np.full(m, -1)
    visited = np.zeros(1 << m, dtype=bool)
    return kernels.longest_list(np.square(g), masks, eps**2, best, budget, visited, order), order


@given(SEEDS, st.integers(1, 6), st.integers(1, 7), KINDS, st.sampled_from([0.1, 0.25, 0.5, 0.6]))
def test_the_longest_list(seed, m, P, kind, eps):
    g = gaps_of(seed, m, P, kind)
    length, order = search(g, eps)
    assert length == naive.longest_list(g, eps)
    for i in range(length):
        assert naive.independent(g, order[i], order[:i], eps)
    assert search(g, eps, best=length)[0] == length
    assert (search(g, eps, best=length)[1] == -1).all()  # none is longer
    if length:
        assert search(g, eps, best=length - 1)[0] == length
        assert search(g, eps, budget=0)[0] == -1


# Tables


def table_of(g, eps):
    """A table of given gaps, elements and pairs of no use left out."""
    g = g[(g > eps).any(axis=1)][:, (g > eps).any(axis=0)]
    room = np.array(naive.room(g, eps), dtype=np.int64)
    return g, eluder.Table(eluder.pack(g > eps), g.shape[1], eps, room, lambda x, p: g[np.ix_(x, p)])


@given(SEEDS, st.integers(1, 6), st.integers(1, 7), KINDS, st.sampled_from([0.1, 0.25, 0.5, 0.6]), st.booleans())
def test_bounds_bracket_the_longest_list(seed, m, P, kind, eps, exactly):
    g, t = table_of(gaps_of(seed, m, P, kind), eps)
    ref = naive.longest_list(g, eps)
    with pytest.MonkeyPatch.context() as patch:
        if not exactly:
            patch.setattr(eluder, "MOST_EXACT", 0)
        found = eluder.longest(t)
    assert found.lower <= ref <= found.upper
    assert found.lower == ref or not exactly
    assert found.elements.size == found.lower == found.witnesses.size
    for i, (x, p) in enumerate(zip(found.elements, found.witnesses, strict=True)):
        assert p in naive.independent(g, x, found.elements[:i], eps)
    assert (np.unique(found.elements).size, np.unique(found.witnesses).size) == (found.lower, found.lower)
    assert eluder.longest(t, ref).lower <= ref


@given(SEEDS, st.integers(1, 6), st.integers(1, 5), KINDS)
def test_dominated_elements_are_not_needed(seed, m, P, kind):
    g, _ = table_of(np.repeat(gaps_of(seed, m, P, kind), 2, axis=0), 0.5)
    kept = eluder.undominated(g, g > 0.5)
    assert naive.longest_list(g[kept], 0.5) == naive.longest_list(g[:: 1 if len(g) < 7 else 2], 0.5)
    assert kept.size <= len(g) / 2


@given(st.lists(st.integers(0, 12), min_size=1, max_size=12))
def test_the_bound_by_room(room):
    best = max(
        (k for k in range(1, len(room) + 1) if all(sorted(room)[-1 - r] >= k - 1 - r for r in range(k))), default=0
    )
    assert eluder.room_bound(np.array(room)) == best


@given(SEEDS, st.sampled_from([0.3, 0.6, 1.0]))
def test_the_room_of_a_pair_is_that_of_its_gaps_within_a_bin(seed, eps):
    models, t = table_class(seed, 5, 1, 8, 6)
    module = sys.modules["fastmfg.comparing.pmbed"]
    table, elements, pairs = module.tabulate(module.Rows(models, 0, np.empty((5, 1, 0)), eps))
    every = [(0, s, a) for s in range(8) for a in range(6)]
    g = naive.element_gaps(t.P, every, pairs)
    assert_array_equal(elements, [x for x, gaps in zip(every, g, strict=True) if (gaps > eps).any()])
    for p, room in enumerate(table.room):
        least, squares = naive.room(g[:, [p]], eps)[0], np.sort(g[g[:, p] <= eps, p] ** 2)
        most = (np.cumsum(squares) <= eps**2 * (1 + 1 / kernels.PARTS) + squares.size * 2.0**-kernels.OCTAVES).sum()
        assert least <= room <= most


@given(SEEDS, st.integers(0, 5), st.integers(1, 200))
def test_flags_are_packed_and_taken(seed, X, P):
    rng = np.random.default_rng(seed)
    flags = rng.random((X, P)) < 0.3
    words = eluder.pack(flags)
    assert words.shape == (X, -(-P // 64))
    assert_array_equal(eluder.unpack(words, P), flags)
    kept = np.flatnonzero(rng.random(P) < 0.5)
    if X and kept.size:
        assert_array_equal(eluder.unpack(eluder.take(words, P, kept), kept.size), flags[:, kept])


# Classes against brute force


def brute_force(models, policies, eps, true_model=None):
    """The dimension of a class over policies, by its definition."""
    best = 0
    for pi in policies:
        seen = [mfg.condition(game, pi).density for game in models]
        for h in range(models.horizon):
            at = [seen[m if true_model is None else true_model][h] for m in range(len(models))]
            P = np.stack([models[m].transition(h, at[m]) for m in range(len(models))])
            best = max(best, naive.dimension([P[:, None]], models.legal, eps))
    return best


def assert_list_is_independent(models, policies, eps, found):
    pi, h = policies[found.policy], found.step
    P = [mfg.condition(game, pi).transition[h] for game in models]
    g = np.array([[np.abs(P[m][s, a] - P[n][s, a]).sum() for m, n in found.pairs] for s, a in found.elements])
    for i in range(found.lower):
        assert models.legal[tuple(found.elements[i])]
        assert (g[:i, i] ** 2).sum() <= eps**2 + 1e-12
        assert g[i, i] > eps - 1e-12


def crowd_class(seed, sizes):
    M, H, S, A = sizes
    base = crowd_game(seed, H, S, A, masked=True)
    steps = [crowd_game(seed + i, H, S, A)["transition"] for i in range(M)]
    return mfg.ModelClass([mfg.Game(**{**base, "transition": step}) for step in steps])


@given(SEEDS, SIZES, EPS, st.integers(1, 2))
def test_the_dimension_is_that_of_brute_force(seed, sizes, eps, n_policies):
    models = crowd_class(seed, sizes)
    rng = np.random.default_rng(seed)
    policies = np.stack([policy(rng, sizes[1], models.legal) for _ in range(n_policies)])
    found = mfg.pmbed(models, policies, eps)
    assert found.exact
    assert found.lower == found.upper == brute_force(models, policies, eps)
    assert_list_is_independent(models, policies, eps, found)


@given(SEEDS, SIZES, st.sampled_from([0.25, 0.5, 0.75, 1.0]))
def test_ties_of_exact_numbers(seed, sizes, eps):
    models, _ = table_class(seed, *sizes, kind="eighths", masked=True)
    policies = models[0].uniform_policy()[None]
    found = mfg.pmbed(models, policies, eps)
    assert (found.lower, found.exact) == (brute_force(models, policies, eps), True)


@given(SEEDS, SIZES, EPS)
def test_type_two_is_that_of_brute_force_and_at_most_mbed(seed, sizes, eps):
    models = crowd_class(seed, sizes)
    policies = policy(np.random.default_rng(seed), sizes[1], models.legal)[None]
    for true in range(len(models)):
        found = mfg.pmbed(models, policies, eps, true_model=true)
        assert (found.lower, found.exact) == (brute_force(models, policies, eps, true), True)
        densities = mfg.condition(models[true], policies[0]).density
        assert found.upper <= mfg.mbed(models, densities, eps).upper


@given(SEEDS, st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 2), st.integers(1, 2)), EPS)
def test_mbed_is_that_of_brute_force(seed, sizes, eps):
    models = crowd_class(seed, sizes)
    densities = rows(np.random.default_rng(seed), (2, sizes[2]))
    steps = [np.stack([[game.transition(h, mu) for mu in densities] for game in models]) for h in range(models.horizon)]
    found = mfg.mbed(models, densities, eps)
    assert (found.lower, found.exact) == (naive.dimension(steps, models.legal, eps), True)
    assert found.policy is None
    assert found.elements.shape == (found.lower, 3)
    for density, s, a in found.elements:
        assert 0 <= density < 2
        assert models.legal[s, a]


def test_joint_populations():
    base = crowd_game(7, 3, 3, 2, masked=True, joint=True)
    steps = [crowd_game(7 + i, 3, 3, 2, joint=True)["transition"] for i in range(3)]
    models = mfg.ModelClass([mfg.Game(**{**base, "transition": step}) for step in steps])
    rng = np.random.default_rng(0)
    policies = np.stack([policy(rng, 3, base["legal"]) for _ in range(3)])
    for eps in (0.2, 0.4, 0.8):
        ref = max(
            naive.dimension(
                [np.stack([mfg.condition(game, pi).transition[h] for game in models])[:, None] for h in range(3)],
                models.legal,
                eps,
            )
            for pi in policies
        )
        assert mfg.pmbed(models, policies, eps).lower == ref
    population = policies[0, 0][None] / 3
    assert mfg.mbed(models, population, 0.4).exact


# What is known


@pytest.mark.parametrize(("d", "n_states"), [(1, 2), (1, 9), (3, 6), (3, 40), (6, 12), (6, 24), (10, 30)])
def test_aggregated_features_have_as_many_dimensions_as_features(d, n_states):
    models = hard.aggregated(d, n_states)
    policies = rows(np.random.default_rng(0), (2, 2, n_states, 2))
    for eps in (0.02, 0.04):
        found = mfg.pmbed(models, policies, eps)
        assert (found.lower, found.upper, found.exact) == (d, d, True)
    kinds = [(2 * s + a) % d for s, a in mfg.pmbed(models, policies, 0.03).elements]
    assert sorted(kinds) == list(range(d))


@pytest.mark.parametrize("d", [2, 3, 4, 5])
def test_a_hidden_density_is_easy_for_games_and_hard_to_find(d):
    models = hard.hidden_density(d)
    hidden, b = models.thetas[1:, 1:], models.thetas[1, 0]
    policies = np.full((2, 3, d, d), 1.0 / d)
    policies[1, 0, 0] = hidden[len(hidden) // 3]
    for eps in (0.1 * b, 1.9 * b):
        found = mfg.pmbed(models, policies, eps)
        assert (found.lower, found.upper, found.exact, found.step) == (1, 1, True, 1)
    missed = 0.5 * (hidden[0] + hidden[1])  # between two supports
    policies[:, 0, 0] = missed
    assert mfg.pmbed(models, policies, 0.1 * b).upper == 0
    assert mfg.pmbed(models, policies, 2.1 * b).upper == 0
    if d < 5:
        hard_to_find = mfg.mbed(models, hidden, 1.9 * b)
        assert (hard_to_find.lower, hard_to_find.exact) == ({2: 3, 3: 10, 4: 56}[d], True)
        assert mfg.mbed(models, np.vstack([hidden, missed]), 1.9 * b).lower == len(hidden)


def test_the_dimension_is_not_monotone_in_eps():
    P = np.zeros((3, 1, 2, 1, 2))
    P[..., 0, 0, 0], P[..., 1, 0, 0] = [[0.5], [0.55], [0.75]], [[0.5], [0.75], [0.55]]
    P[..., 1] = 1 - P[..., 0]
    models = mfg.ModelClass.from_tables(P, [0.5, 0.5], "crowd-aversion")
    policies = models[0].uniform_policy()[None]
    dimensions = [mfg.pmbed(models, policies, eps).lower for eps in (0.05, 0.2, 0.7)]
    assert dimensions == [1, 2, 0]


def test_large_classes_have_bounds_that_are_not_called_exact():
    models = mfg.linear_class(12, 8, 6, 3, 3, 3, scale=0.5, seed=2)
    policies = models[0].uniform_policy()[None]
    found = mfg.pmbed(models, policies, 0.2)
    assert not found.exact
    assert 4 <= found.lower < found.upper <= min(8 * 6, 66)
    assert found.bound in ("elements", "pairs", "room")
    assert np.unique(found.elements, axis=0).shape == (found.lower, 2)
    assert_list_is_independent(models, policies, 0.2, found)
    more = mfg.pmbed(models, np.concatenate([policies, rows(np.random.default_rng(0), (3, 3, 8, 6))]), 0.2)
    assert more.lower >= found.lower
    assert more.upper >= found.upper


def test_one_model_and_models_that_agree_have_dimension_zero():
    models = mfg.linear_class(1, 3, 2, 2, 2, 2)
    found = mfg.pmbed(models, models[0].uniform_policy()[None], 0.1)
    assert (found.lower, found.upper, found.exact, found.elements.shape) == (0, 0, True, (0, 2))
    assert mfg.mbed(models, [[1, 0, 0]], 0.1).upper == 0
    twins = mfg.linear_class(6, 3, 2, 2, 2, 2, scale=0.0)
    assert mfg.pmbed(twins, twins[0].uniform_policy()[None], 1e-9).upper == 0
    assert mfg.pmbed(hard.crowded(), hard.crowded()[0].uniform_policy()[None], 2.0).upper == 0


@pytest.mark.parametrize("n_threads", [1, 2])
def test_blocks_and_threads_change_nothing(n_threads, threads, monkeypatch):
    models = mfg.linear_class(14, 6, 3, 2, 3, 3, scale=0.4, seed=1)
    policies = models[0].uniform_policy()[None]
    ref = mfg.pmbed(models, policies, 0.15)
    threads(n_threads)
    again = mfg.pmbed(models, policies, 0.15)
    assert_array_equal(again.elements, ref.elements)
    assert_array_equal(again.pairs, ref.pairs)
    monkeypatch.setattr(executors, "TASK_OPERATIONS", 6 * 3 * 6 * 2 * 9)  # three models on a side
    monkeypatch.setattr("fastmfg.comparing.eluder.CHUNK", 100)
    blocks = mfg.pmbed(models, policies, 0.15)
    assert (blocks.lower, blocks.upper, blocks.bound) == (ref.lower, ref.upper, ref.bound)
    assert_array_equal(blocks.elements, ref.elements)


# Bad input


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m, pi: mfg.pmbed(m, pi[None], 0.0), ValueError, "eps must lie in"),
        (lambda m, pi: mfg.pmbed(m, pi[None], np.nan), ValueError, "eps must lie in"),
        (lambda m, pi: mfg.pmbed(m, pi, 0.1), ValueError, r"policies\[0\] must have shape"),
        (lambda m, pi: mfg.pmbed(m, [], 0.1), ValueError, "policies is empty"),
        (lambda m, pi: mfg.pmbed(m, [pi, 2 * pi], 0.1), ValueError, r"policies\[1\]\[0, 0\] sums to"),
        (lambda m, pi: mfg.pmbed(m, None, 0.1), TypeError, "policies must be"),
        (lambda m, pi: mfg.pmbed(m[0], pi[None], 0.1), TypeError, "models must be a ModelClass"),
        (lambda m, pi: mfg.pmbed(m, pi[None], 0.1, true_model=5), IndexError, "true_model is 5"),
        (lambda m, pi: mfg.pmbed(m, pi[None], 0.1, true_model=-1), ValueError, "true_model must"),
        (lambda m, pi: mfg.pmbed(m, pi[None], 0.1, true_model=0.5), TypeError, "true_model must"),
        (lambda m, pi: mfg.mbed(m, [[0.5, 0.5]], 0.1), ValueError, "densities must have shape"),
        (lambda m, pi: mfg.mbed(m, [[0.5, 0.6, 0.2]], 0.1), ValueError, r"densities\[0\] sums to"),
        (lambda m, pi: mfg.mbed(m, [[1, 0, 0]], -1.0), ValueError, "eps must lie in"),
    ],
)
def test_bad_input(call, error, message):
    models = hard.sectors(5)
    with pytest.raises(error, match=message):
        call(models, models[0].uniform_policy())


def test_tables_that_are_too_large_are_refused(monkeypatch):
    models = hard.sectors(5)
    monkeypatch.setattr(sys.modules["fastmfg.comparing.pmbed"], "MOST_FLAGS", 100)  # the name is a function's as well
    with pytest.raises(ValueError, match="5 models, 1 populations, 3 states and 3 actions make"):
        mfg.pmbed(models, models[0].uniform_policy()[None], 0.1)


@numba.njit
def see(h, population, shared, theta, aux):
    aux[0] = population[0]
    return 3 if theta[0] < 0.0 and population[0] > 0.9 else 0


@numba.njit
def drift(h, aux, shared, theta, lo, hi, out):
    for s in range(hi - lo):
        for a in range(out.shape[1]):
            out[s, a, 0] = 0.5 if aux[0] <= 0.9 else theta[0] * 4.0
            out[s, a, 1] = 0.5
    return 0


def test_rows_that_are_none_under_a_given_density_are_refused():
    models = mfg.ModelClass.from_filler(
        drift, [[0.1], [2.0]], [0.5, 0.5], lambda h, mu: np.zeros((2, 1)), n_actions=1, horizon=2, prepare=see,
        aux_size=1,
    )  # fmt: skip
    assert mfg.mbed(models, [[0.5, 0.5]], 0.1).upper == 0
    with pytest.raises(
        ValueError, match="model 1 or 0, step 0, state 0, action 0 is no distribution under population 1"
    ):
        mfg.mbed(models, [[0.5, 0.5], [1.0, 0.0]], 0.1)


def test_a_prepare_that_refuses_a_given_density_is_named():
    models = mfg.ModelClass.from_filler(
        drift, [[0.1], [-1.0]], [0.5, 0.5], lambda h, mu: np.zeros((2, 1)), n_actions=1, horizon=1, prepare=see,
        aux_size=1,
    )  # fmt: skip
    with pytest.raises(ValueError, match="prepare returned status 3 for model 1 under a population given"):
        mfg.mbed(models, [[1.0, 0.0]], 0.1)
