"""One run, live or replayed: charts, log, gates, meters, events. It follows its plan from step to step."""

from __future__ import annotations

import asyncio
import os
import time
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.timer import Timer
from textual.widgets import OptionList, Static

from console import acting
from console.keys import bindings
from console.messages import Looked
from console.news import announce
from console.paint.phases import gate_rows, verdict_line
from console.paint.run import run_head, time_of
from console.reading.ear import Ear
from console.reading.replay import ReplayView, own_verdicts
from console.reading.view import RunView, chart_groups, gate_lines_for, gated_first, steps_per_epoch
from console.screens.run_actions import RunActions
from console.whatnow.advice import Advice
from console.whatnow.gather import wrong
from console.widgets.chart import Chart, Threshold
from console.widgets.grid import ChartGrid
from console.widgets.keyline import KeyLine
from console.widgets.log import LogView
from console.widgets.masthead import Masthead
from console.widgets.runside import RunSide, chosen_event
from console.widgets.statusline import StatusLine
from console.words import size
from engine.protocol.checks import Check
from engine.protocol.gates import Verdict
from engine.protocol.layout import RunPaths

_LOOK_S = 0.05  # where nothing is heard: a look at file sizes, so that a metric is in sight within 150 ms all the same
_STATE_S = 1.0  # how soon a state that leaves no line (a supervisor that was killed) is noticed
_REPLAY_S = 0.5  # how often a replay, which nobody writes, goes on
_TOGETHER_S = 0.01  # a step writes its log line and its metrics one after the other: one picture for both
_MOST_CHARTS = 12


def draw_gap_s() -> float:
    """Between two draws: ten a second here, four over SSH, so that a fast writer does not fill a slow link."""
    return 0.25 if "SSH_CONNECTION" in os.environ else 0.1


