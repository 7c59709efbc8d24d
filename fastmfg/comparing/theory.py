"""Constants of the theory (Huang, He, Krause 2024, Theorems 4.2, 4.5, F.3, F.5, F.7), for rewards in [0, 1/H].

    ``eps0    = epsilon / (8 (1 + L_r H)(H + 4))``,    ``tol = eps0 / 6``,    ``delta0 = delta / (log2 n + 1)``
    ``eps_bar = eps0 / max( 2 H L_r ((1+L_T)^H - 1) / L_T , 2 H (H+1) ((1+L_T)^H - 1) )``

The paper prints min in the last line; both errors must stay small, so the larger bound counts. For ``L_T = 0`` the
first bound is its limit ``2 H^2 L_r``; where both vanish, any cover will do: eps_bar is infinite.

An elimination takes ``T = O(H^4 dim / tol^2)`` rounds of 2H trajectories, dim the P-MBED of the class: an order, known
up to a constant and logarithms.

*Transfer* (Lemma 4.3, constants derived anew): ``|E_M(pi) - E_N(pi)| <= (span + 2 (H-1) L_r) d(M,N|pi)``, span a bound
of ``max V_h - min V_h`` over h >= 2, deviations and models; ``<= max(2, span) d(M,N|pi)`` where rewards are unknown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from fastmfg.comparing.policies import policy_batch
from fastmfg.games.checks import Floats, first_index, real, whole
from fastmfg.games.model_class import ModelClass, require_class
from fastmfg.planning.evaluate import map_blocks

ROUNDING = 1e-12
"""Inequalities between constants may be missed by this much, relative to their size."""

RANGE_TOLERANCE = 1e-9
"""Returns may leave [0, 1] by this much."""


@dataclass(frozen=True)
class TheoryConstants:
    """What the exact algorithm runs with. `elimination_rounds` and `trajectories` are orders, not bounds."""

    eps0: float  # radius of neighbourhoods
    tol: float  # tolerance of eliminations
    eps_bar: float  # of the cover of policies; infinite where any cover will do, 0 beyond floating numbers
    rounds: int  # floor(log2 n) + 1: rounds of the loop, at most
    delta0: float  # chance of failure that each round may take
    elimination_rounds: float | None  # T = constant H^4 dim / tol^2; None without dim
    trajectories: float | None  # 2 H T rounds; None without dim
    constant: float  # stands for the constant and the logarithms that these orders leave out


@dataclass(frozen=True)
class PracticalConstants:
    """Constants of the bridge certificate for a known transfer constant c.

    Raises ValueError unless ``c tol <= epsilon/4`` and ``beta + c (eps0 + 2 tol) <= 3 epsilon/4``, which a bridge
    relies on: a survivor N near the bridge's M has ``E_survivor <= E_M* + c tol <= E_N + 2 c tol <= E_M + c (eps0 + 2
    tol)``.
    """

    epsilon: float
    c: float
    eps0: float  # radius of neighbourhoods
    tol: float  # tolerance of eliminations
    beta: float  # largest gap of the bridge policy in its centre

    def __post_init__(self) -> None:
        gap, factor = real("epsilon", self.epsilon, 0.0), real("c", self.c, 0.0, include_low=True)
        for name in ("eps0", "tol", "beta"):
            real(name, getattr(self, name), 0.0, include_low=True)
        for text, value, most in (
            ("c tol", factor * self.tol, gap / 4.0),
            ("beta + c (eps0 + 2 tol)", self.beta + factor * (self.eps0 + 2.0 * self.tol), 0.75 * gap),
        ):
            if value > most * (1.0 + ROUNDING):
                raise ValueError(
                    f"{text} is {value:g}, which must be at most {most:g} for epsilon {gap:g} and c {factor:g}"
                )


def theory_constants(
    epsilon: float,
    delta: float,
    H: int,
    L_r: float,
    L_T: float,
    n_models: int,
    *,
    dim: float | None = None,
    constant: float = 1.0,
) -> TheoryConstants:
    """Constants of the exact algorithm, for rewards in [0, 1/H] (`refuse_unscaled`).

    Parameters
    ----------
    epsilon : float > 0
        NE gap aimed at, in units of returns in [0, 1].
    delta : float in (0, 1)
    H : int >= 1
    L_r, L_T : float >= 0
        Lipschitz constants of rewards and transitions, upper bounds over densities reachable in any model.
    n_models : int >= 1
    dim : float >= 0, optional
        P-MBED of the class at eps0. With it come the orders ``T = constant H^4 dim / tol^2`` and ``2 H T rounds``.
    constant : float > 0
        What the order leaves out; the theorems do not say: 1 gives the order itself.
    """
    gap, risk = real("epsilon", epsilon, 0.0), real("delta", delta, 0.0, 1.0)
    steps, n = whole("H", H, 1), whole("n_models", n_models, 1)
    slope_r, slope_T = real("L_r", L_r, 0.0, include_low=True), real("L_T", L_T, 0.0, include_low=True)
    factor = real("constant", constant, 0.0)
    eps0 = gap / (8.0 * (1.0 + slope_r * steps) * (steps + 4))
    tol, rounds = eps0 / 6.0, n.bit_length()
    order = None if dim is None else factor * steps**4 * real("dim", dim, 0.0, include_low=True) / tol**2
    return TheoryConstants(
        eps0, tol, _cover_width(eps0, steps, slope_r, slope_T), rounds, risk / (math.log2(n) + 1.0),
        order, None if order is None else 2.0 * steps * order * rounds, factor,
    )  # fmt: skip


def _cover_width(eps0: float, H: int, L_r: float, L_T: float) -> float:
    """eps_bar."""
    try:
        growth = math.expm1(H * math.log1p(L_T))  # (1 + L_T)^H - 1
    except OverflowError:
        return 0.0
    first = 2.0 * H * L_r * (growth / L_T if L_T > 0.0 else H)
    error = max(first, 2.0 * H * (H + 1) * growth)
    return eps0 / error if error > 0.0 else math.inf


def grid_size(eps_bar: float, A: int) -> int:
    """``N = max(1, ceil(2 (A-1) / eps_bar))``: the grid ``u(a) = k_a / N`` covers action distributions to eps_bar (L1).

    eps_bar > 0, which may be infinite; A >= 1.
    """
    actions = whole("A", A, 1)
    if eps_bar == math.inf:
        return 1
    width = Fraction(real("eps_bar", eps_bar, 0.0))  # the quotient may be beyond floating numbers
    return max(1, math.ceil(2 * (actions - 1) / width))


def cover_count(N: int, A: int, cells: int) -> int:
    """Points of the cover, ``C(N+A-1, A-1)^cells``, exactly: N >= 1, A >= 1 actions, cells >= 0 pairs (h, s)."""
    steps, actions = whole("N", N, 1), whole("A", A, 1)
    return int(math.comb(steps + actions - 1, actions - 1) ** whole("cells", cells, 0))


def transfer_constant(span: float, H: int, L_r: float = 0.0, *, unknown_rewards: bool = False) -> float:
    """``c = span + 2 (H-1) L_r`` with ``|E_M(pi) - E_N(pi)| <= c d(M,N|pi)``.

    span >= 0 bounds ``max V_h - min V_h`` over h >= 2: ``(H-1)/H`` for rewards in [0, 1/H]; L_r >= 0 must hold between
    densities of different models. Where rewards are unknown d counts their differences, and ``c = max(2, span)``,
    whatever L_r: each of the two returns of which a gap is the difference moves by at most ``max(1, span/2) d``.
    """
    spread, slope = real("span", span, 0.0, include_low=True), real("L_r", L_r, 0.0, include_low=True)
    steps = whole("H", H, 1)
    return max(2.0, spread) if unknown_rewards else spread + 2.0 * (steps - 1) * slope


def practical_constants(epsilon: float, c: float) -> PracticalConstants:
    """``eps0 = epsilon/(4c)``, ``tol = eps0/2``, ``beta = epsilon/4``: sound, and far wider than theory's.

    Rewards may have any scale; c > 0 is `transfer_constant`.
    """
    gap, factor = real("epsilon", epsilon, 0.0), real("c", c, 0.0)
    eps0 = gap / (4.0 * factor)
    return PracticalConstants(gap, factor, eps0, eps0 / 2.0, gap / 4.0)


def refuse_unscaled(models: ModelClass, policies: Any = None) -> tuple[float, float]:
    """Raise unless the rewards that policies meet are at least 0 and make returns of at most 1, as theory wants them.

    Rewards in [0, 1/H] do. Looked at are all states and legal actions of every model, at the densities of the policies
    [N, H, S, A] (the uniform one by default): rewards at other densities may be others.

    Returns
    -------
    low, high
        The least and the largest reward found.

    Raises
    ------
    ValueError
        Names the reward at fault, and how to scale rewards and epsilon.
    """
    require_class("models", models)
    legal = models.common.legal
    if policies is None:
        policies = models[0].uniform_policy()[None]
    checked = policy_batch("policies", policies, models)

    def rewards(block: Any) -> Floats:
        members = np.repeat(block, len(checked))
        of = np.tile(np.arange(len(checked), dtype=np.int64), block.size)
        return models.condition(members, checked, of).reward

    r = np.concatenate(list(map_blocks(rewards, models, len(models))))  # [M * N, H, S, A]
    found = r[..., legal]
    low, high = float(found.min()), float(found.max())
    if low < -RANGE_TOLERANCE or found.max(axis=-1).sum(axis=-1).max() > 1.0 + RANGE_TOLERANCE:
        outside = low if low < -RANGE_TOLERANCE else high
        i, h, s, a = first_index((r == outside) & legal)
        m, n = divmod(i, len(checked))
        raise ValueError(
            f"model {m} gives the reward {outside:g} at step {h}, state {s}, action {a} (policies[{n}]): theory wants "
            f"rewards in [0, 1/H] = [0, {1 / models.horizon:g}], or at least returns in [0, 1]. "
            + _scaling(low, high, models.horizon)
        )
    return low, high


def _scaling(low: float, high: float, H: int) -> str:
    """How rewards found in [low, high] come into [0, 1/H]."""
    width = H * (high - low)
    if width == 0.0:
        return f"Rewards are {low:g} everywhere: subtract it."
    return f"Scale them: (r - {low:g}) / {width:g}, and epsilon with them: epsilon / {width:g}"
