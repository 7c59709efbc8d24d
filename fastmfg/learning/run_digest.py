"""Which run it is: one number for all that decides it but the samples."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmfg.files import digest
from fastmfg.games.model_class import ModelClass
from fastmfg.planning.solve import Solution


def run_digest(models: ModelClass, settings: Mapping[str, Any], known: Mapping[int, Solution]) -> str:
    """SHA-256 of all that decides a run but its samples."""
    content = {
        "class": class_digest(models),
        "settings": settings,
        "equilibria": [[member, digest(np.ascontiguousarray(known[member].policy))] for member in known],
    }
    return digest(json.dumps(content, sort_keys=True, default=_plain).encode())


def _plain(value: Any) -> Any:
    """Of a setting that JSON does not know: what tells it from others."""
    if isinstance(value, (np.ndarray, np.generic)):
        return [value.shape, digest(np.ascontiguousarray(value))]
    return type(value).__name__


def class_digest(models: ModelClass) -> str:
    """SHA-256 of a class: of its arrays, and of what its functions answer.

    Functions have no digest of their own: densities and rewards under the uniform policy stand for them, to single
    precision, as other machines round otherwise; of one model where functions are compiled and parameters tell models
    apart, of all others.
    """
    content = hashlib.sha256(repr((len(models), models.n_actions, models.horizon, models.joint)).encode())

    def add(array: NDArray[Any]) -> None:
        content.update(repr((array.shape, array.dtype.str)).encode())
        content.update(np.ascontiguousarray(array).tobytes())

    if models.reward_noise is not None:
        content.update(repr(models.reward_noise).encode())
    for array in (models.thetas, *models.common):
        add(array)
    uniform, zero = models[0].uniform_policy()[None], np.zeros(1, dtype=np.int64)
    for member in range(1 if models.parallel else len(models)):
        chosen = np.array([member], dtype=np.int64)
        density = models.densities(chosen, uniform, zero)[0]
        add(density.astype(np.float32))
        add(models.rewards(chosen, density, uniform, zero).astype(np.float32))
    return content.hexdigest()
