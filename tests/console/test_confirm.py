"""`confirm` in the settings: each value that is documented is asked about where it stands there, and not where it doesn't."""

from __future__ import annotations

from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from console.acting import stop_run
from console.screens.dialogs import Confirm
from console.screens.run import RunScreen
from console.settings import Settings, load_settings, settings_file
from engine.protocol.layout import Root
from tests.console.driver import Driver, driven
from tests.console.tiny import make_project

ASKS = {"stop": ("s", "Stop ", "group"), "quit": ("q", "Leave the console?", "y yes")}
"""Per value the key that asks, what the question begins with, and the last word of what stands below it."""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """The tiny project, whose first step waits a minute at its end."""
    folder = make_project(tmp_path / "tiny")
    with open(folder / "make.sh", "a") as program:
        program.write("sleep 60\n")
    return folder


async def live_run(driver: Driver) -> RunScreen:
    await driver.keys("tab", "r", "enter")
    await driver.sees("step 3 loss")
    screen = driver.app.screen
    assert isinstance(screen, RunScreen)
    return screen


def written(root: Root, confirm: str) -> Settings:
    """As the console reads them from the user's file."""
    settings_file(root.path).write_text(f"confirm: {confirm}\n")
    return load_settings(root.path)


def test_every_value_has_its_question_here() -> None:
    (kind,) = get_args(get_type_hints(Settings)["confirm"])
    assert set(get_args(kind)) == set(ASKS)


@pytest.mark.parametrize("value", ASKS)
async def test_what_stands_in_the_file_is_asked_about_and_no_keeps_everything(
    value: str, tiny: Path, root: Root
) -> None:
    key, question, last = ASKS[value]
    async with driven(tiny, root, settings=written(root, f"[{value}]")) as driver:
        screen = await live_run(driver)
        await driver.keys(key)
        await driver.until(lambda: isinstance(driver.app.screen, Confirm), "a question")
        await driver.sees(question)
        assert last in driver.text()
        await driver.keys("n")
        assert driver.app.screen is screen
        assert not screen.view.status.final
        stop_run(driver.app, screen.run_id)
        await driver.until(lambda: screen.view.status.final, "the run's end")


async def test_what_does_not_stand_in_the_file_is_done_at_once(tiny: Path, root: Root) -> None:
    async with driven(tiny, root, settings=written(root, "[]")) as driver:
        screen = await live_run(driver)
        await driver.keys("s")
        await driver.until(lambda: screen.view.status.state == "stopped", "the run stopped")
        await driver.keys("q")
        await driver.until(lambda: not driver.app.is_running, "the end")
