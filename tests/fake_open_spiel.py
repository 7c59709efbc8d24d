"""A mean-field game over OpenSpiel's protocol in plain Python, and its NashConv by a walk through its states.

A ring of cells. In cell 0 only actions 1 and 2 are legal. A move of ``action - 1`` cells, then one more cell with
probability 1/4; then the state is told the crowd m. Rewards: at decisions ``sin x - charge |last move| (1 + m[x]) -
log(m[x] + 0.1)``, ``x / 20`` before the crowd is told, ``x - charge |last move|`` at the end. No string has
the last move.
"""

import math
from types import ModuleType, SimpleNamespace

NEUTRAL = 1


class Base:
    """In place of pyspiel.Game."""


def module():
    """In place of pyspiel."""
    result = ModuleType("pyspiel")
    result.Game = Base
    return result


class FakeGame(Base):
    """The ring.

    drift: from a cell with more than 23.7% of the crowd, moves go one cell further (moves depend on the crowd);
    memory: decisions also pay 0.3 of the share here at the decision before (rewards depend on an older crowd);
    waits: who comes to a cell with a share m of the crowd waits ``int(5 m)`` steps (entries depend on it);
    crowd: whether there are mean-field nodes at all; oddity: something that no adapter can accept.
    """

    surprise = None
    """What everybody waits, when set."""

    def __init__(
        self, size=4, horizon=3, charge=0.3, drift=False, memory=False, waits=False, crowd=True, oddity="", **facts
    ):
        self.size, self.horizon, self.charge = size, horizon, charge
        self.drift, self.memory, self.waits, self.crowd, self.oddity = drift, memory, waits, crowd, oddity
        self.facts = {"dynamics": "MEAN_FIELD", "chance_mode": "EXPLICIT_STOCHASTIC", "players": 1, **facts}

    def get_type(self):
        return SimpleNamespace(
            short_name="fake",
            dynamics=SimpleNamespace(name=self.facts["dynamics"]),
            chance_mode=SimpleNamespace(name=self.facts["chance_mode"]),
        )

    def num_players(self):
        return self.facts["players"]

    def num_distinct_actions(self):
        return 3

    def new_initial_states(self):
        return [FakeState(self)]


