"""Equilibrium price (Guo, Hu, Xu, Zhang 2023, A general framework for learning mean-field games; Guo, Hu, Zhang 2022,
MF-OMO).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.games.checks import float_array, real, whole
from fastmfg.games.game import Game
from fastmfg.games.zoo.certain import certain_game
from fastmfg.kernels.zoo import market


def equilibrium_price(
    max_stock: int = 3,
    max_production: int = 2,
    max_order: int = 2,
    horizon: int = 5,
    *,
    demand: float = 1.0,
    supply_floor: float = 1.0,
    elasticity: float = 1.0,
    costs: ArrayLike = (1.0, 1.0, 1.0, 1.0, 1.0),
    initial: ArrayLike | None = None,
) -> Game:
    """Firms make a product from raw material; its price is where supply meets demand.

    State s = 0..max_stock, raw material in stock. Action (q, o): produce q = 0..max_production, order o = 0..max_order;
    its index is ``q (max_order + 1) + o``. Then ``s' = min(s - min(q, s) + o, max_stock)``. With E[q] the crowd's mean
    production,

        price = (demand / (E[q] + supply_floor))^(1 / elasticity)
        r = (price - c0) q - c1 q^2 - c2 o - (c2 + c3) max(q - s, 0) - c4 s

    with costs c0 (of a unit), c1 (of producing many at once), c2 (raw material), c3 (what it costs more when the stock
    is out), c4 (storage). With MFGLib's numbers, the default, the price is never above c0: nobody orders, and firms
    produce to empty their stores. A larger `demand` makes them trade.

    Parameters
    ----------
    max_stock, max_production, max_order : int >= 0
    horizon : int >= 1
        MFGLib's T + 1.
    demand : float >= 0
    supply_floor, elasticity : float > 0
    costs : [5]
    initial : [max_stock + 1], optional
        Uniform by default.
    """
    top, most, orders = (
        whole("max_stock", max_stock, 0), whole("max_production", max_production, 0), whole("max_order", max_order, 0),
    )  # fmt: skip
    s = np.arange(top + 1)[:, None, None]
    q, o = np.arange(most + 1)[:, None], np.arange(orders + 1)
    moves = np.minimum(s - np.minimum(q, s) + o, top).reshape(top + 1, -1)
    constants = [
        orders,
        real("demand", demand, 0.0, include_low=True),
        real("supply_floor", supply_floor, 0.0),
        real("elasticity", elasticity, 0.0),
        float_array("costs", costs, (5,)),
    ]
    start = np.full(top + 1, 1.0 / (top + 1)) if initial is None else initial
    return certain_game(start, moves, market.reward, constants, horizon=horizon, joint=True)
