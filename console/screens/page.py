"""A page over a screen: a goal, what a gate still lacks, the end of a log elsewhere."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Label, Markdown, Static

from console.screens.dialog import Dialog


class Page(Dialog[None]):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter", "close", "Close")]

    def __init__(self, title: str, text: str, at_end: bool = False) -> None:
        """Markdown; or, `at_end`, lines of a log as they are, the newest in sight."""
        super().__init__()
        self.words, self.text, self.at_end = title, text, at_end

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog page"):
            yield Label(self.words, classes="title", markup=False)
            with VerticalScroll(id="page-body"):
                yield Static(self.text, markup=False) if self.at_end else Markdown(self.text, open_links=False)
            yield Label("↑ ↓ scroll · esc closes", classes="hint")

    def on_mount(self) -> None:
        self.query_one("#page-body").focus()
        if self.at_end:
            self.query_one("#page-body").scroll_end(animate=False)

    def action_close(self) -> None:
        self.dismiss(None)
