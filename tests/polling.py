"""Waiting for what another process does: a deadline, a short poll, never a bare sleep."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# A loaded two-core machine may take seconds to start a Python; a test that hangs must still end.
DEADLINE_S = 20.0
_POLL_S = 0.02


def until(look: Callable[[], T], what: str = "", deadline_s: float = DEADLINE_S) -> T:
    """The first true answer of `look`; AssertionError, with what was last seen, when the deadline passes."""
    limit = time.monotonic() + deadline_s
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > limit:
            raise AssertionError(f"waited {deadline_s:g} s in vain for {what or 'it'}; last seen: {seen!r}")
        time.sleep(_POLL_S)
