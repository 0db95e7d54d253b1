"""Where a failing program parts from the nearest passing one of its problem: a dense hint that costs no extra label.

One bit a program is thin teaching. Passing candidates of the same problem say more: what they have in common with a failing one
is probably not the fault. Works with any generator, since it needs nothing but candidates and verdicts.
"""

from __future__ import annotations

from difflib import SequenceMatcher

_MOST_COMPARED = 8  # passing programs of a problem differ little: more of them cost time and change nothing
_MOST_SHARE = 0.4  # beyond that the two are different algorithms, and the difference says nothing


def differing(ids: list[int], good: list[list[int]]) -> list[int] | None:
    """Positions in `ids` that the nearest passing program has otherwise; None when none is near."""
    nearest = max(good[:_MOST_COMPARED], key=lambda g: _likeness(ids, g))
    places: list[int] = []
    for kind, start, end, _, _ in SequenceMatcher(None, ids, nearest, autojunk=False).get_opcodes():
        if kind == "delete" or kind == "replace":
            places += range(start, end)
        elif kind == "insert":  # something is missing here: the token that stands in its place
            places.append(min(start, len(ids) - 1))
    return places if len(places) <= _MOST_SHARE * len(ids) else None


def _likeness(ids: list[int], other: list[int]) -> float:
    return SequenceMatcher(None, ids, other, autojunk=False).ratio()
