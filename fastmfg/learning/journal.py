"""The journal of a run on disk: every sample drawn, and to which question; what is settled is not written again.

Draws are kept in numbered segments, files ``samples-<segment>-<generation>``. Only the last segment grows: each write
makes a new generation of it, and the last two stay, until it holds `SEGMENT_BYTES` and the next one begins. A damaged
file thus costs what the generation before it did not have yet; what follows a damaged segment is set aside.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmfg.files import DamagedFileError, read_sealed, write_sealed
from fastmfg.games.checks import Floats

FORMAT = 1
"""Of all files of a checkpoint."""

SEGMENT_BYTES = 1 << 20
"""A segment that holds this much is finished: what a write rewrites at most, about."""

NAME = re.compile(r"samples-(\d+)-(\d+)")

Tell = Callable[[str], Any]
"""Receives one line that people should read."""


class CheckpointError(ValueError):
    """A checkpoint that this run can not go on from."""


@dataclass(frozen=True)
class Draw:
    """A question put to an oracle, by its digest, and the answer."""

    question: bytes
    states: NDArray[Any]  # [n, H+1]   unsigned, as small as can be
    actions: NDArray[Any]  # [n, H]
    rewards: Floats | None = None  # [n, H]   observed, where they are unknown

    @property
    def size(self) -> int:
        rewards = 0 if self.rewards is None else self.rewards.nbytes
        return len(self.question) + self.states.nbytes + self.actions.nbytes + rewards


@dataclass(frozen=True)
class Mark:
    """How far a run has come."""

    draws: int = 0
    rounds: int = 0  # finished
    oracle: Any = None  # its state after so many draws; None: it has none


@dataclass
class Journal:
    """The draws of a run, in memory and in the files of a folder."""

    folder: Path
    identity: dict[str, Any] = field(default_factory=dict)  # of the run; every file has it. Empty: there are no files
    draws: list[Draw] = field(default_factory=list)
    mark: Mark = Mark()  # set in one go: a run may be interrupted anywhere, and what it counts is consistent
    written: Mark = Mark()  # on disk
    segment: int = 1  # the growing one
    first: int = 0  # its first draw
    generation: int = 0  # of its last file

    def append(self, draw: Draw, oracle: Any) -> None:
        """Take a draw up, and the oracle's state after it."""
        self.draws.append(draw)
        self.mark = replace(self.mark, draws=len(self.draws), oracle=oracle)

    def write(self) -> None:
        """Bring the disk up to date."""
        mark, generation = self.mark, self.generation + 1
        draws = self.draws[self.first : mark.draws]
        header = self.identity | {"first": self.first, "rounds": mark.rounds, "oracle": mark.oracle}
        write_sealed(self.folder / file_name(self.segment, generation), header, packed(draws))
        (self.folder / file_name(self.segment, generation - 2)).unlink(missing_ok=True)
        self.generation, self.written = generation, mark
        if sum(draw.size for draw in draws) >= SEGMENT_BYTES:
            self.segment, self.first, self.generation = self.segment + 1, mark.draws, 0

    def read(self, tell: Tell) -> None:
        """Take up what the files hold, as far as they are whole; `tell` of damage.

        Raises CheckpointError when none is whole, or when they are of another format.
        """
        files = self._files()
        for segment, generations in files.items():
            whole = [generation for generation in generations if self._take_up(segment, generation, tell)]
            if whole != generations[:1]:
                break
        if files and not self.identity:
            raise CheckpointError(f"no file of samples in {self.folder} is whole: remove the folder to start anew")
        self._set_aside(files)
        self.written = self.mark

    def _files(self) -> dict[int, list[int]]:
        """Generations of each segment, newest first."""
        found: dict[int, list[int]] = {}
        for path in self.folder.iterdir():
            if match := NAME.fullmatch(path.name):
                found.setdefault(int(match[1]), []).append(int(match[2]))
        return {segment: sorted(found[segment], reverse=True) for segment in sorted(found)}

    def _take_up(self, segment: int, generation: int, tell: Tell) -> bool:
        """Read a file unless its segment has been; False also when it is damaged or does not follow what was read."""
        if self.identity and self.segment == segment:
            return False
        path = self.folder / file_name(segment, generation)
        try:
            header, arrays = read_sealed(path)
        except DamagedFileError as error:
            tell(f"{error}; going on from what was written before")
            return False
        identity = {key: header.pop(key, None) for key in ("format", "package", "run")}
        if identity["format"] != FORMAT:
            raise CheckpointError(f"{path} has the format {identity['format']}; this version reads {FORMAT}")
        if header["first"] != len(self.draws) or (self.identity and identity != self.identity):
            tell(f"{path} does not follow what was written before; going on from that")
            return False
        self.identity, self.segment, self.first, self.generation = identity, segment, len(self.draws), generation
        self.draws += unpacked(arrays)
        self.mark = Mark(len(self.draws), header["rounds"], header["oracle"])
        return True

    def _set_aside(self, files: dict[int, list[int]]) -> None:
        """Rename the files that are newer than the last one taken up."""
        for segment, generations in files.items():
            for generation in generations:
                if (segment, generation) > (self.segment, self.generation):
                    path = self.folder / file_name(segment, generation)
                    path.replace(path.with_name(f"damaged-{path.name}"))


def file_name(segment: int, generation: int) -> str:
    return f"samples-{segment:06d}-{generation:06d}"


def packed(draws: list[Draw]) -> dict[str, NDArray[Any]]:
    """Draws as arrays: questions [k, 32], trajectories of each [k], states [n, H+1], actions and any rewards [n, H]."""
    if not draws:
        return {}
    rewards = [draw.rewards for draw in draws if draw.rewards is not None]
    return ({"rewards": np.concatenate(rewards)} if rewards else {}) | {
        "questions": np.frombuffer(b"".join(draw.question for draw in draws), np.uint8).reshape(len(draws), -1),
        "counts": np.array([len(draw.states) for draw in draws], dtype=np.int64),
        "states": np.concatenate([draw.states for draw in draws]),
        "actions": np.concatenate([draw.actions for draw in draws]),
    }


def unpacked(arrays: dict[str, NDArray[Any]]) -> Iterator[Draw]:
    """The draws that `packed` was given."""
    if not arrays:
        return
    ends = np.cumsum(arrays["counts"])
    rewards = arrays.get("rewards")
    for question, count, end in zip(arrays["questions"], arrays["counts"], ends, strict=True):
        part = slice(end - count, end)
        observed = None if rewards is None else rewards[part]
        yield Draw(question.tobytes(), arrays["states"][part], arrays["actions"][part], observed)
