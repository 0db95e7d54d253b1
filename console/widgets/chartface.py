"""What a chart shows, as strips: series, bands and gate lines in, cells out, and only those that changed are painted.

Guarantees: `pump()` compares versions and does nothing when nothing changed; when something did, only the changed cells
are refreshed. numpy is imported when the first point is drawn. Knows no keys; `console.widgets.chart` does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.geometry import Region, Size
from textual.strip import Strip

from console.charts.axes import Domain
from console.charts.palette import MARKS, ON_DARK, ON_LIGHT, assign, readable
from console.charts.series import Series
from console.charts.thresholds import Threshold
from console.widgets.straight import Straight

if TYPE_CHECKING:
    from console.charts.plot import Picture
    from console.charts.trace import Trace, View

BASE_CLASSES = ("blank", "axis", "label", "title", "met", "unmet", "open", "cursor", "gap", "reading", "value")
"""In the order of `console.charts.inks`."""


class ChartFace(Straight):
    COMPONENT_CLASSES = {f"chart--{name}" for name in BASE_CLASSES if name != "blank"}

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
        if not (self.is_mounted and self.size):
            return
        seen = self._seen()
        if seen != self._drawn:
            self._redraw(self._seen() if self._follow() else seen)

    def show_cursor(self, x: float | None) -> None:
        """Put the crosshair there without telling anyone: what a linked chart calls."""
        self.cursor = x
        self._cursor_by_mouse = False
        self.pump()

    def x_of(self, step: float | None, unix_time: float | None) -> float | None:
        """Where a step, or else a moment, lies on the x axis as it is now."""
        from console.charts.trace import x_at

        return x_at(self._traces(), self.x_name, step, unix_time) if self.has_points else None

    def show_view(self, other: Self) -> None:
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

    def _redraw(self, seen: object) -> None:
        self._drawn = seen
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
        # A chart that was taken away has no styles any more, and may be painted once more before the next layout.
        return self.get_component_rich_style(f"chart--{name}", default=self.base)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()
        self._strips.clear()

    # ------------------------------------------------------------ where it stands

    def _newest(self) -> float:
        """The x of the newest point."""
        return max((trace.shown(-1) for trace in self._traces() if len(trace.x)), default=-math.inf)

    def _follow(self) -> bool:
        """Move a zoomed window on by quarters, so that old columns stay put in between; says whether it moved."""
        if self.zoom is None or not self._zoom_follows or not self.has_points:
            return False
        newest = self._newest()
        if newest <= self.zoom.high:
            return False
        quarter = self.zoom.span / 4
        shift = math.ceil((newest - self.zoom.high) / quarter) * quarter
        self.zoom = Domain(self.zoom.low + shift, self.zoom.high + shift)
        return True

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return 12

    def get_content_width(self, container: Size, viewport: Size) -> int:
        return 40
