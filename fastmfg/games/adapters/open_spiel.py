"""OpenSpiel's mean-field games as games, and its NashConv of our policies (Lanctot et al. 2019, OpenSpiel).

A state is a decision node, its string without the time; transition and reward of a step are what happens from its
decisions to the next ones (`open_spiel_tree`, `open_spiel_functions`). So a reward that OpenSpiel pays for the last
action, at the state that it led to, goes to that action.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from fastmfg.games.adapters.open_spiel_functions import Functions
from fastmfg.games.adapters.open_spiel_labels import layout
from fastmfg.games.adapters.open_spiel_reader import Tree, first_visits, read
from fastmfg.games.adapters.peers import peer
from fastmfg.games.checks import Floats, policy_array, whole
from fastmfg.games.game import Game

EXTRA = "open-spiel"

MOST_STATES = 25_000
"""Decision nodes over all steps that are read unless more are allowed: minutes, and about a gigabyte, at worst."""


class OpenSpielGame(Game):
    """A game read from OpenSpiel; `from_open_spiel` makes it."""

    source: Any
    """The OpenSpiel game."""
    labels: list[str]
    """Strings of the states [S], with "t" for the time."""
    nodes: list[dict[str, int]]
    """For each step [H] the states by OpenSpiel's strings; a step need not have all states."""
    charges_last_action: bool
    """Whether rewards depend on a last action that OpenSpiel's strings do not show."""
    as_shipped: bool
    """Whether such rewards are those that OpenSpiel's traversal meets first."""

    def __init__(self, source: Any, tree: Tree, as_shipped: bool) -> None:
        names, legal = [step.names for step in tree.steps], [step.legal for step in tree.steps]
        places = layout(names, legal, source.num_distinct_actions())
        first = first_visits(_root(source)) if as_shipped else None
        plain = Functions(tree, places, first).game()
        self.models, self.index = plain.models, plain.index
        self.source, self.labels, self.as_shipped = source, places.labels, as_shipped
        self.nodes = [
            dict(zip(strings, state.tolist(), strict=True)) for strings, state in zip(names, places.state, strict=True)
        ]
        self.charges_last_action = any(step.last_action for step in tree.steps)
        self._decisions = [step.states for step in tree.steps]


def from_open_spiel(game: Any, *, max_states: int = MOST_STATES, as_shipped: bool = False) -> OpenSpielGame:
    """Return the game of an OpenSpiel mean-field game with one population; H is the number of its decisions.

    Parameters
    ----------
    game : pyspiel.Game
        ``pyspiel.load_game(...)`` or a game written in Python, of mean-field dynamics. It is read by walking through
        all of its nodes, and asked for rewards at every call of the game.
    max_states : int
        Decision nodes over all steps (about H * S) at most.
    as_shipped : bool
        Many of OpenSpiel's games pay for the last action, which is not part of their state. By default every action
        is paid for itself; values are then those of OpenSpiel's algorithms with the last action made part of the
        state. OpenSpiel's algorithms as they are keep one value a state and with it the last action that their
        traversal met there first: with True, rewards are those, and NE gaps OpenSpiel's published ones.

    Returns
    -------
    OpenSpielGame
        A `Game` with ``population="joint"`` that knows its `source`, and its states by `labels` and `nodes`. In states
        that a step does not have, rewards are 0 and nobody moves.

    Raises
    ------
    TypeError
        Not an OpenSpiel game.
    ValueError
        Not a mean-field game; several populations; chances that can not be listed (continuous states); more states than
        `max_states`; a structure other than decision, chance, mean-field node, decision; chances that do not sum to 1.
    ImportError
        OpenSpiel is missing: ``pip install "fastmfg[open-spiel]"``.

    Notes
    -----
    Strings decide what follows, as in OpenSpiel's own algorithms. Whether moves, chances and successors depend on the
    distribution is found out by probing a few distributions a node; where they do not, rows are stored in sparse tables
    and solvers run at full speed but for rewards; where they do, the game is asked for rows too, and stores
    ``[H, S, A, S]`` numbers while it is solved.

    Chances that miss 1 by 1e-9 to 1e-5, as OpenSpiel's parameters in single precision do, are divided by their sum.
    Games that round (routing: waits are whole steps) jump where a share is on a border; there the last bit decides.
    """
    return OpenSpielGame(game, read(_root(game), whole("max_states", max_states, 1)), bool(as_shipped))


