"""Slow twins of the diagnostics: plain loops written from the equations, importing nothing from the package.

`xs`, `ys` are what functions see at each step, ``[H, S]`` or ``[H, S, A]``; functions of a game are
``f(h, population)``; ``mu [H, S]`` is a density, ``pi [H, S, A]`` a policy, ``legal [S, A]`` the legal actions.
"""

import numpy as np

FLOOR = 1e-7
"""Populations closer than this are not compared."""


def distance(x, y):
    """``sum |x - y|``, over whatever axes there are."""
    return sum(abs(a - b) for a, b in zip(np.ravel(x), np.ravel(y), strict=True))


def reward_slope(reward, xs, ys, legal):
    """``max |r_h(s,a,x_h) - r_h(s,a,y_h)| / ||x_h - y_h||`` over steps and legal (s, a)."""
    steepest = 0.0
    for h in range(len(xs)):
        if distance(xs[h], ys[h]) >= FLOOR:
            r, q = reward(h, xs[h]), reward(h, ys[h])
            for s, a in np.argwhere(legal):
                steepest = max(steepest, abs(r[s, a] - q[s, a]) / distance(xs[h], ys[h]))
    return steepest


def transition_slope(transition, xs, ys, legal):
    """``max ||P_h(.|s,a,x_h) - P_h(.|s,a,y_h)|| / ||x_h - y_h||`` over steps and legal (s, a)."""
    steepest = 0.0
    for h in range(len(xs)):
        if distance(xs[h], ys[h]) >= FLOOR:
            P, Q = transition(h, xs[h]), transition(h, ys[h])
            for s, a in np.argwhere(legal):
                steepest = max(steepest, distance(P[s, a], Q[s, a]) / distance(xs[h], ys[h]))
    return steepest


def lasry_lions(mu, pi, xs, nu, rho, ys, reward):
    """The sum over steps, states and actions, and ``sum_h ||L_h - L'_h|| ||x_h - y_h||``."""
    H, S, A = pi.shape
    total, scale = 0.0, 0.0
    for h in range(H):
        r, q = reward(h, xs[h]), reward(h, ys[h])
        moved = 0.0
        for s in range(S):
            for a in range(A):
                lean = mu[h, s] * pi[h, s, a] - nu[h, s] * rho[h, s, a]
                total += lean * (r[s, a] - q[s, a])
                moved += abs(lean)
        scale += moved * distance(xs[h], ys[h])
    return total, scale


def expansion(xs, ys, response_x, response_y):
    """The largest distance of the responses' populations over that of the populations."""
    steps = range(len(xs))
    return max(distance(response_x[h], response_y[h]) for h in steps) / max(distance(xs[h], ys[h]) for h in steps)


def softmax_policy(P, r, legal, temperature):
    """``exp(Q* / temperature)`` over legal actions, normalised; Q* the values of the best response."""
    H, S, A = r.shape
    pi, V = np.zeros((H, S, A)), np.zeros(S)
    for h in reversed(range(H)):
        best = np.zeros(S)
        for s in range(S):
            q = {a: r[h, s, a] + sum(P[h, s, a, x] * V[x] for x in range(S)) for a in range(A) if legal[s, a]}
            best[s] = max(q.values())
            weights = {a: np.exp((q[a] - best[s]) / temperature) for a in q}
            for a, weight in weights.items():
                pi[h, s, a] = weight / sum(weights.values())
        V = best
    return pi
