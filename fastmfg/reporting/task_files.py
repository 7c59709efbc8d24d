"""One file a task, named by the SHA-256 of its settings: written whole, known to be whole when it is read."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any

from fastmfg import __version__
from fastmfg.learning.journal import Tell
from fastmfg.reporting.experiment import versions
from fastmfg.reporting.folder import plain
from fastmfg.reporting.sweep import Config, digest_of

FOLDER = "tasks"


class TaskFiles:
    """The tasks that a sweep's folder holds. Any number of processes may write at once."""

    def __init__(self, folder: Path, tell: Tell) -> None:
        self.folder, self.tell = folder / FOLDER, tell

    def path(self, digest: str) -> Path:
        """In one of 256 folders: a million files in one are slow in most file systems."""
        return self.folder / digest[:2] / f"{digest}.json"

    def write(self, config: Config, answer: dict[str, Any]) -> None:
        """Keep what a task gave. Two processes that do the same task leave the same content.

        Not forced to the disk: what a loss of power damages does not fit its seal, and is computed anew.
        """
        content = {"config": config, "versions": versions(), **answer}
        content = json.loads(json.dumps(content, default=plain, allow_nan=False))
        path = self.path(digest_of(config))
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            temporary.write_text(json.dumps(content | {"seal": digest_of(content)}) + "\n", encoding="utf-8")
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def read(self, config: Config) -> dict[str, Any] | None:
        """What a task gave; None where it is yet to be computed, also because its file is damaged or out of date."""
        path = self.path(digest_of(config))
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            seal = content.pop("seal")
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError):
            content, seal = None, ""
        if content is None or seal != digest_of(content) or content["config"] != config:
            self.tell(f"{path} is damaged: its task is computed anew")
            return None
        if content["versions"]["fastmfg"] != __version__:
            self.tell(f"{path} is of fastmfg {content['versions']['fastmfg']}: its task is computed anew")
            return None
        found: dict[str, Any] = content
        return found

    def present(self) -> set[str]:
        """Digests of all tasks that have a file, whole or not."""
        if not self.folder.is_dir():
            return set()
        found = set()
        for part in os.scandir(self.folder):
            if part.is_dir():
                found |= {entry.name[:-5] for entry in os.scandir(part) if entry.name.endswith(".json")}
        return found
