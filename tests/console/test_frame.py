"""The frame around the screens: modes, the line on top, where one was, looking without touching."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from console import acting, cli
from console.keys import EVERYWHERE, changing, ids
from console.modes import MODES
from console.readonly import LOOKING
from console.rental.burning import Burning, burning
from console.screens.run import RunScreen
from console.settings import Settings
from console.widgets.masthead import line
from engine.protocol.layout import Root
from remote.cloud.caps import caps_for
from remote.cloud.cloud_paths import CloudPaths
from remote.cloud.ledger import Ledger, new_entry
from tests.console.driver import Driver, driven
from tests.console.tiny import make_project


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_project(tmp_path / "tiny")


def test_every_screen_of_the_modes_is_one_key_away() -> None:
    shown = {k.action for k in EVERYWHERE}
    assert {f"app.show('{name}')" for name in MODES} == {a for a in shown if a.startswith("app.show(")}


def test_no_two_keys_share_an_id_that_a_keymap_could_mean() -> None:
    from console.keys import SCREENS

    assert len(ids()) == sum(len(keys) for keys in SCREENS.values())


async def test_each_mode_opens_by_its_key_from_wherever_one_is(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        await driver.keys("tab", "r", "enter")
        await driver.until(lambda: isinstance(driver.app.screen, RunScreen), "the run's screen")
        for key in EVERYWHERE:
            if key.action.startswith("app.show("):
                await driver.keys(key.key)
                await driver.until(lambda k=key: driver.app.current_mode in k.action, key.words)
                assert len(driver.app.screen_stack) == 1


async def test_the_console_opens_where_it_was_left_screen_run_and_pane(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        await driver.keys("tab", "r", "enter")
        await driver.until(lambda: isinstance(driver.app.screen, RunScreen), "the run's screen")
        await driver.sees("succeeded")
        await driver.keys("2")
        await driver.sees("Runs — 1")
        await driver.keys("enter")
        await driver.until(lambda: isinstance(driver.app.screen, RunScreen), "the run again")
        run_id = driver.app.screen.run_id
    async with driven(folder, root) as driver:
        await driver.until(lambda: isinstance(driver.app.screen, RunScreen), "the run after a restart")
        assert driver.app.screen.run_id == run_id
        assert driver.app.current_mode == "runs"
        await driver.sees("Runs › phase1-tiny › make")
        await driver.keys("1")
        await driver.until(lambda: _pane(driver) == "steps", "the pane that had the focus")


def _pane(driver: Driver) -> str | None:
    focused = driver.app.screen.focused
    return focused.id if focused is not None else None


async def test_read_only_refuses_every_key_that_changes_something(folder: Path, root: Root) -> None:
    async with driven(folder, root, settings=Settings(readonly=True)) as driver:
        await driver.sees("read-only")
        await driver.keys("tab", "r")
        await driver.sees("read-only: Run step would change something")
        assert root.run_ids() == []
    assert {i for i, k in ids().items() if k.changes} >= {"phases.launch_step", "phases.override", "run.stop"}
    assert changing("phases", "screen.launch_phase") is not None
    assert changing("phases", "choose") is None


async def test_read_only_holds_where_no_key_stands_between(folder: Path, root: Root) -> None:
    async with driven(folder, root, settings=Settings(readonly=True)) as driver:
        acting.stop_run(driver.app, "any")
        await driver.sees("nothing was changed")


@pytest.mark.parametrize(
    "verb", [["run", "phase1"], ["tick", "phase1", "x"], ["stop", "last"], ["models", "promote", "m"]]
)
def test_read_only_refuses_verbs_that_change(verb: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--readonly", *verb]) == 2
    assert "changes something" in capfd.readouterr().err


def test_what_only_looks_is_a_verb() -> None:
    assert set(LOOKING) <= set(cli.VERBS)


def test_the_line_on_top_keeps_the_money_whole() -> None:
    rented = Burning(2, 2.58, 1.2, 3 * 3600, "armed (resident), looked 3 s ago")
    wide = line(["Phases", "phase7"], rented, False, 120).plain
    assert wide.startswith("Phases › phase7 ")
    assert wide.endswith("2 rented, $2.58/h, $1.20 so far, ends in 3 h 00 min · guard armed")
    assert len(wide) == 120
    assert line(["Phases", "a phase with a long name"], rented, False, 80).plain.endswith("guard armed")
    assert "NO GUARD" in line([], Burning(1, 1.0, 0.0, 60, "no guard has run here"), False, 80).plain


def test_what_burns_is_read_from_the_ledger_alone(tmp_path: Path) -> None:
    paths = CloudPaths(tmp_path / "cloud")
    assert burning(paths, time.time()) == Burning()
    paths.make()
    caps = caps_for(129, max_hours=2, max_usd=1.29)
    with Ledger(paths.ledger) as ledger:
        entry = new_entry("a100", "gpu_1x_a100", "us", 129, "key", caps, 1000.0)
        ledger.intend(entry)
        ledger.rented(entry.uuid, "i-1", 1000.0)
    now = burning(paths, 1000.0 + 1800)
    assert (now.count, now.usd_per_h, now.is_guarded) == (1, 1.29, False)
    assert now.cost_usd == pytest.approx(0.65, abs=0.01)
    assert now.ends_in_s == pytest.approx(1800, abs=60), "the budget ends before the lease"


def test_a_ledger_that_cannot_be_read_is_not_nothing(tmp_path: Path) -> None:
    paths = CloudPaths(tmp_path / "cloud")
    paths.make()
    paths.ledger.write_text("no database " * 100)
    assert not burning(paths, 0.0).is_known


async def test_a_letter_goes_to_its_pane(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        await driver.sees("make has not run")
        await driver.keys("ctrl+o")
        await driver.sees(" a ")
        await driver.keys("d")
        await driver.until(lambda: _pane(driver) == "gates", "the third pane")
        await driver.keys("ctrl+o", "escape")
        assert _pane(driver) == "gates"


async def test_a_box_has_the_focus_before_the_next_key_is_heard(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        await driver.sees("at cpu")
        driver.app.screen.action_filter()
        assert _pane(driver) == "filter", "a key typed ahead would be a command"


@pytest.mark.parametrize("theme", ["textual-dark", "textual-light"])
async def test_the_first_frame_has_no_text_in_the_colour_of_its_ground(theme: str, tmp_path: Path, root: Root) -> None:
    folder = make_project(tmp_path / "tiny")
    async with driven(folder, root, settings=Settings(theme=theme)) as driver:
        strips = driver.app.screen._compositor.render_strips()
        styled = [
            (s.text, s.style) for strip in strips for s in strip if s.text.strip() and s.style and s.style.bgcolor
        ]
        assert [text for text, style in styled if style.color == style.bgcolor] == []
