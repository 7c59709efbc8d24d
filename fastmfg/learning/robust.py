"""Elimination when no candidate is exactly true: some model is within eta of the truth, row by row.

Assumption: for some model M of the class, ``||P* - P||_1 <= eta`` for every transition drawn, P* being the law of the
successor given the past and P the row of M conditioned on the reference policy; rows of a sparse class hold every
successor that P* allows.

Rows are smoothed, ``p_N = (1 - eta) P_N + eta / K`` with K entries, and rivals are compared by
``rho = p_N(x) / p_M(x)``. As ``P = (p_M - eta/K) / (1 - eta)`` and positive and negative part of P* - P hold eta/2,

    E*[rho] = sum P rho + sum (P* - P) rho
           <= 1 + eta / (1 - eta) (1 - min rho) + eta / 2 (max rho - min rho).

The largest of these bounds over the rivals left (the extremes are taken over rivals and successors at once) is
``c >= 1``, known before the successor is drawn. So ``exp(l(N) - l(M) - sum log c)``, with l the smoothed
log-likelihoods, is a nonnegative supermartingale, and so is its mean over rivals. By Ville's inequality M is dropped
ever, by the rule

    log sum_N exp(l(N)) - l(M) > log(n / delta) + sum log c(M),

with probability at most delta. Each model is thus *allowed* its own sum of log c. Between models that are alike, rho is
near 1 and the allowance small; with eta = 0 it is 0, nothing is smoothed, and the rule is that of `eliminate` as it is.

What is then proved is about M: survivors lie within the tolerance of M, and bounds on NE gaps hold in M. In the truth a
gap exceeds that in M by at most ``(span + 2 (H-1) L_r) H eta`` (the transfer between models a distance d <= H eta
apart).
"""

from __future__ import annotations

import numpy as np

from fastmfg.comparing.conditional import ConditionalClass
from fastmfg.games.checks import Floats, Integers
from fastmfg.games.model_class import ModelClass
from fastmfg.learning.likelihood import RealizabilityError, Transitions
from fastmfg.learning.observed import observed_probability, observed_rows


def refuse_unknown_rewards(models: ModelClass, misspecification: float) -> None:
    """Raise ValueError where rewards are unknown: the assumption above says nothing of them."""
    if misspecification > 0 and models.reward_noise is not None:
        raise ValueError(
            f"misspecification is {misspecification:g}, but it speaks of transition rows alone, and the rewards of "
            "this class are unknown: let it be 0, or give a class whose rewards are known"
        )


def robust_evidence(
    conditional: ConditionalClass, positions: Integers, data: Transitions, eta: float
) -> tuple[Floats, Floats]:
    """Smoothed log-likelihoods [n] of transitions in the models at these positions, and what each is allowed [n].

    Raises RealizabilityError when a transition is none that the class knows of.
    """
    rows, entry = observed_rows(conditional, positions, data)
    if (entry < 0).any():
        t = int(np.argmax(entry < 0))
        raise RealizabilityError(
            f"no row of the class leads where an agent went: step {data.step[t]}, state {data.state[t]}, action "
            f"{data.action[t]}, next state {data.successor[t]}"
        )
    smooth = (1.0 - eta) * rows + eta / rows.shape[2]
    least = (smooth.min(axis=0) / smooth).min(axis=2)  # [n, T]   of rho, over rivals and successors
    most = (smooth.max(axis=0) / smooth).max(axis=2)
    allowed = np.log1p(eta / (1.0 - eta) * (1.0 - least) + eta / 2 * (most - least))
    return np.log(observed_probability(smooth, entry)).sum(axis=1), allowed.sum(axis=1)
