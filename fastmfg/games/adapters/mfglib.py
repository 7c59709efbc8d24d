"""MFGLib's environments as games, games as its environments, and its exploitability of our policies.

MFGLib (Guo et al. 2023, MFGLib: A Library for Mean-Field Games) counts times t = 0..T inclusive, so that the horizon is
``H = T + 1``; states S and actions A are shapes, flattened here in C order; its functions see the joint
``L_t(s, a) = mu_t(s) pi_t(a|s)`` and give rewards ``r_t(s, a, L_t)`` as [*S, *A] and transitions as ``P[s', s, a]``.
Every action is legal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmfg.games.adapters.peers import peer, rescaled
from fastmfg.games.checks import Floats, initial_density, policy_array, real
from fastmfg.games.game import Game, require_game

EXTRA = "mfglib"


def from_mfglib(env: Any) -> Game:
    """Return the game of an MFGLib environment: ``H = T + 1`` steps, states and actions flattened in C order.

    Parameters
    ----------
    env : mfglib.env.Environment
        Asked at every call of the game; at time T, whose moves lead nowhere, for rewards alone: there the game's
        transition keeps everybody in place.

    Returns
    -------
    Game
        With ``population="joint"``; it stores ``[H, S, A, S]`` numbers while it is solved.

    Raises
    ------
    TypeError
        Not an environment; states or actions that are not shapes of whole numbers (continuous ones).
    ValueError
        Rows that are not distributions, numbers that are not finite.
    ImportError
        MFGLib is missing: ``pip install "fastmfg[mfglib]"``.

    Notes
    -----
    The environment is asked in double precision where it allows that: torch's default dtype is float64 during a call
    and what it was afterwards. An environment that was built while the default was float32 holds numbers whose rows sum
    to 1 within 1e-7 only. Where ``mu0`` or an answer is in single precision, the environment counts as such: rows and
    ``mu0`` that miss 1 by 1e-9 to 1e-5 are divided by their sums, in float64. Otherwise nothing is changed. For full
    accuracy call ``torch.set_default_dtype(torch.float64)`` before the environment is built.
    """
    asked = _Asked(env)
    legal = np.ones((asked.n_states, asked.n_actions), dtype=np.bool_)
    return Game(
        asked.start, asked.transition, asked.reward, horizon=env.T + 1, legal=legal, population="joint"
    )  # fmt: skip


def to_mfglib(game: Game, *, r_max: float | None = None) -> Any:
    """Return an MFGLib environment that plays a game: ``T = H - 1``, ``S = (S,)``, ``A = (A,)``.

    Parameters
    ----------
    game : Game
        All actions legal: MFGLib knows no others.
    r_max : float > 0, optional
        Bound on the size of rewards, which MFGLib's `MFOMO` asks for; by default the largest size at the start and at
        the uniform distribution.

    Returns
    -------
    mfglib.env.Environment
        Its start is in torch's default dtype at this moment, its answers are in the dtype of the population it is
        given. Answers carry no gradients: solvers that differentiate through them are refused with a TypeError.

    Raises
    ------
    TypeError, ValueError
        Not a game; one with illegal actions.
    ImportError
        MFGLib is missing: ``pip install "fastmfg[mfglib]"``.
    """
    torch, environment = _library()
    require_game("game", game)
    if not game.legal.all():
        s, a = (int(i) for i in np.argwhere(~game.legal)[0])
        raise ValueError(f"MFGLib has no illegal actions, and action {a} is illegal in state {s}")
    bound = _largest_reward(game) if r_max is None else real("r_max", r_max, 0.0)

    def transition(env: Any, t: int, joint: Any) -> Any:
        rows = np.moveaxis(game.transition(t, _population(game, joint)), -1, 0)
        return torch.as_tensor(np.ascontiguousarray(rows), dtype=joint.dtype)

    def reward(env: Any, t: int, joint: Any) -> Any:
        return torch.as_tensor(game.reward(t, _population(game, joint)), dtype=joint.dtype)

    return environment(
        T=game.horizon - 1,
        S=(game.n_states,),
        A=(game.n_actions,),
        mu0=torch.tensor(game.initial, dtype=torch.get_default_dtype()),
        r_max=bound,
        reward_fn=reward,
        transition_fn=transition,
    )


def to_mfglib_policy(env: Any, policy: ArrayLike) -> Any:
    """Return a policy [H, S, A] of the environment's game as MFGLib's tensor [T+1, *S, *A] in float64.

    Raises
    ------
    TypeError, ValueError
        Not an environment; not a policy of its game.
    """
    asked = _Shapes(env)
    array = policy_array("policy", policy, np.ones(asked.flat, dtype=np.bool_), env.T + 1)
    return asked.torch.as_tensor(array).reshape(env.T + 1, *env.S, *env.A)


def from_mfglib_policy(env: Any, policy: Any) -> Floats:
    """Return MFGLib's policy [T+1, *S, *A] as an array [H, S, A] for the environment's game.

    Rows in single precision are divided by their sums, as in `from_mfglib`.

    Raises
    ------
    TypeError, ValueError
        Not an environment; not a policy of it.
    """
    asked = _Shapes(env)
    array, single = _doubles(asked.torch, policy)
    shape = (env.T + 1, *env.S, *env.A)
    if array.shape != shape:
        raise ValueError(f"policy must have shape {list(shape)}, got {list(array.shape)}")
    rows = array.reshape(env.T + 1, *asked.flat)
    return policy_array("policy", rescaled(rows) if single else rows, np.ones(asked.flat, dtype=np.bool_), env.T + 1)


def mfglib_exploitability(env: Any, policy: ArrayLike) -> float:
    """Return MFGLib's own `exploitability_score` of a policy [H, S, A] of the environment's game.

    It is what `ne_gap` computes: to 1e-9 and better where the environment was built in double precision, to single
    precision where it was not.

    Raises
    ------
    TypeError, ValueError
        Not an environment; not a policy of its game.
    ImportError
        MFGLib is missing: ``pip install "fastmfg[mfglib]"``.
    """
    tensor = to_mfglib_policy(env, policy)
    peer("mfglib.alg", EXTRA)  # first: mfglib.scoring imports it, and it mfglib.scoring
    scoring = peer("mfglib.scoring", EXTRA)
    return float(_in_precision(env, lambda dtype: scoring.exploitability_score(env, tensor.to(dtype))))


class _Shapes:
    """An environment that has been looked at: its sizes."""

    def __init__(self, env: Any) -> None:
        self.torch, environment = _library()
        if not isinstance(env, environment):
            raise TypeError(f"env must be an mfglib.env.Environment, got {type(env).__name__}")
        for name in ("S", "A"):
            shape = getattr(env, name)
            if not isinstance(shape, tuple) or not shape or not all(isinstance(n, int) and n > 0 for n in shape):
                raise TypeError(
                    f"env.{name} must be a tuple of whole numbers, got {shape!r}: states and actions are finite here"
                )
        self.env = env
        self.n_states, self.n_actions = int(np.prod(env.S)), int(np.prod(env.A))

    @property
    def flat(self) -> tuple[int, int]:
        return self.n_states, self.n_actions


class _Asked(_Shapes):
    """An environment as the functions of a game."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        start, self.single = _doubles(self.torch, env.mu0)
        start = start.ravel()
        self.start = initial_density(rescaled(start) if self.single else start, self.n_states)
        seen = np.repeat(self.start[:, None] / self.n_actions, self.n_actions, axis=1)

        def works(dtype: Any) -> Any:
            for function in (env.reward, env.prob)[: 1 + (env.T > 0)]:
                function(0, self._tensor(seen, dtype))
            return dtype

        self.dtype = _in_precision(env, works)

    def _tensor(self, population: Floats, dtype: Any) -> Any:
        return self.torch.as_tensor(population, dtype=dtype).reshape(*self.env.S, *self.env.A)

    def _answer(self, function: Callable[[int, Any], Any], t: int, population: Floats) -> tuple[Floats, bool]:
        with _precision(self.torch, self.dtype):
            return _doubles(self.torch, function(t, self._tensor(population, self.dtype)))

    def transition(self, t: int, population: Floats) -> Floats:
        S, A = self.flat
        if t == self.env.T:  # where not every environment has an answer
            return np.repeat(np.eye(S)[:, None], A, axis=1)
        table, single = self._answer(self.env.prob, t, population)
        rows = np.moveaxis(table.reshape(S, S, A), 0, -1)
        return rescaled(rows) if single or self.single else rows

    def reward(self, t: int, population: Floats) -> Floats:
        return self._answer(self.env.reward, t, population)[0].reshape(self.flat)


