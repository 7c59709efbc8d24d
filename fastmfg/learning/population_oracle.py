"""Samples from finitely many agents: what a simulator or an experiment gives (Huang, He, Krause 2024, Appendix H)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike

from fastmfg.games.checks import whole
from fastmfg.games.game import Game
from fastmfg.games.reward_noise import RewardNoise
from fastmfg.games.simulation import Population
from fastmfg.learning.oracle import Sample, noise_of


class PopulationOracle:
    """Samples a known game through N agents: one deviates, the others play the reference policy.

    Each trajectory is that of the deviating agent in a crowd of its own: number i depends on the seed, on i and on the
    two policies alone. Where there are W types of agents, number i is of type i mod W.

    Parameters
    ----------
    game : Game
    n_agents : int >= 2, or a list of one a type
        The deviating agent is one of them. An int stands for that many of each type.
    seed : int
    reward_noise : float >= 0 or RewardNoise, optional
        As in `MeanFieldOracle`: rewards are observed, those at the agents' distribution.

    Notes
    -----
    Rows are those at the agents' empirical distribution, which strays from the reference policy's density by about
    ``N ** -0.5``: no candidate is exactly true of these samples, and the 1 - delta of `learn` does not cover that.
    What is wrong adds up with the number of samples; a transition to which the true model gives probability 0 at the
    limit density expels it for ever, and so does a reward observed without noise, where rewards depend on the
    population. `plausibility` shows such a mismatch, `eliminate(misspecification=...)` allows for one in transitions.
    """

    def __init__(
        self, game: Game, n_agents: int | Sequence[int] = 10_000, seed: int = 0, *,
        reward_noise: float | RewardNoise | None = None,
    ) -> None:  # fmt: skip
        self.population = Population(game, n_agents, seed)
        self.noise = noise_of(game, reward_noise)
        self.population.require_two()
        self.trajectories = 0

    @property
    def game(self) -> Game:
        """The game that is sampled."""
        return self.population.game

    def sample(self, deviation: ArrayLike, reference: ArrayLike, n: int) -> Sample:
        """n trajectories of `deviation` [H, S, A] among agents who play `reference`.

        States [n, H+1], actions [n, H], and the rewards observed [n, H], if there is a noise under which they are.
        """
        states, actions, rewards = self.population.deviate_rewarded(
            deviation, reference, n, first_run=self.trajectories, noise=self.noise
        )
        self.trajectories += len(states)
        return (states, actions) if self.noise is None else (states, actions, rewards)

    def state(self) -> dict[str, Any]:
        """What decides the trajectories to come, as JSON can hold it."""
        population = self.population
        return {"seed": population.seed, "n_agents": list(population.sizes), "trajectories": self.trajectories}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from where `state` was taken; ValueError when that was with other numbers of agents."""
        sizes, trajectories = list(state["n_agents"]), whole("trajectories", state["trajectories"], 0)
        own = self.population.sizes
        if sizes != list(own):
            raise ValueError(f"the state is of an oracle with n_agents {sizes}, this one has {list(own)}")
        typed = self.game.models.layout is not None
        self.population = Population(self.game, own if typed else own[0], state["seed"])
        self.trajectories = trajectories
