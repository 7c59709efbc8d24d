"""Policy-aware models: games are some, bridges are others; what is found is an equilibrium, or said not to be one."""

from dataclasses import dataclass

import naive_bridge as naive
import numpy as np
import pytest
from builders import policy
from learning_cases import KINDS, linear, near_class
from numpy.testing import assert_allclose

import fastmfg as mfg
from fastmfg.comparing.bridge import BridgeModel, PolicyCover, SoftBridge
from fastmfg.planning.policy_aware import DensityAware, PolicyAwareModel, as_game, policy_aware


@dataclass(frozen=True)
class Matching:
    """One state; action 0 pays what the crowd plays of action 1 two steps ahead, less what it plays of it now."""

    steps: int = 2
    pay: float = 1.0
    initial = np.ones(1)
    legal = np.ones((1, 2), dtype=bool)

    @property
    def horizon(self):
        return self.steps

    def transition(self, h, policy):
        return np.ones((1, 2, 1))

    def reward(self, h, policy):
        last = policy[self.steps - 1, 0]
        return self.pay * np.array([[last[1] - policy[h, 0, 0], 0.0]])


class Cycling(Matching):
    """Matching pennies against the crowd's own last step: in the only equilibrium action 0 has the chance 0.3."""

    def reward(self, h, policy):
        a, b = policy[0, 0, 0], policy[-1, 0, 0]
        return np.array([[b - 0.3, 0.0]]) if h == 0 else np.array([[0.3 - a, 0.0]])


@pytest.mark.parametrize("kind", KINDS)
def test_every_game_is_one(kind):
    """Tables, gap and best response of a game, asked as a policy-aware model or as a game."""
    game = KINDS[kind]()[0]
    model = DensityAware(game)
    assert isinstance(model, PolicyAwareModel)
    wrapped = as_game(model)
    for seed in range(2):
        pi = policy(np.random.default_rng(seed), game.horizon, game.legal)
        frozen = mfg.condition(game, pi)
        for h in range(game.horizon):
            assert_allclose(model.transition(h, pi), frozen.transition[h], atol=1e-14)
            assert_allclose(model.reward(h, pi), frozen.reward[h], atol=1e-14)
        assert mfg.ne_gap(wrapped, pi) == pytest.approx(mfg.ne_gap(game, pi), abs=1e-12)
        assert_allclose(mfg.best_response(wrapped, pi).value, mfg.best_response(game, pi).value, atol=1e-12)


def test_a_game_goes_through_as_it_is():
    game = linear()[0]
    assert as_game(game) is game
    assert policy_aware(game).game is game


@pytest.mark.parametrize("model", [Matching(), Matching(3, 5.0), Cycling()], ids=str)
def test_equilibria_are_equilibria(model):
    found = mfg.solve(model, tol=1e-6)
    assert found.converged
    tables = [np.stack([f(h, found.policy) for h in range(model.horizon)]) for f in (model.transition, model.reward)]
    gap = naive.tables_gap(model.initial, *tables, found.policy, model.legal)
    assert gap == pytest.approx(found.ne_gap, abs=1e-12)
    assert gap <= 1e-6
    assert found.attempts[-1].ne_gap == found.ne_gap


class Commuters:
    """A user's model, a plain class: two roads, the slower the more take them.

    Rows depend on the policy as well: of those who take road 1, the part that the crowd of the last step blocks stays.
    """

    def __init__(self):
        self.initial = [0.5, 0.5]
        self.legal = np.array([[True, True], [True, False]])
        self.horizon = 3

    def transition(self, h, policy):
        blocked = 0.5 * policy[2, 0, 1]
        return np.array([[[1.0, 0.0], [blocked, 1.0 - blocked]], [[0.3, 0.7], [0.0, 1.0]]])

    def reward(self, h, policy):
        return np.array([[1.0 - policy[h, 0, 0], 0.7 - policy[-1 - h, 0, 1]], [0.2, 0.0]])


def test_a_plain_class_of_a_user():
    model = Commuters()
    found = mfg.solve(model, tol=1e-8)
    assert found.converged
    tables = [np.stack([f(h, found.policy) for h in range(3)]) for f in (model.transition, model.reward)]
    gap = naive.tables_gap(model.initial, *tables, found.policy, model.legal)
    assert gap == pytest.approx(found.ne_gap, abs=1e-12)
    assert gap <= 1e-8
    assert 0.01 < found.policy[1, 0, 0] < 0.99  # no corner of the simplices would do


