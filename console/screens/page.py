"""A page of Markdown over a screen: a goal, or what a gate still lacks."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Label, Markdown

from console.screens.dialog import Dialog


class Page(Dialog[None]):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter", "close", "Close")]

    def __init__(self, title: str, markdown: str) -> None:
        super().__init__()
        self.words, self.markdown = title, markdown

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog page"):
            yield Label(self.words, classes="title", markup=False)
            with VerticalScroll(id="page-body"):
                yield Markdown(self.markdown, open_links=False)
            yield Label("↑ ↓ scroll · esc closes", classes="hint")

    def on_mount(self) -> None:
        self.query_one("#page-body").focus()

    def action_close(self) -> None:
        self.dismiss(None)
