"""The heuristic choice of a reference policy (Huang, He, Krause 2024, Alg. 7).

If some survivor's equilibrium scatters the survivors (no neighbourhood holds more than half of them), it is the
reference; else the equilibrium of the model that is most crowded around itself. Nothing is certified.
"""

from __future__ import annotations

import numpy as np

from fastmfg.learning.state import Choice, State


def choose(state: State) -> Choice | None:
    """The first equilibrium that scatters the survivors, else that of the model most crowded around itself.

    None when a bound is met, or every survivor's equilibrium has told apart what it can.
    """
    pool, survivors = state.candidates, state.evidence.survivors
    order = state.order_survivors()
    pool.gaps(pool.equilibrium(order[0]))
    if pool.enough():
        return None
    crowded: Choice | None = None
    member_of_crowded = -1
    for looked, member in enumerate(order, start=1):
        if pool.is_exhausted(member):
            continue
        candidate = pool.equilibrium(member)
        hoods = pool.count(candidate, state.options.neighbourhood_radius)
        largest = int(hoods.counts.max())
        if largest <= survivors.size / 2:
            return Choice("scatter", candidate, largest, hoods.decided, policies=looked)
        own = int(hoods.counts[np.searchsorted(survivors, member)])
        if crowded is None or (own, -member) > (crowded.neighbours, -member_of_crowded):
            crowded = Choice("crowd", candidate, own, hoods.decided, policies=len(order))
            member_of_crowded = member
    return crowded
