"""What state a run is in, concluded from its folder.

The supervisor writes queued, starting, running, succeeded, failed, stopped. A reader concludes the rest:

    stalled     its supervisor lives but has not given a sign for ten seconds (a hung disk, a stopped process)
    orphaned    its supervisor died, its command lives on; the log goes on, the exit code will be kept
    lost        neither lives and nobody wrote an end: a reboot, or both were killed

Guarantees: `conclude` is pure; every state carries its reason in words; a final state never changes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.protocol import identity
from engine.protocol.durable import read_json
from engine.protocol.identity import Identity
from engine.protocol.layout import RunPaths
from engine.protocol.version import require_readable

QUEUED, STARTING, RUNNING = "queued", "starting", "running"
SUCCEEDED, FAILED, STOPPED = "succeeded", "failed", "stopped"
STALLED, ORPHANED, LOST = "stalled", "orphaned", "lost"

FINAL = (SUCCEEDED, FAILED, STOPPED, LOST)

# The supervisor signs every second. Ten missed signs are no busy disk any more.
STALLED_AFTER_S = 10.0
# A mirror signs every ten seconds what its host says; three missed signs mean that it does not hear the host.
UNHEARD_AFTER_S = 30.0
# Between writing the spec and claiming it lies one start of Python; a minute later nobody will come.
UNCLAIMED_AFTER_S = 60.0


@dataclass(frozen=True)
class Traces:
    """What a reader found in a run's folder and among the processes."""

    spec_age_s: float
    claimed: bool
    status: dict[str, Any] | None
    exit: dict[str, Any] | None
    result: dict[str, Any] | None
    same_boot: bool
    supervisor_alive: bool
    shim_alive: bool
    command_alive: bool
    heartbeat_age_s: float | None


@dataclass(frozen=True)
class Status:
    """A run's state with its because."""

    state: str
    reason: str = ""
    code: int | None = None
    signal: str | None = None
    started: float | None = None
    ended: float | None = None
    position: int | None = None
    """Place in the host's queue, 1 is next."""
    stopping: str | None = None
    """A stop was asked for: which rung it is on, by whom."""
    stage: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def final(self) -> bool:
        return self.state in FINAL

    @property
    def live(self) -> bool:
        return not self.final

    def to_json(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if v not in (None, "", {})}

    @staticmethod
    def from_json(value: dict[str, Any]) -> Status:
        return Status(**{k: v for k, v in value.items() if k in Status.__dataclass_fields__})


def conclude(traces: Traces) -> Status:
    """The state that these traces mean."""
    if traces.result is not None:
        return written_state(traces.result)
    if traces.status is None:
        return _unstarted(traces)
    said = written_state(traces.status)
    if traces.supervisor_alive:
        return _attended(said, traces)
    if traces.exit is not None and traces.shim_alive:
        return _with(said, ORPHANED, "its supervisor is gone; the command ended and its files are being recorded")
    if traces.exit is not None:
        return ended_by_exit(traces.exit, traces.status)
    if not traces.same_boot:
        return _with(said, LOST, "the machine was restarted while it was running")
    if traces.command_alive or traces.shim_alive:
        return _with(said, ORPHANED, "its supervisor is gone; the command runs on and its exit code will be kept")
    if said.state in FINAL:
        return said
    if said.state == QUEUED:
        return _with(said, LOST, "its supervisor was killed while it waited in the queue; nothing was started")
    return _with(said, LOST, "the command and its supervisor vanished without a word (killed together?)")


def written_state(value: dict[str, Any]) -> Status:
    """The state in a status.json or result.json."""
    return Status(
        state=str(value.get("state", LOST)),
        reason=str(value.get("reason", "")),
        code=value.get("code"),
        signal=value.get("signal"),
        started=value.get("started"),
        ended=value.get("ended"),
        position=value.get("position"),
        stopping=value.get("stopping"),
        stage=str(value.get("stage", "")),
    )


def _unstarted(traces: Traces) -> Status:
    if traces.claimed and traces.supervisor_alive:
        return Status(STARTING, "claimed by its supervisor")
    if traces.claimed:
        return Status(LOST, "its supervisor died before it wrote a first state; nothing is known to have started")
    if traces.spec_age_s < UNCLAIMED_AFTER_S:
        return Status(QUEUED, "written, not yet claimed by a supervisor")
    return Status(LOST, "no supervisor ever claimed it; launch it again")


def _attended(said: Status, traces: Traces) -> Status:
    if said.state in FINAL:  # the state is decided, artifacts are being hashed
        return Status(
            RUNNING, "the command ended; its files are being recorded", started=said.started, stage="recording"
        )
    age = traces.heartbeat_age_s
    if age is not None and age > STALLED_AFTER_S:
        return _with(
            said, STALLED, f"its supervisor has given no sign for {age:.0f} s (a hung disk, or it was stopped)"
        )
    return said


