"""One run from claim to result: waits for its slot, starts the command, watches it, ends it when asked, finishes it.

Guarantees: one supervisor per run id, ever (the claim); the command's output does not pass through this process; killing
this process at any moment loses neither log nor events nor exit code.
Does not guarantee: an exit code when supervisor and shim are killed together.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import time
from pathlib import Path
from typing import Any

from engine.protocol.durable import create_once, read_json
from engine.protocol.files import free_bytes
from engine.protocol.identity import identify
from engine.protocol.layout import Root, RunPaths
from engine.protocol.spec import RunSpec, read_spec
from engine.protocol.status import FAILED, QUEUED, RUNNING, STARTING, STOPPED, heartbeat_line
from engine.protocol.version import VERSION
from engine.supervisor import shim
from engine.supervisor.cause import MemoryKills
from engine.supervisor.environment import environment
from engine.supervisor.finish import finish, missing_inputs
from engine.supervisor.ladder import RUNGS, Request, ask_checkpoint, requests, rung_due, send_to_group
from engine.supervisor.logmetrics import LogReader, catch_up
from engine.supervisor.meters import Meters
from engine.supervisor.requeued import mind_limit
from engine.supervisor.run import Run, record, write_status
from engine.supervisor.slots import Queue, Slot

_TICK_S = 0.1  # how soon a stop is heard; the end of the command is noticed at once, through the pipe
_HEARTBEAT_S = 1.0  # a tenth of what a reader calls stalled
_DISK_S = 5.0
_RESERVE_BYTES = 64 << 10  # room for the last three files
_LOW_DISK = (2 << 30, 512 << 20)


def claim(paths: RunPaths) -> bool:
    """Become the one supervisor of this run; False if there is or was another."""
    return create_once(paths.claim, identify().to_json())


def supervise(root: Root, run_id: str, attempt: int | None = None) -> None:
    """Carry a claimed run to its end."""
    paths = root.run(run_id)
    spec = read_spec(paths.spec)
    if spec is None:
        raise FileNotFoundError(f"{paths.spec} is not there")
    run = Run(root, paths, spec, attempt=attempt)
    run.status = {"v": VERSION, "supervisor": identify().to_json()}
    try:
        _prepare(run)
        slots = _wait_for_slots(run) if attempt is None else []
        if slots is not None:
            _execute(run, slots)
    except OSError as error:
        # Once the shim is there the command may run: then the shim speaks the last word, not we.
        if run.shim_pid is None:
            _give_up(run, FAILED, f"the supervisor failed: {error}", "supervisor")
        raise


def _prepare(run: Run) -> None:
    """Make the folder's small files, and hear SIGTERM (a shut-down) as a wish to stop."""
    run.paths.requests.mkdir(exist_ok=True)
    run.paths.reserve.write_bytes(b"\0" * _RESERVE_BYTES)
    run.paths.heartbeat.write_bytes(heartbeat_line(time.time(), 0))
    run.paths.log.touch()
    shim.adopt_orphans()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: setattr(run, "shut_down", True))
    if run.attempt is not None:
        signal.signal(signal.SIGUSR2, lambda *_: setattr(run.limit, "is_near", True))
        record(run, "attempt", number=run.attempt)
    write_status(run, state=QUEUED, reason="waiting for a free slot")


def beat(run: Run) -> None:
    """A sign of life, written in place."""
    run.beat += 1
    sign(run.paths.heartbeat, run.beat)


def sign(heartbeat: Path, beat: int) -> None:
    """Sign in place: the file keeps its size, so a full disk is no hindrance."""
    try:
        fd = os.open(heartbeat, os.O_WRONLY)
        os.pwrite(fd, heartbeat_line(time.time(), beat), 0)
        os.close(fd)
    except OSError:
        pass


def _wait_for_slots(run: Run) -> list[Slot] | None:
    """The run's slots, or None when it was stopped in the queue or can never start."""
    queue = Queue(run.root, run.spec.run_id, run.spec.gpus)
    if run.spec.gpus > len(queue.names):
        queue.leave()
        reason = f"it asks for {run.spec.gpus} GPU(s) and this host has {len(queue.names)}"
        _give_up(run, FAILED, f"{reason}; choose another preset or host", "no-gpu")
        return None
    position, last_beat = 0, 0.0
    while True:
        slots = queue.try_take()
        if slots is not None:
            run.status.pop("position", None)
            return slots
        now = time.monotonic()
        if now - last_beat >= _HEARTBEAT_S:
            last_beat = now
            beat(run)
            here = queue.position()
            if here != position:
                position = here
                write_status(run, position=here, reason=f"number {here} in the queue of this host")
        _hear(run)
        if run.stop is not None:
            queue.leave()
            _give_up(run, STOPPED, f"taken out of the queue by {run.stop['by']}: {run.stop['why']}".rstrip(": "), "")
            return None
        time.sleep(_TICK_S)


