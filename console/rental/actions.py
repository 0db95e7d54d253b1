"""The verbs of rented machines, each a function from parsed arguments to a table: types, list, launch, wait, setup-ssh, …

    add_arguments(parser)                       # from console.rental.arguments
    with open_desk(paths, environ, unverified) as desk:
        table = act(args, desk)                 # args.instance_verb chooses

Exit codes: 0 done, 1 it ran and something is not well (a refusal, an orphan). What the user has to mend is a `UserError`.
Decides nothing by itself: rules are in `remote.cloud.instances`, `remote.cloud.sweep`, `remote.cloud.caps`.
"""

from __future__ import annotations

import argparse
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from console.errors import UserError
from console.rental import inside
from console.verbs.model_tables import Table
from engine.protocol.layout import Root
from remote.cloud.account import open_account
from remote.cloud.api_key import find_key
from remote.cloud.caps import BadCap
from remote.cloud.clock import Time
from remote.cloud.cloud_errors import CloudError, Refused
from remote.cloud.cloud_init import KEY_FILE, arm_command, arm_orders, user_data
from remote.cloud.cloud_models import Instance
from remote.cloud.cloud_paths import CloudPaths, safe_name
from remote.cloud.guard import armed
from remote.cloud.instance_guard import Settings
from remote.cloud.instance_login import USER, Aim, aim, try_login
from remote.cloud.instances import terminate, wait
from remote.cloud.lambda_cloud import LambdaCloud
from remote.cloud.ledger import Entry, Ledger, NameTaken
from remote.cloud.renting import Wish, launch, plan_launch
from remote.cloud.sweep import Finding, adopted_entry, lease_of, sweep
from remote.host import HostError
from remote.ssh.alias import Alias, add_include, include_line, is_included, put_alias, remove_alias
from remote.ssh.connect import connect
from remote.ssh.keys import local_public_keys
from remote.ssh.pins import INJECTED, Pins, alias_of, new_host_key
from remote.ssh.trust import Person, Trust

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


def act(args: argparse.Namespace, desk: Desk) -> Table:
    """One verb; whatever a person can mend becomes a `UserError` with its one line."""
    try:
        return ACTIONS[args.instance_verb](desk, args)
    except (CloudError, BadCap, NameTaken, HostError) as error:
        raise UserError(str(error)) from None
    except sqlite3.Error as error:
        raise broken_ledger(desk.paths, error) from None


def broken_ledger(paths: CloudPaths, error: sqlite3.Error) -> UserError:
    return UserError(
        f"the ledger {paths.ledger} can't be used: {error}. What runs stands at https://cloud.lambda.ai/instances; "
        f"if the file is broken, move it aside (mv {paths.ledger} {paths.ledger}.broken): "
        "`fractal-console instances sweep` finds what fractal-console launched by its tags"
    )


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


def launch_instance(desk: Desk, args: argparse.Namespace) -> Table:
    """Say what it can cost, ask, write it down, launch, see to the guard; with `--wait` until a login works."""
    name = _name(args.name or args.type)
    plan = plan_launch(desk.cloud, _wish(args, name), local_public_keys())
    if not args.yes and not desk.agree(f"{plan.words()}. Launch?"):
        return Table(
            ["not launched"], [[plan.words()]], note="nothing was launched; --yes agrees without a question", code=1
        )
    desk.say(plan.words())
    entry = launch(
        desk.cloud, desk.ledger, plan, desk.clock, _user_data(desk, args.guard_on_instance, args.save_to), desk.say
    )
    if args.guard_on_instance:
        desk.ledger.guard_is(entry.uuid, "installed", desk.clock.now())
    _see_to_the_guard(desk)
    if args.wait:
        return wait_for(desk, argparse.Namespace(name=name, deadline_minutes=20.0))
    note = f"next: fractal-console instances wait {name}; guard: {armed(desk.paths, desk.clock.now())}"
    return Table(["name", "id", "type", "region"], [[name, str(entry.instance_id), entry.type_name, entry.region]],
                 asdict(entry), note)  # fmt: skip


def _see_to_the_guard(desk: Desk) -> None:
    """The machine runs already: a guard that does not start is told, and is no failure of the launch."""
    try:
        desk.start_guard()
    except (OSError, subprocess.SubprocessError) as error:
        desk.say(
            f"NO GUARD on this computer ({error}): start one with  python -m remote.cloud.guard --detach --save-here"
        )


def _name(text: str) -> str:
    """A type name holds underscores, which a host name can't."""
    try:
        return safe_name(text.lower().replace("_", "-"))
    except ValueError as error:
        raise UserError(f"{error}; give one with --name") from None


