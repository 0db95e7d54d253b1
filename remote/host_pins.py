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

from engine.protocol.durable import write_bytes

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
        return next((pin for pin in self._all() if pin.name == alias_of(uuid)), None)

    def put(self, uuid: str, public: str, origin: str) -> None:
        """Replace what was known of this machine."""
        words = " ".join(public.split()[:2])
        self._write([*(p for p in self._all() if p.name != alias_of(uuid)), Pin(alias_of(uuid), words, origin)])

    def forget(self, uuid: str) -> None:
        self._write([pin for pin in self._all() if pin.name != alias_of(uuid)])

    def _all(self) -> list[Pin]:
        try:
            lines = self.file.read_text().splitlines()
        except FileNotFoundError:
            return []
        words = [line.split() for line in lines if line and not line.startswith("#")]
        return [Pin(w[0], f"{w[1]} {w[2]}", w[3] if len(w) > 3 else CONFIRMED) for w in words if len(w) >= 3]

    def _write(self, pins: list[Pin]) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        text = "".join(f"{pin.name} {pin.public} {pin.origin}\n" for pin in pins)
        write_bytes(self.file, text.encode())
