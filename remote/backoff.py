"""How long to wait before the next try: soon at first, then seldom, and never all consoles at once. Pure."""

from __future__ import annotations

_FIRST_S, _MOST_S = 0.5, 30.0


def pause_s(attempt: int, luck: float) -> float:
    """Before try number `attempt` (1 is the first after a loss); `luck` from 0 to 1 spreads it over its upper half."""
    whole = min(_MOST_S, _FIRST_S * 2.0 ** min(attempt - 1, 20))
    return whole * (0.5 + 0.5 * luck)
