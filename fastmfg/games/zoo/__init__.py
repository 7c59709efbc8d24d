"""Games people know, each a function of its parameters that returns a `Game`."""

from collections.abc import Callable

from fastmfg.games.game import Game
from fastmfg.games.zoo.beach import beach_bar
from fastmfg.games.zoo.crowd import crowd_modelling_1d, crowd_modelling_2d

GAMES: dict[str, Callable[..., Game]] = {
    "beach_bar": beach_bar,
    "crowd_modelling_1d": crowd_modelling_1d,
    "crowd_modelling_2d": crowd_modelling_2d,
}
"""Every game by name."""

__all__ = ["GAMES", "beach_bar", "crowd_modelling_1d", "crowd_modelling_2d"]
