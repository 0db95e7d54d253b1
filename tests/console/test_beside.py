"""Searching and counting in a process of its own: the same answers as on a thread, ended with its caller, its death told."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from itertools import chain
from pathlib import Path

import pytest

from console.logs import beside
from console.logs.index import BLOCK, LogFile, count_newlines
from console.logs.search import matching_lines, matching_lines_back, parse_query


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LogFile:
    """Three megabytes of lines of any length; every search of it goes to a process."""
    monkeypatch.setattr(beside, "SHORT", 0)
    rng = random.Random(7)
    path = tmp_path / "log"
    with path.open("w") as out:
        for step in range(30_000):
            out.write(f"step {step} loss 0.{rng.randrange(1000):03d} {'x' * rng.randrange(150)}\n")
    return LogFile(path)


@pytest.mark.parametrize("text", ["loss 0.77", r"step \d+7 loss", "STEP 1", "nowhere", "step"])
@pytest.mark.parametrize("back", [False, True])
def test_a_process_finds_what_a_thread_finds_in_the_same_order(log: LogFile, text: str, back: bool) -> None:
    query = parse_query(text)
    obvious = (matching_lines_back if back else matching_lines)(log, query, 0, log.size)
    assert list(chain.from_iterable(beside.found(log, query, 0, log.size, back))) == list(obvious)


def test_a_process_counts_what_a_thread_counts(log: LogFile) -> None:
    last = log.size // BLOCK
    batches = list(beside.counted(log, last))
    assert list(chain.from_iterable(reversed(batches))) == list(count_newlines(log, 0, last, last * BLOCK))


def test_the_file_that_is_open_is_searched_also_when_another_took_its_name(log: LogFile) -> None:
    other = log.path.with_name("other")
    other.write_text("nothing\n")
    other.replace(log.path)
    assert sum(len(batch) for batch in beside.found(log, parse_query("step"), 0, log.size)) == 30_000


def test_a_stopped_search_ends_its_process(log: LogFile, monkeypatch: pytest.MonkeyPatch) -> None:
    started = started_processes(monkeypatch)
    assert list(beside.found(log, parse_query("step"), 0, log.size, stopped=lambda: True)) == []
    assert started[0].returncode is not None


def test_a_search_that_nobody_reads_on_ends_its_process(log: LogFile, monkeypatch: pytest.MonkeyPatch) -> None:
    started = started_processes(monkeypatch)
    first = beside.found(log, parse_query("step"), 0, log.size)
    assert len(next(first))
    first.close()  # type: ignore[attr-defined]
    assert started[0].returncode is not None


def test_a_process_that_was_killed_is_told_and_not_taken_for_the_end(
    log: LogFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = started_processes(monkeypatch)

    def kill() -> bool:
        if started[0].poll() is None:
            os.kill(started[0].pid, signal.SIGKILL)
        return False

    with pytest.raises(beside.CutShort, match="not everything was looked at"):
        list(beside.found(log, parse_query("nowhere"), 0, log.size, stopped=kill))


def started_processes(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    started: list[subprocess.Popen[bytes]] = []

    class Watched(subprocess.Popen[bytes]):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, **kwargs)  # type: ignore[call-overload]
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Watched)
    return started
