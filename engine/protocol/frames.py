"""Frames: what a console and a host's helper say to each other over one pair of pipes.

    4 bytes length of the head, 4 bytes length of the payload (both big-endian), head (a JSON object), payload (raw bytes)

The helper's first frame comes after MAGIC; whatever a login shell printed before it is skipped.

Guarantees: a frame is given out whole or not yet; what can't be a frame is a `BadFrame`, never a huge allocation.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MAGIC = b"\0\1fractal-frames-1\n"

_LENGTHS = struct.Struct(">II")
# A plan with hundreds of steps or the list of a large tree is a few megabytes; ten times that is a mistake.
_MOST_HEAD = 64 << 20
_MOST_PAYLOAD = 64 << 20

# Large enough that its head costs nothing, small enough that a heartbeat behind it is not late.
PIECE = 256 << 10


class BadFrame(Exception):
    """The other side speaks something else, or bytes are missing."""


@dataclass(frozen=True)
class Frame:
    """One message."""

    head: dict[str, Any]
    payload: bytes = b""


def encode_head(head: dict[str, Any], payload_bytes: int = 0) -> bytes:
    """Everything of a frame but its payload, which is then written without a copy."""
    text = json.dumps(head, separators=(",", ":")).encode()
    return _LENGTHS.pack(len(text), payload_bytes) + text


def encode(head: dict[str, Any], payload: bytes = b"") -> bytes:
    return encode_head(head, len(payload)) + payload


class Decoder:
    """Bytes in, whole frames out."""

    def __init__(self, wait_for_magic: bool = False) -> None:
        self._held = bytearray()
        self._waits = wait_for_magic
        self.noise = bytearray()
        """What came before MAGIC: the words of a login shell, or of a program that is not ours."""

    @property
    def begun(self) -> bool:
        """MAGIC has come, or is not waited for."""
        return not self._waits

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete now."""
        self._held += data
        if self._waits and not self._found_magic():
            return
        at = 0
        while (frame := self._next(at)) is not None:
            at = frame[1]
            yield frame[0]
        del self._held[:at]

    def _next(self, at: int) -> tuple[Frame, int] | None:
        if len(self._held) - at < _LENGTHS.size:
            return None
        head_bytes, payload_bytes = _LENGTHS.unpack_from(self._held, at)
        if head_bytes > _MOST_HEAD or payload_bytes > _MOST_PAYLOAD:
            raise BadFrame(f"a frame of {head_bytes} + {payload_bytes} bytes is announced: this is not our helper")
        start = at + _LENGTHS.size
        end = start + head_bytes + payload_bytes
        if len(self._held) < end:
            return None
        with memoryview(self._held) as view:
            head = _head(bytes(view[start : start + head_bytes]))
            return Frame(head, bytes(view[start + head_bytes : end])), end

    def _found_magic(self) -> bool:
        at = self._held.find(MAGIC)
        if at < 0:
            # All but what could be the beginning of MAGIC is noise.
            cut = max(0, len(self._held) - len(MAGIC))
            self.noise += self._held[:cut]
            del self.noise[:-4096], self._held[:cut]
            return False
        self.noise += self._held[:at]
        del self.noise[:-4096], self._held[: at + len(MAGIC)]
        self._waits = False
        return True


def _head(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise BadFrame("the head of a frame is no JSON") from None
    if not isinstance(value, dict):
        raise BadFrame("the head of a frame is no JSON object")
    return value
