"""A run of the learner with one of the zoo's games, some of whose parameters it does not know."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from fastmfg.games.checks import choice, real
from fastmfg.games.model_class import ModelClass
from fastmfg.games.zoo import GAMES, classes
from fastmfg.planning.evaluate import ne_gaps
from fastmfg.reporting.experiment import BaseExperiment, Outcome, require_class_memory
from fastmfg.reporting.known import parse_params

SHARE = 0.01
"""Default epsilon, as a share of the uniform policy's largest NE gap in the class: nothing of the hidden model."""


@dataclass(frozen=True, kw_only=True)
class ZooExperiment(BaseExperiment):
    """The class of all combinations of the values in `grid`; `param` holds for all of its models."""

    game: str = ""
    grid: tuple[str, ...] = ()  # texts as `classes.parse_grid` reads them
    param: tuple[str, ...] = ()  # texts as `parse_params` reads them
    reward_noise: float | None = None  # rewards are unknown, and observed under this noise; None: they are known

    @property
    def n_models(self) -> int:
        return len(combinations(self.game, self.grid, self.param, self.reward_noise))

    def model_class(self) -> ModelClass:
        return zoo_class(self.game, self.grid, self.param, self.reward_noise)

    def unknown_parameters(self, model: int) -> dict[str, Any]:
        """Values of the learnable parameters that were given, in one of the models."""
        given = combinations(self.game, self.grid, self.param, self.reward_noise)[model]
        learnable = classes.learnable_parameters(self.game, self.reward_noise is not None)
        return {name: value for name, value in given.items() if name in learnable}

    def class_content(self, models: ModelClass) -> dict[str, Any]:
        return super().class_content(models) | {"uniform_ne_gap": largest_uniform_gap(models)}

    def outcome_content(self, outcome: Outcome) -> dict[str, Any]:
        survivors = outcome.learned.survivors.tolist()
        return super().outcome_content(outcome) | {
            "true_parameters": self.unknown_parameters(outcome.true_model),
            "survivors_parameters": [self.unknown_parameters(model) for model in survivors],
        }


def zoo_experiment(epsilon: float | None = None, **settings: Any) -> ZooExperiment:
    """The experiment with these settings; by default epsilon is `SHARE` of what the class says."""
    if epsilon is not None:
        return ZooExperiment(epsilon=epsilon, **settings)
    experiment = ZooExperiment(**settings)
    experiment.check()
    largest = largest_uniform_gap(experiment.model_class())
    return replace(experiment, epsilon=float(f"{SHARE * (largest or 1.0):.3g}"))


@lru_cache(maxsize=1)
def largest_uniform_gap(models: ModelClass) -> float:
    """Of the NE gaps of the uniform policy in all models."""
    return float(ne_gaps(models, models[0].uniform_policy()).max())


@lru_cache(maxsize=1)
def combinations(
    game: str, grid: tuple[str, ...], param: tuple[str, ...], reward_noise: float | None = None
) -> list[dict[str, Any]]:
    """Arguments of each model's game. Raises ValueError where they make one model only."""
    if game not in GAMES:
        choice("--game", game, tuple(classes.CLASSES))
    if reward_noise is not None:
        real("--reward-noise", reward_noise, 0.0, include_low=True)
    axes = classes.parse_grid(game, grid, reward_noise is not None)
    fixed = parse_params(game, param)
    twice = [name for name in fixed if name in axes]
    if twice:
        raise ValueError(f"{twice[0]} is given by --grid and by --param")
    given: dict[str, Any] = axes | fixed
    found = classes.parameters(game, reward_noise=reward_noise, **given)
    if len(found) == 1:
        learnable = " or ".join(classes.learnable_parameters(game, reward_noise is not None))
        raise ValueError(f"--game {game} has nothing to learn: give several values of {learnable} with --grid")
    return found


@lru_cache(maxsize=1)
def zoo_class(
    game: str, grid: tuple[str, ...], param: tuple[str, ...], reward_noise: float | None = None
) -> ModelClass:
    """The class, if it fits into memory."""
    every = combinations(game, grid, param, reward_noise)
    one = GAMES[game](**every[0]).models
    rewards = 0 if reward_noise is None else one.n_states * one.n_actions
    require_class_memory(
        len(every), one.n_states, one.n_actions, one.horizon, theta=one.thetas.shape[1], aux=one.aux_size + rewards
    )  # fmt: skip
    given: dict[str, Any] = classes.parse_grid(game, grid, reward_noise is not None) | parse_params(game, param)
    return classes.build(game, reward_noise=reward_noise, **given)
