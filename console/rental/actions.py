"""The verbs of rented machines, each a function from parsed arguments to a table: types, list, launch, wait, setup-ssh, …

    add_arguments(parser)                       # from console.rental.arguments
    with open_desk(paths, environ, unverified) as desk:     # from console.rental.desk
        table = act(args, desk)                 # args.instance_verb chooses

Exit codes: 0 done, 1 it ran and something is not well (a refusal, an orphan). What the user has to mend is a `UserError`.
Decides nothing by itself: rules are in `remote.cloud.instances`, `remote.cloud.sweep`, `remote.cloud.caps`.
"""

from __future__ import annotations

import argparse
import sqlite3
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from console.errors import UserError
from console.rental.desk import Desk, broken_ledger, open_entry, see_to_the_guard
from console.rental.entering import arm_guard, look_in, open_shell, save_instance, setup_ssh
from console.rental.launches import launch_instance, wait_for
from console.verbs.model_tables import Table
from remote.cloud.caps import BadCap
from remote.cloud.cloud_errors import CloudError
from remote.cloud.guard import armed
from remote.cloud.instances import terminate
from remote.cloud.ledger import Entry, NameTaken
from remote.cloud.sweep import Finding, adopted_entry, lease_of, sweep
from remote.host import HostError
from remote.ssh.alias import remove_alias


def act(args: argparse.Namespace, desk: Desk) -> Table:
    """One verb; whatever a person can mend becomes a `UserError` with its one line."""
    try:
        return ACTIONS[args.instance_verb](desk, args)
    except (CloudError, BadCap, NameTaken, HostError) as error:
        raise UserError(str(error)) from None
    except sqlite3.Error as error:
        raise broken_ledger(desk.paths, error) from None


def list_types(desk: Desk, args: argparse.Namespace) -> Table:
    """Machines that can be rented, cheapest first; those with capacity now before the others."""
    found = [t for t in desk.cloud.instance_types() if not args.word or args.word in t.name]
    found.sort(key=lambda t: (not t.regions, t.price_cents_per_h))
    columns = ["type", "$/h", "GPUs", "machine", "cores", "memory GiB", "disk GiB", "capacity now"]
    rows = [
        [t.name, f"{t.price_cents_per_h / 100:.2f}", str(t.gpus), t.description, str(t.vcpus), str(t.memory_gib),
         str(t.storage_gib), ", ".join(t.regions) or "none"]
        for t in found
    ]  # fmt: skip
    return Table(columns, rows, [asdict(t) for t in found], "" if found else f"no type has {args.word!r} in its name")


def list_instances(desk: Desk, args: argparse.Namespace) -> Table:
    """Everything that may cost money: ours with cost and caps, and what else the account runs."""
    now = desk.clock.now()
    findings = sweep(desk.cloud, desk.ledger, now)
    rows = [_row(f, now) for f in findings]
    columns = [
        "name",
        "state",
        "type",
        "region",
        "address",
        "$/h",
        "cost so far",
        "ends at the latest in",
        "guard there",
        "id",
    ]
    spent = sum(f.entry.cost_usd(now) for f in findings if f.entry)
    note = (
        f"${spent:.2f} at most so far; guard on this computer: {armed(desk.paths, now)}"
        if rows
        else "nothing is rented"
    )
    told = [_told(f, now) | {"history": desk.ledger.history(f.entry.uuid) if f.entry else []} for f in findings]
    return Table(columns, rows, told, note)


def _row(finding: Finding, now: float) -> list[str]:
    told = _told(finding, now)
    left = told["hours_left"]
    cost = told["cost_usd"]
    return [
        *(finding.name, finding.kind if finding.kind != "ok" else str(told["status"]), told["type"], told["region"]),
        *(told["address"] or "–", f"{told['usd_per_h']:.2f}", "–" if cost is None else f"${cost:.2f}"),
        *("–" if left is None else f"{left:.1f} h", told["guard_there"] or "none", told["id"] or "–"),
    ]


