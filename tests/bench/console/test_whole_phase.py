"""Phase 7 at its cpu preset in a real terminal, from the keyboard alone: how long from the first key to the last tick.

python -m pytest tests/bench/console/test_whole_phase.py -s -c tests/bench/pytest.ini
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.protocol.layout import Root
from remote.environment import missing_extra
from tests.console.tmux import REPOSITORY, Tmux, needs_tmux, run_phase_7
from tests.live import end_everything


@needs_tmux
def test_phase_7_runs_at_cpu_from_the_keyboard_alone_and_every_check_ticks(tmp_path: Path) -> None:
    if missing_extra(Path(sys.executable), "engine", REPOSITORY) is not None:
        pytest.skip("the engine part is not in this checkout's environment")
    root = Root(tmp_path / "root")
    root.path.mkdir()
    begun = time.monotonic()
    try:
        with Tmux(tmp_path, root) as tmux:
            run_phase_7(tmux, "cpu", seconds=900)
            took = time.monotonic() - begun
            tmux.keys("q")
            tmux.until(lambda: tmux.is_over, "the end of the console")
    finally:
        end_everything(root)
    argv = [sys.executable, "-m", "console", "gates", "phase7-ouroboros", "--preset", "cpu", "--json"]
    environment = {**os.environ, "FRACTAL_ROOT": str(root.path)}
    said = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=True, env=environment).stdout
    checks = [check for gate in json.loads(said)["gates"] for check in gate["checks"]]
    print(f"\nphase 7 at cpu by keys: {took:.0f} s wall (load {os.getloadavg()[0]:.1f}); {len(checks)} checks")
    assert {check["state"] for check in checks} == {"passed"}
