"""Equilibrium price: producers with stocks of raw material sell at the price that clears the market.

Action (q, o): produce q, order o, the index ``q (O + 1) + o``. With the joint density L,

    price = (demand / (sum L(s,q,o) q + floor))^(1/elasticity)
    r = (price - c0) q - c1 q^2 - c2 o - (c2 + c3) max(q - s, 0) - c4 s

`shared`: S, O, demand, floor, elasticity, c0..c4. Moves are certain: the rows are those of `table`.
"""

from fastmfg.kernels.jit import REWARD, filler


@filler(REWARD)
def reward(h, population, shared, theta, out):
    S, A = out.shape
    orders = int(shared[1]) + 1
    c0, c1, c2, c3, c4 = shared[5], shared[6], shared[7], shared[8], shared[9]
    supply = 0.0
    for s in range(S):
        for a in range(A):
            supply += population[s * A + a] * (a // orders)
    price = (shared[2] / (supply + shared[3])) ** (1.0 / shared[4])
    for s in range(S):
        for a in range(A):
            q, o = a // orders, a % orders
            out[s, a] = (price - c0) * q - c1 * q * q - c2 * o - (c2 + c3) * max(q - s, 0) - c4 * s
    return 0
