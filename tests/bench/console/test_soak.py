"""One hour of simulated time with 20 live runs and a million events: the console's memory stays flat.

.venv/bin/python -m pytest -c tests/bench/pytest.ini tests/bench/console/test_soak.py -s

Time is simulated by what the runs write: 120 ticks of thirty seconds, at each of them every run adds its events and the console
looks, pumps and paints as it does in life; every 20 ticks its user goes to another screen and back. FRACTAL_SOAK_EVENTS sets
another number of events, FRACTAL_SOAK_HOURS another number of hours.

What may grow is the points of the run on show: 8 bytes of step, 8 of time, 4 of value and 1.1 of pyramid for each point and
series, in columns that double. They are weighed and taken off; the rest must stay flat.
"""

from __future__ import annotations

import gc
import os
import time
from pathlib import Path

from console.screens.run import RunScreen
from engine.protocol.durable import write_json
from engine.protocol.events import encode
from engine.protocol.layout import Root
from engine.protocol.spec import RunSpec
from engine.supervisor.ops import prepare
from tests.console.driver import Driver, driven
from tests.console.tiny import make_project

HOURS = int(os.environ.get("FRACTAL_SOAK_HOURS", "1"))
RUNS, TICKS, TICK_S = 20, 120 * HOURS, 30
EVENTS = int(os.environ.get("FRACTAL_SOAK_EVENTS", "1000000"))
"""In an hour."""
BEGAN = 1_790_000_000.0
MOST_MB = 6.0
"""From the first third to the end, beside the points: what the allocator keeps between blocks. A leak of one closed screen in 20
ticks was 11."""


def lay_live_run(root: Root, at: int) -> str:
    """A run that its host says is running."""
    run_id = f"20261125-000000-phase1-make-{at:05d}"
    spec = RunSpec(run_id, "tiny", "phase1-tiny", "make", "cpu", "cpu", ["true"], "/", "/", created=BEGAN, seed=at)
    prepare(root, spec)
    root.run(run_id).log.touch()
    return run_id


def add_events(root: Root, run_id: str, tick: int, count: int) -> None:
    """What a run writes in one tick; its host says that it goes on."""
    lines = [
        encode({"kind": "metric", "step": step, "time": BEGAN + tick * TICK_S + i * TICK_S / count,
                "values": {"train/loss": 1 / (step + 1), "train/accuracy": 1 - 1 / (step + 1), "lr": 1e-3}})
        for i, step in enumerate(range(tick * count, (tick + 1) * count))
    ]  # fmt: skip
    paths = root.run(run_id)
    with open(paths.events, "ab") as events:
        events.write(b"".join(lines))
    with open(paths.log, "a") as log:
        log.write(f"step {tick * count} loss {1 / (tick + 1):.4f}\n" * 10)
    write_json(paths.observed, {"status": {"state": "running", "started": BEGAN}, "at": time.time(), "host": "afar"})


def rss_mb() -> float:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def points_mb(driver: Driver) -> float:
    """What the columns of the run on show hold."""
    screen = driver.app.screen
    if not isinstance(screen, RunScreen):
        return 0.0
    held = 0
    for one in screen.view.series.values():
        columns = one.columns()
        grown = [columns.steps, columns.times, columns.raw.values, columns.raw.bad]
        grown += [side for level in columns.raw.levels for side in (level.low, level.high)]
        held += sum(column.room for column in grown)
    return held / 1e6


async def test_an_hour_with_twenty_live_runs_and_a_million_events_leaves_memory_flat(tmp_path: Path) -> None:
    root = Root(tmp_path / "root")
    names = [lay_live_run(root, at) for at in range(RUNS)]
    per_tick = EVENTS * HOURS // RUNS // TICKS
    begun, weighed, points = time.process_time(), [], []
    async with driven(make_project(tmp_path / "tiny"), root) as driver:
        driver.app.open_run(names[0])
        await driver.until(lambda: isinstance(driver.app.screen, RunScreen), "the run")
        for tick in range(TICKS):
            for name in names:
                add_events(root, name, tick, per_tick)
            driver.app.look()
            await driver.pilot.pause()
            if isinstance(driver.app.screen, RunScreen):
                await driver.app.screen.pump()
            if tick % 20 == 19:
                await driver.keys(*"2345", "1")
                driver.app.open_run(names[tick // 20 % RUNS])
                await driver.pilot.pause(0.1)
            if tick % 10 == 9:
                points.append(points_mb(driver))
                weighed.append(rss_mb())
        await driver.until(
            lambda: len([r for r in driver.app.looked.runs if r.state == "running"]) == RUNS, "20 live runs"
        )
    third = len(weighed) // 3 - 1
    grown, of_points = weighed[-1] - weighed[third], points[-1] - points[third]
    events = per_tick * TICKS * RUNS
    print(f"\n{events:,} events in {RUNS} runs: {time.process_time() - begun:.0f} CPU-s with the writing")
    print("RSS in MB every 10 ticks: " + " ".join(f"{w:.0f}" for w in weighed))
    print("of which points on show: " + " ".join(f"{p:.1f}" for p in points))
    print(f"grew {grown:+.1f} from a third on, of which points {of_points:+.1f}; goal at most {MOST_MB:g} beside them")
    assert grown - of_points <= MOST_MB
