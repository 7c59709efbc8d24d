"""One policy surveyed in one game: density, values and best response without tables of rewards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastmfg.games.checks import Floats, Integers
from fastmfg.games.game import Game
from fastmfg.kernels import survey as kernels
from fastmfg.planning.passes import Passes


@dataclass(frozen=True)
class Survey:
    """What a policy does in a game."""

    density: Floats  # [H, S]
    aux: Floats  # [H, *]
    q: Floats  # [H, S, A] of the policy; empty where it was not wanted
    greedy: Integers  # [H, S]   actions of the best response, the lowest index on a tie; empty likewise
    policy_return: float
    best_return: float

    @property
    def gap(self) -> float:
        """What the best response gains; never negative (rounding can leave -1e-16)."""
        return max(self.best_return - self.policy_return, 0.0)


def survey(game: Game, pi: Floats, *, q: bool = False, greedy: bool = False, passes: Passes | None = None) -> Survey:
    """Survey a policy [H, A, S] of any strides. `passes` may be given for its buffers, which the answer then shares."""
    shared = Passes(game) if passes is None else passes
    H, A, S = pi.shape
    q_out = np.empty((H, S, A) if q else (0, 0, 0))
    actions = np.empty((H, S) if greedy else (0, 0), dtype=np.int64)
    f = shared.family

    def member(rank: int, members: int) -> None:
        kernels.survey(
            f.prepare, f.fill, f.reward, f.common, f.thetas[shared.member], shared.turned, f.joint, pi, shared.work,
            q_out, actions, rank, members,
        )  # fmt: skip

    shared.run(member)
    V, W = shared.work.values[0], shared.work.values[2]
    returns = (V * f.common.initial).sum(), (W * f.common.initial).sum()
    return Survey(shared.work.density, shared.work.aux, q_out, actions, float(returns[0]), float(returns[1]))


def follow(game: Game, pi: Floats) -> Floats:
    """Density [H, S] of a policy [H, A, S] of any strides."""
    passes = Passes(game)
    f = passes.family

    def member(rank: int, members: int) -> None:
        kernels.follow(
            f.prepare, f.fill, f.common, f.thetas[passes.member], passes.turned, f.joint, pi, passes.work, rank,
            members,
        )  # fmt: skip

    passes.run(member)
    return passes.work.density
