"""The console driven by keys alone, over real runs of a tiny project."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from console.app import ConsoleApp
from console.keys import EVERYWHERE, SCREENS
from console.modes import MODES, load
from console.screens.help import HelpScreen, help_text
from console.screens.notes import NotesScreen
from console.screens.phases import PhasesScreen
from console.screens.run import RunScreen
from console.screens.runs import RunsScreen
from console.widgets.grid import ChartGrid
from engine.protocol.layout import Root
from tests.console.driver import Driver, driven
from tests.console.tiny import make_project


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_project(tmp_path / "tiny")


def phases_screen(driver: Driver) -> PhasesScreen:
    screen = driver.app.screen
    assert isinstance(screen, PhasesScreen)
    return screen


async def run_chosen_step(driver: Driver) -> None:
    await driver.keys("tab", "r", "enter")
    await driver.until(lambda: isinstance(driver.app.screen, RunScreen), "the run's screen")
    await driver.sees("succeeded")


async def run_whole_phase(driver: Driver) -> None:
    await driver.keys("R")
    await driver.sees("Run every step of phase1-tiny")
    await driver.keys("enter")
    await driver.until(lambda: isinstance(driver.app.screen, RunScreen), "the run's screen")


async def test_the_first_screen_lists_phases_steps_and_gates(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        await driver.sees("0/4 checks")
        await driver.sees("make has not run")
        await driver.sees("Show that two steps and a gate work")


async def test_a_whole_phase_runs_from_the_keyboard_and_its_gate_ticks(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        # The plan would stop at the manual check: it says so and starts nothing.
        await driver.keys("R", "enter")
        await driver.sees("only you can tick")
        assert root.plan_ids() == []
        await driver.keys("escape", "tab", "tab", "end", "space")
        await driver.sees("ticked by")
        await run_whole_phase(driver)
        await driver.until(lambda: driver.app.looked.standings["phase1-tiny"].state == "passed", "the phase passed")
        await driver.sees("4 of 4")


async def test_the_run_screen_follows_the_plan_to_its_next_step(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        work = root.work("tiny", "phase1-tiny", "cpu")
        work.mkdir(parents=True)
        (work / "slow").touch()
        await driver.keys("tab", "tab", "end", "space", "shift+tab", "shift+tab")
        await driver.sees("ticked by")
        await run_whole_phase(driver)
        screen = driver.app.screen
        assert isinstance(screen, RunScreen)
        await driver.until(lambda: screen.view.spec is not None and screen.view.spec.step == "judge", "the second step")
        await driver.sees("eval/accuracy")
        await driver.keys("s")
        await driver.sees("Stop ")
        await driver.keys("y")
        await driver.until(lambda: screen.view.status.state == "stopped", "the run stopped")


async def test_one_step_is_launched_with_an_override_that_is_checked_first(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        await driver.keys("tab", "r")
        await driver.sees("Run make of phase1-tiny")
        await driver.keys("tab", "tab", *"level")
        await driver.sees("is no override")
        await driver.keys("equals_sign", "7")
        await driver.sees("at cpu+level=7")
        await driver.keys("enter")
        await driver.until(lambda: isinstance(driver.app.screen, RunScreen), "the run's screen")
        await driver.sees("succeeded")
        await driver.sees("made/level = 7")


async def test_a_blocked_step_says_what_blocks_it(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        await driver.keys("tab", "down", "r")
        await driver.sees("judge can't start: step make has not succeeded yet")


async def test_an_override_asks_for_its_reason_and_stays_visible(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        driver.app.presets["phase1-tiny"] = "smoke"
        driver.app.look()
        await driver.sees("at smoke")
        await run_chosen_step(driver)
        await driver.keys("escape")
        await driver.until(lambda: isinstance(driver.app.screen, PhasesScreen), "the phases again")
        await driver.sees("made/level is 0, needs >= 1")
        screen = phases_screen(driver)
        gates = screen.rows("gates")
        gates.focus()
        gates.choose(next(v.check_id for g in screen.standing.gates for v in g.verdicts if "made/level" in v.text))
        await driver.keys("o")
        await driver.sees("Why is this accepted?")
        await driver.keys("enter")  # an empty reason is no reason
        await driver.sees("Why is this accepted?")
        await driver.keys(*"known", "enter")
        await driver.sees("known (was failed")
        await driver.keys("o")
        await driver.until(lambda: "known (was failed" not in driver.text(), "the override taken back")


async def test_presets_turn_with_a_key_and_phases_are_filtered(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        await driver.sees("at cpu")
        await driver.keys("p")
        await driver.sees("at smoke")
        await driver.keys("slash", *"nothing")
        await driver.until(lambda: "phase1-tiny" not in driver.text(), "the list filtered empty")
        await driver.keys("escape")
        await driver.sees("phase1-tiny")


async def test_runs_are_listed_filtered_and_opened(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        await run_chosen_step(driver)
        await driver.keys("2")
        await driver.until(lambda: isinstance(driver.app.screen, RunsScreen), "the list of runs")
        await driver.sees("Runs — 1")
        await driver.keys("slash", *"absent", "enter")
        await driver.sees("Runs — 0")
        await driver.keys("escape")
        await driver.sees("Runs — 1")
        await driver.keys("enter")
        await driver.until(lambda: isinstance(driver.app.screen, RunScreen), "the run")
        await driver.keys("z")
        assert driver.app.screen.has_class("-charts")
        await driver.keys("z", "z", "c", "b", "k")
        await driver.sees("it is over already")
        await driver.keys("1")
        await driver.until(lambda: isinstance(driver.app.screen, PhasesScreen), "the phases")


async def test_crosshair_and_log_line_lead_each_other(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        await run_chosen_step(driver)
        screen = driver.app.screen
        assert isinstance(screen, RunScreen)
        await driver.sees("train/loss")
        await driver.keys("c", "home")
        await driver.until(lambda: "step 1 " in screen.log_view.text_at_cursor, "the log at the crosshair's step")
        await driver.keys("right")
        await driver.until(lambda: "step 2 " in screen.log_view.text_at_cursor, "the log following the crosshair")
        await driver.keys("escape", "b", "down")
        await driver.until(
            lambda: screen.query_one(ChartGrid).charts[0].cursor == 3, "the crosshair at the line's step"
        )


async def test_help_names_every_key_of_the_screen(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        await driver.keys("question_mark")
        await driver.until(lambda: isinstance(driver.app.screen, HelpScreen), "the help")
        await driver.sees("Keys of phases")
        await driver.keys("escape")
        await driver.until(lambda: isinstance(driver.app.screen, PhasesScreen), "the phases again")
    for screen, keys in SCREENS.items():
        page = help_text(screen).plain
        assert all(key.words in page for key in keys)


def test_every_key_of_the_table_has_its_action() -> None:
    owners = {name: type(load(name)) for name in MODES} | {"run": RunScreen, "everywhere": ConsoleApp}
    owners |= {"notes": NotesScreen}
    for screen, keys in SCREENS.items():
        for key in keys:
            action = key.action.split("(")[0]
            owner = ConsoleApp if action.startswith("app.") else owners[screen]
            assert hasattr(owner, "action_" + action.removeprefix("app.")), f"{screen}: {key}"
    assert any(key.key == "q" for key in EVERYWHERE)


async def test_a_broken_phase_file_is_named_and_hides_no_other(folder: Path, root: Root) -> None:
    (folder / "configs" / "phases" / "phase2-bad.yaml").write_text("phase: phase2-bad\ntitel: x\n")
    async with driven(folder, root) as driver:
        await driver.sees("unknown key 'titel'; did you mean 'title'?")
        await driver.sees("phase1-tiny")


async def test_a_gate_edited_while_the_console_is_open_is_judged_anew(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        await driver.sees("made/level >= 1")
        file = folder / "configs" / "phases" / "phase1-tiny.yaml"
        file.write_text(file.read_text().replace("fact made/level >= 1", "fact made/level >= 4"))
        os.utime(file, ns=(1, 1))
        await driver.sees("made/level >= 4")


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (250, 80)])
async def test_every_screen_fits_any_terminal(folder: Path, root: Root, size: tuple[int, int]) -> None:
    async with driven(folder, root, size) as driver:
        await driver.sees("phase1-tiny")
        await run_chosen_step(driver)
        await driver.keys("question_mark", "escape", "2")
        await driver.sees("Runs — 1")


async def test_without_colour_states_are_words(folder: Path, root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with driven(folder, root) as driver:
        await run_chosen_step(driver)
        await driver.sees("✓ succeeded")


async def test_news_for_a_screen_on_its_way_out_is_passed_over(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        screen, news = phases_screen(driver), driver.app.looked
        assert news is not None
        await screen.remove_children()
        screen._pruning = True  # as the app marks its screens when it ends
        driver.app.on_looked(news)
        screen._pruning = False


async def test_where_one_was_is_remembered(folder: Path, root: Root) -> None:
    other = (folder / "configs" / "phases" / "phase1-tiny.yaml").read_text().replace("phase1-tiny", "phase2-other")
    (folder / "configs" / "phases" / "phase2-other.yaml").write_text(other)
    (folder / "configs" / "phase2-other").mkdir()
    (folder / "configs" / "phase2-other" / "cpu.yaml").write_text("level: 1\n")
    async with driven(folder, root) as driver:
        await driver.keys("down")
        await driver.until(lambda: driver.app.memory["phase"] == "phase2-other", "the choice")
        await asyncio.sleep(0)
    async with driven(folder, root) as driver:
        await driver.until(
            lambda: phases_screen(driver).rows("phase-list").chosen == "phase2-other", "the same phase again"
        )


async def test_the_palette_knows_every_action_of_the_screen(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        names = {command.title for command in driver.app.get_system_commands(driver.app.screen)}
        assert {"Run step", "Run phase", "Preset", "Tick", "Override"} <= names
        await driver.keys("colon")
        await driver.until(lambda: "CommandPalette" in type(driver.app.screen).__name__, "the palette")
        await driver.keys(*"preset")
        await driver.sees("Show the phase at its next preset")
        await driver.keys("enter")
        await driver.sees("at smoke")
