"""Policy-aware models: decision processes whose tables depend on the policy that the population plays.

A policy-aware model has transitions ``P_h(. | s, a, pi)`` and rewards ``r_h(s, a, pi)`` (Huang, He, Krause 2024,
Section 4.2). Every mean-field game is one, ``P_h(. | s, a, pi) = P_h(. | s, a, mu^pi_h)``; the bridge models of
`fastmfg.comparing.bridge` are others. An equilibrium is a policy that is a best response to the tables it brings about.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fastmfg.games.checks import (
    Floats,
    Integers,
    float_array,
    frozen,
    legal_mask,
    policy_array,
    real,
    refuse_non_distributions,
    whole,
)
from fastmfg.games.family import Conditionals, Family
from fastmfg.games.game import Game
from fastmfg.kernels import table
from fastmfg.planning.condition import condition_game
from fastmfg.planning.solve import solve

STREAM = (7,)
"""First key of the random stream that start policies are drawn from."""


@runtime_checkable
class PolicyAwareModel(Protocol):
    """What can be solved here; `policy` is [H, S, A], h = 0..H-1.

    A model whose steps are computed together may also have ``tables(policy)``: transition [H, S, A, S] and reward
    [H, S, A] at once.
    """

    @property
    def initial(self) -> Floats:
        """Start distribution [S]."""
        ...

    @property
    def legal(self) -> NDArray[np.bool_]:
        """Legal actions [S, A]."""
        ...

    @property
    def horizon(self) -> int:
        """Steps H."""
        ...

    def transition(self, h: int, policy: Floats) -> Floats:
        """``P_h(. | s, a, policy)`` [S, A, S]."""
        ...

    def reward(self, h: int, policy: Floats) -> Floats:
        """``r_h(s, a, policy)`` [S, A]."""
        ...


class DensityAware:
    """A game as a policy-aware model: tables at the policy's own density."""

    def __init__(self, game: Game) -> None:
        self.game = game

    @property
    def initial(self) -> Floats:
        return self.game.initial

    @property
    def legal(self) -> NDArray[np.bool_]:
        return self.game.legal

    @property
    def horizon(self) -> int:
        return self.game.horizon

    def tables(self, policy: Floats) -> tuple[Floats, Floats]:
        family, member = self.game._family, self.game._member
        frozen_game = condition_game(self.game, np.array(policy))
        rows = [
            family.transition_at(member, h, family.population(frozen_game.density[0, h], policy[h]))
            for h in range(family.horizon)
        ]
        return np.stack(rows), frozen_game.reward[0]

    def transition(self, h: int, policy: Floats) -> Floats:
        rows: Floats = self.tables(policy)[0][h]
        return rows

    def reward(self, h: int, policy: Floats) -> Floats:
        rewards: Floats = self.tables(policy)[1][h]
        return rewards


def policy_aware(model: Any) -> PolicyAwareModel:
    """The model, or the policy-aware model that a game is.

    Raises
    ------
    TypeError
        Neither a `Game` nor an object with `initial`, `legal`, `horizon`, `transition` and `reward`.
    """
    if isinstance(model, Game):
        return DensityAware(model)
    if not isinstance(model, PolicyAwareModel):
        raise TypeError(
            "model must be a Game or have initial, legal, horizon, transition(h, policy) and reward(h, policy), got "
            f"{type(model).__name__}"
        )
    return model


class PolicyAwareFamily(Family):
    """One policy-aware model in the form that kernels and solvers read; the tables of a step stand in `aux`."""

    prepare = table.prepare
    fill = table.fill_from_aux
    parallel = False

    def __init__(self, model: PolicyAwareModel) -> None:
        legal = np.asarray(model.legal)
        super().__init__(
            model.initial, legal_mask(legal, *legal.shape), legal.shape[1], whole("horizon", model.horizon, 1), False,
            np.empty(0), np.empty((1, 0)),
        )  # fmt: skip
        self.model = model

    @property
    def aux_size(self) -> int:
        return self.n_states * self.n_actions * self.n_states

    def tables(self, policy: Floats) -> tuple[Floats, Floats]:
        """Transition [H, S, A, S] and reward [H, S, A] under a policy, checked."""
        together = getattr(self.model, "tables", None)
        if together is not None:
            rows, rewards = together(policy.copy())
        else:
            rows = np.stack([self.model.transition(h, policy.copy()) for h in range(self.horizon)])
            rewards = np.stack([self.model.reward(h, policy.copy()) for h in range(self.horizon)])
        shape = (self.horizon, self.n_states, self.n_actions)
        rows = float_array("transition(h, policy)", rows, (*shape, self.n_states))
        refuse_non_distributions("transition(h, policy)", rows)
        return rows, float_array("reward(h, policy)", rewards, shape)

    def condition(self, members: Integers, policies: Floats, policy_of: Integers) -> Conditionals:
        n, H = members.size, self.horizon
        density = np.empty((n, H, self.n_states))
        aux = np.empty((n, H, self.aux_size))
        reward = np.empty((n, H, self.n_states, self.n_actions))
        for i in range(n):
            policy = policies[policy_of[i]]
            rows, reward[i] = self.tables(policy)
            aux[i] = rows.reshape(H, -1)
            mu = self.common.initial
            for h in range(H):
                density[i, h] = mu
                mu = (mu[:, None] * policy[h]).ravel() @ rows[h].reshape(-1, self.n_states)
        return Conditionals(density, aux, reward)

    def densities(self, members: Integers, policies: Floats, policy_of: Integers) -> tuple[Floats, Floats]:
        conditionals = self.condition(members, policies, policy_of)
        return conditionals.density, conditionals.aux

    def rewards(self, members: Integers, density: Floats, policies: Floats, policy_of: Integers) -> Floats:
        return self.condition(members, policies, policy_of).reward

    def transition_at(self, member: int, h: int, population: Floats) -> Floats:
        raise TypeError("the tables of a policy-aware model depend on the whole policy: ask transition(h, policy)")

    def reward_at(self, member: int, h: int, population: Floats) -> Floats:
        raise TypeError("the tables of a policy-aware model depend on the whole policy: ask reward(h, policy)")

    def subset(self, members: Integers) -> PolicyAwareFamily:
        return self


