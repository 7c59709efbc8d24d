"""A run of the learner in progress, its rounds, and what a finished run reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastmfg.equality import Result
from fastmfg.executors import Executor
from fastmfg.games.checks import Floats, Integers
from fastmfg.games.model_class import ModelClass
from fastmfg.learning.candidates import CandidatePool
from fastmfg.learning.equilibria import EquilibriumCache, SolutionStore
from fastmfg.learning.evidence import Evidence
from fastmfg.learning.options import LearnOptions
from fastmfg.planning.solve import Solution
from fastmfg.streams import Stream


@dataclass(frozen=True)
class Round:
    """One round of the loop."""

    branch: str  # "scatter": no neighbourhood holds more than half of the survivors; else "crowd"
    reference_model: int  # whose equilibrium the population played; -1: the policy is no model's equilibrium
    neighbours: int  # the largest neighbourhood under it (scatter), or its model's own (crowd, heuristic)
    decided: dict[str, int]  # pairs decided by each stage of counting neighbours
    survivors: int  # after the round
    trajectories: int  # of this round
    elimination_rounds: int
    converged: bool  # no two survivors farther apart than the tolerance under the reference policy
    ne_gap_bound: float  # smallest bound of a policy so far, over the survivors
    seconds: float
    source: str = "equilibrium"  # where the reference policy came from
    certificate: str = "none"  # "direct", "halving" or "bridge": what a converged elimination proves; or "none"
    margin: float = 0.0  # of the certificate, relative (`fastmfg.comparing.certificates`)
    policies: int = 1  # looked at to choose this one


@dataclass(frozen=True, eq=False)
class Learned(Result):
    """What `learn` found."""

    policy: Floats  # [H, S, A]
    ne_gap_bound: float  # largest NE gap of the policy over the survivors
    certified: bool  # ne_gap_bound <= epsilon
    survivors: Integers  # [k]   indices of the class
    trajectories: int
    rounds: tuple[Round, ...]
    log_likelihood: Floats  # [M]   -inf for all but the survivors
    eliminated_at: Integers  # [M]   trajectories after which a model was dropped; -1: it survived
    reference_policy: Floats | None  # [H, S, A]   of the last round; None when nothing was sampled
    stopped: str  # why, one of REASONS; `str` puts it into words
    policies: int = 0  # policies looked at, over the whole run

    def __str__(self) -> str:
        verdict = "certified" if self.certified else "not certified"
        models = self.log_likelihood.size
        return (
            f"NE gap at most {self.ne_gap_bound:.3g} ({verdict}), {self.survivors.size} of {models} models left after "
            f"{self.trajectories} trajectories; stopped: {stopped_text(self.stopped, self.trajectories, models)}"
        )


REASONS = {
    "bound": "the bound is met",
    "one model left": "one model is left",
    "out of rounds": "out of rounds",
    "out of trajectories": "out of trajectories",
    "nothing left to try": "nothing left to try",
    "models alike": "the models left are the same, no sample can tell them apart",
}
"""Why runs stop, in words."""


def stopped_text(reason: str, trajectories: int, n_models: int) -> str:
    """Why a run has stopped, in words; also why nothing had to be sampled."""
    if reason == "bound" and trajectories == 0:
        if n_models == 1:
            return "the bound is met: the class has one model, whose equilibrium this is"
        return f"the bound is met without a sample: one policy is good in all {n_models} models"
    return REASONS[reason]


@dataclass(frozen=True)
class ExactPlan:
    """What the exact strategy searches, and what may be claimed then."""

    steps: int  # N of the grid
    cells: tuple[tuple[int, int], ...] | None  # (h, s) that are covered; None: all that move a density
    beta: float | None  # largest gap of the bridge policy in its centre; None where no Lipschitz constant is known


@dataclass(frozen=True)
class Choice:
    """A reference policy for the next elimination, and why it was chosen."""

    branch: str
    candidate: int
    neighbours: int
    decided: dict[str, int]
    certificate: str = "none"
    margin: float = 0.0
    policies: int = 1


class State:
    """A run in progress: its evidence, its candidates, their equilibria, and the rounds so far."""

    def __init__(
        self, models: ModelClass, options: LearnOptions, exact: ExactPlan | None = None,
        known: Mapping[int, Solution] | None = None, store: SolutionStore | None = None,
        executor: Executor | None = None,
    ) -> None:  # fmt: skip
        self.models, self.options, self.exact = models, options, exact
        self.evidence = Evidence(len(models))
        self.equilibria = EquilibriumCache(models, options.epsilon / 2, known or {}, store, executor)
        self.candidates = CandidatePool(models, self.evidence, self.equilibria, options, executor)
        self.rounds: list[Round] = []
        self.reference: int | None = None  # candidate of the last round
        self.searched = -1  # version of the evidence at the last search that found nothing
        self._stream = Stream.REFERENCES.generator(options.seed)

    def order_survivors(self) -> list[int]:
        """Decide in which order survivors' equilibria are tried, and let the cache expect them so.

        The likeliest come first; under the paper's rule of evidence the order is drawn anew at each call.
        """
        if self.options.evidence == "paper":
            order = self._stream.permutation(self.evidence.survivors).tolist()
        else:
            order = self.evidence.likeliest_first().tolist()
        self.equilibria.expect(order)
        return list(order)
