"""The guard: one process beside the console that outlives it and ends what is over its caps.

    python -m remote.guard                    # watch until nothing is rented any more
    python -m remote.guard --once             # one look, for a timer or cron; exit code 0 well, 1 look at it, 2 can't tell
    python -m remote.guard --detach           # in the background; returns at once
    python -m remote.guard --render systemd   # the text of a timer (or launchd, cron) to install

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
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.protocol.durable import read_json, write_json
from engine.protocol.identity import Identity, alive, identify
from remote.activity import Activity, why_busy
from remote.cloud_errors import CloudError
from remote.cloud_models import Instance
from remote.cloud_paths import CloudPaths
from remote.guard_rules import Decision, decide
from remote.instances import MOST_CLOCK_S, terminate_step
from remote.lambda_cloud import LambdaCloud
from remote.ledger import Entry, Ledger
from remote.sweep import Finding, facts_of, sweep

EVERY_S = 60.0

# After the last machine is gone: long enough for the next launch to find a guard, short enough not to linger.
_STAY_S = 600.0

# A guard that has not beaten for this many intervals is stuck.
_STUCK = 5


@dataclass(frozen=True)
class Hooks:
    """What the guard can't know by itself."""

    activity: Callable[[Entry, Instance], Activity | None] = lambda entry, instance: None
    """A look into the machine; None where it can't be looked into."""
    ask_save: Callable[[Entry], None] = lambda entry: None
    """Begin to save; returns at once."""
    unverified: Callable[[Entry], list[str] | None] = lambda entry: None
    """Required files that are not verified elsewhere; None where nobody can tell."""


@dataclass(frozen=True)
class Note:
    """What the guard did about one machine, and why."""

    name: str
    action: str
    """nothing, save, terminate, ended, hold, look (a person should), error"""
    because: str

    @property
    def is_fault(self) -> bool:
        return self.action in ("hold", "look", "error", "terminate")


@dataclass(frozen=True)
class Look:
    """One round over everything."""

    notes: list[Note]
    open: int
    """Machines that may cost money."""
    can_tell: bool = True

    @property
    def exit_code(self) -> int:
        if not self.can_tell:
            return 2
        return 1 if any(note.is_fault for note in self.notes) else 0


def look(cloud: LambdaCloud, ledger: Ledger, hooks: Hooks, now: float) -> Look:
    """Compare with the account, then decide and act for each open machine."""
    notes: list[Note] = []
    instances: dict[str, Instance] = {}
    can_tell = True
    try:
        findings = sweep(cloud, ledger, now)
        instances = {f.entry.uuid: f.instance for f in findings if f.entry and f.instance}
        notes += [Note(f.name, "look", f"{f.words}. {f.hint}") for f in findings if _is_for_a_person(f)]
        notes += [Note(f.name, "ended", f.words) for f in findings if f.kind == "gone"]
    except CloudError as error:
        # Without the list the caps still hold: each machine is known by its id.
        notes.append(Note("account", "error", str(error)))
        can_tell = False
    if abs(cloud.clock_ahead_s) > MOST_CLOCK_S:
        notes.append(
            Note(
                "clock",
                "look",
                f"this computer's clock is {cloud.clock_ahead_s / 60:+.0f} min off: caps end so far off",
            )
        )
    for entry in ledger.open():
        if entry.instance_id is not None:
            notes.append(_guarded(cloud, ledger, hooks, entry, instances.get(entry.uuid), now))
    return Look(notes, len(ledger.open()), can_tell)


def _is_for_a_person(finding: Finding) -> bool:
    """What the guard itself handles, being in its ledger, is told by its own note."""
    return finding.kind in ("risen", "orphan", "foreign", "doubt", "elsewhere")


def _guarded(
    cloud: LambdaCloud, ledger: Ledger, hooks: Hooks, entry: Entry, instance: Instance | None, now: float
) -> Note:
    """One machine; whatever goes wrong with it stays with it."""
    try:
        return _one(cloud, ledger, hooks, entry, instance, now)
    except CloudError as error:
        return Note(entry.name, "error", str(error))
    except Exception as error:  # an edge: a fault in a hook must not leave the other machines unwatched
        return Note(entry.name, "error", f"{type(error).__name__}: {error}")


