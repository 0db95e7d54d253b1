"""The run log as a program meets it: cheap, whole lines only, and nothing that goes wrong in it stops the run."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import runlog
from engine.protocol.events import Event, metrics_of
from engine.runlog import Sink, WandbSink
from tests import live
from tests.polling import until

PROJECT = Path(__file__).resolve().parents[1]


def events_of(path: Path) -> list[Event]:
    """What the program said; the environment, which the run log puts first of all by itself, left out."""
    first, *rest = live.events_of(path)
    assert first["kind"] == "environment"
    return rest


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The module's own sink, opened afresh on a file of this test."""
    path = tmp_path / "events.jsonl"
    monkeypatch.setenv("FRACTAL_EVENTS", str(path))
    monkeypatch.setenv("FRACTAL_WORK", str(tmp_path))
    monkeypatch.delenv("FRACTAL_WANDB", raising=False)
    monkeypatch.setattr(runlog, "_sink", None)
    monkeypatch.setattr(runlog, "_opened", False)
    yield path
    if runlog._sink is not None:
        runlog._sink.close()
        os.close(runlog._sink._fd)


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Sink]:
    sink = Sink(tmp_path / "events.jsonl")
    yield sink
    sink.close()
    os.close(sink._fd)


def flushed(path: Path) -> list[Event]:
    runlog.flush()
    return events_of(path)


def program(script: str, path: Path, **env: str) -> subprocess.CompletedProcess[str]:
    words = {**os.environ, "FRACTAL_EVENTS": str(path), **env}
    argv = [sys.executable, "-c", "from engine import runlog\n" + script]
    return subprocess.run(argv, cwd=PROJECT, env=words, capture_output=True, text=True, check=False, timeout=60)


def test_one_call_is_one_line(events: Path) -> None:
    runlog.log(step=3, loss=0.5, **{"eval/accuracy": 1})
    (event,) = flushed(events)
    assert (event["kind"], event["step"], event["values"]) == ("metric", 3, {"loss": 0.5, "eval/accuracy": 1})


def test_every_kind_is_written_in_order_and_numbered(events: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"x":1}\n{"x":2}\n')
    runlog.fact("gain", 0.05, low=0.01, high=0.09, pool="mbpp")
    runlog.artifact(tmp_path / "a.jsonl")
    runlog.model("m", "energy", tmp_path / "a.jsonl", {"layers": 2})
    runlog.checkpoint(tmp_path / "ck.pt", step=7)
    runlog.progress(3, 10)
    runlog.note("hello")
    found = flushed(events)
    assert [e["kind"] for e in found] == ["fact", "artifact", "model", "checkpoint", "progress", "note"]
    assert [e["seq"] for e in found] == [2, 3, 4, 5, 6, 7]
    assert (found[1]["path"], found[1]["rows"], found[2]["metadata"]) == ("a.jsonl", 2, {"layers": 2})
    assert (found[3]["path"], found[3]["step"]) == ("ck.pt", 7)


def test_nan_and_infinity_are_written_and_come_back(events: Path) -> None:
    runlog.log(step=1, a=math.nan, b=math.inf, c=-math.inf)
    values = metrics_of(flushed(events)[0])
    assert math.isnan(values["a"])
    assert (values["b"], values["c"]) == (math.inf, -math.inf)


def test_numpy_and_torch_scalars_are_numbers_also_as_step(events: Path) -> None:
    import numpy as np
    import torch

    runlog.log(step=np.int64(3), a=np.float32(0.5), b=torch.tensor(2.0), c=torch.tensor([4]))  # type: ignore[arg-type]
    (event,) = flushed(events)
    assert (event["step"], event["values"]) == (3, {"a": 0.5, "b": 2.0, "c": 4})


def test_a_tensor_that_changes_after_the_call_is_logged_as_it_was(events: Path) -> None:
    import torch

    running = torch.zeros(())
    for _ in range(3):
        running += 1
        runlog.log(total=running)
    assert [e["values"]["total"] for e in flushed(events)] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "strange", [object(), {1, 2}, b"bytes", 1 + 2j, Path("x"), [object()]], ids=lambda v: type(v).__name__
)
def test_a_value_that_is_no_json_spoils_nothing(events: Path, strange: Any) -> None:
    runlog.log(step=1, loss=0.5)
    runlog.log(step=2, loss=0.25, strange=strange)
    runlog.fact("strange", strange)
    runlog.log(step=3, loss=0.125)
    found = flushed(events)
    assert [metrics_of(e)["loss"] for e in found if e["kind"] == "metric"] == [0.5, 0.25, 0.125]


