"""The screens are the same as Textual would have painted them, and less is asked for and written."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.color import ColorSystem
from textual._compositor import Compositor
from textual.geometry import Region
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

from console.app import ConsoleApp
from console.screens.run import RunScreen
from console.terminal.cells import cells_of
from console.terminal.painter import Painter
from console.widgets.grid import ChartGrid
from console.widgets.straight import StillBar, Straight
from engine.protocol.events import encode
from engine.protocol.layout import Root, RunPaths
from tests.console.driver import Driver, driven
from tests.console.made_run import made_run
from tests.console.terminal.screen import Terminal
from tests.console.tiny import make_project


class Beside:
    """Two terminals: one that the console writes to, one that Textual's own sequences would have been written to."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.ours, self.theirs = Terminal(), Terminal()
        self.written = self.would_be = 0
        ours = Painter.render_partial_update

        def both(painter: Painter) -> Any:
            dirty = set(painter._dirty_regions)
            picture = ours(painter)
            painter._dirty_regions = dirty
            self.plain = Compositor.render_partial_update(painter)
            return picture

        def display(app: ConsoleApp, screen: Screen[Any], picture: Any) -> None:
            if picture is not None:
                partly = isinstance(screen._compositor, Painter) and type(picture).__name__ == "ChopsUpdate"
                mine = app._shown.through(picture).render_segments(app.console)  # type: ignore[attr-defined]
                plain = (self.plain if partly else picture).render_segments(app.console)
                self.ours.take(mine)
                self.theirs.take(plain)
                self.written, self.would_be = self.written + len(mine), self.would_be + len(plain)

        patch.setattr(Painter, "render_partial_update", both)
        patch.setattr(ConsoleApp, "_display", display)

    def same(self) -> None:
        assert self.ours.cells == self.theirs.cells


@asynccontextmanager
async def on_run(tmp_path: Path, root: Root) -> AsyncIterator[tuple[Driver, RunScreen, RunPaths]]:
    paths = made_run(root)
    async with driven(make_project(tmp_path / "tiny"), root) as driver:
        driver.app.open_run(paths.run_id)
        await driver.until(lambda: isinstance(driver.app.screen, RunScreen), "the run's screen")
        screen = driver.app.screen
        assert isinstance(screen, RunScreen)
        await driver.until(lambda: bool(screen.view.series) and screen.side.is_mounted, "its curves")
        yield driver, screen, paths


def add(paths: RunPaths, step: int) -> None:
    with open(paths.log, "a") as log:
        log.write(f"\x1b[32mstep {step}\x1b[0m loss {1 / step:.4f} 🎉 字\n")
    with open(paths.events, "ab") as events:
        values = {"train/loss": 1 / step, "val/loss": 2 / step}
        events.write(encode({"kind": "metric", "step": step, "values": values}))


async def test_every_screen_stands_on_the_terminal_as_textual_would_have_written_it(
    tmp_path: Path, root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = Beside(monkeypatch)
    async with on_run(tmp_path, root) as (driver, screen, paths):
        for step in range(41, 71):
            add(paths, step)
            await screen.pump()
            await driver.pilot.pause()
            beside.same()
        for key in ("tab", "right", "plus", "z", "z", "question_mark", "escape", "ctrl+p", "escape", "i", "i", "slash",
                    "l", "enter", "n", "up", "m", "w", "w", "escape", *"2345", "1", "ctrl+o", "escape"):  # fmt: skip
            await driver.keys(key)
            await driver.pilot.pause()
            beside.same()
        driver.app.say("a notice over the screen")
        await driver.pilot.pause(0.1)
        beside.same()
        await driver.pilot.resize_terminal(100, 30)
        await driver.pilot.pause(0.1)
        beside.same()


async def test_a_run_that_tails_writes_a_third_of_what_textual_would(
    tmp_path: Path, root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = Beside(monkeypatch)
    async with on_run(tmp_path, root) as (driver, screen, paths):
        await driver.pilot.pause()
        beside.written = beside.would_be = 0
        for step in range(41, 51):
            add(paths, step)
            await screen.pump()
            await driver.pilot.pause()
        assert 0 < beside.written < beside.would_be / 3


async def test_only_what_is_dirty_and_in_sight_is_asked_for(
    tmp_path: Path, root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with on_run(tmp_path, root) as (driver, screen, _):
        await driver.pilot.pause()
        asked: list[tuple[Widget, Region]] = []
        for kind in (Widget, Straight):

            def render_lines(widget: Widget, crop: Region, own: Any = kind.render_lines) -> Any:
                asked.append((widget, crop))
                return own(widget, crop)

            monkeypatch.setattr(kind, "render_lines", render_lines)
        chart = screen.query_one(ChartGrid).charts[0]
        chart.refresh(Region(0, 1, 5, 1))
        await driver.pilot.pause()
        assert {(widget, crop.line_span) for widget, crop in asked} == {(chart, (1, 2))}


async def test_lines_that_go_straight_to_the_screen_look_as_textual_would_have_styled_them(
    tmp_path: Path, root: Root
) -> None:
    async with on_run(tmp_path, root) as (driver, screen, _):
        colours = driver.app.console._color_system or ColorSystem.TRUECOLOR
        for keys in ("", "up", "slash", "n", "tab", "right", "L"):
            if keys:
                await driver.keys(keys)
            if keys == "slash":
                await driver.keys(*"loss", "enter")
            await driver.pilot.pause()
            for widget in screen.query(Straight):
                crop = widget.region.reset_offset
                if not crop:
                    continue
                assert widget._is_straight(crop)
                straight = widget.render_lines(crop)
                widget._styles_cache.clear()
                styled = Widget.render_lines(widget, crop)
                for ours, theirs in zip(straight, styled, strict=True):
                    in_sight = crop.width - widget.scrollbar_size_vertical  # under the bar nothing is seen
                    assert seen(ours, colours)[:in_sight] == seen(theirs, colours)[:in_sight]


def seen(strip: Strip, colours: ColorSystem) -> list[tuple[str, str]]:
    """Glyphs and looks; of a blank cell only its ground is seen."""
    cells = cells_of(strip, colours)
    pairs = zip(cells.glyphs, cells.looks, strict=True)
    return [
        (glyph, re.sub(r"^(3|9)[\d;]+?;(?=(48;|10|4))", "", look) if glyph == " " else look) for glyph, look in pairs
    ]


async def test_a_scroll_bar_is_painted_again_only_when_it_looks_different(
    tmp_path: Path, root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with on_run(tmp_path, root) as (driver, screen, paths):
        with open(paths.log, "a") as log:
            log.write("a line\n" * 10_000)
        await screen.pump()
        await driver.pilot.pause()
        bar = screen.log_view.lines.vertical_scrollbar
        assert isinstance(bar, StillBar)
        painted: list[int] = []
        monkeypatch.setattr(
            StillBar, "render_line", lambda self, y, own=Widget.render_line: painted.append(y) or own(self, y)
        )
        add(paths, 41)
        await screen.pump()
        await driver.pilot.pause()
        assert not painted
        await driver.keys("home")
        await driver.pilot.pause()
        assert painted
