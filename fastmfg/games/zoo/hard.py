"""Hard classes for learners: small, with known equilibria (`equilibria`), distances and dimensions.

*Three-step games* (sectors, spirals, switch1d, two_clusters, hidden_density): as many states as actions, everyone
starts in state 0. Step 1: action i leads to state i, so that ``mu_2 = pi_1(.|0)``. Step 2 is the model's own. Step 3
stays put; the reward is paid in state 0 at step 3, and nowhere else. In *routing* games step 2 leads from state i,
whatever the action, to state 0 with probability ``g_i(mu_2)`` and to the others evenly. Hence ``L_r = 0``,

    ``d(M, N | pi) = 2 max_i |g^M_i - g^N_i|(mu_2)``,    ``E_M(pi) = reward (max_i g^M_i - mu_2 . g^M)(mu_2)``.

Two more are linear classes (Huang, He, Krause 2024, Section 3 and Appendix J): crowded, aggregated.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from fastmfg.games.checks import Floats, real, whole
from fastmfg.games.compiled import CompiledSource
from fastmfg.games.linear import LinearClass, linear_class
from fastmfg.games.model_class import ModelClass, require_class
from fastmfg.kernels.jit import Filler
from fastmfg.kernels.zoo import hard as kernels
from fastmfg.streams import Stream

SHARE = 1.0 / 3.0
"""Reward of routing games: 1/H, as theory scales it."""

ANCHOR = (0.42, 0.33, 0.25)
REACH = 0.2
"""Of sectors: the centre of the rays, and how far out on its ray a model's equilibrium lies."""

SECTORS = {5: (0.06, 0.006), 8: (0.05, 0.006), 16: (0.02, 0.004), 32: (0.01, 0.004)}
"""Width of a ray and height of its field, for so many models."""


def sectors(
    n_models: int = 5, *, pull: float = 1.5, spin: float = 0.0, width: float | None = None, bump: float | None = None
) -> ModelClass:
    """At every model's equilibrium all the others agree on what it is not: a crowd around a different model.

    Routing games with three states. ``y = mu_2 - a``, ``a = (.42, .33, .25)``; model j has the direction
    ``e_j = cos(th) (1,-1,0)/sqrt(2) + sin(th) (1,1,-2)/sqrt(6)``, ``th = 2 pi (j + 1/2)/n + 0.3``, and, where y lies on
    the ray along e_j, a field of its own instead of the crowd's ``-K y``:

        ``g^j = 1/2 - K y + W (clip(t, 0, D) K e_j + amp e_j)``,    ``t = y . e_j``,    ``K = pull I - spin R``,
        ``W = max(0, 1 - |y - t e_j| / width)``,    ``D = 0.2``,
        ``amp = bump max(0, 1 - t/D)`` for t > 0, else ``bump clip(1 + t/width, 0, 1)``,

    cut to [0, 1]; R, a quarter turn, is ``((0,1,-1),(-1,0,1),(1,-1,0))/sqrt(3)``. With spin 0 the only equilibrium of
    model j is ``mu_2 = a + D e_j``. There, at radius .024 and epsilon .032, j has no neighbour but itself, the other
    n - 1 crowd, and the NE gap in their centre is at least .051: no certificate holds.

    Parameters
    ----------
    n_models : int >= 1
    pull, spin : float
    width, bump : float > 0, optional
        By default (.06, .006), (.05, .006), (.02, .004), (.01, .004) for 5, 8, 16, 32 models; for other numbers half
        of what rays have to one another's centre line at D (at most .06), and .006 or, for more than 8 models, .004.
    """
    n = whole("n_models", n_models, 1)
    room = REACH * math.sin(math.pi / max(n, 2)) / 2
    chosen = SECTORS.get(n, (min(0.06, room), 0.006 if n <= 8 else 0.004))
    breadth = chosen[0] if width is None else real("width", width, 0.0)
    height = chosen[1] if bump is None else real("bump", bump, 0.0)
    turns = 2.0 * np.pi * (np.arange(n) + 0.5) / n + 0.3
    east, north = np.array([1.0, -1.0, 0.0]) / math.sqrt(2.0), np.array([1.0, 1.0, -2.0]) / math.sqrt(6.0)
    directions = np.cos(turns)[:, None] * east + np.sin(turns)[:, None] * north
    slopes = [real("pull", pull, -math.inf), real("spin", spin, -math.inf)]
    shared = [SHARE, *slopes, REACH, breadth, height, *ANCHOR]
    return _three_steps(kernels.prepare_sectors, kernels.fill, shared, directions, 3)


