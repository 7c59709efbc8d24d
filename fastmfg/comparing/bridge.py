"""Bridge models: policy-aware models whose equilibria are near equilibria of their own central model.

*Over a cover* (Huang, He, Krause 2024, Alg. 3): at a policy pi, the average of the tables of ``Ctr(c; C) | c`` over the
points c of a cover of the policy space, with weights ``max(0, 2 eps_bar - d_inf1(pi, c))``, normalised, where
``d_inf1(pi, c) = max_{h,s} || pi_h(.|s) - c_h(.|s) ||_1`` and ``eps_bar = 2 (A-1) / N`` for the grid ``{k/N}``.
Only cells (h, s) that can move a density are covered (`fastmfg.comparing.cells`).

*Soft*, without a cover: ``kappa_M(pi) = sum_N clip(((1+rho) radius - d(M,N|pi)) / (rho radius), 0, 1)``, weights
``max(0, kappa_M - max kappa + 1/2)``, normalised, and the average of the models' own tables at pi. It is continuous.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmfg.comparing.cells import moving_cells
from fastmfg.comparing.conditional import ConditionalClass, condition_members
from fastmfg.comparing.distance import bound_low, directed_distances
from fastmfg.comparing.neighbourhood import find_neighbourhoods
from fastmfg.comparing.pivots import ROUNDING
from fastmfg.comparing.tiles import below_diagonal
from fastmfg.executors import blocks, items_a_task, map_tasks
from fastmfg.games.checks import Floats, Integers, index_array, policy_array, real, whole
from fastmfg.games.compiled import CompiledSource
from fastmfg.games.game import OfClass
from fastmfg.games.model_class import ModelClass, member_indices, require_class
from fastmfg.kernels import cover as cover_kernels
from fastmfg.memory import require_numbers

MOST_POINTS = 10_000_000
"""Points of a cover that are looked at, at most."""

MOST_LOCAL_POINTS = 1_000_000
"""Points of a cover that one policy is averaged over, at most."""

POINTS_A_TASK = 4096
"""Points whose central models one call of the kernel looks for, at most."""


def average_tables(conditional: ConditionalClass, weights: Floats) -> tuple[Floats, Floats]:
    """Weighted sums of the models' transitions [H, S, A, S] and rewards [H, S, A], each at its own density."""
    models = conditional.models
    chosen = np.flatnonzero(weights)
    some = conditional.restrict(chosen)
    policies, zeros = conditional.policy[None], np.zeros(chosen.size, dtype=np.int64)
    rewards = models.rewards(some.members, some.density, policies, zeros)
    rows = np.zeros((models.horizon, models.n_states, models.n_actions, models.n_states))
    _add_rows(models, some.members, some.aux, weights[chosen], rows)
    return rows, weighted_sum(weights[chosen], rewards)


def weighted_sum(weights: Floats, tables: Floats) -> Floats:
    """``sum_m w_m r_m`` of tables [n, H, S, A]; no BLAS, whose sums depend on its threads."""
    total: Floats = (weights[:, None, None, None] * tables).sum(axis=0)
    return total


def _add_rows(models: ModelClass, members: Integers, aux: Floats, weights: Floats, rows: Floats) -> None:
    status = cover_kernels.weighted_rows(models.fill, models.common, models.thetas, members, aux, weights, rows)
    models.refuse_status(status, "averaging models")


class _Bridge(OfClass):
    """What all bridge models are: policy-aware models of some members of a class."""

    def __init__(self, models: ModelClass, radius: float, candidates: ArrayLike | None) -> None:
        self.models = require_class("models", models)
        n = len(models)
        every = np.arange(n, dtype=np.int64)
        self.members = every if candidates is None else np.sort(member_indices("candidates", candidates, n))
        self.radius = real("radius", radius, 0.0)

    def tables(self, policy: Floats) -> tuple[Floats, Floats]:
        """Transition [H, S, A, S] and reward [H, S, A] under a policy [H, S, A]."""
        raise NotImplementedError

    def transition(self, h: int, policy: ArrayLike) -> Floats:
        """``P_h(. | s, a, policy)`` [S, A, S]."""
        rows: Floats = self.tables(policy_array("policy", policy, self.legal, self.horizon))[0][h]
        return rows

    def reward(self, h: int, policy: ArrayLike) -> Floats:
        """``r_h(s, a, policy)`` [S, A]."""
        rewards: Floats = self.tables(policy_array("policy", policy, self.legal, self.horizon))[1][h]
        return rewards


