"""What is known of a run that went wrong, read from its folder. Reads, decides nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from console.whatnow.advice import Advice, Failure, advise
from console.whatnow.rules import Rule
from engine.protocol.durable import read_json
from engine.protocol.events import Event, metrics_of, read_events
from engine.protocol.layout import RunPaths
from engine.protocol.spec import RunSpec, read_spec
from engine.protocol.status import Status, observe
from engine.supervisor.cause import log_tail

# A traceback with CUDA's summary of its memory is about 10 KB; what lies further up was survived.
_TAIL_BYTES = 24 << 10

_WELL = ("queued", "starting", "running", "succeeded", "stopped")


def wrong(status: Status) -> bool:
    """Does this state ask for an answer?"""
    return status.state not in _WELL or "not heard of for" in status.reason


def advice_for(paths: RunPaths, rules: Iterable[Rule], status: Status | None = None) -> Advice | None:
    """The cause of a run's failure and the way out; None where nothing is wrong, or nothing is known."""
    status = observe(paths) if status is None else status
    spec = read_spec(paths.spec)
    if spec is None or not wrong(status):
        return None
    return advise(failure_of(paths, spec, status), rules)


def failure_of(paths: RunPaths, spec: RunSpec, status: Status) -> Failure:
    """Everything that a rule may ask about."""
    result = read_json(paths.result) or {}
    return Failure(
        state=status.state,
        reason=status.reason,
        cause=str(result.get("cause") or ""),
        log=log_tail(paths.log, _TAIL_BYTES).decode(errors="replace"),
        nan_metrics=nan_metrics(_metric_events(paths)),
        remote=spec.host != "local",
        config=spec.config,
        words={
            "run": spec.run_id,
            "phase": spec.phase,
            "step": spec.step,
            "preset": spec.preset,
            "host": "this machine" if spec.host == "local" else spec.host,
            "work": spec.work,
            "folder": str(paths.folder),
            "root": str(paths.folder.parent.parent),
            **({"code": str(status.code)} if status.code is not None else {}),
            **({"signal": status.signal} if status.signal else {}),
        },
    )


def _metric_events(paths: RunPaths) -> Iterable[Event]:
    for file in (paths.events, paths.log_events):
        yield from _every(file)


def _every(file: Path) -> Iterable[Event]:
    offset, more = 0, True
    while more:
        batch = read_events(file, offset)
        yield from batch.events
        offset, more = batch.offset, batch.more


def nan_metrics(events: Iterable[Event]) -> dict[str, float | None]:
    """Metrics that ended as no number, with the step from which on they were none."""
    since: dict[str, float | None] = {}
    for event in events:
        if event.get("kind") != "metric":
            continue
        step = event.get("step")
        for name, value in metrics_of(event).items():
            if math.isfinite(value):
                since.pop(name, None)
            else:
                since.setdefault(name, float(step) if isinstance(step, (int, float)) else None)
    return since
