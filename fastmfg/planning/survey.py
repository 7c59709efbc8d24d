"""One policy surveyed in one game: density, values and best response without tables of rewards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastmfg.games.checks import Floats
from fastmfg.games.game import Game
from fastmfg.kernels import passes as kernels
from fastmfg.kernels.backward import BEST
from fastmfg.kernels.passes import Workspace
from fastmfg.planning.passes import Passes, first_values

Actions = NDArray[np.int32]


@dataclass(frozen=True)
class Survey:
    """What a policy does in a game."""

    density: Floats  # [H, S]
    aux: Floats  # [H, *]
    q: Floats  # [H, S, A] of the policy; empty where it was not wanted
    greedy: Actions  # [H, S]   actions of the best response, the lowest of those tied; empty likewise
    policy_return: float
    best_return: float
    gap: float  # what the best response gains, of several types the one that gains most; never negative


def survey(game: Game, pi: Floats, *, q: bool = False, greedy: bool = False, passes: Passes | None = None) -> Survey:
    """Survey a policy [H, A, S] of any strides. `passes` may be given for its buffers, which the answer then shares."""
    shared = Passes(game) if passes is None else passes
    q_out, actions = _survey(shared, pi, True, q, greedy)
    f, (W, V) = shared.models, shared.work.values[0]
    returns = float((V * f.common.initial).sum()), float((W * f.common.initial).sum())
    gap = returns[1] - returns[0]
    if f.layout is not None:
        gap = float(f.layout.means((W - V)[None], f.common.initial).max())
    return Survey(shared.work.density, shared.work.aux, q_out, actions, *returns, max(gap, 0.0))


def respond(game: Game, pi: Floats, passes: Passes | None = None) -> tuple[Actions, float]:
    """Actions [H, S] and return of the best response to a policy [H, A, S], whose own values are left out."""
    shared = Passes(game) if passes is None else passes
    actions = _survey(shared, pi, False, False, True)[1]
    return actions, float((shared.work.values[0, BEST] * shared.models.common.initial).sum())


def _survey(passes: Passes, pi: Floats, weigh: bool, q: bool, greedy: bool) -> tuple[Floats, Actions]:
    H, A, S = pi.shape
    q_out = np.empty((H, S, A) if q else (0, 0, 0))
    actions = np.empty((H, S) if greedy else (0, 0), dtype=np.int32)
    f = passes.models
    n_values = 2 if weigh else 1

    def member(work: Workspace) -> None:
        work = first_values(work, n_values)
        theta = f.thetas[passes.member]
        kernels.evaluate_policy(passes.way_back, passes.transitions, theta, f.joint, pi, work, q_out, actions)

    passes.run(member)
    return q_out, actions


def follow(game: Game, pi: Floats, passes: Passes | None = None) -> Floats:
    """Density [H, S] of a policy [H, A, S] of any strides; that of `passes` where they are given."""
    shared = Passes(game) if passes is None else passes
    f = shared.models

    def member(work: Workspace) -> None:
        kernels.propagate_density(shared.transitions, f.thetas[shared.member], f.joint, pi, work)

    shared.run(member)
    return shared.work.density
