"""One known game: condition it on a policy, evaluate, respond, and solve for equilibria."""

from fastmfg.planning.condition import ConditionalModel, condition
from fastmfg.planning.evaluate import BestResponse, best_response, evaluate, ne_gap, ne_gaps
from fastmfg.planning.solve import METHODS, Solution, solve, solve_models

__all__ = [
    "METHODS",
    "BestResponse",
    "ConditionalModel",
    "Solution",
    "best_response",
    "condition",
    "evaluate",
    "ne_gap",
    "ne_gaps",
    "solve",
    "solve_models",
]
