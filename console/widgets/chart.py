"""A live line chart in braille, for any number of points and several series: its keys, its mouse, what it tells others.

Guarantees: everything that the mouse can do has a key. Does NOT read runs: whoever owns the series extends them, then
calls `pump()`. How it is drawn is the business of `console.widgets.chartface`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from console.charts.axes import Domain
from console.charts.thresholds import Threshold
from console.widgets.chartface import ChartFace

__all__ = ["KEYS", "Chart", "Threshold"]

KEYS = (
    ("left", "cursor(-1)", "Crosshair left"),
    ("right", "cursor(1)", "Crosshair right"),
    ("shift+left", "cursor(-10)", "Crosshair 10 left"),
    ("shift+right", "cursor(10)", "Crosshair 10 right"),
    ("home", "cursor_end(-1)", "Crosshair to the first point"),
    ("end", "cursor_end(1)", "Crosshair to the newest point"),
    ("escape", "cursor_off", "Crosshair off"),
    ("plus,equals_sign", "zoom(0.5)", "Zoom in"),
    ("minus", "zoom(2.0)", "Zoom out"),
    ("h", "pan(-0.25)", "Pan left"),
    ("l", "pan(0.25)", "Pan right"),
    ("0", "zoom_reset", "Show everything"),
    ("x", "next_x", "Step, time or epoch"),
    ("L", "log", "Logarithmic scale"),
    ("e", "smooth", "Smoothing"),
    ("t", "fit_thresholds", "Gate lines in range"),
    ("o", "clip", "Leave outliers out of range"),
    ("right_square_bracket", "highlight(1)", "Next series stands out"),
    ("left_square_bracket", "highlight(-1)", "Series before stands out"),
)

SMOOTHINGS = (None, 0.6, 0.9, 0.97, 0.99, 0.999)


class Chart(ChartFace, can_focus=True):
    DEFAULT_CSS = """
    Chart {
        height: 1fr;
        width: 1fr;
        min-height: 1;
        padding: 0 1;
        background: $surface;
        color: $foreground;

        & .chart--axis { color: $foreground 35%; }
        & .chart--label { color: $foreground 60%; }
        & .chart--title { color: $foreground; text-style: bold; }
        & .chart--value { color: $foreground; text-style: bold; }
        & .chart--met { color: $text-success; }
        & .chart--unmet { color: $text-warning; }
        & .chart--open { color: $foreground 60%; }
        & .chart--cursor { color: $foreground 50%; }
        & .chart--gap { color: $text-error; }
        & .chart--reading { text-style: reverse; }
        &:focus { background-tint: $foreground 4%; }
        &:focus .chart--title { color: $text-accent; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding(key, action, words, show=False) for key, action, words in KEYS]
    ALLOW_MAXIMIZE = True

    @dataclass
    class CursorMoved(Message):
        """The crosshair stands at a point, or nowhere."""

        chart: Chart
        x: float | None
        step: float | None = None
        unix_time: float | None = None
        """When the point was written, for whoever links a log line to it."""

        @property
        def control(self) -> Chart:
            return self.chart

    @dataclass
    class ViewChanged(Message):
        """The chart shows something else: zoomed, panned, step became time, another series stands out."""

        chart: Chart

        @property
        def control(self) -> Chart:
            return self.chart

    # ------------------------------------------------------------ keys

    def action_cursor(self, cells: int) -> None:
        """Move the crosshair to the next point about this many cells away."""
        if self._picture is None:
            return
        from console.charts.trace import next_point

        if self.cursor is None:
            self.action_cursor_end(1)
            return
        cell = self._picture.x.span / self._picture.frame.columns
        x = next_point(self._traces(), self.cursor, int(math.copysign(1, cells)), abs(cells) * cell)
        self._move_cursor(x)

    def action_cursor_end(self, side: int) -> None:
        """To the first or newest point that is in sight."""
        if self._picture is None:
            return
        from console.charts.trace import next_point

        window = self._picture.x
        edge = math.nextafter(window.high, math.inf) if side > 0 else math.nextafter(window.low, -math.inf)
        self._move_cursor(next_point(self._traces(), edge, -side, 0.0))

    def action_cursor_off(self) -> None:
        self._move_cursor(None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Escape is ours only while there is a crosshair to take away."""
        return action != "cursor_off" or self.cursor is not None

    def action_zoom(self, factor: float) -> None:
        """Around the crosshair, or around the newest point in sight."""
        if self._picture is None:
            return
        newest = min(self._picture.x.high, self._newest())
        self._zoom_around(newest if self.cursor is None else self.cursor, factor)

    def action_pan(self, part: float) -> None:
        if self._picture is None:
            return
        window, whole = self._picture.x, self._whole()
        shift = min(max(part * window.span, whole.low - window.low), whole.high - window.high)
        self._set_zoom(Domain(window.low + shift, window.high + shift))

    def action_zoom_reset(self) -> None:
        self._set_zoom(None)

    def action_next_x(self) -> None:
        names = ["step", "time"] + (["epoch"] if self.steps_per_epoch else [])
        self.x_name = names[(names.index(self.x_name) + 1) % len(names)]
        self.zoom, self.cursor = None, None
        self.pump()
        self.post_message(self.CursorMoved(self, None))
        self.post_message(self.ViewChanged(self))

    def action_log(self) -> None:
        self.log_scale = not self.log_scale
        self.pump()

    def action_smooth(self) -> None:
        at = SMOOTHINGS.index(self.smoothing) if self.smoothing in SMOOTHINGS else 0
        self.smoothing = SMOOTHINGS[(at + 1) % len(SMOOTHINGS)]
        self.pump()

    def action_fit_thresholds(self) -> None:
        self.fit_thresholds = not self.fit_thresholds
        self.pump()

    def action_clip(self) -> None:
        self.clip = not self.clip
        self.pump()

    def action_highlight(self, by: int) -> None:
        """One series after the other, then all alike again."""
        order: list[str | None] = [None, *self._series]
        at = order.index(self.highlight) if self.highlight in order else 0
        self.highlight = order[(at + by) % len(order)]
        self.pump()
        self.post_message(self.ViewChanged(self))

    # ------------------------------------------------------------ mouse

    def on_mouse_move(self, event: events.MouseMove) -> None:
        offset = event.get_content_offset(self)
        if self._picture is None or offset is None or offset.x < self._picture.frame.left:
            return
        self._cursor_by_mouse = True
        self._move_cursor(self._snap(self._picture.x_at(offset.x)), pan=False)

    def on_leave(self, event: events.Leave) -> None:
        if self._cursor_by_mouse and event.node is self:
            self._cursor_by_mouse = False
            self._move_cursor(None)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        if event.ctrl or self.has_focus:
            self._zoom_at_mouse(event, 0.8)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        if event.ctrl or self.has_focus:
            self._zoom_at_mouse(event, 1.25)

    def _zoom_at_mouse(self, event: events.MouseEvent, factor: float) -> None:
        offset = event.get_content_offset(self)
        if self._picture is not None and offset is not None:
            event.stop()
            self._zoom_around(self._picture.x_at(offset.x), factor)

    def _snap(self, x: float) -> float:
        """The nearest point of any series."""
        from console.charts.trace import nearest

        traces = self._traces()
        points = [trace.shown(index) for trace in traces if (index := nearest(trace, x, math.inf)) is not None]
        return min(points, key=lambda point: abs(point - x))

    # ------------------------------------------------------------ shared by keys and mouse

    def _move_cursor(self, x: float | None, pan: bool = True) -> None:
        if x == self.cursor:
            return
        self.cursor = x
        if pan and x is not None and self.zoom is not None and not self.zoom.low <= x <= self.zoom.high:
            half = self.zoom.span / 2
            self._set_zoom(Domain(x - half, x + half))
        self.pump()
        self.post_message(self._cursor_message(x))

    def _cursor_message(self, x: float | None) -> CursorMoved:
        from console.charts.trace import nearest

        if x is None or self._picture is None:
            return self.CursorMoved(self, x)
        cell = self._picture.x.span / self._picture.frame.columns
        for trace in self._traces():
            index = nearest(trace, x, cell)
            if index is not None:
                columns = trace.columns
                return self.CursorMoved(self, x, float(columns.steps.view[index]), float(columns.times.view[index]))
        return self.CursorMoved(self, x)

    def _whole(self) -> Domain:
        from console.charts.trace import whole_x

        return whole_x(self._traces())

    def _zoom_around(self, x: float, factor: float) -> None:
        assert self._picture is not None
        window, whole = self._picture.x, self._whole()
        low, high = x - (x - window.low) * factor, x + (window.high - x) * factor
        low, high = max(low, whole.low), min(high, whole.high)
        if high - low >= whole.span:
            self._set_zoom(None)
        elif high - low > whole.span * 1e-9:
            self._set_zoom(Domain(low, high))

    def _set_zoom(self, zoom: Domain | None) -> None:
        self.zoom = zoom
        self._zoom_follows = zoom is not None and zoom.low <= self._newest() <= zoom.high
        self.pump()
        self.post_message(self.ViewChanged(self))
