"""The lift of a game with several types of agents: one game over the states of all types (`fastmfg.games.layout`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fastmfg.games.checks import DENSITY_TOLERANCE, Floats, first_index, float_array, refuse_non_distributions
from fastmfg.games.game import Game
from fastmfg.games.layout import Layout, as_list
from fastmfg.games.model_class import ModelClass
from fastmfg.kernels import density as density_kernels

TypeFunction = Callable[[int, list[Floats]], Floats]
"""``f(h, densities)``: rewards [S_w, A_w] or transitions [S_w, A_w, S_w] of one type, given all types' densities."""

LEAK = 1e-9
"""Probability of changing type that passes for rounding."""


class LiftedTransition:
    """The lift's transition [S, A, S] from those of types; an action that a type lacks does what its action 0 does."""

    def __init__(self, layout: Layout, functions: Sequence[TypeFunction]) -> None:
        self.layout, self.functions = layout, tuple(functions)

    def __call__(self, h: int, population: Floats) -> Floats:
        layout = self.layout
        S = int(layout.first[-1])
        out = np.zeros((S, layout.most_actions, S))
        for w, (states, A) in enumerate(layout.types()):
            rows = called_for(layout, "transitions", w, self.functions[w], h, population, (A, layout.n_states[w]))
            refuse_non_distributions(f"transitions[{w}]({h}, densities)", rows)
            out[states, :A, states] = rows
            out[states, A:, states] = rows[:, :1]
        return out


class LiftedReward:
    """The lift's reward [S, A] from those of types; 0 for actions that a type lacks."""

    def __init__(self, layout: Layout, functions: Sequence[TypeFunction]) -> None:
        self.layout, self.functions = layout, tuple(functions)

    def __call__(self, h: int, population: Floats) -> Floats:
        out = np.zeros((int(self.layout.first[-1]), self.layout.most_actions))
        for w, (states, A) in enumerate(self.layout.types()):
            out[states, :A] = called_for(self.layout, "rewards", w, self.functions[w], h, population, (A,))
        return out


def called_for(
    layout: Layout, name: str, w: int, function: TypeFunction, h: int, population: Floats, shape: tuple[int, ...]
) -> Floats:
    """One type's function at a lifted population [S] or [S, A]; its answer checked for shape and finiteness."""
    seen = layout.shares(population) if population.ndim == 1 else layout.joint_shares(population)
    return float_array(f"{name}[{w}]({h}, densities)", function(h, seen), (layout.n_states[w], *shape))


def lift_layout(
    models: ModelClass, n_states: Sequence[int], n_actions: Sequence[int] | None,
    n_parameters: Sequence[int] | None = None,
) -> Layout:  # fmt: skip
    """The layout of a class that is a lift, checked against its start and its legal actions."""
    states = as_list("n_states", n_states)
    layout = Layout.of(states, [models.n_actions] * len(states) if n_actions is None else n_actions, n_parameters)
    if sum(layout.n_states) != models.n_states:
        raise ValueError(f"n_states sum to {sum(layout.n_states)}, but the lift has {models.n_states} states")
    if layout.most_actions != models.n_actions:
        raise ValueError(f"the largest of n_actions is {layout.most_actions}, but the lift has {models.n_actions}")
    if layout.parameters is not None and layout.parameters[-1] != models.thetas.shape[1]:
        raise ValueError(
            f"n_parameters sum to {layout.parameters[-1]}, but thetas have {models.thetas.shape[1]} columns"
        )
    W = layout.n_types
    for w, share in enumerate(layout.means(np.ones((1, models.n_states)), models.common.initial)[0]):
        if abs(share - 1.0) > LEAK:
            raise ValueError(f"initial gives type {w} the mass {share / W:.10g}: each of {W} types starts with 1/{W}")
    stray = models.common.legal & ~layout.own_actions()
    if stray.any():
        s, a = first_index(stray)
        w = int(layout.type_of(s))
        raise ValueError(f"legal[{s}, {a}]: state {s} is of type {w}, which has {layout.n_actions[w]} actions")
    return layout


def refuse_leaks(game: Game, layout: Layout) -> None:
    """Agents must keep their type: those of each type are followed under the uniform policy."""
    models, batch = game.models, game.batch(game.uniform_policy())
    aux, pairs = models.densities(*batch)[1], models.pairs(*batch)
    for w, (states, _) in enumerate(layout.types()):
        start = np.zeros(models.n_states)
        start[states] = layout.n_types * models.common.initial[states]
        density = np.empty((1, models.horizon, models.n_states))
        from_there = models.compiled_rows._replace(common=models.common._replace(initial=start))
        status = density_kernels.occupy(from_there, pairs, aux, density)
        models.refuse_status(status, "following agents of each type")
        away = 1.0 - density[0][:, states].sum(axis=1)
        if (np.abs(away) > DENSITY_TOLERANCE).any():
            h = int(np.argmax(np.abs(away) > DENSITY_TOLERANCE))
            raise ValueError(
                f"agents of type {w} change type: by step {h} a share of {away[h]:.3g} has left its states"
            )
