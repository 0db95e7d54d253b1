"""Waiting for another process that holds an SQLite file, where SQLite itself does not wait."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable

# Another writer holds the file for milliseconds; half a minute means that something is wrong with it.
BUSY_S = 30.0


def patiently(act: Callable[[], object]) -> None:
    """Changing the journal mode does not wait for another process by itself, so this does."""
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            act()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
