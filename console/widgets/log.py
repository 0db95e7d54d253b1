"""A log with its prompt and status line: what a screen mounts.

`open()` and `pump()` are all that the owner must call. Any size of file, followed live, searched and filtered while it
grows; nothing in the file can harm the terminal. The keys are those of the lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Label

from console.logs import stamps as logtime
from console.widgets.loglines import KEYS, LogLines
from console.widgets.statusline import StatusLine

__all__ = ["KEYS", "LogView"]

ASKS = {"/": "search", "&": "only lines with", "@": "go to time"}


class LogView(Vertical):
    DEFAULT_CSS = """
    LogView { height: 1fr; width: 1fr; }
    LogView .log-status { height: 1; width: 1fr; color: $foreground 60%; background: $surface; padding: 0 2; }
    LogView .log-prompt { height: 1; display: none; background: $panel; padding: 0 2; }
    LogView .log-prompt.-open { display: block; }
    LogView .log-prompt Label { width: auto; color: $accent; text-style: bold; }
    LogView .log-prompt Input { width: 1fr; height: 1; border: none; padding: 0 1; background: $panel; }
    LogView .log-prompt Input:focus { border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close_prompt", "Close the prompt", show=False)]

    @dataclass
    class LineSelected(Message):
        """The cursor stands on a line: what it says, and the step and Unix time that it carries, if any."""

        view: LogView
        text: str
        step: float | None
        unix_time: float | None

        @property
        def control(self) -> LogView:
            return self.view

    def __init__(
        self,
        *,
        zone: tzinfo | None = None,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self.lines = LogLines(zone=zone)
        self._asking = "/"

    def compose(self) -> ComposeResult:
        yield self.lines
        with Horizontal(classes="log-prompt"):
            yield Label("/")
            yield Input()
        yield StatusLine(classes="log-status")

    # ------------------------------------------------------------ what the owner calls

    def open(self, path: Path | None) -> None:
        """Show this file from its end; None shows nothing; a file that is not there yet is waited for."""
        self.lines.open(path)

    def pump(self) -> None:
        """Look for new bytes: two to ten times a second."""
        self.lines.pump()
        self._show_status()  # in the same picture as the lines, not in one of its own

    @property
    def follow(self) -> bool:
        return self.lines.following

    @follow.setter
    def follow(self, follow: bool) -> None:
        self.lines.set_following(follow)

    def go_to_time(self, unix: float) -> bool:
        """Put the cursor on the first line at or after a Unix time, telling nobody; says whether lines carry times."""
        return self.lines.go_to_time(unix)

    def go_to_step(self, step: float) -> bool:
        """Put the cursor on the first line that names this step or a later one, telling nobody; says whether any does."""
        return self.lines.go_to_step(step)

    @property
    def text_at_cursor(self) -> str:
        """The cursor's line, or the newest: what a key that copies takes."""
        row, rows = self.lines.cursor_row, self.lines.rows
        if not rows or not rows.count:
            return ""
        return rows.shown(rows.count - 1 if row is None else row).text

    def focus(self, scroll_visible: bool = True) -> LogView:
        self.lines.focus(scroll_visible)
        return self

    # ------------------------------------------------------------ prompt

    def on_log_lines_asked(self, message: LogLines.Asked) -> None:
        message.stop()
        self._asking = message.kind
        prompt = self.query_one(".log-prompt")
        prompt.add_class("-open")
        prompt.query_one(Label).update(f"{message.kind} {ASKS[message.kind]}")
        field = prompt.query_one(Input)
        field.value = ""
        field.focus()

    def on_input_submitted(self, message: Input.Submitted) -> None:
        message.stop()
        self.action_close_prompt()
        if self._asking == "/":
            self.lines.search(message.value)
        elif self._asking == "&":
            self.lines.set_filter(message.value)
        elif message.value:
            self.lines.ask_time(message.value)

    def action_close_prompt(self) -> None:
        self.query_one(".log-prompt").remove_class("-open")
        self.lines.focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "close_prompt" or self.query_one(".log-prompt").has_class("-open")

    # ------------------------------------------------------------ what the lines tell

    def on_log_page_status_changed(self, message: LogLines.StatusChanged) -> None:
        message.stop()
        self._show_status()

    def _show_status(self) -> None:
        self.query_one(StatusLine).say(self.lines.status())

    def on_log_page_cursor_moved(self, message: LogLines.CursorMoved) -> None:
        message.stop()
        row, rows = self.lines.cursor_row, self.lines.rows
        if row is not None and rows is not None:
            text = rows.shown(row).text
            when = logtime.line_time(text, self.lines.day())
            self.post_message(self.LineSelected(self, text, logtime.line_step(text), when))
