"""Points in the plane for models of which few distances are known: those to some landmarks.

Landmark multidimensional scaling (de Silva, Tenenbaum 2004): the mutual distances of the landmarks place these, as
classical scaling does, and each other model stands where its distances to the landmarks say, by least squares. Of n
models n distances a landmark are asked for, where classical scaling takes n (n - 1) / 2. Models that lie in a plane
keep all their distances; of others a plane shows little, so one distance is kept besides: that to the first model.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastmfg.games.checks import Floats, Integers

LANDMARKS, FIRST_LANDMARKS = 8, 4
"""Landmarks at most, and how many of them are spread evenly over the models; the others are far from all of these."""

FLAT = 1e-9
"""Directions that stretch less than this, relative to the widest one, are none."""

DistancesTo = Callable[[Integers], Floats]
"""``distances_to(landmarks [k]) -> [n, k]``: distances of n models to some of them."""


def place(n: int, distances_to: DistancesTo) -> Floats:
    """Place n models in the plane, [n, 2], the first one at the origin and the others at their distances from it.

    `distances_to` is asked twice at most, and never twice for one landmark.
    """
    chosen = np.unique(np.linspace(0, n - 1, min(n, FIRST_LANDMARKS)).astype(np.int64))
    distances = distances_to(chosen)
    others = far_from(distances, chosen, LANDMARKS - chosen.size)
    if others.size:
        distances = np.column_stack([distances, distances_to(others)])
        chosen = np.concatenate([chosen, others])
    points = scale_by_landmarks(distances, chosen)
    return keep_distances(points - points[0], distances[:, 0])


def far_from(distances: Floats, landmarks: Integers, count: int) -> Integers:
    """Up to so many more landmarks, each as far as can be from all landmarks before it.

    `distances` [n, k] are known to the k first landmarks alone. How far others are from a new one is bounded from below
    by the triangle inequality; who stands where a landmark does, as far as distances tell, is none.
    """
    apart = np.abs(distances[:, None] - distances[landmarks]).max(axis=2).min(axis=1)  # [n]
    found: list[int] = []
    while len(found) < count and apart.max() > 0.0:
        found.append(int(np.argmax(apart)))
        apart = np.minimum(apart, np.abs(distances - distances[found[-1]]).max(axis=1))
    return np.array(found, dtype=np.int64)


def scale_by_landmarks(distances: Floats, landmarks: Integers) -> Floats:
    """Points [n, 2] that resemble distances [n, k] to k landmarks; the sign of each axis is fixed."""
    squares = distances**2
    among = squares[landmarks]
    means = among.mean(axis=0)
    values, vectors = np.linalg.eigh(-0.5 * (among - means - means[:, None] + means.mean()))
    points = np.zeros((len(distances), 2))
    for axis, i in enumerate(range(len(values) - 1, max(len(values) - 3, -1), -1)):
        if values[i] > FLAT * max(values[-1], 0.0):
            points[:, axis] = -0.5 * (squares - means) @ vectors[:, i] / np.sqrt(values[i])
    largest = np.abs(points).argmax(axis=0)
    signed: Floats = points * np.where(points[largest, [0, 1]] < 0.0, -1.0, 1.0)
    return signed


def keep_distances(points: Floats, distances: Floats) -> Floats:
    """Move points [n, 2] along their rays from the origin to the given distances [n]; those at the origin go right."""
    lengths = np.hypot(points[:, 0], points[:, 1])
    placed = np.column_stack([distances, np.zeros(len(points))])
    off = lengths > 0.0
    placed[off] = points[off] * (distances[off] / lengths[off])[:, None]
    return placed
