"""The list of every run, driven by keys: query, order, marks, tags, notes, again, deletion."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from textual.widgets import Input

from console.screens.run import RunScreen
from console.screens.runs import RunsScreen
from console.settings import Settings
from engine.protocol.layout import Root
from tests.console.driver import Driver, driven
from tests.console.made_runs import lay_run
from tests.console.tiny import make_project


@pytest.fixture
def folder(tmp_path: Path, root: Root) -> Path:
    for seed, accuracy in enumerate((0.5, 0.9, 0.7)):
        config = {"level": 5, "preset": "cpu", "seed": seed}
        lay_run(root, f"run-{seed}", config, {"eval/accuracy": [0.1, accuracy]}, at=seed, seconds=60 * (1 + seed))
    lay_run(root, "strange", at=9, project="other", state="failed")
    return make_project(tmp_path / "tiny")


async def on_runs(driver: Driver) -> RunsScreen:
    await driver.keys("2")
    await driver.until(lambda: isinstance(driver.app.screen, RunsScreen), "the list of runs")
    await driver.sees("Runs — 3")
    screen = driver.app.screen
    assert isinstance(screen, RunsScreen)
    return screen


def notes_of(driver: Driver, run_id: str) -> list[tuple[str, str]]:
    return [(n.kind, n.body) for n in driver.app.space.store.notes.find(run_id=run_id)]


async def test_the_newest_run_stands_first_and_the_highlighted_one_is_told_in_full(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        screen = await on_runs(driver)
        assert list(screen.table.ids) == ["run-2", "run-1", "run-0"]
        await driver.sees("run-2  phase1-tiny · make at cpu on local, by ann@desk")
        await driver.keys("down", "end", "home", "pagedown", "up")
        await driver.until(lambda: screen.table.chosen == "run-1", "the row in the middle")
        await driver.sees("run-1  phase1-tiny")


async def test_a_query_filters_and_shows_what_it_asks_about(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        screen = await on_runs(driver)
        await driver.keys("slash", *"accuracy>0.6", "enter")
        await driver.sees("Runs — 2")
        await driver.sees("…al/accuracy")
        await driver.sees("Runs › accuracy>0.6")
        assert screen.table.has_focus
        await driver.keys("slash")
        screen.query_one("#filter", Input).value = "accuracy>0.6 phaes:1"
        await driver.sees("did you mean 'phase'?")
        assert len(screen.table.ids) == 2, "what was found before stays while a word is half typed"
        await driver.keys("escape")
        await driver.sees("Runs — 3")


async def test_columns_sort_and_turn_round_by_keys(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        screen = await on_runs(driver)
        while screen.sort.field != "took":
            await driver.keys("s")
        await driver.sees("took ▼")
        await driver.until(lambda: list(screen.table.ids) == ["run-2", "run-1", "run-0"], "the longest first")
        await driver.keys("S")
        await driver.until(lambda: list(screen.table.ids) == ["run-0", "run-1", "run-2"], "the shortest first")
        await driver.sees("took ▲")


async def test_a_click_on_a_head_sorts_and_on_a_row_highlights(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        screen = await on_runs(driver)
        await driver.pilot.click("#run-table", offset=(4, 1))
        await driver.until(lambda: screen.sort.field == "state", "sorted by state")
        await driver.pilot.click("#run-table", offset=(4, 1))
        await driver.until(lambda: screen.sort.descending, "turned round")
        await driver.pilot.click("#run-table", offset=(4, 4))
        await driver.until(lambda: screen.table.cursor == 2, "the third row")
        await driver.pilot.click("#run-table", offset=(4, 4), times=2)
        await driver.until(lambda: isinstance(driver.app.screen, RunScreen), "the run")


async def test_runs_of_every_project_are_a_key_away(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        await on_runs(driver)
        await driver.keys("p")
        await driver.sees("Runs — 4 · every project")
        await driver.sees("other")
        await driver.keys("p")
        await driver.sees("Runs — 3")


async def test_marks_are_set_by_key_kept_and_cleared(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        screen = await on_runs(driver)
        await driver.keys("space", "space")
        await driver.sees("2 marked")
        assert driver.app.recalled("marked", []) == ["run-2", "run-1"]
        await driver.keys("up", "space")
        await driver.sees("1 marked")
        await driver.keys("a")
        await driver.sees("3 marked")
        assert "●" in driver.text()
    async with driven(folder, root) as driver:
        await driver.sees("3 marked")
        screen = driver.app.screen
        assert isinstance(screen, RunsScreen)
        await driver.keys("a")
        await driver.until(lambda: driver.app.recalled("marked", []) == [], "no marks")
        await driver.keys("a", "escape")
        await driver.until(lambda: driver.app.recalled("marked", []) == [], "no marks by escape")
        assert "●" not in driver.text()


async def test_the_query_and_the_order_are_there_after_a_restart(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        await on_runs(driver)
        await driver.keys("slash", *"accuracy<0.8", "enter", "S")
        await driver.sees("Runs — 2")
    async with driven(folder, root) as driver:
        await driver.sees("Runs — 2")
        screen = driver.app.screen
        assert isinstance(screen, RunsScreen)
        assert screen.query_one("#filter", Input).value == "accuracy<0.8"
        await driver.until(lambda: list(screen.table.ids) == ["run-0", "run-2"], "the oldest first")


async def test_tags_and_notes_are_asked_for_and_shown(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        await on_runs(driver)
        await driver.keys("t")
        await driver.sees("Tags of run-2")
        await driver.keys(*"good late", "enter")
        await driver.sees("good late")
        await driver.keys("space", "space", "t", *"-late both", "enter")
        await driver.sees("tagged 2 runs")
        await driver.until(lambda: driver.app.space.store.notes.tags("run-2") == ["both", "good"], "the tags changed")
        assert driver.app.space.store.notes.tags("run-1") == ["both"]
        await driver.keys("home", "n", *"fell late", "enter")
        await driver.sees("note now by")
        await driver.keys("n", *"!warm up", "enter")
        await driver.until(
            lambda: notes_of(driver, "run-2") == [("note", "fell late"), ("learning", "warm up")], "both"
        )
        await driver.keys("t", *"no%tag", "enter")
        await driver.sees("'no%tag' is no tag")


async def test_a_run_is_run_again_with_what_made_it(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        screen = await on_runs(driver)
        await driver.keys("r")
        await driver.sees("Run again phase1-tiny make at cpu with seed=2 on local?")
        await driver.keys("n")
        assert len(root.run_ids()) == 4
        await driver.keys("r")
        await driver.sees("Run again")
        await driver.keys("y")
        await driver.until(lambda: isinstance(driver.app.screen, RunScreen), "the new run")
        await driver.sees("succeeded")
        assert screen.table.ids is not None


async def test_a_run_is_deleted_only_when_its_id_is_typed(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        screen = await on_runs(driver)
        await driver.keys("D")
        await driver.sees("Delete run-2?")
        await driver.sees("goes: its folder with log, events and evidence")
        await driver.keys("y", "enter", "escape")
        assert "run-2" in root.run_ids()
        await driver.keys("D")
        await driver.sees("type run-2, enter deletes")
        await driver.keys(*"run-2", "enter")
        await driver.until(lambda: "run-2" not in root.run_ids(), "the run gone")
        await driver.until(lambda: list(screen.table.ids) == ["run-1", "run-0"], "the row gone")
        assert notes_of(driver, "run-2")[0][0] == "deleted"


async def test_several_runs_go_by_their_number(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        await on_runs(driver)
        await driver.keys("a", "D")
        await driver.sees("Delete 3 runs?")
        await driver.keys("3", "enter")
        await driver.sees("3 runs deleted")
        assert root.run_ids() == ["strange"]
        assert driver.app.recalled("marked", []) == []


async def test_read_only_tags_notes_and_deletes_nothing(folder: Path, root: Root) -> None:
    async with driven(folder, root, settings=Settings(readonly=True)) as driver:
        await on_runs(driver)
        for key, words in (("t", "Tag"), ("n", "Note"), ("r", "Run again"), ("D", "Delete")):
            await driver.keys(key)
            await driver.sees(f"read-only: {words} would change something")


async def test_a_run_that_appears_is_listed_without_asking(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        screen = await on_runs(driver)
        await driver.keys("down")
        lay_run(root, "zz-new", at=time.time())
        await driver.sees("Runs — 4")
        assert screen.table.chosen == "run-1", "the highlighted run stays"
        await driver.keys("enter")
        await driver.until(lambda: isinstance(driver.app.screen, RunScreen), "the run")
        assert driver.app.screen.run_id == "run-1"


async def test_its_files_go_only_when_that_is_asked_for(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        await on_runs(driver)
        await driver.keys("D")
        await driver.sees("ctrl+f takes its files too")
        await driver.keys("ctrl+f")
        await driver.sees("ctrl+f leaves its files")


async def test_marks_and_order_are_readable_aloud(folder: Path, root: Root) -> None:
    async with driven(folder, root, settings=Settings(plain=True)) as driver:
        await driver.keys("2")
        await driver.sees("created down")
        await driver.keys("space", "S")
        await driver.sees("created up")
        assert "* " in driver.text()
