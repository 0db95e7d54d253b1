"""The newest samples of what a run's machine uses. Pure: fed with `meters` events, one way only."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from engine.protocol.events import Event

_KEPT = 120  # ten minutes at the supervisor's pace: what a line of small bars shows


@dataclass
class MeterHistory:
    """What was told last, and shares of one over time for small bars."""

    latest: Event = field(default_factory=dict)
    cpu: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))
    gpus: dict[int, deque[float]] = field(default_factory=dict)

    def feed(self, event: Event) -> None:
        self.latest = event
        if isinstance(event.get("cpu"), (int, float)):
            self.cpu.append(float(event["cpu"]))
        for gpu in gpus_of(event):
            if isinstance(gpu.get("util"), (int, float)):
                self.gpus.setdefault(gpu["index"], deque(maxlen=_KEPT)).append(gpu["util"] / 100)

    def kept(self) -> dict[str, Any]:
        """As JSON."""
        return {"latest": self.latest, "cpu": list(self.cpu), "gpus": {n: list(v) for n, v in self.gpus.items()}}

    def take(self, kept: dict[str, Any]) -> None:
        """What `kept` made."""
        self.latest = kept["latest"]
        self.cpu.extend(kept["cpu"])
        for number, shares in kept["gpus"].items():
            self.gpus[int(number)] = deque(shares, maxlen=_KEPT)


def gpus_of(event: Event) -> list[dict[str, Any]]:
    """The GPUs of a sample; whatever else stands there is passed over."""
    found = event.get("gpus")
    return [g for g in found if isinstance(g, dict) and "index" in g] if isinstance(found, list) else []
