"""A slow twin of every kernel: plain loops written from the equations, importing nothing from the package.

Symbols: ``P [H, S, A, S]`` the transition of one conditional model, ``r [H, S, A]`` its reward, ``pi [H, S, A]`` a
policy, ``mu`` a density, ``legal [S, A]`` the legal actions. Steps count from 0. Functions of a game are
``f(h, population)``.
"""

import math

import numpy as np

# Families: rows and rewards


def linear_prepare(U, psi, mu):
    """``G(mu) Psi [d_phi, S]`` of one step, ``G(mu) = sum_s mu(s) U(s)`` read as [d_phi, d_psi]."""
    d_psi, S = psi.shape
    d_phi = U.shape[1] // d_psi
    W = np.zeros((d_phi, S))
    for i in range(d_phi):
        for j in range(d_psi):
            g = sum(mu[s] * U[s, i * d_psi + j] for s in range(S))
            for x in range(S):
                W[i, x] += g * psi[j, x]
    return W


def linear_fill(phi, W):
    """``P(x|s,a) = |sum_i phi_i(s,a) W_i(x)|``, normalised, [S, A, S]."""
    S, A, d_phi = phi.shape
    P = np.zeros((S, A, S))
    for s in range(S):
        for a in range(A):
            for x in range(S):
                P[s, a, x] = abs(sum(phi[s, a, i] * W[i, x] for i in range(d_phi)))
            P[s, a] /= sum(P[s, a])
    return P


def linear_game(phi, U, psi):
    """The transition function of a linear model."""
    return lambda h, mu: linear_fill(phi[h], linear_prepare(U[h], psi[h], mu))


def table_prepare(aux):
    """A stored table decides nothing from the population: `aux` stays as it is."""
    return aux.copy()


def table_fill_by_step(theta, S, A, h, lo, hi):
    """Rows of the states lo..hi-1 from a flat table [H, S, A, S]."""
    out = np.zeros((hi - lo, A, S))
    for s in range(lo, hi):
        for a in range(A):
            for x in range(S):
                out[s - lo, a, x] = theta[((h * S + s) * A + a) * S + x]
    return out


def table_fill(table, S, A, lo, hi):
    """Rows of the states lo..hi-1 from a flat table [S, A, S], in `theta` or `aux`."""
    return table_fill_by_step(table, S, A, 0, lo, hi)


def crowd_aversion(mu, A):
    """``r(s,a) = -log(1e-11) - log(mu(s) + 1e-11)``."""
    return np.array([[-math.log(1e-11) - math.log(m + 1e-11)] * A for m in mu])


def crowd_base(mu, h, H, coefficient, epsilon, base, last, congestion):
    """``base(s,a) - coefficient log(mu(s) + epsilon) - mu(s) congestion(s,a)``; at the end `last`, less crowds."""
    r = np.array(last if h == H - 1 else base, dtype=float)
    for s in range(r.shape[0]):
        for a in range(r.shape[1]):
            r[s, a] -= coefficient * math.log(mu[s] + epsilon)
            if h < H - 1:
                r[s, a] -= mu[s] * congestion[s, a]
    return r


def count_faults(pi, legal, tolerance):
    """Rows of a policy [S, A] that are no distributions over legal actions."""
    faults = 0
    for row, allowed in zip(pi.tolist(), legal.tolist(), strict=True):
        stray = any(p != 0 and not ok for p, ok in zip(row, allowed, strict=True))
        faults += not (min(row) >= 0 and abs(math.fsum(row) - 1) <= tolerance and not stray)
    return faults


def population(mu, pi, joint):
    """What the functions of a game see: ``mu(s)``, or ``mu(s) pi(a|s)``."""
    if not joint:
        return mu.copy()
    return np.array([[mu[s] * pi[s, a] for a in range(pi.shape[1])] for s in range(pi.shape[0])])


def tabulate(transition, h, seen):
    """One step's rows under a given population."""
    return np.array(transition(h, seen))


def reward_step(reward, h, seen):
    """One step's rewards under a given population."""
    return np.array(reward(h, seen))


def rewards(reward, mu, pi, joint):
    """``r_h(s, a, population_h)`` [H, S, A] under given densities [H, S]."""
    return np.array([reward_step(reward, h, population(mu[h], pi[h], joint)) for h in range(len(pi))])


