"""What given populations decide for all rows, step by step: the `aux` of a flow that need not be the model's own."""

import numpy as np

from fastmfg.kernels.jit import F1, F2, PREPARE, i8, kernel


@kernel(i8(PREPARE, F1, F1, F2, F2))
def prepare_steps(prepare, shared, theta, population, aux):
    """``aux [H, *]`` of one model under ``population [H, *]``; the first nonzero status."""
    for h in range(aux.shape[0]):
        aux[h] = np.nan  # what is left unwritten must not pass for a number
        status = prepare(h, population[h], shared, theta, aux[h])
        if status != 0:
            return status
    return 0
