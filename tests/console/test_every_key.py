"""Every key of the table, pressed: each does something that its user sees. A new key is pressed as soon as it is in the table."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console.keys import EVERYWHERE, SCREENS, Key, key_id
from console.rental.office import Office
from console.widgets.rows import Rows
from engine.protocol.layout import Root
from remote.cloud.clock import Time
from remote.cloud.cloud_paths import CloudPaths
from remote.cloud.fake_account import DEMO_KEY, FakeAccount
from remote.cloud.fake_lambda import FakeLambda
from tests.console.driver import Driver, driven
from tests.console.tiny import make_project

MODE_KEYS = {"phases": "1", "runs": "2", "compare": "3", "instances": "4", "registry": "5"}

FIRST: dict[str, tuple[str, ...]] = {
    "phases.launch_step": ("tab",),
    "phases.choose": ("tab",),
    "phases.tick": ("tab", "tab", "end"),
    "phases.override": ("tab", "tab"),
    "runs.clear_filter": ("slash", "x", "enter"),
    "registry.clear_filter": ("slash", "x", "enter"),
    "run.focus_charts": ("b",),
    "run.replay_pause": ("v",),
    "run.replay_faster": ("v",),
    "run.replay_slower": ("v",),
    "run.replay_jump": ("v",),
}
"""What is pressed before, where a key needs something to act on."""

UNSEEN = {"instances.refresh", "run.focus_log", "compare.families"}
"""A look that finds nothing new shows nothing new; the log has the focus already; a family of one is that run."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The tiny project; its first step also makes a model."""
    folder = make_project(tmp_path / "tiny")
    event = json.dumps({"kind": "model", "name": "toy", "path": "rows.jsonl", "metadata": {}})
    with open(folder / "make.sh", "a") as program:
        program.write(f"printf '%s\\n' '{event}' >> \"$FRACTAL_EVENTS\"\n")
    return folder


@pytest.fixture
def office(root: Root) -> Iterator[Office]:
    """A fake cloud with one machine rented."""
    with FakeLambda(FakeAccount(boot_s=0.0, terminating_s=0.1)) as fake:
        environ = {"FRACTAL_LAMBDA_URL": fake.url, "LAMBDA_API_KEY": DEMO_KEY}
        clock = Time(time.time, lambda seconds: time.sleep(0.02))
        office = Office(
            CloudPaths(root.path / "cloud"), lambda entry: [], environ, {"start_guard": lambda: None, "clock": clock}
        )
        office.do(["launch", "a10", "--yes", "--name", "box"])
        yield office


def state(driver: Driver) -> Any:
    """Everything that a person could notice, without the numbers that move by themselves."""
    app = driver.app
    focused = app.screen.focused
    toasts = [n.message for n in app._notifications]
    text = re.sub(r"[0-9.]+|\bnow\b", "#", driver.text())
    replay = getattr(app.screen, "replay", None)
    return (
        replay and replay.clock.speed,
        len(app.screen_stack),
        app.current_mode,
        type(app.screen),
        focused and (focused.id, str(focused)),
        toasts,
        text,
    )


async def to_screen(driver: Driver, name: str) -> None:
    """The screen with something on it: one finished run, one model, one machine."""
    await driver.keys("1")
    await driver.sees("phase1-tiny")
    await driver.keys("tab", "r", "enter")
    await driver.until(lambda: type(driver.app.screen).__name__ == "RunScreen", "the run's screen")
    await driver.sees("✓ succeeded")
    if name == "compare":  # what is compared is marked among the runs
        await driver.keys("2")
        await driver.sees("make")
        await driver.keys("space")
    if name != "run":
        await driver.keys(MODE_KEYS[name])
        await driver.until(lambda: driver.app.current_mode == name and len(driver.app.screen_stack) == 1, name)
        await driver.sees(
            {"instances": "box", "registry": "toy", "compare": "make", "runs": "Runs"}.get(name, "phase1")
        )


