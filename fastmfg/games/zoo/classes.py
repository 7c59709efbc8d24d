"""Classes of candidate models from the zoo: one game for every combination of its unknown parameters.

``zoo.classes.epidemic(infection=np.linspace(0.2, 0.9, 15), recovery=[0.1, 0.2], horizon=30)`` is a `ModelClass` of 30
models; there is such a function for every name in `CLASSES`. Their models share rewards, start, legal actions and where
rows lead, and differ in `thetas` alone.

With ``reward_noise=sigma`` rewards are unknown, and observed under that noise: the parameters in `REWARDS` may then be
axes as well, ``zoo.classes.beach_bar(crowd_aversion_coef=[0.5, 1.0, 2.0], reward_noise=0.5)``.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import itertools
import reprlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fastmfg.games import zoo
from fastmfg.games.agreement import first_difference
from fastmfg.games.checks import Floats, Integers, choice, real
from fastmfg.games.compiled import CompiledSource
from fastmfg.games.grid import merged
from fastmfg.games.model_class import ModelClass
from fastmfg.games.reward_noise import RewardNoise
from fastmfg.games.reward_noise import reward_noise as as_noise
from fastmfg.kernels import reward as reward_kernels
from fastmfg.kernels import table
from fastmfg.kernels.jit import Filler
from fastmfg.kernels.zoo import epidemic as epidemic_kernels
from fastmfg.kernels.zoo import infection as infection_kernels
from fastmfg.memory import require_numbers

CLASSES: dict[str, tuple[str, ...]] = {
    "beach_bar": ("p_still",),
    "conservative_treasure_hunting": ("scatter",),
    "crowd_modelling_2d": ("noise_intensity",),
    "crowd_motion": ("p_still",),
    "epidemic": ("infection", "recovery"),
    "four_rooms": ("noise_intensity",),
    "garnet": ("table_seed",),
    "kinetic_congestion": ("strength",),
    "linear_quadratic": ("mean_reversion", "sigma", "noise_spacing"),
    "maze": ("noise_intensity",),
    "mf_garnet": ("strength", "coupling_seed"),
    "periodic_aversion": ("noise_volatility",),
    "random_linear": ("seed",),
    "routing": ("links",),
    "routing_braess": ("shortcut_time", "congestion"),
    "routing_line": ("free_flow", "capacity", "a", "b"),
    "susceptible_infected": ("infection", "recovery"),
}
"""Games with something unknown in their transitions, and the parameters that a learner may be left to find out."""

REWARDS: dict[str, tuple[str, Filler]] = {
    "beach_bar": ("crowd_aversion_coef", reward_kernels.crowd_base_own),
    "crowd_modelling_2d": ("crowd_aversion_coef", reward_kernels.crowd_base_own),
    "epidemic": ("illness", epidemic_kernels.reward_own),
    "susceptible_infected": ("illness_cost", infection_kernels.reward_own),
}
"""Parameters of rewards that a learner may be left to find out, each with the reward that reads it from `thetas`."""

NESTED: dict[tuple[str, str], int] = {("routing", "links"): 2}
"""Learnable parameters that are sequences themselves, and how deep: an axis of them is one deeper."""


SHARED = (
    "n_states", "n_actions", "horizon", "joint", "aux_size", "prepare", "fill", "reward", "checked", "shared",
    "initial", "legal",
)  # fmt: skip
"""What the models of a class must share."""


def build(name: str, /, *, reward_noise: float | RewardNoise | None = None, **grid: Any) -> ModelClass:
    """The class of all combinations of a game's parameters.

    Parameters
    ----------
    name : str
        One of `CLASSES`.
    reward_noise : float >= 0 or RewardNoise, optional
        Rewards are unknown, and observed under Gaussian noise of this standard deviation. The parameter of the reward
        in `REWARDS` is then learnable, where the game has one.
    **grid
        Parameters of the game. A sequence for a learnable parameter is an axis of the product; all else is passed on
        as it is. The last axis named varies fastest: model i has ``parameters(name, **grid)[i]``.

    Raises
    ------
    ValueError
        Unknown names, an axis that is empty or of a parameter that is not learnable; models that are equal, or that
        differ in more than their transitions' parameters. And whatever the game itself refuses.
    """
    combinations = parameters(name, reward_noise=reward_noise, **grid)
    own = None if reward_noise is None else REWARDS.get(name)
    thetas: list[Floats] = []
    places: list[Integers] = []
    first: ModelClass | None = None
    for chosen in combinations:  # one at a time: what is shared may be large
        models = _compiled(name, {key: value for key, value in chosen.items() if own is None or key != own[0]})
        if first is None:
            first = models
            numbers = 2 * len(combinations) * models.thetas.size
            require_numbers(f"a class of {len(combinations)} models of {name}", numbers, "take fewer models")
        _refuse_unlike(name, first, models, _text(name, combinations[0]), _text(name, chosen))
        thetas.append(models.thetas[0])
        alike = np.array_equal(models.common.successors, first.common.successors)
        places.append(first.common.successors if alike else models.common.successors)
    assert first is not None
    successors = first.common.successors
    if all(leads is successors for leads in places):
        rows = np.stack(thetas)
    else:
        rows, successors = _on_common_places(thetas, places, first.n_states)
    if own is not None:
        rows, first = _with_own_rewards(name, own, rows, first, combinations)
    _refuse_twins(name, rows, combinations)
    noise = None if reward_noise is None else as_noise("reward_noise", reward_noise)
    common = first.common._replace(successors=np.array(successors))
    return first.replace(thetas=rows, common=common, reward_noise=noise)


def parameters(
    name: str, /, *, reward_noise: float | RewardNoise | None = None, **grid: Any
) -> list[dict[str, Any]]:  # fmt: skip
    """Arguments of the game of each model of ``build(name, **grid)``, in order."""
    learnable = learnable_parameters(name, reward_noise is not None)
    known = inspect.signature(zoo.GAMES[name]).parameters
    axes: list[list[Any]] = []
    for key, value in grid.items():
        choice(f"parameter of {name}", key, tuple(known))
        if key in learnable:
            axes.append(_axis(name, key, value))
            continue
        if _depth(value) > 0 and isinstance(known[key].default, (int, float, str)):
            _refuse_axis(name, key, learnable)
        axes.append([value])
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*axes)]


def parse_grid(name: str, texts: Sequence[str], unknown_rewards: bool = False) -> dict[str, NDArray[Any]]:
    """Axes of a class from texts: ``infection=0.2:0.9:15`` (from, to, how many) or ``recovery=0.1,0.2,0.5``.

    Numbers written without a point give whole numbers wherever all of the axis are.
    """
    learnable = learnable_parameters(name, unknown_rewards)
    axes: dict[str, NDArray[Any]] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        key = key.strip()
        if not equals:
            raise ValueError(f"an axis must be PARAMETER=FROM:TO:COUNT or PARAMETER=VALUE,VALUE,..., got {text!r}")
        choice(f"learnable parameter of {name}", key, learnable)
        if (name, key) in NESTED:
            raise ValueError(f"{key} of {name} is not a number: give it in a script, to zoo.classes.{name}")
        if key in axes:
            raise ValueError(f"{key} is given twice")
        axes[key] = _span(key, values) if ":" in values else _numbers(key, values.split(","))
    return axes


def __getattr__(name: str) -> Callable[..., ModelClass]:
    """``classes.<name>(**grid)`` is ``build(name, **grid)``."""
    if name in CLASSES:
        return functools.partial(build, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *CLASSES]


def learnable_parameters(name: str, unknown_rewards: bool = False) -> tuple[str, ...]:
    """What may be unknown of a game: of its transitions, and of its reward where rewards are."""
    if name in zoo.GAMES and name not in CLASSES:
        raise ValueError(f"{name} has nothing to learn in its transitions: classes are made of {', '.join(CLASSES)}")
    transitions = CLASSES[choice("name", name, tuple(CLASSES))]
    return (*transitions, REWARDS[name][0]) if unknown_rewards and name in REWARDS else transitions


def _with_own_rewards(
    name: str, own: tuple[str, Filler], rows: Floats, first: ModelClass, combinations: list[dict[str, Any]]
) -> tuple[Floats, ModelClass]:
    """Thetas that end with each model's parameter of the reward, and a class whose reward reads it there."""
    key, filler = own
    default = inspect.signature(zoo.GAMES[name]).parameters[key].default
    values = [real(key, chosen.get(key, default), -np.inf) for chosen in combinations]
    own_reward = replace(cast(CompiledSource, first.source), reward=filler)
    return np.hstack([rows, np.array(values)[:, None]]), first.replace(source=own_reward)


