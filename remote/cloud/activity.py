"""Is a machine in use? Looked at on the machine itself: `python3 - < activity.py` prints one line of JSON.

In use is: a run that beats, a run in the queue, a set-up or any other SSH session (the console's own helper and this very
look don't count), a GPU at work, or a processor at work. What can't be read counts as not known, never as idle.
Standard library only, Python 3.10, one file: it is piped into the stock python3 of a rented box.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# A heartbeat is written every few seconds; two minutes is a slow disk, more is a dead run.
_BEAT_S = 120.0

# Below this a GPU holds a context and computes nothing.
_GPU_PERCENT = 5.0

# Less than one busy core is the noise of an idle Ubuntu.
_LOAD = 0.8

_SESSION = re.compile(r"sshd(-session)?: \S+@(pts/\d+|notty)")


@dataclass(frozen=True)
class Activity:
    """What was seen in one look."""

    running: int = 0
    queued: int = 0
    sessions: int = 0
    """Open SSH sessions of people, set-ups and editors."""
    gpu_percent: float | None = None
    """The busiest GPU; None where there is no nvidia-smi."""
    load: float = 0.0


def why_busy(seen: Activity) -> str | None:
    """What it is used for; None if for nothing."""
    if seen.running:
        return f"{seen.running} running"
    if seen.queued:
        return f"{seen.queued} in the queue"
    if seen.sessions:
        return f"{seen.sessions} SSH sessions open"
    if seen.gpu_percent is not None and seen.gpu_percent >= _GPU_PERCENT:
        return f"GPU at {seen.gpu_percent:.0f} %"
    if seen.load >= _LOAD:
        return f"processor load {seen.load:.1f}"
    return None


def from_json(text: str) -> Activity | None:
    """The answer of a look, which may stand behind the noise of a login shell; None if it is not there."""
    for line in reversed(text.splitlines()):
        if line.startswith('{"fractal_activity":'):
            value: dict[str, Any] = json.loads(line)["fractal_activity"]
            return Activity(**value)
    return None


def look(root: Path, proc: Path = Path("/proc"), now: float | None = None) -> Activity:
    """One look at this machine."""
    moment = time.time() if now is None else now
    return Activity(
        running=_running(root / "runs", moment),
        queued=_queued(root / "queue"),
        sessions=_sessions(proc, f"{root}/bin/"),
        gpu_percent=_gpu_percent(),
        load=_load(proc),
    )


def _running(runs: Path, now: float) -> int:
    return sum(_beats(folder, now) for folder in _children(runs))


def _beats(run: Path, now: float) -> bool:
    try:
        age = now - (run / "heartbeat").stat().st_mtime
    except OSError:
        return False
    return age < _BEAT_S and not (run / "result.json").exists()


def _queued(queue: Path) -> int:
    return sum(not ticket.name.startswith(".") for ticket in _children(queue))


def _children(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    words: str


def _sessions(proc: Path, helper: str) -> int:
    """SSH sessions that hold anything but our own helper, or this look."""
    processes = {p.pid: p for p in (_process(folder) for folder in _children(proc)) if p is not None}
    ours = _with_ancestors(processes, os.getpid())
    for process in processes.values():
        if helper in process.words:
            ours |= _with_ancestors(processes, process.pid)
    return sum(bool(_SESSION.match(p.words)) and p.pid not in ours for p in processes.values())


def _with_ancestors(processes: dict[int, _Process], pid: int) -> set[int]:
    found: set[int] = set()
    while pid in processes and pid not in found:
        found.add(pid)
        pid = processes[pid].parent
    return found


def _process(folder: Path) -> _Process | None:
    if not folder.name.isdigit():
        return None
    try:
        words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return _Process(int(folder.name), parent, words)


def _gpu_percent() -> float | None:
    asked = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=True).stdout
        return max(float(line) for line in said.splitlines() if line.strip())
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def _load(proc: Path) -> float:
    """Of the last five minutes: one minute forgets a short pause between two steps."""
    try:
        return float((proc / "loadavg").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0


def main() -> None:
    root = Path(os.environ.get("FRACTAL_ROOT") or "~/.fractal").expanduser()
    print(json.dumps({"fractal_activity": asdict(look(root))}), flush=True)


if __name__ == "__main__":
    main()
