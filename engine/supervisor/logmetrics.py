"""Metrics of a program that writes no events: declared patterns read off its log.

Each match becomes a metric event in `log-events.jsonl`, marked `"source": "log"`. It counts as evidence only because the
step declares the pattern. A carriage return ends a line too, so progress bars are read.
"""

from __future__ import annotations

import os
import re
import time

from engine.protocol.events import encode, parse
from engine.protocol.layout import RunPaths
from engine.protocol.spec import LogMetric

_LINE_END = re.compile(rb"[\r\n]")
_LONGEST_LINE = 64 << 10  # a longer one is no line of metrics
_READ_BYTES = 1 << 20


class LogReader:
    """Follows one log from its start, or from where an earlier reader of it was killed."""

    def __init__(self, paths: RunPaths, declared: list[LogMetric]) -> None:
        self.paths = paths
        self.patterns = [(re.compile(m.pattern), m.name) for m in declared]
        self.offset = 0
        self.rest = b""
        self.step: float | None = None

    def resume(self) -> None:
        """Go on after the last event that stands in the file; a torn one is taken away and read again."""
        try:
            written = self.paths.log_events.read_bytes()
        except FileNotFoundError:
            return
        whole = written[: written.rfind(b"\n") + 1]
        if len(whole) < len(written):
            os.truncate(self.paths.log_events, len(whole))
        events = parse(whole).events
        if events:
            self.offset, self.step = events[-1].get("at", 0), events[-1].get("step")

    def read(self, last: bool = False) -> None:
        """Read what is new; with `last`, the unfinished line too."""
        while self.patterns:
            with open(self.paths.log, "rb") as file:
                file.seek(self.offset)
                data = file.read(_READ_BYTES)
            begin = self.offset - len(self.rest)
            self.offset += len(data)
            *lines, rest = _LINE_END.split(self.rest + data)
            self.rest = rest[-_LONGEST_LINE:]
            if last and len(data) < _READ_BYTES:
                lines.append(self.rest)
                self.rest = b""
            self._write(begin, lines)
            if len(data) < _READ_BYTES:
                return

    def _write(self, begin: int, lines: list[bytes]) -> None:
        events = []
        for line in lines:
            begin += len(line) + 1
            if len(line) > _LONGEST_LINE:
                continue
            values, self.step = match(self.patterns, line.decode(errors="replace"), self.step)
            if values:
                event = {"v": 1, "time": round(time.time(), 3), "kind": "metric", "source": "log", "values": values}
                event["at"] = min(begin, self.offset)  # where the log is read on, should this reader be killed
                events.append(encode(event if self.step is None else {**event, "step": self.step}))
        if events:
            try:
                with open(self.paths.log_events, "ab", buffering=0) as file:
                    file.write(b"".join(events))
            except OSError:  # a full disk: these points are lost, the log itself has them
                pass


def catch_up(paths: RunPaths, declared: list[LogMetric]) -> None:
    """Read what a killed supervisor has not."""
    reader = LogReader(paths, declared)
    reader.resume()
    reader.read(last=True)


def match(
    patterns: list[tuple[re.Pattern[str], str]], line: str, step: float | None
) -> tuple[dict[str, float], float | None]:
    """The metrics in one line, and the step that stands after it (a line without one keeps the last)."""
    values: dict[str, float] = {}
    for pattern, name in patterns:
        found = pattern.search(line)
        if found is None:
            continue
        groups = found.groupdict()
        number = _number(groups.get("value") or (found.group(1) if found.groups() else found.group(0)))
        at = _number(groups.get("step") or "")
        step = step if at is None else at
        if number is not None and name != "step":
            values[name] = number
        elif number is not None:
            step = number
    return values, step


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", "").rstrip("%"))
    except ValueError:
        return None
