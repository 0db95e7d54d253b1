"""The connection layer on the loopback interface, against Paramiko's own client and OpenSSH, one interleaved run.

    python -m pytest tests/bench/remote/test_connection.py -s

connect   open, verify the host key, log in with a key
exec      run `true` on an open connection (OpenSSH: over a ControlMaster)
"""

from __future__ import annotations

import getpass
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import paramiko

from remote.ssh.config import Target
from remote.ssh.connect import connect
from remote.ssh.connection import Connection
from remote.ssh.trust import Trust
from tests.remote.sshd import Sshd, make_key, needs_sshd

_ROUNDS = 15

Timed = Callable[[], object]


def interleaved(methods: dict[str, Timed], rounds: int = _ROUNDS) -> dict[str, list[float]]:
    """Milliseconds of each method, round after round, so that other load hits all alike."""
    taken: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(rounds):
        for name, method in methods.items():
            start = time.perf_counter()
            method()
            taken[name].append((time.perf_counter() - start) * 1e3)
    return taken


def report(title: str, taken: dict[str, list[float]], ours: str) -> None:
    base = statistics.median(taken[ours])
    print(f"\n{title}, {_ROUNDS} rounds interleaved, ms")
    for name, values in taken.items():
        low, median, high = min(values), statistics.median(values), max(values)
        print(f"  {name:32s} median {median:7.1f}  best {low:7.1f}  worst {high:7.1f}  {median / base:5.1f}× ours")


def plain_client(server: Sshd, key: Path) -> paramiko.SSHClient:
    """As a script would: Paramiko's defaults, with the host key known."""
    client = paramiko.SSHClient()
    client.load_host_keys(str(server.folder / "known_hosts"))
    client.connect(
        "127.0.0.1", server.port, getpass.getuser(), key_filename=str(key), allow_agent=False, look_for_keys=False
    )
    return client


def plain_exec(client: paramiko.SSHClient) -> None:
    _, stdout, _ = client.exec_command("true")
    assert stdout.channel.recv_exit_status() == 0


def ours_exec(connection: Connection) -> None:
    assert connection.run("true").exit_code == 0


@needs_sshd
def test_connect_and_exec(tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    # Bash reads a user's .bashrc for every command of an outermost shell; what that costs is the user's, not ours.
    with Sshd(tmp_path / "sshd", [key], options=["SetEnv SHLVL=3"]) as server:
        (server.folder / "known_hosts").write_text(f"{server.known_as} {server.host_public()}\n")
        target = Target(
            "box", "127.0.0.1", server.port, getpass.getuser(), (key,), known_hosts=(server.folder / "known_hosts",)
        )
        config = tmp_path / "config"
        known = f"UserKnownHostsFile {server.folder}/known_hosts"
        shared = ("ControlMaster auto", f"ControlPath {tmp_path}/cm", "ControlPersist 60")
        config.write_text(server.config_entry("cold", key, known) + server.config_entry("shared", key, known, *shared))
        trust = Trust(tmp_path / "own")

        def openssh(alias: str) -> None:
            subprocess.run(["ssh", "-F", str(config), "-o", "BatchMode=yes", alias, "true"], check=True)

        connects = interleaved(
            {
                "ours": lambda: connect(target, trust).close(),
                "paramiko.SSHClient": lambda: plain_client(server, key).close(),
                "ssh box true (spawn and all)": lambda: openssh("cold"),
            }
        )
        report("connect", connects, "ours")
        openssh("shared")
        client = plain_client(server, key)
        with connect(target, trust) as connection:
            execs = interleaved(
                {
                    "ours": lambda: ours_exec(connection),
                    "paramiko.SSHClient": lambda: plain_exec(client),
                    "ssh over a ControlMaster": lambda: openssh("shared"),
                }
            )
        client.close()
        subprocess.run(["ssh", "-F", str(config), "-O", "exit", "shared"], check=True, capture_output=True)
        report("exec true", execs, "ours")
    medians = {name: statistics.median(values) for name, values in execs.items()}
    assert medians["ssh over a ControlMaster"] > 1.5 * medians["ours"]
    assert medians["paramiko.SSHClient"] > 2 * medians["ours"]
