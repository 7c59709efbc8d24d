"""Dynamic routing: drivers choose their way through a network whose links slow down as they fill up (Cabannes et al.
2021, Solving N-player dynamic routing games with congestion: a mean field approach).

Time goes in steps of `time_step`. How long a link takes is settled when an agent enters it, by the number of agents on
it at that moment, those who enter with him included: ``free_flow (1 + a (volume / capacity)^b)``, at least one step, at
most `longest` steps. Where this is n + f steps, 0 < f < 1, it takes n with probability 1 - f and n + 1 with probability
f, so that rows are continuous in the density (OpenSpiel's game cuts f off). At the end of a link an agent chooses the
next one, among those from which its destination can be reached; at its destination it has arrived.

State, for each destination: at an origin, w steps before departure; just entered a link; on a link, w steps before the
choice, w = 0..longest - 2; and, for all, arrived. Transitions depend on the density, rewards do not: every step under
way costs `time_step`, but for the first, so that a return is minus a travel time; who has not arrived at the last step
pays `late_penalty` in addition. `thetas` hold free_flow, capacity, a and b of all links and nothing else: games that
differ in these share everything but `thetas`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmfg.games.checks import Floats, Integers, float_array, real, whole
from fastmfg.games.compiled import CompiledSource
from fastmfg.games.game import Game, require_game
from fastmfg.kernels.zoo import routing as routing_kernels

MOST_ENTRIES = 50_000_000
"""Row entries S * A * K of a routing game; more are refused, with the advice to cap travel times."""

NUMBERS = (("free_flow", False), ("capacity", False), ("a", True), ("b", False))
"""What decides how long a link takes, in the order of `thetas`, and whether it may be 0."""

BPR = (0.15, 4.0)
"""a and b where a link does not say them: those of the Bureau of Public Roads' Traffic Assignment Manual (1964)."""


@dataclass(frozen=True)
class Network:
    """Links between nodes, and what decides how long they take."""

    start: list[Hashable]  # [L]   nodes
    end: list[Hashable]  # [L]
    theta: Floats  # [4, L]   free_flow, capacity, a, b

    def usable(self, origins: Iterable[Hashable], destination: Hashable) -> list[int]:
        """Links on a way from one of the origins to the destination that does not pass through it before."""
        onward = [i for i in range(len(self.start)) if self.start[i] != destination]
        near = _met([destination], [(self.end[i], self.start[i]) for i in onward])
        leading = [i for i in onward if self.end[i] in near]
        far = _met(origins, [(self.start[i], self.end[i]) for i in leading])
        return [i for i in leading if self.start[i] in far]


def _met(nodes: Iterable[Hashable], steps: Sequence[tuple[Hashable, Hashable]]) -> set[Hashable]:
    """The nodes and all that steps lead to from there."""
    following: dict[Hashable, list[Hashable]] = {}
    for here, there in steps:
        following.setdefault(here, []).append(there)
    met = set(nodes)
    ahead = list(met)
    while ahead:
        new = {node for node in following.get(ahead.pop(), ()) if node not in met}
        met |= new
        ahead.extend(new)
    return met


@dataclass(frozen=True)
class Trip:
    """Agents of one origin, destination and time of departure."""

    origin: Hashable
    destination: Hashable
    count: float
    departure: int  # steps


class States:
    """States of a routing game, numbered as they are added: `place` as kernels read it, and where choices lead."""

    def __init__(self, n_links: int, longest: int) -> None:
        self.L, self.K = n_links, longest
        self.place = [2 * n_links + 1]  # state 0: arrived
        self.choices: list[list[int]] = [[0]]
        self.entered: list[int] = []  # states of agents who just entered a link
        self.waiting: dict[tuple[Hashable, Hashable, int], int] = {}  # by destination, origin, steps to departure

    def add(self, network: Network, destination: Hashable, origins: dict[Hashable, int]) -> None:
        """States of the agents with this destination; `origins`: nodes, and the latest departure from each."""
        free = len(self.place)
        chain: dict[Hashable, int] = {}
        for node, latest in origins.items():
            chain[node] = free
            free += latest + 1
        links = network.usable(origins, destination)
        self._refuse_excess(free + len(links) * self.K, 1)
        entry = {link: free + i * self.K for i, link in enumerate(links)}
        ways: dict[Hashable, list[int]] = {destination: [0]}
        for link in links:
            ways.setdefault(network.start[link], []).append(entry[link])

        for node, latest in origins.items():
            for w in range(latest + 1):
                self.waiting[destination, node, w] = chain[node] + w
                self._append(2 * self.L, ways[node] if w == 0 else [chain[node] + w - 1])
        for link in links:
            onward = ways[network.end[link]]
            self.entered.append(entry[link])
            self._append(link, onward)
            for w in range(self.K - 1):
                self._append(self.L + link, onward if w == 0 else [entry[link] + w])

    def _append(self, place: int, choices: list[int]) -> None:
        self.place.append(place)
        self.choices.append(choices)

    def _refuse_excess(self, S: int, A: int) -> None:
        if S * A * self.K > MOST_ENTRIES:
            raise ValueError(
                f"{S} states and travel times of up to {self.K} steps make rows of more than {MOST_ENTRIES} entries: "
                "give longest, the most steps a link can take, or a shorter horizon"
            )

    def tables(self) -> tuple[Integers, NDArray[np.bool_]]:
        """Successors [S, A, K] and legal actions [S, A]."""
        S, A, K = len(self.place), max(map(len, self.choices)), self.K
        self._refuse_excess(S, A)
        legal = np.arange(A) < np.array([[len(choices)] for choices in self.choices])
        target = np.array([choices + choices[:1] * (A - len(choices)) for choices in self.choices])
        ahead = np.arange(K)
        successors = (target[:, :, None] + ahead) % S  # entries but the first have probability 0 and need some state
        entered = np.array(self.entered)[:, None, None]
        successors[self.entered, :, 1:] = entered + ahead[1:]
        return successors, legal


