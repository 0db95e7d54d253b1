"""The end of a log that is on another host, before its copy here has caught up: a log of gigabytes shows its end at once.

    show_end(host, run_id, lines=20, follow=True, write=sys.stdout.buffer.write)

Guarantees: every byte from where it begins comes once, in order, also across lost connections.
Does not guarantee: the lines before; those come with the run's mirror, which fills up beside it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from remote.ssh.host import SshHost

# Lines beyond this many bytes from the end are not looked for: one answer, one round trip.
_END_BYTES = 256 << 10
# A copy that lacks less is waited for instead.
LAG_BYTES = 4 << 20
_LOOK_S = 0.2


@dataclass
class LogEnd:
    """Writes what comes behind `at`; a `remote.helper_link.Follower`."""

    at: int
    write: Callable[[bytes], Any]
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def offsets(self) -> dict[str, int]:
        return {"log": self.at}

    def take(self, head: dict[str, Any], payload: bytes) -> None:
        if head.get("file") != "log" or head.get("rewritten"):
            return
        with self._lock:
            new = payload[max(0, self.at - head["at"]) :]
            self.write(new)
            self.at += len(new)


def lag(host: SshHost, run_id: str, here: int) -> int:
    """How many bytes of the log the copy lacks."""
    return max(0, host.read(run_id, "log", -1).size - here)


def show_end(
    host: SshHost,
    run_id: str,
    lines: int,
    follow: bool,
    write: Callable[[bytes], Any],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """The last lines; with `follow` what comes after them, until the run has ended."""
    chunk = host.read(run_id, "log", -_END_BYTES, _END_BYTES)
    write(last_lines(chunk.data, lines))
    if not follow:
        return
    end = LogEnd(chunk.offset + len(chunk.data), write)
    number = host.link.follow(run_id, end, only=("log",))
    try:
        while True:
            over = host.observe(run_id).final  # asked before the size: nothing is written after it
            if over and host.read(run_id, "log", -1).size <= end.at:
                return
            sleep(_LOOK_S)
    finally:
        host.unfollow(number)


def last_lines(data: bytes, lines: int) -> bytes:
    """The last so many lines of these bytes; an unfinished one counts."""
    if lines <= 0:
        return b""
    at = len(data) - 1 if data.endswith(b"\n") else len(data)
    for _ in range(lines):
        at = data.rfind(b"\n", 0, at)
        if at < 0:
            return data
    return data[at + 1 :]
