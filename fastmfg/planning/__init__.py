"""One known game: condition it on a policy, evaluate, respond, and solve for equilibria."""

from fastmfg.planning.by_type import nash_conv, ne_gaps_by_type, returns_by_type
from fastmfg.planning.condition import ConditionalModel, condition
from fastmfg.planning.diagnostics import Diagnostics, Lipschitz, Monotonicity, diagnose, estimate_lipschitz
from fastmfg.planning.evaluate import BestResponse, best_response, evaluate, ne_gap, ne_gaps
from fastmfg.planning.policy_aware import PolicyAwareModel
from fastmfg.planning.solution import Attempt, Solution
from fastmfg.planning.solve import METHODS, solve, solve_models
from fastmfg.planning.values import PolicyValues, exploitability, mean_field, policy_values

__all__ = [
    "METHODS",
    "Attempt",
    "BestResponse",
    "ConditionalModel",
    "Diagnostics",
    "Lipschitz",
    "Monotonicity",
    "PolicyAwareModel",
    "PolicyValues",
    "Solution",
    "best_response",
    "condition",
    "diagnose",
    "estimate_lipschitz",
    "evaluate",
    "exploitability",
    "mean_field",
    "nash_conv",
    "ne_gap",
    "ne_gaps",
    "ne_gaps_by_type",
    "policy_values",
    "returns_by_type",
    "solve",
    "solve_models",
]
