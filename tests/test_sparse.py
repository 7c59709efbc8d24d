"""One class dense, sparse and factored: the same numbers, whatever the form of its rows."""

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache

import numba
import numpy as np
import pytest
from builders import legal_mask, policy, rows
from numpy.testing import assert_allclose, assert_array_equal
from test_oracle import assert_frequencies

import fastmfg as mfg
import fastmfg.kernels
from fastmfg.comparing import lower_bounds, upper_bounds
from fastmfg.comparing.conditional import condition_class
from fastmfg.kernels.jit import Kernel
from fastmfg.learning.adversary import ADVERSARIES, information_actions
from fastmfg.learning.likelihood import all_transitions, log_likelihoods

CASES = {  # M, H, S, A, K, steps the tables hold
    "usual": (5, 3, 6, 3, 3, 3),
    "one table for all steps": (4, 3, 5, 3, 2, 1),
    "one successor": (3, 3, 5, 2, 1, 3),
    "all successors": (4, 2, 4, 3, 4, 2),
    "one state": (3, 2, 1, 3, 1, 2),
    "one action": (4, 3, 5, 1, 2, 3),
    "one step": (4, 1, 5, 3, 2, 1),
    "many models": (27, 2, 3, 2, 2, 2),
    "more states than a tile holds": (2, 2, 300, 5, 5, 1),
}
SMALL = [case for case in CASES if case != "more states than a tile holds"]
FORMS = ["sparse", "factored"]


@dataclass(frozen=True)
class Parts:
    """Random successors, moves and rows, and the classes made of them."""

    initial: np.ndarray
    legal: np.ndarray
    horizon: int
    places: np.ndarray  # [S, K]   where noise leads
    moves: np.ndarray  # [S, A]
    noise: np.ndarray  # [M, T, S, K]
    own_places: np.ndarray  # [S, A, K]   of rows that are not factored
    own_rows: np.ndarray  # [M, T, S, A, K]

    def tables(self, form):
        """Arguments of `from_tables`."""
        return {
            "factored": {"transition": self.noise, "successors": self.places, "moves": self.moves},
            "sparse": {"transition": self.noise[:, :, self.moves], "successors": self.places[self.moves]},
            "dense": {"transition": scattered(self.noise[:, :, self.moves], self.places[self.moves])},
            "own sparse": {"transition": self.own_rows, "successors": self.own_places},
            "own dense": {"transition": scattered(self.own_rows, self.own_places)},
        }[form]

    def models(self, form, reward="crowd-aversion", population="state"):
        return mfg.ModelClass.from_tables(
            **self.tables(form), initial=self.initial, legal=self.legal, horizon=self.horizon, reward=reward,
            population=population,
        )  # fmt: skip


def distinct(rng, shape, S, K):
    """K distinct states in each row, in no order."""
    return rng.permuted(np.broadcast_to(np.arange(S), (*shape, S)), axis=-1)[..., :K]


def scattered(sparse, places):
    """Sparse rows [M, T, S, A, K] as dense ones."""
    M, T, S, A, K = sparse.shape
    dense = np.zeros((M, T, S, A, S))
    for s, a, k in np.ndindex(S, A, K):
        dense[:, :, s, a, places[s, a, k]] += sparse[:, :, s, a, k]
    return dense


@cache
def parts(case):
    M, H, S, A, K, T = CASES[case]
    rng = np.random.default_rng(sorted(CASES).index(case))
    return Parts(
        initial=rows(rng, (S,)),
        legal=legal_mask(rng, S, A),
        horizon=H,
        places=distinct(rng, (S,), S, K),
        moves=rng.integers(0, S, (S, A)),
        noise=rows(rng, (M, T, S, K)),
        own_places=distinct(rng, (S, A), S, K),
        own_rows=rows(rng, (M, T, S, A, K)),
    )


def pair_of(models):
    """A reference policy and a deviation."""
    rng = np.random.default_rng(0)
    return policy(rng, models.horizon, models.legal), policy(rng, models.horizon, models.legal)