def faulty_row(P):
    """The first (s, a) of a table [S, A, S] whose row is not a distribution, and what is wrong with it; or None."""
    S, A, _ = P.shape
    for s in range(S):
        for a in range(A):
            if any(math.isnan(p) or p < 0 for p in P[s, a]):
                return s, a, "value"
            if abs(math.fsum(P[s, a]) - 1.0) > 1e-9:
                return s, a, "sum"
    return None


# Densities


def push(initial, pi, transition, joint=False):
    """``mu_{h+1}(x) = sum_{s,a} mu_h(s) pi_h(a|s) P_h(x|s,a,population_h)``: density [H, S], and P [H, S, A, S]."""
    H, S, A = pi.shape
    mu, tables = [np.array(initial)], []
    for h in range(H):
        tables.append(tabulate(transition, h, population(mu[h], pi[h], joint)))
        following = np.zeros(S)
        for s in range(S):
            for a in range(A):
                for x in range(S):
                    following[x] += mu[h][s] * pi[h, s, a] * tables[h][s, a, x]
        mu.append(following)
    return np.array(mu[:H]), np.array(tables)


def occupy(initial, deviation, P):
    """State distributions [H, S] of one agent in a fixed conditional model."""
    return push(initial, deviation, lambda h, _: P[h])[0]


def walk(initial, P, deviation, uniforms):
    """One trajectory by inverting running sums; uniforms: start, then action and successor of each step."""
    H = len(deviation)
    states, actions = [_draw(initial, uniforms[0])], []
    for h in range(H):
        actions.append(_draw(deviation[h, states[h]], uniforms[2 * h + 1]))
        states.append(_draw(P[h, states[h], actions[h]], uniforms[2 * h + 2]))
    return states, actions


def _draw(p, u):
    """The first index whose running sum exceeds u; should rounding leave none, the last one of positive probability."""
    total = 0.0
    for x in range(len(p)):
        total += p[x]
        if u < total:
            return x
    return max(x for x in range(len(p)) if p[x] > 0)


def log_likelihoods(P, step, state, action, successor):
    """``log P_h(s'|s,a)`` [n, T] of T transitions in n models, P [n, H, S, A, S]; -inf for probability 0."""
    out = np.zeros((len(P), len(step)))
    for m in range(len(P)):
        for t in range(len(step)):
            p = P[m, step[t], state[t], action[t], successor[t]]
            out[m, t] = math.log(p) if p > 0 else -math.inf
    return out


# Values


def back_up(P, r, pi, legal):
    """Q of the policy [H, S, A], the greedy actions [H, S], and V_1 of the policy and of the greedy one [2, S]."""
    H, S, A = r.shape
    q, greedy = np.zeros((H, S, A)), np.zeros((H, S), dtype=np.int64)
    V, W = np.zeros(S), np.zeros(S)
    for h in reversed(range(H)):
        V_now, W_now = np.zeros(S), np.zeros(S)
        for s in range(S):
            q_star = np.zeros(A)
            for a in range(A):
                q[h, s, a] = r[h, s, a] + sum(P[h, s, a, x] * V[x] for x in range(S))
                q_star[a] = r[h, s, a] + sum(P[h, s, a, x] * W[x] for x in range(S))
            greedy[h, s] = first_best(q_star, legal[s])
            V_now[s] = sum(pi[h, s, a] * q[h, s, a] for a in range(A))
            W_now[s] = q_star[greedy[h, s]]
        V, W = V_now, W_now
    return q, greedy, np.array([V, W])


def first_best(values, legal):
    """The legal index of the largest value; the lowest on a tie."""
    best = None
    for a in range(len(values)):
        if legal[a] and (best is None or values[a] > values[best]):
            best = a
    return best


def returns(initial, P, r, pi):
    """``J = E[sum_h r_h]`` of one agent in a fixed conditional model."""
    H, S, A = r.shape
    mu = occupy(initial, pi, P)
    return sum(mu[h, s] * pi[h, s, a] * r[h, s, a] for h in range(H) for s in range(S) for a in range(A))


