"""The distance d of conditional models and its bounds (Huang, He, Krause 2024, Section 4.1).

``d_dev(M, N | pi) = E_{dev in M|pi} [ sum_h || P_M,h(.|s_h,a_h,mu_M) - P_N,h(.|s_h,a_h,mu_N) ||_1 ]``, each model at
its own density; directed: the largest over deviations; ``d(M, N | pi)``: the larger of the two directions.
``low = sum_s mu1(s) max_a gap_1(s,a)`` bounds both directions from below, ``low + sum_{h>=2} max_{s,a} gap_h``
from above.

Where rewards are unknown (Appendix C), d_dev gains ``E[ sum_h | r_M,h(s_h,a_h,mu_M) - r_N,h(s_h,a_h,mu_N) | ]``, each
at its own density, in units of the reward: gap_h gains that difference, and all of the above holds with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.comparing.conditional import ConditionalClass, condition_class
from fastmfg.comparing.tiles import Tiles, Wanted, below_diagonal, start_order, tile_distances, wanted_pairs
from fastmfg.executors import Executor, Tick, blocks, map_tasks
from fastmfg.games.checks import Floats, Integers
from fastmfg.games.game import Game
from fastmfg.games.model_class import ModelClass
from fastmfg.kernels import distance as distance_kernels
from fastmfg.memory import require_numbers
from fastmfg.planning.condition import occupancies
from fastmfg.planning.evaluate import back_up_one


def require_pairs(n: int, matrices: int) -> None:
    """Raise MemoryError unless so many matrices [n, n] are to be had, and masks of pairs beside them."""
    advice = "neighbour_counts makes none, and takes any number of models"
    require_numbers(f"{matrices} matrices of all pairs of {n} models", n * n * (matrices + 0.5), advice)


def _bounded(
    conditional: ConditionalClass, bounds: Callable[..., tuple[Wanted, Floats]], wanted: Wanted
) -> Iterator[tuple[tuple[Any, ...], Wanted, Floats]]:
    """``bounds(conditional, rows, columns, wanted)`` of every block that holds a wanted pair; indices of each block."""
    tiles = Tiles.of(conditional)
    tasks = [(rows, cols, np.ascontiguousarray(wanted[np.ix_(rows, cols)])) for rows, cols in tiles.pairs()]
    tasks = [task for task in tasks if task[2].any()]
    for (rows, cols, _), (left, values) in zip(tasks, tiles.map(bounds, tasks), strict=True):
        yield np.ix_(rows, cols), left, values


def directed_distances(conditional: ConditionalClass, wanted: Wanted | None = None) -> Floats:
    """``[n, n]``, row M, column N: the largest ``d_dev(M, N | pi)`` over deviations; NaN for pairs not wanted."""
    pairs = None if wanted is None else (wanted | wanted.T) & below_diagonal(conditional.members.size)
    return _directed(Tiles.of(conditional), pairs)


def _directed(tiles: Tiles, wanted: Wanted | None = None) -> Floats:
    """Directed distances of the wanted pairs i > j, all of them by default, and of those the other way round."""
    n = len(tiles)
    require_pairs(n, 2)
    result = np.full((n, n), np.nan)
    np.fill_diagonal(result, 0.0)
    tasks = [(r, c, None if wanted is None else wanted[np.ix_(r, c)]) for r, c in tiles.pairs()]
    tasks = [task for task in tasks if task[2] is None or task[2].any()]
    for (rows, cols, block), found in zip(tasks, tiles.map(tile_distances, tasks), strict=True):
        i, j = np.nonzero(wanted_pairs(rows, cols) if block is None else block)
        result[rows[i], cols[j]] = found[i, j, 0]
        result[cols[j], rows[i]] = found[i, j, 1]
    return result


def distances_to(conditional: ConditionalClass, targets: Integers, tick: Tick | None = None) -> Floats:
    """Exact distances d [n, k] of all n models of a conditional class to k of them, given by position.

    Numbers are those of `distance_matrix` to the last bit; only these n k pairs are compared. `tick(done, total)`
    reports progress.
    """
    tiles = Tiles.of(conditional, tick)
    columns = [np.arange(block.start, block.stop) for block in blocks(targets.size, tiles.window)]
    cuts = [(rows, cols) for rows in tiles.stretches() for cols in columns]
    tasks = [(rows, targets[cols], np.not_equal.outer(rows, targets[cols])) for rows, cols in cuts]
    distances = np.zeros((len(tiles), targets.size))
    for (rows, cols), (_, _, wanted), found in zip(cuts, tasks, tiles.map(tile_distances, tasks), strict=True):
        distances[np.ix_(rows, cols)] = np.where(wanted, found.max(axis=2), 0.0)
    return distances


def distance_matrix(
    models: ModelClass, policy: ArrayLike, directed: bool = False, tick: Tick | None = None,
    executor: Executor | None = None,
) -> Floats:  # fmt: skip
    """Exact distances ``[M, M]`` of all models of a class under one reference policy [H, S, A].

    Directed: ``[j, k] = max_dev d_dev(M_j, M_k | policy)``, trajectories from M_j. Otherwise the symmetric d, the
    larger of the two directions. Values lie in [0, 2H] where rewards are known; the diagonal is 0. `tick(done, total)`
    reports progress.
    `executor`: where the work is done (`fastmfg.remote`), in this process's threads by default.
    """
    distances = _directed(Tiles.of_class(models, policy, executor, tick))
    return distances if directed else np.maximum(distances, distances.T)


def bound_low(conditional: ConditionalClass, radius: float, wanted: Wanted) -> tuple[Floats, Wanted]:
    """`low` of the wanted pairs i > j, and which of them it leaves at or under `radius`; others hold a partial sum."""
    n = conditional.members.size
    require_pairs(n, 2)
    low, under = np.zeros((n, n)), np.zeros((n, n), dtype=np.bool_)
    f = conditional.models
    order = start_order(f)

    def bounds(_: ConditionalClass, rows: Integers, cols: Integers, block: Wanted) -> tuple[Wanted, Floats]:
        out = np.zeros(block.shape)
        status = distance_kernels.block_lower_bounds(*conditional.arrays, order, rows, cols, block, radius, out)
        f.refuse_status(status, "comparing models")
        return block, out

    for at, block, out in _bounded(conditional, bounds, wanted):
        low[at], under[at] = out, block
    return low, under


def bound_high(conditional: ConditionalClass, radius: float, wanted: Wanted, low: Floats) -> tuple[Floats, Wanted]:
    """The upper bound of the wanted pairs, and which of them it puts at or under `radius`; others are given up."""
    n = conditional.members.size
    high, under = np.full((n, n), np.inf), np.zeros((n, n), dtype=np.bool_)
    f = conditional.models

    def bounds(_: ConditionalClass, rows: Integers, cols: Integers, block: Wanted) -> tuple[Wanted, Floats]:
        out = np.ascontiguousarray(low[np.ix_(rows, cols)])
        status = distance_kernels.block_upper_bounds(*conditional.arrays, rows, cols, block, radius, out)
        f.refuse_status(status, "comparing models")
        return block, out

    for at, block, out in _bounded(conditional, bounds, wanted):
        high[at], under[at] = np.where(block, out, np.inf), block
    return high, under


def lower_bounds(models: ModelClass, policy: ArrayLike) -> Floats:
    """``low(M, N) = sum_s mu1(s) max_a gap_1(s,a)`` for all pairs, [M, M], symmetric.

    At most either directed distance; the same for every policy, as every density starts at mu1 (for games that see the
    joint population it holds for `policy` only).
    """
    conditional = condition_class(models, policy)
    low, _ = bound_low(conditional, np.inf, below_diagonal(len(models)))
    return low + low.T


def upper_bounds(models: ModelClass, policy: ArrayLike) -> Floats:
    """``low(M, N) + sum_{h>=2} max_{s,a} gap_h(s,a)`` for all pairs, [M, M], symmetric: at least d."""
    conditional = condition_class(models, policy)
    pairs = below_diagonal(len(models))
    low, _ = bound_low(conditional, np.inf, pairs)
    high, _ = bound_high(conditional, np.inf, pairs, low)
    high[~pairs] = 0.0
    return high + high.T


def row_gaps(conditional: ConditionalClass, m: int, n: int) -> Floats:
    """``gap_h(s,a)`` [H, S, A] of the models at two positions."""
    f = conditional.models
    gap = np.empty((f.horizon, f.n_states, f.n_actions))
    status = distance_kernels.row_gaps(*conditional.arrays, m, n, gap)
    f.refuse_status(status, "comparing models")
    return gap


def pair_deviation(conditional: ConditionalClass, m: int, n: int) -> tuple[float, Integers]:
    """The directed distance from position m to n, and the actions [H, S] of the deviation that attains it."""
    game: Game = conditional.models[int(conditional.members[m])]
    gaps = row_gaps(conditional, m, n)[None]
    values = back_up_one(game, conditional.aux[[m]], gaps, game.uniform_policy())
    return float(values.best_return[0]), values.greedy[0]


def deviation_distances(conditional: ConditionalClass, deviations: Floats) -> Floats:
    """``d_dev(M, N | pi)`` [D, n, n] of given deviations [D, H, S, A]: policy evaluation instead of a maximum."""
    f, n, D = conditional.models, conditional.members.size, len(deviations)
    require_pairs(n, D)
    result = np.zeros((D, n, n))
    dev = np.arange(D, dtype=np.int64)
    flat = deviations.reshape(D, f.horizon, f.n_states, f.n_actions)

    def visits(m: int) -> Floats:
        aux = np.repeat(conditional.aux[[m]], D, axis=0)
        reached = occupancies(f, np.repeat(conditional.members[[m]], D), aux, flat, dev)
        return (reached[..., None] * flat).reshape(D, -1)

    def column(m: int) -> Floats:
        gaps = np.stack([row_gaps(conditional, m, k).ravel() for k in range(n)])
        return visits(m) @ gaps.T

    for m, values in enumerate(map_tasks(column, range(n))):
        result[:, m, :] = values
    return result
