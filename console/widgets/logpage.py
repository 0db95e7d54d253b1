"""Rows of a log on screen: scrolled, wrapped or not, followed, with a cursor that walks over them.

Guarantees: cost follows the rows in sight; a growing log redraws from its last line on, and nothing else. Does NOT
keep text: a line is read when it comes into sight. Where the rows come from is the business of `console.widgets.loglines`.
"""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.selection import Selection
from textual.widget import Widget

from console.logs.index import Line
from console.widgets.logface import GUTTER, LogFace

MOST_COPIED = 10_000
"""Rows that one copy takes."""


class LogPage(LogFace, can_focus=True, inherit_bindings=False):
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

    @dataclass
    class StatusChanged(Message):
        """Something that the status line says has changed."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, LogPage.StatusChanged)

    @dataclass
    class CursorMoved(Message):
        """The cursor stands on another line, or nowhere."""

    def _status_changed(self) -> None:
        self.post_message(self.StatusChanged())

    # ------------------------------------------------------------ layout and scrolling

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
