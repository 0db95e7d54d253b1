"""What of a file has come so far: one JSON line for the file's marks, one for each range that is here with its hash.

Guarantees: a range that the journal names is in the `.part` file with this hash, or it is fetched again; a file that changed
on the host is begun anew.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# Large enough that a round trip between two is nothing, small enough that a break costs little.
RANGE_BYTES = 8 << 20


@dataclass(frozen=True)
class Marks:
    """What tells one state of a remote file from another."""

    path: str
    size: int
    mtime_ns: int
    ino: int


@dataclass(frozen=True)
class Range:
    at: int
    count: int
    digest: str = ""


def ranges(size: int, done: list[Range], range_bytes: int = RANGE_BYTES) -> list[Range]:
    """What is still to be fetched. Pure."""
    here = {(r.at, r.count) for r in done}
    wanted = [Range(at, min(range_bytes, size - at)) for at in range(0, size, range_bytes)]
    return [r for r in wanted if (r.at, r.count) not in here]


class Journal:
    """Beside the file that it is about: `NAME.part` and `NAME.part.jsonl`."""

    def __init__(self, target: Path) -> None:
        self.part = target.with_name(target.name + ".part")
        self.file = target.with_name(target.name + ".part.jsonl")

    def begin(self, marks: Marks) -> list[Range]:
        """The ranges that are here and sound; with an empty `.part` of full size where there are none."""
        lines = self._lines()
        if lines and lines[0] == asdict(marks) and self.part.exists():
            return [r for r in _ranges(lines[1:]) if self._is_sound(r)]
        self.part.unlink(missing_ok=True)
        with open(self.part, "wb") as file:
            os.truncate(file.fileno(), marks.size)
        self.file.write_text(json.dumps(asdict(marks)) + "\n")
        return []

    def add(self, done: Range) -> None:
        """Called when the bytes are in the `.part` file. A line is written whole or torn; a torn one is not believed."""
        with open(self.file, "ab", buffering=0) as file:
            file.write(json.dumps(asdict(done)).encode() + b"\n")

    def end(self) -> None:
        self.part.unlink(missing_ok=True)
        self.file.unlink(missing_ok=True)

    def _lines(self) -> list[dict[str, Any]]:
        try:
            text = self.file.read_bytes()
        except FileNotFoundError:
            return []
        found = []
        for line in text.splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return [value for value in found if isinstance(value, dict)]

    def _is_sound(self, done: Range) -> bool:
        """Read again: a machine that lost its power may have kept the line and not the bytes."""
        with open(self.part, "rb") as file:
            file.seek(done.at)
            return hashlib.sha256(file.read(done.count)).hexdigest() == done.digest


def _ranges(lines: list[dict[str, Any]]) -> list[Range]:
    return [Range(v["at"], v["count"], v["digest"]) for v in lines if {"at", "count", "digest"} <= v.keys()]
