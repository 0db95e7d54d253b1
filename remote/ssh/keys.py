"""Which keys to offer a server, in which order.

    1  agent keys that belong to an identity file of this host
    2  identity files that open without a passphrase
    3  the other keys of the agent, unless `IdentitiesOnly`
    4  identity files with a passphrase, asked for one by one, last

So a person is asked only when nothing else worked, and a full agent doesn't use up the server's patience first.
"""

from __future__ import annotations

import base64
import binascii
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from paramiko.agent import AgentSSH
from paramiko.pkey import PKey, UnknownKeyType
from paramiko.ssh_exception import PasswordRequiredException, SSHException

from remote.ssh.config import Target

AskPassphrase = Callable[[Path], str | None]
"""The passphrase of a key file; None if the person gives up."""

_TRIES = 3


@dataclass(frozen=True)
class Candidate:
    """One key to offer."""

    words: str
    key: PKey


@dataclass
class Offered:
    """What was tried, for the error message."""

    words: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return ", ".join(self.words) or "no key at all"


class Agent(AgentSSH):
    """The agent behind a socket; without one, or a broken one, simply no keys."""

    def __init__(self, path: str | None) -> None:
        super().__init__()
        self.problem = ""
        if path is None:
            return
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.settimeout(10)
            sock.connect(path)
            # Signing may wait for a person's touch or confirmation.
            self._connect(sock)  # type: ignore[attr-defined]
            sock.settimeout(120)
        except (OSError, SSHException) as error:
            sock.close()
            self.problem = f"no agent at {path} ({error})"

    def close(self) -> None:
        self._close()  # type: ignore[attr-defined]


def candidates(target: Target, agent: Agent, ask: AskPassphrase, notes: Offered) -> Iterator[Candidate]:
    """Keys in order; the passphrase of a file is asked when its turn comes and not before."""
    held: dict[bytes, PKey] = {key.asbytes(): key for key in agent.get_keys()}
    offered: set[bytes] = set()
    closed: list[Path] = []
    for file in target.identity_files:
        blob = public_blob(file)
        if blob is not None and blob in held:
            offered.add(blob)
            yield Candidate(f"{file} (agent)", held[blob])
    for file in target.identity_files:
        opened = _open(file, None, notes)
        if opened is _CLOSED:
            if public_blob(file) not in offered:
                closed.append(file)
        elif isinstance(opened, PKey) and opened.asbytes() not in offered:
            offered.add(opened.asbytes())
            yield Candidate(str(file), opened)
    if not target.identities_only:
        for blob, key in held.items():
            if blob not in offered:
                yield Candidate(f"agent key {getattr(key, 'comment', '') or key.get_name()}", key)
    for file in closed:
        unlocked = _ask(file, ask, notes)
        if unlocked is not None:
            yield Candidate(str(file), unlocked)


def public_blob(file: Path) -> bytes | None:
    """The public half beside a private key, or in the file itself where an agent-only key is named by its `.pub`."""
    for place in (file if file.suffix == ".pub" else file.with_name(file.name + ".pub"), file):
        try:
            words = place.read_text(errors="replace").split()
            if len(words) >= 2 and not words[0].startswith("-"):
                return base64.b64decode(words[1], validate=True)
        except (OSError, binascii.Error):
            continue
    return None


class _Closed:
    """A key file that needs a passphrase."""


_CLOSED = _Closed()


def _open(file: Path, passphrase: str | None, notes: Offered) -> PKey | _Closed | None:
    """The key; None where there is none or it is of no kind that can be used here."""
    if not file.is_file() or file.suffix == ".pub":
        return None
    try:
        # The annotation in the stubs says str; the library behind it wants bytes.
        return PKey.from_path(file, passphrase.encode() if passphrase is not None else None)  # type: ignore[arg-type]
    except (PasswordRequiredException, TypeError):
        return _CLOSED
    except (OSError, ValueError, SSHException, UnsupportedAlgorithm) as error:
        if passphrase is not None:
            return _CLOSED
        notes.words.append(f"{file} (unusable: {error})")
    except UnknownKeyType as error:
        notes.words.append(f"{file} ({error.key_type} works through an agent only)")
    return None


def _ask(file: Path, ask: AskPassphrase, notes: Offered) -> PKey | None:
    for _ in range(_TRIES):
        passphrase = ask(file)
        if passphrase is None:
            notes.words.append(f"{file} (needs a passphrase: ssh-add {file})")
            return None
        opened = _open(file, passphrase, notes)
        if isinstance(opened, PKey):
            return opened
    notes.words.append(f"{file} (the passphrase was wrong {_TRIES} times)")
    return None


def local_public_keys(folder: Path | None = None) -> Sequence[str]:
    """The user's public keys, to tell which of an account's keys belongs to this computer."""
    folder = Path("~/.ssh").expanduser() if folder is None else folder
    return [file.read_text(errors="replace").strip() for file in sorted(folder.glob("*.pub")) if file.is_file()]
