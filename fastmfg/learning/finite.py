"""What a limit equilibrium is worth among finitely many agents (Huang, He, Krause 2024, Appendix H).

``G_N = J_N(dev; pi) - J_N(pi; pi)``: one of N agents plays a best response `dev` of the *limit* game while the others
play pi. It is estimated by simulation. With V and Q the values of the deviating agent's own policy in the limit game
conditioned on pi, and m_h the agents' empirical distribution, its return has the same mean as

    J + sum_h [ r_h(s_h, a_h, m_h) + sum_x P_h(x | s_h, a_h, m_h) V_{h+1}(x) - Q_h(s_h, a_h) ],

since what is left out, ``V_{h+1}(s_{h+1})`` less its mean given the past, and ``Q_h(s_h, a_h)`` less its mean over the
action, has mean zero (control variates; the sums telescope). The brackets vanish where m_h is the limit density: their
variance is of the order 1/N, that of plain returns is not. Both policies meet the same random numbers.

The gap is at most of the order ``N ** -0.5``; where rewards and transitions are smooth it falls like 1/N.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.equality import Result
from fastmfg.executors import blocks, map_tasks
from fastmfg.games.checks import Floats, real, whole
from fastmfg.games.game import Game, require_game
from fastmfg.games.simulation import RUNS_A_TASK, Population, Walk
from fastmfg.planning.condition import condition_one
from fastmfg.planning.evaluate import back_up_one, deterministic


@dataclass(frozen=True, eq=False)
class FiniteGap(Result):
    """An estimate of the gain of one deviating agent; with types of agents, of the type that gains most."""

    gap: float
    low: float  # confidence interval, from the normal approximation
    high: float
    n_agents: tuple[int, ...]  # [W]   of each type
    n_runs: int
    limit_gap: float  # the NE gap of the policy in the limit game
    by_type: Floats  # [W]


@dataclass(frozen=True, eq=False)
class FiniteGaps(Result):
    """Estimates at several numbers of agents."""

    gaps: tuple[FiniteGap, ...]
    slope: float  # of log gap against log N, least squares over the gaps that are surely positive; NaN: fewer than two


@dataclass(frozen=True)
class _Limit:
    """A policy of the deviating agent, and its values in the limit game."""

    policy: Floats  # [H, S, A]
    q: Floats  # [H, S, A]
    value: Floats  # [H+1, S]   0 at the end
    returns: Floats  # [W]


def finite_gap(
    game: Game,
    policy: ArrayLike,
    n_agents: int | Sequence[int],
    *,
    n_runs: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> FiniteGap:
    """Estimate what one of N agents gains by its best response of the limit game when the others play a policy.

    Parameters
    ----------
    game : Game
    policy : [H, S, A]
    n_agents : int >= 2, or a list of one a type
    n_runs : int >= 2
        Simulated pairs, for each type of agents. The interval needs enough of them for a normal approximation.
    confidence : float in (0, 1)
        Of the interval. With W types each has an interval of level ``1 - (1 - confidence) / W``, so that the largest of
        their gaps lies between the largest of the lower ends and that of the upper ends.
    seed : int

    Raises
    ------
    ValueError, TypeError
        Fewer than two agents; a policy of wrong shape.
    """
    require_game("game", game)
    population = Population(game, n_agents, seed)
    population.require_two()
    runs, level = whole("n_runs", n_runs, 2), real("confidence", confidence, 0.0, 1.0)
    pi = game.models.policy("policy", policy)
    stay, leave = _limits(game, pi)
    W = len(population.sizes)
    z = NormalDist().inv_cdf(1 - (1 - level) / (2 * W))
    means, halves = np.empty(W), np.empty(W)
    for kind in range(W):
        gains = leave.returns[kind] - stay.returns[kind] + _differences(population, pi, stay, leave, kind, runs)
        means[kind], halves[kind] = gains.mean(), z * gains.std(ddof=1) / math.sqrt(runs)
    limit = float((leave.returns - stay.returns).max())
    low, high = float((means - halves).max()), float((means + halves).max())
    return FiniteGap(float(means.max()), low, high, population.sizes, runs, max(limit, 0.0), means)


def finite_gaps(
    game: Game,
    policy: ArrayLike,
    sizes: Sequence[int],
    *,
    n_runs: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> FiniteGaps:
    """`finite_gap` at several numbers of agents (of each type), and how fast it falls.

    The slope is a description: theory promises at most ``C N ** -0.5`` for an equilibrium, not a power law.
    """
    if not hasattr(sizes, "__iter__"):
        raise TypeError(f"sizes must be a sequence of numbers of agents, got {type(sizes).__name__}")
    given = [whole(f"sizes[{i}]", size, 2) for i, size in enumerate(sizes)]
    if not given:
        raise ValueError("sizes is empty: at least one number of agents is needed")
    gaps = tuple(finite_gap(game, policy, n, n_runs=n_runs, confidence=confidence, seed=seed) for n in given)
    sure = np.array([found.low > 0 for found in gaps])
    x = np.log(np.array(given, dtype=np.float64)[sure])
    y = np.log([found.gap for found, keep in zip(gaps, sure, strict=True) if keep])
    spread = float(((x - x.mean()) ** 2).sum()) if sure.any() else 0.0
    slope = float(((x - x.mean()) * y).sum()) / spread if spread > 0 else math.nan
    return FiniteGaps(gaps, slope)


def _limits(game: Game, pi: Floats) -> tuple[_Limit, _Limit]:
    """Playing on, and a best response, in the limit game conditioned on a policy."""
    found = condition_one(game, pi)
    own = back_up_one(game, found.aux, found.reward, pi)
    best = deterministic(own.greedy[0], game.n_actions)
    other = back_up_one(game, found.aux, found.reward, best)
    return _limit(game, pi, own.q[0]), _limit(game, best, other.q[0])


def _limit(game: Game, policy: Floats, q: Floats) -> _Limit:
    value = np.zeros((game.horizon + 1, game.n_states))
    value[:-1] = (policy * q).sum(axis=2)
    layout, initial = game.models.layout, game.models.common.initial
    returns = np.array([value[0] @ initial]) if layout is None else layout.means(value[:1], initial)[0]
    return _Limit(policy, q, value, returns)


def _differences(population: Population, pi: Floats, stay: _Limit, leave: _Limit, kind: int, runs: int) -> Floats:
    """Deviating less staying, each by the brackets above: one number a run."""

    def simulate(block: range) -> list[float]:
        return [
            _excess(Walk(population, pi, run, leave.policy, kind), leave)
            - _excess(Walk(population, pi, run, stay.policy, kind), stay)
            for run in block
        ]

    parallel = population.game.models.parallel
    return np.concatenate(list(map_tasks(simulate, blocks(runs, RUNS_A_TASK), parallel=parallel)))


def _excess(walk: Walk, limit: _Limit) -> float:
    """The sum of the brackets along one run."""
    total = 0.0
    for h in range(len(limit.q)):
        step = walk.advance()
        reward = walk.population.reward_at(h, step.population)[step.state, step.action]
        total += reward + step.expected(limit.value[h + 1]) - limit.q[h, step.state, step.action]
    return float(total)
