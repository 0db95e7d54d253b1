"""From a batch of metric events to columns: a step, a value and a time per point and metric. Pure.

Most programs log the same names with every line; then a line costs one look at its names and no copy of its numbers. A batch
in which that does not hold is taken in line by line, with the same result.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.protocol.events import Event, metrics_of, number


@dataclass(frozen=True)
class Part:
    """New points of one metric, in the order in which they were written."""

    name: str
    steps: Sequence[float]
    values: list[float]
    times: Sequence[float]


@dataclass
class _Group:
    """The lines that carry the same names."""

    steps: list[object]
    times: list[object]
    rows: list[dict[str, object]]


def collect(events: Sequence[Event], count_of: Callable[[str], int]) -> list[Part]:
    """The points of these events; a line without a step counts on from what its metric has (`count_of`)."""
    groups = _by_names(events)
    names = [name for key in groups for name in key]
    if len(names) != len(set(names)):  # one metric in two kinds of line: their order would be lost
        return _slowly(events, count_of)
    parts = []
    for key, group in groups.items():
        steps, times = _numbers(group.steps), _numbers(group.times)
        if steps is None or times is None:
            return _slowly(events, count_of)
        for name in key:
            column = [row[name] for row in group.rows]
            if set(map(type, column)) != {float}:
                return _slowly(events, count_of)
            parts.append(Part(name, steps, column, times))  # type: ignore[arg-type]
    return parts


def _by_names(events: Sequence[Event]) -> dict[tuple[str, ...], _Group]:
    groups: dict[tuple[str, ...], _Group] = {}
    for event in events:
        values = event.get("values")
        if type(values) is not dict:
            continue
        key = tuple(values)
        group = groups.get(key)
        if group is None:
            group = groups[key] = _Group([], [], [])
        group.steps.append(event.get("step"))
        group.times.append(event.get("time", 0.0))
        group.rows.append(values)
    return groups


def _numbers(column: list[object]) -> array[float] | None:
    """As doubles, where everything in it is a number."""
    if not set(map(type, column)) <= {int, float}:
        return None
    try:
        return array("d", column)  # type: ignore[arg-type]
    except OverflowError:
        return None


def _slowly(events: Sequence[Event], count_of: Callable[[str], int]) -> list[Part]:
    found: dict[str, tuple[list[float], list[float], list[float]]] = {}
    for event in events:
        step, at = number(event.get("step")), number(event.get("time")) or 0.0
        for name, value in metrics_of(event).items():
            steps, values, times = found.setdefault(name, ([], [], []))
            counted = step is not None and math.isfinite(step)
            steps.append(step if counted and step is not None else float(count_of(name) + len(steps)))
            values.append(value)
            times.append(at)
    return [Part(name, *columns) for name, columns in found.items()]
