"""What a game is like, estimated from sampled policies: monotone rewards, Lipschitz constants, contraction.

For policies pi, pi' let ``L_h(s,a) = mu_h(s) pi_h(a|s)`` and ``L'_h`` be their occupation measures in the game, and
``x_h``, ``x'_h`` what functions see: the densities, or L, L' where the population is joint. Norms are L1.

    monotone (Lasry, Lions 2007)   sum_h sum_{s,a} (L_h - L'_h)(s,a) (r_h(s,a,x_h) - r_h(s,a,x'_h)) <= 0
    L_r                            max over h, s, legal a of |r_h(s,a,x_h) - r_h(s,a,x'_h)| / ||x_h - x'_h||
    L_T                            max over h, s, legal a of ||P_h(.|s,a,x_h) - P_h(.|s,a,x'_h)|| / ||x_h - x'_h||
    contraction                    max_h ||x^BR_h - x'^BR_h|| / max_h ||x_h - x'_h||,  x^BR that of the best response

L_r and L_T are those of Assumption B in Huang, He, Krause (2024): over densities that policies reach, at the step at
which they reach them. All are suprema over pairs of policies, and what is computed is a maximum over sampled pairs:
a lower bound. Differences within rounding count as none, so that noise can not pass for a slope.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fastmfg.equality import Result
from fastmfg.executors import map_tasks
from fastmfg.games.checks import Floats, first_index, frozen, real, whole
from fastmfg.games.game import Game, require_game
from fastmfg.games.model_class import ModelClass
from fastmfg.kernels import distance
from fastmfg.planning.evaluation import ROUNDING
from fastmfg.planning.sampled import Pairs, Sample, Sampler

FLOOR = 1e-7
"""Populations closer than this (L1) are not compared: quotients would be rounding."""

SAFETY = 16.0
"""A proof leaves room for so many times the rounding that is seen in a reward function."""

LARGEST_GAP = 2.0 + 1e-6
"""No two distributions are farther apart; a gap beyond it is that of rows which are none."""


@dataclass(frozen=True, eq=False)
class Monotonicity(Result):
    """The Lasry-Lions condition at sampled pairs of policies.

    A violation is a proof that rewards are not monotone; no violation is no proof that they are.
    """

    pairs: int  # with different populations
    violations: int  # pairs at which the sum is positive beyond rounding
    largest: float  # of the sums, each divided by sum_h ||L_h - L'_h|| ||x_h - x'_h||; in [-L_r, L_r]
    witness: tuple[Floats, Floats] | None  # the policies [H, S, A] of that pair; None without pairs


@dataclass(frozen=True, eq=False)
class Diagnostics(Result):
    """Estimates of what decides whether solvers converge; `str` puts them into words.

    Slopes and the contraction factor are lower bounds of suprema, 0 where there are no pairs.
    """

    monotonicity: Monotonicity
    transition_depends: bool  # True: a row changed with the population, a proof; False: none was seen to
    reward_lipschitz: float  # L_r, at least
    transition_lipschitz: float  # L_T, at least
    contraction: float  # of the best-response map, at least
    temperature: float | None  # of the softmax best response; None: the exact one
    n_policies: int

    def __str__(self) -> str:
        pairs = self.monotonicity.pairs
        if not pairs:
            return (
                f"All {self.n_policies} sampled policies and their neighbours make the same crowd: nothing to compare"
            )
        lines = (
            f"Estimates from {self.n_policies} policies and their neighbours, {pairs} pairs:",
            f"  monotone rewards     {_monotone_text(self.monotonicity)}",
            f"  transitions          {_transition_text(self.transition_depends)}",
            f"  reward Lipschitz     at least {self.reward_lipschitz:.4g}",
            f"  transition Lipschitz at least {self.transition_lipschitz:.4g}",
            f"  contraction          at least {self.contraction:.4g}: {_contraction_text(self)}",
        )
        return "\n".join(lines)


def _monotone_text(found: Monotonicity) -> str:
    if found.violations:
        verdict = f"no, proved by {found.violations} of {found.pairs} pairs"
    else:
        verdict = f"no violation in {found.pairs} pairs, which is no proof"
    return f"{verdict} (largest scaled sum {found.largest:.3g})"


def _transition_text(depends: bool) -> str:
    if depends:
        return "depend on the crowd: monotone rewards alone do not make the equilibrium unique"
    return "the same for all sampled crowds"


def _contraction_text(found: Diagnostics) -> str:
    response = "best response" if found.temperature is None else f"softmax best response at {found.temperature:g}"
    if found.contraction >= 1.0:
        verdict = f"the {response} is no contraction in this norm"
    else:
        verdict = f"below 1 suggests, and does not prove, that iterating the {response} converges"
    jumps = found.temperature is None and found.contraction > 0.0
    return verdict + ("; it jumps: see what a temperature does" if jumps else "")


@dataclass(frozen=True)
class Lipschitz:
    """Lower estimates of the Lipschitz constants of a class."""

    reward: float  # L_r, at least
    transition: float  # L_T, at least
    pairs: int  # compared, with populations FLOOR apart at some step


def diagnose(game: Game, *, n_policies: int = 20, temperature: float | None = None, seed: int = 0) -> Diagnostics:
    """Estimate from sampled policies whether rewards are monotone, how smooth the game is, and whether it contracts.

    Every number is an estimate: a maximum over sampled pairs of policies, hence a lower bound of a supremum over all
    pairs. A violation of monotonicity that is found is a proof; none found is no proof. Monotone rewards make the
    equilibria a convex set (one point, if strictly monotone) and let fictitious play converge where transitions do not
    depend on the population; where they do (`transition_depends`), monotonicity of rewards alone implies neither.

    Parameters
    ----------
    game : Game
        NumPy functions are called as they are; compiled rows are compared without a table.
    n_policies : int >= 1
        Policies sampled: the uniform one, then Dirichlet, deterministic, best responses, and optimal ones for random
        rewards. All pairs are compared (in games so large that 256 MiB do not hold the policies, those close in the
        sequence), and each policy with three close to it, as smooth functions are steepest locally. More policies
        never lower an estimate where all pairs are compared.
    temperature : float > 0, optional
        Measure the contraction of the softmax best response ``pi_h(a|s) ~ exp(Q*_h(s,a) / temperature)``, Q* the values
        of the best response (Cui, Koeppl 2021), instead of the best response itself. In units of reward.
    seed : int >= 0

    Returns
    -------
    Diagnostics
        The module defines each number. Norms are L1, over [S], or over [S, A] for a joint population. The best response
        takes finitely many values: on a connected set of populations its factor is 0, or else has no bound, and the
        estimate grows with the sample. The factor of the softmax is the one that tells something.

    Notes
    -----
    Populations within 1e-7 of one another are not compared. Differences of rewards within 1e-14 of their size, and of
    rows within 2e-14, count as none. A violation counts where it is larger than 16 times what the reward function's own
    rounding makes of it, as measured at populations close by: ``(K @ mu + 1e6) - 1e6`` rounds like 1e6.
    """
    require_game("game", game)
    n, first_seed = whole("n_policies", n_policies, 1), whole("seed", seed, 0)
    heat = None if temperature is None else real("temperature", temperature, 0.0)
    parallel = game.models.parallel
    slopes: list[Slopes] = []
    ratios: list[float] = []
    sums: list[float] = []
    witness, largest = None, -np.inf
    for pairs in Sampler(game.models, np.array([game.index]), first_seed, heat).rounds(n):
        far = apart(pairs)
        slopes += map_tasks(slopes_of, far, parallel)
        ratios += [contraction(pair) for pair in far]
        for (x, y), value in zip(far, map_tasks(scaled_sum, far, parallel), strict=True):
            sums.append(value)
            if value > largest:
                largest, witness = value, (frozen(x.policy), frozen(y.policy))
    violations = sum(value > 0.0 for value in sums)
    top = largest_of(slopes)
    return Diagnostics(
        Monotonicity(len(sums), violations, max(sums, default=0.0), witness), top.transition > 0.0,
        top.reward, top.transition, max(ratios, default=0.0), heat, n,
    )  # fmt: skip


def estimate_lipschitz(models: ModelClass | Game, *, n_policies: int = 20, seed: int = 0) -> Lipschitz:
    """Estimate L_r and L_T of a class from sampled policies: lower bounds of the constants.

    Assumption B of Huang, He, Krause (2024) asks for ``|r(s,a,mu) - r(s,a,mu')| <= L_r ||mu - mu'||_1`` and
    ``||P(.|s,a,mu) - P(.|s,a,mu')||_1 <= L_T ||mu - mu'||_1`` in every model, for densities reachable in *any* model of
    the class: mu may be a density of one model and mu' one of another. Policies are sampled as in `diagnose`, each in
    one model of the class in turn; pairs are compared within and between models, and the rows and rewards of both
    models of a pair are asked at both populations. The constants are suprema: they are at least the estimates, and may
    be larger. Theory's tolerances want an upper bound, which no sample can give.

    Parameters
    ----------
    models : ModelClass or Game
        A game is a class of one.
    n_policies : int >= 1
    seed : int >= 0

    Raises
    ------
    ValueError
        A model whose rows are no distributions, or whose rewards are not finite, under another model's population.
    """
    if not isinstance(models, (ModelClass, Game)):
        raise TypeError(f"models must be a ModelClass or a Game, got {type(models).__name__}")
    known = models if isinstance(models, ModelClass) else models.models
    members = known.members if isinstance(models, ModelClass) else np.array([models.index])
    n, first_seed = whole("n_policies", n_policies, 1), whole("seed", seed, 0)
    slopes: list[Slopes] = []
    for pairs in Sampler(known, members, first_seed).rounds(n):
        slopes += map_tasks(slopes_of, apart(pairs), known.parallel)
    top = largest_of(slopes)
    return Lipschitz(top.reward, top.transition, len(slopes))


# Figures of one pair


class Slopes(NamedTuple):
    """Difference quotients of rewards and rows, the largest over steps, states, legal actions, and models."""

    reward: float
    transition: float


def largest_of(slopes: list[Slopes]) -> Slopes:
    return Slopes(*(max((slope[i] for slope in slopes), default=0.0) for i in range(2)))


def distances(x: Floats, y: Floats) -> Floats:
    """L1 distance of populations, step by step, [H]."""
    between: Floats = np.abs(x - y).sum(axis=1)
    return between


def apart(pairs: Pairs) -> Pairs:
    """The pairs whose populations differ at some step."""
    return [(x, y) for x, y in pairs if distances(x.population, y.population).max() >= FLOOR]


def slopes_of(pair: tuple[Sample, Sample]) -> Slopes:
    """Slopes between two populations, of the models whose they are."""
    x, y = pair
    between = distances(x.population, y.population)
    members = sorted({x.member, y.member})
    return Slopes(
        max(steepest(reward_changes(x, y, m), between) for m in members),
        max(steepest(row_changes(x, y, m), between) for m in members),
    )


def steepest(changes: Floats, between: Floats) -> float:
    """The largest of ``changes [H]`` over distances, where these are not rounding."""
    far = between >= FLOOR
    with np.errstate(over="ignore"):
        return float((changes[far] / between[far]).max(initial=0.0))


def reward_changes(x: Sample, y: Sample, member: int) -> Floats:
    """``max over s, legal a of |r_h(s,a,x_h) - r_h(s,a,y_h)|`` [H], less rounding."""
    legal = x.models.common.legal
    r, q = x.reward_in(member)[:, legal], y.reward_in(member)[:, legal]
    change = np.abs(r - q) - ROUNDING * np.maximum(np.abs(r), np.abs(q))
    largest: Floats = np.maximum(change.max(axis=1), 0.0)
    return largest


def row_changes(x: Sample, y: Sample, member: int) -> Floats:
    """``max over s, legal a of ||P_h(.|s,a,x_h) - P_h(.|s,a,y_h)||_1`` [H], less rounding."""
    f = x.models
    if f.aux_size == 0:  # rows see the population by way of `aux` alone
        return np.zeros(f.horizon)
    aux = np.stack([x.aux_in(member), y.aux_in(member)])
    gap = np.empty((f.horizon, f.n_states, f.n_actions))
    no_rewards = np.empty((0, 0, 0, 0))
    status = distance.row_gaps(f.fill, f.common, f.thetas, np.full(2, member), aux, no_rewards, 0, 1, gap)
    f.refuse_status(status, "comparing rows under two populations")
    wrong = ~(gap <= LARGEST_GAP) & f.common.legal
    if wrong.any():
        h, s, a = first_index(wrong)
        raise ValueError(
            f"the transition row of {f.name_of(member)}, step {h}, state {s}, action {a} is no distribution under a "
            f"population that policies reach in model {x.member} or {y.member}"
        )
    largest: Floats = np.maximum(gap[:, f.common.legal].max(axis=1) - 2.0 * ROUNDING, 0.0)
    return largest


def contraction(pair: tuple[Sample, Sample]) -> float:
    """How far the best responses' populations are apart, over how far the pair's are."""
    x, y = pair
    return float(distances(x.response, y.response).max() / distances(x.population, y.population).max())


def scaled_sum(pair: tuple[Sample, Sample]) -> float:
    """The Lasry-Lions sum of a pair over ``sum_h ||L_h - L'_h|| ||x_h - x'_h||``; 0 within rounding."""
    x, y = pair
    lean = x.density[..., None] * x.policy - y.density[..., None] * y.policy  # L - L'
    change = np.where(x.models.common.legal, x.reward - y.reward, 0.0)
    moved = np.abs(lean).sum(axis=(1, 2))
    total = float((lean * change).sum())
    size = np.abs(x.reward[:, x.models.common.legal]).max(axis=1)
    rounding = ROUNDING * float((moved * size + 2.0 * np.abs(change).max(axis=(1, 2))).sum())
    if abs(total) <= rounding:
        return 0.0
    if total > 0.0:  # said to be a proof, which leaves room for rounding within the function
        noise = SAFETY * (x.reward_noise + y.reward_noise)
        if total <= rounding + noise * float(moved.sum()):
            return 0.0
    return total / float((moved * distances(x.population, y.population)).sum())
