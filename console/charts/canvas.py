"""A rectangle of cells, each a glyph and an ink: what pure drawing code fills and a widget turns into strips."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len

CONTINUED = 0
"""The second cell of a wide glyph."""


@dataclass(frozen=True)
class Run:
    """Neighbouring cells of one ink."""

    text: str
    ink: int


@dataclass(frozen=True)
class Span:
    """Cells of one row that differ between two canvases."""

    row: int
    start: int
    stop: int


class Canvas:
    def __init__(self, width: int, height: int) -> None:
        self.glyphs: NDArray[Any] = np.full((height, width), ord(" "), "<u4")
        self.inks: NDArray[Any] = np.zeros((height, width), np.int16)

    @property
    def width(self) -> int:
        return int(self.glyphs.shape[1])

    @property
    def height(self) -> int:
        return int(self.glyphs.shape[0])

    def put(self, row: int, column: int, text: str, ink: int) -> int:
        """Write text, cut at the right edge; gives the column after it."""
        codes = one_per_cell(text)[: max(0, self.width - column)]
        if 0 <= row < self.height and codes:
            self.glyphs[row, column : column + len(codes)] = codes
            self.inks[row, column : column + len(codes)] = ink
        return column + len(codes)

    def runs(self, row: int) -> Iterator[Run]:
        """The row as runs of one ink."""
        inks = self.inks[row]
        start = 0
        for end in [*(np.flatnonzero(inks[1:] != inks[:-1]) + 1).tolist(), self.width]:
            yield Run(self.text(row, start, end), int(inks[start]))
            start = end

    def text(self, row: int, start: int = 0, stop: int | None = None) -> str:
        return self.glyphs[row, start:stop].tobytes().decode("utf-32-le").replace("\0", "")

    def changes(self, before: Canvas) -> list[Span]:
        """Per row the cells from the first to the last that differ from a canvas of the same size."""
        differs = (self.glyphs != before.glyphs) | (self.inks != before.inks)
        spans = []
        for row in np.flatnonzero(differs.any(axis=1)).tolist():
            columns = np.flatnonzero(differs[row])
            spans.append(Span(row, int(columns[0]), int(columns[-1]) + 1))
        return spans


@lru_cache(2048)
def one_per_cell(text: str) -> tuple[int, ...]:
    """One code per cell: a wide glyph takes two, what takes none is left out, control characters show as a box."""
    if text.isascii() and text.isprintable():
        return tuple(text.encode())
    codes: list[int] = []
    for glyph in text:
        width = cell_len(glyph) if glyph.isprintable() else -1
        if width < 0:
            codes.append(ord("▯"))
        elif width:
            codes += [ord(glyph)] + [CONTINUED] * (width - 1)
    return tuple(codes)
