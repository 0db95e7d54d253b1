"""The keys that work here, on the last line: one widget that draws one line, whatever the number of keys.

Textual's own footer mounts a widget for every key, which cost a sixth of the start; this draws text. A click on a key works.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from rich.style import Style
from rich.text import Text
from textual.widgets import Static

from console.keys import ALWAYS_SHOWN, changing, spoken

if TYPE_CHECKING:
    from textual.screen import Screen

    from console.app import ConsoleApp

Shown = tuple[str, str, str]
"""Key, words, action."""


class KeyLine(Static):
    """Follows the bindings of its screen."""

    def __init__(self) -> None:
        super().__init__("", classes="keyline", markup=False)

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self.draw)

    def on_resize(self) -> None:
        self.draw(self.screen)

    def draw(self, screen: Screen[object]) -> None:
        if self.is_attached and screen is self.screen and self.size.width:
            self.update(line(self.keys(), self.size.width, cast("ConsoleApp", self.app).readonly))

    def keys(self) -> list[Shown]:
        """What is bound here and wants to be seen, the focused pane's keys first."""
        app = cast("ConsoleApp", self.app)
        found: dict[str, Shown] = {}
        for bound in self.screen.active_bindings.values():
            binding = bound.binding
            refused = app.readonly and changing(app.name_of(self.screen), binding.action)
            if binding.show and bound.enabled and not refused:
                key = spoken(app.get_key_display(binding) if binding.key_display else binding.key)
                found.setdefault(binding.action, (key, binding.description, binding.action))
        return list(found.values())


def line(keys: Sequence[Shown], columns: int, readonly: bool) -> Text:
    """As many keys as fit; help and quit always do."""
    last = [k for k in keys if k[2] in ALWAYS_SHOWN]
    tail = Text.assemble(*map(_piece, last), ("read-only ", "reverse") if readonly else "")
    text = Text(no_wrap=True, overflow="ellipsis")
    for key in keys:
        piece = _piece(key)
        if key not in last and text.cell_len + piece.cell_len + tail.cell_len <= columns:
            text.append_text(piece)
    return text.append_text(tail)


def _piece(key: Shown) -> Text:
    on_click = Style(meta={"@click": key[2] if "." in key[2].partition("(")[0] else f"screen.{key[2]}"})
    return Text.assemble((f" {key[0]} ", Style(bold=True) + on_click), (f"{key[1]} ", on_click))