def _give_up(run: Run, state: str, reason: str, cause: str) -> None:
    """End a run whose command never started."""
    record(run, "ended", state=state, reason=reason)
    result = {"v": VERSION, "state": state, "reason": reason, "cause": cause, "ended": time.time(), "started": None}
    shim.write_last(run.paths, run.paths.result, result)
    write_status(run, state=state, reason=reason)
    run.paths.reserve.unlink(missing_ok=True)


def _execute(run: Run, slots: list[Slot]) -> None:
    missing = missing_inputs(run.spec)
    if missing:
        where = "its work folder" if run.spec.work else "its folder"
        reason = f"its input {', '.join(missing)} is not in {where}; run the step that makes it first"
        _give_up(run, FAILED, reason, "missing-input")
        return
    try:
        run.reader = LogReader(run.paths, run.spec.log_metrics)
    except re.error as error:
        reason = f"the pattern {error.pattern!r} of a log metric is no regular expression: {error}"
        _give_up(run, FAILED, reason, "bad-pattern")
        return
    Path(run.spec.work).mkdir(parents=True, exist_ok=True)
    names = [slot.name for slot in slots]
    write_status(run, state=STARTING, reason="starting the command", slots=names, started=time.time())
    run.shim_pid, pipe = _fork_shim(run, slots)
    for slot in slots:
        os.close(slot.fd)  # the shim and the command hold it from here on
    command = _first_word(run, pipe)
    if command is not None:
        record(run, "started", command=command, slots=names)
        write_status(run, state=RUNNING, reason="")
        run.meters = Meters(command["pid"], tuple(name[3:] for name in names if name.startswith("gpu")))
        _watch(run, pipe, command["pid"])
    os.close(pipe)
    if command is not None and not run.paths.exit.exists():
        os.waitpid(run.shim_pid, 0)
        _wait_without_shim(run, command["pid"])
    run.reader.read(last=True)
    if run.meters is not None:
        run.meters.close()
    _end(run)
    try:  # the shim leaves once it sees the result, so that one of the two is always there to write it
        os.waitpid(run.shim_pid, 0)
    except ChildProcessError:
        pass


def _fork_shim(run: Run, slots: list[Slot]) -> tuple[int, int]:
    """Start the shim; returns its pid and the pipe whose closing says that it is gone."""
    listen, tell = os.pipe()
    pid = os.fork()
    if pid:
        os.close(tell)
        return pid, listen
    code = 1
    try:
        os.close(listen)
        kills = run.kills_before
        fds = [slot.fd for slot in slots]
        for fd in fds:
            os.set_inheritable(fd, True)
        env = environment(run.root, run.paths, run.spec, slots)
        shim.run(run.paths, run.spec, env, fds, tell, lambda: finish_alone(run.paths, run.spec, kills))
        code = 0
    finally:
        os._exit(code)


def _first_word(run: Run, pipe: int) -> dict[str, Any] | None:
    """The shim's word on the command: who it is, or None if it could not be started."""
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(pipe, 4096)
        if not piece:
            break
        line += piece
    word: dict[str, Any] = json.loads(line) if line else read_json(run.paths.started) or {}
    word.setdefault("error", "the shim died before it started the command")
    if "command" not in word:
        record(run, "not-started", error=word["error"])
        if not run.paths.exit.exists():
            shim.write_exit(run.paths, {"code": 127, "error": word["error"], "ended": time.time()})
        return None
    run.status.update(command=word["command"], shim=word["shim"])
    command: dict[str, Any] = word["command"]
    return command


def finish_alone(paths: RunPaths, spec: RunSpec, kills: MemoryKills) -> None:
    """The end of a run whose supervisor was killed: what it had not read off the log comes first."""
    catch_up(paths, spec.log_metrics)
    finish(paths, spec, kills)


def _watch(run: Run, pipe: int, group: int) -> None:
    """Until the shim has written the end or is gone."""
    while not select.select([pipe], [], [], _TICK_S)[0]:
        _attend(run, group)


