"""What a chart is asked to draw: series as traces, a view on them, and the way from an x to a point and back."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from console.charts import axes
from console.charts.axes import Domain
from console.charts.columns import Columns, Curve, Floats
from console.charts.thresholds import Threshold

SMOOTHED_FROM = 100
"""Points below which a series is shown as it is: each of a few evaluations is news, not noise."""


@dataclass(frozen=True)
class Trace:
    name: str
    mark: str
    columns: Columns
    x: Floats
    """The column that the x axis shows, as it is stored."""
    shift: float = 0.0
    scale: float = 1.0
    """Shown x = (stored x - shift) / scale."""
    band: tuple[Columns, Columns] | None = None
    """The lower and upper edge of an interval around the curve, over the same points."""

    def stored(self, domain: Domain) -> Domain:
        return Domain(domain.low * self.scale + self.shift, domain.high * self.scale + self.shift)

    def shown(self, index: int) -> float:
        return (float(self.x[index]) - self.shift) / self.scale

    def smoothed(self, weight: float | None) -> Curve | None:
        """The smoothed curve where one is asked for and there are enough points to smooth."""
        if weight is None or len(self.x) < SMOOTHED_FROM:
            return None
        return self.columns.smooth(weight)


@dataclass(frozen=True)
class View:
    width: int
    height: int
    title: str = ""
    x_name: str = "step"
    x: Domain | None = None
    """None shows everything."""
    log: bool = False
    smoothing: float | None = None
    thresholds: tuple[Threshold, ...] = ()
    fit_thresholds: bool = True
    clip: bool = False
    """Leave out of the y axis what only a few points reach."""
    highlight: int | None = None
    """The trace that stands out, by its place; the others are faint."""
    cursor: float | None = None
    plain: bool = False
    """Without colour: marks on the curves."""


def whole_x(traces: list[Trace]) -> Domain:
    """Everything, from zero where that is near, with room on the right to grow into."""
    held = [trace for trace in traces if len(trace.x)]
    if not held:
        return Domain(0, 1)
    low, high = min(trace.shown(0) for trace in held), max(trace.shown(-1) for trace in held)
    return axes.steady_x(0.0 if 0 <= low <= 0.2 * high else low, high)


def newest(traces: Iterable[Trace]) -> dict[str, float]:
    """The last value of each trace that has one."""
    return {trace.name: float(trace.columns.raw.values.view[-1]) for trace in traces if len(trace.x)}


def nearest(trace: Trace, x: float, slack: float) -> int | None:
    """The point nearest to a shown x; None where the trace has none within slack of its ends."""
    if not len(trace.x) or x < trace.shown(0) - slack or x > trace.shown(-1) + slack:
        return None
    right = int(np.searchsorted(trace.x, x * trace.scale + trace.shift))
    if right == 0 or (right < len(trace.x) and trace.shown(right) - x <= x - trace.shown(right - 1)):
        return right
    return right - 1


def x_at(traces: Iterable[Trace], x_name: str, step: float | None, unix_time: float | None) -> float | None:
    """Where a step, or else a moment, lies on the x axis as it is shown; None where nothing was measured."""
    if step is not None and x_name == "step":
        return step
    for trace in traces:
        if not len(trace.x):
            continue
        column, wanted = (trace.columns.steps, step) if step is not None else (trace.columns.times, unix_time)
        if wanted is None:
            return None
        return trace.shown(min(int(np.searchsorted(column.view, wanted)), len(trace.x) - 1))
    return None


def next_point(traces: list[Trace], x: float, direction: int, distance: float) -> float:
    """The shown x of the point about this far from x in this direction; the next point where that is further away."""
    following = [found for trace in traces if (found := _beyond(trace, x, direction)) is not None]
    if not following:
        return x
    closest = min(following, key=lambda found: abs(found - x))
    if abs(closest - x) >= distance:
        return closest
    near = [(trace, nearest(trace, x + direction * distance, math.inf)) for trace in traces]
    points = [trace.shown(index) for trace, index in near if index is not None]
    return min(points, key=lambda point: abs(point - x - direction * distance))


def _beyond(trace: Trace, x: float, direction: int) -> float | None:
    """The first point of a trace strictly beyond x."""
    stored = x * trace.scale + trace.shift
    if direction > 0:
        index = int(np.searchsorted(trace.x, stored, side="right"))
    else:
        index = int(np.searchsorted(trace.x, stored, side="left")) - 1
    return trace.shown(index) if 0 <= index < len(trace.x) else None
