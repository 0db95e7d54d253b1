"""Metrics of a program that writes no events: declared patterns read off its log.

Each match becomes a metric event in `log-events.jsonl`, marked `"source": "log"`. It counts as evidence only because the
step declares the pattern. A carriage return ends a line too, so progress bars are read.
"""

from __future__ import annotations

import re
import time

from engine.protocol.events import encode
from engine.protocol.layout import RunPaths
from engine.protocol.spec import LogMetric

_LONGEST_LINE = 64 << 10  # a longer one is no line of metrics
_READ_BYTES = 1 << 20


class LogReader:
    """Follows one log from its start."""

    def __init__(self, paths: RunPaths, declared: list[LogMetric]) -> None:
        self.paths = paths
        self.patterns = [(re.compile(m.pattern), m.name) for m in declared]
        self.offset = 0
        self.rest = b""
        self.step: float | None = None

    def read(self, last: bool = False) -> None:
        """Read what is new; with `last`, the unfinished line too."""
        while self.patterns:
            with open(self.paths.log, "rb") as file:
                file.seek(self.offset)
                data = file.read(_READ_BYTES)
            self.offset += len(data)
            *lines, self.rest = re.split(rb"[\r\n]", (self.rest + data)[-_LONGEST_LINE:])
            if last and len(data) < _READ_BYTES:
                lines.append(self.rest)
            self._write(lines)
            if len(data) < _READ_BYTES:
                return

    def _write(self, lines: list[bytes]) -> None:
        events = []
        for line in lines:
            values, self.step = match(self.patterns, line.decode(errors="replace"), self.step)
            if values:
                event = {"v": 1, "time": round(time.time(), 3), "kind": "metric", "source": "log", "values": values}
                events.append(encode(event if self.step is None else {**event, "step": self.step}))
        if events:
            try:
                with open(self.paths.log_events, "ab", buffering=0) as file:
                    file.write(b"".join(events))
            except OSError:  # a full disk: these points are lost, the log itself has them
                pass


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
