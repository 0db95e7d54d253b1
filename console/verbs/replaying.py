"""The verb `replay`: a run that is over as it went, line by line, at any speed; its own checks tick as they would have."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from console.errors import UserError
from console.reading.replay import ReplayView, asked_moment, own_verdicts, replay_of
from console.verbs.common import workspace
from console.words import coloured, duration, number, shown_state, sign
from console.workspace import Workspace
from engine.config.errors import ConfigError
from engine.protocol.checks import Check
from engine.protocol.events import Event, encode, metrics_of
from engine.protocol.spec import RunSpec, read_spec


def replay(arguments: argparse.Namespace) -> int:
    space = workspace()
    row = space.find_run(arguments.run)
    if not space.state(row.run_id).final:
        raise UserError(f"{row.run_id} still runs. Follow it: fractal-console logs {row.run_id} -f")
    if arguments.speed < 0:
        raise UserError("--speed is how many times as fast: 10, 0.5; 0 shows everything at once")
    view = replay_of(space.paths(row.run_id), arguments.speed or 1.0)
    if not view.record:
        raise UserError(f"{row.run_id} has left no events to replay")
    since = asked_moment(arguments.at, view) if arguments.at else None
    spec = read_spec(view.paths.spec)
    checks = _checks(space, spec) if spec is not None else []
    try:
        play(view, checks, arguments.json, (lambda seconds: None) if arguments.speed == 0 else time.sleep, since)
    except KeyboardInterrupt:
        return 130
    if not arguments.json:
        status = space.state(row.run_id)
        print(f"{_since(view.clock.end - view.clock.start)}  {shown_state(status.state)}  {status.reason}")
    return 0


def _checks(space: Workspace, spec: RunSpec) -> list[Check]:
    """The checks of its phase, where that is still there."""
    try:
        phase = space.phase(spec.phase)
    except ConfigError:
        return []
    return [check for gate in phase.gates for check in gate.compiled(spec.preset)]


def play(
    view: ReplayView,
    checks: list[Check],
    as_json: bool,
    sleep: Callable[[float], None],
    since: float | None = None,
) -> None:
    """Write each event from a moment on when its time comes; what has become of a check comes right behind it."""
    view.begin()
    before = [e for e in view.record if since is not None and e["time"] < since]
    view.feed(before)
    if since is not None:
        view.clock.jump(since)
    states = {verdict.check_id: verdict.state for verdict in own_verdicts(view, checks)} if before else {}
    for event in view.record[len(before) :]:
        sleep(view.clock.wait_for(event["time"]))
        view.feed([event])
        at = event["time"] - view.clock.start
        if as_json:
            sys.stdout.write(encode({**event, "since": round(at, 3)}).decode())
        elif (words := event_line(event)) is not None:
            print(f"{_since(at)}  {words}")
        for verdict in own_verdicts(view, checks):
            earlier = states.get(verdict.check_id)
            states[verdict.check_id] = verdict.state
            if not as_json and earlier is not None and earlier != verdict.state:
                print(f"{_since(at)}  {sign(verdict.state)}  {verdict.text}: {verdict.because}")
        sys.stdout.flush()


def event_line(event: Event) -> str | None:
    """An event as a person reads it; None for those that only a screen shows."""
    from console.paint.run import event_words

    kind = str(event.get("kind"))
    if kind == "metric":
        step = f"step {number(event['step'])}  " if isinstance(event.get("step"), (int, float)) else ""
        return step + "  ".join(f"{name} {number(value)}" for name, value in metrics_of(event).items())
    if kind == "progress":
        return f"{number(float(event.get('done', 0)))}/{number(float(event.get('total', 0)))} {event.get('unit', '')}"
    return None if kind == "meters" else f"{coloured(kind, 'cyan')}  {event_words(event)}"


def _since(seconds: float) -> str:
    return f"{duration(seconds) if seconds >= 60 else f'{seconds:.1f} s':>12}"
