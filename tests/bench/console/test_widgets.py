"""What the chart and the log cost: CPU time, bytes to the terminal, memory.

    python -m pytest tests/bench/console/test_widgets.py -s -c tests/bench/pytest.ini
    FRACTAL_BENCH_LOG_MB=100 …                 a smaller log, where a gigabyte is too much

CPU time, not wall time, wherever a figure has a goal: the machine may be shared. Each line that is printed is one that
`docs/benchmarks.md` quotes.
"""

from __future__ import annotations

import asyncio
import gc
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.drivers.headless_driver import HeadlessDriver

from console.charts.plot import draw
from console.charts.series import Series
from console.charts.thresholds import Threshold
from console.charts.trace import Trace, View
from console.logs.index import LogFile, LogIndex, count_newlines
from console.logs.search import matching_lines, parse_query
from console.widgets.chart import Chart
from console.widgets.grid import ChartGrid
from console.widgets.log import LogView

LOG_MB = int(os.environ.get("FRACTAL_BENCH_LOG_MB", "1000"))


def cpu_ms(work: Callable[[], Any], times: int) -> list[float]:
    work()
    spent = []
    for _ in range(times):
        start = time.process_time_ns()
        work()
        spent.append((time.process_time_ns() - start) / 1e6)
    return spent


def say(what: str, spent: list[float], unit: str = "ms CPU") -> float:
    median = statistics.median(spent)
    print(f"\n  {what}: median {median:.2f} {unit}, {min(spent):.2f}–{max(spent):.2f}, n={len(spent)}", end="")
    return median


def noisy(name: str, count: int, seed: int) -> Series:
    rng = np.random.default_rng(seed)
    steps = np.arange(count)
    series = Series(name)
    series.extend(steps, 2 * np.exp(-steps / count * 4) + rng.normal(size=count) * 0.05 + 0.2 * seed, steps + 1.7e9)
    return series


# ---------------------------------------------------------------- chart


@pytest.mark.parametrize("smoothing", [None, 0.99])
def test_three_series_of_a_million_points_redraw_within_8_ms(smoothing: float | None) -> None:
    traces = []
    for at, name in enumerate(("train/loss", "eval/loss", "grad/norm")):
        columns = noisy(name, 1_000_000, at).columns()
        traces.append(Trace(name, "●", columns, columns.steps.view))
    lines = (Threshold(0.2, "E(correct) < 0.2"),)
    view = View(116, 36, "loss", thresholds=lines, smoothing=smoothing, cursor=400_000.0)
    median = say(f"chart 116×36, 3 × 1M points, smoothing {smoothing}", cpu_ms(lambda: draw(traces, view), 100))
    assert median <= 8


def test_a_chart_costs_a_fraction_of_plotext_for_the_same_points() -> None:
    plotext = pytest.importorskip("plotext", reason="plotext is a peer to compare with: pip install plotext==5.3.2")
    columns = noisy("loss", 100_000, 0).columns()
    x, y = columns.steps.view.tolist(), columns.raw.values.view.tolist()
    view = View(116, 36, "loss")

    def peer() -> None:
        plotext.clear_figure()
        plotext.plotsize(116, 36)
        plotext.plot(x, y, marker="braille")
        plotext.title("loss")
        plotext.build()

    ours = say(
        "chart 116×36, 100k points", cpu_ms(lambda: draw([Trace("loss", "●", columns, columns.steps.view)], view), 50)
    )
    theirs = say("plotext 116×36, 100k points, braille, axes", cpu_ms(peer, 3))
    print(f"\n  ratio {theirs / ours:.0f}", end="")
    assert theirs > 20 * ours


def test_a_million_points_are_taken_in_and_smoothed() -> None:
    steps, values = list(range(1_000_000)), [math.sin(at / 1000) for at in range(1_000_000)]

    def take_in() -> Series:
        series = Series("loss")
        series.extend(steps, values, steps)
        series.columns()
        return series

    say("1M points from lists to columns and pyramid", cpu_ms(take_in, 5))
    series = take_in()
    say(
        "1M points smoothed the first time",
        cpu_ms(lambda: (series.columns().smooth(0.5), series.columns().smooth(0.9)), 5),
    )


def test_appending_one_point_costs_microseconds() -> None:
    series = Series("loss")

    def append() -> None:
        for at in range(100_000):
            series.append(series.count, 1.0, at)

    say("100,000 single appends", cpu_ms(append, 5))


