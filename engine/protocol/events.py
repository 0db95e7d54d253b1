"""One line of `events.jsonl` is one event: a JSON object with a `kind`. Written by programs in any language.

    {"v":1,"seq":12,"time":1790000000.25,"kind":"metric","step":10,"values":{"loss":0.41}}
    {"kind":"fact","name":"data/train_rows","value":17886}

`kind` is all that a program must give. Kinds: metric, fact, artifact, progress, note, checkpoint, model; an unknown kind
is kept and passed on. NaN and the infinities stand as the strings "NaN", "Infinity", "-Infinity" (JSON has no words for them).

Guarantees: a reader that starts again at the offset it got sees every whole line exactly once; a torn last line is
"not yet"; a corrupt line in the middle is counted and named, never fatal.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Event = dict[str, Any]

KINDS = ("metric", "fact", "artifact", "progress", "note", "checkpoint", "model")

_READ_BYTES = 4 << 20  # one read: large enough to amortise the call, small enough to keep a screen answering


def encode(event: Event) -> bytes:
    """One line, newline included."""
    try:
        text = json.dumps(event, separators=(",", ":"), allow_nan=False)
    except ValueError:
        text = json.dumps(_spell(event), separators=(",", ":"), allow_nan=False)
    return text.encode() + b"\n"


def _spell(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, dict):
        return {k: _spell(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_spell(v) for v in value]
    return value


_SPELLED = {
    "NaN": math.nan,
    "Infinity": math.inf,
    "-Infinity": -math.inf,
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
}


def number(value: Any) -> float | None:
    """The number that a metric or fact carries, spelled-out NaN and infinities included; None if it is no number."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, (int, float)):
        try:
            return float(value)
        except OverflowError:  # a whole number beyond what a float holds
            return math.inf if value > 0 else -math.inf
    return _SPELLED.get(value) if isinstance(value, str) else None


@dataclass
class Batch:
    """What one read brought."""

    events: list[Event] = field(default_factory=list)
    offset: int = 0
    """Where to read on."""
    more: bool = False
    """There is more to read right now."""
    corrupt: list[int] = field(default_factory=list)
    """Offsets of lines that are no JSON object."""
    rewritten: bool = False
    """The file is shorter than the offset: somebody replaced it, and reading starts again at 0."""


def read_events(path: Path, offset: int = 0, limit: int = _READ_BYTES) -> Batch:
    """Whole events from `offset` on; the file may not exist yet."""
    try:
        with open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            rewritten = size < offset
            start = 0 if rewritten else offset
            file.seek(start)
            data = file.read(limit)
            if len(data) == limit and b"\n" not in data:  # one line longer than a read
                data += file.read()
    except (FileNotFoundError, NotADirectoryError):
        return Batch(offset=0, rewritten=offset > 0)
    batch = parse(data, start)
    batch.rewritten = rewritten
    batch.more = batch.offset > start and size > start + len(data)
    return batch


def every_event(path: Path) -> list[Event]:
    """All events of a file as it is now."""
    found: list[Event] = []
    offset, more = 0, True
    while more:
        batch = read_events(path, offset)
        found += batch.events
        offset, more = batch.offset, batch.more
    return found


def parse(data: bytes, start: int = 0) -> Batch:
    """Events of the whole lines in `data`, which lies at `start` in its file."""
    end = data.rfind(b"\n") + 1
    batch = Batch(offset=start + end)
    whole = data[:end]
    try:
        # The usual case is that every line is sound: one parse for all of them is four times faster than one each.
        values = json.loads(b"[" + whole[:-1].replace(b"\n", b",") + b"]") if whole else []
        if len(values) == whole.count(b"\n") and all(type(v) is dict and type(v.get("kind")) is str for v in values):
            batch.events = values
            return batch
    except (ValueError, RecursionError):
        pass
    at = start
    for line in whole.split(b"\n")[:-1]:
        event = _parse_line(line)
        if event is not None:
            batch.events.append(event)
        elif line.strip():
            batch.corrupt.append(at)
        at += len(line) + 1
    return batch


def _parse_line(line: bytes) -> Event | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and isinstance(value.get("kind"), str) else None


def metrics_of(event: Event) -> dict[str, float]:
    """The numbers of a metric event."""
    values = event.get("values")
    if not isinstance(values, dict):
        return {}
    found = {str(name): number(value) for name, value in values.items()}
    return {name: value for name, value in found.items() if value is not None}
