"""Transition rows as kernels use them, whatever their form.

*dense*: a row holds S probabilities. *sparse*: K of them, for the states ``successors[s, a]``. *factored*: an action
first moves the agent to ``moves[s, a]``, then noise, a row of K probabilities for the states ``successors[m, 0]``,
carries it on from there; a family fills one row a state, that of its noise.
"""

from fastmfg.kernels.jit import TILE_BYTES, inline


@inline
def is_dense(common):
    return common.successors.size == 0


@inline
def is_factored(common):
    return common.moves.size > 0


@inline
def row_length(common):
    """K; S when dense."""
    return common.initial.size if is_dense(common) else common.successors.shape[2]


@inline
def tile_states(A, K):
    """States a tile holds."""
    return max(1, TILE_BYTES // (8 * A * K))


@inline
def fill_rows(fill, common, theta, h, aux, lo, hi, tile):
    """Rows of all actions of the states lo..hi-1 into ``tile [hi-lo, A, K]``; the first nonzero status."""
    if is_factored(common):
        return fill_moved(fill, common, theta, h, aux, lo, hi, tile)
    return fill(h, aux, common.shared, theta, lo, hi, tile)


@inline
def fill_moved(fill, common, theta, h, aux, lo, hi, tile):
    """The same for factored rows: those of the noise where each action moves."""
    K = tile.shape[2]
    for s in range(lo, hi):
        for a in range(tile.shape[1]):
            m = common.moves[s, a]
            status = fill(h, aux, common.shared, theta, m, m + 1, tile[s - lo, a].reshape(1, 1, K))
            if status != 0:
                return status
    return 0


@inline
def successors_of(common, s, a):
    """The states a row leads to; not for dense rows."""
    return common.successors[common.moves[s, a], 0] if is_factored(common) else common.successors[s, a]


@inline
def dot(x, v):
    total = 0.0
    for k in range(x.size):
        total += x[k] * v[k]
    return total


@inline
def gather_dot(x, states, v):
    total = 0.0
    for k in range(x.size):
        total += x[k] * v[states[k]]
    return total


@inline
def expectation(common, s, a, row, V):
    """``sum_s' P(s'|s,a) V(s')``."""
    return dot(row, V) if is_dense(common) else gather_dot(row, successors_of(common, s, a), V)


@inline
def scatter(states, row, weight, out):
    for k in range(row.size):
        out[states[k]] += weight * row[k]


@inline
def probability(common, s, a, row, successor):
    """``P(successor | s, a)``."""
    if is_dense(common):
        return row[successor]
    states = successors_of(common, s, a)
    for k in range(row.size):
        if states[k] == successor:
            return row[k]
    return 0.0
