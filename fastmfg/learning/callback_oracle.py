"""Samples from a user's own simulator: a function, or an environment as Gymnasium's or PettingZoo's.

The protocol (Huang, He, Krause 2024, Def. 2.1): *one* agent plays the deviation, and *all others* play the reference
policy. Whatever stands behind the oracle has to see to the second part; each constructor says how. States and actions
are whole numbers 0..S-1 and 0..A-1, steps 0..H-1, as in the candidate models. Everything that a simulator returns is
checked call by call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.games.checks import (
    Floats,
    Integers,
    first_index,
    float_array,
    index_array,
    refuse_non_distributions,
    whole,
)
from fastmfg.games.rows import draw
from fastmfg.learning.oracle import Sample
from fastmfg.streams import Stream

SEEDS = 2**31
"""Environments are seeded below this: some take no larger seed."""

Encode = Callable[[Any], int]
"""From an observation to a state."""


class Walker(Protocol):
    """Walks one trajectory."""

    def __call__(self, deviation: Floats, reference: Floats, rng: np.random.Generator) -> Any:
        """States [H+1] and actions [H]; rewards [H] third, where the oracle is to observe them."""
        ...


class CallbackOracle:
    """An oracle whose trajectories come from a user's simulator.

    Made by `from_function`, `from_gymnasium` or `from_parallel`. Trajectory number i draws its random numbers from the
    seed and i alone, as far as the simulator keeps to what it is given. With ``rewards=True`` the deviating agent's
    rewards are returned as the simulator gives them: for classes whose rewards are unknown, and only for these.
    """

    def __init__(self, walker: Walker, seed: int = 0, *, rewards: bool = False) -> None:
        if not callable(walker):
            raise TypeError(f"walker must be a function (deviation, reference, rng), got {type(walker).__name__}")
        self.walker, self.seed, self.rewarded = walker, whole("seed", seed, 0), bool(rewards)
        self.trajectories = 0
        self._shape: tuple[int, ...] | None = None

    @classmethod
    def from_function(cls, function: Walker, *, seed: int = 0, rewards: bool = False) -> Self:
        """From ``function(deviation, reference, rng) -> (states [H+1], actions [H])``.

        Parameters
        ----------
        function : callable
            Walks one trajectory of an agent who plays `deviation` [H, S, A] while everybody else plays `reference`
            [H, S, A]; the function moves these others itself. `rng` is a fresh ``np.random.Generator``.
        seed : int
        rewards : bool
            The function returns a third part, the agent's rewards [H].
        """
        return cls(function, seed, rewards=rewards)

    @classmethod
    def from_gymnasium(
        cls, make_env: Callable[[Floats], Any], *, encode: Encode | None = None, seed: int = 0, rewards: bool = False
    ) -> Self:
        """From environments of one agent: ``reset(seed=...) -> (observation, info)``, ``step(action) -> (observation,
        reward, terminated, truncated, info)``.

        Parameters
        ----------
        make_env : callable
            ``make_env(reference)`` returns an environment in which all other agents act by `reference` [H, S, A]. It is
            called anew whenever the reference policy has changed; the last environment is closed then.
        encode : callable, optional
            From an observation to a state; by default the observation is one, less the space's ``start``.
        seed : int
        rewards : bool
            Return the environment's rewards too.
        """
        if not callable(make_env):
            raise TypeError(f"make_env must be a function of the reference policy, got {type(make_env).__name__}")
        return cls(_Gymnasium(make_env, encode, rewards), seed, rewards=rewards)

    @classmethod
    def from_parallel(
        cls, env: Any, agent: Any, *, encode: Encode | None = None, seed: int = 0, rewards: bool = False
    ) -> Self:
        """From an environment of many agents with PettingZoo's parallel interface.

        Parameters
        ----------
        env : object
            ``reset(seed=...) -> (observations, infos)``, ``step(actions) -> (observations, rewards, terminations,
            truncations, infos)``, all of them dictionaries by agent; ``agents``, ``action_space(agent)``,
            ``observation_space(agent)``.
        agent : key of an agent
            Who plays the deviation. *Every other agent* acts by the reference policy, by its own observation.
        encode : callable, optional
            From an observation to a state; by default the observation is one, less the space's ``start``.
        seed : int
        rewards : bool
            Return the agent's rewards too.
        """
        for name in ("reset", "step", "action_space"):
            if not callable(getattr(env, name, None)):
                raise TypeError(f"env must have a method {name}, got {type(env).__name__}")
        return cls(_Parallel(env, agent, encode, rewards), seed, rewards=rewards)

    def sample(self, deviation: ArrayLike, reference: ArrayLike, n: int) -> Sample:
        """n trajectories: states [n, H+1] and actions [n, H]; rewards [n, H] third, where they are observed.

        Raises
        ------
        ValueError, TypeError
            A simulator whose states or actions are out of range or of a wrong number; that starts where the deviation
            can not act; that ends before the horizon; whose spaces do not fit the policies or change between calls.
        """
        dev, ref = _policy("deviation", deviation), _policy("reference", reference)
        if dev.shape != ref.shape:
            raise ValueError(f"deviation has shape {list(dev.shape)}, reference {list(ref.shape)}: they must agree")
        if self._shape not in (None, dev.shape):
            raise ValueError(
                f"the policies have shape {list(dev.shape)}, those of earlier calls had {list(self._shape or ())}: "
                "one oracle samples one game"
            )
        self._shape = dev.shape
        H, S, A = dev.shape
        count = whole("n", n, 1)
        states, actions = np.empty((count, H + 1), dtype=np.int64), np.empty((count, H), dtype=np.int64)
        rewards = np.empty((count, H))
        for i in range(count):
            rng = Stream.CALLBACK_ORACLE.generator(self.seed, self.trajectories)
            answer = self.walker(dev.copy(), ref.copy(), rng)
            walked = _trajectory(answer, H, S, A, self.rewarded)
            states[i], actions[i] = walked[:2]
            if len(walked) == 3:
                rewards[i] = walked[2]
            _refuse_other_play(actions[i], states[i], dev)
            self.trajectories += 1
        return (states, actions, rewards) if self.rewarded else (states, actions)

    def state(self) -> dict[str, int]:
        """What decides the random numbers to come: the seed, and how many trajectories have been drawn."""
        return {"seed": self.seed, "trajectories": self.trajectories}

    def restore(self, state: dict[str, int]) -> None:
        """Go on from where `state` was taken."""
        seed, trajectories = whole("seed", state["seed"], 0), whole("trajectories", state["trajectories"], 0)
        self.seed, self.trajectories = seed, trajectories


def _policy(name: str, policy: ArrayLike) -> Floats:
    array = float_array(name, policy, (None, None, None))
    refuse_non_distributions(name, array)
    return array


def _trajectory(answer: Any, H: int, S: int, A: int, rewarded: bool) -> Sample:
    parts = "(states, actions, rewards)" if rewarded else "(states, actions)"
    if not isinstance(answer, tuple) or len(answer) != 2 + rewarded:
        what = f"a tuple of {len(answer)}" if isinstance(answer, tuple) else type(answer).__name__
        raise TypeError(f"the simulator must return {parts}, got {what}")
    states = index_array("the simulator's states", answer[0], (H + 1,), S)
    actions = index_array("the simulator's actions", answer[1], (H,), A)
    return (states, actions, float_array("the simulator's rewards", answer[2], (H,))) if rewarded else (states, actions)


def _refuse_other_play(actions: Integers, states: Integers, deviation: Floats) -> None:
    """Actions that the deviation never plays betray a simulator that plays something else."""
    impossible = deviation[np.arange(len(actions)), states[:-1], actions] == 0
    if impossible.any():
        (h,) = first_index(impossible)
        raise ValueError(
            f"the simulator's actions[{h}] is {actions[h]}, to which the deviation gives probability 0 in state "
            f"{states[h]}: it must play the deviation"
        )


class _Space:
    """What a simulator's observations and actions are, checked at every call."""

    def __init__(self, encode: Encode | None) -> None:
        if encode is not None and not callable(encode):
            raise TypeError(f"encode must be a function from observations to states, got {type(encode).__name__}")
        self.encode = encode
        self.seen: tuple[int | None, int | None] | None = (
            None  # sizes of the observation and the action space at the first call
        )
        self.first_observation = self.first_action = 0

    def check(self, observation_space: Any, action_space: Any, S: int, A: int) -> None:
        """Refuse spaces that do not fit the policies, or have changed."""
        sizes = (_size(observation_space), _size(action_space))
        if sizes[1] is None:
            raise TypeError(f"the simulator's action space must be discrete (have n), got {action_space!r}")
        if self.seen is not None and sizes != self.seen:
            raise ValueError(
                f"the simulator changes its spaces between calls, or agents: sizes {self.seen}, then {sizes}"
            )
        self.seen = sizes
        if sizes[1] != A:
            raise ValueError(f"the simulator has {sizes[1]} actions, the policies have {A}")
        if self.encode is None and sizes[0] is not None and sizes[0] != S:
            raise ValueError(f"the simulator has {sizes[0]} observations, the policies have {S} states: pass encode")
        self.first_observation = int(getattr(observation_space, "start", 0))
        self.first_action = int(getattr(action_space, "start", 0))

    def state(self, observation: Any, S: int) -> int:
        """The state of an observation."""
        if self.encode is None:
            state = whole("the simulator's observation", _scalar(observation), self.first_observation)
            state -= self.first_observation
        else:
            state = whole("the state that encode returns", _scalar(self.encode(observation)), 0)
        if state >= S:
            raise ValueError(f"the simulator is in state {state}: the policies have the states 0..{S - 1}")
        return state


