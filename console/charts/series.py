"""Metric series as columns: a step, a value and a time per point, any number of points.

Guarantees: appending costs no numpy; `columns()` turns what is pending into numpy columns the first time that something
is drawn, and only the new points after that. Steps never fall within a series: a run that resumed further back rewinds
its curve (the points it trained over are dropped and counted in `superseded`). NaN and infinity are kept as gaps and
counted in `nan_count`. Does NOT know about screens, files or runs; one thread uses a series at a time.
"""

from __future__ import annotations

import math
import operator
from array import array
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from console.charts.columns import Columns


class Series:
    def __init__(self, name: str, *, colour_name: str | None = None, time_origin: float | None = None) -> None:
        self.name = name
        self.colour_name = colour_name
        """What the colour is chosen by; None is the name that a chart shows the series under."""
        self.time_origin = time_origin
        """Unix time that the time axis counts from; None takes the first point of the chart's series."""
        self.count = 0
        self.nan_count = 0
        self.last: float | None = None
        """The newest value, NaN if that is the newest."""
        self.last_step = -math.inf
        self.last_time = 0.0
        self.first_time: float | None = None
        self.version = 0
        """Grows with every change, so that a chart knows without looking."""
        self.rewinds = 0
        self.superseded = 0
        self._columns: Columns | None = None
        self._steps = array("d")
        self._values = array("f")
        self._times = array("d")

    def append(self, step: float, value: float | None, time: float | None = None) -> None:
        """Add one point; a value of None is a NaN, a missing time repeats the one before."""
        step = float(step)
        number = math.nan if value is None else float(value)
        if step < self.last_step:
            self._rewind_to(step)
        self._steps.append(step)
        self._values.append(number)
        self._times.append(self._clock(time))
        self.count += 1
        self.nan_count += not math.isfinite(self._values[-1])
        self.last, self.last_step = number, step
        self.version += 1

    def extend(
        self,
        steps: Sequence[float] | Any,
        values: Sequence[float | None] | Any,
        times: Sequence[float] | Any | None = None,
    ) -> None:
        """Add many points from sequences or numpy arrays of one length."""
        if len(steps) != len(values) or (times is not None and len(times) != len(values)):
            raise ValueError(
                f"series {self.name}: {len(steps)} steps, {len(values)} values; give columns of one length"
            )
        if not len(steps):
            return
        if not self._in_order(steps, times):
            for index in range(len(steps)):
                self.append(steps[index], values[index], None if times is None else times[index])
            return
        before = len(self._values)
        self._steps.extend(_floats("d", steps))
        self._values.extend(_floats("f", values))
        self._times.extend(_floats("d", times) if times is not None else array("d", [self.last_time]) * len(steps))
        if self.first_time is None:
            self.first_time = self._times[before]
        self.nan_count += len(steps) - sum(map(math.isfinite, islice(self._values, before, None)))
        self.count += len(steps)
        self.last, self.last_step, self.last_time = self._values[-1], self._steps[-1], self._times[-1]
        self.version += 1

    def columns(self) -> Columns:
        """Everything so far as numpy columns; moves the pending points over first."""
        from console.charts.columns import Columns

        if self._columns is None:
            self._columns = Columns()
        if self._steps:
            self._columns.extend(self._steps, self._values, self._times)
            self._steps, self._values, self._times = array("d"), array("f"), array("d")
        return self._columns

    def _clock(self, time: float | None) -> float:
        """A clock that goes back stands still here, so that times can be searched."""
        if time is not None:
            self.last_time = float(time) if self.first_time is None else max(self.last_time, float(time))
        if self.first_time is None:
            self.first_time = self.last_time
        return self.last_time

    def _in_order(self, steps: Any, times: Any | None) -> bool:
        if steps[0] < self.last_step or (
            times is not None and self.first_time is not None and times[0] < self.last_time
        ):
            return False
        return _rises(steps) and (times is None or _rises(times))

    def _rewind_to(self, step: float) -> None:
        """Drop the points at and after a step that is being trained again."""
        columns = self.columns()
        keep = columns.first_at_step(step)
        self.rewinds += 1
        self.superseded += self.count - keep
        columns.truncate(keep)
        self.count = keep
        self.nan_count = columns.bad_count


def _floats(code: Literal["d", "f"], numbers: Any) -> array[float]:
    """A numpy column or any sequence of numbers and None as a typed array."""
    if isinstance(numbers, array) and numbers.typecode == code:
        return numbers
    out: array[float] = array(code)
    if hasattr(numbers, "astype"):
        out.frombytes(numbers.astype({"d": "<f8", "f": "<f4"}[code]).tobytes())
        return out
    try:
        out.extend(numbers)
    except TypeError:
        out = array(code, [math.nan if number is None else number for number in numbers])
    return out


def _rises(numbers: Any) -> bool:
    if hasattr(numbers, "astype"):
        return bool((numbers[1:] >= numbers[:-1]).all())
    return all(map(operator.le, numbers, islice(numbers, 1, None)))
