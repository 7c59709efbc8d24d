"""Checkpoints: a run that was interrupted, however, goes on as if it had not been.

All that `learn` does is a function of the class, the settings and the samples. So the samples are what is kept, in a
`Journal`, and with them the oracle's state and, for speed, the equilibria solved. A run that goes on is one that
starts anew: first the journal answers its oracle's questions, which must be the same ones, then the restored oracle
does. Policy and survivors are then those of an uninterrupted run, byte for byte, wherever it was interrupted.

An oracle without ``state`` and ``restore`` goes on with fresh samples behind those of the journal. What a crash has
cost is then up to `every` seconds of samples; the evidence is as valid as without it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from fastmfg.files import DamagedFileError, read_sealed, remove_leftovers, write_sealed
from fastmfg.games.checks import Floats, frozen, real
from fastmfg.games.model_class import ModelClass
from fastmfg.learning.journal import FORMAT, NAME, CheckpointError, Draw, Journal, Tell
from fastmfg.learning.oracle import Oracle, Restorable, Sample, checked_sample
from fastmfg.learning.recall import recalling
from fastmfg.learning.run_digest import run_digest
from fastmfg.lock import FolderLock
from fastmfg.planning.solve import Solution

EVERY = 30.0
"""Seconds after which new samples are written, also within a round."""

SOLUTION = re.compile(r"equilibrium-(\d+)")
RESULT = re.compile(r"result-[0-9a-f]{64}")


class CheckpointWarning(UserWarning):
    """A checkpoint is damaged, and what can be read of it is used."""


def warn(text: str) -> None:
    warnings.warn(text, CheckpointWarning, stacklevel=2)


class Checkpoint:
    """The checkpoint of one run, in a folder of its own, which it holds until it is closed.

    Parameters
    ----------
    folder : path
        Made if it is not there.
    every : float >= 0
        New samples are written after each round, and after the first draw at which so many seconds have passed since
        the last time. 0: after each draw, for samples that can not be had again.
    tell : callable, optional
        Receives a line about each damaged file; by default it becomes a `CheckpointWarning`.

    Raises
    ------
    FolderLockedError
        Another process, or another `Checkpoint`, holds the folder.
    CheckpointError
        Nothing in the folder can be read, or it is of another format.
    OSError
        The folder can not be made or written.
    """

    def __init__(self, folder: str | os.PathLike[str], *, every: float = EVERY, tell: Tell = warn) -> None:
        self.folder, self.tell = Path(folder), tell
        self.every = real("every", every, 0.0, include_low=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = FolderLock(self.folder)
        try:
            remove_leftovers(self.folder, is_ours)
            self._journal = Journal(self.folder)
            self._journal.read(self.tell)
        except BaseException:
            self._lock.release()
            raise
        self._time = time.monotonic()  # of the last write

    @property
    def rounds(self) -> int:
        """Rounds of the run that are finished."""
        return self._journal.mark.rounds

    @property
    def trajectories(self) -> int:
        """Trajectories kept."""
        return sum(len(draw.states) for draw in self._journal.draws)

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let others use the folder."""
        self._lock.release()

    def save(self) -> None:
        """Write what is not on disk yet."""
        if self._journal.mark != self._journal.written:
            self._journal.write()
        self._time = time.monotonic()

    def _begin(self, run: str, oracle: Oracle) -> None:
        """Make sure that the journal is one of this run, and put the oracle where it stood."""
        identity = {"format": FORMAT, "package": package_version(), "run": run}
        journal = self._journal
        if not journal.identity:
            journal.identity = identity
            journal.mark = replace(journal.mark, oracle=state_of(oracle))
            journal.write()  # so that a folder that can not be written is met now
        elif journal.identity["package"] != identity["package"]:
            raise CheckpointError(
                f"{self.folder} was written by version {journal.identity['package']}, which may choose otherwise than "
                f"version {identity['package']}: go on with that version, or start anew in another folder"
            )
        elif journal.identity != identity:
            raise CheckpointError(f"{self.folder} belongs to another run: its class or its settings are not these")
        elif isinstance(oracle, Restorable) and journal.mark.oracle is not None:
            oracle.restore(journal.mark.oracle)


def has_samples(folder: Path) -> bool:
    """Whether there is a checkpoint of a run in the folder."""
    return folder.is_dir() and any(NAME.fullmatch(path.name) for path in folder.iterdir())


def clear_checkpoint(folder: Path) -> None:
    """Remove all that a checkpoint keeps, unless another process holds it (FolderLockedError)."""
    lock = FolderLock(folder)
    try:
        for path in folder.iterdir():
            if is_ours(path.name.removeprefix("damaged-")):
                path.unlink(missing_ok=True)
    finally:
        lock.release()


def is_ours(name: str) -> bool:
    """Whether a file of this name belongs to a checkpoint."""
    return bool(NAME.fullmatch(name) or SOLUTION.fullmatch(name) or RESULT.fullmatch(name))


def package_version() -> str:
    try:
        return metadata.version("fastmfg")
    except metadata.PackageNotFoundError:  # used where it lies, not installed
        return "unknown"


