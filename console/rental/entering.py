"""Into a rented machine: its alias and host key, a look, a shell, the guard with its key, and what is saved from it."""

from __future__ import annotations

import argparse
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

from console.errors import UserError
from console.rental import inside
from console.rental.desk import (
    Desk,
    open_entry,
    reachable,
)
from console.rental.launches import settings_of
from console.verbs.model_tables import Table
from engine.protocol.layout import Root
from remote.cloud.api_key import find_key
from remote.cloud.cloud_init import arm_command, arm_orders
from remote.cloud.cloud_models import Instance
from remote.cloud.instance_login import USER
from remote.cloud.ledger import Entry
from remote.host import HostError
from remote.ssh.alias import Alias, add_include, include_line, is_included, put_alias
from remote.ssh.connect import connect
from remote.ssh.pins import Pins, alias_of
from remote.ssh.trust import Trust


def setup_ssh(desk: Desk, args: argparse.Namespace) -> Table:
    """`ssh NAME` from now on, with the pinned host key; asks before it touches `~/.ssh/config`."""
    entry = open_entry(desk, args.name)
    instance = reachable(desk, entry)
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


def look_in(desk: Desk, args: argparse.Namespace) -> Table:
    """Processes and GPUs of a machine, as it prints them."""
    entry = open_entry(desk, args.name)
    with connect(desk.aim(entry, reachable(desk, entry)), Trust(desk.paths.pins), desk.person) as connection:
        seen = inside.look(connection)
    rows = [[line] for line in (*seen.processes.splitlines(), "", *seen.gpus.splitlines())]
    return Table([""], rows, {"name": entry.name, "processes": seen.processes, "nvidia_smi": seen.gpus})


def open_shell(desk: Desk, args: argparse.Namespace) -> Table:
    """A shell there; the words to type where this is no terminal (`--json`)."""
    entry = open_entry(desk, args.name)
    address = str(reachable(desk, entry).ip)
    put_alias(desk.paths.ssh_config, Alias(entry.name, address, USER, alias_of(entry.uuid), desk.paths.pins, None))
    argv = inside.shell_argv(desk.paths, entry.name)
    told = {"name": entry.name, "argv": argv}
    if args.json:
        return Table(["shell"], [[shlex.join(argv)]], told)
    return Table(["shell"], [[entry.name]], told, code=subprocess.run(argv, check=False).returncode)


def arm_guard(desk: Desk, args: argparse.Namespace) -> Table:
    """Put the guard, the caps of now and the API key on the machine, over SSH; the key into memory that a restart clears."""
    entry = open_entry(desk, args.name)
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

    entry = open_entry(desk, args.name)
    host = host_of(entry, desk.paths.folder, desk.person, desk.aim, desk.cloud.instance)
    try:
        left = save(host, Root(desk.paths.folder.parent), entry.grace_s, desk.say)
    finally:
        host.close()
    note = "everything required is here and verified" if not left else f"{len(left)} not safe"
    return Table(["not safe"], [[line] for line in left], {"name": entry.name, "unsafe": left}, note, 1 if left else 0)
