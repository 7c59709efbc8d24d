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
from dataclasses import replace
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
    theory_constants,
    transfer_constant,
)
from fastmfg.games.checks import real, whole
from fastmfg.games.model_class import ModelClass
from fastmfg.learning import heuristic
from fastmfg.learning.options import LearnOptions
from fastmfg.learning.state import Choice, ExactPlan, State
from fastmfg.planning.solve import solve

TIGHT = 0.01
"""The bridge model is solved to this part of epsilon."""

SMALLEST_WIDTH = 1e-15
"""Covers finer than this are not even counted: grids k/N are no longer exact in floating numbers."""


def plan(
    models: ModelClass, options: LearnOptions, grid: int | PolicyCover | None, lipschitz: Sequence[float] | None
) -> tuple[LearnOptions, ExactPlan]:
    """The cover that is searched, and the options with the tolerance and radius that go with it, where not given.

    From a grid size, Lipschitz constants (L_T, L_r), or both. Lipschitz constants alone: as theory has it, for rewards
    in [0, 1/H]. With a grid: `practical_constants`. A grid alone: radius epsilon/4, tolerance epsilon/8, and no claim
    that needs a Lipschitz constant.
    """
    eps = options.epsilon
    if lipschitz is None:
        if grid is None:
            raise ValueError(
                "strategy 'exact' needs grid=N, the steps of its cover, or lipschitz=(L_T, L_r) to compute N from"
            )
        return _plan(models, options, grid, eps / 4, eps / 8, None)
    L_T, L_r = _checked_lipschitz(lipschitz)
    refuse_unscaled(models)
    H = models.horizon
    if grid is None:
        theory = theory_constants(eps, options.delta, H, L_r, L_T, len(models))
        if theory.eps_bar < SMALLEST_WIDTH:
            raise ValueError(
                f"theory asks for a cover of width eps_bar = {theory.eps_bar:g}, beyond what numbers can hold: give a "
                "grid size (what is found is checked whatever it is), or use strategy='certified'"
            )
        steps = grid_size(theory.eps_bar, int(models.legal.sum(axis=1).max()))
        return _plan(models, options, steps, theory.eps0, theory.tol, eps / 4)
    c = transfer_constant((H - 1) / H, H, L_r, unknown_rewards=models.reward_noise is not None)
    if c == 0.0:  # one step: gaps are alike in all models
        return _plan(models, options, grid, eps / 4, eps / 8, eps / 4)
    practical = practical_constants(eps, c)
    chosen, cover = _plan(models, options, grid, practical.eps0, practical.tol, practical.beta)
    replace(practical, eps0=chosen.neighbourhood_radius, tol=chosen.elimination.tolerance)  # refuses unsound ones
    return chosen, cover


def _plan(
    models: ModelClass, options: LearnOptions, grid: int | PolicyCover, radius: float, tolerance: float,
    beta: float | None,
) -> tuple[LearnOptions, ExactPlan]:  # fmt: skip
    """Options that were given stay; the cover is counted."""
    cover = grid if isinstance(grid, PolicyCover) else PolicyCover(models, whole("grid", grid, 1))
    cells = tuple((int(h), int(s)) for h, s in cover.cells)
    chosen = replace(
        options,
        radius=radius if options.radius is None else real("radius", options.radius, 0.0),
        tolerance=tolerance if options.tolerance is None else options.tolerance,
    )
    return chosen, ExactPlan(cover.steps, cells if isinstance(grid, PolicyCover) else None, beta)


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
    pool, survivors = state.candidates, state.evidence.survivors
    likeliest = state.order_survivors()[0]
    pool.gaps(pool.equilibrium(likeliest))
    if pool.enough():
        return None
    assert state.exact is not None
    cover = PolicyCover(state.models, state.exact.steps, cells=state.exact.cells)
    model = BridgeModel(state.models, state.options.neighbourhood_radius, candidates=survivors, cover=cover)
    point = model.centres.scattering
    if int(model.centres.count[point]) <= survivors.size / 2:
        candidate = pool.register(cover.policy(point), "cover")
        if not pool.compare(candidate).converged:
            return _chosen(state, candidate, cover.size)
    solution = solve(model, tol=TIGHT * state.options.epsilon, seed=state.options.seed)
    candidate = pool.register(solution.policy, "bridge")
    pool.gaps(candidate)
    if pool.enough():
        return None
    if pool.compare(candidate).converged:
        return heuristic.choose(state)
    return _chosen(state, candidate, cover.size + 1)


def _chosen(state: State, candidate: int, looked: int) -> Choice:
    """The candidate with what is proved of it."""
    assert state.exact is not None
    pool, survivors = state.candidates, state.evidence.survivors
    conditional, tolerance = pool.conditional(candidate), state.options.elimination.tolerance
    gaps = pool.gaps(candidate)[survivors]
    wide = near_distances(conditional, state.options.neighbourhood_radius)
    halving = certify_halving(wide, survivors)
    certificate, margin = "none", 0.0
    direct = certify_direct(near_distances(conditional, tolerance), gaps, state.options.epsilon, survivors)
    if halving.holds and tolerance <= state.options.neighbourhood_radius:
        certificate, margin = "halving", halving.margin
    elif _bridges(wide, gaps, state):
        certificate, margin = "bridge", certify_bridge(wide, gaps, state.exact.beta or math.inf, survivors).margin
    elif direct.holds:
        certificate, margin = "direct", direct.margin
    branch = "scatter" if halving.holds else "crowd"
    decided = pool.compare(candidate).decided
    return Choice(branch, candidate, halving.count, decided, certificate, margin, looked)


def _bridges(near: NearDistances, gaps: Any, state: State) -> bool:
    """Whether the bridge certificate holds, with constants that make it mean something."""
    beta = state.exact.beta if state.exact is not None else None
    return beta is not None and certify_bridge(near, gaps, beta, state.evidence.survivors).holds
