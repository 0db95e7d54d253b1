"""What 100,000 runs cost: asking, looking once a second, opening the list, scrolling, filtering, sorting. CPU time.

python -m pytest tests/bench/console/test_runs_table.py -s -c tests/bench/pytest.ini
FRACTAL_BENCH_RUNS=10000 …                 fewer, where the minute of preparing them is too much
"""

from __future__ import annotations

import json
import os
import random
import resource
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from console.app import ConsoleApp
from console.project import Project
from console.runs.index import RunIndex, Sort
from console.runs.query import parse, resolved
from console.screens.runs import RunsScreen
from console.store import COLUMNS, RunRow, Store
from console.workers import look
from console.workspace import Workspace
from engine.protocol.layout import Root
from engine.protocol.spec import hash_of
from tests.console.tiny import make_project

RUNS = int(os.environ.get("FRACTAL_BENCH_RUNS", "100000"))
BEGAN = 1.78e9


def say(what: str, spent: list[float], unit: str = "ms CPU") -> float:
    median = statistics.median(spent)
    print(f"\n  {what}: median {median:.2f} {unit}, {min(spent):.2f}–{max(spent):.2f}, n={len(spent)}", end="")
    return median


def cpu_ms(work: Callable[[], Any], times: int) -> list[float]:
    work()
    spent = []
    for _ in range(times):
        start = time.process_time_ns()
        work()
        spent.append((time.process_time_ns() - start) / 1e6)
    return spent


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Root:
    """An index of many ended runs of eight phases, a fifth of them of the tiny project's own, and a folder for each."""
    root = Root(tmp_path_factory.mktemp("many") / "root")
    store = Store(root.path / "console.db")
    db = store._db
    root.runs.mkdir(parents=True)
    db.execute("BEGIN")
    runs, configs, shown = zip(*(_run(root, at, random.Random(at)) for at in range(RUNS)), strict=True)
    marks = ",".join("?" * len(COLUMNS))
    db.executemany(f"INSERT INTO runs ({', '.join(COLUMNS)}) VALUES ({marks})", runs)
    db.executemany("INSERT OR IGNORE INTO configs VALUES (?, ?)", configs)
    db.executemany("INSERT INTO finals (run_id, body) VALUES (?, ?)", shown)
    db.executemany("INSERT INTO registered VALUES (?)", [(run[0],) for run in runs])
    names = [("config", key) for key in json.loads(configs[0][1])] + [("final", key) for key in json.loads(shown[0][1])]
    db.executemany("INSERT INTO names VALUES (?, ?)", names)
    db.execute("COMMIT")
    store.close()
    return root


def _run(root: Root, at: int, dice: random.Random) -> tuple[tuple[Any, ...], tuple[str, str], tuple[str, str]]:
    """One run's row, config and final values, as the store writes them; and its folder."""
    run_id = f"20260101-{at:06d}-phase{at % 8}-train-{at % 7919:05d}"
    os.mkdir(root.runs / run_id)
    config = {"level": 5, "train.lr": 10 ** dice.uniform(-5, -2), "train.width": 2 ** (at % 6), "seed": at % 5}
    values = {f"eval/m{i}": dice.random() for i in range(12)} | {"eval/accuracy": dice.random()}
    state, began = dice.choice(["succeeded"] * 6 + ["failed", "stopped"]), BEGAN + at * 60
    row = RunRow(
        *(run_id, "local" if at % 3 else "gpu", "tiny", "phase1-tiny" if at % 5 == 0 else f"phase{at % 8}-other"),
        *("make" if at % 2 else "judge", "cpu", f"cpu+n={at // 5}", None, began, "ann@desk", at % 5, "tree", "code"),
        *(hash_of(config), f"family{at // 5}", state, "exit code 1", began, began + dice.uniform(5, 5000), True),
    )
    return tuple(row.__dict__.values()), (row.config_hash, json.dumps(config)), (run_id, json.dumps(values))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(make_project(tmp_path / "tiny"))