def _told(finding: Finding, now: float) -> dict[str, Any]:
    """For programs."""
    entry, instance = finding.entry, finding.instance
    price = entry.price_cents_per_h if entry else instance.price_cents_per_h if instance else 0
    return {
        "name": finding.name,
        "kind": finding.kind,
        "because": finding.words,
        "hint": finding.hint,
        "status": instance.status if instance else (entry.state if entry else "unknown"),
        "type": entry.type_name if entry else instance.type_name if instance else "",
        "region": entry.region if entry else instance.region if instance else "",
        "address": instance.ip if instance else None,
        "id": instance.id if instance else (entry.instance_id if entry else None),
        "usd_per_h": price / 100,
        "cost_usd": entry.cost_usd(now) if entry else None,
        "max_usd": entry.max_usd if entry else None,
        "hours_left": (entry.lease_until - now) / 3600 if entry else None,
        "on_cap": entry.on_cap if entry else None,
        "idle_minutes": entry.idle_minutes if entry else None,
        "idle_s": None if entry is None or entry.busy_at is None else now - entry.busy_at,
        "history": [],
        "guard_there": entry.guard_there if entry else "",
    }


def terminate_instance(desk: Desk, args: argparse.Namespace) -> Table:
    """End it and wait for the provider's word; refused while required artifacts are not verified here."""
    entry = _entry_to_end(desk, args.name)
    left = [] if entry.state == "ending" else _left(desk, entry)
    if left and args.lose_files != entry.name:
        note = (
            f"{entry.name} keeps running (${entry.price_cents_per_h / 100:.2f}/h). Pull them first, or give them up: "
            f"fractal-console instances terminate {entry.name} --lose-files {entry.name}"
        )
        return Table(["not verified here"], [[name] for name in left], {"unverified": left}, note, 1)
    done = terminate(desk.cloud, desk.ledger, entry, "asked by a person", desk.clock, say=desk.say)
    remove_alias(desk.paths.ssh_config, entry.name)
    cost = done.cost_usd(desk.clock.now())
    return Table(["terminated", "cost"], [[entry.name, f"${cost:.2f}"]], {"name": entry.name, "cost_usd": cost},
                 "confirmed by the provider")  # fmt: skip


def _left(desk: Desk, entry: Entry) -> list[str]:
    """Not being able to tell is not verified."""
    try:
        return desk.unverified(entry)
    except (HostError, OSError) as error:
        return [f"it can't be told what is saved: {error}"]


def _entry_to_end(desk: Desk, name: str) -> Entry:
    """By name, or by the id of a machine that this ledger does not own yet."""
    entry = desk.ledger.open_named(name)
    if entry is not None:
        return entry
    known = desk.ledger.by_instance(name)
    return known if known is not None and known.is_open else _adopt(desk, name, 4.0)


def sweep_all(desk: Desk, args: argparse.Namespace) -> Table:
    """The ledger against the account; code 1 if anything may burn money unseen."""
    now = desk.clock.now()
    findings = sweep(desk.cloud, desk.ledger, now)
    if args.terminate_overdue:
        findings = [_ended_if_overdue(desk, finding, now) for finding in findings]
    faults = [f for f in findings if f.is_fault and not (args.ignore_foreign and f.kind == "foreign")]
    rows = [["✗" if f in faults else "✓", f.name, f.kind, f.words, f.hint] for f in findings]
    note = f"{len(faults)} of {len(findings)} need a look" if faults else "nothing burns unseen"
    return Table(
        ["", "name", "is", "because", "what to do"], rows, [_told(f, now) for f in findings], note, 1 if faults else 0
    )


