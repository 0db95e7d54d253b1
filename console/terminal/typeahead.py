"""Keys typed ahead go where the keys before them have led: one key at a time, the next when that one has done its work.

Textual sends each key at once to what has the focus at that moment. A burst (`/phase7⏎` over a slow link, a busy machine)
is then addressed as a whole to the list that the first key was about to leave, and is lost.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from textual import events
from textual.app import App
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget

_LOOK_S = 0.02
_PATIENCE_S = 0.5  # a widget that is busy for longer holds up no key: whoever types wants to be heard


class KeyPassed(Message):
    """Follows a key up from the widget that it was sent to: whatever the key did on the way up is done.

    It goes a second time: what the key made the widget say (a line accepted, a row chosen) is heard then, too.
    """

    def __init__(self, carrier: Widget, top: Screen[Any], is_last: bool = False) -> None:
        super().__init__()
        self.carrier, self.top, self.is_last = carrier, top, is_last
        self.since = time.monotonic()

    @property
    def is_lost(self) -> bool:
        """A widget that was taken away with the key in its hands never answers."""
        return not self.carrier.is_attached or time.monotonic() - self.since > _PATIENCE_S


class TypeAhead(App[int]):
    def __init__(self) -> None:
        super().__init__()
        self._typed: deque[events.Key] = deque()
        self._sent: KeyPassed | None = None
        """What follows the key that is on its way now."""

    @property
    def is_typed_out(self) -> bool:
        """Every key so far has done its work."""
        return not self._typed and (self._sent is None or self._sent.is_lost)

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key) and not event.is_forwarded:
            self._typed.append(event)
            await self._send()
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
        elif top is not sent.top:  # the key opened or left a screen: not before that one has its focus
            self._follow(KeyPassed(top, top))
        elif not sent.is_last:
            self._follow(KeyPassed(top.focused or top, top, is_last=True))
        else:
            self._sent = None
        await self._send()

    @property
    def _top(self) -> Screen[Any] | None:
        stack = self.screen_stack
        return stack[-1] if stack else None

    async def _send(self) -> None:
        """The keys that wait, as long as none is on its way."""
        while self._typed and (self._sent is None or self._sent.is_lost) and (top := self._top) is not None:
            behind = KeyPassed(top.focused or top, top)
            self._sent = behind  # before the key's own work, which may await, and with it the next key
            await super().on_event(self._typed.popleft())
            self._follow(behind)
        if self._typed:
            self.set_timer(_LOOK_S, self._send)

    def _follow(self, message: KeyPassed) -> None:
        """Send word behind the key; one that can't be sent is not waited for."""
        self._sent = message if message.carrier.post_message(message) else None