def assert_same(ref, comp):
    """Two classes answer alike, to rounding."""
    pi, deviation = pair_of(ref)
    radius = float(np.median(mfg.distance_matrix(ref, pi))) * 1.0001
    for a, b in zip(ref, comp, strict=True):
        frozen_a, frozen_b = mfg.condition(a, pi), mfg.condition(b, pi)
        assert_allclose(frozen_b.density, frozen_a.density, atol=1e-14)
        assert_allclose(frozen_b.transition, frozen_a.transition, atol=1e-15)
        assert_allclose(frozen_b.reward, frozen_a.reward, rtol=1e-10)
        assert_allclose(mfg.evaluate(b, pi, deviation), mfg.evaluate(a, pi, deviation), rtol=1e-11)
        response_a, response_b = mfg.best_response(a, pi), mfg.best_response(b, pi)
        assert_allclose(response_b.value, response_a.value, rtol=1e-11)
        for one, other in ((a, response_b), (b, response_a)):  # the same responses, up to ties
            assert_allclose(mfg.evaluate(one, pi, other.policy), other.value, rtol=1e-11)
    assert_allclose(mfg.ne_gaps(comp, pi), mfg.ne_gaps(ref, pi), rtol=1e-10, atol=1e-11)
    directed = mfg.distance_matrix(ref, pi, directed=True)
    assert_allclose(mfg.distance_matrix(comp, pi, directed=True), directed, atol=1e-13)
    assert_allclose(lower_bounds(comp, pi), lower_bounds(ref, pi), atol=1e-14)
    assert_allclose(upper_bounds(comp, pi), upper_bounds(ref, pi), atol=1e-13)
    near_ref, near = mfg.neighbourhoods(ref, pi, radius), mfg.neighbourhoods(comp, pi, radius)
    assert_array_equal(near.near, near_ref.near)
    assert near.decided == near_ref.decided


def assert_same_learning(ref, comp, true=0):
    """The same evidence, eliminations and equilibria, when the same oracle is asked."""
    pi, deviation = pair_of(ref)
    data = all_transitions(*mfg.MeanFieldOracle(ref[true], seed=1).sample(deviation, pi, 5))
    every = np.arange(len(ref))
    a, b = condition_class(ref, pi), condition_class(comp, pi)
    assert_allclose(log_likelihoods(b, every, data), log_likelihoods(a, every, data), rtol=1e-12)
    weights = rows(np.random.default_rng(1), (len(ref),))
    assert_array_equal(information_actions(b, weights), information_actions(a, weights))

    for adversary in ADVERSARIES:
        settings = {"tolerance": 0.05, "delta": 0.01, "max_rounds": 4, "adversary": adversary}
        out_a, out_b = (
            mfg.eliminate(models, mfg.MeanFieldOracle(ref[true], seed=2), pi, **settings) for models in (ref, comp)
        )
        assert_array_equal(out_b.survivors, out_a.survivors)
        assert_array_equal(out_b.eliminated_at, out_a.eliminated_at)
        assert_allclose(out_b.log_likelihood, out_a.log_likelihood, rtol=1e-11)
        assert (out_b.rounds, out_b.trajectories, out_b.converged) == (
            out_a.rounds,
            out_a.trajectories,
            out_a.converged,
        )

    out_a, out_b = (
        mfg.learn(models, mfg.MeanFieldOracle(ref[true], seed=3), epsilon=0.1, delta=0.01, max_rounds=5)
        for models in (ref, comp)
    )
    assert_array_equal(out_b.survivors, out_a.survivors)
    assert (out_b.stopped, out_b.trajectories) == (out_a.stopped, out_a.trajectories)
    assert_allclose(out_b.policy, out_a.policy, atol=1e-6)


# Tables


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", CASES)
def test_tables_in_all_forms(case, form):
    assert_same(parts(case).models("dense"), parts(case).models(form))


@pytest.mark.parametrize("case", SMALL)
def test_sparse_rows_that_do_not_factor(case):
    assert_same(parts(case).models("own dense"), parts(case).models("own sparse"))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", SMALL)
def test_learning_from_tables_in_all_forms(case, form):
    assert_same_learning(parts(case).models("dense"), parts(case).models(form))


@pytest.mark.parametrize("form", FORMS)
def test_rewards_of_the_joint(form):
    def reward(h, joint):
        return np.arange(3) / 7 - (h + 1) * joint

    ref, comp = (parts("usual").models(f, reward, "joint") for f in ("dense", form))
    assert_same(ref, comp)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", ["usual", "one table for all steps", "one successor", "one state"])
