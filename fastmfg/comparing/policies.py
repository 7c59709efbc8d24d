"""Batches of policies that users pass in."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmfg.games.checks import Floats
from fastmfg.games.model_class import ModelClass


def policy_batch(name: str, policies: Any, models: ModelClass) -> Floats:
    """Policies [N, H, S, A] of a class, N >= 1, checked; a fresh copy."""
    try:
        given = list(policies)
    except TypeError:
        raise TypeError(f"{name} must be policies [N, H, S, A], got {policies!r}") from None
    if not given:
        raise ValueError(f"{name} is empty: at least one policy [H, S, A] is needed")
    checked: Floats = np.stack([models.policy(f"{name}[{i}]", policy) for i, policy in enumerate(given)])
    return checked
