"""The whole of a real phase in a real terminal, from the keyboard alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.protocol.layout import Root
from remote.environment import missing_extra
from tests.console.tmux import REPOSITORY, Tmux, needs_tmux, run_phase_7


@needs_tmux
def test_phase_7_runs_at_smoke_from_the_keyboard_alone_and_its_gates_tick(tmp_path: Path, root: Root) -> None:
    if missing_extra(REPOSITORY / ".venv" / "bin" / "python", "engine", REPOSITORY) is not None:
        pytest.skip("the engine part is not in this checkout's environment")
    with Tmux(tmp_path, root) as tmux:
        run_phase_7(tmux, "smoke", seconds=240)
        tmux.keys("q")
        tmux.until(lambda: tmux.is_over, "the end of the console")
    argv = [sys.executable, "-m", "console", "gates", "phase7-ouroboros", "--preset", "smoke", "--json"]
    said = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert {c["state"] for g in json.loads(said)["gates"] for c in g["checks"]} == {"passed"}


@needs_tmux
@pytest.mark.parametrize("term", ["xterm", "screen", "tmux-256color"])
def test_the_console_comes_up_and_moves_in_terminals_old_and_new(tmp_path: Path, root: Root, term: str) -> None:
    with Tmux(tmp_path, root, (80, 24), term) as tmux:
        tmux.sees("phase7-ouroboros")
        tmux.keys("2")
        tmux.sees("Runs")
        tmux.keys("?")
        tmux.sees("Keys of runs")
        tmux.keys("Escape")
        tmux.until(lambda: "Keys of runs" not in tmux.text(), "the help closed")
        tmux.keys("q")
        tmux.until(lambda: tmux.is_over, "the end of the console")
