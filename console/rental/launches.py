"""Renting a machine and waiting for it: says what it can cost, asks, writes it down, launches, sees to the guard."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
from dataclasses import asdict

from console.errors import UserError
from console.rental.desk import (
    Desk,
    open_entry,
    see_to_the_guard,
)
from console.verbs.model_tables import Table
from remote.cloud.cloud_init import KEY_FILE, user_data
from remote.cloud.cloud_paths import safe_name
from remote.cloud.guard import armed
from remote.cloud.instance_guard import Settings
from remote.cloud.instance_login import USER, try_login
from remote.cloud.instances import wait
from remote.cloud.ledger import Entry
from remote.cloud.renting import Wish, launch, plan_launch
from remote.ssh.keys import local_public_keys
from remote.ssh.pins import INJECTED, Pins, new_host_key


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
    see_to_the_guard(desk)
    if args.wait:
        return wait_for(desk, argparse.Namespace(name=name, deadline_minutes=20.0))
    note = f"next: fractal-console instances wait {name}; guard: {armed(desk.paths, desk.clock.now())}"
    return Table(["name", "id", "type", "region"], [[name, str(entry.instance_id), entry.type_name, entry.region]],
                 asdict(entry), note)  # fmt: skip


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
    entry = open_entry(desk, args.name)
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
