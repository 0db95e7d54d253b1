"""Rows of a log as strips: wrapped or not, with the cursor's ground, marks, hits, and what the mouse selected.

Guarantees: cost follows the rows in sight, and a row that looks the same is the same strip. Does NOT keep text: a line is read
when it comes into sight. Where the rows stand and how one walks over them is the business of `console.widgets.logpage`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.cache import LRUCache
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.scrollbar import ScrollBar
from textual.selection import Selection
from textual.strip import Strip

from console.logs.rows import LogRows
from console.logs.search import Query
from console.widgets.logstrips import lit, restyled, text_strip, wrapped
from console.widgets.straight import StillBar, Straight

CACHED_STRIPS = 256
GUTTER = 2


@dataclass(frozen=True)
class Sight:
    """What all rows of a page have in common."""

    left: int
    width: int
    needle: Query | None
    selection: Selection | None

    @property
    def looks(self) -> object:
        return self.left, self.width, self.needle


class LogFace(Straight, ScrollView, can_focus=True, inherit_bindings=False):
    COMPONENT_CLASSES: ClassVar[set[str]] = {"log--cursor", "log--match", "log--mark", "log--faint"}

    def __init__(self, *, name: str | None = None, id: str | None = None) -> None:
        super().__init__(name=name, id=id)
        self.rows: LogRows | None = None
        self.following = True
        self.wrap = False
        self.needle: Query | None = None
        """What is searched for and highlighted."""
        self.marks: set[int] = set()
        """The bytes that marked lines begin at."""
        self._cursor: int | None = None
        """The byte that the cursor's line begins at."""
        self._widest = 0
        self._own_scroll = False
        self._page: list[tuple[int, Strip]] = []
        self._page_key: object = None
        self._cache: LRUCache[object, list[Strip]] = LRUCache(CACHED_STRIPS)
        """Rows as text."""
        self._finished: LRUCache[object, Strip] = LRUCache(CACHED_STRIPS)
        """Rows as they stand on screen."""
        self._parts: dict[str, Style] = {}
        self._finished_in: object = None
        """What the rows that stand there have in common."""

    @property
    def vertical_scrollbar(self) -> ScrollBar:
        if self._vertical_scrollbar is None:
            self._vertical_scrollbar = bar = StillBar(vertical=True, name="vertical", thickness=1)
            bar.display = False
            self.app._start_widget(self, bar)
        return self._vertical_scrollbar

    @property
    def row_count(self) -> int:
        return self.rows.count if self.rows else 0

    @property
    def room(self) -> Size:
        """The cells that lines are shown in, gutter included."""
        return self.scrollable_content_region.size

    @property
    def cursor_row(self) -> int | None:
        if self._cursor is None or not self.rows or not self.rows.count:
            return None
        row = self.rows.row_of(self._cursor)
        return row if 0 <= row < self.rows.count else None

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._forget()

    def _forget(self) -> None:
        """What was drawn holds no longer."""
        self._cache.clear()
        self._finished.clear()
        self._parts.clear()
        self._page_key = None

    # ------------------------------------------------------------ drawing

    def render_line(self, y: int) -> Strip:
        count, width = self.row_count, self.room.width
        if not count:
            return self._empty_line(y)
        if self.wrap:
            page = self._wrapped_page()
            return page[y][1] if y < len(page) else Strip.blank(width, self.base)
        row = self.scroll_offset.y + y
        if row >= count:
            return Strip.blank(width, self.base)
        return self._row_strip(row, self._sight()).crop(0, width)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Many lines at once, for what a page has in common is asked for once."""
        if self.wrap or not self.row_count or not self._is_straight(crop):
            return super().render_lines(crop)
        sight, top = self._sight(), self.scroll_offset.y
        blank = Strip.blank(crop.width, self.base)
        rows = range(top + crop.y, min(top + crop.bottom, self.row_count))
        strips = [self._row_strip(row, sight) for row in rows]
        return self.filtered(strips + [blank] * (crop.height - len(strips)))

    def _sight(self) -> Sight:
        return Sight(self.scroll_offset.x, self.room.width, self.needle, self.text_selection)

    def _empty_line(self, y: int) -> Strip:
        width, height = self.room
        words = ""
        if y == height // 2:
            words = "no log yet" if not self.rows else "no line matches" if self.rows.filter else "nothing written yet"
        faint = self._part("log--faint")
        return Strip([Segment(words.center(width)[:width], faint)]).adjust_cell_length(width, self.base)

    def _row_strip(self, row: int, sight: Sight) -> Strip:
        """A row that is not wrapped, gutter included; kept while it looks the same."""
        assert self.rows
        line = self.rows.line(row)
        here, marked = line.start == self._cursor, line.start in self.marks
        span = None if sight.selection is None else sight.selection.get_span(row)
        key = (row, line.start, line.stop, here, marked, span)
        if sight.looks != self._finished_in:
            self._finished.clear()
            self._finished_in = sight.looks
        strip = self._finished.get(key)
        if strip is None:
            body = self._strips(row)[0]
            if span is not None:
                body = restyled(body, *span, self.screen.get_component_rich_style("screen--selection"))
            body = body.crop(sight.left, sight.left + sight.width - GUTTER).apply_offsets(sight.left, row)
            strip = self._finished[key] = self._finish(body, self.region.width, here, marked)
        return strip

    def _finish(self, body: Strip, width: int, here: bool, marked: bool, first: bool = True) -> Strip:
        """The gutter before the text, the cursor behind it."""
        sign = ("▌" if marked and first else " ") + (">" if here and first and self._colourless else " ")
        gutter = Segment(sign, self._part("log--mark"))
        strip = Strip([gutter, *body]).adjust_cell_length(width, self.base)
        return lit(strip, self.base, self._part("log--cursor")) if here else strip

    def _part(self, name: str) -> Style:
        if name not in self._parts:
            self._parts[name] = self.get_component_rich_style(name)
        return self._parts[name]

    @property
    def _colourless(self) -> bool:
        return self.app.no_color or self.app.console.color_system is None

    def _wrapped_page(self) -> list[tuple[int, Strip]]:
        """Rows and strips in sight, a row as often as it takes."""
        assert self.rows
        state = (self.rows.index.indexed_to, self.rows.count, self.cursor_row, self.needle, frozenset(self.marks))
        key = (self.scroll_offset.y, self.room, state)
        if key != self._page_key:
            self._page = []
            row, room = self.scroll_offset.y, self.room
            while row < self.row_count and len(self._page) < room.height:
                start = self.rows.line(row).start
                here, marked = start == self._cursor, start in self.marks
                for part, strip in enumerate(self._strips(row)):
                    self._page.append((row, self._finish(strip, room.width, here, marked, first=part == 0)))
                row += 1
            self._page_key = key
        return self._page

    def _strips(self, row: int) -> list[Strip]:
        """A row's text: one strip, or as many as it takes where lines are wrapped."""
        assert self.rows
        width = self.room.width - GUTTER if self.wrap else 0
        key = (self.rows.line(row), width, self.needle)
        strips = self._cache.get(key)
        if strips is None:
            part = self._part
            shown = self.rows.shown(row)
            strip = text_strip(shown, self.needle, self.base, part("log--match"), part("log--faint"))
            self._widest = max(self._widest, strip.cell_length)
            strips = wrapped(strip, width, max(1, self.room.height - 1)) if self.wrap else [strip]
            self._cache[key] = strips
        return strips
