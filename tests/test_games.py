"""Games and classes: one game however it is given, what is copied, how classes are indexed."""

import dataclasses
import importlib
import pkgutil

import naive
import numba
import numpy as np
import pytest
from builders import crowd_game, policy, rows, swept_fill, swept_functions, swept_prepare, swept_reward, table_class
from numpy.testing import assert_allclose, assert_array_equal

import fastmfg as mfg
import fastmfg.kernels
from fastmfg.kernels.jit import Kernel


def swept_class(weights, S=5, A=3, H=3, bonus=0.1, initial=None, **more):
    initial = np.full(S, 1 / S) if initial is None else initial
    return mfg.ModelClass.from_filler(
        swept_fill, [[w] for w in weights], initial, swept_reward,
        n_actions=A, horizon=H, prepare=swept_prepare, shared=[bonus], aux_size=S, **more,
    )  # fmt: skip


# One game from functions


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize(("H", "S", "A"), [(1, 1, 1), (1, 4, 2), (3, 1, 3), (3, 5, 1), (4, 5, 3)])
def test_a_game_from_functions(H, S, A, joint, masked):
    parts = crowd_game(100 + S, H, S, A, masked, joint)
    game = mfg.Game(**parts)
    assert (game.n_states, game.n_actions, game.horizon, game.population) == (S, A, H, parts["population"])
    pi = policy(np.random.default_rng(101), H, game.legal)
    ref_density, ref_rows = naive.push(parts["initial"], pi, parts["transition"], joint)
    ref_reward = naive.rewards(parts["reward"], ref_density, pi, joint)
    comp = mfg.condition(game, pi)
    assert_allclose(comp.density, ref_density, atol=1e-14)
    assert_allclose(comp.transition, ref_rows, atol=1e-14)
    assert_allclose(comp.reward, ref_reward, atol=1e-14)
    ref = naive.ne_gap(parts["initial"], parts["transition"], parts["reward"], pi, game.legal, joint)
    assert_allclose(mfg.ne_gap(game, pi), ref, atol=1e-13)


@pytest.mark.parametrize("joint", [False, True])
def test_the_number_of_actions_is_found_without_a_mask(joint):
    parts = crowd_game(102, joint=joint)
    del parts["legal"]
    game = mfg.Game(**parts)
    assert game.n_actions == 3
    assert game.legal.all()


def test_functions_are_asked_for_steps_from_zero_to_the_last_one():
    asked = {"transition": set(), "reward": set()}

    def transition(h, mu):
        asked["transition"].add(h)
        return np.full((2, 1, 2), 0.5)

    def reward(h, mu):
        asked["reward"].add(h)
        return np.zeros((2, 1))

    game = mfg.Game([1.0, 0.0], transition, reward, horizon=4)
    assert asked["transition"] | asked["reward"] <= {0, 1, 2, 3}
    mfg.condition(game, game.uniform_policy())
    assert asked == {"transition": {0, 1, 2, 3}, "reward": {0, 1, 2, 3}}


def test_a_game_answers_with_its_functions():
    parts = crowd_game(103)
    game = mfg.Game(**parts)
    mu = rows(np.random.default_rng(104), (4,))
    for h in range(3):
        assert_array_equal(game.transition(h, mu), parts["transition"](h, mu))
        assert_array_equal(game.reward(h, mu), parts["reward"](h, mu))
    with pytest.raises(IndexError, match="h must be less than the horizon 3, got 3"):
        game.transition(3, mu)


def test_the_uniform_policy_shares_among_legal_actions():
    game = mfg.Game(**crowd_game(105, masked=True))
    pi = game.uniform_policy()
    assert_array_equal(pi > 0, np.broadcast_to(game.legal, pi.shape))
    assert_allclose(pi.sum(axis=-1), 1.0, atol=1e-15)
    assert_allclose(pi.max(axis=-1), np.broadcast_to(1 / game.legal.sum(axis=1), pi.shape[:2]), rtol=1e-15)