async def back(driver: Driver, home: Any, mode: str) -> None:
    """To the screen under test, whatever the last key opened."""
    app = driver.app
    if app.current_mode != mode:
        app.switch_mode(mode)
    while app.screen is not home and len(app.screen_stack) > 1:
        app.pop_screen()
        await driver.pilot.pause()
    if app.screen is not home:  # the key left it for good: open it anew
        app.open_run(home.run_id)
        await driver.pilot.pause(0.3)
    if getattr(app.screen, "replay", None) is not None:
        await driver.keys("v")
        await driver.sees("train/loss")
    app.screen.remove_class("-charts", "-tables", "-log")
    if mode == "compare" and not home.ids:  # the key before took the only run out
        app.remember("marked", list(driver.app.space.root.run_ids()))
        home.gather()
        await driver.sees("make")
    panes = [p for p in app.screen.query(Rows) if p.display and p.region.area] or list(app.screen.focus_chain)[:1]
    app.screen.set_focus(panes[0] if panes else None)
    app.clear_notifications()
    await driver.pilot.pause(0.1)


ELSEWHERE = ("everywhere", "notes")
"""The first has its own test below; the notes lie over any screen, and each of their keys is pressed in test_notes_screen."""


@pytest.mark.parametrize("name", [name for name in SCREENS if name not in ELSEWHERE])
async def test_every_key_of_a_screen_has_an_effect(name: str, folder: Path, root: Root, office: Office) -> None:
    without = []
    async with driven(folder, root, office=office) as driver:
        await to_screen(driver, name)
        home, mode = driver.app.screen, driver.app.current_mode
        for key in SCREENS[name]:
            await back(driver, home, mode)
            home = driver.app.screen
            await driver.keys(*FIRST.get(key_id(name, key), ()))
            if key.action.startswith("replay_"):
                await driver.until(lambda: driver.app.screen.replay is not None, "the replay")  # type: ignore[attr-defined]
            await driver.pilot.pause(0.2)
            if key_id(name, key) not in UNSEEN and not await has_effect(driver, key):
                without.append(key_id(name, key))
    assert not without, f"keys without an effect: {without}"


async def has_effect(driver: Driver, key: Key) -> bool:
    before, limit = state(driver), time.monotonic() + 6
    await driver.keys(key.key.split(",")[0])
    while state(driver) == before:
        if time.monotonic() > limit:
            return False
        await driver.pilot.pause(0.05)
    return True


async def test_every_key_of_everywhere_has_an_effect(folder: Path, root: Root, office: Office) -> None:
    async with driven(folder, root, office=office) as driver:
        await driver.sees("phase1-tiny")
        for key in EVERYWHERE:
            if key.action == "app.quit":
                continue
            other = "2" if key.key == "1" else "1"
            await driver.keys("escape", other)
            await driver.pilot.pause(0.2)
            while len(driver.app.screen_stack) > 1:
                driver.app.pop_screen()
            assert await has_effect(driver, key), key
        driver.app.switch_mode("phases")
        while len(driver.app.screen_stack) > 1:
            driver.app.pop_screen()
        await driver.keys("q")
        await driver.until(lambda: not driver.app.is_running, "the end")


def test_every_action_of_the_table_is_there() -> None:
    """Also of the keys whose effect can't be seen."""
    from console.app import ConsoleApp
    from console.modes import load
    from console.screens.notes import NotesScreen
    from console.screens.run import RunScreen

    over = {"everywhere": ConsoleApp, "run": RunScreen, "notes": NotesScreen}
    for screen, keys in SCREENS.items():
        owner: Any = over[screen] if screen in over else type(load(screen))
        for key in keys:
            kind = ConsoleApp if key.action.startswith("app.") else owner
            assert hasattr(kind, f"action_{key.bare_action}"), key_id(screen, key)


def test_no_screen_of_the_table_is_left_out() -> None:
    """What the parametrized test leaves to others is pressed there, key by key."""
    pressed = (Path(__file__).parent / "test_notes_screen.py").read_text()
    assert [key.key for key in SCREENS["notes"] if f'"{key.key}"' not in pressed] == []

    assert UNSEEN | set(FIRST) <= {key_id(name, key) for name, keys in SCREENS.items() for key in keys}
