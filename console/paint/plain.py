"""For screen readers (`--plain`): what was drawn with boxes, blocks and braille is left out, signs give way to their words.

One filter over every line that goes to the terminal, so that no widget needs to know; each cell keeps its place. What is a
drawing and nothing else, a chart, says itself in words instead (`console.charts.told`).
"""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_SPOKEN = {
    "›": ">", "→": ">", "←": "<", "↑": "^", "↓": "v", "—": "-", "–": "-", "…": ".", "×": "x", "≥": ">", "≤": "<",
    **dict.fromkeys("✓✗⊘·▶▷◇■○●★▲▼△▽~", " "),
}  # fmt: skip
_BLOCKS = (range(0x2500, 0x2600), range(0x2800, 0x2900), range(0x1FB00, 0x1FC00))
_DRAWN = {chr(code): " " for block in _BLOCKS for code in block}
_TABLE = str.maketrans({**_DRAWN, **_SPOKEN})


def plainly(text: str) -> str:
    """The same text, cell for cell, without what can only be seen."""
    return text.translate(_TABLE)


class Plain(LineFilter):
    """Applied by the app to everything under `--plain`."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [Segment(plainly(text), style, control) for text, style, control in segments]
