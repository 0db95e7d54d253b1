"""Ending a command whose supervisor is gone: the same ladder, climbed by whoever was asked to stop it."""

from __future__ import annotations

import time

from engine.protocol.durable import disk_full, read_json, write_json
from engine.protocol.identity import Identity, alive, identify
from engine.protocol.layout import RunPaths
from engine.protocol.spec import read_spec
from engine.supervisor.cause import memory_kills
from engine.supervisor.ladder import RUNGS, Request, requests, rung_due, send_to_group
from engine.supervisor.shim import write_exit
from engine.supervisor.supervise import finish_alone, sign

_TICK_S = 0.1


def end(paths: RunPaths) -> None:
    """Climb the ladder until the orphan is gone. The identity is checked before each signal: a pid may have been reused."""
    status, started = read_json(paths.status) or {}, read_json(paths.started) or {}
    command, shim = (Identity.from_json(status.get(who) or started.get(who)) for who in ("command", "shim"))
    spec = read_spec(paths.spec)
    asked = _stops(paths)
    if command is None or spec is None or not asked:
        return
    # The supervisor that owned this file is dead; the one who ends the run stands in its place from now on.
    sign(paths.heartbeat, 0)
    stop = {"by": asked[0].by, "why": asked[0].why, "grace_s": spec.grace_s}
    status = {**status, "supervisor": identify().to_json(), "stop": stop}
    try:
        write_json(paths.status, status)
    except OSError as error:  # a full disk may be why it is to be ended
        if not disk_full(error):
            raise
    climbed = _climb(paths, command, spec.grace_s)
    if not alive(shim) and not paths.result.exists():  # nobody else is left to tell how it ended
        if not paths.exit.exists():
            name = RUNGS[climbed - 1].name if climbed else None
            write_exit(paths, {"code": None, "signal": name, "ended": time.time()})
        finish_alone(paths, spec, memory_kills())


def _stops(paths: RunPaths) -> list[Request]:
    return [r for r in requests(paths.requests, set()) if r.kind == "stop"]


def _climb(paths: RunPaths, command: Identity, patience: float) -> int:
    """How many rungs it took."""
    begun, climbed = time.monotonic(), 0
    while alive(command):
        grace = min(patience if r.grace_s is None else r.grace_s for r in _stops(paths))
        rung = rung_due(time.monotonic() - begun, grace, climbed)
        if rung is not None:
            climbed = rung + 1
            send_to_group(command.pid, RUNGS[rung])
        sign(paths.heartbeat, climbed)
        time.sleep(_TICK_S)
    return climbed