def spirals(n_models: int = 5, *, pull: float = 0.1, spin: float = 1.0, bump: float = 0.006) -> ModelClass:
    """`sectors` whose field turns: best-response mixing circles around the equilibria.

    As `sectors` with ``K = pull I - spin R``; pull from .1 down to -.3, where the field drives away from the centre.
    Meant for epsilon .012 and radius .045.
    """
    return sectors(n_models, pull=pull, spin=spin, bump=bump)


def switch1d(n_each: int = 3) -> ModelClass:
    """The central model switches as one goes along a line of policies: 3 n_each routing games with two states.

    ``x = mu_2(0)``, ``g = (1 + f, 1 - f)/2``, ``k = .8``, ``x0 = .25``, ``c = .004``. In order:

    left models i = 0..n_each-1   ``f = c - k (x - x0)`` below x0, ``c (1 - (x - x0)/D)`` up to ``x0 + D``, then
                                  ``-k (x - x0 - D)``; ``D = .12 (1 + i/4)``: the equilibrium is ``x0 + D``
    right models i                their mirror images, ``f(x) = -f_left(2 x0 - x)``: the equilibrium is ``x0 - D``
    tent models i                 ``f = -k (x - x0)`` plus a tent of half-width .03 at ``q - .018``, ``k |q - x0| + .1``
                                  high; ``q = .45 - .045 i``: a stable equilibrium near q besides x0

    Meant for radius .03: there the tents crowd with the left models below x0, with the right ones above, and at every
    model's own equilibrium the crowd is around another.

    Parameters
    ----------
    n_each : int in 1..4
    """
    n = whole("n_each", n_each, 1)
    if n > 4:
        raise ValueError(f"n_each must be at most 4, got {n_each}: a fifth tent would stand on x0")
    steps = np.arange(n)
    kinds = np.repeat([kernels.LEFT, kernels.RIGHT, kernels.TENT], n)
    places = np.concatenate([np.tile(0.12 * (1.0 + steps / 4.0), 2), 0.45 - 0.045 * steps])
    shared = [SHARE, 0.8, 0.25, 0.004, 0.03, 0.018, 0.1]
    return _three_steps(kernels.prepare_switch, kernels.fill, shared, np.stack([kinds, places], axis=1), 2)


def equilibria(models: ModelClass) -> Floats:
    """An equilibrium of each model of `sectors`, `spirals` or `switch1d`, as policies [M, 3, S, S], in closed form.

    The crowd of step 2 is ``a + D e_j``, the only one of `sectors`; on the line it is the one that the model's kind is
    made for, which of the tents is the one near q.
    """
    require_class("models", models)
    if models.prepare is kernels.prepare_sectors:
        crowds = np.array(ANCHOR) + REACH * models.thetas
    elif models.prepare is kernels.prepare_switch:
        share = np.array([_line_equilibrium(kind, place, models.common.shared) for kind, place in models.thetas])
        crowds = np.stack([share, 1.0 - share], axis=1)
    else:
        raise ValueError("models must be of sectors, spirals or switch1d: equilibria of others are not known")
    S = models.n_states
    policies = np.full((len(models), 3, S, S), 1.0 / S)
    policies[:, 0, 0] = crowds / crowds.sum(axis=1, keepdims=True)
    return policies


def _line_equilibrium(kind: float, place: float, shared: Floats) -> float:
    """x of `switch1d`."""
    k, x0, half, shift, lift = (float(shared[i]) for i in (1, 2, 4, 5, 6))
    if kind == kernels.LEFT:
        return x0 + place
    if kind == kernels.RIGHT:
        return x0 - place
    height = k * abs(place - x0) + lift  # beyond the tip: -k (x - x0) + height (1 - (x - q + shift) / half) = 0
    return (k * x0 + height * (1.0 + (place - shift) / half)) / (k + height / half)


