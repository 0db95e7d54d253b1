"""The console driven by keys alone: a pilot that waits for what a person would wait for."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from console.app import ConsoleApp
from console.project import Project
from console.settings import Settings
from console.workspace import Workspace
from engine.protocol.layout import Root


class Driver:
    """A pilot that waits for what a person would wait for."""

    def __init__(self, app: ConsoleApp, pilot: Any) -> None:
        self.app, self.pilot = app, pilot

    async def keys(self, *keys: str) -> None:
        for key in keys:
            await self.pilot.press(key)
            await self.until(lambda: self.app.is_typed_out, f"the end of what {key} does")

    async def until(self, true: Callable[[], bool], what: str, seconds: float = 30) -> None:
        limit = time.monotonic() + seconds
        while not true():
            if time.monotonic() > limit:
                raise AssertionError(f"never saw {what}; the screen says:\n{self.text()}")
            await self.pilot.pause(0.05)

    def text(self) -> str:
        """What is on screen, as plain text."""
        console_lines = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip) for strip in console_lines)

    async def sees(self, words: str, seconds: float = 30) -> None:
        await self.until(lambda: words in self.text(), repr(words), seconds)


@asynccontextmanager
async def driven(folder: Path, root: Root, size: tuple[int, int] = (140, 44), **options: Any) -> AsyncIterator[Driver]:
    settings: Settings = options.setdefault("settings", Settings())
    app = ConsoleApp(Workspace(Project(folder), root, readonly=settings.readonly), **options)
    async with app.run_test(size=size, notifications=True) as pilot:
        driver = Driver(app, pilot)
        await driver.until(lambda: app.looked is not None, "the first look at the world")
        await pilot.pause()
        yield driver
