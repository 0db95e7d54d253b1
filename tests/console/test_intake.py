"""A long run is taken in fast and right, and kept as columns so that it opens at once."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from console.reading.cache import folder_of
from console.reading.intake import collect
from console.reading.view import RunView
from engine.protocol.durable import write_json
from engine.protocol.events import Event, encode, metrics_of
from engine.protocol.evidence import Summary
from engine.protocol.layout import Root, RunPaths
from engine.protocol.spec import RunSpec


def metric(step: object, time: float = 1.0, **values: Any) -> Event:
    return {"kind": "metric", "time": time, "values": values} | ({} if step is None else {"step": step})


def points(events: list[Event], counts: dict[str, int] | None = None) -> dict[str, list[tuple[float, float, float]]]:
    found: dict[str, list[tuple[float, float, float]]] = {}
    for part in collect(events, lambda name: (counts or {}).get(name, 0)):
        found.setdefault(part.name, []).extend(zip(part.steps, part.values, part.times, strict=True))
    return found


def slow(events: list[Event]) -> dict[str, list[tuple[float, float, float]]]:
    """The obvious way."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    for event in events:
        for name, value in metrics_of(event).items():
            line = found.setdefault(name, [])
            step = event.get("step")
            line.append((float(step) if isinstance(step, (int, float)) else float(len(line)), value, event["time"]))
    return found


def test_the_fast_way_and_the_obvious_way_bring_the_same_points() -> None:
    dice = random.Random(1)
    for _ in range(200):
        events = []
        for at in range(dice.randrange(1, 30)):
            names = dice.choice([["a"], ["a", "b"], ["b", "a"], ["c"]])
            value = dice.choice([0.5, 1.5, 2, True, "NaN", None, 10**400])
            step = dice.choice([at, at, at, float(at), None])
            events.append(metric(step, float(at), **{name: dice.choice([0.25, value]) for name in names}))
        assert str(points(events)) == str(slow(events))


def test_a_line_without_a_step_counts_on() -> None:
    assert points([metric(None, loss=0.5)], {"loss": 7})["loss"][0][0] == 7


def test_many_at_once_make_the_same_summary_as_one_by_one() -> None:
    values = [0.5, math.nan, 3.0, -math.inf, 2.0]
    one, many = Summary(), Summary()
    for value in values:
        one.add(value)
    many.add_all(values[:2])
    many.add_all(values[2:])
    many.add_all([])
    assert one == many


# The column cache


@pytest.fixture
def long_run(root: Root) -> RunPaths:
    paths = root.run("r1")
    paths.folder.mkdir(parents=True)
    write_json(paths.spec, RunSpec("r1", "p", "phase1", "train", "cpu", "cpu", ["true"], "/", "/").to_json())
    write_json(paths.result, {"v": 1, "state": "succeeded", "started": 1.0, "ended": 2.0})
    lines = [
        encode(metric(at, float(at), **{"train/loss": 1 / (at + 1), "val/loss": math.nan})) for at in range(15_000)
    ]
    lines.insert(7000, encode({"kind": "fact", "name": "rows", "value": 3, "time": 1.0}))
    lines.append(encode({"kind": "progress", "done": 5, "total": 10, "time": 9.0}))
    paths.events.write_bytes(b"".join(lines))
    return paths


def read(paths: RunPaths) -> RunView:
    view = RunView(paths)
    while view.pump():
        pass
    return view


def seen(view: RunView) -> str:
    assert view.evidence is not None
    columns = {
        n: (s.columns().steps.view.tobytes(), s.columns().raw.values.view.tobytes()) for n, s in view.series.items()
    }
    rest = (view.events, view.progress, view.evidence.facts, view.evidence.metrics, view.corrupt, view.meters.latest)
    return str((columns, rest, {n: (s.count, s.nan_count, s.last_step, s.last_time) for n, s in view.series.items()}))


def test_a_run_opened_from_its_columns_is_the_same_run(long_run: RunPaths) -> None:
    first = read(long_run)
    first.keep()
    again = RunView(long_run)
    again.pump()
    assert again.cached_bytes == long_run.events.stat().st_size
    assert seen(again) == seen(first)


def test_what_was_written_since_is_read_behind_the_columns(long_run: RunPaths) -> None:
    read(long_run).keep()
    with open(long_run.events, "ab") as file:
        file.write(encode(metric(15_000, 15_000.0, **{"train/loss": 0.125})))
    again = read(long_run)
    assert (again.series["train/loss"].count, again.series["train/loss"].last) == (15_001, 0.125)
    assert again.evidence is not None
    assert again.evidence.metrics["train/loss"].last == 0.125


def test_columns_of_a_file_that_was_written_anew_are_not_trusted(long_run: RunPaths) -> None:
    read(long_run).keep()
    long_run.events.write_bytes(long_run.events.read_bytes().replace(b'"train/loss":1.0', b'"train/loss":2.0'))
    assert read(long_run).series["train/loss"].columns().raw.values.view[0] == 2.0


@pytest.mark.parametrize("harm", [lambda b: b[: len(b) // 2], lambda b: b"x" + b, lambda b: b"", lambda b: b[:-4]])
def test_a_broken_cache_is_passed_over(long_run: RunPaths, harm: Any) -> None:
    first = read(long_run)
    first.keep()
    file = folder_of(long_run.folder) / "r1"
    file.write_bytes(harm(file.read_bytes()))
    assert seen(read(long_run)) == seen(first)


def test_a_cache_of_another_version_is_passed_over(long_run: RunPaths) -> None:
    first = read(long_run)
    first.keep()
    file = folder_of(long_run.folder) / "r1"
    head, _, rest = file.read_bytes().partition(b"\n")
    file.write_bytes(json.dumps(json.loads(head) | {"v": 0}).encode() + b"\n" + rest)
    again = read(long_run)
    assert seen(again) == seen(first)


def test_a_short_run_is_not_kept(long_run: RunPaths, tmp_path: Path) -> None:
    long_run.events.write_bytes(encode(metric(1, loss=0.5)))
    read(long_run).keep()
    assert not folder_of(long_run.folder).exists()
