"""A chart in words, for those who don't see it: each series with its newest value and range, each gate line with its verdict."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from console.charts.series import Series
from console.charts.thresholds import Threshold
from console.words import number


def told(title: str, series: Sequence[Series], thresholds: Iterable[Threshold], cursor: float | None) -> list[str]:
    """One line a fact; `cursor`: also the values at this step."""
    newest = {one.name: one.last for one in series if one.last is not None}
    lines = [f"Chart {title}, {len(series)} series"] + [_series(one) for one in series if one.count]
    if cursor is not None:
        lines += [f"at step {number(cursor)}: {one.name} is {number(_at(one, cursor))}" for one in series if one.count]
    for line in thresholds:
        met = line.verdict(newest)
        lines.append(f"gate {line.label}: {'no data' if met is None else 'met' if met else 'not met'}")
    return lines


def _series(one: Series) -> str:
    import numpy as np

    values = one.columns().raw.values.view
    good = values[np.isfinite(values)]
    gaps = f", {one.nan_count} not a number" if one.nan_count else ""
    if not len(good):
        return f"{one.name}: {one.count} points, none is a number"
    last = math.nan if one.last is None else one.last
    return (
        f"{one.name}: {number(last)} at step {number(one.last_step)}, {_way(good)}, "
        f"lowest {number(float(good.min()))}, highest {number(float(good.max()))}, {one.count} points{gaps}"
    )


def _way(good: Any) -> str:
    """Where the last tenth stands against the tenth before it."""
    tenth = max(1, len(good) // 10)
    if len(good) < 2 * tenth or len(good) < 2:
        return "too few points for a direction"
    now, before = _mean(good[-tenth:]), _mean(good[-2 * tenth : -tenth])
    spread = max(abs(now), abs(before), 1e-12)
    change = (now - before) / spread
    return "steady" if abs(change) < 0.01 else "rising" if change > 0 else "falling"


def _mean(values: Any) -> float:
    return float(sum(values)) / len(values)


def _at(one: Series, step: float) -> float:
    columns = one.columns()
    index = min(max(columns.first_at_step(step), 0), one.count - 1)
    return float(columns.raw.values.view[index])
