"""Policy-aware models: games are some, bridges are others; what is found is an equilibrium, or said not to be one."""

from dataclasses import dataclass

import naive_bridge as naive
import numpy as np
import pytest
from builders import crowd_game, policy
from learning_cases import KINDS, linear, near_class
from numpy.testing import assert_allclose

import fastmfg as mfg
from fastmfg.comparing.bridge import BridgeModel, PolicyCover, SoftBridge
from fastmfg.planning.policy_aware import (
    DensityAware,
    PolicyAwareModel,
    as_game,
    policy_aware,
    solve_policy_aware,
)


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
    if game.population == "joint":
        wrapped = as_game(model)
    else:
        wrapped = mfg.Game._of(as_game(model)._family, 0)
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
    found = solve_policy_aware(model, tol=1e-6)
    assert found.converged
    tables = [np.stack([f(h, found.policy) for h in range(model.horizon)]) for f in (model.transition, model.reward)]
    gap = naive.tables_gap(model.initial, *tables, found.policy, model.legal)
    assert gap == pytest.approx(found.ne_gap, abs=1e-12)
    assert gap <= 1e-6
    assert found.attempts[-1].ne_gap == found.ne_gap


@pytest.mark.parametrize("seed", range(3))
def test_of_a_game_it_finds_what_solve_finds(seed):
    game = mfg.Game(**crowd_game(seed))
    found = solve_policy_aware(game, tol=1e-4)
    assert found.converged
    assert mfg.ne_gap(game, found.policy) == pytest.approx(found.ne_gap, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_bridges_have_equilibria(seed):
    models = near_class(seed, S=2, A=2)
    for bridge in (BridgeModel(models, 0.3, 3), SoftBridge(models, 0.3)):
        found = solve_policy_aware(bridge, tol=1e-4)
        assert found.converged
        assert naive.tables_gap(
            models.initial, *bridge.tables(found.policy), found.policy, models.legal
        ) == pytest.approx(found.ne_gap, abs=1e-12)


def test_the_cover_s_bridge_is_near_an_equilibrium_of_its_own_centre():
    """On the sectors class, where no model's equilibrium is near one of its centre."""
    models = mfg.zoo.hard.sectors(5)
    bridge = BridgeModel(models, 0.024, cover=PolicyCover(models, 16, cells=[(0, 0)]))
    for model in (bridge, SoftBridge(models, 0.024)):
        found = solve_policy_aware(model, tol=1e-4)
        centre = mfg.central_model(models, found.policy, 0.024)
        assert mfg.ne_gap(models[centre], found.policy) <= 0.032 / 4


def test_what_did_not_converge_says_so():
    found = solve_policy_aware(Cycling(), tol=1e-12, max_iterations=1, starts=1)
    assert not found.converged
    assert found.ne_gap == min(attempt.ne_gap for attempt in found.attempts)
    assert {attempt.start for attempt in found.attempts} == {"uniform", "best", "random 0"}
    assert {"anderson", "best-response-mixing", "mirror-descent"} == {attempt.method for attempt in found.attempts}


def test_the_start_given_is_used():
    near = np.array([[[0.3, 0.7]], [[0.3, 0.7]]])
    found = solve_policy_aware(Cycling(), tol=1e-6, initial_policy=near)
    assert [attempt.start for attempt in found.attempts] == ["given"]


def test_the_same_seed_the_same_bytes():
    a, b, c = (solve_policy_aware(Cycling(), tol=1e-12, max_iterations=1, seed=s) for s in (1, 1, 2))
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


BAD_MODELS = [
    ({"model": 3}, TypeError, "model must be a Game or have initial, legal, horizon, transition"),
    ({"model": linear()}, TypeError, "model must be a Game or have .* got LinearClass"),
    ({"model": Broken(transition=np.ones((1, 2, 2)))}, ValueError, r"transition\(h, policy\) must have shape"),
    ({"model": Broken(transition=np.full((1, 2, 1), 0.5))}, ValueError, r"transition\(h, policy\)\[0, 0, 0\] sums to"),
    ({"model": Broken(reward=np.array([[np.nan, 0.0]]))}, ValueError, r"reward\(h, policy\)\[0, 0, 0\] is nan"),
    ({"model": Matching(0)}, ValueError, "horizon must be at least 1, got 0"),
    ({"tol": 0.0}, ValueError, r"tol must lie in \(0, inf\), got 0.0"),
    ({"max_iterations": 0}, ValueError, "max_iterations must be at least 1, got 0"),
    ({"starts": -1}, ValueError, "starts must be at least 0, got -1"),
    ({"seed": "a"}, TypeError, "seed must be a whole number"),
    ({"initial_policy": np.ones((2, 1, 2))}, ValueError, "initial_policy.* sums to"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD_MODELS)
def test_bad_models(change, error, message):
    with pytest.raises(error, match=message):
        solve_policy_aware(**({"model": Matching(), "tol": 1e-3} | change))


def test_no_single_step_without_the_policy():
    game = as_game(Matching())
    with pytest.raises(TypeError, match=r"depend on the whole policy: ask transition\(h, policy\)"):
        game.transition(0, [1.0])
    with pytest.raises(TypeError, match=r"depend on the whole policy: ask reward\(h, policy\)"):
        game.reward(0, [1.0])
