"""The top of a chart: title, what the keys changed, and the legend with its values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from console.charts import axes
from console.charts.axes import Domain
from console.charts.canvas import Canvas, one_per_cell
from console.charts.inks import BLANK, FAINT, GAP, LABEL, MARK, NAME, TITLE, VALUE, trace_ink
from console.charts.trace import Trace, View, nearest

STEADY_VALUE = 6
"""Cells that a value takes at least: most readings have four digits and a point."""


@dataclass(frozen=True)
class Entry:
    index: int
    mark: str
    name: str
    value: str
    raw: str
    """The value itself where `value` is a smoothed one."""
    gaps: str

    @property
    def words(self) -> str:
        return " ".join(filter(None, self._parts))

    @cached_property
    def width(self) -> int:
        """Cells that it takes, with room for a longer value, so that the layout stays while values change."""
        parts = [len(one_per_cell(part)) for part in self._parts if part]
        return sum(parts) + len(parts) - 1 + max(0, STEADY_VALUE - len(self.value))

    @property
    def _parts(self) -> tuple[str, ...]:
        return self.mark, self.name, self.value, self.raw, self.gaps


def entries_of(traces: list[Trace], view: View, x: Domain) -> list[Entry]:
    """One entry a trace; the one that stands out first, so that it is never left out."""
    entries = []
    for index, trace in enumerate(traces):
        name = "" if len(traces) == 1 and trace.name == view.title else trace.name
        gaps = f"{trace.columns.bad_count} NaN" if trace.columns.bad_count else ""
        value, raw = _value_words(trace, view, x)
        entry = Entry(index, trace.mark, "", value, raw, gaps)
        entries.append(replace(entry, name=_shortened(name, max(6, view.width - entry.width - 1))))
    return sorted(entries, key=lambda entry: entry.index != view.highlight)


def _shortened(name: str, room: int) -> str:
    """A name's end, which is what tells metrics apart, where the whole has no room."""
    return name if len(one_per_cell(name)) <= room else "…" + name[1 - room :]


def _value_words(trace: Trace, view: View, x: Domain) -> tuple[str, str]:
    index = len(trace.x) - 1 if view.cursor is None else nearest(trace, view.cursor, x.span / max(1, view.width))
    if index is None or index < 0:
        return "–", ""
    raw = axes.reading(float(trace.columns.raw.values.view[index]))
    curve = trace.smoothed(view.smoothing)
    return (raw, "") if curve is None else (axes.reading(float(curve.values.view[index])), f"({raw})")


def put_header(canvas: Canvas, view: View, legend: list[Entry]) -> int:
    """Title on the left, legend on the right and, where it does not fit, on rows below; gives the rows used."""
    if view.height < 3:
        return 0
    after_title = canvas.put(0, 0, view.title, TITLE)
    if legend and _widths(legend) > view.width - after_title - 2:
        legend = [replace(entry, raw="") for entry in legend]
    rows = _wrap(legend, view.width - after_title - 2, view.width, most=1 + min(3, view.height // 7))
    for row, entries in enumerate(rows):
        start = view.width - _widths(entries) if row == 0 else 0
        _put_entries(canvas, row, start, entries, view.highlight)
    left_out = len(legend) - sum(len(entries) for entries in rows)
    if left_out:
        _put_more(canvas, len(rows) - 1, rows[-1], left_out, view.highlight)
    _put_notes(canvas, view, after_title, view.width - _widths(rows[0]) if rows and rows[0] else view.width)
    return max(1, len(rows))


def _put_more(canvas: Canvas, row: int, entries: list[Entry], left_out: int, highlight: int | None) -> None:
    """How many entries there was no room for; takes the place of the last entry where it needs to."""
    words = f"+{left_out} more"
    if len(entries) > 1 and _widths(entries) + 2 + len(words) > canvas.width:
        canvas.put(row, 0, " " * canvas.width, BLANK)
        entries.pop()
        _put_entries(canvas, row, 0, entries, highlight)
        words = f"+{left_out + 1} more"
    if _widths(entries) + 2 + len(words) <= canvas.width and row:
        canvas.put(row, _widths(entries) + 2, words, LABEL)


def _put_notes(canvas: Canvas, view: View, start: int, stop: int) -> None:
    """What the keys changed: scale, smoothing, zoom; as many as there is room for."""
    notes = [
        "log" if view.log else "",
        f"ema {view.smoothing:g}" if view.smoothing is not None else "",
        "zoom" if view.x is not None else "",
        "clipped" if view.clip else "",
    ]
    for note in filter(None, notes):
        if start + len(note) + 3 > stop:
            return
        start = canvas.put(0, start, f" {note}" if start else note, LABEL)


def _widths(entries: list[Entry]) -> int:
    return sum(entry.width + 2 for entry in entries) - 2 if entries else 0


def _wrap(legend: list[Entry], first: int, width: int, most: int) -> list[list[Entry]]:
    """Entries on rows, the first row narrower; none in it where not even one fits."""
    rows: list[list[Entry]] = [[]]
    room = first
    for entry in legend:
        if entry.width > room:
            if len(rows) == most:
                break
            rows.append([])
            room = width
        rows[-1].append(entry)
        room -= entry.width + 2
    return rows


def _put_entries(canvas: Canvas, row: int, column: int, entries: list[Entry], highlight: int | None) -> int:
    for entry in entries:
        faint = highlight not in (None, entry.index)
        column = canvas.put(row, column, entry.mark + " ", trace_ink(entry.index, FAINT if faint else MARK))
        if entry.name:
            column = canvas.put(row, column, entry.name + " ", trace_ink(entry.index, FAINT if faint else NAME))
        column = canvas.put(row, column, entry.value, VALUE)
        if entry.raw:
            column = canvas.put(row, column, " " + entry.raw, LABEL)
        if entry.gaps:
            column = canvas.put(row, column, " " + entry.gaps, GAP)
        column += 2
    return column - 2
