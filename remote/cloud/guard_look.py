"""One look of the guard: compare the ledger with the account, then decide and act for each open machine.

Guarantees: what was decided is pursued until the provider confirms it; no error of one machine keeps the others unwatched; a
machine that can't be looked into, or an account whose list can't be read, still ends at its lease and its budget.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from remote.cloud.activity import Activity, why_busy
from remote.cloud.cloud_errors import CloudError
from remote.cloud.cloud_models import Instance
from remote.cloud.guard_rules import Decision, decide
from remote.cloud.instances import terminate_step
from remote.cloud.lambda_cloud import LambdaCloud
from remote.cloud.ledger import Entry, Ledger
from remote.cloud.renting import MOST_CLOCK_S
from remote.cloud.sweep import Finding, facts_of, sweep


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
    return finding.kind in ("sick", "risen", "orphan", "foreign", "doubt", "elsewhere")


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
