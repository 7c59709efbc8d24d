"""Equilibria with a reward for staying near a prior, as zeros of a residual over occupation measures; its derivative.

A crowd is an occupation measure ``L_h(s,a) = mu_h(s) pi_h(a|s)`` with ``pi = softmax(v)`` and the density mu of pi, so
that its flow is consistent by construction. Against it, an agent who is paid ``r - log(pi / prior) / beta`` has values

    Q_h = r_h(., mu_h) + P_h(., mu_h) V_{h+1},    V_h = log(sum_a prior_h exp(beta Q_h)) / beta,

and answers with the logits ``log prior + beta Q``. The residual is what the crowd's logits differ by from the answer,

    F(v, beta) = v - log prior - beta Q,    less its mean over actions.

Where it vanishes, the slack ``V - Q`` of each action is ``log(prior / pi) / beta``: the conditions of MF-OMO, flow,
``slack >= 0`` and ``slack L = 0`` (Guo, Hu, Zhang, SIAM J. Control Optim. 62(1), 2024), hold up to order 1/beta, and
the NE gap is at most ``H max log(1 / prior) / beta``. At beta = 0 the one zero is the prior. In a monotone game whose
transitions the crowd does not move there is one at every beta (entropy makes it strictly monotone; cf. Cui, Koeppl
2021).

How rewards and transitions change with the crowd is measured by differences: populations are moved a little towards
each state (each pair of state and action, if they are joint), and stay distributions. The rest of F's derivative is
exact. It is solved for after changes of logits have been eliminated: 2 S unknowns a step are left, whatever A.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fastmfg.games.checks import Floats, Integers
from fastmfg.games.game import Game

FLAT = 1e-7
"""For smaller beta the prior's mean of Q is taken for V: they differ by about beta."""

NUDGE, LEAST_SHARE = 1e-6, 1e-3
"""A population is moved towards a state by NUDGE times the state's share of it, or times LEAST_SHARE if that is more:
rewards may be logarithms of shares."""


@dataclass(frozen=True)
class Crowd:
    """Everything at one (v, beta). Q and V are in units of the game's scale; entries of illegal actions are 0."""

    game: RegularisedGame
    logits: Floats  # [H, S, A]     v, centred
    beta: float
    policy: Floats  # [H, S, A]
    density: Floats  # [H, S]
    rows: Floats  # [H, S, A, S]
    q: Floats  # [H, S, A]
    value: Floats  # [H+1, S]      0 after the last step
    response: Floats  # [H, S, A]     softmax(log prior + beta Q)
    lift: Floats  # [H, S]        derivative of V in beta at fixed Q

    @property
    def residual(self) -> Floats:
        """F [H, S, A], centred."""
        residual: Floats = self.logits - self.game.log_prior - self.game.centred(self.beta * self.q)
        return residual

    @cached_property
    def slopes(self) -> tuple[Floats, Floats]:
        """Derivatives in the population of Q [H, J, S, A] at fixed V, and of the next density [H, J, S] at fixed L.

        J = S, or S*A for joint populations. They hold for changes of the population that sum to zero.
        """
        game = self.game
        H, S, A = self.q.shape
        J = S * A if game.joint else S
        of_q, of_next = np.zeros((H, J, S, A)), np.zeros((H, J, S))
        for h in range(H):
            mass = (self.density[h][:, None] * self.policy[h]).ravel()
            population = mass if game.joint else self.density[h]
            following = mass @ self.rows[h].reshape(-1, S)
            for j in np.flatnonzero(population):  # no policy changes the crowd where it never is
                nudge, moved = game.nudged(population, int(j))
                rows = game.rows(h, moved)
                q = game.rewards(h, moved) + rows @ self.value[h + 1]
                of_q[h, j] = (q - self.q[h]) / nudge
                of_next[h, j] = (mass @ rows.reshape(-1, S) - following) / nudge
        return of_q, of_next


