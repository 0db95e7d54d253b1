"""A copy of a remote run on this machine, in the same layout, so that every reader has one code path and works offline.

    with Mirror(root.run(run_id), host.name) as mirror:
        number = host.follow(run_id, mirror); …; host.unfollow(number)

Guarantees: a growing file's length is its cursor, so data and offset can't disagree: no byte twice, none missing, whatever
is killed; one process writes a mirror, others read it; `result.json` comes last; `observed.json` says what the host
concluded and when it was heard.
Does not guarantee: the files of the run's work folder; that is `remote.pull`.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.protocol.durable import write_bytes, write_json
from engine.protocol.layout import RunPaths
from engine.protocol.status import Status


class Gap(OSError):
    """A piece lies beyond what is here: ask again from here."""


def _nobody(what: str) -> None:
    pass


@dataclass
class Mirror:
    """One run's copy. Pieces come from one thread."""

    paths: RunPaths
    host: str
    on_news: Callable[[str], None] = _nobody
    """Called with the name of what is new: a file, `status`, `gone`."""
    now: Callable[[], float] = time.time
    status: Status | None = None
    notes: list[str] = field(default_factory=list)
    """What a person should know: a file that was rewritten, a run folder that is gone, a disk that is full here."""
    complete: threading.Event = field(default_factory=threading.Event)
    """The result is here, and so are log, events and artifacts; the supervisor's own last line may follow it."""
    _lock_fd: int = -1
    _sizes: dict[str, int] = field(default_factory=dict)
    """How long each growing file was on the host when it was last spoken of."""

    def __enter__(self) -> Mirror:
        if not self.begin():
            raise BlockingIOError(f"another console mirrors {self.paths.run_id}")
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(self) -> bool:
        """Become the one writer; False where another console is (its copy is as good as ours would be)."""
        self.paths.folder.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.paths.folder / ".mirror", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            return False
        self._lock_fd = fd
        return True

    def close(self) -> None:
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def offsets(self) -> dict[str, int]:
        """How much of each growing file is here."""
        names = [f for f in os.listdir(self.paths.folder) if _grows(f)]
        return {name: (self.paths.folder / name).stat().st_size for name in names}

    def take(self, head: dict[str, Any], payload: bytes) -> None:
        """One piece; OSError where it can't be written here (it is told again later)."""
        if self._lock_fd < 0:
            return
        if "status" in head:
            self._observed(head["status"])
        elif head.get("gone"):
            self._note(f"the folder of {self.paths.run_id} on {self.host} is gone; what was copied is still here")
            self.on_news("gone")
        else:
            self._file(self.paths.folder / safe_name(head["file"]), head, payload)

    def _file(self, path: Path, head: dict[str, Any], payload: bytes) -> None:
        if head.get("rewritten"):
            self._set_aside(path)
        elif head.get("whole"):
            write_bytes(path, payload)
        else:
            self._sizes[path.name] = head.get("size", 0)
            self._append(path, head["at"], payload)
        if path == self.paths.result:
            self.complete.set()
        self.on_news(path.name)

    def _append(self, path: Path, at: int, data: bytes) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            here = os.fstat(fd).st_size
            if here < at:
                raise Gap(f"{path} ends at {here} and what came begins at {at}")
            left = memoryview(data)[here - at :]
            while left:
                left = left[os.write(fd, left) :]
        except OSError as error:
            if not isinstance(error, Gap):
                self._note(f"{path} can't be written here: {error.strerror}; it goes on once that is mended")
            raise
        finally:
            os.close(fd)

    def _set_aside(self, path: Path) -> None:
        """Keep the bytes of before: never silently lost, never mixed with the new ones."""
        number = 1
        while (old := path.with_name(f".{path.name}.before-{number}")).exists():
            number += 1
        if path.exists():
            path.rename(old)
            self._note(f"{path.name} was rewritten on {self.host}; what it was before is {old.name}")

    @property
    def is_level(self) -> bool:
        """The host was heard, and everything it spoke of is here, but for the logs, which may be long."""
        return self.status is not None and not any(self._behind(n) for n in self._sizes if not _is_log(n))

    @property
    def log_lag(self) -> int:
        """How many bytes of the log the host has spoken of and are not here yet."""
        try:
            return max(0, self._sizes.get("log", 0) - (self.paths.folder / "log").stat().st_size)
        except OSError:
            return self._sizes.get("log", 0)

    def _behind(self, name: str) -> bool:
        try:
            return (self.paths.folder / name).stat().st_size < self._sizes[name]
        except OSError:
            return True

    def _observed(self, value: dict[str, Any]) -> None:
        whole = not any(self._behind(name) for name in list(self._sizes))
        write_json(self.paths.observed, {"status": value, "at": self.now(), "host": self.host, "whole": whole})
        self.status = Status.from_json(value)
        self.on_news("status")

    def _note(self, words: str) -> None:
        if words not in self.notes:
            self.notes.append(words)


def _grows(name: str) -> bool:
    return _is_log(name) or name in _GROWING


def _is_log(name: str) -> bool:
    return name == "log" or name.startswith("log.rank")


_GROWING = ("events.jsonl", "log-events.jsonl", "supervisor.jsonl", "supervisor.log")


def safe_name(name: str) -> str:
    """A file of the run folder itself: a host may not write elsewhere on this machine."""
    if "/" in name or name.startswith(".") or not name:
        raise OSError(f"{name!r} is no file of a run")
    return name