def ne_gap(initial, transition, reward, pi, legal, joint=False):
    """``max_dev J(dev; pi) - J(pi; pi)``."""
    mu, P = push(initial, pi, transition, joint)
    V, W = back_up(P, rewards(reward, mu, pi, joint), pi, legal)[2]
    return sum(initial[s] * (W[s] - V[s]) for s in range(len(initial)))


def mirror_step(y, q, step, legal):
    """``y + step q``, shifted to a largest legal entry of 0 in each row, and its softmax over legal actions."""
    y_out, pi = np.zeros_like(y), np.zeros_like(y)
    H, S, A = y.shape
    for h in range(H):
        for s in range(S):
            z = [y[h, s, a] + step * q[h, s, a] for a in range(A)]
            top = max(z[a] for a in range(A) if legal[s, a])
            for a in range(A):
                y_out[h, s, a] = z[a] - top
                pi[h, s, a] = math.exp(z[a] - top) if legal[s, a] else 0.0
            pi[h, s] /= math.fsum(pi[h, s])
    return y_out, pi


def descend(initial, transition, reward, legal, y, pi, step, iterations, joint=False):
    """So many iterations of ``y <- y + step Q^pi``, ``pi = softmax(y)``: logits and policy."""
    for _ in range(iterations):
        mu, P = push(initial, pi, transition, joint)
        q = back_up(P, rewards(reward, mu, pi, joint), pi, legal)[0]
        y, pi = mirror_step(y, q, step, legal)
    return y, pi


# Comparing models


def row_gaps(P, Q):
    """``gap_h(s,a) = sum_x |P_h(x|s,a) - Q_h(x|s,a)|`` [H, S, A]."""
    H, S, A, _ = P.shape
    gap = np.zeros((H, S, A))
    for h in range(H):
        for s in range(S):
            for a in range(A):
                gap[h, s, a] = sum(abs(P[h, s, a, x] - Q[h, s, a, x]) for x in range(S))
    return gap


def directed_distance(P, Q, initial, legal):
    """``V_h(s) = max_a gap_h(s,a) + sum_x P_h(x|s,a) V_{h+1}(x)``, ``sum_s mu1(s) V_1(s)``: trajectories from P."""
    gap = row_gaps(P, Q)
    V = back_up(P, gap, np.zeros_like(gap), legal)[2][1]
    return sum(initial[s] * V[s] for s in range(len(initial)))


def block_distances(P, Q, initial, legal):
    """Both directed distances of one pair: trajectories from P, from Q."""
    return directed_distance(P, Q, initial, legal), directed_distance(Q, P, initial, legal)


def deviation_distance(P, Q, initial, deviation):
    """``d_dev``: the expected sum of gaps along trajectories of the deviation in P."""
    return returns(initial, P, row_gaps(P, Q), deviation)


def lower_bound(P, Q, initial, legal):
    """``sum_s mu1(s) max_a gap_1(s,a)``."""
    gap = row_gaps(P[:1], Q[:1])[0]
    return sum(initial[s] * max(gap[s][legal[s]]) for s in range(len(initial)))


def upper_bound(P, Q, initial, legal):
    """``lower_bound + sum_{h>=2} max_{s,a} gap_h(s,a)``."""
    later = row_gaps(P[1:], Q[1:])
    return lower_bound(P, Q, initial, legal) + sum(max(gap[legal]) for gap in later)


def back_up_information(P, weights, V_next, legal):
    """``q(s,a) = 1 - sum_x (sum_M w_M sqrt(P_M(x|s,a)))^2 + sum_x sum_M w_M P_M(x|s,a) V(x)``; P of one step."""
    n, S, A, _ = P.shape
    q, V, greedy = np.zeros((S, A)), np.zeros(S), np.zeros(S, dtype=np.int64)
    for s in range(S):
        for a in range(A):
            q[s, a] = 1.0
            for x in range(S):
                q[s, a] -= sum(weights[m] * math.sqrt(P[m, s, a, x]) for m in range(n)) ** 2
                q[s, a] += sum(weights[m] * P[m, s, a, x] for m in range(n)) * V_next[x]
        greedy[s] = first_best(q[s], legal[s])
        V[s] = q[s, greedy[s]]
    return q, V, greedy
