"""An unknown game: sample it through an oracle, eliminate models, learn an equilibrium."""

from fastmfg.learning.adversary import ADVERSARIES
from fastmfg.learning.eliminate import EVIDENCE, Elimination, eliminate
from fastmfg.learning.learn import STRATEGIES, Learned, Round, learn
from fastmfg.learning.likelihood import RealizabilityError
from fastmfg.learning.oracle import MeanFieldOracle, Oracle

__all__ = [
    "ADVERSARIES",
    "EVIDENCE",
    "STRATEGIES",
    "Elimination",
    "Learned",
    "MeanFieldOracle",
    "Oracle",
    "RealizabilityError",
    "Round",
    "eliminate",
    "learn",
]