def _ended_if_overdue(desk: Desk, finding: Finding, now: float) -> Finding:
    """Only what fractal-console launched and what is over its own lease: a cron job's broom."""
    entry = finding.entry
    if finding.kind == "orphan" and finding.instance is not None:
        lease = lease_of(finding.instance)
        if lease is None or now < lease:
            return finding
        entry = _adopt(desk, finding.instance.id, 0.0)
    elif finding.kind not in ("overdue", "ending"):
        return finding
    if entry is None or entry.instance_id is None:
        return finding
    done = terminate(desk.cloud, desk.ledger, entry, "overdue, ended by a sweep", desk.clock, say=desk.say)
    return Finding("gone", finding.name, "overdue, ended by this sweep; confirmed", done, None)


def adopt_instance(desk: Desk, args: argparse.Namespace) -> Table:
    """Take a running machine under guard: its tags' caps, or the given hours from now."""
    entry = _adopt(desk, args.id, args.max_hours)
    see_to_the_guard(desk)
    note = f"guarded from now on, at most {(entry.lease_until - desk.clock.now()) / 3600:.1f} h and ${entry.max_usd:.2f} more"
    return Table(["name", "id", "type"], [[entry.name, args.id, entry.type_name]], asdict(entry), note)


def _adopt(desk: Desk, instance_id: str, hours: float) -> Entry:
    found = [i for i in desk.cloud.instances() if i.id == instance_id and not i.is_gone]
    if not found:
        raise UserError(f"no open instance is called {instance_id!r}: see fractal-console instances list")
    entry = adopted_entry(found[0], desk.cloud.account, desk.clock.now(), hours)
    desk.ledger.adopt(entry, found[0].id, desk.clock.now())
    return desk.ledger.get(entry.uuid) or entry


def extend_lease(desk: Desk, args: argparse.Namespace) -> Table:
    """More time or money, by a person's decision."""
    entry = open_entry(desk, args.name)
    if args.hours is None and args.max_usd is None:
        raise UserError(f"say how much: instances extend {entry.name} --hours 2   or   --max-usd 20")
    until = entry.lease_until + (args.hours or 0.0) * 3600
    usd = (
        args.max_usd
        if args.max_usd is not None
        else entry.max_usd + (args.hours or 0.0) * entry.price_cents_per_h / 100
    )
    desk.ledger.extend(entry.uuid, until, usd, desk.clock.now())
    left = (until - desk.clock.now()) / 3600
    note = "a guard on the machine itself keeps its old caps until: instances arm " + entry.name
    return Table(["name", "hours left", "at most"], [[entry.name, f"{left:.1f}", f"${usd:.2f}"]],
                 {"name": entry.name, "hours_left": left, "max_usd": usd}, note)  # fmt: skip


def forget_instance(desk: Desk, args: argparse.Namespace) -> Table:
    """Close an entry that this key can't see, on a person's word that the website shows no such machine."""
    entry = desk.ledger.open_named(args.name)
    if entry is None:
        raise UserError(f"no open instance is called {args.name!r}")
    if any(i.id == entry.instance_id and not i.is_gone for i in desk.cloud.instances()):
        raise UserError(f"{args.name} runs: fractal-console instances terminate {args.name}")
    if not args.yes and not desk.agree(f"Does the website show that {args.name} ({entry.instance_id}) is no more?"):
        return Table(["kept"], [[args.name]], note="nothing was changed", code=1)
    desk.ledger.ended(entry.uuid, "gone by a person's word", desk.clock.now())
    desk.ledger.failed(entry.uuid, "never was, by a person's word", desk.clock.now())
    return Table(["forgotten"], [[args.name]], {"name": args.name})


ACTIONS: dict[str, Callable[[Desk, argparse.Namespace], Table]] = {
    "types": list_types,
    "list": list_instances,
    "launch": launch_instance,
    "wait": wait_for,
    "setup-ssh": setup_ssh,
    "terminate": terminate_instance,
    "sweep": sweep_all,
    "adopt": adopt_instance,
    "extend": extend_lease,
    "forget": forget_instance,
    "arm": arm_guard,
    "ps": look_in,
    "ssh": open_shell,
    "save": save_instance,
}
