"""A terminal in miniature: what stands on it after the sequences that the console writes."""

from __future__ import annotations

import re

from rich.cells import cell_len

_TOKEN = re.compile(r"\x1b\[([0-9;?]*)([a-zA-Z])|\x1b\](.*?)(?:\x1b\\|\x07)|([^\x1b])", re.DOTALL)


class Terminal:
    """Cells with their codes and links; `wide` glyphs take two cells here, whatever the console thinks of them."""

    def __init__(self, wide: str = "") -> None:
        self.cells: dict[tuple[int, int], tuple[str, str, str, str]] = {}
        self.wide = wide
        self.x = self.y = 0
        self.attributes, self.ink, self.ground, self.link = "", "", "", ""

    def take(self, sequences: str) -> None:
        for match in _TOKEN.finditer(sequences):
            codes, command, linked, glyph = match.groups()
            if command == "H":
                self.y, self.x = (int(number) - 1 for number in codes.split(";"))
            elif command == "m":
                self._dress(codes)
            elif command:
                raise AssertionError(f"a sequence that this terminal does not know: {match.group()!r}")
            elif linked is not None:
                self.link = linked.partition(";")[2].partition(";")[2]
            elif glyph == "\n":
                self.y += 1
            else:
                self._put(glyph)

    def _put(self, glyph: str) -> None:
        width = 2 if glyph in self.wide else cell_len(glyph)
        if not width:
            before, *look = self.cells.get((self.y, self.x - 1), ("", "", "", ""))
            self.cells[self.y, self.x - 1] = (before.removesuffix(glyph) + glyph, *look)  # type: ignore[assignment]
            return
        for at in range(width):
            shown = "" if at else glyph
            self.cells[self.y, self.x + at] = shown, self.attributes, f"{self.ink}/{self.ground}", self.link
        self.x += width

    def _dress(self, codes: str) -> None:
        words = codes.split(";") if codes else ["0"]
        while words:
            size = {"5": 3, "2": 5}[words[1]] if words[0] in ("38", "48") else 1
            code, words = ";".join(words[:size]), words[size:]
            number = int(code.partition(";")[0])
            if number == 0:
                self.attributes, self.ink, self.ground = "", "", ""
            elif number in range(30, 40) or number in range(90, 98):
                self.ink = "" if number == 39 else code
            elif number in range(40, 50) or number in range(100, 108):
                self.ground = "" if number == 49 else code
            else:
                self.attributes += f"{code};"
