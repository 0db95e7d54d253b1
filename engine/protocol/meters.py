"""What a machine and a run use: parsed from `nvidia-smi` and `/proc`, told as one event of kind `meters`. Pure.

    {"kind":"meters","time":…,"cpu":0.53,"cores":8,"memory_used":…,"memory_total":…,"run_cpu":4.1,"run_memory":…,
     "gpus":[{"index":0,"name":"NVIDIA A100-SXM4-40GB","util":97,"memory_used":…,"memory_total":…,"power_w":312.4,
              "power_limit_w":400,"temperature_c":61}]}

Shares are of one, memory is in bytes, `run_cpu` counts cores. What a machine does not tell is left out, never a zero.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any

GPU_FIELDS = (
    "index",
    "name",
    "utilization.gpu",
    "memory.used",
    "memory.total",
    "power.draw",
    "power.limit",
    "temperature.gpu",
)
NVIDIA_SMI = ("nvidia-smi", f"--query-gpu={','.join(GPU_FIELDS)}", "--format=csv")

_MIB = 1 << 20
_UNITS = {"KiB": 1 << 10, "MiB": _MIB, "GiB": 1 << 30}


def parse_gpus(text: str) -> list[dict[str, Any]]:
    """One GPU per line of `nvidia-smi --format=csv`, with or without its units; lines that are none are passed over."""
    rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text)) if row]
    head = next((row for row in rows if row[0] == "index"), None)
    if head is None:
        return []
    # `power.draw [W]`, and newer drivers say `power.draw.instant [W]` for some cards: the unit is no part of the name.
    names = [cell.partition(" [")[0] for cell in head]
    units = [cell.partition(" [")[2].rstrip("]") for cell in head]
    whole = [row for row in rows if len(row) == len(head) and row[0].isdigit()]
    return [_gpu({name: (cell, unit) for name, cell, unit in zip(names, row, units)}) for row in whole]  # noqa: B905


def _gpu(cells: dict[str, tuple[str, str]]) -> dict[str, Any]:
    gpu: dict[str, Any] = {"index": int(cells["index"][0]), "name": cells.get("name", ("", ""))[0]}
    for name, field in (
        ("util", "utilization.gpu"),
        ("memory_used", "memory.used"),
        ("memory_total", "memory.total"),
        ("power_w", "power.draw"),
        ("power_limit_w", "power.limit"),
        ("temperature_c", "temperature.gpu"),
    ):
        value = _measured(*cells.get(field, ("", "")))
        if value is not None:
            gpu[name] = value
    return gpu


def _measured(cell: str, unit: str) -> float | None:
    """`1024 MiB`, `97 %`, `61.20 W`, `43`; None for `[N/A]` and the like."""
    amount, _, own = cell.partition(" ")
    try:
        value = float(amount)
    except ValueError:
        return None
    value *= _UNITS.get(own or unit, 1)
    return int(value) if value.is_integer() else value


@dataclass(frozen=True)
class CpuTimes:
    """Ticks since the machine started."""

    busy: int
    total: int
    cores: int


def parse_stat(text: str) -> CpuTimes | None:
    """From `/proc/stat`."""
    lines = [line.split() for line in text.splitlines() if line.startswith("cpu")]
    if not lines or len(lines[0]) < 5:
        return None
    ticks = [int(word) for word in lines[0][1:9]]  # guest time stands within user time already
    idle = sum(ticks[3:5])
    return CpuTimes(sum(ticks) - idle, sum(ticks), max(1, len(lines) - 1))


def busy_share(before: CpuTimes | None, now: CpuTimes | None) -> float | None:
    """How much of the machine was at work between two looks."""
    if before is None or now is None or now.total <= before.total:
        return None
    return round((now.busy - before.busy) / (now.total - before.total), 3)


def parse_meminfo(text: str) -> tuple[int, int] | None:
    """Used and total bytes, from `/proc/meminfo`; what can be given back at once counts as free."""
    kilobytes = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            kilobytes[name] = int(words[0])
    total, free = kilobytes.get("MemTotal"), kilobytes.get("MemAvailable")
    return None if total is None or free is None else ((total - free) << 10, total << 10)


def parse_process(text: str) -> tuple[int, int] | None:
    """Ticks used and pages held by one process, from `/proc/<pid>/stat`."""
    words = text.rpartition(")")[2].split()
    return None if len(words) < 22 else (int(words[11]) + int(words[12]), int(words[21]))
