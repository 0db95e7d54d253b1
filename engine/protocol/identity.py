"""Which process is meant: a pid alone is reused, so pid + start time + boot id.

Guarantees: `alive(identity)` is False for a recycled pid, a zombie and a process of before a reboot.
Does not guarantee: anything across machines; the boot id tells them apart.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Identity:
    """One process of one boot of one machine."""

    pid: int
    start: str
    boot: str

    def to_json(self) -> dict[str, Any]:
        return {"pid": self.pid, "start": self.start, "boot": self.boot}

    @staticmethod
    def from_json(value: Any) -> Identity | None:
        if not isinstance(value, dict) or not isinstance(value.get("pid"), int):
            return None
        return Identity(value["pid"], str(value.get("start", "")), str(value.get("boot", "")))


def identify(pid: int | None = None) -> Identity:
    """The identity of a living process (this one by default); ProcessLookupError if there is none."""
    pid = os.getpid() if pid is None else pid
    start = start_time(pid)
    if start is None:
        raise ProcessLookupError(f"no process {pid}")
    return Identity(pid, start, boot_id())


def alive(identity: Identity | None) -> bool:
    """Is exactly this process still running?"""
    return identity is not None and identity.boot == boot_id() and start_time(identity.pid) == identity.start


def boot_id() -> str:
    """What changes when the machine restarts."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return _asked("sysctl", "-n", "kern.boottime")


def start_time(pid: int) -> str | None:
    """When the process started, as an opaque word; None for no process or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None if Path("/proc/self/stat").exists() else _ps_start_time(pid)
    fields = stat.rpartition(")")[2].split()  # the name in parentheses may hold spaces and parentheses
    return None if fields[0] in "ZX" else fields[19]


def _ps_start_time(pid: int) -> str | None:
    answer = _asked("ps", "-o", "stat=,lstart=", "-p", str(pid))
    return None if not answer or answer.startswith("Z") else " ".join(answer.split()[1:])


def _asked(*argv: str) -> str:
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=5, check=False).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
