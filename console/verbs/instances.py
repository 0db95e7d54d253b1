"""The verb `instances`: rented machines from the command line. Asks before it spends; money rules are in `remote/`."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from pathlib import Path

from console.instance_verbs import act, open_desk
from console.verbs.common import print_json
from console.words import table
from remote.cloud_paths import CloudPaths
from remote.ssh_connect import Person, Presented


def instances(arguments: argparse.Namespace) -> int:
    person = Person(accept_host_key=_accepts, passphrase=_passphrase)
    with open_desk(CloudPaths.default(), os.environ, agree=_agrees, say=_say, person=person) as desk:
        shown = act(arguments, desk)
    if arguments.json:
        print_json(shown.data)
    else:
        print(table(shown.rows, shown.columns if any(shown.columns) else ()))
        if shown.note:
            print(shown.note)
    return shown.code


def _agrees(question: str) -> bool:
    """Yes only where a person is there and says so."""
    if not sys.stdin.isatty():
        return False
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def _say(words: str) -> None:
    print(words, file=sys.stderr)


def _accepts(shown: Presented) -> bool:
    _say(
        f"{shown.alias} ({shown.address}) shows a host key that nobody has agreed to yet{': ' + shown.note if shown.note else ''}"
    )
    return _agrees(f"  {shown.key_type} {shown.fingerprint}\nIs it the right one?")


def _passphrase(file: Path) -> str | None:
    return getpass.getpass(f"passphrase of {file}: ") if sys.stdin.isatty() else None