def ended_by_exit(exit_: dict[str, Any], status: dict[str, Any]) -> Status:
    """The end as the shim saw it, where the supervisor was killed before it could say so."""
    stop = status.get("stop")
    code, signal = exit_.get("code"), exit_.get("signal")
    if stop and stop.get("cause") == "timeout":
        state, reason = FAILED, str(stop.get("why", ""))
    elif stop:
        state, reason = STOPPED, f"stopped by {stop.get('by', 'somebody')}: {stop.get('why', '')}".rstrip(": ")
    elif exit_.get("error"):
        state, reason = FAILED, str(exit_["error"])
    elif code == 0:
        state, reason = SUCCEEDED, "its supervisor was killed; the command ended well"
    elif signal:
        state, reason = FAILED, f"killed by {signal}; its supervisor was gone by then"
    else:
        state, reason = FAILED, f"exit code {code}; its supervisor was gone by then"
    return Status(state, reason, code=code, signal=signal, started=status.get("started"), ended=exit_.get("ended"))


def _with(said: Status, state: str, reason: str) -> Status:
    return Status(state, reason, code=said.code, signal=said.signal, started=said.started, ended=said.ended)


def observe(paths: RunPaths, now: float | None = None) -> Status:
    """The state of the run in this folder: concluded on the machine it runs on, told by that machine in a mirror."""
    now = time.time() if now is None else now
    told = read_json(paths.observed)
    if told is not None:
        return mirrored(told, _readable(paths.result), now)
    job = read_json(paths.slurm)
    if job is not None:
        from engine.protocol.slurm_job import observe_job

        return observe_job(paths, str(job["job"]), now)
    return conclude(find_traces(paths, now))


def mirrored(told: dict[str, Any], result: dict[str, Any] | None, now: float) -> Status:
    """What the host said last; with a result here nothing more can come. A state that is old says how old.

    An end counts when all bytes are here: a gate is not judged, and a log not called complete, on a part of them.
    """
    if result is not None:
        return written_state(result)
    status = Status.from_json(told.get("status") or {"state": QUEUED})
    if status.final and not told.get("whole", True):
        words = f"{status.state} there; its last bytes are on their way here"
        status = Status(RUNNING, words, started=status.started, stage="recording")
    age = now - float(told.get("at", 0.0))
    if status.final or age <= UNHEARD_AFTER_S:
        return status
    words = f"not heard of for {_ago(age)} on {told.get('host', 'its host')}"
    return replace(status, reason=f"{status.reason}; {words}" if status.reason else words)


def _ago(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"


def find_traces(paths: RunPaths, now: float) -> Traces:
    """Read the folder and look at the processes; the order matters: what is written last is read first."""
    result = _readable(paths.result)
    status = _readable(paths.status)
    claim = read_json(paths.claim)
    supervisor = Identity.from_json((status or {}).get("supervisor") or claim)
    supervisor_alive = result is None and identity.alive(supervisor)
    # The shim's own word, read after the look at the supervisor: one that was killed may not have passed it on.
    started = read_json(paths.started) or {}
    command, shim = (Identity.from_json((status or {}).get(k) or started.get(k)) for k in ("command", "shim"))
    # exit.json after the processes: one that ends between the two looks is then seen by its exit.
    command_alive = result is None and identity.alive(command)
    shim_alive = result is None and identity.alive(shim)
    exit_ = read_json(paths.exit)
    if result is None and not supervisor_alive:
        result, status = _readable(paths.result), _readable(paths.status)
    return Traces(
        spec_age_s=_age(paths.spec, now),
        claimed=claim is not None,
        status=status,
        exit=exit_,
        result=result,
        same_boot=supervisor is None or supervisor.boot == identity.boot_id(),
        supervisor_alive=supervisor_alive,
        shim_alive=shim_alive,
        command_alive=command_alive,
        heartbeat_age_s=heartbeat_age(paths.heartbeat, now),
    )


def _readable(path: Path) -> dict[str, Any] | None:
    value = read_json(path)
    if value is not None:
        require_readable(str(path), value.get("v"))
    return value


def _age(path: Path, now: float) -> float:
    try:
        return now - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


HEARTBEAT_BYTES = 64


def heartbeat_line(now: float, beat: int) -> bytes:
    """A sign of life of fixed size, so that writing it in place needs no space on a full disk."""
    return f"{now:.3f} {beat}".ljust(HEARTBEAT_BYTES - 1).encode() + b"\n"


def heartbeat_age(path: Path, now: float) -> float | None:
    try:
        return now - float(path.read_bytes()[:HEARTBEAT_BYTES].split()[0])
    except (OSError, ValueError, IndexError):
        return None