@pytest.mark.parametrize(
    ("method", "tol"), [("best-response-mixing", 0.02), ("fictitious-play", 0.02), ("mirror-descent", 1e-3),
                        ("prior-descent", 1e-3), ("policy-iteration", 0.02), ("anderson", 1e-8)],
)  # fmt: skip
def test_every_method_takes_one(method, tol):
    """On its own, as on a game: no other attempts."""
    found = mfg.solve(Commuters(), method, tol=tol, max_iterations=500)
    assert found.converged
    assert (found.method, found.attempts) == (method, ())


def test_limits_are_those_of_all_attempts():
    told = []
    found = mfg.solve(Cycling(), tol=0.0, max_iterations=61, starts=0, callback=lambda *now: told.append(now))
    assert found.iterations == 61
    assert [attempt.method for attempt in found.attempts] == [
        "best-response-mixing",
        *6 * ["anderson"],
        "mirror-descent",
    ]
    assert found.history.size == 61 + len(found.attempts)  # each attempt begins with its start's gap
    assert found.history.min() == found.ne_gap
    assert [iteration for iteration, _, _ in told] == list(range(1, 62))
    assert [best for _, _, best in told] == sorted((best for _, _, best in told), reverse=True)
    few = mfg.solve(Cycling(), tol=1e-12, max_iterations=3)
    assert (few.iterations, len(few.attempts)) == (3, 3)
    once = mfg.solve(Cycling(), tol=1e-12, callback=lambda *now: True)
    assert (once.iterations, len(once.attempts)) == (1, 1)
    assert mfg.solve(Cycling(), tol=1e-12, max_seconds=1e-9).iterations == 1
    last = mfg.solve(Cycling(), tol=1e-12, max_iterations=40, gap_every=0)
    assert last.history.size == 2 * len(last.attempts)


def test_a_tolerance_relative_to_the_start():
    start = mfg.ne_gap(as_game(Commuters()), as_game(Commuters()).uniform_policy())
    for relative in (0.5, 1e-3):
        found = mfg.solve(Commuters(), rtol=relative)
        assert found.converged
        assert found.ne_gap <= relative * start
    assert mfg.solve(Commuters()).ne_gap <= 1e-3 * start  # as of games


def test_nothing_to_gain():
    found = mfg.solve(Matching(2, 0.0))
    assert (found.converged, found.ne_gap, found.iterations, len(found.attempts)) == (True, 0.0, 0, 1)


@pytest.mark.parametrize("seed", range(3))
def test_bridges_have_equilibria(seed):
    models = near_class(seed, S=2, A=2)
    for bridge in (BridgeModel(models, 0.3, 3), SoftBridge(models, 0.3)):
        found = mfg.solve(bridge, tol=1e-4)
        assert found.converged
        assert naive.tables_gap(
            models.initial, *bridge.tables(found.policy), found.policy, models.legal
        ) == pytest.approx(found.ne_gap, abs=1e-12)


def test_the_cover_s_bridge_is_near_an_equilibrium_of_its_own_centre():
    """On the sectors class, where no model's equilibrium is near one of its centre."""
    models = mfg.zoo.hard.sectors(5)
    bridge = BridgeModel(models, 0.024, cover=PolicyCover(models, 16, cells=[(0, 0)]))
    for model in (bridge, SoftBridge(models, 0.024)):
        found = mfg.solve(model, tol=1e-4)
        centre = mfg.central_model(models, found.policy, 0.024)
        assert mfg.ne_gap(models[centre], found.policy) <= 0.032 / 4


def test_what_did_not_converge_says_so():
    found = mfg.solve(Cycling(), tol=1e-12, max_iterations=11, starts=1)
    assert not found.converged
    assert found.ne_gap == min(attempt.ne_gap for attempt in found.attempts)
    assert {attempt.start for attempt in found.attempts} == {"uniform", "best", "random 0"}
    assert {"anderson", "best-response-mixing", "mirror-descent"} == {attempt.method for attempt in found.attempts}


def test_the_start_given_is_used():
    near = np.array([[[0.3, 0.7]], [[0.3, 0.7]]])
    found = mfg.solve(Cycling(), tol=1e-6, initial_policy=near)
    assert [attempt.start for attempt in found.attempts] == ["given"]


def test_the_same_seed_the_same_bytes():
    a, b, c = (mfg.solve(Cycling(), tol=1e-12, max_iterations=20, seed=s) for s in (1, 1, 2))
    assert a.policy.tobytes() == b.policy.tobytes()
    assert a.attempts == b.attempts != c.attempts


