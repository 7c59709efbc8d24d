"""Games people know, each a function of its parameters that returns a `Game`."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from fastmfg.games.checks import no_attribute
from fastmfg.games.game import Game
from fastmfg.games.zoo import classes, hard
from fastmfg.games.zoo.affine import random_linear
from fastmfg.games.zoo.beach import beach_bar
from fastmfg.games.zoo.chains import chain_contraction, chain_several_equilibria
from fastmfg.games.zoo.choice import left_right, rock_paper_scissors
from fastmfg.games.zoo.congestion import kinetic_congestion
from fastmfg.games.zoo.crowd import crowd_modelling_1d, crowd_modelling_2d
from fastmfg.games.zoo.epidemic import epidemic
from fastmfg.games.zoo.evacuation import building_evacuation
from fastmfg.games.zoo.garnet import garnet
from fastmfg.games.zoo.infection import susceptible_infected
from fastmfg.games.zoo.market import equilibrium_price
from fastmfg.games.zoo.mf_garnet import mf_garnet
from fastmfg.games.zoo.motion import crowd_motion
from fastmfg.games.zoo.normal_form import normal_form_biased_rps, normal_form_coordination, normal_form_dominance
from fastmfg.games.zoo.periodic import periodic_aversion
from fastmfg.games.zoo.predation import crowd_avoidance, predator_prey, predator_prey_class
from fastmfg.games.zoo.quadratic import linear_quadratic
from fastmfg.games.zoo.rooms import four_rooms, maze
from fastmfg.games.zoo.routing import link_volumes, routing, routing_braess, routing_line
from fastmfg.games.zoo.treasure import conservative_treasure_hunting

GAMES: dict[str, Callable[..., Game]] = {
    "beach_bar": beach_bar,
    "building_evacuation": building_evacuation,
    "chain_contraction": chain_contraction,
    "chain_several_equilibria": chain_several_equilibria,
    "conservative_treasure_hunting": conservative_treasure_hunting,
    "crowd_avoidance": crowd_avoidance,
    "crowd_modelling_1d": crowd_modelling_1d,
    "crowd_modelling_2d": crowd_modelling_2d,
    "crowd_motion": crowd_motion,
    "epidemic": epidemic,
    "equilibrium_price": equilibrium_price,
    "four_rooms": four_rooms,
    "garnet": garnet,
    "kinetic_congestion": kinetic_congestion,
    "left_right": left_right,
    "linear_quadratic": linear_quadratic,
    "maze": maze,
    "mf_garnet": mf_garnet,
    "normal_form_biased_rps": normal_form_biased_rps,
    "normal_form_coordination": normal_form_coordination,
    "normal_form_dominance": normal_form_dominance,
    "periodic_aversion": periodic_aversion,
    "predator_prey": predator_prey,
    "random_linear": random_linear,
    "rock_paper_scissors": rock_paper_scissors,
    "routing": routing,
    "routing_braess": routing_braess,
    "routing_line": routing_line,
    "susceptible_infected": susceptible_infected,
}
"""Every game by name."""

__all__ = [
    "GAMES",
    "beach_bar",
    "building_evacuation",
    "chain_contraction",
    "chain_several_equilibria",
    "classes",
    "conservative_treasure_hunting",
    "crowd_avoidance",
    "crowd_modelling_1d",
    "crowd_modelling_2d",
    "crowd_motion",
    "epidemic",
    "equilibrium_price",
    "four_rooms",
    "garnet",
    "hard",
    "kinetic_congestion",
    "left_right",
    "linear_quadratic",
    "link_volumes",
    "maze",
    "mf_garnet",
    "normal_form_biased_rps",
    "normal_form_coordination",
    "normal_form_dominance",
    "periodic_aversion",
    "predator_prey",
    "predator_prey_class",
    "random_linear",
    "rock_paper_scissors",
    "routing",
    "routing_braess",
    "routing_line",
    "susceptible_infected",
]


if not TYPE_CHECKING:  # names that are not there are errors to type checkers

    def __getattr__(name: str):
        raise no_attribute("fastmfg.zoo", name, __all__)
