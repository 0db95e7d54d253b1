"""A run that Slurm started: what Slurm says of its job, and what state that makes the run. `conclude_job` is pure.

The supervisor of such a run lives on another machine than the reader, so pid and boot id tell nothing here: Slurm's word stands
in for them. What the supervisor wrote goes before it; a job that Slurm has forgotten (it does after some minutes) is over.
"""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass, replace
from typing import Any

from engine.protocol.durable import read_json
from engine.protocol.layout import RunPaths
from engine.protocol.status import (
    FAILED,
    LOST,
    QUEUED,
    RUNNING,
    STALLED,
    STALLED_AFTER_S,
    STARTING,
    STOPPED,
    Status,
    ended_by_exit,
    heartbeat_age,
    written_state,
)

# A status file on a network file system may arrive later than the end of the job.
_SETTLE_S = 10.0
_CACHED_S = 1.0
# A supervisor that signed so lately is there: no need to ask Slurm, whose controller serves a whole cluster.
_FRESH_S = 5.0

_WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD")
_GOING = ("RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING")


@dataclass(frozen=True)
class Job:
    """One line of `scontrol show job -o`."""

    state: str
    reason: str = ""
    nodes: str = ""
    restarts: int = 0


class SlurmSilent(OSError):
    """Slurm did not answer: the state is unknown, not lost."""


def parse_job(line: str) -> Job:
    """Pure."""
    fields = dict(word.partition("=")[::2] for word in line.split() if "=" in word)
    restarts = fields.get("Restarts", "0")
    nodes = fields.get("NodeList", "")
    return Job(
        fields.get("JobState", "UNKNOWN"),
        "" if fields.get("Reason") in (None, "None") else fields["Reason"],
        "" if nodes == "(null)" else nodes,
        int(restarts) if restarts.isdigit() else 0,
    )


_seen: dict[str, tuple[float, Job | None]] = {}


def look(job_id: str) -> Job | None:
    """What Slurm says now (asked once a second at most); None where it knows no such job any more."""
    now = time.monotonic()
    if job_id in _seen and now - _seen[job_id][0] < _CACHED_S:
        return _seen[job_id][1]
    done = _asked(["scontrol", "show", "job", "-o", job_id])
    if done.returncode == 0 and "JobState=" in done.stdout:
        found: Job | None = parse_job(done.stdout)
    elif "Invalid job id" in done.stderr:
        found = None
    else:
        raise SlurmSilent(f"Slurm does not answer: {(done.stderr or done.stdout).strip()[:200]}")
    _seen[job_id] = (now, found)
    return found


def _asked(argv: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise SlurmSilent(f"Slurm could not be asked: {error}") from None


def place_in_queue(job_id: str) -> int | None:
    """1 is next of this user's waiting jobs."""
    done = _asked(["squeue", "--me", "--noheader", "--states=PENDING", "--sort=-p,i", "--format=%i"])
    waiting = done.stdout.split()
    return waiting.index(job_id) + 1 if job_id in waiting else None


def observe_job(paths: RunPaths, job_id: str, now: float) -> Status:
    """The state of a run of this folder that Slurm started."""
    result = read_json(paths.result)
    written = read_json(paths.status) or {}
    if result is not None:
        return written_state(result)
    said = written_state(written) if written else None
    age = heartbeat_age(paths.heartbeat, now)
    if said is not None and said.state in (STARTING, RUNNING) and age is not None and abs(age) < _FRESH_S:
        return said
    try:
        job = look(job_id)
        place = place_in_queue(job_id) if job is not None and job.state in _WAITING else None
    except SlurmSilent as error:
        return replace(said or Status(QUEUED), reason=str(error))
    result = read_json(paths.result)  # once more: it may have been written before the job ended
    if result is not None:
        return written_state(result)
    status = conclude_job(job, said, written, read_json(paths.exit), age, stop_asked(paths))
    return status if place is None else replace(status, position=place)


def stop_asked(paths: RunPaths) -> dict[str, Any] | None:
    """The first wish to stop in the run's drop box."""
    try:
        names = sorted(n for n in os.listdir(paths.requests) if n.startswith("stop-"))
    except OSError:
        return None
    return next((v for n in names if (v := read_json(paths.requests / n)) is not None), None)


def conclude_job(
    job: Job | None,
    said: Status | None,
    written: dict[str, Any],
    exit_: dict[str, Any] | None,
    heartbeat_age_s: float | None,
    stop_asked: dict[str, Any] | None,
) -> Status:
    """The state of a run without a result: `said` and `written` are what its supervisor wrote, `exit_` what its shim wrote."""
    if job is not None and job.state in _WAITING:
        again = " again" if job.restarts or said is not None else ""
        return Status(QUEUED, f"waits{again} in Slurm's queue ({job.reason or 'no reason given'})")
    if job is not None and job.state in _GOING:
        return _going(job, said, heartbeat_age_s)
    if exit_ is not None:
        return ended_by_exit(exit_, written)
    if stop_asked is not None or (job is not None and job.state == "CANCELLED"):
        by, why = (stop_asked or {}).get("by", "somebody, in Slurm"), (stop_asked or {}).get("why", "")
        return Status(STOPPED, f"stopped by {by}: {why}".rstrip(": "))
    started = said.started if said is not None else None
    if job is None:
        return Status(LOST, "Slurm knows its job no more and nobody wrote an end", started=started)
    state = LOST if job.state == "NODE_FAIL" else FAILED
    return Status(state, _IN_WORDS.get(job.state, f"Slurm says {job.state} {job.reason}".rstrip()), started=started)


_IN_WORDS = {
    "TIMEOUT": "Slurm ended it at its time limit; give it more: hosts add … --sbatch='--time=…'",
    "NODE_FAIL": "its node failed",
    "OUT_OF_MEMORY": "Slurm ended it for using more memory than it asked for; give it more: hosts add … --sbatch='--mem=…'",
    "PREEMPTED": "Slurm took its place away for another job",
    "BOOT_FAIL": "its node did not come up",
    "DEADLINE": "Slurm ended it at its deadline",
}


def _going(job: Job, said: Status | None, heartbeat_age_s: float | None) -> Status:
    where = f"on {job.nodes}" if job.nodes else ""
    if said is None or said.state == QUEUED:
        return Status(STARTING, f"Slurm has started its job {where}".rstrip())
    if said.final:
        return Status(
            RUNNING, "the command ended; its files are being recorded", started=said.started, stage="recording"
        )
    if heartbeat_age_s is not None and heartbeat_age_s > STALLED_AFTER_S + _SETTLE_S:
        return replace(
            said, state=STALLED, reason=f"its supervisor {where} has given no sign for {heartbeat_age_s:.0f} s"
        )
    return said
