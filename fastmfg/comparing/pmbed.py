"""Eluder dimensions of a class of models: how hard it is to learn (Huang, He, Krause 2024, Section 3 and Appendix D).

*P-MBED.* Fix a policy pi and a step h; ``g(x) = ||P_M,h(.|x,mu^pi_M) - P_N,h(.|x,mu^pi_N)||_1`` for x = (s, a). x is
partially eps-independent of a list L if some M, N in the class have ``sum_{y in L} g(y)^2 <= eps^2``, but ``g(x) >
eps``. The dimension is the length of the longest list in which each element is independent of those before it, the
largest over h and pi. *Type II*: all rows are taken at the density of the true model. *MBED*: elements are (s, a, mu),
rows of both models are taken at mu.

Over given policies, or densities, all of these are lower bounds of the dimension over all of them; at the first step,
where every density is the initial one, it makes no difference.

g is about transitions. Where rewards are unknown it stays what it is: the dimension then says how hard the transitions
are to learn, and nothing of the rewards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmfg.comparing import eluder
from fastmfg.comparing.conditional import condition_members
from fastmfg.comparing.policies import policy_batch
from fastmfg.comparing.tiles import pair_blocks
from fastmfg.equality import Result
from fastmfg.executors import blocks, map_tasks
from fastmfg.games.checks import (
    DENSITY_TOLERANCE,
    Floats,
    Integers,
    float_array,
    frozen,
    real,
    refuse_non_distributions,
    whole,
)
from fastmfg.games.model_class import ModelClass, require_class
from fastmfg.kernels import pmbed as kernels

MOST_FLAGS = 1 << 34
"""Pairs of models times elements, at most: 2 GiB of flags."""

BLOCK_FLAGS = 1 << 26
"""Flags of a block of pairs that a kernel writes at a time."""

ELEMENTS_A_TASK = 8

ROUNDING = 1e-9
"""Sums of squares may exceed eps^2 by this much, relative to it, in bounds."""


@dataclass(frozen=True, eq=False)
class EluderDimension(Result):
    """Bounds of a dimension over the policies or densities given, and a list that proves the lower one."""

    lower: int
    upper: int
    exact: bool  # lower = upper: the dimension over what was given
    bound: str  # what `upper` rests on: "search", "elements", "pairs", "room" (module `eluder`)
    policy: int | None  # of the list; None for MBED
    step: int  # of the list, h = 0..H-1
    elements: Integers  # [lower, 2]   (s, a); MBED: [lower, 3], (density, s, a)
    pairs: Integers  # [lower, 2]   models M, N that tell each element from those before it


@dataclass(frozen=True)
class Rows:
    """Rows of all models at one step, under T populations."""

    models: ModelClass
    h: int
    aux: Floats  # [n, T, *]
    eps: float

    def gaps(self, elements: Integers, first: Integers, second: Integers) -> Floats:
        """Gaps [E, P] of elements [E, 3] (t, s, a) for pairs of models."""
        f, members = self.models, self.models.members

        def task(block: range) -> Floats:
            chosen = np.ascontiguousarray(elements[block.start : block.stop])
            out = np.empty((len(chosen), first.size))
            status = kernels.element_gaps(
                f.fill, f.common, f.thetas, members, self.aux, self.h, chosen, first, second, out
            )
            f.refuse_status(status, "comparing models")
            return out

        return np.concatenate(list(map_tasks(task, blocks(len(elements), ELEMENTS_A_TASK))))


def pmbed(models: ModelClass, policies: ArrayLike, eps: float, *, true_model: int | None = None) -> EluderDimension:
    """P-MBED of a class over given policies, or bounds of it.

    Parameters
    ----------
    models : ModelClass
    policies : [N, H, S, A], N >= 1
    eps : float > 0
    true_model : int, optional
        Type II: rows of all models are taken at this model's densities.

    Returns
    -------
    EluderDimension
        ``lower <= dimension <= upper``. `lower` is the length of the list returned, found by a greedy search; where at
        most 22 rows matter, once equal and dominated ones are set aside, dynamic programming over their subsets makes
        both bounds the dimension (unless it would take more than 4e8 updates). `exact` speaks of the policies given.

    Raises
    ------
    ValueError, TypeError, IndexError
        Wrong policies, an eps that is not positive, no such model; more than 2^34 pairs of models times rows.

    Notes
    -----
    Gaps and their sums are compared with eps and eps^2 as they are computed: within rounding of a tie a verdict is
    arbitrary. The dimension is not monotone in eps.
    """
    require_class("models", models)
    checked, bound = policy_batch("policies", policies, models), real("eps", eps, 0.0)
    _refuse_large(models, 1)
    true = None if true_model is None else whole("true_model", true_model, 0)
    if true is not None and true >= len(models):
        raise IndexError(f"true_model is {true}: model indices run from 0 to {len(models) - 1}")
    return _largest(_rows_of_policies(models, checked, bound, true), slice(1, 3))


def mbed(models: ModelClass, densities: ArrayLike, eps: float) -> EluderDimension:
    """MBED of a class over given densities, or bounds of it: as `pmbed`, with elements (s, a, mu).

    Parameters
    ----------
    models : ModelClass
    densities : [D, S], or [D, S, A] where models see the joint population
    eps : float > 0
    """
    require_class("models", models)
    shape = (models.n_states, models.n_actions) if models.joint else (models.n_states,)
    seen = float_array("densities", densities, (None, *shape)).reshape(-1, int(np.prod(shape)))
    refuse_non_distributions("densities", seen, DENSITY_TOLERANCE)
    bound = real("eps", eps, 0.0)
    _refuse_large(models, len(seen))
    aux = np.stack([_aux_under(models, np.tile(mu, (models.horizon, 1))) for mu in seen], axis=2)  # [n, H, D, *]
    steps = (Rows(models, h, np.ascontiguousarray(aux[:, h]), bound) for h in range(models.horizon))
    return _largest(((None, rows) for rows in steps), slice(0, 3))


@dataclass(frozen=True)
class _Cell:
    """What was found at one step of one policy."""

    policy: int | None
    h: int
    found: eluder.Found
    elements: Integers  # [lower, 3]   (t, s, a)
    pairs: Integers  # [lower, 2]


def _largest(cells: Iterable[tuple[int | None, Rows]], coordinates: slice) -> EluderDimension:
    """The largest of the dimensions of some steps."""
    best, top = None, None
    for policy, rows in cells:
        cell = _measure(policy, rows, 0 if best is None else best.found.lower)
        best = cell if best is None or cell.found.lower > best.found.lower else best
        top = cell.found if top is None or cell.found.upper > top.upper else top
    assert best is not None
    assert top is not None
    lower = best.found.lower
    elements = frozen(np.ascontiguousarray(best.elements[:, coordinates]))
    return EluderDimension(
        lower, top.upper, lower == top.upper, top.bound, best.policy, best.h, elements, frozen(best.pairs)
    )


def _measure(policy: int | None, rows: Rows, known: int) -> _Cell:
    """The longest list at one step; nothing is searched for where it can not exceed `known`."""
    table, elements, pairs = tabulate(rows)
    found = eluder.longest(table, known)
    return _Cell(policy, rows.h, found, elements[found.elements], pairs[found.witnesses])


def _rows_of_policies(models: ModelClass, policies: Floats, eps: float, true: int | None) -> Iterator[tuple[int, Rows]]:
    """Rows of all models at every step of every policy; the first step but once, as no policy moves it."""
    members = models.members
    for i, pi in enumerate(policies):
        if true is None:
            aux = condition_members(models, pi, members).aux
        else:
            density = models.densities(members[[true]], pi[None], np.zeros(1, dtype=np.int64))[0][0]
            aux = _aux_under(models, models.population_views(density, pi))
        for h in range(models.horizon):
            if h > 0 or i == 0 or models.joint:
                yield i, Rows(models, h, np.ascontiguousarray(aux[:, h : h + 1]), eps)


def _aux_under(models: ModelClass, population: Floats) -> Floats:
    """`aux` [n, H, *] of all models under one population [H, *]."""
    return np.stack([models.aux_under(m, population, "given") for m in range(len(models))])


def tabulate(rows: Rows) -> tuple[eluder.Table, Integers, Integers]:
    """The table of one step; its elements [X, 3] (t, s, a), and its pairs of models [P, 2]."""
    f, n = rows.models, len(rows.models)
    tasks = list(pair_blocks(f, n))
    parts = list(map_tasks(lambda task: _exceeding(rows, *task), tasks))
    T, S, A = rows.aux.shape[1], f.n_states, f.n_actions
    if not parts:  # a class of one model
        parts = [(np.zeros((T * S * A, 0), dtype=np.uint64), np.zeros(0, np.int64), np.zeros((0, 2), np.int64))]
    over = np.concatenate([part[0] for part in parts], axis=1)
    room, pairs = (np.concatenate([part[i] for part in parts]) for i in (1, 2))
    used = np.flatnonzero(over.any(axis=1))
    alive = np.flatnonzero(eluder.unpack(np.bitwise_or.reduce(over, axis=0)[None], room.size)[0])
    elements = np.stack(np.unravel_index(used, (T, S, A)), axis=1).astype(np.int64)
    first, second = (np.ascontiguousarray(side) for side in pairs[alive].T)
    table = eluder.Table(
        eluder.take(over[used], room.size, alive) if alive.size else over[used],
        alive.size,
        rows.eps,
        room[alive],
        lambda chosen, of: rows.gaps(elements[chosen], first[of], second[of]),
    )
    return table, elements, pairs[alive]


def _exceeding(rows: Rows, r: Integers, c: Integers) -> tuple[eluder.Words, Integers, Integers]:
    """Flags of a block of pairs at all elements, the room of these pairs, and their models; padded to words of 64."""
    f = rows.models
    wanted = np.ascontiguousarray(r[:, None] > c)
    i, j = np.nonzero(wanted)
    members, S, A = np.arange(len(f), dtype=np.int64), f.n_states, f.n_actions
    places = rows.aux.shape[1] * S
    bins = np.zeros((*wanted.shape, kernels.BINS), dtype=np.int32)
    fault = np.full(4, -1, dtype=np.int64)
    words = []
    for block in blocks(places, max(1, BLOCK_FLAGS // (wanted.size * A))):
        over = np.zeros((len(block), *wanted.shape, A), dtype=np.bool_)
        status = kernels.block_exceeding(
            f.fill, f.common, f.thetas, members, rows.aux, rows.h, block.start, block.stop, r, c, wanted, rows.eps,
            over, bins, fault,
        )  # fmt: skip
        f.refuse_status(status, "comparing models")
        _refuse_fault(rows, fault)
        words.append(eluder.pack(over[:, i, j].transpose(0, 2, 1).reshape(-1, i.size)))
    padding = -i.size % 64
    pairs = np.pad(np.stack([r[i], c[j]], axis=1), ((0, padding), (0, 0)))
    return np.concatenate(words), np.pad(room_of(bins[i, j]), (0, padding)), pairs


def room_of(bins: NDArray[np.int32]) -> Integers:
    """k_p [P], or more: how many elements fit, the smallest squares first, each taken for the least of its bin."""
    octave, part = np.divmod(np.arange(kernels.BINS - 1), kernels.PARTS)
    least = np.concatenate([[0.0], 2.0 ** (octave - kernels.OCTAVES) * (1.0 + part / kernels.PARTS)])
    fit, left = bins[:, 0].astype(np.int64), np.full(len(bins), 1.0 + ROUNDING)
    for count, square in zip(bins.T[1:], least[1:], strict=True):
        some = np.minimum(count, np.floor(left / square)).astype(np.int64)
        fit += some
        left -= some * square
    return fit


def _refuse_fault(rows: Rows, fault: Integers) -> None:
    place, a, i, j = (int(x) for x in fault)
    if place >= 0:
        t, s = divmod(place, rows.models.n_states)
        raise ValueError(
            f"the transition row of model {i} or {j}, step {rows.h}, state {s}, action {a} is no distribution under "
            f"population {t}"
        )


def _refuse_large(models: ModelClass, n_populations: int) -> None:
    flags = len(models) ** 2 // 2 * n_populations * models.n_states * models.n_actions
    if flags > MOST_FLAGS:
        raise ValueError(
            f"{len(models)} models, {n_populations} populations, {models.n_states} states and {models.n_actions} "
            f"actions make {flags:.2g} pairs of models times rows, more than {MOST_FLAGS:.2g}: take fewer models"
        )
