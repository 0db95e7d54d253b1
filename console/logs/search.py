"""Finding bytes in a log at the speed of memory: literals by find, regular expressions behind their literals.

Guarantees: reads in chunks of a megabyte, so that other threads get their turn every millisecond and memory stays
flat; stops when `stop()` says so; only whole lines count. A regular expression sees one line's text at a time, and only
lines that hold its longest literal. Lower case matches both cases, as in editors; one capital letter asks for exact
case. Has no threads of its own: `console.logs.beside` runs it in a process, or on the caller's thread.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

from console.logs.index import LogFile
from console.logs.text import plain

CHUNK = 1024 * 1024
LONGEST = 64 * 1024
"""Bytes of one line, around the hit, that a regular expression sees."""


RAREST_SAMPLE = 64 * 1024
"""Bytes of a chunk that tell which literal is rare."""


def never() -> bool:
    return False


@dataclass(frozen=True)
class Query:
    """What to look for, ready to run."""

    text: str
    literals: tuple[bytes, ...]
    """Each stands in every line that matches; none where nothing is known."""
    pattern: re.Pattern[str] | None
    """None where the literal says it all."""
    ignore_case: bool

    def matches(self, data: bytes) -> bool:
        """Whether one line matches."""
        folded = data.lower() if self.ignore_case else data
        if not all(literal in folded for literal in self.literals):
            return False
        return self.pattern is None or self.pattern.search(plain(data)) is not None


class QueryError(ValueError):
    """The regular expression does not parse; say so in the prompt."""


def parse_query(text: str) -> Query:
    """A literal, or a regular expression where special characters stand in it."""
    ignore_case = text == text.lower()
    if not re.search(r"[\\^$.|?*+()\[\]{}]", text):
        return Query(text, (text.encode(),), None, ignore_case and text.isascii())
    try:
        pattern = re.compile(text, re.IGNORECASE if ignore_case else 0)
    except re.error as error:
        raise QueryError(f"{text!r} is no regular expression: {error}") from error
    literals = tuple(literal.encode() for literal in required_literals(text) if literal.isascii() or not ignore_case)
    return Query(text, literals, pattern, ignore_case)


def required_literals(pattern: str) -> list[str]:
    """Runs of characters that every match must hold; careful rather than clever, so often none."""
    if re.search(r"\(\?[a-zA-Z]*[ixl]", pattern) or "|" in _outside_groups(pattern):
        return []
    runs, run = [""], ""
    at = 0
    while at < len(pattern):
        token, length = _token(pattern, at)
        at += length
        quantifier = re.match(r"[*+?]|\{\d*,?\d*\}", pattern[at:])
        if quantifier:
            at += quantifier.end()
            at += pattern[at : at + 1] in ("?", "+")
            runs.append(run + token if quantifier[0] == "+" else run)
            run = ""
        elif token:
            run += token
        else:
            runs.append(run)
            run = ""
    return [found for found in [*runs, run] if found]


def _outside_groups(pattern: str) -> str:
    kept = ""
    at = 0
    while at < len(pattern):
        _, length = _token(pattern, at)
        if length == 1:
            kept += pattern[at]
        at += length
    return kept


def _token(pattern: str, at: int) -> tuple[str, int]:
    """One literal character or, with no character, one thing to step over; and how much of the pattern it took."""
    glyph = pattern[at]
    if glyph == "\\":
        following = pattern[at + 1 : at + 2]
        return (following if following and not following.isalnum() else "", 2)
    if glyph == "[":
        return "", _class_length(pattern, at)
    if glyph == "(":
        return "", _group_length(pattern, at)
    return ("" if glyph in ".^$|)" else glyph, 1)


def _class_length(pattern: str, at: int) -> int:
    end = at + 1
    end += pattern[end : end + 1] == "^"
    end += pattern[end : end + 1] == "]"
    while end < len(pattern) and pattern[end] != "]":
        end += 2 if pattern[end] == "\\" else 1
    return end + 1 - at


def _group_length(pattern: str, at: int) -> int:
    depth, end = 0, at
    while end < len(pattern):
        glyph = pattern[end]
        if glyph == "\\":
            end += 2
            continue
        if glyph == "[":
            end += _class_length(pattern, end)
            continue
        depth += (glyph == "(") - (glyph == ")")
        end += 1
        if depth == 0:
            break
    return end - at


def matching_lines(
    file: LogFile, query: Query, start: int, stop: int, stopped: Callable[[], bool] = never
) -> Iterator[int]:
    """Where each matching line between two line starts begins, in order."""
    return chain.from_iterable(matches_by_chunk(file, query, start, stop, stopped))


def matching_lines_back(
    file: LogFile, query: Query, start: int, stop: int, stopped: Callable[[], bool] = never
) -> Iterator[int]:
    """The same from the end: the newest match first."""
    return chain.from_iterable(matches_by_chunk(file, query, start, stop, stopped, back=True))


def matches_by_chunk(
    file: LogFile, query: Query, start: int, stop: int, stopped: Callable[[], bool] = never, back: bool = False
) -> Iterator[list[int]]:
    """The same chunk by chunk, also where a chunk holds none: the caller gets its turn every millisecond."""
    while start < stop and not stopped():
        if back:
            data, first = _whole_lines_back(file, start, stop)
            yield list(_hits(data, first, query))[::-1]
            stop = first
        else:
            data, following = _whole_lines(file, start, stop)
            yield list(_hits(data, start, query))
            start = following


def _whole_lines(file: LogFile, start: int, stop: int) -> tuple[bytes, int]:
    """A chunk cut after a newline, grown until it holds one; and where the next begins."""
    size = CHUNK
    while True:
        data = file.read(start, min(start + size, stop))
        if start + len(data) >= stop or not data:
            return data, stop
        cut = data.rfind(b"\n") + 1
        if cut:
            return data[:cut] if cut < len(data) else data, start + cut
        if size >= 64 * CHUNK:
            return data, start + len(data)
        size *= 4


def _whole_lines_back(file: LogFile, start: int, stop: int) -> tuple[bytes, int]:
    size = CHUNK
    while True:
        first = max(start, stop - size)
        data = file.read(first, stop)
        if first == start:
            return data, start
        cut = data.find(b"\n") + 1
        if 0 < cut < len(data):
            return data[cut:], first + cut
        if size >= 64 * CHUNK:
            return data, first
        size *= 4


def _hits(data: bytes, base: int, query: Query) -> Iterator[int]:
    """The starts of the lines of a chunk that match."""
    searched = data.lower() if query.ignore_case and query.literals else data
    literal = _rarest(searched, query.literals)
    at = 0
    while at < len(data):
        found = searched.find(literal, at) if literal else at
        if found < 0:
            return
        line_start = data.rfind(b"\n", at, found) + 1 or at
        line_stop = data.find(b"\n", found)
        line_stop = len(data) if line_stop < 0 else line_stop
        if query.pattern is None or _line_matches(data, line_start, line_stop, found, query):
            yield base + line_start
        at = line_stop + 1


def _rarest(data: bytes, literals: tuple[bytes, ...]) -> bytes:
    """The literal that leaves the fewest lines to look at."""
    if len(literals) < 2:
        return literals[0] if literals else b""
    sample = data[:RAREST_SAMPLE]
    return min(literals, key=lambda literal: (sample.count(literal), -len(literal)))


def _line_matches(data: bytes, start: int, stop: int, found: int, query: Query) -> bool:
    assert query.pattern is not None
    if stop - start > LONGEST:
        start, stop = max(start, found - LONGEST // 2), min(stop, found + LONGEST // 2)
    line = data[start:stop]
    text = plain(line) if b"\x1b" in line or b"\r" in line else line.decode("utf-8", "replace")
    return query.pattern.search(text) is not None
