"""Slow twins of what unknown rewards change: gaps, distances, likelihoods, information. From the equations alone.

A conditional model is ``(P [H, S, A, S], r [H, S, A])``, rows and rewards at its own density; other symbols as in
`naive`.
"""

import math

import numpy as np


def conditional(initial, transition, reward, policy, joint=False):
    """``(P, r)`` of a model under a policy; transition and reward are functions ``f(h, population)``."""
    mu, P, r = np.array(initial, dtype=float), [], []
    for step in policy:
        S, A = step.shape
        seen = np.array([[mu[s] * step[s, a] for a in range(A)] for s in range(S)]) if joint else mu.copy()
        h = len(P)
        P.append(np.array(transition(h, seen)))
        r.append(np.array(reward(h, seen)))
        after = np.zeros(S)
        for s in range(S):
            for a in range(A):
                for x in range(S):
                    after[x] += mu[s] * step[s, a] * P[h][s, a, x]
        mu = after
    return np.array(P), np.array(r)


def gaps(M, N):
    """``gap_h(s,a) = sum_x |P_M(x|s,a) - P_N(x|s,a)| + |r_M(s,a) - r_N(s,a)|`` [H, S, A]."""
    (P, r), (Q, q) = M, N
    out = np.zeros(r.shape)
    for h, s, a in np.ndindex(r.shape):
        out[h, s, a] = sum(abs(x - y) for x, y in zip(P[h, s, a], Q[h, s, a], strict=True))
        out[h, s, a] += abs(r[h, s, a] - q[h, s, a])
    return out


def best(P, reward, initial, legal):
    """``max_dev E_dev[sum_h reward_h(s_h, a_h)]`` in rows P, by backward induction."""
    V = np.zeros(len(initial))
    for h in reversed(range(len(P))):
        V = np.array(
            [
                max(reward[h, s, a] + sum(P[h, s, a] * V) for a in range(legal.shape[1]) if legal[s, a])
                for s in range(len(initial))
            ]
        )
    return sum(initial * V)


def directed(M, N, initial, legal):
    """``max_dev d_dev(M, N)``: trajectories from M."""
    return best(M[0], gaps(M, N), initial, legal)


def distance(M, N, initial, legal):
    """The larger of the two directions."""
    return max(directed(M, N, initial, legal), directed(N, M, initial, legal))


def along(M, N, initial, deviation):
    """``d_dev(M, N)`` of one deviation: the expected sum of gaps along its trajectories in M."""
    gap, mu, total = gaps(M, N), np.array(initial, dtype=float), 0.0
    for h, step in enumerate(deviation):
        after = np.zeros(len(mu))
        for s, a in np.ndindex(step.shape):
            total += mu[s] * step[s, a] * gap[h, s, a]
            after += mu[s] * step[s, a] * M[0][h, s, a]
        mu = after
    return total


def low(M, N, initial, legal):
    """``sum_s mu1(s) max_a gap_1(s,a)``."""
    first = gaps(M, N)[0]
    return sum(initial[s] * max(first[s][legal[s]]) for s in range(len(initial)))


def high(M, N, initial, legal):
    """``low + sum_{h>=2} max_{s,a} gap_h(s,a)``."""
    return low(M, N, initial, legal) + sum(max(gap[legal]) for gap in gaps(M, N)[1:])


def value_span(M, legal):
    """``max V_h(s) - min V_h(s')`` over h >= 2, states and deviations."""
    P, r = M
    top, bottom, span = np.zeros(P.shape[1]), np.zeros(P.shape[1]), 0.0
    for h in reversed(range(1, len(P))):
        tops, bottoms = np.zeros_like(top), np.zeros_like(bottom)
        for s in range(len(top)):
            tops[s] = max(r[h, s, a] + sum(P[h, s, a] * top) for a in range(legal.shape[1]) if legal[s, a])
            bottoms[s] = min(r[h, s, a] + sum(P[h, s, a] * bottom) for a in range(legal.shape[1]) if legal[s, a])
        top, bottom = tops, bottoms
        span = max(span, max(top) - min(bottom))
    return span


def reward_log_likelihood(observed, reward, sigma, tolerance=1e-9):
    """``-(y - r)^2 / (2 sigma^2)``; without noise 0 within ``tolerance max(1, |r|)``, else -inf."""
    if sigma == 0:
        return 0.0 if abs(observed - reward) <= tolerance * max(1.0, abs(reward)) else -math.inf
    return -((observed - reward) ** 2) / (2 * sigma**2)


def log_likelihood(M, trajectories, sigma):
    """Of trajectories (states, actions, rewards), transitions and rewards together."""
    P, r = M
    total = 0.0
    for states, actions, rewards in trajectories:
        for h, a in enumerate(actions):
            p = P[h, states[h], a, states[h + 1]]
            total += math.log(p) if p > 0 else -math.inf
            total += reward_log_likelihood(rewards[h], r[h, states[h], a], sigma)
    return total


def reward_information(reward, weights, sigma):
    """``sum_{M,N} w_M w_N (1 - BC(M, N))`` [S, A] of one step, reward [n, S, A].

    BC is the integral of ``sqrt(f_M f_N)``, f the Gaussian densities, by the trapezoid rule.
    """
    n, S, A = reward.shape
    out = np.zeros((S, A))
    for s, a in np.ndindex(S, A):
        r = reward[:, s, a]
        y = np.linspace(min(r) - 12 * sigma, max(r) + 12 * sigma, 4001)
        f = [np.exp(-((y - mean) ** 2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi)) for mean in r]
        for m in range(n):
            for k in range(n):
                both = np.sqrt(f[m] * f[k])
                affinity = sum((both[1:] + both[:-1]) / 2 * np.diff(y))
                out[s, a] += weights[m] * weights[k] * (1 - affinity)
    return out


def information_actions(models, initial, legal, weights, sigma):
    """Values q [H, S, A] of the deviation that tells weighted models apart, rows and rewards added up."""
    H, S, A = models[0][1].shape
    V, q = np.zeros(S), np.zeros((H, S, A))
    for h in reversed(range(H)):
        told = reward_information(np.array([r[h] for _, r in models]), weights, sigma)
        for s, a in np.ndindex(S, A):
            rows = [P[h, s, a] for P, _ in models]
            root = sum(w * np.sqrt(row) for w, row in zip(weights, rows, strict=True))
            mixed = sum(w * row for w, row in zip(weights, rows, strict=True))
            q[h, s, a] = 1 - sum(root**2) + told[s, a] + sum(mixed * V)
        V = np.array([max(q[h, s][legal[s]]) for s in range(S)])
    return q


def survivors(log_likelihoods, threshold, mixed=False):
    """Models that the best one (or the sum of all, when mixed) does not leave behind by more than the threshold."""
    top = max(log_likelihoods)
    if mixed:
        top += math.log(sum(math.exp(value - top) for value in log_likelihoods))
    return [m for m, value in enumerate(log_likelihoods) if top - value <= threshold]
