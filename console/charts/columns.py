"""Numpy columns that only grow, with what a chart asks of them: extrema of any range, gaps, smoothing.

Guarantees: the minimum and maximum of any set of ranges is exact and costs a few reads per range and level, whatever
the number of points, through a pyramid whose blocks are computed once. Does NOT draw and does NOT check its input;
`console.charts.series` does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]
Ints = NDArray[np.int64]

FAN = 16
"""Points per block and blocks per block above: small enough that the ragged ends of a range are cheap to read."""


class Grow:
    """One column with room to grow; doubling keeps appends constant on average."""

    def __init__(self, dtype: str) -> None:
        self._room: Floats = np.empty(64, dtype)
        self.count = 0

    @property
    def view(self) -> Floats:
        return self._room[: self.count]

    @property
    def room(self) -> int:
        """Bytes that it takes."""
        return int(self._room.nbytes)

    def extend(self, numbers: Any) -> None:
        needed = self.count + len(numbers)
        if needed > len(self._room):
            room = np.empty(max(needed, 2 * len(self._room)), self._room.dtype)
            room[: self.count] = self.view
            self._room = room
        self._room[self.count : needed] = numbers
        self.count = needed

    def truncate(self, count: int) -> None:
        self.count = min(count, self.count)


@dataclass
class Level:
    low: Grow
    high: Grow


@dataclass(frozen=True)
class Extrema:
    """Minimum and maximum per range; +inf and -inf where a range holds no finite value."""

    low: Floats
    high: Floats


class Curve:
    """Values with the pyramid over them and the places where they are not finite."""

    def __init__(self) -> None:
        self.values = Grow("f4")
        self.bad = Grow("i8")
        self.levels: list[Level] = []
        self.drawn: object = None
        """What `console.charts.raster` drew of it last."""
        self._ranged: tuple[int, int, float, float] | None = None
        """The range that was asked for last, its lowest and its highest."""
        self._asked: tuple[Ints, Ints, Extrema] | None = None
        """The ranges that were asked for last and what was found there: most of a live chart's columns stay."""

    def extend(self, values: Floats) -> None:
        start = self.values.count
        self.values.extend(values)
        self.bad.extend(np.flatnonzero(~np.isfinite(self.values.view[start:])) + start)
        self._raise_levels()

    def truncate(self, count: int) -> None:
        self._asked = self.drawn = self._ranged = None
        self.values.truncate(count)
        self.bad.truncate(int(np.searchsorted(self.bad.view, count)))
        for level in self.levels:
            count //= FAN
            level.low.truncate(count)
            level.high.truncate(count)

    def extrema(self, start: Ints, stop: Ints) -> Extrema:
        """Exact minimum and maximum of the finite values in each range [start, stop)."""
        before = self._asked
        if before is None or len(before[0]) != len(start):
            found = self._look(start, stop)
        else:
            found = Extrema(before[2].low.copy(), before[2].high.copy())
            other = np.flatnonzero((before[0] != start) | (before[1] != stop))
            if len(other):
                new = self._look(start[other], stop[other])
                found.low[other], found.high[other] = new.low, new.high
        self._asked = start, stop, Extrema(found.low.copy(), found.high.copy())
        return found

    def _look(self, start: Ints, stop: Ints) -> Extrema:
        low, high = np.full(len(start), np.inf, "f4"), np.full(len(start), -np.inf, "f4")
        for depth in range(len(self.levels) + 1):
            if not len(start) or int((stop - start).max()) <= 0:
                break
            above = depth < len(self.levels) and int((stop - start).max()) > 2 * FAN
            if not above:
                self._fold(depth, start, stop, low, high)
                break
            inner_start = np.minimum(-(-start // FAN) * FAN, stop)
            inner_stop = np.maximum(stop // FAN * FAN, inner_start)
            self._fold(depth, start, inner_start, low, high)
            self._fold(depth, inner_stop, stop, low, high)
            start, stop = inner_start // FAN, inner_stop // FAN
        return Extrema(low, high)

    def range(self, start: int, stop: int) -> tuple[float, float]:
        """The same for one range, by slices; of one that has grown at its end only the new points are looked at."""
        known = self._ranged
        if known is not None and known[0] == start and known[1] <= stop < known[1] + FAN:
            new = self.values.view[known[1] : stop]
            finite = new[np.isfinite(new)].tolist()
            found = min([known[2], *finite]), max([known[3], *finite])
        else:
            found = self._range(start, stop)
        self._ranged = start, stop, *found
        return found

    def _range(self, start: int, stop: int) -> tuple[float, float]:
        low, high = math.inf, -math.inf
        for depth in range(len(self.levels) + 1):
            if stop <= start:
                break
            inner_start = min(-(-start // FAN) * FAN, stop)
            inner_stop = max(stop // FAN * FAN, inner_start)
            if depth == len(self.levels):
                inner_start = inner_stop = stop
            for first, last in ((start, inner_start), (inner_stop, stop)):
                if first < last:
                    part = self._extremes(depth, first, last)
                    low, high = min(low, part[0]), max(high, part[1])
            start, stop = inner_start // FAN, inner_stop // FAN
        return low, high

    def _extremes(self, depth: int, start: int, stop: int) -> tuple[float, float]:
        """Of some neighbouring cells of one level."""
        if depth:
            level = self.levels[depth - 1]
            return float(level.low.view[start:stop].min()), float(level.high.view[start:stop].max())
        values = self.values.view[start:stop]
        if self.bad.count:
            values = values[np.isfinite(values)]
        return (float(values.min()), float(values.max())) if len(values) else (math.inf, -math.inf)

    def breaks(self, left: Ints, right: Ints) -> NDArray[np.bool_]:
        """Whether a gap lies between the points of each pair."""
        if not self.bad.count:
            return np.zeros(len(left), bool)
        between: NDArray[np.bool_] = np.searchsorted(self.bad.view, left) != np.searchsorted(self.bad.view, right)
        return between

    def bad_between(self, start: Ints, stop: Ints) -> Ints:
        """How many values in each range are not finite."""
        bad = self.bad.view
        return np.searchsorted(bad, stop) - np.searchsorted(bad, start)

    def _raise_levels(self) -> None:
        low, high = self.values, self.values
        depth = 0
        while low.count >= FAN:
            if depth == len(self.levels):
                self.levels.append(Level(Grow("f4"), Grow("f4")))
            level = self.levels[depth]
            new = slice(level.low.count * FAN, low.count // FAN * FAN)
            lows, highs = low.view[new], high.view[new]
            if depth == 0 and self.bad.count:
                finite = np.isfinite(lows)
                lows, highs = np.where(finite, lows, np.inf), np.where(finite, highs, -np.inf)
            level.low.extend(lows.reshape(-1, FAN).min(axis=1))
            level.high.extend(highs.reshape(-1, FAN).max(axis=1))
            low, high = level.low, level.high
            depth += 1

    def _fold(self, depth: int, start: Ints, stop: Ints, low: Floats, high: Floats) -> None:
        """Fold the cells [start, stop) of one level into low and high, in place."""
        held = np.flatnonzero(stop > start)
        if not len(held):
            return
        start, last = start[held, None], stop[held, None] - 1
        cells = np.minimum(start + np.arange(int((last - start).max()) + 1), last)  # a cell read twice does no harm
        if depth:
            lows, highs = self.levels[depth - 1].low.view[cells], self.levels[depth - 1].high.view[cells]
        else:
            lows = highs = self.values.view[cells]
            if self.bad.count:
                finite = np.isfinite(lows)
                lows, highs = np.where(finite, lows, np.inf), np.where(finite, highs, -np.inf)
        low[held] = np.minimum(low[held], lows.min(axis=1))
        high[held] = np.maximum(high[held], highs.max(axis=1))


class Columns:
    """Steps, times, raw values, and one smoothed curve for as long as it is asked for."""

    def __init__(self) -> None:
        self.steps = Grow("f8")
        self.times = Grow("f8")
        self.raw = Curve()
        self._smooth: Smooth | None = None

    @property
    def count(self) -> int:
        return self.steps.count

    @property
    def bad_count(self) -> int:
        return self.raw.bad.count

    def extend(self, steps: Any, values: Any, times: Any) -> None:
        self.steps.extend(steps)
        self.times.extend(times)
        self.raw.extend(values)

    def truncate(self, count: int) -> None:
        self.steps.truncate(count)
        self.times.truncate(count)
        self.raw.truncate(count)
        self._smooth = None

    def first_at_step(self, step: float) -> int:
        return int(np.searchsorted(self.steps.view, step))

    def smooth(self, weight: float) -> Curve:
        """The exponential mean with this weight on the past; only new points are computed on a later call."""
        if self._smooth is None or self._smooth.weight != weight:
            self._smooth = Smooth(weight)
        self._smooth.extend(self.raw.values.view[self._smooth.curve.values.count :])
        return self._smooth.curve


class Smooth:
    """An exponential mean, 0 < weight < 1, without the pull towards zero at the start; gaps stay and move nothing."""

    BLOCK = 64

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.curve = Curve()
        self._mean = 0.0
        self._seen = 0
        self._mature = math.ceil(math.log(1e-9) / math.log(weight))
        lag = np.arange(self.BLOCK)[:, None] - np.arange(self.BLOCK)[None, :]
        self._mix = np.where(lag >= 0, (1 - weight) * weight ** np.maximum(lag, 0), 0.0)
        self._decay = weight ** np.arange(1, self.BLOCK + 1)

    def extend(self, values: Floats) -> None:
        if not len(values):
            return
        finite = np.isfinite(values)
        out = np.full(len(values), np.nan, "f4")
        out[finite] = self._means(values[finite].astype("f8"))
        self.curve.extend(out)

    def _means(self, values: Floats) -> Floats:
        count = len(values)
        if not count:
            return values
        blocks = np.zeros(-(-count // self.BLOCK) * self.BLOCK)
        blocks[:count] = values
        means = blocks.reshape(-1, self.BLOCK) @ self._mix.T
        carry = self._mean
        tail = float(self._decay[-1])
        carries = []
        for end in means[:, -1].tolist():
            carries.append(carry)
            carry = end + tail * carry
        flat: Floats = (means + np.outer(carries, self._decay)).reshape(-1)[:count]
        self._mean = float(flat[-1])
        young = min(count, max(0, self._mature - self._seen))
        flat[:young] /= 1 - self.weight ** np.arange(self._seen + 1, self._seen + young + 1, dtype="f8")
        self._seen += count
        return flat
