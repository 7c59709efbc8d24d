"""What kernels have to do, counted, and how fast this machine does such things in plain loops.

Counted are operations on entries of transition rows, and bytes where rows play no part:

- writing an entry of a linear row with five features: 7 multiply-adds (five features, one absolute sum, one scaling);
- using it: 1 multiply-add for a push or a value, 1 ``|x-y|`` for a gap, 3 for information (a square root, two sums);
- likelihoods and walks need one row a transition; steps that need no rows, like the last one of a backup, count none;
- what a mirror-descent step does to an entry of a policy: 20 multiply-adds (13 are the polynomial for exp);
- rewards: the bytes written; while these stay in caches the fraction may exceed one.

All else (memory traffic of cached rows, maxima, draws, starting threads) is left out: no program does with less than
what is counted, except that the plain loops load two numbers an operation, and kernels that share loads may beat them.
"""

import math
import time
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numba import njit

from fastmfg.kernels.jit import REORDER, Kernel

FILL, PREPARE, EXP = 7, 50, 20
"""Multiply-adds: an entry of a row, a state's share in preparing a step, an entry of a mirror-descent step."""


@dataclass(frozen=True)
class Work:
    """Counts; sums of them add up."""

    gaps: float = 0
    multiply_adds: float = 0
    bytes: float = 0

    def __add__(self, other):
        return Work(self.gaps + other.gaps, self.multiply_adds + other.multiply_adds, self.bytes + other.bytes)

    def __mul__(self, factor):
        return Work(self.gaps * factor, self.multiply_adds * factor, self.bytes * factor)

    def __str__(self):
        counts = {"|x-y|": self.gaps, "multiply-adds": self.multiply_adds, "bytes": self.bytes}
        return " + ".join(f"{n:.2g} {what}" for what, n in counts.items() if n)


@dataclass(frozen=True)
class Limits:
    """Rates a second of one thread, each the best of several measurements."""

    gaps: float
    multiply_adds: float
    bytes: float

    def seconds(self, work):
        return work.gaps / self.gaps + work.multiply_adds / self.multiply_adds + work.bytes / self.bytes

    def __str__(self):
        return (
            f"{self.gaps:.3g} |x-y|/s, {self.multiply_adds:.3g} multiply-adds/s (plain loops over rows in the first-"
            f"level cache, aligned, one thread), copy bandwidth {self.bytes:.3g} bytes/s (read and written)"
        )


def _gap_loop(X, Y, repeats):
    total = 0.0
    for r in range(repeats):
        x, y = X[r % 2], Y[r % 2]
        for k in range(x.size):
            total += abs(x[k] - y[k])
    return total


def _multiply_add_loop(X, Y, repeats):
    total = 0.0
    for r in range(repeats):
        x, y = X[r % 2], Y[r % 2]
        for k in range(x.size):
            total += x[k] * y[k]
    return total


