"""A run folder as a program and its supervisor would have left it, made in a moment: what screens are tried on."""

from __future__ import annotations

import time
from typing import Any

from engine.protocol.durable import write_json
from engine.protocol.events import Event, encode
from engine.protocol.layout import Root, RunPaths
from engine.protocol.spec import RunSpec

START = 1_763_600_000.0


def made_run(root: Root, run_id: str = "20261120-000000-phase1-make-aaaaa", **about: Any) -> RunPaths:
    """A run of the tiny project: 40 steps at two a second, a fact, a sample, a progress, a log with times and steps."""
    paths = root.run(run_id)
    paths.folder.mkdir(parents=True)
    given: dict[str, Any] = {
        "run_id": run_id,
        "project": "tiny",
        "phase": "phase1-tiny",
        "step": "make",
        "preset": "cpu",
        "variant": "cpu+level=5",
        "argv": ["sh", "make.sh", "5"],
        "cwd": "/",
        "work": str(root.path / "work"),
        "config": {"level": 5, "train": {"lr": 0.03, "batch": 64}, "steps_per_epoch": 10},
        "created": START,
        "created_by": "ada@box",
        "host": "local",
        "git": {"commit": "0123456789abcdef", "dirty": True},
        **about,
    }
    write_json(paths.spec, RunSpec(**given).to_json())
    paths.events.write_bytes(b"".join(map(encode, events())))
    paths.supervisor_events.write_bytes(encode({"kind": "started", "time": START, "slots": ["cpu"]}))
    stamps = (time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(START + at / 2)) for at in range(1, 41))
    lines = [f"{stamp} loss is {1 / at:.3f}" for at, stamp in enumerate(stamps, 1)]
    paths.log.write_text("\n".join(lines) + "\n")
    return paths


def events() -> list[Event]:
    found: list[Event] = [{"kind": "environment", "time": START, "python": "3.11.7", "packages": {"numpy": "2.1"}}]
    for at in range(1, 41):
        when = START + at / 2
        found.append({"kind": "metric", "time": when, "step": at, "values": {"train/loss": 1 / at, "val/loss": 2 / at}})
        if at % 10 == 0:
            found.append({"kind": "progress", "time": when, "done": at, "total": 40, "unit": "steps"})
    found.append({"kind": "fact", "time": START + 10, "name": "made/level", "value": 5})
    found.append({"kind": "note", "time": START + 15, "text": "half way"})
    return found


def ended(paths: RunPaths, state: str = "succeeded", reason: str = "exit code 0", **more: Any) -> None:
    """Its end, written last."""
    body = {"v": 1, "state": state, "reason": reason, "started": START, "ended": START + 20, **more}
    write_json(paths.result, body)
