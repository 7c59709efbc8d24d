"""Equilibria of models, solved when they are asked for, and never twice."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np

from fastmfg.executors import Executor
from fastmfg.games.checks import Floats, Integers
from fastmfg.games.model_class import ModelClass
from fastmfg.planning.solve import Solution, solve, solve_from

MOST_AHEAD = 256
"""Equilibria that an executor solves before they are asked for, at most."""


class SolutionStore(Protocol):
    """Where solved equilibria outlive the process."""

    def holds(self, member: int) -> bool:
        """Whether there is an equilibrium of this model that has not been loaded yet."""
        ...

    def load(self, member: int) -> Solution | None:
        """Read it; None when there is none, or it cannot be read. A model is loaded once at most."""
        ...

    def save(self, member: int, solution: Solution) -> None:
        """Keep the equilibrium of a model."""
        ...


class EquilibriumCache:
    """Equilibria by model. All but the first start from the first one's policy.

    Parameters
    ----------
    known : mapping from model index to Solution
        Equilibria known from the start.
    store : SolutionStore, optional
        Equilibria of an earlier process, read when they are first asked for: the order in which equilibria become known
        is then that of an uninterrupted run.
    executor : executor, optional
        Where equilibria are solved, some of them before they are asked for.
    """

    def __init__(
        self, models: ModelClass, tol: float, known: Mapping[int, Solution], store: SolutionStore | None = None,
        executor: Executor | None = None,
    ) -> None:  # fmt: skip
        self.models, self.tol, self.store, self.executor = models, tol, store, executor
        self.solved = dict(known)  # in the order in which they became known
        self.ahead: dict[int, Solution] = {}  # solved by the executor before they were asked for
        self.expected: list[int] = []

    def expect(self, members: Iterable[int]) -> None:
        """Say in which order equilibria may be asked for: an executor solves ahead along it."""
        self.expected = list(members)

    def get_or_load(self, member: int) -> Solution | None:
        """The equilibrium of a model where it is known, here or in the store."""
        if member not in self.solved and self.store is not None:
            found = self.store.load(member)
            if found is not None:
                self.solved[member] = found
        return self.solved.get(member)

    def get_or_solve(self, member: int) -> Solution:
        """The equilibrium of a model, solved where it is not known."""
        found = self.get_or_load(member)
        if found is None:
            found = self._solve(member)
            if self.store is not None:
                self.store.save(member, found)
            self.solved[member] = found
        return found

    def policies(self, members: Integers) -> Floats:
        """Equilibrium policies of these models, [k, H, S, A]."""
        self.expect(members.tolist())
        return np.stack([self.get_or_solve(member).policy for member in members.tolist()])

    def _solve(self, member: int) -> Solution:
        start = next(iter(self.solved.values())).policy if self.solved else None
        if self.executor is None or start is None:
            return solve(self.models[member], tol=self.tol, initial_policy=start)
        if member not in self.ahead:
            batch = self._batch(member)
            found = solve_from(self.models, batch, np.array(start), tol=self.tol, executor=self.executor)
            self.ahead |= dict(zip(batch, found, strict=True))
        return self.ahead.pop(member)

    def _batch(self, member: int) -> list[int]:
        """A member, and those expected after it: as many as are known, so that few are for nothing."""
        after = self.expected[self.expected.index(member) + 1 :] if member in self.expected else []
        unknown = (m for m in after if not self._is_known(m))
        return [member, *itertools.islice(unknown, min(len(self.solved), MOST_AHEAD))]

    def _is_known(self, member: int) -> bool:
        stored = self.store is not None and self.store.holds(member)
        return member in self.solved or member in self.ahead or stored
