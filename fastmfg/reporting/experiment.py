"""The paper's experiment (Huang, He, Krause 2024, Appendix J): one class, one hidden model, one run of the learner."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np

from fastmfg import __version__
from fastmfg.executors import thread_count
from fastmfg.games.checks import whole
from fastmfg.games.linear import LinearClass, linear_class
from fastmfg.learning.learn import Learned, Plan, Round, learn
from fastmfg.learning.oracle import MeanFieldOracle
from fastmfg.planning.evaluate import ne_gap
from fastmfg.reporting.folder import RESULT, open_folder, write_arrays, write_json

STREAM = (4,)
"""First key of the random stream that hides the true model."""


@dataclass(frozen=True)
class Experiment:
    """Settings of one run; the defaults are the paper's sizes and tolerances with this package's learner."""

    models: int = 200
    states: int = 100
    actions: int = 50
    horizon: int = 3
    d_phi: int = 5
    d_psi: int = 5
    scale: float = 0.1
    seed: int = 0
    true_model: int | None = None  # drawn from the seed when None
    epsilon: float = 1e-3
    delta: float = 1e-3
    tolerance: float | None = None
    radius: float | None = None
    strategy: str = "heuristic"
    adversary: str = "information"
    evidence: str = "anytime"
    max_rounds: int = 50
    max_trajectories: int | None = None

    def model_class(self) -> LinearClass:
        return linear_class(
            self.models, self.states, self.actions, self.horizon, self.d_phi, self.d_psi, self.scale, self.seed
        )

    def hidden_model(self) -> int:
        """Index of the true model."""
        if self.true_model is None:
            stream = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=STREAM))
            return int(stream.integers(self.models))
        index = whole("true_model", self.true_model, 0)
        if index >= self.models:
            raise IndexError(f"true_model must be less than the number of models {self.models}, got {index}")
        return index

    def check(self) -> None:
        """Raise what `learn` would, before anything is made or written."""
        for name in ("models", "states", "actions", "horizon", "d_phi", "d_psi"):
            whole(name, getattr(self, name), 1)
        given = asdict(self)
        names = ("epsilon", "delta", "strategy", "adversary", "evidence", "tolerance", "radius", "max_rounds",
                 "max_trajectories", "seed")  # fmt: skip
        Plan.of(self.models, **{name: given[name] for name in names})
        self.hidden_model()

    def learn(self, models: LinearClass, oracle_seed: int | None = None, **options: Any) -> Learned:
        """Run the learner against an oracle of the hidden model; the oracle has the experiment's seed by default."""
        seed = self.seed if oracle_seed is None else oracle_seed
        oracle = MeanFieldOracle(models[self.hidden_model()], seed=seed)
        return learn(
            models,
            oracle,
            epsilon=self.epsilon,
            delta=self.delta,
            strategy=self.strategy,
            adversary=self.adversary,
            evidence=self.evidence,
            tolerance=self.tolerance,
            radius=self.radius,
            max_rounds=self.max_rounds,
            max_trajectories=self.max_trajectories,
            seed=seed,
            **options,
        )


@dataclass(frozen=True)
class Outcome:
    """A finished run with what only its author knows: the true model."""

    models: LinearClass
    true_model: int
    learned: Learned
    true_ne_gap: float
    seconds: float


def versions() -> dict[str, str]:
    """Versions a result depends on."""
    return {
        "fastmfg": __version__,
        "numpy": np.__version__,
        "numba": numba.__version__,
        "python": platform.python_version(),
    }


def header(config: dict[str, Any], command: str) -> dict[str, Any]:
    """What a result file says before anything is computed."""
    return {"command": command, "config": config, "versions": versions(), "threads": thread_count(), "finished": False}


def run_experiment(
    experiment: Experiment, folder: Path, force: bool = False, on_draw: Callable[[int, int], Any] | None = None
) -> tuple[Outcome, dict[str, Any]]:
    """Learn, and leave result.json and policy.npz in the folder; after every round what is known so far is there."""
    experiment.check()
    started = time.perf_counter()
    models = experiment.model_class()
    true_model = experiment.hidden_model()
    content = header(asdict(experiment), "learn") | {"rounds": []}
    result = open_folder(folder, force) / RESULT
    write_json(result, content)

    def record(finished: Round) -> None:
        content["rounds"].append(asdict(finished))
        write_json(result, content)

    learned = experiment.learn(models, on_round=record, on_draw=on_draw)
    gap = ne_gap(models[true_model], learned.policy)
    outcome = Outcome(models, true_model, learned, gap, time.perf_counter() - started)
    content |= summary(outcome) | {"finished": True}
    write_arrays(
        folder / "policy.npz",
        policy=learned.policy,
        survivors=learned.survivors,
        log_likelihood=learned.log_likelihood,
        eliminated_at=learned.eliminated_at,
    )
    write_json(result, content)
    return outcome, content


def summary(outcome: Outcome) -> dict[str, Any]:
    """What came out, for machines."""
    learned = outcome.learned
    return {
        "survivors": learned.survivors.tolist(),
        "ne_gap_bound": learned.ne_gap_bound,
        "certified": learned.certified,
        "true_model": outcome.true_model,
        "true_model_survived": bool(outcome.true_model in learned.survivors),
        "true_ne_gap": outcome.true_ne_gap,
        "trajectories": learned.trajectories,
        "stopped": learned.stopped,
        "seconds": outcome.seconds,
    }