def city() -> list[tuple[str, str, float, float, float, float]]:
    """Streets that lead right and down through nine crossings, "00" to "22"; those through the middle are wider."""
    links = []
    for a in range(3):
        for b in range(2):
            numbers = (1.0, 80.0 if a == 1 else 40.0, 1.0, 1.0)
            links.append((f"{a}{b}", f"{a}{b + 1}", *numbers))
            links.append((f"{b}{a}", f"{b + 1}{a}", *numbers))
    return links


def routing(
    links: Sequence[Sequence[Any]] | None = None,
    demand: Sequence[Sequence[Any]] | None = None,
    horizon: int = 20,
    *,
    time_step: float = 0.5,
    longest: int | None = None,
    late_penalty: float | None = None,
) -> Game:
    """Dynamic routing on any network; the head of this module says what is played.

    Parameters
    ----------
    links : list of (from, to, free_flow, capacity[, a[, b]]), optional
        Nodes are any names; several links may join the same two. free_flow > 0 in units of time, capacity > 0 in
        agents, a >= 0 and b > 0 (0.15 and 4 by default). By default a city of nine crossings.
    demand : list of (origin, destination, count[, departure]), optional
        count > 0 agents leave the node `origin` for the node `destination` at the time `departure` (0 by default,
        rounded to whole steps). To be given along with `links`.
    horizon : int >= 1
        Steps H: who takes H - 1 steps or more is late (OpenSpiel's max_num_time_step is H - 1).
    time_step : float > 0
        In units of time.
    longest : int >= 1, optional
        Most steps a link can take; a slower one takes that many. By default H - 1 (at least 1), so that nothing
        changes. States and rows grow with it; models of a class share it.
    late_penalty : float >= 0, optional
        `time_step` by default, as in OpenSpiel.

    Raises
    ------
    ValueError
        Numbers out of range; unknown nodes; a destination that cannot be reached; rows of too many entries.
    """
    if (links is None) != (demand is None):
        raise ValueError("links and demand belong together: give both, or neither for the default city")
    H, tick = whole("horizon", horizon, 1), real("time_step", time_step, 0.0)
    K = max(H - 1, 1) if longest is None else whole("longest", longest, 1)
    penalty = tick if late_penalty is None else real("late_penalty", late_penalty, 0.0, include_low=True)
    network = _read_links(city() if links is None else links)
    trips = _read_demand([("00", "22", 60), ("01", "22", 40)] if demand is None else demand, network, tick, H)
    states = _states_of(network, trips, K)
    successors, legal = states.tables()
    total = real("the sum of all counts", sum(trip.count for trip in trips), 0.0)
    initial = np.zeros(len(states.place))
    for trip in trips:
        initial[states.waiting[trip.destination, trip.origin, trip.departure]] += trip.count / total
    return Game.from_source(
        CompiledSource(routing_kernels.prepare, routing_kernels.fill, routing_kernels.reward),
        initial=initial,
        legal=legal,
        n_actions=legal.shape[1],
        horizon=H,
        shared=np.array([states.L, K, H, tick, total, penalty, *states.place], dtype=np.float64),
        thetas=network.theta.reshape(1, -1),
        aux_size=states.L,
        successors=successors,
    )


def _states_of(network: Network, trips: Sequence[Trip], longest: int) -> States:
    latest: dict[Hashable, dict[Hashable, int]] = {}
    for trip in trips:
        origins = latest.setdefault(trip.destination, {})
        origins[trip.origin] = max(trip.departure, origins.get(trip.origin, 0))
    states = States(len(network.start), longest)
    for destination, origins in latest.items():
        states.add(network, destination, origins)
    return states


def _read_links(links: Sequence[Sequence[Any]]) -> Network:
    """The network, checked."""
    start, end, theta = [], [], []
    for i, link in enumerate(_items("links", links)):
        fields = _fields(f"links[{i}]", link, 4, 6, "(from, to, free_flow, capacity[, a[, b]])")
        given = [*fields[2:], *BPR[len(fields) - 4 :]]
        theta.append([
            real(f"links[{i}]: {name}", value, 0.0, include_low=zero)
            for (name, zero), value in zip(NUMBERS, given, strict=True)
        ])  # fmt: skip
        start.append(fields[0])
        end.append(fields[1])
    return Network(start, end, np.array(theta).T.copy())


