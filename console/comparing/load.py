"""Runs as members of a comparison, from their folders and the index; read on where they go on."""

from __future__ import annotations

from collections.abc import Sequence

from console.comparing.sides import Member
from console.reading.view import RunView
from console.runs.finals import kept
from console.runs.index import RunIndex
from engine.protocol.layout import Root

MOST = 60
"""Runs in one comparison: more lines on a chart tell nothing, and each is read whole."""


class Loader:
    """Keeps what it has read, so that a change of the set reads only what is new. One thread at a time."""

    def __init__(self, root: Root, index: RunIndex) -> None:
        self._root, self._index = root, index
        self._views: dict[str, RunView] = {}

    def members(self, run_ids: Sequence[str], with_curves: bool = True) -> list[Member]:
        """Those that are still there, in the order given."""
        run_ids = list(run_ids)[:MOST]
        for gone in set(self._views) - set(run_ids):
            del self._views[gone]
        lines, shown = self._index.lines(run_ids), self._index.shown(run_ids)
        found = []
        for run_id in run_ids:
            if run_id not in lines:
                continue
            line = lines[run_id]
            view = self._view(run_id) if with_curves and not line.row.unreadable else None
            config, finals = shown[run_id]
            if view is not None:
                finals = {**finals, **{name: kept(value) for name, value in view.latest.items()}}
            found.append(Member(line.row, config, finals, view.series if view else {}, line.usd, line.tags))
        return found

    def read_on(self) -> bool:
        """Take in what live runs have written since; True if anything was."""
        changed = [view.pump() for view in self._views.values() if view.status.live]
        return any(changed)

    def _view(self, run_id: str) -> RunView:
        if run_id not in self._views:
            view = self._views[run_id] = RunView(self._root.run(run_id))
            while view.pump() and view.more:
                pass
            view.keep()
        return self._views[run_id]
