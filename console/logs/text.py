"""From the bytes of one log line to what is safe and useful to show: pieces of text with a style.

Guarantees: whatever the bytes, no escape sequence, control character or direction override gets through; colours and
weights (SGR) become styles. A progress bar that rewrote itself with carriage returns is one line: its last state. A
line longer than SHOWN bytes is read only at its head, or at its end where that is where a progress bar stands.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from console.logs.index import Line, LogFile

SHOWN = 32 * 1024
"""Bytes of one line that are ever looked at to show it."""


@dataclass(frozen=True)
class Sgr:
    """What colour and weight sequences ask for; colours as rich reads them."""

    colour: str | None = None
    ground: str | None = None
    bold: bool = False
    dim: bool = False
    italic: bool = False
    underline: bool = False
    reverse: bool = False
    strike: bool = False


PLAIN = Sgr()


@dataclass(frozen=True)
class Piece:
    text: str
    style: Sgr = PLAIN


@dataclass(frozen=True)
class Shown:
    """One line as it is shown."""

    pieces: tuple[Piece, ...]
    hidden: int = 0
    """Bytes of the line that are left out."""

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)


ESCAPES = re.compile(
    r"\x1b\[(?P<sgr>[0-9;:]*)m"
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # cursor movement, erasing, modes
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)"  # titles, links, clipboard, device strings
    r"|\x1b[ -/]*[0-~]?"  # any other escape
    r"|\x9b[0-?]*[ -/]*[@-~]?"
)
ODD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def read_line(file: LogFile, line: Line) -> Shown:
    """A line of a file, ready to show."""
    size = line.stop - line.start
    if size <= SHOWN:
        return show(file.read(line.start, line.stop))
    end = file.read(line.stop - SHOWN, line.stop)
    if b"\r" in end.rstrip(b"\r"):
        return show(end)
    return show(file.read(line.start, line.start + SHOWN), hidden=size - SHOWN)


def show(data: bytes, hidden: int = 0) -> Shown:
    return Shown(_pieces(last_state(data).decode("utf-8", "replace")), hidden)


def plain(data: bytes) -> str:
    """A line's text without colours, for searching and copying."""
    return show(data).text


def whole_characters(data: bytes) -> bytes:
    """Without a character at the end whose last bytes have not been written yet."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte < 0x80:
            return data
        if byte >= 0xC0:
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return data if back >= needed else data[:-back]
    return data


def last_state(data: bytes) -> bytes:
    """What carriage returns leave standing: the last state that is not empty."""
    if b"\r" not in data:
        return data
    states = data.rstrip(b"\r").rsplit(b"\r", 8)
    return next((state for state in reversed(states) if state.strip()), states[-1])


def _pieces(text: str) -> tuple[Piece, ...]:
    if text.isprintable():
        return (Piece(text),) if text else ()
    pieces: list[Piece] = []
    style = PLAIN
    at = 0
    for found in ESCAPES.finditer(text):
        _add(pieces, text[at : found.start()], style)
        if found["sgr"] is not None:
            style = apply_sgr(style, found["sgr"])
        at = found.end()
    _add(pieces, text[at:], style)
    return tuple(pieces)


def _add(pieces: list[Piece], text: str, style: Sgr) -> None:
    if text := safe(text, sum(len(piece.text) for piece in pieces) if "\t" in text else 0):
        pieces.append(Piece(text, style))


def safe(text: str, column: int = 0) -> str:
    """Tabs as spaces, control characters as dots, invisible format characters and direction overrides left out."""
    if text.isprintable():
        return text
    text = (" " * (column % 8) + text).expandtabs(8)[column % 8 :]
    text = ODD.sub("·", text)
    return "".join(glyph if glyph.isprintable() else _space(glyph) for glyph in text)


@lru_cache(1024)
def _space(glyph: str) -> str:
    """A space of any width is a space; anything else that cannot be printed is nothing."""
    return " " if unicodedata.category(glyph) == "Zs" else ""


NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
SWITCHES: dict[int, dict[str, Any]] = {
    1: {"bold": True},
    2: {"dim": True},
    3: {"italic": True},
    4: {"underline": True},
    7: {"reverse": True},
    9: {"strike": True},
    21: {"underline": True},
    22: {"bold": False, "dim": False},
    23: {"italic": False},
    24: {"underline": False},
    27: {"reverse": False},
    29: {"strike": False},
}


@lru_cache(1024)
def apply_sgr(style: Sgr, codes: str) -> Sgr:
    """The style after one colour sequence; what is not understood changes nothing."""
    numbers = [int(code) if code else 0 for code in re.split("[;:]", codes)]
    while numbers:
        number = numbers.pop(0)
        if number == 0:
            style = PLAIN
        elif number in SWITCHES:
            style = replace(style, **SWITCHES[number])
        elif number in (38, 48):
            colour = _extended(numbers)
            style = replace(style, colour=colour) if number == 38 else replace(style, ground=colour)
        elif number == 39:
            style = replace(style, colour=None)
        elif number == 49:
            style = replace(style, ground=None)
        elif 30 <= number <= 37 or 90 <= number <= 97:
            style = replace(style, colour=("bright_" if number >= 90 else "") + NAMES[number % 10])
        elif 40 <= number <= 47 or 100 <= number <= 107:
            style = replace(style, ground=("bright_" if number >= 100 else "") + NAMES[number % 10])
    return style


def _extended(numbers: list[int]) -> str | None:
    """Eats 5;n or 2;r;g;b."""
    kind = numbers.pop(0) if numbers else 0
    if kind == 5 and numbers:
        return f"color({min(numbers.pop(0), 255)})"
    if kind == 2 and len(numbers) >= 3:
        red, green, blue = (min(number, 255) for number in numbers[:3])
        del numbers[:3]
        return f"#{red:02x}{green:02x}{blue:02x}"
    return None
