"""Bring what needs the same rows together, so that these are filled once."""

import numpy as np

from fastmfg.kernels.jit import inline


@inline
def group(keys, order):
    """Write the indices of `keys` (at least 0) into `order`, those of equal keys side by side.

    Keys go to buckets, about two for each index; a bucket is emptied one key at a time. Time and memory do not depend
    on how large keys are.
    """
    n, buckets = keys.size, 1
    while buckets < 2 * n:
        buckets *= 2
    head, follower = np.empty(buckets, np.int64), np.empty(n, np.int64)
    for b in range(buckets):
        head[b] = -1
    for i in range(n - 1, -1, -1):
        b = keys[i] & (buckets - 1)
        follower[i] = head[b]
        head[b] = i
    count = 0
    for b in range(buckets):
        while head[b] >= 0:
            key, i, left = keys[head[b]], head[b], -1
            while i >= 0:
                after = follower[i]
                if keys[i] == key:
                    order[count] = i
                    count += 1
                else:
                    follower[i] = left
                    left = i
                i = after
            head[b] = left
