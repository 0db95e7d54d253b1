"""Times and steps that log lines carry, and the way to the line of a given one.

A line's time is read from its first characters (ISO date and time, time of day, Unix seconds), its step from words such
as `step 120`, `step=120`, `"step": 120`, `it 120`. Lines are taken to be in order, as logs are, so that a line is found
by halving the file, not by reading it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import TypeAlias

from console.logs.index import LogFile
from console.logs.text import plain

PROBE = 64 * 1024

Day: TypeAlias = datetime | None
"""The day that a time of day without a date lies on, with its zone; None where that is not known."""

STAMP = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)[T _](?P<time>\d\d:\d\d:\d\d)(?:[.,](?P<part>\d{1,9}))?\s?(?P<zone>Z|[+-]\d\d:?\d\d)?"
)
CLOCK = re.compile(r"(?:^|[\[\s(])(?P<time>\d\d:\d\d:\d\d)(?:[.,](?P<part>\d{1,9}))?(?=[\]\s)]|$)")
UNIX = re.compile(r"^\[?(?P<seconds>1\d{9}(?:\.\d+)?)\b")
STEP = re.compile(r"""\b(?:step|global_step|iter|iteration|it)["']?\s*[:= ]\s*(?P<step>\d+)""", re.IGNORECASE)


def line_time(text: str, day: Day = None) -> float | None:
    """The Unix time of a line; a time of day alone needs the day that it lies on."""
    head = text[:80]
    if found := STAMP.search(head):
        return _stamp(found, day)
    if found := UNIX.match(head):
        return float(found["seconds"])
    if day and (found := CLOCK.search(head)):
        hours, minutes, seconds = (int(part) for part in found["time"].split(":"))
        if hours < 24 and minutes < 60 and seconds < 60:
            return day.replace(hour=hours, minute=minutes, second=seconds, microsecond=0).timestamp() + _fraction(
                found["part"]
            )
    return None


def line_step(text: str) -> float | None:
    found = STEP.search(text)
    return float(found["step"]) if found else None


def _stamp(found: re.Match[str], day: Day) -> float | None:
    zone = "+00:00" if found["zone"] == "Z" else found["zone"] or ""
    try:
        stamp = datetime.fromisoformat(f"{found['date']}T{found['time']}{zone}")
    except ValueError:
        return None
    if stamp.tzinfo is None:
        stamp = stamp.replace(tzinfo=day.tzinfo if day else UTC)
    return stamp.timestamp() + _fraction(found["part"])


def _fraction(part: str | None) -> float:
    return float(f"0.{part}") if part else 0.0


def find_line(file: LogFile, target: float, key: Callable[[str], float | None], stop: int) -> int | None:
    """Where the first line begins whose key is at least the target; the last keyed line where all are below."""
    low, high = 0, stop
    best: int | None = None
    while low < high:
        middle = (low + high) // 2
        found = _first_keyed(file, middle, high, key)
        if found is None:
            high = middle
            continue
        start, value, after = found
        if value >= target:
            best = start
            high = middle
        else:
            low = max(after, middle + 1)
    return best if best is not None else _last_keyed(file, stop, key)


def _first_keyed(
    file: LogFile, start: int, stop: int, key: Callable[[str], float | None]
) -> tuple[int, float, int] | None:
    """The first line from a byte on that has a key: where it begins, its key, where the next line begins."""
    at = start
    data = file.read(max(0, at - 1), at + PROBE)
    if at:
        cut = data.find(b"\n") + 1
        if not cut:
            return None
        data, at = data[cut:], at - 1 + cut
    for line in data.split(b"\n"):
        if at >= stop:
            return None
        value = key(plain(line[:512]))
        if value is not None:
            return at, value, at + len(line) + 1
        at += len(line) + 1
    return None


def _last_keyed(file: LogFile, stop: int, key: Callable[[str], float | None]) -> int | None:
    start = max(0, stop - PROBE)
    at = stop
    for line in reversed(file.read(start, stop).split(b"\n")):
        at -= len(line)
        if key(plain(line[:512])) is not None:
            return at
        at -= 1
    return None


def asked_time(words: str, now: float, zone: tzinfo | None = None) -> float | None:
    """What someone typed: 23:45, 23:45:10, 2026-11-20 23:45, -5m, 90s ago as -90s; None where it is no time."""
    words = words.strip()
    if found := re.fullmatch(r"-\s*(\d+(?:\.\d+)?)\s*([smhd])", words):
        return now - float(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]
    today = datetime.fromtimestamp(now, zone)
    if found := re.fullmatch(r"(\d{1,2}):(\d\d)(?::(\d\d))?", words):
        try:
            stamp = today.replace(hour=int(found[1]), minute=int(found[2]), second=int(found[3] or 0), microsecond=0)
        except ValueError:
            return None
        return stamp.timestamp() - (86400 if stamp.timestamp() > now else 0)
    try:
        stamp = datetime.fromisoformat(words)
    except ValueError:
        return None
    return (stamp if stamp.tzinfo else stamp.replace(tzinfo=today.tzinfo)).timestamp()
