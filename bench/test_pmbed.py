"""P-MBED by greedy search at the paper's size: one policy, 200 models, at most 60 s on two cores.

The list that is found is checked by its definition, every gap summed up anew. Counted are the gaps of all pairs at all
rows; the searches for lists are left out. The twin is timed on the rows of one pair.
"""

import naive
import numpy as np
import pytest

import fastmfg as mfg
from bench.work import Work
from fastmfg.executors import thread_count

CLASSES = [(40, 20, 10, 3), (200, 100, 50, 3)]  # models, S, A, H; the last one is the paper's
FEW = 6  # models when the clock is off
EPS = 0.1


@pytest.mark.parametrize("size", CLASSES, ids=lambda size: "M{}-S{}-A{}-H{}".format(*size))
def test_pmbed(size, meter, timing):
    M, S, A, H = size
    models = mfg.linear_class(M if timing else FEW, S, A, H, seed=101)
    policy = models[0].uniform_policy()
    mfg.pmbed(models[:3], policy[None], EPS)
    found = meter.benchmark.pedantic(mfg.pmbed, (models, policy[None], EPS), rounds=1)
    rows = {m: mfg.condition(models[m], policy).transition[found.step] for m in np.unique([0, 1, *found.pairs.ravel()])}
    assert found.lower <= found.upper
    for i, pair in enumerate(found.pairs):
        m, n = (rows[m] for m in pair)
        gaps = [sum(abs(x - y) for x, y in zip(m[s, a], n[s, a], strict=True)) for s, a in found.elements]
        assert sum(gap**2 for gap in gaps[:i]) <= EPS**2 * (1 + 1e-9)
        assert gaps[i] > EPS * (1 - 1e-9)
    pairs = len(models) * (len(models) - 1) // 2
    one = meter.check(
        lambda: np.abs(rows[0] - rows[1]).sum(axis=-1), lambda: naive.row_gaps(*(rows[m][None] for m in (0, 1)))[0]
    )
    more = f"  found {found.lower}, at most {found.upper} ({found.bound})" + ("  target 60 s" if S == 100 else "")
    work = Work(gaps=float(pairs) * H * S * A * S)
    meter.report(
        f"{pairs} pairs, S={S} A={A} H={H}, eps {EPS}", work, one * pairs * H, threads=thread_count(), more=more,
        key="pmbed" if size == CLASSES[-1] else None,
    )  # fmt: skip
