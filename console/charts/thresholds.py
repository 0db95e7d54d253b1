"""A gate's number on a chart: where the line lies, and whether the newest values keep to it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engine.protocol.operators import OPERATORS


@dataclass(frozen=True)
class Threshold:
    value: float
    label: str
    op: str = "<"
    """What the gate asks of the value: `value op threshold`."""
    series: str | None = None
    """The series that the gate looks at; None asks it of every series on the chart."""

    def __post_init__(self) -> None:
        if self.op not in OPERATORS:
            raise ValueError(f"threshold {self.label!r}: unknown op {self.op!r}; use one of {' '.join(OPERATORS)}")

    def met(self, values: Iterable[float]) -> bool | None:
        """True when every value keeps to it, None when there is no value; a NaN never keeps to it."""
        known = list(values)
        if not known:
            return None
        return all(not math.isnan(value) and OPERATORS[self.op](value, self.value) for value in known)

    def verdict(self, newest: Mapping[str, float]) -> bool | None:
        """The same from the newest value of each series on a chart."""
        return self.met(value for name, value in newest.items() if self.series in (None, name))


def verdict_words(met: bool | None) -> str:
    return "· no data" if met is None else "✓ met" if met else "✗ not met"
