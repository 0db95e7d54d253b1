"""The marked runs, one over the other: a chart per metric, a side per run or per family of seeds, what differs in tables."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import ScrollableContainer, Vertical
from textual.widgets import Input, OptionList, Static

from console.charts.palette import ON_DARK, ON_LIGHT
from console.comparing.curves import metrics_of_sides, overlay
from console.comparing.load import MOST, Loader
from console.comparing.sides import Member, Side, colours_of, sides_of
from console.errors import UserError, in_words
from console.keys import bindings
from console.messages import Done, Found, Gathered, Looked, Refused
from console.paint.comparison import side_line, tables_text
from console.reading.view import gate_lines_for, gated_first
from console.runs.index import RunIndex
from console.runs.query import parse, resolved
from console.screens.dialogs import Ask
from console.screens.frame import ConsoleScreen
from console.widgets.chart import Chart, Threshold
from console.widgets.grid import ChartGrid
from console.widgets.keyline import KeyLine
from console.widgets.masthead import Masthead
from console.widgets.rows import Rows
from engine.protocol.checks import Check

_MOST_CHARTS = 24
_LIVE_S = 1.0  # how often live runs are read on


NOTHING = "Nothing is compared yet: mark runs on the Runs screen (2, then space), or press / and ask."


class CompareScreen(ConsoleScreen):
    CSS_PATH = Path(__file__).with_name("compare.tcss")
    BINDINGS: ClassVar[list[BindingType]] = list(bindings("compare"))
    VERTICAL_BREAKPOINTS = [(0, "-short"), (34, "-tall")]

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.members: list[Member] = []
        self.sides: list[Side] = []
        self.by_family = True
        self.by_time = False
        self.baseline: str | None = None
        """A run; the side that it is on is the baseline, whether runs stand alone or as families."""
        self.checks: list[Check] = []

    def compose(self) -> ComposeResult:
        yield Masthead()
        with Vertical(id="compare-body"):
            yield Rows(id="sides", title="Compared")
            yield ChartGrid(id="compare-charts")
            with ScrollableContainer(id="compare-tables", classes="pane"):
                yield Static("", id="compare-text")
        yield Input(placeholder="compare what a query finds: phase:7 tag:sweep", select_on_focus=False, id="filter")
        yield KeyLine()

    def on_mount(self) -> None:
        self.index = RunIndex(self.app.space.store)
        self.loader = Loader(self.app.space.root, self.index)
        kept = self.app.recalled("compare", {})
        self.by_family, self.by_time = bool(kept.get("families", True)), bool(kept.get("time", False))
        self.baseline = kept.get("baseline")
        self.query_one("#sides").focus()
        self.set_interval(_LIVE_S, self.read_on)
        self.gather()

    def on_unmount(self) -> None:
        self.index.close()

    def on_screen_resume(self) -> None:
        if list(self.app.recalled("marked", [])) != self.ids:
            self.gather()

    @property
    def crumbs(self) -> list[str]:
        return ["Compare", f"{len(self.members)} runs"] if self.members else ["Compare"]

    def show(self, looked: Looked) -> None:
        """The gates of the first run's phase: their lines lie on the charts."""
        row = self.members[0].row if self.members else None
        standing = looked.standings.get(row.phase) if row is not None else None
        checks = [c for g in standing.phase.gates for c in g.compiled(row.preset)] if standing and row else []
        if checks != self.checks:
            self.checks = checks
            self.call_later(self.draw)

    # Gathering

    def gather(self) -> None:
        """Have a thread read the marked runs."""
        self.ids = list(self.app.recalled("marked", []))
        self.query_one("#sides", Rows).border_title = "Compared — reading …" if self.ids else "Compared"
        self.run_worker(self._gather, thread=True, exclusive=True, group="gather")

    def _gather(self) -> None:
        ids = list(self.ids)
        try:
            self.post_message(Gathered(ids, self.loader.members(ids)))
        except Exception as error:
            self.app.post_message(Refused(in_words(error)))

    async def on_gathered(self, message: Gathered) -> None:
        if message.ids != self.ids:
            return
        self.members = message.members
        if len(self.ids) > MOST:
            self.app.say(f"{len(self.ids)} runs are marked; the first {MOST} are compared", "warning")
        if self.app.looked is not None:
            self.show(self.app.looked)
        await self.draw()

    async def read_on(self) -> None:
        """Live runs go on under one's eyes."""
        if self.is_current and any(not m.row.final for m in self.members) and self.loader.read_on():
            self.members = self.loader.members(self.ids)
            await self.draw()

    # Drawing

    async def draw(self) -> None:
        """Sides, charts and tables from the members."""
        self.sides = sides_of(self.members, self.by_family)
        self.show_sides()
        await self.show_charts()
        text = tables_text(self.sides, self.base, self.checks) if self.sides else ""
        self.query_one("#compare-text", Static).update(text or NOTHING)
        self.freshen()

    @property
    def base(self) -> str | None:
        """The key of the baseline's side."""
        return next((s.key for s in self.sides if any(m.row.run_id == self.baseline for m in s.members)), None)

    def show_sides(self) -> None:
        colours, palette = colours_of(self.sides), ON_DARK if self.app.current_theme.dark else ON_LIGHT
        pane = self.query_one("#sides", Rows)
        runs = len(self.members)
        pane.border_title = f"Compared — {runs} runs" + (f" as {len(self.sides)}" if len(self.sides) != runs else "")
        pane.show([(s.key, side_line(s, palette[colours[s.key]], colours[s.key], self.base)) for s in self.sides])

    async def show_charts(self) -> None:
        """A chart per metric; one that stays keeps its zoom."""
        grid, colours = self.query_one(ChartGrid), colours_of(self.sides)
        names = gated_first(metrics_of_sides(self.sides), self.checks)[:_MOST_CHARTS]
        self.set_class(not names, "-bare")
        known = {chart.title: chart for chart in grid.charts}
        x_name = "time" if self.by_time else "step"
        charts = [known.get(name) or Chart(title=name, x_name=x_name) for name in names]
        if charts != grid.charts:
            await grid.set_charts(charts)
        for chart, name in zip(charts, names, strict=True):
            over = overlay(name, self.sides)
            chart.set_series(over.series, over.bands, colours)
            lines = gate_lines_for(self.checks, [name])
            chart.set_thresholds([Threshold(g.value, g.label, g.op) for g in lines])
        grid.pump()

    # What keys do

    @property
    def chosen(self) -> Side | None:
        key = self.query_one("#sides", Rows).chosen
        return next((s for s in self.sides if s.key == key), None)

    def on_option_list_option_selected(self, message: OptionList.OptionSelected) -> None:
        self.action_choose()

    def action_choose(self) -> None:
        side = self.needed(self.chosen, NOTHING)
        if side is not None:
            self.app.open_run(side.members[0].row.run_id)

    async def action_baseline(self) -> None:
        """Pin the highlighted side as what the others are held against, or take the pin out."""
        side = self.needed(self.chosen, NOTHING)
        if side is not None:
            first = side.members[0].row.run_id
            self.baseline = None if side.key == self.base else first
            self.remember()
            await self.draw()

    def action_drop(self) -> None:
        """Take the highlighted side out of the comparison; the runs stay."""
        side = self.needed(self.chosen, NOTHING)
        if side is not None:
            out = {m.row.run_id for m in side.members}
            self.app.remember("marked", [i for i in self.ids if i not in out])
            self.gather()

    async def action_families(self) -> None:
        if not self.needed(self.sides, NOTHING):
            return
        self.by_family = not self.by_family
        self.remember()
        await self.draw()

    def action_time(self) -> None:
        if not self.needed(self.sides, NOTHING):
            return
        self.by_time = not self.by_time
        self.remember()
        for chart in self.query_one(ChartGrid).charts:
            chart.x_name, chart.zoom, chart.cursor = "time" if self.by_time else "step", None, None
            chart.pump()

    def on_chart_view_changed(self, message: Chart.ViewChanged) -> None:
        self.by_time = message.chart.x_name == "time"

    def action_zoom(self) -> None:
        """Everything, only charts, only tables."""
        if not self.needed(self.sides, NOTHING):
            return
        order = ("", "-charts", "-tables")
        now = next((c for c in order[1:] if self.has_class(c)), "")
        after = order[(order.index(now) + 1) % len(order)]
        for name in order[1:]:
            self.set_class(name == after, name)

    def action_focus_charts(self) -> None:
        shown = [chart for chart in self.query_one(ChartGrid).charts if chart.display]
        if self.needed(shown, "These runs have no curves." if self.sides else NOTHING):
            shown[0].focus()

    def action_back(self) -> None:
        box = self.query_one("#filter", Input)
        if box.has_focus:
            box.remove_class("-open")
            self.query_one("#sides").focus()
        else:
            self.run_worker(self.app.run_action("app.show('runs')"))

    def action_filter(self) -> None:
        self.type_into(self.query_one("#filter", Input))

    def on_input_submitted(self, message: Input.Submitted) -> None:
        text = message.value.strip()
        try:
            query = resolved(parse(text), self.index.names())
            found = Found(text, self.index.ids(query, self.app.space.project.name, most=MOST))
        except UserError as error:
            found = Found(text, problem=str(error))
        if found.problem or not found.ids:
            self.app.say(found.problem or "no run meets this query", "error")
            return
        message.input.remove_class("-open")
        self.query_one("#sides").focus()
        self.app.remember("marked", found.ids)
        self.gather()

    def action_export(self) -> None:
        if not self.needed(self.sides, NOTHING):
            return
        offered = f"compare-{time.strftime('%Y%m%d-%H%M%S')}"
        sides, baseline = list(self.sides), self.base
        x_name = "time" if self.by_time else "step"

        def to(folder: str | None) -> None:
            if folder:
                self.run_worker(lambda: self._export(Path(folder).expanduser(), sides, baseline, x_name), thread=True)

        self.app.push_screen(Ask("Write CSV, JSON and an SVG per chart into a new folder", f"such as {offered}"), to)

    def _export(self, folder: Path, sides: Sequence[Side], baseline: str | None, x_name: str) -> None:
        from console.comparing.export import write

        if folder.exists():
            self.app.post_message(Refused(f"{folder} exists already; name a new folder"))
            return
        try:
            files = write(folder, sides, baseline, x_name)
            self.app.post_message(Done(f"{len(files)} files in {folder}"))
        except OSError as error:
            self.app.post_message(Refused(f"{folder} can't be written: {error.strerror}"))

    def remember(self) -> None:
        kept = {"families": self.by_family, "time": self.by_time, "baseline": self.baseline}
        self.app.remember("compare", kept)
