"""Several populations on one grid: predators and prey (Perolat et al. 2022, Scaling mean field games by online mirror
descent, Section 5.4), and two crowds that avoid one another; both as OpenSpiel has them.

OpenSpiel pays a reward for the place where a step begins, and reads the start distribution of step 0 in another order
than it is stored in; here every step is paid alike. That changes no NE gap: nobody decides where agents start.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.games.checks import (
    Floats,
    Integers,
    choice,
    float_array,
    probability,
    real,
    refuse_non_distributions,
    whole,
)
from fastmfg.games.compiled import CompiledSource
from fastmfg.games.grid import Grid, merged
from fastmfg.games.layout import Layout
from fastmfg.games.model_class import ModelClass
from fastmfg.games.multi_type import MultiTypeGame
from fastmfg.games.multi_type_class import MultiTypeClass
from fastmfg.games.product import MOST_MODELS, product_class
from fastmfg.games.zoo.crowd import forbidden_cells
from fastmfg.kernels.zoo import predation

MOVES = np.array([(0, 0), (0, 1), (1, 0), (-1, 0), (0, -1)])
"""(row, column): stay, right, down, up, left, in OpenSpiel's order."""

GEOMETRIES = {"square": "stay", "torus": "torus"}
"""What a move across the border does, as `Grid` calls it."""

CYCLE = ((0.0, -1.0, 1.0), (1.0, 0.0, -1.0), (-1.0, 1.0, 0.0))
"""Three populations, each of which hunts the one before it (the first hunts the last) and flees the one after it."""

THREE_CORNERS = ((0, 0), (0, -1), (-1, 0))
CORNERS = ((0, 0), (-1, 0), (-1, -1), (0, -1))
"""(row, column): where populations start, as OpenSpiel has it for three and for four of them."""

EPSILON = 1e-25
"""Added to densities under the logarithm."""

HALL = (
    "#######",
    "#..#..#",
    "#.....#",
    "#..#..#",
    "#.....#",
    "#..#..#",
    "#######",
)
"""OpenSpiel's building: two rooms and two doors."""


def predator_prey(
    size: int = 5,
    horizon: int = 10,
    *,
    reward_matrix: ArrayLike = CYCLE,
    initial: ArrayLike | None = None,
    geometry: str = "square",
    noise_probability: float | Sequence[float] = 0.8,
    congestion_coeff: float | Sequence[float] = 1.0,
    jostling: float | Sequence[float] = 0.0,
) -> MultiTypeGame:
    """Populations that hunt and flee one another (OpenSpiel's mfg_predator_prey).

    State (x, y) of each population, stored as row y, column x. Actions (dx, dy): (0,0), (1,0), (0,1), (0,-1), (-1,0).
    With the noise probability one of the four directions follows, each alike. Population w is paid ``sum_v
    reward_matrix[w,v] mu_v(x,y) - congestion_coeff log(mu_w(x,y) + 1e-25)``.

    Parameters
    ----------
    size : int >= 2
    horizon : int >= 1
    reward_matrix : [W, W]
        Says how many populations there are.
    initial : [W, size, size] of (row y, column x)
        Start distributions, each summing to 1. By default each population starts in a corner.
    geometry : "square" or "torus"
        What leads beyond the border of a square ends at it.
    noise_probability : float in [0, 1], or one a population
        In `thetas`.
    congestion_coeff : float, or one a population
    jostling : float >= 0, or one a population
        How much likelier noise is for every unit of crowd where an agent has moved: the probability is
        ``min(1, noise_probability + jostling sum_v mu_v)``. In `thetas`. (Not in OpenSpiel.)
    """
    n, matrix = whole("size", size, 2), square_matrix("reward_matrix", reward_matrix)
    W = len(matrix)
    grid = Grid.of((n, n), border=GEOMETRIES[choice("geometry", geometry, tuple(GEOMETRIES))], moves=MOVES)
    noise = [probability("noise_probability", p) for p in a_type("noise_probability", noise_probability, W)]
    pushes = [real("jostling", x, 0.0, include_low=True) for x in a_type("jostling", jostling, W)]
    return populations_game(
        grid,
        in_corners(n, W) if initial is None else float_array("initial", initial, (W, n, n)).reshape(W, -1),
        np.zeros((W, n * n)),
        matrix,
        horizon=horizon,
        thetas=np.stack([noise, pushes], axis=1),
        congestion=[real("congestion_coeff", c, -np.inf) for c in a_type("congestion_coeff", congestion_coeff, W)],
    )


