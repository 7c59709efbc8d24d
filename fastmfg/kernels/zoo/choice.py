"""Games of one choice: ``r(s, mu) = sum_x payoff(s, x) mu(x)``, what it pays to be where one is, given the crowd.

`shared`: S, payoff [S, S]. Moves are certain: the rows are those of `table`.
"""

from fastmfg.kernels.jit import REWARD, filler


@filler(REWARD)
def reward(h, population, shared, theta, out):
    S = out.shape[0]
    for s in range(S):
        value = 0.0
        for x in range(S):
            value += shared[1 + s * S + x] * population[x]
        for a in range(out.shape[1]):
            out[s, a] = value
    return 0