def two_clusters(
    n_models: int = 8, n_states: int = 3, *, d_psi: int = 3, scale: float = 0.1, width: float = 0.2, seed: int = 0
) -> ModelClass:
    """Two groups of linear models, each scattered where the other is crowded.

    Step 2 has rows ``|phi(s,a) G(mu) Psi(mu)|``, normalised, as a linear class (`linear_class`), with
    ``Psi(mu) = (1 - w) core + w noise``: the core is common, the noise a model's own, and its weight ramps,
    ``w = scale clip(1/2 + u (mu(0) - 1/2)/width, 0, 1)`` with u = 1 for even models, -1 for odd ones. Where
    ``mu_2(0) <= (1 - width)/2`` the even ones are all the core, and the odd ones scatter.

    Parameters
    ----------
    n_models : int >= 1
    n_states : int >= 2
        As many actions.
    d_psi : int >= 1
        Features of next states, and of rows.
    scale : float in (0, 1]
    width : float in (0, 1]
    seed : int >= 0
        Model i depends on it and on i alone.
    """
    n, S, d = whole("n_models", n_models, 1), whole("n_states", n_states, 2), whole("d_psi", d_psi, 1)
    share, ramp = _part("scale", scale), _part("width", width)
    root = whole("seed", seed, 0)
    stream = Stream.TWO_CLUSTERS.generator(root)
    tables = [stream.standard_normal(shape) for shape in ((S, S, d), (S, d * d), (d, S))]
    shared = np.concatenate([[SHARE, share, ramp, S, d, d], *(table.ravel() for table in tables)])
    thetas = np.empty((n, 1 + d * S))
    for i in range(n):
        own = Stream.TWO_CLUSTERS.generator(root, i)
        thetas[i, 0] = 1.0 - 2.0 * (i % 2)
        thetas[i, 1:] = own.standard_normal(d * S)
    statuses = {kernels.ZERO_ROW: "a row phi G Psi is zero in all entries and can not be normalised"}
    fills = (kernels.prepare_clusters, kernels.fill_clusters)
    return _three_steps(*fills, shared, thetas, S, aux_size=d * S, statuses=statuses)


def hidden_density(d: int = 3, L_T: float = 1.0, b: float | None = None, zeta: int | None = None) -> ModelClass:
    """Easy for games, hard for control: a reward that only one crowd unlocks (Huang, He, Krause 2024, Theorem F.9).

    Routing games with d states, reward 1: ``g_i(mu) = max(0, b - (L_T/2) ||mu - mu*||_1)`` for all i. Model 0 has
    g = 0, model 1 + i the hidden ``mu* = density_grid(d, zeta)[i]``. Every policy is an equilibrium of every model,
    ``E_M(pi) = 0``; the crowd's own return is ``J_M(pi; pi) = g(pi_1(.|0))``, and who wants to maximise it must find
    mu*. Rows are L_T-Lipschitz, exactly. For eps < 2b P-MBED is 1, MBED at least the number of grid points.

    Parameters
    ----------
    d : int >= 2
        States, and actions.
    L_T : float in (0, 1]
    b : float in (0, 1], optional
        ``0.4 L_T / d`` by default; the grid grows exponentially with d for b up to about ``L_T / (2 d)``.
    zeta : int >= 1, optional
        Steps of the grid, at most ``L_T / (2b)``, the default, so that no crowd is near two hidden densities: 3, 10,
        56 and 210 of them for d = 2..5.
    """
    S = whole("d", d, 2)
    slope = _part("L_T", L_T)
    height = 0.4 * slope / S if b is None else _part("b", b)
    most = math.floor(slope / (2.0 * height) * (1.0 + 1e-12))
    if most < 1:
        raise ValueError(f"b must be at most L_T / 2 = {slope / 2:g}, got {height:g}: supports would overlap")
    steps = most if zeta is None else whole("zeta", zeta, 1)
    if steps > most:
        raise ValueError(f"zeta must be at most L_T / (2 b) = {slope / (2 * height):g}, got {zeta}: supports overlap")
    hidden = density_grid(S, steps)
    thetas = np.column_stack([np.full(len(hidden), height), hidden])
    thetas = np.vstack([np.eye(1 + S)[1], thetas])
    return _three_steps(kernels.prepare_hidden, kernels.fill, [1.0, slope], thetas, S)


