"""Simulators of the user behind the oracle: who plays what, and every answer checked."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from builders import policy
from learning_cases import linear
from numpy.testing import assert_array_equal

import fastmfg as mfg

H, S, A = 3, 4, 2


def policies(seed=0):
    rng = np.random.default_rng(seed)
    legal = np.ones((S, A), dtype=bool)
    return policy(rng, H, legal), policy(rng, H, legal)


def pure(*actions):
    """The policy that plays action a at step h, in every state."""
    return np.tile(np.eye(A)[list(actions)][:, None], (1, S, 1))


# Functions


def walk(deviation, reference, rng):
    """On the ring: action a moves by a + 1, whatever the crowd does."""
    states, actions = [int(rng.integers(S))], []
    for h in range(H):
        actions.append(int(rng.choice(A, p=deviation[h, states[-1]])))
        states.append((states[-1] + actions[-1] + 1) % S)
    return states, actions


def test_a_function_is_asked_for_every_trajectory():
    oracle = mfg.CallbackOracle.from_function(walk, seed=3)
    deviation, reference = policies()
    states, actions = oracle.sample(deviation, reference, 50)
    assert (states.shape, actions.shape, states.dtype, actions.dtype) == ((50, H + 1), (50, H), np.int64, np.int64)
    assert_array_equal(states[:, 1:], (states[:, :-1] + actions + 1) % S)
    assert len(np.unique(states, axis=0)) > 5
    assert oracle.trajectories == 50


def test_trajectories_depend_on_the_seed_and_their_number():
    deviation, reference = policies()
    whole = mfg.CallbackOracle.from_function(walk, seed=3).sample(deviation, reference, 12)
    pieces = mfg.CallbackOracle.from_function(walk, seed=3)
    first = pieces.sample(deviation, reference, 5)
    later = mfg.CallbackOracle.from_function(walk, seed=8)
    later.restore(json.loads(json.dumps(pieces.state())))
    second = later.sample(deviation, reference, 7)
    assert_array_equal(np.concatenate([first[0], second[0]]), whole[0])
    assert later.state() == {"seed": 3, "trajectories": 12}


def test_the_function_gets_both_policies():
    seen = []

    def record(deviation, reference, rng):
        seen.append((deviation.copy(), reference.copy()))
        deviation[:], reference[:] = 0.0, 0.0  # copies: nobody is hurt
        return [0] * (H + 1), [1] * H

    deviation, reference = pure(1, 1, 1), policies()[1]
    mfg.CallbackOracle.from_function(record).sample(deviation, reference, 2)
    for got in seen:
        assert_array_equal(got[0], deviation)
        assert_array_equal(got[1], reference)
    assert deviation.sum() == H * S


BAD_ANSWERS = {
    "state too large": (lambda: ([0, 1, 4, 0], [0, 0, 0]), ValueError, r"states\[2\] is 4: must lie in 0..3"),
    "state negative": (lambda: ([-1, 1, 0, 0], [0, 0, 0]), ValueError, r"states\[0\] is -1"),
    "action too large": (lambda: ([0, 1, 0, 0], [0, 2, 0]), ValueError, r"actions\[1\] is 2: must lie in 0..1"),
    "too short": (lambda: ([0, 1, 0], [0, 0]), ValueError, r"states must have shape \[4\], got \[3\]"),
    "too many actions": (lambda: ([0, 1, 0, 0], [0] * 4), ValueError, r"actions must have shape \[3\], got \[4\]"),
    "floats": (lambda: ([0.0, 1.0, 0.0, 0.0], [0, 0, 0]), TypeError, "states must hold whole numbers"),
    "a list": (lambda: [[0] * 4, [0] * 3], TypeError, r"must return \(states, actions\), got list"),
    "three": (lambda: ([0] * 4, [0] * 3, [0.0] * 3), TypeError, r"must return \(states, actions\), got a tuple of 3"),
    "other play": (lambda: ([0, 2, 0, 0], [0, 1, 0]), ValueError, r"actions\[1\] is 1, to which the deviation gives "
                   "probability 0 in state 2: it must play the deviation"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_ANSWERS)
def test_bad_answers_of_functions(kind):
    answer, error, message = BAD_ANSWERS[kind]
    oracle = mfg.CallbackOracle.from_function(lambda deviation, reference, rng: answer())
    with pytest.raises(error, match=f"the simulator.*{message}"):
        oracle.sample(pure(0, 0, 0), policies()[1], 1)
    assert oracle.trajectories == 0


def test_bad_calls():
    with pytest.raises(TypeError, match=r"walker must be a function \(deviation, reference, rng\), got int"):
        mfg.CallbackOracle.from_function(3)
    with pytest.raises(TypeError, match="make_env must be a function of the reference policy, got dict"):
        mfg.CallbackOracle.from_gymnasium({})
    with pytest.raises(TypeError, match="encode must be a function from observations to states, got list"):
        mfg.CallbackOracle.from_gymnasium(lambda reference: None, encode=[])
    with pytest.raises(TypeError, match="env must have a method reset, got int"):
        mfg.CallbackOracle.from_parallel(3, "me")
    with pytest.raises(ValueError, match="seed must be at least 0, got -1"):
        mfg.CallbackOracle.from_function(walk, seed=-1)
    oracle = mfg.CallbackOracle.from_function(walk)
    deviation, reference = policies()
    with pytest.raises(ValueError, match=r"deviation has shape \[3, 4, 2\], reference \[2, 4, 2\]: they must agree"):
        oracle.sample(deviation, reference[:2], 1)
    with pytest.raises(ValueError, match=r"reference\[0, 0\] sums to"):
        oracle.sample(deviation, reference * 0.5, 1)
    with pytest.raises(ValueError, match=r"deviation must have shape \[\*, \*, \*\], got \[4, 2\]"):
        oracle.sample(deviation[0], reference, 1)
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        oracle.sample(deviation, reference, 0)
    oracle.sample(deviation, reference, 1)
    with pytest.raises(ValueError, match=r"policies have shape \[2, 4, 2\], those of earlier calls had \[3, 4, 2\]"):
        oracle.sample(deviation[:2], reference[:2], 1)


# Environments of one agent


def discrete(n, start=0):
    return SimpleNamespace(n=n, start=start)


class Ring:
    """An environment as Gymnasium's: the crowd, which plays the reference, drifts on a ring; the agent sees its state.

    Action a moves the agent by a + 1, and one further where the whole crowd plays action 1.
    """

    def __init__(self, reference, n_states=S, n_actions=A, ends=H, first=0):
        self.reference, self.ends, self.first, self.closed = reference, ends, first, False
        self.observation_space, self.action_space = discrete(n_states, first), discrete(n_actions, first)
        self.seeds = []

    def reset(self, *, seed=None):
        self.seeds.append(seed)
        self.h, self.s = 0, seed % S
        return np.int64(self.s + self.first), {}

    def step(self, action):
        assert self.h < H, "stepped behind the end"
        crowd = round(self.reference[self.h, 0, 1])
        self.s = (self.s + (action - self.first) + 1 + crowd) % S
        self.h += 1
        return np.array([self.s + self.first]), 0.0, self.h == self.ends, False, {}

    def close(self):
        self.closed = True


@pytest.mark.parametrize("first", [0, 5])
def test_environments_of_one_agent(first):
    made = []

    def make_env(reference):
        made.append(Ring(reference, first=first))
        return made[-1]

    oracle = mfg.CallbackOracle.from_gymnasium(make_env, seed=2)
    deviation = policies()[0]
    for crowd in (0, 1):
        states, actions = oracle.sample(deviation, pure(*[crowd] * H), 30)
        assert_array_equal(states[:, 1:], (states[:, :-1] + actions + 1 + crowd) % S)
        assert_array_equal(oracle.sample(deviation, pure(*[crowd] * H), 2)[0].shape, (2, H + 1))
    assert [env.closed for env in made] == [True, False]  # one for each reference policy
    seeds = [seed for env in made for seed in env.seeds]
    assert len(seeds) == len(set(seeds)) == 64


def test_an_environment_plays_the_deviation():
    """How often each action is played in a state."""
    deviation, reference = policies()
    oracle = mfg.CallbackOracle.from_gymnasium(Ring, seed=1)
    states, actions = oracle.sample(deviation, reference, 2000)
    for h in range(H):
        for s in range(S):
            n, share = (states[:, h] == s).sum(), actions[states[:, h] == s, h].mean()
            assert abs(share - deviation[h, s, 1]) < 5 / np.sqrt(4 * n)  # fails once in a million


def test_observations_may_be_anything_with_an_encoding():
    class Named(Ring):
        """Sees names, not numbers; its observation space has no size."""

        def __init__(self, reference):
            super().__init__(reference)
            self.observation_space = SimpleNamespace(shape=(1,))

        def reset(self, *, seed=None):
            return "abcd"[super().reset(seed=seed)[0]], {}

        def step(self, action):
            observation, *rest = super().step(action)
            return ("abcd"[observation[0]], *rest)

    states, _ = mfg.CallbackOracle.from_gymnasium(Named, encode="abcd".index).sample(*policies(), 20)
    assert states.max() == S - 1
    with pytest.raises(TypeError, match=r"the simulator's observation must be a whole number, got '[abcd]'"):
        mfg.CallbackOracle.from_gymnasium(Named).sample(*policies(), 20)
    with pytest.raises(ValueError, match=r"the simulator is in state 4: the policies have the states 0..3"):
        mfg.CallbackOracle.from_gymnasium(Named, encode=lambda name: 4).sample(*policies(), 1)
    with pytest.raises(ValueError, match="the state that encode returns must be at least 0, got -1"):
        mfg.CallbackOracle.from_gymnasium(Named, encode=lambda name: -1).sample(*policies(), 1)


BAD_RINGS = {
    "ends early": (lambda r: Ring(r, ends=2), ValueError, "ended after 2 steps, before the horizon 3"),
    "too few actions": (lambda r: Ring(r, n_actions=1), ValueError, "has 1 actions, the policies have 2"),
    "too many states": (lambda r: Ring(r, n_states=9), ValueError, "has 9 observations, the policies have 4 states"),
    "no actions": (lambda r: SimpleNamespace(observation_space=discrete(S)), TypeError,
                   r"action space must be discrete \(have n\), got None"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_RINGS)
def test_bad_environments(kind):
    make_env, error, message = BAD_RINGS[kind]
    with pytest.raises(error, match=f"the simulator.*{message}"):
        mfg.CallbackOracle.from_gymnasium(make_env).sample(*policies(), 1)


def test_an_environment_that_does_not_end_is_left_at_the_horizon():
    states, _ = mfg.CallbackOracle.from_gymnasium(lambda r: Ring(r, ends=99)).sample(*policies(), 3)
    assert states.shape == (3, H + 1)


def test_spaces_may_not_change_between_calls():
    made = []

    def make_env(reference):
        made.append(Ring(reference, n_states=S + len(made)))
        return made[-1]

    oracle = mfg.CallbackOracle.from_gymnasium(make_env, encode=lambda observation: int(np.squeeze(observation)) % S)
    deviation, reference = policies()
    oracle.sample(deviation, reference, 2)
    with pytest.raises(ValueError, match=r"changes its spaces between calls, or agents: sizes \(4, 2\), then \(5, 2\)"):
        oracle.sample(deviation, deviation, 2)


@pytest.mark.parametrize("what", ["reset", "step"])
def test_answers_of_another_form(what):
    class Old(Ring):
        """Returns what environments returned years ago."""

        def reset(self, *, seed=None):
            answer = super().reset(seed=seed)
            return answer[0] if what == "reset" else answer

        def step(self, action):
            return super().step(action)[:4] if what == "step" else super().step(action)

    message = "reset must return a tuple of 2, got int64" if what == "reset" else "step must return a tuple of 5, got a"
    with pytest.raises(TypeError, match=f"the simulator's {message}"):
        mfg.CallbackOracle.from_gymnasium(Old).sample(*policies(), 1)


# Environments of many agents


class Crowd:
    """An environment as PettingZoo's parallel ones: everybody sees its own state on a ring.

    Action a moves an agent by a + 1; it moves one further where most agents play action 1.
    """

    def __init__(self, n=5, ends=H):
        self.possible_agents = [f"agent {i}" for i in range(n)]
        self.ends, self.moves = ends, []

    def observation_space(self, agent):
        return discrete(S)

    def action_space(self, agent):
        return discrete(A)

    def reset(self, seed=None):
        self.agents = list(self.possible_agents)
        rng = np.random.default_rng(seed)
        self.h, self.states = 0, {agent: int(rng.integers(S)) for agent in self.agents}
        self.moves.append([])
        return dict(self.states), {agent: {} for agent in self.agents}

    def step(self, actions):
        assert set(actions) == set(self.agents)
        self.moves[-1].append({agent: (self.states[agent], actions[agent]) for agent in actions})
        busy = sum(actions.values()) > len(actions) / 2
        self.states = {agent: (self.states[agent] + actions[agent] + 1 + busy) % S for agent in self.agents}
        self.h += 1
        over = self.h == self.ends
        flags = dict.fromkeys(self.agents, over)
        if over:
            self.agents = []
        return dict(self.states), dict.fromkeys(flags, 0.0), flags, dict.fromkeys(flags, False), {}


def test_environments_of_many_agents():
    env = Crowd()
    states, actions = mfg.CallbackOracle.from_parallel(env, "agent 3", seed=1).sample(pure(0, 1, 0), pure(1, 1, 0), 20)
    assert_array_equal(actions, np.tile([0, 1, 0], (20, 1)))
    assert_array_equal(states[:, 1:], (states[:, :-1] + actions + 1 + np.array([1, 1, 0])) % S)
    for episode in env.moves:
        for h, played in enumerate(episode):
            assert {agent: a for agent, (_, a) in played.items()} == {
                agent: ([0, 1, 0] if agent == "agent 3" else [1, 1, 0])[h] for agent in env.possible_agents
            }


def test_others_act_by_the_reference_by_their_own_observation():
    env, (deviation, reference) = Crowd(), policies()
    mfg.CallbackOracle.from_parallel(env, "agent 0").sample(deviation, reference, 600)
    for h in range(H):
        for s in range(S):
            acts = [a for episode in env.moves for agent, (x, a) in episode[h].items() if x == s and agent != "agent 0"]
            assert abs(np.mean(acts) - reference[h, s, 1]) < 5 / np.sqrt(4 * len(acts))


def test_bad_environments_of_many_agents():
    for env, message in (
        (Crowd(ends=2), "ended for agent 'agent 0' after 2 steps, before the horizon 3"),
        (Crowd(n=0), r"agent 'agent 1' is not among the simulator's agents \[\]"),
    ):
        with pytest.raises(ValueError, match=message):
            mfg.CallbackOracle.from_parallel(env, "agent 1").sample(*policies(), 1)
    shrinking = Crowd()
    oracle = mfg.CallbackOracle.from_parallel(shrinking, "agent 1")
    oracle.sample(*policies(), 1)
    shrinking.possible_agents.pop()
    with pytest.raises(ValueError, match="the simulator changed its agents between calls: 5, then 4"):
        oracle.sample(*policies(), 1)

    class Blind(Crowd):
        """Loses sight of an agent."""

        def step(self, actions):
            observations, *rest = super().step(actions)
            del observations["agent 4"]
            return (observations, *rest)

    with pytest.raises(ValueError, match="the simulator returns no observation of agent 'agent 4'"):
        mfg.CallbackOracle.from_parallel(Blind(), "agent 1").sample(*policies(), 1)


# Learning


def test_a_game_behind_a_function_is_learned():
    models = linear(scale=0.8)
    truth = mfg.MeanFieldOracle(models[2], seed=5)

    def simulate(deviation, reference, rng):
        states, actions = truth.sample(deviation, reference, 1)
        return states[0], actions[0]

    out = mfg.learn(models, mfg.CallbackOracle.from_function(simulate), epsilon=0.01, delta=0.01)
    ref = mfg.learn(models, mfg.MeanFieldOracle(models[2], seed=5), epsilon=0.01, delta=0.01)
    assert_array_equal(out.survivors, ref.survivors)
    assert (out.trajectories, out.ne_gap_bound) == (ref.trajectories, ref.ne_gap_bound)