# Classes of games


@pytest.mark.parametrize("joint", [False, True])
def test_a_class_of_games_from_functions(joint):
    base = crowd_game(110, joint=joint)
    games = [mfg.Game(**{**base, "transition": crowd_game(110 + i, joint=joint)["transition"]}) for i in range(3)]
    models = mfg.ModelClass(games)
    pi = policy(np.random.default_rng(111), 3, models.legal)
    assert_allclose(mfg.ne_gaps(models, pi), [mfg.ne_gap(game, pi) for game in games], rtol=1e-13)
    for game, model in zip(games, models, strict=True):
        assert_array_equal(mfg.condition(model, pi).density, mfg.condition(game, pi).density)
        assert model.population == game.population


def test_games_of_one_compiled_class_stay_compiled():
    models = mfg.linear_class(5, 4, 3, 3, 2, 2)
    chosen = mfg.ModelClass([models[3], models[0], models[3]])
    assert chosen.fill is models.fill
    pi = models[0].uniform_policy()
    assert_allclose(mfg.ne_gaps(chosen, pi), mfg.ne_gaps(models, pi)[[3, 0, 3]], rtol=1e-12)


def test_a_game_is_a_class_and_an_index():
    models = mfg.linear_class(5, 4, 3, 3, 2, 2)
    assert models[3].models is models and models[3].index == 3 and models[-1].index == 4
    alone = mfg.Game(**crowd_game(0))
    assert len(alone.models) == 1 and alone.index == 0
    pi = alone.uniform_policy()
    assert mfg.ne_gap(alone.models[0], pi) == mfg.ne_gap(alone, pi)
    lifted = mfg.zoo.predator_prey()
    assert isinstance(lifted.models[0], mfg.MultiTypeGame)


def test_classes_are_frozen_and_replaced():
    models = mfg.linear_class(5, 4, 3, 3, 2, 2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        models.thetas = models.thetas[:2]
    with pytest.raises(TypeError, match=r"a class has no field theta$"):
        models.replace(theta=models.thetas)
    few = models.replace(thetas=models.thetas[:2])
    assert type(few) is mfg.LinearClass and len(few) == 2 and len(models) == 5
    assert few.source is models.source and few.common is models.common


def test_a_mixed_class():
    models, t = table_class(112, M=3)
    own = mfg.Game(t.initial, lambda h, mu: t.P[1, h], models[0].reward, horizon=3)
    mixed = mfg.ModelClass([models[0], own, models[2]])
    pi = policy(np.random.default_rng(113), 3, t.legal)
    assert_allclose(mfg.ne_gaps(mixed, pi), mfg.ne_gaps(models, pi), atol=1e-13)
    assert_allclose(mfg.distance_matrix(mixed, pi), mfg.distance_matrix(models, pi), atol=1e-13)
    other = mfg.Game(t.initial, lambda h, mu: t.P[1, h], lambda h, mu: np.ones((4, 3)), horizon=3)
    with pytest.raises(ValueError, match=r"games\[1\] has other rewards than games\[0\] at step 0"):
        mfg.ModelClass([models[0], other])


def test_a_mixed_class_of_games_that_see_the_joint():
    parts = crowd_game(114, joint=True)
    P = rows(np.random.default_rng(115), (2, 3, 4, 3, 4))
    models = mfg.ModelClass.from_tables(P, parts["initial"], parts["reward"], population="joint")
    own = mfg.Game(parts["initial"], lambda h, L: P[1, h], parts["reward"], horizon=3, population="joint")
    pi = policy(np.random.default_rng(116), 3, parts["legal"])
    mixed = mfg.ModelClass([models[0], own])
    assert_allclose(mfg.ne_gaps(mixed, pi), mfg.ne_gaps(models, pi), atol=1e-13)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (crowd_game(120, H=2), r"games\[1\].horizon is 2, but games\[0\].horizon is 3"),
        (crowd_game(120, S=5), r"games\[1\].n_states is 5, but games\[0\].n_states is 4"),
        (crowd_game(120, A=2), r"games\[1\].n_actions is 2, but games\[0\].n_actions is 3"),
        (crowd_game(120, joint=True), r"games\[1\].population is joint, but games\[0\].population is state"),
        (crowd_game(121), r"games\[1\].initial differs from games\[0\].initial"),
        (crowd_game(120) | {"legal": np.eye(4, 3) + np.eye(4, 3, -1) > 0}, r"games\[1\].legal differs"),
        (crowd_game(120) | {"reward": crowd_game(121)["reward"]}, r"games\[1\] has other rewards"),
    ],
)
def test_games_of_a_class_differ_in_transition_only(other, message):
    with pytest.raises(ValueError, match=message):
        mfg.ModelClass([mfg.Game(**crowd_game(120)), mfg.Game(**other)])


