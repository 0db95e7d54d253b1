"""Colours of series: chosen by name, so that a run keeps its colour; told apart by colour-blind eyes.

After the set of Okabe and Ito, lightened for dark grounds and darkened for light ones. The marks say the same without
any colour.
"""

from __future__ import annotations

from collections.abc import Iterable
from zlib import crc32

ON_DARK = ("#56b4e9", "#e69f00", "#2ebd8f", "#f08fc4", "#f0e442", "#ff7043", "#9d9dff", "#c9c9c9")
ON_LIGHT = ("#0068ab", "#a86400", "#00735a", "#a33d7c", "#7c7000", "#b83a00", "#4b45b8", "#4d4d4d")
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
