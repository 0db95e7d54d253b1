"""Hear at once when something is written in a folder, without asking again and again: inotify on the screen's own loop.

Does not guarantee to hear anything (another system, a network file system): whoever listens looks now and then besides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from engine.supervisor.inotify import Inotify


class Ear:
    """Listens to one folder at a time."""

    def __init__(self, inotify: Inotify, heard: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
        self._inotify, self._heard, self._loop = inotify, heard, loop
        self._watch: int | None = None
        loop.add_reader(inotify.fd, self._read)

    @staticmethod
    def open(heard: Callable[[], None]) -> Ear | None:
        """None where the system has no such thing. Called on the loop that is to hear."""
        inotify = Inotify.open()
        return Ear(inotify, heard, asyncio.get_running_loop()) if inotify is not None else None

    def listen(self, folder: Path) -> bool:
        """To this folder from now on; False where that can't be."""
        if self._watch is not None:
            self._inotify.remove(self._watch)
        self._watch = self._inotify.add(folder)
        return self._watch is not None

    def _read(self) -> None:
        if self._watch in (told := self._inotify.heard()) or -1 in told:
            self._heard()

    def close(self) -> None:
        self._loop.remove_reader(self._inotify.fd)
        self._inotify.close()
