"""Help: every key of the screen one stands on, from the one table, and the words of the console."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Label, Static

from console.keys import Key, keys_of, spoken
from console.screens.dialog import Dialog
from console.words import SIGNS, STYLES

NO_KEYMAP: Mapping[str, str] = {}

_CHARTS = (("Charts", "console.widgets.chart"), ("Grid", "console.widgets.grid"))
_WIDGETS = {
    "run": (*_CHARTS, ("Log", "console.widgets.log")),
    "runs": (("Table", "console.widgets.table"),),
    "compare": _CHARTS,
}

_STATES = (
    "passed",
    "failed",
    "waiting",
    "stale",
    "overridden",
    "running",
    "queued",
    "stalled",
    "orphaned",
    "lost",
    "stopped",
)


class HelpScreen(Dialog[None]):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark", "close", "Close")]

    def __init__(self, screen: str, keymap: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.of, self.keymap = screen, keymap or {}

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label(f"Keys of {self.of}", classes="title")
            with VerticalScroll(id="help-body"):
                yield Static(help_text(self.of, self.keymap))
            yield Label("↑ ↓ scroll · esc closes", classes="hint")

    def action_close(self) -> None:
        self.dismiss(None)


def help_text(screen: str, keymap: Mapping[str, str] = NO_KEYMAP) -> Text:
    """The table of keys as a page, with the keys that this user has."""
    text = Text()
    for key in keys_of(screen, keymap):
        _line(text, spoken(key.key), key.words, key.help)
    for name, module in _WIDGETS.get(screen, ()):
        text.append(f"\n{name}\n", "bold")
        for binding in _widget_keys(module):
            _line(text, spoken(binding.key), binding.words, binding.help)
    text.append("\nEverywhere\n", "bold")
    for key in keys_of("everywhere", keymap):
        _line(text, spoken(key.key), key.words, key.help)
    text.append("\nSigns\n", "bold")
    for state in _STATES:
        text.append(f"  {SIGNS[state]} {state}  ", STYLES.get(state, ""))
    return text


def _line(text: Text, key: str, words: str, more: str) -> None:
    """One key; what goes on into the next line stays under its words."""
    text.append(f"  {key:<14}", "bold cyan")
    text.append(words)
    lines = textwrap.wrap(more, 46, initial_indent=" " * (len(words) + 3)) if more else []
    for at, line in enumerate(lines):
        text.append(f" — {line.strip()}" if at == 0 else f"\n{'':16}{line}", "dim")
    text.append("\n")


def _widget_keys(module: str) -> list[Key]:
    import importlib

    return [Key(key, action, words) for key, action, words in importlib.import_module(module).KEYS]
