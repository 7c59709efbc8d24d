"""Slow twins: hard classes for learners, certificates, constants of the theory, eluder dimensions.

Written from the definitions; steps count from 0. ``d [n, n]`` symmetric distances, ``E [n]`` NE gaps, ``g [X, P]`` gaps
of elements for pairs of models.
"""

import math

import numpy as np

# Three-step games


def clip(x, low, high):
    return min(max(x, low), high)


def sectors_prepare(mu, e, k, spin, D, width, c, a):
    """``g = 1/2 - K y + W (clip(t,0,D) K e + amp e)``, cut to [0, 1], with matrices."""
    R = np.array([[0, 1, -1], [-1, 0, 1], [1, -1, 0]]) / math.sqrt(3)
    K = k * np.eye(3) - spin * R
    y = np.array(mu) - np.array(a)
    t = float(y @ e)
    W = max(0.0, 1.0 - np.linalg.norm(y - t * e) / width)
    amp = c * max(0.0, 1.0 - t / D) if t > 0 else c * clip(1.0 + t / width, 0.0, 1.0)
    g = 0.5 - K @ y + W * (clip(t, 0.0, D) * (K @ e) + amp * e)
    return np.array([clip(value, 0.0, 1.0) for value in g])


def switch_field(x, kind, place, k, x0, c, half, shift, lift):
    """f of a left (0), right (1, mirrored about x0) or tent (2) model."""
    if kind == 1:
        return -switch_field(2 * x0 - x, 0, place, k, x0, c, half, shift, lift)
    if kind == 0:
        if x < x0:
            return -k * (x - x0) + c
        return c * (1 - (x - x0) / place) if x < x0 + place else -k * (x - x0 - place)
    centre, height = place - shift, k * abs(place - x0) + lift
    return -k * (x - x0) + height * max(0.0, 1 - abs(x - centre) / half)


def switch_prepare(mu, kind, place, constants):
    """``g_0 - g_1 = f``, ``g_0 + g_1 = 1``."""
    f = switch_field(mu[0], kind, place, *constants)
    return np.array([clip((1 + f) / 2, 0.0, 1.0), clip((1 - f) / 2, 0.0, 1.0)])


def hidden_prepare(mu, b, target, L_T):
    """``max(0, b - (L_T / 2) ||mu - mu*||_1)`` for all states."""
    chance = max(0.0, b - L_T / 2 * sum(abs(m - t) for m, t in zip(mu, target, strict=True)))
    return np.full(len(mu), chance)


def clusters_prepare(mu, direction, noise, scale, width, U, core):
    """``G(mu) Psi(mu)``, [d_phi, S]."""
    w = scale * clip(0.5 + direction * (mu[0] - 0.5) / width, 0.0, 1.0)
    psi = (1 - w) * core + w * noise
    G = sum(m * u for m, u in zip(mu, U, strict=True)).reshape(-1, len(core))
    return G @ psi


def move_rows(h, S):
    """Steps 1 and 3: where the action says, nowhere."""
    P = np.zeros((S, S, S))
    for s in range(S):
        for a in range(S):
            P[s, a, a if h == 0 else s] = 1.0
    return P


def hard_fill(h, g):
    """Step 2: from s to state 0 with probability g(s), to the others evenly."""
    S = len(g)
    if h != 1:
        return move_rows(h, S)
    P = np.zeros((S, S, S))
    for s in range(S):
        for a in range(S):
            for x in range(S):
                P[s, a, x] = g[s] if x == 0 else (1 - g[s]) / (S - 1)
    return P


def clusters_fill(h, phi, W):
    """Step 2: ``|phi(s,a) W|``, normalised."""
    S = len(phi)
    if h != 1:
        return move_rows(h, S)
    P = np.abs(np.array([[sum(f * w for f, w in zip(phi[s, a], W, strict=True)) for a in range(S)] for s in range(S)]))
    return P / P.sum(axis=-1, keepdims=True)


