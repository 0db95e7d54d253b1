"""One hour of simulated time with 20 live runs and a million events: the console's memory stays flat.

.venv/bin/python -m pytest -c tests/bench/pytest.ini tests/bench/console/test_soak.py -s

Time is simulated by what the runs write: 120 ticks of thirty seconds, at each of them every run adds its events and the console
looks, pumps and paints as it does in life; every 20 ticks its user goes to another screen and back. FRACTAL_SOAK_EVENTS sets
another number of events.
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
from tests.console.driver import driven
from tests.console.tiny import make_project

RUNS, TICKS, TICK_S = 20, 120, 30
EVENTS = int(os.environ.get("FRACTAL_SOAK_EVENTS", "1000000"))
BEGAN = 1_790_000_000.0
MOST_MB = 12.0
"""From the first third to the end; the points of the run on show alone are 50,000 × 3 series × about 30 bytes, 4.5 MB in all."""


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


async def test_an_hour_with_twenty_live_runs_and_a_million_events_leaves_memory_flat(tmp_path: Path) -> None:
    root = Root(tmp_path / "root")
    names = [lay_live_run(root, at) for at in range(RUNS)]
    per_tick = EVENTS // RUNS // TICKS
    begun, weighed = time.process_time(), []
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
                weighed.append(rss_mb())
        await driver.until(
            lambda: len([r for r in driver.app.looked.runs if r.state == "running"]) == RUNS, "20 live runs"
        )
    third, last = weighed[len(weighed) // 3 - 1], weighed[-1]
    events = per_tick * TICKS * RUNS
    print(f"\n{events:,} events in {RUNS} runs: {time.process_time() - begun:.0f} CPU-s with the writing")
    print(
        "RSS in MB at each twelfth: "
        + " ".join(f"{w:.0f}" for w in weighed)
        + f"; grew {last - third:+.1f} from a third on"
    )
    assert last - third <= MOST_MB
