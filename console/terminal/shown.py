"""What stands on the terminal, cell by cell: of every picture only the cells that changed are written.

Textual sends each line of a widget from its left edge to the last cell that might have changed, and the colours of every piece
anew: 20 kB a second for a run that tails. This keeps what was written and sends the differences.

Guarantees: after `written`, the terminal shows what Textual's own sequences would have made it show. A picture of the whole
screen is written whole and is what later ones are compared with. `forget` must be called when anybody else may have written
there (another program, a resize); until the next whole picture, lines are then written whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.color import ColorSystem
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate

from console.terminal.cells import Cells, Look, cells_of, differences, is_sure, turn

if TYPE_CHECKING:
    from rich.console import Console
    from rich.segment import Segment

_NOTHING = "\0"
"""The glyph of a cell of which it is not known what stands there."""


class Shown:
    def __init__(self) -> None:
        self._glyphs: list[list[str]] = []
        self._looks: list[list[Look]] = []
        self._doubtful: set[int] = set()
        """Lines that hold a glyph of doubtful width."""

    def forget(self) -> None:
        """Nothing is known any more of what stands there."""
        self._glyphs.clear()
        self._looks.clear()
        self._doubtful.clear()

    def through(self, picture: Any) -> Any:
        """The same picture, to be written as changes; what is none of a screen's cells passes as it is."""
        return Changes(self, picture) if isinstance(picture, (ChopsUpdate, LayoutUpdate)) else picture

    def compare(
        self, x: int, y: int, strip: Iterable[Segment], colours: ColorSystem
    ) -> tuple[Cells, list[tuple[int, int]]]:
        """A piece of a line as cells, and the spans of it that differ from what stands there; takes the piece in."""
        now = cells_of(strip, colours)
        stop = x + len(now.glyphs)
        self._make_room(y, stop)
        glyphs, looks = self._glyphs[y], self._looks[y]
        before = Cells(glyphs[x:stop], looks[x:stop])
        if y in self._doubtful:
            before.is_sure = all(map(is_sure, before.glyphs))
        spans = list(differences(before, now))
        if spans:
            glyphs[x:stop], looks[x:stop] = now.glyphs, now.looks
            if not (before.is_sure and now.is_sure):  # what a terminal draws wider runs over what stands behind it
                self._doubtful.add(y)
                glyphs[stop:] = [_NOTHING] * (len(glyphs) - stop)
        return now, spans

    def _make_room(self, y: int, width: int) -> None:
        while len(self._glyphs) <= y:
            self._glyphs.append([])
            self._looks.append([])
        missing = width - len(self._glyphs[y])
        if missing > 0:
            self._glyphs[y] += [_NOTHING] * missing
            self._looks[y] += [""] * missing


class Changes(CompositorUpdate):
    """A picture of Textual's as what it changes."""

    def __init__(self, shown: Shown, picture: ChopsUpdate | LayoutUpdate) -> None:
        self.shown, self.picture = shown, picture

    def render_segments(self, console: Console) -> str:
        """The sequences that make the terminal show it."""
        colours = console._color_system or ColorSystem.TRUECOLOR
        pen = Pen()
        if isinstance(self.picture, LayoutUpdate):
            self.shown.forget()
        for x, y, strip in pieces(self.picture):
            cells, spans = self.shown.compare(x, y, strip, colours)
            for start, stop in spans:
                pen.write(x, y, cells, start, stop)
        return pen.sequences


def pieces(picture: ChopsUpdate | LayoutUpdate) -> Iterable[tuple[int, int, Iterable[Segment]]]:
    """The strips of a picture with the cell that each begins at; of the lines that changed only those that may have."""
    if isinstance(picture, LayoutUpdate):
        for y, strips in enumerate(picture.strips, picture.region.y):
            x = picture.region.x
            for strip in strips:
                yield x, y, strip
                x += strip.cell_length
        return
    for y, first, last in picture.spans:
        for end, (x, piece) in zip(picture.chop_ends[y], picture.chops[y].items(), strict=True):
            if piece is not None and x < last and end > first:
                yield x, y, piece


class Pen:
    """Writes cells at places, with as few sequences as that takes."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._look: Look = ""
        self._at = (-1, -1)

    def write(self, x: int, y: int, cells: Cells, start: int, stop: int) -> None:
        if self._at != (x + start, y):
            self._out.append(f"\x1b[{y + 1};{x + start + 1}H")
        self._at = (x + stop, y)
        glyphs, looks = cells.glyphs, cells.looks
        while start < stop:
            look, end = looks[start], start + 1
            while end < stop and looks[end] == look:
                end += 1
            self._take(look)
            self._out += glyphs[start:end]
            start = end

    def _take(self, look: Look) -> None:
        if look != self._look:
            self._out.append(turn(self._look, look))
            self._look = look

    @property
    def sequences(self) -> str:
        """Everything, ending as it began: without a look."""
        self._take("")
        return "".join(self._out)
