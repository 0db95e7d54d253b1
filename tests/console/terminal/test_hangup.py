"""A console whose terminal is gone ends, whatever becomes of SIGHUP."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

from engine.protocol.layout import Root

_IGNORING = """
import signal, runpy, sys
signal.signal(signal.SIGHUP, signal.SIG_IGN)
sys.argv = ["console"]
runpy.run_module("console", run_name="__main__")
"""


def test_a_console_ends_with_its_terminal_although_sighup_is_ignored(root: Root) -> None:
    repository = Path(__file__).parents[2]
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "FRACTAL_ROOT": str(root.path)}
    console = subprocess.Popen(
        [sys.executable, "-c", _IGNORING],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=repository,
        env=environment,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        seen = b""
        while b"Phases" not in seen:
            seen += os.read(ours, 65536)
        os.close(ours)
        assert console.wait(30) in (0, 128 + signal.SIGHUP)
    finally:
        console.kill()
        console.wait()
