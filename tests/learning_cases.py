"""Small classes, oracles and slow helpers for the tests of learning."""

from dataclasses import dataclass

import numpy as np
from builders import crowd_game, legal_mask, rows, swept_fill, swept_prepare, swept_reward

import fastmfg as mfg


def near_class(seed, M=6, H=2, S=4, A=3, spread=0.4, masked=False, kind="dense"):
    """Tables that share a part and differ in the rest: the larger `spread`, the farther apart."""
    rng = np.random.default_rng(seed)
    legal = legal_mask(rng, S, A) if masked else np.ones((S, A), dtype=bool)
    shared, own = rows(rng, (H, S, A, S), kind), rows(rng, (M, H, S, A, S), kind)
    tables = (1 - spread) * shared + spread * own
    return mfg.ModelClass.from_tables(tables, rows(rng, (S,)), "crowd-aversion", legal=legal)


def linear(seed=1, M=6, H=2, S=5, A=3, scale=0.5):
    return mfg.linear_class(M, S, A, H, 3, 3, scale=scale, seed=seed)


def called_class(joint=False, masked=False, M=4):
    """Games of NumPy functions that share their rewards."""
    parts = crowd_game(0, H=2, joint=joint, masked=masked)
    transitions = [crowd_game(i, H=2, joint=joint)["transition"] for i in range(M)]
    return mfg.ModelClass([mfg.Game(**(parts | {"transition": t})) for t in transitions])


def filled_class():
    """A user's compiled class: parameters are the chance of being swept along."""
    thetas = np.linspace(0.0, 1.0, 5)[:, None]
    return mfg.ModelClass.from_filler(
        swept_fill, thetas, [0.5, 0.3, 0.2, 0.0], swept_reward, prepare=swept_prepare, shared=[0.3], aux_size=4,
        n_actions=3, horizon=3,
    )  # fmt: skip


def certain_class():
    """Probabilities 0 and 1: under action a, model m moves from s to (s + a + m) mod 4; state 2 is worth being in."""
    tables = np.zeros((3, 2, 4, 2, 4))
    for m, h, s, a in np.ndindex(tables.shape[:4]):
        tables[m, h, s, a, (s + a + m) % 4] = 1.0
    return mfg.ModelClass.from_tables(tables, [1.0, 0.0, 0.0, 0.0], lambda h, mu: np.eye(4)[:, [2, 2]])


KINDS = {
    "linear": linear,
    "linear, one step": lambda: linear(H=1),
    "one state": lambda: linear(S=1),
    "one action": lambda: linear(A=1),
    "all of one": lambda: linear(M=1, H=1, S=1, A=1),
    "two models": lambda: near_class(3, M=2),
    "tables": lambda: near_class(0),
    "tables, masked": lambda: near_class(1, masked=True),
    "tables, zeros and ties": lambda: near_class(2, kind="eighths", spread=0.5),
    "tables, certain": certain_class,
    "functions": called_class,
    "functions, masked": lambda: called_class(masked=True),
    "functions of the joint": lambda: called_class(joint=True),
    "fillers": filled_class,
}


def uniform(models):
    return models[0].uniform_policy()


def conditional_tables(models, policy):
    """``P_M,h(x|s,a)`` [M, H, S, A, S] under one reference policy."""
    return np.stack([mfg.condition(game, policy).transition for game in models])


@dataclass(frozen=True)
class Call:
    """What was asked of an oracle, and its answer."""

    deviation: np.ndarray
    reference: np.ndarray
    states: np.ndarray
    actions: np.ndarray


class Recorder:
    """A mean-field oracle that keeps what it was asked."""

    def __init__(self, game, seed=0):
        self.oracle = mfg.MeanFieldOracle(game, seed=seed)
        self.calls = []

    @property
    def trajectories(self):
        return self.oracle.trajectories

    def sample(self, deviation, reference, n):
        answer = self.oracle.sample(deviation, reference, n)
        self.calls.append(Call(deviation.copy(), reference.copy(), *answer))
        return answer


class NoOracle:
    """Must not be asked."""

    def sample(self, deviation, reference, n):
        raise AssertionError("a sample was drawn")


@dataclass(frozen=True)
class FakeOracle:
    """Passes trajectories of the game through a function before it returns them."""

    game: mfg.Game
    change: object

    def sample(self, deviation, reference, n):
        return self.change(*mfg.MeanFieldOracle(self.game).sample(deviation, reference, n))


def walled_class():
    """Three models with an illegal action (2 in state 0) and states where nobody starts (2 and 3)."""
    rng = np.random.default_rng(5)
    legal = np.ones((4, 3), dtype=bool)
    legal[0, 2] = False
    bonus = rng.standard_normal((4, 3))
    return mfg.ModelClass.from_tables(
        rows(rng, (3, 2, 4, 3, 4)), [0.5, 0.5, 0.0, 0.0], lambda h, mu: bonus - mu[:, None], legal=legal
    )


def _put(array, index, value):
    changed = array.copy()
    changed[index] = value
    return changed


BAD_ANSWERS = {  # what an oracle makes of states [1, 3] and actions [1, 2]; the error, and what it says
    "state too large": (lambda s, a: (_put(s, (0, 1), 9), a), ValueError, r"states\[0, 1\] is 9"),
    "state negative": (lambda s, a: (_put(s, (0, 2), -1), a), ValueError, r"states\[0, 2\] is -1"),
    "action too large": (lambda s, a: (s, _put(a, (0, 1), 3)), ValueError, r"actions\[0, 1\] is 3"),
    "action negative": (lambda s, a: (s, _put(a, (0, 0), -2)), ValueError, r"actions\[0, 0\] is -2"),
    "states too short": (lambda s, a: (s[:, :-1], a), ValueError, r"states must have shape \[1, 3\], got \[1, 2\]"),
    "actions too long": (lambda s, a: (s, s), ValueError, r"actions must have shape \[1, 2\], got \[1, 3\]"),
    "too many": (lambda s, a: (np.tile(s, (2, 1)), a), ValueError, r"states must have shape \[1, 3\], got \[2, 3\]"),
    "flat": (lambda s, a: (s[0], a[0]), ValueError, r"states must have shape \[1, 3\], got \[3\]"),
    "float states": (lambda s, a: (s.astype(float), a), TypeError, "states must hold whole numbers, got dtype float64"),
    "bool actions": (lambda s, a: (s, a > 0), TypeError, "actions must hold whole numbers, got dtype bool"),
    "no actions": (lambda s, a: (s, None), TypeError, "actions must hold whole numbers"),
    "ragged": (lambda s, a: ([[0, 1], [1]], a), ValueError, "states"),
    "not a tuple": (lambda s, a: [s, a], TypeError, r"must return \(states, actions\), got list"),
    "three things": (lambda s, a: (s, a, a), TypeError, r"must return \(states, actions\)"),
    "illegal": (
        lambda s, a: (_put(s, (0, 0), 0), _put(a, (0, 0), 2)),
        ValueError,
        r"actions\[0, 0\] is 2, illegal in state 0",
    ),
    "impossible start": (lambda s, a: (_put(s, (0, 0), 3), a), ValueError, r"states\[0, 0\] is 3, where no agent"),
}
