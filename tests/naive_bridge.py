"""Slow twins of covers, central models, bridge models and certificates, from the equations alone.

A model is a function ``transition(h, mu) -> [S, A, S]``, its reward ``reward(h, mu) -> [S, A]``; policies are
[H, S, A]. Other symbols as in `naive`.
"""

import math

import numpy as np


def conditional(initial, transition, policy):
    """Density [H, S] and rows [H, S, A, S] of a model under a policy."""
    H, S, A = policy.shape
    mu, density, rows = np.array(initial, dtype=float), [], []
    for h in range(H):
        P = np.array(transition(h, mu.copy()))
        density.append(mu)
        rows.append(P)
        following = np.zeros(S)
        for s in range(S):
            for a in range(A):
                for x in range(S):
                    following[x] += mu[s] * policy[h, s, a] * P[s, a, x]
        mu = following
    return np.array(density), np.array(rows)


def one_way(P, Q, initial, legal):
    """``max_dev d_dev``, trajectories from P."""
    H, S, A, _ = P.shape
    V = [0.0] * S
    for h in reversed(range(H)):
        W = []
        for s in range(S):
            best = -math.inf
            for a in range(A):
                if legal[s, a]:
                    gap = sum(abs(P[h, s, a, x] - Q[h, s, a, x]) for x in range(S))
                    best = max(best, gap + sum(P[h, s, a, x] * V[x] for x in range(S)))
            W.append(best)
        V = W
    return sum(initial[s] * V[s] for s in range(S))


def distances(initial, transitions, policy, legal):
    """Symmetric distances [n, n]."""
    rows = [conditional(initial, transition, policy)[1] for transition in transitions]
    n = len(rows)
    d = np.zeros((n, n))
    for i in range(n):
        for j in range(i):
            d[i, j] = d[j, i] = max(
                one_way(rows[i], rows[j], initial, legal), one_way(rows[j], rows[i], initial, legal)
            )
    return d


def cover_centres(initial, transitions, policy, legal, radius):
    """The central model under one policy, and the size of its neighbourhood."""
    counts = (distances(initial, transitions, policy, legal) <= radius).sum(axis=1)
    best = 0
    for m in range(len(counts)):
        if counts[m] > counts[best]:
            best = m
    return best, int(counts[best])


def weighted_rows(tables, weights):
    """``sum_m w_m P_m``."""
    total = np.zeros_like(tables[0])
    for table, weight in zip(tables, weights, strict=True):
        total += weight * table
    return total


def grid(N, A):
    """All distributions over A actions in multiples of 1/N."""
    if A == 1:
        return [[N / N]]
    points = []

    def extend(head, left):
        if len(head) == A - 1:
            points.append([k / N for k in [*head, left]])
            return
        for k in range(left + 1):
            extend([*head, k], left - k)

    extend([], N)
    return points


def cover(N, cells, base):
    """All policies of the cover in order, the last cell fastest."""
    policies = [base.copy()]
    for h, s in cells:
        extended = []
        for policy in policies:
            for row in grid(N, base.shape[2]):
                extended.append(policy.copy())
                extended[-1][h, s] = row
        policies = extended
    return policies


def bridge_tables(initial, transitions, reward, policy, cells, points, central, eps_bar):
    """Alg. 3: the average of the tables of ``Ctr(c)|c`` with weights ``max(0, 2 eps_bar - d_inf1)``."""
    total, rows, rewards = 0.0, 0.0, 0.0
    for c, m in zip(points, central, strict=True):
        d = 0.0
        for h, s in cells:
            d = max(d, sum(abs(policy[h, s, a] - c[h, s, a]) for a in range(policy.shape[2])))
        weight = max(0.0, 2.0 * eps_bar - d)
        if weight > 0.0:
            mu, P = conditional(initial, transitions[m], c)
            total += weight
            rows = rows + weight * P
            rewards = rewards + weight * np.array([reward(h, mu[h]) for h in range(len(mu))])
    return rows / total, rewards / total


def soft_weights(d, radius, rho):
    """Weights of the soft bridge, from symmetric distances."""
    n = len(d)
    kappa = [
        sum(min(1.0, max(0.0, ((1 + rho) * radius - d[i, j]) / (rho * radius))) for j in range(n)) for i in range(n)
    ]
    raw = [max(0.0, k - max(kappa) + 0.5) for k in kappa]
    return np.array([w / sum(raw) for w in raw])


