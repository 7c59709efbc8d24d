"""What is played: one game, classes of models, and the families they come from."""

from fastmfg.games.adapters import from_mfglib, from_open_spiel
from fastmfg.games.game import Game
from fastmfg.games.grid import Grid
from fastmfg.games.grid_game import grid_game
from fastmfg.games.linear import LinearClass, linear_class
from fastmfg.games.model_class import ModelClass
from fastmfg.games.multi_type import MultiTypeGame
from fastmfg.games.multi_type_class import MultiTypeClass
from fastmfg.games.product import product_class
from fastmfg.games.reward_noise import RewardNoise
from fastmfg.games.simulation import Population

__all__ = [
    "Game",
    "Grid",
    "LinearClass",
    "ModelClass",
    "MultiTypeClass",
    "MultiTypeGame",
    "Population",
    "RewardNoise",
    "from_mfglib",
    "from_open_spiel",
    "grid_game",
    "linear_class",
    "product_class",
]
