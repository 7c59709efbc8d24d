"""Slow twins of the compiled functions of OpenSpiel's games, and routing as a bookkeeping of masses."""

import math

import numpy as np


def routing_prepare(mu, place, longest, time_step, demand, free, capacity, a, b):
    """``steps(l) = free (1 + a (volume / capacity)^b) / time_step`` within [1, longest], [L]."""
    L = len(free)
    steps = np.zeros(L)
    for link in range(L):
        on_link = sum(mu[s] for s in range(len(mu)) if place[s] in (link, L + link))
        time = free[link] * (1 + a[link] * (demand * on_link / capacity[link]) ** b[link])
        steps[link] = min(max(time / time_step, 1.0), longest)
    return steps


def routing_fill(steps, place, A, K, lo, hi):
    """Entry 0: where the action leads; entry k of a state just entered: k - 1 steps of waiting after this one."""
    out = np.zeros((hi - lo, A, K))
    for s in range(lo, hi):
        for a in range(A):
            if place[s] >= len(steps):
                out[s - lo, a, 0] = 1.0
                continue
            time = steps[place[s]]
            out[s - lo, a, math.floor(time) - 1] += 1 - (time - math.floor(time))
            if time > math.floor(time):
                out[s - lo, a, math.floor(time)] += time - math.floor(time)
    return out


def routing_reward(place, L, H, time_step, late_penalty, h, A):
    """A step under way costs time_step, but for step 0; at the end also late_penalty."""
    r = np.zeros((len(place), A))
    for s in range(len(place)):
        if place[s] != 2 * L + 1:
            r[s] = -(time_step if h > 0 else 0.0) - (late_penalty if h == H - 1 else 0.0)
    return r


def polynomial_payoff(mu, constant, linear, quadratic, A):
    """0 before the choice; after choice b ``constant_b + linear_b nu + nu quadratic_b nu``, nu = mu[1:]."""
    nu = mu[1:]
    r = np.zeros((len(mu), A))
    for b in range(len(nu)):
        r[1 + b] = constant[b]
        for c in range(len(nu)):
            r[1 + b] += linear[b][c] * nu[c]
            for d in range(len(nu)):
                r[1 + b] += quadratic[b][c][d] * nu[c] * nu[d]
    return r


def travels(links, node, goal, avoid=()):
    """Whether a way leads from a node to the goal."""
    if node == goal:
        return True
    return any(
        start == node and end not in avoid and travels(links, end, goal, (*avoid, node)) for start, end, *_ in links
    )


def uniform_traffic(links, demand, horizon, time_step, late_penalty):
    """Volumes [H, L] and the mean return when all choose alike among the links that lead to their destination.

    Masses stand at ("at", node, goal, w), w steps before they choose, or at ("on", link, goal, w), where w is None
    for those who entered the link just now. Links are (from, to, free_flow, capacity, a, b).
    """
    total = sum(count for _, _, count, *_ in demand)
    mass = {}
    for origin, goal, count, *rest in demand:
        key = ("at", origin, goal, round(rest[0] / time_step) if rest else 0)
        mass[key] = mass.get(key, 0.0) + count
    volumes, value = np.zeros((horizon, len(links))), 0.0
    for h in range(horizon):
        for (kind, where, _, _), m in mass.items():
            if kind == "on":
                volumes[h, where] += m
        under_way = sum(mass.values())
        value -= under_way / total * ((time_step if h > 0 else 0.0) + (late_penalty if h == horizon - 1 else 0.0))
        following = {}

        def put(key, m, following=following):
            following[key] = following.get(key, 0.0) + m

        def choose(node, goal, m, put=put):
            if node == goal:
                return  # arrived
            ways = [i for i, (start, end, *_) in enumerate(links) if start == node and travels(links, end, goal)]
            for i in ways:
                put(("on", i, goal, None), m / len(ways))

        for (kind, where, goal, w), m in mass.items():
            node = where if kind == "at" else links[where][1]
            if w is None:
                _, _, free, capacity, a, b = links[where]
                steps = max(free * (1 + a * (volumes[h, where] / capacity) ** b) / time_step, 1.0)
                for n, share in ((math.floor(steps), 1 - steps % 1), (math.floor(steps) + 1, steps % 1)):
                    if n == 1:
                        choose(node, goal, m * share)
                    elif share > 0:
                        put((kind, where, goal, n - 2), m * share)
            elif w == 0:
                choose(node, goal, m)
            else:
                put((kind, where, goal, w - 1), m)
        mass = following
    return volumes, value