def test_a_tensor_of_many_elements_spoils_nothing(events: Path) -> None:
    import torch

    runlog.log(step=1, loss=0.5, grads=torch.zeros(3))
    assert metrics_of(flushed(events)[0]) == {"loss": 0.5}


def test_lines_are_on_disk_soon_without_being_asked(events: Path) -> None:
    runlog.log(loss=0.5)
    until(lambda: events.exists() and events.read_bytes().endswith(b"\n"), "the line", deadline_s=5)


def test_outside_a_run_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRACTAL_EVENTS", raising=False)
    monkeypatch.setattr(runlog, "_sink", None)
    monkeypatch.setattr(runlog, "_opened", False)
    monkeypatch.chdir(tmp_path)
    runlog.log(loss=0.5)
    runlog.fact("a", 1)
    runlog.artifact("not-there.npz")
    runlog.note("x")
    runlog.flush()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("rank", "lines"), [("0", 1), ("1", 0), ("7", 0)])
def test_only_rank_0_writes(tmp_path: Path, rank: str, lines: int) -> None:
    done = program("runlog.log(loss=0.5)", tmp_path / "events.jsonl", RANK=rank)
    assert (done.returncode, done.stderr) == (0, "")
    path = tmp_path / "events.jsonl"
    assert len(events_of(path) if path.exists() else []) == lines


def test_events_that_can_not_be_written_at_all_do_not_stop_the_run(tmp_path: Path) -> None:
    done = program("runlog.log(loss=0.5)\nrunlog.note('x')\nprint('through')", tmp_path / "no" / "events.jsonl")
    assert (done.returncode, done.stdout) == (0, "through\n")
    assert done.stderr.count("The run goes on without events") == 1


@pytest.mark.parametrize("end", ["pass", "raise ValueError('x')", "raise SystemExit(3)", "raise KeyboardInterrupt"])
def test_what_was_logged_last_is_there_however_the_program_ends(tmp_path: Path, end: str) -> None:
    program(f"for n in range(500): runlog.log(step=n, loss=n)\n{end}", tmp_path / "events.jsonl")
    assert [e["step"] for e in events_of(tmp_path / "events.jsonl")] == list(range(500))


