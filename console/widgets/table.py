"""A table of any number of rows: it holds ids, reads the rows in sight, and draws those alone.

    table.show_columns(columns); table.show_ids(ids)      # ids in order; `source` gives the cells of some of them

Guarantees: cost follows what is on screen, whatever the number of rows; `freshen()` sends only lines that changed; the
highlighted row stays the same run when rows come and go around it. Does NOT sort or filter: whoever owns the ids does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

KEYS = (
    ("up", "cursor(-1)", "Row above"),
    ("down", "cursor(1)", "Row below"),
    ("pageup", "page(-1)", "Page up"),
    ("pagedown", "page(1)", "Page down"),
    ("home", "end(-1)", "First row"),
    ("end", "end(1)", "Last row"),
)
_GAP = 2
_LAST_ENOUGH = 24  # cells that the last column keeps before others grow
_KEPT = 4000  # rows remembered before the memory is emptied: some dozens of screens


@dataclass(frozen=True)
class Column:
    """One column; the last one of a table takes what room is left."""

    key: str
    title: str
    width: int
    rank: int = 0
    """Columns of a high rank leave first where there is no room."""
    right: bool = False
    most: int = 0
    """How wide it may grow where the last column has more room than it needs."""


@dataclass(frozen=True)
class Cell:
    text: str
    style: str = ""


Source = Callable[[Sequence[str]], Mapping[str, Mapping[str, Cell]]]


def fitting(columns: Sequence[Column], width: int) -> list[Column]:
    """The columns that there is room for, the last one as wide as what is left."""
    kept = list(columns)
    while len(kept) > 1 and sum(c.width + _GAP for c in kept) - _GAP > width:
        kept.remove(max(reversed(kept), key=lambda c: c.rank))
    if not kept:
        return []
    left = width - sum(c.width + _GAP for c in kept[:-1])
    for at, column in enumerate(kept[:-1]):
        more = max(0, min(column.most - column.width, left - _LAST_ENOUGH))
        kept[at] = replace(column, width=column.width + more)
        left -= more
    kept[-1] = replace(kept[-1], width=max(1, left))
    return kept


def aligned(text: str, width: int, right: bool) -> str:
    """The text in exactly so many cells, with an ellipsis where it is cut."""
    taken = cell_len(text)
    if taken > width:
        return set_cell_size(text, width - 1) + "…" if width > 0 else ""
    return " " * (width - taken) + text if right else text + " " * (width - taken)


class VirtualTable(ScrollView, can_focus=True):
    DEFAULT_CSS = """
    VirtualTable {
        height: 1fr;
        width: 1fr;
        overflow-x: hidden;
        scrollbar-size-vertical: 1;
        & .table--head { color: $foreground 70%; text-style: bold; }
        & .table--cursor { background: $foreground 8%; }
        &:focus .table--cursor { background: $primary 35%; }
        & .table--mark { color: $text-accent; text-style: bold; }
        & .table--empty { color: $foreground 60%; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"table--head", "table--cursor", "table--mark", "table--empty"}
    BINDINGS: ClassVar[list[BindingType]] = [Binding(key, action, words, show=False) for key, action, words in KEYS]

    @dataclass
    class Chosen(Message):
        """A row was clicked twice."""

        row: str

    @dataclass
    class Moved(Message):
        """Another row is highlighted; None where there is none."""

        row: str | None

    @dataclass
    class HeadClicked(Message):
        """The head of a column was clicked."""

        key: str

    def __init__(self, source: Source, *, id: str | None = None, classes: str = "pane") -> None:
        super().__init__(id=id, classes=classes)
        self.source = source
        self.ids: Sequence[str] = ()
        self.marked: Collection[str] = ()
        self.empty = "nothing here"
        """What is said where there are no rows."""
        self.cursor = 0
        self.sorted_by: tuple[str, str] = ("", "")
        """The column's key and the sign that says which way."""
        self._columns: list[Column] = []
        self._fitted: list[Column] = []
        self._rows: dict[str, Mapping[str, Cell]] = {}
        self._styles: dict[str, Style] = {}

    # What the owner calls

    def show_columns(self, columns: Sequence[Column]) -> None:
        if list(columns) != self._columns:
            self._columns = list(columns)
            self._rows.clear()
            self._fit()
            self.refresh()

    def show_ids(self, ids: Sequence[str]) -> None:
        """Show these rows; the highlighted one stays highlighted where it is still there."""
        chosen = self.chosen
        self.ids = ids
        self._rows.clear()
        if chosen is not None and not (self.cursor < len(ids) and ids[self.cursor] == chosen):
            self.cursor = _place(ids, chosen, self.cursor)
        self.cursor = max(0, min(self.cursor, len(ids) - 1))
        self.virtual_size = Size(self.size.width, len(ids) + 1)
        self._keep_in_sight()
        self.refresh()
        if self.chosen != chosen:
            self.post_message(self.Moved(self.chosen))

    def freshen(self) -> None:
        """Read the rows in sight again and redraw those that changed."""
        shown = self.in_sight
        if not shown:
            return
        fresh = self.source(shown)
        first = int(self.scroll_y)
        for at, row in enumerate(shown):
            if row in fresh and fresh[row] != self._rows.get(row):
                self._rows[row] = fresh[row]
                self._refresh_row(first + at)

    def mark(self, marked: Collection[str]) -> None:
        """Put a sign before these rows."""
        changed = set(self.marked) ^ set(marked)
        self.marked = marked
        first = int(self.scroll_y)
        for at, row in enumerate(self.in_sight):
            if row in changed:
                self._refresh_row(first + at)

    @property
    def chosen(self) -> str | None:
        """The highlighted row."""
        return self.ids[self.cursor] if self.cursor < len(self.ids) else None

    @property
    def shown_columns(self) -> list[Column]:
        """Those that there is room for."""
        return self._fitted

    @property
    def in_sight(self) -> Sequence[str]:
        first = int(self.scroll_y)
        return self.ids[first : first + max(0, self.size.height - 1)]

    # Drawing

    def render_line(self, y: int) -> Strip:
        if y == 0:
            return self._head()
        at = int(self.scroll_y) + y - 1
        if at < len(self.ids):
            return self._row_strip(at)
        if not self.ids and y == 1:
            return self._words(self.empty, "table--empty")
        return Strip.blank(self.size.width, self.rich_style)

    def _words(self, words: str, kind: str) -> Strip:
        style = self.rich_style + self.get_component_rich_style(kind, partial=True)
        return Strip([Segment(words, style)]).adjust_cell_length(self.size.width, self.rich_style)

    def _head(self) -> Strip:
        key, way = self.sorted_by
        titles = [
            aligned(f"{c.title}{way}" if c.key == key else c.title, c.width, c.right and i + 1 < len(self._fitted))
            for i, c in enumerate(self._fitted)
        ]
        return self._words(" " * _GAP + (" " * _GAP).join(titles), "table--head")

    def _row_strip(self, at: int) -> Strip:
        row = self.ids[at]
        cells = self._cells(row)
        ground = self.rich_style
        if at == self.cursor:
            ground = self.get_component_rich_style("table--cursor")
        marked = row in self.marked
        mark = ground + self.get_component_rich_style("table--mark", partial=True) if marked else ground
        segments = [Segment(("* " if self._is_plain else "● ") if marked else "  ", mark)]
        last = len(self._fitted) - 1
        for i, column in enumerate(self._fitted):
            cell = cells.get(column.key, Cell(""))
            text = aligned(cell.text, column.width, column.right and i < last)
            segments.append(Segment(text + ("" if i == last else " " * _GAP), ground + self._style(cell.style)))
        return Strip(segments).adjust_cell_length(self.size.width, ground)

    @property
    def _is_plain(self) -> bool:
        """For a screen reader: signs that are read aloud."""
        return bool(getattr(self.app, "plain", False))

    def _style(self, name: str) -> Style:
        if name not in self._styles:
            self._styles[name] = Style.parse(name) if name else Style.null()
        return self._styles[name]

    def _cells(self, row: str) -> Mapping[str, Cell]:
        """A row's cells; those around it are read with it."""
        if row not in self._rows:
            if len(self._rows) > _KEPT:
                self._rows.clear()
            height = max(1, self.size.height)
            first = max(0, int(self.scroll_y) - height)
            around = self.ids[first : first + 3 * height]
            self._rows |= self.source([row, *(r for r in around if r not in self._rows and r != row)])
            self._rows.setdefault(row, {})
        return self._rows[row]

    def _refresh_row(self, at: int) -> None:
        y = at - int(self.scroll_y) + 1
        if 0 < y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    # Size and movement

    def on_resize(self) -> None:
        self._fit()
        self.virtual_size = Size(self.size.width, len(self.ids) + 1)
        self._keep_in_sight()

    def _fit(self) -> None:
        self._fitted = fitting(self._columns, self.size.width - _GAP)

    def move_to(self, at: int) -> None:
        """Highlight another row and bring it into sight."""
        at = max(0, min(at, len(self.ids) - 1))
        if at == self.cursor or not self.ids:
            return
        before, self.cursor = self.cursor, at
        self._keep_in_sight()
        self._refresh_row(before)
        self._refresh_row(at)
        self.post_message(self.Moved(self.chosen))

    def _keep_in_sight(self) -> None:
        height = max(1, self.size.height - 1)
        first = int(self.scroll_y)
        if self.cursor < first:
            self.scroll_to(y=self.cursor, animate=False, force=True)
        elif self.cursor >= first + height:
            self.scroll_to(y=self.cursor - height + 1, animate=False, force=True)

    def action_cursor(self, by: int) -> None:
        self.move_to(self.cursor + by)

    def action_page(self, by: int) -> None:
        self.move_to(self.cursor + by * max(1, self.size.height - 2))

    def action_end(self, side: int) -> None:
        self.move_to(0 if side < 0 else len(self.ids) - 1)

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y == 0:
            if (key := self._column_at(offset.x)) is not None:
                self.post_message(self.HeadClicked(key))
            return
        at = int(self.scroll_y) + offset.y - 1
        if at < len(self.ids):
            self.move_to(at)
            if event.chain > 1:
                self.post_message(self.Chosen(self.ids[at]))

    def _column_at(self, x: int) -> str | None:
        left = _GAP
        for column in self._fitted:
            if left <= x < left + column.width:
                return column.key
            left += column.width + _GAP
        return None


def _place(ids: Sequence[str], row: str, before: int) -> int:
    """Where a row is now; looked for near its old place first, since little changes at a time."""
    for at in range(max(0, before - 50), min(len(ids), before + 50)):
        if ids[at] == row:
            return at
    try:
        return ids.index(row)
    except ValueError:
        return before
