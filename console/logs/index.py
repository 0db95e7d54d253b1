"""Line numbers over a growing log file, the newest lines first.

Guarantees: opening reads about a megabyte whatever the file's size; memory is four bytes per 64 KiB of file; lines are
found by their number in the part that is indexed so far, and older parts are added in front in batches. Only whole
lines are counted: a torn last line is "not yet" and is offered as `tail`. A file that was cut short or replaced is
noticed by `check()`. Reads with pread, not mmap: a file that shrinks under a mapping kills the process, and the pages
of a mapping count as this process's memory. Knows nothing of text: lines are byte ranges.
"""

from __future__ import annotations

import errno
import os
import stat
from array import array
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate
from pathlib import Path

BLOCK = 64 * 1024
"""Newlines are counted per block of this size; one block is scanned to find one line."""
TAIL_BLOCKS = 16
"""Indexed at once when a file is opened."""
GROWTH = 16 * 1024 * 1024
"""Most new bytes taken in by one call of `grow`, about ten milliseconds; the rest comes with the next."""
FINGERPRINT = 256
"""First and last bytes compared to notice a file that was written anew."""
CACHED_BLOCKS = 32


class Change(Enum):
    NONE = "none"
    GREW = "grew"
    RESTARTED = "restarted"
    """Cut short, replaced or rewritten: start over."""
    GONE = "gone"


@dataclass(frozen=True)
class Line:
    """A line's bytes, without the newline."""

    start: int
    stop: int


