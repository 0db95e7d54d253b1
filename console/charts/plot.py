"""A whole chart as cells: curves, axes, legend, gate lines and crosshair, from columns and options alone.

`draw` is pure: the same traces and view give the same cells. Colours are inks here; the widget knows the theme. A
chart that shrinks loses its furniture before its curve: first legend rows, then the axis line, labels and the title.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from console.charts import axes
from console.charts.axes import Domain
from console.charts.canvas import Canvas, one_per_cell
from console.charts.columns import Curve, Floats
from console.charts.inks import (
    AXIS,
    BLANK,
    CURSOR,
    FAINT,
    FIRST_TRACE,
    GAP,
    LABEL,
    LINE,
    MARK,
    MET,
    OPEN,
    READING,
    UNMET,
    trace_ink,
)
from console.charts.legend import entries_of, put_header
from console.charts.raster import (
    Dots,
    Window,
    band_dots,
    braille,
    curve_dots,
    extremes,
    gap_columns,
    lowest_positive,
    place_one,
    usual_range,
    whole_window,
    window,
)
from console.charts.thresholds import verdict_words
from console.charts.trace import Trace, View, nearest, newest, whole_x

BRAILLE_BLANK = 0x2800
CHECKER = 0x2895
"""Every other dot: a band drawn through it stays fainter than a line, also without colour."""
GATE_LINE = "╌"
MARK_EVERY = 14
"""Cells between the marks that tell curves apart without colour."""


@dataclass(frozen=True)
class Frame:
    """Where the plot lies on the canvas, in cells."""

    left: int
    top: int
    columns: int
    rows: int
    axis_rows: int


@dataclass(frozen=True)
class Picture:
    canvas: Canvas
    frame: Frame
    x: Domain
    y: Domain
    legend: tuple[str, ...] = field(default=())

    def x_at(self, column: int) -> float:
        """The x in the middle of a column of the canvas."""
        return self.x.low + (column - self.frame.left + 0.5) / self.frame.columns * self.x.span


def draw(traces: list[Trace], view: View) -> Picture:
    canvas = Canvas(view.width, view.height)
    x = view.x or whole_x(traces)
    legend = entries_of(traces, view, x)
    header_rows = put_header(canvas, view, legend)
    axis_rows = 2 if view.height >= 8 and view.width >= 20 else 1 if view.height >= 5 else 0
    rows = max(1, view.height - header_rows - axis_rows)
    rough = [
        window(trace.x, trace.stored(x), 1) if view.x else whole_window(trace.x, trace.stored(x)) for trace in traces
    ]
    y = _y_domain(traces, rough, view)
    labels = (len(tick.label) for tick in axes.ticks(y, max(2, rows // 3)))
    gutter = max(labels, default=0) + 2 if view.width >= 24 else 0
    frame = Frame(gutter, header_rows, max(1, view.width - gutter), rows, axis_rows)
    canvas.glyphs[frame.top :], canvas.inks[frame.top :] = _axes(frame, view.width, view.height, view.x_name, x, y)
    _draw_threshold_lines(canvas, frame, y, view, traces)
    windows = [window(trace.x, trace.stored(x), frame.columns * 2) for trace in traces]
    _draw_curves(canvas, frame, y, view, traces, windows)
    _draw_gaps(canvas, frame, traces, windows)
    _draw_threshold_labels(canvas, frame, y, view, traces)
    _draw_cursor(canvas, frame, x, y, view, traces)
    return Picture(canvas, frame, x, y, tuple(entry.words for entry in legend))


# ---------------------------------------------------------------- axes


def _y_domain(traces: list[Trace], windows: list[Window], view: View) -> Domain:
    shown = [(trace.columns.raw, part) for trace, part in zip(traces, windows, strict=True)]
    shown += [(edge.raw, part) for trace, part in zip(traces, windows, strict=True) for edge in trace.band or ()]
    ranges = [_y_range(curve, part, view) for curve, part in shown]
    lows = [found[0] for found in ranges if found]
    highs = [found[1] for found in ranges if found]
    if view.fit_thresholds:
        lines = [
            line.value for line in view.thresholds if math.isfinite(line.value) and (line.value > 0 or not view.log)
        ]
        lows += lines
        highs += lines
    if not lows:
        return Domain(0.0, 1.0, view.log)
    return axes.steady_y(min(lows), max(highs), view.log)


def _y_range(curve: Curve, part: Window, view: View) -> tuple[float, float] | None:
    found = usual_range(curve, part) if view.clip else extremes(curve, part)
    if found is None or not view.log or found[0] > 0:
        return found
    low = lowest_positive(curve, part)
    return None if low is None else (low, found[1])


def _row_of(value: float, y: Domain, rows: int) -> int:
    """The cell row of a value; outside the plot it is below 0 or not below rows."""
    if math.isnan(value):
        return rows
    return math.floor((place_one(value, y, rows * 4) + 0.5) / 4)


@lru_cache(16)
def _axes(frame: Frame, width: int, height: int, x_name: str, x: Domain, y: Domain) -> tuple[Floats, Floats]:
    """Glyphs and inks below the header, before any curve: the same from tick to tick of a live run."""
    canvas = Canvas(width, height)
    bottom = frame.top + frame.rows
    if frame.left:
        canvas.glyphs[frame.top : bottom, frame.left - 1] = ord("│")
        canvas.inks[frame.top : bottom, frame.left - 1] = AXIS
        for tick in axes.ticks(y, max(2, frame.rows // 3)):
            row = frame.top + min(frame.rows - 1, int((y.high - tick.at) / y.span * (frame.rows * 4 - 1) + 0.5) // 4)
            canvas.put(row, frame.left - 2 - len(tick.label), tick.label, LABEL)
            canvas.put(row, frame.left - 1, "┤", AXIS)
    if frame.axis_rows == 2:
        canvas.put(bottom, max(0, frame.left - 1), ("└" if frame.left else "") + "─" * frame.columns, AXIS)
    if frame.axis_rows:
        _draw_x_ticks(canvas, frame, x_name, x)
    return canvas.glyphs[frame.top :], canvas.inks[frame.top :]


def _draw_x_ticks(canvas: Canvas, frame: Frame, x_name: str, x: Domain) -> None:
    most = max(1, frame.columns // 11)
    found = axes.time_ticks(x, most) if x_name == "time" else axes.ticks(x, most)
    bottom = frame.top + frame.rows
    row = bottom + frame.axis_rows - 1
    name_at = canvas.width - len(x_name)
    free_from = 0
    for tick in found:
        column = frame.left + min(frame.columns - 1, int((tick.at - x.low) / x.span * frame.columns * 2 + 0.5) // 2)
        start = max(0, min(column - len(tick.label) // 2, canvas.width - len(tick.label)))
        if start < free_from:
            continue
        if frame.axis_rows == 2:
            canvas.put(bottom, column, "┬", AXIS)
        free_from = canvas.put(row, start, tick.label, LABEL) + 1
    if free_from <= name_at:
        canvas.put(row, name_at, x_name, AXIS)


# ---------------------------------------------------------------- curves


def _draw_curves(
    canvas: Canvas, frame: Frame, y: Domain, view: View, traces: list[Trace], windows: list[Window]
) -> None:
    area = (slice(frame.top, frame.top + frame.rows), slice(frame.left, frame.left + frame.columns))
    glyphs, inks = canvas.glyphs[area], canvas.inks[area]
    lines = np.zeros(glyphs.shape, np.uint8)
    line_inks = np.zeros(inks.shape, np.int16)
    drawn: list[Dots] = []
    front: NDArray[np.uint8] | None = None
    for index, (trace, part) in enumerate(zip(traces, windows, strict=True)):
        stands_back = view.highlight not in (None, index)
        smoothed = trace.smoothed(view.smoothing)
        line = braille(curve_dots(smoothed or trace.columns.raw, part, y, frame.rows * 4))
        if (smoothed or trace.band) and not stands_back:
            _draw_band(glyphs, inks, _band(trace, part, y, frame.rows * 4), trace_ink(index, FAINT))
        lines |= line
        drawn.append(line > 0)
        line_inks[drawn[-1]] = trace_ink(index, FAINT if stands_back else LINE)
        if index == view.highlight:
            front = line
    if front is not None:
        lines[front > 0] = front[front > 0]
        line_inks[front > 0] = trace_ink(view.highlight or 0, LINE)
    covered = lines > 0
    glyphs[covered] = lines[covered].astype("<u4") + BRAILLE_BLANK
    inks[covered] = line_inks[covered]
    if view.plain and len(traces) > 1:
        _draw_marks(glyphs, inks, traces, drawn)


def _band(trace: Trace, part: Window, y: Domain, rows: int) -> NDArray[np.uint8]:
    """The interval around a curve where it has one, else the raw values behind the smoothed ones."""
    if trace.band:
        return braille(band_dots(trace.x, trace.band[0].raw, trace.band[1].raw, part, y, rows))
    return braille(curve_dots(trace.columns.raw, part, y, rows))


def _draw_band(glyphs: Floats, inks: Floats, raw: Floats, ink: int) -> None:
    codes = raw.astype("<u4") & (CHECKER - BRAILLE_BLANK)
    seen = codes > 0
    glyphs[seen] = codes[seen] + BRAILLE_BLANK
    inks[seen] = ink


def _draw_marks(glyphs: Floats, inks: Floats, traces: list[Trace], drawn: list[Dots]) -> None:
    """Each curve's mark every few cells, offset per curve so that they don't meet; also where another covers it."""
    for index, trace in enumerate(traces):
        offset = (MARK_EVERY * index) // len(traces)
        for column in range(offset, glyphs.shape[1], MARK_EVERY):
            rows = np.flatnonzero(drawn[index][:, column])
            if len(rows):
                glyphs[rows[len(rows) // 2], column] = ord(trace.mark)
                inks[rows[len(rows) // 2], column] = trace_ink(index, MARK)


def _draw_gaps(canvas: Canvas, frame: Frame, traces: list[Trace], windows: list[Window]) -> None:
    """A cross under every column that holds a value that is not finite."""
    if not any(trace.columns.bad_count for trace in traces):
        return
    gaps: Dots = np.zeros(frame.columns, bool)
    for trace, part in zip(traces, windows, strict=True):
        gaps |= gap_columns(trace.columns.raw, part, frame.columns)
    row = frame.top + frame.rows - (0 if frame.axis_rows == 2 else 1)
    at = np.flatnonzero(gaps) + frame.left
    canvas.glyphs[row, at] = ord("×")
    canvas.inks[row, at] = GAP


# ---------------------------------------------------------------- gate lines and crosshair


def _draw_threshold_lines(canvas: Canvas, frame: Frame, y: Domain, view: View, traces: list[Trace]) -> None:
    for line in view.thresholds:
        row = _row_of(line.value, y, frame.rows)
        if 0 <= row < frame.rows:
            canvas.put(
                frame.top + row, frame.left, GATE_LINE * frame.columns, _threshold_ink(line.verdict(newest(traces)))
            )


def _threshold_ink(met: bool | None) -> int:
    return OPEN if met is None else MET if met else UNMET


def _draw_threshold_labels(canvas: Canvas, frame: Frame, y: Domain, view: View, traces: list[Trace]) -> None:
    used: set[tuple[int, bool]] = set()
    for line in view.thresholds:
        met = line.verdict(newest(traces))
        row = _row_of(line.value, y, frame.rows)
        where = "▲ " if row < 0 else "▼ " if row >= frame.rows else ""
        word = verdict_words(met)
        text = f" {where}{line.label} {word} "
        if len(one_per_cell(text)) > frame.columns:
            text = f" {word} "
        if len(one_per_cell(text)) > frame.columns:
            continue
        row = min(max(row, 0), frame.rows - 1)
        _put_label(canvas, frame, row, text, _threshold_ink(met), used)


def _put_label(canvas: Canvas, frame: Frame, row: int, text: str, ink: int, used: set[tuple[int, bool]]) -> None:
    """On the right of its row, on the left where the right is taken or covers more of the curves."""
    width = len(one_per_cell(text))
    right = frame.left + frame.columns - width
    left = min(
        (False, True),
        key=lambda left: (
            (row, left) in used,
            _covered(canvas, frame.top + row, frame.left if left else right, width),
        ),
    )
    used.add((row, left))
    canvas.put(frame.top + row, frame.left if left else right, text, ink)


def _covered(canvas: Canvas, row: int, column: int, width: int) -> int:
    return int((canvas.inks[row, column : column + width] >= FIRST_TRACE).sum())


def _draw_cursor(canvas: Canvas, frame: Frame, x: Domain, y: Domain, view: View, traces: list[Trace]) -> None:
    if view.cursor is None or not x.low <= view.cursor <= x.high:
        return
    column = frame.left + min(frame.columns - 1, int((view.cursor - x.low) / x.span * frame.columns))
    glyphs = canvas.glyphs[frame.top : frame.top + frame.rows, column]
    inks = canvas.inks[frame.top : frame.top + frame.rows, column]
    empty = (inks == BLANK) | (glyphs == ord(GATE_LINE))
    glyphs[empty] = ord("│")
    inks[empty] = CURSOR
    for index, trace in enumerate(traces):
        _draw_cursor_mark(canvas, frame, y, view, trace, index, column, x.span / frame.columns)
    if frame.axis_rows:
        label = f" {x_words(view.x_name, view.cursor)} "
        start = max(0, min(column - len(label) // 2, view.width - len(label)))
        canvas.put(frame.top + frame.rows, start, label, READING)


def _draw_cursor_mark(
    canvas: Canvas, frame: Frame, y: Domain, view: View, trace: Trace, index: int, column: int, slack: float
) -> None:
    assert view.cursor is not None
    at = nearest(trace, view.cursor, slack)
    if at is None:
        return
    curve = trace.smoothed(view.smoothing) or trace.columns.raw
    value = float(curve.values.view[at])
    row = _row_of(value, y, frame.rows) if math.isfinite(value) else -1
    if 0 <= row < frame.rows:
        canvas.put(frame.top + row, column, trace.mark, trace_ink(index, MARK))


def x_words(x_name: str, x: float) -> str:
    return axes.duration(x) if x_name == "time" else f"{x_name} {axes.step_reading(x)}"
