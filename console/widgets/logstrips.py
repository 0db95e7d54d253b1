"""Log lines as strips of styled cells: colours, hits, wrapping, the cursor's ground. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from console.logs.search import Query
from console.logs.text import PLAIN, Sgr, Shown

MOST_HITS = 500
"""Hits highlighted in one line."""


def text_strip(shown: Shown, needle: Query | None, base: Style, match: Style, faint: Style) -> Strip:
    """A line in its own colours, with what is searched for standing out."""
    spans = list(islice(_hits(shown.text, needle), MOST_HITS)) if needle else []
    segments: list[Segment] = []
    at = 0
    for piece in shown.pieces:
        style = base if piece.style == PLAIN else base + rich_style(piece.style)
        segments += _highlighted(piece.text, at, style, style + match, spans)
        at += len(piece.text)
    if shown.hidden:
        segments.append(Segment(f" … {shown.hidden:,} bytes more in this line", faint))
    return Strip(segments)


def _hits(text: str, needle: Query) -> Iterator[tuple[int, int]]:
    """Where the search's text stands in a line."""
    pattern = needle.pattern
    if pattern is None:
        pattern = re.compile(re.escape(needle.text), re.IGNORECASE if needle.ignore_case else 0)
    for found in pattern.finditer(text):
        if found.end() > found.start():
            yield found.span()


def _highlighted(text: str, offset: int, style: Style, match: Style, spans: list[tuple[int, int]]) -> Iterator[Segment]:
    at = 0
    for start, stop in spans:
        start, stop = max(start - offset, at), min(stop - offset, len(text))
        if stop <= start:
            continue
        if start > at:
            yield Segment(text[at:start], style)
        yield Segment(text[start:stop], match)
        at = stop
    if at < len(text):
        yield Segment(text[at:], style)


def wrapped(strip: Strip, width: int, most: int) -> list[Strip]:
    """A strip cut into pieces of a width; at most so many of a line that is longer than the page."""
    if width < 1 or strip.cell_length <= width:
        return [strip]
    cuts = [*range(width, strip.cell_length, width), strip.cell_length]
    return list(strip.divide(cuts))[:most]


def lit(strip: Strip, own: Style, ground: Style) -> Strip:
    """With the cursor's ground, except where a segment has a ground of its own."""
    over = Style(bgcolor=ground.bgcolor)
    return Strip(
        [
            Segment(segment.text, (segment.style or Style()) + over)
            if segment.style is None or segment.style.bgcolor == own.bgcolor
            else segment
            for segment in strip
        ],
        strip.cell_length,
    )


def restyled(strip: Strip, start: int, stop: int, style: Style) -> Strip:
    """A strip with a style laid over some of its characters; a stop below zero is the end."""
    segments: list[Segment] = []
    at = 0
    for segment in strip:
        text, own = segment.text, segment.style or Style()
        first, last = max(0, start - at), len(text) if stop < 0 else min(len(text), stop - at)
        if first >= last:
            segments.append(segment)
        else:
            parts = ((text[:first], own), (text[first:last], own + style), (text[last:], own))
            segments += [Segment(part, look) for part, look in parts if part]
        at += len(text)
    return Strip(segments, strip.cell_length)


def rich_style(sgr: Sgr) -> Style:
    return Style(
        color=sgr.colour,
        bgcolor=sgr.ground,
        bold=sgr.bold or None,
        dim=sgr.dim or None,
        italic=sgr.italic or None,
        underline=sgr.underline or None,
        reverse=sgr.reverse or None,
        strike=sgr.strike or None,
    )
