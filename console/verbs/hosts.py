"""The verbs of machines that ssh reaches: `hosts`, `sync` (source to a host), `pull` (a run's files from its host)."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, cast

from console.errors import UserError
from console.hosts.actions import act, open_host
from console.hosts.person import is_somebody_there, say
from console.hosts.reached import desk
from console.store import RunRow
from console.verbs.common import print_json, workspace
from console.words import table
from console.workspace import Workspace
from engine.protocol.status import FINAL

if TYPE_CHECKING:
    from remote.ssh.host import SshHost

_MIB = 1 << 20


def hosts(arguments: argparse.Namespace) -> int:
    shown = act(arguments, desk())
    if arguments.json:
        print_json(shown.data)
        return shown.code
    if shown.rows:
        print(table(shown.rows, shown.columns if any(shown.columns) else ()))
    if shown.note:
        print(shown.note)
    return shown.code


def sync(arguments: argparse.Namespace) -> int:
    """`sync HOST [PATH]`: the source of a folder as a snapshot on the host; with --dry-run only what would be sent."""
    from remote.host import HostError
    from remote.sync import Sync
    from remote.tree import TreeReader

    folder = Path(arguments.path or ".").resolve()
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder")
    tree = TreeReader().read(folder)
    try:
        with closing(open_host(arguments.host, desk())) as host:
            sender = Sync(host.link)
            done = sender.look(tree)
            for file in done.large:
                say(f"{file.path} has {file.size / _MIB:.0f} MiB: is it source? A .gitignore leaves it out")
            if not arguments.dry_run:
                done = sender.put(tree)
    except HostError as error:
        raise UserError(str(error)) from None
    if arguments.json:
        files = [[f.path, f.size] for f in done.sent]
        print_json({"tree": tree.hash, "path": done.path, "files": done.files, "sent": files})
        return 0
    if arguments.dry_run:
        print(table([[f.path, str(f.size)] for f in done.sent], ("would be sent", "bytes")))
    print(
        f"{len(done.sent)} of {done.files} files, {done.sent_bytes / _MIB:.1f} MiB {'to send' if not done.path else 'sent'}"
    )
    if done.path:
        print(f"{arguments.host}:{done.path}")
    return 0


def pull(arguments: argparse.Namespace) -> int:
    """`pull RUN`: what a remote run, or every ended run of a plan, made: verified, into the same work folder here."""
    from remote.host import HostError
    from remote.pull import RunPull, pull_run

    space = workspace()
    try:
        rows = _rows_to_pull(space, arguments.run)
        done = RunPull([], [])
        for row in rows:
            host = cast("SshHost", space.host(row.host))
            one = pull_run(host, row.run_id, space.root, arguments.required, _progress)
            done = RunPull(done.pulled + one.pulled, done.problems + one.problems)
    except HostError as error:
        raise UserError(str(error)) from None
    finally:
        space.close()
    if arguments.json:
        print_json({"pulled": [[p.path, str(p.target), p.size] for p in done.pulled], "problems": done.problems})
    else:
        print(
            table([[p.path, str(p.target), f"{p.size / _MIB:.1f}"] for p in done.pulled], ("verified", "here", "MiB"))
        )
    for problem in done.problems:
        say(problem)
    return 1 if done.problems else 0


def _rows_to_pull(space: Workspace, word: str) -> list[RunRow]:
    if "plan-" in word:
        space.catch_up()
        rows = [row for row in space.store.runs() if row.plan and word in row.plan and row.host != "local"]
        rows = [row for row in rows if row.state in FINAL]
        if not rows:
            raise UserError(f"no run of a plan like {word!r} has ended on another host. Type: fractal-console plans")
        return rows[::-1]
    row = space.find_run(word)
    if row.host == "local":
        raise UserError(f"{row.run_id} ran on this machine: its files are here")
    return [row]


def _progress(path: str, done: int, total: int) -> None:
    """One line that overwrites itself; nothing where nobody looks."""
    if is_somebody_there():
        end = "\n" if done == total else ""
        print(f"\r{path}  {done / _MIB:.1f} / {total / _MIB:.1f} MiB\x1b[K", end=end, file=sys.stderr, flush=True)
