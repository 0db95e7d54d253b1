"""`instances save NAME`: everything required of a rented machine verified here, before it is ended. The guard's save command.

Runs that still go on are asked to stop first (their ladder lets a program write its checkpoint), because the machine is about to
end. Exit code 0 means that everything required is here with its hash.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from console.store import RunRow, Store
from engine.protocol.durable import read_json
from engine.protocol.events import parse
from engine.protocol.layout import Root
from engine.protocol.status import LOST, SUCCEEDED
from remote.host import HostError
from remote.pull import pull_checkpoint, pull_run, unverified

if TYPE_CHECKING:
    from remote.ssh.host import SshHost

Say = Callable[[str], None]

_LOOK_S = 1.0


def save(host: SshHost, root: Root, grace_s: float, say: Say, sleep: Callable[[float], None] = time.sleep) -> list[str]:
    """What is not safe after this; empty: all is."""
    run_ids = host.run_ids()
    problems = _end_live(host, run_ids, grace_s, say, sleep)
    for run_id in run_ids:
        try:
            status = host.observe(run_id)
            if status.live:
                continue
            if status.state != SUCCEEDED and (path := pull_checkpoint(host, run_id, root)):
                say(f"{run_id}: its last checkpoint {path} is here")
            if status.state != LOST:
                done = pull_run(host, run_id, root, only_required=True)
                problems += [f"{run_id}: {problem}" for problem in done.problems if status.state == SUCCEEDED]
        except HostError as error:
            problems.append(f"{run_id}: {error}")
    return problems


def _end_live(host: SshHost, run_ids: list[str], grace_s: float, say: Say, sleep: Callable[[float], None]) -> list[str]:
    """Plans first, so that none starts the next step; then the runs themselves, each after its checkpoint."""
    live = [run_id for run_id in run_ids if host.observe(run_id).live]
    ends = {run_id: [_size(host, run_id, file) for file in _TOLD_IN] for run_id in live}
    for plan in {host.spec(run_id).plan for run_id in live} - {None}:
        host.stop_plan(str(plan), "the guard", "the machine is about to end")
    for run_id in live:
        say(f"{run_id} is asked for a checkpoint and stopped: the machine is about to end")
        host.checkpoint(run_id, "the guard")
    waited = 0.0
    while waited < grace_s / 2 and not all(_has_saved(host, run_id, ends[run_id]) for run_id in live):
        sleep(_LOOK_S)
        waited += _LOOK_S
    for run_id in live:
        host.stop(run_id, "the guard", "the machine is about to end")
    while waited < grace_s and any(host.observe(run_id).live for run_id in live):
        sleep(_LOOK_S)
        waited += _LOOK_S
    return [f"{run_id} could not be stopped in {grace_s:.0f} s" for run_id in live if host.observe(run_id).live]


_TOLD_IN = ("events.jsonl", "supervisor.jsonl")


def _size(host: SshHost, run_id: str, file: str) -> int:
    return host.read(run_id, file, -1).size


def _has_saved(host: SshHost, run_id: str, ends: list[int]) -> bool:
    """A checkpoint was written since, or nobody there can write one, or it is over."""
    told = [parse(host.read(run_id, file, end).data) for file, end in zip(_TOLD_IN, ends, strict=True)]
    events = [event for batch in told for event in batch.events]
    saved = any(e.get("kind") == "checkpoint" for e in events)
    return saved or any(e.get("told") == 0 for e in events) or not host.observe(run_id).live


def left_on(store: Store, root: Root, name: str) -> list[str]:
    """Required files of a machine's runs that are not verified here, as far as this computer knows."""
    return [line for row in store.runs() if row.host == name for line in _left_of(root, row)]


def _left_of(root: Root, row: RunRow) -> list[str]:
    if not row.final and row.state != LOST:
        return [f"{row.run_id}: it has not ended, as far as is known here"]
    recorded = read_json(root.run(row.run_id).artifacts)
    if recorded is None:
        return [f"{row.run_id}: what it made is not known here; pull it"] if row.state == SUCCEEDED else []
    return [f"{row.run_id}: {path}" for path in unverified(root, row.run_id, recorded.get("artifacts", []))]
