"""What is played: one game, classes of models, and the families they come from."""

from fastmfg.games.game import Game
from fastmfg.games.grid import Grid
from fastmfg.games.grid_game import grid_game
from fastmfg.games.linear import LinearClass, linear_class
from fastmfg.games.model_class import ModelClass

__all__ = ["Game", "Grid", "LinearClass", "ModelClass", "grid_game", "linear_class"]
