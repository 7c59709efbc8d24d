"""The distance d of conditional models and its bounds (Huang, He, Krause 2024, Section 4.1).

``d_dev(M, N | pi) = E_{dev in M|pi} [ sum_h || P_M,h(.|s_h,a_h,mu_M) - P_N,h(.|s_h,a_h,mu_N) ||_1 ]``, each model at
its own density; directed: the largest over deviations; ``d(M, N | pi)``: the larger of the two directions.
``low = sum_s mu1(s) max_a gap_1(s,a)`` bounds both directions from below, ``low + sum_{h>=2} max_{s,a} gap_h``
from above.

Where rewards are unknown (Appendix C), d_dev gains ``E[ sum_h | r_M,h(s_h,a_h,mu_M) - r_N,h(s_h,a_h,mu_N) | ]``, each
at its own density, in units of the reward: gap_h gains that difference, and all of the above holds with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmfg.comparing.conditional import ConditionalClass, condition_class, condition_members
from fastmfg.executors import Tick, blocks, items_a_task, map_tasks
from fastmfg.games.checks import Floats, Integers
from fastmfg.games.game import Game
from fastmfg.games.model_class import ModelClass, require_class
from fastmfg.games.spread import spread
from fastmfg.kernels import distance as distance_kernels
from fastmfg.memory import require_numbers
from fastmfg.planning.condition import occupancies
from fastmfg.planning.evaluate import back_up_one

Wanted = NDArray[np.bool_]

SQUARES_A_SIDE, MOST_BLOCKS = 16, 64
"""For other processes pairs are cut into about so many squares a side, of so many blocks a side at most.

