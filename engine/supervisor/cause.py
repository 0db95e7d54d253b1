"""Why a command died, in words: what the exit code alone does not tell.

`explain` is pure; `memory_kills` and `log_tail` gather what it needs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_TAIL_BYTES = 64 << 10  # a CUDA traceback with its memory summary is about 10 KB

_CUDA_OOM = re.compile(rb"torch\.(cuda\.)?OutOfMemoryError|CUDA out of memory|CUDA error: out of memory")
_DISK_FULL = re.compile(rb"No space left on device|Errno 28")
_TRACEBACK_END = re.compile(rb"^([A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit|Warning)\b.*)$", re.M)


@dataclass(frozen=True)
class Cause:
    """A word for programs and a sentence for people."""

    word: str
    reason: str


@dataclass(frozen=True)
class MemoryKills:
    """How often the kernel has killed for memory, so far."""

    in_cgroup: int | None
    on_machine: int | None


def memory_kills() -> MemoryKills:
    """Counters of this process's control group and of the machine; None where there are none to read."""
    try:
        mine = Path("/proc/self/cgroup").read_text()
    except OSError:
        mine = ""
    counted = (_oom_kills(file) for file in counter_files(mine, Path("/sys/fs/cgroup")))
    return MemoryKills(next((n for n in counted if n is not None), None), _oom_kills(Path("/proc/vmstat")))


def counter_files(membership: str, cgroups: Path) -> list[Path]:
    """Where the counter of a process may stand, by its /proc/self/cgroup: both versions of control groups.

    Inside a container the path is that of the host and not there: then the container's own group is mounted on top.
    """
    found = []
    for line in membership.splitlines():
        hierarchy, controllers, path = [*line.split(":", 2), "", ""][:3]
        if "memory" in controllers.split(","):
            folder, name = cgroups / "memory", "memory.oom_control"
        elif hierarchy == "0":
            folder, name = cgroups, "memory.events"
        else:
            continue
        found += [folder / path.strip().lstrip("/") / name, folder / name]
    return found


def _oom_kills(path: Path) -> int | None:
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return None
    return next((int(words[1]) for words in lines if words[:1] == ["oom_kill"]), None)


def log_tail(path: Path, size: int = _TAIL_BYTES) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - size))
            return file.read()
    except OSError:
        return b""


def explain(code: int | None, signal_name: str | None, before: MemoryKills, after: MemoryKills, tail: bytes) -> Cause:
    """The cause of a failure that nobody asked for."""
    killed = signal_name == "SIGKILL" or code == 137
    if _more(before.in_cgroup, after.in_cgroup):
        who = "it" if killed else "one of its processes"
        return Cause("oom", f"out of memory: the kernel killed {who} (memory limit of its control group)")
    if killed and _more(before.on_machine, after.on_machine):
        return Cause("oom", "out of memory: the kernel killed it (the machine ran out of memory)")
    if _CUDA_OOM.search(tail):
        return Cause("cuda-oom", f"CUDA out of memory ({_ending(code, signal_name)})")
    if _DISK_FULL.search(tail):
        return Cause("disk-full", f"the disk is full ({_ending(code, signal_name)})")
    last = _TRACEBACK_END.findall(tail)
    if last and signal_name is None:
        return Cause("exception", f"{last[-1].decode(errors='replace')[:200]} ({_ending(code, signal_name)})")
    return Cause("signal" if signal_name else "exit", _ending(code, signal_name))


def _more(before: int | None, after: int | None) -> bool:
    return before is not None and after is not None and after > before


def _ending(code: int | None, signal_name: str | None) -> str:
    return f"killed by {signal_name}" if signal_name else f"exit code {code}"
