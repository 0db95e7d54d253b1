"""Keys typed in one burst, as a slow link or a paste delivers them, do what they do one by one."""

from __future__ import annotations

from textual import events
from textual.widgets import OptionList

from console.screens.dialogs import Ask
from console.screens.page import Page
from console.screens.phases import PhasesScreen
from engine.protocol.layout import Root
from tests.console.driver import Driver, driven
from tests.console.tmux import REPOSITORY


def burst(driver: Driver, *keys: str) -> None:
    """All keys before the app has looked at the first of them."""
    for key in keys:
        driver.app.post_message(events.Key(key, key if len(key) == 1 else {"slash": "/", "enter": "\r"}.get(key)))


async def test_a_filter_typed_in_one_burst_filters(root: Root) -> None:
    async with driven(REPOSITORY, root) as driver:
        screen = driver.app.screen
        assert isinstance(screen, PhasesScreen)
        burst(driver, "slash", *"phase7", "enter", "g")
        await driver.until(lambda: isinstance(driver.app.screen, Page) and driver.app.screen.is_mounted, "the goal", 5)
        assert screen.wanted == "phase7"
        assert screen.focused is screen.rows("phase-list")


async def test_the_answer_to_a_dialog_may_be_typed_before_the_dialog_is_there(root: Root) -> None:
    async with driven(REPOSITORY, root) as driver:
        heard: list[str | None] = []
        screen = driver.app.screen
        screen.action_filter = lambda: driver.app.push_screen(Ask("Why?", "a reason"), heard.append)  # type: ignore[attr-defined]
        burst(driver, "slash", *"why not", "enter", "2")
        await driver.until(lambda: heard == ["why not"], "the answer", 5)
        await driver.until(lambda: type(driver.app.screen).__name__ == "RunsScreen", "the key after the answer", 5)


async def test_a_key_whose_widget_is_taken_away_holds_up_no_other(root: Root) -> None:
    async with driven(REPOSITORY, root) as driver:
        gone = OptionList("a", "b")
        await driver.app.screen.mount(gone)
        gone.focus()
        await driver.pilot.pause()
        burst(driver, "down", "2")
        gone.remove()
        await driver.until(lambda: type(driver.app.screen).__name__ == "RunsScreen", "the other screen", 5)


async def test_screens_changed_in_a_burst_end_at_the_last(root: Root) -> None:
    async with driven(REPOSITORY, root) as driver:
        burst(driver, *"2345123")
        await driver.until(
            lambda: driver.app.current_mode == "compare" and driver.app.is_typed_out, "the last screen", 10
        )
