"""The games of two libraries of known games, rebuilt from their definitions in golden/mfglib.json and openspiel.json.

MFGLib's games are written as formulas; OpenSpiel's are read from the tabular arrays its entries hold. Horizon
H = T + 1 for MFGLib, whose times are t = 0..T inclusive.
"""

import json
from pathlib import Path

import numpy as np

import fastmfg as mfg

GOLDEN = Path(__file__).parent / "golden"


def _entries(library):
    entries = json.loads((GOLDEN / f"{library}.json").read_text())
    return {name: entry for name, entry in entries.items() if name != "_meta"}


MFGLIB = _entries("mfglib")
OPENSPIEL = {name: entry for name, entry in _entries("openspiel").items() if name[0] in "ABC"}  # E: several populations


def _moves(S, A, move):
    """Deterministic rows [S, A, S]: action a leads from s to ``move(s, a)``."""
    P = np.zeros((S, A, S))
    for s in range(S):
        for a in range(A):
            P[s, a, move(s, a)] = 1.0
    return P


def _by_state(values, A):
    """Rewards [S, A] that do not depend on the action."""
    return np.repeat(np.asarray(values, dtype=float)[:, None], A, axis=1)


def beach_bar():
    n, bar, still = 4, 2, 0.5
    P = np.zeros((n, 3, n))
    for s in range(n):
        for a in range(3):
            for noise, p in ((-1, (1 - still) / 2), (0, still), (1, (1 - still) / 2)):
                P[s, a, np.clip(s + a - 1 + noise, 0, n - 1)] += p
    s = np.arange(n)
    fixed = -np.minimum((s - bar) % n, (bar - s) % n)[:, None] - np.abs(np.arange(3) - 1) / n
    return mfg.Game(np.full(n, 1 / n), lambda t, mu: P, lambda t, mu: fixed - np.log(mu + 1e-20)[:, None], horizon=3)


def left_right():
    P = _moves(3, 2, lambda s, a: 1 + a)
    return mfg.Game([1, 0, 0], lambda t, mu: P, lambda t, mu: _by_state([0, -mu[1], -2 * mu[2]], 2), horizon=2)


def rock_paper_scissors():
    P = _moves(4, 3, lambda s, a: 1 + a)

    def reward(t, mu):
        return _by_state([0, 2 * mu[3] - mu[2], 4 * mu[1] - 2 * mu[3], 6 * mu[2] - 3 * mu[1]], 3)

    return mfg.Game([1, 0, 0, 0], lambda t, mu: P, reward, horizon=2)


def susceptible_infected():
    def transition(t, mu):
        caught = 0.81 * mu[1]
        return np.array([[[1 - caught, caught], [1, 0]], [[0.3, 0.7], [0.3, 0.7]]])

    return mfg.Game([0.4, 0.6], transition, lambda t, mu: np.array([[0, -0.5], [-1, -1.5]]), horizon=51)


def conservative_treasure_hunting():
    n = 3

    def distances(joint):
        """``D_s``: squared Frobenius distances between the crowd and everyone at s digging there."""
        return np.array([((joint - np.outer(e, e)) ** 2).sum() for e in np.eye(n)])

    def transition(t, joint):
        D = distances(joint)[:, None, None] * (t >= 1)
        return (D + np.eye(n)) / (1 + n * D)

    def reward(t, joint):
        return np.diag(1 - distances(joint) / 2) * (t >= 1)

    return mfg.Game(np.full(n, 1 / n), transition, reward, horizon=6, population="joint", legal=np.ones((n, n), bool))


def building_evacuation():
    shape = _, length, width = 2, 3, 3

    def move(s, a):
        floor, row, column = (int(i) for i in np.unravel_index(s, shape))
        steps = [(0, 1, 0), (0, -1, 0), (0, 0, -1), (0, 0, 1), (-1, 0, 0), (1, 0, 0)]
        at_stairs = [True] * 4 + [(row, column) == (0, 0), (row, column) == (length - 1, width - 1)]
        to = np.add((floor, row, column), steps[a] if at_stairs[a] else (0, 0, 0))
        return np.ravel_multi_index(to, shape, mode="clip")

    P = _moves(18, 6, move)
    bonus = 10.0 * (np.arange(18) < length * width)

    def reward(t, mu):
        return _by_state(bonus - np.log(np.maximum(mu, 1e-20)), 6)

    return mfg.Game(np.full(18, 1 / 18), lambda t, mu: P, reward, horizon=4)


MFGLIB_GAMES = {
    "beach_bar": beach_bar,
    "left_right": left_right,
    "rock_paper_scissors": rock_paper_scissors,
    "susceptible_infected": susceptible_infected,
    "conservative_treasure_hunting": conservative_treasure_hunting,
    "building_evacuation_2x3x3": building_evacuation,
}


def openspiel_game(name):
    """A game from the arrays of its entry; the reward of a move is baked into `base_reward_t_s`."""
    table = OPENSPIEL[name]["tabular"]
    base, first = np.array(table["base_reward_t_s"]), np.array(table["mu_used_in_t0_reward"])

    def reward(t, mu):
        seen = first if t == 0 else mu
        return _by_state(base[t] - table["crowd_coef"] * np.log(seen + table["eps"]), table["A"])

    return _openspiel(table, reward)


def crowd_modelling_1d():
    """Game A with the move charged to the action one step earlier, nothing at the last step."""
    table = OPENSPIEL["A_crowd1d_s10_h10"]["tabular"]
    position = 1 - np.abs(np.arange(10) - 5) / 5
    move = np.abs(np.arange(3) - 1) / 10

    def reward(t, mu):
        charged = move * (t < table["H"] - 1)
        return (position - np.log(mu + 1e-25))[:, None] - charged

    return _openspiel(table, reward)


def _openspiel(table, reward):
    S, A, H = table["S"], table["A"], table["H"]
    P = np.zeros((S, A, S))
    for s, a, following, p in table["P_sparse_s_a_snext_p"]:
        P[s, a, following] += p
    legal = np.array(table["mask"], dtype=bool)
    P[~legal] = 1 / S  # never played; rows must be distributions all the same
    return mfg.Game(table["mu0"], lambda t, mu: P, reward, horizon=H, legal=legal)


def all_games():
    """Every game by name."""
    games = {name: make() for name, make in MFGLIB_GAMES.items()}
    games |= {name: openspiel_game(name) for name in OPENSPIEL}
    return games | {"A_crowd1d_intended": crowd_modelling_1d()}
