"""What a run's events and a model's metadata say of a model. Pure, but for describing a file that the program only named."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engine.protocol.events import Event, metrics_of, number
from engine.protocol.files import describe


def announces_model(event: Event) -> bool:
    return event.get("kind") == "model" and isinstance(event.get("name"), str) and isinstance(event.get("path"), str)


def located(event: Event, folder: str) -> Event:
    """The event with its file's place on this machine; described here where the program only named the file."""
    path = os.path.join(folder, event["path"])
    known = {} if event.get("sha256") or not os.path.exists(path) else describe(Path(path))
    return {**event, **known, "path": path}


def measured(events: Iterable[Event]) -> dict[str, float]:
    """The last value of every metric and fact."""
    found: dict[str, float] = {}
    for event in events:
        if event.get("kind") == "metric":
            found.update(metrics_of(event))
        elif event.get("kind") == "fact" and isinstance(event.get("name"), str):
            value = number(event.get("value"))
            if value is not None:
                found[event["name"]] = value
    return found


def progress(events: Iterable[Event]) -> float:
    """How far the run says it is, in percent."""
    percent = 0.0
    for event in events:
        if event.get("kind") == "progress" and (total := number(event.get("total"))):
            percent = 100.0 * (number(event.get("done")) or 0.0) / total
    return percent


def parents_said(metadata: dict[str, Any]) -> list[str]:
    """`parent: word` or `parents: [words]`; a word is a model's id, its file's sha256 or its name."""
    return words(metadata.get("parents", metadata.get("parent")))


def words(said: Any) -> list[str]:
    """One word, several or none."""
    if said is None or isinstance(said, str):
        return said.split() if said else []
    return [str(word) for word in said] if isinstance(said, (list, tuple)) else []