def _depth(value: Any) -> int:
    """How deep sequences are nested: 0 for a number, a text, None."""
    if isinstance(value, np.ndarray):
        return value.ndim
    if isinstance(value, (list, tuple, range)):
        return 1 + (_depth(value[0]) if len(value) else 0)
    return 0


def _axis(name: str, key: str, value: Any) -> list[Any]:
    """Values of a learnable parameter."""
    if _depth(value) <= NESTED.get((name, key), 0):
        return [value]
    values = value.tolist() if isinstance(value, np.ndarray) else list(value)
    if not values:
        raise ValueError(f"{key} is an empty axis: a class needs at least one value of each parameter")
    return [v.item() if isinstance(v, np.generic) else v for v in values]


def _refuse_axis(name: str, key: str, learnable: tuple[str, ...]) -> None:
    near = difflib.get_close_matches(key, learnable, n=1, cutoff=0.4)
    near_text = f"did you mean {near[0]!r}? " if near else ""
    hint = ""
    if name in REWARDS and key == REWARDS[name][0]:
        near_text, hint = "", "; it is one of the reward, which may be unknown: give reward_noise"
    raise ValueError(
        f"{near_text}{key} of {name} takes one value for all models, which may differ in "
        f"{', '.join(learnable)} only{hint}"
    )


