"""Rows of a policy that are no distributions over legal actions; a quick look at large ones, which says no more."""

from fastmfg.kernels.jit import B2, F2, f8, i8, kernel


@kernel(i8(F2, B2, f8))
def count_faults(pi, legal, tolerance):
    """How many rows of ``pi [S, A]`` are negative or NaN somewhere, do not sum to 1, or play an illegal action."""
    faults = 0
    for s in range(pi.shape[0]):
        total, wrong = 0.0, 0
        for a in range(pi.shape[1]):
            p = pi[s, a]
            total += p
            wrong += p < 0.0 or (p > 0.0 and not legal[s, a])
        faults += wrong > 0 or not abs(total - 1.0) <= tolerance
    return faults
