"""Conservative treasure hunting (Guo, Hu, Zhang 2022, MF-OMO: an optimization formulation of mean-field games)."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.games.checks import Floats, float_array, initial_density, real, whole
from fastmfg.games.compiled import CompiledSource
from fastmfg.games.game import Game
from fastmfg.kernels.zoo import treasure


def conservative_treasure_hunting(
    n_sites: int = 3,
    horizon: int = 6,
    *,
    worth: ArrayLike = 1.0,
    scatter: ArrayLike = 1.0,
    initial: ArrayLike | None = None,
) -> Game:
    """Hunters dig at sites; digging pays, and one gets where one wants, if all others dig there too.

    States and actions: n sites; action a is to dig at the site where one is, if a is that site, and otherwise to go to
    a. With L the joint density of states and actions and ``D_s = sum_{x,a} (L(x,a) - 1{x = a = s})^2``, at steps
    h = 1, 2, ...

        P(s'|s,a,L) = (1{s' = a} + c_h D_s) / (1 + n c_h D_s)
        r(s,a,L) = 1{s = a} worth_s (1 - D_s / 2)

    and at step 0 ``P = 1{s' = a}``, without reward. That all dig at one site is an equilibrium, whichever site it is
    (of worth >= 0).

    Parameters
    ----------
    n_sites : int >= 1
    horizon : int >= 1
        MFGLib's T + 1.
    worth : float or [n_sites]
    scatter : float or [horizon - 1], >= 0
        c_1, c_2, ...: how strongly a site with few diggers scatters them. In `thetas`.
    initial : [n_sites], optional
        Uniform by default.
    """
    n, steps = whole("n_sites", n_sites, 1), whole("horizon", horizon, 1)
    c = _spread("scatter", scatter, steps - 1)
    if (c < 0).any():
        h = int(np.argmax(c < 0))
        raise ValueError(f"scatter[{h}] is {c[h]}: must lie in [0, inf)")
    return Game.from_source(
        CompiledSource(treasure.prepare, treasure.fill, treasure.reward),
        initial=np.full(n, 1.0 / n) if initial is None else initial_density(initial, n),
        n_actions=n,
        horizon=steps,
        shared=_spread("worth", worth, n),
        thetas=c[None],
        aux_size=n,
        joint=True,
    )


def _spread(name: str, values: ArrayLike, n: int) -> Floats:
    """One number for all n, or n of them."""
    if isinstance(values, Real):
        return np.full(n, real(name, values, -np.inf))
    if n == 0 and isinstance(values, (Sequence, np.ndarray)) and len(values) == 0:
        return np.empty(0)
    return float_array(name, values, (n,))