def distances_within(conditional: ConditionalClass, reach: float) -> Floats:
    """Symmetric distances [n, n]: exact up to `reach`, and exact or infinite beyond."""
    n = conditional.members.size
    slack = ROUNDING * conditional.models.horizon
    _, open_pairs = bound_low(conditional, reach + slack, below_diagonal(n))
    directed = directed_distances(conditional, open_pairs)
    symmetric = np.maximum(directed, directed.T)
    distances: Floats = np.where(np.isnan(symmetric), np.inf, symmetric)
    return distances


class SoftBridge(_Bridge):
    """The soft bridge model of a class (or of some `candidates`): averages the models near the largest kappa.

    Parameters
    ----------
    models : ModelClass
    radius : float > 0
        Radius of neighbourhoods, eps_0.
    softness : float > 0
        rho: a neighbour counts fully within the radius, and not at all from (1 + rho) radius on.
    candidates : indices, optional
    """

    def __init__(
        self, models: ModelClass, radius: float, softness: float = 0.5, candidates: ArrayLike | None = None
    ) -> None:
        super().__init__(models, radius, candidates)
        self.softness = real("softness", softness, 0.0)

    @property
    def reach(self) -> float:
        """Distances beyond this do not count."""
        return (1.0 + self.softness) * self.radius

    def weights(self, distances: Floats) -> Floats:
        """Weights of the models, from their symmetric distances [n, n]."""
        closeness = np.clip((self.reach - distances) / (self.softness * self.radius), 0.0, 1.0)
        kappa = closeness.sum(axis=1)
        raw = np.maximum(0.0, kappa - kappa.max() + 0.5)
        weights: Floats = raw / raw.sum()
        return weights

    def tables(self, policy: Floats) -> tuple[Floats, Floats]:
        conditional = condition_members(self.models, np.array(policy), self.members)
        return average_tables(conditional, self.weights(distances_within(conditional, self.reach)))


def compositions(steps: int, parts: int) -> Floats:
    """All distributions ``k / steps`` over so many parts, [*, parts], in lexicographic order from the last part on."""
    chosen = list(itertools.combinations(range(steps + parts - 1), parts - 1))
    bars = np.array(chosen, dtype=np.int64).reshape(len(chosen), parts - 1)
    ends = np.hstack([np.full((len(bars), 1), -1), bars, np.full((len(bars), 1), steps + parts - 1)])
    grid: Floats = (np.diff(ends, axis=1) - 1) / steps
    return grid


