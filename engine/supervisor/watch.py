"""What is new in a run's folder since the last look: appended bytes by offset, small files whole when they change.

Guarantees: bytes of an append-only file come in order, each offset once; `result.json` comes after everything else that was
there, so a copy made of these pieces is complete when it has a result; a file that became shorter is said to be rewritten
and starts again at 0.
Does not guarantee: to see a file that was replaced by a longer one with the same beginning as anything but appended to.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.protocol.frames import PIECE
from engine.protocol.layout import RunPaths
from engine.protocol.status import observe

_GROWING = ("log", "events.jsonl", "log-events.jsonl", "supervisor.jsonl", "supervisor.log")
_WHOLE = ("spec.json", "claim", "status.json", "started.json", "exit.json", "artifacts.json")
_LAST = "result.json"

# The state can change without a write: a supervisor that was killed leaves its files as they are.
_OBSERVE_S = 1.0
# And a state that has not changed is told again, so that a copy knows how fresh it is.
_AGAIN_S = 10.0


@dataclass(frozen=True)
class Piece:
    """One thing to tell."""

    head: dict[str, Any]
    payload: bytes = b""


@dataclass
class RunWatch:
    """One run, as one console follows it."""

    paths: RunPaths
    offsets: dict[str, int] = field(default_factory=dict)
    """Per growing file how much the console has."""
    only: tuple[str, ...] = ()
    """Growing files that are wanted; none named: all of them and the rest of the folder."""
    _marks: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    _status: dict[str, Any] | None = None
    _observe_at: float = 0.0
    _again_at: float = 0.0
    gone: bool = False
    hungry: bool = False
    """The last look left bytes behind."""

    def look(self, now: float) -> Iterator[Piece]:
        """What is new; at most one piece a file, so that many followed runs share the pipe fairly."""
        self.hungry = False
        names = self._names()
        if names is None:
            if not self.gone:
                self.gone = True
                yield Piece({"gone": True})
            return
        self.gone = False
        for name in self._growing(names):
            yield from self._appended(name)
        if self.only:
            return
        changed = [piece for name in _WHOLE if name in names for piece in self._changed(name)]
        yield from changed
        if changed or now >= self._observe_at or self._ending(names):
            yield from self._observed(now)
        if self._ending(names) and not self._behind():
            yield from self._changed(_LAST)

    def _ending(self, names: set[str]) -> bool:
        """There is a result that was not told yet."""
        return _LAST in names and _LAST not in self._marks

    def _names(self) -> set[str] | None:
        try:
            return set(os.listdir(self.paths.folder))
        except OSError:
            return None

    def _growing(self, names: set[str]) -> list[str]:
        ranks = sorted(n for n in names if n.startswith("log.rank"))
        return [n for n in (*_GROWING, *ranks) if n in names and (not self.only or n in self.only)]

    def _appended(self, name: str) -> Iterator[Piece]:
        at = self.offsets.get(name, 0)
        try:
            size = os.stat(self.paths.folder / name).st_size
            if size < at:
                self.offsets[name] = 0
                yield Piece({"file": name, "rewritten": True})
                at = 0
            if size == at:
                return
            with open(self.paths.folder / name, "rb", buffering=0) as file:
                file.seek(at)
                data = file.read(PIECE)
        except FileNotFoundError:
            return
        if data:
            self.offsets[name] = at + len(data)
            self.hungry = self.hungry or at + len(data) < size
            yield Piece({"file": name, "at": at, "size": size}, data)

    def _changed(self, name: str) -> Iterator[Piece]:
        path = self.paths.folder / name
        try:
            about = path.stat()
            mark = (about.st_mtime_ns, about.st_size, about.st_ino)
            if self._marks.get(name) == mark:
                return
            data = path.read_bytes()
        except FileNotFoundError:
            return
        self._marks[name] = mark
        yield Piece({"file": name, "whole": True}, data)

    def _observed(self, now: float) -> Iterator[Piece]:
        self._observe_at = now + _OBSERVE_S
        status = observe(self.paths).to_json()
        if status != self._status or now >= self._again_at:
            self._status, self._again_at = status, now + _AGAIN_S
            yield Piece({"status": status})

    def _behind(self) -> bool:
        """Is anything left to tell of the growing files? What was written before the result is told before it."""
        names = self._names() or set()
        return any(_size(self.paths.folder / n) > self.offsets.get(n, 0) for n in self._growing(names))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def watch_of(runs: Path, run_id: str, offsets: dict[str, int], only: tuple[str, ...] = ()) -> RunWatch:
    """A watch with clean offsets."""
    return RunWatch(RunPaths(runs / run_id), {str(k): max(0, int(v)) for k, v in offsets.items()}, only)
