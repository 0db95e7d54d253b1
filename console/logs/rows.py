"""The rows of a log view: all lines of a file, or those that a filter keeps; what is shown of each.

Holds the decisions of the log view and none of its drawing, so everything here is tested without a screen. Rows move
up when older lines become known; a line is remembered by the byte it begins at, which never moves.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import chain

from console.logs import beside
from console.logs import search as logsearch
from console.logs import stamps as logtime
from console.logs.index import BLOCK, Line, LogFile, LogIndex
from console.logs.search import Query
from console.logs.text import Shown, read_line, show, whole_characters

MOST_FILTERED = 1_000_000
"""Lines that a filter keeps, the newest: eight megabytes of offsets."""
LIVE_FILTER = 1024 * 1024
"""New bytes filtered per call of `grow`."""
MOST_TALLIED = 100_000
"""Matches of a search that are counted."""


@dataclass
class Tally:
    """Where all lines that match a search begin, as far as they are known."""

    query: Query
    offsets: array[int]
    stop: int
    """The byte up to which lines were looked at."""
    capped: bool = False
    """There are more than are kept."""

    def extend(self, file: LogFile, stop: int) -> None:
        """Look at new lines, a megabyte at most; the rest with the next call."""
        if self.capped or stop - self.stop > LIVE_FILTER:
            self.capped = True
            return
        self.offsets.extend(logsearch.matching_lines(file, self.query, self.stop, stop))
        self.stop = stop

    def words(self, cursor: int | None) -> str:
        """`3 of 41`, or how many there are where the cursor is not on a match."""
        count = f"{len(self.offsets):,}{'+' if self.capped else ''}"
        if cursor is not None:
            at = bisect_left(self.offsets, cursor)
            if at < len(self.offsets) and self.offsets[at] == cursor:
                return f"{at + 1:,} of {count}"
        return f"{count} lines"


def tally(
    file: LogFile, query: Query, stop: int, most: int = MOST_TALLIED, stopped: Callable[[], bool] = logsearch.never
) -> Tally:
    """All lines up to a byte that match; for a thread."""
    offsets = array("Q")
    for batch in beside.found(file, query, 0, stop, stopped=stopped):
        offsets.extend(batch)
        if len(offsets) > most:
            break
    return Tally(query, offsets[:most], stop, capped=len(offsets) > most)


class LogRows:
    def __init__(self, file: LogFile) -> None:
        self.file = file
        self.index = LogIndex(file)
        self.filter: Query | None = None
        self.tally: Tally | None = None
        self._kept = array("Q")
        """Where the lines that the filter keeps begin, in order."""
        self._filtered_to = 0

    @property
    def count(self) -> int:
        if self.filter:
            return len(self._kept)
        tail = self.index.tail
        return self.index.line_count + (tail.stop > tail.start)

    @property
    def whole_stop(self) -> int:
        """The byte after the last whole line."""
        return self.index.tail.start

    def line(self, row: int) -> Line:
        if self.filter:
            return self.line_from(self._kept[row])
        return self.index.line(row) if row < self.index.line_count else self.index.tail

    def line_from(self, offset: int) -> Line:
        """The line that begins at a byte, also where it is not indexed yet."""
        number = self.index.line_at(offset)
        if 0 <= number < self.index.line_count:
            return self.index.line(number)
        data = self.file.read(offset, offset + BLOCK)
        cut = data.find(b"\n")
        return Line(offset, offset + (len(data) if cut < 0 else cut))

    def row_of(self, offset: int) -> int:
        """The row of the line that begins at a byte, the next one that a filter keeps; -1 where not indexed yet."""
        if self.filter:
            return min(bisect_left(self._kept, offset), max(0, len(self._kept) - 1))
        return self.index.line_at(offset)

    def shown(self, row: int) -> Shown:
        line = self.line(row)
        torn = not self.filter and row == self.index.line_count
        if torn and line.stop - line.start <= BLOCK:
            return show(whole_characters(self.file.read(line.start, line.stop)))
        return read_line(self.file, line)

    def grow(self) -> bool:
        """Take in what was appended; says whether there is more to take in."""
        more = self.index.grow()
        if self.tally:
            self.tally.extend(self.file, self.whole_stop)
        return self._extend_filter() or more

    # ------------------------------------------------------------ filter

    def set_filter(self, query: Query | None) -> int:
        """Keep only lines that match; gives the byte that older lines are to be filtered up to."""
        self.filter = query
        self._kept = array("Q")
        self._filtered_to = self.whole_stop
        return self._filtered_to

    def keep_older(self, offsets: array[int]) -> int:
        """Older lines that match, newest first; gives how many rows the others moved down by."""
        self._kept = array("Q", reversed(offsets)) + self._kept
        return len(offsets)

    def _extend_filter(self) -> bool:
        """New lines that match, a megabyte at a time."""
        if not self.filter:
            return False
        stop = self.whole_stop
        if stop - self._filtered_to > LIVE_FILTER:
            number = self.index.line_at(self._filtered_to + LIVE_FILTER)
            stop = max(self.index.line(number).stop + 1, self._filtered_to) if number >= 0 else stop
        self._kept.extend(logsearch.matching_lines(self.file, self.filter, self._filtered_to, stop))
        if len(self._kept) > MOST_FILTERED:
            self._kept = self._kept[-MOST_FILTERED:]
        self._filtered_to = stop
        return stop < self.whole_stop

    # ------------------------------------------------------------ finding

    def find_time(self, unix: float, day: logtime.Day) -> int | None:
        """Where the first line at or after a time begins; None where no line carries one."""
        return logtime.find_line(self.file, unix, partial(logtime.line_time, day=day), self.whole_stop)

    def find_step(self, step: float) -> int | None:
        return logtime.find_line(self.file, step, logtime.line_step, self.whole_stop)


def find_nearest(
    file: LogFile,
    query: Query,
    passes: Query | None,
    start: int,
    stop: int,
    direction: int,
    stopped: Callable[[], bool] = logsearch.never,
) -> tuple[int, bool] | None:
    """The nearest match after or before a byte and whether the search went around the end; for a thread."""
    parts = ((start, stop), (0, start)) if direction > 0 else ((0, start), (start, stop))
    for around, (first, last) in enumerate(parts):
        for offset in chain.from_iterable(beside.found(file, query, first, last, direction < 0, stopped)):
            if passes is None or passes.matches(file.read(offset, offset + BLOCK).split(b"\n", 1)[0]):
                return offset, bool(around)
    return None
