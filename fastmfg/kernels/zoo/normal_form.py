"""Payoffs that are polynomials of degree two in how many play each action.

``payoff_b(nu) = sum_c linear(b,c) nu(c) + sum_{c,d} quadratic(b,c,d) nu(c) nu(d) + constant(b)``. State 0 is before the
choice, state 1 + b after the choice of b. `shared`: S = 1 + B (as `table.fill` has it), then constant [B], linear
[B, B], quadratic [B, B, B].
"""

from fastmfg.kernels.jit import REWARD, filler


@filler(REWARD)
def polynomial_payoff(h, population, shared, theta, out):
    """Nothing in state 0, the payoff of action b in state 1 + b."""
    B = int(shared[0]) - 1
    constant = shared[1 : 1 + B]
    linear = shared[1 + B : 1 + B + B * B].reshape(B, B)
    quadratic = shared[1 + B + B * B :].reshape(B, B, B)
    for s in range(out.shape[0]):
        value = 0.0
        if s > 0:
            value = constant[s - 1]
            for c in range(B):
                slope = linear[s - 1, c]
                for d in range(B):
                    slope += quadratic[s - 1, c, d] * population[1 + d]
                value += slope * population[1 + c]
        for a in range(out.shape[1]):
            out[s, a] = value
    return 0