def test_an_index_gives_a_game_or_a_class():
    models = mfg.linear_class(7, 4, 2, 2, 2, 2)
    pi = models[0].uniform_policy()
    gaps = mfg.ne_gaps(models, pi)
    assert len(models) == 7
    for i in (*range(-7, 7), np.int64(2)):
        assert_allclose(mfg.ne_gap(models[i], pi), gaps[i], rtol=1e-12)
    for i in (7, -8, 100):
        with pytest.raises(IndexError, match=f"model {i} is out of range for a class of 7 models"):
            models[i]
    for index in (slice(2, 5), slice(None, None, -2), [4, 1], np.array([6, 0, 3])):
        assert_allclose(mfg.ne_gaps(models[index], pi), gaps[index], rtol=1e-12)
    assert_allclose([mfg.ne_gap(game, pi) for game in models], gaps, rtol=1e-12)


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        ([0, 7], IndexError, r"index\[1\] is 7: model indices run from 0 to 6"),
        ([-1], IndexError, r"index\[0\] is -1"),
        ([1, 1], ValueError, "holds a model twice"),
        ([], ValueError, "non-empty"),
        ([0.5], ValueError, "model indices"),
        ([True] * 7, ValueError, "model indices"),
        (1.0, TypeError, "whole numbers, .* got 1.0"),
        ("1", TypeError, "whole numbers, .* got '1'"),
    ],
)
def test_bad_indices(index, error, message):
    with pytest.raises(error, match=message):
        mfg.linear_class(7, 4, 2, 2, 2, 2)[index]


def test_a_class_cannot_be_empty():
    with pytest.raises(ValueError, match="games is empty"):
        mfg.ModelClass([])


@pytest.mark.parametrize("index", [slice(3, 3), slice(9, None)])
def test_a_slice_cannot_be_empty(index):
    with pytest.raises(ValueError, match="index"):
        mfg.linear_class(7, 4, 2, 2, 2, 2)[index]


# Compiled families


@pytest.mark.parametrize("masked", [False, True])
def test_a_class_from_a_filler_is_that_of_the_same_functions(masked):
    weights, S, A = [0.0, 0.3, 1.0], 5, 3
    rng = np.random.default_rng(130)
    legal = np.array([[1, 1, 1], [0, 1, 1], [1, 0, 0], [0, 0, 1], [1, 1, 0]], dtype=bool) if masked else None
    initial = rows(rng, (S,))
    models = swept_class(weights, initial=initial, legal=legal)
    pi = policy(rng, 3, models.legal)
    for model, w in zip(models, weights, strict=True):
        transition, reward = swept_functions(w, S, A, 0.1)
        density, P = naive.push(initial, pi, transition)
        assert_allclose(mfg.condition(model, pi).density, density, atol=1e-14)
        assert_allclose(mfg.condition(model, pi).transition, P, atol=1e-14)
        assert_allclose(mfg.ne_gap(model, pi), naive.ne_gap(initial, transition, reward, pi, models.legal), atol=1e-13)