def test_solvers_take_the_same_path(case, form):
    A = parts(case).moves.shape[1]

    def reward(h, mu):
        return np.arange(A) / 5 - 3 * mu[:, None] * (1 + h)

    games = [parts(case).models(f, reward)[0] for f in ("dense", form)]
    methods = [
        ("mirror-descent", {"step": 0.3}), ("fictitious-play", {}), ("best-response-mixing", {"step": 0.1}),
        ("prior-descent", {"temperature": 1.0}), ("policy-iteration", {}), ("anderson", {}), ("auto", {}),
    ]  # fmt: skip
    for method, options in methods:
        ref, comp = (mfg.solve(game, method, tol=0.0, max_iterations=6, **options) for game in games)
        assert_allclose(comp.history, ref.history, atol=1e-9, err_msg=method)
        assert_allclose(comp.policy, ref.policy, atol=1e-7, err_msg=method)


def test_a_part_of_a_class_keeps_its_form():
    dense = parts("usual").models("dense")
    for form in FORMS:
        models = parts("usual").models(form)
        assert_same(dense[[3, 1]], models[[3, 1]])
        assert_same(dense[1:3], mfg.ModelClass(list(models[1:3])))


def test_the_callers_arrays_are_copied():
    given = {name: np.array(array) for name, array in parts("usual").tables("factored").items()}
    ref = parts("usual").models("factored")
    comp = mfg.ModelClass.from_tables(
        **given, initial=ref.initial, legal=ref.legal, horizon=ref.horizon, reward="crowd-aversion"
    )
    for array in given.values():
        array[...] = 0
    assert_same(ref, comp)


# What oracles draw


@pytest.mark.parametrize("form", ["sparse", "factored", "own sparse"])
def test_frequencies_are_those_of_the_dense_rows(form):
    game, dense = (
        parts("one table for all steps").models(f)[1] for f in (form, "own dense" if "own" in form else "dense")
    )
    pi, deviation = pair_of(game)
    assert_allclose(mfg.condition(game, pi).transition, mfg.condition(dense, pi).transition, atol=1e-15)
    assert_frequencies(game, deviation, pi)


# Fillers of the user: the chance of the first successor falls with the step and grows with the crowd where noise begins


@numba.njit
def crowd_prepare(h, population, shared, theta, aux):
    columns = population.size // aux.size
    for s in range(aux.size):
        aux[s] = population[s * columns]
    return 0


@numba.njit
def write_row(row, first):
    row[:] = (1.0 - first) / max(1, row.size - 1)
    row[0] = first if row.size > 1 else 1.0


@numba.njit
def factored_fill(h, aux, shared, theta, lo, hi, out):
    for s in range(lo, hi):
        write_row(out[s - lo, 0], theta[0] * (0.3 + 0.7 * aux[s]) / (1 + h))
    return 0


@numba.njit
def sparse_fill(h, aux, shared, theta, lo, hi, out):
    A = out.shape[1]
    for s in range(lo, hi):
        for a in range(A):
            write_row(out[s - lo, a], theta[0] * (0.3 + 0.7 * aux[int(shared[s * A + a])]) / (1 + h))
    return 0


FAULTY = 3


@numba.njit
def unfinished_fill(h, aux, shared, theta, lo, hi, out):
    for s in range(lo, hi):
        for r in range(out.shape[1]):
            write_row(out[s - lo, r], 0.5)
            if s == FAULTY and h == 1:
                out[s - lo, r, 0] -= theta[0]
    return 0


THETAS = np.array([[0.2], [0.5], [0.55], [0.9]])


def crowd_reward(h, seen):
    return np.arange(3) / 3 - (seen if seen.ndim == 2 else seen[:, None]) * (h + 1)


def filler_class(form, population, fill=None, thetas=THETAS):
    p = parts("usual")
    places = {"successors": p.tables(form)["successors"], "moves": p.tables(form).get("moves")}
    return mfg.ModelClass.from_filler(
        fill or {"sparse": sparse_fill, "factored": factored_fill}[form], thetas, p.initial, crowd_reward,
        prepare=crowd_prepare, n_actions=p.moves.shape[1], horizon=p.horizon, shared=p.moves, aux_size=p.initial.size,
        legal=p.legal, population=population, **places,
    )  # fmt: skip


@cache
def called_class(population):
    """The same games as NumPy functions."""
    p = parts("usual")
    K = p.places.shape[1]

    def transition(w):
        def step(h, seen):
            first = w * (0.3 + 0.7 * (seen if seen.ndim == 1 else seen[:, 0])) / (1 + h)
            noise = np.tile(((1 - first) / (K - 1))[:, None], K)
            noise[:, 0] = first
            return scattered(noise[None, None, p.moves], p.places[p.moves])[0, 0]

        return step

    return mfg.ModelClass([
        mfg.Game(p.initial, transition(w), crowd_reward, horizon=p.horizon, legal=p.legal, population=population)
        for w in THETAS[:, 0]
    ])  # fmt: skip


