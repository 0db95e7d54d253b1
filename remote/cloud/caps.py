"""What a rented machine may cost: hours, dollars, idle time, and what happens when it gets there.

Guarantees: there are always caps; they are numbers that can be kept (finite, positive, no more than a month). `cost_usd`
is never below the bill: minutes are rounded up and doubtful minutes count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.protocol.plan import ON_CAP

DEFAULT_HOURS = 4.0

# A typing error of one digit must not rent a machine for a season.
_MOST_HOURS = 31 * 24.0

# Long enough to checkpoint and copy a few GB, short against the default lease.
DEFAULT_GRACE_S = 600.0

# Half an hour without any use: longer than a coffee and a debugging pause, shorter than a forgotten evening.
DEFAULT_IDLE_MINUTES = 30.0


class BadCap(ValueError):
    """A cap that can't be kept."""


@dataclass(frozen=True)
class Caps:
    """The limits of one machine."""

    max_hours: float = DEFAULT_HOURS
    """Counted from the launch, the boot included."""
    max_usd: float = math.nan
    """Always set by `caps_for`."""
    idle_minutes: float | None = DEFAULT_IDLE_MINUTES
    """None: idle time ends nothing."""
    on_cap: str = "save-then-terminate"
    grace_s: float = DEFAULT_GRACE_S
    """How long saving may take. It is asked for this long before the cap, so that the cap is kept."""


def caps_for(
    price_cents_per_h: int,
    max_hours: float | None = None,
    max_usd: float | None = None,
    idle_minutes: float | None = DEFAULT_IDLE_MINUTES,
    on_cap: str = "save-then-terminate",
    grace_s: float = DEFAULT_GRACE_S,
) -> Caps:
    """Caps with their defaults: four hours, or what the dollars pay for if only they are given."""
    hours = DEFAULT_HOURS if max_hours is None else _number("--max-hours", max_hours)
    usd = hours * price_cents_per_h / 100 if max_usd is None else _number("--max-usd", max_usd)
    if hours > _MOST_HOURS:
        raise BadCap(f"--max-hours {hours:g} is more than a month: give at most {_MOST_HOURS:g}")
    if price_cents_per_h and usd < price_cents_per_h / 6000:
        raise BadCap(f"--max-usd {usd:g} does not pay for one minute at ${price_cents_per_h / 100:.2f}/h")
    if on_cap not in ON_CAP:
        raise BadCap(f"--on-cap {on_cap!r} is unknown: choose one of {', '.join(ON_CAP)}")
    if idle_minutes is not None:
        idle_minutes = _number("--idle-minutes", idle_minutes)
    if not math.isfinite(grace_s) or grace_s < 0:
        raise BadCap(f"--grace {grace_s!r} is no time")
    return Caps(hours, usd, idle_minutes, on_cap, grace_s)


def _number(flag: str, value: float) -> float:
    if not math.isfinite(value) or value <= 0:
        raise BadCap(f"{flag} {value!r} is no limit: give a number above 0")
    return float(value)


def billed_minutes(seconds: float) -> int:
    """The provider bills every minute that was begun."""
    return max(0, math.ceil(seconds / 60 - 1e-9))


def usd_for(seconds: float, price_cents_per_h: int) -> float:
    return billed_minutes(seconds) * price_cents_per_h / 6000