def _library() -> tuple[Any, Any]:
    """The module torch and the class Environment."""
    return peer("torch", EXTRA), peer("mfglib.env", EXTRA).Environment


def _doubles(torch: Any, tensor: Any) -> tuple[NDArray[Any], bool]:
    """A tensor's numbers in float64, and whether they were in less."""
    given = torch.as_tensor(tensor).detach().cpu()
    return given.to(torch.float64).numpy(), given.dtype != torch.float64


@contextmanager
def _precision(torch: Any, dtype: Any) -> Iterator[None]:
    """torch's default dtype, which environments and scores make tensors in, for a while."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _in_precision(env: Any, call: Callable[[Any], Any]) -> Any:
    """``call(dtype)`` in double precision, or in that of the environment's start if it fails there."""
    torch = peer("torch", EXTRA)
    try:
        with _precision(torch, torch.float64):
            return call(torch.float64)
    except RuntimeError:  # what torch raises when float32 tables meet float64
        if env.mu0.dtype == torch.float64:
            raise
    with _precision(torch, env.mu0.dtype):
        return call(env.mu0.dtype)


def _population(game: Game, joint: Any) -> Floats:
    """What the game's functions see of MFGLib's joint, which may be in single precision."""
    if joint.requires_grad:
        raise TypeError("this environment's answers carry no gradients: use a solver that needs none")
    seen = rescaled(joint.detach().cpu().numpy().astype(np.float64).ravel()).reshape(game.n_states, game.n_actions)
    return seen if game.population == "joint" else seen.sum(axis=1)


def _largest_reward(game: Game) -> float:
    """The largest size of a reward at the start and at the uniform distribution."""
    policy, largest = game.uniform_policy()[0], 0.0
    for density in (game.initial, np.full(game.n_states, 1.0 / game.n_states)):
        seen = density[:, None] * policy if game.population == "joint" else density
        largest = max(largest, *(float(np.abs(game.reward(h, seen)).max()) for h in range(game.horizon)))
    return largest
