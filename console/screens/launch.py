"""What to launch, where and within which limits: checked with every key, so that nothing bad can be started.

The dialog asks its owner for a rehearsal whenever something changed and shows the newest one; `enter` starts only what the
last check found sound.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Input, Label, Static

from console.errors import UserError
from console.launch.rehearsal import Rehearsal, words
from console.screens.dialog import Dialog
from console.widgets.turn import Turn
from engine.config.errors import ConfigError
from engine.config.layers import parse_overrides
from engine.protocol.plan import ON_CAP


@dataclass(frozen=True)
class Launch:
    """What was chosen in the launch dialog."""

    preset: str
    overrides: dict[str, Any] = field(default_factory=dict)
    host: str = "local"
    max_hours: float | None = None
    max_usd: float | None = None
    on_cap: str = ON_CAP[0]


Check = Callable[[Launch], None]
"""Raises UserError or ConfigError where this can't be started."""


class LaunchDialog(Dialog[Launch | None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel"),
        Binding("enter", "start", "Start", priority=True),
    ]

    def __init__(
        self,
        title: str,
        presets: Sequence[str],
        preset: str,
        hosts: Sequence[str],
        check: Check,
        rehearse: Callable[[Launch], None],
        is_plan: bool,
    ) -> None:
        super().__init__()
        self.words, self.presets, self.preset, self.hosts = title, presets, preset, hosts
        self.check_launch, self.rehearse, self.is_plan = check, rehearse, is_plan
        self.launch: Launch | None = None
        """What `enter` starts; None while something is wrong."""
        self.problem = ""
        self.rehearsal: Rehearsal | None = None

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog launch"):
            yield Label(self.words, classes="title", markup=False)
            yield from self._row("preset", Turn(self.presets, self.preset, id="preset"))
            yield from self._row("host", Turn(self.hosts, id="host"))
            yield from self._row("overrides", Input(placeholder="seed=1 train.iters=500", id="overrides"))
            yield from self._row("hours", Input(placeholder="no cap", id="hours"))
            with Horizontal(classes="row", id="usd-row"):
                yield Label("dollars", classes="name")
                yield Input(placeholder="no cap", id="usd")
            if self.is_plan:
                with Horizontal(classes="row", id="cap-row"):
                    yield Label("at a cap", classes="name")
                    yield Turn(ON_CAP, id="on-cap")
            with VerticalScroll(id="rehearsal", can_focus=False):
                yield Static("", id="summary")
            yield Label("enter starts · tab next field · ← → turn · esc cancels", classes="hint")

    def _row(self, name: str, widget: Turn | Input) -> ComposeResult:
        with Horizontal(classes="row"):
            yield Label(name, classes="name")
            yield widget

    def on_mount(self) -> None:
        self.query_one("#preset").focus()
        self.check()

    # What is typed

    def on_turn_turned(self) -> None:
        self.check()

    def on_input_changed(self) -> None:
        self.check()

    def chosen(self) -> Launch:
        """The fields as one thing; UserError or ConfigError names the field that is wrong."""
        return Launch(
            preset=self.query_one("#preset", Turn).chosen,
            overrides=parse_overrides(self.query_one("#overrides", Input).value.split()),
            host=self.query_one("#host", Turn).chosen,
            max_hours=self._cap("hours"),
            max_usd=self._cap("usd"),
            on_cap=self.query_one("#on-cap", Turn).chosen if self.is_plan else ON_CAP[0],
        )

    def _cap(self, name: str) -> float | None:
        text = self.query_one(f"#{name}", Input).value.strip()
        if not text:
            return None
        try:
            value = float(text.removeprefix("$"))
        except ValueError:
            value = -1.0
        if not 0 < value < float("inf"):
            raise UserError(f"{text!r} is no cap: give {name} as a number above 0, or leave it empty")
        return value

    def check(self) -> None:
        """Say what is wrong, or ask what would happen."""
        if not self.is_running:
            return
        try:
            launch = self.chosen()
            self.check_launch(launch)
            self.launch, self.problem = launch, ""
            self.rehearse(launch)
        except (UserError, ConfigError) as error:
            self.launch, self.problem = None, str(error)
        self.show_all()

    # What would happen

    def show(self, rehearsal: Rehearsal) -> None:
        """Take over the newest rehearsal; one of an earlier choice is passed over."""
        if self.launch is not None and (rehearsal.host, rehearsal.preset) == (self.launch.host, self.launch.preset):
            self.rehearsal = rehearsal
            self.show_all()

    def show_all(self) -> None:
        r = self.rehearsal
        self.query_one("#usd-row").display = bool(r and r.price_usd_per_h)
        if self.is_plan:
            self.query_one("#cap-row").display = bool(self.launch and (self.launch.max_hours or self.launch.max_usd))
        self.query_one("#summary", Static).update(self._summary())

    def _summary(self) -> Text:
        text = Text()
        if self.problem:
            return text.append(f"✗ {self.problem}", "red")
        for name, line in words(self.rehearsal) if self.rehearsal is not None else ():
            warns = name == "!" or line.startswith("! ")
            text.append(f"{'!' if warns else name:<10}", "yellow" if warns else "dim")
            text.append(line.removeprefix("! ") + "\n", "yellow" if warns else "")
        for line in self._caps():
            text.append(f"{'cap':<10}", "dim")
            text.append(line + "\n")
        text.rstrip()
        return text

    def _caps(self) -> list[str]:
        if self.launch is None or (self.launch.max_hours is None and self.launch.max_usd is None):
            return []
        limits = [f"{self.launch.max_hours:g} h"] if self.launch.max_hours else []
        limits += [f"${self.launch.max_usd:.2f}"] if self.launch.max_usd else []
        then = self.launch.on_cap if self.is_plan else "the stop ladder"
        return [f"{' or '.join(limits)}, then {then}"]

    # What keys do

    def action_start(self) -> None:
        if self.launch is not None:
            self.dismiss(self.launch)

    def action_cancel(self) -> None:
        self.dismiss(None)
