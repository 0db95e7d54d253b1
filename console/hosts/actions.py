"""The verbs of hosts, each a function from parsed arguments to a table: list, add, remove.

    table = act(args, desk)                     # args.host_verb chooses; none: list
    host = open_host(name, desk)                # what Workspace.host(name) returns for a name other than `local`

What the user has to mend is a `UserError`.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.errors import UserError
from console.rental import inside
from console.rental.hosting import host_of, rented
from console.verbs.model_tables import Table
from engine.config.errors import ConfigError
from engine.config.hosts import HostEntry, Named, check_name, host_named, put_host, read_hosts, remove_host
from engine.config.load import check
from engine.protocol.durable import read_json, write_json
from engine.protocol.layout import Root

if TYPE_CHECKING:
    from remote.ssh.host import SshHost
    from remote.ssh.trust import Person

_GIB = 1 << 30
# A clock that is so far off makes durations and "last heard" times look odd: worth a word, not an error.
_SKEW_S = 60.0


@dataclass(frozen=True)
class HostDesk:
    """Everything that a verb touches, passed in."""

    own_file: Path
    """`~/.fractal/hosts.yaml`: where `add` writes."""
    shared_file: Path
    """`configs/hosts.yaml` of the project: read only."""
    known_hosts: Path
    """Our own file of agreed host keys."""
    person: Person | None = None
    """Who agrees to host keys and knows passphrases; None: nobody is there."""
    say: Callable[[str], None] = lambda words: None
    now: Callable[[], float] = field(default=time.time)
    open: Callable[[Named, HostDesk], SshHost] | None = None
    """For tests: another way in."""

    def hosts(self) -> dict[str, Named]:
        return read_hosts([self.shared_file, self.own_file])


def act(args: argparse.Namespace, desk: HostDesk) -> Table:
    """One verb; whatever a person can mend becomes a `UserError` with its one line."""
    from remote.host import HostError

    try:
        return ACTIONS[args.host_verb or "list"](desk, args)
    except (ConfigError, HostError) as error:
        raise UserError(str(error)) from None


def open_host(name: str, desk: HostDesk) -> SshHost:
    """The host of this name; it connects at its first call."""
    try:
        named = host_named(desk.hosts(), name)
    except ConfigError as error:
        entry = rented(desk.own_file.parent / "cloud", name)
        if entry is not None:
            return host_of(entry, desk.own_file.parent / "cloud", desk.person)
        raise UserError(f"{error}. Add one: fractal-console hosts add {name} --ssh ALIAS") from None
    return (desk.open or _ssh_host)(named, desk)


def _ssh_host(named: Named, desk: HostDesk) -> SshHost:
    from remote.ssh.host import SshHost
    from remote.ssh.trust import Trust

    return SshHost(named.name, named.entry, Trust(desk.known_hosts), desk.person)


def list_hosts(desk: HostDesk, args: argparse.Namespace) -> Table:
    """Every named host and where it is named."""
    found = desk.hosts()
    rows = [["local", "this machine", "", ""]]
    rows += [[n.name, n.entry.ssh, n.entry.root, str(n.file)] for n in found.values()]
    data = [{"name": n.name, **n.entry.model_dump(), "file": str(n.file)} for n in found.values()]
    note = "" if found else "add one: fractal-console hosts add gpu --ssh ALIAS"
    return Table(["host", "ssh", "root", "named in"], rows, data, note)


def add_host(desk: HostDesk, args: argparse.Namespace) -> Table:
    """Try to log in (unless told not to), then write the entry down: a host that is listed has worked once."""
    if args.name == "local":
        return _state_local(desk, args)
    check_name(args.name, "hosts add")
    said = {key: getattr(args, key) for key in ("ssh", "root", "before", "workdir", "env", "kind", "sbatch")}
    entry = check(HostEntry, said, "hosts add")
    facts = {} if args.untried else _facts(Named(args.name, entry, desk.own_file), desk)
    put_host(desk.own_file, args.name, entry)
    rows = [[key, _shown(key, value)] for key, value in facts.items()]
    note = f"{args.name} is written to {desk.own_file}. Use it: fractal-console run PHASE --host {args.name}"
    return Table(["", args.name], rows, {"name": args.name, **entry.model_dump(), "facts": facts}, note)


def _state_local(desk: HostDesk, args: argparse.Namespace) -> Table:
    """This machine needs no name; that its runs go through Slurm has to be said."""
    if args.ssh or args.kind != "slurm":
        raise ConfigError("hosts add: `local` is this machine. If it is a login node: hosts add local --kind slurm")
    entry = check(HostEntry, {"ssh": "local", "kind": args.kind, "sbatch": args.sbatch}, "hosts add")
    file = Root(desk.own_file.parent).host_file
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, {**(read_json(file) or {}), **entry.stated})
    note = f"runs of this machine are handed to sbatch; {file} says so. Take it back: hosts remove local"
    return Table([], [], {"name": "local", **entry.stated}, note)


def _facts(named: Named, desk: HostDesk) -> dict[str, Any]:
    desk.say(f"trying {named.entry.ssh} …")
    before = desk.now()
    host = (desk.open or _ssh_host)(named, desk)
    try:
        facts = {**host.facts(), "root": host.root_path()}
        skew = host.clock_skew_s(before)
        return (
            {**facts, "clock": f"{abs(skew) / 60:.0f} min {'ahead' if skew > 0 else 'behind'}"}
            if abs(skew) > _SKEW_S
            else facts
        )
    finally:
        host.close()


def _shown(key: str, value: Any) -> str:
    if key.endswith("_bytes"):
        return f"{value / _GIB:.1f} GiB"
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def remove(desk: HostDesk, args: argparse.Namespace) -> Table:
    """Forget a name; nothing on the host is touched."""
    if args.name == "local":
        return _unstate_local(desk)
    named = host_named(desk.hosts(), args.name)
    if named.file != desk.own_file:
        raise ConfigError(f"{args.name} is named in {named.file}, which the project shares: take it out there")
    remove_host(desk.own_file, args.name)
    return Table([], [], {"removed": args.name}, f"{args.name} is forgotten; its runs and files there stay")


def _unstate_local(desk: HostDesk) -> Table:
    file = Root(desk.own_file.parent).host_file
    kept = read_json(file) or {}
    if kept.pop("slurm", None) is None:
        raise ConfigError("`local` is this machine, and it runs without Slurm: there is nothing to forget")
    write_json(file, kept)
    return Table([], [], {"removed": "slurm"}, "runs of this machine are started here again, without Slurm")


def look_in(desk: HostDesk, args: argparse.Namespace) -> Table:
    """Processes and GPUs of a machine, as it prints them."""
    host = open_host(args.name, desk)
    try:
        seen = inside.parted(host.shell(inside.SCRIPT, timeout_s=20.0).output)
    finally:
        host.close()
    rows = [[line] for line in (*seen.processes.splitlines(), "", *seen.gpus.splitlines())]
    return Table([""], rows, {"name": args.name, "processes": seen.processes, "nvidia_smi": seen.gpus})


def open_shell(desk: HostDesk, args: argparse.Namespace) -> Table:
    """`ssh` itself, with the user's own configuration; with `--json` only the words to type."""
    entry = host_named(desk.hosts(), args.name).entry
    argv = ["ssh", *_ssh_words(entry.ssh)]
    told = {"name": args.name, "argv": argv}
    if args.json:
        return Table(["shell"], [[shlex.join(argv)]], told)
    return Table(["shell"], [[args.name]], told, code=subprocess.run(argv, check=False).returncode)


def _ssh_words(spec: str) -> list[str]:
    """`user@host:port` is ours; ssh wants the port apart."""
    host, colon, port = spec.rpartition(":")
    return [host, "-p", port] if colon and port.isdigit() and "]" not in port and ":" not in host else [spec]


ACTIONS: dict[str, Callable[[HostDesk, argparse.Namespace], Table]] = {
    "list": list_hosts,
    "add": add_host,
    "remove": remove,
    "ps": look_in,
    "ssh": open_shell,
}
