"""inotify through ctypes: a folder's writes are heard at once. Where the system has none, `Inotify.open()` is None.

Does not guarantee: to hear what another machine writes to a network file system; whoever listens must look now and then.
"""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path

_MODIFY, _MOVED_TO, _CREATE, _CLOSE_WRITE = 0x2, 0x80, 0x100, 0x8
_HEAD = struct.Struct("iIII")


class Inotify:
    """One descriptor to select on."""

    def __init__(self, libc: ctypes.CDLL, fd: int) -> None:
        self._libc = libc
        self.fd = fd

    @staticmethod
    def open() -> Inotify | None:
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, AttributeError):
            return None
        return Inotify(libc, fd) if fd >= 0 else None

    def add(self, folder: Path) -> int | None:
        """Listen to a folder; its number, or None where that is not possible (then it is looked at by the clock)."""
        mask = _MODIFY | _MOVED_TO | _CREATE | _CLOSE_WRITE
        watch = self._libc.inotify_add_watch(self.fd, os.fsencode(folder), mask)
        return watch if watch >= 0 else None

    def remove(self, watch: int) -> None:
        self._libc.inotify_rm_watch(self.fd, watch)

    def heard(self) -> set[int]:
        """The folders in which something was written; -1 stands for "events were lost, look everywhere"."""
        found: set[int] = set()
        while True:
            try:
                data = os.read(self.fd, 64 << 10)
            except BlockingIOError:
                return found
            at = 0
            while at < len(data):
                watch, _, _, length = _HEAD.unpack_from(data, at)
                found.add(watch)
                at += _HEAD.size + length

    def close(self) -> None:
        os.close(self.fd)
