"""The lines of a log on screen: scrolled, wrapped or not, followed, with a cursor, marks, search and filter.

Guarantees: cost follows the lines in sight; search, filter and the counting of old lines run on threads that post
messages and touch nothing else, so keys answer meanwhile. Does NOT keep text: a line is read when it comes into sight.
`console.widgets.log` puts the prompt and the status line around it.
"""

from __future__ import annotations

import time
from array import array
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import partial
from pathlib import Path
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.cache import LRUCache
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget
from textual.worker import get_current_worker

from console import logsearch, logtime
from console.logindex import BLOCK, Change, Line, LogFile, count_newlines
from console.logrows import MOST_FILTERED, LogRows, find_nearest
from console.logsearch import Query, QueryError, parse_query
from console.widgets.logstrips import lit, restyled, text_strip, wrapped

KEYS = (
    ("up", "cursor(-1)", "Line up"),
    ("down", "cursor(1)", "Line down"),
    ("pageup", "page(-1)", "Page up"),
    ("pagedown", "page(1)", "Page down"),
    ("home,g", "top", "First line"),
    ("end,G", "bottom", "Newest line, and follow"),
    ("left", "sideways(-16)", "Left"),
    ("right", "sideways(16)", "Right"),
    ("f", "toggle_follow", "Follow"),
    ("w", "toggle_wrap", "Wrap"),
    ("slash", "ask('/')", "Search"),
    ("n", "find(1)", "Next match"),
    ("N", "find(-1)", "Match before"),
    ("ampersand", "ask('&')", "Show only matching lines"),
    ("at", "ask('@')", "Go to a time"),
    ("m", "mark", "Mark the line"),
    ("apostrophe", "next_mark", "Next mark"),
    ("escape", "stop", "Stop searching; then drop the filter, then the search"),
)

BACKFILL_BLOCKS = 512
"""Blocks counted per message while old lines are counted: 32 MiB, a few hundredths of a second."""
FILTER_BATCH_S = 0.2
FILTER_BATCH = 50_000
CACHED_STRIPS = 256
GUTTER = 2
MOST_COPIED = 10_000
"""Rows that one copy takes."""