def _read_demand(demand: Sequence[Sequence[Any]], network: Network, time_step: float, horizon: int) -> list[Trip]:
    """Who goes where, checked against the network. Who departs after the last step is late, whenever it is."""
    nodes = {*network.start, *network.end}
    trips = []
    for i, trip in enumerate(_items("demand", demand)):
        name = f"demand[{i}]"
        origin, destination, count, *rest = _fields(name, trip, 3, 4, "(origin, destination, count[, departure])")
        for node in (origin, destination):
            if node not in nodes:
                raise ValueError(f"{name} names the node {node!r}, which no link touches")
        if origin == destination:
            raise ValueError(f"{name} leads from {origin!r} to itself: leave it out")
        if not network.usable([origin], destination):
            raise ValueError(f"{name}: no way leads from {origin!r} to {destination!r}")
        departure = real(f"{name}: departure", rest[0], 0.0, include_low=True) if rest else 0.0
        steps = round(departure / time_step) if departure < horizon * time_step else horizon
        trips.append(Trip(origin, destination, real(f"{name}: count", count, 0.0), steps))
    return trips


def _items(name: str, given: Any) -> list[Any]:
    """The entries of a list that must not be empty."""
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise TypeError(f"{name} must be a list, got {given!r}")
    items = list(given)
    if not items:
        raise ValueError(f"{name} is empty: give at least one entry")
    return items


def _fields(name: str, item: Any, least: int, most: int, form: str) -> tuple[Any, ...]:
    """The fields of an entry, the first two of which name nodes."""
    fields = tuple(item) if isinstance(item, Iterable) and not isinstance(item, (str, bytes)) else ()
    if not least <= len(fields) <= most:
        raise ValueError(f"{name} must be {form}, got {item!r}")
    for node in fields[:2]:
        if not isinstance(node, Hashable):
            raise TypeError(f"{name}: nodes must be names that can be compared (hashable), got {node!r}")
    return fields


def routing_line(
    n_links: int = 2,
    horizon: int = 6,
    *,
    free_flow: float = 1.0,
    capacity: float = 100.0,
    a: float = 0.0,
    b: float = 1.0,
    n_agents: float = 100.0,
    time_step: float = 1.0,
    longest: int | None = None,
) -> Game:
    """A road without junctions: nothing to choose, every policy is an equilibrium. Travel times depend on crowds.

    The defaults are OpenSpiel's network "line", whose links take the same time whatever their volume (a = 0).

    Parameters
    ----------
    n_links : int >= 1
    free_flow, capacity, a, b
        Of every link; see `routing`.
    n_agents : float > 0
    horizon, time_step, longest
        See `routing`.
    """
    links = [(i, i + 1, free_flow, capacity, a, b) for i in range(whole("n_links", n_links, 1))]
    return routing(
        links, [(0, len(links), real("n_agents", n_agents, 0.0))], horizon, time_step=time_step, longest=longest
    )


def routing_braess(
    horizon: int = 24,
    *,
    shortcut: bool = True,
    shortcut_time: float = 0.25,
    congestion: float = 1.0,
    n_agents: float = 5.0,
    time_step: float = 0.25,
    longest: int | None = None,
) -> Game:
    """Braess' paradox (1968): with the shortcut B to C everyone's journey from A to D takes longer than without.

    Links A to B and C to D take ``1 + congestion volume / 5``, A to C and B to D take 2, B to C `shortcut_time`: with
    five agents OpenSpiel's network "braess". By default equilibria take 3.75 with the shortcut and 3.5 without it.

    Parameters
    ----------
    shortcut : bool
        Whether there is a link from B to C.
    shortcut_time : float > 0
    congestion : float >= 0
    n_agents : float > 0
    horizon, time_step, longest
        See `routing`.
    """
    links: list[tuple[Any, ...]] = [
        ("A", "B", 1.0, 5.0, real("congestion", congestion, 0.0, include_low=True), 1.0),
        ("A", "C", 2.0, 5.0, 0.0, 1.0),
        ("B", "D", 2.0, 5.0, 0.0, 1.0),
        ("C", "D", 1.0, 5.0, congestion, 1.0),
    ]
    if shortcut:
        links.insert(2, ("B", "C", real("shortcut_time", shortcut_time, 0.0), 5.0, 0.0, 1.0))
    return routing(links, [("A", "D", real("n_agents", n_agents, 0.0))], horizon, time_step=time_step, longest=longest)


def link_volumes(game: Game, density: ArrayLike) -> Floats:
    """Agents on every link [H, L], in the order of the links, where `density` [H, S] is one of a routing game."""
    models = require_game("game", game).models
    if models.prepare is not routing_kernels.prepare:
        raise ValueError("game must be a routing game")
    mu = float_array("density", density, (None, models.n_states))
    shared = models.common.shared
    L, total, place = int(shared[0]), shared[4], shared[routing_kernels.HEAD :].astype(np.int64)
    on_link = np.flatnonzero(place < 2 * L)
    volumes = np.zeros((L, len(mu)))
    np.add.at(volumes, place[on_link] % L, mu[:, on_link].T * total)
    return volumes.T
