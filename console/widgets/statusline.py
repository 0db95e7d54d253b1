"""One line of plain text that is told again and again what to say, and is painted in the same picture as what it speaks of."""

from __future__ import annotations

from rich.cells import set_cell_size
from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip

from console.widgets.straight import Straight


class StatusLine(Straight):
    """Its height is one, its width is not its text's: what it says never asks for a layout."""

    def __init__(self, *, classes: str | None = None) -> None:
        super().__init__(classes=classes)
        self.text = ""
        self._drawn: tuple[object, Strip] | None = None

    def say(self, text: str) -> None:
        if text != self.text:
            self.text = text
            self.refresh(Region(0, 0, self.content_size.width, 1))

    def render_line(self, y: int) -> Strip:
        key = self.text if y == 0 else "", self.content_size.width, self.base
        if self._drawn is None or self._drawn[0] != key:
            self._drawn = key, Strip([Segment(set_cell_size(key[0], key[1]), self.base)], key[1])
        return self._drawn[1]