def _attend(run: Run, group: int) -> None:
    """One tick: beat, read the log's metrics, look at the disk, hear requests, climb the ladder."""
    now = time.monotonic()
    if now >= run.next_beat:
        run.next_beat = now + _HEARTBEAT_S
        beat(run)
        if run.reader is not None:
            run.reader.read()
        _measure(run, now)
    if now >= run.next_disk:
        run.next_disk = now + _DISK_S
        _look_at_disk(run)
    _hear(run, group)
    if run.attempt is not None:
        mind_limit(run, group)
    _mind_time(run)
    _climb(run, group)


def _measure(run: Run, now: float) -> None:
    """One event now and then of what the machine and the run use."""
    sample = run.meters.sample(now) if run.meters is not None else None
    if sample:
        record(run, "meters", **sample)


def _hear(run: Run, group: int | None = None) -> None:
    """Take note of new requests, and of a system that shuts down."""
    _heed_system(run)
    for request in requests(run.paths.requests, run.seen_requests):
        if request.kind == "checkpoint" and group is not None:
            told = ask_checkpoint(group)
            words = f"asked {told} process(es)" if told else "no process of it handles SIGUSR2; nothing was sent"
            record(run, "checkpoint-asked", by=request.by, told=told, words=words)
        elif request.kind == "stop":
            _heed_stop(run, request)


def _heed_system(run: Run) -> None:
    if run.shut_down and run.attempt is None:
        _begin_stop(run, "the system", "its supervisor got SIGTERM (a shut-down?)", None)
    elif run.shut_down:
        _begin_stop(run, "Slurm", "it ended the job (scancel, its time limit, or a preemption)", None)


def _heed_stop(run: Run, request: Request) -> None:
    if run.stop is None:
        _begin_stop(run, request.by, request.why, request.grace_s)
    elif request.grace_s is not None and request.grace_s < run.stop["grace_s"]:
        run.stop["grace_s"] = request.grace_s
        record(run, "stop-hurried", by=request.by, grace_s=request.grace_s)


def _begin_stop(run: Run, by: str, why: str, grace_s: float | None, cause: str = "") -> None:
    if run.stop is not None:
        return
    grace = run.spec.grace_s if grace_s is None else grace_s
    run.stop = {"by": by, "why": why, "since": time.monotonic(), "grace_s": grace}
    if cause:
        run.stop["cause"] = cause
    record(run, "stop-asked", by=by, why=why, grace_s=grace)
    write_status(run, stop={k: v for k, v in run.stop.items() if k != "since"}, stopping=f"by {by}")


def _mind_time(run: Run) -> None:
    limit = run.spec.timeout_s
    if limit is not None and run.stop is None and time.time() - run.status["started"] > limit:
        _begin_stop(run, "its time limit", f"it ran longer than its limit of {limit:g} s", None, cause="timeout")


def _climb(run: Run, group: int) -> None:
    """Send the next signal of the ladder when its time has come."""
    if run.stop is None:
        return
    rung = rung_due(time.monotonic() - run.stop["since"], run.stop["grace_s"], run.climbed)
    if rung is None:
        return
    run.climbed = rung + 1
    name = RUNGS[rung].name
    reached = send_to_group(group, RUNGS[rung])
    record(run, "signal", signal=name, reached=reached)
    write_status(run, stopping=f"{name} sent, by {run.stop['by']}")


def _look_at_disk(run: Run) -> None:
    """One event when space gets low, one when it gets very low."""
    try:
        free = free_bytes(run.paths.folder)
    except OSError:
        return
    level = sum(free < limit for limit in _LOW_DISK)
    if level > run.disk_level:
        record(run, "disk-low", free_bytes=free)
    run.disk_level = level


def _wait_without_shim(run: Run, pid: int) -> None:
    """The shim was killed: the command is our own child now (where the system can do that), so its end is ours to write."""
    record(run, "shim-lost")
    while True:
        try:
            seen = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        except ChildProcessError:
            return
        if seen is not None:
            shim.write_exit(run.paths, shim.wait(pid))
            return
        _attend(run, pid)
        time.sleep(_TICK_S)


def _end(run: Run) -> None:
    _heed_system(run)  # the command may have got the same signal, and have died of it first
    # What we know, not what status.json says: on a full disk it may never have heard of the stop.
    end = finish(run.paths, run.spec, run.kills_before, run.status)
    record(run, "ended", state=end.state, reason=end.reason)
    run.status.pop("stopping", None)
    write_status(run, state=end.state, reason=end.reason)
    run.paths.reserve.unlink(missing_ok=True)
