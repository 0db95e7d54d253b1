"""One step on another machine, as a user does it: named, run there, its log, files and gate here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.protocol.layout import Root
from tests.console.tiny import make_project
from tests.remote.sshd import Sshd, make_key, needs_sshd

_CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    """The socket of an ssh-agent that holds one key, `tmp_path / key`."""
    said = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    socket, pid = re.findall(r"SSH_AUTH_SOCK=([^;]+)|SSH_AGENT_PID=(\d+)", said)
    try:
        key = make_key(tmp_path / "key")
        subprocess.run(["ssh-add", "-q", str(key)], env={**os.environ, "SSH_AUTH_SOCK": socket[0]}, check=True)
        yield socket[0]
    finally:
        os.kill(int(pid[1]), 15)


@needs_sshd
def test_a_step_runs_on_another_machine_and_its_gate_is_judged_here(tmp_path: Path, root: Root, agent: str) -> None:
    project = make_project(tmp_path / "tiny")
    env = {**os.environ, "SSH_AUTH_SOCK": agent, "FRACTAL_PROJECT": str(project)}

    def typed(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "console", *words],
            cwd=_CHECKOUT,
            env=env,
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    with Sshd(tmp_path / "sshd", users=[tmp_path / "key"]) as server:
        (root.path / "known_hosts").write_text(f"{server.known_as} {server.host_public()} confirmed\n")
        typed("hosts", "add", "box", "--ssh", f"root@127.0.0.1:{server.port}", "--root", str(tmp_path / "far"))
        assert "succeeded" in typed("run", "phase1-tiny", "make", "--host", "box")
        assert "step 3 loss 0.6" in typed("logs", "last")
        typed("pull", "last")
        assert (root.work("tiny", "phase1-tiny", "cpu") / "rows.jsonl").read_text().count("\n") == 2
        assert '"state": "passed"' in typed("phases", "--json")
        typed("run", "phase1-tiny", "judge", "--host", "box")
