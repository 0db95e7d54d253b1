"""When a rented machine has to end: a pure decision over idle time, lease and budget.

The same rules run in the guard beside the console and in the guard on the machine itself, so this file is standard library
only and holds to Python 3.10.

    before the save begins        nothing
    the save begins               save (ask for a checkpoint, copy what is required), unless on_cap = terminate
    everything is verified        terminate
    the cap (or the grace) is over  terminate, or hold where on_cap = hold and something is not verified

For lease and budget the save begins one grace before the cap, so that the cap is kept; for idle time it begins when the idle
limit is reached. Whoever wakes up too late (a laptop that slept) still gives one grace, counted from when it asks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# Between the order to terminate and the end of the bill: the guard's interval and a slow end, seen from outside.
END_MARGIN_S = 150.0


@dataclass(frozen=True)
class Facts:
    """All that the decision depends on."""

    now: float
    asked_at: float
    lease_until: float
    max_usd: float
    price_cents_per_h: int
    billing_from: float
    on_cap: str
    grace_s: float
    is_ending: bool = False
    was_active: bool = True
    idle_minutes: float | None = None
    busy_at: float | None = None
    """When it was last seen in use."""
    is_activity_known: bool = False
    """Somebody looked just now. Where nobody can look, idle time decides nothing; lease and budget still do."""
    save_asked_at: float | None = None
    unverified: tuple[str, ...] | None = None
    """Required files that are not verified elsewhere; None: nobody can tell."""


@dataclass(frozen=True)
class Decision:
    """What to do now and why; when something will change if nothing else does."""

    action: str
    """nothing, save, terminate, hold"""
    because: str
    next_at: float | None = None


@dataclass(frozen=True)
class Due:
    """A limit and the moment at which it is reached."""

    what: str
    at: float
    is_cap: bool
    """Lease and budget are caps; idle time is not."""


def decide(facts: Facts) -> Decision:
    """The one action for this machine at this moment."""
    if facts.is_ending:
        return Decision("terminate", "its end was decided and is not confirmed yet")
    due = first_due(facts)
    save_from = due.at - _grace(facts, due) if due.is_cap and facts.on_cap != "terminate" else due.at
    if facts.now < save_from:
        return Decision("nothing", f"{due.what} at {_clock(due.at)}", save_from)
    if facts.on_cap == "terminate":
        return Decision("terminate", f"{due.what} reached")
    if facts.save_asked_at is None or facts.save_asked_at < save_from:
        return Decision("save", f"{due.what} reached at {_clock(due.at)}: saving first")
    if facts.unverified is not None and not facts.unverified:
        return Decision("terminate", f"{due.what} reached, everything required is verified")
    return _wait_or_end(facts, due)


def _wait_or_end(facts: Facts, due: Due) -> Decision:
    asked = facts.save_asked_at if facts.save_asked_at is not None else facts.now
    deadline = asked + _grace(facts, due)  # never before the cap: saving is asked one grace ahead of it at the earliest
    left = "nobody can tell what is saved" if facts.unverified is None else f"{len(facts.unverified)} not verified"
    if facts.now < deadline:
        return Decision("nothing", f"{due.what}: saving until {_clock(deadline)}, {left}", deadline)
    if facts.on_cap == "hold":
        return Decision("hold", f"{due.what} is over, {left}: held as asked at launch, IT STILL BILLS")
    return Decision("terminate", f"{due.what} and the grace are over, {left}")


def first_due(facts: Facts) -> Due:
    """The limit that comes first."""
    return min([_lease(facts), _budget(facts), *_idle(facts)], key=lambda due: due.at)


def _lease(facts: Facts) -> Due:
    return Due("lease", facts.lease_until, True)


def _budget(facts: Facts) -> Due:
    if facts.price_cents_per_h <= 0:
        return Due("budget", math.inf, True)
    span = math.floor(facts.max_usd * 6000 / facts.price_cents_per_h + 1e-6) * 60.0
    # A budget of a few minutes keeps half of itself: the order to terminate takes its time whatever it is.
    return Due(f"budget ${facts.max_usd:.2f}", facts.billing_from + span - min(END_MARGIN_S, span / 2), True)


def _idle(facts: Facts) -> list[Due]:
    if facts.idle_minutes is None or not facts.was_active or not facts.is_activity_known:
        return []
    since = max(facts.billing_from, facts.busy_at or 0.0)
    return [Due(f"idle limit of {facts.idle_minutes:g} min", since + facts.idle_minutes * 60, False)]


def _grace(facts: Facts, due: Due) -> float:
    """Never more than a quarter of the time that the machine was to have."""
    return min(facts.grace_s, max(0.0, (due.at - facts.asked_at) / 4)) if due.is_cap else facts.grace_s


def _clock(moment: float) -> str:
    """Hours and minutes in UTC, without a time library's time zone surprises on a rented box."""
    if not math.isfinite(moment):
        return "no time"
    day, minutes = divmod(int(moment // 60), 1440)
    return f"{minutes // 60:02d}:{minutes % 60:02d} UTC" if day >= 0 else "the past"