def as_game(model: Any) -> Game:
    """A policy-aware model (or a game, as it is) behind the interface of a game: solvers, gaps, best responses."""
    return model if isinstance(model, Game) else Game._of(PolicyAwareFamily(policy_aware(model)), 0)


class Attempt(NamedTuple):
    """One way to look for an equilibrium, and the smallest gap it met."""

    method: str
    start: str
    ne_gap: float


@dataclass(frozen=True)
class PolicyAwareSolution:
    """What was found; where nothing converged, `ne_gap` is the smallest gap of all attempts."""

    policy: Floats  # [H, S, A]
    ne_gap: float
    converged: bool  # ne_gap <= the tolerance
    attempts: tuple[Attempt, ...]


LADDER = (1.0, 5.0, 20.0)
"""Steps of Anderson acceleration, in units of one over the spread of Q: which one converges differs between models."""


def _plan(game: Game, starts: int, seed: int) -> Iterator[tuple[str, dict[str, Any], str, Floats | None]]:
    """Methods and starts in the order they are tried; a start of None is the best policy so far."""
    uniform = game.uniform_policy()
    yield "best-response-mixing", {"step": "harmonic"}, "uniform", uniform
    for step in LADDER:
        yield "anderson", {"step": step}, "uniform", uniform
    for step in LADDER:
        yield "anderson", {"step": step}, "best", None
    yield "mirror-descent", {}, "uniform", uniform
    stream = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=STREAM))
    for k in range(starts):
        drawn = np.where(game.legal, stream.exponential(size=uniform.shape), 0.0)
        start = drawn / drawn.sum(axis=-1, keepdims=True)
        for step in LADDER:
            yield "anderson", {"step": step}, f"random {k}", start


def solve_policy_aware(
    model: Any, *, tol: float, max_iterations: int = 100, starts: int = 4, seed: int = 0, initial_policy: Any = None
) -> PolicyAwareSolution:
    """Look for an equilibrium of a policy-aware model, with several methods from several starts.

    Parameters
    ----------
    model : Game, PolicyAwareModel
    tol : float > 0
        The first policy whose gap is at most this ends the search.
    max_iterations : int
        Of each attempt.
    starts : int
        Random start policies that are tried when all else failed.
    seed : int
    initial_policy : [H, S, A], optional
        Where the first attempts start instead of at the uniform policy.

    Returns
    -------
    PolicyAwareSolution
        ``converged`` False, with the smallest gap found, where no attempt met the tolerance.

    Raises
    ------
    TypeError, ValueError
        Not a policy-aware model; tables of a wrong shape, rows that are not distributions.
    """
    game = as_game(model)
    target, limit = real("tol", tol, 0.0), whole("max_iterations", max_iterations, 1)
    whole("starts", starts, 0)
    whole("seed", seed, 0)
    first = None if initial_policy is None else policy_array("initial_policy", initial_policy, game.legal, game.horizon)
    attempts: list[Attempt] = []
    best, gap = game.uniform_policy(), np.inf
    for method, options, name, start in _plan(game, starts, seed):
        given = first is not None and name == "uniform"
        origin = first if given else best if start is None else start
        found = solve(game, method, tol=target, max_iterations=limit, initial_policy=origin, **options)
        attempts.append(Attempt(method, "given" if given else name, found.ne_gap))
        if found.ne_gap < gap:
            best, gap = found.policy, found.ne_gap
        if gap <= target:
            break
    return PolicyAwareSolution(frozen(best), float(gap), bool(gap <= target), tuple(attempts))
