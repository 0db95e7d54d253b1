"""What the machine and the run use, sampled beside the run: `/proc` and, where it is there, `nvidia-smi`.

Guarantees: never waits. `nvidia-smi` can take seconds or hang with its driver: it is started, and read at a later tick;
one that hangs is told to end, and no second one is started beside it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.protocol.meters import (
    NVIDIA_SMI,
    CpuTimes,
    busy_share,
    parse_gpus,
    parse_meminfo,
    parse_process,
    parse_stat,
)
from engine.supervisor.ladder import members

SAMPLE_S = 5.0  # 17,000 lines a day, about 3 MB; a chart of a day has fewer columns than that
_FIRST_S = 2.0
_PATIENCE_S = 20.0  # a cold driver takes some seconds; persistence mode, none


@dataclass
class Meters:
    """One run's samples. `group` is the process group of its command."""

    group: int
    gpus: tuple[str, ...] = ()
    """The run's own, by index; all of the machine's where it holds none."""
    proc: Path = Path("/proc")
    _next: float | None = None
    _cpu: CpuTimes | None = None
    _ticks: tuple[float, int] | None = None
    _smi: subprocess.Popen[bytes] | None = None
    _asked: float = 0.0
    _has_smi: bool | None = None

    def sample(self, now: float) -> dict[str, Any] | None:
        """A sample, when one is due and whole; None until then."""
        if self._next is None:
            self._next = now + _FIRST_S
            self._look(now)
        if now < self._next:
            return None
        if self._asks_gpus() and self._smi is None:
            self._ask(now)
            return None
        if self._smi is not None and self._smi.poll() is None and now - self._asked < _PATIENCE_S:
            return None
        self._next = now + SAMPLE_S
        return self._look(now) | self._gpus()

    def _look(self, now: float) -> dict[str, Any]:
        """What `/proc` tells; nothing where there is none."""
        before, self._cpu = self._cpu, parse_stat(self._text("stat"))
        ticks_before, used = self._ticks, self._of_group()
        self._ticks = (now, used[0])
        memory = parse_meminfo(self._text("meminfo"))
        said: dict[str, Any] = {"cpu": busy_share(before, self._cpu), "cores": self._cpu and self._cpu.cores}
        if memory is not None:
            said["memory_used"], said["memory_total"] = memory
        if self._cpu is not None and ticks_before is not None and now > ticks_before[0]:
            spent = max(0, used[0] - ticks_before[1]) / os.sysconf("SC_CLK_TCK")
            said["run_cpu"] = round(spent / (now - ticks_before[0]), 2)
            said["run_memory"] = used[1] * os.sysconf("SC_PAGE_SIZE")
        return {name: value for name, value in said.items() if value is not None}

    def _of_group(self) -> tuple[int, int]:
        """Ticks and pages of the run's processes together; shared pages count once a process."""
        each = [parse_process(self._text(f"{pid}/stat")) for pid in members(self.group)]
        known = [one for one in each if one is not None]
        return sum(ticks for ticks, _ in known), sum(pages for _, pages in known)

    def _text(self, name: str) -> str:
        try:
            return (self.proc / name).read_text(errors="replace")
        except OSError:
            return ""

    # nvidia-smi

    def _asks_gpus(self) -> bool:
        if self._has_smi is None:
            self._has_smi = shutil.which(NVIDIA_SMI[0]) is not None
        return self._has_smi

    def _ask(self, now: float) -> None:
        argv = [*NVIDIA_SMI, *(["-i", ",".join(self.gpus)] if self.gpus else [])]
        self._asked = now
        try:  # its answer is a hundred bytes a GPU: a pipe holds it, and nobody has to read before it has ended
            self._smi = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError:
            self._has_smi = False

    def _gpus(self) -> dict[str, Any]:
        if self._smi is None:
            return {}
        if self._smi.poll() is None:
            self._smi.kill()  # one in a driver that hangs stays until the driver lets go; until then no other is asked
            return {}
        smi, self._smi = self._smi, None
        assert smi.stdout is not None
        with smi.stdout as answer:
            gpus = parse_gpus(answer.read().decode(errors="replace")) if smi.returncode == 0 else []
        return {"gpus": gpus} if gpus else {}

    def close(self) -> None:
        """The run is over."""
        if self._smi is not None:
            self._smi.kill()
            assert self._smi.stdout is not None
            self._smi.stdout.close()
            try:
                self._smi.wait(0.5)
            except subprocess.TimeoutExpired:
                pass  # it hangs in its driver; whoever inherits it reaps it
