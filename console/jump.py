"""Jump labels: one key puts a letter on every pane, the letter's key goes there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Label

from console.screens.dialog import Dialog

_LETTERS = "asdfghjklwertyuiopzxcvbnm"  # the home row first; no q, which leaves


def panes_of(screen: Screen[Any]) -> list[tuple[str, Widget]]:
    """What can have the focus here, each with its letter, in reading order."""
    found = sorted(screen.focus_chain, key=lambda w: (w.region.y, w.region.x))
    seen = [w for w in found if w.region.area and screen.region.contains_region(w.region)]
    return list(zip(_LETTERS, seen, strict=False))


class JumpScreen(Dialog[Widget | None]):
    """Letters over the screen below; returns the pane of the one that is pressed."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel")]

    def __init__(self, panes: Sequence[tuple[str, Widget]]) -> None:
        super().__init__()
        self.panes = dict(panes)

    def compose(self) -> ComposeResult:
        for letter, widget in self.panes.items():
            label = Label(f" {letter} ", classes="jump", markup=False)
            label.styles.offset = (widget.region.x + 1, widget.region.y)
            yield label

    def on_key(self, event: events.Key) -> None:
        if event.key in self.panes:
            event.stop()
            self.dismiss(self.panes[event.key])

    def action_cancel(self) -> None:
        self.dismiss(None)
