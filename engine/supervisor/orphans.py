"""Ending a command whose supervisor is gone: the same ladder, climbed by whoever was asked to stop it."""

from __future__ import annotations

import time

from engine.protocol.durable import read_json, write_json
from engine.protocol.identity import Identity, alive
from engine.protocol.layout import RunPaths
from engine.protocol.spec import read_spec
from engine.supervisor.ladder import RUNGS, requests, rung_due, send_to_group

_TICK_S = 0.1


def end(paths: RunPaths) -> None:
    """Climb the ladder until the orphan is gone. The identity is checked before each signal: a pid may have been reused."""
    status = read_json(paths.status) or {}
    command = Identity.from_json(status.get("command"))
    asked = [r for r in requests(paths.requests, set()) if r.kind == "stop"]
    spec = read_spec(paths.spec)
    if command is None or spec is None or not asked:
        return
    grace = spec.grace_s if asked[-1].grace_s is None else asked[-1].grace_s
    # The supervisor that owned this file is dead; from now on the one who ends the run writes it.
    write_json(paths.status, {**status, "stop": {"by": asked[0].by, "why": asked[0].why, "grace_s": grace}})
    begun, climbed = time.monotonic(), 0
    while alive(command):
        rung = rung_due(time.monotonic() - begun, grace, climbed)
        if rung is not None:
            climbed = rung + 1
            send_to_group(command.pid, RUNGS[rung])
        time.sleep(_TICK_S)