def _compiled(name: str, chosen: dict[str, Any]) -> ModelClass:
    models = ModelClass.of(zoo.GAMES[name](**chosen).models)
    if not isinstance(models.source, CompiledSource):
        raise TypeError(f"{name} is not a compiled game: no class can be made of it")
    return models


def _named(name: str) -> tuple[str, ...]:
    return learnable_parameters(name, unknown_rewards=True)


def _text(name: str, chosen: dict[str, Any]) -> str:
    """What tells a model from others."""
    return (
        ", ".join(f"{key}={reprlib.repr(value)}" for key, value in chosen.items() if key in _named(name)) or "defaults"
    )


def _refuse_unlike(name: str, first: ModelClass, other: ModelClass, first_text: str, other_text: str) -> None:
    """Models may differ in nothing but thetas; tables also in where their rows lead."""
    sizes = [models.common.successors.shape[:2] for models in (first, other)]
    tables = first.fill in table.STORED and sizes[0] == sizes[1]
    what = first_difference(first, other, (*SHARED, "moves") if tables else (*SHARED, "successors", "moves"))
    if what is None and not tables and first.thetas.shape[1] != other.thetas.shape[1]:
        what = "number of parameters"
    if what is not None:
        raise ValueError(
            f"{name} with {first_text} and with {other_text} differ in {what}: "
            "models of a class share all but the parameters of their transitions"
        )


def _on_common_places(thetas: list[Floats], places: list[Integers], n_states: int) -> tuple[Floats, Integers]:
    """Tables that lead to different states, as where noise of strength 0 drops some, on the union of these."""
    S, R = places[0].shape[:2]
    states = [leads.reshape(S * R, -1) for leads in places]
    chances = [theta.reshape(-1, *lead.shape) for theta, lead in zip(thetas, states, strict=True)]  # [T, S * R, K]
    used = np.hstack([(part > 0).any(axis=0) for part in chances]).astype(np.float64)
    union = merged(np.hstack(states), used, n_states)[0]
    rows = []
    for part, lead in zip(chances, states, strict=True):
        row = np.zeros((len(part), *union.shape))
        for k in range(lead.shape[1]):
            row += part[:, :, k, None] * (union == lead[:, k, None])
        rows.append(row.ravel())
    return np.stack(rows), union.reshape(S, R, -1)


def _refuse_twins(name: str, rows: Floats, combinations: list[dict[str, Any]]) -> None:
    seen: dict[bytes, int] = {}
    for i, row in enumerate(rows + 0.0):  # -0.0 is 0.0
        j = seen.setdefault(row.tobytes(), i)
        if j != i:
            raise ValueError(
                f"models {j} ({_text(name, combinations[j])}) and {i} ({_text(name, combinations[i])}) of {name} are "
                "equal: no data could tell them apart"
            )


def _span(key: str, text: str) -> NDArray[Any]:
    """FROM:TO:COUNT."""
    parts = text.split(":")
    if len(parts) != 3 or not parts[2].strip().isdecimal() or int(parts[2]) < 1:
        raise ValueError(f"{key} must be FROM:TO:COUNT with a whole COUNT of at least 1, got {text!r}")
    ends, count = _numbers(key, parts[:2]), int(parts[2])
    if count == 1 and ends[0] != ends[1]:
        raise ValueError(f"{key}={text} asks for 1 value from {ends[0]} to {ends[1]}: at least 2 have both ends")
    values = np.linspace(ends[0], ends[1], count)
    whole = ends.dtype.kind == "i" and (values == np.rint(values)).all()
    return values.astype(np.int64) if whole else values


def _numbers(key: str, parts: Sequence[str]) -> NDArray[Any]:
    """Numbers of an axis: int64 where all are written as whole numbers, else float64."""
    try:
        return np.array([int(part) for part in parts], dtype=np.int64)
    except (ValueError, OverflowError):
        pass
    values = []
    for part in parts:
        try:
            values.append(float(part))
        except ValueError:
            raise ValueError(f"{key} must be numbers, got {part.strip()!r}") from None
        if not np.isfinite(values[-1]):
            raise ValueError(f"{key} must be finite numbers, got {part.strip()!r}")
    return np.array(values)