def predator_prey_class(
    noise_probability: Any = ((0.4, 0.8), (0.4, 0.8), (0.4, 0.8)),
    jostling: Any = 0.0,
    *,
    members: Any = None,
    max_models: int = MOST_MODELS,
    **parameters: Any,
) -> MultiTypeClass:
    """Candidate models of predators and prey: every population's noise and jostling may be unknown.

    Parameters
    ----------
    noise_probability, jostling : a number, or W entries
        An entry is a number or a sequence of candidates. Type w's own class holds every combination of its candidates,
        jostling varying fastest.
    members, max_models
        Of the product over populations, see `product_class`.
    **parameters
        Of `predator_prey`, the same for all models.
    """
    W = len(square_matrix("reward_matrix", parameters.get("reward_matrix", CYCLE)))
    candidates = [a_type(name, values, W) for name, values in
                  (("noise_probability", noise_probability), ("jostling", jostling))]  # fmt: skip
    own = [list(itertools.product(*(candidate_list(entries[w]) for entries in candidates))) for w in range(W)]
    for w, pairs in enumerate(own):
        if not pairs:
            raise ValueError(f"population {w} has no candidates: noise_probability and jostling need at least one each")
    classes = []
    for w in range(W):
        games = []
        for pair in own[w]:
            chosen = [own[v][0] if v != w else pair for v in range(W)]
            noise, push = zip(*chosen, strict=True)
            games.append(predator_prey(noise_probability=noise, jostling=push, **parameters))
        classes.append(MultiTypeClass(games))
    return product_class(classes, members=members, max_models=max_models)


def crowd_avoidance(
    size: int = 7,
    horizon: int = 10,
    *,
    congestion_matrix: ArrayLike = ((0.0, 1.0), (1.0, 0.0)),
    initial: ArrayLike | None = None,
    geometry: str = "square",
    proba_noise: float | Sequence[float] = 0.5,
    coef_congestion: float = 0.0,
    coef_target: float = 1.0,
    forbidden_states: Any = None,
    targets: ArrayLike = ((5, 3), (1, 3)),
) -> MultiTypeGame:
    """Two crowds that head for opposite targets and avoid one another (OpenSpiel's mfg_crowd_avoidance).

    State (x, y) of either crowd, stored as row y, column x, without walls; actions and noise as in `predator_prey`, but
    what leads into a wall stays where it is. Crowd w is paid ``coef_target`` at its target, less ``coef_congestion
    sum_v congestion_matrix[w,v] mu_v(x,y)``. At the default `coef_congestion` of 0, as in OpenSpiel, there is no game:
    crowds do not see one another.

    Parameters
    ----------
    size : int >= 2
    horizon : int >= 1
    congestion_matrix : [W, W]
        Says how many crowds there are.
    initial : [W, size, size] of (row y, column x)
        Start distributions, each summing to 1. With size 7 and two crowds they start in their rooms by default.
    geometry : "square" or "torus"
        On a torus OpenSpiel looks for walls before it wraps a move round; here after.
    proba_noise : float in [0, 1], or one a crowd
        In `thetas`.
    coef_congestion, coef_target : float
    forbidden_states : list of (x, y)
        Walls; with size 7 two rooms with two doors by default, else none.
    targets : [W, 2] of (x, y)
    """
    n, matrix = whole("size", size, 2), square_matrix("congestion_matrix", congestion_matrix)
    W = len(matrix)
    walls = hall_walls(n) if forbidden_states is None else forbidden_cells(forbidden_states, n)
    border = GEOMETRIES[choice("geometry", geometry, tuple(GEOMETRIES))]
    grid = Grid.of((n, n), walls=walls, border=border, blocked="stay", moves=MOVES)
    starts = in_rooms(n, W) if initial is None else float_array("initial", initial, (W, n, n)).reshape(W, -1)
    places = np.zeros((W, grid.n_states))
    for w, target in enumerate(cells_of(grid, "targets", targets, W)):
        places[w, target] = real("coef_target", coef_target, -np.inf)
    noise = [probability("proba_noise", p) for p in a_type("proba_noise", proba_noise, W)]
    return populations_game(
        grid,
        starts[:, grid.cells],
        places,
        -real("coef_congestion", coef_congestion, -np.inf) * matrix,
        horizon=horizon,
        thetas=np.stack([noise, np.zeros(W)], axis=1),
        congestion=[0.0] * W,
    )


