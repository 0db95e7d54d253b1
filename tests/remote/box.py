"""A machine behind SSH for tests: a real server on this one, reached directly or through a proxy."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from pathlib import Path

from engine.config.hosts import HostEntry
from remote.ssh.config import Target
from remote.ssh.connect import connect
from remote.ssh.connection import Connection
from remote.ssh.host import SshHost
from remote.ssh.trust import Trust
from tests.remote.sshd import Sshd


@dataclass(frozen=True)
class Box:
    """How to get in."""

    server: Sshd
    key: Path
    folder: Path

    def target(self, port: int | None = None) -> Target:
        """The server with its key known; a port of a proxy stands for the server's own."""
        known = self.folder / "known_hosts"
        known.write_text(f"{self.server.known_as} {self.server.host_public()}\n")
        address = "127.0.0.1" if port else self.server.address
        return Target(
            "box", address, port or self.server.port, getpass.getuser(), (self.key,), known_hosts=(known,),
            host_key_alias=self.server.known_as,
        )  # fmt: skip

    def connect(self, port: int | None = None) -> Connection:
        return connect(self.target(port), Trust(self.folder / "own_known_hosts"))

    def host(self, root: Path, port: int | None = None, patience_s: float = 20.0, **entry: str) -> SshHost:
        return SshHost(
            "box",
            HostEntry(ssh="box", root=str(root), **entry),
            Trust(self.folder / "own_known_hosts"),
            open_connection=lambda: self.connect(port),
            patience_s=patience_s,
        )
