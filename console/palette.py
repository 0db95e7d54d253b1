"""Colours of series: chosen by name, so that a run keeps its colour; told apart by colour-blind eyes.

Two sets, found by searching near the colours of Okabe and Ito for the largest smallest distance under simulated red
and green blindness; the tests hold the distances and the contrast. The marks say the same without any colour.
"""

from __future__ import annotations

from collections.abc import Iterable
from zlib import crc32

ON_DARK = ("#56b4e9", "#cf7f1a", "#35e09c", "#cf4a9c", "#f2ec60", "#a65f54", "#726ee8", "#e0e2e5")
ON_LIGHT = ("#0a5ad0", "#5c430f", "#00835a", "#a3228f", "#9a6c1c", "#141414", "#4a22e8", "#55555c")
MARKS = ("●", "▲", "■", "◆", "▼", "★", "▶", "◀")


def assign(names: Iterable[str], taken: dict[str, int]) -> dict[str, int]:
    """An index into the palettes per name: its own where free, else the next free one; those taken stay."""
    chosen = dict(taken)
    for name in names:
        if name not in chosen:
            chosen[name] = _free(crc32(name.encode()) % len(MARKS), set(chosen.values()))
    return chosen


def _free(wish: int, used: set[int]) -> int:
    for offset in range(len(MARKS)):
        if (wish + offset) % len(MARKS) not in used:
            return (wish + offset) % len(MARKS)
    return wish
