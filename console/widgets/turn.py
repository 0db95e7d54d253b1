"""One line that turns between a few words: `‹ cpu ›`. Arrow keys and clicks turn it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget


class Turn(Widget, can_focus=True):
    DEFAULT_CSS = """
    Turn { height: 1; width: 1fr; color: $foreground; }
    Turn:focus { background: $primary 35%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,up", "turn(-1)", "Before", show=False),
        Binding("right,down", "turn(1)", "Next", show=False),
    ]

    at = reactive(0)

    @dataclass
    class Turned(Message):
        """Another word stands there."""

        turn: Turn

        @property
        def control(self) -> Turn:
            return self.turn

    def __init__(self, choices: Sequence[str], chosen: str = "", *, id: str) -> None:
        super().__init__(id=id)
        self.choices = list(choices)
        self.set_reactive(Turn.at, self.choices.index(chosen) if chosen in self.choices else 0)

    @property
    def chosen(self) -> str:
        return self.choices[self.at]

    def render(self) -> Text:
        text = Text(no_wrap=True, overflow="ellipsis")
        for index, word in enumerate(self._in_sight()):
            text.append(" " if index else "")
            text.append(f"‹{word}›" if word == self.chosen else f" {word} ", "bold" if word == self.chosen else "dim")
        return text

    def _in_sight(self) -> list[str]:
        """As many words as there is room for, the chosen one among them."""
        words = self.choices[: self.at + 1]
        while len(words) > 1 and sum(len(w) + 3 for w in words) > max(10, self.size.width):
            words = words[1:]
        return words + self.choices[self.at + 1 :]

    def watch_at(self) -> None:
        self.post_message(self.Turned(self))

    def action_turn(self, by: int) -> None:
        self.at = (self.at + by) % len(self.choices)

    def on_click(self, event: events.Click) -> None:
        self.action_turn(1)
