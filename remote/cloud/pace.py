"""One pace for all consoles and guards of a user: a token bucket in a file.

Lambda takes one request a second, and one launch in twelve. Every caller books the next free moment under a file lock and
sleeps until it comes, so ten consoles together stay within the limit.
Guarantees: two callers never get the same moment; a file that is damaged, or from a clock far ahead, is started afresh.
Does not guarantee: anything about other machines that use the same account; they show as 429, which `hold_off` spreads.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

REQUEST_S = 1.0
LAUNCH_S = 12.0

# Nobody books further ahead than this: what lies beyond is a clock that was wrong when the file was written.
_FARTHEST_S = 600.0


class Pace:
    """When the next request may go."""

    def __init__(
        self,
        file: Path,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        request_s: float = REQUEST_S,
        launch_s: float = LAUNCH_S,
    ) -> None:
        self._file = file
        self.now = now
        self._sleep = sleep
        self._intervals = {"request": request_s, "launch": launch_s}

    def wait(self, *, launch: bool = False) -> float:
        """Book the next free moment, sleep until then, and say how long that was."""
        kinds = ("request", "launch") if launch else ("request",)
        with self._booked() as booked:
            now = self.now()
            moment = max([now, *(self._next(booked, kind, now) for kind in kinds)])
            for kind in kinds:
                booked[kind] = moment + self._intervals[kind]
        delay = moment - now
        if delay > 0:
            self._sleep(delay)
        return delay

    def hold_off(self, seconds: float) -> None:
        """Somebody was told "too many": nobody asks for a while."""
        with self._booked() as booked:
            until = self.now() + min(seconds, _FARTHEST_S)
            booked["request"] = max(until, self._next(booked, "request", self.now()))

    def _next(self, booked: dict[str, float], kind: str, now: float) -> float:
        moment = booked.get(kind, 0.0)
        return moment if moment <= now + _FARTHEST_S else now

    @contextmanager
    def _booked(self) -> Iterator[dict[str, float]]:
        fd = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            booked = _parse(os.pread(fd, 4096, 0))
            yield booked
            data = json.dumps(booked).encode()
            os.pwrite(fd, data, 0)
            os.ftruncate(fd, len(data))
        finally:
            os.close(fd)


def _parse(data: bytes) -> dict[str, float]:
    try:
        value = json.loads(data or b"{}")
    except ValueError:
        return {}
    if not isinstance(value, dict):
        return {}
    return {str(k): float(v) for k, v in value.items() if isinstance(v, (int, float))}
