"""The guard: one process beside the console that outlives it and ends what is over its caps.

    python -m remote.cloud.guard                    # watch until nothing is rented any more
    python -m remote.cloud.guard --once             # one look, for a timer or cron; exit code 0 well, 1 look at it, 2 can't tell
    python -m remote.cloud.guard --detach           # in the background; returns at once
    python -m remote.cloud.guard --render systemd   # the text of a timer (or launchd, cron) to install

Guarantees: one guard per user at a time, except that a look by a timer does not wait for a guard that is stuck; what was
decided is pursued until the provider confirms it; no error of one machine keeps the others unwatched; no error at all ends
the guard. A machine that can't be looked into still ends at its lease and its budget.
Does not guarantee: anything while this computer sleeps or is off. That is what the guard on the machine is for.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from engine.protocol.durable import read_json, write_json
from engine.protocol.identity import Identity, alive, identify
from remote.cloud.cloud_paths import CloudPaths
from remote.cloud.guard_look import Hooks, Look, Note, look
from remote.cloud.lambda_cloud import LambdaCloud
from remote.cloud.ledger import Ledger

EVERY_S = 60.0

# After the last machine is gone: long enough for the next launch to find a guard, short enough not to linger.
_STAY_S = 600.0

# A guard that has not beaten for this many intervals is stuck.
_STUCK = 5


@dataclass
class Beat:
    """What the guard leaves behind after every look, for the screens and for the next guard."""

    time: float
    every_s: float
    identity: dict[str, Any]
    open: int = 0
    can_tell: bool = True
    notes: list[dict[str, Any]] = field(default_factory=list)


def armed(paths: CloudPaths, now: float) -> str:
    """Whether a guard beside the console watches, in words for a screen."""
    beat = read_json(paths.guard_beat)
    if beat is None:
        return "no guard has run here"
    age = now - float(beat.get("time", 0))
    if not _beats(beat, now):
        return f"the guard last looked {age / 60:.0f} min ago: NOT ARMED"
    if not beat.get("can_tell", True):
        return (
            f"the guard looks and can't tell: {next((n['because'] for n in beat.get('notes', [])), 'no reason given')}"
        )
    resident = "resident" if alive(Identity.from_json(beat.get("identity"))) else "by timer"
    return f"armed ({resident}), looked {age:.0f} s ago"


def _beats(beat: dict[str, Any], now: float) -> bool:
    return now - float(beat.get("time", 0)) <= _STUCK * float(beat.get("every_s", EVERY_S))


@dataclass(frozen=True)
class Watch:
    """Everything that the loop needs, passed in."""

    paths: CloudPaths
    cloud: Callable[[], LambdaCloud]
    hooks: Hooks
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    every_s: float = EVERY_S


def watch(asked: Watch, *, stay: bool = False) -> None:
    """Look again and again until nothing has been rented for a while; for ever with `stay`."""
    quiet_since = asked.now()
    while True:
        done = look_once(asked)
        if done.open or not done.can_tell:
            quiet_since = asked.now()
        if not stay and asked.now() - quiet_since > _STAY_S:
            return
        asked.sleep(asked.every_s)


def look_once(asked: Watch) -> Look:
    """One look, written down. A missing key or a broken ledger is a note, not the end of the guard."""
    now = asked.now()
    try:
        with Ledger(asked.paths.ledger) as ledger, asked.cloud() as cloud:
            done = look(cloud, ledger, asked.hooks, now)
    except Exception as error:  # an edge: the guard must be there tomorrow, whatever today was
        done = Look([Note("guard", "error", f"{type(error).__name__}: {error}")], 1, False)
    _write_down(asked.paths, done, now, asked.every_s)
    return done


def _write_down(paths: CloudPaths, done: Look, now: float, every_s: float) -> None:
    known = (read_json(paths.guard_beat) or {}).get("notes", [])
    beat = Beat(now, every_s, identify().to_json(), done.open, done.can_tell, [asdict(note) for note in done.notes])
    with suppress(OSError):  # a full disk must not stop the guard
        write_json(paths.guard_beat, asdict(beat))
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now))
    news = [n for n in done.notes if n.action != "nothing" and asdict(n) not in known]
    with suppress(OSError), open(paths.guard_log, "a") as log:
        log.writelines(f"{stamp} {note.name}: {note.action}: {note.because}\n" for note in news)


class AlreadyGuarded(Exception):
    """Another guard holds the lock and beats."""


def take_lock(paths: CloudPaths, now: float) -> int | None:
    """The lock as a file descriptor; None where a stuck guard holds it, which is then worked around."""
    fd = os.open(paths.guard_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        if _beats(read_json(paths.guard_beat) or {}, now):
            raise AlreadyGuarded(armed(paths, now)) from None
        return None
    return fd


def detach() -> bool:
    """Go into the background; True in the guard that stays, False in the caller that returns."""
    if os.fork():
        return False
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    return True


def main(argv: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(argv)
    if asked.render:
        from remote.cloud.guard_schedule import render

        print(render(asked.render, sys.executable, Path(__file__).resolve().parent.parent.parent), end="")
        return 0
    paths = CloudPaths.default()
    paths.make()
    if asked.detach and not detach():
        return 0
    try:
        lock = take_lock(paths, time.time())
    except AlreadyGuarded as error:
        print(f"another guard watches: {error}")
        return 0
    try:
        if lock is not None:  # from now on the next guard sees that somebody is here
            _write_down(paths, Look([], 0), time.time(), asked.every)
        return _run(asked, paths)
    finally:
        if lock is not None:
            os.close(lock)


def _run(asked: argparse.Namespace, paths: CloudPaths) -> int:
    from remote.cloud.account import open_account
    from remote.cloud.guard_hooks import default_hooks

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    todo = Watch(
        paths, lambda: open_account(paths, os.environ), default_hooks(paths, _save_of(asked)), every_s=asked.every
    )
    if not asked.once:
        watch(todo, stay=asked.stay)
        return 0
    done = look_once(todo)
    print(
        json.dumps(asdict(done), indent=1)
        if asked.json
        else "\n".join(f"{n.name}: {n.action}: {n.because}" for n in done.notes)
    )
    return done.exit_code


def _save_of(asked: argparse.Namespace) -> str:
    """The save command. The console's verb is named, not imported: it brings required files here and verifies them."""
    here = f'{shlex.quote(sys.executable)} -m console instances save "$FRACTAL_INSTANCE"'
    return asked.save or (here if asked.save_here else "")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m remote.cloud.guard", description="Ends rented machines at their caps."
    )
    parser.add_argument("--once", action="store_true", help="one look, for a timer or cron")
    parser.add_argument("--detach", action="store_true", help="watch in the background")
    parser.add_argument("--stay", action="store_true", help="watch for ever, also when nothing is rented")
    parser.add_argument("--every", type=float, default=EVERY_S, help="seconds between looks")
    parser.add_argument(
        "--save-here", action="store_true", help="save by `fractal-console instances save`: all to here"
    )
    parser.add_argument("--save", default="", help="shell command that saves; exit code 0: all required is verified")
    parser.add_argument(
        "--render", choices=("systemd", "launchd", "cron"), help="print what to install, install nothing"
    )
    parser.add_argument("--json", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
