"""Reading events by offset: each whole line exactly once, whatever the writer does."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.protocol.events import Event, _parse_line, encode, metrics_of, number, parse, read_events
from tests.polling import until


def follow(path: Path, offset: int = 0, limit: int = 1 << 20) -> tuple[list[Event], int]:
    """Everything that is there now, read on from an offset."""
    events: list[Event] = []
    more = True
    while more:
        batch = read_events(path, offset, limit)
        events += batch.events
        offset, more = batch.offset, batch.more
    return events, offset


@pytest.mark.parametrize("value", [0, -1.5, 1e300, math.inf, -math.inf, math.nan])
def test_every_number_survives_the_line(value: float) -> None:
    line = encode({"kind": "metric", "values": {"loss": value}})
    assert line.endswith(b"\n")
    strict = json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    found = metrics_of(strict)["loss"]
    assert found == value or (math.isnan(found) and math.isnan(value))


def test_nan_deep_inside_is_spelled_out() -> None:
    line = encode({"kind": "fact", "value": [math.nan, {"x": (math.inf,)}], "low": -math.inf})
    assert json.loads(line) == {"kind": "fact", "value": ["NaN", {"x": ["Infinity"]}], "low": "-Infinity"}


def test_one_event_is_one_line_whatever_it_says() -> None:
    assert encode({"kind": "note", "text": "a\nb\r\n\u2028\x85ü"}).count(b"\n") == 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, 1.0),
        (3, 3.0),
        ("Infinity", math.inf),
        ("inf", math.inf),
        ("-inf", -math.inf),
        ("-Infinity", -math.inf),
        pytest.param(10**400, math.inf, id="too large"),
        pytest.param(-(10**400), -math.inf, id="too small"),
        ("3", None),
        ("", None),
        (None, None),
        ([1], None),
    ],
)
def test_what_counts_as_a_number(value: Any, expected: float | None) -> None:
    assert number(value) == expected


@pytest.mark.parametrize("values", [None, 3, [1, 2], "x"])
def test_a_metric_without_an_object_of_values_carries_nothing(values: Any) -> None:
    assert metrics_of({"kind": "metric", "values": values}) == {}


def test_a_file_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    batch = read_events(tmp_path / "events.jsonl")
    assert (batch.events, batch.offset, batch.more, batch.rewritten) == ([], 0, False, False)


def test_a_torn_tail_is_not_yet(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"kind":"a"}\n{"kind":"b"')
    batch = read_events(path)
    assert ([e["kind"] for e in batch.events], batch.offset, batch.corrupt) == (["a"], 13, [])
    with open(path, "ab") as file:
        file.write(b"}\n")
    assert [e["kind"] for e in read_events(path, batch.offset).events] == ["b"]


def test_a_torn_tail_alone_does_not_promise_more(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"kind":"b"')
    batch = read_events(path)
    assert (batch.offset, batch.more) == (0, False)


CORRUPT = [
    b"{",
    b"not json",
    b"[1]",
    b"3",
    b"null",
    b'{"kind":5}',
    b'{"no":"kind"}',
    b'{"kind":null}',
    b"\xff\xfe\x00",
    b"\0" * 40,
    b"[" * 50_000,
    b'{"kind":"a"}{"kind":"b"}',
    b'{"kind":"a"},{"kind":"b"}',
    b'{"kind":"a","n":' + b"9" * 5000 + b"}",
]


@pytest.mark.parametrize("line", CORRUPT, ids=lambda line: repr(line[:20]))
def test_a_corrupt_line_in_the_middle_is_named_and_passed_over(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"kind":"first"}\n' + line + b'\n{"kind":"last"}\n')
    batch = read_events(path)
    assert [e["kind"] for e in batch.events] == ["first", "last"]
    assert batch.corrupt == [17]
    assert batch.offset == path.stat().st_size


def test_blank_lines_are_no_news(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'\n\n{"kind":"a"}\n  \r\n{"kind":"b"}\r\n\n')
    batch = read_events(path)
    assert ([e["kind"] for e in batch.events], batch.corrupt) == (["a", "b"], [])


def test_an_unknown_kind_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"kind":"from-the-future","v":9,"x":1}\n')
    assert read_events(path).events == [{"kind": "from-the-future", "v": 9, "x": 1}]


def test_bare_nan_of_another_language_is_read(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"kind":"metric","values":{"loss":NaN}}\n')
    assert math.isnan(metrics_of(read_events(path).events[0])["loss"])


def test_a_rewritten_file_is_read_again_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"kind":"old"}\n' * 5)
    offset = read_events(path).offset
    path.write_bytes(b'{"kind":"new"}\n')
    batch = read_events(path, offset)
    assert (batch.rewritten, [e["kind"] for e in batch.events], batch.offset) == (True, ["new"], 15)


def test_a_file_that_vanished_counts_as_rewritten(tmp_path: Path) -> None:
    batch = read_events(tmp_path / "events.jsonl", 100)
    assert (batch.rewritten, batch.offset) == (True, 0)


@pytest.mark.parametrize("limit", [1, 7, 64, 1000])
def test_lines_longer_than_one_read_come_whole_and_once(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "events.jsonl"
    events = [{"kind": "note", "n": n, "text": "x" * (n * 37 % 300)} for n in range(60)]
    path.write_bytes(b"".join(encode(e) for e in events))
    found, offset = follow(path, limit=limit)
    assert found == events
    assert offset == path.stat().st_size


def test_the_fast_path_agrees_with_one_line_at_a_time() -> None:
    dice = random.Random(20261120)
    sound = [encode({"kind": "metric", "n": n})[:-1] for n in range(5)]
    lines = [*sound * 8, *CORRUPT, b"", b'{"kind":"a",', b'"b":1}', b'{"kind":"a"},', b"},{"]
    for _ in range(3000):
        chosen = [dice.choice(lines) for _ in range(dice.randint(0, 5))]
        data = b"".join(line + b"\n" for line in chosen)
        slow = [event for line in chosen if (event := _parse_line(line)) is not None]
        assert parse(data).events == slow, chosen


def test_exactly_once_while_a_writer_tears_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    script = """
import os, random, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
dice = random.Random(7)
for n in range(3000):
    line = b'{"kind":"note","n":%d,"text":"%s"}\\n' % (n, b"x" * dice.randrange(80))
    cut = dice.randrange(len(line))
    os.write(fd, line[:cut])
    os.write(fd, line[cut:])
"""
    writer = subprocess.Popen([sys.executable, "-S", "-c", script, str(path)])
    seen: list[int] = []
    offset = 0

    def read_on() -> bool:
        nonlocal offset
        batch = read_events(path, offset, 500)
        assert batch.corrupt == []
        seen.extend(e["n"] for e in batch.events)
        offset = batch.offset
        return len(seen) >= 3000

    try:
        while writer.poll() is None:
            read_on()
        until(read_on, "every line")
    finally:
        writer.kill()
        writer.wait()
    assert seen == list(range(3000))