@numba.njit
def joint_prepare(h, population, shared, theta, aux):
    for s in range(aux.size):  # share of the state's agents that play the last action; `population` is flat
        aux[s] = population[s * int(shared[0]) + int(shared[0]) - 1]
    return 0


@numba.njit
def joint_fill(h, aux, shared, theta, lo, hi, out):
    for s in range(lo, hi):
        for a in range(out.shape[1]):
            out[s - lo, a, :] = theta[0] * aux[s] / out.shape[2]
            out[s - lo, a, a % out.shape[2]] += 1.0 - theta[0] * aux[s]
    return 0


def test_a_filler_may_see_the_joint():
    S, A = 4, 3
    rng = np.random.default_rng(131)
    initial = rows(rng, (S,))

    def transition(h, L):
        share = 0.8 * L[:, A - 1, None, None]
        return share / S + (1 - share) * np.eye(A, S)

    def reward(h, L):
        return -L * (h + 1)

    models = mfg.ModelClass.from_filler(
        joint_fill, [[0.8]], initial, reward, n_actions=A, horizon=3, prepare=joint_prepare, shared=[A], aux_size=S,
        population="joint",
    )  # fmt: skip
    pi = policy(rng, 3, models.legal)
    game = models[0]
    assert game.population == "joint"
    assert_allclose(mfg.condition(game, pi).density, naive.push(initial, pi, transition, joint=True)[0], atol=1e-14)
    ref = naive.ne_gap(initial, transition, reward, pi, models.legal, joint=True)
    assert_allclose(mfg.ne_gap(game, pi), ref, atol=1e-13)
    L = initial[:, None] * pi[0]
    assert_allclose(game.transition(0, L), transition(0, L), atol=1e-14)
    assert_allclose(game.reward(0, L), reward(0, L), atol=1e-14)


@numba.njit
def lazy_fill(h, aux, shared, theta, lo, hi, out):
    out[:] = 0.0
    for s in range(lo, hi):
        out[s - lo, :, s] = 1.0
    return 0


def test_user_fillers_recompile_no_kernel():
    def kernels():
        found = set()
        for info in pkgutil.walk_packages(fastmfg.kernels.__path__, "fastmfg.kernels."):
            found |= {v for v in vars(importlib.import_module(info.name)).values() if isinstance(v, Kernel)}
        return [kernel for kernel in found if kernel.is_built]

    def use(models):
        pi = models[0].uniform_policy()
        mfg.ne_gaps(models, pi)
        mfg.distance_matrix(models, pi)
        mfg.neighbourhoods(models, pi, 0.1)
        mfg.solve(models[0], "fictitious-play", tol=0.0, max_iterations=2)
        mfg.solve(models[0], "mirror-descent", tol=0.0, max_iterations=2)
        return mfg.condition(models[0], pi).transition

    use(mfg.linear_class(3, 5, 3, 3, 2, 2))
    built = kernels()
    misses = {k: sum(k.dispatcher.stats.cache_misses.values()) for k in built}
    use(swept_class([0.2, 0.4]))
    use(mfg.ModelClass.from_filler(lazy_fill, [[0.0]], [0.5, 0.5], "crowd-aversion", n_actions=2, horizon=2))
    use(mfg.ModelClass.from_filler(
        joint_fill, [[0.1], [0.7]], [0.5, 0.5], "crowd-aversion", n_actions=2, horizon=2, prepare=joint_prepare,
        shared=[2.0], aux_size=2, population="joint",
    ))  # fmt: skip
    assert len(built) >= 8
    assert {k.__name__ for k in kernels()} == {k.__name__ for k in built}
    for kernel in built:
        assert len(kernel.dispatcher.signatures) == 1
        assert sum(kernel.dispatcher.stats.cache_misses.values()) == misses[kernel]


