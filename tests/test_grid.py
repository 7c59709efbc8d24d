"""Grids: where moves and noise lead, against plain loops; pictures; errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import fastmfg as mfg
from fastmfg import Grid
from fastmfg.games.grid import merged

SHAPES = [(1,), (2,), (7,), (1, 3), (4, 5), (2, 2), (3, 2, 4)]
RULES = [(border, blocked) for border in ("torus", "stay", "illegal") for blocked in ("illegal", "stay")]


def walls_of(shape, seed=0):
    """About a fifth of the cells, never the first."""
    walls = np.random.default_rng(seed).random(shape) < 0.2
    walls[(0,) * len(shape)] = False
    return walls


def moved(shape, walls, border, blocked, cell, offset):
    """Where one move leads, and whether it is legal."""
    target = [c + d for c, d in zip(cell, offset, strict=True)]
    if border != "torus" and any(not 0 <= t < n for t, n in zip(target, shape, strict=True)):
        return cell, border == "stay"
    target = tuple(t % n for t, n in zip(target, shape, strict=True))
    return (cell, blocked == "stay") if walls[target] else (target, True)


def free_cells(walls):
    return [cell for cell in np.ndindex(walls.shape) if not walls[cell]]


def offsets_of(axes):
    """Moves with jumps, diagonals and a repetition; one of them stays."""
    one = np.eye(axes, dtype=int)
    return np.vstack([one[:1], 0 * one[:1], -one, 2 * one, [[1] * axes], one[:1]])


@pytest.mark.parametrize(("border", "blocked"), RULES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("jumps", [False, True])
def test_moves(shape, border, blocked, jumps):
    walls = walls_of(shape)
    grid = Grid.of(shape, walls=walls, border=border, blocked=blocked, moves=offsets_of(len(shape)) if jumps else None)
    cells = free_cells(walls)
    assert grid.n_states == len(cells)
    assert grid.shape == shape
    assert_array_equal(grid.position, cells)
    assert_array_equal(grid.cells, [np.ravel_multi_index(cell, shape) for cell in cells])
    assert_array_equal(grid.move_length, [sum(abs(int(d)) for d in offset) for offset in grid.offsets])
    for s, cell in enumerate(cells):
        assert grid.state_at(cell) == s
        for a, offset in enumerate(grid.offsets.tolist()):
            target, legal = moved(shape, walls, border, blocked, cell, offset)
            assert grid.legal[s, a] == legal
            if legal:
                assert cells[grid.moves[s, a]] == target
    assert ((grid.moves >= 0) & (grid.moves < len(cells))).all()


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_default_moves(axes):
    offsets = Grid.of((3,) * axes).offsets.tolist()
    assert offsets[0] == [0] * axes
    assert len(offsets) == 1 + 2 * axes
    assert {tuple(offset) for offset in offsets[1:]} == {
        tuple(sign * (i == axis) for i in range(axes)) for axis in range(axes) for sign in (-1, 1)
    }


def test_walls_as_an_array_or_as_cells():
    walls = walls_of((4, 5))
    ref, comp = (Grid.of((4, 5), walls=w) for w in (walls, np.argwhere(walls).tolist()))
    for name in ("cells", "position", "moves", "legal"):
        assert_array_equal(getattr(comp, name), getattr(ref, name))
    assert Grid.of((4, 5), walls=[]).n_states == Grid.of((4, 5)).n_states == 20


# Noise


def drifted(grid, s, stay, weights):
    """Probabilities of where noise leads from one state."""
    legal = [a for a in range(len(grid.offsets)) if grid.legal[s, a]]
    total = sum(weights[a] for a in legal)
    chances = {s: stay if total > 0 else 1.0}
    for a in legal:
        if total > 0:
            target = int(grid.moves[s, a])
            chances[target] = chances.get(target, 0.0) + (1 - stay) * weights[a] / total
    return chances


@pytest.mark.parametrize(("border", "blocked"), RULES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_noise(shape, border, blocked, weighted):
    axes = len(shape)
    grid = Grid.of(shape, walls=walls_of(shape, 1), border=border, blocked=blocked, moves=offsets_of(axes))
    weights = np.arange(len(grid.offsets)) % 3 if weighted else np.ones(len(grid.offsets))
    for stay in (0.0, 0.25, 1.0):
        places, chances = grid.noise(stay, weights if weighted else None)
        assert places.shape == chances.shape
        assert ((places >= 0) & (places < grid.n_states)).all()
        assert (chances >= 0).all()
        assert_allclose(chances.sum(axis=1), 1.0, atol=1e-14)
        for s in range(grid.n_states):
            assert len(set(places[s].tolist())) == places.shape[1]
            row = dict(zip(places[s].tolist(), chances[s].tolist(), strict=True))
            ref = drifted(grid, s, stay, weights)
            for target in row.keys() | ref.keys():
                assert row.get(target, 0.0) == pytest.approx(ref.get(target, 0.0), abs=1e-15)


def test_noise_without_weights_stays():
    places, chances = Grid.of((4,)).noise(0.3, [0, 0, 0])
    assert_array_equal(places[:, 0], np.arange(4))
    assert_array_equal(chances, np.ones((4, 1)))


@st.composite
def repeated_rows(draw):
    """States [n, k] with repetitions, and chances."""
    S, n, k = draw(st.integers(1, 6)), draw(st.integers(1, 5)), draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    chances = rng.dirichlet(np.ones(k), n) if draw(st.booleans()) else rng.multinomial(4, np.full(k, 1 / k), n) / 4.0
    return rng.integers(0, S, (n, k)), chances, S


@given(repeated_rows())
def test_merged_rows(case):
    places, chances, S = case
    distinct, sums = merged(places, chances, S)
    assert distinct.shape == sums.shape
    assert distinct.shape[1] <= min(S, places.shape[1])
    assert ((distinct >= 0) & (distinct < S)).all()
    for i in range(len(places)):
        assert len(set(distinct[i].tolist())) == distinct.shape[1]
        ref, comp = np.zeros(S), np.zeros(S)
        np.add.at(ref, places[i], chances[i])
        comp[distinct[i]] = sums[i]
        assert_allclose(comp, ref, atol=1e-15)
    needed = [len(set(p[c > 0].tolist())) for p, c in zip(places, chances, strict=True)]
    assert distinct.shape[1] == max(needed)


@given(repeated_rows())
def test_merging_twice_changes_nothing(case):
    once = merged(*case)
    twice = merged(*once, case[2])
    for i in range(len(once[0])):
        assert dict(zip(*map(np.ndarray.tolist, (twice[0][i], twice[1][i])), strict=True)) == dict(
            zip(*map(np.ndarray.tolist, (once[0][i], once[1][i])), strict=True)
        )


# Pictures


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("ahead", [(), (3,), (2, 3)], ids=str)
def test_pictures(shape, ahead):
    walls = walls_of(shape, 2)
    grid = Grid.of(shape, walls=walls, border="stay", blocked="stay")
    values = np.random.default_rng(0).standard_normal((*ahead, grid.n_states))
    image = grid.picture(values)
    assert image.shape == (*ahead, *shape)
    assert np.isnan(image[..., walls]).all()
    for s, cell in enumerate(free_cells(walls)):
        assert_array_equal(image[(..., *cell)], values[..., s])


@pytest.mark.parametrize("values", [np.ones(3), np.ones((2, 5)), np.ones(1), 1.0])
def test_pictures_of_other_sizes(values):
    with pytest.raises(ValueError, match="4"):
        Grid.of((4,)).picture(values)


# Bad input


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"shape": (2, 2), "walls": np.ones((2, 2), bool)}, ValueError, "walls leave no free cell"),
        ({"shape": (3,), "walls": [[1]], "moves": [[1]]}, ValueError, r"cell \[0\] has no legal move"),
        ({"shape": (2, 2), "border": "illegal", "moves": [[0, 1]]}, ValueError, r"cell \[0, 1\] has no legal move"),
        ({"shape": (0, 2)}, ValueError, r"shape\[0\] must be at least 1, got 0"),
        ({"shape": (2, -1)}, ValueError, r"shape\[1\] must be at least 1, got -1"),
        ({"shape": (2, 1.5)}, TypeError, r"shape\[1\] must be a whole number, got 1\.5"),
        ({"shape": ()}, ValueError, "shape"),
        ({"shape": (3,), "border": "tours"}, ValueError, r"border: did you mean 'torus'\? It must be one of"),
        ({"shape": (3,), "blocked": "torus"}, ValueError, "blocked must be one of 'stay', 'illegal', got 'torus'"),
        ({"shape": (3,), "moves": [0, 1]}, ValueError, r"moves must have shape \[A, 1\], got \[2\]"),
        ({"shape": (3, 3), "moves": [[0], [1]]}, ValueError, r"moves must have shape \[A, 2\], got \[2, 1\]"),
        ({"shape": (3,), "moves": np.zeros((0, 1), int)}, ValueError, r"moves must have shape \[A, 1\], got \[0, 1\]"),
        ({"shape": (3,), "moves": [[0.5], [1.0]]}, TypeError, "moves must hold whole numbers"),
        ({"shape": (3, 4), "walls": np.zeros((4, 3), bool)}, ValueError, r"walls must have shape \[3, 4\], got"),
        ({"shape": (3, 4), "walls": [(0, 1), (3, 0)]}, ValueError, r"walls\[1\]\[0\] is 3: must lie in 0\.\.2"),
        ({"shape": (3, 4), "walls": [(0, -1)]}, ValueError, r"walls\[0\]\[1\] is -1: must lie in 0\.\.3"),
        ({"shape": (3, 4), "walls": [(0.0, 1.0)]}, TypeError, r"walls.* must hold whole numbers"),
        ({"shape": (3, 4), "walls": [(0, 1, 2)]}, ValueError, "walls"),
        ({"shape": (3, 4), "walls": [(0, 1, 2, 3)]}, ValueError, "walls"),
        ({"shape": (3, 4), "walls": [(0, 1), (2,)]}, ValueError, "walls"),
    ],
)  # fmt: skip
def test_bad_grids(arguments, error, message):
    with pytest.raises(error, match=message):
        Grid.of(**arguments)


@pytest.mark.parametrize(
    ("stay", "error"), [(-0.1, ValueError), (1.1, ValueError), (np.nan, ValueError), ("1", TypeError)]
)
def test_bad_chances_to_stay(stay, error):
    with pytest.raises(error, match=r"stay must lie in \[0, 1\]" if error is ValueError else "stay must be a number"):
        Grid.of((3,)).noise(stay)


@pytest.mark.parametrize("weights", [[1, 1], [[1, 1, 1]], [1, -0.5, 1], [1, np.nan, 1], [1, np.inf, 1]], ids=str)
def test_bad_weights(weights):
    with pytest.raises(ValueError, match="weights"):
        Grid.of((3,)).noise(0.5, weights)


@pytest.mark.parametrize("cell", [(1, 1), (0, 9), (0,), (0, 0, 0)], ids=str)
def test_cells_that_are_no_states(cell):
    with pytest.raises(ValueError, match=r"cell \[.*\] is not a free cell of a grid of shape \[3, 4\]"):
        Grid.of((3, 4), walls=[(1, 1)]).state_at(cell)


def test_cells_that_are_no_cells():
    with pytest.raises(ValueError, match="cell must be at least 0, got -1"):
        Grid.of((3,)).state_at((-1,))
    with pytest.raises(TypeError, match=r"cell must be a whole number, got 0\.5"):
        Grid.of((3,)).state_at((0.5,))


# Games on grids


def test_a_grid_game_is_factored_with_the_grids_moves():
    grid = Grid.of((3, 3), walls=[(1, 1)], border="illegal")
    rng = np.random.default_rng(0)
    base, last, price = rng.standard_normal((3, 8, 5))
    start = np.full(8, 1 / 8)
    game = mfg.grid_game(
        grid, start, base, horizon=3, stay=0.4, noise_weights=[1, 2, 3, 4, 5], last_base=last, crowd_aversion=0.7,
        epsilon=1e-3, congestion=price,
    )  # fmt: skip
    assert game.grid is grid
    assert_array_equal(game.legal, grid.legal)
    P = game.transition(1, start)
    for s, a in np.argwhere(grid.legal):
        ref = np.zeros(8)
        for target, p in drifted(grid, int(grid.moves[s, a]), 0.4, [1, 2, 3, 4, 5]).items():
            ref[target] += p
        assert_allclose(P[s, a], ref, atol=1e-15)


@pytest.mark.parametrize(
    "changes",
    [
        {"base": np.zeros((3, 3))},
        {"base": np.zeros((5, 3))},
        {"base": np.zeros((4, 2))},
        {"last_base": np.zeros((3, 3))},
        {"congestion": np.zeros((4, 1))},
        {"initial": np.full(5, 0.2)},
        {"initial": np.full(3, 1 / 3)},
        {"base": np.full((4, 3), np.nan)},
        {"horizon": 0},
        {"stay": 2.0},
        {"epsilon": 0.0},
        {"crowd_aversion": np.inf},
    ],
    ids=lambda changes: f"{next(iter(changes))} {np.shape(next(iter(changes.values())))}",
)
def test_bad_grid_games(changes):
    arguments = {
        "grid": Grid.of((4,)),
        "initial": np.full(4, 0.25),
        "base": np.zeros((4, 3)),
        "horizon": 2,
        "stay": 0.5,
    }
    with pytest.raises(ValueError, match=next(iter(changes))):
        mfg.grid_game(**arguments | changes)


def test_games_of_a_class_lie_on_its_grid():
    """However the class was made, and whatever part of it is taken."""
    made = mfg.zoo.classes.crowd_modelling_2d(size=4, horizon=2, noise_intensity=[0.5, 0.8, 1.0])
    grid = mfg.zoo.crowd_modelling_2d(size=4, horizon=2).grid
    called = mfg.ModelClass([wrapped(game) for game in made])
    for models in (made, made[1:], made[[2, 0]], mfg.ModelClass(list(made)), called, called[:2]):
        for game in models:
            assert game.grid is not None and game.grid.shape == grid.shape
            assert_array_equal(game.grid.picture(game.initial), grid.picture(made.initial))
    assert all(game.grid is None for game in mfg.linear_class(2, 3, 2))


def wrapped(game):
    """The same game, written in NumPy."""
    return mfg.Game(game.initial, game.transition, game.reward, horizon=game.horizon, legal=game.legal, grid=game.grid)
