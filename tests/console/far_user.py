"""A user with a project, a key in an agent, and a machine behind a real OpenSSH server: verbs are typed as they are typed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.remote.sshd import Sshd, make_key

_CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass
class User:
    """Types `fractal-console …` in a process of its own."""

    env: dict[str, str]
    server: Sshd
    far: Path
    """The root on the other machine."""

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "console", *words], cwd=_CHECKOUT, env=self.env, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def types(self, *words: str, code: int = 0) -> str:
        """What it prints; the exit code is as expected."""
        with self.start(*words) as process:
            said, problem = process.communicate(timeout=90)
        assert process.returncode == code, said + problem
        return said if code == 0 else said + problem


@contextmanager
def agent_with(key: Path) -> Iterator[str]:
    """The socket of an ssh-agent that holds one key."""
    said = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    socket, pid = (re.search(pattern, said) for pattern in (r"SSH_AUTH_SOCK=([^;]+)", r"SSH_AGENT_PID=(\d+)"))
    assert socket is not None
    assert pid is not None
    try:
        subprocess.run(["ssh-add", "-q", str(key)], env={**os.environ, "SSH_AUTH_SOCK": socket[1]}, check=True)
        yield socket[1]
    finally:
        os.kill(int(pid[1]), 15)


@contextmanager
def user_with_box(folder: Path, project: Path, root: Path) -> Iterator[User]:
    """A machine that is named `box` and whose key is known."""
    key = make_key(folder / "key")
    with agent_with(key) as socket, Sshd(folder / "sshd", users=[key]) as server:
        (root / "known_hosts").write_text(f"{server.known_as} {server.host_public()} confirmed\n")
        env = {**os.environ, "SSH_AUTH_SOCK": socket, "FRACTAL_PROJECT": str(project), "NO_COLOR": "1"}
        user = User(env, server, folder / "far")
        user.types("hosts", "add", "box", "--ssh", f"root@127.0.0.1:{server.port}", "--root", str(user.far))
        yield user
