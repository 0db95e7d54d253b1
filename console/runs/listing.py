"""Which run folders may have news, without looking at those that are over.

The folder of runs is read again only when its own time stamp changed, so that a look at 100,000 ended runs costs one stat.
"""

from __future__ import annotations

import time
from collections.abc import Container
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.protocol.layout import Root

_RACY_NS = 1_000_000_000  # a stamp younger than this may be shared by a folder that is made right after we read


class Listing:
    """One reader's view of a folder of runs."""

    def __init__(self) -> None:
        self._stamp: int | None = None
        self._open: set[str] = set()

    def open_ids(self, root: Root, over: Container[str]) -> list[str]:
        """Runs that are not known to be over, oldest first; a folder without its spec is not yet a run."""
        stamp = _stamp(root)
        if stamp is None or stamp != self._stamp:
            self._open = set(root.run_folders())
            self._stamp = stamp if stamp is not None and time.time_ns() - stamp > _RACY_NS else None
        self._open = {name for name in self._open if name not in over}
        return sorted(name for name in self._open if root.run(name).spec.exists())


def _stamp(root: Root) -> int | None:
    try:
        return root.runs.stat().st_mtime_ns
    except OSError:
        return None