@pytest.mark.parametrize("population", ["state", "joint"])
@pytest.mark.parametrize("form", FORMS)
def test_fillers_in_all_forms(form, population):
    ref, comp = called_class(population), filler_class(form, population)
    assert_same(ref, comp)
    assert_same_learning(ref, comp, true=1)
    pi, deviation = pair_of(ref)
    assert_frequencies(comp[2], deviation, pi)
    solutions = [mfg.solve(models[3], "mirror-descent", step=0.5, tol=0.0, max_iterations=8) for models in (ref, comp)]
    assert_allclose(solutions[1].history, solutions[0].history, atol=1e-11)


def built_kernels():
    found = set()
    for info in pkgutil.walk_packages(fastmfg.kernels.__path__, "fastmfg.kernels."):
        found |= {v for v in vars(importlib.import_module(info.name)).values() if isinstance(v, Kernel)}
    return {kernel for kernel in found if kernel.is_built}


def test_fillers_compile_no_kernel():
    assert_same_learning(*(parts("usual").models(form) for form in ("dense", "sparse")))
    assert_same(*(parts("usual").models(form) for form in ("dense", "sparse")))
    kernels = built_kernels()
    misses = {kernel: sum(kernel.dispatcher.stats.cache_misses.values()) for kernel in kernels}
    for form in FORMS:
        assert_same(called_class("state"), filler_class(form, "state"))
    assert built_kernels() == kernels
    for kernel in kernels:
        assert len(kernel.dispatcher.signatures) == 1
        assert sum(kernel.dispatcher.stats.cache_misses.values()) == misses[kernel]


# Bad input


def put(array, index, value):
    changed = np.array(array)
    changed[index] = value
    return changed


