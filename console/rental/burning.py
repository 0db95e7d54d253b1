"""What burns money now, from the ledger on this machine alone: no request, so every screen can say it every second."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remote.cloud.cloud_paths import CloudPaths


@dataclass(frozen=True)
class Burning:
    """Everything that is rented, in one sum."""

    count: int = 0
    usd_per_h: float = 0.0
    cost_usd: float = 0.0
    """So far, at most, of what is open now."""
    ends_in_s: float = 0.0
    """Until the first lease or budget ends, whichever comes first."""
    guard: str = ""
    """Who watches, in words."""
    is_known: bool = True
    """False where the ledger can't be read: that is not the same as nothing."""

    @property
    def is_guarded(self) -> bool:
        return self.guard.startswith("armed")


def burning(paths: CloudPaths, now: float) -> Burning:
    """Read the ledger; costs a look at a file where nothing was ever rented."""
    if not paths.ledger.exists():
        return Burning()
    from remote.cloud.ledger import Ledger  # only where there is one to read

    try:
        with Ledger(paths.ledger) as ledger:
            entries = ledger.open()
    except (sqlite3.Error, OSError):
        return Burning(is_known=False)
    if not entries:
        return Burning()
    from remote.cloud.guard import armed  # brings the HTTP client: only where there is something to guard

    return Burning(
        count=len(entries),
        usd_per_h=sum(e.price_cents_per_h for e in entries) / 100,
        cost_usd=round(sum(e.cost_usd(now) for e in entries), 2),
        ends_in_s=round(
            min(_left_s(e.lease_until, e.max_usd - e.cost_usd(now), e.price_cents_per_h, now) for e in entries)
        ),
        guard=armed(paths, now),
    )


def _left_s(lease_until: float, usd_left: float, cents_per_h: int, now: float) -> float:
    by_budget = usd_left / cents_per_h * 360_000 if cents_per_h else float("inf")
    return min(lease_until - now, by_budget)
