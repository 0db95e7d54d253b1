"""The same chart for a page: series, gate lines and gaps as one SVG, for reports and exports.

Pure: text from columns. Its size follows its width, not the points: a curve with more points than pixels is drawn as the
range of each pixel column. Readable without colour (dashes differ) and without eyes (title and description say it).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from zlib import crc32

import numpy as np

from console.charts import axes
from console.charts.axes import Domain
from console.charts.columns import Curve, Floats
from console.charts.palette import ON_LIGHT, assign
from console.charts.raster import extremes, lowest_positive, window
from console.charts.series import Series
from console.charts.thresholds import Threshold, verdict_words
from console.charts.trace import Trace, newest, whole_x

LEFT, RIGHT, TOP, BOTTOM = 64, 16, 34, 36
"""Pixels around the plot."""
LEGEND_ROW = 18
INK, FAINT, GROUND, MET, UNMET = "#1f2328", "#d0d7de", "#ffffff", "#1a7f37", "#b35900"
DASHES = ("", "7 3", "2 2", "9 3 2 3", "4 4", "1 3", "12 4", "5 2 1 2")


@dataclass(frozen=True)
class Sheet:
    """Where the plot lies, and what its edges mean."""

    width: int
    height: int
    top: int
    x: Domain
    y: Domain

    @property
    def columns(self) -> int:
        return self.width - LEFT - RIGHT

    @property
    def bottom(self) -> int:
        return self.height - BOTTOM

    def across(self, x: float) -> float:
        return LEFT + (x - self.x.low) / self.x.span * self.columns

    def down(self, values: Floats) -> Floats:
        """Pixels from the top; what a logarithm does not take lies below the plot."""
        numbers = values.astype("f8")
        if self.y.log:
            numbers = np.log10(np.where(numbers > 0, numbers, 1e-300))
        pixels = self.bottom - (numbers - self.y.low) / self.y.span * (self.bottom - self.top)
        return np.clip(pixels, -self.height, 2 * self.height)


def chart_svg(
    series: Mapping[str, Series],
    *,
    title: str,
    thresholds: Iterable[Threshold] = (),
    width: int = 720,
    height: int = 320,
    log: bool = False,
    smoothing: float | None = None,
    bands: Mapping[str, tuple[Series, Series]] | None = None,
    colours: Mapping[str, int] | None = None,
    x_name: str = "step",
) -> str:
    """One chart over steps, or over seconds (`x_name="time"`), as SVG text; a band is an interval around a curve."""
    traces = [_trace(name, one, x_name, (bands or {}).get(name)) for name, one in series.items()]
    lines = list(thresholds)
    colours = assign((one.colour_name or name for name, one in series.items()), dict(colours or {}))
    inks = [ON_LIGHT[colours[one.colour_name or name]] for name, one in series.items()]
    legend = list(_legend_rows(traces, width))
    x = whole_x(traces)
    sheet = Sheet(width, height, TOP + LEGEND_ROW * len(legend), x, _y_domain(traces, lines, x, log))
    plot = f"plot-{crc32(' '.join([title, *series]).encode()):08x}"  # a page holds several charts
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" font-family="ui-sans-serif, system-ui, sans-serif" font-size="12">',
        f"<title>{escape(title)}</title><desc>{escape(_said(traces, lines))}</desc>",
        f'<rect width="{width}" height="{height}" fill="{GROUND}"/>',
        f'<text x="{LEFT}" y="22" font-size="15" font-weight="600" fill="{INK}">{escape(title)}</text>',
        *_axes(sheet, x_name),
        f'<clipPath id="{plot}"><rect x="{LEFT}" y="{sheet.top}" width="{sheet.columns}" '
        f'height="{sheet.bottom - sheet.top}"/></clipPath><g clip-path="url(#{plot})" fill="none">',
    ]
    parts += [_band(sheet, trace, ink) for trace, ink in zip(traces, inks, strict=True) if trace.band]
    for at, (trace, ink) in enumerate(zip(traces, inks, strict=True)):
        parts += _curves(sheet, trace, ink, DASHES[at % len(DASHES)] if len(traces) > 1 else "", smoothing)
    parts.append("</g>")
    parts += _gaps(sheet, traces)
    for line in lines:
        parts += _gate_line(sheet, line, traces)
    parts += _legend(legend, inks, len(traces) > 1)
    return "\n".join([*parts, "</svg>\n"])


def _trace(name: str, one: Series, x_name: str, edges: tuple[Series, Series] | None) -> Trace:
    columns = one.columns()
    band = (edges[0].columns(), edges[1].columns()) if edges else None
    if x_name == "time":
        start = one.time_origin if one.time_origin is not None else one.first_time or 0.0
        return Trace(name, "", columns, columns.times.view, shift=start, band=band)
    return Trace(name, "", columns, columns.steps.view, band=band)


def _band(sheet: Sheet, trace: Trace, ink: str) -> str:
    """The interval as an area; a few hundred corners draw it as well as a million."""
    assert trace.band is not None
    count = len(trace.x)
    at = np.unique(np.linspace(0, count - 1, min(count, sheet.columns)).astype(int)) if count else np.zeros(0, int)
    low, high = (sheet.down(edge.raw.values.view[at]) for edge in trace.band)
    xs = np.array([sheet.across(trace.shown(int(i))) for i in at])
    seen = np.isfinite(low) & np.isfinite(high)
    corners = [f"{x:.1f} {y:.1f}" for x, y in zip(xs[seen], high[seen], strict=True)]
    corners += [f"{x:.1f} {y:.1f}" for x, y in zip(xs[seen][::-1], low[seen][::-1], strict=True)]
    return f'<path d="M{"L".join(corners)}Z" fill="{ink}" fill-opacity="0.15"/>' if corners else ""


def _y_domain(traces: Sequence[Trace], lines: Sequence[Threshold], x: Domain, log: bool) -> Domain:
    numbers = [line.value for line in lines if math.isfinite(line.value) and (line.value > 0 or not log)]
    for trace in traces:
        part = window(trace.x, trace.stored(x), 1)
        found = extremes(trace.columns.raw, part)
        if found and log and found[0] <= 0:
            low = lowest_positive(trace.columns.raw, part)
            found = None if low is None else (low, found[1])
        numbers += found or ()
        for edge in trace.band or ():
            numbers += [n for n in (extremes(edge.raw, part) or ()) if n > 0 or not log]
    return axes.steady_y(min(numbers), max(numbers), log) if numbers else Domain(0.0, 1.0, log)


def _axes(sheet: Sheet, x_name: str) -> Iterator[str]:
    for tick in axes.ticks(sheet.y, max(2, (sheet.bottom - sheet.top) // 40)):
        y = sheet.bottom - (tick.at - sheet.y.low) / sheet.y.span * (sheet.bottom - sheet.top)
        yield f'<path d="M{LEFT} {y:.1f}H{sheet.width - RIGHT}" stroke="{FAINT}"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="{INK}">{tick.label}</text>'
    most = max(2, sheet.columns // 90)
    for tick in axes.time_ticks(sheet.x, most) if x_name == "time" else axes.ticks(sheet.x, most):
        x = sheet.across(tick.at)
        yield f'<path d="M{x:.1f} {sheet.bottom}v5" stroke="{INK}"/>'
        yield f'<text x="{x:.1f}" y="{sheet.bottom + 18}" text-anchor="middle" fill="{INK}">{tick.label}</text>'
    yield f'<path d="M{LEFT} {sheet.bottom}H{sheet.width - RIGHT}" stroke="{INK}"/>'
    yield f'<text x="{sheet.width - RIGHT}" y="{sheet.height - 4}" text-anchor="end" fill="{INK}">{x_name}</text>'


def _curves(sheet: Sheet, trace: Trace, ink: str, dash: str, smoothing: float | None) -> Iterator[str]:
    """The raw curve; faint behind the smoothed one where that is asked for."""
    smoothed = trace.smoothed(smoothing)
    drawn = [(trace.columns.raw, 1.0, 0.25 if smoothed else 1.0)] + ([(smoothed, 1.8, 1.0)] if smoothed else [])
    for curve, stroke, opacity in drawn:
        style = f'stroke="{ink}" stroke-width="{stroke if len(drawn) > 1 else 1.6}" stroke-linejoin="round"'
        dashed = f' stroke-dasharray="{dash}"' if dash and opacity == 1 else ""
        yield f'<path d="{_path(sheet, trace, curve)}" {style} stroke-opacity="{opacity}"{dashed}/>'


def _path(sheet: Sheet, trace: Trace, curve: Curve) -> str:
    """Point by point where there are few, else from the lowest to the highest value of each pixel column."""
    values = curve.values.view
    if len(values) <= 2 * sheet.columns:
        xs = np.array([sheet.across(trace.shown(at)) for at in range(len(values))])
        return _moves(xs, sheet.down(values), np.isfinite(values))
    view = window(trace.x, trace.stored(sheet.x), sheet.columns)
    found = curve.extrema(view.bounds[:-1], view.bounds[1:])
    held = found.low <= found.high
    xs = np.repeat(LEFT + np.arange(sheet.columns)[held] + 0.5, 2)
    ys = np.stack([sheet.down(found.low[held]), sheet.down(found.high[held])], axis=1).reshape(-1)
    columns = np.flatnonzero(held)
    whole = np.ones(len(xs), bool)
    cut = curve.breaks(view.bounds[columns[:-1]], view.bounds[columns[1:]]) if len(columns) > 1 else np.zeros(0, bool)
    return _moves(xs, ys, whole, after_gap={2 * (int(at) + 1) for at in np.flatnonzero(cut)})


def _moves(xs: Floats, ys: Floats, seen: Floats, after_gap: set[int] | None = None) -> str:
    """A path that lifts the pen over what is not seen."""
    words = []
    down = False
    for at, (x, y) in enumerate(zip(xs.tolist(), ys.tolist(), strict=True)):
        if not seen[at]:
            down = False
            continue
        pen = "L" if down and not (after_gap and at in after_gap) else "M"
        words.append(f"{pen}{x:.1f} {y:.1f}" + ("h.01" if pen == "M" else ""))
        down = True
    return "".join(words)


def _gaps(sheet: Sheet, traces: Sequence[Trace]) -> Iterator[str]:
    """A cross on the axis under each value that is not finite, one per few pixels."""
    places: set[int] = set()
    for trace in traces:
        places |= {int(sheet.across(trace.shown(int(at)))) // 6 * 6 for at in trace.columns.raw.bad.view[:5000]}
    for x in sorted(places):
        yield f'<path d="M{x - 3} {sheet.bottom - 3}l6 6m0-6l-6 6" stroke="#cf222e" stroke-width="1.5"/>'


def _gate_line(sheet: Sheet, line: Threshold, traces: Sequence[Trace]) -> Iterator[str]:
    met = line.verdict(newest(traces))
    y = float(sheet.down(np.array([line.value]))[0]) if math.isfinite(line.value) else -1.0
    if not sheet.top - 0.5 <= y <= sheet.bottom + 0.5:
        return
    ink = INK if met is None else MET if met else UNMET
    yield f'<path d="M{LEFT} {y:.1f}H{sheet.width - RIGHT}" stroke="{ink}" stroke-width="1.5" stroke-dasharray="6 4"/>'
    yield (
        f'<text x="{sheet.width - RIGHT - 4}" y="{y - 5:.1f}" text-anchor="end" fill="{ink}" stroke="{GROUND}" '
        f'stroke-width="3" paint-order="stroke">{escape(line.label)} {verdict_words(met)}</text>'
    )


def _said(traces: Sequence[Trace], lines: Sequence[Threshold]) -> str:
    """The chart in words."""
    words = [_entry(trace) for trace in traces]
    words += [f"{line.label} {verdict_words(line.verdict(newest(traces)))}" for line in lines]
    return "; ".join(words)


def _entry(trace: Trace) -> str:
    if not len(trace.x):
        return f"{trace.name} –"
    gaps = f", {trace.columns.bad_count} NaN" if trace.columns.bad_count else ""
    return f"{trace.name} {axes.reading(float(trace.columns.raw.values.view[-1]))}{gaps}"


def _legend_rows(traces: Sequence[Trace], width: int) -> Iterator[list[tuple[int, str]]]:
    """Entries on rows, by an upper bound of how wide the letters are."""
    row: list[tuple[int, str]] = []
    used = 0
    for at, trace in enumerate(traces):
        words = _entry(trace)
        needed = 44 + 7 * len(words)
        if row and used + needed > width - LEFT - RIGHT:
            yield row
            row, used = [], 0
        row.append((at, words))
        used += needed
    if row:
        yield row


def _legend(rows: Sequence[list[tuple[int, str]]], inks: Sequence[str], dashed: bool) -> Iterator[str]:
    for down, row in enumerate(rows):
        x, y = LEFT, TOP + LEGEND_ROW * down + 6
        for at, words in row:
            dash = f' stroke-dasharray="{DASHES[at % len(DASHES)]}"' if dashed else ""
            yield f'<path d="M{x} {y - 4}h24" stroke="{inks[at]}" stroke-width="2"{dash}/>'
            yield f'<text x="{x + 30}" y="{y}" fill="{INK}">{escape(words)}</text>'
            x += 44 + 7 * len(words)
