"""Strips as cells, one glyph and one style each, and what it takes to turn cells that stand on a terminal into others. Pure.

A glyph that takes two cells is followed by an empty one. A glyph is doubtful where terminals may not agree with us about its
width: pieces of a line with one are written whole, so that whatever a terminal makes of it, it makes of the whole piece.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from rich.cells import cell_len
from rich.color import ColorSystem
from rich.style import Style
from textual.strip import Strip

Look = str
"""What a style makes of a glyph: its codes, and after an escape its link. Two styles that differ in what they mean look alike."""

_SURE = re.compile(
    "[ -~\u00a1-\u00ac\u00ae-\u02ff\u0370-\u0482\u2010-\u2027\u2030-\u205e\u2190-\u22ff\u2500-\u259f\u2800-\u28ff]*"
)
"""Glyphs of one cell: Latin, Greek, Cyrillic, punctuation, arrows, mathematics, boxes, blocks, braille."""
_NEAR = 4
"""Cells that stay between two that change: rewriting so many costs no more than a jump over them."""


@dataclass
class Cells:
    """Neighbouring cells of one line."""

    glyphs: list[str] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    is_sure: bool = True
    """No glyph is doubtful."""


def cells_of(strip: Iterable[tuple[str, Style | None, object]], colours: ColorSystem) -> Cells:
    """A strip as cells."""
    cells = Cells()
    glyphs, looks = cells.glyphs, cells.looks
    for text, style, control in strip:
        if control:
            continue
        look = look_of(style, colours) if style else ""
        if _SURE.fullmatch(text):
            glyphs.extend(text)
            looks.extend([look] * len(text))
            continue
        for glyph, width in _split(text):
            cells.is_sure = cells.is_sure and is_sure(glyph)
            if not width:  # a segment that begins with what belongs to the glyph before it
                at = next((at for at in reversed(range(len(glyphs))) if glyphs[at]), None)
                if at is not None:
                    glyphs[at] += glyph
                continue
            glyphs.extend((glyph, *[""] * (width - 1)))
            looks.extend([look] * width)
    return cells


@lru_cache(1024)
def _split(text: str) -> tuple[tuple[str, int], ...]:
    """Glyphs and the cells that each takes; as one where they take others together, such as a picture with its selector."""
    parts: list[tuple[str, int]] = []
    for glyph in text:
        width = cell_len(glyph)
        if width or not parts:
            parts.append((glyph, width))
        else:  # what takes no cell belongs to the glyph before it
            parts[-1] = parts[-1][0] + glyph, parts[-1][1]
    whole = cell_len(text)
    return tuple(parts) if sum(width for _, width in parts) == whole and parts[0][1] else ((text, whole),)


@lru_cache(4096)
def is_sure(glyph: str) -> bool:
    """Nothing of another width than one cell, nothing that follows a private rule, no picture."""
    return _SURE.fullmatch(glyph) is not None or (cell_len(glyph) == 1 and "\u25a0" <= glyph <= "\u27bf")


def differences(before: Cells, now: Cells) -> Iterator[tuple[int, int]]:
    """The spans of cells to write, so that what stands there becomes this; both are of one length."""
    if before.glyphs == now.glyphs and before.looks == now.looks:
        return
    size = len(now.glyphs)
    if not (before.is_sure and now.is_sure):
        yield 0, size
        return
    changed = [
        at
        for at, (old, new, was, look) in enumerate(zip(before.glyphs, now.glyphs, before.looks, now.looks, strict=True))
        if old != new or was != look
    ]
    start, stop = changed[0], changed[0] + 1
    for at in changed:
        if at - stop > _NEAR:
            yield start, stop
            start = at
        stop = at + 1
    yield start, stop


def look_of(style: Style, colours: ColorSystem) -> Look:
    """Kept by Rich in the style itself, as codes for the colours that the terminal has."""
    known = style._ansi
    look = Strip.render_ansi(style, colours) if known is None else known
    return f"{look}\x1bid={style.link_id};{style.link}" if style.link else look


@lru_cache(4096)
def turn(before: Look, now: Look) -> str:
    """The sequences that turn the look that holds into another; what both have is not said again."""
    was, _, old_link = before.partition("\x1b")
    wanted, _, link = now.partition("\x1b")
    linked = f"\x1b]8;{link or ';'}\x1b\\" if link != old_link else ""
    return turned(was, wanted) + linked


def turned(was: str, wanted: str) -> str:
    if was == wanted:
        return ""
    if not wanted:
        return "\x1b[0m"
    old, new = _parts(was), _parts(wanted)
    if old.attributes != new.attributes:
        return f"\x1b[0;{wanted}m" if was else f"\x1b[{wanted}m"
    changed = [new.ink or "39"] if new.ink != old.ink else []
    changed += [new.ground or "49"] if new.ground != old.ground else []
    return f"\x1b[{';'.join(changed)}m"


@dataclass(frozen=True)
class _Parts:
    """The codes of a look: what it is written in, what with, and on what."""

    attributes: str
    ink: str
    ground: str


def _parts(codes: str) -> _Parts:
    attributes, ink, ground = "", "", ""
    words = codes.split(";") if codes else []
    while words:
        size = {"5": 3, "2": 5}[words[1]] if words[0] in ("38", "48") else 1
        code, words = ";".join(words[:size]), words[size:]
        number = int(code.partition(";")[0])
        if number in range(30, 40) or number in range(90, 98):
            ink = code
        elif number in range(40, 50) or number in range(100, 108):
            ground = code
        else:
            attributes += f"{code};"
    return _Parts(attributes, ink, ground)