class PolicyCover:
    """The grid ``{k/N}`` on every cell that moves a density; policies are uniform elsewhere.

    Parameters
    ----------
    models : ModelClass
    steps : int
        N, at least 1.
    cells : [C, 2], optional
        Cells (h, s) to cover, h = 0..H-1. By default all but those known to move no density
        (`fastmfg.comparing.cells`); where rows come from functions that is little, and fewer may do.
    limit : int
        Points are counted first; more than this many are refused.

    Raises
    ------
    ValueError
        More points than `limit`, with their number and what to do instead.
    """

    def __init__(
        self, models: ModelClass, steps: int, *, cells: ArrayLike | None = None, limit: int = MOST_POINTS
    ) -> None:
        self.models = require_class("models", models)
        self.steps = whole("steps", steps, 1)
        models = self.models
        self.cells = moving_cells(models) if cells is None else _checked_cells(models, cells)
        legal = models.common.legal
        choices = legal.sum(axis=1)
        self.size = math.prod(
            math.comb(self.steps + int(choices[s]) - 1, int(choices[s]) - 1) for s in self.cells[:, 1]
        )
        if self.size > whole("limit", limit, 1):
            raise ValueError(
                f"a cover with grid N = {_count_text(self.steps)} on {len(self.cells)} "
                f"cells (h, s) has {_count_text(self.size)} points, more than the limit of {limit}: take a smaller N "
                "(what is found is checked whatever N is), cover fewer cells, or use strategy='certified', which needs "
                "no cover"
            )
        self.base = np.tile(models.uniform, (models.horizon, 1, 1))
        self.rows = [self._rows(legal[s]) for s in self.cells[:, 1]]  # [G, A] of each cell

    @property
    def mesh(self) -> float:
        """eps_bar: no policy is farther than this from the nearest point, ``2 (A-1) / N``."""
        choices = self.models.common.legal.sum(axis=1)[self.cells[:, 1]]
        return 2.0 * (int(choices.max(initial=2)) - 1) / self.steps

    def _rows(self, legal: NDArray[np.bool_]) -> Floats:
        inner = compositions(self.steps, int(legal.sum()))
        rows = np.zeros((len(inner), legal.size))
        rows[:, legal] = inner
        return rows

    def policies(self, places: Integers) -> Floats:
        """Policies [k, H, S, A] of points given by their row in each cell [k, C]."""
        what = f"{len(places)} policies of the cover"
        require_numbers(what, len(places) * self.base.size, "ask for fewer points at once")
        policies = np.repeat(self.base[None], len(places), axis=0)
        for c, (h, s) in enumerate(self.cells):
            policies[:, h, s] = self.rows[c][places[:, c]]
        return policies

    def places(self, points: ArrayLike) -> Integers:
        """Rows in each cell [k, C] of points given by their index; the last cell counts fastest."""
        shape = [len(rows) for rows in self.rows]
        if not shape:
            return np.zeros((np.size(points), 0), dtype=np.int64)
        return np.stack(np.unravel_index(np.atleast_1d(points), shape), axis=1).astype(np.int64)

    def points(self, places: Integers) -> Integers:
        """Indices of points given by their row in each cell [k, C]."""
        if not self.rows:
            return np.zeros(len(places), dtype=np.int64)
        points: Integers = np.ravel_multi_index(tuple(places.T), [len(rows) for rows in self.rows]).astype(np.int64)
        return points

    def policy(self, point: int) -> Floats:
        """The policy [H, S, A] of one point."""
        policy: Floats = self.policies(self.places(point))[0]
        return policy


def _checked_cells(models: ModelClass, cells: ArrayLike) -> Integers:
    if np.size(cells) == 0:
        return np.empty((0, 2), dtype=np.int64)
    array = index_array("cells", cells, (None, 2), (models.horizon, models.n_states))
    if len(np.unique(array, axis=0)) != len(array):
        raise ValueError(f"cells holds a cell twice: {array.tolist()}")
    return array


def _count_text(count: int) -> str:
    """A whole number of any size."""
    digits = len(str(count)) if count < 10**4000 else int(math.log10(count)) + 1
    return str(count) if digits <= 12 else f"about 10^{digits - 1}"


