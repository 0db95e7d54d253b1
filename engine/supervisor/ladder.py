"""Ending a command: SIGINT, after the grace SIGTERM, after the grace SIGKILL, each to its whole process group.

`rung_due` is pure. Asking twice is harmless: the ladder goes on where it is; only a shorter grace hurries it.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from engine.protocol.durable import create_once, disk_full, read_json
from engine.protocol.spec import new_id

RUNGS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


@dataclass(frozen=True)
class Request:
    """Somebody's wish, one file in the run's drop box."""

    kind: str
    """`stop` or `checkpoint`."""
    by: str
    why: str
    asked: float
    grace_s: float | None = None


def ask(folder: Path, kind: str, by: str, why: str, now: float, grace_s: float | None = None) -> Path:
    """Leave a request; its name is new, so two consoles never write the same file."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{kind}-{new_id()}"
    try:
        create_once(path, {"kind": kind, "by": by, "why": why, "asked": now, "grace_s": grace_s})
    except OSError as error:
        if not disk_full(error):
            raise
        # On a full disk an empty file still fits, so the name says it all: a run that fills the disk must be stoppable.
        path = folder / "~".join(
            [path.name, "" if grace_s is None else f"{grace_s:g}", quote(by[:60], safe="@").replace("~", "%7E")]
        )
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
    return path


def requests(folder: Path, seen: set[str]) -> list[Request]:
    """Requests not seen before, oldest first."""
    try:
        names = sorted(n for n in os.listdir(folder) if not n.startswith(".") and n not in seen)
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        value = _said_by_name(folder / name) if "~" in name else read_json(folder / name)
        if value is not None:
            seen.add(name)
            kind = str(value.get("kind"))
            grace = value.get("grace_s")
            found.append(
                Request(kind, str(value.get("by", "")), str(value.get("why", "")), value.get("asked", 0.0), grace)
            )
    return sorted(found, key=lambda r: r.asked)


def _said_by_name(path: Path) -> dict[str, Any] | None:
    """A request that was made on a full disk."""
    head, grace, by = [*path.name.split("~"), "", ""][:3]
    try:
        patience = float(grace) if grace else None
        return {"kind": head.partition("-")[0], "by": unquote(by), "asked": path.stat().st_mtime, "grace_s": patience}
    except (ValueError, OSError):
        return None


def rung_due(since_s: float, grace_s: float, climbed: int) -> int | None:
    """Which rung to send now: its index in `RUNGS`; None while the grace of the last one runs."""
    due = len(RUNGS) - 1 if grace_s <= 0 else min(int(since_s // grace_s), len(RUNGS) - 1)
    return due if due >= climbed else None


def send_to_group(group: int, signum: int) -> bool:
    """Signal every process of the group; a stopped one is woken to take it. False if nobody is left.

    What descends from it in sessions of its own is told politely by its parent; at the last rung nobody is left to tell it.
    """
    try:
        if signum == signal.SIGKILL:
            _kill_outside(group)
        os.killpg(group, signum)
        if signum != signal.SIGKILL:
            os.killpg(group, signal.SIGCONT)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _kill_outside(group: int) -> None:
    for pid in members(group):
        try:
            if os.getpgid(pid) != group:
                os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass


def ask_checkpoint(group: int) -> int:
    """SIGUSR2 to the members of the group that handle it; how many did. The others would die of it, so they are spared."""
    told = 0
    for pid in members(group):
        if handles(pid, signal.SIGUSR2):
            try:
                os.kill(pid, signal.SIGUSR2)
                told += 1
            except ProcessLookupError:
                pass
    return told


def members(group: int) -> list[int]:
    """The processes of a group and what descends from its leader, such as torchrun's ranks, each in a session of its own;
    on a system without /proc only its leader."""
    if not Path("/proc/self/stat").exists():
        return [group]
    there = _processes()
    found = {pid for pid, (_, pgrp) in there.items() if pgrp == group}
    more = {group}
    while more:
        more = {pid for pid, (parent, _) in there.items() if parent in more and pid not in found | more}
        found |= more
    return sorted(found)


def _processes() -> dict[int, tuple[int, int]]:
    """Every process that is no corpse: its parent and its group."""
    there = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] not in "ZX":
                there[int(name)] = (int(fields[1]), int(fields[2]))
    return there


def adopted_ranks(parent: int) -> list[int]:
    """Ranks whose torchrun died without ending them: they have become children of this process."""
    if not Path("/proc/self/stat").exists():
        return []
    return [pid for pid, (of, _) in _processes().items() if of == parent and _is_rank(pid)]


def _is_rank(pid: int) -> bool:
    try:
        return b"TORCHELASTIC_RUN_ID=" in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


def handles(pid: int, signum: int) -> bool:
    """Has the process a handler for this signal? Unknown (no /proc) counts as no on purpose: an unhandled one kills."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return sys.platform == "darwin" and _handles_by_ps(pid, signum)
    caught = next((line.split()[1] for line in lines if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> (signum - 1) & 1)


def _handles_by_ps(pid: int, signum: int) -> bool:
    import subprocess

    answer = subprocess.run(["ps", "-o", "caught=", "-p", str(pid)], capture_output=True, text=True, check=False)
    try:
        return bool(int(answer.stdout.strip(), 16) >> (signum - 1) & 1)
    except ValueError:
        return False
