"""A finished run as it went, at any speed: time comes from its events, and the clock is passed in.

`ReplayClock` is pure. `ReplayView` is a `RunView` that shows only what had been written by the clock's moment, so screen and
verb show a replay as they show a live run.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any

from console.errors import UserError
from console.logs.stamps import asked_time
from console.reading.view import RunView
from engine.protocol.case import Case
from engine.protocol.checks import Check, steps_of
from engine.protocol.events import Event, every_event
from engine.protocol.evidence import begin
from engine.protocol.gates import Verdict, judge_gate
from engine.protocol.layout import RunPaths
from engine.protocol.spec import read_spec
from engine.protocol.status import RUNNING, Status, observe

SPEEDS = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1000.0)


@dataclass
class ReplayClock:
    """A moment between `start` and `end` that moves `speed` times as fast as `now`."""

    start: float
    end: float
    speed: float = 10.0
    now: Callable[[], float] = time.monotonic
    paused: bool = False
    _base: float = field(init=False)
    _since: float = field(init=False)

    def __post_init__(self) -> None:
        self._base, self._since = self.start, self.now()

    @property
    def moment(self) -> float:
        run = 0.0 if self.paused else (self.now() - self._since) * self.speed
        return min(self.end, self._base + run)

    @property
    def over(self) -> bool:
        return self.moment >= self.end

    def _settle(self) -> None:
        self._base, self._since = self.moment, self.now()

    def pause(self, paused: bool) -> None:
        self._settle()
        self.paused = paused

    def turn(self, by: int) -> None:
        """The next speed up or down."""
        self._settle()
        nearest = min(range(len(SPEEDS)), key=lambda at: abs(SPEEDS[at] - self.speed))
        self.speed = SPEEDS[min(max(0, nearest + by), len(SPEEDS) - 1)]

    def jump(self, moment: float) -> None:
        """To another moment; it goes on from there, or stands there while it is held."""
        self._base, self._since = min(max(moment, self.start), self.end), self.now()

    def wait_for(self, moment: float) -> float:
        """Seconds of `now` until this moment comes; 0 where it is past."""
        return max(0.0, (moment - self.moment) / self.speed)


def recorded(paths: RunPaths) -> list[Event]:
    """Every event of a run in the order of its time; one without a time stands with the one before it."""
    found: list[tuple[float, int, Event]] = []
    for file in (paths.supervisor_events, paths.log_events, paths.events):
        at = 0.0
        for event in every_event(file):
            said = event.get("time")
            at = float(said) if isinstance(said, (int, float)) and not isinstance(said, bool) else at
            found.append((at, len(found), event))
    known = [at for at, _, _ in found if at > 0]
    first = min(known, default=0.0)
    return [{**event, "time": max(at, first)} for at, _, event in sorted(found, key=lambda f: (max(f[0], first), f[1]))]


@dataclass
class ReplayView(RunView):
    """What had been written of a run by the clock's moment."""

    record: list[Event] = field(default_factory=list)
    clock: ReplayClock = field(default_factory=lambda: ReplayClock(0.0, 0.0))
    shown: int = 0
    """How many events have been fed."""

    def pump(self) -> bool:
        due = self._due()
        if self.evidence is None or due > self.shown:
            self.begin()
            self.feed(self.record[self.shown : due])
            self.shown = due
            self._conclude()
            return True
        before = self.status
        self._conclude()
        return self.status != before

    def news(self) -> bool:
        return self._due() > self.shown or (self.clock.over and not self.status.final)

    def keep(self) -> None:
        """A replay leaves nothing behind."""

    def at(self, moment: float) -> ReplayView:
        """The same replay at another moment; also one that is past, so from nothing."""
        self.clock.jump(moment)
        return ReplayView(self.paths, record=self.record, clock=self.clock)

    def _due(self) -> int:
        moment, due = self.clock.moment, self.shown
        while due < len(self.record) and self.record[due]["time"] <= moment:
            due += 1
        return due

    def begin(self) -> None:
        """Nothing has been written yet."""
        if self.evidence is None:
            self.more = False
            self.spec = read_spec(self.paths.spec)
            assert self.spec is not None
            self.status = Status(RUNNING, started=self.clock.start)
            self.evidence = begin(self.spec, self.status)

    def _conclude(self) -> None:
        if self.clock.over and self.shown >= len(self.record):
            self.status = observe(self.paths)
        assert self.evidence is not None
        self.evidence.state, self.evidence.reason = self.status.state, self.status.reason


def replay_of(paths: RunPaths, speed: float = 10.0, now: Callable[[], float] = time.monotonic) -> ReplayView:
    """A run from its first event on."""
    record = recorded(paths)
    first, last = (record[0]["time"], record[-1]["time"]) if record else (0.0, 0.0)
    return ReplayView(paths, record=record, clock=ReplayClock(first, last, speed, now))


class NoSuchMoment(UserError):
    """What was asked for is no moment of this run."""


def asked_moment(words: str, replay: ReplayView, zone: tzinfo | None = None) -> float:
    """The moment that someone typed: `1200` (a step), `12:30` (time of day), `+90s` from the begin, `-5m` from the end."""
    clock, words = replay.clock, words.strip().lower()
    if found := re.fullmatch(r"(?:step\s*)?(\d+)", words):
        return _moment_of_step(replay.record, int(found[1]))
    since = _span(words[1:]) if words.startswith("+") else None
    moment = asked_time(words, clock.end, zone) if since is None else clock.start + since
    if moment is None:
        raise NoSuchMoment(f"{words!r} is no moment; try step 1200, 12:30, +90s from the begin or -5m from the end")
    # A minute that was typed is the whole minute: the run may have begun within it.
    if not clock.start - 60 <= moment <= clock.end:
        began, ended = (
            datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d %H:%M:%S") for at in (clock.start, clock.end)
        )
        raise NoSuchMoment(f"{words!r} is not within the run: {began} to {ended}")
    return max(moment, clock.start)


def _span(words: str) -> float | None:
    """`90s`, `5m`, `1.5h`, `12:30` (minutes), `1:12:30`, in seconds."""
    if found := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd])", words):
        return float(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]
    if found := re.fullmatch(r"\s*(?:(\d+):)?(\d+):(\d\d)", words):
        return int(found[1] or 0) * 3600 + int(found[2]) * 60 + int(found[3])
    return None


def _moment_of_step(record: list[Event], step: int) -> float:
    """When the first value of this step or a later one was written."""
    steps = [(e["step"], e["time"]) for e in record if e.get("kind") == "metric" and _is_number(e.get("step"))]
    found = next((at for one, at in steps if one >= step), None)
    if found is None:
        last = f"its last step is {max(one for one, _ in steps):g}" if steps else "it has no steps"
        raise NoSuchMoment(f"there is no step {step}: {last}")
    return float(found)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def own_verdicts(view: RunView, checks: list[Check]) -> list[Verdict]:
    """The checks that look at this run alone, judged on what it has shown so far."""
    if view.spec is None or view.evidence is None:
        return []
    step = view.spec.step
    mine = [c for c in checks if c["kind"] != "manual" and steps_of(c) == [step] and not _over_seeds(c)]
    return judge_gate(mine, Case({step: [view.evidence]}))


def _over_seeds(check: Check) -> Any:
    return "seeds" in check or "mean_over" in check
