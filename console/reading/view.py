"""What a run looks like: folded from its events, one way only. Pure but for reading; no widget knows how.

`RunView.pump` reads what is new in the run's folder; everything shown is derived from its fields.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from console.charts.series import Series
from console.meters.history import MeterHistory
from console.reading.intake import collect
from engine.protocol.events import Event, read_events
from engine.protocol.evidence import Evidence, Summary, begin
from engine.protocol.layout import RunPaths
from engine.protocol.spec import RunSpec, read_spec
from engine.protocol.status import Status, observe

_READ_BYTES = (
    512 << 10
)  # a thousand lines or so at once: lines as objects take ten times their bytes, and what they took stays with the process
_PER_PUMP = 128  # reads: a long history arrives in a few frames, and keys are heard in between


@dataclass
class Progress:
    """How far a run is, and how fast, from what it says itself."""

    done: float = 0.0
    total: float = 0.0
    unit: str = ""
    began: tuple[float, float] | None = None
    """Time and amount of the first report of this total: the rate is measured from there."""
    at: float = 0.0

    def feed(self, event: Event) -> None:
        done, total = float(event.get("done", 0)), float(event.get("total", 0))
        unit, at = str(event.get("unit", "")), float(event.get("time", 0.0))
        if self.began is None or (total, unit) != (self.total, self.unit) or done < self.done:
            self.began = (at, done)
        self.done, self.total, self.unit, self.at = done, total, unit, at

    @property
    def rate(self) -> float | None:
        """Units a second since the first report."""
        if self.began is None or self.at <= self.began[0] or self.done <= self.began[1]:
            return None
        return (self.done - self.began[1]) / (self.at - self.began[0])

    @property
    def eta_s(self) -> float | None:
        rate = self.rate
        return None if rate is None else max(0.0, (self.total - self.done) / rate)

    @property
    def share(self) -> float:
        return min(1.0, self.done / self.total) if self.total else 0.0


@dataclass
class RunView:
    """One run, as far as it has been read."""

    paths: RunPaths
    spec: RunSpec | None = None
    status: Status = field(default_factory=lambda: Status("queued"))
    series: dict[str, Series] = field(default_factory=dict)
    evidence: Evidence | None = None
    progress: Progress = field(default_factory=Progress)
    meters: MeterHistory = field(default_factory=MeterHistory)
    notes: list[Event] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    """Everything but metrics, meters and progress, in order: what the events pane lists."""
    corrupt: int = 0
    offsets: dict[str, int] = field(default_factory=dict)
    """Per file how much of it has been read."""
    cached_bytes: int = 0
    """How much of that the column cache holds."""
    more: bool = True
    """There was more to read than one pump takes."""

    def pump(self) -> bool:
        """Read what is new; True if anything changed."""
        if self.spec is None:
            self.spec = read_spec(self.paths.spec)
            if self.spec is None:
                return False
        before = self.status
        if not before.final or self.evidence is None:
            self.status = observe(self.paths)
        if self.evidence is None:
            self.evidence = begin(self.spec, self.status)
            self._recall()
        self.evidence.state, self.evidence.reason = self.status.state, self.status.reason
        self.more = False
        changed = [
            self._read(file.name) for file in (self.paths.events, self.paths.log_events, self.paths.supervisor_events)
        ]
        return self.status != before or any(changed)

    def _read(self, name: str) -> bool:
        any_new = False
        if size_of(self.paths.folder / name) == self.offsets.setdefault(name, 0):
            return False
        for _ in range(_PER_PUMP):
            batch = read_events(self.paths.folder / name, self.offsets.get(name, 0), _READ_BYTES)
            self.offsets[name] = batch.offset
            self.corrupt += len(batch.corrupt)
            self.feed(batch.events)
            any_new = any_new or bool(batch.events)
            if not batch.more:
                return any_new
        self.more = True
        return any_new

    def _recall(self) -> None:
        """Take over what the column cache holds of a long run."""
        from console.reading.cache import WORTH_BYTES, restore

        if size_of(self.paths.events) + size_of(self.paths.log_events) >= WORTH_BYTES:
            restore(self)

    def keep(self) -> None:
        """Have the column cache hold what has been read, where that pays."""
        from console.reading.cache import keep

        if self.evidence is not None and not self.more:
            keep(self)

    def news(self) -> bool:
        """Has any file grown? Three looks at the disk: cheap enough to be asked twenty times a second."""
        files = (self.paths.events, self.paths.log_events, self.paths.supervisor_events)
        return any(size_of(file) != self.offsets.get(file.name, 0) for file in files)

    def feed(self, events: list[Event]) -> None:
        """Take events in, in their order."""
        metrics = [event for event in events if event.get("kind") == "metric"]
        for part in collect(metrics, self._count_of):
            self.series.setdefault(part.name, Series(part.name)).extend(part.steps, part.values, part.times)
            if self.evidence is not None:
                self.evidence.metrics.setdefault(part.name, Summary()).add_all(part.values)
        if len(metrics) < len(events):
            for event in events:
                if event.get("kind") != "metric":
                    self._feed_one(event)

    def _count_of(self, name: str) -> int:
        known = self.series.get(name)
        return known.count if known is not None else 0

    def _feed_one(self, event: Event) -> None:
        kind = event.get("kind")
        if self.evidence is not None:
            self.evidence.feed(event)
        if kind == "progress":
            self.progress.feed(event)
        elif kind == "meters":
            self.meters.feed(event)
        else:
            self.events.append(event)
            if kind == "note":
                self.notes.append(event)

    @property
    def charts(self) -> dict[str, list[str]]:
        """Which metrics share a chart: those with the same last word (train/loss, val/loss), or the same family."""
        return chart_groups(list(self.series))

    @property
    def latest(self) -> dict[str, float]:
        return {name: s.last for name, s in self.series.items() if s.last is not None}


def steps_per_epoch(view: RunView) -> float | None:
    """From a metric `epoch` beside its step, or a config that says it; what makes `epoch` an x axis."""
    for name, one in view.series.items():
        if last_word(name) == "epoch" and one.last and one.last_step > 0:
            return one.last_step / one.last
    said = view.spec.config.get("steps_per_epoch") if view.spec is not None else None
    return float(said) if isinstance(said, (int, float)) and said > 0 else None


def size_of(file: Path) -> int:
    try:
        return os.stat(file).st_size
    except OSError:
        return 0


def chart_groups(names: list[str]) -> dict[str, list[str]]:
    """`train/loss` and `val/loss` share `loss`; `val/energy_correct` and `val/energy_wrong` share `energy`."""
    groups: dict[str, list[str]] = {}
    for name in names:
        last = name.rsplit("/", 1)[-1]
        stem = last.split("_", 1)[0]
        related = [n for n in names if n.rsplit("/", 1)[-1].split("_", 1)[0] == stem]
        groups.setdefault(stem if len(related) > 1 else last, []).append(name)
    return groups


def gated_first(names: list[str], checks: list[dict[str, Any]]) -> list[str]:
    """Metrics that a gate looks at first, then those with the same last word, then losses, then the rest."""
    gated = {c["name"] for c in checks if c.get("kind") == "compare"}
    lasts = {last_word(n) for n in gated}

    def rank(name: str) -> int:
        last = last_word(name)
        return 0 if name in gated else 1 if last in lasts else 2 if "loss" in last else 3

    return sorted(names, key=rank)


def last_word(name: str) -> str:
    return name.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class GateLine:
    """A number of a gate that belongs on a chart."""

    value: float
    label: str
    op: str
    series: str


def gate_lines_for(checks: list[dict[str, Any]], names: list[str]) -> list[GateLine]:
    """Every gate line about one of these metrics, or about one with the same last word: a gate on `eval/accuracy` is what
    `val/accuracy` is heading for."""
    found = []
    for check in checks:
        if check.get("kind") != "compare" or check.get("bound") or not isinstance(check.get("value"), (int, float)):
            continue
        exact = [n for n in names if n == check["name"]]
        for name in exact or [n for n in names if last_word(n) == last_word(check["name"])]:
            label = f"{check['name']} {check['op']} {check['value']}"
            found.append(GateLine(float(check["value"]), label, check["op"], name))
    return found
