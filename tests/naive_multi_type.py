"""Games with several types of agents type by type, without any lift, and the predators' compiled functions.

`initials`, `policies`, `transitions`, `rewards` are lists, one entry a type; ``transitions[w](h, densities)``.
"""

import numpy as np


def seen_at(densities, policies, h, joint):
    """What functions see at step h: each type's density [S_w], or its joint ``mu(s) pi(a|s)`` [S_w, A_w]."""
    return [mu[h][:, None] * pi[h] if joint else np.array(mu[h]) for mu, pi in zip(densities, policies, strict=True)]


def push(initials, policies, transitions, joint=False):
    """Densities [H, S_w] and rows [H, S_w, A_w, S_w] of every type: all types go a step at a time."""
    H, W = len(policies[0]), len(initials)
    densities, tables = [[np.array(start)] for start in initials], [[] for _ in range(W)]
    for h in range(H):
        seen = seen_at(densities, policies, h, joint)
        for w in range(W):
            P = transitions[w](h, seen)
            S, A, _ = P.shape
            following = np.zeros(S)
            for s in range(S):
                for a in range(A):
                    following += densities[w][h][s] * policies[w][h, s, a] * P[s, a]
            tables[w].append(P)
            densities[w].append(following)
    return [np.array(mu[:H]) for mu in densities], [np.array(rows) for rows in tables]


def type_gaps(initials, policies, transitions, rewards, legals, joint=False):
    """What one agent of each type gains at most, and what it gets, [W] each."""
    densities, tables = push(initials, policies, transitions, joint)
    gaps, returns = [], []
    for w, (start, pi, legal) in enumerate(zip(initials, policies, legals, strict=True)):
        H, S, A = pi.shape
        V, best = np.zeros(S), np.zeros(S)
        for h in reversed(range(H)):
            r, P = rewards[w](h, seen_at(densities, policies, h, joint)), tables[w][h]
            V_now, best_now = np.zeros(S), np.zeros(S)
            for s in range(S):
                V_now[s] = sum(pi[h, s, a] * (r[s, a] + P[s, a] @ V) for a in range(A))
                best_now[s] = max(r[s, a] + P[s, a] @ best for a in range(A) if legal[s, a])
            V, best = V_now, best_now
        gaps.append(start @ (best - V))
        returns.append(start @ V)
    return np.array(gaps), np.array(returns)


def type_distances(initials, rows, other, legals):
    """The directed distance of each type [W]: ``rows[w], other[w] [H, S_w, A_w, S_w]``."""
    distances = []
    for start, P, Q, legal in zip(initials, rows, other, legals, strict=True):
        V = np.zeros(len(start))
        for h in reversed(range(len(P))):
            V = np.array([
                max(abs(P[h, s, a] - Q[h, s, a]).sum() + P[h, s, a] @ V for a in range(P.shape[2]) if legal[s, a])
                for s in range(len(start))
            ])  # fmt: skip
        distances.append(start @ V)
    return np.array(distances)


# The predators' compiled functions; `densities` [W, n]


def predation_prepare(densities, noise, jostling):
    """``p_w(x) = min(1, noise_w + jostling_w sum_v mu_v(x))`` [W, n]."""
    W, n = densities.shape
    p = np.zeros((W, n))
    for w in range(W):
        for x in range(n):
            p[w, x] = min(1.0, noise[w] + jostling[w] * sum(densities[v, x] for v in range(W)))
    return p


def predation_fill(p, own, drift):
    """``(1 - p) own + p drift`` [W, n, K]."""
    W, n = p.shape
    return np.array([[(1 - p[w, x]) * own[x] + p[w, x] * drift[x] for x in range(n)] for w in range(W)])


def predation_reward(densities, place, congestion, attraction, epsilon, A):
    """``place_w(x) - congestion_w log(mu_w(x) + epsilon) + sum_v attraction[w,v] mu_v(x)`` [W, n, A]."""
    W, n = densities.shape
    r = np.zeros((W, n, A))
    for w in range(W):
        for x in range(n):
            r[w, x] = place[w, x] - congestion[w] * np.log(densities[w, x] + epsilon)
            r[w, x] += sum(attraction[w, v] * densities[v, x] for v in range(W))
    return r


MOVES = [(0, 0), (1, 0), (0, 1), (0, -1), (-1, 0)]
"""(dx, dy)."""


def grid_rows(size, torus, walls, noise):
    """Rows [S, A, S] over free cells, stored row by row: a move, then noise [S] where it led; walls are (x, y)."""
    cells = [(x, y) for y in range(size) for x in range(size) if (x, y) not in walls]
    number = {cell: i for i, cell in enumerate(cells)}

    def after(cell, move):
        x, y = cell[0] + move[0], cell[1] + move[1]
        if torus:
            x, y = x % size, y % size
        return (x, y) if (x, y) in number else cell

    P = np.zeros((len(cells), len(MOVES), len(cells)))
    for s, cell in enumerate(cells):
        for a, move in enumerate(MOVES):
            moved = after(cell, move)
            p = noise[number[moved]]
            P[s, a, number[moved]] += 1 - p
            for drift in MOVES[1:]:
                P[s, a, number[after(moved, drift)]] += p / 4
    return P
