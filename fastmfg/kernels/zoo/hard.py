"""Three-step games in which a model is what the crowd of the second step decides: hard classes for learners.

Step 1: action i leads to state i, so that the density of step 2 is the policy of step 1. Step 2 is the model's own.
Step 3 stays put. Reward: `shared[0]` in state 0 at step 3.

*Routing* games (`fill`): from state i, whatever the action, state 0 with probability g_i(mu), the others evenly. `aux`
is g, cut to [0, 1]; what makes it is one of the three functions `prepare_*`.

*Clusters* (`fill_clusters`): ``P(.|s,a,mu) = |phi(s,a) G(mu) Psi(mu)|``, normalised, ``Psi(mu) = (1 - w) core + w
noise``, ``w = scale clip(1/2 + direction (mu(0) - 1/2) / width, 0, 1)``.

Steps count from 0 in code.
"""

import numpy as np

from fastmfg.kernels.jit import FILL, PREPARE, REWARD, filler, inline

ROOT3 = 1.7320508075688772
LEFT, RIGHT, TENT = 0.0, 1.0, 2.0
ZERO_ROW = 1


@inline
def _clip(x, low, high):
    return min(max(x, low), high)


@inline
def _write_move(row, target):
    for x in range(row.size):
        row[x] = 0.0
    row[target] = 1.0


@filler(PREPARE)
def prepare_sectors(h, population, shared, theta, aux):
    """``g = 1/2 - K y + W (clip(t,0,D) K e + amp e)``, ``K = k I - spin R``, R a quarter turn of the plane sum y = 0.

    ``y = mu - a``, ``t = y.e``, ``W = max(0, 1 - |y - t e| / width)``, ``amp = c (1 - t/D)_+`` for t > 0, else
    ``c clip(1 + t/width, 0, 1)``. `shared`: reward, k, spin, D, width, c, a [3]; `theta`: e [3].
    """
    k, spin, D, width, c = shared[1], shared[2], shared[3], shared[4], shared[5]
    y, v = np.empty(3), np.empty(3)
    t, off = 0.0, 0.0
    for i in range(3):
        y[i] = population[i] - shared[6 + i]
        t += y[i] * theta[i]
    for i in range(3):
        off += (y[i] - t * theta[i]) ** 2
    W = max(0.0, 1.0 - np.sqrt(off) / width)
    along = _clip(t, 0.0, D)
    amp = c * max(0.0, 1.0 - t / D) if t > 0.0 else c * _clip(1.0 + t / width, 0.0, 1.0)
    for i in range(3):
        v[i] = y[i] - W * along * theta[i]  # what K acts on
    for i in range(3):
        turned = (v[(i + 1) % 3] - v[(i + 2) % 3]) / ROOT3
        aux[i] = _clip(0.5 - k * v[i] + spin * turned + W * amp * theta[i], 0.0, 1.0)
    return 0


@inline
def _left_field(x, k, x0, c, D):
    if x < x0:
        return c - k * (x - x0)
    if x < x0 + D:
        return c * (1.0 - (x - x0) / D)
    return -k * (x - x0 - D)


@filler(PREPARE)
def prepare_switch(h, population, shared, theta, aux):
    """``g = (1 + f, 1 - f) / 2``, f a function of ``x = mu(0)``.

    `shared`: reward, k, x0, c, half-width, shift, lift; `theta`: kind, and D of a left or right model or q of a tent.
    """
    k, x0, c = shared[1], shared[2], shared[3]
    x, kind, place = population[0], theta[0], theta[1]
    if kind == LEFT:
        f = _left_field(x, k, x0, c, place)
    elif kind == RIGHT:
        f = -_left_field(2.0 * x0 - x, k, x0, c, place)
    else:
        tent = max(0.0, 1.0 - abs(x - place + shared[5]) / shared[4])
        f = -k * (x - x0) + (k * abs(place - x0) + shared[6]) * tent
    aux[0] = _clip(0.5 * (1.0 + f), 0.0, 1.0)
    aux[1] = _clip(0.5 * (1.0 - f), 0.0, 1.0)
    return 0


@filler(PREPARE)
def prepare_hidden(h, population, shared, theta, aux):
    """``g_i = max(0, b - (L_T / 2) ||mu - mu*||_1)`` for all i. `shared`: reward, L_T; `theta`: b, mu* [S]."""
    apart = 0.0
    for x in range(aux.size):
        apart += abs(population[x] - theta[1 + x])
    chance = max(0.0, theta[0] - 0.5 * shared[1] * apart)
    for x in range(aux.size):
        aux[x] = chance
    return 0


@filler(FILL)
def fill(h, aux, shared, theta, lo, hi, out):
    S = out.shape[2]
    for s in range(lo, hi):
        for a in range(out.shape[1]):
            row = out[s - lo, a]
            if h != 1:
                _write_move(row, a if h == 0 else s)
                continue
            for x in range(S):
                row[x] = (1.0 - aux[s]) / (S - 1)
            row[0] = aux[s]
    return 0


@inline
def _cluster_sizes(shared):
    """S, d_phi, d_psi; then reward, scale, width, sizes; phi [S,S,d_phi], U [S,d_phi*d_psi], core [d_psi,S]."""
    return int(shared[3]), int(shared[4]), int(shared[5])


@filler(PREPARE)
def prepare_clusters(h, population, shared, theta, aux):
    """``aux = G(mu) Psi(mu) [d_phi, S]``, of step 2 alone. `theta`: direction, noise [d_psi, S]."""
    S, d_phi, d_psi = _cluster_sizes(shared)
    start = 6 + S * S * d_phi
    U = shared[start : start + S * d_phi * d_psi].reshape(S, d_phi * d_psi)
    core = shared[start + S * d_phi * d_psi :].reshape(d_psi, S)
    noise = theta[1:].reshape(d_psi, S)
    w = shared[1] * _clip(0.5 + theta[0] * (population[0] - 0.5) / shared[2], 0.0, 1.0)
    for i in range(d_phi):
        row = aux[i * S : (i + 1) * S]
        for x in range(S):
            row[x] = 0.0
        for j in range(d_psi):
            g = 0.0
            for s in range(S):
                g += population[s] * U[s, i * d_psi + j]
            for x in range(S):
                row[x] += g * ((1.0 - w) * core[j, x] + w * noise[j, x])
    return 0


@filler(FILL)
def fill_clusters(h, aux, shared, theta, lo, hi, out):
    S, d_phi, _ = _cluster_sizes(shared)
    phi = shared[6 : 6 + S * S * d_phi].reshape(S, S, d_phi)
    W = aux.reshape(d_phi, S)
    for s in range(lo, hi):
        for a in range(out.shape[1]):
            row = out[s - lo, a]
            if h != 1:
                _write_move(row, a if h == 0 else s)
                continue
            total = 0.0
            for x in range(S):
                value = 0.0
                for i in range(d_phi):
                    value += phi[s, a, i] * W[i, x]
                row[x] = abs(value)
                total += row[x]
            if total == 0.0:
                return ZERO_ROW
            for x in range(S):
                row[x] /= total
    return 0


@filler(REWARD)
def reward(h, population, shared, theta, out):
    for s in range(out.shape[0]):
        for a in range(out.shape[1]):
            out[s, a] = shared[0] if h == 2 and s == 0 else 0.0
    return 0
