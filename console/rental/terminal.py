"""`fractal-console instances …` on a terminal: asks the person, tells progress on stderr, prints the table or JSON.

    from console.rental.terminal import run_verb
    code = run_verb(arguments, unverified)       # unverified(entry): required files of that machine not verified here

Where nobody sits at the terminal every question is answered with no, and what would have been asked is said.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from pathlib import Path

from console.rental.actions import act
from console.rental.desk import Unverified, open_desk
from console.verbs.common import print_json
from console.words import table
from remote.cloud.cloud_paths import CloudPaths
from remote.ssh.trust import Person, Presented


def run_verb(arguments: argparse.Namespace, unverified: Unverified) -> int:
    """One sub-verb from parsed arguments to its exit code."""
    person = Person(accept_host_key, ask_passphrase)
    with open_desk(CloudPaths.default(), os.environ, unverified, agree=agree, say=say, person=person) as desk:
        shown = act(arguments, desk)
    if arguments.json:
        print_json(shown.data)
        return shown.code
    print(table(shown.rows, shown.columns if any(shown.columns) else ()))
    if shown.note:
        print(shown.note)
    return shown.code


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
