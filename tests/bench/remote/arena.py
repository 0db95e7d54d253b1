"""What the benchmarks of remote hosts stand on: a real SSH server, OpenSSH's own client, a delaying proxy, interleaved rounds."""

from __future__ import annotations

import os
import random
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.remote.box import Box

Act = Callable[[], object]


@dataclass
class Rivals:
    """Ways to do the same thing, measured round robin so that the load of the machine hits them alike."""

    ways: dict[str, Act]
    rounds: int = 5
    pause_s: float = 0.0
    """Before each: what the last one left to be done (ours lays the next tree ahead) is not counted against the next."""
    times: dict[str, list[float]] = field(default_factory=dict)

    def run(self, before_each: Callable[[], None] = lambda: None) -> Rivals:
        for name in self.ways:
            self.times[name] = []
        for at in range(self.rounds + 1):
            for name, act in self.ways.items():
                before_each()
                time.sleep(self.pause_s)
                begun = time.perf_counter()
                act()
                if at:  # the first round warms
                    self.times[name].append(time.perf_counter() - begun)
        return self

    def median(self, name: str) -> float:
        return statistics.median(self.times[name])

    def ratio(self, ours: str, theirs: str) -> float:
        """How many times faster ours is."""
        return self.median(theirs) / self.median(ours)

    def show(self, title: str, ours: str, unit: float = 1000.0, word: str = "ms") -> None:
        for name, times in self.times.items():
            spread = f"{min(times) * unit:.1f}–{max(times) * unit:.1f}"
            faster = (
                ""
                if name == ours
                else f" | ours {self.ratio(ours, name):.2f}× (best {min(times) / min(self.times[ours]):.2f}×)"
            )
            print(f"| {title} | {name} | {statistics.median(times) * unit:.1f} {word} ({spread}){faster} |")


@dataclass
class OpenSsh:
    """OpenSSH's client on the way to the same server."""

    box: Box
    folder: Path
    port: int

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        known = self.folder / "known_hosts"
        known.write_text(f"[127.0.0.1]:{self.port} {self.box.server.host_public()}\n")
        self.config = self.folder / "config"
        entry = self.box.server.config_entry("there", self.box.key, f"UserKnownHostsFile {known}", "IdentitiesOnly yes")
        self.config.write_text(entry.replace(f"Port {self.box.server.port}", f"Port {self.port}"))
        self.argv = ["ssh", "-F", str(self.config)]

    def run(self, *words: str) -> None:
        subprocess.run([*self.argv, "there", *words], check=True, stdout=subprocess.DEVNULL)

    def open_master(self) -> list[str]:
        """A shared connection; the words that use it."""
        control = str(self.folder / "ctl")
        options = ["-o", f"ControlPath={control}"]
        subprocess.run([*self.argv, "-M", "-N", "-f", "-o", "ControlPersist=600", *options, "there"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        return [*self.argv, *options, "there"]

    def close_master(self) -> None:
        argv = [*self.argv, "-o", f"ControlPath={self.folder / 'ctl'}", "-O", "exit", "there"]
        subprocess.run(argv, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def rsync(self, source: Path, target: Path) -> None:
        there = os.environ.get("FRACTAL_RSYNC_THERE") or rsync()
        argv = [rsync(), "-a", "-e", " ".join(self.argv), f"--rsync-path={there}", f"{source}/", f"there:{target}/"]
        subprocess.run(argv, check=True)

    def scp(self, source: Path, target: Path) -> None:
        subprocess.run(["scp", "-q", "-F", str(self.config), f"there:{source}", str(target)], check=True)


def rsync() -> str:
    """The rsync to compare with: `$FRACTAL_RSYNC`, else the one on the path; empty where there is none."""
    return os.environ.get("FRACTAL_RSYNC") or shutil.which("rsync") or ""


def make_source(folder: Path, files: int = 2000, total: int = 18_000_000, seed: int = 1) -> Path:
    """Text-like files of uneven sizes in folders, as a project's source is."""
    luck = random.Random(seed)
    words = [luck.randbytes(4).hex() for _ in range(500)]
    for n in range(files):
        size = int(luck.expovariate(files / total)) + 1
        text = " ".join(luck.choice(words) for _ in range(size // 9 + 1))[:size]
        file = folder / f"d{n % 40}" / f"f{n}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder
