"""Charts side by side, 1×1 to 4×4, a page at a time; their crosshairs and x axes move together.

Only the charts of the page in sight are drawn. The grid never offers more columns or rows than its charts have room
for, whatever was asked, so that a small window still shows readable charts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.reactive import reactive

from console.widgets.chart import Chart

KEYS = (
    ("m", "maximise", "Maximise or restore"),
    ("c", "columns(1)", "More or fewer columns"),
    ("C", "rows(1)", "More or fewer rows"),
    ("pagedown", "page(1)", "Next charts"),
    ("pageup", "page(-1)", "Charts before"),
    ("ctrl+left", "focus_beside(-1, 0)", "Chart to the left"),
    ("ctrl+right", "focus_beside(1, 0)", "Chart to the right"),
    ("ctrl+up", "focus_beside(0, -1)", "Chart above"),
    ("ctrl+down", "focus_beside(0, 1)", "Chart below"),
)

MOST = 4
NARROWEST, LOWEST = 26, 6
"""Below this many cells a chart says too little to be one of several."""


class ChartGrid(Container):
    DEFAULT_CSS = """
    ChartGrid {
        layout: grid;
        grid-gutter: 0 1;
        height: 1fr;
        width: 1fr;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding(key, action, words, show=False) for key, action, words in KEYS]

    columns_wanted = reactive(2)
    rows_wanted = reactive(2)
    page = reactive(0)
    maximised: reactive[Chart | None] = reactive(None)

    def __init__(
        self,
        charts: Sequence[Chart] = (),
        *,
        columns: int = 2,
        rows: int = 2,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(*charts, name=name, id=id, classes=classes)
        self.set_reactive(ChartGrid.columns_wanted, columns)
        self.set_reactive(ChartGrid.rows_wanted, rows)

    @property
    def charts(self) -> list[Chart]:
        return [child for child in self.children if isinstance(child, Chart)]

    async def set_charts(self, charts: Sequence[Chart]) -> None:
        """Show these charts in this order; those already here keep their zoom and crosshair."""
        for chart in self.charts:
            if chart not in charts:
                await chart.remove()
        await self.mount_all([chart for chart in charts if chart not in self.charts])
        order = {chart: at for at, chart in enumerate(charts)}
        self.sort_children(key=lambda node: order.get(node, 0))  # type: ignore[call-overload]
        if self.maximised not in charts:
            self.maximised = None
        self.lay_out()

    def pump(self) -> None:
        """Draw what changed in the charts that are in sight."""
        for chart in self.charts:
            if chart.display:
                chart.pump()

    def lay_out(self) -> None:
        """Lay out the page in sight."""
        charts = self.charts
        if not charts or not self.size:
            return
        columns, rows = (1, 1) if self.maximised else self._shape(len(charts))
        pages = -(-len(charts) // (columns * rows))
        if self.maximised is None and self.page >= pages:
            self.page = pages - 1
        first = self.page * columns * rows
        shown = [self.maximised] if self.maximised else charts[first : first + columns * rows]
        for chart in charts:
            chart.display = chart in shown
        self.styles.grid_size_columns = columns
        self.styles.grid_size_rows = min(rows, -(-len(shown) // columns))
        self.call_after_refresh(self.pump)

    def _shape(self, count: int) -> tuple[int, int]:
        """Columns and rows that were asked for, as far as there is room and there are charts."""
        columns = max(1, min(self.columns_wanted, self.size.width // NARROWEST, count))
        rows = max(1, min(self.rows_wanted, self.size.height // LOWEST, -(-count // columns)))
        return columns, rows

    def on_mount(self) -> None:
        self.lay_out()

    def on_resize(self, event: events.Resize) -> None:
        self.lay_out()

    def watch_columns_wanted(self) -> None:
        self.lay_out()

    def watch_rows_wanted(self) -> None:
        self.lay_out()

    def watch_maximised(self) -> None:
        self.lay_out()

    def watch_page(self) -> None:
        self.lay_out()
        if not self.maximised and self.has_focus_within:
            next(chart for chart in self.charts if chart.display).focus()

    # ------------------------------------------------------------ linked charts

    def on_chart_cursor_moved(self, message: Chart.CursorMoved) -> None:
        for chart in self.charts:
            if chart is not message.chart:
                chart.show_cursor(message.x)

    def on_chart_view_changed(self, message: Chart.ViewChanged) -> None:
        for chart in self.charts:
            if chart is not message.chart:
                chart.show_view(message.chart)

    # ------------------------------------------------------------ keys

    def action_maximise(self) -> None:
        focused = self._focused()
        self.maximised = None if self.maximised else focused
        if focused:
            focused.focus()

    def action_columns(self, by: int) -> None:
        self.columns_wanted = (self.columns_wanted - 1 + by) % MOST + 1

    def action_rows(self, by: int) -> None:
        self.rows_wanted = (self.rows_wanted - 1 + by) % MOST + 1

    def action_page(self, by: int) -> None:
        if self.maximised:
            at = self.charts.index(self.maximised)
            self.maximised = self.charts[(at + by) % len(self.charts)]
            self.maximised.focus()
            return
        columns, rows = self._shape(len(self.charts))
        pages = -(-len(self.charts) // (columns * rows))
        self.page = (self.page + by) % pages

    def action_focus_beside(self, across: int, down: int) -> None:
        shown = [chart for chart in self.charts if chart.display]
        focused = self._focused()
        if focused not in shown:
            return
        columns, _ = (1, 1) if self.maximised else self._shape(len(self.charts))
        at = shown.index(focused)
        column, row = at % columns + across, at // columns + down
        beside = row * columns + column
        if 0 <= column < columns and 0 <= beside < len(shown):
            shown[beside].focus()

    def _focused(self) -> Chart | None:
        focused = self.screen.focused
        if isinstance(focused, Chart) and focused in self.charts:
            return focused
        return next((chart for chart in self.charts if chart.display), None)
