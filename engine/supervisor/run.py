"""What the supervisor knows of its run, and where it writes that down for readers."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from engine.protocol.durable import disk_full, write_json
from engine.protocol.events import encode
from engine.protocol.layout import Root, RunPaths
from engine.protocol.spec import RunSpec
from engine.supervisor.cause import MemoryKills, memory_kills
from engine.supervisor.logmetrics import LogReader
from engine.supervisor.meters import Meters


@dataclass
class TimeLimit:
    """How far a run is that Slurm will end at its time limit (`engine.supervisor.requeued`)."""

    is_near: bool = False
    """SIGUSR2 came."""
    asked_at: float | None = None
    events_from: int = 0
    is_given_up: bool = False


@dataclass
class Run:
    """What the supervisor knows of its run."""

    root: Root
    paths: RunPaths
    spec: RunSpec
    status: dict[str, Any] = field(default_factory=dict)
    beat: int = 0
    seen_requests: set[str] = field(default_factory=set)
    stop: dict[str, Any] | None = None
    climbed: int = 0
    shim_pid: int | None = None
    shut_down: bool = False
    """SIGTERM came: the system wants the supervisor to end."""
    attempt: int | None = None
    """Slurm has started this supervisor, and it is this attempt; None: it was started by a launch and waits for slots itself."""
    limit: TimeLimit = field(default_factory=TimeLimit)
    reader: LogReader | None = None
    meters: Meters | None = None
    next_beat: float = 0.0
    next_disk: float = 0.0
    kills_before: MemoryKills = field(default_factory=memory_kills)
    disk_level: int = 0


def write_status(run: Run, **changes: Any) -> None:
    """Replace status.json; on a full disk the last one stays and the run goes on."""
    run.status.update(changes)
    try:
        write_json(run.paths.status, run.status)
    except OSError as error:
        if not disk_full(error):
            raise


def record(run: Run, kind: str, **body: Any) -> None:
    """One line in supervisor.jsonl; a full disk loses the line, not the run."""
    line = encode({"v": 1, "time": round(time.time(), 3), "kind": kind, **body})
    try:
        with open(run.paths.supervisor_events, "ab", buffering=0) as file:
            file.write(line)
    except OSError:
        pass