class Centres:
    """Central models at all points of a cover: ``central [P]`` (positions in the members) and ``count [P]``."""

    def __init__(self, cover: PolicyCover, members: Integers, radius: float) -> None:
        self.cover, self.members, self.radius = cover, members, radius
        self.central = np.empty(cover.size, dtype=np.int64)
        self.count = np.empty(cover.size, dtype=np.int64)
        compiled = (
            isinstance(cover.models.source, CompiledSource) and cover.models.reward_noise is None
        )  # that pass sees rows alone
        fill = self._compiled if compiled else self._called
        self._pairs = np.ascontiguousarray(self._open_pairs()) if compiled else None
        n, entries = members.size, cover.models.row_entries
        size = items_a_task(4 * n * (n + 1) * entries, POINTS_A_TASK)
        for _ in map_tasks(fill, blocks(cover.size, size), parallel=cover.models.parallel):
            pass

    @property
    def scattering(self) -> int:
        """The point whose largest neighbourhood is smallest."""
        return int(np.argmin(self.count))

    def _open_pairs(self) -> NDArray[np.bool_]:
        n, models = self.members.size, self.cover.models
        if models.joint:  # the first step's gap depends on the policy
            return np.ones((n, n), dtype=np.bool_)
        conditional = condition_members(models, self.cover.base, self.members)
        slack = ROUNDING * models.horizon
        return bound_low(conditional, self.radius + slack, below_diagonal(n))[1].T

    def _compiled(self, block: range) -> None:
        cover, models = self.cover, self.cover.models
        assert isinstance(models.source, CompiledSource)
        sizes = np.array([len(rows) for rows in cover.rows], dtype=np.int64)
        grid = np.concatenate(cover.rows) if cover.rows else np.empty((0, models.n_actions))
        status = cover_kernels.cover_centres(
            models.prepare, models.fill, models.common, models.thetas, self.members, cover.base, cover.cells,
            np.cumsum(sizes) - sizes, sizes, grid, models.joint, models.aux_size, self._pairs, self.radius,
            block.start, self.central[block.start : block.stop], self.count[block.start : block.stop],
        )  # fmt: skip
        models.refuse_status(status, "looking for central models")

    def _called(self, block: range) -> None:
        """The same for games of NumPy functions, and where rewards are unknown, point by point."""
        for point in block:
            conditional = condition_members(self.cover.models, self.cover.policy(point), self.members)
            hoods = find_neighbourhoods(conditional, self.radius)
            self.central[point], self.count[point] = hoods.central, hoods.counts.max()


class BridgeModel(_Bridge):
    """The bridge model over an explicit cover (Alg. 3) of a class, or of some `candidates`.

    Parameters
    ----------
    models : ModelClass
    radius : float > 0
        Radius of neighbourhoods, eps_0.
    steps : int
        N of the grid; or give a `cover`.
    candidates : indices, optional
    """

    def __init__(
        self, models: ModelClass, radius: float, steps: int = 4, *, candidates: ArrayLike | None = None,
        cover: PolicyCover | None = None,
    ) -> None:  # fmt: skip
        super().__init__(models, radius, candidates)
        self.cover = PolicyCover(models, steps) if cover is None else cover
        self.centres = Centres(self.cover, self.members, self.radius)

    def tables(self, policy: Floats) -> tuple[Floats, Floats]:
        models = self.models
        rows = np.zeros((models.horizon, models.n_states, models.n_actions, models.n_states))
        rewards = np.zeros(rows.shape[:3])
        total = 0.0
        for places, weights in self._near(policy):
            members = self.members[self.centres.central[self.cover.points(places)]]
            policies = self.cover.policies(places)
            conditionals = models.condition(members, policies, np.arange(len(places)))
            _add_rows(models, members, conditionals.aux, weights, rows)
            rewards += weighted_sum(weights, conditionals.reward)
            total += float(weights.sum())
        return rows / total, rewards / total

    def _near(self, policy: Floats) -> Iterable[tuple[Integers, Floats]]:
        """Points within 2 eps_bar of a policy, by their rows in each cell, and their weights; in chunks."""
        reach = 2.0 * self.cover.mesh
        cells = self.cover.cells
        apart = [np.abs(rows - policy[h, s]).sum(axis=1) for rows, (h, s) in zip(self.cover.rows, cells, strict=True)]
        inside = [np.flatnonzero(distance < reach) for distance in apart]
        shape = [part.size for part in inside]
        count = math.prod(shape)
        if count > MOST_LOCAL_POINTS:
            raise ValueError(
                f"the bridge model averages {_count_text(count)} points of its cover around one policy, more than "
                f"{MOST_LOCAL_POINTS}: cover fewer cells, or use SoftBridge"
            )
        for block in blocks(count, POINTS_A_TASK):
            index = np.unravel_index(np.arange(block.start, block.stop), shape) if shape else ()
            places = (
                np.stack([part[i] for part, i in zip(inside, index, strict=True)], axis=1)
                if shape
                else (np.zeros((1, 0), dtype=np.int64))
            )
            farthest = np.zeros(len(places))
            for c, distance in enumerate(apart):
                farthest = np.maximum(farthest, distance[places[:, c]])
            yield places, reach - farthest
