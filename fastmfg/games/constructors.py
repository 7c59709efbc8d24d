"""Classes in compiled form from tables of rows, and from functions that write rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.games.checks import float_array, initial_density, population_kind, refuse_non_distributions, whole
from fastmfg.games.compiled import CompiledSource
from fastmfg.games.fillers import as_filler, as_reward
from fastmfg.games.functions import StepFunction
from fastmfg.kernels import table
from fastmfg.kernels.jit import FILL, PREPARE

if TYPE_CHECKING:
    from fastmfg.games.model_class import ModelClass


def from_tables(
    cls: type[ModelClass],
    transition: ArrayLike,
    initial: ArrayLike,
    reward: str | StepFunction | Callable[..., int],
    *,
    horizon: int | None = None,
    successors: ArrayLike | None = None,
    moves: ArrayLike | None = None,
    legal: ArrayLike | None = None,
    population: str = "state",
) -> ModelClass:
    """A class of models whose transitions do not depend on the population.

    Parameters
    ----------
    transition : [M, H, S, A, S], or [M, H, S, A, K], or [M, H, S, K]; H may be 1 for rows alike at every step
        Explicit tables, copied; every row a distribution within 1e-9. The second form is sparse: entry k of row
        (s, a) is the probability of the state ``successors[s, a, k]``. The third is factored: action a moves an
        agent from s to ``m = moves[s, a]``; noise takes it from there to ``successors[m, k]`` with the probability
        ``transition[., ., m, k]``.
    horizon : int, optional
        H, where the tables hold one step for all; their second axis otherwise.
    successors : [S, A, K], or [S, K] with moves; distinct in a row
    moves : [S, A]
    initial : [S]
    reward : "crowd-aversion", or ``f(h, population) -> [S, A]``, or a compiled reward (`from_filler`)
    legal : [S, A] boolean, optional
    population : "state" or "joint"
        What the reward sees.
    """
    if moves is not None and successors is None:
        raise ValueError("moves need successors [S, K], the states that noise leads to from each state")
    for name, table_given, least in (("successors", successors, 2), ("moves", moves, 2)):
        if table_given is not None and depth(name, table_given) < least:
            raise ValueError(f"{name} must have at least {least} axes, got {list(np.shape(table_given))}")
    axes = (None,) * (5 if moves is None else 4)
    tables = float_array("transition", transition, axes)
    M, T, S = tables.shape[:3]
    A = tables.shape[3] if moves is None else np.shape(moves)[-1]
    places = S if successors is None else np.shape(successors)[-1]
    if tables.shape[-1] != places:
        wanted = "[M, H, S, A, S]" if successors is None else f"[..., {places}] as successors have"
        raise ValueError(f"transition must have shape {wanted}, got {list(tables.shape)}")
    steps = T if horizon is None else whole("horizon", horizon, 1)
    if T not in (1, steps):
        raise ValueError(f"transition has {T} steps, but horizon is {steps}")
    refuse_non_distributions("transition", tables)
    initial_density(initial, S)
    return cls.from_source(
        CompiledSource(table.prepare, table.fill if T == 1 else table.fill_by_step, as_reward(reward)),
        initial=initial,
        legal=legal,
        n_actions=A,
        horizon=steps,
        shared=np.array([float(S)]),
        thetas=tables.reshape(M, -1),
        joint=population_kind(population),
        successors=successors,
        moves=moves,
    )


def from_filler(
    cls: type[ModelClass],
    fill: Callable[..., int],
    thetas: ArrayLike,
    initial: ArrayLike,
    reward: str | StepFunction | Callable[..., int],
    *,
    n_actions: int,
    horizon: int,
    prepare: Callable[..., int] | None = None,
    shared: ArrayLike | None = None,
    aux_size: int = 0,
    successors: ArrayLike | None = None,
    moves: ArrayLike | None = None,
    legal: ArrayLike | None = None,
    population: str = "state",
) -> ModelClass:
    """A class from compiled functions that write transition rows; no kernel is recompiled for it.

    Parameters
    ----------
    fill : njit or cfunc function
        ``fill(h, aux, shared, theta, lo, hi, out) -> status``: rows of the states lo..hi-1 for all actions into
        ``out[hi - lo, A, S]``; status 0 when all is well, any other number ends the computation with an error.
        Return a status rather than raise: an exception can not leave compiled code, and shows as unwritten rows.
    thetas : [M, *]
        One row of parameters a model.
    initial : [S]
    reward : "crowd-aversion", ``f(h, population) -> [S, A]``, or compiled
        ``reward(h, population, shared, theta, out[S, A]) -> status``.
    n_actions, horizon : int
    prepare : njit or cfunc function, optional
        ``prepare(h, population, shared, theta, aux) -> status``, once a step: what the population decides for
        all rows, left in ``aux [aux_size]`` for `fill`. Without it `fill` sees no population.
    shared : array, optional
        Constants of all models, flattened.
    aux_size : int
    successors : [S, A, K], or [S, K] with moves, optional; distinct in a row
        Sparse rows: `fill` writes ``out[hi - lo, A, K]``, entry k for the state ``successors[s, a, k]``.
    moves : [S, A], optional
        Factored rows: action a moves an agent to ``m = moves[s, a]``; noise takes it on to
        ``successors[m, k]``; `fill` writes the noise of each state, ``out[hi - lo, 1, K]``.
    legal : [S, A] boolean, optional
    population : "state" or "joint"
        `population` is the density [S] or the joint ``mu(s) pi(a|s)`` flattened [S*A].

    Raises
    ------
    TypeError
        A function that does not compile with the signature above.
    ValueError
        Wrong shapes; later, a row that holds a negative number or NaN or does not sum to 1 within 1e-9, naming
        model, step, state and action: every row is checked whenever densities are computed.
    """
    parameters = float_array("thetas", thetas, (None, None))
    constants = np.empty(0) if shared is None else float_array("shared", np.ravel(shared), (None,))
    source = CompiledSource(
        table.prepare if prepare is None else as_filler("prepare", prepare, PREPARE),
        as_filler("fill", fill, FILL),
        as_reward(reward),
        checked=True,
    )
    models = cls.from_source(
        source,
        initial=initial,
        legal=legal,
        n_actions=whole("n_actions", n_actions, 1),
        horizon=whole("horizon", horizon, 1),
        shared=constants,
        thetas=parameters,
        aux_size=whole("aux_size", aux_size, 0),
        joint=population_kind(population),
        successors=successors,
        moves=moves,
    )
    uniform = models[0].uniform_policy()[None]
    models.condition(models.members, uniform, np.zeros(len(models), dtype=np.int64))  # faults are met here, not later
    return models


def depth(name: str, values: ArrayLike) -> int:
    """Axes of an array; a ragged one is refused by name."""
    try:
        return np.asarray(values).ndim
    except ValueError as error:
        raise ValueError(f"{name} must be an array: {error}") from None
