"""What a plan does at its end, from what the user asked and, on a rented machine, from its lease. Pure.

A plan ends a rented machine by itself only where it has a place to save to (`--save-to`, on a file system that outlives the
machine) and the guard on the machine is armed; otherwise the guard here, or a person, ends it after the files were pulled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.protocol.plan import EndPolicy

if TYPE_CHECKING:
    from remote.cloud.ledger import Entry


@dataclass(frozen=True)
class Wanted:
    """What was said on the command line."""

    save_to: str | None = None
    on_cap: str | None = None
    max_hours: float | None = None
    max_usd: float | None = None
    keep: bool = False
    """Leave the machine running when the plan is over."""


def policy(wanted: Wanted, entry: Entry | None, now: float, usd_per_h: float = 0.0) -> EndPolicy:
    """The plan's end."""
    if entry is None:
        return EndPolicy(
            save_to=wanted.save_to,
            on_cap=wanted.on_cap or "save-then-terminate",
            max_hours=wanted.max_hours,
            max_usd=wanted.max_usd,
            price_usd_per_h=usd_per_h,
        )
    from remote.cloud.cloud_init import end_command

    left_h = max(0.0, (entry.lease_until - now) / 3600 - 2 * entry.grace_s / 3600)
    left_usd = max(0.0, entry.max_usd - entry.cost_usd(now))
    ends = wanted.save_to is not None and entry.guard_there == "armed" and not wanted.keep
    return EndPolicy(
        save_to=wanted.save_to,
        terminate=end_command() if ends else None,
        on_cap=wanted.on_cap or entry.on_cap,
        grace_s=entry.grace_s,
        max_hours=min(left_h, wanted.max_hours) if wanted.max_hours is not None else left_h,
        max_usd=min(left_usd, wanted.max_usd) if wanted.max_usd is not None else left_usd,
        price_usd_per_h=entry.price_cents_per_h / 100,
    )


def ending_words(end: EndPolicy, entry: Entry | None) -> str:
    """What will happen at the end, so that it is no surprise."""
    if entry is None:
        return f"at its end: required files to {end.save_to}, verified" if end.save_to else ""
    name = entry.name
    if end.terminate is not None:
        return (
            f"at its end: required files to {end.save_to}, verified, then {name} is terminated; at a cap: {end.on_cap}"
        )
    saved = f"required files to {end.save_to}, verified; " if end.save_to else ""
    why = "" if end.save_to else " (--save-to FOLDER on its file system lets the plan end it with this computer off)"
    if end.save_to and entry.guard_there != "armed":
        why = f" (arm it to end by itself: fractal-console instances arm {name})"
    return f"at its end: {saved}{name} goes on costing until its guard here or you end it{why}"
