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


def readable(colour: str, ground: str, least: float = 3.0) -> str:
    """The colour, moved towards white or black until it stands out from its ground."""
    red, green, blue = _parts(colour)
    end = 255 if _light(ground) < 0.18 else 0
    for step in range(11):
        part = step / 10
        moved = "#" + "".join(f"{round(value + (end - value) * part):02x}" for value in (red, green, blue))
        if contrast(moved, ground) >= least:
            return moved
    return moved


def contrast(one: str, other: str) -> float:
    """The ratio that accessibility guidelines speak of: 3 is enough for lines, 4.5 for text."""
    darker, lighter = sorted((_light(one), _light(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _light(colour: str) -> float:
    linear = [part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in _parts(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _parts(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _free(wish: int, used: set[int]) -> int:
    for offset in range(len(MARKS)):
        if (wish + offset) % len(MARKS) not in used:
            return (wish + offset) % len(MARKS)
    return wish