def state_of(oracle: Oracle) -> Any:
    """The oracle's state, if it has one; it must be what JSON can hold."""
    if not isinstance(oracle, Restorable):
        return None
    state = oracle.state()
    try:
        json.dumps(state)
    except (TypeError, ValueError) as error:
        raise TypeError(f"oracle.state() must return what JSON can hold: {error}") from None
    return state


# What a run sees


@dataclass(frozen=True)
class Tape:
    """The parts of a run that a checkpoint stands behind."""

    oracle: Oracle
    equilibria: SolutionFiles | None = None
    finish_round: Callable[[int], Any] = lambda rounds: None
    """Called with the number of rounds finished, after each."""


@contextmanager
def recorded(
    checkpoint: str | os.PathLike[str] | Checkpoint | None, models: ModelClass, settings: Mapping[str, Any],
    oracle: Oracle, known: dict[int, Solution],
) -> Iterator[Tape]:  # fmt: skip
    """Within the context the run's samples and equilibria are kept, and those kept earlier come first.

    `settings` and `known`, equilibria that the caller gave, tell one run from another. A checkpoint given by its path
    is closed at the end.
    """
    if checkpoint is None:
        yield Tape(oracle)
        return
    if not isinstance(checkpoint, (Checkpoint, str, os.PathLike)):
        raise TypeError(f"checkpoint must be a path or a Checkpoint, got {type(checkpoint).__name__}")
    held = checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)
    try:
        held._begin(run_digest(models, settings, known), oracle)
        try:
            with recalling(held.folder):
                yield Tape(TapedOracle(held, oracle, models), SolutionFiles(held), _finisher(held))
        finally:
            held.save()  # whatever ended the run
    finally:
        if held is not checkpoint:
            held.close()


def _finisher(held: Checkpoint) -> Callable[[int], Any]:
    def finish_round(rounds: int) -> None:
        journal = held._journal
        if rounds > journal.mark.rounds:
            journal.mark = replace(journal.mark, rounds=rounds)
            held.save()

    return finish_round


class TapedOracle:
    """Answers from the journal while it lasts, then from the oracle, and keeps those answers."""

    def __init__(self, held: Checkpoint, oracle: Oracle, models: ModelClass) -> None:
        self.held, self.oracle = held, oracle
        self.initial, self.legal = models.initial, models.legal
        self.rewarded = models.reward_noise is not None
        self.kinds = np.min_scalar_type(models.n_states - 1), np.min_scalar_type(models.n_actions - 1)
        self.asked = 0

    def sample(self, deviation: Floats, reference: Floats, n: int) -> Sample:
        journal = self.held._journal
        question = question_digest(deviation, reference, n)
        if self.asked < len(journal.draws):
            draw = journal.draws[self.asked]
            if draw.question != question:
                raise CheckpointError(
                    f"{self.held.folder} belongs to another run, or to another machine's arithmetic: draw {self.asked} "
                    "of it was made with other policies than are asked for now"
                )
            self.asked += 1
            states, actions = draw.states.astype(np.int64), draw.actions.astype(np.int64)
            return (states, actions) if draw.rewards is None else (states, actions, draw.rewards)
        sample = checked_sample(self.oracle, deviation, reference, n, self.initial, self.legal, self.rewarded)
        rewards = sample[2] if len(sample) == 3 else None
        draw = Draw(question, sample[0].astype(self.kinds[0]), sample[1].astype(self.kinds[1]), rewards)
        journal.append(draw, state_of(self.oracle))
        self.asked += 1
        if time.monotonic() - self.held._time >= self.held.every:
            self.held.save()
        return sample


def question_digest(deviation: Floats, reference: Floats, n: int) -> bytes:
    content = hashlib.sha256(f"{n} {deviation.shape}".encode())
    for policy in (deviation, reference):
        content.update(np.ascontiguousarray(policy).data)
    return content.digest()


class SolutionFiles:
    """Equilibria in a checkpoint's folder, a file a model. A damaged file is told of, and as good as none."""

    def __init__(self, held: Checkpoint) -> None:
        self.held = held
        names = (SOLUTION.fullmatch(path.name) for path in held.folder.iterdir())
        self.unread = {int(match[1]) for match in names if match}

    def holds(self, member: int) -> bool:
        """Whether there is an equilibrium of this model that has not been loaded yet."""
        return member in self.unread

    def load(self, member: int) -> Solution | None:
        """Read the equilibrium of a model; None when there is none that can be read."""
        if member not in self.unread:
            return None
        self.unread.discard(member)
        try:
            header, arrays = read_sealed(self._path(member))
        except DamagedFileError as error:
            self.held.tell(f"{error}; solving model {member} again")
            return None
        facts = header.pop("solution")
        if header != self.held._journal.identity:
            return None
        return Solution(policy=frozen(arrays["policy"]), history=frozen(arrays["history"]), **facts)

    def save(self, member: int, solution: Solution) -> None:
        """Write the equilibrium of a model."""
        arrays = {"policy": solution.policy, "history": solution.history}
        facts = {key: getattr(solution, key) for key in ("ne_gap", "iterations", "converged", "method")}
        write_sealed(self._path(member), self.held._journal.identity | {"solution": facts}, arrays)

    def _path(self, member: int) -> Path:
        return self.held.folder / f"equilibrium-{member:06d}"