def test_asking_the_index(root: Root) -> None:
    store = Store(root.path / "console.db")
    index = RunIndex(store)
    print(f"\n{RUNS} runs, index of {(root.path / 'console.db').stat().st_size / 1e6:.0f} MB")
    names = index.names()
    for what, text, sort in (
        ("everything, newest first", "", "age"),
        ("sorted by duration", "", "-took"),
        ("sorted by a metric", "", "-eval/accuracy"),
        ("a phase and a state", "phase:1 state:failed", "age"),
        ("a metric above a value", "eval/accuracy>0.95", "age"),
        ("a config value and a metric", "cfg.lr>=1e-3 eval/accuracy>0.9", "-eval/accuracy"),
        ("a free word", "gpu", "age"),
        ("a tag", "tag:best", "age"),
    ):
        query = resolved(parse(text), names)
        found = index.ids(query, "tiny", Sort.parse(sort))
        say(f"{what} ({len(found)} found)", cpu_ms(lambda q=query, s=sort: index.ids(q, "tiny", Sort.parse(s)), 5))
    ids = index.ids(resolved(parse(""), names), "tiny")
    at = iter(range(0, len(ids), 97))
    say("40 lines anywhere", cpu_ms(lambda: index.lines(ids[(n := next(at)) : n + 40], ["eval/accuracy"]), 50))
    index.close()
    store.close()


def test_a_look_once_a_second(root: Root, project: Project) -> None:
    space = Workspace(project, root)
    first = time.process_time_ns()
    look(space, {})
    print(f"\n  first look: {(time.process_time_ns() - first) / 1e6:.0f} ms CPU", end="")
    say("a look", cpu_ms(lambda: look(space, {}), 10))
    space.close()


async def test_the_list_of_runs(root: Root, project: Project) -> None:
    app = ConsoleApp(Workspace(project, root))
    async with app.run_test(size=(160, 50)) as pilot:
        while app.looked is None:
            await pilot.pause(0.05)
        await pilot.pause(1.5)
        idle = await _cpu(lambda: pilot.pause(3))
        before = time.process_time_ns()
        await pilot.press("2")
        await _until(pilot, lambda: isinstance(app.screen, RunsScreen) and len(app.screen.table.ids) == RUNS)
        opened = (time.process_time_ns() - before) / 1e6
        screen = app.screen
        assert isinstance(screen, RunsScreen)
        print(f"\n  opened: {opened:.0f} ms CPU", end="")
        for what, key, times in (
            ("a page down", "pagedown", 60),
            ("a row down", "down", 60),
            ("a page up", "pageup", 30),
        ):
            say(what, [await _cpu(lambda k=key: _press(pilot, k)) for _ in range(times)])
        say("to the end and back", [await _cpu(lambda k=k: _press(pilot, k)) for k in ("end", "home") * 5])
        filtered = []
        for text in ("state:failed", "eval/accuracy>0.9", "", "phase:1 cfg.lr>1e-3"):
            count = len(screen.table.ids)
            start = time.process_time_ns()
            screen.query_one("#filter").value = text  # type: ignore[attr-defined]
            await _until(pilot, lambda c=count: len(screen.table.ids) != c)
            filtered.append((time.process_time_ns() - start) / 1e6)
        say("a query answered on screen", filtered)
        listed = await _cpu(lambda: pilot.pause(5))
        print(f"\n  idle on the phases {idle / 30:.1f} %, on the list {listed / 50:.1f} % of a core", end="")
    print(f"\n  {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB at most in this process", end="")


async def _press(pilot: Any, key: str) -> None:
    await pilot.press(key)


async def _cpu(work: Callable[[], Awaitable[Any]]) -> float:
    start = time.process_time_ns()
    await work()
    return (time.process_time_ns() - start) / 1e6


async def _until(pilot: Any, true: Callable[[], bool]) -> None:
    limit = time.monotonic() + 120
    while not true():
        assert time.monotonic() < limit
        await pilot.pause(0.02)


def test_the_answer_is_exact(root: Root) -> None:
    """The fast way finds what a plain reading of the index finds."""
    store = Store(root.path / "console.db")
    index = RunIndex(store)
    query = resolved(parse("cfg.lr>=5e-3 eval/accuracy>0.99 -state:failed"), index.names())
    fast = index.ids(query, "tiny", Sort("run"))
    configs = {h: json.loads(b) for h, b in store._db.execute("SELECT config_hash, body FROM configs")}
    slow = sorted(
        run_id
        for run_id, config_hash, state, body in store._db.execute(
            "SELECT r.run_id, config_hash, state, body FROM runs r JOIN finals f USING (run_id)"
        )
        if configs[config_hash]["train.lr"] >= 5e-3 and json.loads(body)["eval/accuracy"] > 0.99 and state != "failed"
    )
    assert fast == slow
    index.close()
    store.close()
