"""Small questions over a screen: a reason, a yes or no, one of a few, what pip says. Each returns its answer, or None."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, Label, OptionList, Static

from console.screens.dialog import Dialog

_CANCEL: list[BindingType] = [Binding("escape", "cancel", "Cancel")]


class Ask(Dialog[str | None]):
    """A line of text, refused while it is empty."""

    BINDINGS: ClassVar[list[BindingType]] = _CANCEL

    def __init__(self, title: str, hint: str) -> None:
        super().__init__()
        self.words, self.hint = title, hint

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label(self.words, classes="title", markup=False)
            yield Input(placeholder=self.hint)
            yield Label("enter accepts · esc cancels", classes="hint")

    def on_input_submitted(self, message: Input.Submitted) -> None:
        if message.value.strip():
            self.dismiss(message.value.strip())

    def action_cancel(self) -> None:
        self.dismiss(None)


class Confirm(Dialog[bool]):
    """Yes or no; nothing happens by a key pressed by mistake."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("y", "yes", "Yes"), Binding("escape,n", "cancel", "No")]

    def __init__(self, title: str, hint: str = "") -> None:
        super().__init__()
        self.words, self.hint = title, hint

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label(self.words, classes="title", markup=False)
            yield Label(self.hint, classes="hint", markup=False)
            yield Label("y yes · n no", classes="hint")

    def action_yes(self) -> None:
        self.dismiss(True)

    def action_cancel(self) -> None:
        self.dismiss(False)


class Pick(Dialog[str | None]):
    """One of a few things, each with what it is."""

    BINDINGS: ClassVar[list[BindingType]] = _CANCEL

    def __init__(self, title: str, choices: dict[str, str]) -> None:
        super().__init__()
        self.words, self.choices = title, choices

    def compose(self) -> ComposeResult:
        width = max(map(len, self.choices))
        with Vertical(classes="dialog"):
            yield Label(self.words, classes="title", markup=False)
            yield OptionList(*(f"{name:<{width}}  {value}" for name, value in self.choices.items()), markup=False)
            yield Label("enter takes it · esc cancels", classes="hint")

    def on_option_list_option_selected(self, message: OptionList.OptionSelected) -> None:
        self.dismiss(list(self.choices)[message.option_index])

    def action_cancel(self) -> None:
        self.dismiss(None)


class Installing(Dialog[bool]):
    """What pip says while the missing part is installed."""

    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words
        self.lines: list[str] = []

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label(self.words, classes="title", markup=False)
            yield Static("", id="pip", markup=False)
            yield Label("some minutes; what you asked for starts by itself afterwards", classes="hint")

    def add(self, line: str) -> None:
        self.lines = [*self.lines[-15:], line[:160]]
        self.query_one("#pip", Static).update("\n".join(self.lines))
