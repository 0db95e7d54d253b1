"""The console in a real terminal: a tmux server of its own, keys typed into it, the screen read back as text."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.protocol.layout import Root

REPOSITORY = Path(__file__).resolve().parents[2]

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux here: apt install tmux")


class Tmux:
    """One session; `with Tmux(folder, root) as tmux`."""

    def __init__(
        self, folder: Path, root: Root, size: tuple[int, int] = (140, 44), term: str = "tmux-256color"
    ) -> None:
        self.socket = folder / "tmux"
        self.root, self.size, self.term = root, size, term

    def __enter__(self) -> Tmux:
        config = self.socket.with_suffix(".conf")
        config.write_text(f"set -g default-terminal {self.term}\nset -g status off\nset -s escape-time 10\n")
        told = {"FRACTAL_ROOT": str(self.root.path), "FRACTAL_PROJECT": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
        environment = {**os.environ, **told, "TMUX": ""}
        columns, lines = map(str, self.size)
        console = f"exec {sys.executable} -m console"
        argv = ["-f", str(config), "new-session", "-d", "-x", columns, "-y", lines, "-c", str(REPOSITORY), console]
        self.tmux(*argv, env=environment)
        return self

    def __exit__(self, *_: object) -> None:
        self.tmux("kill-server", check=False)

    def tmux(self, *words: str, env: dict[str, str] | None = None, check: bool = True) -> str:
        argv = ["tmux", "-S", str(self.socket), *words]
        return subprocess.run(argv, check=check, capture_output=True, text=True, env=env).stdout

    def text(self) -> str:
        return self.tmux("capture-pane", "-p", check=False)

    def keys(self, *keys: str) -> None:
        for key in keys:
            self.tmux("send-keys", key)

    def sees(self, words: str, seconds: float = 60) -> None:
        self.until(lambda: words in self.text(), repr(words), seconds)

    def until(self, true: Callable[[], bool], what: str, seconds: float = 60) -> None:
        limit = time.monotonic() + seconds
        while not true():
            if time.monotonic() > limit:
                raise AssertionError(f"never saw {what}; the screen says:\n{self.text()}")
            time.sleep(0.1)

    @property
    def is_over(self) -> bool:
        """The console has ended, and with it the session."""
        argv = ["tmux", "-S", str(self.socket), "has-session"]
        return subprocess.run(argv, capture_output=True, check=False).returncode != 0


def run_phase_7(tmux: Tmux, preset: str, seconds: float) -> None:
    """From the first screen to the passed gates, by keys alone."""
    tmux.sees("phase7-ouroboros")
    tmux.keys("/", *"phase7", "Enter")
    tmux.until(lambda: "Phases › phase7" in tmux.text() and "phase11" not in tmux.text(), "phase 7 alone")
    for _ in range(12):
        if f" at {preset} " in tmux.text():
            break
        before = tmux.text()
        tmux.keys("p")
        tmux.until(lambda before=before: tmux.text() != before, "another preset")  # type: ignore[misc]
    tmux.sees(f" at {preset} ")
    tmux.keys("R")
    tmux.sees("Run every step")
    tmux.keys("Enter")
    tmux.sees("› prepare ›")  # the run's screen
    tmux.until(lambda: "✓ passed" in tmux.text(), "a gate that ticks", seconds)
    tmux.keys("1")
    tmux.until(lambda: f"passed · {preset}" in tmux.text(), "the phase passed", seconds)
