"""The exact choice of a reference policy (Huang, He, Krause 2024, Algs. 1 and 3), over a cover of the policy space.

*Case 1.* Some policy of the cover scatters the survivors: no neighbourhood at the radius holds more than half of them.
An elimination that converges with it (tolerance at most the radius) leaves at most half.
*Case 2.* Under every policy more than half of the models crowd around one. The equilibrium of the bridge model is the
reference, nearly an equilibrium of its own central model: an elimination that converges leaves half, or survivors in
which its gap is small. (The paper tests ``E_M <= 3 epsilon/4`` in one survivor; with sound constants that gives a gap
of at most epsilon in all, which is what `learn` looks at.) Case 1 is tested at the bridge policy as well.

The cover has ``C(N+A-1, A-1)`` points for each cell (h, s): theory's N is out of reach but for the smallest games, so N
may be set; what is claimed is checked whatever N is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fastmfg.comparing.bridge import BridgeModel, PolicyCover
from fastmfg.comparing.certificates import (
    NearDistances,
    certify_bridge,
    certify_direct,
    certify_halving,
    near_distances,
)
from fastmfg.comparing.theory import (
    grid_size,
    practical_constants,
    refuse_unscaled,
    refuse_unsound,
    theory_constants,
    transfer_constant,
)
from fastmfg.games.checks import real, whole
from fastmfg.games.model_class import ModelClass
from fastmfg.learning import heuristic
from fastmfg.learning.state import Choice, Constants, State
from fastmfg.planning.solve import solve

TIGHT = 0.01
"""The bridge model is solved to this part of epsilon."""

SMALLEST_WIDTH = 1e-15
"""Covers finer than this are not even counted: grids k/N are no longer exact in floating numbers."""


def constants(
    models: ModelClass, *, epsilon: float, delta: float, grid: int | PolicyCover | None,
    lipschitz: Sequence[float] | None, tolerance: float | None, radius: float | None,
) -> Constants:  # fmt: skip
    """Constants from what is given: a grid size, Lipschitz constants (L_T, L_r), or both.

    Lipschitz constants alone: those of the theory, for rewards in [0, 1/H]. With a grid: the practical ones of
    `practical_constants`. A grid alone: radius epsilon/4, tolerance epsilon/8, and no claim that needs a Lipschitz
    constant.
    """
    eps = real("epsilon", epsilon, 0.0)
    if lipschitz is None:
        if grid is None:
            raise ValueError(
                "strategy 'exact' needs grid=N, the steps of its cover, or lipschitz=(L_T, L_r) to compute N from"
            )
        return _constants(models, grid, eps / 4, eps / 8, None, tolerance, radius)
    L_T, L_r = _checked_lipschitz(lipschitz)
    refuse_unscaled(models)
    H = models.horizon
    if grid is None:
        theory = theory_constants(eps, delta, H, L_r, L_T, len(models))
        if theory.eps_bar < SMALLEST_WIDTH:
            raise ValueError(
                f"theory asks for a cover of width eps_bar = {theory.eps_bar:g}, beyond what numbers can hold: give a "
                "grid size (what is found is checked whatever it is), or use strategy='certified'"
            )
        steps = grid_size(theory.eps_bar, int(models.legal.sum(axis=1).max()))
        return _constants(models, steps, theory.eps0, theory.tol, eps / 4, tolerance, radius)
    c = transfer_constant((H - 1) / H, H, L_r, unknown_rewards=models.reward_noise is not None)
    if c == 0.0:  # one step: gaps are alike in all models
        return _constants(models, grid, eps / 4, eps / 8, eps / 4, tolerance, radius)
    practical = practical_constants(eps, c)
    chosen = _constants(models, grid, practical.eps0, practical.tol, practical.beta, tolerance, radius)
    refuse_unsound(eps, c, chosen.radius, chosen.tolerance, practical.beta)
    return chosen


def _constants(
    models: ModelClass, grid: int | PolicyCover, radius: float, tolerance: float, beta: float | None,
    own_tolerance: float | None, own_radius: float | None,
) -> Constants:  # fmt: skip
    """The constants, with those that the user sets himself; the cover is counted."""
    cover = grid if isinstance(grid, PolicyCover) else PolicyCover(models, whole("grid", grid, 1))
    cells = tuple((int(h), int(s)) for h, s in cover.cells)
    return Constants(
        cover.steps,
        cells if isinstance(grid, PolicyCover) else None,
        radius if own_radius is None else real("radius", own_radius, 0.0),
        tolerance if own_tolerance is None else real("tolerance", own_tolerance, 0.0),
        beta,
    )


def _checked_lipschitz(values: Any) -> tuple[float, float]:
    if isinstance(values, (str, bytes)) or not hasattr(values, "__len__") or len(values) != 2:
        raise ValueError(f"lipschitz must be the pair (L_T, L_r), got {values!r}")
    L_T, L_r = values
    return real("lipschitz: L_T", L_T, 0.0, include_low=True), real("lipschitz: L_r", L_r, 0.0, include_low=True)


def choose(state: State) -> Choice | None:
    """The most scattering point of the cover if it halves the survivors, else the bridge policy.

    Where neither tells any survivors apart, which a fine cover does not let happen, the heuristic goes on. None when a
    bound is met, or nothing is left.
    """
    likeliest = state.order()[0]
    state.gaps(state.equilibrium_candidate(likeliest))
    if state.enough():
        return None
    assert state.plan.exact is not None
    cover = PolicyCover(state.models, state.plan.exact.steps, cells=state.plan.exact.cells)
    model = BridgeModel(state.models, state.plan.radius, candidates=state.alive, cover=cover)
    point = model.centres.scattering
    if int(model.centres.count[point]) <= state.alive.size / 2:
        candidate = state.register(cover.policy(point), "cover")
        if not state.compare(candidate).converged:
            return _chosen(state, candidate, cover.size)
    solution = solve(model, tol=TIGHT * state.plan.epsilon, seed=state.plan.seed)
    candidate = state.register(solution.policy, "bridge")
    state.gaps(candidate)
    if state.enough():
        return None
    if state.compare(candidate).converged:
        return heuristic.choose(state)
    return _chosen(state, candidate, cover.size + 1)


def _chosen(state: State, candidate: int, looked: int) -> Choice:
    """The candidate with what is proved of it."""
    assert state.plan.exact is not None
    conditional, tolerance = state.conditional(candidate), state.plan.elimination.tolerance
    gaps = state.gaps(candidate)[state.alive]
    wide = near_distances(conditional, state.plan.radius)
    halving = certify_halving(wide, state.alive)
    certificate, margin = "none", 0.0
    direct = certify_direct(near_distances(conditional, tolerance), gaps, state.plan.epsilon, state.alive)
    if halving.holds and tolerance <= state.plan.radius:
        certificate, margin = "halving", halving.margin
    elif _bridges(wide, gaps, state):
        certificate, margin = (
            "bridge",
            certify_bridge(wide, gaps, state.plan.exact.beta or math.inf, state.alive).margin,
        )
    elif direct.holds:
        certificate, margin = "direct", direct.margin
    branch = "scatter" if halving.holds else "crowd"
    decided = state.compare(candidate).decided
    return Choice(branch, candidate, halving.count, decided, certificate, margin, looked)


def _bridges(near: NearDistances, gaps: Any, state: State) -> bool:
    """Whether the bridge certificate holds, with constants that make it mean something."""
    beta = state.plan.exact.beta if state.plan.exact is not None else None
    return beta is not None and certify_bridge(near, gaps, beta, state.alive).holds