class LogFile:
    """The bytes of one file, read by offset."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        held = os.fstat(self._fd)
        if not stat.S_ISREG(held.st_mode):
            self.close()
            raise OSError(errno.EINVAL, "not an ordinary file", str(path))
        self.size = held.st_size
        self._head = self.read(0, FINGERPRINT)
        self._foot = self._read_foot()

    @property
    def descriptor(self) -> int:
        return self._fd

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def read(self, start: int, stop: int) -> bytes:
        """The bytes [start, stop), fewer where the file ends before or its disk does not answer."""
        if self._fd < 0 or stop <= start:
            return b""
        try:
            return os.pread(self._fd, stop - start, start)
        except OSError:
            return b""

    def check(self) -> Change:
        """What happened to the file since the last call; takes the new size in."""
        try:
            now = os.stat(self.path)
        except OSError:
            return Change.GONE
        held = os.fstat(self._fd)
        if (now.st_ino, now.st_dev) != (held.st_ino, held.st_dev) or now.st_size < self.size or self._was_rewritten():
            return Change.RESTARTED
        if now.st_size == self.size:
            return Change.NONE
        self.size = now.st_size
        self._head = self.read(0, FINGERPRINT)
        self._foot = self._read_foot()
        return Change.GREW

    def _read_foot(self) -> bytes:
        return self.read(max(0, self.size - FINGERPRINT), self.size)

    def _was_rewritten(self) -> bool:
        return self.read(0, len(self._head)) != self._head or self._read_foot() != self._foot


class LogIndex:
    """Newlines per block, from the newest block backwards, and the way from a line's number to its bytes.

    Line 0 is the oldest line indexed so far; once `complete`, it is the first of the file. `prepend` moves all numbers
    up by the lines it adds.
    """

    def __init__(self, file: LogFile) -> None:
        self.file = file
        self.indexed_to = file.size
        """The byte up to which newlines are counted."""
        blocks = -(-file.size // BLOCK)
        self.first_block = max(0, blocks - TAIL_BLOCKS)
        self._counts = array("I", count_newlines(file, self.first_block, blocks, file.size))
        self._sums = array("Q", accumulate(self._counts))
        self._cache: OrderedDict[int, array[int]] = OrderedDict()

    @property
    def complete(self) -> bool:
        return self.first_block == 0

    @property
    def newlines(self) -> int:
        return self._sums[-1] if self._sums else 0

    @property
    def line_count(self) -> int:
        """Whole lines in the indexed part."""
        return self.newlines if self.complete else max(0, self.newlines - 1)

    @property
    def tail(self) -> Line:
        """What follows the last newline: empty, or a line that is not whole yet."""
        if self.newlines:
            return Line(self._newline(self.newlines - 1) + 1, self.indexed_to)
        return Line(self.first_block * BLOCK, self.indexed_to)

    def line(self, number: int) -> Line:
        if not 0 <= number < self.line_count:
            raise IndexError(f"line {number} of {self.line_count} in {self.file.path}")
        newline = number if self.complete else number + 1
        start = self._newline(newline - 1) + 1 if newline else 0
        return Line(start, self._newline(newline))

    def line_at(self, offset: int) -> int:
        """The number of the line that holds a byte; -1 before the indexed part, line_count in the torn tail."""
        if offset < self.first_block * BLOCK:
            return -1
        before = self._newlines_before(offset)
        return before if self.complete else before - 1

    def grow(self) -> bool:
        """Take in bytes that were appended; says whether there are more."""
        start, size = self.indexed_to, self.file.size
        stop = min(size, start + GROWTH)
        block = start // BLOCK
        known = self._cache.pop(block, None) if start % BLOCK else None
        if start % BLOCK and self._counts:
            self._counts.pop()
            self._sums.pop()
        counts = count_newlines(self.file, block, -(-stop // BLOCK), stop)
        self._counts.extend(counts)
        total = self.newlines
        self._sums.extend(total + part for part in accumulate(counts))
        self.indexed_to = stop
        if known is not None:  # a log that grows line by line is not scanned from its block's beginning for each
            new = self.file.read(start, min(stop, (block + 1) * BLOCK))
            known.extend(newline_offsets(new, start % BLOCK))
            self._cache[block] = known
        return stop < size

    def prepend(self, first_block: int, counts: array[int]) -> int:
        """Add the blocks just before the indexed part; gives how many lines the numbers moved up by."""
        if first_block + len(counts) != self.first_block:
            raise ValueError(f"blocks {first_block}+{len(counts)} do not end where {self.first_block} begins")
        before = self.line_count
        self._counts = counts + self._counts
        self._sums = array("Q", accumulate(self._counts))
        self.first_block = first_block
        return self.line_count - before

    def _newline(self, number: int) -> int:
        """The byte offset of a newline of the indexed part."""
        at = bisect_right(self._sums, number)
        inside = number - (self._sums[at - 1] if at else 0)
        block = self.first_block + at
        found = self._newlines_in(block)
        if inside >= len(found):
            return self.indexed_to  # the file was cut short a moment ago; check() will say so
        return block * BLOCK + found[inside]

    def _newlines_before(self, offset: int) -> int:
        at = min(offset // BLOCK - self.first_block, len(self._counts))
        before = self._sums[at - 1] if at else 0
        if at == len(self._counts):
            return before
        block = self.first_block + at
        return before + bisect_right(self._newlines_in(block), offset - block * BLOCK - 1)

    def _newlines_in(self, block: int) -> array[int]:
        """Where in a block its newlines are; the blocks on screen are kept."""
        found = self._cache.get(block)
        if found is None:
            data = self.file.read(block * BLOCK, min((block + 1) * BLOCK, self.indexed_to))
            found = newline_offsets(data)
            self._cache[block] = found
            while len(self._cache) > CACHED_BLOCKS:
                self._cache.popitem(last=False)
        else:
            self._cache.move_to_end(block)
        return found


def newline_offsets(data: bytes, first: int = 0) -> array[int]:
    """Where newlines are, counted on from `first`."""
    found = array("I")
    at = data.find(b"\n")
    while at >= 0:
        found.append(first + at)
        at = data.find(b"\n", at + 1)
    return found


READ_BLOCKS = 16


def count_newlines(file: LogFile, first: int, last: int, size: int) -> array[int]:
    """Newlines in each of the blocks [first, last), bytes from size on not looked at; safe on any thread."""
    counts = array("I")
    for group in range(first, last, READ_BLOCKS):
        stop = min(group + READ_BLOCKS, last)
        data = file.read(group * BLOCK, min(stop * BLOCK, size))
        counts.extend(data.count(b"\n", at * BLOCK, (at + 1) * BLOCK) for at in range(stop - group))
    return counts
