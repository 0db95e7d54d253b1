"""The host key of each rented machine: a known_hosts file of our own, under names that no address reuse can confuse.

    fractal-<uuid> ssh-ed25519 AAAA… injected       made here, put into the machine by cloud-init, not yet met
    fractal-<uuid> ssh-ed25519 AAAA… confirmed      met, or shown to a person who agreed

OpenSSH reads the same file through `HostKeyAlias`, so `ssh NAME` is as strict as we are.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from remote.cloud.locked_file import rewrite

INJECTED, CONFIRMED = "injected", "confirmed"


@dataclass(frozen=True)
class HostKeyPair:
    """A host key made for one machine. The private half goes into its user_data and nowhere else."""

    private: str
    public: str
    """Type and base64, as in known_hosts."""


@dataclass(frozen=True)
class Pin:
    name: str
    public: str
    origin: str

    @property
    def key_type(self) -> str:
        return self.public.split()[0]

    @property
    def blob(self) -> bytes:
        return base64.b64decode(self.public.split()[1])


def new_host_key() -> HostKeyPair:
    """A fresh ed25519 key in OpenSSH's own format."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return HostKeyPair(private.decode(), public.decode())


def alias_of(uuid: str) -> str:
    """The name under which a machine's key is known."""
    return f"fractal-{uuid}"


class Pins:
    """The file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def get(self, uuid: str) -> Pin | None:
        text = self.file.read_text() if self.file.exists() else ""
        return next((pin for pin in map(_pin, text.splitlines()) if pin and pin.name == alias_of(uuid)), None)

    def put(self, uuid: str, public: str, origin: str) -> None:
        put_line(self.file, alias_of(uuid), " ".join(public.split()[:2]), origin)

    def forget(self, uuid: str) -> None:
        rewrite(self.file, lambda text: _without(text, alias_of(uuid)))


def put_line(file: Path, name: str, public: str, origin: str) -> None:
    """Replace what the file said of this name."""
    rewrite(file, lambda text: f"{_without(text, name)}{name} {public} {origin}\n")


def _without(text: str, name: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if line.split()[:1] != [name])


def _pin(line: str) -> Pin | None:
    words = line.split()
    return (
        Pin(words[0], f"{words[1]} {words[2]}", words[3] if len(words) > 3 else CONFIRMED) if len(words) > 2 else None
    )