@pytest.mark.parametrize("S", [1, 4])
def test_one_game_in_four_forms(S):
    """A linear game whose features of the density are constant does not depend on the density: tables hold it too."""
    M, H, A, d, e = 3, 3, 2, 2, 3
    rng = np.random.default_rng(140)
    phi, psi = rng.standard_normal((H, S, A, d)), rng.standard_normal((M, H, e, S))
    U = np.repeat(rng.standard_normal((H, 1, d * e)), S, axis=1)
    initial = rows(rng, (S,))

    def transition(i):
        def step(h, mu):
            mixed = np.abs(phi[h] @ (mu @ U[h]).reshape(d, e) @ psi[i, h])
            return mixed / mixed.sum(axis=-1, keepdims=True)

        return step

    def reward(h, mu):
        return np.repeat(-np.log(1e-11) - np.log(mu + 1e-11), A).reshape(S, A)

    P = np.array([[transition(i)(h, initial) for h in range(H)] for i in range(M)])
    forms = [
        mfg.ModelClass([mfg.Game(initial, transition(i), reward, horizon=H) for i in range(M)]),
        mfg.ModelClass.from_tables(P, initial, "crowd-aversion"),
        mfg.ModelClass.from_tables(P, initial, reward),
        mfg.LinearClass(phi, U, psi, initial),
        mfg.LinearClass(phi, U, psi, initial, reward),
        mfg.ModelClass.from_filler(stored_fill, P.reshape(M, -1), initial, reward, n_actions=A, horizon=H),
    ]
    pi = policy(rng, H, np.ones((S, A), dtype=bool))
    ref_gaps = [naive.ne_gap(initial, transition(i), reward, pi, np.ones((S, A), dtype=bool)) for i in range(M)]
    ref_distances = [[naive.directed_distance(p, q, initial, np.ones((S, A), dtype=bool)) for q in P] for p in P]
    for models in forms:
        for i, model in enumerate(models):
            assert_allclose(mfg.condition(model, pi).density, naive.push(initial, pi, transition(i))[0], atol=1e-13)
        assert_allclose(mfg.ne_gaps(models, pi), ref_gaps, atol=1e-12)
        assert_allclose(mfg.distance_matrix(models, pi, directed=True), ref_distances, atol=1e-12)


@numba.njit
def stored_fill(h, aux, shared, theta, lo, hi, out):
    A, S = out.shape[1], out.shape[2]
    out[:] = theta[(h * S + lo) * A * S : (h * S + hi) * A * S].reshape(hi - lo, A, S)
    return 0


# The random linear class


def test_a_model_of_a_linear_class_depends_on_the_seed_and_its_index_alone():
    large, small = mfg.linear_class(6, 5, 3, 2, 3, 4, seed=7), mfg.linear_class(3, 5, 3, 2, 3, 4, seed=7)
    other = mfg.linear_class(3, 5, 3, 2, 3, 4, seed=8)
    assert_array_equal(small.initial, large.initial)
    for i in range(3):
        for h in range(2):
            assert_array_equal(small[i].transition(h, small.initial), large[i].transition(h, small.initial))
            assert (small[i].transition(h, small.initial) != other[i].transition(h, small.initial)).any()
    pi = large[0].uniform_policy()
    assert_array_equal(mfg.distance_matrix(small, pi), mfg.distance_matrix(large, pi)[:3, :3])
    assert (mfg.distance_matrix(large, pi)[~np.eye(6, dtype=bool)] > 0).all()


def test_models_of_scale_zero_are_all_the_same():
    models = mfg.linear_class(4, 5, 3, 2, 3, 4, scale=0.0)
    assert_array_equal(mfg.distance_matrix(models, models[0].uniform_policy()), np.zeros((4, 4)))