class Broken(Matching):
    def __init__(self, transition=None, reward=None):
        super().__init__()
        object.__setattr__(self, "wrong", (transition, reward))

    def transition(self, h, policy):
        return super().transition(h, policy) if self.wrong[0] is None else self.wrong[0]

    def reward(self, h, policy):
        return super().reward(h, policy) if self.wrong[1] is None else self.wrong[1]


def without(part):
    """A model that lacks a part."""
    parts = {name: getattr(Matching(), name) for name in ("initial", "legal", "horizon", "transition", "reward")}
    del parts[part]
    return type("Lacking", (), {name: staticmethod(p) if callable(p) else p for name, p in parts.items()})()


def changed(**parts):
    """A model with other parts."""
    return type("Changed", (Matching,), parts)()


BAD_MODELS = [
    ({"game": 3}, TypeError, "game must be a Game, got int; a policy-aware model has .* this has no initial, legal"),
    ({"game": linear()}, TypeError, "game must be a Game, got LinearClass.* this has no transition, reward"),
    ({"game": without("reward")}, TypeError, "got Lacking; .* this has no reward"),
    ({"game": without("legal")}, TypeError, "this has no legal"),
    ({"game": changed(transition=np.ones((1, 2, 1)))}, TypeError, "transition of a policy-aware model must be a func"),
    ({"game": changed(legal=np.ones(2, dtype=bool))}, ValueError, r"legal must have shape \[S, A\], got \[2\]"),
    ({"game": changed(legal=np.ones((1, 2)))}, TypeError, "legal must be boolean, got dtype float64"),
    ({"game": changed(legal=np.zeros((1, 2), dtype=bool))}, ValueError, r"legal\[0\] has no legal action"),
    ({"game": changed(initial=[0.5, 0.5])}, ValueError, r"legal must have shape \[2, 2\], got \[1, 2\]"),
    ({"game": changed(initial=[0.5])}, ValueError, "initial sums to 0.5"),
    ({"game": changed(horizon=2.5)}, TypeError, "horizon must be a whole number, got 2.5"),
    ({"game": Broken(transition=np.ones((1, 2, 2)))}, ValueError, r"transition\(0, policy\) must have shape"),
    ({"game": Broken(transition=np.full((1, 2, 1), 0.5))}, ValueError, r"transition\(0, policy\)\[0, 0\] sums to"),
    ({"game": Broken(transition=[["a", "b"]])}, TypeError, r"transition\(0, policy\) must hold real numbers"),
    ({"game": Broken(reward=np.array([[np.nan, 0.0]]))}, ValueError, r"reward\(0, policy\)\[0, 0\] is nan"),
    ({"game": Broken(reward=np.zeros(2))}, ValueError, r"reward\(0, policy\) must have shape \[1, 2\], got \[2\]"),
    (
        {"game": changed(tables=lambda self, pi: (np.ones((2, 1, 2)), None))},
        ValueError,
        r"transition of tables\(policy",
    ),
    ({"game": Matching(0)}, ValueError, "horizon must be at least 1, got 0"),
    ({"tol": -1.0}, ValueError, r"tol must lie in \[0, inf\), got -1.0"),
    ({"max_iterations": 0}, ValueError, "max_iterations must be at least 1, got 0"),
    ({"starts": -1}, ValueError, "starts must be at least 0, got -1"),
    ({"seed": "a"}, TypeError, "seed must be a whole number"),
    ({"step": 0.5}, TypeError, "'auto' on a policy-aware model has no option 'step': it takes starts, seed"),
    ({"method": "anderson", "starts": 2}, TypeError, "method 'anderson' has no option 'starts': it takes step, memory"),
    ({"method": "occupation-measure"}, ValueError, "'occupation-measure' asks for tables under any population"),
    ({"game": linear()[0], "starts": 2}, TypeError, "method 'auto' has no option 'starts': it takes none"),
    ({"initial_policy": np.ones((2, 1, 2))}, ValueError, "initial_policy.* sums to"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD_MODELS)
def test_bad_models(change, error, message):
    with pytest.raises(error, match=message):
        mfg.solve(**({"game": Matching(), "tol": 1e-3} | change))


def test_no_single_step_without_the_policy():
    game = as_game(Matching())
    with pytest.raises(TypeError, match=r"depend on the whole policy: ask transition\(h, policy\)"):
        game.transition(0, [1.0])
    with pytest.raises(TypeError, match=r"depend on the whole policy: ask reward\(h, policy\)"):
        game.reward(0, [1.0])
