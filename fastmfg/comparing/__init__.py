"""Many models under one policy: distances, their bounds, neighbourhoods, the central model."""

from fastmfg.comparing.distance import deviation_distances, distance_matrix, lower_bounds, pair_deviation, upper_bounds
from fastmfg.comparing.neighbourhood import Neighbourhoods, central_model, neighbour_counts, neighbourhoods

__all__ = [
    "Neighbourhoods",
    "central_model",
    "deviation_distances",
    "distance_matrix",
    "lower_bounds",
    "neighbour_counts",
    "neighbourhoods",
    "pair_deviation",
    "upper_bounds",
]
