"""`--plain`: every screen in words, for those who hear it; and without colour, for those who see none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from console.charts.series import Series
from console.charts.thresholds import Threshold
from console.charts.told import told
from console.paint.plain import plainly
from console.screens.run import RunScreen
from console.settings import Settings
from engine.protocol.layout import Root
from tests.console.driver import driven
from tests.console.tiny import make_project

DRAWN = re.compile("[\u2500-\u25ff\u2800-\u28ff✓✗⊘·]")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_project(tmp_path / "tiny")


def test_signs_and_boxes_give_way_cell_for_cell() -> None:
    assert plainly("│ ✓ passed › x │") == "    passed > x  "
    assert len(plainly("▲⣿█—")) == 4


async def test_no_screen_draws_anything(folder: Path, root: Root) -> None:
    async with driven(folder, root, (100, 60), settings=Settings(plain=True)) as driver:
        await driver.sees("make has not run")
        await driver.keys("tab", "r", "enter")
        await driver.until(lambda: isinstance(driver.app.screen, RunScreen), "the run's screen")
        await driver.sees("succeeded")
        await driver.sees("train/loss: 0.6 at step 3")
        for key in ("1", "2", "3", "4", "5", "question_mark"):
            await driver.keys(key)
            await driver.pilot.pause(0.2)
            assert not DRAWN.findall(driver.text()), driver.text()


async def test_panes_stand_one_below_the_other(folder: Path, root: Root) -> None:
    async with driven(folder, root, (100, 60), settings=Settings(plain=True)) as driver:
        await driver.sees("make has not run")
        places = [driver.app.screen.query_one(f"#{name}").region for name in ("phase-list", "about", "steps", "gates")]
        assert [p.x for p in places] == [0, 0, 0, 0]
        assert sorted(p.y for p in places) == [p.y for p in places]


def test_a_chart_says_what_it_shows() -> None:
    loss = Series("loss")
    for step in range(100):
        loss.append(step, 100.0 - step, float(step))
    loss.append(100, float("nan"), 100.0)
    lines = told("loss", [loss], [Threshold(50.0, "loss < 50", "<")], 10)
    assert lines[0] == "Chart loss, 1 series"
    assert lines[1] == "loss: nan at step 100, falling, lowest 1, highest 100, 101 points, 1 not a number"
    assert "at step 10: loss is 90" in lines
    assert lines[-1] == "gate loss < 50: not met"
