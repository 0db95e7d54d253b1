"""A real OpenSSH server on a high port of the loopback interface, with keys made for the test."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.polling import until

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin") or ""

needs_sshd = pytest.mark.skipif(
    not (SSHD and shutil.which("ssh-keygen")), reason="no OpenSSH server here: apt install openssh-server"
)


def make_key(file: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    """A key pair; returns the private file."""
    size = ["-b", "2048"] if kind == "rsa" else []
    argv = ["ssh-keygen", "-q", "-t", kind, *size, "-N", passphrase, "-C", file.name, "-f", str(file)]
    subprocess.run(argv, check=True)
    return file


def public(file: Path) -> str:
    """Type and base64 of a key pair."""
    return " ".join(file.with_name(file.name + ".pub").read_text().split()[:2])


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@dataclass
class Sshd:
    """One server; `with Sshd(folder, users=[key]) as server`."""

    folder: Path
    users: Sequence[Path]
    """Key files that may log in."""
    host_keys: Sequence[str] = ("ed25519",)
    options: Sequence[str] = ()
    port: int = field(default_factory=free_port)
    address: str = "127.0.0.1"
    inside: Sequence[str] = ()
    """What the server is started through, such as `ip netns exec NAME`."""

    def __enter__(self) -> Sshd:
        self.folder.mkdir(parents=True, exist_ok=True)
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        keys = [self._host_key(kind) for kind in self.host_keys]
        authorized = self.folder / "authorized_keys"
        authorized.write_text("".join(public(user) + "\n" for user in self.users))
        config = self.folder / "sshd_config"
        lines = [
            f"Port {self.port}",
            f"ListenAddress {self.address}",
            *(f"HostKey {key}" for key in keys),
            f"AuthorizedKeysFile {authorized}",
            f"PidFile {self.folder / 'pid'}",
            "UsePAM no",
            "StrictModes no",
            "PasswordAuthentication no",
            "PermitRootLogin yes",
            "Subsystem sftp internal-sftp",
            *self.options,
        ]
        config.write_text("\n".join(lines) + "\n")
        self.log = self.folder / "log"
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen([*self.inside, SSHD, "-D", "-e", "-f", str(config)], stderr=log)
        until(lambda: self._process.poll() is not None or "Server listening" in self.log.read_text(), "sshd to listen")
        if self._process.poll() is not None:
            raise RuntimeError(f"sshd did not start: {self.log.read_text()}")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def _host_key(self, kind: str) -> Path:
        file = self.folder / f"host_{kind}"
        return file if file.exists() else make_key(file, kind)

    def host_public(self, kind: str = "ed25519") -> str:
        return public(self.folder / f"host_{kind}")

    @property
    def known_as(self) -> str:
        return f"[{self.address}]:{self.port}"

    def config_entry(self, alias: str, key: Path, *more: str) -> str:
        """A block of ssh_config that leads here."""
        lines = ["HostName 127.0.0.1", f"Port {self.port}", f"User {getpass.getuser()}", f"IdentityFile {key}", *more]
        return f"Host {alias}\n" + "".join(f"  {line}\n" for line in lines)
