"""Games of a class must agree in all but their transitions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmfg.games.checks import first_index
from fastmfg.games.functions import FunctionSource
from fastmfg.games.reward_noise import RewardNoise, reward_noise

if TYPE_CHECKING:
    from fastmfg.games.game import Game
    from fastmfg.games.model_class import ModelClass


def common_noise(games: list[Game], given: float | RewardNoise | None) -> RewardNoise | None:
    """The noise that is given, or that of all games."""
    if given is not None:
        return reward_noise("reward_noise", given)
    first = games[0].reward_noise
    for i, game in enumerate(games[1:], start=1):
        if game.reward_noise != first:
            raise ValueError(
                f"games[{i}] has rewards observed under {game.reward_noise}, games[0] under {first} (None: they are "
                "known): give reward_noise"
            )
    return first


def refuse_unlike_games(games: list[Game], same_rewards: bool) -> None:
    first = games[0]
    for i, game in enumerate(games[1:], start=1):
        for what in ("n_states", "n_actions", "horizon", "population"):
            a, b = getattr(first, what), getattr(game, what)
            if a != b:
                raise ValueError(
                    f"games[{i}].{what} is {b}, but games[0].{what} is {a}: models differ in transition only"
                )
        for what in ("initial", "legal"):
            if not np.array_equal(getattr(first, what), getattr(game, what)):
                raise ValueError(f"games[{i}].{what} differs from games[0].{what}: models differ in transition only")
        layout, other = first.models.layout, game.models.layout
        if layout is not other and not (layout is not None and layout.agrees(other)):
            raise ValueError(f"games[{i}] has other types of agents than games[0]: models differ in transition only")
        if same_rewards and game.models is not first.models:
            _refuse_unlike_rewards(i, first, game)


def _refuse_unlike_rewards(i: int, first: Game, game: Game) -> None:
    uniform = first.uniform_policy()[0]
    for density in (first.initial, np.full(first.n_states, 1.0 / first.n_states)):
        seen = density[:, None] * uniform if first.population == "joint" else density
        for h in range(first.horizon):
            if not np.array_equal(first.reward(h, seen), game.reward(h, seen)):
                raise ValueError(
                    f"games[{i}] has other rewards than games[0] at step {h}: models differ in transition only, unless "
                    "rewards are unknown (reward_noise=sigma)"
                )


FILLERS = ("prepare", "fill", "reward", "aux_size", "checked", "shared", "successors", "moves")
"""What compiled classes share beside the data of any class."""


def first_difference(models: ModelClass, other: ModelClass, names: Sequence[str]) -> str | None:
    """The first of these fields in which two classes differ: of the record, its source, or what models share."""
    for name in names:
        a, b = (
            next(getattr(part, name) for part in (m.source, m.common, m) if hasattr(part, name))
            for m in (models, other)
        )
        if not np.array_equal(a, b):
            return name
    return None


def refuse_unlike_classes(name: str, models: ModelClass, first_name: str, first: ModelClass) -> None:
    """Two classes of games with types must agree in all but their transitions."""
    layout, own = models.layout, first.layout
    assert layout is not None and own is not None

    def refuse(what: str | None, text: str = "") -> None:
        if what is not None:
            raise ValueError(f"{name} and {first_name} differ in {what}{text}: models differ in transition only")

    if not layout.agrees(own):
        sizes = [f"{list(part.n_states)} and {list(part.n_actions)}" for part in (layout, own)]
        refuse("types", f" (states and actions {sizes[0]}; {sizes[1]})")
    if models.horizon != first.horizon:
        refuse("horizon", f" ({models.horizon}; {first.horizon})")
    what = first_difference(models, first, ("joint", "reward_noise", "initial", "legal"))
    refuse({"joint": "population", "reward_noise": "reward noise"}.get(what or "", what))
    source, others = models.source, first.source
    if isinstance(source, FunctionSource) != isinstance(others, FunctionSource):
        refuse("form", " (compiled; NumPy functions)")
    if isinstance(source, FunctionSource) and isinstance(others, FunctionSource):
        if models is not first:
            _refuse_unlike_functions(refuse, models, source.reward, first, others.reward)
        return
    refuse(first_difference(models, first, FILLERS))
    if models.thetas.shape[1] != first.thetas.shape[1]:
        refuse("their number of parameters", f" ({models.thetas.shape[1]}; {first.thetas.shape[1]})")


def _refuse_unlike_functions(refuse: Any, models: ModelClass, reward: Any, first: ModelClass, other: Any) -> None:
    """NumPy rewards, compared at the start and at uniform densities, unless they are the same functions."""
    if getattr(reward, "functions", (reward,)) == getattr(other, "functions", (other,)):  # of the types, where lifted
        return
    layout = first.layout
    assert layout is not None
    even = np.repeat(1.0 / np.array(layout.n_states), layout.n_states) / layout.n_types
    for density in (first.common.initial, even):
        seen = first.population_view(density, first.uniform)
        for h in range(first.horizon):
            r, s = models.reward_at(0, h, seen), first.reward_at(0, h, seen)
            if not np.array_equal(r, s):
                state, action = first_index(r != s)
                refuse(f"rewards at step {h}, state {state}, action {action}")
