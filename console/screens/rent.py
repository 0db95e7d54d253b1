"""The dialog that rents a machine: its name and its caps. What it can cost is said with every key, before it is asked for."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Label, Static

from console.screens.dialog import Dialog
from console.settings import LaunchCaps
from console.words import usd
from remote.cloud.caps import BadCap, caps_for
from remote.cloud.cloud_paths import safe_name

_FIELDS = ("name", "hours", "usd", "idle")


class RentDialog(Dialog[list[str] | None]):
    """Returns the words of `instances launch …`, agreed to."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel")]

    def __init__(self, kind: dict[str, Any], name: str, caps: LaunchCaps) -> None:
        super().__init__()
        self.kind = kind
        self.first = {
            "name": name,
            "hours": f"{caps.max_hours:g}",
            "usd": "" if caps.max_usd is None else f"{caps.max_usd:g}",
            "idle": f"{caps.idle_minutes:g}",
        }
        self.sound = False

    def compose(self) -> ComposeResult:
        labels = ("name", "hours at most", "dollars at most", "minutes idle")
        with Vertical(classes="dialog"):
            yield Label(f"Rent {self.kind['name']}: {self.kind['description']}", classes="title", markup=False)
            for field, words in zip(_FIELDS, labels, strict=True):
                with Horizontal(classes="field"):
                    yield Label(words)
                    yield Input(self.first[field], id=f"rent-{field}", compact=True)
            yield Static("", id="rent-summary", markup=False)
            yield Label("enter rents · tab next field · esc cancels", classes="hint")

    def on_mount(self) -> None:
        self.query_one("#rent-hours").focus()
        self.check()

    def value(self, field: str) -> str:
        return self.query_one(f"#rent-{field}", Input).value.strip()

    def on_input_changed(self) -> None:
        self.check()

    def check(self) -> None:
        """Say what it can cost, or what is wrong."""
        if not self.is_mounted:
            return
        summary = self.query_one("#rent-summary", Static)
        try:
            summary.update(self.words())
            self.sound = True
        except (BadCap, ValueError) as error:
            summary.update(f"✗ {error}")
            self.sound = False
        summary.set_class(not self.sound, "problem")

    def words(self) -> str:
        price, usd_cap = self.kind["price_cents_per_h"], self.value("usd")
        safe_name(self.value("name"))
        caps = caps_for(price, _number("hours", self.value("hours")), _number("dollars", usd_cap) if usd_cap else None,
                        _number("idle", self.value("idle")) or None)  # fmt: skip
        most = min(caps.max_usd, caps.max_hours * price / 100)
        free = ", ".join(self.kind["regions"]) or "nowhere free now: it will be refused"
        return (
            f"{usd(price / 100)}/h, at most {caps.max_hours:g} h and {usd(most)}, then {caps.on_cap}\n"
            f"free in {free}\nA guard on this computer ends it at its caps, also without the console."
        )

    def on_input_submitted(self) -> None:
        if self.sound:
            usd_cap = ["--max-usd", self.value("usd")] if self.value("usd") else []
            self.dismiss(
                ["launch", self.kind["name"], "--yes", "--name", self.value("name"), "--max-hours", self.value("hours"),
                 "--idle-minutes", self.value("idle"), *usd_cap]
            )  # fmt: skip

    def action_cancel(self) -> None:
        self.dismiss(None)


def _number(what: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{what}: {text!r} is no number") from None