Whoever compares a square conditions the models on its two sides anew: the larger it is, the less that counts.
"""


def block_side(models: ModelClass) -> int:
    """Models on a side of a block of pairs."""
    return math.isqrt(items_a_task(models.row_entries, distance_kernels.PAIR_BLOCK**2))


def pair_blocks(models: ModelClass, n: int) -> Iterator[tuple[Integers, Integers]]:
    """Blocks (rows, columns) that cover the pairs i >= j of n models; the cut depends on sizes alone."""
    edges = [np.arange(block.start, block.stop) for block in blocks(n, block_side(models))]
    for a in range(len(edges)):
        for b in range(a + 1):
            yield edges[a], edges[b]


def require_pairs(n: int, matrices: int) -> None:
    """Raise MemoryError unless so many matrices [n, n] are to be had, and masks of pairs beside them."""
    advice = "neighbour_counts makes none, and takes any number of models"
    require_numbers(f"{matrices} matrices of all pairs of {n} models", n * n * (matrices + 0.5), advice)


def below_diagonal(n: int) -> Wanted:
    """The pairs i > j of n models."""
    return np.tri(n, k=-1, dtype=np.bool_)


def _map_pair_blocks(
    models: ModelClass,
    function: Callable[[Integers, Integers, Wanted], tuple[Wanted, Floats]],
    wanted: Wanted,
    tick: Tick | None = None,
) -> Iterator[tuple[Integers, Integers, Wanted, Floats]]:
    """``function(rows, columns, wanted)`` of every block that holds a wanted pair, in parallel."""
    tasks = [(rows, cols) for rows, cols in pair_blocks(models, len(wanted)) if wanted[np.ix_(rows, cols)].any()]

    def run(task: tuple[Integers, Integers]) -> tuple[Wanted, Floats]:
        rows, cols = task
        return function(rows, cols, np.ascontiguousarray(wanted[np.ix_(rows, cols)]))

    for done, ((rows, cols), (left, values)) in enumerate(zip(tasks, map_tasks(run, tasks), strict=True), start=1):
        if tick is not None:
            tick(done, len(tasks))
        yield rows, cols, left, values


def directed_distances(conditional: ConditionalClass, wanted: Wanted | None = None, tick: Tick | None = None) -> Floats:
    """``[n, n]``, row M, column N: the largest ``d_dev(M, N | pi)`` over deviations; NaN for pairs not wanted."""
    n = conditional.members.size
    require_pairs(n, 2)
    pairs = below_diagonal(n) if wanted is None else (wanted | wanted.T) & below_diagonal(n)
    result = np.full((n, n), np.nan)
    np.fill_diagonal(result, 0.0)
    f = conditional.models

    def distances(rows: Integers, cols: Integers, block: Wanted) -> tuple[Wanted, Floats]:
        out = np.full((*block.shape, 2), np.nan)
        status = distance_kernels.block_distances(*conditional.arrays, rows, cols, block, out)
        f.refuse_status(status, "comparing models")
        return block, out

    for rows, cols, block, out in _map_pair_blocks(f, distances, pairs, tick):
        i, j = np.nonzero(block)
        result[rows[i], cols[j]] = out[i, j, 0]
        result[cols[j], rows[i]] = out[i, j, 1]
    return result


def distances_to(conditional: ConditionalClass, targets: Integers, tick: Tick | None = None) -> Floats:
    """Exact distances d [n, k] of all n models of a conditional class to k of them, given by position.

    Numbers are those of `distance_matrix` to the last bit; only these n k pairs are compared. `tick(done, total)`
    reports progress.
    """
    f, n = conditional.models, conditional.members.size
    side = block_side(f)
    distances = np.zeros((n, targets.size))
    tasks = [(rows, cols) for rows in blocks(n, side) for cols in blocks(targets.size, side)]

    def compare(task: tuple[range, range]) -> Floats:
        rows, cols = (np.arange(part.start, part.stop) for part in task)
        wanted = rows[:, None] != targets[cols]
        out = np.zeros((*wanted.shape, 2))
        status = distance_kernels.block_distances(*conditional.arrays, rows, targets[cols], wanted, out)
        f.refuse_status(status, "comparing models")
        return np.where(wanted, out.max(axis=2), 0.0)

    for done, ((rows, cols), found) in enumerate(zip(tasks, map_tasks(compare, tasks), strict=True), start=1):
        distances[rows.start : rows.stop, cols.start : cols.stop] = found
        if tick is not None:
            tick(done, len(tasks))
    return distances


def distance_matrix(
    models: ModelClass, policy: ArrayLike, directed: bool = False, tick: Tick | None = None, executor: Any = None
) -> Floats:
    """Exact distances ``[M, M]`` of all models of a class under one reference policy [H, S, A].

    Directed: ``[j, k] = max_dev d_dev(M_j, M_k | policy)``, trajectories from M_j. Otherwise the symmetric d, the
    larger of the two directions. Values lie in [0, 2H] where rewards are known; the diagonal is 0. `tick(done, total)`
    reports progress.
    `executor`: where the work is done (`fastmfg.remote`), in this process's threads by default.
    """
    if executor is None:
        distances = directed_distances(condition_class(models, policy), tick=tick)
    else:
        distances = _distances_elsewhere(models, policy, executor, tick)
    return distances if directed else np.maximum(distances, distances.T)


def _distances_elsewhere(models: ModelClass, policy: ArrayLike, executor: Any, tick: Tick | None) -> Floats:
    require_class("models", models)
    pi = models.policy("policy", policy)
    squares = pair_squares(models, len(models))
    require_pairs(len(models), 2)
    distances = np.empty((len(models), len(models)))
    found = spread(partial(_square_distances, policy=pi), models, squares, executor, tick)
    for (rows, cols), (down, across) in zip(squares, found, strict=True):
        distances[rows.start : rows.stop, cols.start : cols.stop] = down
        distances[cols.start : cols.stop, rows.start : rows.stop] = across
    return distances


def _square_distances(models: ModelClass, square: tuple[range, range], policy: Floats) -> tuple[Floats, Floats]:
    """Directed distances of a square: from the rows' models [R, C], from the columns' [C, R]."""
    conditional, wanted, c = condition_square(models, policy, *square)
    distances = directed_distances(conditional, wanted)
    return distances[c:, : len(square[1])], distances[: len(square[1]), c:]


def pair_squares(models: ModelClass, n: int) -> list[tuple[range, range]]:
    """Squares (rows, columns) that cover the pairs i >= j of n models, made of whole blocks of `pair_blocks`."""
    side = block_side(models)
    edges = blocks(n, side * max(1, min(MOST_BLOCKS, n // (side * SQUARES_A_SIDE))))
    return [(edges[a], edges[b]) for a in range(len(edges)) for b in range(a + 1)]


def condition_square(
    models: ModelClass, policy: Floats, rows: range, cols: range
) -> tuple[ConditionalClass, Wanted, int]:  # fmt: skip
    """The models of a square, those of the columns first; its pairs i > j; the position of its first row.

    Blocks start where they do among all models, so that numbers are the same to the last bit.
    """
    if rows == cols:
        conditional = condition_members(models, policy, np.arange(rows.start, rows.stop))
        return conditional, below_diagonal(len(rows)), 0
    conditional = condition_members(models, policy, np.concatenate([cols, rows]).astype(np.int64))
    wanted = np.zeros((conditional.members.size, conditional.members.size), dtype=np.bool_)
    wanted[len(cols) :, : len(cols)] = True
    return conditional, wanted, len(cols)


def bound_low(conditional: ConditionalClass, radius: float, wanted: Wanted) -> tuple[Floats, Wanted]:
    """`low` of the wanted pairs i > j, and which of them it leaves at or under `radius`; others hold a partial sum."""
    n = conditional.members.size
    require_pairs(n, 2)
    low, under = np.zeros((n, n)), np.zeros((n, n), dtype=np.bool_)
    f = conditional.models
    order = np.argsort(-f.common.initial, kind="stable")

    def bounds(rows: Integers, cols: Integers, block: Wanted) -> tuple[Wanted, Floats]:
        out = np.zeros(block.shape)
        status = distance_kernels.block_lower_bounds(*conditional.arrays, order, rows, cols, block, radius, out)
        f.refuse_status(status, "comparing models")
        return block, out

    for rows, cols, block, out in _map_pair_blocks(f, bounds, wanted):
        low[np.ix_(rows, cols)] = out
        under[np.ix_(rows, cols)] = block
    return low, under


def bound_high(conditional: ConditionalClass, radius: float, wanted: Wanted, low: Floats) -> tuple[Floats, Wanted]:
    """The upper bound of the wanted pairs, and which of them it puts at or under `radius`; others are given up."""
    n = conditional.members.size
    high, under = np.full((n, n), np.inf), np.zeros((n, n), dtype=np.bool_)
    f = conditional.models

    def bounds(rows: Integers, cols: Integers, block: Wanted) -> tuple[Wanted, Floats]:
        out = np.ascontiguousarray(low[np.ix_(rows, cols)])
        status = distance_kernels.block_upper_bounds(*conditional.arrays, rows, cols, block, radius, out)
        f.refuse_status(status, "comparing models")
        return block, out

    for rows, cols, block, out in _map_pair_blocks(f, bounds, wanted):
        high[np.ix_(rows, cols)] = np.where(block, out, np.inf)
        under[np.ix_(rows, cols)] = block
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
