"""Fast mean-field games: learn Nash equilibria of games whose dynamics are unknown, and solve known ones.

Method: J. Huang, N. He, A. Krause, *Model-Based RL for Mean-Field Games is not Statistically Harder than Single-Agent
RL*, ICML 2024.
"""

from fastmfg.comparing import central_model, distance_matrix, neighbour_counts, neighbourhoods
from fastmfg.games import Game, Grid, LinearClass, ModelClass, grid_game, linear_class, zoo
from fastmfg.learning import MeanFieldOracle, RealizabilityError, eliminate, learn
from fastmfg.planning import (
    best_response,
    condition,
    diagnose,
    estimate_lipschitz,
    evaluate,
    ne_gap,
    ne_gaps,
    solve,
    solve_models,
)

__version__ = "0.1.0"

__all__ = [
    "Game",
    "Grid",
    "LinearClass",
    "MeanFieldOracle",
    "ModelClass",
    "RealizabilityError",
    "best_response",
    "central_model",
    "condition",
    "diagnose",
    "distance_matrix",
    "eliminate",
    "estimate_lipschitz",
    "evaluate",
    "grid_game",
    "learn",
    "linear_class",
    "ne_gap",
    "ne_gaps",
    "neighbour_counts",
    "neighbourhoods",
    "solve",
    "solve_models",
    "zoo",
]
