"""One run on screen, by keys alone: what each key shows, and that what is said is true of the run."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from console.paint.run import run_head
from console.reading.stopping import ladder, ladder_words
from console.reading.view import RunView, steps_per_epoch
from console.screens.dialogs import Pick
from console.screens.run import RunScreen
from console.widgets.chart import Chart
from console.widgets.grid import ChartGrid
from engine.protocol.events import Event, encode
from engine.protocol.layout import Root, RunPaths
from engine.protocol.status import Status
from tests.console.driver import Driver, driven
from tests.console.made_run import START, ended, made_run
from tests.console.tiny import make_project


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return make_project(tmp_path / "tiny")


@asynccontextmanager
async def on_run(
    tiny: Path, root: Root, paths: RunPaths, size: tuple[int, int] = (140, 44)
) -> AsyncIterator[tuple[Driver, RunScreen]]:
    async with driven(tiny, root, size) as driver:
        driver.app.open_run(paths.run_id)
        await driver.until(lambda: isinstance(driver.app.screen, RunScreen), "the run's screen")
        screen = driver.app.screen
        assert isinstance(screen, RunScreen)
        await driver.until(lambda: bool(screen.view.series) and screen.side.is_mounted, "its curves")
        yield driver, screen


def charts(screen: RunScreen) -> list[Chart]:
    return screen.query_one(ChartGrid).charts


async def test_a_finished_run_shows_where_it_comes_from_and_how_it_went(tiny: Path, root: Root) -> None:
    paths = made_run(root)
    with open(paths.supervisor_events, "ab") as file:
        gpus = [{"index": 0, "util": 97, "memory_used": 9e9, "memory_total": 40e9, "power_w": 301, "temperature_c": 61}]
        file.write(encode({"kind": "meters", "time": START + 5, "cpu": 0.53, "cores": 2, "gpus": gpus}))
    ended(paths)
    async with on_run(tiny, root, paths) as (driver, screen):
        await driver.sees("✓ succeeded  phase1-tiny make")
        await driver.sees("97 %  9.0 of 40 GB  301 W  61 °C")
        await driver.sees("made/level = 5")
        await driver.sees("half way")
        assert "meters" not in {e["kind"] for e in screen.view.events}
        await driver.keys("i")
        await driver.sees("ada@box")
        await driver.sees("0123456789ab with changes")
        await driver.sees("sh make.sh 5")
        await driver.sees("3.11.7  numpy 2.1")
        await driver.sees("* level")
        await driver.sees("train.batch")
        await driver.keys("i")
        await driver.sees("made/level = 5")


async def test_every_chart_key_does_what_the_table_says(tiny: Path, root: Root) -> None:
    paths = made_run(root)
    more = [{"kind": "metric", "time": START + n, "step": n, "values": {f"m{n % 5}": 0.5}} for n in range(1, 41)]
    with open(paths.events, "ab") as file:
        file.write(b"".join(map(encode, more)))
    ended(paths)
    async with on_run(tiny, root, paths, (160, 60)) as (driver, screen):
        grid = screen.query_one(ChartGrid)
        await driver.until(lambda: len(charts(screen)) == 6, "six charts")
        await driver.keys("x")
        assert {chart.x_name for chart in charts(screen)} == {"time"}
        await driver.keys("x")
        assert {chart.x_name for chart in charts(screen)} == {"epoch"}
        await driver.keys("x", "c")
        chart = next(c for c in charts(screen) if c.has_focus)
        assert chart.x_name == "step"
        await driver.keys("L", "e")
        assert (chart.log_scale, chart.smoothing) == (True, 0.6)
        await driver.keys("home")
        assert {c.cursor for c in charts(screen)} == {1.0}  # linked
        await driver.keys("plus")
        assert {c.zoom for c in charts(screen)} == {chart.zoom}
        assert chart.zoom is not None
        await driver.keys("0", "m")
        assert grid.maximised is chart
        await driver.keys("m", "c", "c")
        assert (grid.maximised, grid.columns_wanted) == (None, 4)
        await driver.keys("c", "C", "C")
        assert (grid.columns_wanted, grid.rows_wanted) == (1, 4)


async def test_log_line_event_and_crosshair_lead_each_other_by_time(tiny: Path, root: Root) -> None:
    paths = made_run(root)
    ended(paths)
    async with on_run(tiny, root, paths) as (driver, screen):
        await driver.keys("b", "g", "down", "down")  # its lines carry a time and no step
        await driver.until(lambda: charts(screen)[0].cursor == 2.0, "the crosshair at the line's time")
        await driver.keys("x", "up")
        await driver.until(lambda: charts(screen)[0].cursor == 0.5, "the same on the time axis")
        await driver.keys("x", "x", "c", "end")
        await driver.until(lambda: "loss is 0.025" in screen.log_view.text_at_cursor, "the log at the last step")
        screen.query_one("#run-events").focus()
        await driver.keys("up")
        await driver.until(lambda: charts(screen)[0].cursor == 20.0, "the crosshair at the event's time")


async def test_copy_takes_what_was_picked(tiny: Path, root: Root) -> None:
    paths = made_run(root)
    ended(paths)
    async with on_run(tiny, root, paths) as (driver, _):
        await driver.keys("b", "g", "y")
        await driver.until(lambda: isinstance(driver.app.screen, Pick), "the choice")
        await driver.keys("enter")
        await driver.until(lambda: driver.app.clipboard == paths.run_id, "the id in the clipboard")
        await driver.keys("y", "down", "enter")
        await driver.until(lambda: driver.app.clipboard.endswith("loss is 1.000"), "the log line")
        await driver.keys("y", "down", "down", "enter")
        await driver.until(lambda: driver.app.clipboard == str(paths.folder), "the folder")


async def test_a_failed_run_shows_its_cause_and_the_way_out(tiny: Path, root: Root) -> None:
    paths = made_run(root)
    with open(paths.log, "a") as file:
        file.write("torch.OutOfMemoryError: CUDA out of memory.\n")
    ended(paths, "failed", "CUDA out of memory (exit code 1)", cause="cuda-oom", code=1)
    async with on_run(tiny, root, paths) as (driver, _):
        await driver.sees("The GPU ran out of memory.")
        await driver.sees("Lower train.batch (now 64)")
        await driver.keys("W")
        await driver.until(lambda: "Lower train.batch" not in driver.text(), "the advice put away")


async def test_zoom_goes_through_everything_charts_log_and_side(tiny: Path, root: Root) -> None:
    paths = made_run(root)
    ended(paths)
    async with on_run(tiny, root, paths, (80, 24)) as (driver, screen):
        assert not screen.side.display  # too narrow for both
        for part in ("-charts", "-log", "-side"):
            await driver.keys("z")
            assert screen.has_class(part)
        await driver.sees("made/level = 5")
        await driver.keys("z", "i")
        await driver.sees("ada@box")


async def test_keys_that_act_say_so_where_they_can_not(tiny: Path, root: Root) -> None:
    paths = made_run(root)
    ended(paths)
    async with on_run(tiny, root, paths) as (driver, _):
        await driver.keys("s")
        await driver.sees("it is over: succeeded")
        await driver.keys("p")
        await driver.sees("its files are here")
        await driver.keys("k")
        await driver.sees("it is over already")
        await driver.keys("W")
        await driver.sees("nothing is wrong")


async def test_a_replay_goes_through_the_run_again_and_ends_as_it_did(tiny: Path, root: Root) -> None:
    paths = made_run(root)
    ended(paths)
    async with on_run(tiny, root, paths) as (driver, screen):
        await driver.sees("succeeded")
        await driver.keys("v")
        await driver.until(lambda: screen.replay is not None, "the replay")
        assert screen.replay is not None
        await driver.keys("space")
        await driver.sees("⏸ replay 10×")
        seen = screen.view.series["train/loss"].count if screen.view.series else 0
        assert seen < 40
        await driver.sees("▶ running")
        await driver.keys("greater_than_sign", "greater_than_sign", "less_than_sign")
        assert screen.replay.clock.speed == 30
        await driver.keys("greater_than_sign", "greater_than_sign", "space")
        await driver.until(lambda: screen.view.status.state == "succeeded", "its end")
        assert screen.view.series["train/loss"].count == 40
        await driver.sees("made/level is 5, needs >= 1")
        await driver.keys("v")
        await driver.until(lambda: screen.replay is None, "the run as it is")


# The stop ladder, pure


def stop(*signals: str, grace: float = 10.0) -> list[Event]:
    asked: list[Event] = [{"kind": "stop-asked", "time": 100.0, "grace_s": grace, "by": "ada"}]
    return asked + [{"kind": "signal", "time": 100.0 + 10 * n, "signal": s} for n, s in enumerate(signals)]


def test_the_ladder_tells_what_was_sent_and_when_the_next_signal_comes() -> None:
    words = ladder_words(ladder(stop("SIGINT")), 103.0, live=True)
    assert words == "✓ SIGINT sent → SIGTERM in 7 s → SIGKILL in 17 s"
    assert ladder_words(ladder(stop("SIGINT", "SIGTERM")), 112.0, live=True) == (
        "✓ SIGINT sent → ✓ SIGTERM sent → SIGKILL in 8 s"
    )
    assert ladder_words(ladder(stop("SIGINT")), 200.0, live=False) == "✓ SIGINT sent"


def test_a_hurried_ladder_and_one_without_grace_skip_rungs() -> None:
    hurried = [*stop("SIGINT"), {"kind": "stop-hurried", "time": 101.0, "grace_s": 2.0}]
    assert "SIGTERM in 1 s → SIGKILL in 3 s" in ladder_words(ladder(hurried), 101.0, live=True)
    assert ladder_words(ladder(stop("SIGKILL", grace=0.0)), 100.0, live=True) == "✓ SIGKILL sent"
    assert ladder([]) == []


def test_an_epoch_axis_needs_a_metric_or_a_config_that_tells_it(root: Root) -> None:
    view = RunView(made_run(root))
    view.pump()
    assert steps_per_epoch(view) == 10
    view.feed([{"kind": "metric", "step": 40, "time": START, "values": {"train/epoch": 2.0}}])
    assert steps_per_epoch(view) == 20


def test_while_a_run_is_being_stopped_its_ladder_stands_in_place_of_its_progress(root: Root) -> None:
    view = RunView(made_run(root))
    view.pump()
    view.status = Status("running")
    assert "40/40 steps" in run_head(view, 103.0).plain
    view.events += stop("SIGINT")
    words = run_head(view, 103.0).plain
    assert "stopping: ✓ SIGINT sent → SIGTERM in 7 s" in words
    assert "steps" not in words
    view.status = Status("stopped", "stopped by ada")
    assert run_head(view, 103.0).plain.endswith("stopped by ada  ✓ SIGINT sent")


async def test_the_painted_lines_of_a_closed_run_are_let_go(tiny: Path, root: Root) -> None:
    paths = made_run(root)
    ended(paths)
    async with driven(tiny, root) as driver:
        driver.app.open_run(paths.run_id)
        await driver.sees("half way")
        kept = [weakref.ref(widget._styles_cache) for widget in driver.app.screen.walk_children()]
        assert len(kept) > 20
        await driver.keys("escape", "2", "1")
        await driver.until(lambda: len(driver.app.screen_stack) == 1, "the run's screen gone")

        def are_gone() -> bool:
            gc.collect()
            return not any(one() is not None for one in kept)

        await driver.until(are_gone, "its lines let go", seconds=5)
