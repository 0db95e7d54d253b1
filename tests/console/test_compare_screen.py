"""The comparison of marked runs, driven by keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.screens.compare import CompareScreen
from console.screens.run import RunScreen
from console.screens.runs import RunsScreen
from console.widgets.chart import Chart
from console.widgets.grid import ChartGrid
from engine.protocol.layout import Root
from tests.console.driver import Driver, driven
from tests.console.made_runs import lay_run, lay_sweep
from tests.console.tiny import make_project


@pytest.fixture
def folder(tmp_path: Path, root: Root) -> Path:
    lay_sweep(root)
    return make_project(tmp_path / "tiny")


async def comparing(driver: Driver) -> CompareScreen:
    """Mark all four runs and compare them."""
    await driver.keys("2")
    await driver.sees("Runs — 4")
    await driver.keys("a", "c")
    await driver.sees("Compared — 4 runs as 2")
    screen = driver.app.screen
    assert isinstance(screen, CompareScreen)
    return screen


def charts(screen: CompareScreen) -> dict[str, Chart]:
    return {chart.title: chart for chart in screen.query_one(ChartGrid).charts}


async def test_marked_runs_lie_one_over_the_other(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        screen = await comparing(driver)
        assert list(charts(screen)) == ["eval/accuracy", "train/loss"], "what a gate asks about stands first"
        await driver.sees("lr=0.2 ×2")
        await driver.sees("eval/accuracy > 0.9")
        text = driver.text()
        assert "width" not in text, "only keys that differ"
        assert "0.75 ±0.6353" in text


async def test_seeds_apart_or_together_by_a_key(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        screen = await comparing(driver)
        assert len(charts(screen)["eval/accuracy"]._bands) == 2
        await driver.keys("f")
        await driver.sees("Compared — 4 runs")
        await driver.sees("lr=0.1 seed 1")
        assert charts(screen)["eval/accuracy"]._bands == {}
        await driver.keys("f")
        await driver.sees("4 runs as 2")


async def test_a_baseline_is_pinned_and_the_others_say_how_far_they_are(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        screen = await comparing(driver)
        await driver.keys("down", "b")
        await driver.sees("lr=0.1 ×2 (base)")
        await driver.sees("(+0.1)")
        await driver.keys("f")
        await driver.sees("lr=0.1 seed 1 (base)")
        await driver.keys("f", "b")
        await driver.until(lambda: screen.base is None, "the pin taken out")


async def test_over_steps_or_over_time(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        screen = await comparing(driver)
        await driver.keys("x")
        await driver.until(lambda: all(c.x_name == "time" for c in charts(screen).values()), "time on every chart")
        await driver.keys("c", "x")
        await driver.until(lambda: all(c.x_name == "step" for c in charts(screen).values()), "steps again")
        await driver.until(lambda: not screen.by_time, "the screen knows")


async def test_a_side_is_dropped_opened_and_a_query_brings_others(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        screen = await comparing(driver)
        await driver.keys("d")
        await driver.sees("Compared — 2 runs as 1")
        assert driver.app.recalled("marked", []) == ["run-1", "run-0"]
        await driver.keys("slash", *"cfg.seed:1", "enter")
        await driver.sees("Compared — 2 runs")
        assert [m.row.run_id for m in screen.members] == ["run-3", "run-1"]
        await driver.keys("slash", *"x", "enter")
        await driver.sees("no run meets this query")
        await driver.keys("escape", "enter")
        await driver.until(lambda: isinstance(driver.app.screen, RunScreen), "the run")
        assert driver.app.screen.run_id == "run-3"
        await driver.keys("escape")
        await driver.until(lambda: driver.app.screen is screen, "the comparison again")
        await driver.keys("escape")
        await driver.until(lambda: isinstance(driver.app.screen, RunsScreen), "the list of runs")


async def test_charts_tables_or_both(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        screen = await comparing(driver)
        await driver.keys("z")
        assert not screen.query_one("#compare-tables").display
        await driver.keys("z")
        assert not screen.query_one("#compare-charts").display
        await driver.keys("z", "tab")
        assert screen.query_one("#compare-tables").display
        assert not screen.query_one("#sides").has_focus


async def test_everything_is_exported_into_a_new_folder(folder: Path, root: Root, tmp_path: Path) -> None:
    async with driven(folder, root) as driver:
        await comparing(driver)
        await driver.keys("e")
        await driver.sees("Write CSV, JSON and an SVG per chart")
        await driver.keys(*str(tmp_path / "out"), "enter")
        await driver.sees("5 files in")
        assert (tmp_path / "out" / "train-loss.svg").exists()
        await driver.keys("e", *str(tmp_path / "out"), "enter")
        await driver.sees("exists already")


async def test_nothing_marked_says_what_to_do_and_a_single_run_is_enough(folder: Path, root: Root) -> None:
    async with driven(folder, root, (80, 24)) as driver:
        await driver.keys("3")
        await driver.sees("mark runs on the Runs screen")
        await driver.keys("2")
        await driver.sees("Runs — 4")
        await driver.keys("c")
        await driver.sees("Compared — 1 runs")


async def test_runs_without_curves_are_compared_by_their_values_alone(folder: Path, root: Root) -> None:
    for at in (0, 1):
        lay_run(root, f"bare-{at}", {"lr": at}, {}, {"score": at + 0.5}, at=100 + at)
    async with driven(folder, root, (80, 24)) as driver:
        await driver.keys("2")
        await driver.sees("Runs — 6")
        await driver.keys("space", "space", "c")
        await driver.sees("Compared — 2 runs")
        await driver.sees("score")
        await driver.sees("1.5")
