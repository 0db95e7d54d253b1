"""How fast events are read: whole files, with corrupt lines among them, folded into evidence, and following a live file.

make bench        or        .venv/bin/python -m pytest -c tests/bench/pytest.ini tests/bench/test_reader.py -s
"""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from engine.protocol.durable import create_once
from engine.protocol.events import Event, encode, every_event, read_events
from engine.protocol.evidence import EvidenceReader
from engine.protocol.layout import RunPaths
from engine.protocol.spec import RunSpec
from engine.protocol.status import Status
from tests.bench.spent import cpu_of

EVENTS = 200_000
ROUNDS = 5
# A day of training that logs twice a second is 170,000 events; a console that opens it should answer within a second or two.
LEAST_PER_S = {"read": 100_000, "read, corrupt lines among them": 30_000, "read and folded": 50_000}


def event(n: int) -> Event:
    values = {"loss": 1 / (n + 1), "lr": 1e-4, "grad_norm": 2.5 + n % 7}
    return {"v": 1, "seq": n + 1, "time": 1.79e9 + n / 2, "kind": "metric", "step": n, "values": values}


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    paths = RunPaths(tmp_path_factory.mktemp("bench") / "run")
    paths.folder.mkdir()
    spec = RunSpec("run", "p", "phase", "train", "cpu", "cpu", ["true"], "/", "/")
    create_once(paths.spec, spec.to_json())
    paths.events.write_bytes(b"".join(encode(event(n)) for n in range(EVENTS)))
    return paths


def told(what: str, took: list[float], size: int) -> None:
    speeds = sorted(EVENTS / s for s in took)
    print(
        f"\n| {what} | {statistics.median(speeds):,.0f} events/s ({speeds[0]:,.0f}–{speeds[-1]:,.0f}) "
        f"| {size / statistics.median(took) / 1e6:.0f} MB/s |"
    )
    assert statistics.median(speeds) > LEAST_PER_S[what]


def test_reading_a_whole_file(paths: RunPaths) -> None:
    took = [cpu_of(lambda: every_event(paths.events)) for _ in range(ROUNDS)]
    told("read", took, paths.events.stat().st_size)


def test_reading_a_file_with_corrupt_lines(paths: RunPaths, tmp_path: Path) -> None:
    """One in ten thousand: each read of four megabytes meets one, so none takes the fast path."""
    path = tmp_path / "events.jsonl"
    lines = paths.events.read_bytes().splitlines(keepends=True)
    for at in range(0, EVENTS, 10_000):
        lines[at] = b'{"kind": "met\n'
    path.write_bytes(b"".join(lines))
    took = [cpu_of(lambda: every_event(path)) for _ in range(ROUNDS)]
    told("read, corrupt lines among them", took, path.stat().st_size)


def test_folding_into_evidence(paths: RunPaths) -> None:
    took = [cpu_of(lambda: EvidenceReader(paths).read(Status("running"))) for _ in range(ROUNDS)]
    told("read and folded", took, paths.events.stat().st_size)


def test_following_a_live_file_costs_by_what_is_new(paths: RunPaths) -> None:
    """A console that looks at a file of 200,000 events: one look where nothing is new, one where ten events are."""
    end = paths.events.stat().st_size
    idle = [cpu_of(lambda: [read_events(paths.events, end) for _ in range(200)]) / 200 * 1e6 for _ in range(ROUNDS)]
    last = end - len(b"".join(encode(event(n)) for n in range(EVENTS - 10, EVENTS)))
    ten = [cpu_of(lambda: [read_events(paths.events, last) for _ in range(200)]) / 200 * 1e6 for _ in range(ROUNDS)]
    assert len(read_events(paths.events, last).events) == 10
    print(
        f"\n| a look, nothing new | {statistics.median(idle):.0f} µs | ten new events {statistics.median(ten):.0f} µs |"
    )
    assert statistics.median(ten) < 2000