def density_grid(d: int, zeta: int) -> Floats:
    """All densities over d states whose entries are multiples of 1/zeta, [C(zeta + d - 1, d - 1), d], in order."""
    S, steps = whole("d", d, 1), whole("zeta", zeta, 1)
    bars = itertools.combinations(range(steps + S - 1), S - 1)
    edges = np.array([(-1, *bar, steps + S - 1) for bar in bars], dtype=np.int64)
    return (np.diff(edges, axis=1) - 1) / steps


def crowded(
    n_models: int = 12, n_states: int = 6, n_actions: int = 4, horizon: int = 3, *, scale: float = 1e-3, seed: int = 0
) -> LinearClass:
    """A linear class with little noise: under every policy all models crowd around one another.

    `linear_class` with noise of at most `scale`, and crowd-aversion as the reward; distances are of the order of
    `scale`.
    """
    return linear_class(n_models, n_states, n_actions, horizon, scale=scale, seed=seed)


def aggregated(d: int = 4, n_states: int = 12, n_actions: int = 2, horizon: int = 2, *, seed: int = 0) -> LinearClass:
    """Aggregated features, whose P-MBED is exactly d: d kinds of (s, a), 4 d models, each with one row of its own.

    (s, a) is of kind ``(s A + a) mod d``, and rows of a kind are alike: ``P(.|s,a) = Psi(kind)``, the same at every
    step and for every density. The rows of model i are the core's, but for kind ``i mod d``, where it puts 0.1, 0.2,
    0.3 or 0.4 of the mass elsewhere: models of one kind are at least 0.1 apart there (L1).

    Parameters
    ----------
    d : int in 1..n_states n_actions
    n_states : int >= 2
    n_actions, horizon : int >= 1
    seed : int >= 0
    """
    S, A, H = whole("n_states", n_states, 2), whole("n_actions", n_actions, 1), whole("horizon", horizon, 1)
    kinds = whole("d", d, 1)
    if kinds > S * A:
        raise ValueError(f"d must be at most n_states * n_actions = {S * A}, got {d}: no more kinds of (s, a)")
    stream = Stream.AGGREGATED.generator(whole("seed", seed, 0))
    core = stream.dirichlet(np.ones(S), kinds)
    psi = np.tile(core, (4 * kinds, 1, 1))  # [M, d, S]
    for i, rows in enumerate(psi):
        row, target = rows[i % kinds], int(np.argmin(core[i % kinds]))
        row *= 1.0 - 0.1 * (1 + i // kinds)
        row[target] += 0.1 * (1 + i // kinds)
    phi = np.eye(kinds)[np.arange(S * A) % kinds].reshape(S, A, kinds)
    same = np.tile(np.eye(kinds).ravel(), (H, S, 1))  # U_h(s): G(mu) is the identity
    start = np.full(S, 1.0 / S)
    return LinearClass(np.tile(phi, (H, 1, 1, 1)), same, np.repeat(psi[:, None], H, axis=1), start)


def _part(name: str, value: Any) -> float:
    """A float in (0, 1]."""
    number = real(name, value, 0.0)
    if number > 1.0:
        raise ValueError(f"{name} must lie in (0, 1], got {value!r}")
    return number


def _three_steps(
    prepare: Filler, fill: Filler, shared: Any, thetas: Floats, n: int, *, aux_size: int | None = None,
    statuses: dict[int, str] | None = None,
) -> ModelClass:  # fmt: skip
    """The class of these games with n states and actions."""
    same = np.zeros((3, n), dtype=np.bool_)
    same[1] = fill is kernels.fill  # routing: step 2 leads where it leads whatever the action
    same[2] = True
    return ModelClass.from_source(
        CompiledSource(prepare, fill, kernels.reward, statuses=statuses or {}), initial=np.eye(n)[0], n_actions=n,
        horizon=3, shared=np.array(shared, dtype=np.float64), thetas=np.ascontiguousarray(thetas),
        aux_size=n if aux_size is None else aux_size, equal_rows=same,
    )  # fmt: skip