def ne_gap(initial, transition, reward, policy, legal):
    """``max_dev J(dev; pi) - J(pi; pi)``."""
    mu, P = conditional(initial, transition, policy)
    return tables_gap(initial, P, [reward(h, mu[h]) for h in range(len(mu))], policy, legal)


def tables_gap(initial, P, r, policy, legal):
    """The same for given tables."""
    H, S, A = policy.shape
    V, W = [0.0] * S, [0.0] * S
    for h in reversed(range(H)):
        q = [[r[h][s][a] + sum(P[h, s, a, x] * V[x] for x in range(S)) for a in range(A)] for s in range(S)]
        q_star = [[r[h][s][a] + sum(P[h, s, a, x] * W[x] for x in range(S)) for a in range(A)] for s in range(S)]
        V = [sum(policy[h, s, a] * q[s][a] for a in range(A)) for s in range(S)]
        W = [max(q_star[s][a] for a in range(A) if legal[s, a]) for s in range(S)]
    return sum(initial[s] * (W[s] - V[s]) for s in range(S))


def swayed_rows(initial, calm, crowded, policies):
    """Of models ``P = (1 - mu(0)) calm + mu(0) crowded`` [n, H, S, A, S] under policies [p, H, S, A], all at once.

    Densities [p, n, H, S] and rows [p, n, H, S, A, S].
    """
    n, H = calm.shape[:2]
    mu = np.tile(initial, (len(policies), n, 1))
    density, rows = [], []
    for h in range(H):
        share = mu[:, :, 0, None, None, None]
        P = (1 - share) * calm[None, :, h] + share * crowded[None, :, h]
        density.append(mu)
        rows.append(P)
        mu = (mu[..., None, None] * policies[:, None, h, :, :, None] * P).sum(axis=(2, 3))
    return np.stack(density, axis=2), np.stack(rows, axis=2)


def many_distances(initial, rows):
    """Symmetric distances [p, n, n] of models with rows [p, n, H, S, A, S], all actions legal."""
    one, other = rows[:, :, None], rows[:, None]
    gap = np.abs(one - other).sum(axis=-1)
    V = np.zeros((*gap.shape[:3], rows.shape[3]))
    for h in reversed(range(rows.shape[2])):
        V = (gap[:, :, :, h] + (one[:, :, :, h] * V[:, :, :, None, None]).sum(axis=-1)).max(axis=-1)
    d = (initial * V).sum(axis=-1)
    return np.maximum(d, d.swapaxes(1, 2))


def many_gaps(initial, rows, reward, policies):
    """NE gaps [p, n] for rewards [p, n, H, S], the same for all actions, all of them legal."""
    V, W = np.zeros((2, *rows.shape[:2], rows.shape[3]))
    for h in reversed(range(rows.shape[2])):
        q, q_star = (reward[:, :, h, :, None] + (rows[:, :, h] * U[:, :, None, None]).sum(axis=-1) for U in (V, W))
        V, W = (policies[:, None, h] * q).sum(axis=-1), q_star.max(axis=-1)
    return (initial * (W - V)).sum(axis=-1)


def direct_count(d, gaps, tolerance, epsilon):
    """``max |K(M)|`` over models whose gap exceeds epsilon."""
    count = 0
    for m in range(len(d)):
        if gaps[m] > epsilon:
            count = max(count, sum(1 for n in range(len(d)) if d[m, n] <= tolerance))
    return count


def information(initial, P, Q, deviation):
    """``E_{dev in P} sum_h KL(P_h(.|s,a) || Q_h(.|s,a))``."""
    H, S, A, _ = P.shape
    mu, total = list(initial), 0.0
    for h in range(H):
        following = [0.0] * S
        for s in range(S):
            for a in range(A):
                weight = mu[s] * deviation[h, s, a]
                for x in range(S):
                    p, q = P[h, s, a, x], Q[h, s, a, x]
                    following[x] += weight * p
                    if weight > 0 and p > 0:
                        total += weight * p * (math.log(p / q) if q > 0 else math.inf)
        mu = following
    return total
