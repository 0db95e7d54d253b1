"""What an hour of the machine cost that a run was on: the price in the ledger of the instance of that name at that time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remote.cloud.ledger import Ledger

if TYPE_CHECKING:
    from remote.cloud.cloud_paths import CloudPaths


def usd_per_h(paths: CloudPaths, host: str, at: float) -> float | None:
    """None where no rented machine of this name was there then: a machine of one's own costs nothing by the hour."""
    if not paths.ledger.exists():
        return None
    with Ledger(paths.ledger) as ledger:
        for entry in reversed(ledger.all()):
            if entry.name == host and entry.asked_at <= at <= (entry.ended_at or at):
                return entry.price_cents_per_h / 100
    return None
