"""The paper's experiment (Huang, He, Krause 2024, Appendix J): one class, one hidden model, one run of the learner."""

from __future__ import annotations

import platform
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numba
import numpy as np

from fastmfg import __version__
from fastmfg.executors import thread_count
from fastmfg.games.checks import whole
from fastmfg.games.linear import LinearClass, linear_class
from fastmfg.games.model_class import ModelClass
from fastmfg.learning.checkpoint import Checkpoint, warn
from fastmfg.learning.journal import Tell
from fastmfg.learning.learn import Learned, Round, learn
from fastmfg.learning.options import LearnOptions, option
from fastmfg.learning.oracle import MeanFieldOracle
from fastmfg.memory import require_memory
from fastmfg.planning.evaluate import ne_gap
from fastmfg.reporting.folder import RESULT, claimed_folder, write_arrays, write_json
from fastmfg.streams import Stream

POLICIES_AT_ONCE = 20
"""Arrays [H, S, A] that a solver and the policies looked at take, about."""

OnDraw = Callable[[int, int], Any]


@dataclass(frozen=True, kw_only=True)
class BaseExperiment(LearnOptions, ABC):
    """Settings of one run of the learner, whatever the class."""

    epsilon: float = 1e-3
    delta: float = 1e-3
    adversary: str | None = "information"
    seed: int = option("seed of the class, the hidden model and the samples", 0)
    true_model: int | None = option("index of the hidden model (drawn from the seed)", None)

    @property
    @abstractmethod
    def n_models(self) -> int:
        """Models of the class."""

    @abstractmethod
    def model_class(self) -> ModelClass:
        """The class."""

    def class_content(self, models: ModelClass) -> dict[str, Any]:
        """What the class is like, for machines."""
        return {
            "models": len(models), "states": models.n_states, "actions": models.n_actions, "horizon": models.horizon
        }  # fmt: skip

    def outcome_content(self, outcome: Outcome) -> dict[str, Any]:
        """What came out, for machines."""
        return summary(outcome)

    def hidden_model(self) -> int:
        """Index of the true model."""
        if self.true_model is None:
            return int(Stream.HIDDEN_MODEL.generator(self.seed).integers(self.n_models))
        index = whole("true_model", self.true_model, 0)
        if index >= self.n_models:
            raise IndexError(f"true_model must be less than the number of models {self.n_models}, got {index}")
        return index

    def check(self) -> None:
        """Raise what can not be raised before the class is known, before anything is made or written."""
        self.hidden_model()

    def learn(self, models: ModelClass, oracle_seed: int | None = None, **others: Any) -> Learned:
        """Run the learner against an oracle of the hidden model; the oracle has the experiment's seed by default."""
        seed = self.seed if oracle_seed is None else oracle_seed
        oracle = MeanFieldOracle(models[self.hidden_model()], seed=seed)
        options = {each.name: getattr(self, each.name) for each in fields(LearnOptions)}
        return learn(models, oracle, **options | {"seed": seed}, **others)


@dataclass(frozen=True, kw_only=True)
class Experiment(BaseExperiment):
    """A run with a random linear class; by default with the paper's sizes and tolerances."""

    models: int = option("models in the class", 200)
    states: int = option("states S", 100)
    actions: int = option("actions A", 50)
    horizon: int = option("steps H", 3)
    d_phi: int = option("state-action features", 5)
    d_psi: int = option("next-state features", 5)
    scale: float = option("largest weight of a model's own noise", 0.1)

    @property
    def n_models(self) -> int:
        return self.models

    def check(self) -> None:
        for name in ("models", "states", "actions", "horizon", "d_phi", "d_psi"):
            whole(name, getattr(self, name), 1)
        super().check()

    def model_class(self) -> LinearClass:
        S, A, H = self.states, self.actions, self.horizon
        features = 2 * H * S * self.d_phi * (A + self.d_psi)
        require_class_memory(
            self.models, S, A, H, theta=H * S * self.d_psi, aux=S * self.d_phi, shared=features
        )  # fmt: skip
        return linear_class(self.models, S, A, H, self.d_phi, self.d_psi, self.scale, self.seed)


def require_class_memory(n: int, S: int, A: int, H: int, *, theta: int, aux: int, shared: int = 0) -> None:
    """Raise MemoryError when learning from n such models takes more than is free.

    Counted are parameters and conditional models (both twice, while they are put together), three matrices of all
    pairs of models, and `POLICIES_AT_ONCE` policies.
    """
    numbers = n * (2 * theta + 2 * H * (S + aux)) + 3 * n * n + POLICIES_AT_ONCE * H * S * A + shared
    what = f"learning from {n} models with {S} states, {A} actions and {H} steps"
    require_memory(what, 8 * numbers, "take fewer models or a smaller game")


@dataclass(frozen=True)
class Outcome:
    """A finished run with what only its author knows: the true model."""

    models: ModelClass
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
    experiment: BaseExperiment, folder: Path, force: bool = False, on_draw: OnDraw | None = None, tell: Tell = warn
) -> tuple[Outcome, dict[str, Any]]:
    """Learn, and leave result.json, policy.npz and a checkpoint in the folder.

    The configuration is written first; after every round what is known so far is there.
    """
    experiment.check()
    models = experiment.model_class()
    content = header(asdict(experiment), "learn") | {
        "class": experiment.class_content(models), "resumed_from_round": None, "rounds": []
    }  # fmt: skip
    with claimed_folder(folder, force, tell) as checkpoint:
        write_json(folder / RESULT, content)
        return carry_out(experiment, models, folder, checkpoint, content, on_draw)


def carry_out(
    experiment: BaseExperiment, models: ModelClass, folder: Path, checkpoint: Checkpoint, content: dict[str, Any],
    on_draw: OnDraw | None,
) -> tuple[Outcome, dict[str, Any]]:  # fmt: skip
    """Learn from where the checkpoint stands; `content` is what result.json says, brought up to date.

    Rounds of an earlier process keep the seconds that they took then.
    """
    started = time.perf_counter()
    rounds: list[dict[str, Any]] = []
    earlier = content["rounds"]

    def record(finished: Round) -> None:
        known = {"seconds": earlier[len(rounds)]["seconds"]} if len(rounds) < len(earlier) else {}
        rounds.append(asdict(finished) | known)
        if len(rounds) > len(earlier):
            write_json(folder / RESULT, content | {"rounds": rounds})

    learned = experiment.learn(models, on_round=record, on_draw=on_draw, checkpoint=checkpoint)
    true_model = experiment.hidden_model()
    gap = ne_gap(models[true_model], learned.policy)
    outcome = Outcome(models, true_model, learned, gap, time.perf_counter() - started)
    write_arrays(
        folder / "policy.npz",
        policy=learned.policy,
        survivors=learned.survivors,
        log_likelihood=learned.log_likelihood,
        eliminated_at=learned.eliminated_at,
    )
    content = content | {"rounds": rounds} | experiment.outcome_content(outcome) | {"finished": True}
    write_json(folder / RESULT, content)
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