class LogLines(ScrollView, can_focus=True, inherit_bindings=False):
    DEFAULT_CSS = """
    LogLines {
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
    BINDINGS: ClassVar[list[BindingType]] = [Binding(key, action, words, show=False) for key, action, words in KEYS]

    @dataclass
    class Asked(Message):
        """A key asked for the prompt."""

        kind: str

    @dataclass
    class StatusChanged(Message):
        """Something that the status line says has changed."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, LogLines.StatusChanged)

    @dataclass
    class CursorMoved(Message):
        """The cursor stands on another line, or nowhere."""

    @dataclass
    class Backfilled(Message):
        """From the counting thread: newlines of the blocks before those known."""

        generation: int
        first_block: int
        counts: array[int]

    @dataclass
    class Found(Message):
        """From the search thread."""

        generation: int
        offset: int | None
        around: bool

    @dataclass
    class Filtered(Message):
        """From the filter thread: older matching lines, newest first."""

        generation: int
        query: Query
        offsets: list[int]
        done: bool

    def __init__(self, *, zone: tzinfo | None = None, name: str | None = None, id: str | None = None) -> None:
        super().__init__(name=name, id=id)
        self.zone = zone
        """The zone of times without one; None is this machine's."""
        self.path: Path | None = None
        self.rows: LogRows | None = None
        self.following = True
        self.wrap = False
        self.needle: Query | None = None
        """What is searched for and highlighted."""
        self.note = ""
        """One sentence about what just happened, for the status line."""
        self.busy = ""
        """What a thread is doing now, with the key that stops it."""
        self.marks: set[int] = set()
        self._generation = 0
        self._cursor: int | None = None
        """The byte that the cursor's line begins at."""
        self._wanted: int | None = None
        """Where to go once the lines up to there are counted."""
        self._widest = 0
        self._own_scroll = False
        self._page: list[tuple[int, Strip]] = []
        self._page_key: object = None
        self._cache: LRUCache[object, list[Strip]] = LRUCache(CACHED_STRIPS)
        """Rows as text."""
        self._finished: LRUCache[object, Strip] = LRUCache(CACHED_STRIPS)
        """Rows as they stand on screen."""

    # ------------------------------------------------------------ the file

    def open(self, path: Path | None) -> None:
        """Show another file from its end; None shows nothing; a file that is not there yet is waited for."""
        self.path = path
        self.marks = set()
        self.needle = None
        self.following = True
        self._start_over("", None)

    def _start_over(self, note: str, filter: Query | None) -> None:
        self.close()
        self._cursor = self._wanted = None
        self._widest = 0
        self.busy, self.note = "", note
        self._forget()
        if self.path is not None:
            try:
                self.rows = LogRows(LogFile(self.path))
            except FileNotFoundError:
                pass
            except OSError as error:
                self.note = f"{self.path.name} cannot be read: {error.strerror}"
        if self.rows:
            self._start_backfill(self.rows)
            if filter:
                self._start_filter(self.rows, filter)
        self._lay_out()

    def close(self) -> None:
        """Let go of the file; what threads still find is not listened to."""
        self._generation += 1
        if self.is_attached:
            self.workers.cancel_node(self)
        if self.rows:
            self.rows.file.close()
        self.rows = None

    def on_unmount(self) -> None:
        self.close()

    def pump(self) -> None:
        """Look for new bytes."""
        if self.rows is None:
            if self.path is not None and self.path.exists():
                self._start_over("", None)
            return
        change = self.rows.file.check()
        if change is Change.RESTARTED:
            self.marks = set()
            self._start_over("the file was written anew; started over", self.rows.filter)
        elif change is Change.GONE:
            self._say("the file is gone; this is what it held")
        elif change is Change.GREW or self.rows.index.indexed_to < self.rows.file.size:
            torn = self.rows.index.tail
            self.rows.grow()
            self._lay_out(torn)

    def _start_backfill(self, rows: LogRows) -> None:
        if not rows.index.complete:
            work = partial(self._count_old_lines, rows.file, rows.index.first_block, self._generation)
            self.run_worker(work, thread=True, group="backfill", exit_on_error=False)

    def _count_old_lines(self, file: LogFile, last: int, generation: int) -> None:
        """On a thread: count newlines backwards from a block, batch by batch."""
        while last and not get_current_worker().is_cancelled:
            first = max(0, last - BACKFILL_BLOCKS)
            self.post_message(self.Backfilled(generation, first, count_newlines(file, first, last, last * BLOCK)))
            last = first

    def on_log_lines_backfilled(self, message: Backfilled) -> None:
        if message.generation != self._generation or not self.rows:
            return
        added = self.rows.index.prepend(message.first_block, message.counts)
        if not self.rows.filter:
            self._shift_scroll(added)
        if self._wanted is not None and self.rows.row_of(self._wanted) >= 0:
            self._go_to(self._wanted)
        self._status_changed()

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
        self._page_key = None

    # ------------------------------------------------------------ drawing

    def render_line(self, y: int) -> Strip:
        count, width = self.row_count, self.room.width
        if not count:
            return self._empty_line(y)
        if self.wrap:
            page = self._wrapped_page()
            return page[y][1] if y < len(page) else Strip.blank(width, self.rich_style)
        row = self.scroll_offset.y + y
        return self._row_strip(row, width) if row < count else Strip.blank(width, self.rich_style)

    def _empty_line(self, y: int) -> Strip:
        width, height = self.room
        words = ""
        if y == height // 2:
            words = "no log yet" if not self.rows else "no line matches" if self.rows.filter else "nothing written yet"
        faint = self.get_component_rich_style("log--faint")
        return Strip([Segment(words.center(width)[:width], faint)]).adjust_cell_length(width, self.rich_style)

    def _row_strip(self, row: int, width: int) -> Strip:
        """A row that is not wrapped, gutter included; kept while it looks the same."""
        assert self.rows
        left, line = self.scroll_offset.x, self.rows.line(row)
        here, marked = line.start == self._cursor, line.start in self.marks
        span = self._selected_span(row)
        key = (row, line, left, width, self.needle, here, marked, span)
        strip = self._finished.get(key)
        if strip is None:
            body = self._strips(row)[0]
            if span is not None:
                body = restyled(body, *span, self.screen.get_component_rich_style("screen--selection"))
            body = body.crop(left, left + width - GUTTER).apply_offsets(left, row)
            strip = self._finished[key] = self._finish(body, width, here, marked)
        return strip

    def _finish(self, body: Strip, width: int, here: bool, marked: bool, first: bool = True) -> Strip:
        """The gutter before the text, the cursor behind it."""
        sign = ("▌" if marked and first else " ") + (">" if here and first and self._colourless else " ")
        gutter = Segment(sign, self.get_component_rich_style("log--mark"))
        strip = Strip([gutter, *body]).adjust_cell_length(width, self.rich_style)
        return lit(strip, self.rich_style, self.get_component_rich_style("log--cursor")) if here else strip

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
            part = self.get_component_rich_style
            shown = self.rows.shown(row)
            strip = text_strip(shown, self.needle, self.rich_style, part("log--match"), part("log--faint"))
            self._widest = max(self._widest, strip.cell_length)
            strips = wrapped(strip, width, max(1, self.room.height - 1)) if self.wrap else [strip]
            self._cache[key] = strips
        return strips

    # ------------------------------------------------------------ text selected with the mouse

    @property
    def allow_select(self) -> bool:
        """A wrapped row has no single place on screen that a selection could be told by."""
        return not self.wrap

    def _selected_span(self, row: int) -> tuple[int, int] | None:
        selection = self.text_selection
        return None if selection is None else selection.get_span(row)

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

    def _go_to(self, offset: int, tell: bool = True) -> None:
        """Put the cursor on the line that begins at a byte, in the middle of the page."""
        assert self.rows
        self.following = False
        self._cursor = offset
        row = self.rows.row_of(offset)
        if row < 0:
            self._wanted = offset
            self._say("counting the lines up to there …")
            return
        if self._wanted is not None:
            self._wanted, self.note = None, ""
        self._reveal(row, middle=True)
        self._cursor_moved(tell)

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

    # ------------------------------------------------------------ marks

    def action_mark(self) -> None:
        """The cursor's line, or the newest while following."""
        if self.rows and self.row_count:
            row = self.row_count - 1 if self.cursor_row is None else self.cursor_row
            self.marks ^= {self.rows.line(row).start}
            self.refresh()
            self._status_changed()

    def action_next_mark(self) -> None:
        """The next mark below, from the top again after the last."""
        if not self.marks:
            self._say("no marks; m sets one")
            return
        here = -1 if self._cursor is None else self._cursor
        self._go_to(min((mark for mark in self.marks if mark > here), default=min(self.marks)))

    # ------------------------------------------------------------ search

    def search(self, text: str) -> None:
        """Look for text: from the cursor down, or from the end up while there is no cursor."""
        self.needle = self._parsed(text)
        self.refresh()
        self._status_changed()
        if self.needle:
            self.action_find(-1 if self._cursor is None else 1, inclusive=True)

    def _parsed(self, text: str) -> Query | None:
        try:
            return parse_query(text) if text else None
        except QueryError as error:
            self._say(str(error))
            return None

    def action_find(self, direction: int, inclusive: bool = False) -> None:
        """The next match in a direction; inclusive, the cursor's own line counts."""
        if self.needle is None or self.rows is None:
            self._say("nothing to search for; / asks")
            return
        end = self.rows.whole_stop
        here = self.rows.line_from(self._cursor) if self._cursor is not None else Line(end, end)
        start = min(here.stop + 1, end) if (direction > 0) is not inclusive else here.start
        self.busy = f"searching {self.needle.text} … esc stops"
        find = partial(find_nearest, self.rows.file, self.needle, self.rows.filter, start, end, direction)
        self.run_worker(
            partial(self._search, find, self._generation),
            thread=True,
            group="search",
            exclusive=True,
            exit_on_error=False,
        )
        self._status_changed()

    def _search(self, find: partial[tuple[int, bool] | None], generation: int) -> None:
        """On a thread."""
        worker = get_current_worker()
        found = find(stopped=lambda: worker.is_cancelled)
        if not worker.is_cancelled:
            self.post_message(self.Found(generation, *(found or (None, False))))

    def on_log_lines_found(self, message: Found) -> None:
        if message.generation != self._generation:
            return
        self.busy = ""
        if message.offset is None:
            self._say(f"{self.needle.text if self.needle else ''}: not found")
            return
        self.note = "went around the end" if message.around else ""
        self._go_to(message.offset)

    # ------------------------------------------------------------ filter

    def set_filter(self, text: str) -> None:
        """Show only lines that match; an empty text shows all again, around the cursor."""
        query = self._parsed(text)
        if not self.rows or (text and query is None):
            return
        self.workers.cancel_group(self, "filter")
        self.busy = self.note = ""
        self._page_key = None
        if query:
            self._start_filter(self.rows, query)
        else:
            self.rows.set_filter(None)
        self._lay_out()
        if self._cursor is not None and not query:
            self._go_to(self._cursor)

    def _start_filter(self, rows: LogRows, query: Query) -> None:
        self.busy = f"filtering {query.text} … esc stops"
        work = partial(self._filter_old, rows.file, query, rows.set_filter(query), self._generation)
        self.run_worker(work, thread=True, group="filter", exclusive=True, exit_on_error=False)

    def _filter_old(self, file: LogFile, query: Query, stop: int, generation: int) -> None:
        """On a thread: the lines that match, newest first, in batches bounded by count and time."""
        worker = get_current_worker()
        batch: list[int] = []
        sent, started = 0, time.monotonic()
        for offset in logsearch.matching_lines_back(file, query, 0, stop, lambda: worker.is_cancelled):
            batch.append(offset)
            if len(batch) >= FILTER_BATCH or time.monotonic() - started > FILTER_BATCH_S:
                self.post_message(self.Filtered(generation, query, batch, done=False))
                sent, batch, started = sent + len(batch), [], time.monotonic()
            if sent + len(batch) >= MOST_FILTERED:
                break
        if not worker.is_cancelled:
            self.post_message(self.Filtered(generation, query, batch, done=True))

    def on_log_lines_filtered(self, message: Filtered) -> None:
        if message.generation != self._generation or not self.rows or self.rows.filter is not message.query:
            return
        added = self.rows.keep_older(message.offsets)
        if message.done:
            self.busy = ""
            self.note = f"only the newest {MOST_FILTERED:,}" if self.row_count >= MOST_FILTERED else ""
        self._shift_scroll(added)
        self._status_changed()

    # ------------------------------------------------------------ time and step

    def go_to_time(self, unix: float, tell: bool = False) -> bool:
        """To the first line at or after a time; says whether lines carry times."""
        return self._go_to_found(self.rows.find_time(unix, self.day()) if self.rows else None, tell)

    def go_to_step(self, step: float) -> bool:
        """To the first line that names this step or a later one; says whether lines name steps."""
        return self._go_to_found(self.rows.find_step(step) if self.rows else None)

    def _go_to_found(self, offset: int | None, tell: bool = False) -> bool:
        if offset is not None:
            self._go_to(offset, tell)
        return offset is not None

    def ask_time(self, words: str) -> None:
        """Go to a time as someone typed it; reckoned back from the file's last change."""
        day = self.day()
        unix = logtime.asked_time(words, day.timestamp(), self.zone) if day else None
        if unix is None:
            self._say(f"{words!r} is no time; try 23:45, 2026-11-20 23:45 or -5m")
        elif not self.go_to_time(unix, tell=True):
            self._say("no line here carries a time")

    def day(self) -> logtime.Day:
        """When the file last changed: the day that a time of day without a date lies on."""
        try:
            changed = self.path.stat().st_mtime if self.path else None
        except OSError:
            changed = None
        return None if changed is None else datetime.fromtimestamp(changed, self.zone).astimezone(self.zone)

    # ------------------------------------------------------------ prompt and status

    def action_ask(self, kind: str) -> None:
        self.post_message(self.Asked(kind))

    def action_stop(self) -> None:
        if self.busy:
            self.workers.cancel_group(self, "search")
            self.workers.cancel_group(self, "filter")
            self.busy = ""
            self._say("stopped")
        elif self.rows and self.rows.filter:
            self.set_filter("")
        else:
            self.search("")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Escape is ours only while there is something to stop or to drop."""
        return action != "stop" or bool(self.busy or self.needle or (self.rows and self.rows.filter))

    def _say(self, note: str) -> None:
        if note != self.note:
            self.note = note
            self._status_changed()

    def _status_changed(self) -> None:
        self.post_message(self.StatusChanged())

    def status(self) -> str:
        """What the status line says."""
        parts = [self.busy or self.note]
        if self.rows and self.rows.filter:
            parts.append(f"& {self.rows.filter.text}")
        if self.needle:
            parts.append(f"/ {self.needle.text}")
        if self.marks:
            parts.append(f"{len(self.marks)} marked")
        parts += [self._position(), "following" if self.following else "f follows"]
        return "  ·  ".join(part for part in parts if part)

    def _position(self) -> str:
        if not self.rows:
            return ""
        older = "" if self.rows.index.complete or self.rows.filter else "…"
        if self.cursor_row is None:
            return f"{older}{self.row_count:,} lines"
        return f"line {older}{self.cursor_row + 1:,} of {older}{self.row_count:,}"