def _wish(args: argparse.Namespace, name: str) -> Wish:
    return Wish(
        wanted=args.type,
        name=name,
        region=args.region,
        ssh_key=args.ssh_key,
        file_systems=tuple(args.file_system or ()),
        image_family=args.image,
        max_hours=args.max_hours,
        max_usd=args.max_usd,
        idle_minutes=None if args.idle_minutes == 0 else args.idle_minutes,
        on_cap=args.on_cap,
        grace_s=args.grace_minutes * 60,
    )


def _user_data(desk: Desk, with_guard: bool, save_to: str) -> Callable[[Entry], str]:
    """A host key of its own for every launch, pinned before the machine exists."""

    def build(entry: Entry) -> str:
        pair = new_host_key()
        Pins(desk.paths.pins).put(entry.uuid, pair.public, INJECTED)
        return user_data(
            pair, settings_of(entry, desk.cloud.base_url, desk.clock.now(), save_to) if with_guard else None
        )

    return build


def settings_of(entry: Entry, api_url: str, now: float, save_to: str = "") -> Settings:
    """The caps of a machine as its own guard reads them."""
    kept = ("uuid", "max_usd", "price_cents_per_h", "on_cap", "grace_s", "idle_minutes")
    return Settings(
        **{name: getattr(entry, name) for name in kept},
        serial=f"{entry.lease_until:.0f}-{now:.0f}",
        lease_s=entry.lease_until - now,
        age_s=now - entry.asked_at,
        root=_ROOT_THERE,
        on_save=save_command(_ROOT_THERE, save_to) if save_to else "",
        state_file="/var/lib/fractal-guard/state.json",
        key_file=KEY_FILE,
        api_url=api_url,
    )


_ROOT_THERE = f"/home/{USER}/.fractal"


def save_command(root: str, folder: str) -> str:
    """What the guard on a machine runs to save: the newest supervisor that lies there."""
    newest = f"$(ls -td {shlex.quote(root)}/bin/*/ | head -n 1)"
    return f"cd {newest} && python3 -S -m engine.supervisor save {shlex.quote(root)} {shlex.quote(folder)}"


def wait_for(desk: Desk, args: argparse.Namespace) -> Table:
    """Stage by stage until a login works."""
    entry = _open_entry(desk, args.name)
    login = try_login(entry, desk.paths, desk.person, desk.clock.now, desk.aim)
    said = ""
    for stage in wait(desk.cloud, desk.ledger, entry, login, desk.clock, args.deadline_minutes * 60):
        words = f"{stage.name}: {stage.detail}"
        if words != said:
            desk.say(f"{stage.elapsed_s:4.0f} s  {words}  (${stage.cost_usd:.2f} so far)")
        said = words
    assert stage.instance is not None  # the last stage is "ready"
    note = f"next: fractal-console instances setup-ssh {entry.name}"
    row = [entry.name, str(stage.instance.ip), f"{stage.elapsed_s:.0f} s", f"${stage.cost_usd:.2f}"]
    data = {"name": entry.name, "address": stage.instance.ip, "seconds": stage.elapsed_s, "cost_usd": stage.cost_usd}
    return Table(["name", "address", "waited", "cost so far"], [row], data, note)


def setup_ssh(desk: Desk, args: argparse.Namespace) -> Table:
    """`ssh NAME` from now on, with the pinned host key; asks before it touches `~/.ssh/config`."""
    entry = _open_entry(desk, args.name)
    instance = _reachable(desk, entry)
    pin = Pins(desk.paths.pins)
    if args.new_host_key:
        _repin(desk, pin, entry, instance, args.new_host_key)
    identity = Path(args.identity).expanduser() if args.identity else None
    alias = Alias(entry.name, str(instance.ip), args.user, alias_of(entry.uuid), desk.paths.pins, identity)
    put_alias(desk.paths.ssh_config, alias)
    own, users = desk.paths.ssh_config, desk.user_ssh_config
    line = include_line(own)
    if not is_included(users, own) and (args.yes or desk.agree(f"Put `{line}` on top of {users}?")):
        add_include(users, own)
    data = {"alias": entry.name, "address": instance.ip, "is_included": is_included(users, own), "config": str(own)}
    row = [[entry.name, str(instance.ip), str(own)]]
    if not is_included(users, own):
        return Table(["alias", "address", "in"], row, data, f"not included: put `{line}` on top of {users}", 1)
    note = f"ssh {entry.name}" if pin.get(entry.uuid) else f"its host key is not known yet: instances wait {entry.name}"
    return Table(["alias", "address", "in"], row, data, note)


