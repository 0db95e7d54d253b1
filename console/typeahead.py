"""Keys typed ahead go where the keys before them have led: one key at a time, the next when that one has done its work.

Textual sends each key at once to what has the focus at that moment. A burst (`/phase7⏎` over a slow link, a busy machine)
is then addressed as a whole to the list that the first key was about to leave, and is lost.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from textual import events
from textual.app import App
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget

_LOST_S = 0.5  # a widget that was taken away with the key in its hands never answers


class KeyPassed(Message):
    """Follows a key up from the widget that it was sent to: whatever the key did on the way up is done.

    It goes a second time: what the key made the widget say (a line accepted, a row chosen) is heard then, too.
    """

    def __init__(self, is_last: bool) -> None:
        super().__init__()
        self.is_last = is_last


class TypeAhead(App[int]):
    def __init__(self) -> None:
        super().__init__()
        self._typed: deque[events.Key] = deque()
        self._sent: KeyPassed | None = None
        """What follows the key that is on its way now."""
        self._asked: Screen[Any] | None = None
        """The screen that was on top when it was sent."""

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key) and not event.is_forwarded:
            self._typed.append(event)
            await self._send_next()
        else:
            await super().on_event(event)

    async def on_key_passed(self, message: KeyPassed) -> None:
        message.stop()
        if message is self._sent:
            await self._pass(message)

    async def _pass(self, sent: KeyPassed) -> None:
        top = self._top
        if top is None:  # a mode whose first screen is on its way
            self.call_later(self._pass, sent)
        elif top is not self._asked:  # the key opened or left a screen: not before that one has its focus
            self._follow(top, top)
        elif not sent.is_last:
            self._follow(top.focused or top, top, is_last=True)
        else:
            self._sent = None
        await self._send_next()

    @property
    def _top(self) -> Screen[Any] | None:
        stack = self.screen_stack
        return stack[-1] if stack else None

    async def _send_next(self) -> None:
        while self._typed and self._sent is None and (screen := self._top) is not None:
            target = screen.focused or screen
            await super().on_event(self._typed.popleft())
            self._follow(target, screen)
        if self._typed and self._sent is not None:
            self.set_timer(_LOST_S, lambda sent=self._sent: self._give_up(sent))  # type: ignore[misc]

    def _follow(self, target: Widget, asked: Screen[Any], is_last: bool = False) -> None:
        """Send word behind the key; one that can't be sent is not waited for."""
        self._asked, sent = asked, KeyPassed(is_last)
        self._sent = sent if target.post_message(sent) else None

    async def _give_up(self, sent: KeyPassed) -> None:
        if sent is self._sent:
            self._sent = None
            await self._send_next()
