"""A log on screen: any size, newest lines first, followed live, searched and filtered while it grows.

Guarantees: cost follows the lines in sight; nothing in the file can harm the terminal; search, filter and the counting
of old lines run on threads that post messages, so keys answer meanwhile. `open()` and `pump()` are all that the owner
calls. Does NOT keep text: lines are read from the file each time they come into sight.
"""

from __future__ import annotations

import re
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.cache import LRUCache
from textual.containers import Horizontal, Vertical
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input, Label
from textual.worker import get_current_worker

from console import logsearch, logtime
from console.logindex import BLOCK, Change, Line, LogFile, LogIndex, count_newlines
from console.logsearch import Query, QueryError, parse_query
from console.logtext import PLAIN, Sgr, Shown, read_line, show, whole_characters

if TYPE_CHECKING:
    from textual.worker import Worker

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
    ("escape", "stop", "Stop the search, then drop filter, then search"),
)

BACKFILL_BLOCKS = 512
"""Blocks counted per message while old lines are counted: 32 MiB, a few hundredths of a second."""
FILTER_BATCH_S = 0.2
MOST_FILTERED = 1_000_000
"""Lines that a filter keeps, the newest: eight megabytes of offsets."""
LIVE_FILTER = 1024 * 1024
"""New bytes filtered per pump."""
CACHED_STRIPS = 256
GUTTER = 2


