"""Two chains for comparing solvers: one with several equilibria, one where everything contracts to a single one.

States 0..n-1 in a line; actions left, stay, right; a move may fail, and then the agent stays.
"""

from __future__ import annotations

import numpy as np

from fastmfg.games.checks import real, whole
from fastmfg.games.game import Game
from fastmfg.games.grid import Grid
from fastmfg.games.zoo.attempts import attempt_game


def chain_several_equilibria(
    n_states: int = 5, horizon: int = 8, *, start: int | None = None, slip: float = 0.2, agreement: float = 1.0
) -> Game:
    """A meeting at either end of a line: going where the others go pays.

    A move to x succeeds with probability ``1 - slip (1 - mu(x))``: it is easier to follow a crowd. Reward
    ``agreement mu(s)`` at both ends, 0 between. All start in one state between the ends.

    Pure equilibria, with NE gap 0: all go left at every step in every state (action 0), all go right (action 2), all
    stay (action 1). For: nobody is ever at the end that all go away from, so that it pays nothing, and value falls
    with the distance from the other end, so that no other action gets there sooner. Where the start is the middle,
    splitting in halves is one more: left in the left half, right in the right half, each with probability 1/2 in the
    middle.

    Parameters
    ----------
    n_states : int >= 3
    horizon : int >= 1
    start : int in 1..n_states-2
        ``n_states // 2`` by default: the middle of an odd line.
    slip : float in [0, 1)
    agreement : float > 0
    """
    n = whole("n_states", n_states, 3)
    begin = n // 2 if start is None else whole("start", start, 1)
    if begin > n - 2:
        raise ValueError(f"start must lie between the ends, in 1..{n - 2}, got {start}")
    lost = real("slip", slip, 0.0, 1.0, include_low=True)
    slope = np.zeros(n)
    slope[[0, -1]] = real("agreement", agreement, 0.0)
    return attempt_game(
        line(n), np.eye(n)[begin], np.zeros((n, 3)), slope, chance=1.0 - lost, gain=lost, horizon=horizon
    )


def chain_contraction(n_states: int = 5, horizon: int = 6, *, coupling: float = 0.02, slip: float = 0.2) -> Game:
    """A walk to the end of a line among people who hardly matter: one equilibrium, and maps that contract to it.

    A move to x succeeds with probability ``1 - slip - coupling mu(x)``. Reward ``s / (n - 1) - coupling mu(s)``.
    Start: uniform. With ``coupling < 1 / (n - 1)`` rewards grow with s whatever the density, so values do (the value
    of a state is its reward plus a mean of the next step's values here and one cell on). Hence going right is the one
    best response to *every* policy wherever it matters (not at the right end, nor at the last step, where actions have
    no effect): the best-response map contracts with factor 0, and the equilibrium is to go right always (action 2).

    The regularised map ``pi -> softmax(Q / temperature)``, Q the values under pi's density with V = temperature
    ``log sum exp(Q / temperature)``, contracts for large temperatures: in ``max_{h,s} |pi - pi'|_1`` its factor is at
    most ``sum_t E_t (coupling / 2) (1 + (H-1-t) (1 + coupling + temperature log 3)) / temperature``, t = 0..H-1,
    ``E_t = ((1 + coupling)^t - 1) / coupling`` (t where coupling is 0). For: densities differ by at most E_t times the
    distance of their policies, in sums of absolute values, hence by half of that in any one state; this moves
    rewards, and through the chances of moves the values behind them; softmax is 1-Lipschitz from the largest
    difference to the sum of absolute differences. The bound is 0.58 by default at temperature 1.

    Parameters
    ----------
    n_states : int >= 2
    horizon : int >= 1
    coupling : float in [0, 1 / (n_states - 1))
    slip : float in [0, 1 - coupling)
    """
    n = whole("n_states", n_states, 2)
    weak = real("coupling", coupling, 0.0, 1.0 / (n - 1), include_low=True)
    chance = 1.0 - real("slip", slip, 0.0, 1.0 - weak, include_low=True)
    place = np.arange(n) / (n - 1)
    return attempt_game(
        line(n), np.full(n, 1.0 / n), np.tile(place[:, None], 3), np.full(n, -weak), chance=chance, gain=-weak,
        horizon=horizon,
    )  # fmt: skip


def line(n: int) -> Grid:
    """n cells in a row; a move beyond an end leads nowhere."""
    return Grid.of((n,), border="stay", moves=[[-1], [0], [1]])