def _one(cloud: LambdaCloud, ledger: Ledger, hooks: Hooks, entry: Entry, instance: Instance | None, now: float) -> Note:
    decision = _decide(ledger, hooks, entry, instance, now)
    if decision.action == "save":
        ledger.save_asked(entry.uuid, now)
        hooks.ask_save(entry)
    if decision.action == "terminate":
        reason = entry.reason if entry.state == "ending" else f"guard: {decision.because}"
        said = terminate_step(cloud, ledger, entry, reason, now)
        if said is None:
            return Note(entry.name, "ended", reason)
        return Note(entry.name, "terminate", f"{reason}; {said}")
    return Note(entry.name, decision.action, decision.because)


def _decide(ledger: Ledger, hooks: Hooks, entry: Entry, instance: Instance | None, now: float) -> Decision:
    facts = facts_of(entry, now)
    if facts.is_ending:
        return decide(facts)
    seen = _activity(hooks, entry, instance)
    if seen is not None and why_busy(seen) is not None:
        ledger.busy(entry.uuid, now)
        facts = replace(facts, busy_at=now)
    facts = replace(facts, is_activity_known=seen is not None)
    if facts.save_asked_at is not None:
        facts = replace(facts, unverified=_unverified(hooks, entry))
    return decide(facts)


def _activity(hooks: Hooks, entry: Entry, instance: Instance | None) -> Activity | None:
    """A look that fails is "not known", which is neither busy nor idle."""
    if instance is None or instance.status != "active" or entry.idle_minutes is None:
        return None
    with suppress(Exception):  # an edge: SSH, a remote Python and somebody's login shell stand behind it
        return hooks.activity(entry, instance)
    return None


def _unverified(hooks: Hooks, entry: Entry) -> tuple[str, ...] | None:
    with suppress(Exception):  # an edge, as above; not knowing is not saved
        left = hooks.unverified(entry)
        return None if left is None else tuple(left)
    return None


@dataclass
class Beat:
    """What the guard leaves behind after every look, for the screens and for the next guard."""

    time: float
    every_s: float
    identity: dict[str, Any]
    open: int = 0
    notes: list[dict[str, Any]] = field(default_factory=list)


def armed(paths: CloudPaths, now: float) -> str:
    """Whether a guard beside the console watches, in words for a screen."""
    beat = read_json(paths.guard_beat)
    if beat is None:
        return "no guard has run here"
    age = now - float(beat.get("time", 0))
    if age > _STUCK * float(beat.get("every_s", EVERY_S)):
        return f"the guard last looked {age / 60:.0f} min ago: NOT ARMED"
    resident = "resident" if alive(Identity.from_json(beat.get("identity"))) else "by timer"
    return f"armed ({resident}), looked {age:.0f} s ago"


def is_armed(paths: CloudPaths, now: float) -> bool:
    return armed(paths, now).startswith("armed")


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
    beat = Beat(now, every_s, identify().to_json(), done.open, [asdict(note) for note in done.notes])
    with suppress(OSError):  # a full disk must not stop the guard
        write_json(paths.guard_beat, asdict(beat))
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now))
    news = [f"{stamp} {note.name}: {note.action}: {note.because}\n" for note in done.notes if note.action != "nothing"]
    with suppress(OSError), open(paths.guard_log, "a") as log:
        log.writelines(news)


class AlreadyGuarded(Exception):
    """Another guard holds the lock and beats."""


def take_lock(paths: CloudPaths, now: float) -> int | None:
    """The lock as a file descriptor; None where a stuck guard holds it, which is then worked around."""
    fd = os.open(paths.guard_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        if is_armed(paths, now):
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
        from remote.guard_schedule import render

        print(render(asked.render, sys.executable, Path(__file__).resolve().parent.parent), end="")
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
    from remote.account import open_account
    from remote.guard_hooks import default_hooks

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    todo = Watch(paths, lambda: open_account(paths, os.environ), default_hooks(paths, asked.save), every_s=asked.every)
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m remote.guard", description="Ends rented machines at their caps.")
    parser.add_argument("--once", action="store_true", help="one look, for a timer or cron")
    parser.add_argument("--detach", action="store_true", help="watch in the background")
    parser.add_argument("--stay", action="store_true", help="watch for ever, also when nothing is rented")
    parser.add_argument("--every", type=float, default=EVERY_S, help="seconds between looks")
    parser.add_argument("--save", default="", help="shell command that saves; exit code 0: all required is verified")
    parser.add_argument(
        "--render", choices=("systemd", "launchd", "cron"), help="print what to install, install nothing"
    )
    parser.add_argument("--json", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