def to_open_spiel_policy(game: Any, policy: ArrayLike) -> Any:
    """Return a policy [H, S, A] as an `open_spiel.python.policy.Policy` for all of OpenSpiel's mean-field algorithms.

    Parameters
    ----------
    game : OpenSpielGame, or the pyspiel.Game it was read from
        The former saves reading it again.
    policy : [H, S, A]
        Of the game that `from_open_spiel` returns.

    Raises
    ------
    TypeError, ValueError
        As `from_open_spiel`; not a policy of the game; strings that do not tell the time.
    ImportError
        OpenSpiel is missing: ``pip install "fastmfg[open-spiel]"``.
    """
    converted = _converted(game)
    array = policy_array("policy", policy, converted.legal, converted.horizon)
    rows: dict[str, Floats] = {}
    for h, states in enumerate(converted.nodes):
        for string, s in states.items():
            if string in rows:
                raise ValueError(
                    f"OpenSpiel calls states of two steps {string!r}: its policies can not tell them apart"
                )
            rows[string] = array[h, s]
    return _score().StringPolicy(converted.source, rows)


def from_open_spiel_policy(game: Any, policy: Any) -> Floats:
    """Return an OpenSpiel policy as an array [H, S, A] for `from_open_spiel`'s game; uniform where a step has no state.

    Parameters
    ----------
    game : OpenSpielGame, or the pyspiel.Game it was read from
    policy : open_spiel.python.policy.Policy

    Raises
    ------
    TypeError, ValueError
        As `from_open_spiel`; no policy, or one whose probabilities are none.
    ImportError
        OpenSpiel is missing: ``pip install "fastmfg[open-spiel]"``.
    """
    converted = _converted(game)
    if not hasattr(policy, "action_probabilities"):
        raise TypeError(f"policy must be an OpenSpiel policy, got {type(policy).__name__}")
    array = converted.uniform_policy()
    for h, (places, decisions) in enumerate(zip(converted.nodes, converted._decisions, strict=True)):
        for s, state in zip(places.values(), decisions, strict=True):
            row = policy.action_probabilities(state)
            array[h, s] = 0.0
            array[h, s, list(row)] = list(row.values())
    return policy_array("policy", array, converted.legal, converted.horizon)


def open_spiel_nash_conv(game: Any, policy: ArrayLike) -> float:
    """Return OpenSpiel's own NashConv of a policy [H, S, A], which is what `ne_gap` computes.

    Where rewards depend on a last action that OpenSpiel's strings do not show, its `PolicyValue` and `BestResponse` are
    given strings that show it, unless the game was read with ``as_shipped=True``: then they run as they are.

    Parameters
    ----------
    game : OpenSpielGame, or the pyspiel.Game it was read from
        The former saves reading it again.
    policy : [H, S, A]
        Of the game that `from_open_spiel` returns.

    Raises
    ------
    TypeError, ValueError
        As `from_open_spiel`; not a policy of the game; strings that do not tell the time.
    ImportError
        OpenSpiel is missing: ``pip install "fastmfg[open-spiel]"``.
    """
    converted = _converted(game)
    peer_policy = to_open_spiel_policy(converted, policy)
    with_action = converted.charges_last_action and not converted.as_shipped
    return float(_score().nash_conv(converted.source, peer_policy, with_action))


def _converted(game: Any) -> OpenSpielGame:
    return game if isinstance(game, OpenSpielGame) else from_open_spiel(game)


def _score() -> Any:
    """The module that imports OpenSpiel's algorithms."""
    return peer("fastmfg.games.adapters.open_spiel_score", EXTRA)


def _root(game: Any) -> Any:
    """The initial state of a mean-field game with one population."""
    pyspiel = peer("pyspiel", EXTRA)
    if not isinstance(game, pyspiel.Game):
        raise TypeError(f"game must be a pyspiel.Game, got {type(game).__name__}")
    facts = game.get_type()
    if facts.dynamics.name != "MEAN_FIELD":
        raise ValueError(f"game must be a mean-field game, {facts.short_name} has {facts.dynamics.name} dynamics")
    if facts.chance_mode.name == "SAMPLED_STOCHASTIC":
        raise ValueError(f"{facts.short_name} samples its chances (continuous states?): they can not be listed")
    if game.num_players() != 1:
        raise ValueError(
            f"{facts.short_name} has {game.num_players()} populations, and one only can be converted: "
            "build it as a MultiTypeGame"
        )
    return game.new_initial_states()[0]