class RunScreen(RunActions):
    BINDINGS: ClassVar[list[BindingType]] = list(bindings("run"))
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-roomy"), (180, "-wide")]

    def __init__(self, paths: RunPaths, follow_plan: bool = True) -> None:
        super().__init__()
        self.view = RunView(paths)
        self.follow_plan = follow_plan
        self.groups: dict[str, list[str]] = {}
        self._grouped = 0
        """How many metrics those groups were made of: none ever goes."""
        self.checks: list[Check] = []
        self.advice: Advice | None = None
        self._asked_why = ""
        self._draw_at = self._state_at = 0.0
        self._gap_s = draw_gap_s()
        self._ear: Ear | None = None
        self._is_heard = False
        self._timer: Timer | None = None
        self._is_called = False
        self._judged: list[Verdict] = []

    def compose(self) -> ComposeResult:
        yield Masthead()
        yield StatusLine(id="run-head")
        with Horizontal(id="run-body"):
            with Vertical(id="run-left"):
                yield Static("", id="what-now", classes="pane")
                yield ChartGrid(id="charts")
                yield LogView(id="run-log")
            yield RunSide(id="run-side")
        yield KeyLine()

    def on_mount(self) -> None:
        self.query_one("#what-now").border_title = "What now"
        self.log_view.open(self.view.paths.log)
        self.log_view.focus()
        self._ear = Ear.open(self.hear)
        self._is_heard = self._ear is not None and self._ear.listen(self.view.paths.folder)
        self._look_now_and_then()
        self.call_later(self.pump)

    def on_unmount(self) -> None:
        if self._ear is not None:
            self._ear.close()
        self.view.keep()

    @property
    def crumbs(self) -> list[str]:
        spec = self.view.spec
        return [*self.app.crumbs_below(self), *((spec.phase, spec.step) if spec else ()), self.run_id[-5:]]

    # What is shown

    def _look_now_and_then(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        every = _REPLAY_S if self.replay is not None else _STATE_S if self._is_heard else _LOOK_S
        self._timer = self.set_interval(every, self.look)

    def hear(self) -> None:
        """Something was written: look as soon as the last draw is long enough ago and what belongs to it is written too."""
        if not self._is_called:
            self._is_called = True
            wait = max(_TOGETHER_S, self._draw_at - time.monotonic())
            asyncio.get_running_loop().call_later(wait, self.call_later, self.look)

    async def look(self) -> None:
        """Draw as soon as there is news, and now and then for what leaves no line."""
        self._is_called = False
        now = time.monotonic()
        if not self.is_current:
            return
        if now < self._draw_at:
            self.hear()
        elif now >= self._state_at or self.view.news():
            await self.pump()
        else:
            self._draw_at = now + self._gap_s
            self.log_view.pump()

    async def pump(self) -> None:
        """Read what is new and draw what changed."""
        if not self.is_current:
            return
        now = time.monotonic()
        self._draw_at, self._state_at = now + self._gap_s, now + _STATE_S
        changed = self.view.pump()
        self.show_head()
        self.log_view.lines.behind = self.log_behind()
        self.log_view.pump()
        self.side.show_run(self.view)
        if changed:
            await self.show_charts()
            self.ask_why()
        self.query_one(ChartGrid).pump()
        if self.replay is not None:
            self.show_replay(self.replay)

    def log_behind(self) -> str:
        """How far the copy of a remote run's log is behind, where that is more than a moment."""
        from console.hosts.tail import LAG_BYTES

        lag = self.app.space.far.log_lag(self.run_id)
        host = self.view.spec.host if self.view.spec is not None else ""
        return f"{size(lag)} are still on {host}: E shows its end" if lag > LAG_BYTES else ""

    def show_head(self) -> None:
        self.query_one("#run-head", StatusLine).say(run_head(self.view))

    async def show_charts(self) -> None:
        """A chart per group of related metrics; made anew only when a group is new or grew."""
        per_epoch = steps_per_epoch(self.view)
        grid = self.query_one(ChartGrid)
        for chart in grid.charts:
            chart.steps_per_epoch = per_epoch
        if self.groups and len(self.view.series) == self._grouped:
            return
        self._grouped = len(self.view.series)
        groups = dict(list(chart_groups(gated_first(list(self.view.series), self.checks)).items())[:_MOST_CHARTS])
        if groups == self.groups:
            return
        self.groups = groups
        known = {chart.title: chart for chart in grid.charts}
        # A chart that stays keeps its zoom.
        charts = [known.get(title) or Chart(title=title, steps_per_epoch=per_epoch) for title in groups]
        if charts != list(grid.charts):
            await grid.set_charts(charts)
        for chart, names in zip(charts, groups.values(), strict=True):
            chart.set_series({n: self.view.series[n] for n in names})
            lines = gate_lines_for(self.checks, names)
            chart.set_thresholds([Threshold(g.value, g.label, g.op, g.series) for g in lines])

    def show_replay(self, replay: ReplayView) -> None:
        """Gates as they would have ticked, and the log at the replay's moment."""
        before, self._judged = self._judged, own_verdicts(replay, self.checks)
        self.show_own_gates()
        for old, new in zip(before, self._judged, strict=False):
            if new.state != old.state and new.state in ("passed", "failed"):
                announce(self.app, f"{new.text}\n{new.because}", f"{new.state} (replay)", "information")
        if not replay.clock.paused and not replay.clock.over:
            self.log_view.go_to_time(replay.clock.moment)

    def show_own_gates(self) -> None:
        now, width = time.time(), self.side.gates_width
        longest = max((len(v.text) for v in self._judged), default=0)
        rows = [(v.check_id, verdict_line(v, now, longest if width >= longest + 50 else 0)) for v in self._judged]
        self.side.show_gates("Checks of this run", rows)

    def show(self, looked: Looked) -> None:
        """Gates of the run's phase, as they tick; and the next run of the plan when this one is over."""
        spec = self.view.spec
        standing = looked.standings.get(spec.phase) if spec is not None else None
        if standing is None or spec is None:
            return
        if not self.checks:
            self.checks = [c for gate in standing.phase.gates for c in gate.compiled(spec.preset)]
            self.groups = {}
            self.call_later(self.show_charts)
        if self.replay is not None:
            return
        if standing.preset == spec.preset:
            title = f"Gates at {standing.preset} — {standing.checks_passed} of {standing.checks}"
            self.side.show_gates(title, gate_rows(standing, self.side.gates_width))
        else:  # the phase is looked at elsewhere: its verdicts are of other runs
            self._judged = own_verdicts(self.view, self.checks)
            self.show_own_gates()
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
        self.show_view(RunView(self.app.space.root.run(run_id)))
        self.checks = []

    def show_view(self, view: RunView) -> None:
        """Show another run, or another way to look at this one."""
        self.view.keep()
        if view.paths != self.view.paths:
            if self._ear is not None:
                self._is_heard = self._ear.listen(view.paths.folder)
            self.log_view.open(view.paths.log)
            self.log_view.focus()
        self.view, self.groups, self._judged = view, {}, []
        self._look_now_and_then()
        self._asked_why = ""
        self.advised(None)
        self.side.forget()
        self.call_later(self.begin)

    async def begin(self) -> None:
        """Empty the grid, then draw: through a queue of its own it might be emptied after the new charts have come."""
        await self.query_one(ChartGrid).set_charts([])
        await self.pump()

    # What went wrong

    def ask_why(self) -> None:
        """Once for every state that asks for an answer."""
        status = self.view.status
        if self.replay is None and wrong(status) and self._asked_why != status.state:
            self._asked_why = status.state
            acting.ask_why(self.app, self.run_id)

    def advised(self, advice: Advice | None) -> None:
        self.advice = advice
        pane = self.query_one("#what-now", Static)
        pane.set_class(advice is not None, "-some")
        if advice is not None:
            text = Text(advice.says, "bold")
            for way in advice.do:
                text.append(f"\n→ {way}", "not bold")
            pane.update(text)

    # Charts and log lead each other

    def on_chart_cursor_moved(self, message: Chart.CursorMoved) -> None:
        """The log goes to the line of the crosshair's step, or of its time."""
        if message.step is not None and not self.log_view.go_to_step(message.step) and message.unix_time is not None:
            self.log_view.go_to_time(message.unix_time)

    def on_log_view_line_selected(self, message: LogView.LineSelected) -> None:
        """The crosshairs go to the step of the line, or to its time."""
        self.lead_charts(message.step, message.unix_time)

    def on_option_list_option_highlighted(self, message: OptionList.OptionHighlighted) -> None:
        """An event that somebody looks at leads charts and log to its moment."""
        if message.option_list.id == "run-events" and message.option_list.has_focus:
            event = chosen_event(self.side, self.view)
            at = time_of(event) if event is not None else None
            if at is not None:
                self.lead_charts(None, at)
                self.log_view.go_to_time(at)

    def lead_charts(self, step: float | None, unix_time: float | None) -> None:
        for chart in self.query_one(ChartGrid).charts:
            x = chart.x_of(step, unix_time)
            if x is not None:
                chart.show_cursor(x)
