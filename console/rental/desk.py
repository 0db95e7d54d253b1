"""The desk at which the verbs of rented machines work: account, ledger, folder, clock, and the person who is asked.

with open_desk(paths, environ, unverified) as desk: …
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from console.errors import UserError
from remote.cloud.account import open_account
from remote.cloud.clock import Time
from remote.cloud.cloud_errors import CloudError, Refused
from remote.cloud.cloud_models import Instance
from remote.cloud.cloud_paths import CloudPaths
from remote.cloud.instance_login import Aim, aim
from remote.cloud.lambda_cloud import LambdaCloud
from remote.cloud.ledger import Entry, Ledger
from remote.ssh.trust import Person

Unverified = Callable[[Entry], list[str]]
"""Required artifacts of a machine that are not verified here."""


@dataclass(frozen=True)
class Desk:
    """Everything that a verb touches, passed in."""

    cloud: LambdaCloud
    ledger: Ledger
    paths: CloudPaths
    unverified: Unverified
    """Has no default: a wrong "nothing is missing" loses weights."""
    clock: Time = field(default_factory=Time)
    agree: Callable[[str], bool] = lambda question: False
    """Ask a person; False where nobody is there."""
    say: Callable[[str], None] = lambda words: None
    """Progress, for stderr or a status line."""
    person: Person = field(default_factory=Person)
    """Who agrees to host keys and knows passphrases."""
    start_guard: Callable[[], None] = lambda: None
    user_ssh_config: Path = field(default_factory=lambda: Path("~/.ssh/config").expanduser())
    environ: Mapping[str, str] = field(default_factory=dict)
    aim: Aim = aim


@contextmanager
def open_desk(paths: CloudPaths, environ: Mapping[str, str], unverified: Unverified, **more: Any) -> Iterator[Desk]:
    """A desk with the user's account and ledger; `more` are the desk's other fields."""
    try:
        cloud = open_account(paths, environ)
    except CloudError as error:
        raise UserError(str(error)) from None
    with cloud:
        try:
            ledger = Ledger(paths.ledger)
        except sqlite3.Error as error:
            raise broken_ledger(paths, error) from None
        with ledger:
            more.setdefault("start_guard", start_guard_process)
            yield Desk(cloud, ledger, paths, unverified, environ=environ, **more)


def broken_ledger(paths: CloudPaths, error: sqlite3.Error) -> UserError:
    return UserError(
        f"the ledger {paths.ledger} can't be used: {error}. What runs stands at https://cloud.lambda.ai/instances; "
        f"if the file is broken, move it aside (mv {paths.ledger} {paths.ledger}.broken): "
        "`fractal-console instances sweep` finds what fractal-console launched by its tags"
    )


def start_guard_process(python: str = sys.executable) -> None:
    """The guard in the background; it goes home by itself when nothing is rented."""
    checkout = Path(__file__).resolve().parent.parent.parent
    argv = [python, "-m", "remote.cloud.guard", "--detach", "--save-here"]
    subprocess.run(argv, cwd=checkout, check=True, stdin=subprocess.DEVNULL)


def see_to_the_guard(desk: Desk) -> None:
    """The machine runs already: a guard that does not start is told, and is no failure of the launch."""
    try:
        desk.start_guard()
    except (OSError, subprocess.SubprocessError) as error:
        desk.say(
            f"NO GUARD on this computer ({error}): start one with  python -m remote.cloud.guard --detach --save-here"
        )


def open_entry(desk: Desk, name: str) -> Entry:
    entry = desk.ledger.open_named(name)
    if entry is None:
        names = ", ".join(e.name for e in desk.ledger.open()) or "none"
        raise UserError(f"no open instance is called {name!r} (open: {names})")
    if entry.instance_id is None:
        raise Refused(f"{name}: {entry.reason or 'its launch has no answer yet'}", "fractal-console instances sweep")
    return entry


def reachable(desk: Desk, entry: Entry) -> Instance:
    instance = desk.cloud.instance(str(entry.instance_id))
    if instance.ip is None:
        raise UserError(f"{entry.name} has no address yet: fractal-console instances wait {entry.name}")
    return instance
