"""What is played: one game, classes of models, and the families they come from."""

from fastmfg.games.game import Game
from fastmfg.games.linear import LinearClass, linear_class
from fastmfg.games.model_class import ModelClass

__all__ = ["Game", "LinearClass", "ModelClass", "linear_class"]
