"""What a limit equilibrium is worth among finitely many agents (Huang, He, Krause 2024, Appendix H).

``G_N = J_N(dev; pi) - J_N(pi; pi)``: one of N agents plays a best response `dev` of the *limit* game while the others
play pi. It is estimated by simulation. With V and Q the values of the deviating agent's own policy in the limit game
conditioned on pi, and m_h the agents' empirical distribution, its return has the same mean as

    J + sum_h [ r_h(s_h, a_h, m_h) + sum_x P_h(x | s_h, a_h, m_h) V_{h+1}(x) - Q_h(s_h, a_h) ],

since what is left out, ``V_{h+1}(s_{h+1})`` less its mean given the past, and ``Q_h(s_h, a_h)`` less its mean over the
action, has mean zero (control variates; the sums telescope). The brackets vanish where m_h is the limit density: their
variance is of the order 1/N, that of plain returns is not.

Where the game is small, the gap is computed exactly instead (`finite_law`). Else the runs are stratified on the step at
which the two policies part: a path of `dev` is simulated, on which an agent who plays pi would take another action
first at step h with the chance ``c_h = prod_{k<h} pi_k(a_k|s_k) (1 - pi_h(a_h|s_h))``. One such step is drawn with
probability ``c_h / m``, ``m = sum_h c_h``, and the run in which it parts there is simulated too. With X the sums of
brackets,

    J_dev - J_pi + X_dev(path) - (1 - m) X_pi(path) - m X_pi(path that parts)

has mean G_N, and no part of it waits for a rare action to be drawn. Both paths meet the same random numbers.

The interval does not trust the sample's variance: see `betting`.

The gap is at most of the order ``N ** -0.5``; where rewards and transitions are smooth it falls like 1/N.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.equality import Result
from fastmfg.executors import blocks, map_tasks
from fastmfg.games.checks import Floats, real, whole
from fastmfg.games.game import Game, require_game
from fastmfg.games.rows import draw, places_of
from fastmfg.games.simulation import BRANCH, RUNS_A_TASK, Population, Step, Walk
from fastmfg.learning.betting import interval
from fastmfg.learning.finite_law import FiniteLaw, TooManyOutcomesError
from fastmfg.planning.condition import condition_one
from fastmfg.planning.evaluate import back_up_one, deterministic

ENUMERATED = 200_000
"""Outcomes that are enumerated before a gap is simulated: about a second."""

ROUNDING = 1e-10
"""Rounding error of an exact gap, of the sum over steps of the largest reward."""


@dataclass(frozen=True, eq=False)
class FiniteGap(Result):
    """An estimate of the gain of one deviating agent; with types of agents, of the type that gains most."""

    gap: float
    low: float  # confidence interval, proved by betting on bounded gains; when exact, what rounding leaves open
    high: float
    n_agents: tuple[int, ...]  # [W]   of each type
    n_runs: int  # asked for; none is simulated when exact
    limit_gap: float  # the NE gap of the policy in the limit game
    by_type: Floats  # [W]
    exact: bool = False  # enumerated, not simulated


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
    enumerated: int = ENUMERATED,
    reward_range: tuple[float, float] | None = None,
) -> FiniteGap:
    """Estimate what one of N agents gains by its best response of the limit game when the others play a policy.

    Where few agents, states, actions and steps leave few outcomes, the gain is computed exactly and nothing is
    simulated. Otherwise the interval is one for the mean of bounded numbers, valid for any number of runs, also where
    the sample's variance is zero by chance. The price is width: with n runs it is at least about ``4 R / n`` on either
    side at 0.95, where R is the range of what one run may give. R shrinks like ``N ** -0.5``, and where the policy
    plays the best response almost surely anyway; with few agents that are too many to enumerate, few runs or many steps
    the interval is wide, and often holds zero. Raise `n_runs` where that matters.

    Parameters
    ----------
    game : Game
    policy : [H, S, A]
    n_agents : int >= 2, or a list of one a type
    n_runs : int >= 2
        Simulated pairs, for each type of agents that is not enumerated.
    confidence : float in (0, 1)
        Of the interval. With W types each has an interval of level ``1 - (1 - confidence) / W``, so that the largest of
        their gaps lies between the largest of the lower ends and that of the upper ends.
    seed : int
    enumerated : int >= 0
        Enumerate the game if that visits at most about so many outcomes; 0: always simulate.
    reward_range : (lowest, highest), optional
        Bounds on rewards in any population. With them R is proved, hence the interval too, but it does not shrink with
        N: it is far wider. Without them R is what a run could have given over all states and actions of the deviating
        agent in the crowds that were simulated; the confidence then supposes that no rarer crowd matters more.

    Raises
    ------
    ValueError, TypeError
        Fewer than two agents; a policy of wrong shape; a reward outside `reward_range`.
    """
    require_game("game", game)
    population = Population(game, n_agents, seed)
    population.require_two()
    runs, level = whole("n_runs", n_runs, 2), real("confidence", confidence, 0.0, 1.0)
    work, bounds = whole("enumerated", enumerated, 0), _bounds(reward_range)
    pi = game.models.policy("policy", policy)
    stay, leave = _limits(game, pi)
    W = len(population.sizes)
    means, lower, upper, simulated = np.empty(W), np.empty(W), np.empty(W), False
    for kind in range(W):
        found = _enumerated(population, pi, leave, kind, work)
        if found is None:
            simulated = True
            sample = _simulated(population, pi, stay, leave, kind, runs)
            lows, highs = sample.lows, sample.highs
            if bounds is not None:
                lows, highs = _proved(sample, bounds, stay, leave, population.slices[kind], pi)
            bottom, top = _between(pi, leave, population.slices[kind], lows, highs)
            base = float(leave.returns[kind] - stay.returns[kind])
            low, high = interval(sample.gains, bottom, top, (1 - level) / W)
            found = base + float(sample.gains.mean()), base + low, base + high
        means[kind], lower[kind], upper[kind] = found
    limit = float((leave.returns - stay.returns).max())
    return FiniteGap(
        float(means.max()),
        float(lower.max()),
        float(upper.max()),
        population.sizes,
        runs,
        max(limit, 0.0),
        means,
        not simulated,
    )


def finite_gaps(
    game: Game,
    policy: ArrayLike,
    sizes: Sequence[int],
    *,
    n_runs: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    enumerated: int = ENUMERATED,
    reward_range: tuple[float, float] | None = None,
) -> FiniteGaps:
    """`finite_gap` at several numbers of agents (of each type), and how fast it falls.

    The slope is a description: theory promises at most ``C N ** -0.5`` for an equilibrium, not a power law.
    """
    if not hasattr(sizes, "__iter__"):
        raise TypeError(f"sizes must be a sequence of numbers of agents, got {type(sizes).__name__}")
    given = [whole(f"sizes[{i}]", size, 2) for i, size in enumerate(sizes)]
    if not given:
        raise ValueError("sizes is empty: at least one number of agents is needed")
    gaps = tuple(
        finite_gap(
            game, policy, n, n_runs=n_runs, confidence=confidence, seed=seed, enumerated=enumerated,
            reward_range=reward_range,
        )
        for n in given
    )  # fmt: skip
    sure = np.array([found.low > 0 for found in gaps])
    x = np.log(np.array(given, dtype=np.float64)[sure])
    y = np.log([found.gap for found, keep in zip(gaps, sure, strict=True) if keep])
    spread = float(((x - x.mean()) ** 2).sum()) if sure.any() else 0.0
    slope = float(((x - x.mean()) * y).sum()) / spread if spread > 0 else math.nan
    return FiniteGaps(gaps, slope)


def _bounds(reward_range: tuple[float, float] | None) -> tuple[float, float] | None:
    if reward_range is None:
        return None
    pair = tuple(reward_range)
    if len(pair) != 2:
        raise ValueError(f"reward_range must be (lowest, highest), got {len(pair)} numbers")
    low, high = (float(x) for x in pair)
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(f"reward_range must be two finite numbers, the lower first, got {reward_range!r}")
    return low, high


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


def _enumerated(
    population: Population, pi: Floats, leave: _Limit, kind: int, work: int
) -> tuple[float, float, float] | None:
    """The gain of a type, less and plus a bound on its rounding; None when it would take more than so much work."""
    law = FiniteLaw(population, pi, kind, work)
    try:
        deviating, staying = law.returns(leave.policy, pi)
    except TooManyOutcomesError:
        return None
    gain, rounding = deviating - staying, ROUNDING * law.scale
    return gain, gain - rounding, gain + rounding


@dataclass(frozen=True)
class _Runs:
    """Gains of runs, and between what numbers brackets lie; along the last axis: leave, stay, and their difference."""

    gains: Floats  # [n]
    lows: Floats  # [H, 3]
    highs: Floats  # [H, 3]
    rewards: tuple[float, float]  # the lowest and the highest that the deviating agent might have had


def _simulated(population: Population, pi: Floats, stay: _Limit, leave: _Limit, kind: int, runs: int) -> _Runs:
    """One gain a run, less that of the limit game: deviating less staying, by the brackets above."""

    def simulate(block: range) -> _Runs:
        found = [_Pair(population, pi, stay, leave, kind).simulate(run) for run in block]
        return _Runs(
            np.concatenate([one.gains for one in found]), np.min([one.lows for one in found], axis=0),
            np.max([one.highs for one in found], axis=0), _widest([one.rewards for one in found]),
        )  # fmt: skip

    parts = list(map_tasks(simulate, blocks(runs, RUNS_A_TASK), parallel=population.game.models.parallel))
    return _Runs(
        np.concatenate([part.gains for part in parts]), np.min([part.lows for part in parts], axis=0),
        np.max([part.highs for part in parts], axis=0), _widest([part.rewards for part in parts]),
    )  # fmt: skip


def _widest(ranges: list[tuple[float, float]]) -> tuple[float, float]:
    return min(low for low, _ in ranges), max(high for _, high in ranges)


class _Pair:
    """A run of the best response, and one that leaves it at some step for another action of pi, then plays pi."""

    def __init__(self, population: Population, pi: Floats, stay: _Limit, leave: _Limit, kind: int) -> None:
        self.population, self.pi, self.stay, self.leave, self.kind = population, pi, stay, leave, kind
        H = len(pi)
        self.lows, self.highs = np.full((H, 3), np.inf), np.full((H, 3), -np.inf)
        self.rewards = (math.inf, -math.inf)

    def simulate(self, run: int) -> _Runs:
        """One gain: X_leave - (1 - m) X_stay(same path) - m X_stay(path that parts at a step drawn by its chance)."""
        pi, dev = self.pi, self.leave.policy
        walk, H = Walk(self.population, pi, run, dev, self.kind), len(pi)
        left, same, chances, rest = 0.0, 0.0, np.empty(H), 1.0
        for h in range(H):
            step = walk.advance()
            reward = self._record(h, step, (0, 2))
            left += self._bracket(self.leave, h, step, reward)
            same += self._bracket(self.stay, h, step, reward)
            p = float(pi[h, step.state, step.action])
            chances[h], rest = rest * (1 - p), rest * p
        parts = float(chances.sum())
        other = 0.0
        at = draw(chances, self.population.generator(run, 0, BRANCH).random()) if parts > 0 else H
        walk = Walk(self.population, pi, run, dev, self.kind)
        for h in range(H):
            if h == at:
                row = np.where(dev[h, walk.state] > 0, 0.0, pi[h, walk.state])
                walk.deviation = np.broadcast_to(row / row.sum(), pi.shape)
            elif h > at:
                walk.deviation = pi
            step = walk.advance()
            other += self._bracket(self.stay, h, step, self._record(h, step, (1,)))
        gain = left - (1 - parts) * same - parts * other if parts > 0 else left - same
        return _Runs(np.array([gain]), self.lows, self.highs, self.rewards)

    @staticmethod
    def _bracket(limit: _Limit, h: int, step: Step, reward: Floats) -> float:
        s, a = step.state, step.action
        return float(reward[s, a] + step.expected(limit.value[h + 1]) - limit.q[h, s, a])

    def _record(self, h: int, step: Step, which: tuple[int, ...]) -> Floats:
        """Widen the ranges of brackets by all that the agent might have met in this crowd; the rewards [S, A]."""
        reward = self.population.reward_at(h, step.population)
        dev, pi = self.leave.policy[h], self.pi[h]
        within = np.zeros(len(pi), dtype=bool)
        within[self.population.slices[self.kind]] = True
        if h == 0:
            within &= self.population.game.models.common.initial > 0
        played = (dev > 0) if 1 not in which else (pi > 0) | (dev > 0)
        s, a = np.nonzero(played & within[:, None])
        places, where = np.unique(places_of(step.rows.models.common, s, a), return_inverse=True)
        values = np.stack([self.leave.value[h + 1], self.stay.value[h + 1]], axis=1)
        mean = step.rows.expected(places, values)[where]
        first = mean[:, 0] - self.leave.q[h, s, a]
        second = mean[:, 1] - self.stay.q[h, s, a]
        self.rewards = _widest([self.rewards, (float(reward[s, a].min()), float(reward[s, a].max()))])
        for k, found in enumerate((reward[s, a] + first, reward[s, a] + second, first - second)):
            if k in which:
                self.lows[h, k], self.highs[h, k] = found.min(), found.max()
        return reward


def _proved(
    sample: _Runs, bounds: tuple[float, float], stay: _Limit, leave: _Limit, states: slice, pi: Floats
) -> tuple[Floats, Floats]:
    """Ranges of brackets [H, 3] in any crowd, from bounds on rewards."""
    least, most = sample.rewards
    if least < bounds[0] or most > bounds[1]:
        raise ValueError(f"reward_range is {bounds}, but rewards from {least:g} to {most:g} were met: widen it")
    lows, highs = np.empty_like(sample.lows), np.empty_like(sample.highs)
    for h in range(len(pi)):
        best = leave.policy[h, states] > 0
        any_played = best | (pi[h, states] > 0)
        for k, (value, q, played, (low, high)) in enumerate(
            (
                (leave.value, leave.q, best, bounds), (stay.value, stay.q, any_played, bounds),
                (leave.value - stay.value, leave.q - stay.q, best, (0.0, 0.0)),
            )
        ):  # fmt: skip
            after, now = value[h + 1, states], q[h, states][played]
            lows[h, k], highs[h, k] = low + after.min() - now.max(), high + after.max() - now.min()
    return lows, highs


def _between(pi: Floats, leave: _Limit, states: slice, lows: Floats, highs: Floats) -> tuple[float, float]:
    """Bounds on gains, given the ranges of brackets: a gain is ``(1 - m) D + m E`` where m of pi parts."""
    parts = 1.0 - math.prod(float((pi * leave.policy).sum(axis=2)[h, states].min()) for h in range(len(pi)))
    low, high = lows.sum(axis=0), highs.sum(axis=0)
    least, most = low[0] - high[1], high[0] - low[1]
    bottom = low[2] - parts * max(0.0, low[2] - least)
    top = high[2] + parts * max(0.0, most - high[2])
    return float(bottom), float(top)
