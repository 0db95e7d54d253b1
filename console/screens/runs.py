"""Every run of the project, newest first."""

from __future__ import annotations

import time
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Input, OptionList

from console.keys import bindings
from console.messages import Looked
from console.paint import run_line
from console.screens.frame import ConsoleScreen
from console.widgets.keyline import KeyLine
from console.widgets.masthead import Masthead
from console.widgets.rows import Rows


class RunsScreen(ConsoleScreen):
    BINDINGS: ClassVar[list[BindingType]] = list(bindings("runs"))

    def __init__(self) -> None:
        super().__init__()
        self.wanted = ""
        self.looked: Looked | None = None

    def compose(self) -> ComposeResult:
        yield Masthead()
        yield Rows(id="run-list", title="Runs")
        yield Input(placeholder="filter: words that must all be there", id="filter")
        yield KeyLine()

    def on_mount(self) -> None:
        self.query_one("#run-list").focus()
        if self.app.looked is not None:
            self.show(self.app.looked)

    def show(self, looked: Looked) -> None:
        """Take over the newest look at the world."""
        self.looked = looked
        now, words = time.time(), self.wanted.split()
        rows = [r for r in looked.runs if all(w in f"{r.run_id} {r.phase} {r.variant} {r.state}" for w in words)]
        pane = self.query_one("#run-list", Rows)
        pane.border_title = f"Runs — {len(rows)}"
        pane.show([(r.run_id, run_line(r, now)) for r in rows])

    def on_option_list_option_selected(self, message: OptionList.OptionSelected) -> None:
        self.action_choose()

    def action_choose(self) -> None:
        run_id = self.query_one("#run-list", Rows).chosen
        if run_id is not None:
            self.app.open_run(run_id)

    def action_filter(self) -> None:
        box = self.query_one("#filter", Input)
        box.add_class("-open")
        box.focus()

    def on_input_changed(self, message: Input.Changed) -> None:
        self.wanted = message.value.lower()
        if self.looked is not None:
            self.show(self.looked)

    def on_input_submitted(self) -> None:
        self.query_one("#filter").set_class(bool(self.wanted), "-open")
        self.query_one("#run-list").focus()

    def action_clear_filter(self) -> None:
        box = self.query_one("#filter", Input)
        box.value = ""
        box.remove_class("-open")
        self.query_one("#run-list").focus()