def _size(space: Any) -> int | None:
    """Members of a discrete space; None for others."""
    n = getattr(space, "n", None)
    return None if n is None or np.ndim(n) > 0 else int(n)


def _scalar(value: Any) -> Any:
    """A whole number from an array that holds nothing else."""
    return value.item() if isinstance(value, np.ndarray) and value.size == 1 else value


class _Gymnasium:
    """Walks in an environment of one agent."""

    def __init__(self, make_env: Callable[[Floats], Any], encode: Encode | None, rewarded: bool) -> None:
        self.make_env, self.space, self.rewarded = make_env, _Space(encode), rewarded
        self.made: tuple[Floats, Any] | None = None

    def __call__(self, deviation: Floats, reference: Floats, rng: np.random.Generator) -> tuple[list[Any], ...]:
        env, space = self.environment(reference), self.space
        H, S, A = deviation.shape
        space.check(getattr(env, "observation_space", None), getattr(env, "action_space", None), S, A)
        observation = _parts("reset", env.reset(seed=int(rng.integers(SEEDS))), 2)[0]
        states, actions, rewards = [space.state(observation, S)], [], []
        for h in range(H):
            actions.append(draw(deviation[h, states[h]], rng.random()))
            answer = _parts("step", env.step(actions[h] + space.first_action), 5)
            states.append(space.state(answer[0], S))
            rewards.append(answer[1])
            if (answer[2] or answer[3]) and h + 1 < H:
                raise ValueError(f"the simulator ended after {h + 1} steps, before the horizon {H}")
        return (states, actions, rewards) if self.rewarded else (states, actions)

    def environment(self, reference: Floats) -> Any:
        """The environment of a reference policy."""
        if self.made is None or not np.array_equal(self.made[0], reference):
            if self.made is not None and callable(getattr(self.made[1], "close", None)):
                self.made[1].close()
            self.made = reference, self.make_env(reference.copy())
        return self.made[1]