def populations_game(
    grid: Grid, starts: Floats, places: Floats, attraction: Floats, *, horizon: int, thetas: Floats,
    congestion: Sequence[float],
) -> MultiTypeGame:  # fmt: skip
    """The game of `fastmfg.kernels.zoo.predation` on a grid whose first move stays.

    `starts`, `places` [W, n]; `attraction` [W, W]; `thetas` [W, 2]: noise and jostling of each population.
    """
    (W, n), steps = starts.shape, whole("horizon", horizon, 1)
    refuse_non_distributions("initial", starts)
    successors, drift = drifts(grid)
    K = successors.shape[1]
    own = (successors == np.arange(n)[:, None]).astype(np.float64)
    lifted = np.arange(W)[:, None, None] * n
    models = ModelClass.from_source(
        CompiledSource(predation.prepare, predation.fill, predation.reward),
        initial=starts.ravel() / W,
        legal=np.tile(grid.legal, (W, 1)),
        n_actions=len(grid.offsets),
        horizon=steps,
        shared=np.concatenate(
            [[W, n, K, EPSILON], congestion, *(part.ravel() for part in (attraction, places, own, drift))]
        ),
        thetas=thetas.reshape(1, -1),
        aux_size=W * n,
        successors=(lifted + successors).reshape(W * n, K),
        moves=(lifted + grid.moves).reshape(W * n, -1),
        layout=Layout.of([n] * W, [len(grid.offsets)] * W, [2] * W, [grid] * W),
    )
    return MultiTypeGame.of(MultiTypeClass.of(models), 0)


def drifts(grid: Grid) -> tuple[Integers, Floats]:
    """Places [n, K], the cell itself among them, and how likely each is when noise strikes: one of moves 1, 2, ..."""
    n, moves = grid.n_states, len(grid.offsets) - 1
    own = np.arange(n)[:, None]
    places = merged(np.hstack([own, grid.moves[:, 1:]]), np.ones((n, moves + 1)), n)[0]
    drift: Floats = (grid.moves[:, 1:, None] == places[:, None]).sum(axis=1) / moves
    return places, drift


def square_matrix(name: str, values: ArrayLike) -> Floats:
    """A matrix [W, W]."""
    matrix = float_array(name, values, (None, None))
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"{name} must be square, a row and a column a population, got {list(matrix.shape)}")
    return matrix


def a_type(name: str, value: Any, n_types: int) -> list[Any]:
    """One entry a type, from one for all or from a sequence of them."""
    if not is_sequence(value):
        return [value] * n_types
    entries = list(value)
    if len(entries) != n_types:
        raise ValueError(f"{name} must be one number, or {n_types} of them, one a population, got {len(entries)}")
    return entries


def candidate_list(entry: Any) -> list[Any]:
    """Candidates, from one or from a sequence of them."""
    return list(entry) if is_sequence(entry) else [entry]


def is_sequence(value: Any) -> bool:
    return isinstance(value, (list, tuple, range)) or np.ndim(value) > 0


def in_corners(size: int, n_types: int) -> Floats:
    """Every population starts in a corner [W, n]; the fifth in that of the first."""
    corners = THREE_CORNERS if n_types == len(THREE_CORNERS) else CORNERS
    starts = np.zeros((n_types, size, size))
    for w in range(n_types):
        starts[w][corners[w % len(corners)]] = 1.0
    return starts.reshape(n_types, -1)


def hall_walls(size: int) -> Any:
    """The walls of `HALL`, where they fit."""
    return np.array([[cell == "#" for cell in row] for row in HALL]) if size == len(HALL) else None


def in_rooms(size: int, n_types: int) -> Floats:
    """Where OpenSpiel's two crowds start [W, n]."""
    if size != len(HALL) or n_types != 2:
        raise ValueError(f"initial is needed for size {size} and {n_types} crowds: the default is for size 7 and two")
    left = np.zeros((size, size))
    left[2, 1], left[2, 2], left[4, 1] = 0.4, 0.4, 0.2
    return np.stack([left, left[::-1, ::-1]]).reshape(n_types, -1)


def cells_of(grid: Grid, name: str, cells: ArrayLike, n_types: int) -> list[int]:
    """States of cells (x, y), one a type."""
    given = np.asarray(cells)
    if given.shape != (n_types, 2):
        raise ValueError(f"{name} must have shape [{n_types}, 2], (x, y) for each crowd, got {list(given.shape)}")
    states = []
    for w, (x, y) in enumerate(given.tolist()):
        try:
            states.append(grid.state_at((y, x)))
        except (ValueError, TypeError):
            raise ValueError(f"{name}[{w}]: (x, y) = ({x}, {y}) is no free cell") from None
    return states
