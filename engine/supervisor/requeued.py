"""Slurm's time limit comes near: ask the program for a checkpoint, then have Slurm start the job again from it.

Only a program that handles SIGUSR2 is started again: another one would begin at nought, for ever. The run stays one run; its
log and events go on where they are.
"""

from __future__ import annotations

import os
import signal
import time

from engine.protocol.events import read_events
from engine.supervisor.ladder import ask_checkpoint, members, send_to_group
from engine.supervisor.run import Run, record, write_status
from engine.supervisor.slurm import SIGNAL_BEFORE_S, requeue

# A checkpoint that nobody spoke of: time enough is left to end the command and to ask Slurm.
_WAIT_S = SIGNAL_BEFORE_S - 40.0
_END_S = 10.0


def mind_limit(run: Run, group: int) -> None:
    """One tick of the supervisor."""
    limit = run.limit
    if not limit.is_near or limit.is_given_up or run.stop is not None:
        return
    if limit.asked_at is None:
        _ask(run, group)
    elif _is_saved(run) or time.monotonic() - limit.asked_at > _WAIT_S:
        _start_again(run, group)


def _ask(run: Run, group: int) -> None:
    run.limit.asked_at = time.monotonic()
    run.limit.events_from = run.paths.events.stat().st_size if run.paths.events.exists() else 0
    told = ask_checkpoint(group)
    run.limit.is_given_up = told == 0
    words = f"asked {told} process(es)" if told else "no process of it handles SIGUSR2; it ends at Slurm's time limit"
    record(run, "checkpoint-asked", by="Slurm", told=told, words=words)


def _is_saved(run: Run) -> bool:
    batch = read_events(run.paths.events, run.limit.events_from)
    run.limit.events_from = batch.offset
    return any(e.get("kind") == "checkpoint" for e in batch.events)


def _start_again(run: Run, group: int) -> None:
    """No result is written: the run is not over."""
    record(run, "requeued", attempt=run.attempt)
    if run.shim_pid is not None:
        os.kill(run.shim_pid, signal.SIGKILL)  # it would write an end
    _end(group)
    write_status(run, state="queued", reason="Slurm starts it again from its checkpoint")
    problem = requeue()
    if problem is None:
        os._exit(0)
    record(run, "requeue-refused", words=problem)
    run.limit.is_given_up = True


def _end(group: int) -> None:
    send_to_group(group, signal.SIGTERM)
    limit = time.monotonic() + _END_S
    while time.monotonic() < limit and members(group):
        time.sleep(0.05)
    send_to_group(group, signal.SIGKILL)