def hard_reward(h, S, height):
    """Paid in state 0 at step 3."""
    return np.array([[height if h == 2 and s == 0 else 0.0] * S for s in range(S)])


# Certificates


def near(d, m, radius):
    """Models within the radius of model m."""
    return [k for k in range(len(d)) if d[m, k] <= radius]


def direct(d, E, tolerance, epsilon):
    """Holds; the largest |K(M)| among models with gap over epsilon."""
    bad = [m for m in range(len(d)) if 2 * len(near(d, m, tolerance)) > len(d) and E[m] > epsilon]
    return not bad, max((len(near(d, m, tolerance)) for m in range(len(d)) if E[m] > epsilon), default=0)


def halving(d, radius):
    """Holds; the largest neighbourhood; the first model that has it."""
    counts = [len(near(d, m, radius)) for m in range(len(d))]
    return 2 * max(counts) <= len(d), max(counts), counts.index(max(counts))


def bridge(d, E, radius, beta):
    """Whether some model with half of the class near it has a gap of at most beta."""
    return any(2 * len(near(d, m, radius)) >= len(d) and E[m] <= beta for m in range(len(d)))


# Theory


def constants(epsilon, H, L_r, L_T):
    """eps0, tol, eps_bar."""
    eps0 = epsilon / (8 * (1 + L_r * H) * (H + 4))
    growth = (1 + L_T) ** H - 1
    reward_error = 2 * H**2 * L_r if L_T == 0 else 2 * H * L_r * growth / L_T
    error = max(reward_error, 2 * H * (H + 1) * growth)
    return eps0, eps0 / 6, eps0 / error if error else math.inf


def grid(N, A):
    """All ``k / N`` with whole k_a >= 0 that add up to N."""
    if A == 1:
        return [(1.0,)]
    points = []

    def extend(head, left):
        if len(head) == A - 1:
            points.append(tuple(k / N for k in (*head, left)))
            return
        for k in range(left + 1):
            extend((*head, k), left - k)

    extend((), N)
    return points


# Eluder dimensions


def element_gaps(P, elements, pairs):
    """Gaps of elements (t, s, a) for pairs of models, [X, P]; rows P [n, T, S, A, S]."""
    return np.array([[sum(abs(P[m, t, s, a] - P[n, t, s, a])) for m, n in pairs] for t, s, a in elements])


def exceeding(P, legal, elements, pairs, eps):
    """Which legal elements have a gap over eps, [X, P]."""
    g = element_gaps(P, elements, pairs)
    return np.array(
        [[legal[s, a] and g[x, p] > eps for p in range(len(pairs))] for x, (_, s, a) in enumerate(elements)]
    )


def independent(g, x, listed, eps):
    """The pairs that tell x apart from a list."""
    return [p for p in range(g.shape[1]) if sum(g[y, p] ** 2 for y in listed) <= eps**2 and g[x, p] > eps]


def longest_list(g, eps, listed=()):
    """The length of the longest list that begins with the one given: every element tried at every place."""
    lengths = [longest_list(g, eps, (*listed, x)) for x in range(len(g)) if independent(g, x, listed, eps)]
    return max(lengths, default=len(listed))


def dimension(steps, legal, eps):
    """The largest over steps: rows [n, T, S, A, S] of each."""
    best = 0
    for P in steps:
        n, T, S, A, _ = P.shape
        elements = [(t, s, a) for t in range(T) for s in range(S) for a in range(A) if legal[s, a]]
        pairs = [(m, k) for m in range(n) for k in range(m)]
        if pairs:
            best = max(best, longest_list(element_gaps(P, elements, pairs), eps))
    return best


def room(g, eps):
    """How many elements each pair can bear: squares of gaps of at most eps, the smallest first, up to eps^2."""
    result = []
    for gaps in g.T:
        total, k = 0.0, 0
        for value in sorted(gaps[gaps <= eps]):
            total += value**2
            if total > eps**2:
                break
            k += 1
        result.append(k)
    return result
