"""Whom a connection trusts, and who is asked: host keys that somebody agreed to, and the person who may agree to another.

Guarantees: by default nobody is there and the answer is no; the user's own known_hosts files are read and never written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from remote.ssh.config import Target
from remote.ssh.keys import AskPassphrase
from remote.ssh.known_hosts import Verdict, judge, known_keys
from remote.ssh.pins import CONFIRMED, put_line


@dataclass(frozen=True)
class Presented:
    """A host key that nobody has agreed to yet: what a person has to be shown."""

    alias: str
    known_as: str
    address: str
    key_type: str
    fingerprint: str
    note: str = ""


def _refuse(shown: Presented) -> bool:
    return False


def _no_passphrase(file: Path) -> None:
    return None


@dataclass(frozen=True)
class Person:
    """Who is asked; by default nobody is there, and the answer is no."""

    accept_host_key: Callable[[Presented], bool] = _refuse
    passphrase: AskPassphrase = _no_passphrase


@dataclass(frozen=True)
class Trust:
    """Where agreed host keys are kept besides the user's own known_hosts, which is only read."""

    own_file: Path
    """Ours; keys of launched machines stand here too, under `fractal-<uuid>` (see `remote.ssh.pins`)."""

    def verdict(self, target: Target, blob: bytes) -> Verdict:
        return judge(known_keys([self.own_file, *target.known_hosts], target.known_as), blob)

    def agree(self, target: Target, key_type: str, base64_key: str) -> None:
        """From now on this key is known; what our file said of the name before is replaced."""
        put_line(self.own_file, target.known_as, f"{key_type} {base64_key}", CONFIRMED)
