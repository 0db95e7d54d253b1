"""One curve as braille dots: pure functions from columns and two domains to a matrix of dots.

Per dot column the curve covers the minimum to the maximum of its finite points, and thin lines join the last point of
a column with the first of the next one that has any, unless a gap lies between them. Exact for any number of points;
the cost follows the columns. `tests/console/test_raster.py` holds the slow, obvious version of the same sentence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from console.charts.axes import Domain
from console.charts.columns import Curve, Floats, Ints

Dots = NDArray[np.bool_]

FAR = 1e6
"""Dots off the picture are held within this, so that an infinite value still has a row."""

BRAILLE_WEIGHTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], np.uint8)


@dataclass(frozen=True)
class Window:
    """Which points fall into which dot column."""

    x: Floats
    domain: Domain
    bounds: Ints
    """Column c holds the points bounds[c] to bounds[c + 1]; a point on the right edge belongs to the last column."""

    @property
    def columns(self) -> int:
        return len(self.bounds) - 1


@dataclass(frozen=True)
class Runs:
    """Vertical runs of dots, rows counted from the top, both ends included."""

    column: Ints
    top: Ints
    bottom: Ints


@dataclass(frozen=True)
class Drawn:
    """The dots of a curve whose newest point is in sight, and what they follow from: where each column's points begin, the
    rows between its lowest and its highest, how many gaps there are. The newest point itself is joined to nothing yet."""

    domain: Domain
    y: Domain
    bad_count: int
    begun: Ints
    spans: Runs
    dots: Dots

    def holds(self, view: Window, y: Domain, rows: int, bad_count: int, begun: Ints, spans: Runs) -> bool:
        return (
            (self.domain, self.y, self.bad_count, self.dots.shape) == (view.domain, y, bad_count, (rows, view.columns))
            and np.array_equal(self.begun, begun)
            and np.array_equal(self.spans.column, spans.column)
            and np.array_equal(self.spans.top, spans.top)
            and np.array_equal(self.spans.bottom, spans.bottom)
        )


def window(x: Floats, domain: Domain, columns: int) -> Window:
    edges = domain.low + domain.span * np.arange(columns + 1) / columns
    bounds = np.searchsorted(x, edges)
    bounds[-1] = np.searchsorted(x, domain.high, side="right")
    return Window(x, domain, bounds)


def whole_window(x: Floats, domain: Domain) -> Window:
    """Everything in one column: a domain that holds all points needs no looking for them."""
    return Window(x, domain, np.array([0, len(x)]))


def extremes(curve: Curve, view: Window) -> tuple[float, float] | None:
    """The lowest and highest finite value in the window, None where there is none."""
    low, high = curve.range(int(view.bounds[0]), int(view.bounds[-1]))
    return (low, high) if low <= high else None


def usual_range(curve: Curve, view: Window) -> tuple[float, float] | None:
    """The range without what fewer than one in fifty stretches of the window reach."""
    edges = np.linspace(view.bounds[0], view.bounds[-1], 129).astype(np.int64)
    found = curve.extrema(edges[:-1], edges[1:])
    held = found.low <= found.high
    if held.sum() < 8:
        return extremes(curve, view)
    return float(np.percentile(found.low[held], 2)), float(np.percentile(found.high[held], 98))


def lowest_positive(curve: Curve, view: Window) -> float | None:
    """The lowest value in the window that a logarithm takes; reads every point, so only for ranges that reach zero."""
    values = curve.values.view[view.bounds[0] : view.bounds[-1]]
    positive = values[(values > 0) & np.isfinite(values)]
    return float(positive.min()) if len(positive) else None


def curve_dots(curve: Curve, view: Window, y: Domain, rows: int) -> Dots:
    """The dots of one curve, as a matrix of rows by columns; those of the last time where new points change none."""
    start, stop = view.bounds[:-1], view.bounds[1:]
    found = curve.extrema(start, stop)
    held = np.flatnonzero(found.low <= found.high)
    spans = Runs(held, _rows(found.high[held], y, rows), _rows(found.low[held], y, rows))
    before, curve.drawn = curve.drawn, None
    if not len(held) or view.bounds[-1] < curve.values.count:  # a point behind the window is joined too
        return _fill([spans, _joins(curve, view, y, rows, held)], rows, view.columns)
    begun = view.bounds[: held[-1] + 1]
    if isinstance(before, Drawn) and before.holds(view, y, rows, curve.bad.count, begun, spans):
        dots = before.dots
    else:
        dots = _fill([spans, _joins(curve, view, y, rows, held)], rows, view.columns)
    curve.drawn = Drawn(view.domain, y, curve.bad.count, begun, spans, dots)
    return dots


def band_dots(x: Floats, low: Curve, high: Curve, view: Window, y: Domain, rows: int) -> Dots:
    """Everything between two curves over the same points, filled; straight edges where points are far apart."""
    start, stop = view.bounds[:-1], view.bounds[1:]
    bottoms, tops = low.extrema(start, stop).low, high.extrema(start, stop).high
    held = bottoms <= tops
    column = np.arange(view.columns)
    known = np.isfinite(low.values.view) & np.isfinite(high.values.view)
    if known.any() and not held.all():
        middle = view.domain.low + view.domain.span * (column + 0.5) / view.columns
        between = ~held & (middle >= x[known][0]) & (middle <= x[known][-1])
        bottoms[between] = np.interp(middle[between], x[known], low.values.view[known])
        tops[between] = np.interp(middle[between], x[known], high.values.view[known])
        held |= between
    return _fill([Runs(column[held], _rows(tops[held], y, rows), _rows(bottoms[held], y, rows))], rows, view.columns)


def gap_columns(curve: Curve, view: Window, cells: int) -> Dots:
    """Per cell of two dot columns, whether a value that is not finite falls into it."""
    bounds = view.bounds[:: view.columns // cells]
    return curve.bad_between(bounds[:-1], bounds[1:]) > 0


def braille(dots: Dots) -> NDArray[np.uint8]:
    """Dots as braille patterns, one byte per cell of two by four."""
    rows, columns = dots.shape
    cells = dots.reshape(rows // 4, 4, columns // 2, 2)
    codes: NDArray[np.uint8] = np.zeros((rows // 4, columns // 2), np.uint8)
    for down in range(4):
        for across in range(2):
            codes |= cells[:, down, :, across] * BRAILLE_WEIGHTS[down, across]
    return codes


def place(values: Floats, y: Domain, rows: int) -> Floats:
    """Values as fractional rows from the top; what a logarithm does not take lies far below."""
    numbers = values.astype("f8")
    if y.log:
        numbers = np.log10(np.where(numbers > 0, numbers, 1e-300))
    return np.clip((y.high - numbers) / y.span * (rows - 1), -FAR, FAR)


def place_one(value: float, y: Domain, rows: int) -> float:
    """The same for one value."""
    if y.log:
        value = math.log10(value if value > 0 else 1e-300)
    return min(max((y.high - value) / y.span * (rows - 1), -FAR), FAR)


def _rows(values: Floats, y: Domain, rows: int) -> Ints:
    return np.floor(place(values, y, rows) + 0.5).astype(np.int64)


def _joins(curve: Curve, view: Window, y: Domain, rows: int, held: Ints) -> Runs:
    """Thin lines from each column's last finite point to the next column's first."""
    first, last = _ends(curve, view, held)
    column = held
    before, after = int(view.bounds[0]) - 1, int(view.bounds[-1])
    values = curve.values.view
    if before >= 0 and np.isfinite(values[before]):
        column, first, last = _insert(column, first, last, 0, _outside(view, before), before)
    if after < len(values) and np.isfinite(values[after]):
        column, first, last = _insert(column, first, last, len(column), _outside(view, after), after)
    joined = ~curve.breaks(last[:-1], first[1:])
    from_row, to_row = place(values[last[:-1]], y, rows)[joined], place(values[first[1:]], y, rows)[joined]
    return _lines(column[:-1][joined], from_row, column[1:][joined], to_row, view.columns)


def _ends(curve: Curve, view: Window, held: Ints) -> tuple[Ints, Ints]:
    """The first and last finite point of each held column."""
    first, last = view.bounds[held], view.bounds[held + 1] - 1
    if not curve.bad.count:
        return first, last
    values = curve.values.view
    for index in np.flatnonzero(curve.bad_between(first, last + 1)):
        finite = np.isfinite(values[first[index] : last[index] + 1])
        last[index] -= int(finite[::-1].argmax())
        first[index] += int(finite.argmax())
    return first, last


def _outside(view: Window, index: int) -> int:
    """The dot column of a point outside the window."""
    column = np.floor((view.x[index] - view.domain.low) / view.domain.span * view.columns)
    return int(np.clip(column, -FAR, FAR))


def _insert(column: Ints, first: Ints, last: Ints, where: int, at: int, index: int) -> tuple[Ints, Ints, Ints]:
    return np.insert(column, where, at), np.insert(first, where, index), np.insert(last, where, index)


def _lines(from_column: Ints, from_row: Floats, to_column: Ints, to_row: Floats, columns: int) -> Runs:
    """Lines between dots as one run per column that they cross; a column's run stops short of the next one's."""
    start, stop = np.maximum(from_column, 0), np.minimum(to_column, columns - 1)
    length = np.maximum(stop - start + 1, 0)
    line = np.repeat(np.arange(len(length)), length)
    column = np.arange(len(line)) - np.repeat(np.cumsum(length) - length, length) + start[line]
    begin, end = from_column[line], to_column[line]
    slope = ((to_row - from_row) / np.maximum(to_column - from_column, 1))[line]
    left = np.floor(from_row[line] + slope * (np.maximum(column - 0.5, begin) - begin) + 0.5).astype(np.int64)
    right = np.floor(from_row[line] + slope * (np.minimum(column + 0.5, end) - begin) + 0.5).astype(np.int64)
    right -= np.where(column < end, np.sign(right - left), 0)
    return Runs(column, np.minimum(left, right), np.maximum(left, right))


def _fill(runs: list[Runs], rows: int, columns: int) -> Dots:
    """Every run as dots: the ends are counted and summed down the rows."""
    column = np.concatenate([run.column for run in runs])
    top = np.concatenate([run.top for run in runs])
    bottom = np.concatenate([run.bottom for run in runs])
    seen = (bottom >= 0) & (top < rows)
    column, top, bottom = column[seen], np.maximum(top[seen], 0), np.minimum(bottom[seen], rows - 1)
    size = (rows + 1) * columns
    change = np.bincount(top * columns + column, minlength=size) - np.bincount(
        (bottom + 1) * columns + column, minlength=size
    )
    dots: Dots = np.add.accumulate(change.astype(np.int16).reshape(rows + 1, columns)[:-1], axis=0) > 0
    return dots