@pytest.mark.parametrize("seed", range(5))
def test_a_linear_class_starts_from_whole_weights(seed):
    assert_array_equal(mfg.linear_class(2, 1, 2, 2, 2, 2, seed=seed).initial, [1.0])
    start = mfg.linear_class(1, 2, 1, 1, 1, 1, seed=seed).initial  # most draws of two states in {0, 1} are refused
    assert list(start) in ([0.5, 0.5], [1.0, 0.0], [0.0, 1.0])


# What is handed in is copied, what is handed out is read-only


def test_changing_an_array_after_construction_changes_nothing():
    rng = np.random.default_rng(150)
    phi, U, psi = rng.standard_normal((2, 3, 2, 2)), rng.standard_normal((2, 3, 4)), rng.standard_normal((2, 2, 2, 3))
    initial, legal, P = rows(rng, (3,)), np.ones((3, 2), dtype=bool), rows(rng, (2, 2, 3, 2, 3))
    thetas, shared = np.array([[0.2], [0.5]]), np.array([0.1])
    classes = [
        mfg.LinearClass(phi, U, psi, initial, legal=legal),
        mfg.ModelClass.from_tables(P, initial, "crowd-aversion", legal=legal),
        mfg.ModelClass.from_filler(
            swept_fill, thetas, initial, swept_reward, n_actions=2, horizon=2, prepare=swept_prepare, shared=shared,
            aux_size=3, legal=legal,
        ),
        mfg.ModelClass([mfg.Game(initial, lambda h, mu: np.full((3, 2, 3), 1 / 3), lambda h, mu: -np.outer(mu, [1, 1]),
                                 horizon=2, legal=legal)]),
    ]  # fmt: skip
    pi = classes[0][0].uniform_policy()
    before = [(mfg.ne_gaps(m, pi), mfg.distance_matrix(m, pi), m.initial.copy()) for m in classes]
    for array in (phi, U, psi, initial, P, thetas, shared):
        array[:] = 0.0
    legal[:] = False
    for models, (gaps, distances, start) in zip(classes, before, strict=True):
        assert_array_equal(mfg.ne_gaps(models, pi), gaps)
        assert_array_equal(mfg.distance_matrix(models, pi), distances)
        assert_array_equal(models.initial, start)
        assert models.legal.all()


def test_arrays_handed_out_are_read_only():
    models, _ = table_class(151)
    game = models[0]
    pi = game.uniform_policy()
    conditional, solution = mfg.condition(game, pi), mfg.solve(game, tol=0.0, max_iterations=2)
    for array in (
        models.initial, models.legal, game.initial, game.legal, conditional.policy, conditional.density,
        conditional.reward, conditional.transition, mfg.best_response(game, pi).policy, solution.policy,
        solution.history,
    ):  # fmt: skip
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_a_policy_handed_in_is_neither_changed_nor_kept():
    models, _ = table_class(152)
    pi = models[0].uniform_policy()
    conditional = mfg.condition(models[0], pi)
    solution = mfg.solve(models[0], tol=0.0, max_iterations=3, initial_policy=pi)
    assert_array_equal(pi, models[0].uniform_policy())
    kept = conditional.policy.copy(), solution.policy.copy()
    pi[:] = 0.0
    assert_array_equal(conditional.policy, kept[0])
    assert_array_equal(solution.policy, kept[1])


def test_a_function_cannot_change_the_game_through_the_population():
    parts = crowd_game(153)

    def spoil(function):
        def spoiling(h, mu):
            answer = function(h, mu)
            mu[:] = 7.0
            return answer

        return spoiling

    game = mfg.Game(**parts)
    spoiled = mfg.Game(**{**parts, "transition": spoil(parts["transition"]), "reward": spoil(parts["reward"])})
    pi = game.uniform_policy()
    assert_array_equal(mfg.condition(spoiled, pi).density, mfg.condition(game, pi).density)
    assert mfg.ne_gap(spoiled, pi) == mfg.ne_gap(game, pi)
