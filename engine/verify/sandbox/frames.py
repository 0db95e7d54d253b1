"""Length-prefixed messages over a file descriptor, with plain reads and writes: sockets' own calls aren't allowed in the jail."""

from __future__ import annotations

import os
import select
import struct
import time

_HEAD = struct.Struct("!I")


class Closed(Exception):
    """The other side is gone."""


class TooLong(Exception):
    """A message longer than agreed."""


class Late(Exception):
    """No whole message before the deadline."""


def send(fd: int, payload: bytes) -> None:
    data = _HEAD.pack(len(payload)) + payload
    try:
        done = os.write(fd, data)
        while done < len(data):
            done += os.write(fd, data[done : done + (1 << 16)])
    except (BrokenPipeError, ConnectionResetError):
        raise Closed from None


def receive(fd: int, most: int) -> bytes:
    """One message, waiting as long as it takes. For the candidate's side, whose time others watch."""
    (length,) = _HEAD.unpack(_exactly(fd, 4))
    if length > most:
        raise TooLong(f"{length} bytes announced, {most} agreed")
    return _exactly(fd, length)


def _exactly(fd: int, count: int) -> bytes:
    parts = []
    while count:
        part = os.read(fd, min(count, 1 << 20))
        if not part:
            raise Closed
        parts.append(part)
        count -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


class Reader:
    """Messages from a descriptor that may send anything at any speed. One poll and one read for a short message."""

    def __init__(self, fd: int, most: int) -> None:
        self.fd = fd
        self.most = most
        self._held = b""
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)

    @property
    def holds_one(self) -> bool:
        """A whole message was read along with an earlier one: nothing on the descriptor will tell of it."""
        if len(self._held) < 4:
            return False
        (length,) = _HEAD.unpack_from(self._held)
        return len(self._held) >= 4 + length or length > self.most

    def next(self, deadline: float) -> bytes:
        """The next message before `time.monotonic()` reaches `deadline`."""
        held = self._held
        need = 4
        parts = [held]
        have = len(held)
        while True:
            if have >= 4 and need == 4:
                joined = b"".join(parts)
                (length,) = _HEAD.unpack_from(joined)
                if length > self.most:
                    raise TooLong(f"{length} bytes announced, {self.most} agreed")
                parts, need = [joined], 4 + length
            if have >= need:
                joined = b"".join(parts)
                self._held = joined[need:]
                return joined[4:need]
            left = deadline - time.monotonic()
            if left <= 0 or not self._poll.poll(left * 1000 + 1):
                raise Late
            try:
                part = os.read(self.fd, 1 << 18)
            except ConnectionResetError:
                raise Closed from None
            if not part:
                raise Closed
            parts.append(part)
            have += len(part)
