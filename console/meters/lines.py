"""Meters as lines of text: each a name, small bars of the last minutes, numbers. Pure; the same for screen and verbs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.text import Text

from console.meters.history import MeterHistory, gpus_of
from console.words import ago, number, size
from engine.protocol.events import Event

_BARS = " ▁▂▃▄▅▆▇█"
_NAMED = 6  # columns for `memory`, the longest name
OLD_S = 30.0  # six samples missed: what stands there is history


def meter_words(event: Event) -> list[tuple[str, str]]:
    """Each meter with its numbers; what the machine did not tell is not there."""
    rows = []
    if "cpu" in event:
        rows.append(("cpu", _joined(f"{100 * event['cpu']:.0f} % of {event.get('cores', '?')}", _own_cpu(event))))
    if "memory_used" in event:
        rows.append(("memory", _joined(_of(event["memory_used"], event["memory_total"]), _own_memory(event))))
    return rows + [(f"gpu{gpu['index']}", _gpu(gpu)) for gpu in gpus_of(event)]


def _own_cpu(event: Event) -> str:
    return f"run {number(event['run_cpu'])} cores" if "run_cpu" in event else ""


def _own_memory(event: Event) -> str:
    return f"run {size(event['run_memory'])}" if "run_memory" in event else ""


def _gpu(gpu: dict[str, Any]) -> str:
    parts = [f"{gpu['util']:g} %"] if "util" in gpu else []
    if "memory_used" in gpu:
        parts.append(_of(gpu["memory_used"], gpu.get("memory_total")))
    if "power_w" in gpu:
        limit = f"/{gpu['power_limit_w']:.0f}" if "power_limit_w" in gpu else ""
        parts.append(f"{gpu['power_w']:.0f}{limit} W")
    if "temperature_c" in gpu:
        parts.append(f"{gpu['temperature_c']:g} °C")
    return "  ".join(parts)


def _of(used: float, total: float | None) -> str:
    if not total:
        return size(used)
    return f"{used / 1e9:.1f} of {total / 1e9:.0f} GB"


def _joined(*parts: str) -> str:
    return "  ".join(part for part in parts if part)


def meter_lines(history: MeterHistory, columns: int, now: float, live: bool) -> Text:
    """A line per meter, with bars where there is room for them."""
    text = Text(no_wrap=True, overflow="ellipsis")
    event = history.latest
    if not event:
        text.append("no samples yet" if live else "no samples were taken", "dim")
        return text
    rows = meter_words(event)
    room = columns - _NAMED - 4 - max((len(words) for _, words in rows), default=0)
    for name, words in rows:
        text.append(f"{name:<{_NAMED}} ", "bold")
        if room >= 8:
            text.append(f"{bars(_shares(history, name, event), min(room, 40))}  ", _colour(name, event))
        text.append(words + "\n")
    age = now - float(event.get("time", now))
    if live and age > OLD_S:
        text.append(f"told {ago(float(event['time']), now)}", "yellow")
    text.rstrip()
    return text


def _shares(history: MeterHistory, name: str, event: Event) -> Sequence[float]:
    if name == "cpu":
        return list(history.cpu)
    if name == "memory":
        return [event["memory_used"] / event["memory_total"]]
    return list(history.gpus.get(int(name.removeprefix("gpu")), ()))


def _colour(name: str, event: Event) -> str:
    """Memory that is nearly gone is what ends runs."""
    if name == "memory":
        return "red" if event["memory_used"] > 0.92 * event["memory_total"] else "cyan"
    gpu = next((g for g in gpus_of(event) if f"gpu{g['index']}" == name), None)
    if gpu is not None and gpu.get("memory_total") and gpu["memory_used"] > 0.97 * gpu["memory_total"]:
        return "red"
    return "cyan"


def bars(shares: Iterable[float], width: int) -> str:
    """The newest shares as eighths of a cell, the last at the right end; a single one as a level."""
    values = list(shares)
    if len(values) == 1 and width > 1:
        full = values[0] * width
        return ("█" * int(full) + ("▌" if full % 1 >= 0.5 else "")).ljust(width, "·")[:width]
    shown = [_BARS[min(8, max(0, round(v * 8)))] for v in values[-width:]]
    return "".join(shown).rjust(width)
