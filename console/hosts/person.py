"""The person at the terminal: asked about host keys and passphrases, told how far something is, on stderr.

Where nobody sits there every question is answered with no, and what would have been asked is said.
"""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remote.ssh.trust import Person, Presented


def at_the_terminal() -> Person:
    from remote.ssh.trust import Person

    return Person(accept_host_key, ask_passphrase)


def is_somebody_there() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def agree(question: str) -> bool:
    """Yes only if a person types it."""
    if not is_somebody_there():
        say(f"{question} (nobody to ask: no)")
        return False
    return _typed(f"{question} [y/N] ").lower() in ("y", "yes")


def accept_host_key(shown: Presented) -> bool:
    note = f"\n  Mind: {shown.note}." if shown.note else ""
    return agree(
        f"The host key of {shown.alias} ({shown.address}) is not known.\n"
        f"  {shown.key_type} {shown.fingerprint}{note}\nIs this the machine's own?"
    )


def ask_passphrase(file: Path) -> str | None:
    if not is_somebody_there():
        return None
    try:
        return getpass.getpass(f"Passphrase for {file}: ", stream=sys.stderr) or None
    except EOFError:
        return None


def _typed(prompt: str) -> str:
    print(prompt, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()
