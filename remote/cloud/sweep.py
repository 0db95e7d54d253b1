"""The ledger against the account: what runs that nobody watches, what ended unseen, what is over its caps.

Guarantees: `compare` is pure; a machine that bills and is not an open entry of this ledger is always a finding; an entry
is closed only after a GET confirms its end. An account that can't be read is an error, never "all is well".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from remote.cloud.cloud_errors import CloudError
from remote.cloud.cloud_models import Instance
from remote.cloud.guard_rules import Facts, first_due
from remote.cloud.instances import gone_or_status, is_young
from remote.cloud.lambda_cloud import LambdaCloud
from remote.cloud.ledger import LAUNCH_TAG, LEASE_TAG, NAME_TAG, Entry, Ledger, State, caps_of_tags

# How long a launch without a clear answer may take to appear in the list before it counts as never made.
APPEAR_S = 30 * 60.0


@dataclass(frozen=True)
class Finding:
    """One machine or entry, and how the two agree."""

    kind: str
    """ok, found, never, gone, doubt, ending, overdue, sick, risen, orphan, foreign, elsewhere"""
    name: str
    words: str
    entry: Entry | None = None
    instance: Instance | None = None
    hint: str = ""

    @property
    def is_fault(self) -> bool:
        """Somebody has to look: money may be running that nothing stops."""
        return self.kind in ("doubt", "ending", "overdue", "sick", "risen", "orphan", "foreign", "elsewhere")


def sweep(cloud: LambdaCloud, ledger: Ledger, now: float) -> list[Finding]:
    """Compare, bring the ledger up to date, and tell. Raises what the account raises."""
    findings = compare(ledger.all(), cloud.instances(), cloud.account, now)
    return [_settle(finding, cloud, ledger, now) for finding in findings]


def compare(entries: Sequence[Entry], instances: Sequence[Instance], account: str, now: float) -> list[Finding]:
    """Pure: entries first, then machines that no open entry owns."""
    by_id = {i.id: i for i in instances}
    by_tag = {i.tags[LAUNCH_TAG]: i for i in instances if LAUNCH_TAG in i.tags}
    opened = [entry for entry in entries if entry.is_open]
    owned: set[str] = set()
    findings = []
    for entry in opened:
        instance = by_id.get(entry.instance_id or "") or by_tag.get(entry.uuid)
        if instance is not None:
            owned.add(instance.id)
        findings.append(_of_entry(entry, instance, account, now))
    known = {entry.uuid: entry for entry in entries}
    findings += [_of_stranger(i, known, now) for i in instances if i.id not in owned and not i.is_gone]
    return findings


def _of_entry(entry: Entry, instance: Instance | None, account: str, now: float) -> Finding:
    if instance is None:
        return _without_instance(entry, account, now)
    if entry.state == "asked":
        return Finding("found", entry.name, f"its launch worked after all: {instance.id}", entry, instance)
    if instance.is_gone:
        return Finding("gone", entry.name, "terminated", entry, instance)
    hint = f"fractal-console instances terminate {entry.name}"
    if entry.state == "ending":
        return Finding("ending", entry.name, f"to be terminated, still {instance.status}", entry, instance, hint)
    due = first_due(facts_of(entry, now))
    if now >= due.at:
        words = f"over its {due.what}, {instance.status}, ${entry.cost_usd(now):.2f} so far"
        return Finding("overdue", entry.name, words, entry, instance, hint)
    if instance.status in ("unhealthy", "preempted"):
        return Finding("sick", entry.name, f"{instance.status}, and it may bill on", entry, instance, hint)
    return Finding("ok", entry.name, f"{instance.status}, ${entry.cost_usd(now):.2f} so far", entry, instance)


def _without_instance(entry: Entry, account: str, now: float) -> Finding:
    if entry.account != account:
        words = f"launched with another API key (fingerprint {entry.account}): can't be seen with this one"
        return Finding("elsewhere", entry.name, words, entry, hint="set that key and sweep again")
    if is_young(entry, now):
        return Finding("ok", entry.name, "asked for just now, not in the list yet", entry)
    if entry.state != "asked":
        return Finding("gone", entry.name, "not in the account's list", entry)
    if now - entry.asked_at > APPEAR_S:
        return Finding("never", entry.name, "its launch never made an instance", entry)
    words = f"asked for {now - entry.asked_at:.0f} s ago, no instance yet, and no clear answer"
    return Finding("doubt", entry.name, words, entry, hint="sweep again in a minute; do not launch again meanwhile")


def _of_stranger(instance: Instance, known: Mapping[str, Entry], now: float) -> Finding:
    uuid = instance.tags.get(LAUNCH_TAG)
    name = instance.tags.get(NAME_TAG) or instance.name or instance.id
    price = f"{instance.status}, ${instance.price_cents_per_h / 100:.2f}/h"
    hint = f"fractal-console instances terminate {instance.id}   or   instances adopt {instance.id}"
    if uuid is None:
        return Finding("foreign", name, f"not launched by fractal-console, {price}", instance=instance, hint=hint)
    entry = known.get(uuid)
    if entry is not None:
        words = f"the ledger said {entry.state}, and it runs after all: {price}"
        return Finding("risen", name, words, entry, instance, "the guard goes on with it; sweep again in a minute")
    words = f"launched by fractal-console elsewhere{_lease_words(instance, now)}, {price}"
    return Finding("orphan", name, words, None, instance, hint)


def _lease_words(instance: Instance, now: float) -> str:
    until = lease_of(instance)
    if until is None:
        return ""
    return ", its lease is over" if now >= until else f", its lease ends in {(until - now) / 3600:.1f} h"


def lease_of(instance: Instance) -> float | None:
    """When its lease ends, as its tag says."""
    try:
        return float(instance.tags.get(LEASE_TAG, ""))
    except ValueError:
        return None


def facts_of(entry: Entry, now: float) -> Facts:
    """An entry as the rules see it when nobody knows about activity and saving."""
    return Facts(
        now=now,
        asked_at=entry.asked_at,
        lease_until=entry.lease_until,
        max_usd=entry.max_usd,
        price_cents_per_h=entry.price_cents_per_h,
        billing_from=entry.billing_from,
        on_cap=entry.on_cap,
        grace_s=entry.grace_s,
        is_ending=entry.state == "ending",
        was_active=entry.was_active,
        idle_minutes=entry.idle_minutes,
        busy_at=entry.busy_at,
        save_asked_at=entry.save_asked_at,
    )


def _settle(finding: Finding, cloud: LambdaCloud, ledger: Ledger, now: float) -> Finding:
    """What the comparison means for the ledger."""
    entry, instance = finding.entry, finding.instance
    if entry is None:
        return finding
    if finding.kind == "found" and instance is not None:
        ledger.rented(entry.uuid, instance.id, now)
    elif finding.kind == "risen" and instance is not None:
        # What was given up may live within its caps; what was ended has to end.
        state: State = "rented" if entry.state == "failed" else "ending"
        ledger.reopen(entry.uuid, state, instance.id, "runs after all", now)
    elif finding.kind == "never":
        ledger.failed(entry.uuid, finding.words, now)
    elif finding.kind == "gone":
        return _confirm(finding, entry, cloud, ledger, now)
    if instance is not None and finding.kind in ("ok", "found", "overdue", "sick"):
        ledger.seen(entry.uuid, is_active=instance.status != "booting", now=now)
    return finding


def _confirm(finding: Finding, entry: Entry, cloud: LambdaCloud, ledger: Ledger, now: float) -> Finding:
    """A list may lag or be cut: ask for this one instance before the entry is closed."""
    try:
        status = gone_or_status(cloud, entry, now)
    except CloudError as error:
        return Finding("ending", entry.name, f"not in the list; {error.message}", entry, hint=error.hint)
    if status is None:
        ledger.ended(entry.uuid, f"{finding.words}; confirmed by a sweep", now)
        return finding
    return Finding("ending", entry.name, f"not in the list, yet {status}", entry, hint="sweep again in a minute")


def adopted_entry(instance: Instance, account: str, now: float, hours: float) -> Entry:
    """An entry for a machine that this ledger does not know: its tags' caps, else the default lease from now."""
    caps = caps_of_tags(instance.tags)
    lease = lease_of(instance)
    price = instance.price_cents_per_h
    return Entry(
        uuid=instance.tags.get(LAUNCH_TAG) or f"adopted-{instance.id}",
        name=instance.tags.get(NAME_TAG) or f"i-{instance.id[:8].lower()}",
        type_name=instance.type_name,
        region=instance.region,
        price_cents_per_h=price,
        account=account,
        asked_at=now,
        lease_until=lease if lease is not None else now + hours * 3600,
        max_usd=_float(caps.get("usd"), hours * price / 100),
        idle_minutes=_float(caps.get("idle"), 30.0) if caps.get("idle") or not caps else None,
        on_cap=caps.get("on_cap", "save-then-terminate"),
        grace_s=_float(caps.get("grace"), 600.0),
        billing_from=now,
        was_active=instance.status != "booting",
    )


def _float(text: str | None, otherwise: float) -> float:
    try:
        return float(text) if text else otherwise
    except ValueError:
        return otherwise
