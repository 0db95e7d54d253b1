"""The desk: one thread that does the console's blocking work in order, and posts messages. It touches no widget.

One thread, so the workspace needs no locks: looking and acting never overlap.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from console.errors import in_words
from console.messages import Looked, Refused
from console.project import find_project
from console.rental.burning import burning
from console.workspace import Workspace
from remote.cloud.cloud_paths import CloudPaths

if TYPE_CHECKING:
    from textual.app import App
    from textual.message import Message


class Desk:
    """Takes work, answers with messages to the app."""

    def __init__(self, app: App[Any], space: Workspace, readonly: bool = False) -> None:
        self.app, self.space = app, space
        self.readonly = readonly
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="desk")
        self._look: Future[None] | None = None
        self._first: Future[Looked] | None = None

    def do(self, work: Callable[[Workspace], Message | None]) -> None:
        """Queue an action that changes something; its message, or the reason why it was refused, comes to the app."""
        if self.readonly:
            self.app.post_message(Refused("this console was opened read-only: nothing was changed"))
        else:
            self._pool.submit(self._done, work)

    def find_out(self, work: Callable[[Workspace], Message | None]) -> None:
        """Queue a question that changes nothing but the console's own memory."""
        self._pool.submit(self._done, work)

    def _done(self, work: Callable[[Workspace], Message | None]) -> None:
        try:
            message = work(self.space)
        except Exception as error:
            message = Refused(in_words(error))
        if message is not None:
            self.app.post_message(message)

    def begin(self, presets: dict[str, str]) -> None:
        """Look for the first time, while the screen is being made."""
        self._first = self._pool.submit(look, self.space, dict(presets))

    def first_look(self, patience_s: float) -> Looked | None:
        """What `begin` has seen; None where it takes longer, or where nothing could be seen: the next look says why."""
        if self._first is None:
            return None
        try:
            return self._first.result(patience_s)
        except Exception:
            return None

    def look(self, presets: dict[str, str]) -> None:
        """Look at the world, unless a look is under way already."""
        if self._look is None or self._look.done():
            self._look = self._pool.submit(self._done, lambda space: look(space, dict(presets)))

    def close(self) -> None:
        """In the desk's own thread: a connection is closed where it was used."""
        if self._look is not None:
            self._look.cancel()
        self._pool.submit(self.space.close)
        self._pool.shutdown(wait=True)


def look(space: Workspace, presets: dict[str, str]) -> Looked:
    """Every phase at the preset on show, the newest runs, and what stands in the queue."""
    if not space.readonly:
        space.far.attend()
    space.refresh()
    space.reload_if_edited()
    tree = space.tree(with_git=False)
    standings = {}
    for name, phase in space.project.phases.phases.items():
        resolved = space.choose(phase, presets.get(name))
        standings[name] = space.standing(phase, resolved, tree)
    runs = space.store.runs(space.project.name, limit=500)
    cloud = CloudPaths(space.root.path / "cloud")
    return Looked(
        standings,
        runs,
        list(space.project.phases.problems),
        space.queue(),
        burning(cloud, time.time()),
        space.spent(),
        space.store.notes.on_phases(space.project.name),
    )


def open_workspace(*, readonly: bool = False) -> Workspace:
    return Workspace(find_project(), readonly=readonly)