class _Parallel:
    """Walks in an environment of many agents, one of whom deviates."""

    def __init__(self, env: Any, agent: Any, encode: Encode | None, rewarded: bool) -> None:
        self.env, self.agent, self.space, self.rewarded = env, agent, _Space(encode), rewarded
        self.everyone: list[Any] | None = None

    def __call__(self, deviation: Floats, reference: Floats, rng: np.random.Generator) -> tuple[list[Any], ...]:
        H, S, _ = deviation.shape
        states = self.reset(int(rng.integers(SEEDS)), deviation)
        walked, actions, rewards = [states[self.agent]], [], []
        for h in range(H):
            played = {
                agent: draw((deviation if agent == self.agent else reference)[h, s], rng.random())
                for agent, s in states.items()
            }
            actions.append(played[self.agent])
            moves = {agent: action + self.space.first_action for agent, action in played.items()}
            observations, rewarded, terminated, truncated, _ = _parts("step", self.env.step(moves), 5)
            if self.rewarded:
                rewards.append(self.reward(rewarded))
            over = [agent for agent in played if terminated.get(agent) or truncated.get(agent)]
            if over and h + 1 < H:
                raise ValueError(
                    f"the simulator ended for agent {over[0]!r} after {h + 1} steps, before the horizon {H}"
                )
            states = self.states(observations, list(played) if h + 1 < H else [self.agent], S)
            walked.append(states[self.agent])
        return (walked, actions, rewards) if self.rewarded else (walked, actions)

    def reward(self, rewards: Any) -> Any:
        """The watched agent's."""
        if self.agent not in rewards:
            raise ValueError(f"the simulator returns no reward of agent {self.agent!r}")
        return rewards[self.agent]

    def reset(self, seed: int, deviation: Floats) -> dict[Any, int]:
        """Everyone's first state."""
        observations = _parts("reset", self.env.reset(seed=seed), 2)[0]
        agents = list(self.env.agents) if hasattr(self.env, "agents") else list(observations)
        if self.agent not in agents:
            raise ValueError(f"agent {self.agent!r} is not among the simulator's agents {agents[:5]}")
        if self.everyone is not None and agents != self.everyone:
            raise ValueError(
                f"the simulator changed its agents between calls: {len(self.everyone)}, then {len(agents)}"
            )
        self.everyone = agents
        _, S, A = deviation.shape
        watched = getattr(self.env, "observation_space", lambda agent: None)
        for agent in agents:
            self.space.check(watched(agent), self.env.action_space(agent), S, A)
        return self.states(observations, agents, S)

    def states(self, observations: Any, agents: list[Any], S: int) -> dict[Any, int]:
        missing = [agent for agent in agents if agent not in observations]
        if missing:
            raise ValueError(f"the simulator returns no observation of agent {missing[0]!r}")
        return {agent: self.space.state(observations[agent], S) for agent in agents}


def _parts(what: str, answer: Any, n: int) -> tuple[Any, ...]:
    if not isinstance(answer, tuple) or len(answer) != n:
        got = f"a tuple of {len(answer)}" if isinstance(answer, tuple) else type(answer).__name__
        raise TypeError(f"the simulator's {what} must return a tuple of {n}, got {got}")
    return answer
