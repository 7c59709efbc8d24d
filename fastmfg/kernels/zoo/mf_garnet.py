"""Random sparse rows that the crowd bends, and rewards of pairwise interactions.

Row (s,a) leads to the states x_k with weights ``p_k + z(x_k) / K`` (additive) or ``p_k (1 + z(x_k))``
(multiplicative), normalised; ``z(x) = sum_j weight_j(x) mu(source_j(x))``. ``r(s,a) = base(s,a) + sum_i left_i(s)
sum_y right_i(y) mu(y)``, i = 1, 2.

`shared` holds, flat and in this order: 1 if multiplicative (else 0), S, x [S,A,K], p [S,A,K], base [S,A], left [2,S],
right [2,S]; `theta` is source [S,K], weight [S,K], weights not negative; `aux` is z [S].
"""

from fastmfg.kernels.jit import FILL, PREPARE, REWARD, filler

HEADER = 2


@filler(PREPARE)
def prepare(h, population, shared, theta, aux):
    half = theta.size // 2
    K = half // aux.size
    source, weight = theta[:half], theta[half:]
    for x in range(aux.size):
        total = 0.0
        for j in range(x * K, x * K + K):
            total += weight[j] * population[int(source[j])]
        aux[x] = total
    return 0


@filler(FILL)
def fill(h, aux, shared, theta, lo, hi, out):
    multiplicative, S = shared[0] != 0.0, int(shared[1])
    K = out.shape[2]
    entries = out.shape[1] * K
    start, size = HEADER + lo * entries, S * entries
    places = shared[start : start + (hi - lo) * entries].reshape(out.shape)
    chances = shared[start + size : start + size + (hi - lo) * entries].reshape(out.shape)
    for s in range(hi - lo):
        for a in range(out.shape[1]):
            p, x, row = chances[s, a], places[s, a], out[s, a]
            total = 0.0
            for k in range(K):
                pull = aux[int(x[k])]
                row[k] = p[k] + (p[k] * pull if multiplicative else pull / K)
                total += row[k]
            for k in range(K):
                row[k] /= total
    return 0


@filler(REWARD)
def reward(h, population, shared, theta, out):
    S, A = out.shape
    tables = shared[shared.size - S * A - 4 * S :]
    base, left, right = tables[: S * A], tables[S * A : S * A + 2 * S], tables[S * A + 2 * S :]
    first, second = 0.0, 0.0
    for y in range(S):
        first += right[y] * population[y]
        second += right[S + y] * population[y]
    for s in range(S):
        crowd = left[s] * first + left[S + s] * second
        for a in range(A):
            out[s, a] = base[s * A + a] + crowd
    return 0
