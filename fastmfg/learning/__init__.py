"""An unknown game: sample it through an oracle, eliminate models, learn an equilibrium."""

from fastmfg.learning.adversary import ADVERSARIES
from fastmfg.learning.by_type import LearnedType, SimulatorOracle, learned_by_type
from fastmfg.learning.callback_oracle import CallbackOracle
from fastmfg.learning.checkpoint import Checkpoint
from fastmfg.learning.decentralised import IndependentLearning, independent_learners
from fastmfg.learning.eliminate import Elimination, eliminate
from fastmfg.learning.finite import FiniteGap, FiniteGaps, finite_gap, finite_gaps
from fastmfg.learning.fit import ImplausibleWarning, Plausibility, plausibility
from fastmfg.learning.journal import CheckpointError
from fastmfg.learning.learn import Learned, Round, learn
from fastmfg.learning.likelihood import RealizabilityError
from fastmfg.learning.options import EVIDENCE, STRATEGIES, LearnOptions
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
    "LearnOptions",
    "Learned",
    "LearnedType",
    "MeanFieldOracle",
    "Oracle",
    "Plausibility",
    "PopulationOracle",
    "RealizabilityError",
    "Round",
    "SimulatorOracle",
    "eliminate",
    "finite_gap",
    "finite_gaps",
    "independent_learners",
    "learn",
    "learned_by_type",
    "plausibility",
]
