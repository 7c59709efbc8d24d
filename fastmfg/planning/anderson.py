"""Anderson acceleration on the normal map: finds equilibria where mixing cycles.

``y <- pi + step (Q^pi - mean_a Q^pi)``, ``pi = Proj(y)`` onto the simplices of legal actions; a fixed point is an
equilibrium. The next y combines the last ones so that the residuals, combined alike, are small (Walker, Ni 2011).
"""

from __future__ import annotations

import numpy as np

from fastmfg.games.checks import Floats, real, whole
from fastmfg.planning.evaluation import Evaluation, scale_of_q

RIDGE = 1e-4
"""Weight of the squared coefficients, times the mean diagonal of the least-squares problem."""


class Anderson:
    """`step` is in units of one over the spread of Q; `memory` is how many iterates are combined."""

    def __init__(self, step: float = 5.0, memory: int = 6) -> None:
        self.step = real("step", step, 0.0)
        self.memory = whole("memory", memory, 1)
        self.scale = 0.0
        self.y: Floats | None = None
        self.images: list[Floats] = []
        self.residuals: list[Floats] = []

    def __call__(self, last: Evaluation) -> Floats:
        if self.y is None:
            self.y, self.scale = last.policy, scale_of_q(last)
        legal = last.game.models.common.legal
        q = np.where(legal, last.q, 0.0)
        advantage = np.where(legal, q - q.sum(axis=-1, keepdims=True) / legal.sum(axis=-1)[:, None], 0.0)
        image = last.policy + self.step * (advantage / self.scale)
        self.images = [*self.images, image.ravel()][-self.memory :]
        self.residuals = [*self.residuals, (image - self.y).ravel()][-self.memory :]
        self.y = self._combined().reshape(image.shape)
        return project(self.y, legal)

    def _combined(self) -> Floats:
        newest, residual = self.images[-1], self.residuals[-1]
        if len(self.images) == 1:
            return newest
        images = np.array([newest - image for image in self.images[:-1]])
        residuals = np.array([residual - other for other in self.residuals[:-1]])
        gram = np.array([(residuals * row).sum(axis=1) for row in residuals])  # no BLAS: its sums depend on its threads
        ridge = RIDGE * np.trace(gram) / len(gram)
        if not ridge > 0.0:
            return newest
        weights = np.linalg.solve(gram + ridge * np.eye(len(gram)), (residuals * residual).sum(axis=1))
        combined: Floats = newest - (weights[:, None] * images).sum(axis=0)
        return combined


def project(y: Floats, legal: np.ndarray) -> Floats:
    """The nearest distributions over legal actions, row by row (Euclidean)."""
    values = np.where(legal, y, -np.inf)
    values = values - values.max(axis=-1, keepdims=True)  # moves nothing, and keeps the numbers near 1
    ordered = -np.sort(-values, axis=-1)
    counts = np.arange(1, y.shape[-1] + 1)
    sums = np.cumsum(np.where(np.isfinite(ordered), ordered, 0.0), axis=-1) - 1.0
    kept = (np.isfinite(ordered) & (ordered * counts > sums)).sum(axis=-1, keepdims=True)
    threshold = np.take_along_axis(sums, kept - 1, axis=-1) / kept
    pi = np.maximum(values - threshold, 0.0)
    projected: Floats = pi / pi.sum(axis=-1, keepdims=True)
    return projected
