"""Moves and noise along segments: the same sums as one entry at a time."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fastmfg as mfg
from fastmfg import zoo
from fastmfg.games.grid_game import priced_game
from fastmfg.kernels import segments as kernels
from fastmfg.kernels.jit import F1, F2, i8, kernel
from fastmfg.kernels.segments import BLOCK, LENGTH, SEGMENTS, TARGET
from fastmfg.planning import passes, segments

GAMES = {
    "torus": lambda: zoo.crowd_modelling_2d(40, 3),
    "walls": lambda: zoo.crowd_modelling_2d(45, 3, forbidden_states=[(3, 4), (3, 5), (10, 0), (44, 44)]),
    "ring": lambda: zoo.crowd_modelling_1d(2500, 3),
    "calm": lambda: zoo.crowd_modelling_2d(40, 3, noise_intensity=0.0),
    "border": lambda: on_grid(mfg.Grid.of((90, 17), border="stay")),
    "three axes": lambda: on_grid(mfg.Grid.of((3, 20, 40), border="illegal")),
    "sparse": lambda: zoo.beach_bar(3000, 3),
    "sparse grid": lambda: zoo.crowd_motion(40, 40, 3),
    "one block": lambda: zoo.crowd_modelling_2d(32, 3),
}


def on_grid(grid):
    start = np.full(grid.n_states, 1 / grid.n_states)
    return mfg.grid_game(grid, start, np.zeros(grid.legal.shape), horizon=3, stay=0.3)


@kernel(i8(SEGMENTS, F1, F2, F1, F1, F2))
def along(segments, x, pi, weighted, moved, ahead):
    for block in range(segments.start.size - 1):
        kernels.add_weighted(segments, block, x, weighted)
        kernels.add_moved(segments, block, x, pi, moved)
        q = np.zeros((pi.shape[0], BLOCK))
        kernels.add_ahead(segments, block, block * BLOCK, x, q)
        for i in range(min(BLOCK, x.size - block * BLOCK)):
            ahead[:, block * BLOCK + i] = q[:, i]
    return 0


def sums(found, game):
    """Sums along segments of random numbers: weighted, moved, and ahead by action."""
    rng = np.random.default_rng(1)
    S, A = game.n_states, game.n_actions
    x, pi = rng.random(S), rng.random((A, S))
    weighted, moved, ahead = np.zeros(S), np.zeros(S), np.zeros((A, S))
    assert along(found, x, pi, weighted, moved, ahead) == 0
    return x, pi, weighted, moved, ahead


SPARSE = ("sparse", "sparse grid")


@pytest.mark.parametrize("name", [name for name in GAMES if name not in SPARSE])
def test_sums_of_moves_and_noise(name):
    game = GAMES[name]()
    models = game.models
    moves, places = models.common.moves, models.common.successors[:, 0]
    S, A = moves.shape
    chances = models.thetas[0].reshape(S, -1)
    moves_to, moves_from = segments.row_segments(models, 0)
    noise_to, noise_from = segments.noise_segments(models, 0)

    x, pi, _, moved, _ = sums(moves_to, game)
    ref = np.zeros(S)
    for s in range(S):
        for a in range(A):
            ref[moves[s, a]] += x[s] * pi[a, s]
    assert_allclose(moved, ref, atol=1e-13)

    assert_array_equal(sums(moves_from, game)[4], x[moves.T])

    ref = np.zeros(S)
    np.add.at(ref, places, x[:, None] * chances)
    assert_allclose(sums(noise_to, game)[2], ref, atol=1e-13)
    assert_allclose(sums(noise_from, game)[2], (chances * x[places]).sum(axis=1), atol=1e-13)


@pytest.mark.parametrize("name", SPARSE)
def test_sums_of_sparse_rows(name):
    game = GAMES[name]()
    models = game.models
    places = models.common.successors
    S = len(places)
    chances = models.thetas[0].reshape(places.shape)
    rows_to, rows_from = segments.row_segments(models, 0)
    x, pi, _, moved, _ = sums(rows_to, game)
    ref = np.zeros(S)
    np.add.at(ref, places, (x[:, None] * pi.T)[:, :, None] * chances)
    assert_allclose(moved, ref, atol=1e-13)
    ref = (chances * x[places]).sum(axis=2)
    assert_allclose(sums(rows_from, game)[4], ref.T, atol=1e-13)


@pytest.mark.parametrize("name", GAMES)
def test_segments_stay_within_their_blocks(name):
    models = GAMES[name]().models
    noise = segments.noise_segments(models, 0) if models.common.moves.size else ()
    for found in (*segments.row_segments(models, 0), *noise):
        target, length = found.runs[:, TARGET], found.runs[:, LENGTH]
        assert (length > 0).all()
        block = np.repeat(np.arange(found.start.size - 1), np.diff(found.start))
        assert_array_equal(target // BLOCK, block)
        assert_array_equal((target + length - 1) // BLOCK, block)
        assert found.start[-1] == len(found.runs)
    rows = segments.row_segments(models, 0)[0]
    assert rows.runs[:, LENGTH].sum() == (models.common.moves.size or (models.thetas[0] > 0).sum())


def test_games_without_runs_keep_their_tables():
    rng = np.random.default_rng(0)
    S, A, K = 60, 3, 4
    scattered = priced_game(
        np.full(S, 1 / S), np.zeros((S, A)), np.array([rng.permutation(S)[:K] for _ in range(S)]),
        rng.dirichlet(np.ones(K), S), moves=rng.integers(S, size=(S, A)), legal=np.ones((S, A), bool), horizon=3,
    )  # fmt: skip
    for game in (scattered, zoo.kinetic_congestion(), zoo.crowd_modelling_1d(3, 3), zoo.garnet(9)):
        assert segments.row_segments(game.models, 0)[0].start.size == 0
    varied = zoo.crowd_modelling_2d(40, 3).models
    rows = varied.thetas[0].reshape(1600, -1) * rng.uniform(0.9, 1.1, (1600, 1))
    varied = varied.replace(thetas=rows.reshape(1, -1))
    assert segments.row_segments(varied, 0)[0].start.size > 0
    assert segments.noise_segments(varied, 0)[0].start.size == 0


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("moves_only", [False, True])
def test_passes_are_the_same_with_and_without_segments(name, moves_only, monkeypatch):
    game = GAMES[name]()
    rng = np.random.default_rng(0)
    start = rng.dirichlet(np.ones(game.n_actions), (game.horizon, game.n_states)) * game.legal
    start /= start.sum(axis=-1, keepdims=True)
    options = {"step": 0.3, "tol": 0.0, "max_iterations": 5, "gap_every": 0, "initial_policy": start}

    def everything():
        game = GAMES[name]()  # anew: a game's tables are kept
        response = mfg.best_response(game, start)
        return mfg.condition(game, start).density, mfg.solve(game, "mirror-descent", **options).policy, response.value

    monkeypatch.setattr(passes, "PART_STATES", 100)
    with monkeypatch.context() as patch:
        if moves_only:
            patch.setattr(passes, "noise_segments", lambda models, member: (segments.NO_SEGMENTS,) * 2)
        along_segments = everything()
    monkeypatch.setattr(segments, "SHORTEST", 10_000)
    for one, other in zip(along_segments, everything(), strict=True):
        assert_allclose(one, other, atol=1e-11)