class CountingDriver(HeadlessDriver):
    """Takes what a terminal would be sent and counts it."""

    written = 0

    @property
    def is_headless(self) -> bool:
        return False

    def write(self, data: str) -> None:
        CountingDriver.written += len(data.encode())


class FourCharts(App[None]):
    def __init__(self) -> None:
        super().__init__(driver_class=CountingDriver)
        self.series: list[Series] = []

    def compose(self) -> ComposeResult:
        charts = []
        for at in range(4):
            chart = Chart(f"chart {at}")
            one = noisy(f"metric {at}", 10_000, at)
            self.series.append(one)
            chart.set_series({one.name: one})
            charts.append(chart)
        yield ChartGrid(charts)


@pytest.mark.parametrize("naive", [False, True])
async def test_four_live_charts_at_2_hz_write_at_most_15_kb_a_second(
    naive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")
    app = FourCharts()
    rng = np.random.default_rng(1)
    frames, cpu = [], []

    async def drive() -> None:
        await asyncio.sleep(0.5)
        grid = app.query_one(ChartGrid)
        for frame in range(60):
            for one in app.series:
                for _ in range(10):
                    one.append(one.count, 0.3 + float(rng.normal()) * 0.05, 1.7e9 + one.count)
            before, start = CountingDriver.written, time.process_time()
            grid.pump()
            if naive:
                for chart in grid.charts:
                    chart.refresh()
            await asyncio.sleep(0.05)
            if frame:
                frames.append(float(CountingDriver.written - before))
                cpu.append((time.process_time() - start) * 1000)
        app.exit()

    await asyncio.gather(app.run_async(headless=False, size=(120, 40)), drive())
    mean = statistics.mean(frames)
    how = ", whole charts refreshed" if naive else ""
    say(f"4 charts in 120×40, one frame with 10 new points each{how}", frames, "bytes")
    say(f"4 charts in 120×40, one frame, screen included{how}", cpu)
    print(f"\n  at 2 Hz: {mean * 2 / 1000:.1f} kB/s, {statistics.mean(cpu) * 2 / 10:.2f} % of a core", end="")
    assert naive or mean * 2 <= 15_000


# ---------------------------------------------------------------- log


@pytest.fixture(scope="module")
def big_log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("log") / "log"
    line = (
        "2026-11-20 23:%02d:%02d INFO train step %d loss=0.%04d lr=1.0e-4 grad_norm=0.83 tokens/s=18342 memory=71.2GB\n"
    )
    part = "".join(line % (n // 60 % 60, n % 60, n, n * 7919 % 10000) for n in range(80_000)).encode()
    with path.open("wb") as out:
        for _ in range(LOG_MB * 1_000_000 // len(part)):
            out.write(part)
        out.write(b"the only needle stands at the end\n")
    yield path
    path.unlink()


FIRST_PAGE = """
import asyncio, resource, sys, time
from pathlib import Path
from textual.app import App
from console.widgets.log import LogView

def rss():
    return int(next(row for row in open("/proc/self/status") if row.startswith(sys.argv[2])).split()[1]) / 1024

class LogApp(App):
    def compose(self):
        yield LogView()

async def main():
    app = LogApp()
    async with app.run_test(size=(120, 40)) as pilot:
        view = app.query_one(LogView)
        before, start, cpu = rss(), time.perf_counter(), time.process_time()
        view.open(Path(sys.argv[1]))
        shown = [view.lines.render_line(y).text for y in range(view.lines.room.height)]
        wall, spent = time.perf_counter() - start, time.process_time() - cpu
        assert any("needle" in row for row in shown)
        await app.workers.wait_for_complete()
        await pilot.pause()
        counted, used = time.perf_counter() - start, time.process_time() - cpu
        view.lines.search("stands nowhere")
        view.lines.set_filter("step 777 ")
        await app.workers.wait_for_complete()
        await pilot.pause()
        print(wall, spent, counted, used, before, rss(), view.lines.row_count)

asyncio.run(main())
"""


def test_a_gigabyte_shows_its_last_page_within_300_ms_and_120_mb(big_log: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", FIRST_PAGE, str(big_log), "VmHWM"], check=True, capture_output=True, text=True
    )
    wall, spent, counted, used, before, after, rows = map(float, run.stdout.split())
    size = big_log.stat().st_size / 1e6
    print(f"\n  log of {size:.0f} MB: last page after {wall * 1000:.0f} ms ({spent * 1000:.0f} ms CPU)", end="")
    print(f"\n  all lines counted after {counted:.2f} s ({used:.2f} s CPU, {size / used:.0f} MB/s)", end="")
    print(f"\n  peak RSS {after:.0f} MB, of which {before:.0f} MB before opening; filter kept {rows:.0f} lines", end="")
    assert wall <= 0.3
    assert after <= 120


SEARCHES = ["stands nowhere", "Needle Nowhere", r"needle \w+ nowhere", r"loss=0\.\d+ absent"]


@pytest.mark.parametrize("text", SEARCHES)
def test_a_gigabyte_is_searched_at_500_mb_a_second(big_log: Path, text: str) -> None:
    file, query = LogFile(big_log), parse_query(text)
    count_newlines(file, 0, 400, file.size)
    start = time.process_time()
    assert list(matching_lines(file, query, 0, file.size)) == []
    spent = time.process_time() - start
    rate = file.size / 1e6 / spent
    print(f"\n  search {text!r}: {spent:.2f} s CPU for {file.size / 1e6:.0f} MB, {rate:.0f} MB/s", end="")
    if query.pattern is None:
        assert rate >= 500


class LogApp(App[None]):
    """A log on a terminal that tells when it is written to."""

    def __init__(self) -> None:
        super().__init__(driver_class=CountingDriver)
        self.written = asyncio.Event()

    def compose(self) -> ComposeResult:
        yield LogView()

    def _display(self, screen: Any, renderable: Any) -> None:
        super()._display(screen, renderable)
        self.written.set()


async def key_waits(app: LogApp, until: Callable[[], bool]) -> list[float]:
    """Wall milliseconds from a key at the driver to the terminal being written with the cursor moved, again and again."""
    waits: list[float] = []
    lines = app.query_one(LogView).lines
    while not until():
        if lines.row_count < 2:  # a filter that has found nothing yet: no key moves anything
            await asyncio.sleep(0.005)
            continue
        before, start = lines._cursor, time.perf_counter()
        app.post_message(events.Key("down" if lines.cursor_row == 0 else "up", None))
        while lines._cursor == before or not app.written.is_set():
            app.written.clear()
            await asyncio.wait_for(app.written.wait(), 10)
        waits.append((time.perf_counter() - start) * 1000)
        await asyncio.sleep(0.02)
    return sorted(waits)


def told(waits: list[float]) -> str:
    return f"median {statistics.median(waits):.1f}, p95 {p95(waits):.1f}, most {waits[-1]:.1f}, n={len(waits)}"


def p95(waits: list[float]) -> float:
    return waits[int(len(waits) * 0.95)]


@pytest.mark.parametrize("work", ["count", "search", "filter"])
async def test_keys_are_answered_within_50_ms_meanwhile(
    big_log: Path, work: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    app = LogApp()
    found: dict[str, list[float]] = {}
    took: list[float] = []

    async def drive() -> None:
        await asyncio.sleep(0.5)
        view = app.query_one(LogView)
        view.lines.focus()
        gc.collect()
        gc.freeze()  # a full collection over pytest's own objects took up to 130 ms
        view.open(big_log)
        if work != "count":
            await app.workers.wait_for_complete()
            end = time.perf_counter() + 2
            found["idle"] = await key_waits(app, lambda: time.perf_counter() > end)
            view.lines.search("stands nowhere") if work == "search" else view.lines.set_filter("loss=0.77")
        start, cpu = time.perf_counter(), time.process_time()
        running = asyncio.ensure_future(app.workers.wait_for_complete())
        found["busy"] = await key_waits(app, running.done)
        await running
        gc.unfreeze()
        took.extend((time.perf_counter() - start, time.process_time() - cpu))
        app.exit()

    await asyncio.gather(app.run_async(headless=False, size=(120, 40)), drive())
    print(f"\n  a key until it is on screen while it {work}s: {told(found['busy'])} ms wall", end="")
    print(f"; with nothing running {told(found['idle'])}" if "idle" in found else "", end="")
    print(f"; the whole took {took[0]:.2f} s, {took[1]:.2f} s CPU with the keys", end="")
    load = os.getloadavg()[0]
    print(f"; load {load:.1f} on {os.cpu_count()} cores", end="")
    assert p95(found["busy"]) <= 50 or load > (os.cpu_count() or 1)


def test_following_costs_little_at_2_hz(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 99 + b"\n" * 1)
    index = LogIndex(LogFile(path))

    def grow() -> None:
        with path.open("ab") as out:
            out.write(b"step 1 loss 0.5\n" * 50)
        index.file.check()
        index.grow()

    say("taking in 50 new lines", cpu_ms(grow, 100))