class RegularisedGame:
    """A game, the logits of a prior, and the unit in which its rewards are measured."""

    def __init__(self, game: Game, log_prior: Floats, scale: float) -> None:
        self._game, self._scale = game, scale
        self.legal = game.models.common.legal
        self.joint = game.models.joint
        self.log_prior = self.centred(log_prior)
        layout = game.models.layout
        types = np.zeros(game.n_states, dtype=np.int64) if layout is None else layout.type_of(np.arange(game.n_states))
        self._types: Integers = np.repeat(types, game.n_actions) if self.joint else types

    def centred(self, x: Floats) -> Floats:
        """Less the mean over legal actions; 0 where an action is illegal."""
        values = np.where(self.legal, x, 0.0)
        mean = values.sum(axis=-1, keepdims=True) / self.legal.sum(axis=-1, keepdims=True)
        return np.where(self.legal, values - mean, 0.0)

    def softmax(self, logits: Floats) -> tuple[Floats, Floats]:
        """The policy [..., S, A] and the logarithm [..., S] of what it was divided by."""
        largest = np.where(self.legal, logits, -np.inf).max(axis=-1, keepdims=True)
        weights = np.where(self.legal, np.exp(np.minimum(logits - largest, 0.0)), 0.0)
        total = weights.sum(axis=-1, keepdims=True)
        return weights / total, (largest + np.log(total))[..., 0]

    def rows(self, h: int, population: Floats) -> Floats:
        """Transitions [S, A, S], 0 for illegal actions."""
        rows = self._game.models.transition_at(self._game.index, h, population.ravel())
        return np.where(self.legal[..., None], rows, 0.0)

    def rewards(self, h: int, population: Floats) -> Floats:
        """Rewards [S, A] in units of the scale, 0 for illegal actions."""
        rewards = self._game.models.reward_at(self._game.index, h, population.ravel())
        return np.where(self.legal, rewards / self._scale, 0.0)

    def nudged(self, population: Floats, j: int) -> tuple[float, Floats]:
        """The population moved a little towards its entry j, and by how much; no agent changes type."""
        nudge = NUDGE * max(float(population[j]), LEAST_SHARE)
        same = self._types == self._types[j]
        moved = np.where(same, population * (1.0 - nudge / population[same].sum()), population)
        moved[j] += nudge
        return nudge, moved

    def at(self, logits: Floats, beta: float) -> Crowd:
        """The crowd with these logits: one pass forwards, one backwards."""
        policy = self.softmax(logits)[0]
        density, rows, rewards = self._forwards(policy)
        H, S, A = rewards.shape
        q, value = np.empty((H, S, A)), np.zeros((H + 1, S))
        response, lift = np.empty((H, S, A)), np.zeros((H, S))
        log_prior = self.log_prior - self.softmax(self.log_prior)[1][..., None]
        for h in range(H - 1, -1, -1):
            q[h] = rewards[h] + rows[h] @ value[h + 1]
            response[h], total = self.softmax(log_prior[h] + beta * q[h])
            mean = (response[h] * q[h]).sum(axis=-1)
            value[h] = total / beta if abs(beta) > FLAT else mean
            lift[h] = (mean - value[h]) / beta if abs(beta) > FLAT else 0.0
        return Crowd(self, logits, beta, policy, density, rows, q, value, response, lift)

    def _forwards(self, policy: Floats) -> tuple[Floats, Floats, Floats]:
        """Density [H, S], rows [H, S, A, S] and rewards [H, S, A]."""
        H, S, A = policy.shape
        density, rows, rewards = np.empty((H, S)), np.empty((H, S, A, S)), np.empty((H, S, A))
        mu = self._game.models.common.initial
        for h in range(H):
            density[h] = mu
            mass = (mu[:, None] * policy[h]).ravel()
            population = mass if self.joint else mu
            rows[h], rewards[h] = self.rows(h, population.copy()), self.rewards(h, population.copy())
            mu = mass @ rows[h].reshape(-1, S)
        return density, rows, rewards


class SingularError(ArithmeticError):
    """F's derivative with its row cannot be inverted."""


