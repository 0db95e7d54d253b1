"""A list of lines that is told what to show again and again, and changes only what is different."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.geometry import Region
from textual.widgets import OptionList
from textual.widgets.option_list import Option

if TYPE_CHECKING:
    from rich.text import Text


class Rows(OptionList):
    """Lines with ids; the highlighted line stays where it is when the others change."""

    def __init__(self, *, id: str, title: str = "", classes: str = "pane") -> None:
        super().__init__(id=id, classes=classes, markup=False)
        self._title = self.border_title = title
        self._shown: list[tuple[str, Text]] = []

    def show(self, rows: Sequence[tuple[str, Text]], title: str | None = None) -> None:
        """Show these lines; only those that differ are painted again."""
        if title is not None:
            self.entitle(title)
        rows = list(rows)
        if [r[0] for r in rows] == [s[0] for s in self._shown]:
            for at, (row, shown) in enumerate(zip(rows, self._shown, strict=True)):
                if row[1] != shown[1] or row[1].spans != shown[1].spans:
                    self._replace(at, shown[1], row[1])
        else:
            self._replace_all(rows)
        self._shown = rows

    def entitle(self, title: str) -> None:
        """Textual paints a whole widget for a title, even for the same one."""
        if title != self._title:
            self._title = self.border_title = title

    def _replace(self, at: int, before: Text, now: Text) -> None:
        """One line in place; Textual's own way paints every line."""
        same_height = before.plain.count("\n") == now.plain.count("\n")
        if not same_height or not self.is_attached or at not in self._index_to_line:  # or it was never laid out
            self.replace_option_prompt_at_index(at, now)
            return
        option = self.get_option_at_index(at)
        option._set_prompt(now)
        drawn = self._option_render_cache
        for key in list(drawn.keys()):
            if key[0] is option:
                drawn.discard(key)
        top = self._index_to_line[at] - self.scroll_offset.y
        self.refresh(Region(0, top, self.size.width, now.plain.count("\n") + 1))

    def _replace_all(self, rows: list[tuple[str, Text]]) -> None:
        chosen, place = self.chosen, self.highlighted
        self.clear_options()
        self.add_options([Option(text, id=name) for name, text in rows])
        names = [name for name, _ in rows]
        if chosen in names:
            self.highlighted = names.index(chosen)
        elif rows:
            self.highlighted = min(place or 0, len(rows) - 1)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """With no line to select, `enter` is the screen's, which says why there is none."""
        return action != "select" or self.highlighted is not None

    @property
    def chosen(self) -> str | None:
        """The id of the highlighted line."""
        if self.highlighted is None or self.highlighted >= len(self._shown):
            return None
        return self._shown[self.highlighted][0]

    def choose(self, name: str) -> None:
        """Highlight the line with this id, where there is one."""
        for at, (row, _) in enumerate(self._shown):
            if row == name:
                self.highlighted = at
