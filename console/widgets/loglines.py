"""The lines of a log file on screen: opened, watched, searched, filtered, marked, gone to by time and step.

Guarantees: search, filter and the counting of old lines run beside (`console.logs.beside`), on threads that only post
messages, so keys answer meanwhile; what a thread found in a file that is no longer open is not listened to. `LogPage` draws the
rows, `console.widgets.log` puts the prompt and the status line around them.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.worker import Worker, WorkerState, get_current_worker

from console.logs import beside
from console.logs import stamps as logtime
from console.logs.index import Change, Line, LogFile
from console.logs.rows import MOST_FILTERED, LogRows, Tally, find_nearest, tally
from console.logs.search import Query, QueryError, parse_query
from console.widgets.logpage import LogPage

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


def _cancelled() -> Callable[[], bool]:
    """Whether the worker on whose thread this is asked was cancelled."""
    worker = get_current_worker()
    return lambda: worker.is_cancelled


class LogLines(LogPage, can_focus=True):
    """A log and all that can be asked of it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding(key, action, words, show=False) for key, action, words in KEYS]

    @dataclass
    class Asked(Message):
        """A key asked for the prompt."""

        kind: str

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
    class Tallied(Message):
        """From the tally thread."""

        generation: int
        tally: Tally

    @dataclass
    class Filtered(Message):
        """From the filter thread: older matching lines, newest first."""

        generation: int
        query: Query
        offsets: array[int]
        done: bool

    def __init__(self, *, zone: tzinfo | None = None, name: str | None = None, id: str | None = None) -> None:
        super().__init__(name=name, id=id)
        self.zone = zone
        """The zone of times without one; None is this machine's."""
        self.path: Path | None = None
        self.behind = ""
        """What is not here yet of a log that is copied from elsewhere."""
        self.note = ""
        """One sentence about what just happened, for the status line."""
        self.busy = ""
        """What a thread is doing now, with the key that stops it."""
        self._generation = 0
        """Counts the files opened: what threads found in an earlier one is not listened to."""
        self._wanted: int | None = None
        """Where to go once the lines up to there are counted."""

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
        for counts in beside.counted(file, last, _cancelled()):
            last -= len(counts)
            self.post_message(self.Backfilled(generation, last, counts))

    def on_log_lines_backfilled(self, message: Backfilled) -> None:
        if message.generation != self._generation or not self.rows:
            return
        added = self.rows.index.prepend(message.first_block, message.counts)
        if not self.rows.filter:
            self._shift_scroll(added)
        if self._wanted is not None and self.rows.row_of(self._wanted) >= 0:
            self._go_to(self._wanted)
        self._status_changed()

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
        self.workers.cancel_group(self, "tally")
        if self.rows:
            self.rows.tally = None
            if self.needle:
                work = partial(self._count_matches, self.rows.file, self.needle, self.rows.whole_stop, self._generation)
                self.run_worker(work, thread=True, group="tally", exclusive=True, exit_on_error=False)
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
        stopped = _cancelled()
        found = find(stopped=stopped)
        if not stopped():
            self.post_message(self.Found(generation, *(found or (None, False))))

    def _count_matches(self, file: LogFile, needle: Query, stop: int, generation: int) -> None:
        """On a thread: how many lines match, so that the status line can say which one this is."""
        stopped = _cancelled()
        found = tally(file, needle, stop, stopped=stopped)
        if not stopped():
            self.post_message(self.Tallied(generation, found))

    def on_log_lines_tallied(self, message: Tallied) -> None:
        if message.generation == self._generation and self.rows and self.needle is message.tally.query:
            self.rows.tally = message.tally
            self._status_changed()

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
        """On a thread: the lines that match, newest first, batch by batch."""
        sent, stopped = 0, _cancelled()
        for batch in beside.found(file, query, 0, stop, back=True, stopped=stopped):
            self.post_message(self.Filtered(generation, query, batch, done=False))
            sent += len(batch)
            if sent >= MOST_FILTERED:
                break
        if not stopped():
            self.post_message(self.Filtered(generation, query, array("Q"), done=True))

    def on_log_lines_filtered(self, message: Filtered) -> None:
        if message.generation != self._generation or not self.rows or self.rows.filter is not message.query:
            return
        added = self.rows.keep_older(message.offsets)
        if message.done:
            self.busy = ""
            self.note = f"only the newest {MOST_FILTERED:,}" if self.row_count >= MOST_FILTERED else ""
        self._shift_scroll(added)
        self._status_changed()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """A search that broke off has not looked at everything: say so."""
        if event.state is WorkerState.ERROR:
            self.busy = ""
            self._say(str(event.worker.error))

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
            for group in ("search", "tally", "filter"):
                self.workers.cancel_group(self, group)
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

    def status(self) -> str:
        """What the status line says."""
        parts = [self.behind, self.busy or self.note]
        if self.rows and self.rows.filter:
            parts.append(f"& {self.rows.filter.text}")
        if self.needle:
            known = self.rows.tally if self.rows else None
            parts.append(f"/ {self.needle.text} {known.words(self._cursor) if known else ''}".rstrip())
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
