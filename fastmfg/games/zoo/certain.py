"""Games whose actions lead where they say: moves without noise, the same at every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.games.checks import Integers, initial_density, whole
from fastmfg.games.compiled import CompiledSource
from fastmfg.games.game import Game
from fastmfg.games.grid import Grid
from fastmfg.kernels import table
from fastmfg.kernels.jit import Filler


def certain_game(
    initial: ArrayLike, moves: Integers, reward: Filler, constants: Sequence[Any], *, horizon: int, joint: bool = False,
    grid: Grid | None = None,
) -> Game:  # fmt: skip
    """A game of moves [S, A] that always succeed; the reward's `shared` is S, then the constants in their order."""
    S, A = moves.shape
    return Game.from_source(
        CompiledSource(table.prepare, table.fill, reward),
        initial=initial_density(initial, S),
        n_actions=A,
        horizon=whole("horizon", horizon, 1),
        shared=np.concatenate([[float(S)], *(np.ravel(part).astype(np.float64) for part in constants)]),
        thetas=np.ones((1, S)),
        joint=joint,
        successors=np.arange(S)[:, None],
        moves=moves,
        grid=grid,
    )