def _repin(desk: Desk, pins: Pins, entry: Entry, instance: Instance, expected: str) -> None:
    """A new host key by its fingerprint, which the person has from elsewhere; anything else is refused."""
    old = pins.get(entry.uuid)
    pins.forget(entry.uuid)
    try:
        person = replace(desk.person, accept_host_key=lambda shown: shown.fingerprint == expected)
        connect(desk.aim(entry, instance), Trust(desk.paths.pins), person).close()
    except HostError as error:
        if old is not None:
            pins.put(entry.uuid, old.public, old.origin)
        raise UserError(f"{entry.name}: the pin stays as it was. {error}") from None


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
    _see_to_the_guard(desk)
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
    entry = _open_entry(desk, args.name)
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


def arm_guard(desk: Desk, args: argparse.Namespace) -> Table:
    """Put the guard, the caps of now and the API key on the machine, over SSH; the key into memory that a restart clears."""
    entry = _open_entry(desk, args.name)
    instance = desk.cloud.instance(str(entry.instance_id))
    question = f"The API key is full-power. Put it into the memory of {entry.name}, readable by root there?"
    if not args.yes and not desk.agree(question):
        return Table(["not armed"], [[entry.name]], note="its guard can save but not end the bill", code=1)
    key = find_key(desk.paths.key, desk.environ)
    with connect(desk.aim(entry, instance), Trust(desk.paths.pins), desk.person) as connection:
        settings = settings_of(entry, desk.cloud.base_url, desk.clock.now(), args.save_to)
        done = connection.run(arm_command(), stdin=arm_orders(settings, key.reveal()))
        if done.exit_code != 0:
            raise UserError(f"{entry.name}: {done.stderr.decode(errors='replace').strip() or done.exit_code}")
    desk.ledger.guard_is(entry.uuid, "armed", desk.clock.now())
    return Table(["armed"], [[entry.name]], {"name": entry.name}, "until the machine restarts")


def save_instance(desk: Desk, args: argparse.Namespace) -> Table:
    """What the guard has done before it ends a machine: everything required is verified here."""
    from console.rental.hosting import host_of
    from console.rental.saving import save

    entry = _open_entry(desk, args.name)
    host = host_of(entry, desk.paths.folder, desk.person, desk.aim, desk.cloud.instance)
    try:
        left = save(host, Root(desk.paths.folder.parent), entry.grace_s, desk.say)
    finally:
        host.close()
    note = "everything required is here and verified" if not left else f"{len(left)} not safe"
    return Table(["not safe"], [[line] for line in left], {"name": entry.name, "unsafe": left}, note, 1 if left else 0)


def _open_entry(desk: Desk, name: str) -> Entry:
    entry = desk.ledger.open_named(name)
    if entry is None:
        names = ", ".join(e.name for e in desk.ledger.open()) or "none"
        raise UserError(f"no open instance is called {name!r} (open: {names})")
    if entry.instance_id is None:
        raise Refused(f"{name}: {entry.reason or 'its launch has no answer yet'}", "fractal-console instances sweep")
    return entry


def look_in(desk: Desk, args: argparse.Namespace) -> Table:
    """Processes and GPUs of a machine, as it prints them."""
    entry = _open_entry(desk, args.name)
    with connect(desk.aim(entry, _reachable(desk, entry)), Trust(desk.paths.pins), desk.person) as connection:
        seen = inside.look(connection)
    rows = [[line] for line in (*seen.processes.splitlines(), "", *seen.gpus.splitlines())]
    return Table([""], rows, {"name": entry.name, "processes": seen.processes, "nvidia_smi": seen.gpus})


def open_shell(desk: Desk, args: argparse.Namespace) -> Table:
    """A shell there; the words to type where this is no terminal (`--json`)."""
    entry = _open_entry(desk, args.name)
    address = str(_reachable(desk, entry).ip)
    put_alias(desk.paths.ssh_config, Alias(entry.name, address, USER, alias_of(entry.uuid), desk.paths.pins, None))
    argv = inside.shell_argv(desk.paths, entry.name)
    told = {"name": entry.name, "argv": argv}
    if args.json:
        return Table(["shell"], [[shlex.join(argv)]], told)
    return Table(["shell"], [[entry.name]], told, code=subprocess.run(argv, check=False).returncode)


def _reachable(desk: Desk, entry: Entry) -> Instance:
    instance = desk.cloud.instance(str(entry.instance_id))
    if instance.ip is None:
        raise UserError(f"{entry.name} has no address yet: fractal-console instances wait {entry.name}")
    return instance


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


def start_guard_process(python: str = sys.executable) -> None:
    """The guard in the background; it goes home by itself when nothing is rented."""
    checkout = Path(__file__).resolve().parent.parent.parent
    argv = [python, "-m", "remote.cloud.guard", "--detach", "--save-here"]
    subprocess.run(argv, cwd=checkout, check=True, stdin=subprocess.DEVNULL)