class FakeState:
    def __init__(self, game):
        self.game, self.stage = game, "crowd" if game.oddity == "crowd first" else "start"
        self.x, self.t, self.last, self.wait, self.held = 0, 0, NEUTRAL, 0, False
        self.crowd = self.before = [1.0 / game.size] * game.size

    def clone(self):
        copy = FakeState(self.game)
        copy.__dict__.update(self.__dict__)
        return copy

    # What kind of node this is

    def is_terminal(self):
        return self.stage == "end"

    def is_chance_node(self):
        return self.stage in ("start", "noise", "more noise")

    def is_mean_field_node(self):
        return self.stage == "crowd"

    def observation_string(self, player):
        assert player == 0
        if self.stage == "start":
            return "initial"
        return self.string(self.x, self.held, self.wait)

    def string(self, x, held, wait):
        return f"(x={x}, t={self.t}{', held' if held else ''}{f', wait={wait}' if wait else ''}) {self.stage}"

    def rewards(self):
        move = self.game.charge * abs(self.last - NEUTRAL)
        if self.stage == "end":
            return [self.x - move]
        if self.stage == "crowd":
            return [self.x / 20]
        m = self.crowd[self.x]
        return [math.sin(self.x) - move * (1 + m) - math.log(m + 0.1) + 0.3 * self.game.memory * self.before[self.x]]

    # Moves

    def legal_actions(self):
        if self.wait:
            return [1]
        return [1, 2] if self.x == 0 else [0, 1, 2]

    def chance_outcomes(self):
        if self.stage == "start":
            n = self.game.size
            return [(x, 2 * (x + 1) / (n * (n + 1))) for x in range(n)]
        if self.game.oddity == "loaded":
            return [(0, 0.7), (1, 0.2)]
        if self.game.oddity == "single precision":
            return [(0, 0.75), (1, 0.25 - 1e-7)]
        if self.game.oddity == "hidden":
            return [(0, 0.5), (1, 0.5)] if self.last == 2 else [(0, 0.75), (1, 0.25)]
        return [(0, 0.75), (1, 0.25)] if not self.held else [(0, 1.0)]

    def child(self, action):
        copy = self.clone()
        copy.apply(action)
        return copy

    def apply(self, action):
        game = self.game
        if self.stage == "start":
            self.x, self.stage = action, "decision"
        elif self.stage == "decision":
            assert action in self.legal_actions()
            self.held = self.wait > 0
            if not self.held:
                further = game.drift and self.t > 0 and self.crowd[self.x] > 0.237
                self.x = (self.x + action - NEUTRAL + further) % game.size
            self.last, self.stage = action, "noise"
            if game.oddity == "mixed" and self.x == 1:
                self.stage = "crowd"
        else:
            assert self.stage == "noise"
            self.x, self.t = (self.x + action) % game.size, self.t + 1
            self.stage = "crowd" if game.crowd else "decision"
            if self.t == game.horizon:
                self.stage = "end"

    # The crowd

    def distribution_support(self):
        plain = [self.string(x, False, 0) for x in range(self.game.size)]
        waiting = [self.string(x, True, w) for x in range(self.game.size) for w in range(6)]
        return plain + waiting * self.game.waits

    def update_distribution(self, shares):
        n = self.game.size
        assert self.stage == "crowd"
        assert len(shares) == len(self.distribution_support())
        assert sum(shares) > 0
        self.before = self.crowd
        self.crowd = [shares[x] + sum(shares[n + 6 * x : n + 6 * x + 6]) for x in range(n)]
        self.stage = "noise" if self.game.oddity == "noise after crowd" else "decision"
        self.wait = self.wait - 1 if self.held else self.waiting()
        self.held = False

    def waiting(self):
        if self.game.surprise is not None:
            return self.game.surprise
        return int(5 * self.crowd[self.x]) if self.game.waits else 0


# A walk in the manner of OpenSpiel's algorithms


def crowd_of(root, probabilities):
    """Shares of all strings, depth by depth."""
    everywhere, level = {}, {root.observation_string(0): (root, 1.0)}
    while level:
        everywhere.update({string: p for string, (_, p) in level.items()})
        following = {}
        for state, p in level.values():
            for after, q in successors(state, probabilities, {s: q for s, (_, q) in level.items()}):
                first, before = following.get(after.observation_string(0), (after, 0.0))
                following[after.observation_string(0)] = (first, before + p * q)
        level = following
    return everywhere


def successors(state, probabilities, shares):
    if state.is_terminal():
        return []
    if state.is_chance_node():
        return [(state.child(a), p) for a, p in state.chance_outcomes()]
    if state.is_mean_field_node():
        return [(told(state, shares), 1.0)]
    return [(state.child(a), p) for a, p in probabilities(state).items()]


def told(state, shares):
    after = state.clone()
    after.update_distribution([shares.get(string, 0.0) for string in state.distribution_support()])
    return after


def nash_conv(game, probabilities, with_action):
    """Best return less own return; one value a string, or a string and last action."""
    (root,) = game.new_initial_states()
    shares = crowd_of(root, probabilities)

    def value(state, last, best, known):
        key = (state.observation_string(0), last if with_action else None)
        if key not in known:
            below = [
                (p, value(after, a if decides(state) else last, best, known))
                for a, (after, p) in zip(actions(state), successors(state, probabilities, shares), strict=True)
            ]
            mean = sum(p * v for p, v in below)
            top = max((v for _, v in below), default=0.0)
            own = 0.0 if state.is_chance_node() else state.rewards()[0]
            known[key] = own + (top if best and decides(state) else mean)
        return known[key]

    return value(root, None, True, {}) - value(root, None, False, {})


def decides(state):
    return not (state.is_terminal() or state.is_chance_node() or state.is_mean_field_node())


def actions(state):
    """Names of what leads to the successors."""
    if decides(state):
        return state.legal_actions()
    return [a for a, _ in state.chance_outcomes()] if state.is_chance_node() else [None] * (not state.is_terminal())
