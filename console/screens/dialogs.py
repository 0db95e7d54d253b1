"""Small questions over a screen: a reason, a yes or no, what to launch, what pip says. Each returns its answer, or None."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label, OptionList, Static

from console.errors import UserError

_CANCEL: list[BindingType] = [Binding("escape", "cancel", "Cancel")]


class Ask(ModalScreen[str | None]):
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


class Confirm(ModalScreen[bool]):
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


@dataclass(frozen=True)
class Launch:
    """What was chosen in the launch dialog."""

    preset: str
    overrides: dict[str, Any]


class LaunchDialog(ModalScreen[Launch | None]):
    """Preset and overrides; the summary is checked with every key, so that nothing bad can be started."""

    BINDINGS: ClassVar[list[BindingType]] = _CANCEL

    def __init__(
        self, title: str, presets: list[str], preset: str, summary: Callable[[str, dict[str, Any]], str]
    ) -> None:
        super().__init__()
        self.words, self.presets, self.preset, self.summary = title, presets, preset, summary
        self.sound = False

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label(self.words, classes="title", markup=False)
            yield OptionList(*self.presets, id="presets", markup=False)
            yield Input(placeholder="overrides, such as: seed=1 train.iters=500", id="overrides")
            yield Static("", id="summary", markup=False)
            yield Label("enter starts · tab between preset and overrides · esc cancels", classes="hint")

    def on_mount(self) -> None:
        presets = self.query_one("#presets", OptionList)
        presets.highlighted = self.presets.index(self.preset) if self.preset in self.presets else 0
        presets.focus()
        self.check()

    def on_option_list_option_highlighted(self, message: OptionList.OptionHighlighted) -> None:
        self.preset = self.presets[message.option_index]
        self.check()

    def on_input_changed(self) -> None:
        self.check()

    def overrides(self) -> dict[str, Any]:
        from engine.config.load import parse_overrides

        return parse_overrides(self.query_one("#overrides", Input).value.split())

    def check(self) -> None:
        """Say what would run, or what is wrong."""
        from engine.config.load import ConfigError

        if not self.is_mounted:
            return
        summary = self.query_one("#summary", Static)
        try:
            summary.update(self.summary(self.preset, self.overrides()))
            self.sound = True
        except (UserError, ConfigError) as error:
            summary.update(f"✗ {error}")
            self.sound = False
        summary.set_class(not self.sound, "problem")

    def on_option_list_option_selected(self) -> None:
        self.start()

    def on_input_submitted(self) -> None:
        self.start()

    def start(self) -> None:
        if self.sound:
            self.dismiss(Launch(self.preset, self.overrides()))

    def action_cancel(self) -> None:
        self.dismiss(None)


class Installing(ModalScreen[bool]):
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
