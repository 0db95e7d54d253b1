"""What a run has shown: the facts, metrics, artifacts and packages that gates judge. Folded from events, never from screen text.

`Evidence.feed` takes events as they come, so a gate can tick while the run goes on; `gather` reads a whole run folder.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.protocol.durable import read_json
from engine.protocol.events import Event, metrics_of, number, read_events
from engine.protocol.spec import RunSpec, read_spec
from engine.protocol.status import SUCCEEDED, Status, observe

if TYPE_CHECKING:
    from engine.protocol.layout import RunPaths


@dataclass
class Summary:
    """One metric's course, as far as a gate needs it."""

    last: float = math.nan
    lowest: float = math.inf
    highest: float = -math.inf
    total: float = 0.0
    count: int = 0
    """Numbers that are finite."""
    strange: int = 0
    """NaN and infinities: they are news, so they are counted, not skipped in silence."""

    def add(self, value: float) -> None:
        self.last = value
        if not math.isfinite(value):
            self.strange += 1
            return
        self.count += 1
        self.total += value
        self.lowest = min(self.lowest, value)
        self.highest = max(self.highest, value)

    def add_all(self, values: Sequence[float]) -> None:
        """Many at once, which is what reading a long run costs."""
        finite = values if all(map(math.isfinite, values)) else [v for v in values if math.isfinite(v)]
        if values:
            self.last = values[-1]
        self.strange += len(values) - len(finite)
        if finite:
            self.count += len(finite)
            self.total += sum(finite)
            self.lowest = min(self.lowest, min(finite))
            self.highest = max(self.highest, max(finite))

    def take(self, which: str) -> float:
        """`last`, `min`, `max` or `mean`; NaN where there is none."""
        if which == "last":
            return self.last
        if not self.count:
            return math.nan
        return {"min": self.lowest, "max": self.highest, "mean": self.total / self.count}[which]


@dataclass
class Evidence:
    """What one run has shown so far, and under which conditions."""

    run_id: str
    step: str
    state: str
    reason: str = ""
    tree: str = ""
    code: str = ""
    config_hash: str = ""
    family: str = ""
    seed: int | None = None
    preset: str = ""
    host: str = ""
    ended: float | None = None
    metrics: dict[str, Summary] = field(default_factory=dict)
    facts: dict[str, Event] = field(default_factory=dict)
    artifacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    models: list[Event] = field(default_factory=list)
    corrupt_lines: int = 0

    @property
    def over(self) -> bool:
        return self.state not in ("queued", "starting", "running", "stalled", "orphaned")

    @property
    def succeeded(self) -> bool:
        return self.state == SUCCEEDED

    def feed(self, event: Event) -> None:
        """Take one event in; kinds that prove nothing are passed over."""
        kind = event.get("kind")
        if kind == "metric":
            for name, value in metrics_of(event).items():
                self.metrics.setdefault(name, Summary()).add(value)
        elif kind == "fact" and isinstance(event.get("name"), str):
            self.facts[event["name"]] = event
        elif kind in ("artifact", "model") and isinstance(event.get("path"), str):
            self.artifacts[event["path"]] = event
            if kind == "model":
                self.models.append(event)
        elif kind == "environment" and isinstance(event.get("packages"), dict):
            self.packages.update({str(k).lower().replace("_", "-"): str(v) for k, v in event["packages"].items()})

    def value(self, what: str, name: str, take: str) -> float | str | None:
        """The number (or word) of a metric or fact; None where there is none."""
        if what in ("metric", "any") and name in self.metrics:
            return self.metrics[name].take(take)
        if what in ("fact", "any") and name in self.facts:
            raw = self.facts[name].get("value")
            if isinstance(raw, bool):
                return raw
            found = number(raw)
            return found if found is not None else (raw if isinstance(raw, str) else None)
        return None

    def bound(self, name: str, which: str) -> float | None:
        """The lower or upper end of a fact's interval."""
        return number(self.facts.get(name, {}).get("low" if which == "lower" else "high"))

    def pool(self, name: str) -> str | None:
        """What a fact was measured on, where it says so."""
        pool = self.facts.get(name, {}).get("pool")
        return None if pool is None else str(pool)


def begin(spec: RunSpec, status: Status) -> Evidence:
    """Evidence of a run before its events are read."""
    return Evidence(
        run_id=spec.run_id,
        step=spec.step,
        state=status.state,
        reason=status.reason,
        tree=spec.tree,
        code=spec.code,
        config_hash=spec.config_hash,
        family=spec.family,
        seed=spec.seed,
        preset=spec.preset,
        host=spec.host,
        ended=status.ended,
    )


class EvidenceReader:
    """A run folder's evidence, read on from where the last reading ended."""

    def __init__(self, paths: RunPaths) -> None:
        self.paths = paths
        self.evidence: Evidence | None = None
        self._offsets = {paths.log_events: 0, paths.events: 0}

    def read(self, status: Status | None = None) -> Evidence | None:
        """What is proved by now; None where there is no run."""
        status = observe(self.paths) if status is None else status
        if self.evidence is None:
            spec = read_spec(self.paths.spec)
            if spec is None:
                return None
            self.evidence = begin(spec, status)
        self.evidence.state, self.evidence.reason, self.evidence.ended = status.state, status.reason, status.ended
        for file in self._offsets:
            self._read_on(self.evidence, file)
        add_recorded_artifacts(self.evidence, self.paths)
        return self.evidence

    def _read_on(self, evidence: Evidence, file: Path) -> None:
        more = True
        while more:
            batch = read_events(file, self._offsets[file])
            for event in batch.events:
                evidence.feed(event)
            evidence.corrupt_lines += len(batch.corrupt)
            self._offsets[file], more = batch.offset, batch.more


def gather(paths: RunPaths, status: Status | None = None) -> Evidence | None:
    """Everything a run folder proves; None where there is no run."""
    return EvidenceReader(paths).read(status)


def add_recorded_artifacts(evidence: Evidence, paths: RunPaths) -> None:
    """What the supervisor hashed at the end stands above what the program announced."""
    recorded = read_json(paths.artifacts)
    for about in (recorded or {}).get("artifacts", []):
        if about.get("missing"):
            evidence.artifacts.pop(about["path"], None)
        else:
            evidence.artifacts[about["path"]] = {**evidence.artifacts.get(about["path"], {}), **about}