class LogLines(ScrollView, can_focus=True, inherit_bindings=False):
    """The lines themselves; LogView around it adds the prompt and the status line."""

    DEFAULT_CSS = """
    LogLines {
        height: 1fr;
        overflow-x: hidden;
        overflow-y: scroll;
        scrollbar-size-vertical: 1;
        background: $surface;
        color: $foreground;

        & .log--cursor { background: $foreground 12%; }
        & .log--match { background: $warning 60%; color: $foreground; text-style: bold; }
        & .log--mark { color: $accent; text-style: bold; }
        & .log--faint { color: $foreground 50%; }
    }
    """
    COMPONENT_CLASSES = {"log--cursor", "log--match", "log--mark", "log--faint"}
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
        generation: int
        first_block: int
        counts: array[int]

    @dataclass
    class Found(Message):
        generation: int
        offset: int | None
        around: bool
        """The search went around the end of the file."""

    @dataclass
    class Filtered(Message):
        """Older matching lines, newest first."""

        generation: int
        offsets: list[int]
        done: bool

    def __init__(self, *, zone: tzinfo | None = None, name: str | None = None, id: str | None = None) -> None:
        super().__init__(name=name, id=id)
        self.zone = zone
        self.file: LogFile | None = None
        self.index: LogIndex | None = None
        self.path: Path | None = None
        self.following = True
        self.wrap = False
        self.needle: Query | None = None
        self.filter: Query | None = None
        self.note = ""
        """One sentence about what just happened, for the status line."""
        self.busy = ""
        """What a thread is doing now, with the key that stops it."""
        self.marks: set[int] = set()
        self._kept = array("Q")
        self._filtered_to = 0
        self._generation = 0
        self._cursor: int | None = None
        self._wanted: int | None = None
        self._widest = 0
        self._own_scroll = False
        self._page: list[Strip] = []
        self._page_rows: list[int] = []
        self._page_key: object = None
        self._cache: LRUCache[object, list[Strip]] = LRUCache(CACHED_STRIPS)

    # ------------------------------------------------------------ the file

    def open(self, path: Path | None) -> None:
        """Show another file from its end; None shows nothing; a file that is not there yet is waited for."""
        self.path = path
        self.marks = set()
        self.needle = self.filter = None
        self._start_over("")
        self.pump()

    def _start_over(self, note: str) -> None:
        self._generation += 1
        self.workers.cancel_node(self)
        if self.file:
            self.file.close()
        self.file = self.index = None
        self._cursor = self._wanted = None
        self._kept = array("Q")
        self._filtered_to = 0
        self._widest = 0
        self.busy = ""
        self.note = note
        self._cache.clear()
        if self.path is not None:
            try:
                self.file = LogFile(self.path)
            except FileNotFoundError:
                pass
            except OSError as error:
                self.note = f"{self.path.name}: {error.strerror}"
        if self.file:
            self.index = LogIndex(self.file)
            self._start_backfill()
            if self.filter:
                self._start_filter()
        self._lay_out()

    def pump(self) -> None:
        """Look for new bytes."""
        if self.file is None or self.index is None:
            if self.path is not None and self.path.exists():
                self._start_over(self.note)
            return
        change = self.file.check()
        if change is Change.RESTARTED:
            self._start_over("the file was written anew; started over")
        elif change is Change.GONE:
            self._say("the file is gone; this is what it held")
        elif change is Change.GREW or self.index.indexed_to < self.file.size:
            torn = self.index.tail
            self.index.grow()
            self._extend_filter()
            self._lay_out(torn)

    def close(self) -> None:
        self._generation += 1
        if self.file:
            self.file.close()
        self.file = self.index = None

    def on_unmount(self) -> None:
        self.close()

    def _start_backfill(self) -> None:
        assert self.file
        assert self.index
        if not self.index.complete:
            work = partial(self._count_old_lines, self.file, self.index.first_block, self._generation)
            self.run_worker(work, thread=True, group="backfill", exit_on_error=False)

    def _count_old_lines(self, file: LogFile, last: int, generation: int) -> None:
        """On a thread: count newlines backwards from a block, batch by batch."""
        while last and not get_current_worker().is_cancelled:
            first = max(0, last - BACKFILL_BLOCKS)
            self.post_message(self.Backfilled(generation, first, count_newlines(file, first, last, last * BLOCK)))
            last = first

    def on_log_lines_backfilled(self, message: Backfilled) -> None:
        if message.generation != self._generation or not self.index:
            return
        added = self.index.prepend(message.first_block, message.counts)
        if not self.filter:
            self._shift_scroll(added)
        if self._wanted is not None and self._row_of(self._wanted) >= 0:
            self._go_to(self._wanted)
        self._status_changed()

    # ------------------------------------------------------------ rows

    @property
    def row_count(self) -> int:
        if not self.index:
            return 0
        if self.filter:
            return len(self._kept)
        tail = self.index.tail
        return self.index.line_count + (tail.stop > tail.start)

    def _line(self, row: int) -> Line:
        assert self.index
        assert self.file
        if self.filter:
            return self._line_from(self._kept[row])
        return self.index.line(row) if row < self.index.line_count else self.index.tail

    def _line_from(self, offset: int) -> Line:
        """The line that begins at a byte, also where it is not indexed yet."""
        assert self.index
        assert self.file
        number = self.index.line_at(offset)
        if 0 <= number < self.index.line_count:
            return self.index.line(number)
        data = self.file.read(offset, offset + BLOCK)
        cut = data.find(b"\n")
        return Line(offset, offset + (len(data) if cut < 0 else cut))

    def _row_of(self, offset: int) -> int:
        """The row of the line that begins at a byte; -1 where it is not indexed yet."""
        if not self.index:
            return -1
        if self.filter:
            return min(bisect_left(self._kept, offset), max(0, len(self._kept) - 1))
        return self.index.line_at(offset)

    @property
    def cursor_row(self) -> int | None:
        if self._cursor is None or not self.row_count:
            return None
        row = self._row_of(self._cursor)
        return row if 0 <= row < self.row_count else None

    def line_text(self, row: int) -> str:
        """What a row says, without colours."""
        return self._shown(row).text

    def _shown(self, row: int) -> Shown:
        assert self.file
        line = self._line(row)
        if self._is_tail(row) and line.stop - line.start <= BLOCK:
            data = whole_characters(self.file.read(line.start, line.stop))
            return show(data)
        return read_line(self.file, line)

    def _is_tail(self, row: int) -> bool:
        return not self.filter and self.index is not None and row == self.index.line_count

    # ------------------------------------------------------------ layout and scrolling

    @property
    def _room(self) -> Size:
        return self.scrollable_content_region.size

    def _lay_out(self, torn: Line | None = None) -> None:
        """Take in how many rows there are; `torn` is the last line as it stood before it grew."""
        before = self.virtual_size
        height = self._virtual_height()
        size = Size(max(self._widest + GUTTER, 1), height)
        moved = size != before
        if moved:
            self.set_reactive(Widget.virtual_size, size)
            with_own = self._own_scroll
            self._own_scroll = True
            self._scroll_update(size)
            self._own_scroll = with_own
        at = self.scroll_offset.y
        if self.following:
            self._scroll_rows(self.max_scroll_y)
        if torn is not None and self.scroll_offset.y == at and not self.wrap and self.index:
            self._refresh_from(self._row_of(torn.start))
        else:
            self.refresh()
        self._status_changed()

    def _virtual_height(self) -> int:
        """Rows; with wrapped lines, so many that scrolling to the end shows the end."""
        if not self.wrap or not self._room.height:
            return self.row_count
        room = self._room.height
        row = self.row_count
        while row > 0 and room > 0:
            row -= 1
            room -= len(self._strips(row))
        return row + (room < 0) + self._room.height if self.row_count else 0

    def _refresh_from(self, row: int) -> None:
        first = row - self.scroll_offset.y
        room = self._room
        if first < room.height:
            self.refresh(Region(0, max(0, first), room.width, room.height - max(0, first)))

    def _scroll_rows(self, row: float) -> None:
        """Scroll without that being taken for the user's wish."""
        self._own_scroll = True
        self.scroll_target_y = self.scroll_y = row
        self._own_scroll = False

    def _shift_scroll(self, added: int) -> None:
        """Older rows came in above: what is in sight stays in sight."""
        size = self.virtual_size.with_height(self._virtual_height())
        self.set_reactive(Widget.virtual_size, size)
        self._own_scroll = True
        self._scroll_update(size)
        self._own_scroll = False
        self._scroll_rows(self.max_scroll_y if self.following else self.scroll_y + added)
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
        self._lay_out()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._cache.clear()
        self._page_key = None

    # ------------------------------------------------------------ drawing

    def render_line(self, y: int) -> Strip:
        room = self._room
        if not self.row_count:
            return self._empty_line(y)
        if self.wrap:
            page = self._wrapped_page()
            return page[y] if y < len(page) else Strip.blank(room.width, self.rich_style)
        row = self.scroll_offset.y + y
        if row >= self.row_count:
            return Strip.blank(room.width, self.rich_style)
        strip = self._strips(row)[0]
        body = strip.crop(self.scroll_offset.x, self.scroll_offset.x + room.width - GUTTER)
        return self._finish(row, body)

    def _empty_line(self, y: int) -> Strip:
        width, height = self._room
        words = ""
        if y == height // 2:
            words = "no log yet" if self.file is None else "no line matches" if self.filter else "nothing written yet"
        faint = self.rich_style + self.get_component_rich_style("log--faint", partial=True)
        return Strip([Segment(words.center(width)[:width], faint)]).adjust_cell_length(width, self.rich_style)

    def _finish(self, row: int, body: Strip, first: bool = True) -> Strip:
        """Gutter before the text, cursor behind it."""
        width = self._room.width
        marked = first and self._line(row).start in self.marks
        gutter = Segment("▌ " if marked else "  ", self.rich_style + self._part("log--mark"))
        strip = Strip([gutter, *body]).adjust_cell_length(width, self.rich_style)
        if row == self.cursor_row:
            ground = self.get_component_rich_style("log--cursor").bgcolor
            strip = Strip([Segment(s.text, (s.style or Style()) + Style(bgcolor=ground)) for s in strip], width)
            if self.app.no_color or self.app.console.color_system is None:
                strip = Strip([Segment("> ", self.rich_style), *strip.crop(GUTTER)], width)
        return strip

    def _part(self, name: str) -> Style:
        return self.get_component_rich_style(name, partial=True)

    def _wrapped_page(self) -> list[Strip]:
        key = (self.scroll_offset.y, self._room, self.row_count, self.cursor_row, self.needle, len(self.marks))
        key = (*key, self.index.indexed_to if self.index else 0, self._generation, id(self.filter))  # type: ignore[assignment]
        if key != self._page_key:
            self._page, self._page_rows = [], []
            row = self.scroll_offset.y
            while row < self.row_count and len(self._page) < self._room.height:
                for part, strip in enumerate(self._strips(row)):
                    self._page.append(self._finish(row, strip, first=part == 0))
                    self._page_rows.append(row)
                row += 1
            self._page_key = key
        return self._page

    def _strips(self, row: int) -> list[Strip]:
        """A row's text: one strip, or as many as it takes where lines are wrapped."""
        line = self._line(row)
        width = self._room.width - GUTTER if self.wrap else 0
        key = (line, width, self.needle)
        strips = self._cache.get(key)
        if strips is None:
            strip = self._text_strip(self._shown(row))
            strips = self._wrapped(strip, width) if self.wrap else [strip]
            self._cache[key] = strips
            if strip.cell_length > self._widest:
                self._widest = strip.cell_length
                self.set_reactive(Widget.virtual_size, Size(self._widest + GUTTER, self.virtual_size.height))
        return strips

    def _wrapped(self, strip: Strip, width: int) -> list[Strip]:
        """At most a page of a line that is longer than the page."""
        if width < 1 or strip.cell_length <= width:
            return [strip]
        most = max(1, self._room.height - 1)
        cuts = list(range(width, strip.cell_length, width))[:most]
        return list(strip.divide([*cuts, strip.cell_length]))[:most]

    def _text_strip(self, shown: Shown) -> Strip:
        base = self.rich_style
        spans = [*self._hits(shown.text)]
        segments: list[Segment] = []
        at = 0
        for piece in shown.pieces:
            style = base if piece.style == PLAIN else base + rich_style(piece.style)
            segments += self._highlight(piece.text, at, style, spans)
            at += len(piece.text)
        if shown.hidden:
            segments.append(Segment(f" … {shown.hidden:,} bytes more", base + self._part("log--faint")))
        return Strip(segments)

    def _hits(self, text: str) -> Iterator[tuple[int, int]]:
        """Where the query stands in a line, a few hundred times at most."""
        if self.needle is None:
            return
        pattern = self.needle.pattern
        if pattern is None:
            pattern = re.compile(re.escape(self.needle.text), re.IGNORECASE if self.needle.ignore_case else 0)
        for found in islice(pattern.finditer(text), 500):
            if found.end() > found.start():
                yield found.span()

    def _highlight(self, text: str, offset: int, style: Style, spans: list[tuple[int, int]]) -> Iterator[Segment]:
        at = 0
        for start, stop in spans:
            start, stop = max(start - offset, at), min(stop - offset, len(text))
            if stop <= start:
                continue
            if start > at:
                yield Segment(text[at:start], style)
            yield Segment(text[start:stop], style + self.get_component_rich_style("log--match"))
            at = stop
        if at < len(text):
            yield Segment(text[at:], style)

    # ------------------------------------------------------------ cursor

    def _go_to(self, offset: int) -> None:
        """Put the cursor on the line that begins at a byte, in the middle of the page."""
        self.following = False
        self._cursor = offset
        row = self._row_of(offset)
        if row < 0:
            self._wanted = offset
            self._say("counting old lines up to there …")
            return
        self._wanted = None
        self._reveal(row, middle=True)
        self.refresh()
        self._status_changed()
        self.post_message(self.CursorMoved())

    def _reveal(self, row: int, middle: bool = False) -> None:
        top, height = self.scroll_offset.y, self._room.height
        if self.wrap:
            last = self._page_rows[-1] if self._page_rows else row
            inside = top <= row < max(last, top + 1)
        else:
            inside = top <= row < top + height
        if inside:
            return
        target = row - height // 2 if middle else row if row < top else row - height + 1
        self._scroll_rows(min(max(0, target), self.max_scroll_y))
        if self.wrap and not middle and row > top:
            self._scroll_rows(min(self.scroll_offset.y + 1, self.max_scroll_y))

    def _set_cursor(self, row: int) -> None:
        if not self.row_count:
            return
        row = min(max(0, row), self.row_count - 1)
        self.following = False
        self._cursor = self._line(row).start
        self._reveal(row)
        self.refresh()
        self._status_changed()
        self.post_message(self.CursorMoved())

    def action_cursor(self, by: int) -> None:
        row = self.cursor_row
        if row is None:
            bottom = self.scroll_offset.y + self._room.height - 1
            self._set_cursor(min(self.row_count - 1, bottom))
        elif row + by >= self.row_count and self.following:
            return
        else:
            self._set_cursor(row + by)

    def action_page(self, by: int) -> None:
        page = max(1, (len(set(self._page_rows)) if self.wrap else self._room.height) - 1)
        top = min(max(0, self.scroll_offset.y + by * page), self.max_scroll_y)
        if by > 0 and top >= self.max_scroll_y:
            self.action_bottom()
            return
        self.following = False
        self._scroll_rows(top)
        if self._cursor is not None:
            self._set_cursor(top if by < 0 else top + page // 2)
        self.refresh()
        self._status_changed()

    def action_top(self) -> None:
        self._scroll_rows(0)
        self._set_cursor(0)

    def action_bottom(self) -> None:
        self.set_following(True)

    def action_sideways(self, by: int) -> None:
        if not self.wrap:
            limit = max(0, self._widest + GUTTER - self._room.width)
            self.scroll_target_x = self.scroll_x = min(max(0, self.scroll_offset.x + by), limit)
            self.refresh()

    def action_toggle_follow(self) -> None:
        self.set_following(not self.following)

    def action_toggle_wrap(self) -> None:
        top = self.scroll_offset.y
        self.wrap = not self.wrap
        self.scroll_target_x = self.scroll_x = 0
        self._cache.clear()
        self._page_key = None
        self._lay_out()
        if not self.following:
            self._scroll_rows(min(top, self.max_scroll_y))
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if self.wrap:
            self._wrapped_page()
            if offset.y < len(self._page_rows):
                self._set_cursor(self._page_rows[offset.y])
        elif self.scroll_offset.y + offset.y < self.row_count:
            self._set_cursor(self.scroll_offset.y + offset.y)

    # ------------------------------------------------------------ marks

    def action_mark(self) -> None:
        row = self.cursor_row
        if row is None:
            if not self.row_count:
                return
            row = self.row_count - 1
        self.marks ^= {self._line(row).start}
        self.refresh()
        self._status_changed()

    def action_next_mark(self) -> None:
        """The next mark below, from the top again after the last."""
        if not self.marks:
            self._say("no marks; m sets one")
            return
        here = self._cursor if self._cursor is not None else -1
        following = sorted(mark for mark in self.marks if mark > here) or sorted(self.marks)
        self._go_to(following[0])

    # ------------------------------------------------------------ search

    def search(self, text: str) -> None:
        """Look for text, from the cursor on, or upwards from the end while following."""
        if not text:
            self.needle = None
            self._cache.clear()
            self.refresh()
            return
        self.needle = self._parsed(text)
        if self.needle:
            self.action_find(-1 if self._cursor is None else 1, here=True)

    def _parsed(self, text: str) -> Query | None:
        try:
            return parse_query(text)
        except QueryError as error:
            self._say(str(error))
            return None

    def action_find(self, direction: int, here: bool = False) -> None:
        if self.needle is None or not self.file or not self.index:
            self._say("nothing to search for; / asks")
            return
        row = self.cursor_row
        end = self.index.tail.start
        if row is None:
            line = Line(end, end)
        else:
            line = self._line(row)
        self._run_search(self.file, self.needle, line, direction, here)

    def _run_search(self, file: LogFile, query: Query, line: Line, direction: int, here: bool) -> None:
        assert self.index
        end = self.index.tail.start
        after = line.start if here else min(line.stop + 1, end)
        before = min(line.stop + 1, end) if here and self._cursor is not None else line.start
        work = partial(
            self._search,
            file,
            query,
            (after if direction > 0 else before),
            end,
            direction,
            self._generation,
            self.filter,
        )
        self.busy = f"searching {query.text} … esc stops"
        self.run_worker(work, thread=True, group="search", exclusive=True, exit_on_error=False)
        self._status_changed()
        self.refresh()

    def _search(
        self, file: LogFile, query: Query, start: int, end: int, direction: int, generation: int, filter: Query | None
    ) -> None:
        """On a thread: the nearest match in one direction, going around the end."""
        worker: Worker[None] = get_current_worker()

        def stopped() -> bool:
            return worker.is_cancelled

        matches: Callable[[int, int], Iterator[int]]
        if direction > 0:
            parts = [(start, end), (0, start)]
            matches = partial(logsearch.matching_lines, file, query, stopped=stopped)
        else:
            parts = [(0, start), (start, end)]
            matches = partial(logsearch.matching_lines_back, file, query, stopped=stopped)
        for around, (first, last) in enumerate(parts):
            for offset in matches(first, last):
                if filter is None or self._passes(file, filter, offset):
                    self.post_message(self.Found(generation, offset, bool(around)))
                    return
        if not stopped():
            self.post_message(self.Found(generation, None, False))

    @staticmethod
    def _passes(file: LogFile, filter: Query, offset: int) -> bool:
        data = file.read(offset, offset + BLOCK)
        return filter.matches(data.split(b"\n", 1)[0])

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
        query = self._parsed(text) if text else None
        if text and query is None:
            return
        self.filter = query
        self._kept = array("Q")
        self.workers.cancel_group(self, "filter")
        self.busy = ""
        self._page_key = None
        if query and self.file:
            self._start_filter()
        self._lay_out()
        if self._cursor is not None and not query:
            self._go_to(self._cursor)

    def _start_filter(self) -> None:
        assert self.file
        assert self.index
        assert self.filter
        self._filtered_to = self.index.tail.start
        self.busy = f"filtering {self.filter.text} … esc stops"
        work = partial(self._filter_old, self.file, self.filter, self._filtered_to, self._generation)
        self.run_worker(work, thread=True, group="filter", exclusive=True, exit_on_error=False)

    def _filter_old(self, file: LogFile, query: Query, stop: int, generation: int) -> None:
        """On a thread: the lines that match, newest first, in batches bounded by time and count."""
        worker: Worker[None] = get_current_worker()
        batch: list[int] = []
        posted, started = 0, time.monotonic()
        for offset in logsearch.matching_lines_back(file, query, 0, stop, lambda: worker.is_cancelled):
            batch.append(offset)
            if len(batch) >= 50_000 or time.monotonic() - started > FILTER_BATCH_S:
                self.post_message(self.Filtered(generation, batch, done=False))
                posted, batch, started = posted + len(batch), [], time.monotonic()
            if posted + len(batch) >= MOST_FILTERED:
                break
        if not worker.is_cancelled:
            self.post_message(self.Filtered(generation, batch, done=True))

    def on_log_lines_filtered(self, message: Filtered) -> None:
        if message.generation != self._generation or not self.filter:
            return
        older = array("Q", reversed(message.offsets))
        self._kept = older + self._kept
        if message.done:
            self.busy = ""
            self.note = f"only the newest {MOST_FILTERED:,}" if len(self._kept) >= MOST_FILTERED else ""
        self._shift_scroll(len(older))
        self._status_changed()

    def _extend_filter(self) -> None:
        """New lines that match, a megabyte a time."""
        if not self.filter or not self.file or not self.index:
            return
        stop = self.index.tail.start
        if stop - self._filtered_to > LIVE_FILTER:
            cut = self.index.line_at(self._filtered_to + LIVE_FILTER)
            stop = self.index.line(cut).start if cut >= 0 else stop
        self._kept.extend(logsearch.matching_lines(self.file, self.filter, self._filtered_to, stop))
        self._filtered_to = stop

    # ------------------------------------------------------------ time and step

    def go_to_time(self, unix: float) -> bool:
        """To the first line at or after a time; says whether lines carry times."""
        return self._go_to_key(unix, partial(logtime.line_time, day=self._day))

    def go_to_step(self, step: float) -> bool:
        """To the first line that names a step at or after this one."""
        return self._go_to_key(step, logtime.line_step)

    def _go_to_key(self, target: float, key: Callable[[str], float | None]) -> bool:
        if not self.file or not self.index:
            return False
        offset = logtime.find_line(self.file, target, key, self.index.tail.start)
        if offset is None:
            return False
        self._go_to(offset)
        return True

    @property
    def _day(self) -> datetime | None:
        """The day that a time of day without a date lies on: the file's last change."""
        if self.path is None or not self.path.exists():
            return None
        return datetime.fromtimestamp(self.path.stat().st_mtime, self.zone).astimezone(self.zone)

    def ask_time(self, words: str) -> None:
        wanted = logtime.asked_time(words, self._day.timestamp() if self._day else time.time(), self.zone)
        if wanted is None:
            self._say(f"{words!r} is no time; try 23:45, 2026-11-20 23:45 or -5m")
        elif not self.go_to_time(wanted):
            self._say("no line here carries a time")

    # ------------------------------------------------------------ status and prompt

    def action_ask(self, kind: str) -> None:
        self.post_message(self.Asked(kind))

    def action_stop(self) -> None:
        if self.busy:
            self.workers.cancel_group(self, "search")
            self.workers.cancel_group(self, "filter")
            self.busy = ""
            self._say("stopped")
        elif self.filter:
            self.set_filter("")
        else:
            self.search("")
            self._status_changed()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Escape is ours only while there is something to stop or to drop."""
        return action != "stop" or bool(self.busy or self.filter or self.needle)

    def _say(self, note: str) -> None:
        if note != self.note:
            self.note = note
            self._status_changed()

    def _status_changed(self) -> None:
        self.post_message(self.StatusChanged())

    def status(self) -> str:
        """What the status line says."""
        parts = []
        if self.busy:
            parts.append(self.busy)
        elif self.note:
            parts.append(self.note)
        if self.filter:
            parts.append(f"& {self.filter.text}: {len(self._kept):,} lines")
        if self.needle:
            parts.append(f"/ {self.needle.text}")
        if self.marks:
            parts.append(f"{len(self.marks)} marked")
        parts.append(self._position())
        parts.append("following" if self.following else "f follows")
        return "  ·  ".join(part for part in parts if part)

    def _position(self) -> str:
        if not self.index:
            return ""
        more = "" if self.index.complete else "… "
        row = self.cursor_row
        if row is None:
            return f"{more}{self.row_count:,} lines"
        return f"line {more}{row + 1:,} of {self.row_count:,}"


def rich_style(sgr: Sgr) -> Style:
    return Style(
        color=sgr.colour,
        bgcolor=sgr.ground,
        bold=sgr.bold or None,
        dim=sgr.dim or None,
        italic=sgr.italic or None,
        underline=sgr.underline or None,
        reverse=sgr.reverse or None,
        strike=sgr.strike or None,
    )


ASKS = {"/": "search", "&": "show only lines with", "@": "go to time"}


class LogView(Vertical):
    """A log with its prompt and status line: what a screen mounts."""

    DEFAULT_CSS = """
    LogView { height: 1fr; width: 1fr; }
    LogView .log-status { height: 1; width: 1fr; color: $foreground 60%; background: $surface; padding: 0 2; }
    LogView .log-prompt { height: 1; display: none; background: $panel; padding: 0 2; }
    LogView .log-prompt.-open { display: block; }
    LogView .log-prompt Label { width: auto; color: $accent; text-style: bold; }
    LogView .log-prompt Input { width: 1fr; height: 1; border: none; padding: 0 1; background: $panel; }
    LogView .log-prompt Input:focus { border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close_prompt", "Close the prompt", show=False)]

    @dataclass
    class LineSelected(Message):
        """The cursor stands on a line: what it says, and the step and time that it carries, if any."""

        view: LogView
        text: str
        step: float | None
        unix_time: float | None

        @property
        def control(self) -> LogView:
            return self.view

    def __init__(
        self,
        *,
        zone: tzinfo | None = None,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self.lines = LogLines(zone=zone)
        self._asking = "/"

    def compose(self) -> ComposeResult:
        yield self.lines
        with Horizontal(classes="log-prompt"):
            yield Label("/")
            yield Input()
        yield Label("", classes="log-status", markup=False)

    # ------------------------------------------------------------ what the owner calls

    def open(self, path: Path | None) -> None:
        """Show this file from its end; None shows nothing; a file that is not there yet is waited for."""
        self.lines.open(path)

    def pump(self) -> None:
        """Look for new bytes: two to ten times a second."""
        self.lines.pump()

    @property
    def follow(self) -> bool:
        return self.lines.following

    @follow.setter
    def follow(self, follow: bool) -> None:
        self.lines.set_following(follow)

    def go_to_time(self, unix: float) -> bool:
        """Put the cursor on the first line at or after a Unix time; says whether lines carry times."""
        return self.lines.go_to_time(unix)

    def go_to_step(self, step: float) -> bool:
        """Put the cursor on the first line that names this step or a later one; says whether lines name steps."""
        return self.lines.go_to_step(step)

    def focus(self, scroll_visible: bool = True) -> LogView:
        self.lines.focus(scroll_visible)
        return self

    # ------------------------------------------------------------ prompt

    def on_log_lines_asked(self, message: LogLines.Asked) -> None:
        self._asking = message.kind
        prompt = self.query_one(".log-prompt")
        prompt.add_class("-open")
        prompt.query_one(Label).update(f"{message.kind} {ASKS[message.kind]}")
        field = prompt.query_one(Input)
        field.value = ""
        field.focus()

    def on_input_submitted(self, message: Input.Submitted) -> None:
        message.stop()
        self.action_close_prompt()
        if self._asking == "/":
            self.lines.search(message.value)
        elif self._asking == "&":
            self.lines.set_filter(message.value)
        elif message.value:
            self.lines.ask_time(message.value)

    def action_close_prompt(self) -> None:
        self.query_one(".log-prompt").remove_class("-open")
        self.lines.focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "close_prompt" or self.query_one(".log-prompt").has_class("-open")

    # ------------------------------------------------------------ what the lines tell

    def on_log_lines_status_changed(self) -> None:
        self.query_one(".log-status", Label).update(self.lines.status())

    def on_log_lines_cursor_moved(self) -> None:
        row = self.lines.cursor_row
        if row is not None:
            text = self.lines.line_text(row)
            when = logtime.line_time(text, self.lines._day)
            self.post_message(self.LineSelected(self, text, logtime.line_step(text), when))