class Derivative:
    """F's derivative at a crowd and one more row: linear equations in the changes (dv, dbeta).

    ``dv_h = b_h + d(beta Q_h)`` is a matrix times ``(dmu_h, dV_{h+1}, dbeta)``, and so are dmu_{h+1} and dV_h.
    """

    def __init__(self, crowd: Crowd, row: Floats, corner: float) -> None:
        from scipy.sparse import coo_array
        from scipy.sparse.linalg import splu

        self.crowd, self.row = crowd, row
        H, S, A = crowd.q.shape
        self._measure()
        following, value = self._steps()
        entries, places = _equations(following, value, (row.reshape(H, 1, S * A) @ self.logits)[:, 0], corner)
        size = 2 * H * S + 1
        equations = coo_array((entries, places), shape=(size, size)).tocsc()
        try:
            self.factors = splu(equations)
        except RuntimeError as error:
            raise SingularError(str(error)) from None

    def solve(self, b: Floats, last: float) -> tuple[Floats, float]:
        """The changes (dv, dbeta) for which F changes by b [H, S, A] and the row gives `last`."""
        H, S, A = b.shape
        given = self._settled(b.reshape(H, S * A, 1))
        right = np.zeros((H, 2, S))
        right[1:, 0] = (self.arrive @ self._mixed(given))[:-1, :, 0]
        if self.own is not None:
            right[:-1, 1] = self._answered(self.own @ given)[1:, :, 0]
        solution = self.factors.solve(np.append(right.ravel(), last - float(self.row.ravel() @ given.ravel())))
        steps = np.empty((H, 2 * S + 1, 1))
        steps[:, :-1, 0], steps[:, -1] = solution[:-1].reshape(H, 2 * S), solution[-1]
        logits = (given + self.logits @ steps).reshape(H, S, A)
        return self.crowd.game.centred(logits), float(solution[-1])

    def _measure(self) -> None:
        """What Q and the next density change by with the step's density and, if they see it, with its logits."""
        crowd = self.crowd
        H, S, A = crowd.q.shape
        of_q, of_next = (np.swapaxes(slope.reshape(H, slope.shape[1], -1), 1, 2) for slope in crowd.slopes)
        spread = (crowd.policy[..., None] * np.eye(S)[:, None, :]).reshape(H, S * A, S)  # dL / dmu
        self.arrive = np.swapaxes(crowd.rows.reshape(H, S * A, S), 1, 2)  # d mu_{h+1} / dL
        self.own: Floats | None = None  # of Q, with its step's logits
        self.inverse: Floats | None = None
        if crowd.game.joint:
            self.arrive = self.arrive + of_next
            self.of_q, self.carry = of_q @ spread, self.arrive @ spread
            self.own = np.swapaxes(self._mixed(np.swapaxes(of_q, 1, 2)), 1, 2)
            self.inverse = _inverse(np.eye(S * A) - crowd.beta * self.own)
        else:
            self.of_q, self.carry = of_q, self.arrive @ spread + of_next

    def _steps(self) -> tuple[Floats, Floats]:
        """dmu_{h+1} and dV_h by ``(dmu_h, dV_{h+1}, dbeta)``, both [H, S, 2S+1]; sets those of dv_h."""
        crowd = self.crowd
        H, S, A = crowd.q.shape
        rows, q = crowd.rows.reshape(H, S * A, S), crowd.q.reshape(H, S * A, 1)
        self.logits = self._settled(np.concatenate([crowd.beta * self.of_q, crowd.beta * rows, q], axis=2))
        change = np.concatenate([self.of_q, rows, np.zeros_like(q)], axis=2)
        if self.own is not None:
            change += self.own @ self.logits
        following, value = self.arrive @ self._mixed(self.logits), self._answered(change)
        following[..., :S] += self.carry
        value[..., -1] += crowd.lift
        return following, value

    def _mixed(self, x: Floats) -> Floats:
        """dL = mu dpi by changes of logits, along the middle axis of [H, S*A, *]."""
        crowd = self.crowd
        split, policy = x.reshape(*crowd.q.shape, -1), crowd.policy[..., None]
        mixed = crowd.density[:, :, None, None] * policy * (split - (policy * split).sum(axis=2, keepdims=True))
        result: Floats = mixed.reshape(x.shape)
        return result

    def _settled(self, x: Floats) -> Floats:
        """Changes of logits [H, S*A, *] when their own step's crowd follows, given those when it does not."""
        return x if self.inverse is None else self.inverse @ x

    def _answered(self, change: Floats) -> Floats:
        """dV [H, S, *] by dQ [H, S*A, *]: the mean over the response."""
        response = self.crowd.response[..., None]
        mean: Floats = (response * change.reshape(*self.crowd.q.shape, -1)).sum(axis=2)
        return mean


def _inverse(matrices: Floats) -> Floats:
    try:
        inverse: Floats = np.asarray(np.linalg.inv(matrices), dtype=np.float64)
    except np.linalg.LinAlgError as error:
        raise SingularError(str(error)) from None
    return inverse


def _equations(
    following: Floats, value: Floats, row: Floats, corner: float
) -> tuple[Floats, tuple[Integers, Integers]]:
    """Entries of the equations in ``(g_1, .., g_H, dbeta)``, ``g_h = (dmu_h, dV_{h+1})``, and their places.

    ``dmu_{h+1} = following_h (g_h, dbeta)``, ``dV_h = value_h (g_h, dbeta)``, and last the row [H, 2S+1] and corner.
    """
    H, S, _ = following.shape
    size = 2 * H * S
    groups = np.arange(size).reshape(H, 2, S)
    columns = np.append(groups.reshape(H, 2 * S), np.full((H, 1), size), axis=1)
    parts = [
        (np.ones(size), np.arange(size), np.arange(size)),
        (-following[:-1], groups[1:, 0, :, None], columns[:-1, None, :]),
        (-value[1:], groups[:-1, 1, :, None], columns[1:, None, :]),
        (row, np.full((H, 1), size), columns),
        (np.array([corner]), np.array([size]), np.array([size])),
    ]
    entries, down, across = (
        np.concatenate([np.broadcast_to(part[i], part[0].shape).ravel() for part in parts]) for i in range(3)
    )
    return entries, (down, across)
