"""What stands beside a run's charts: its gates, what it uses, its events; or, in their place, where it comes from."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from console.meters.lines import OLD_S, meter_lines
from console.paint.run import event_rows, time_of
from console.reading.provenance import about_text
from console.reading.view import RunView
from console.widgets.rows import Rows
from engine.protocol.events import Event


class RunSide(Vertical):
    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._about_of: object = None
        self._meters = Text()
        self._meters_of: object = None
        self._events_shown = 0

    def compose(self) -> ComposeResult:
        yield Rows(id="run-gates", title="Gates")
        yield Static("", id="run-meters", classes="pane")
        yield Rows(id="run-events", title="Events")
        with VerticalScroll(id="run-origin", classes="pane"):
            yield Static("", id="run-origin-text")

    def on_mount(self) -> None:
        self.query_one("#run-meters").border_title = "Meters"
        self.query_one("#run-origin").border_title = "Config and provenance"

    @property
    def shows_about(self) -> bool:
        return self.has_class("-about")

    def show_gates(self, title: str, rows: Sequence[tuple[str, Text]]) -> None:
        self.query_one("#run-gates", Rows).show(rows, title)

    @property
    def gates_width(self) -> int:
        return self.query_one("#run-gates").size.width

    def show_run(self, view: RunView) -> None:
        """Take over what is new of a run."""
        self._show_meters(view)
        if len(view.events) != self._events_shown:
            self._events_shown = len(view.events)
            self._show_events(view)
        if self.shows_about:
            self.show_about(view)

    def _show_meters(self, view: RunView) -> None:
        """Written anew for a new sample, and when the last one is so old that its age is told."""
        pane, now = self.query_one("#run-meters", Static), time.time()
        made_of = (id(view.meters), view.meters.latest, pane.size.width, view.status.live)
        if made_of == self._meters_of and now - float(view.meters.latest.get("time", now)) <= OLD_S:
            return
        self._meters_of = made_of
        meters = meter_lines(view.meters, pane.size.width, now, view.status.live)
        if meters != self._meters or meters.spans != self._meters.spans:
            taller = meters.plain.count("\n") != self._meters.plain.count("\n")
            self._meters = meters
            pane.update(meters, layout=taller)

    def _show_events(self, view: RunView) -> None:
        """The newest stays in sight, unless somebody reads further up."""
        events = self.query_one("#run-events", Rows)
        at_end = events.highlighted is None or events.highlighted >= events.option_count - 1
        rows = event_rows(view)
        events.show(rows, f"Events — {len(view.events)}")
        if at_end and rows:
            events.highlighted = len(rows) - 1

    def show_about(self, view: RunView) -> None:
        """Provenance and config; made anew only for another run, or once its environment is known."""
        state = (view.paths, view.spec, any(e.get("kind") == "environment" for e in view.events))
        if view.spec is not None and state != self._about_of:
            self._about_of = state
            self.query_one("#run-origin-text", Static).update(about_text(view.spec, view))

    def forget(self) -> None:
        """Another run comes."""
        self._events_shown = -1
        self.query_one("#run-events", Rows).highlighted = None


def chosen_event(side: RunSide, view: RunView) -> Event | None:
    """The event that is highlighted, where it has a time."""
    name = side.query_one("#run-events", Rows).chosen or ""
    at = int(name.removeprefix("event")) if name.startswith("event") else -1
    event = view.events[at] if 0 <= at < len(view.events) else None
    return event if event is not None and time_of(event) is not None else None
