"""CPU seconds of a child process, as the system accounts them: what is compared on shared machines."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spent:
    """Figures of several runs of one command."""

    cpu_s: list[float]
    wall_s: list[float]

    def words(self) -> str:
        cpu, wall = sorted(self.cpu_s), sorted(self.wall_s)
        return (
            f"CPU {statistics.median(cpu):.3f} s ({cpu[0]:.3f}–{cpu[-1]:.3f}), "
            f"wall {statistics.median(wall):.3f} s ({wall[0]:.3f}–{wall[-1]:.3f}), {len(cpu)} runs"
        )


def spent(argv: Sequence[str], runs: int = 5, env: dict[str, str] | None = None) -> Spent:
    """Run a command several times after one warm-up."""
    cpu, wall = [], []
    for at in range(runs + 1):
        begun = time.perf_counter()
        process = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:  # what fails at once would look quick
            raise subprocess.CalledProcessError(process.returncode, list(argv))
        if at:
            cpu.append(usage.ru_utime + usage.ru_stime)
            wall.append(time.perf_counter() - begun)
    return Spent(cpu, wall)


def cpu_of(work: Callable[[], object]) -> float:
    """CPU seconds of a call in this process."""
    begun = time.process_time()
    work()
    return time.process_time() - begun