def test_a_killed_program_leaves_whole_lines_and_all_but_the_last_moment(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    script = (
        "import os, time\nfor n in range(1000): runlog.log(step=n, loss=n)\ntime.sleep(0.6)\nos.kill(os.getpid(), 9)"
    )
    assert program(script, path).returncode == -9
    assert [e["step"] for e in events_of(path)] == list(range(1000))


def test_a_torn_tail_of_an_earlier_attempt_spoils_no_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"kind":"note","text":"whole"}\n{"kind":"no')
    program("runlog.note('mine')", path)
    lines = path.read_bytes().splitlines()
    assert len(lines) == 4
    assert json.loads(lines[3])["text"] == "mine"


def test_a_forked_child_writes_nothing_of_its_parent(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    script = """
import os, sys
for n in range(50): runlog.log(step=n, loss=n)
if os.fork() == 0:
    runlog.log(step=999, loss=0)
    runlog.flush()
    sys.exit(0)
os.wait()
"""
    assert program(script, path).returncode == 0
    assert [e["step"] for e in events_of(path)] == list(range(50))


def test_many_threads_lose_no_line(events: Path) -> None:
    import threading

    def write(who: int) -> None:
        for n in range(500):
            runlog.log(step=n, who=who)
            if n % 100 == 0:
                runlog.flush()

    threads = [threading.Thread(target=write, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = flushed(events)
    assert sorted((e["values"]["who"], e["step"]) for e in found) == [(w, n) for w in range(4) for n in range(500)]
    assert [e["seq"] for e in found] == list(range(2, 2002))


class FullDisk:
    """`os.write` on a disk that takes `room` bytes and then no more, until there is more room."""

    def __init__(self, room: int) -> None:
        self.room, self.real = room, os.write

    def __call__(self, fd: int, data: bytes) -> int:
        if self.room == 0:
            raise OSError(28, "No space left on device")
        done = self.real(fd, data[: self.room])
        self.room -= done
        return done


def test_a_full_disk_loses_nothing_when_it_ends(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FullDisk(room=333)  # ends inside a line
    with monkeypatch.context() as full:
        full.setattr(runlog.os, "write", disk)
        for n in range(100):
            sink.put("metric", (n, {"loss": n}))
            sink.flush()
        assert sink.path.stat().st_size == 333
    sink.flush()
    assert [e["step"] for e in events_of(sink.path)] == list(range(100))


def test_a_disk_that_stays_full_costs_the_oldest_metrics_and_no_memory(
    sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runlog, "_KEEP_UNWRITTEN", 50)
    with monkeypatch.context() as full:
        full.setattr(runlog.os, "write", FullDisk(room=20))
        sink.put("fact", {"name": "rows", "value": 3})
        for n in range(1000):
            sink.put("metric", (n, {"loss": n}))
            if n % 10 == 9:
                sink.flush()
                assert sink._pending.count(b"\n") <= 50
    sink.flush()
    found = events_of(sink.path)
    assert found[0]["value"] == 3
    assert [e["step"] for e in found[1:]] == list(range(952, 1000))
    assert sink.dropped == 952


class BrokenRun:
    """A W&B run whose every call fails."""

    def log(self, values: object) -> None:
        raise ConnectionError("no network")

    def finish(self) -> None:
        raise ConnectionError("no network")


def test_a_broken_wandb_is_said_once_and_costs_no_event(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wandb = WandbSink({})
    wandb.run = BrokenRun()
    sink = Sink(tmp_path / "events.jsonl", wandb)
    for n in range(5):
        sink.put("metric", (n, {"loss": n}))
        sink.flush()
    sink.close()
    os.close(sink._fd)
    assert len(events_of(sink.path)) == 5
    assert capsys.readouterr().err.count("W&B stopped: no network") == 1


def test_settings_that_wandb_refuses_do_not_stop_the_run(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    done = program("runlog.log(loss=0.5)\nprint('through')", path, FRACTAL_WANDB='{"no_such_setting": 1}')
    assert (done.returncode, done.stdout) == (0, "through\n")
    assert "W&B stopped" in done.stderr
    assert len(events_of(path)) == 1


W_AND_B = """
import os
from pathlib import Path
for n in range(50):
    runlog.log(step=n, loss=1 / (n + 1), **{"eval/acc": n / 50})
runlog.log(step=50, loss=float("nan"))
runlog.fact("rows", 17886)
path = Path(os.environ["FRACTAL_WORK"]) / "m.pt"
path.write_text("weights")
runlog.model(name="tiny/model", model_type="head", path=path, metadata={"accuracy": 0.9})
"""


def test_an_offline_wandb_run_holds_everything_also_of_a_short_program(tmp_path: Path) -> None:
    """The real package; what it wrote is read back by its own reader."""
    pytest.importorskip("wandb")
    (tmp_path / "work").mkdir()
    asked = {"mode": "offline", "project": "fractal", "name": "phase7-train", "tags": ["cpu"], "config": {"lr": 0.1}}
    more = {"FRACTAL_WORK": str(tmp_path / "work"), "WANDB_SILENT": "true", "HOME": str(tmp_path)}
    done = program(W_AND_B, tmp_path / "events.jsonl", FRACTAL_WANDB=json.dumps(asked), **more)
    assert (done.returncode, done.stderr) == (0, "")
    (folder,) = (tmp_path / "work/wandb").glob("offline-run-*")
    inspect = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(folder)]
    env = {**os.environ, "HOME": str(tmp_path)}
    told = subprocess.run(inspect, capture_output=True, text=True, check=True, env=env).stdout
    records: dict[str, list[dict[str, Any]]] = {}
    for line in told.splitlines():
        record = json.loads(line)
        records.setdefault(record["type"], []).append(record.get(record["type"], {}))
    history = [row["item"] for row in records["history"]]
    assert [row["step"] for row in history] == list(range(51))
    assert [row["eval/acc"] for row in history[:-1]] == [n / 50 for n in range(50)]
    assert {"rows": 17886} in [summary["update"] for summary in records["summary"]]
    run = records["run"][0]
    assert (run["project"], run["display_name"], run["config"]["update"]["lr"]) == ("fractal", "phase7-train", 0.1)
    (artifact,) = records["artifact"]
    assert (artifact["name"], "m.pt" in json.dumps(artifact["manifest"])) == ("tiny-model", True)
    assert records["exit"][0]["exit_code"] == 0


def test_logging_never_waits_for_the_disk(events: Path) -> None:
    """The caller's own cost, generously bounded; the real figure is measured in tests/bench."""
    runlog.log(loss=0.5)
    begun = time.thread_time()
    for n in range(2000):
        runlog.log(step=n, loss=0.5, lr=1e-4)
    assert (time.thread_time() - begun) / 2000 < 100e-6