SUCCESSORS = np.array([[[0, 1], [1, 2]]] * 3)  # [3, 2, 2]
PLACES = SUCCESSORS[:, 0]  # [3, 2]
MOVES = np.array([[0, 1], [1, 2], [2, 0]])
BAD = [  # form, changes, error, message
    ("sparse", {"successors": put(SUCCESSORS, (1, 0, 1), 3)}, ValueError, r"successors\[1, 0, 1\] is 3.*0\.\.2"),
    ("sparse", {"successors": put(SUCCESSORS, (2, 1, 0), -1)}, ValueError, r"successors\[2, 1, 0\] is -1.*0\.\.2"),
    ("sparse", {"successors": put(SUCCESSORS, (2, 1), 1)}, ValueError, r"successors\[2, 1\] .*twice: \[1, 1\]"),
    ("sparse", {"successors": SUCCESSORS * 1.0}, TypeError, "successors must hold whole numbers, got dtype float64"),
    ("sparse", {"successors": SUCCESSORS > 0}, TypeError, "successors must hold whole numbers, got dtype bool"),
    ("sparse", {"successors": SUCCESSORS[:2]}, ValueError, r"successors must have shape \[3, 2, \*\], got \[2, 2, 2\]"),
    ("sparse", {"successors": SUCCESSORS[:, :1]}, ValueError, r"successors must have shape \[3, 2, \*\], got \[3, 1"),
    ("sparse", {"successors": PLACES}, ValueError, r"successors must have shape \[3, 2, \*\], got \[3, 2\]"),
    ("sparse", {"successors": [[[0, 1], [1]]] * 3}, ValueError, "successors"),
    ("sparse", {"successors": 1}, ValueError, r"successors must have .*, got \[\]"),
    ("factored", {"successors": put(PLACES, (1, 1), 3)}, ValueError, r"successors\[1, 1\] is 3.*0\.\.2"),
    ("factored", {"successors": put(PLACES, (2, 0), -2)}, ValueError, r"successors\[2, 0\] is -2.*0\.\.2"),
    ("factored", {"successors": put(PLACES, 1, 2)}, ValueError, r"successors\[1\] .*twice: \[2, 2\]"),
    ("factored", {"successors": SUCCESSORS}, ValueError, r"successors must have shape \[3, \*\], got \[3, 2, 2\]"),
    ("factored", {"successors": PLACES[:2]}, ValueError, r"successors must have shape \[3, \*\], got \[2, 2\]"),
    ("factored", {"successors": None}, ValueError, "moves need successors"),
    ("factored", {"moves": put(MOVES, (2, 0), 3)}, ValueError, r"moves\[2, 0\] is 3.*0\.\.2"),
    ("factored", {"moves": put(MOVES, (0, 1), -1)}, ValueError, r"moves\[0, 1\] is -1.*0\.\.2"),
    ("factored", {"moves": MOVES * 1.0}, TypeError, "moves must hold whole numbers, got dtype float64"),
    ("factored", {"moves": MOVES[:2]}, ValueError, r"moves must have shape \[3, 2\], got \[2, 2\]"),
    ("factored", {"moves": 1}, ValueError, "moves must have .*, got"),
]
BAD_TABLES = [
    ("sparse", {"transition": np.full((2, 3, 3, 2, 3), 1 / 3)}, ValueError, r"transition must have shape .*2\].*got"),
    ("sparse", {"transition": np.full((2, 3, 3, 2), 1 / 2)}, ValueError, r"transition must have shape \[(\*, ){4}\*\]"),
    ("sparse", {"transition": put(np.full((2, 3, 3, 2, 2), 0.5), (1, 2, 0, 1, 0), 0.6)}, ValueError,
     r"transition\[1, 2, 0, 1\] sums to 1\.1"),
    ("sparse", {"transition": put(np.full((2, 3, 3, 2, 2), 0.5), (1, 2, 0, 1), [-0.5, 1.5])}, ValueError,
     r"transition\[1, 2, 0, 1, 0\] is -0\.5"),
    ("sparse", {"transition": put(np.full((2, 3, 3, 2, 2), 0.5), (0, 1, 2, 0, 1), np.nan)}, ValueError,
     r"transition\[0, 1, 2, 0, 1\] is nan"),
    ("sparse", {"transition": np.full((2, 2, 3, 2, 2), 0.5)}, ValueError, "transition has 2 steps.*horizon is 3"),
    ("factored", {"transition": np.full((2, 2, 3, 2), 0.5)}, ValueError, "transition has 2 steps.*horizon is 3"),
    ("factored", {"transition": put(np.full((2, 3, 3, 2), 0.5), (0, 2, 1, 0), 0.4)}, ValueError,
     r"transition\[0, 2, 1\] sums to 0\.9"),
    ("factored", {"transition": np.full((2, 3, 3, 2, 2), 0.5)}, ValueError,
     r"transition must have shape \[(\*, ){3}\*\]"),
]  # fmt: skip


def sound(form):
    """Arguments of `from_tables` for three states, two actions, two successors."""
    places = {"successors": SUCCESSORS} if form == "sparse" else {"successors": PLACES, "moves": MOVES}
    rows_shape = (2, 3, 3, 2, 2) if form == "sparse" else (2, 3, 3, 2)
    return {"transition": np.full(rows_shape, 0.5), "initial": np.full(3, 1 / 3), "horizon": 3} | places


@pytest.mark.parametrize("form", FORMS)
def test_the_examples_are_sound_before_they_are_spoilt(form):
    assert len(mfg.ModelClass.from_tables(**sound(form), reward="crowd-aversion")) == 2


@pytest.mark.parametrize(("form", "changes", "error", "message"), BAD + BAD_TABLES)
def test_bad_tables(form, changes, error, message):
    with pytest.raises(error, match=message):
        mfg.ModelClass.from_tables(**sound(form) | changes, reward="crowd-aversion")


@pytest.mark.parametrize(("form", "changes", "error", "message"), BAD)
def test_bad_places_of_fillers(form, changes, error, message):
    arguments = {k: v for k, v in (sound(form) | changes).items() if k != "transition"}
    with pytest.raises(error, match=message):
        mfg.ModelClass.from_filler(unfinished_fill, [[0.0]], **arguments, reward="crowd-aversion", n_actions=2)


@pytest.mark.parametrize("form", FORMS)
def test_rows_of_fillers_are_checked(form):
    row = rf"model 1, step 1.*state {FAULTY}"
    with pytest.raises(ValueError, match=rf"{row}.* sums to 0\.9\d*, not to 1"):
        filler_class(form, "state", unfinished_fill, [[0.0], [0.1]])
    with pytest.raises(ValueError, match=rf"{row}.* -0\.25"):
        filler_class(form, "state", unfinished_fill, [[0.0], [0.75]])
