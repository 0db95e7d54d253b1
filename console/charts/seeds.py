"""Several runs of one configuration as one curve: their mean and the interval that the mean lies in.

The interval is Student's t over the runs, 95 %. Runs that log at the same steps are averaged step by step; otherwise
each run is read between its points, within its own range, at the steps of the run that has the most. A NaN in any run
makes that step a gap: a diverged seed is not averaged away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from console.charts.series import Series

T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""Two-sided 95 % quantiles for 1 to 10 degrees of freedom."""


@dataclass(frozen=True)
class SeedBand:
    mean: Series
    low: Series
    high: Series
    runs: int


def seed_band(name: str, runs: Sequence[Series]) -> SeedBand:
    """The mean of some series and its interval, at every step that at least two of them reach."""
    import numpy as np

    held = [run.columns() for run in runs if run.count]
    band = SeedBand(Series(name), Series(f"{name} low"), Series(f"{name} high"), len(held))
    if len(held) < 2:
        return band
    steps = max((columns.steps.view for columns in held), key=len)
    values = np.stack([_at(steps, columns) for columns in held])
    inside = np.stack([(steps >= columns.steps.view[0]) & (steps <= columns.steps.view[-1]) for columns in held])
    count = inside.sum(axis=0)
    seen = count >= 2
    steps, values, inside, count = steps[seen], values[:, seen], inside[:, seen], count[seen]
    mean = np.where(inside, values, 0).sum(axis=0) / count
    spread = np.sqrt(np.where(inside, (values - mean) ** 2, 0).sum(axis=0) / (count - 1))
    half = np.array([t_quantile(int(n) - 1) for n in count]) * spread / np.sqrt(count)
    times = np.maximum.accumulate(_mean_times(steps, held, inside)) if len(steps) else steps
    for series, column in ((band.mean, mean), (band.low, mean - half), (band.high, mean + half)):
        series.extend(steps, column, times)
        series.time_origin = 0.0
    return band


def _mean_times(steps: Any, held: Sequence[Any], inside: Any) -> Any:
    """Seconds from each run's own first point, the mean of the runs that reach the step."""
    import numpy as np

    since = np.stack([np.interp(steps, c.steps.view, c.times.view - c.times.view[0]) for c in held])
    return np.where(inside, since, 0).sum(axis=0) / inside.sum(axis=0)


def t_quantile(freedom: int) -> float:
    """The two-sided 95 % quantile, from the table, then by the usual expansion around the normal one."""
    if freedom <= len(T_95):
        return T_95[freedom - 1]
    z = 1.959964
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def _at(steps: Any, columns: Any) -> Any:
    """A run's values at some steps; a gap reaches as far as the points around it."""
    import numpy as np

    own, values = columns.steps.view, columns.raw.values.view.astype("f8")
    if len(own) == len(steps) and (own == steps).all():
        return values
    return np.interp(steps, own, np.where(np.isfinite(values), values, math.nan))
