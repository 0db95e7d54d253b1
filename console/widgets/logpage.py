"""Rows of a log on screen: scrolled, wrapped or not, followed, with a cursor that walks over them.

Guarantees: cost follows the rows in sight; a growing log redraws from its last line on, and nothing else. Does NOT
keep text: a line is read when it comes into sight. Where the rows come from is the business of `console.widgets.loglines`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.cache import LRUCache
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.scrollbar import ScrollBar
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from console.logs.index import Line
from console.logs.rows import LogRows
from console.logs.search import Query
from console.widgets.logstrips import lit, restyled, text_strip, wrapped
from console.widgets.straight import StillBar, Straight

CACHED_STRIPS = 256
GUTTER = 2
MOST_COPIED = 10_000
"""Rows that one copy takes."""


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


class LogPage(Straight, ScrollView, can_focus=True, inherit_bindings=False):
    DEFAULT_CSS = """
    LogPage {
        height: 1fr;
        overflow-x: hidden;
        overflow-y: scroll;
        scrollbar-size-vertical: 1;
        background: $surface;
        color: $foreground;

        & .log--cursor { background: $foreground 12%; }
        & .log--match { background: $warning 50%; color: $foreground; text-style: bold; }
        & .log--mark { color: $accent; text-style: bold; }
        & .log--faint { color: $foreground 50%; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"log--cursor", "log--match", "log--mark", "log--faint"}

    @dataclass
    class StatusChanged(Message):
        """Something that the status line says has changed."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, LogPage.StatusChanged)

    @dataclass
    class CursorMoved(Message):
        """The cursor stands on another line, or nowhere."""

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

    def _status_changed(self) -> None:
        self.post_message(self.StatusChanged())

    @property
    def vertical_scrollbar(self) -> ScrollBar:
        if self._vertical_scrollbar is None:
            self._vertical_scrollbar = bar = StillBar(vertical=True, name="vertical", thickness=1)
            bar.display = False
            self.app._start_widget(self, bar)
        return self._vertical_scrollbar

    # ------------------------------------------------------------ layout and scrolling

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

    def _lay_out(self, torn: Line | None = None) -> None:
        """Take in how many rows there are; `torn` is the last line as it stood before it grew."""
        at = self.scroll_offset.y
        self._resize_virtual()
        if self.following:
            self._scroll_rows(self.max_scroll_y)
        if torn is not None and self.rows and not self.wrap and self.scroll_offset.y == at:
            self._refresh_from(self.rows.row_of(torn.start))
        else:
            self.refresh()
        self._status_changed()

    def _resize_virtual(self) -> None:
        """Without a layout of the whole screen, which a changed virtual size would otherwise ask for."""
        size = Size(self._widest + GUTTER, self._virtual_height())
        if size == self.virtual_size:
            return
        self.set_reactive(Widget.virtual_size, size)
        self._own_scroll = True
        self._scroll_update(size)
        self._own_scroll = False

    def _virtual_height(self) -> int:
        """Rows; with wrapped lines, so many that scrolling to the end shows the end."""
        if not self.wrap or not self.room.height or not self.row_count:
            return self.row_count
        left, row = self.room.height, self.row_count
        while row > 0 and left > 0:
            row -= 1
            left -= len(self._strips(row))
        return row + (left < 0) + self.room.height

    def _refresh_from(self, row: int) -> None:
        first = max(0, row - self.scroll_offset.y)
        room = self.room
        if first < room.height:
            self.refresh(Region(0, first, room.width, room.height - first))

    def _scroll_rows(self, row: float) -> None:
        """Scroll without that being taken for the user's wish."""
        self._own_scroll = True
        self.scroll_target_y = self.scroll_y = row
        self._own_scroll = False

    def _shift_scroll(self, added: int) -> None:
        """Older rows came in above: what is in sight stays in sight."""
        self._resize_virtual()
        self._scroll_rows(self.max_scroll_y if self.following else self.scroll_y + added)
        self._page_key = None
        self.refresh()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if not self._own_scroll and round(old_value) != round(new_value):
            self.set_following(new_value >= self.max_scroll_y)

    def set_following(self, following: bool) -> None:
        if following != self.following:
            self.following = following
            self._status_changed()
        if following:
            if self._cursor is not None:
                self._cursor = None
                self.post_message(self.CursorMoved())
            self._scroll_rows(self.max_scroll_y)
            self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        self._forget()
        self._lay_out()

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

    # ------------------------------------------------------------ text selected with the mouse

    @property
    def allow_select(self) -> bool:
        """A wrapped row has no single place on screen that a selection could be told by."""
        return not self.wrap

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh()

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """What copying takes: the text as it is seen, of so many rows at most."""
        if not self.rows:
            return None
        first = selection.start.y if selection.start else 0
        last = min(selection.end.y if selection.end else self.row_count - 1, self.row_count - 1, first + MOST_COPIED)
        copied = []
        for row in range(first, last + 1):
            start, stop = selection.get_span(row) or (0, 0)
            text = self.rows.shown(row).text
            copied.append(text[start:] if stop < 0 else text[start:stop])
        return "\n".join(copied), "\n"

    # ------------------------------------------------------------ cursor

    def _set_cursor(self, row: int) -> None:
        if not self.rows or not self.row_count:
            return
        row = min(max(0, row), self.row_count - 1)
        self.following = False
        self._cursor = self.rows.line(row).start
        self._reveal(row)
        self._cursor_moved()

    def _cursor_moved(self, tell: bool = True) -> None:
        self.refresh()
        self._status_changed()
        if tell:
            self.post_message(self.CursorMoved())

    def _reveal(self, row: int, middle: bool = False) -> None:
        """Scroll as little as it takes, or so that the row stands in the middle."""
        top, height = self.scroll_offset.y, self.room.height
        if row < top or (middle and row >= self._bottom):
            self._scroll_rows(min(max(0, row - height // 2 if middle else row), self.max_scroll_y))
        while row >= self._bottom and self.scroll_offset.y < min(row, self.max_scroll_y):
            step = 1 if self.wrap else row - height + 1 - self.scroll_offset.y
            self._scroll_rows(min(self.scroll_offset.y + step, self.max_scroll_y))

    @property
    def _bottom(self) -> int:
        """The first row below those that are wholly in sight."""
        if not self.wrap:
            return self.scroll_offset.y + self.room.height
        left, row = self.room.height, self.scroll_offset.y
        while row < self.row_count and left >= len(self._strips(row)):
            left -= len(self._strips(row))
            row += 1
        return row

    def action_cursor(self, by: int) -> None:
        row = self.cursor_row
        if row is None:
            self._set_cursor(min(self.row_count, self._bottom) - 1)
        else:
            self._set_cursor(row + by)

    def action_page(self, by: int) -> None:
        page = max(1, self._bottom - self.scroll_offset.y - 1)
        top = self.scroll_offset.y + by * page
        if top >= self.max_scroll_y:
            self.action_bottom()
            return
        self.following = False
        self._scroll_rows(max(0, top))
        if self.cursor_row is not None:
            self._set_cursor(self.scroll_offset.y)
        self.refresh()
        self._status_changed()

    def action_top(self) -> None:
        self._scroll_rows(0)
        self._set_cursor(0)

    def action_bottom(self) -> None:
        self.set_following(True)

    def action_sideways(self, by: int) -> None:
        if not self.wrap:
            limit = max(0, self._widest + GUTTER - self.room.width)
            self._resize_virtual()
            self.scroll_target_x = self.scroll_x = min(max(0, self.scroll_offset.x + by), limit)
            self.refresh()

    def action_toggle_follow(self) -> None:
        self.set_following(not self.following)

    def action_toggle_wrap(self) -> None:
        top = self.scroll_offset.y
        self.wrap = not self.wrap
        self.scroll_target_x = self.scroll_x = 0
        self._forget()
        self._lay_out()
        if not self.following:
            self._scroll_rows(min(top, self.max_scroll_y))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None or not self.rows:
            return
        if not self.wrap:
            if self.scroll_offset.y + offset.y < self.row_count:
                self._set_cursor(self.scroll_offset.y + offset.y)
        elif offset.y < len(self._wrapped_page()):
            self._set_cursor(self._page[offset.y][0])
