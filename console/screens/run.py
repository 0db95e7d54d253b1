"""One run, live: charts, log, gates, events. It follows its plan from step to step."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from console.keys import bindings
from console.messages import Looked
from console.paint import event_lines, gate_rows, run_head
from console.screens.dialogs import Confirm
from console.screens.frame import ConsoleScreen
from console.view import RunView, chart_groups, gate_lines_for, gated_first
from console.widgets.chart import Chart, Threshold
from console.widgets.grid import ChartGrid
from console.widgets.keyline import KeyLine
from console.widgets.log import LogView
from console.widgets.masthead import Masthead
from console.widgets.rows import Rows
from engine.protocol.checks import Check
from engine.protocol.layout import RunPaths

_PUMP_S = 0.25  # a metric is on screen within half a second of its line; a slow link carries four small frames a second
_MOST_CHARTS = 12


class RunScreen(ConsoleScreen):
    BINDINGS: ClassVar[list[BindingType]] = list(bindings("run"))
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-roomy")]

    def __init__(self, paths: RunPaths, follow_plan: bool = True) -> None:
        super().__init__()
        self.view = RunView(paths)
        self.follow_plan = follow_plan
        self.groups: dict[str, list[str]] = {}
        self.checks: list[Check] = []

    def compose(self) -> ComposeResult:
        yield Masthead()
        yield Static("", id="run-head")
        with Horizontal(id="run-body"):
            with Vertical(id="run-left"):
                yield ChartGrid(id="charts")
                yield LogView(id="run-log")
            with Vertical(id="run-side"):
                yield Rows(id="run-gates", title="Gates")
                yield Static("", id="run-events", classes="pane")
        yield KeyLine()

    def on_mount(self) -> None:
        self.query_one("#run-events").border_title = "Events"
        self.log_view.open(self.view.paths.log)
        self.log_view.focus()
        self.set_interval(_PUMP_S, self.pump)
        self.call_later(self.pump)

    @property
    def log_view(self) -> LogView:
        return self.query_one(LogView)

    @property
    def run_id(self) -> str:
        return self.view.paths.run_id

    @property
    def crumbs(self) -> list[str]:
        spec = self.view.spec
        return [*self.app.crumbs_below(self), *((spec.phase, spec.step) if spec else ()), self.run_id[-5:]]

    # What is shown

    async def pump(self) -> None:
        """Read what is new and draw what changed."""
        if not self.is_current:
            return
        changed = self.view.pump()
        self.query_one("#run-head", Static).update(run_head(self.view))
        self.log_view.pump()
        if changed:
            self.query_one("#run-events", Static).update(event_lines(self.view, 10))
            await self.show_charts()
        self.query_one(ChartGrid).pump()

    async def show_charts(self) -> None:
        """A chart per group of related metrics; made anew only when a group is new or grew."""
        groups = dict(list(chart_groups(gated_first(list(self.view.series), self.checks)).items())[:_MOST_CHARTS])
        if groups == self.groups:
            return
        self.groups = groups
        grid = self.query_one(ChartGrid)
        known = {chart.title: chart for chart in grid.charts}
        charts = [known.get(title) or Chart(title=title) for title in groups]  # a chart that stays keeps its zoom
        if charts != list(grid.charts):
            await grid.set_charts(charts)
        for chart, names in zip(charts, groups.values(), strict=True):
            chart.set_series({n: self.view.series[n] for n in names})
            chart.set_thresholds(
                [Threshold(g.value, g.label, g.op, g.series) for g in gate_lines_for(self.checks, names)]
            )

    def on_chart_cursor_moved(self, message: Chart.CursorMoved) -> None:
        """The log goes to the line of the crosshair's step, or of its time."""
        if message.step is not None and not self.log_view.go_to_step(message.step) and message.unix_time is not None:
            self.log_view.go_to_time(message.unix_time)

    def on_log_view_line_selected(self, message: LogView.LineSelected) -> None:
        """The crosshairs go to the step of the line."""
        if message.step is not None:
            for chart in self.query_one(ChartGrid).charts:
                if chart.x_name == "step":
                    chart.show_cursor(message.step)

    def show(self, looked: Looked) -> None:
        """Gates of the run's phase, as they tick; and the next run of the plan when this one is over."""
        spec = self.view.spec
        standing = looked.standings.get(spec.phase) if spec is not None else None
        if standing is not None:
            gates = self.query_one("#run-gates", Rows)
            gates.border_title = f"Gates at {standing.preset} — {standing.checks_passed} of {standing.checks}"
            gates.show(gate_rows(standing, gates.size.width))
            if spec is not None and not self.checks:
                self.checks = [c for gate in standing.phase.gates for c in gate.compiled(spec.preset)]
                self.groups = {}
                self.call_later(self.show_charts)
        self.follow_to_next(looked)

    def follow_to_next(self, looked: Looked) -> None:
        spec = self.view.spec
        if not self.follow_plan or spec is None or spec.plan is None or not self.view.status.final:
            return
        later = [r for r in looked.runs if r.plan == spec.plan and (r.started or 0) > (self.view.status.ended or 0) - 1]
        later = [r for r in later if r.run_id != self.run_id and not r.final]
        if later:
            self.open(later[-1].run_id)

    def open(self, run_id: str) -> None:
        """Show another run on this screen."""
        self.view = RunView(self.app.space.root.run(run_id))
        self.groups, self.checks = {}, []
        self.log_view.open(self.view.paths.log)
        self.query_one(ChartGrid).call_later(self.query_one(ChartGrid).set_charts, [])

    # What keys do

    def action_stop(self) -> None:
        if self.view.status.final:
            self.app.say(f"it is over: {self.view.status.state}", "warning")
            return

        def sure(yes: bool | None) -> None:
            if yes:
                self.app.stop_run(self.run_id)

        ladder = "SIGINT, after the grace SIGTERM, then SIGKILL, to its whole process group"
        self.app.push_screen(Confirm(f"Stop {self.run_id}?", ladder), sure)

    def action_checkpoint(self) -> None:
        self.app.checkpoint_run(self.run_id)

    def action_zoom(self) -> None:
        """Both, only charts, only log."""
        order = ("", "-charts", "-log")
        now = next((c for c in order[1:] if self.has_class(c)), "")
        after = order[(order.index(now) + 1) % 3]
        for name in order[1:]:
            self.set_class(name == after, name)

    def action_focus_charts(self) -> None:
        charts = self.query_one(ChartGrid).charts
        if charts:
            charts[0].focus()

    def action_focus_log(self) -> None:
        self.log_view.focus()

    def action_back(self) -> None:
        self.dismiss(None)
