"""The clock and the waiting, passed in: tests move time by hand, nothing here sleeps for real."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Time:
    """The clock and the waiting, passed in."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
