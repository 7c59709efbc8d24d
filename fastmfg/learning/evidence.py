"""Evidence of a run: what all samples so far say of every model, and which models are left."""

from __future__ import annotations

import numpy as np

from fastmfg.games.checks import Floats, Integers
from fastmfg.learning.eliminate import Elimination
from fastmfg.learning.fit import Plausibility


class Evidence:
    """Log-likelihoods of all models, and the survivors; changed by eliminations alone."""

    def __init__(self, n_models: int) -> None:
        self.survivors: Integers = np.arange(n_models, dtype=np.int64)  # [k]   indices of the class, ascending
        self.version = 0  # raised whenever a model leaves: results that depend on the survivors are kept under it
        self.log_likelihood: Floats = np.zeros(n_models)  # [M]   -inf for all but the survivors
        self.allowance: Floats = np.zeros(n_models)  # [M]   what misspecification lets a model fall behind
        self.eliminated_at = np.full(n_models, -1, dtype=np.int64)  # [M]   in trajectories; -1: not yet
        self.trajectories = 0
        self.plausibility = Plausibility(n_models)

    def narrow(self, survivors: Integers) -> bool:
        """Let go of all models but these, which have survived so far; whether any has left."""
        if survivors.size == self.survivors.size:
            return False
        self.survivors = survivors.copy()
        self.version += 1
        return True

    def absorb(self, outcome: Elimination) -> None:
        """Take over what an elimination has found, which began with this evidence."""
        self.narrow(outcome.survivors)
        self.log_likelihood, self.allowance = outcome.log_likelihood.copy(), outcome.allowance.copy()
        dropped = outcome.eliminated_at >= 0
        self.eliminated_at[dropped] = self.trajectories + outcome.eliminated_at[dropped]
        self.trajectories += outcome.trajectories

    def likeliest_first(self) -> Integers:
        """Survivors by likelihood, the lowest index first on a tie."""
        return self.survivors[np.argsort(-self.log_likelihood[self.survivors], kind="stable")]