def aligned(*shape):
    """An uninitialised array that begins at a cache line: vector loads that cross lines take twice as long."""
    buffer = np.empty(math.prod(shape) + 8)
    start = -(buffer.ctypes.data // 8) % 8
    return buffer[start : buffer.size - 8 + start].reshape(shape)


def best_seconds(function, repeats=15):
    """The shortest of several runs, after one that is not timed."""
    function()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def measure_limits():
    """Measure this machine: two loops over 16 KiB of rows, and copies of 128 MiB."""
    X, Y = aligned(2, 2, 512)
    X[:], Y[:] = np.random.default_rng(0).random((2, 2, 512))
    source, target = np.ones(1 << 24), np.zeros(1 << 24)
    rates = []
    for loop in (_gap_loop, _multiply_add_loop):
        compiled = njit(fastmath=REORDER, error_model="numpy")(loop)
        rates.append(512 * 20_000 / best_seconds(lambda f=compiled: f(X, Y, 20_000)))
    copied = 2 * source.nbytes / best_seconds(lambda: np.copyto(target, source))
    return Limits(*rates, copied)


def _tables(models, steps, S, A):
    """Entries of the rows of so many models and steps."""
    return models * steps * S * A * S


def _push(transitions, pairs, joint, check, density, aux, fault):
    n, H, S = density.shape
    rows = _tables(n, H if check else H - 1, S, pairs.policies.shape[3])
    return Work(multiply_adds=(FILL + 1) * rows + PREPARE * n * H * S)


def _occupy(transitions, pairs, aux, density):
    n, H, S = density.shape
    return Work(multiply_adds=(FILL + 1) * _tables(n, H - 1, S, pairs.policies.shape[3]))


def _tabulate(prepare, fill, common, theta, h, population, aux, out):
    return Work(multiply_adds=FILL * out.size + PREPARE * len(out))


def _rewards(reward, common, thetas, members, density, policies, policy_of, joint, out, status):
    return Work(bytes=out.nbytes)


def _reward_step(reward, common, theta, h, population, out):
    return Work(bytes=out.nbytes)


def _back_up(transitions, pairs, aux, reward, q, greedy, value):
    n, H, S, A = reward.shape
    return Work(multiply_adds=(FILL + 2) * _tables(n, H - 1, S, A))


def _block_distances(fill, common, thetas, members, aux, reward, rows, cols, wanted, out):
    H, (S, A), pairs = aux.shape[1], common.legal.shape, wanted.sum()
    models = wanted.any(axis=0).sum() + wanted.any(axis=1).sum()
    use = 2 * _tables(pairs, H - 1, S, A)
    return Work(gaps=_tables(pairs, H, S, A), multiply_adds=FILL * _tables(models, H, S, A) + use)


def _block_lower_bounds(fill, common, thetas, members, aux, reward, order, rows, cols, wanted, radius, out):
    (S, A), n_open, n_lost = common.legal.shape, wanted.sum(), ((out > 0) & ~wanted).sum()
    fills = sum(wanted.shape) * (S * A * S if n_open else S)  # a pair over the radius needs one row at least
    return Work(gaps=_tables(n_open, 1, S, A) + n_lost * S, multiply_adds=FILL * fills)


def _block_upper_bounds(fill, common, thetas, members, aux, reward, rows, cols, wanted, radius, out):
    H, (S, A), pairs = aux.shape[1], common.legal.shape, wanted.sum()
    models = wanted.any(axis=0).sum() + wanted.any(axis=1).sum()
    return Work(gaps=_tables(pairs, H - 1, S, A), multiply_adds=FILL * _tables(models, H - 1, S, A))


def _row_gaps(fill, common, thetas, members, aux, reward, m, n, out):
    entries = out.size * common.initial.size
    return Work(gaps=entries, multiply_adds=2 * FILL * entries)


def _log_likelihoods(fill, common, thetas, members, aux, step, state, action, successor, out):
    return Work(multiply_adds=FILL * out.size * common.initial.size)


def _walk(fill, common, theta, aux, deviation, uniforms, states, actions):
    return Work(multiply_adds=FILL * actions.size * common.initial.size)


def _back_up_information(fill, common, thetas, members, aux, weights, h, states, V_next, q, V, greedy):
    S, A = common.legal.shape
    return Work(multiply_adds=((FILL + 3) * (weights > 0).sum() + 2) * states.size * A * S)


def _reward_information(reward, weights, scale, h, states, out):
    n = len(weights)
    return Work(multiply_adds=EXP * n * (n - 1) // 2 * states.size * out.shape[1])


def _mirror_step(y, q, step, legal, y_out, pi):
    return Work(multiply_adds=EXP * y.size)


def _cover_centres(
    prepare, fill, common, thetas, members, base, cells, first, size, grid, joint, aux_size, open_pairs, radius, lo,
    central, count,
):  # fmt: skip
    rows, pairs = central.size * base.size * len(common.initial), open_pairs.sum()
    return Work(gaps=rows * pairs, multiply_adds=rows * ((FILL + 1) * members.size + 2 * pairs))


def _weighted_rows(fill, common, thetas, members, aux, weights, out):
    return Work(multiply_adds=(FILL + 1) * (weights != 0).sum() * out.size)


def _gather_rows(fill, common, thetas, members, aux, step, slot, place, out):
    return Work(multiply_adds=FILL * out.size)


COUNTS = {
    "gather_rows": _gather_rows,
    "push": _push,
    "occupy": _occupy,
    "tabulate": _tabulate,
    "rewards": _rewards,
    "reward_step": _reward_step,
    "back_up": _back_up,
    "block_distances": _block_distances,
    "block_lower_bounds": _block_lower_bounds,
    "block_upper_bounds": _block_upper_bounds,
    "row_gaps": _row_gaps,
    "log_likelihoods": _log_likelihoods,
    "walk": _walk,
    "back_up_information": _back_up_information,
    "reward_information": _reward_information,
    "mirror_step": _mirror_step,
    "cover_centres": _cover_centres,
    "weighted_rows": _weighted_rows,
}
"""The work of one call of a kernel, from its arguments as the call leaves them."""


@contextmanager
def recorded(monkeypatch):
    """A list that receives the work of every kernel call inside the block (a few microseconds a call)."""
    calls, plain = [], Kernel.__call__

    def call(kernel, *args):
        answer = plain(kernel, *args)
        calls.append(COUNTS[kernel.__name__](*args))
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(Kernel, "__call__", call)
        yield calls
