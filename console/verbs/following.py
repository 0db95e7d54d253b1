"""Verbs that read a run as it goes: logs, events. Bytes come as they are; `-f` follows until the run ends."""

from __future__ import annotations

import argparse
import sys
import time

from console.verbs.common import workspace
from console.workspace import Workspace
from engine.protocol.events import Event, encode, read_events
from engine.supervisor.ops import read
from remote.host import Unreachable

_LOOK_S = 0.1
_PIECE = 1 << 20


def logs(arguments: argparse.Namespace) -> int:
    space = workspace()
    row = space.find_run(arguments.run)
    log = space.paths(row.run_id).log
    if arguments.n is not None and row.host != "local" and _ended_there(space, row.run_id, row.host, arguments):
        return 0
    space.attach(row.run_id)
    offset = 0 if arguments.n is None else _start_of_last(log, arguments.n)
    told = Told(space)
    while True:
        told.look()
        over = space.is_whole(row.run_id)  # asked before reading: what was written until then is read below
        while (chunk := read(log, offset, _PIECE)).data:
            sys.stdout.buffer.write(chunk.data)
            offset = chunk.offset + len(chunk.data)
        sys.stdout.buffer.flush()
        if not arguments.follow or over:
            return 0
        time.sleep(_LOOK_S)


class Told:
    """Says once that a host can't be reached, and once that it is heard again: a still log is otherwise a riddle."""

    def __init__(self, space: Workspace) -> None:
        self._space = space
        self._said: dict[str, str] = {}

    def look(self) -> None:
        problems = self._space.far.mirrors.problems()
        for host in problems.keys() - self._said.keys():
            self._space.tell(
                f"{problems[host]}. Shown is what is here; it is tried again (ctrl-c ends only the looking)"
            )
        for host in self._said.keys() - problems.keys():
            self._space.tell(f"{host} is heard again")
        self._said = problems


def _ended_there(space: Workspace, run_id: str, host_name: str, arguments: argparse.Namespace) -> bool:
    """Where the copy here is far behind, show the log's end from its host; True if that was done."""
    from console.hosts.tail import LAG_BYTES, lag, show_end

    if space.is_whole(run_id):
        return False
    host, log = space.ssh(host_name), space.paths(run_id).log
    try:
        if lag(host, run_id, log.stat().st_size if log.exists() else 0) < LAG_BYTES:
            return False
        if arguments.follow:
            space.attach(run_id)  # the copy fills up beside it
        show_end(host, run_id, arguments.n, arguments.follow, _write)
    except Unreachable:
        return False  # the copy here is all there is to show
    return True


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _start_of_last(log: object, lines: int) -> int:
    """Where the last N lines begin, found from the end."""
    from pathlib import Path

    path = Path(str(log))
    try:
        with open(path, "rb") as file:
            at = file.seek(0, 2)
            data = b""
            while at > 0 and data.rstrip(b"\n").count(b"\n") < lines:
                step = min(at, 1 << 16)
                at -= step
                file.seek(at)
                data = file.read(step) + data
    except FileNotFoundError:
        return 0
    kept = data.rstrip(b"\n").split(b"\n")[-lines:] if lines else []
    end = data.rstrip(b"\n")
    return at + len(end) - len(b"\n".join(kept)) if kept else at + len(data)


def events(arguments: argparse.Namespace) -> int:
    space = workspace()
    row = space.find_run(arguments.run)
    space.attach(row.run_id)
    paths = space.paths(row.run_id)
    offsets = {paths.events: 0, paths.log_events: 0, paths.supervisor_events: 0}
    while True:
        over = space.is_whole(row.run_id)
        for path in offsets:
            more = True
            while more:
                batch = read_events(path, offsets[path])
                for event in batch.events:
                    if _asked_for(event, arguments.kind):
                        sys.stdout.write(encode(event).decode())
                for at in batch.corrupt:
                    print(
                        f"fractal-console: {path.name}: the line at byte {at} is no event; passed over", file=sys.stderr
                    )
                offsets[path], more = batch.offset, batch.more
        sys.stdout.flush()
        if not arguments.follow or over:
            return 0
        time.sleep(_LOOK_S)


def _asked_for(event: Event, kind: str | None) -> bool:
    """Samples of the machine's use come every few seconds: they are shown to those who name them."""
    return event.get("kind") == kind if kind is not None else event.get("kind") != "meters"
