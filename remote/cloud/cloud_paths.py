"""Where the console keeps what it knows about rented machines: `<root>/cloud/`, mode 0700.

Every path is a property here; nobody else joins strings. All consoles and guards of one user share this folder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from engine.protocol.layout import default_root

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,40}\Z")


@dataclass(frozen=True)
class CloudPaths:
    """The folder for rented machines."""

    folder: Path

    @staticmethod
    def default() -> CloudPaths:
        return CloudPaths(default_root() / "cloud")

    @property
    def ledger(self) -> Path:  # every launch that was ever intended
        return self.folder / "ledger.sqlite"

    @property
    def pace(self) -> Path:  # the token bucket that all consoles share
        return self.folder / "pace.json"

    @property
    def key(self) -> Path:  # the API key, 0600, written by the user
        return self.folder / "lambda.key"

    @property
    def pins(self) -> Path:  # the host key of each instance, as OpenSSH reads it
        return self.folder / "known_hosts"

    @property
    def ssh_config(self) -> Path:  # aliases of instances; `~/.ssh/config` includes it if the user agrees
        return self.folder / "ssh_config"

    @property
    def saves(self) -> Path:  # per machine: how the save command ended
        return self.folder / "saves"

    @property
    def guard_lock(self) -> Path:  # held while a guard runs
        return self.folder / "guard.lock"

    @property
    def guard_beat(self) -> Path:  # what the guard did last, and when
        return self.folder / "guard.json"

    @property
    def guard_log(self) -> Path:
        return self.folder / "guard.log"

    def make(self) -> None:
        """Create the folder, closed to other users."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.chmod(0o700)


def safe_name(name: str) -> str:
    """`name` if it can name an instance, an SSH alias and a host; ValueError otherwise."""
    if not _NAME.match(name):
        raise ValueError(
            f"{name!r} can't name an instance: use lower-case letters, digits and '-', "
            "beginning with a letter or digit (at most 41)"
        )
    return name
