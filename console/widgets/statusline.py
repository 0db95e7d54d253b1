"""One line that is told again and again what to say, and is painted in the same picture as what it speaks of.

A label asks the screen through three messages and, where its text is longer, for a layout; ten times the cost of the line.
"""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.geometry import Region
from textual.strip import Strip

from console.widgets.straight import Straight


class StatusLine(Straight):
    """Its height is one, and its width not its text's; what has no room ends in an ellipsis."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.text = Text()
        self._drawn: tuple[object, Strip] | None = None

    def say(self, said: Text | str) -> None:
        text = Text(said) if isinstance(said, str) else said
        if text != self.text or text.spans != self.text.spans:
            self.text, self._drawn = text, None
            self.refresh(Region(0, 0, self.content_size.width, 1))

    def render_line(self, y: int) -> Strip:
        key = y == 0, self.content_size.width, self.base
        if self._drawn is None or self._drawn[0] != key:
            self._drawn = key, self._strip(self.text.copy() if y == 0 else Text(), key[1])
        return self._drawn[1]

    def _strip(self, text: Text, width: int) -> Strip:
        text.truncate(width, overflow="ellipsis", pad=True)
        styled = text.render(self.app.console)
        return Strip([Segment(piece, self.base + (style or Style())) for piece, style, _ in styled if piece], width)
