"""Options of the learner: what may be chosen, what is the default, and what a default follows from.

`learn`, the command line, experiments, sweeps and checkpoints all have their options from `LearnOptions`, whose values
are checked when one is made, and nowhere again.
"""

from __future__ import annotations

import math
from dataclasses import MISSING, asdict, dataclass, field
from functools import cached_property
from typing import Any

from fastmfg.games.checks import choice, real, whole
from fastmfg.learning.adversary import ADVERSARIES

STRATEGIES = ("certified", "heuristic", "exact")
"""What `learn` can follow."""

EVIDENCE = ("anytime", "paper")
"""Rules by which a model is dropped."""


def option(text: str, default: Any = MISSING) -> Any:
    """A field of a class of options, with what it means."""
    return field(default=default, metadata={"help": text})


def _set(options: Any, **values: Any) -> None:
    """Give fields of a frozen object their checked values, while it is made."""
    for name, value in values.items():
        object.__setattr__(options, name, value)


@dataclass(frozen=True, kw_only=True)
class EliminationOptions:
    """How an elimination goes about it; see `fastmfg.learning.eliminate`.

    Raises ValueError or TypeError, naming the option and its value.
    """

    tolerance: float  # survivors are told apart down to this distance
    delta: float  # in (0, 1): allowed probability of losing the true model
    max_rounds: int = 50
    adversary: str = "max"
    evidence: str = "anytime"
    misspecification: float = 0.0  # in [0, 1)

    def __post_init__(self) -> None:
        _set(
            self,
            tolerance=real("tolerance", self.tolerance, 0.0),
            delta=real("delta", self.delta, 0.0, 1.0),
            max_rounds=whole("max_rounds", self.max_rounds, 1),
            adversary=choice("adversary", self.adversary, tuple(ADVERSARIES)),
            evidence=choice("evidence", self.evidence, EVIDENCE),
            misspecification=real("misspecification", self.misspecification, 0.0, 1.0, include_low=True),
        )

    def threshold(self, n_models: int, horizon: int, earlier_calls: int) -> float:
        """What a survivor may fall behind: "anytime" the log of all likelihoods' sum, "paper" the largest one's."""
        if self.evidence == "anytime":
            return math.log(n_models / self.delta)
        return math.log(horizon * n_models * self.max_rounds * (earlier_calls + 1) / self.delta)

    def least_draw(self, horizon: int) -> int:
        """Trajectories of a round, at least."""
        return 2 * horizon if self.evidence == "paper" else 1


@dataclass(frozen=True, kw_only=True)
class LearnOptions:
    """Options that decide a run of `learn`, as they were given; `learn` explains each.

    Raises ValueError or TypeError, naming the option and its value.
    """

    epsilon: float = option("wanted bound on the NE gap")
    delta: float = option("allowed probability of losing the true model")
    tolerance: float | None = option("tolerance of an elimination (epsilon)", None)
    radius: float | None = option("radius of neighbourhoods (twice the tolerance; heuristic: epsilon / 10)", None)
    strategy: str = option("how reference policies are chosen", "certified")
    adversary: str | None = option("how deviations are chosen: max, first, nash or information", None)
    evidence: str = option("when a model is dropped: anytime or paper", "anytime")
    max_rounds: int = option("rounds of an elimination, and eliminations", 50)
    max_trajectories: int | None = option("samples at most", None)
    seed: int = option("seed of the choice of reference policies", 0)
    identify: bool = option("go on until one model is left, whatever the bound", False)
    misspecification: float = option("some model's rows are within this of the true ones, L1", 0.0)

    def __post_init__(self) -> None:
        _set(
            self,
            epsilon=real("epsilon", self.epsilon, 0.0),
            strategy=choice("strategy", self.strategy, STRATEGIES),
            tolerance=None if self.tolerance is None else real("tolerance", self.tolerance, 0.0),
            radius=None if self.radius is None else real("radius", self.radius, 0.0, include_low=True),
            max_trajectories=None
            if self.max_trajectories is None
            else whole("max_trajectories", self.max_trajectories, 0),
            seed=whole("seed", self.seed, 0),
        )
        _ = self.elimination  # checks the others

    @cached_property
    def elimination(self) -> EliminationOptions:
        """Options of each elimination."""
        by_default = "max" if self.strategy == "exact" else "information"
        return EliminationOptions(
            tolerance=self.epsilon if self.tolerance is None else self.tolerance,
            delta=self.delta,
            max_rounds=self.max_rounds,
            adversary=by_default if self.adversary is None else self.adversary,
            evidence=self.evidence,
            misspecification=self.misspecification,
        )

    @property
    def neighbourhood_radius(self) -> float:
        """Radius of neighbourhoods, given or by default."""
        if self.radius is not None:
            return self.radius
        return self.epsilon / 10 if self.strategy == "heuristic" else 2 * self.elimination.tolerance

    @property
    def budget(self) -> float:
        """Trajectories at most; infinite by default."""
        return math.inf if self.max_trajectories is None else self.max_trajectories

    def deciding(self) -> dict[str, Any]:
        """All that decides a run, with defaults filled in: a value given and a default that is equal are one run."""
        return asdict(self) | asdict(self.elimination) | {"radius": self.neighbourhood_radius}
