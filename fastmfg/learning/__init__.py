"""An unknown game: sample it through an oracle, eliminate models, learn an equilibrium."""

from fastmfg.learning.adversary import ADVERSARIES
from fastmfg.learning.by_type import LearnedType, SimulatorOracle, TypedOracle, learned_by_type
from fastmfg.learning.callback_oracle import CallbackOracle
from fastmfg.learning.checkpoint import Checkpoint
from fastmfg.learning.decentralised import IndependentLearning, independent_learners
from fastmfg.learning.eliminate import EVIDENCE, Elimination, eliminate
from fastmfg.learning.finite import FiniteGap, FiniteGaps, finite_gap, finite_gaps
from fastmfg.learning.fit import ImplausibleWarning, Plausibility, plausibility
from fastmfg.learning.journal import CheckpointError
from fastmfg.learning.learn import STRATEGIES, Learned, Round, learn
from fastmfg.learning.likelihood import RealizabilityError
from fastmfg.learning.oracle import MeanFieldOracle, Oracle
from fastmfg.learning.population_oracle import PopulationOracle

__all__ = [
    "ADVERSARIES",
    "EVIDENCE",
    "STRATEGIES",
    "CallbackOracle",
    "Checkpoint",
    "CheckpointError",
    "Elimination",
    "FiniteGap",
    "FiniteGaps",
    "ImplausibleWarning",
    "IndependentLearning",
    "Learned",
    "LearnedType",
    "MeanFieldOracle",
    "Oracle",
    "Plausibility",
    "PopulationOracle",
    "RealizabilityError",
    "Round",
    "SimulatorOracle",
    "TypedOracle",
    "eliminate",
    "finite_gap",
    "finite_gaps",
    "independent_learners",
    "learn",
    "learned_by_type",
    "plausibility",
]
