"""The numbers beside a chart: domains that stay put while data grows, ticks that people count in, short labels.

Pure and without numpy, so that any screen may use the labels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

STEADY = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
"""Right ends of an x axis: at most a third stays empty, and old columns move only when the next one is reached."""

TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)


@dataclass(frozen=True)
class Domain:
    """What one axis shows; logarithmic ones hold powers of ten."""

    low: float
    high: float
    log: bool = False

    @property
    def span(self) -> float:
        return self.high - self.low


@dataclass(frozen=True)
class Tick:
    at: float
    """In the domain's own numbers, so the power of ten on a logarithmic axis."""
    label: str


def steady_x(low: float, high: float) -> Domain:
    """A domain from low that holds high and has room to grow."""
    span = high - low
    if not span > 0:
        return Domain(low, low + 1)
    power = 10.0 ** math.floor(math.log10(span))
    for factor in STEADY:
        if factor * power >= span * (1 - 1e-9):
            return Domain(low, low + factor * power)
    return Domain(low, low + 10 * power)


def steady_y(low: float, high: float, log: bool) -> Domain:
    """The data's range rounded outward to ticks, so that the next point seldom moves the axis."""
    if log:
        return _steady_log(low, high)
    if not high > low:
        pad = abs(low) * 0.1 or 0.5
        low, high = low - pad, high + pad
    step = nice_step((high - low) / 4) / 2
    return Domain(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step)


def _steady_log(low: float, high: float) -> Domain:
    bottom, top = math.log10(low), math.log10(high)
    if top - bottom < 1e-9:
        return Domain(math.floor(bottom), math.floor(bottom) + 1, log=True)
    step = 1.0 if top - bottom > 2 else nice_step((top - bottom) / 4) / 2
    return Domain(math.floor(bottom / step + 1e-6) * step, math.ceil(top / step - 1e-6) * step, log=True)


def nice_step(rough: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    for factor in (1.0, 2.0, 2.5, 5.0):
        if factor * power >= rough * (1 - 1e-9):
            return factor * power
    return 10 * power


@lru_cache(256)
def ticks(domain: Domain, most: int) -> tuple[Tick, ...]:
    """About this many ticks inside the domain, at most one more."""
    if most < 1:
        return ()
    return tuple(_log_ticks(domain, most) if domain.log else _linear_ticks(domain, most))


@lru_cache(256)
def time_ticks(domain: Domain, most: int) -> tuple[Tick, ...]:
    """Ticks in seconds, minutes, hours and days."""
    if most < 1:
        return ()
    rough = domain.span / most
    if rough < 1:
        return tuple(Tick(tick.at, f"{tick.label}s") for tick in _linear_ticks(domain, most))
    step = next((step for step in TIME_STEPS if step >= rough), 0) or 86400 * math.ceil(nice_step(rough / 86400))
    first = math.ceil(domain.low / step - 1e-9)
    last = math.floor(domain.high / step + 1e-9)
    return tuple(Tick(n * step, duration(n * step)) for n in range(first, last + 1))


def _linear_ticks(domain: Domain, most: int) -> list[Tick]:
    step = nice_step(domain.span / most)
    first = math.ceil(domain.low / step - 1e-9)
    last = math.floor(domain.high / step + 1e-9)
    return [Tick(n * step, number(n * step, step)) for n in range(first, last + 1)]


def _log_ticks(domain: Domain, most: int) -> list[Tick]:
    first, last = math.ceil(domain.low - 1e-9), math.floor(domain.high + 1e-9)
    if last - first < 1:
        inside = Domain(10**domain.low, 10**domain.high)
        return [Tick(math.log10(tick.at), tick.label) for tick in _linear_ticks(inside, most) if tick.at > 0]
    if 3 * (last - first + 1) <= most:
        fine = [Tick(n + math.log10(m), number(m * 10.0**n)) for n in range(first - 1, last + 1) for m in (1, 2, 5)]
        return [tick for tick in fine if domain.low - 1e-9 <= tick.at <= domain.high + 1e-9]
    stride = math.ceil((last - first + 1) / most)
    return [Tick(float(n), power_of_ten(n)) for n in range(first, last + 1) if n % stride == 0]


def power_of_ten(exponent: int) -> str:
    return number(10.0**exponent) if -3 <= exponent <= 5 else f"1e{exponent}"


def number(value: float, step: float | None = None) -> str:
    """A tick's label: thousands as k, M, G, T; as many decimals as the step between ticks needs."""
    if value == 0 or (step is not None and abs(value) < step / 1e6):
        return "0"
    size = abs(value)
    if size >= 1e15 or size < 1e-4:
        return f"{value:.3g}"
    scale, unit = next(
        ((10.0**p, u) for p, u in ((12, "T"), (9, "G"), (6, "M"), (3, "k")) if size >= 10.0**p), (1.0, "")
    )
    if step is None:
        return f"{value / scale:.4g}{unit}"
    decimals = max(0, -math.floor(math.log10(step / scale) + 1e-9))
    if round(step / scale * 10**decimals, 6) % 1:
        decimals += 1
    text = f"{value / scale:.{decimals}f}"
    return (text.rstrip("0").rstrip(".") if "." in text and unit else text) + unit


def reading(value: float) -> str:
    """A value to read: four significant digits, words for what is no number."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    size = abs(value)
    if value == 0:
        return "0"
    if size >= 1e6 or size < 1e-3:
        return f"{value:.3e}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value:.4g}" if size < 1000 else f"{value:.0f}" if size >= 1e4 else f"{value:.1f}"


def step_reading(step: float) -> str:
    """A step in full with thin groups, a fraction as a reading."""
    return f"{int(step):,}".replace(",", " ") if step == int(step) else reading(step)


def duration(seconds: float) -> str:
    """12s, 3m, 3m20s, 1h30, 2d4h."""
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    if seconds < 60:
        return f"{sign}{seconds:.0f}s" if seconds == int(seconds) else f"{sign}{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{sign}{minutes}m{rest:02d}s" if rest else f"{sign}{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{sign}{hours}h{minutes:02d}" if minutes else f"{sign}{hours}h"
    days, hours = divmod(hours, 24)
    return f"{sign}{days}d{hours}h" if hours else f"{sign}{days}d"
