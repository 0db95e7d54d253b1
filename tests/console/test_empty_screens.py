"""A new user's screens, with nothing on them yet: each says what to do next, and no key is silent."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from console.keys import SCREENS, key_id
from console.messages import RegistrySeen
from console.screens.registry import RegistryScreen
from engine.protocol.layout import Root
from tests.console.driver import driven
from tests.console.test_every_key import MODE_KEYS, has_effect
from tests.console.tiny import make_project

HINTS = {
    "runs": "no runs yet: 1, then r or R, starts one",
    "compare": "mark runs on the Runs screen (2, then space)",
    "instances": "--demo",
    "registry": "No model is registered yet",
}

QUIET = {
    "runs.reverse",
    "runs.clear_filter",
    "instances.refresh",
    "instances.focus_next",
    "compare.focus_next",
    "registry.clear_filter",
    "registry.focus_next",
}
"""Nothing to turn round, to clear or to find; the focus goes to a pane that looks as empty."""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return make_project(tmp_path / "tiny")


@pytest.mark.parametrize("name", HINTS)
@pytest.mark.parametrize("size", [(80, 24), (140, 44)])
async def test_an_empty_screen_says_what_to_do_next(name: str, size: tuple[int, int], tiny: Path, root: Root) -> None:
    async with driven(tiny, root, size) as driver:
        await driver.keys(MODE_KEYS[name])
        words = HINTS[name].split()
        await driver.until(lambda: all(word in driver.text() for word in words), HINTS[name])


@pytest.mark.parametrize("name", HINTS)
async def test_no_key_of_an_empty_screen_is_silent(name: str, tiny: Path, root: Root) -> None:
    silent = []
    async with driven(tiny, root) as driver:
        for key in SCREENS[name]:
            await driver.keys(MODE_KEYS[name])
            await driver.until(lambda: driver.app.current_mode == name and len(driver.app.screen_stack) == 1, name)
            driver.app.clear_notifications()
            await driver.pilot.pause(0.1)
            if key_id(name, key) not in QUIET and not await has_effect(driver, key):
                silent.append(key_id(name, key))
            await driver.keys("escape")
    assert not silent, f"keys that say nothing: {silent}"


async def test_a_filter_that_no_model_meets_asks_once_and_says_so(
    tiny: Path, root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(RegistryScreen, "read", lambda self: asked.append(True))
    async with driven(tiny, root) as driver:
        await driver.keys("5")
        await driver.pilot.pause()
        screen = driver.app.screen
        assert isinstance(screen, RegistryScreen)
        screen.wanted, before = "nothing", len(asked)
        model = dict.fromkeys(("model_id", "phase", "step", "preset", "variant", "model_type", "session_id"), "toy")
        screen.on_registry_seen(RegistrySeen([{**model, "tags": []}], [], "toy", []))
        await asyncio.sleep(0)
        assert len(asked) == before
        await driver.sees("No model meets the filter")
