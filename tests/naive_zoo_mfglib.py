"""Slow twins of the compiled functions of MFGLib's games, and whole games from their definitions: plain loops.

``mu [S]`` is the density, ``L [S, A]`` the joint density of states and actions; steps count from 0.
"""

import math

import numpy as np

# Rewards of one density


def evacuation_reward(mu, A, cells, bonus, eta, epsilon):
    """``bonus`` on the lowest floor, the first `cells` states, ``- eta log(max(mu(s), epsilon))``."""
    r = np.zeros((len(mu), A))
    for s in range(len(mu)):
        for a in range(A):
            r[s, a] = (bonus if s < cells else 0.0) - eta * math.log(max(mu[s], epsilon))
    return r


def motion_reward(mu, A, base, epsilon):
    """``base(s) - log(mu(s) + epsilon)``, `base` that of the step."""
    return np.array([[base[s] - math.log(mu[s] + epsilon)] * A for s in range(len(mu))])


def choice_reward(mu, A, payoffs):
    """``sum_x payoffs(s,x) mu(x)``."""
    return np.array([[sum(payoffs[s][x] * mu[x] for x in range(len(mu)))] * A for s in range(len(mu))])


# Equilibrium price


def market_reward(L, max_order, demand, floor, elasticity, costs):
    """``(price - c0) q - c1 q^2 - c2 o - (c2 + c3) max(q - s, 0) - c4 s``."""
    S, A = L.shape
    actions = [(q, o) for q in range(A // (max_order + 1)) for o in range(max_order + 1)]
    produced = sum(L[s, a] * q for s in range(S) for a, (q, _) in enumerate(actions))
    price = math.pow(demand / (produced + floor), 1.0 / elasticity)
    c0, c1, c2, c3, c4 = costs
    r = np.zeros((S, A))
    for s in range(S):
        for a, (q, o) in enumerate(actions):
            short = q - s if q > s else 0
            r[s, a] = (price - c0) * q - c1 * q**2 - c2 * o - (c2 + c3) * short - c4 * s
    return r


def market_moves(max_stock, max_production, max_order):
    """``s' = min(s - min(q, s) + o, max_stock)`` [S, A]."""
    moves = []
    for s in range(max_stock + 1):
        moves.append([])
        for q in range(max_production + 1):
            for o in range(max_order + 1):
                used = q if q < s else s
                left = s - used + o
                moves[s].append(left if left < max_stock else max_stock)
    return np.array(moves)


# Conservative treasure hunting


def treasure_distances(L):
    """``D_s``: squared Frobenius distance of L from everyone's digging at s, [n]."""
    n = len(L)
    D = np.zeros(n)
    for s in range(n):
        for x in range(n):
            for a in range(n):
                D[s] += (L[x, a] - (1.0 if x == a == s else 0.0)) ** 2
    return D


def treasure_prepare(h, L, scatter):
    """``c_h D_s`` [n], with scatter = (c_1, c_2, ...); nothing at step 0."""
    return np.array([scatter[h - 1] * D if h > 0 else 0.0 for D in treasure_distances(L)])


def treasure_fill(scattered):
    """``P(x|s,a) = (1{x = a} + d_s) / (1 + n d_s)`` [n, n, n], from ``d = c D``."""
    n = len(scattered)
    P = np.zeros((n, n, n))
    for s in range(n):
        for a in range(n):
            for x in range(n):
                P[s, a, x] = ((1.0 if x == a else 0.0) + scattered[s]) / (1.0 + n * scattered[s])
    return P


def treasure_reward(h, L, worth):
    """``worth_s (1 - D_s / 2)`` for digging where one is; nothing at step 0."""
    n = len(L)
    D = treasure_distances(L)
    return np.array([[worth[s] * (1.0 - D[s] / 2.0) if s == a and h > 0 else 0.0 for a in range(n)] for s in range(n)])


# Susceptible, infected


def infection_prepare(mu, infection):
    """The chance to catch it."""
    return infection * mu[1]


def infection_fill(chance, recovery):
    """[2, 2, 2]."""
    P = np.zeros((2, 2, 2))
    P[0, 0] = [1.0 - chance, chance]
    P[0, 1] = [1.0, 0.0]
    P[1, 0] = P[1, 1] = [recovery, 1.0 - recovery]
    return P


def infection_reward(illness, distance):
    """[2, 2]."""
    return np.array([[0.0, -distance], [-illness, -illness - distance]])


# Linear-quadratic


def quadratic_prepare(mu):
    """The mean m of the states -L..L."""
    half = (len(mu) - 1) // 2
    return sum(mu[i] * (i - half) for i in range(len(mu)))


def nearest(x, half):
    """The index of the state in -half..half that is nearest to x; of two within 1e-9, the even one."""
    best = min(abs(x - y) for y in range(-half, half + 1))
    near = [y for y in range(-half, half + 1) if abs(x - y) <= best + 2e-9]
    if len(near) == 2:
        near = [y for y in near if y % 2 == 0]
    return near[0] + half


def quadratic_fill(m, half, M, D, k, sigma, spacing):
    """``x' = x + (k (m - x) + a) D + sigma e sqrt(D)``, rounded, [S, A, S]."""
    S, A = 2 * half + 1, 2 * M + 1
    noise = [j * spacing for j in range(-3, 4)]
    weights = [math.exp(-e * e / 2.0) for e in noise]
    P = np.zeros((S, A, S))
    for x in range(-half, half + 1):
        for a in range(-M, M + 1):
            for e, w in zip(noise, weights, strict=True):
                there = x + (k * (m - x) + a) * D + sigma * e * math.sqrt(D)
                P[x + half, a + M, nearest(there, half)] += w / math.fsum(weights)
    return P


def quadratic_reward(h, H, mu, M, D, q, kappa, c):
    """``D (-a^2/2 + q a (m - x) - kappa/2 (m - x)^2)``, ``-c/2 (m - x)^2`` at the end, [S, A]."""
    half = (len(mu) - 1) // 2
    m = quadratic_prepare(mu)
    r = np.zeros((len(mu), 2 * M + 1))
    for x in range(-half, half + 1):
        for a in range(-M, M + 1):
            if h == H - 1:
                r[x + half, a + M] = -c / 2.0 * (m - x) ** 2
            else:
                r[x + half, a + M] = D * (-(a**2) / 2.0 + q * a * (m - x) - kappa / 2.0 * (m - x) ** 2)
    return r


# Random linear


def affine_prepare(L):
    """L transposed, [A, S]."""
    S, A = L.shape
    return np.array([[L[s, a] for s in range(S)] for a in range(A)])


def affine_fill(turned, W, B):
    """``P(x|s,a) = softmax over x of (sum_y W(s,y,x) L(y,a) + B(s,a,x))`` [S, A, S], L transposed."""
    S, A, _ = B.shape
    P = np.zeros((S, A, S))
    for s in range(S):
        for a in range(A):
            z = [sum(W[s, y, x] * turned[a, y] for y in range(S)) + B[s, a, x] for x in range(S)]
            powers = [math.exp(v - max(z)) for v in z]
            for x in range(S):
                P[s, a, x] = powers[x] / math.fsum(powers)
    return P


def affine_reward(L, V, C):
    """``sum_y V(s,y) L(y,a) + C(s,a)``."""
    S, A = L.shape
    return np.array([[sum(V[s, y] * L[y, a] for y in range(S)) + C[s, a] for a in range(A)] for s in range(S)])


# Moves


def evacuation_moves(n_floors, length, width, alternating=False):
    """Where the six actions lead, [S, 6]: x + 1, x - 1, y - 1, y + 1, down, up."""

    def index(f, x, y):
        return (f * length + x) * width + y

    near, far = (0, 0), (length - 1, width - 1)
    moves = []
    for f in range(n_floors):
        for x in range(length):
            for y in range(width):
                below = near if not alternating or f % 2 == 1 else far
                above = far if not alternating or (f + 1) % 2 == 0 else near
                down = f - 1 if (x, y) == below and f > 0 else f
                up = f + 1 if (x, y) == above and f + 1 < n_floors else f
                moves.append(
                    [
                        index(f, min(x + 1, length - 1), y), index(f, max(x - 1, 0), y),
                        index(f, x, max(y - 1, 0)), index(f, x, min(y + 1, width - 1)),
                        index(down, x, y), index(up, x, y),
                    ]
                )  # fmt: skip
    return np.array(moves)


def motion_rows(length, width, still, torus):
    """A move and one of five steps of noise, [S, 5, S]."""
    steps = [(1, 0), (-1, 0), (0, 1), (0, -1), (0, 0)]
    chances = [(1.0 - still) / 4.0] * 4 + [still]
    P = np.zeros((length * width, 5, length * width))
    for x in range(length):
        for y in range(width):
            for a, move in enumerate(steps):
                for noise, p in zip(steps, chances, strict=True):
                    u, v = x + move[0] + noise[0], y + move[1] + noise[1]
                    if torus:
                        u, v = u % length, v % width
                    else:
                        u, v = min(max(u, 0), length - 1), min(max(v, 0), width - 1)
                    P[x * width + y, a, u * width + v] += p
    return P


def motion_base(length, width, bar, attraction, torus):
    """``attraction (1 - distance from the bar / (length + width))`` [S], the distance along both sides."""

    def apart(i, j, n):
        return min(abs(i - j), n - abs(i - j)) if torus else abs(i - j)

    return [
        attraction * (1.0 - (apart(x, bar[0], length) + apart(y, bar[1], width)) / (length + width))
        for x in range(length)
        for y in range(width)
    ]
