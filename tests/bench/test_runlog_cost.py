"""What logging costs a training loop: CPU of the caller per call, and of the whole process, its writer thread included.

make bench        or        .venv/bin/python -m pytest -c tests/bench/pytest.ini tests/bench/test_runlog_cost.py -s
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine import runlog
from engine.protocol.events import read_events

CALLS = 50_000
ROUNDS = 7
PROMISED_US = 10.0

EIGHT = {f"train/metric{n}": 0.1 * n for n in range(8)}
CASES: dict[str, Callable[[int], None]] = {
    "one metric": lambda n: runlog.log(step=n, loss=0.41),
    "three metrics": lambda n: runlog.log(step=n, loss=0.41, lr=1e-4, grad_norm=2.5),
    "eight metrics": lambda n: runlog.log(step=n, **EIGHT),
}


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "events.jsonl"
    monkeypatch.setenv("FRACTAL_EVENTS", str(path))
    monkeypatch.delenv("FRACTAL_WANDB", raising=False)
    monkeypatch.setattr(runlog, "_sink", None)
    monkeypatch.setattr(runlog, "_opened", False)
    yield path
    if runlog._sink is not None:
        runlog._sink.close()


def one_round(log: Callable[[int], None]) -> tuple[float, float]:
    """Microseconds a call: of the calling thread, and of the process until everything is on disk."""
    process, caller = time.process_time(), time.thread_time()
    for n in range(CALLS):
        log(n)
    called = time.thread_time() - caller
    runlog.flush()
    return called / CALLS * 1e6, (time.process_time() - process) / CALLS * 1e6


def shown(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


@pytest.mark.parametrize("case", CASES)
def test_a_call_costs_less_than_promised(events: Path, case: str) -> None:
    runlog.log(step=0, loss=1.0)
    rounds = [one_round(CASES[case]) for _ in range(ROUNDS)]
    caller, process = ([r[at] for r in rounds] for at in (0, 1))
    print(f"\n| runlog.log, {case} | caller {shown(caller)} µs | with the writer {shown(process)} µs |")
    assert statistics.mean(caller) < PROMISED_US
    assert statistics.mean(process) < PROMISED_US * 2
    if case == "one metric":
        assert statistics.mean(process) < PROMISED_US


def test_outside_a_run_a_call_costs_next_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRACTAL_EVENTS", raising=False)
    monkeypatch.setattr(runlog, "_sink", None)
    monkeypatch.setattr(runlog, "_opened", False)
    rounds = [one_round(CASES["three metrics"])[0] for _ in range(ROUNDS)]
    print(f"\n| runlog.log outside a run | caller {shown(rounds)} µs | |")
    assert statistics.mean(rounds) < 1.0


def test_what_was_measured_was_written(events: Path) -> None:
    one_round(CASES["three metrics"])
    count, offset, more = 0, 0, True
    while more:
        batch = read_events(events, offset)
        count, offset, more = count + len(batch.events), batch.offset, batch.more
    assert count == CALLS + 1  # and the environment
