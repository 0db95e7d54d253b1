"""The curves of sides: a run's own, or the mean over seeds with its interval, per metric. Pure but for the series it extends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from console.charts.seeds import seed_band
from console.charts.series import Series
from console.comparing.sides import Side


@dataclass(frozen=True)
class Overlay:
    """One metric over all sides, as a chart takes it."""

    metric: str
    series: dict[str, Series] = field(default_factory=dict)
    """By the name of the side."""
    bands: dict[str, tuple[Series, Series]] = field(default_factory=dict)


def metrics_of_sides(sides: Sequence[Side]) -> list[str]:
    """Every metric that some run has points of; those that more sides have come first."""
    having: dict[str, int] = {}
    for side in sides:
        for name in dict.fromkeys(n for m in side.members for n in m.series):
            having[name] = having.get(name, 0) + 1
    return sorted(having, key=lambda n: -having[n])


def overlay(metric: str, sides: Sequence[Side]) -> Overlay:
    """The curves of one metric; each counts its time from its own start."""
    made = Overlay(metric)
    for side in sides:
        held = [m.series[metric] for m in side.members if metric in m.series]
        for member in side.members:
            if metric in member.series and member.row.started is not None:
                member.series[metric].time_origin = member.row.started
        if side.is_band and len(held) > 1:
            band = seed_band(side.name, held)
            curve, edges = band.mean, (band.low, band.high)
            made.bands[side.name] = edges
        elif held:
            curve = held[0]
        else:
            continue
        curve.colour_name = side.key
        made.series[side.name] = curve
    return made
