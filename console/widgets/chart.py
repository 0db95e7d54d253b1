"""A live line chart in braille, for any number of points and several series.

Guarantees: `pump()` compares versions and does nothing when nothing changed; when something did, only the changed cells
are refreshed. numpy is imported when the first point is drawn. Everything that the mouse can do has a key. Does NOT
read runs: whoever owns the series extends them, then calls `pump()`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.color import Color
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip

from console.charts.axes import Domain
from console.charts.palette import MARKS, ON_DARK, ON_LIGHT, assign, readable
from console.charts.series import Series
from console.charts.thresholds import Threshold
from console.widgets.straight import Straight

if TYPE_CHECKING:
    from console.charts.plot import Picture
    from console.charts.trace import Trace, View

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

BASE_CLASSES = ("blank", "axis", "label", "title", "met", "unmet", "open", "cursor", "gap", "reading", "value")
"""In the order of `console.charts.inks`."""


class Chart(Straight, can_focus=True):
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
    COMPONENT_CLASSES = {f"chart--{name}" for name in BASE_CLASSES if name != "blank"}
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

    def __init__(
        self,
        title: str = "",
        *,
        x_name: str = "step",
        log: bool = False,
        smoothing: float | None = None,
        steps_per_epoch: float | None = None,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self.title = title
        self.x_name = x_name
        self.log_scale = log
        self.smoothing = smoothing
        self.steps_per_epoch = steps_per_epoch
        """Makes `epoch` one of the x axes."""
        self.fit_thresholds = True
        self.clip = False
        self.highlight: str | None = None
        """The name of the series that stands out."""
        self.cursor: float | None = None
        self.zoom: Domain | None = None
        self._zoom_follows = False
        self._cursor_by_mouse = False
        self._series: dict[str, Series] = {}
        self._bands: dict[str, tuple[Series, Series]] = {}
        self._thresholds: tuple[Threshold, ...] = ()
        self._colours: dict[str, int] = {}
        self._picture: Picture | None = None
        self._drawn: Any = None
        self._strips: dict[int, Strip] = {}
        self._styles: dict[int, Style] = {}

    # ------------------------------------------------------------ what the owner calls

    def set_series(
        self,
        series: Mapping[str, Series],
        bands: Mapping[str, tuple[Series, Series]] | None = None,
        colours: Mapping[str, int] | None = None,
    ) -> None:
        """Show these series under these names; those already shown keep their colours.

        A band is the lower and upper edge of an interval around the series of that name, with the same steps. Colours
        that several charts share are given by `colour_name`.
        """
        self._series = dict(series)
        self._bands = dict(bands or {})
        taken = self._colours if colours is None else dict(colours)
        self._colours = assign((one.colour_name or name for name, one in series.items()), taken)
        self._styles.clear()
        self._strips.clear()
        self.pump()

    def set_thresholds(self, thresholds: Iterable[Threshold]) -> None:
        self._thresholds = tuple(thresholds)
        self.pump()

    def pump(self) -> None:
        """Draw what changed since the last time; a comparison of versions when nothing did."""
        if self.is_mounted and self.size and self._seen() != self._drawn:
            self._follow()
            self._redraw()

    def show_cursor(self, x: float | None) -> None:
        """Put the crosshair there without telling anyone: what a linked chart calls."""
        self.cursor = x
        self._cursor_by_mouse = False
        self.pump()

    def x_of(self, step: float | None, unix_time: float | None) -> float | None:
        """Where a step, or else a moment, lies on the x axis as it is now."""
        from console.charts.trace import x_at

        return x_at(self._traces(), self.x_name, step, unix_time) if self.has_points else None

    def show_view(self, other: Chart) -> None:
        """Take over another chart's x axis and the series that stands out, without telling anyone."""
        self.x_name, self.zoom, self._zoom_follows = other.x_name, other.zoom, other._zoom_follows
        self.highlight = other.highlight if other.highlight in self._series else None
        self.pump()

    @property
    def picture(self) -> Picture | None:
        """What is on screen, None before the first point."""
        return self._picture

    # ------------------------------------------------------------ drawing

    def _seen(self) -> Any:
        """Everything that the picture depends on."""
        versions = tuple((name, id(one), one.version) for name, one in self._series.items())
        versions += tuple((name, id(edge), edge.version) for name, edges in self._bands.items() for edge in edges)
        data = (versions, self._thresholds, self.title, self.steps_per_epoch)
        view = (self.x_name, self.zoom, self.log_scale, self.smoothing, self.fit_thresholds, self.clip)
        return data, view, self.cursor, self.highlight, self.size, self._plain

    @property
    def _plain(self) -> bool:
        return self.app.no_color or self.app.console.color_system is None

    @property
    def has_points(self) -> bool:
        return any(one.count for one in self._series.values())

    def _traces(self) -> list[Trace]:
        from console.charts.trace import Trace

        origin = min((one.first_time for one in self._series.values() if one.first_time is not None), default=0.0)
        traces = []
        for name, one in self._series.items():
            columns = one.columns()
            mark = MARKS[self._colours[one.colour_name or name]]
            edges = self._bands.get(name)
            band = (edges[0].columns(), edges[1].columns()) if edges else None
            if self.x_name == "time":
                start = origin if one.time_origin is None else one.time_origin
                traces.append(Trace(name, mark, columns, columns.times.view, shift=start, band=band))
            else:
                scale = self.steps_per_epoch or 1.0 if self.x_name == "epoch" else 1.0
                traces.append(Trace(name, mark, columns, columns.steps.view, scale=scale, band=band))
        return traces

    def _view(self) -> View:
        from console.charts.trace import View

        return View(
            width=self.size.width,
            height=self.size.height,
            title=self.title,
            x_name=self.x_name,
            x=self.zoom,
            log=self.log_scale,
            smoothing=self.smoothing,
            thresholds=self._thresholds,
            fit_thresholds=self.fit_thresholds,
            clip=self.clip,
            highlight=list(self._series).index(self.highlight) if self.highlight in self._series else None,
            cursor=self.cursor,
            plain=self._plain,
        )

    def _redraw(self) -> None:
        self._drawn = self._seen()
        before, self._picture = self._picture, None
        if self.has_points:
            from console.charts.plot import draw

            self._picture = draw(self._traces(), self._view())
        if before is None or self._picture is None or before.canvas.glyphs.shape != self._picture.canvas.glyphs.shape:
            self._strips.clear()
            self.refresh()
            return
        spans = self._picture.canvas.changes(before.canvas)
        for span in spans:
            self._strips.pop(span.row, None)
        if spans:
            self.refresh(*(Region(span.start, span.row, span.stop - span.start, 1) for span in spans))

    def render_line(self, y: int) -> Strip:
        if self._drawn is None or (self._picture is not None and self._picture.canvas.glyphs.shape != self._shape):
            self._draw_quietly()
        if y not in self._strips:
            drawn = self._told if getattr(self.app, "plain", False) else self._strip
            self._strips[y] = drawn(y) if self._picture else self._empty_strip(y)
        return self._strips[y]

    @property
    def _shape(self) -> tuple[int, int]:
        return self.size.height, self.size.width

    def _draw_quietly(self) -> None:
        """A new picture while the whole widget is being painted anyway."""
        self._drawn = self._seen()
        self._strips.clear()
        self._picture = None
        if self.has_points and self.size:
            from console.charts.plot import draw

            self._picture = draw(self._traces(), self._view())

    def _told(self, y: int) -> Strip:
        """A line of the chart in words, under `--plain`."""
        from console.charts.told import told

        lines = told(self.title, list(self._series.values()), self._thresholds, self.cursor)
        return Strip([Segment(lines[y][: self.size.width] if y < len(lines) else "")]).adjust_cell_length(
            self.size.width
        )

    def _strip(self, y: int) -> Strip:
        assert self._picture is not None
        runs = self._picture.canvas.runs(y)
        return Strip([Segment(run.text, self._style(run.ink)) for run in runs], self.size.width)

    def _empty_strip(self, y: int) -> Strip:
        """The title, and in the middle why there is nothing to see."""
        width, height = self.size
        words = {height // 2: "no points yet"}
        text = words.get(y, "") if y or height < 3 else self.title
        if y == 0 and height >= 3:
            return Strip([Segment(text, self._base_style("title"))]).adjust_cell_length(width, self.base)
        line = Segment(text.center(width)[:width], self._base_style("label"))
        return Strip([line]).adjust_cell_length(width, self.base)

    def _style(self, ink: int) -> Style:
        if ink not in self._styles:
            self._styles[ink] = self._make_style(ink)
        return self._styles[ink]

    def _make_style(self, ink: int) -> Style:
        from console.charts.inks import FAINT, FIRST_TRACE, MARK

        if ink < FIRST_TRACE:
            return self._base_style(BASE_CLASSES[ink])
        index, kind = divmod(ink - FIRST_TRACE, 4)
        name, series = list(self._series.items())[index]
        palette = ON_DARK if self.app.current_theme.dark else ON_LIGHT
        _, ground = self.background_colors
        colour = Color.parse(readable(palette[self._colours[series.colour_name or name]], ground.hex6))
        if kind == FAINT:
            colour = colour.blend(ground, 0.5)
        bold = True if kind == MARK else None
        dim = True if kind == FAINT and self._plain else None
        return self.base + Style(color=colour.rich_color, bold=bold, dim=dim)

    def _base_style(self, name: str) -> Style:
        if name == "blank":
            return self.base
        return self.get_component_rich_style(f"chart--{name}")

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()
        self._strips.clear()

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

    def _newest(self) -> float:
        """The x of the newest point."""
        return max((trace.shown(-1) for trace in self._traces() if len(trace.x)), default=-math.inf)

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

    def _follow(self) -> None:
        """Move a zoomed window on by quarters, so that old columns stay put in between."""
        if self.zoom is None or not self._zoom_follows or not self.has_points:
            return
        newest = self._newest()
        if newest > self.zoom.high:
            quarter = self.zoom.span / 4
            shift = math.ceil((newest - self.zoom.high) / quarter) * quarter
            self.zoom = Domain(self.zoom.low + shift, self.zoom.high + shift)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return 12

    def get_content_width(self, container: Size, viewport: Size) -> int:
        return 40
