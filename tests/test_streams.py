"""Random streams: each purpose has a key of its own, and all keys stand in one place."""

import itertools
import re
from pathlib import Path

import numpy as np

import fastmfg
from fastmfg.streams import Stream

PACKAGE = Path(fastmfg.__file__).parent

FIXED = {
    "games/adapters/open_spiel_reader.py": 2,  # probes of another library's arguments
    "games/zoo/motion.py": 1,  # a bar's path, drawn from the seed itself: no key is empty but this one
    "planning/occupation.py": 1,  # attempts, by number
}
"""Generators that are made without a stream, by file."""


def test_every_purpose_has_a_number_of_its_own():
    assert len(Stream.__members__) == len({stream.value for stream in Stream})  # an alias would be a second purpose
    assert all(stream.value >= 0 for stream in Stream)


def test_keys_give_different_numbers_for_one_seed():
    """Also those with further numbers: no purpose is a part of another one."""
    keys = [(stream, *numbers) for stream in Stream for numbers in ((), (0,), (1,), (7,))]
    drawn = [stream.generator(3, *numbers).integers(2**63) for stream, *numbers in keys]
    drawn.append(np.random.default_rng(3).integers(2**63))
    assert all(a != b for a, b in itertools.combinations(drawn, 2))


def test_all_keys_stand_in_one_module():
    made = {}
    for path in PACKAGE.rglob("*.py"):
        name, text = path.relative_to(PACKAGE).as_posix(), path.read_text(encoding="utf-8")
        if name != "streams.py":
            assert "spawn_key" not in text, name
            assert "SeedSequence" not in text, name
            made[name] = len(re.findall(r"default_rng\(", text))
    assert {name: count for name, count in made.items() if count} == FIXED


def test_every_stream_is_used_in_one_module():
    users = {stream.name: [] for stream in Stream}
    for path in PACKAGE.rglob("*.py"):
        for name in set(re.findall(r"\bStream\.([A-Z_]+)\b", path.read_text(encoding="utf-8"))):
            users[name].append(path.stem)
    shared = {name: sorted(files) for name, files in users.items() if len(files) != 1}
    assert shared == {"HIDDEN_MODEL": ["experiment", "figure2"], "REFERENCES": ["certified", "state"]}
