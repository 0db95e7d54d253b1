"""Notes and learnings over any screen: searched, written, crossed out, leading to their runs. By keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.screens.notes import NotesScreen
from console.screens.run import RunScreen
from console.settings import Settings
from engine.protocol.layout import Root
from tests.console.driver import driven
from tests.console.made_runs import lay_run
from tests.console.tiny import make_project


@pytest.fixture
def folder(tmp_path: Path, root: Root) -> Path:
    lay_run(root, "run-a", {"seed": 0}, {"loss": [1.0]})
    return make_project(tmp_path / "tiny")


async def test_notes_are_written_found_and_lead_to_their_run(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        driver.app.space.store.notes.add("note", "tiny", "phase1-tiny", "run-a", "it diverged late", "ann", 1.0)
        await driver.keys("N")
        await driver.sees("Notes and learnings")
        await driver.sees("it diverged late")
        await driver.keys("ctrl+n")
        await driver.sees("Note on phase1-tiny")
        await driver.keys(*"!warm up longer", "enter")
        await driver.sees("2 learning  phase1-tiny  now by")
        await driver.keys(*"late")
        await driver.until(lambda: "warm up" not in driver.text(), "only what holds the word")
        await driver.keys("enter")
        await driver.until(lambda: isinstance(driver.app.screen, RunScreen), "the run of the note")
        assert driver.app.screen.run_id == "run-a"


async def test_a_note_is_withdrawn_and_a_glance_withdraws_nothing(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        driver.app.space.store.notes.add("note", "tiny", "phase1-tiny", None, "wrong", "ann", 1.0)
        await driver.keys("N")
        await driver.sees("1 note  phase1-tiny")
        await driver.keys("ctrl+t")
        await driver.until(lambda: "wrong" not in driver.text(), "the note gone")
        await driver.keys("escape")
        await driver.until(lambda: not isinstance(driver.app.screen, NotesScreen), "the screen below")
        driver.app.space.store.notes.add("note", "tiny", "phase1-tiny", None, "right", "ann", 1.0)
    async with driven(folder, root, settings=Settings(readonly=True)) as driver:
        await driver.keys("N")
        await driver.sees("right")
        for key in ("ctrl+t", "ctrl+n"):
            await driver.keys(key)
            await driver.sees("read-only")
        assert len(driver.app.space.store.notes.find()) == 1
